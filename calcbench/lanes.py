"""Many points through one recorded path: blocks of lanes over the cores, or threads of a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.batching import batched
from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import peak_bytes, value_lifetimes
from calcbench.lower.compiler import check_process
from calcbench.lower.cuda_arrays import on_host
from calcbench.lower.cuda_point_emission import misfit
from calcbench.lower.cuda_points import PointProgram, prepare_cuda_points
from calcbench.lower.engines import Options, Runner, check_runnable
from calcbench.lower.fused import FusedProgram, arena_bytes
from calcbench.lower.memory import check_budget
from calcbench.lower.rooms import room_for
from calcbench.lower.workers import run_ranges, split


CACHE_BYTES = 1 << 19  # what the values in between of one block may take: they stay in the cache
WIDTHS = (16, 16384)


class Points(NamedTuple):
    """The arguments of many points: arrays whose first axis is the point, and what all share.

    Arrays may lie on a device.
    """

    arrays: list[Any]
    shared: list[Any]

    @property
    def size(self) -> int:
        """How many points there are."""
        return len(self.arrays[0])

    def only(self, rows: np.ndarray) -> Points:
        """Some of the points."""
        return Points([on_host(a)[rows] for a in self.arrays], self.shared)


class LaneProgram:
    """A graph of one point, compiled for many.

    On a CUDA device one thread takes one point, unless `misfit` says why it cannot; else, and on
    the CPU, the graph of a block of points is run.
    """

    def __init__(self, graph: Graph, options: Options) -> None:
        self.graph = graph
        self.options = options
        self.runners: dict[int, Runner] = {}
        self.held: int | None = None  # bytes of a point between the loops of the fused engine
        self.threads: dict[int, PointProgram] = {}
        self.by_point = options.engine == "cuda" and not self._misfit()

    def _misfit(self) -> str | None:
        check_runnable(self.graph, self.options.engine)
        return misfit(self.graph)

    def runner(self, width: int, shared: int) -> Runner:
        """The program for blocks of `width` points, whose last `shared` inputs are common."""
        if width not in self.runners:
            count = len(self.graph.inputs)
            wide = batched(self.graph, width, range(count - shared, count))
            self.runners[width] = Runner(wide, self.options)
        return self.runners[width]

    def width(self, count: int) -> int:
        """How many points make a block, if there are `count`."""
        if self.options.engine != "fused":
            return block_width(self.graph, count)
        if self.held is None:
            self.held = arena_bytes(batched(self.graph, WIDTHS[0])) // WIDTHS[0]
        return fitting_width(self.held, count)

    def results(self, count: int) -> list[np.ndarray]:
        """Room for the results of `count` points."""
        kinds = [self.graph.types[i] for i in self.graph.outputs]
        return [room_for((count, *k.shape), k.dtype) for k in kinds]

    def run(self, points: Points) -> tuple[Sequence[np.ndarray], np.ndarray]:
        """The results of all points, and for each whether it takes the recorded path."""
        if not points.size:
            return self.results(0), np.zeros(0, bool)
        if self.by_point:
            return self._on_device(points)
        check_process()
        results = self.results(points.size)
        points = Points([on_host(a) for a in points.arrays], points.shared)
        return results, self._by_blocks(points, results)

    def _on_device(self, points: Points) -> tuple[Sequence[np.ndarray], np.ndarray]:
        check_process()
        shared = len(points.shared)
        if shared not in self.threads:
            self.threads[shared] = prepare_cuda_points(self.graph, shared)
        program = self.threads[shared]
        if self.options.memory_limit is not None:
            check_budget(program.memory(points.size), self.options.memory_limit, self.graph)
        values, done = program([*points.arrays, *points.shared], points.size)
        return values, done

    def _by_blocks(self, points: Points, results: Sequence[np.ndarray]) -> np.ndarray:
        width = self.width(points.size)
        runner = self.runner(width, len(points.shared))
        done = np.zeros(points.size, bool)
        blocks = -(-points.size // width)

        def compute(low: int, high: int) -> None:
            for block in range(low, high):
                part = slice(block * width, min((block + 1) * width, points.size))
                self._block(runner, points, part, width, results, done)

        run_ranges(compute, split(blocks, 1))
        return done

    def _block(
        self,
        runner: Runner,
        points: Points,
        part: slice,
        width: int,
        results: Sequence[np.ndarray],
        done: np.ndarray,
    ) -> None:
        values = [*[padded(a[part], width) for a in points.arrays], *points.shared]
        program = in_place(runner) if part.stop - part.start == width else None
        try:
            if program is None:
                computed = runner(values)
            else:
                computed = program(values, [result[part] for result in results])
        except Exception:
            if part.stop - part.start == 1 and not self.graph.guards:
                raise
            self._halves(runner, points, part, width, results, done)
            return
        count = part.stop - part.start
        if program is None:
            for result, value in zip(results, computed, strict=False):
                result[part] = value[:count]
        done[part] = on_path(self.graph, computed[len(results) :], count)

    def _halves(self, runner: Runner, points: Points, part: slice, *rest: Any) -> None:
        """After an error: the points that cause it may not belong to this path."""
        middle = (part.start + part.stop) // 2
        for half in (slice(part.start, middle), slice(middle, part.stop)):
            if half.stop > half.start and part.stop - part.start > 1:
                self._block(runner, points, half, *rest)


def block_width(graph: Graph, count: int) -> int:
    """How many points make a block, where every value in between is an array."""
    return fitting_width(peak_bytes(value_lifetimes(graph)), count)


def fitting_width(held: int, count: int) -> int:
    """A power of two, so that few widths are compiled; `held` are the bytes of one point."""
    low, high = WIDTHS
    fitting = 1 << max(0, (CACHE_BYTES // max(held, 1)).bit_length() - 1)
    needed = 1 << max(0, (count - 1).bit_length())
    return max(low, min(high, fitting, needed))


def in_place(runner: Runner) -> FusedProgram | None:
    """The program that can write into given arrays, if the runner runs one that needs no check."""
    executable = getattr(runner.executable, "current", runner.executable)
    return executable if isinstance(executable, FusedProgram) and not runner.is_large else None


def padded(points: np.ndarray, width: int) -> np.ndarray:
    """Contiguous points, the last one repeated until there are `width`."""
    missing = width - len(points)
    if missing:
        points = np.concatenate([points, np.repeat(points[-1:], missing, axis=0)])
    return np.ascontiguousarray(points)


def on_path(graph: Graph, values: Sequence[Any], count: int) -> np.ndarray:
    """For each point whether every guard holds."""
    holds = np.ones(count, bool)
    for guard, value in zip(graph.guards, values, strict=True):
        same = value[:count] == guard.expected.array
        holds &= same.reshape(count, -1).all(axis=1)
    return holds
