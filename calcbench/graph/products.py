"""Rows that multiply entries up; their derivatives never divide, so zeros are exact at any order.

With P a product and P' its tangent, two neighbouring blocks join as (PQ)' = P'Q + PQ'. Joining
pairs of blocks gives the tangent of a product in n - 1 joins on log2(n) levels; joining each
block with the one that ends before it (Hillis & Steele 1986) gives those of all prefixes in
log2(n) levels of at most n joins. The joins are rows themselves, so they differentiate again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.graph.arraytype import BOOL, INT64, ArrayType, DTypeError, ShapeError
from calcbench.graph.primitive import Sample, linearised
from calcbench.graph.structural import concatenate, reshape, slice_, transpose


ANY = ((-2.0, 2.0),)


def _check(name: str, x: ArrayType, axes: tuple[int, ...]) -> None:
    if any(not 0 <= a < x.ndim for a in axes) or len(set(axes)) != len(axes):
        raise ShapeError(f"{name} of {x}: {axes} are not distinct axes of it")
    if not all(isinstance(x.shape[a], int) for a in axes):
        raise ShapeError(f"{name} of {x} over axes {axes}: the number of factors must be known")


def _part(x: Any, axis: int, start: int, stop: int) -> Any:
    """``x[start:stop]`` along the axis."""
    if (start, stop) == (0, x.type.shape[axis]):
        return x
    starts, stops = [0] * x.type.ndim, [None] * x.type.ndim
    starts[axis], stops[axis] = start, stop  # type: ignore[call-overload]
    return slice_(x, starts=tuple(starts), stops=tuple(stops), steps=(1,) * x.type.ndim)


def _joined(p: Any, dp: Any, q: Any, dq: Any) -> tuple[Any, Any]:
    """(PQ, P'Q + PQ')."""
    return p * q, dp * q + p * dq


def _prod_type(x: ArrayType, *, axes: tuple[int, ...]) -> ArrayType:
    _check("prod", x, axes)
    dtype = INT64 if x.dtype == BOOL else x.dtype
    return ArrayType(tuple(n for a, n in enumerate(x.shape) if a not in axes), dtype)


def _factors_first(x: Any, axes: tuple[int, ...]) -> Any:
    """`x` with the axes joined into a first one."""
    kept = tuple(a for a in range(x.type.ndim) if a not in axes)
    perm = (*axes, *kept)
    moved = x if perm == tuple(range(x.type.ndim)) else transpose(x, perm=perm)
    shape = (math.prod(x.type.shape[a] for a in axes), *(x.type.shape[a] for a in kept))
    return moved if moved.type.shape == shape else reshape(moved, shape=shape)


def _halved(p: Any, dp: Any) -> tuple[Any, Any]:
    """Each block of the first half joined with one of the second; an odd block stays."""
    count = p.type.shape[0]
    half = count // 2
    joined = _joined(
        _part(p, 0, 0, half),
        _part(dp, 0, 0, half),
        _part(p, 0, half, 2 * half),
        _part(dp, 0, half, 2 * half),
    )
    if count % 2 == 0:
        return joined
    odd = _part(p, 0, count - 1, count), _part(dp, 0, count - 1, count)
    return concatenate(joined[0], odd[0], axis=0), concatenate(joined[1], odd[1], axis=0)


def _prod_tangent(z: Any, operands: Sequence[Any], tangents: Sequence[Any], *, axes: Any) -> Any:
    p, dp = _factors_first(operands[0], axes), _factors_first(tangents[0], axes)
    if p.type.shape[0] == 0:
        return None
    while p.type.shape[0] > 1:
        p, dp = _halved(p, dp)
    return reshape(dp, shape=z.type.shape)


prod = linearised(
    "prod",
    lambda x, *, axes: np.prod(x, axis=axes),
    _prod_type,
    _prod_tangent,
    [
        Sample(((5,),), {"axes": (0,)}, ANY),
        Sample(((2, 3),), {"axes": (1,)}, ANY),
        Sample(((2, 3, 2),), {"axes": (0, 2)}, ANY),
    ],
)


def _cumprod_type(x: ArrayType, *, axis: int) -> ArrayType:
    _check("cumprod", x, (axis,))
    if x.dtype == BOOL:
        raise DTypeError(f"cumprod takes numbers, got {x}")
    return x


def _cumprod_tangent(z: Any, operands: Sequence[Any], tangents: Sequence[Any], *, axis: int) -> Any:
    p, dp = operands[0], tangents[0]
    count, reach = p.type.shape[axis], 1
    while reach < count:
        joined = _joined(
            _part(p, axis, 0, count - reach),
            _part(dp, axis, 0, count - reach),
            _part(p, axis, reach, count),
            _part(dp, axis, reach, count),
        )
        p = concatenate(_part(p, axis, 0, reach), joined[0], axis=axis)
        dp = concatenate(_part(dp, axis, 0, reach), joined[1], axis=axis)
        reach *= 2
    return dp


cumprod = linearised(
    "cumprod",
    lambda x, *, axis: np.cumprod(x, axis=axis),
    _cumprod_type,
    _cumprod_tangent,
    [Sample(((5,),), {"axis": 0}, ANY), Sample(((2, 3),), {"axis": 1}, ANY)],
)
