"""A graph as straight-line code on single numbers: columns of places and steps, filled by NumPy.

Rows that only move entries are no instructions: the places of their results are computed by the
rows themselves, on arrays of places. A program of a million scalar operations is encoded without a
call of Python per node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.elementwise import add
from calcbench.graph.ir import Graph
from calcbench.graph.nodes import INPUT, Node
from calcbench.graph.structural import constant, fill
from calcbench.lower.compiler import load
from calcbench.lower.reductions import BLOCK, LANES
from calcbench.lower.sweep_cases import Step, StepMaker
from calcbench.lower.sweep_kinds import MOVES, Kinds


ZERO = 0  # the place that holds a 0 of every dtype: what padding reads


class Straight(NamedTuple):
    """The instructions of a graph in order, and where everything lies.

    Attributes
    ----------
    step, result : int64 arrays
        Per instruction its step, an index into `steps`, and the place of its result.
    operands : int64 array of shape (instructions, 3)
        The places of operands and numbers; place 0 where there is none.
    active : int64 array
        Per instruction the operands that vary, as bits.
    steps : list of Step
    constants : list of (place, array)
    inputs, outputs : list of int64 arrays
        The places of their entries, in their shape.
    varied : bool array
        Which places carry a derivative.
    """

    step: np.ndarray
    result: np.ndarray
    operands: np.ndarray
    active: np.ndarray
    steps: list[Step]
    constants: list[tuple[int, np.ndarray]]
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]
    varied: np.ndarray


def straighten(graph: Graph, wanted: Sequence[int], vectorised: bool) -> Straight:
    """The instructions of a graph of which `sweep_kinds.is_straight` holds.

    `wanted` are the positions of the inputs with respect to which it is differentiated.
    """
    return _Straightening(graph, vectorised).result(wanted)


class _Straightening:
    """Places first, then instructions, then what varies, then steps."""

    def __init__(self, graph: Graph, vectorised: bool) -> None:
        self.graph, self.vectorised = _with_addition(graph), vectorised
        self.kinds = Kinds(self.graph, len(graph))
        self.count = 1
        self.place = np.zeros(len(self.graph), np.int64)  # of nodes of one entry
        self.arrays: dict[int, np.ndarray] = {}
        self.constants: list[tuple[int, np.ndarray]] = []
        self.known: dict[bytes, int] = {}
        self.blocks: list[tuple[np.ndarray, ...]] = []
        self._scalars()
        for index in np.flatnonzero(self.kinds.special):
            self._special(int(index))

    def _new(self, count: int) -> np.ndarray:
        self.count += count
        return np.arange(self.count - count, self.count)

    def of(self, index: int) -> np.ndarray:
        """The places of a node's entries, in its shape."""
        if index in self.arrays:
            return self.arrays[index]
        places: np.ndarray = self.place[index].reshape(self.graph.types[index].shape)
        return places

    def _constant(self, array: np.ndarray) -> int:
        bits = array.tobytes() + array.dtype.char.encode()
        if bits not in self.known:
            self.known[bits] = int(self._new(1)[0])
            self.constants.append((self.known[bits], array))
        return self.known[bits]

    def _scalars(self) -> None:
        """Elementwise nodes of one entry, all at once."""
        nodes = np.flatnonzero(self.kinds.plain)
        self.place[nodes] = self._new(len(nodes))
        for index in np.flatnonzero(self.kinds.number):
            value: Any = self.graph.nodes[index].params[-1][1]
            self.place[index] = self._constant(value.array)

    def _special(self, index: int) -> None:
        """Inputs, arrays and moves: one after the other."""
        node, kind = self.graph.nodes[index], self.graph.types[index]
        if node.row is INPUT:
            found = self._new(int(kind.size)).reshape(kind.shape)
        elif node.row in (fill, constant):
            found = self._array(node.row.numpy(**dict(node.params)))
        elif node.row.name == "gather":
            positions: Any = self.graph.nodes[node.operands[1]]
            found = np.take(self.of(node.operands[0]), _literal(positions))[()]
        elif node.row.name in MOVES:
            found = np.asarray(node.row.numpy(*map(self.of, node.operands), **dict(node.params)))
        elif node.row.name == "sum":
            found = self._sum(index, node)
        else:
            found = self._new(int(kind.size)).reshape(kind.shape)
            self._block(index, index, found, [self.of(i) for i in node.operands])
        self.arrays[index] = found
        if kind.size == 1:
            self.place[index] = found.reshape(-1)[0]

    def _array(self, values: Any) -> np.ndarray:
        flat = [self._constant(v) for v in np.asarray(values).reshape(-1)]
        return np.array(flat, np.int64).reshape(np.shape(values))

    def _block(
        self, index: int, node: int, result: np.ndarray, operands: Sequence[np.ndarray]
    ) -> None:
        """One instruction an entry: the operation of `node`, at the time of node `index`."""
        columns = np.zeros((result.size, 3), np.int64)
        for k, places in enumerate(operands):
            columns[:, k] = places.reshape(-1)
        nodes = np.full((2, result.size), [[index], [node]])
        self.blocks.append((*nodes, result.reshape(-1), columns))

    def _sum(self, index: int, node: Node) -> np.ndarray:
        """A sum as additions, in the order of `calcbench.lower.reductions`."""
        axes: Any = dict(node.params)["axes"]
        operand = self.of(node.operands[0])
        kept = [a for a in range(operand.ndim) if a not in axes]
        shape = [operand.shape[a] for a in kept]
        rows = operand.transpose([*kept, *sorted(axes)]).reshape(int(np.prod(shape)), -1)
        return np.array([self._added(index, row) for row in rows], np.int64).reshape(shape)

    def _added(self, index: int, terms: np.ndarray) -> int:
        """The place of the sum of one row."""
        blocks = [self._lanes(index, terms[at : at + BLOCK]) for at in range(0, len(terms), BLOCK)]
        while len(blocks) > 1:
            pairs = [self._plus(index, *blocks[k : k + 2]) for k in range(0, len(blocks), 2)]
            blocks = pairs
        return int(blocks[0]) if blocks else ZERO

    def _lanes(self, index: int, terms: np.ndarray) -> int:
        lanes = [self._chain(index, terms[k::LANES]) for k in range(LANES)]
        a, b, c, d, e, f, g, h = lanes

        def plus(first: Any, second: Any) -> Any:
            return self._plus(index, first, second)

        left, right = plus(plus(a, e), plus(c, g)), plus(plus(b, f), plus(d, h))
        return int(plus(left, right) or ZERO)

    def _chain(self, index: int, terms: np.ndarray) -> Any:
        total = None
        for term in terms:
            total = self._plus(index, total, int(term))
        return total

    def _plus(self, index: int, first: int | None = None, second: int | None = None) -> Any:
        """The place of first + second; a lane without terms holds -0.0, which adds nothing."""
        if first is None or second is None:
            return second if first is None else first
        result = self._new(1)
        self._block(index, len(self.graph) - 1, result, [np.array(first), np.array(second)])
        return int(result[0])

    # --- from nodes to steps ----------------------------------------------------------------------

    def _instructions(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Nodes, results and operands of all instructions, in the order of the nodes."""
        nodes = np.flatnonzero(self.kinds.plain)
        columns = np.zeros((len(nodes), 3), np.int64)
        for k in range(3):
            has = self.kinds.arity[nodes] > k
            columns[has, k] = self.place[self.kinds.flat[self.kinds.starts[nodes[has]] + k]]
        blocks = [(nodes, nodes, self.place[nodes], columns), *self.blocks]
        time, node, result, operands = (np.concatenate(part) for part in zip(*blocks, strict=True))
        if self.blocks:
            order = np.argsort(time, kind="stable")
            node, result, operands = node[order], result[order], operands[order]
        return node, result, operands

    def result(self, wanted: Sequence[int]) -> Straight:
        """Everything put together."""
        graph = self.graph
        node, result, operands = self._instructions()
        varied = np.zeros(self.count, np.bool_)
        for position in wanted:
            varied[self.of(graph.inputs[position]).reshape(-1)] = True
        active = np.zeros(len(node), np.int64)
        load(_PASSES).spread(result, operands, self.kinds.carries[node], varied, active)
        active &= self.kinds.floats[node]
        steps, step = self._steps(node, operands, active)
        varied = np.concatenate([varied, np.zeros(self.count - len(varied), np.bool_)])
        inputs, outputs = ([self.of(i) for i in ids] for ids in (graph.inputs, graph.outputs))
        return Straight(
            step, result, operands, active, steps, self.constants, inputs, outputs, varied
        )

    def _steps(
        self, node: np.ndarray, operands: np.ndarray, active: np.ndarray
    ) -> tuple[list[Step], np.ndarray]:
        """The step of each instruction; numbers that steps read are written into `operands`."""
        maker = StepMaker(self.graph, self.vectorised)
        numbers: dict[Step, int] = {}
        keys = self.kinds.group[node] * 8 + np.where(self.kinds.exact[node], active, active > 0)
        _, first, group = np.unique(keys, return_index=True, return_inverse=True)
        step_of_group = np.zeros(len(first), np.int64)
        step = np.zeros(len(node), np.int64)
        around = []
        for g, sample in enumerate(first):
            index = int(node[sample])
            made, looked = maker.of(index, self._bits(index, int(active[sample])))
            step_of_group[g] = numbers.setdefault(made.step, len(numbers))
            around += [g] if looked else []
        step[:] = step_of_group[group]
        for at in np.flatnonzero(np.isin(group, around)) if around else ():
            index = int(node[at])
            made = maker.like(index, self._bits(index, int(active[at])))
            step[at] = numbers.setdefault(made.step, len(numbers))
            for k, number in enumerate(made.numbers, len(made.step.operands)):
                operands[at, k] = self._constant(number)
        return list(numbers), step

    def _bits(self, index: int, active: int) -> tuple[bool, ...]:
        """Which operands the step differentiates: those that vary, or all, as the row asks."""
        types = [self.graph.types[i] for i in self.graph.nodes[index].operands]
        if active and not self.kinds.exact[index]:
            return tuple(t.is_float for t in types)
        return tuple(bool(active >> k & 1) for k in range(len(types)))


def _with_addition(graph: Graph) -> Graph:
    """The graph and one node more, whose operation is that of all additions in sums."""
    sums = [i for i, node in enumerate(graph.nodes) if node.row.name == "sum"]
    if not sums:
        return graph
    nodes = (*graph.nodes, Node(add, (sums[0], sums[0])))
    types = (*graph.types, ArrayType((), graph.types[sums[0]].dtype))
    return replace(graph, nodes=nodes, types=types, origins=(*graph.origins, None))


def _literal(node: Node) -> Any:
    return node.row.numpy(**dict(node.params))


_PASSES = '''
@jit
def spread(result, operands, carries, varied, active):
    """Which results vary, upward: `varied` by place, `active` by instruction as bits."""
    for n in range(len(result)):
        bits = 0
        for k in range(3):
            if varied[operands[n, k]]:
                bits |= 1 << k
        if carries[n] and bits:
            varied[result[n]] = True
            active[n] = bits

'''
