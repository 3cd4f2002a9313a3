"""Rows that move, repeat, add up or contract entries without changing them one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.graph.arraytype import (
    BOOL,
    INT64,
    ArrayType,
    Dim,
    DTypeError,
    Shape,
    ShapeError,
    format_shape,
)
from calcbench.graph.nodes import Literal
from calcbench.graph.primitive import (
    Primitive,
    Sample,
    linearised,
    multilinear,
    source,
)


ANY = ((-2.0, 2.0),)


def _fill_type(*, shape: Shape, value: Literal) -> ArrayType:
    return ArrayType(shape, value.array.dtype)


def _fill(*, shape: tuple[int, ...], value: Literal) -> Any:
    return np.full(shape, value.array)[()]


fill: Primitive = source(
    "fill",
    _fill,
    _fill_type,
    [Sample((), {"shape": (2, 3), "value": Literal.of(1.5)})],
)

constant: Primitive = source(
    "constant",
    lambda *, value: value.array.copy()[()],
    lambda *, value: ArrayType(value.shape, value.array.dtype),
    [Sample((), {"value": Literal.of([1.0, -0.0, 2.5])})],
)


def full(
    like: Any, value: object, shape: Shape | None = None, dtype: np.dtype | None = None
) -> Any:
    """A constant value in the builder of `like`, of its type unless told otherwise."""
    literal = Literal.of(value, dtype or like.type.dtype)
    params = (("shape", like.type.shape if shape is None else shape), ("value", literal))
    return type(like)(like.builder, like.builder.add(fill, (), params))


def zeros(like: Any) -> Any:
    """A zero of the type of `like`."""
    return full(like, 0)


def array_constant(like: Any, array: np.ndarray) -> Any:
    """A constant array in the builder of `like`."""
    index = like.builder.add(constant, (), (("value", Literal.of(array)),))
    return type(like)(like.builder, index)


def literal_of(builder: Any, index: int) -> float | None:
    """The number of which node `index` is a fill, or None."""
    node = builder.nodes[index]
    return dict(node.params)["value"].array.item() if node.row is fill else None


def literal_value(value: Any) -> float | None:
    """The number of which `value` is a fill, or None."""
    return literal_of(value.builder, value.id)


# --- shape rows: every entry of the result is one entry of the operand -----------------------


def _broadcast_type(x: ArrayType, *, dims: tuple[int, ...], shape: Shape) -> ArrayType:
    fits = len(dims) == x.ndim and all(
        extent in (1, shape[axis]) for extent, axis in zip(x.shape, dims, strict=True)
    )
    if not fits:
        raise ShapeError(f"broadcast cannot stretch {x} to {format_shape(shape)} along axes {dims}")
    return ArrayType(shape, x.dtype)


def aligned_shape(shape: Sequence[Any], dims: tuple[int, ...], ndim: int) -> tuple[Any, ...]:
    """`shape` with ones inserted so that its axes lie at `dims` of `ndim`."""
    spread: list[Any] = [1] * ndim
    for extent, axis in zip(shape, dims, strict=True):
        spread[axis] = extent
    return tuple(spread)


def _broadcast(x: Any, *, dims: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    x = np.asarray(x)
    return np.broadcast_to(x.reshape(aligned_shape(x.shape, dims, len(shape))), shape)


def _unbroadcast(ct: Any, x: Any, *, dims: tuple[int, ...], shape: Shape) -> Any:
    old = aligned_shape(x.type.shape, dims, len(shape))
    axes = tuple(axis for axis in range(len(shape)) if axis not in dims or old[axis] != shape[axis])
    summed = sum_(ct, axes=axes) if axes else ct
    return reshape(summed, shape=x.type.shape) if summed.type.shape != x.type.shape else summed


broadcast: Primitive = multilinear(
    "broadcast",
    _broadcast,
    _broadcast_type,
    [_unbroadcast],
    [
        Sample(((),), {"dims": (), "shape": (2, 3)}, ANY),
        Sample(((3,),), {"dims": (1,), "shape": (2, 3)}, ANY),
        Sample(((2, 1),), {"dims": (0, 2), "shape": (2, 4, 3)}, ANY),
    ],
    facts="named structural exact",
)


def _reshape_type(x: ArrayType, *, shape: Shape) -> ArrayType:
    if ArrayType(shape, x.dtype).size != x.size:
        raise ShapeError(f"reshape cannot turn {x} of {x.size} entries into {format_shape(shape)}")
    return ArrayType(shape, x.dtype)


reshape: Primitive = multilinear(
    "reshape",
    lambda x, *, shape: np.reshape(x, shape),
    _reshape_type,
    [lambda ct, x, *, shape: reshape(ct, shape=x.type.shape)],
    [Sample(((2, 3),), {"shape": (3, 2)}, ANY), Sample(((4,),), {"shape": (2, 1, 2)}, ANY)],
    facts="named structural transpose_structural exact",
)


def _transpose_type(x: ArrayType, *, perm: tuple[int, ...]) -> ArrayType:
    if sorted(perm) != list(range(x.ndim)):
        raise ShapeError(f"transpose of {x} needs a permutation of its axes, got {perm}")
    return ArrayType(tuple(x.shape[p] for p in perm), x.dtype)


def _untranspose(ct: Any, x: Any, *, perm: tuple[int, ...]) -> Any:
    return transpose(ct, perm=tuple(int(i) for i in np.argsort(perm)))


transpose: Primitive = multilinear(
    "transpose",
    lambda x, *, perm: np.transpose(x, perm),
    _transpose_type,
    [_untranspose],
    [Sample(((2, 3),), {"perm": (1, 0)}, ANY), Sample(((2, 3, 4),), {"perm": (2, 0, 1)}, ANY)],
    facts="named structural transpose_structural exact",
)


def swap_last(x: Any) -> Any:
    """Matrix transpose of the last two axes."""
    ndim = x.type.ndim
    return transpose(x, perm=(*range(ndim - 2), ndim - 1, ndim - 2))


def _check_axes(name: str, x: ArrayType, axes: tuple[int, ...]) -> None:
    if any(not 0 <= a < x.ndim for a in axes) or len(set(axes)) != len(axes):
        raise ShapeError(f"{name} of {x}: {axes} are not distinct axes of it")


def _flip_type(x: ArrayType, *, axes: tuple[int, ...]) -> ArrayType:
    _check_axes("flip", x, axes)
    return x


flip: Primitive = multilinear(
    "flip",
    lambda x, *, axes: np.flip(x, axes),
    _flip_type,
    [lambda ct, x, *, axes: flip(ct, axes=axes)],
    [Sample(((4,),), {"axes": (0,)}, ANY), Sample(((2, 3),), {"axes": (0, 1)}, ANY)],
    facts="named structural transpose_structural exact",
)


def _slice_type(
    x: ArrayType, *, starts: tuple[int, ...], stops: tuple[int, ...], steps: tuple[int, ...]
) -> ArrayType:
    if not x.ndim == len(starts) == len(stops) == len(steps):
        raise ShapeError(f"slice of {x} needs one start, stop and step per axis, got {starts}")
    shape = []
    for extent, start, stop, step in zip(x.shape, starts, stops, steps, strict=True):
        whole = stop is None and start == 0 and step == 1
        if not whole and (isinstance(extent, Dim) or not 0 <= start <= stop <= extent or step < 1):
            raise ShapeError(f"slice {start}:{stop}:{step} does not fit {x}")
        shape.append(extent if whole else len(range(start, stop, step)))
    return ArrayType(tuple(shape), x.dtype)


def _slice(x: Any, *, starts: Any, stops: Any, steps: Any) -> Any:
    return x[tuple(map(slice, starts, stops, steps))]


def _unslice(ct: Any, x: Any, *, starts: Any, stops: Any, steps: Any) -> Any:
    low, high, interior = [], [], []
    for extent, got, start, stop, step in zip(
        x.type.shape, ct.type.shape, starts, stops, steps, strict=True
    ):
        whole = stop is None
        low.append(0 if whole else start)
        interior.append(step - 1)
        high.append(0 if whole else extent - start - (max(got - 1, 0) * step + min(got, 1)))
    return pad(ct, high=tuple(high), interior=tuple(interior), low=tuple(low))


slice_: Primitive = multilinear(
    "slice",
    _slice,
    _slice_type,
    [_unslice],
    [
        Sample(((5,),), {"starts": (1,), "stops": (4,), "steps": (2,)}, ANY),
        Sample(((4, 3),), {"starts": (0, 1), "stops": (3, 3), "steps": (1, 1)}, ANY),
        Sample(((3,),), {"starts": (1,), "stops": (1,), "steps": (1,)}, ANY),
    ],
    facts="named structural transpose_structural leaves_out exact",
)


def _pad_type(
    x: ArrayType, *, high: tuple[int, ...], interior: tuple[int, ...], low: tuple[int, ...]
) -> ArrayType:
    if min((*high, *interior, *low), default=0) < 0 or len(low) != x.ndim:
        raise ShapeError(f"pad of {x} needs amounts >= 0 per axis, got {low}, {interior}, {high}")
    shape = [
        extent if a == b == c == 0 else a + b + extent + max(extent - 1, 0) * c
        for extent, a, b, c in zip(x.shape, low, high, interior, strict=True)
    ]
    return ArrayType(tuple(shape), x.dtype)


def _pad(x: Any, *, high: Any, interior: Any, low: Any) -> Any:
    steps = [c + 1 for c in interior]
    shape = [
        a + b + n + max(n - 1, 0) * c
        for n, a, b, c in zip(x.shape, low, high, interior, strict=True)
    ]
    out = np.zeros(shape, x.dtype)
    region = [
        slice(a, a + (n - 1) * s + 1 if n else a, s)
        for n, a, s in zip(x.shape, low, steps, strict=True)
    ]
    out[tuple(region)] = x
    return out


def _unpad(ct: Any, x: Any, *, high: Any, interior: Any, low: Any) -> Any:
    plain = [a == b == c == 0 for a, b, c in zip(low, high, interior, strict=True)]
    stops = [
        None if p else a + max(n - 1, 0) * (c + 1) + min(n, 1)
        for p, n, a, c in zip(plain, x.type.shape, low, interior, strict=True)
    ]
    return slice_(ct, starts=low, stops=tuple(stops), steps=tuple(c + 1 for c in interior))


pad: Primitive = multilinear(
    "pad",
    _pad,
    _pad_type,
    [_unpad],
    [
        Sample(((3,),), {"high": (2,), "interior": (1,), "low": (1,)}, ANY),
        Sample(((2, 3),), {"high": (0, 1), "interior": (0, 0), "low": (1, 0)}, ANY),
    ],
    facts="named structural transpose_structural exact",
)


# --- rows that add up ------------------------------------------------------------------------


def _sum_type(x: ArrayType, *, axes: tuple[int, ...]) -> ArrayType:
    _check_axes("sum", x, axes)
    dtype = INT64 if x.dtype == BOOL else x.dtype
    return ArrayType(tuple(n for a, n in enumerate(x.shape) if a not in axes), dtype)


def _unsum(ct: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
    kept = tuple(a for a in range(x.type.ndim) if a not in axes)
    return broadcast(ct, dims=kept, shape=x.type.shape)


sum_: Primitive = multilinear(
    "sum",
    lambda x, *, axes: np.sum(x, axis=axes),
    _sum_type,
    [_unsum],
    [Sample(((4,),), {"axes": (0,)}, ANY), Sample(((2, 3, 4),), {"axes": (0, 2)}, ANY)],
    sympy="Add",
    facts="named transpose_structural",
)


def _cumsum_type(x: ArrayType, *, axis: int) -> ArrayType:
    _check_axes("cumsum", x, (axis,))
    return ArrayType(x.shape, INT64) if x.dtype == BOOL else x


def _uncumsum(ct: Any, x: Any, *, axis: int) -> Any:
    return flip(cumsum(flip(ct, axes=(axis,)), axis=axis), axes=(axis,))


cumsum: Primitive = multilinear(
    "cumsum",
    lambda x, *, axis: np.cumsum(x, axis=axis),
    _cumsum_type,
    [_uncumsum],
    [Sample(((4,),), {"axis": 0}, ANY), Sample(((2, 3),), {"axis": 1}, ANY)],
    facts="named",
)


def _gather_type(x: ArrayType, index: ArrayType) -> ArrayType:
    if x.ndim != 1 or index.dtype != INT64:
        raise ShapeError(f"gather takes a flat array and int64 positions, got {x} and {index}")
    return ArrayType(index.shape, x.dtype)


gather: Primitive = multilinear(
    "gather",
    lambda x, index: np.take(x, index),
    _gather_type,
    [lambda ct, x, index: scatter_add(ct, index, size=x.type.shape[0]), None],
    [
        Sample(((5,), (2, 3)), {}, ((-2.0, 2.0), "index:5")),
        Sample(((4,), ()), {}, ((-2.0, 2.0), "index:4")),
    ],
    facts="structural leaves_out exact",
)


def _scatter_add_type(x: ArrayType, index: ArrayType, *, size: int) -> ArrayType:
    if x.shape != index.shape or index.dtype != INT64:
        raise ShapeError(f"scatter_add takes one int64 position per entry, got {x} and {index}")
    return ArrayType((size,), x.dtype)


def _scatter_add(x: Any, index: Any, *, size: int) -> Any:
    out = np.zeros(size, x.dtype)
    np.add.at(out, np.asarray(index), x)
    return out


scatter_add: Primitive = multilinear(
    "scatter_add",
    _scatter_add,
    _scatter_add_type,
    [lambda ct, x, index, *, size: gather(ct, index), None],
    [Sample(((2, 3), (2, 3)), {"size": 4}, ((-2.0, 2.0), "index:4"))],
    facts="transpose_structural",
)


def _concatenate_type(*xs: ArrayType, axis: int) -> ArrayType:
    first = xs[0]
    _check_axes("concatenate", first, (axis,))
    for x in xs[1:]:
        others_agree = x.ndim == first.ndim and all(
            a == b for d, (a, b) in enumerate(zip(x.shape, first.shape, strict=True)) if d != axis
        )
        if not others_agree or x.dtype != first.dtype:
            raise ShapeError(f"concatenate along axis {axis} cannot join {first} and {x}")
    total = sum(x.shape[axis] for x in xs)
    return ArrayType((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype)


def unconcatenate(ct: Any, xs: Sequence[Any], position: int, axis: int) -> Any:
    """The part of `ct` that belongs to operand `position`."""
    start = sum(x.type.shape[axis] for x in xs[:position])
    starts, stops = [0] * ct.type.ndim, list(ct.type.shape)
    starts[axis], stops[axis] = start, start + xs[position].type.shape[axis]
    return slice_(ct, starts=tuple(starts), stops=tuple(stops), steps=(1,) * ct.type.ndim)


def _concatenate_share(position: int) -> Any:
    return lambda ct, *xs, axis: unconcatenate(ct, xs, position, axis)


def _concatenate_tangent(z: Any, xs: Sequence[Any], tangents: Sequence[Any], *, axis: int) -> Any:
    parts = [zeros(x) if t is None else t for x, t in zip(xs, tangents, strict=True)]
    return concatenate(*parts, axis=axis)


# Linear in all operands together, not in each: the tangent joins tangents and zeros.
concatenate: Primitive = linearised(
    "concatenate",
    lambda *xs, axis: np.concatenate(xs, axis),
    _concatenate_type,
    _concatenate_tangent,
    [
        Sample(((2,), (3,)), {"axis": 0}, ANY * 2),
        Sample(((2, 1), (2, 3), (2, 2)), {"axis": 1}, ANY * 3),
    ],
    transposes=_concatenate_share,
    facts="transpose_structural",
)


# --- contractions ----------------------------------------------------------------------------


def _matmul_type(a: ArrayType, b: ArrayType) -> ArrayType:
    batched = a.ndim > 2 or b.ndim > 2
    legal = a.ndim and b.ndim and not (batched and a.shape[:-2] != b.shape[:-2])
    inner = b.shape[-1 if b.ndim == 1 else -2] if legal else None
    if not legal or a.shape[-1] != inner:
        raise ShapeError(
            f"matmul cannot multiply {a} by {b}: the last axis of the first must equal the "
            "second-last (or only) axis of the second, and leading axes must agree"
        )
    if a.dtype != b.dtype or a.dtype == BOOL:
        raise DTypeError(f"matmul takes numbers of one dtype, got {a} and {b}")
    return ArrayType((*a.shape[:-1], *(() if b.ndim == 1 else (*b.shape[-1:],))), a.dtype)


def outer_product(a: Any, b: Any) -> Any:
    """a_i b_j for vectors of graph values."""
    shape = (a.type.shape[0], b.type.shape[0])
    return broadcast(a, dims=(0,), shape=shape) * broadcast(b, dims=(1,), shape=shape)


def _matmul_share_a(ct: Any, a: Any, b: Any) -> Any:
    if b.type.ndim == 1:
        if a.type.ndim == 1:
            return broadcast(ct, dims=(), shape=b.type.shape) * b
        return outer_product(ct, b)
    return matmul(b, ct) if a.type.ndim == 1 else matmul(ct, swap_last(b))


def _matmul_share_b(ct: Any, a: Any, b: Any) -> Any:
    if a.type.ndim == 1:
        if b.type.ndim == 1:
            return broadcast(ct, dims=(), shape=a.type.shape) * a
        return outer_product(a, ct)
    return matmul(ct, a) if b.type.ndim == 1 else matmul(swap_last(a), ct)


matmul: Primitive = multilinear(
    "matmul",
    np.matmul,
    _matmul_type,
    [_matmul_share_a, _matmul_share_b],
    [
        Sample(((3,), (3,)), {}, ANY * 2),
        Sample(((2, 3), (3,)), {}, ANY * 2),
        Sample(((3,), (3, 2)), {}, ANY * 2),
        Sample(((2, 3), (3, 4)), {}, ANY * 2),
        Sample(((2, 2, 3), (2, 3, 4)), {}, ANY * 2),
    ],
    facts="named",
)
