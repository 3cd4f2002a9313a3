"""Rows that move entries as instructions of a tape: fills, walks with strides, positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from calcbench.lower.tape_instructions import NUMBERS, Instructions, c_strides


def _fill(on: Instructions, index: int) -> bool:
    value: Any = dict(on.graph.nodes[index].params)["value"]
    dtype = on.type(index).dtype
    key = on.values.constant(value.array)
    on.move("fill", (index, key), on.values.entries(index), dtype)
    return True


def _strided(on: Instructions, index: int) -> bool:
    """Transpose, flip, slice and broadcast: a walk through the operand."""
    (operand,), kind = on.graph.nodes[index].operands, on.type(index)
    if index in on.values.blocks:
        on.move("fill", (index, on.values.key(operand)), on.values.entries(index), kind.dtype)
        return True
    strides, start = walk(on, index)
    keys = (index, on.values.key(operand))
    on.copy(keys, kind.dtype, kind.shape, (strides, c_strides(kind.shape)), (start, 0))
    return True


def walk(on: Instructions, index: int) -> tuple[list[int], int]:
    """The strides and the start, in entries of the operand, that give the node's entries."""
    (operand,), row = on.graph.nodes[index].operands, on.graph.nodes[index].row
    params: dict[str, Any] = dict(on.graph.nodes[index].params)
    shape = on.type(operand).shape
    strides, start = WALKS[row.name](shape, c_strides(shape), on.type(index).shape, params)
    return strides, start


def _walk_transpose(shape: Any, strides: Any, to: Any, params: Any) -> Any:
    return [strides[p] for p in params["perm"]], 0


def _walk_flip(shape: Any, strides: Any, to: Any, params: Any) -> Any:
    axes = params["axes"]
    start = sum(strides[a] * (shape[a] - 1) for a in axes)
    return [-s if a in axes else s for a, s in enumerate(strides)], start


def _walk_slice(shape: Any, strides: Any, to: Any, params: Any) -> Any:
    start = sum(s * a for s, a in zip(strides, params["starts"], strict=True))
    return [s * step for s, step in zip(strides, params["steps"], strict=True)], start


def _walk_broadcast(shape: Any, strides: Any, to: Any, params: Any) -> Any:
    found = [0] * len(to)
    for n, stride, axis in zip(shape, strides, params["dims"], strict=True):
        found[axis] = stride if n == to[axis] else 0
    return found, 0


def _pad(on: Instructions, index: int) -> bool:
    (operand,), kind = on.graph.nodes[index].operands, on.type(index)
    params: dict[str, Any] = dict(on.graph.nodes[index].params)
    shape, strides = on.type(operand).shape, c_strides(kind.shape)
    on.zeros(index, int(kind.size), kind.dtype)
    start = sum(s * low for s, low in zip(strides, params["low"], strict=True))
    to = [s * (c + 1) for s, c in zip(strides, params["interior"], strict=True)]
    keys = (index, on.values.key(operand))
    on.copy(keys, kind.dtype, shape, (c_strides(shape), to), (0, start))
    return True


def _concatenate(on: Instructions, index: int) -> bool:
    axis: Any = dict(on.graph.nodes[index].params)["axis"]
    kind = on.type(index)
    strides, start = c_strides(kind.shape), 0
    for operand in on.graph.nodes[index].operands:
        shape = on.type(operand).shape
        keys = (index, on.values.key(operand))
        on.copy(keys, kind.dtype, shape, (c_strides(shape), strides), (0, start))
        start += strides[axis] * shape[axis]
    return True


def _gather(on: Instructions, index: int) -> bool:
    operand, positions = on.graph.nodes[index].operands
    kind = on.type(index)
    keys = (index, on.values.key(operand), on.values.key(positions))
    on.move("gather", keys, int(kind.size), kind.dtype, on.type(operand).shape)
    return True


def _scatter(on: Instructions, index: int) -> bool:
    operand, positions = on.graph.nodes[index].operands
    kind = on.type(index)
    if kind.dtype.name not in NUMBERS:
        return False
    on.zeros(index, int(kind.size), kind.dtype)
    keys = (index, on.values.key(operand), on.values.key(positions))
    on.move("scatter_add", keys, int(on.type(operand).size), kind.dtype, kind.shape)
    return True


WALKS: dict[str, Callable[..., Any]] = {
    "transpose": _walk_transpose,
    "flip": _walk_flip,
    "slice": _walk_slice,
    "broadcast": _walk_broadcast,
}
STRUCTURE: dict[str, Callable[[Instructions, int], bool]] = {
    **dict.fromkeys(WALKS, _strided),
    **{"fill": _fill, "pad": _pad, "concatenate": _concatenate},
    **{"gather": _gather, "scatter_add": _scatter},
}
