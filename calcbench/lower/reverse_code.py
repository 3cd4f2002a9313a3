"""The reverse sweep: values upward, cotangents downward, no graph of the derivative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.graph.evaluation import check_guards
from calcbench.graph.ir import Graph
from calcbench.lower.compiler import check_process, load
from calcbench.lower.memory import MemoryPlan, check_free
from calcbench.lower.sweep_code import (
    PASSES,
    RECORD,
    SPARE,
    Cells,
    Loop,
    Sweep,
    Words,
    operations,
    shares_of,
)
from calcbench.lower.sweep_texts import downward, upward


# -0.0, twice over for float32: what adding to leaves every number as it is.
_NEUTRAL = {"float64": -1 << 63, "float32": 1 << 31}


class ReverseSweep(Sweep):
    """Values upward, then cotangents downward; memory grows with the number of operations.

    Attributes
    ----------
    graph : Graph
        The function, as recorded: no graph of its derivative is made.
    memory : MemoryPlan
    source : str
    """

    def __init__(self, graph: Graph, wanted: Sequence[int], vectorised: bool = True) -> None:
        super().__init__(graph, wanted, vectorised)
        self.up = upward(self.known, self.dtype.name)
        self.down = downward(self.known, self.dtype.name, self.masked)
        self.source = f"{self.up.source}\n{self.down.source}"
        count = len(self.code.varied)
        self.constants = self.constants_at(np.arange(count))
        self.seeds = [self.code.outputs[n] for n in self.floats]
        self.words, self.reached = self._encoded()
        self.memory = MemoryPlan(
            arena=8 * count,
            workspace=8 * count + (count if self.masked else 1),
            outputs=self.bytes_of(graph.outputs) + self.bytes_of(graph.inputs[p] for p in wanted),
            program=self.words.nbytes,
        )
        self._up, self._down = Loop(self.up, self.words), Loop(self.down, self.words)
        self._inputs = self.cells(graph.inputs, self.code.inputs)
        self._outputs = self.cells(self.whole.outputs, self.code.outputs)
        targets = [self.code.inputs[p] for p in self.wanted]
        self._targets = [Cells(t, self.dtype) for t in targets]
        self._missed = [None if self.reached[t].all() else ~self.reached[t] for t in targets]
        self._seeds = self._distinct_seeds()

    def _encoded(self) -> tuple[np.ndarray, np.ndarray]:
        """The instructions, and which places a result depends on by a derivative."""
        code = self.code
        targets, there, varied = shares_of(code, self.wanted)
        reached = np.zeros(len(varied), np.bool_)
        for places in self.seeds:
            reached[places.reshape(-1)] = True
        alive = load(PASSES).reach(code.result, targets, there > 0, reached)
        words = np.zeros((len(code.step), RECORD), np.uint32)
        words[:, 0] = operations(self.up, [s.plain for s in code.steps], code.step, True)
        words[:, 1], words[:, 2:5], words[:, 5:7] = code.result, code.operands, targets
        words[:, 7] = operations(self.down, code.steps, code.step, alive)
        return words.reshape(-1), reached & varied

    def _distinct_seeds(self) -> list[Cells] | None:
        """Where cotangents of results are stored; None if a place has two, which add up."""
        flat = np.concatenate([np.zeros(0, np.int64), *[p.reshape(-1) for p in self.seeds]])
        if len(np.unique(flat)) < len(flat):
            return None
        return [Cells(p, self.dtype) for p in self.seeds]

    def __call__(self, inputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """The outputs, then the cotangent of each wanted input.

        `inputs` have exactly the graph's types, `cotangents` those of its float outputs.

        Raises
        ------
        GuardMiss
            If the inputs do not take the recorded path.
        """
        check_process()
        check_free(self.memory, self.graph)
        room = self._free_room()
        words, passed, live = room
        for cells, value in zip(self._inputs, inputs, strict=True):
            cells.write(words, value)
        self._up.upward(*words.views)
        outputs = [cells.read(words) for cells in self._outputs]
        check_guards(self.expected, outputs[len(self.graph.outputs) :])
        passed.words.fill(_NEUTRAL[self.dtype.name])
        self._seed(passed, live, cotangents)
        self._down.downward(*words.views, *passed.views[:2], live)
        found = [self._taken(n, passed) for n in range(len(self._targets))]
        if self.memory.peak <= SPARE:
            self.idle.append(room)
        return [*outputs[: len(self.graph.outputs)], *found]

    def _free_room(self) -> tuple[Words, Words, np.ndarray]:
        """Memory of a finished run, or new: other threads take from the same list."""
        try:
            return self.idle.pop()  # type: ignore[no-any-return]
        except IndexError:
            return self._room()

    def _room(self) -> tuple[Words, Words, np.ndarray]:
        count = len(self.code.varied)
        live = np.zeros(count if self.masked else 1, np.uint8)
        return self.values(count), Words(count), live

    def _seed(self, passed: Words, live: np.ndarray, cotangents: Sequence[Any]) -> None:
        if self._seeds is None:
            for places, cotangent in zip(self.seeds, cotangents, strict=True):
                np.add.at(passed.of(self.dtype), places, cotangent)
        else:
            for cells, cotangent in zip(self._seeds, cotangents, strict=True):
                cells.write(passed, cotangent)
        if self.masked:
            live[:] = 0
            for places in self.seeds:
                live[places] = 1

    def _taken(self, target: int, passed: Words) -> Any:
        """The cotangent of a wanted input: exactly 0 where no result depends on it."""
        found, missed = self._targets[target].read(passed), self._missed[target]
        if missed is None:
            return found
        return np.where(missed, self.dtype.type(0), found)[()]
