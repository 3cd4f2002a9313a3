"""Nodes to instructions of the tape's kernels, in order; what has none is a call-out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from calcbench.graph.elementwise import convert
from calcbench.graph.ir import Graph
from calcbench.graph.nodes import INPUT
from calcbench.lower.opcodes import ANY_FAMILY, FAMILIES, FOLDING_MOVES, Case, Numbering, case_facts
from calcbench.lower.tape_columns import Columns
from calcbench.lower.tape_values import Values


NUMBERS = ("float64", "float32", "int64")


class Encoder:
    """What each node is in instructions; keys of values stand where their words will be.

    Attributes
    ----------
    scalars : array of int
        The nodes that are elementwise cases on single numbers.
    scalar_keys : array of int, (scalars, 3)
        The keys of their operands, params included.
    records : list of tuple of int
        Of the other instructions: node, family, level, whether it folds; operation,
        four keys, count, steps and place in `aux`.
    callouts : list of int
        The nodes for which there are none.
    """

    def __init__(self, graph: Graph, numbering: Numbering) -> None:
        self.graph, self.numbering = graph, numbering
        self.facts: list[list[int]] = case_facts(numbering).tolist()
        self.columns = Columns(graph, numbering)
        self.values = Values(graph, self.columns)
        self.aux: list[int] = []
        self.records: list[tuple[int, ...]] = []
        self.callouts: list[int] = []
        self.node = -1  # the one that is encoded
        held = self.values.held_nodes
        is_scalar = self.columns.is_scalar[held]
        self.scalars = held[is_scalar]
        self.scalar_keys = self._scalar_keys()
        for index in held[~is_scalar].tolist():
            self._node(index)

    def _scalar_keys(self) -> np.ndarray:
        keys: np.ndarray = self.values.home[self.columns.operands[self.scalars]]
        cases = self.numbering.cases
        has_params = case_facts(self.numbering)[:, 2] > 0
        number = self.columns.case[self.scalars]
        for place in np.flatnonzero(has_params[number]).tolist():
            operands = self.graph.nodes[self.scalars[place]].operands
            params = self._params(int(self.scalars[place]), cases[number[place]])
            keys[place, len(operands) : len(operands) + len(params)] = params
        return keys

    def _params(self, node: int, case: Case) -> list[int]:
        """The keys of a node's params."""
        params: dict[str, Any] = dict(self.graph.nodes[node].params)
        number = np.int64 if case.whole else np.float64
        return [self.values.constant(number(params[name])) for name in case.params]

    def _node(self, index: int) -> None:
        row = self.graph.nodes[index].row
        if row is INPUT:
            return
        self.node = index
        if self.columns.case[index] >= 0:
            self._elementwise(index)
            return
        rule = _RULES.get(row.name)
        if rule is None or not rule(self, index):
            self.callouts.append(index)

    # --- what rules write ------------------------------------------------------------------------

    def type(self, node: int) -> Any:
        """The type of a node."""
        return self.graph.types[node]

    def emit(self, op: int, keys: Sequence[int], count: int, **more: Any) -> None:
        """One instruction; missing keys stand for the first."""
        padded = [*keys, *[keys[0]] * (4 - len(keys))]
        kind = (more.get("family", ANY_FAMILY), more.get("level", 0), more.get("folds", False))
        rest = (count, more.get("steps", 0), more.get("aux", 0))
        self.records.append((self.node, *kind, op, *padded, *rest))

    def move(self, name: str, keys: Sequence[int], count: int, dtype: Any, aux: Any = ()) -> None:
        """A move on items of a dtype; `aux` are further numbers that it reads."""
        place = len(self.aux)
        self.aux += [int(n) for n in aux]
        if name in ("fill", "copy", "gather"):
            name = f"{name}{dtype.itemsize}"
            family = 1 if dtype.itemsize == 4 else ANY_FAMILY
        else:
            family = FAMILIES.index(dtype.name)
        number, folds = self.numbering.move(name), name in FOLDING_MOVES
        self.emit(number, keys, count, aux=place, family=family, folds=folds)

    def zeros(self, key: int, count: int, dtype: Any) -> None:
        """Fill with zeros."""
        self.move("fill", (key, self.values.constant(np.zeros((), dtype))), count, dtype)

    def copy(
        self, keys: tuple[int, int], dtype: Any, shape: Any, strides: Any, start: tuple[int, int]
    ) -> None:
        """Entries from strides there to strides here, both in entries; (there, here) start."""
        axes = _merged(shape, *strides)
        if math.prod(shape) == 0:
            return
        (n, near, far), outer = axes[-1], axes[:-1][::-1]
        rows = math.prod(axis[0] for axis in outer)
        flat = [number for axis in outer for number in axis]
        target, source = keys
        aux = [len(outer), rows, n, near, far, *start, *flat]
        self.move("copy", (target, source), rows * n, dtype, aux)

    # --- elementwise -----------------------------------------------------------------------------

    def _elementwise(self, index: int) -> None:
        node, number = self.graph.nodes[index], int(self.columns.case[index])
        case = self.numbering.cases[number]
        keys = [self.values.key(i) for i in node.operands] + self._params(index, case)
        steps = sum((i not in self.values.blocks) << k for k, i in enumerate(node.operands))
        family, level, _ = self.facts[number]
        more = {"steps": steps, "family": family, "level": level}
        self.emit(number, [index, *keys], int(self.type(index).size), **more)


def c_strides(shape: Sequence[int]) -> list[int]:
    """The strides of a C-contiguous array, in entries."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return strides


def _merged(shape: Any, there: Any, here: Any) -> list[tuple[int, int, int]]:
    """Axes as (extent, stride there, stride here), neighbours joined where both are one walk."""
    axes: list[tuple[int, int, int]] = []
    for n, a, b in zip(shape, there, here, strict=True):
        if n == 1:
            continue
        if axes and axes[-1][1] == a * n and axes[-1][2] == b * n:
            n, axes = n * axes[-1][0], axes[:-1]
        axes.append((n, a, b))
    return axes or [(1, 1, 1)]


# --- structural rows ------------------------------------------------------------------------------


def _fill(on: Encoder, index: int) -> bool:
    value: Any = dict(on.graph.nodes[index].params)["value"]
    dtype = on.type(index).dtype
    key = on.values.constant(value.array)
    on.move("fill", (index, key), on.values.entries(index), dtype)
    return True


def _strided(on: Encoder, index: int) -> bool:
    """Transpose, flip, slice and broadcast: a walk through the operand."""
    (operand,), kind = on.graph.nodes[index].operands, on.type(index)
    if index in on.values.blocks:
        on.move("fill", (index, on.values.key(operand)), on.values.entries(index), kind.dtype)
        return True
    params: dict[str, Any] = dict(on.graph.nodes[index].params)
    shape = on.type(operand).shape
    walk = _WALKS[on.graph.nodes[index].row.name]
    strides, start = walk(shape, c_strides(shape), kind.shape, params)
    keys = (index, on.values.key(operand))
    on.copy(keys, kind.dtype, kind.shape, (strides, c_strides(kind.shape)), (start, 0))
    return True


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


def _pad(on: Encoder, index: int) -> bool:
    (operand,), kind = on.graph.nodes[index].operands, on.type(index)
    params: dict[str, Any] = dict(on.graph.nodes[index].params)
    shape, strides = on.type(operand).shape, c_strides(kind.shape)
    on.zeros(index, int(kind.size), kind.dtype)
    start = sum(s * low for s, low in zip(strides, params["low"], strict=True))
    to = [s * (c + 1) for s, c in zip(strides, params["interior"], strict=True)]
    keys = (index, on.values.key(operand))
    on.copy(keys, kind.dtype, shape, (c_strides(shape), to), (0, start))
    return True


def _concatenate(on: Encoder, index: int) -> bool:
    axis: Any = dict(on.graph.nodes[index].params)["axis"]
    kind = on.type(index)
    strides, start = c_strides(kind.shape), 0
    for operand in on.graph.nodes[index].operands:
        shape = on.type(operand).shape
        keys = (index, on.values.key(operand))
        on.copy(keys, kind.dtype, shape, (c_strides(shape), strides), (0, start))
        start += strides[axis] * shape[axis]
    return True


def _gather(on: Encoder, index: int) -> bool:
    operand, positions = on.graph.nodes[index].operands
    kind = on.type(index)
    keys = (index, on.values.key(operand), on.values.key(positions))
    on.move("gather", keys, int(kind.size), kind.dtype, on.type(operand).shape)
    return True


def _scatter(on: Encoder, index: int) -> bool:
    operand, positions = on.graph.nodes[index].operands
    kind = on.type(index)
    if kind.dtype.name not in NUMBERS:
        return False
    on.zeros(index, int(kind.size), kind.dtype)
    keys = (index, on.values.key(operand), on.values.key(positions))
    on.move("scatter_add", keys, int(on.type(operand).size), kind.dtype, kind.shape)
    return True


# --- folds and scans ------------------------------------------------------------------------------


def _fold(on: Encoder, index: int) -> bool:
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


def _rows_last(on: Encoder, index: int, axes: Any, dtype: Any) -> int:
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


def _permuted(on: Encoder, keys: tuple[int, int], dtype: Any, shape: Any, order: Any) -> None:
    strides = c_strides(shape)
    to = [shape[a] for a in order]
    on.copy(keys, dtype, to, ([strides[a] for a in order], c_strides(to)), (0, 0))


def _scan(on: Encoder, index: int) -> bool:
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


def _find(on: Encoder, index: int) -> bool:
    node = on.graph.nodes[index]
    axis: Any = dict(node.params).get("axis")
    kind = on.type(node.operands[0])
    if not isinstance(axis, int) or kind.dtype.name not in NUMBERS or not kind.size:
        return False
    source = _rows_last(on, index, (axis,), kind.dtype)
    keys = (index, source)
    on.move(node.row.name, keys, int(on.type(index).size), kind.dtype, (kind.shape[axis],))
    return True


_WALKS: dict[str, Callable[..., Any]] = {
    "transpose": _walk_transpose,
    "flip": _walk_flip,
    "slice": _walk_slice,
    "broadcast": _walk_broadcast,
}
_RULES: dict[str, Callable[[Encoder, int], bool]] = {
    **dict.fromkeys(_WALKS, _strided),
    **dict.fromkeys(("sum", "prod", "max", "min"), _fold),
    **dict.fromkeys(("cumsum", "cumprod"), _scan),
    **dict.fromkeys(("argmax", "argmin"), _find),
    **{"fill": _fill, "pad": _pad, "concatenate": _concatenate},
    **{"gather": _gather, "scatter_add": _scatter},
}
