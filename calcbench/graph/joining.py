"""NumPy's functions that join, split, repeat, shift and pad arrays, on graph values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from calcbench.graph.arraytype import BOOL, ShapeError, TraceError
from calcbench.graph.axes import (
    axis_of,
    flattened,
    known,
    lift,
    lift_all,
    lift_same,
    numpy_signature,
    part,
    reshaped,
    sizes,
    with_ones,
)
from calcbench.graph.comparison import select
from calcbench.graph.indexing import get
from calcbench.graph.lifting import Value, as_dtype, stretch
from calcbench.graph.shaping import atleast_1d, atleast_2d, atleast_3d
from calcbench.graph.structural import (
    broadcast,
    concatenate as concatenate_row,
    full,
    pad as pad_row,
)


# --- joining ---------------------------------------------------------------------------------


def joined(parts: Sequence[Value], axis: int) -> Value:
    """Values of one dtype, one after the other along an axis."""
    return parts[0] if len(parts) == 1 else concatenate_row(*parts, axis=axis)


def _operands(arrays: Any, name: str) -> list[Value]:
    parts = _rows(lift(arrays), name) if isinstance(arrays, Value | np.ndarray) else list(arrays)
    if not parts:
        raise ShapeError(f"{name} needs at least one array")
    return lift_same(parts)


def _rows(x: Value, name: str) -> list[Value]:
    return [get(x, i) for i in range(sizes(x, name)[0])]


@numpy_signature("arrays axis !out / !dtype !casting")
def concatenate(arrays: Any, axis: Any = 0) -> Value:
    """``np.concatenate``."""
    parts = _operands(arrays, "concatenate")
    if axis is None:
        return joined([flattened(p) for p in parts], 0)
    if any(p.type.ndim == 0 for p in parts):
        raise ShapeError("concatenate cannot join scalars; use np.stack or np.hstack")
    return joined(parts, axis_of(axis, parts[0].type.ndim, "concatenate"))


@numpy_signature("arrays axis !out / !dtype !casting")
def stack(arrays: Any, axis: Any = 0) -> Value:
    """``np.stack``."""
    parts = _operands(arrays, "stack")
    if len({p.type.shape for p in parts}) > 1:
        raise ShapeError(f"stack needs arrays of one shape, got {[str(p.type) for p in parts]}")
    ndim = parts[0].type.ndim + 1
    along = axis_of(axis, ndim, "stack")
    return joined([with_ones(p, (along,), ndim) for p in parts], along)


@numpy_signature("tup / !dtype !casting")
def vstack(tup: Any) -> Value:
    """``np.vstack``."""
    return joined([atleast_2d(p) for p in _operands(tup, "vstack")], 0)


@numpy_signature("tup / !dtype !casting")
def hstack(tup: Any) -> Value:
    """``np.hstack``."""
    parts = [atleast_1d(p) for p in _operands(tup, "hstack")]
    return joined(parts, 0 if parts[0].type.ndim == 1 else 1)


@numpy_signature("tup")
def dstack(tup: Any) -> Value:
    """``np.dstack``."""
    return joined([atleast_3d(p) for p in _operands(tup, "dstack")], 2)


@numpy_signature("tup")
def column_stack(tup: Any) -> Value:
    """``np.column_stack``."""
    parts = _operands(tup, "column_stack")
    columns = [p if p.type.ndim >= 2 else reshaped(p, (p.type.size, 1)) for p in parts]
    return joined(columns, 1)


@numpy_signature("arr values axis")
def append(arr: Any, values: Any, axis: Any = None) -> Value:
    """``np.append``."""
    return concatenate((arr, values), axis)  # type: ignore[no-any-return]


@numpy_signature("arrays")
def block(arrays: Any) -> Value:
    """``np.block`` of nested lists."""
    values = lift_same(_leaves(arrays))
    depth = _depth(arrays)
    return _blocked(arrays, -depth, max(depth, *[v.type.ndim for v in values]), iter(values))


def _depth(arrays: Any) -> int:
    return 1 + max(map(_depth, arrays)) if isinstance(arrays, list) else 0


def _leaves(arrays: Any) -> list[Any]:
    return [x for p in arrays for x in _leaves(p)] if isinstance(arrays, list) else [arrays]


def _blocked(arrays: Any, axis: int, rank: int, values: Iterator[Value]) -> Value:
    if isinstance(arrays, list):
        return joined([_blocked(p, axis + 1, rank, values) for p in arrays], rank + axis)
    x = next(values)
    return with_ones(x, range(rank - x.type.ndim), rank)


# --- splitting -------------------------------------------------------------------------------


@numpy_signature("ary indices_or_sections axis")
def split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> list[Value]:
    """``np.split``."""
    x = lift(ary)
    along = axis_of(axis, x.type.ndim, "split")
    extent = sizes(x, "split")[along]
    if isinstance(indices_or_sections, int | np.integer) and extent % indices_or_sections:
        raise ShapeError(
            f"split cannot cut {extent} entries into {indices_or_sections} equal parts; "
            "np.array_split allows unequal ones"
        )
    return array_split(x, indices_or_sections, along)  # type: ignore[no-any-return]


@numpy_signature("ary indices_or_sections axis")
def array_split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> list[Value]:
    """``np.array_split``."""
    x = lift(ary)
    along = axis_of(axis, x.type.ndim, "array_split")
    bounds = _bounds(sizes(x, "array_split")[along], indices_or_sections)
    return [part(x, along, a, max(a, b)) for a, b in pairwise(bounds)]


def _bounds(extent: int, sections: Any) -> list[int]:
    if not isinstance(sections, int | np.integer):
        inner = [slice(int(i)).indices(extent)[1] for i in sections]
        return [0, *inner, extent]
    if sections <= 0:
        raise ShapeError(f"the number of sections must be positive, got {sections}")
    each, extra = divmod(extent, int(sections))
    return [i * each + min(i, extra) for i in range(int(sections) + 1)]


def _split_along(name: str, axis: Callable[[int], int], least: int) -> Callable[..., Any]:
    @numpy_signature("ary indices_or_sections")
    def cut(ary: Any, indices_or_sections: Any) -> Any:
        x = lift(ary)
        if x.type.ndim < least:
            raise ShapeError(f"{name} needs at least {least} axes, got {x.type}")
        return split(x, indices_or_sections, axis(x.type.ndim))

    return cut


hsplit = _split_along("hsplit", lambda ndim: min(ndim - 1, 1), 1)
vsplit = _split_along("vsplit", lambda ndim: 0, 2)
dsplit = _split_along("dsplit", lambda ndim: 2, 3)

# --- repeating and shifting ------------------------------------------------------------------


@numpy_signature("a repeats axis")
def repeat(a: Any, repeats: Any, axis: Any = None) -> Value:
    """``np.repeat``; the counts are numbers."""
    x = lift(a) if axis is not None else flattened(lift(a))
    along = 0 if axis is None else axis_of(axis, x.type.ndim, "repeat")
    shape = sizes(x, "repeat")
    if not isinstance(repeats, int | np.integer):
        source = known(np.repeat(np.arange(shape[along]), repeats))
        return get(x, (slice(None),) * along + (source,))
    if repeats < 0:
        raise ShapeError(f"repeat of {x.type} needs counts >= 0, got {repeats}")
    wide = (*shape[: along + 1], int(repeats), *shape[along + 1 :])
    kept = tuple(i for i in range(len(wide)) if i != along + 1)
    grown = broadcast(x, dims=kept, shape=wide)
    return reshaped(grown, (*shape[:along], shape[along] * int(repeats), *shape[along + 1 :]))


@numpy_signature("a shift axis")
def roll(a: Any, shift: Any, axis: Any = None) -> Value:
    """``np.roll``."""
    x = lift(a)
    if axis is None:
        return reshaped(_rolled(flattened(x), int(np.sum(shift)), 0), x.type.shape)
    shifts, axes = np.broadcast_arrays(np.atleast_1d(shift), np.atleast_1d(axis))
    for by, along in zip(shifts.tolist(), axes.tolist(), strict=True):
        x = _rolled(x, by, axis_of(along, x.type.ndim, "roll"))
    return x


def _rolled(x: Value, by: int, axis: int) -> Value:
    extent = sizes(x, "roll")[axis]
    cut = (-by) % extent if extent else 0
    if not cut:
        return x
    return joined([part(x, axis, cut, extent), part(x, axis, 0, cut)], axis)


# --- padding ---------------------------------------------------------------------------------


@numpy_signature("array pad_width mode constant_values / reflect_type")
def pad(
    array: Any,
    pad_width: Any,
    mode: str = "constant",
    constant_values: Any = 0,
    reflect_type: str = "even",
) -> Value:
    """``np.pad`` with mode constant, edge, reflect, symmetric or wrap."""
    x = lift(array)
    shape = sizes(x, "pad")
    widths = _widths(pad_width, x)
    if mode not in ("constant", "edge", "reflect", "symmetric", "wrap") or reflect_type != "even":
        raise TraceError(
            f"pad got mode={mode!r}, reflect_type={reflect_type!r}; on traced values it takes "
            "constant, edge, reflect (even), symmetric (even) and wrap"
        )
    if mode == "constant":
        return _padded(x, widths, constant_values)
    for axis, (before, after) in enumerate(widths):
        if before or after:
            source: Any = np.pad(np.arange(shape[axis]), (before, after), mode)  # type: ignore[call-overload]
            x = get(x, (slice(None),) * axis + (known(source),))
    return x


def _widths(given: Any, x: Value) -> list[list[int]]:
    """(before, after) per axis, from what NumPy takes: numbers, pairs, or a pair per axis named."""
    try:
        widths = np.asarray(_listed(given, x.type.ndim) if isinstance(given, dict) else given)
        if widths.size and widths.dtype.kind not in "iu":
            raise ValueError
        return np.broadcast_to(widths, (x.type.ndim, 2)).tolist()  # type: ignore[no-any-return]
    except ValueError:
        raise ShapeError(
            f"pad of {x.type} takes whole numbers as pad_width: one for all sides, a pair (before, "
            f"after), or a pair per axis; got {given!r}"
        ) from None


def _listed(given: dict[int, Any], ndim: int) -> list[Any]:
    pairs = {axis_of(axis, ndim, "pad"): width for axis, width in given.items()}
    return [np.broadcast_to(pairs.get(axis, 0), 2) for axis in range(ndim)]


def _per_side(x: Value, widths: list[list[int]], constants: Any) -> Value:
    """Constants that differ per side: one side after another, as NumPy fills the corners."""
    numbers = np.broadcast_to(constants, (x.type.ndim, 2))
    for axis, side in np.ndindex(x.type.ndim, 2):
        alone = [[0, 0] for _ in widths]
        alone[axis][side] = widths[axis][side]
        x = _padded(x, alone, numbers[axis, side])
    return x


def _padded(x: Value, widths: list[list[int]], constant: Any) -> Value:
    if not isinstance(constant, Value) and np.size(constant) > 1:
        return _per_side(x, widths, constant)
    if not any(map(any, widths)):
        return x
    low, high = (tuple(int(w[side]) for w in widths) for side in (0, 1))
    margins = {"high": high, "interior": (0,) * len(low), "low": low}
    padded = pad_row(x, **margins)
    if not isinstance(constant, Value) and np.size(constant) == 1 and not np.any(constant):
        return padded  # type: ignore[no-any-return]
    padded, outside = lift_all([padded, constant])
    if outside.type.size != 1:
        raise TraceError(
            f"pad got traced constant_values of type {outside.type}; it takes one traced number, "
            "or numbers per side: join the parts with np.concatenate instead"
        )
    inside = pad_row(full(padded, True, shape=x.type.shape, dtype=BOOL), **margins)
    outside = as_dtype(reshaped(outside, ()), padded.type.dtype)
    return select(inside, padded, stretch(outside, padded.type.shape))  # type: ignore[no-any-return]


@numpy_signature("arr obj axis")
def delete(arr: Any, obj: Any, axis: Any = None) -> Value:
    """``np.delete``, of entries whose positions are numbers."""
    x = flattened(lift(arr)) if axis is None else lift(arr)
    along = 0 if axis is None else axis_of(axis, x.type.ndim, "delete")
    kept = known(np.delete(np.arange(sizes(x, "delete")[along]), obj))
    return get(x, (slice(None),) * along + (kept,))
