"""NumPy's functions that choose entries of arrays, and that make arrays like others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.graph.arraytype import (
    BOOL,
    DimLike,
    ShapeError,
    TraceError,
    array_type,
    broadcast_shapes,
    check_dtype,
)
from calcbench.graph.axes import (
    as_truth,
    axis_of,
    extents_of,
    flattened,
    known,
    lift,
    lift_all,
    lift_same,
    neighbours,
    not_given,
    numpy_signature,
    permuted,
    sizes,
    strong,
    summed,
)
from calcbench.graph.comparison import logical_and, not_equal, select as select_row
from calcbench.graph.diagonals import diagonal as diagonal_row, from_diagonal
from calcbench.graph.indexing import get
from calcbench.graph.joining import joined
from calcbench.graph.kinks import maximum, minimum
from calcbench.graph.lifting import (
    Value,
    as_dtype,
    binary,
    common_builder,
    enter,
    place,
    result_dtype,
    shape_of,
    stretch,
    value_or_array,
)
from calcbench.graph.structural import array_constant, full, zeros


# --- choosing by a condition -----------------------------------------------------------------

_MISSING: Any = object()


@numpy_signature("condition x y")
def where(condition: Any, x: Any = _MISSING, y: Any = _MISSING) -> Value:
    """``np.where`` with three arguments."""
    if x is _MISSING or y is _MISSING:
        raise TraceError(
            "where with one argument makes arrays whose shape depends on values; use "
            "where(condition, x, y), or index with the mask: x[condition]"
        )
    raw = [value_or_array(v) for v in (condition, x, y)]
    builder = common_builder(raw)
    shape = broadcast_shapes(*map(shape_of, raw))
    dtype = result_dtype(raw[1:])
    taken, other = (enter(builder, v, dtype, shape) for v in raw[1:])
    return select_row(_truth(builder, raw[0], shape), taken, other)  # type: ignore[no-any-return]


def _truth(builder: Any, condition: Any, shape: Any) -> Value:
    return stretch(as_truth(place(builder, strong(condition))), shape)


@numpy_signature("condlist choicelist default")
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Value:
    """``np.select``."""
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ShapeError(f"select got {len(condlist)} conditions, {len(choicelist)} choices")
    result = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        result = where(_alone(condition, len(condlist)), choice, result)
    return result  # type: ignore[no-any-return]


def _alone(condition: Any, count: int) -> Any:
    """The condition, made other than an ordering where it is one of several.

    ``select([x < 0, x >= 0], [f(x), x])`` is no maximum(x, 0), though its last step looks like it.
    """
    if count == 1 or not isinstance(condition, Value) or condition.type.dtype != BOOL:
        return condition
    return logical_and(condition, condition)


@numpy_signature("a a_min a_max !out / min max !dtype")
def clip(a: Any, a_min: Any = None, a_max: Any = None, min: Any = None, max: Any = None) -> Any:
    """``np.clip``, as ``minimum(maximum(a, a_min), a_max)``."""
    low = a_min if not_given(min) else min
    high = a_max if not_given(max) else max
    above = a if not_given(low) else binary(maximum, a, low)
    return above if not_given(high) else binary(minimum, above, high)


# --- choosing by positions -------------------------------------------------------------------


@numpy_signature("a indices axis !out !mode")
def take(a: Any, indices: Any, axis: Any = None) -> Value:
    """``np.take``."""
    x = lift(a) if axis is not None else flattened(lift(a))
    along = 0 if axis is None else axis_of(axis, x.type.ndim, "take")
    return get(x, (slice(None),) * along + (indices,))


@numpy_signature("arr indices axis")
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Value:
    """``np.take_along_axis``."""
    x, chosen = lift_all((arr, indices)) if isinstance(indices, Value) else (lift(arr), indices)
    if axis is None:
        return get(flattened(x), chosen)
    along = axis_of(axis, x.type.ndim, "take_along_axis")
    wanted = shape_of(chosen)
    if len(wanted) != x.type.ndim:
        raise ShapeError(f"take_along_axis needs as many axes, got {x.type} and {wanted}")
    shape = [n if i == along else x.type.shape[i] for i, n in enumerate(wanted)]
    grid: list[Any] = [known(g) for g in np.ogrid[tuple(slice(int(n)) for n in shape)]]
    grid[along] = chosen
    return get(x, tuple(grid))


def _kept(condition: Any, extent: int) -> np.ndarray:
    """A mask; one that is too short is filled up with False."""
    mask = np.asarray(condition, bool)
    return mask if mask.size >= extent else known(np.flatnonzero(mask))


@numpy_signature("condition a axis !out")
def compress(condition: Any, a: Any, axis: Any = None) -> Value:
    """``np.compress``."""
    x = lift(a) if axis is not None else flattened(lift(a))
    along = 0 if axis is None else axis_of(axis, x.type.ndim, "compress")
    mask = (
        condition if isinstance(condition, Value) else _kept(condition, sizes(x, "compress")[along])
    )
    return get(x, (slice(None),) * along + (mask,))


# --- diagonals and triangles -----------------------------------------------------------------


@numpy_signature("a offset axis1 axis2")
def diagonal(a: Any, offset: int = 0, axis1: Any = 0, axis2: Any = 1) -> Value:
    """``np.diagonal``."""
    x = lift(a)
    ndim = x.type.ndim
    if ndim < 2:
        raise ShapeError(f"diagonal needs a matrix, got {x.type}")
    last = axis_of(axis1, ndim, "diagonal"), axis_of(axis2, ndim, "diagonal")
    if last[0] == last[1]:
        raise ShapeError(f"diagonal needs two different axes, got {axis1} and {axis2}")
    perm = (*[i for i in range(ndim) if i not in last], *last)
    return diagonal_row(permuted(x, perm), offset=int(offset))  # type: ignore[no-any-return]


@numpy_signature("v k")
def diag(v: Any, k: int = 0) -> Value:
    """``np.diag``: the diagonal of a matrix, or the matrix with a vector on it."""
    x = lift(v)
    if x.type.ndim == 2:
        return diagonal(x, k)  # type: ignore[no-any-return]
    if x.type.ndim != 1:
        raise ShapeError(f"diag takes a vector or a matrix, got {x.type}")
    extent: DimLike = x.type.shape[0]
    if k:
        extent = sizes(x, "diag off the main diagonal")[0] + abs(k)
    return from_diagonal(x, offset=int(k), shape=(extent, extent))  # type: ignore[no-any-return]


@numpy_signature("v k")
def diagflat(v: Any, k: int = 0) -> Value:
    """``np.diagflat``."""
    return diag(flattened(lift(v)), k)  # type: ignore[no-any-return]


@numpy_signature("a offset axis1 axis2 !dtype !out")
def trace(a: Any, offset: int = 0, axis1: Any = 0, axis2: Any = 1) -> Value:
    """``np.trace``."""
    found = diagonal(a, offset, axis1, axis2)
    return summed(found, (found.type.ndim - 1,))


def _triangle(x: Value, k: int, lower: bool) -> Value:
    """The entries on and below diagonal k, or those above it, and 0 elsewhere."""
    rows, columns = extents_of(x.type.shape[-2:], "tril and triu")
    mask = np.tri(rows, columns, k, dtype=bool) == lower
    return select_row(stretch(array_constant(x, mask), x.type.shape), x, zeros(x))  # type: ignore[no-any-return]


def _matrix(m: Any, name: str) -> Value:
    x = lift(m)
    shape = sizes(x, name)
    if x.type.ndim == 0:
        raise ShapeError(f"{name} needs a matrix, got {x.type}")
    return stretch(x, shape * 2) if x.type.ndim == 1 else x


@numpy_signature("m k")
def tril(m: Any, k: int = 0) -> Value:
    """``np.tril``."""
    return _triangle(_matrix(m, "tril"), k, lower=True)


@numpy_signature("m k")
def triu(m: Any, k: int = 0) -> Value:
    """``np.triu``."""
    return _triangle(_matrix(m, "triu"), k - 1, lower=False)


# --- differences -----------------------------------------------------------------------------


@numpy_signature("a n axis prepend append")
def diff(a: Any, n: int = 1, axis: Any = -1, prepend: Any = None, append: Any = None) -> Value:
    """``np.diff``."""
    x = lift(a)
    along = axis_of(axis, x.type.ndim, "diff")
    x = _extended(x, along, prepend, append)
    if n < 0:
        raise ShapeError(f"diff needs an order >= 0, got {n}")
    for _ in range(n):
        upper, lower = neighbours(x, along, "diff")
        x = not_equal(upper, lower) if x.type.dtype == bool else upper - lower
    return x


def _extended(x: Value, axis: int, prepend: Any, append: Any) -> Value:
    parts = [v for v in (prepend, x, append) if not not_given(v)]
    if len(parts) == 1:
        return x
    shape = (*x.type.shape[:axis], 1, *x.type.shape[axis + 1 :])
    return joined([v if v.type.ndim else stretch(v, shape) for v in lift_same(parts)], axis)


# --- arrays like others ----------------------------------------------------------------------


def _made_like(x: Value, number: Any, dtype: Any, shape: Any) -> Value:
    kind = x.type.dtype if not_given(dtype) else check_dtype(np.dtype(dtype))
    extents = x.type.shape if not_given(shape) else array_type(_as_tuple(shape), kind).shape
    return full(x, number, extents, kind)  # type: ignore[no-any-return]


def _as_tuple(shape: Any) -> Any:
    return tuple(shape) if isinstance(shape, Sequence) else shape


@numpy_signature("a dtype !order !subok shape / !device")
def zeros_like(a: Any, dtype: Any = None, shape: Any = None) -> Value:
    """``np.zeros_like``, a constant."""
    return _made_like(lift(a), 0, dtype, shape)


@numpy_signature("a dtype !order !subok shape / !device")
def ones_like(a: Any, dtype: Any = None, shape: Any = None) -> Value:
    """``np.ones_like``, a constant."""
    return _made_like(lift(a), 1, dtype, shape)


@numpy_signature("a fill_value dtype !order !subok shape / !device")
def full_like(a: Any, fill_value: Any, dtype: Any = None, shape: Any = None) -> Value:
    """``np.full_like``; the value may be traced."""
    raw = [value_or_array(a), value_or_array(fill_value)]
    builder = common_builder(raw)
    like = place(builder, strong(raw[0]))
    frame = _made_like(like, 0, dtype, shape).type
    if not isinstance(raw[1], Value | np.ndarray):
        return _made_like(like, raw[1], dtype, shape)
    filler = as_dtype(place(builder, raw[1]), frame.dtype)
    return stretch(filler, frame.shape)


@numpy_signature("a !order !subok")
def copy(a: Any) -> Value:
    """``np.copy``: the same value under a new name, so that writing to one leaves the other."""
    x = lift(a)
    return Value(x.builder, x.id)
