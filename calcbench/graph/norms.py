"""The norms of `numpy.linalg` on graph values, by rows whose kinks follow the conventions."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from calcbench.graph.arraytype import ShapeError, TraceError
from calcbench.graph.comparison import greater, not_equal, select
from calcbench.graph.elementwise import convert, detach, power, sqrt, square
from calcbench.graph.factorisations import singular_values
from calcbench.graph.kinks import abs_
from calcbench.graph.lifting import promote
from calcbench.graph.ordering import amax, amin
from calcbench.graph.structural import broadcast, full, matmul, reshape, sum_, transpose, zeros


Axes = tuple[int, ...]


def _largest(x: Any, axes: Axes) -> Any:
    """The maximum of something nonnegative; 0 where there is nothing, as in NumPy."""
    extents = x.type.shape
    if any(extents[a] == 0 for a in axes):
        return full(x, 0, shape=tuple(n for a, n in enumerate(extents) if a not in axes))
    return amax(x, axes=axes)


def _smallest(x: Any, axes: Axes) -> Any:
    return amin(x, axes=axes)


def _added(x: Any, axes: Axes) -> Any:
    return sum_(x, axes=axes)


def _euclidean(x: Any, axes: Axes) -> Any:
    """The root of a sum of squares, which the row `sqrt` recognises as a norm at 0."""
    return sqrt(sum_(square(x), axes=axes))


# --- vectors ---------------------------------------------------------------------------------


def _nonzeros(x: Any, axes: Axes) -> Any:
    return sum_(convert(not_equal(x, zeros(x)), dtype=x.type.dtype), axes=axes)


def _power_norm(x: Any, axes: Axes, order: float) -> Any:
    """(sum |x|^p)^(1/p); at 0, where the root is steep, the branch of the sum itself: slope 0."""
    total = sum_(power(abs_(x), full(x, order)), axes=axes)
    positive = greater(total, zeros(total))
    safe = select(positive, total, full(total, 1))
    return select(positive, power(safe, full(total, 1.0 / order)), total)


VECTOR_NORMS: dict[float, Callable[[Any, Axes], Any]] = {
    2: _euclidean,
    1: lambda x, axes: _added(abs_(x), axes),
    0: _nonzeros,
    math.inf: lambda x, axes: _largest(abs_(x), axes),
    -math.inf: lambda x, axes: _smallest(abs_(x), axes),
}


def _vector_norm(x: Any, axes: Axes, order: Any) -> Any:
    if isinstance(order, bool) or not isinstance(order, int | float | np.number):
        raise TraceError(
            f"np.linalg.norm of vectors with ord={order!r} is not supported; give a number, "
            "inf, -inf or None"
        )
    listed = VECTOR_NORMS.get(float(order))
    return listed(x, axes) if listed else _power_norm(x, axes, float(order))


# --- matrices --------------------------------------------------------------------------------


def _entries(x: Any, axes: Axes) -> tuple[Any, Axes]:
    return x, axes


def _column_sums(x: Any, axes: Axes) -> tuple[Any, Axes]:
    """The sums of magnitudes over the first axis, and where the second axis is then."""
    over, along = axes
    return _added(abs_(x), (over,)), (along - (along > over),)


def _row_sums(x: Any, axes: Axes) -> tuple[Any, Axes]:
    return _column_sums(x, axes[::-1])


def _spectrum(x: Any, axes: Axes) -> tuple[Any, Axes]:
    """Singular values, those that vanish to rounding without tangent: 0 is the min-norm slope.

    A norm of singular values has a kink where one vanishes, since its sign in U S V^T is free.
    """
    others = tuple(a for a in range(x.type.ndim) if a not in axes)
    s = singular_values(transpose(x, perm=(*others, *axes)))
    axis, count = s.type.ndim - 1, s.type.shape[-1]
    if count == 0:
        return s, (axis,)
    rounding = 16 * max(x.type.shape[a] for a in axes) * np.finfo(x.type.dtype).eps
    top = broadcast(amax(s, axes=(axis,)), dims=tuple(range(axis)), shape=s.type.shape)
    return select(greater(s, top * float(rounding)), s, detach(s)), (axis,)


# A matrix norm reduces some numbers made from the matrix.
Prepare = Callable[[Any, Axes], tuple[Any, Axes]]
MATRIX_NORMS: dict[Any, tuple[Callable[[Any, Axes], Any], Prepare]] = {
    None: (_euclidean, _entries),
    "fro": (_euclidean, _entries),
    "f": (_euclidean, _entries),
    "nuc": (_added, _spectrum),
    2: (_largest, _spectrum),
    -2: (_smallest, _spectrum),
    1: (_largest, _column_sums),
    -1: (_smallest, _column_sums),
    math.inf: (_largest, _row_sums),
    -math.inf: (_smallest, _row_sums),
}


def _matrix_norm(x: Any, axes: Axes, order: Any) -> Any:
    known = order is None or isinstance(order, str | int | float | np.number)
    if not known or isinstance(order, bool) or order not in MATRIX_NORMS:
        raise TraceError(
            f"np.linalg.norm of matrices with ord={order!r} is not supported; give None, 'fro', "
            "'nuc', 1, -1, 2, -2, inf or -inf"
        )
    reduce, prepare = MATRIX_NORMS[order]
    return reduce(*prepare(x, axes))


# --- NumPy's functions -----------------------------------------------------------------------


def _as_axes(axis: Any, ndim: int) -> Axes:
    """One or two axes as nonnegative numbers; all of them for None."""
    given = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    try:
        axes = tuple(operator.index(a) for a in given)
    except TypeError:
        raise TraceError(f"axis of a norm is None, an int or a tuple, got {axis!r}") from None
    if any(not -ndim <= a < ndim for a in axes) or len({a % ndim for a in axes}) != len(axes):
        raise ShapeError(f"axis={axis!r} does not name different axes of an array with {ndim} axes")
    return tuple(a % ndim for a in axes)


def _kept(result: Any, x: Any, axes: Axes, keepdims: bool) -> Any:
    """The result, its reduced axes kept with length 1 on demand."""
    if not keepdims:
        return result
    return reshape(result, shape=tuple(1 if a in axes else n for a, n in enumerate(x.type.shape)))


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """`numpy.linalg.norm`: of vectors along one axis, of matrices along two, or of all entries."""
    x = promote((x,), to_float=True)[0]
    axes = _as_axes(axis, x.type.ndim)
    flat = axis is None and (ord is None or (len(axes) == 1 and _is_two(ord)))
    if flat:
        entries = reshape(x, shape=(x.type.size,))
        return _kept(sqrt(matmul(entries, entries)), x, axes, keepdims)
    if len(axes) not in (1, 2):
        raise ShapeError(
            f"np.linalg.norm with ord={ord!r} takes one axis (vectors) or two (matrices), got "
            f"axis={axis!r} of {x.type}; name them with axis=..."
        )
    if len(axes) == 2:
        return _kept(_matrix_norm(x, axes, ord), x, axes, keepdims)
    return _kept(_vector_norm(x, axes, 2 if ord is None else ord), x, axes, keepdims)


def _is_two(ord: Any) -> bool:
    return isinstance(ord, int | float | np.number) and ord == 2


def _vector_norm_of(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """`numpy.linalg.vector_norm`: any number of axes, all of them by default."""
    x = promote((x,), to_float=True)[0]
    axes = _as_axes(axis, x.type.ndim)
    return _kept(_vector_norm(x, axes, ord), x, axes, keepdims)


def _matrix_norm_of(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """`numpy.linalg.matrix_norm`: of the last two axes."""
    return _norm(x, ord=ord, axis=(-2, -1), keepdims=keepdims)


NORM_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.linalg.norm: _norm,
    np.linalg.vector_norm: _vector_norm_of,
    np.linalg.matrix_norm: _matrix_norm_of,
}
