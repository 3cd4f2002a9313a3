"""Rows that read a diagonal and that write one; each is the transpose of the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from calcbench.graph.arraytype import ArrayType, DimLike, ShapeError, format_shape
from calcbench.graph.primitive import Sample, multilinear


ANY = ((-2.0, 2.0),)


def diagonal_extent(rows: DimLike, columns: DimLike, offset: int) -> DimLike:
    """The number of entries of a diagonal; named dimensions must be equal and the offset 0."""
    if rows == columns and offset == 0:
        return rows
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise ShapeError(
            f"diagonal {offset} of a matrix of shape {format_shape((rows, columns))} has no known "
            "length: named dimensions must be equal and the offset 0"
        )
    return max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)


def _diagonal_type(x: ArrayType, *, offset: int) -> ArrayType:
    if x.ndim < 2:
        raise ShapeError(f"diagonal needs a matrix, got {x}")
    rows, columns = x.shape[-2:]
    return ArrayType((*x.shape[:-2], diagonal_extent(rows, columns, offset)), x.dtype)


def _undiagonal(ct: Any, x: Any, *, offset: int) -> Any:
    return from_diagonal(ct, offset=offset, shape=x.type.shape[-2:])


diagonal = multilinear(
    "diagonal",
    lambda x, *, offset: np.diagonal(x, offset, -2, -1),
    _diagonal_type,
    [_undiagonal],
    [
        Sample(((3, 3),), {"offset": 0}, ANY),
        Sample(((2, 3, 4),), {"offset": 1}, ANY),
        Sample(((3, 2),), {"offset": -1}, ANY),
    ],
    facts="named structural transpose_structural leaves_out exact",
)


def _from_diagonal_type(x: ArrayType, *, offset: int, shape: tuple[DimLike, DimLike]) -> ArrayType:
    if x.ndim < 1 or x.shape[-1] != diagonal_extent(*shape, offset):
        raise ShapeError(f"{x} is not diagonal {offset} of shape {format_shape(shape)}")
    return ArrayType((*x.shape[:-1], *shape), x.dtype)


def _from_diagonal(x: Any, *, offset: int, shape: tuple[int, int]) -> Any:
    out = np.zeros((*x.shape[:-1], *shape), x.dtype)
    rows = np.arange(x.shape[-1])
    out[..., rows - min(offset, 0), rows + max(offset, 0)] = x
    return out


# The matrices of the given shape that hold the operand on one diagonal, and 0 elsewhere.
from_diagonal = multilinear(
    "from_diagonal",
    _from_diagonal,
    _from_diagonal_type,
    [lambda ct, x, *, offset, shape: diagonal(ct, offset=offset)],
    [
        Sample(((3,),), {"offset": 0, "shape": (3, 3)}, ANY),
        Sample(((2, 3),), {"offset": 1, "shape": (3, 4)}, ANY),
        Sample(((2,),), {"offset": -1, "shape": (3, 2)}, ANY),
    ],
    facts="named structural transpose_structural exact",
)
