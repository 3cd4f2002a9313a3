"""The forward sweep: values and tangents in one pass, in memory that is used again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.graph.evaluation import check_guards
from calcbench.graph.ir import Graph
from calcbench.lower.compiler import check_process, load
from calcbench.lower.memory import MemoryPlan, check_free
from calcbench.lower.sweep_code import PASSES, RECORD, Loop, Sweep, Words, operations, shares_of
from calcbench.lower.sweep_texts import pushing


class ForwardSweep(Sweep):
    """Values and tangents together; a place is free again after its last reader.

    Attributes
    ----------
    graph : Graph
        The function, as recorded: no graph of its derivative is made.
    source : str
    """

    def __init__(self, graph: Graph, wanted: Sequence[int], vectorised: bool = True) -> None:
        super().__init__(graph, wanted, vectorised)
        self.kernel = pushing(self.known, self.dtype.name, self.masked)
        self.source = self.kernel.source
        self.place, self.tangents, self.count = self._placed()
        self.constants = self.constants_at(self.place)
        self.inputs = [self.place[p] for p in self.code.inputs]
        self.outputs = [self.place[p] for p in self.code.outputs]
        code = self.code
        targets, there, self.varied = shares_of(code, wanted)
        words = np.zeros((len(code.step), RECORD), np.uint32)
        words[:, 0] = operations(self.kernel, code.steps, code.step, True)
        words[:, 1], words[:, 2:5] = self.place[code.result], self.place[code.operands]
        words[:, 5:7], words[:, 7] = self.place[targets], there
        self.words = words.reshape(-1)
        self._loop = Loop(self.kernel, self.words)
        self._inputs = self.cells(graph.inputs, self.inputs)
        self._outputs = self.cells(self.whole.outputs, self.outputs)

    def _placed(self) -> tuple[np.ndarray, int, int]:
        """New places, of which the first have tangents: wanted inputs, and results in turn."""
        code = self.code
        place = np.full(len(code.varied), -1, np.int64)
        wanted = [code.inputs[p].reshape(-1) for p in self.wanted]
        first = np.concatenate([*wanted, np.zeros(0, np.int64)])
        place[first] = np.arange(len(first))
        kept = np.concatenate([*[p.reshape(-1) for p in code.outputs], np.zeros(0, np.int64)])
        free = len(first)
        tangents = int(load(PASSES).allocate(code.result, code.operands, kept, place, free))
        rest = np.flatnonzero(place < 0)
        place[rest] = np.arange(tangents, tangents + len(rest))
        return place, tangents, tangents + len(rest)

    def memory(self, directions: int) -> MemoryPlan:
        """Bytes of a sweep with so many tangents at once."""
        return MemoryPlan(
            arena=8 * self.count,
            workspace=8 * self.tangents * directions + (self.count if self.masked else 1),
            outputs=self.bytes_of(self.graph.outputs) * (1 + directions),
            program=self.words.nbytes,
        )

    def __call__(self, inputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The outputs, then the tangents of each float output, with the directions' axis in front.

        `inputs` have exactly the graph's types, `tangents` those of the wanted inputs and one axis
        more in front.

        Raises
        ------
        GuardMiss
            If the inputs do not take the recorded path.
        """
        check_process()
        count = len(tangents[0]) if tangents else 1
        check_free(self.memory(count), self.graph)
        words = self.values(self.count)
        for cells, value in zip(self._inputs, inputs, strict=True):
            cells.write(words, value)
        pushed = Words(self.tangents * count)
        live = np.zeros(self.count if self.masked else 1, np.uint8)
        own = pushed.of(self.dtype).reshape(self.tangents, count)
        for position, tangent in zip(self.wanted, tangents, strict=True):
            where = self.inputs[position]
            own[where] = np.moveaxis(tangent, 0, -1)
            live[where if self.masked else 0] = 1
        memory = (*words.views, *pushed.views[:2], live)
        self._loop.upward(count, *memory, work=count)
        outputs = [cells.read(words) for cells in self._outputs]
        check_guards(self.expected, outputs[len(self.graph.outputs) :])
        return [*outputs[: len(self.graph.outputs)], *[self._tangent(own, n) for n in self.floats]]

    def _tangent(self, own: np.ndarray, output: int) -> np.ndarray:
        varied = self.varied[self.code.outputs[output]]
        if not len(own):
            return np.zeros((own.shape[1], *varied.shape), own.dtype)
        found = np.take(own, np.where(varied, self.outputs[output], 0), axis=0)
        found[~varied] = 0
        return np.moveaxis(found, -1, 0)
