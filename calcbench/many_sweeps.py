"""A transformed graph run in many directions: as lanes of one sweep where that keeps every bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from calcbench.delegation import on_engine
from calcbench.graph.batching import batched
from calcbench.graph.evaluation import Plan, check_guards
from calcbench.graph.ir import Graph
from calcbench.programs import Program


# Numbers in the lanes of the largest value: where arrays are small, a call per operation costs more
# than its numbers do; beyond this, lanes only leave the caches. Measured on NumPy with Hessians of
# chains: 16 directions at once take a fifth of the time of 16 sweeps at 100 entries, a third at
# 1000, and as long from 10,000 on.
MOST_NUMBERS = 2**15
MOST_RUNNERS = 8
# Rows whose lanes have the bits of one direction alone: what BLAS and LAPACK do to a matrix of
# lanes and to one vector differs in the last place.
EXACT_ROWS = frozenset(["concatenate", "convert", "cumsum", "scatter_add", "sum"])

Runner = Callable[[Sequence[Any], Sequence[np.ndarray]], list[Any]]


class ManySweeps:
    """A program swept in several directions; the first `fixed` outputs are the same for all."""

    def __init__(self, program: Program, fixed: int) -> None:
        self.program = program
        self.fixed = fixed
        self.is_exact = _is_exact(program.graph, program.seeds)
        self.largest = max((int(t.size) for t in program.graph.types), default=1)
        self.runners: dict[tuple[int, str], Runner] = {}

    def lanes(self, directions: int) -> int:
        """How many directions go together: all, if they are cheap, or equal parts."""
        most = max(MOST_NUMBERS // max(self.largest, 1), 1) if self.is_exact else 1
        parts = -(-directions // most)
        return -(-directions // parts)

    def __call__(
        self, inputs: Sequence[Any], seeds: Sequence[np.ndarray], engine: str
    ) -> tuple[list[Any], list[np.ndarray]]:
        """The fixed outputs, and the others with the axis of directions in front."""
        directions = len(seeds[0])
        lanes = self.lanes(directions)
        run = self._runner(lanes, engine)
        found = run(inputs, [_filled(s, -(-directions // lanes) * lanes) for s in seeds])
        return found[: self.fixed], [r[:directions] for r in found[self.fixed :]]

    def _runner(self, lanes: int, engine: str) -> Runner:
        known = self.runners.pop((lanes, engine), None)
        made = self._make(lanes, engine) if known is None else known
        self.runners[lanes, engine] = made
        while len(self.runners) > MOST_RUNNERS:
            self.runners.pop(next(iter(self.runners)), None)
        return made

    def _make(self, lanes: int, engine: str) -> Runner:
        graph, shared = self.program.graph, range(len(self.program.graph.inputs))
        kept = shared[: len(shared) - self.program.seeds]
        wide = batched(graph, lanes, kept) if lanes > 1 else graph
        expected = [guard.expected.array for guard in graph.guards] if lanes > 1 else []
        start = _started(wide, len(kept), engine)

        def run(inputs: Sequence[Any], seeds: Sequence[np.ndarray]) -> list[Any]:
            sweep, parts = start(inputs), []
            for first in range(0, len(seeds[0]), lanes):
                part = [s[first] if lanes == 1 else s[first : first + lanes] for s in seeds]
                results = sweep(part)
                check_guards(expected, [r[0] for r in results[len(graph.outputs) :]])
                parts.append(results[: len(graph.outputs)])
            return self._joined(parts, lanes)

        return run

    def _joined(self, parts: list[Sequence[Any]], lanes: int) -> list[Any]:
        fixed = [r if lanes == 1 else np.array(r[0])[()] for r in parts[0][: self.fixed]]
        join = np.stack if lanes == 1 else np.concatenate
        return [*fixed, *[join(same) for same in list(zip(*parts, strict=True))[self.fixed :]]]


def _started(graph: Graph, kept: int, engine: str) -> Callable[..., Any]:
    """inputs -> (seeds -> outputs); NumPy runs what does not depend on seeds once."""
    if engine == "numpy":
        plan = Plan(graph, range(kept, len(graph.inputs)))

        def start(inputs: Sequence[Any]) -> Callable[..., Any]:
            state = plan.start(inputs)
            return lambda seeds: plan.finish(state, seeds)

        return start
    program: Any = on_engine(graph, engine)  # type: ignore[arg-type]
    is_single = len(graph.outputs) == 1

    def begin(inputs: Sequence[Any]) -> Callable[..., Any]:
        return lambda seeds: [program(*inputs, *seeds)] if is_single else program(*inputs, *seeds)

    return begin


def _filled(seeds: np.ndarray, count: int) -> np.ndarray:
    """With directions of zeros behind, so that all parts are of one size."""
    if len(seeds) == count:
        return seeds
    return np.concatenate([seeds, np.zeros((count - len(seeds), *seeds.shape[1:]), seeds.dtype)])


def _is_exact(graph: Graph, seeds: int) -> bool:
    """Whether all rows that read what depends on a seed keep the bits of lanes."""
    reached = set(graph.inputs[len(graph.inputs) - seeds :])
    for index, node in enumerate(graph.nodes):
        if not reached.isdisjoint(node.operands):
            row = node.row
            if row.scalar is None and row.name not in EXACT_ROWS and "structural" not in row.facts:
                return False
            reached.add(index)
    return True
