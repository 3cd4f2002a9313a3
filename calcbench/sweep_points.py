"""What runs a direct sweep at many points of one path: cores, or threads of a CUDA device.

A sweep of straight-line code takes point by point. A program on whole arrays runs as its
transformed graph for many points, as ``cb.compile(...).batch`` runs graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.ir import Graph
from calcbench.lanes import LaneProgram, Points
from calcbench.lower.cuda_arrays import is_on_device
from calcbench.lower.cuda_row_copies import RowCopies
from calcbench.lower.cuda_runtime import Device
from calcbench.lower.cuda_sweeps import prepare_cuda_forward, prepare_cuda_reverse
from calcbench.lower.engines import Options
from calcbench.lower.forward_code import ForwardSweep
from calcbench.lower.reverse_code import ReverseSweep
from calcbench.lower.sweep_kinds import is_straight
from calcbench.lower.workers import run_ranges, split
from calcbench.reverse_mode.pullback import vjp_graph


Found = tuple[Sequence[Any], np.ndarray]  # results with the points' axis, and who is on the path


def forward_points(graph: Graph, wanted: Sequence[int], engine: str) -> Any:
    """What runs forward sweeps of a path at many points."""
    if not is_straight(graph):
        return PushedPoints(graph, wanted, engine)
    if engine == "cuda":
        return DevicePoints(prepare_cuda_forward(graph, wanted))
    return SweptPoints(ForwardSweep(graph, wanted))


def reverse_points(graph: Graph, wanted: Sequence[int], engine: str) -> Any:
    """What runs reverse sweeps of a path at many points."""
    if not is_straight(graph):
        return TransformedPoints(vjp_graph(graph, wanted), len(graph.inputs), engine)
    if engine == "cuda":
        return DevicePoints(prepare_cuda_reverse(graph, wanted))
    return SweptPoints(ReverseSweep(graph, wanted))


def _split(graph: Graph, points: Points) -> tuple[list[Any], list[Any]]:
    """The inputs of all points, and the seeds, which come after them."""
    own = len(graph.inputs) - len(points.shared)
    return points.arrays[:own], points.arrays[own:]


def _room(sweep: Any, seeds: Sequence[Any], count: int) -> list[np.ndarray]:
    """Arrays for the results of `count` points."""
    graph: Graph = sweep.graph
    if isinstance(sweep, ForwardSweep):
        kinds = [graph.types[i] for i in graph.outputs if graph.types[i].is_float]
        leading: tuple[int, ...] = (count, seeds[0].shape[1])
    else:
        kinds, leading = [graph.types[graph.inputs[p]] for p in sweep.wanted], (count,)
    values = [graph.types[i] for i in graph.outputs]
    return [
        *[np.empty((count, *k.shape), k.dtype) for k in values],
        *[np.empty((*leading, *k.shape), k.dtype) for k in kinds],
    ]


class SweptPoints:
    """A sweep of the CPU at one point after the other; threads share the points out.

    Every run of a sweep has memory of its own, and its kernels let go of the interpreter lock.
    """

    def __init__(self, sweep: Any) -> None:
        self.sweep = sweep

    def run(self, points: Points) -> Found:
        """The results of all points, and for each whether it takes the recorded path."""
        inputs, seeds = _split(self.sweep.graph, points)
        results = _room(self.sweep, seeds, points.size)
        done = np.zeros(points.size, bool)

        def compute(low: int, high: int) -> None:
            for k in range(low, high):
                try:
                    point = [*[a[k] for a in inputs], *points.shared]
                    found = self.sweep(point, [s[k] for s in seeds])
                except Exception:
                    if not self.sweep.graph.guards:
                        raise
                    continue  # a miss, or an error of a branch that is not this point's
                for result, value in zip(results, found, strict=True):
                    result[k] = value
                done[k] = True

        if points.size:
            run_ranges(compute, split(points.size, 1))
        return results, done


class DevicePoints:
    """A sweep of a CUDA device, one thread a point."""

    def __init__(self, program: Any) -> None:
        self.program = program

    def run(self, points: Points) -> Found:
        """As of `SweptPoints`."""
        inputs, seeds = _split(self.program.graph, points)
        if not points.size:
            return _room(self.program.sweep, seeds, 0), np.zeros(0, bool)
        # Captured arrays are read by every thread at its own point: straight code has small ones.
        same = [np.broadcast_to(v, (points.size, *np.shape(v))) for v in points.shared]
        values, derivatives, done = self.program([*inputs, *same], seeds, points.size)
        return [*values, *derivatives], done


def shared_last(graph: Graph, inputs: int, shared: int) -> Graph:
    """A transformed graph whose last inputs are what all points share, as `LaneProgram` wants it.

    Before, they are the last of the first `inputs`, which are those of the function.
    """
    ids, first = graph.inputs, inputs - shared
    return replace(graph, inputs=(*ids[:first], *ids[inputs:], *ids[first:inputs]))


class TransformedPoints:
    """The transformed graph of a program on whole arrays; `inputs` is how many the program has."""

    def __init__(self, graph: Graph, inputs: int, engine: str) -> None:
        self.graph, self.inputs, self.options = graph, inputs, Options(engine)
        self.programs: dict[int, LaneProgram] = {}

    def run(self, points: Points) -> Found:
        """As of `SweptPoints`."""
        shared = len(points.shared)
        if shared not in self.programs:
            graph = shared_last(self.graph, self.inputs, shared)
            self.programs[shared] = LaneProgram(graph, self.options)
        return self.programs[shared].run(points)


class PushedPoints:
    """The graph of the forward mode, for every point as many times as there are directions."""

    def __init__(self, graph: Graph, wanted: Sequence[int], engine: str) -> None:
        self.graph = graph
        self.pushed = TransformedPoints(jvp_graph(graph, wanted), len(graph.inputs), engine)

    @cached_property
    def _copies(self) -> RowCopies:
        return RowCopies(Device())

    @property
    def copies(self) -> RowCopies:
        """What repeats points that lie on a device; loaded when there are some."""
        self._copies.device.restart()  # nobody asks what was done before
        return self._copies

    def run(self, points: Points) -> Found:
        """As of `SweptPoints`."""
        inputs, seeds = _split(self.graph, points)
        count, directions = seeds[0].shape[:2]
        repeated = [self._repeated(a, directions) for a in inputs]
        flat = [s.reshape((count * directions, *s.shape[2:])) for s in seeds]
        results, done = self.pushed.run(Points([*repeated, *flat], points.shared))
        own = len(self.graph.outputs)
        values = [self._first(r, directions) for r in results[:own]]
        tangents = [r.reshape((count, directions, *r.shape[1:])) for r in results[own:]]
        return [*values, *tangents], np.asarray(done.reshape(count, directions).all(axis=1))

    def _repeated(self, array: Any, directions: int) -> Any:
        if is_on_device(array):
            return array if directions == 1 else self.copies.repeated(array, directions)
        return np.repeat(array, directions, axis=0)

    def _first(self, result: Any, directions: int) -> Any:
        """The value at each point, which is that of any direction."""
        if is_on_device(result):
            return result if directions == 1 else self.copies.first(result, directions)
        return result[::directions].copy()
