"""The two sweeps of programs on arrays: the transformed graphs, on the tape.

Direct sweeps take one entry at a time. A program that works on whole arrays runs faster with an
instruction per array, and that is what the tape does with the graph of the derivative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.forward_mode.interleaving import interleaved_jvp
from calcbench.graph.batching import batched
from calcbench.graph.evaluation import check_guards
from calcbench.graph.ir import Graph
from calcbench.lower.engines import Options, Runner
from calcbench.reverse_mode.pullback import vjp_graph


class TransformedReverse:
    """As `calcbench.lower.reverse_code.ReverseSweep`."""

    def __init__(self, graph: Graph, wanted: Sequence[int]) -> None:
        self.graph = graph
        self._runner = Runner(vjp_graph(graph, wanted), Options("tape"))
        self.memory = self._runner.executable.memory
        self.source = self._runner.executable.source

    def __call__(self, inputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """The outputs, then the cotangent of each wanted input."""
        return list(self._runner([*inputs, *cotangents]))


class TransformedForward:
    """As `calcbench.lower.forward_code.ForwardSweep`; a graph for each number of directions.

    Tangents come beside their values, so that memory does not grow with the number of operations.
    """

    def __init__(self, graph: Graph, wanted: Sequence[int]) -> None:
        self.graph = graph
        self._pushed = interleaved_jvp(graph, wanted)
        self._runners: dict[int, Runner] = {}

    def _runner(self, directions: int) -> Runner:
        if directions not in self._runners:
            self._runners[directions] = Runner(self._wide(directions), Options("tape"))
        return self._runners[directions]

    def _wide(self, directions: int) -> Graph:
        """One direction needs no axis, for which values would be copied."""
        if directions == 1:
            return self._pushed
        return batched(self._pushed, directions, range(len(self.graph.inputs)))

    def memory(self, directions: int) -> Any:
        """Bytes of a sweep with so many tangents at once."""
        return self._runner(directions).executable.memory

    def __call__(self, inputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The outputs, then the tangents of each float output, the directions' axis in front."""
        directions, count = len(tangents[0]), len(self.graph.outputs)
        run = self._runner(directions)
        if directions == 1:
            results = run([*inputs, *[t[0] for t in tangents]])
            return [*results[:count], *[np.asarray(r)[None] for r in results[count:]]]
        results, end = run([*inputs, *tangents]), len(self._pushed.outputs)
        expected = [guard.expected.array for guard in self._pushed.guards]
        check_guards(expected, [r[0] for r in results[end:]])
        return [*[r[0] for r in results[:count]], *results[count:end]]
