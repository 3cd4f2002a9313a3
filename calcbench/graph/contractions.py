"""NumPy's products of arrays on graph values, each as matrix products, multiplications and sums."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from calcbench.graph.arraytype import (
    DimLike,
    Shape,
    ShapeError,
    broadcast_shapes,
    format_shape,
)
from calcbench.graph.axes import (
    axis_of,
    flattened,
    lift,
    lift_same,
    numpy_signature,
    permuted,
    reshaped,
    sizes,
    summed,
    with_ones,
)
from calcbench.graph.elementwise import multiply
from calcbench.graph.indexing import get
from calcbench.graph.lifting import Value, stretch
from calcbench.graph.shaping import moveaxis
from calcbench.graph.structural import broadcast, matmul as matmul_row


def product_of(shape: Sequence[DimLike]) -> DimLike:
    """The product of extents, named ones included."""
    total: DimLike = 1
    for extent in shape:
        total = extent * total
    return total


# --- matrix products -------------------------------------------------------------------------


@numpy_signature("x1 x2 !out / !casting !order !dtype !subok")
def matmul(x1: Any, x2: Any) -> Value:
    """``np.matmul``."""
    a, b = lift_same((x1, x2))
    if not a.type.ndim or not b.type.ndim:
        raise ShapeError(f"matmul cannot multiply {a.type} by {b.type}; use * for scalars")
    if max(a.type.ndim, b.type.ndim) <= 2:
        return matmul_row(a, b)  # type: ignore[no-any-return]
    if b.type.ndim <= 2:
        return _rows_times(a, b)
    return _batched(a, b)


def _rows_times(a: Value, b: Value) -> Value:
    """A stack of matrices times one matrix or vector: one product of all rows."""
    *batch, rows, inner = a.type.shape
    tall = reshaped(a, (product_of((*batch, rows)), inner))
    return reshaped(matmul_row(tall, b), (*batch, rows, *b.type.shape[1:]))


def _batched(a: Value, b: Value) -> Value:
    is_vector = a.type.ndim == 1
    a = with_ones(a, (0,), 2) if is_vector else a
    batch = broadcast_shapes(a.type.shape[:-2], b.type.shape[:-2])
    found = matmul_row(
        stretch(a, (*batch, *a.type.shape[-2:])), stretch(b, (*batch, *b.type.shape[-2:]))
    )
    return reshaped(found, (*batch, b.type.shape[-1])) if is_vector else found


@numpy_signature("a b !out")
def dot(a: Any, b: Any) -> Value:
    """``np.dot``: the last axis of `a` with the second-last (or only) one of `b`."""
    x, y = lift_same((a, b))
    if not x.type.ndim or not y.type.ndim:
        return x * y  # type: ignore[no-any-return]
    if x.type.ndim <= 2 and y.type.ndim <= 2:
        return matmul_row(x, y)  # type: ignore[no-any-return]
    return _contracted(x, y, (x.type.ndim - 1,), (max(y.type.ndim - 2, 0),))


@numpy_signature("a b /")
def inner(a: Any, b: Any) -> Value:
    """``np.inner``: the last axes of both."""
    x, y = lift_same((a, b))
    if not x.type.ndim or not y.type.ndim:
        return x * y  # type: ignore[no-any-return]
    return _contracted(x, y, (x.type.ndim - 1,), (y.type.ndim - 1,))


@numpy_signature("a b /")
def vdot(a: Any, b: Any) -> Value:
    """``np.vdot`` of real arrays."""
    x, y = lift_same((a, b))
    return matmul_row(flattened(x), flattened(y))  # type: ignore[no-any-return]


@numpy_signature("x1 x2 / axis")
def vecdot(x1: Any, x2: Any, axis: Any = -1) -> Value:
    """``np.vecdot`` of real arrays."""
    product = lift(x1) * lift(x2)
    return summed(product, (axis_of(axis, product.type.ndim, "vecdot"),))


@numpy_signature("a b !out")
def outer(a: Any, b: Any) -> Value:
    """``np.outer`` of the flattened arrays."""
    x, y = map(flattened, lift_same((a, b)))
    shape = (x.type.size, y.type.size)
    wide = broadcast(x, dims=(0,), shape=shape), broadcast(y, dims=(1,), shape=shape)
    return multiply(*wide)  # type: ignore[no-any-return]


@numpy_signature("a b axes")
def tensordot(a: Any, b: Any, axes: Any = 2) -> Value:
    """``np.tensordot``."""
    x, y = lift_same((a, b))
    if hasattr(axes, "__index__"):
        count = operator.index(axes)
        first: Any = range(x.type.ndim - count, x.type.ndim)
        second: Any = range(count)
    else:
        first, second = (s if isinstance(s, Sequence) else (s,) for s in axes)
    left = tuple(axis_of(i, x.type.ndim, "tensordot") for i in first)
    right = tuple(axis_of(i, y.type.ndim, "tensordot") for i in second)
    return _contracted(x, y, left, right)


def _contracted(x: Value, y: Value, left: tuple[int, ...], right: tuple[int, ...]) -> Value:
    """Sum over pairs of axes, as one matrix product."""
    pairs = [x.type.shape[i] for i in left], [y.type.shape[i] for i in right]
    if pairs[0] != pairs[1]:
        raise ShapeError(
            f"axes {left} of {x.type} and {right} of {y.type} differ: "
            f"{format_shape(tuple(pairs[0]))} against {format_shape(tuple(pairs[1]))}"
        )
    rows = [i for i in range(x.type.ndim) if i not in left]
    columns = [i for i in range(y.type.ndim) if i not in right]
    shape = [x.type.shape[i] for i in rows], [y.type.shape[i] for i in columns]
    length = product_of(pairs[0])
    wide = reshaped(permuted(x, (*rows, *left)), _matrix(shape[0], length, False))
    tall = reshaped(permuted(y, (*right, *columns)), _matrix(shape[1], length, True))
    return reshaped(matmul_row(wide, tall), (*shape[0], *shape[1]))


def _matrix(free: list[DimLike], length: DimLike, length_first: bool) -> Shape:
    """The matrix (or vector) shape of an operand with the contracted axes joined."""
    if not free:
        return (length,)
    extent = product_of(free)
    return (length, extent) if length_first else (extent, length)


@numpy_signature("a b")
def kron(a: Any, b: Any) -> Value:
    """``np.kron``."""
    x, y = lift_same((a, b))
    ndim = max(x.type.ndim, y.type.ndim)
    first = (1,) * (ndim - x.type.ndim) + x.type.shape
    second = (1,) * (ndim - y.type.ndim) + y.type.shape
    wide = tuple(n for pair in zip(first, second, strict=True) for n in pair)
    outer_left = broadcast(reshaped(x, first), dims=tuple(range(0, 2 * ndim, 2)), shape=wide)
    outer_right = broadcast(reshaped(y, second), dims=tuple(range(1, 2 * ndim, 2)), shape=wide)
    return reshaped(
        multiply(outer_left, outer_right), [n * m for n, m in zip(first, second, strict=True)]
    )


# --- cross products --------------------------------------------------------------------------


@numpy_signature("a b axisa axisb axisc axis")
def cross(
    a: Any, b: Any, axisa: Any = -1, axisb: Any = -1, axisc: Any = -1, axis: Any = None
) -> Value:
    """``np.cross`` of vectors of two or three entries."""
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    x, y = (_last(v, i) for v, i in zip(lift_same((a, b)), (axisa, axisb), strict=True))
    lengths = sizes(x, "cross")[-1], sizes(y, "cross")[-1]
    if lengths == (2, 2):
        return get(x, _AT[0]) * get(y, _AT[1]) - get(x, _AT[1]) * get(y, _AT[0])  # type: ignore[no-any-return]
    if lengths != (3, 3):
        raise ShapeError(f"cross takes vectors of 3 entries (or both of 2), got {x.type}, {y.type}")
    ahead, behind = (..., [1, 2, 0]), (..., [2, 0, 1])
    found = get(x, ahead) * get(y, behind) - get(x, behind) * get(y, ahead)
    return moveaxis(found, -1, axisc)  # type: ignore[no-any-return]


_AT = (..., 0), (..., 1)


def _last(x: Value, axis: Any) -> Value:
    return moveaxis(x, axis, -1)  # type: ignore[no-any-return]
