"""A transformed graph run in many directions: as lanes of one sweep where that keeps every bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from calcbench.delegation import on_engine
from calcbench.graph.batching import batched
from calcbench.graph.evaluation import Plan, check_guards
from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import peak_bytes, value_lifetimes
from calcbench.graph.nodes import INPUT, Row
from calcbench.programs import Program


# Bytes that the lanes of a sweep hold at once, by the lifetimes of its values. Where arrays are
# small, a call per operation costs more than its numbers do: more lanes are better. What leaves the
# second-level cache is read more slowly: not better for ever. Measured on NumPy, chains of ten
# operations: 300 directions of 300 entries take 9 ms in lanes that fit and 115 ms one by one; 200
# of 3000 entries 108 ms in lanes that fit, 146 ms one by one and 177 ms all at once.
MOST_BYTES = 2**20
MOST_RUNNERS = 8
# Rows whose lanes have the bits of one direction alone: what BLAS and LAPACK do to a matrix of
# lanes and to one vector differs in the last place.
EXACT_ROWS = frozenset(["concatenate", "convert", "cumsum", "scatter_add", "sum"])

Runner = Callable[[Sequence[Any], Sequence[np.ndarray]], list[Any]]


class LaneChoice(NamedTuple):
    """How many directions go through one sweep together, and why; printed, a sentence.

    Attributes
    ----------
    directions : int
        How many are asked for.
    together : int
        How many are lanes of one sweep.
    each : int
        Bytes that one direction holds at once in a sweep: what depends on it, counted.
    most : int
        Bytes that all lanes of a sweep may hold together.
    is_exact : bool
        Whether every lane has the bits of a sweep of its own.
    """

    directions: int
    together: int
    each: int
    most: int
    is_exact: bool

    @property
    def sweeps(self) -> int:
        """How many sweeps follow one another."""
        return -(-self.directions // self.together)

    def __str__(self) -> str:
        return (
            f"{self.together} of {self.directions} directions together, {self.sweeps} "
            f"{'sweep' if self.sweeps == 1 else 'sweeps'}: {self._why()}"
        )

    def _why(self) -> str:
        if not self.is_exact:
            return (
                "a matrix product or factorisation of several directions at once would round "
                "differently from one by one"
            )
        fits = "fit in" if self.together * self.each <= self.most else "exceed even alone"
        return f"{self.together} x {self.each} bytes held at once {fits} {self.most} bytes of cache"


class ManySweeps:
    """A program swept in several directions; the first `fixed` outputs are the same for all."""

    def __init__(self, program: Program, fixed: int) -> None:
        self.program = program
        self.fixed = fixed
        self.is_exact = _is_exact(program.graph, program.seeds)
        self.each = _bytes_of_lane(program.graph, program.seeds)
        self.runners: dict[tuple[int, str], Runner] = {}

    def choice(self, directions: int) -> LaneChoice:
        """All directions together if their values fit, or equal parts of them."""
        most = max(MOST_BYTES // max(self.each, 1), 1) if self.is_exact else 1
        parts = -(-directions // most)
        return LaneChoice(directions, -(-directions // parts), self.each, MOST_BYTES, self.is_exact)

    def lanes(self, directions: int) -> int:
        """How many directions go together."""
        return self.choice(directions).together

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
    return all(map(_keeps_bits, (graph.nodes[i].row for i in _of_seeds(graph, seeds))))


def _keeps_bits(row: Row) -> bool:
    return (
        row is INPUT
        or row.scalar is not None
        or row.name in EXACT_ROWS
        or "structural" in row.facts
    )


def _bytes_of_lane(graph: Graph, seeds: int) -> int:
    """The most bytes at once of the values that depend on a seed."""
    return peak_bytes(value_lifetimes(graph, _of_seeds(graph, seeds)))


def _of_seeds(graph: Graph, seeds: int) -> list[int]:
    """The seeds, and the nodes that depend on one."""
    reached = set(graph.inputs[len(graph.inputs) - seeds :])
    for index, node in enumerate(graph.nodes):
        if not reached.isdisjoint(node.operands):
            reached.add(index)
    return sorted(reached)
