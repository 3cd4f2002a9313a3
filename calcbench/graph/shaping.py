"""NumPy's functions that move or repeat entries of one array, on graph values."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from numpy import ndarray

from calcbench.graph.arraytype import (
    DimLike,
    Shape,
    ShapeError,
    broadcast_shapes,
    format_shape,
)
from calcbench.graph.axes import (
    axes_of,
    axis_of,
    flattened,
    lift,
    lift_all,
    numpy_signature,
    permuted,
    reshaped,
    sizes,
    with_ones,
)
from calcbench.graph.lifting import Value, stretch
from calcbench.graph.structural import broadcast, flip as flip_row


# --- shapes ----------------------------------------------------------------------------------


@numpy_signature("a shape !order !copy")
def reshape(a: Any, shape: Any) -> Value:
    """``np.reshape``; one extent may be -1."""
    x = lift(a)
    wanted = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    return reshaped(x, _completed(x, tuple(_extent(n) for n in wanted)))


def _extent(extent: Any) -> DimLike:
    return extent if not hasattr(extent, "__index__") else operator.index(extent)


def _completed(x: Value, shape: Shape) -> Shape:
    """The shape with its -1, if it has one, worked out."""
    if shape.count(-1) > 1:
        raise ShapeError(f"reshape can work out one extent only, got {format_shape(shape)}")
    if -1 not in shape:
        return shape
    rest = math.prod(n for n in shape if n != -1)
    total = math.prod(sizes(x, "reshape with -1"))
    if rest == 0 or total % rest:
        raise ShapeError(
            f"reshape cannot turn {x.type} of {total} entries into {format_shape(shape)}"
        )
    return tuple(total // rest if n == -1 else n for n in shape)


@numpy_signature("a !order")
def ravel(a: Any) -> Value:
    """``np.ravel``."""
    return flattened(lift(a))


@numpy_signature("a axis /")
def expand_dims(a: Any, axis: Any) -> Value:
    """``np.expand_dims``."""
    x = lift(a)
    added = len(axis) if isinstance(axis, tuple | list) else 1
    ndim = x.type.ndim + added
    return with_ones(x, axes_of(axis, ndim, "expand_dims"), ndim)


@numpy_signature("a axis")
def squeeze(a: Any, axis: Any = None) -> Value:
    """``np.squeeze``."""
    x = lift(a)
    shape = x.type.shape
    ones = [i for i, n in enumerate(shape) if n == 1]
    axes = ones if axis is None else axes_of(axis, x.type.ndim, "squeeze")
    if not set(axes) <= set(ones):
        raise ShapeError(f"squeeze of {x.type}: an axis of {axis!r} has not extent 1")
    return reshaped(x, [n for i, n in enumerate(shape) if i not in axes])


@numpy_signature("array shape !subok")
def broadcast_to(array: Any, shape: Any) -> Value:
    """``np.broadcast_to``."""
    x = lift(array)
    wanted = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    if broadcast_shapes(x.type.shape, wanted) != wanted:
        raise ShapeError(f"{x.type} does not broadcast to {format_shape(wanted)}")
    return stretch(x, wanted)


def broadcast_arrays(*arrays: Any) -> tuple[Value, ...]:
    """``np.broadcast_arrays``."""
    values = lift_all(arrays)
    shape = broadcast_shapes(*[v.type.shape for v in values])
    return tuple(stretch(v, shape) for v in values)


def _at_least(ndim: int, arrays: tuple[Any, ...]) -> Any:
    grown = [_grown(lift(a), ndim) for a in arrays]
    return grown[0] if len(grown) == 1 else tuple(grown)


def _grown(x: Value, ndim: int) -> Value:
    """Axes of extent 1 in front; the third axis that a matrix gets is its last (NumPy's rule)."""
    missing = max(ndim - x.type.ndim, 0)
    behind = 1 if ndim == 3 and 0 < missing < 3 else 0
    return reshaped(x, (*(1,) * (missing - behind), *x.type.shape, *(1,) * behind))


def atleast_1d(*arys: Any) -> Any:
    """``np.atleast_1d``."""
    return _at_least(1, arys)


def atleast_2d(*arys: Any) -> Any:
    """``np.atleast_2d``."""
    return _at_least(2, arys)


def atleast_3d(*arys: Any) -> Any:
    """``np.atleast_3d``."""
    return _at_least(3, arys)


def meshgrid(*xi: Any, indexing: str = "xy", copy: bool = True, sparse: bool = False) -> Any:
    """``np.meshgrid``."""
    axes = [flattened(x) for x in lift_all(xi)]
    order = [1, 0, *range(2, len(axes))] if indexing == "xy" and len(axes) > 1 else range(len(axes))
    shape = [axes[i].type.shape[0] for i in order]
    grids = []
    for rank, x in enumerate(axes):
        along = list(order).index(rank)
        spread = with_ones(x, [i for i in range(len(axes)) if i != along], len(axes))
        grids.append(spread if sparse else stretch(spread, tuple(shape)))
    return tuple(grids)


# --- orders of axes --------------------------------------------------------------------------


@numpy_signature("a axes")
def transpose(a: Any, axes: Any = None) -> Value:
    """``np.transpose``."""
    x = lift(a)
    ndim = x.type.ndim
    if axes is None:
        return permuted(x, range(ndim)[::-1])
    perm = [axis_of(i, ndim, "transpose") for i in axes]
    if sorted(perm) != list(range(ndim)):
        raise ShapeError(f"transpose of {x.type} needs each axis once, got axes={tuple(axes)}")
    return permuted(x, perm)


@numpy_signature("x /")
def matrix_transpose(x: Any) -> Value:
    """``np.matrix_transpose``."""
    return swapaxes(x, -1, -2)  # type: ignore[no-any-return]


@numpy_signature("a axis1 axis2")
def swapaxes(a: Any, axis1: Any, axis2: Any) -> Value:
    """``np.swapaxes``."""
    x = lift(a)
    ndim = x.type.ndim
    first, second = axis_of(axis1, ndim, "swapaxes"), axis_of(axis2, ndim, "swapaxes")
    perm = list(range(ndim))
    perm[first], perm[second] = second, first
    return permuted(x, perm)


@numpy_signature("a source destination")
def moveaxis(a: Any, source: Any, destination: Any) -> Value:
    """``np.moveaxis``."""
    x = lift(a)
    ndim = x.type.ndim
    start = [axis_of(i, ndim, "moveaxis") for i in _listed(source)]
    end = [axis_of(i, ndim, "moveaxis") for i in _listed(destination)]
    if len(start) != len(end) or len(set(start)) != len(start) or len(set(end)) != len(end):
        raise ShapeError(f"moveaxis needs as many distinct axes, got {source!r}, {destination!r}")
    perm = [i for i in range(ndim) if i not in start]
    for place, axis in sorted(zip(end, start, strict=True)):
        perm.insert(place, axis)
    return permuted(x, perm)


def _listed(axis: Any) -> Sequence[Any]:
    return axis if isinstance(axis, tuple | list) else (axis,)


@numpy_signature("a axis start")
def rollaxis(a: Any, axis: Any, start: Any = 0) -> Value:
    """``np.rollaxis``."""
    x = lift(a)
    ndim = x.type.ndim
    source = axis_of(axis, ndim, "rollaxis")
    target = start + ndim if start < 0 else start
    return moveaxis(x, source, target - 1 if target > source else target)  # type: ignore[no-any-return]


# --- orders of entries -----------------------------------------------------------------------


@numpy_signature("m axis")
def flip(m: Any, axis: Any = None) -> Value:
    """``np.flip``."""
    x = lift(m)
    axes = axes_of(axis, x.type.ndim, "flip")
    return flip_row(x, axes=axes) if axes else x


@numpy_signature("m")
def flipud(m: Any) -> Value:
    """``np.flipud``."""
    return flip(m, 0)  # type: ignore[no-any-return]


@numpy_signature("m")
def fliplr(m: Any) -> Value:
    """``np.fliplr``."""
    return flip(m, 1)  # type: ignore[no-any-return]


@numpy_signature("m k axes")
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Value:
    """``np.rot90``."""
    x = lift(m)
    first, second = (axis_of(a, x.type.ndim, "rot90") for a in axes)
    if first == second:
        raise ShapeError(f"rot90 needs two different axes, got axes={tuple(axes)}")
    turns = k % 4
    if turns == 2:
        return flip(x, (first, second))  # type: ignore[no-any-return]
    if turns == 1:
        return swapaxes(flip(x, second), first, second)  # type: ignore[no-any-return]
    return flip(swapaxes(x, first, second), second) if turns else x


@numpy_signature("A reps")
def tile(A: Any, reps: Any) -> Value:
    """``np.tile``."""
    x = lift(A)
    counts = tuple(reps) if isinstance(reps, tuple | list | ndarray) else (reps,)
    ndim = max(x.type.ndim, len(counts))
    if any(n < 0 for n in counts):
        raise ShapeError(f"tile of {x.type} needs counts >= 0, got {reps!r}")
    counts = (1,) * (ndim - len(counts)) + tuple(map(int, counts))
    shape = (1,) * (ndim - x.type.ndim) + sizes(x, "tile")
    pairs = tuple(n for pair in zip(counts, shape, strict=True) for n in pair)
    if all(n == 1 for n in counts):
        return reshaped(x, shape)
    wide = broadcast(reshaped(x, shape), dims=tuple(range(1, 2 * ndim, 2)), shape=pairs)
    return reshaped(wide, [a * b for a, b in zip(counts, shape, strict=True)])
