"""Nodes of few entries as instructions on single numbers, one an entry.

A program on single numbers takes them out of arrays and puts them back. As instructions of the
kernel that it runs in, an entry costs a nanosecond or two; a call of the kernel for arrays, and of
the first kernel again after it, costs more than a hundred of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from calcbench.lower.opcodes import SINGLE_MOVE
from calcbench.lower.tape_instructions import Instructions, c_strides
from calcbench.lower.tape_structure import WALKS, walk


FEW = 8  # entries of a node, or for each operand of a concatenation
WORD = 8  # bytes: entries of other sizes do not begin where words begin
Moves = list[tuple[int, int]]  # per entry of the result the key of an operand, and which entry


def by_entries(on: Instructions, index: int) -> bool:
    """Write a node as instructions on single numbers; False if it has too many or none."""
    node, kind = on.graph.nodes[index], on.type(index)
    size, most = int(kind.size), FEW * max(1, len(node.operands))
    read = [on.type(i) for i in node.operands]
    if not 0 < size <= most or any(t.dtype.itemsize != WORD for t in (kind, *read)):
        return False
    if on.columns.case[index] >= 0:
        _elementwise(on, index, size)
        return True
    rule = _RULES.get(node.row.name)
    if rule is None:
        return False
    for entry, (key, source) in enumerate(rule(on, index)):
        number = on.numbering.move(SINGLE_MOVE)
        on.on_single(number, (on.values.entry(index, entry), on.values.entry(key, source)))
    return True


def _elementwise(on: Instructions, index: int, size: int) -> None:
    operands = [on.values.key(i) for i in on.graph.nodes[index].operands]
    number = int(on.columns.case[index])
    params = on.params(index, on.numbering.cases[number])
    for entry in range(size):
        keys = [on.values.entry(key, entry) for key in (index, *operands)]
        on.on_single(number, (*keys, *params))


def _fill(on: Instructions, index: int) -> Moves:
    value: Any = dict(on.graph.nodes[index].params)["value"]
    return [(on.values.constant(value.array), 0)] * int(on.type(index).size)


def _walked(on: Instructions, index: int) -> Moves:
    (operand,) = on.graph.nodes[index].operands
    strides, start = walk(on, index)
    places = _places(on.type(index).shape, strides, start)
    return [(on.values.key(operand), place) for place in places]


def _pad(on: Instructions, index: int) -> Moves:
    (operand,), kind = on.graph.nodes[index].operands, on.type(index)
    params: dict[str, Any] = dict(on.graph.nodes[index].params)
    strides = c_strides(kind.shape)
    start = sum(s * low for s, low in zip(strides, params["low"], strict=True))
    steps = [s * (c + 1) for s, c in zip(strides, params["interior"], strict=True)]
    found = [(on.values.constant(np.zeros((), kind.dtype)), 0)] * int(kind.size)
    for entry, place in enumerate(_places(on.type(operand).shape, steps, start)):
        found[place] = on.values.key(operand), entry
    return found


def _concatenate(on: Instructions, index: int) -> Moves:
    axis: Any = dict(on.graph.nodes[index].params)["axis"]
    kind = on.type(index)
    strides, start = c_strides(kind.shape), 0
    found = [(0, 0)] * int(kind.size)
    for operand in on.graph.nodes[index].operands:
        shape = on.type(operand).shape
        for entry, place in enumerate(_places(shape, strides, start)):
            found[place] = on.values.key(operand), entry
        start += strides[axis] * shape[axis]
    return found


def _places(shape: Any, strides: Any, start: int) -> list[int]:
    """Where the entries of a walk lie, in index order."""
    if math.prod(shape) == 1:
        return [start]
    places = np.array(start)
    for extent, stride in zip(shape, strides, strict=True):
        places = np.add.outer(places, np.arange(extent) * stride)
    return [int(place) for place in places.reshape(-1)]


_RULES: dict[str, Callable[[Instructions, int], Moves]] = {
    **dict.fromkeys(WALKS, _walked),
    **{"fill": _fill, "pad": _pad, "concatenate": _concatenate},
}
