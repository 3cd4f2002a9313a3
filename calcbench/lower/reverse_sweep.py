"""The reverse sweep: values upward, cotangents downward, no graph of the derivative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.lower.compiler import check_process, load
from calcbench.lower.memory import MemoryPlan
from calcbench.lower.sweep_code import PASSES, RECORD, Sweep, Words, operations, run, shares_of
from calcbench.lower.sweep_texts import downward, upward


# -0.0, twice over for float32: what adding to leaves every number as it is.
_NEUTRAL = {"float64": 1 << 63, "float32": 1 << 31}


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
        self.image = self.image_of(count, np.arange(count))
        self.neutral = np.full(count, _NEUTRAL[self.dtype.name], np.uint64).view(np.int64)
        self.seeds = [self.code.outputs[n] for n in self.floats]
        self.words, self.reached = self._encoded()
        self.memory = MemoryPlan(
            arena=8 * count,
            workspace=8 * count + (count if self.masked else 1),
            outputs=self.result_bytes(),
            program=self.words.nbytes + 16 * count,
        )

    def _encoded(self) -> tuple[np.ndarray, np.ndarray]:
        """The instructions, and which places a result depends on by a derivative."""
        code = self.code
        targets, there, varied = shares_of(code, self.wanted)
        reached = np.zeros(len(varied), np.bool_)
        for places in self.seeds:
            reached[places.reshape(-1)] = True
        alive = load(PASSES).reach(code.result, targets, there > 0, reached)
        words = np.zeros((len(code.step), RECORD), np.uint32)
        words[:, 0] = operations(self.up, code.steps, code.step, True)
        words[:, 1], words[:, 2:5], words[:, 5:7] = code.result, code.operands, targets
        words[:, 7] = operations(self.down, code.steps, code.step, False) * alive
        return words.reshape(-1), reached & varied

    def __call__(self, inputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """The outputs, then the cotangent of each wanted input.

        `inputs` have exactly the graph's types, `cotangents` those of its float outputs.

        Raises
        ------
        GuardMiss
            If the inputs do not take the recorded path.
        """
        check_process()
        words = Words(self.image.copy())
        self.load_inputs(words, self.code.inputs, inputs)
        run(self.up, self.words, False, *words.views)
        outputs = self.read_outputs(words, self.code.outputs)
        passed = Words(self.neutral.copy())
        live = np.zeros(len(self.neutral) if self.masked else 1, np.uint8)
        own = passed.of(self.dtype)
        for places, cotangent in zip(self.seeds, cotangents, strict=True):
            np.add.at(own, places, cotangent)
            live[places if self.masked else 0] = 1
        run(self.down, self.words, True, *words.views, *passed.views[:2], live)
        targets = [self.code.inputs[p] for p in self.wanted]
        return [
            *outputs,
            *[np.where(self.reached[t], own[t], own.dtype.type(0))[()] for t in targets],
        ]
