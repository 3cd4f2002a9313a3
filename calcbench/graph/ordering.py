"""Rows that compare entries along axes: extremes, sorting, positions, and who wrote last."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from calcbench.graph.arraytype import (
    INT64,
    ArrayType,
    CalcbenchError,
    DTypeError,
    ShapeError,
)
from calcbench.graph.comparison import greater, not_equal, select
from calcbench.graph.conventions import current_convention
from calcbench.graph.elementwise import multiply, reciprocal
from calcbench.graph.primitive import Infer, Rule, Sample, linearised, piecewise_constant
from calcbench.graph.structural import full, gather, reshape, scatter_add, sum_, zeros


DISTINCT = ("distinct",)
LANES = (
    Sample(((4,),), {"axis": 0}, DISTINCT),
    Sample(((2, 3),), {"axis": 1}, DISTINCT),
    Sample(((3, 2),), {"axis": 0}, DISTINCT),
)
BLOCKS = (
    Sample(((4,),), {"axes": (0,)}, DISTINCT),
    Sample(((2, 3),), {"axes": (1,)}, DISTINCT),
    Sample(((2, 3, 2),), {"axes": (0, 2)}, DISTINCT),
)


class IndexingError(CalcbenchError, IndexError):
    """An index or key that does not fit the array."""


def _check_axes(name: str, x: ArrayType, axes: tuple[int, ...]) -> None:
    if any(not 0 <= a < x.ndim for a in axes) or len(set(axes)) != len(axes):
        raise ShapeError(f"{name} of {x}: {axes} are not distinct axes of it")


def _check_not_empty(name: str, x: ArrayType, axes: tuple[int, ...]) -> None:
    _check_axes(name, x, axes)
    if any(x.shape[a] == 0 for a in axes):
        raise ShapeError(f"{name} of {x} over axes {axes}: there is no entry to choose from")


# --- largest and smallest --------------------------------------------------------------------

# Which of k tied entries carry the derivative (min-norm and mid: 1/k each).
TIES = {"min-norm": "equal", "mid": "equal", "left": "first", "right": "last", "zero": "none"}


def _in_lanes(x: Any, axes: tuple[int, ...]) -> tuple[Any, Callable[[Any], Any]]:
    """`x` with the axes joined into a last one, and the way back."""
    kept = tuple(a for a in range(x.ndim) if a not in axes)
    order = (*kept, *axes)
    moved = np.transpose(x, order)
    count = math.prod(x.shape[a] for a in axes)
    back = np.argsort(order)
    lanes = moved.reshape(*(x.shape[a] for a in kept), count)
    return lanes, lambda shares: np.transpose(shares.reshape(moved.shape), back)


def _alone(lane: Any, at: Any) -> Any:
    """True at position `at` of each lane only."""
    return np.arange(lane.shape[-1]) == at[..., None]


SHARES: dict[str, Callable[[Any], Any]] = {
    "equal": lambda wins: wins / np.sum(wins, axis=-1, keepdims=True),
    "first": lambda wins: wins & _alone(wins, np.argmax(wins, axis=-1)),
    "last": lambda wins: (
        wins & _alone(wins, wins.shape[-1] - 1 - np.argmax(wins[..., ::-1], axis=-1))
    ),
    "none": lambda wins: wins & (np.sum(wins, axis=-1, keepdims=True) == 1),
}


def _winner_share(x: Any, *, axes: tuple[int, ...], largest: bool, tie: str) -> Any:
    lanes, back = _in_lanes(np.asarray(x), axes)
    best = (np.max if largest else np.min)(lanes, axis=-1, keepdims=True)
    with np.errstate(all="ignore"):
        shares = np.where(np.isnan(best), best, SHARES[tie](lanes == best))
    return back(shares.astype(x.dtype))[()]


def _share_type(x: ArrayType, *, axes: tuple[int, ...], largest: bool, tie: str) -> ArrayType:
    _check_not_empty("winner_share", x, axes)
    return x


# The weight of each entry in the maximum or minimum over the axes: NaN where that is NaN.
winner_share = piecewise_constant(
    "winner_share",
    _winner_share,
    infer=_share_type,
    samples=tuple(
        Sample(((2, 3),), {"axes": (1,), "largest": True, "tie": tie}, DISTINCT) for tie in SHARES
    ),
)


def _extreme_type(name: str) -> Infer:
    def infer(x: ArrayType, *, axes: tuple[int, ...]) -> ArrayType:
        _check_not_empty(name, x, axes)
        return ArrayType(tuple(n for a, n in enumerate(x.shape) if a not in axes), x.dtype)

    return infer


def _extreme_tangent(largest: bool) -> Rule:
    def tangent(z: Any, operands: Sequence[Any], tangents: Sequence[Any], *, axes: Any) -> Any:
        dx, tie = tangents[0], TIES[current_convention()]
        share = winner_share(operands[0], axes=axes, largest=largest, tie=tie)
        part = select(not_equal(share, zeros(share)), multiply(dx, share), zeros(dx))
        return sum_(part, axes=axes)

    return tangent


amax = linearised(
    "max",
    lambda x, *, axes: np.max(x, axis=axes),
    _extreme_type("max"),
    _extreme_tangent(largest=True),
    BLOCKS,
    facts="kink",
)
amin = linearised(
    "min",
    lambda x, *, axes: np.min(x, axis=axes),
    _extreme_type("min"),
    _extreme_tangent(largest=False),
    BLOCKS,
    facts="kink",
)

# --- sorting ---------------------------------------------------------------------------------


def _lane_type(name: str) -> Infer:
    def infer(x: ArrayType, *, axis: int, **_: object) -> ArrayType:
        _check_axes(name, x, (axis,))
        return x

    return infer


def _positions_type(name: str) -> Infer:
    def infer(x: ArrayType, *, axis: int, **_: object) -> ArrayType:
        _check_axes(name, x, (axis,))
        return ArrayType(x.shape, INT64)

    return infer


def _order(x: Any, axis: int, last: bool = False) -> Any:
    """Stable order along the axis; `last`: among equal entries the last one comes first."""
    if not last:
        return np.argsort(x, axis=axis, kind="stable")
    return x.shape[axis] - 1 - np.argsort(np.flip(x, axis), axis=axis, kind="stable")


def _flat_positions(along: Any, axis: int) -> Any:
    """Positions in the flattened array of positions `along` the axis."""
    flat = np.arange(along.size).reshape(along.shape)
    return np.take(flat, [0], axis) + along * math.prod(along.shape[axis + 1 :])


def _tie_group(x: Any, *, axis: int) -> Any:
    order = _order(x, axis)
    ordered = np.take_along_axis(x, order, axis)
    count = x.shape[axis]
    along = np.arange(count).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    same = np.zeros(x.shape, bool)
    later = (slice(None),) * axis + (slice(1, None),)
    same[later] = ordered[later] == np.take(ordered, range(count - 1), axis)
    start = np.maximum.accumulate(np.where(same, 0, along), axis)
    groups = np.empty(x.shape, np.int64)
    np.put_along_axis(groups, order, _flat_positions(start, axis) if x.size else start, axis)
    return groups


# Where, in the flattened sorted array, the entries equal to each entry begin; NaN stays alone.
tie_group = piecewise_constant(
    "tie_group", _tie_group, infer=_positions_type("tie_group"), samples=LANES
)


def _sort_position(x: Any, *, axis: int, last: bool) -> Any:
    return _flat_positions(_order(x, axis, last), axis) if x.size else _order(x, axis)


# Where, in the flattened array, each entry of the sorted array came from.
sort_position = piecewise_constant(
    "sort_position",
    _sort_position,
    infer=_positions_type("sort_position"),
    samples=tuple(
        Sample(case.shapes, {**case.params, "last": last}, case.domain)
        for case in LANES
        for last in (False, True)
    ),
)


def _sort_tangent(z: Any, operands: Sequence[Any], tangents: Sequence[Any], *, axis: int) -> Any:
    """The same permutation of the tangents; entries that tie exchange shares."""
    convention, dx = current_convention(), tangents[0]
    size = dx.type.size
    if convention in ("left", "right"):
        source = sort_position(operands[0], axis=axis, last=convention == "right")
        return gather(reshape(dx, shape=(size,)), source)
    group = tie_group(z, axis=axis)
    count = gather(scatter_add(full(dx, 1), group, size=size), group)
    total = scatter_add(dx, tie_group(operands[0], axis=axis), size=size)
    mean = multiply(gather(total, group), reciprocal(count))
    if convention == "zero":
        return select(greater(count, full(count, 1)), zeros(mean), mean)
    return mean


sort = linearised(
    "sort",
    lambda x, *, axis: np.sort(x, axis=axis),
    _lane_type("sort"),
    _sort_tangent,
    LANES,
    facts="kink",
)
argsort = piecewise_constant(
    "argsort",
    lambda x, *, axis: _order(x, axis),
    infer=_positions_type("argsort"),
    samples=LANES,
)

# --- positions -------------------------------------------------------------------------------


def _where_type(name: str) -> Infer:
    def infer(x: ArrayType, *, axis: int) -> ArrayType:
        _check_not_empty(name, x, (axis,))
        return ArrayType((*x.shape[:axis], *x.shape[axis + 1 :]), INT64)

    return infer


argmax = piecewise_constant(
    "argmax",
    lambda x, *, axis: np.argmax(x, axis=axis),
    infer=_where_type("argmax"),
    samples=LANES,
)
argmin = piecewise_constant(
    "argmin",
    lambda x, *, axis: np.argmin(x, axis=axis),
    infer=_where_type("argmin"),
    samples=LANES,
)


def _check_index(name: str, index: ArrayType) -> None:
    if index.dtype != INT64:
        raise DTypeError(f"{name} takes int64 positions, got {index}")


def _position_type(index: ArrayType, *, size: int) -> ArrayType:
    _check_index("position", index)
    return index


def _position(index: Any, *, size: int) -> Any:
    index = np.asarray(index)
    outside = index[(index < -size) | (index >= size)]
    if outside.size:
        raise IndexingError(f"index {outside[0]} is out of bounds for an axis of {size} entries")
    return np.where(index < 0, index + size, index)[()]


# An index counted from the front, once it is known to lie inside the axis.
position = piecewise_constant(
    "position",
    _position,
    infer=_position_type,
    samples=(Sample(((4,),), {"size": 5}, ("index:5",)), Sample(((),), {"size": 3}, ("index:3",))),
)


def _writer_type(index: ArrayType, *, size: int) -> ArrayType:
    _check_index("last_writer", index)
    return ArrayType((size,), INT64)


def _last_writer(index: Any, *, size: int) -> Any:
    writers = np.full(size, -1, np.int64)
    flat = np.asarray(index).ravel()
    writers[flat] = np.arange(flat.size)
    return writers


# For each slot the position, in the flattened index, of its last writer; -1 if nobody wrote it.
last_writer = piecewise_constant(
    "last_writer",
    _last_writer,
    infer=_writer_type,
    samples=(
        Sample(((6,),), {"size": 4}, ("index:4",)),
        Sample(((2, 2),), {"size": 5}, ("index:5",)),
    ),
)
