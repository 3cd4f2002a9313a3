"""Rows that fold or scan along axes as instructions of a tape: rows of entries, one by one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from calcbench.graph.elementwise import convert
from calcbench.lower.tape_instructions import NUMBERS, Instructions, c_strides


def _fold(on: Instructions, index: int) -> bool:
    node, kind = on.graph.nodes[index], on.type(index)
    axes: Any = dict(node.params)["axes"]
    if kind.dtype.name not in NUMBERS:
        return False
    shape = on.type(node.operands[0]).shape
    source = _rows_last(on, index, axes, kind.dtype)
    count = math.prod(shape[a] for a in axes)
    keys = [index, source]
    if count > 256:
        keys.append(on.values.room(index, -(-count // 256), kind.dtype))
    on.move(node.row.name, keys, int(kind.size), kind.dtype, (count,))
    return True


def _rows_last(on: Instructions, index: int, axes: Any, dtype: Any) -> int:
    """The key of the operand, in `dtype` and with the axes last: itself where it is so already."""
    operand = on.graph.nodes[index].operands[0]
    kind = on.type(operand)
    key, size = on.values.key(operand), int(kind.size)
    if kind.dtype != dtype:
        room = on.values.room(index, size, dtype)
        number = on.numbering.numbers[convert, kind.dtype, dtype]
        case = on.numbering.cases[number]
        on.emit(number, (room, key), size, steps=1, family=case.family, level=case.level)
        key = room
    order = [a for a in range(kind.ndim) if a not in axes] + sorted(axes)
    long = [a for a in order if kind.shape[a] != 1]
    if long == sorted(long) or not size:
        return key
    room = on.values.room(index, size, dtype)
    _permuted(on, (room, key), dtype, kind.shape, order)
    return room


def _permuted(on: Instructions, keys: tuple[int, int], dtype: Any, shape: Any, order: Any) -> None:
    strides = c_strides(shape)
    to = [shape[a] for a in order]
    on.copy(keys, dtype, to, ([strides[a] for a in order], c_strides(to)), (0, 0))


def _scan(on: Instructions, index: int) -> bool:
    node, kind = on.graph.nodes[index], on.type(index)
    axis: Any = dict(node.params)["axis"]
    if kind.dtype.name not in NUMBERS or not kind.size:
        return False
    source = _rows_last(on, index, (axis,), kind.dtype)
    n = kind.shape[axis]
    order = [*[a for a in range(kind.ndim) if a != axis], axis]
    long = [a for a in order if kind.shape[a] != 1]
    straight = long == sorted(long)
    into = index if straight else on.values.room(index, int(kind.size), kind.dtype)
    on.move(node.row.name, (into, source), int(kind.size) // n, kind.dtype, (n,))
    if not straight:
        back = [order.index(a) for a in range(kind.ndim)]
        moved = [kind.shape[a] for a in order]
        _permuted(on, (index, into), kind.dtype, moved, back)
    return True


def _find(on: Instructions, index: int) -> bool:
    node = on.graph.nodes[index]
    axis: Any = dict(node.params).get("axis")
    kind = on.type(node.operands[0])
    if not isinstance(axis, int) or kind.dtype.name not in NUMBERS or not kind.size:
        return False
    source = _rows_last(on, index, (axis,), kind.dtype)
    keys = (index, source)
    on.move(node.row.name, keys, int(on.type(index).size), kind.dtype, (kind.shape[axis],))
    return True


FOLDING: dict[str, Callable[[Instructions, int], bool]] = {
    **dict.fromkeys(("sum", "prod", "max", "min"), _fold),
    **dict.fromkeys(("cumsum", "cumprod"), _scan),
    **dict.fromkeys(("argmax", "argmin"), _find),
}
