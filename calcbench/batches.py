"""A function at many points: points that take the same branches are run together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import RLock
from typing import Any, NamedTuple

import numpy as np

from calcbench.device_calls import Held, held_on_device, placed
from calcbench.graph.arraytype import GraphError, ShapeError
from calcbench.graph.environment import Environment
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Graph
from calcbench.graph.nodes import Guard
from calcbench.graph.paths import Arguments, Path, Paths, arguments_hold_values, prepare
from calcbench.graph.tracing import Trace, is_static
from calcbench.lanes import LaneProgram, Points
from calcbench.lower.cuda_arrays import is_on_device, on_host
from calcbench.lower.engines import Options
from calcbench.lower.rooms import room_for
from calcbench.programs import result_tree


class Batches:
    """A compiled function at many points."""

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        self.options = options
        self.groups = PathGroups(Paths(function, self._build, generic=False))

    def _build(self, graph: Graph, wanted: tuple[int, ...]) -> LaneProgram:
        return LaneProgram(graph, self.options)

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any], max_paths: int) -> Any:
        """All points, path by path."""
        held = Held({})
        if self.options.engine == "cuda":
            held, args, kwargs = held_on_device(args, kwargs)
        whole = prepare(args, kwargs, (), self.groups.paths.roots)
        trace, results = self.groups.run(Batch(whole, held), max_paths)
        return result_tree(trace, results)


class Batch(NamedTuple):
    """The arguments of many points, and what programs take beside them.

    Attributes
    ----------
    whole : Arguments
        With the points' axis in front of every array.
    held : Held
        The arguments that lie on a device.
    seeds : callable
        Tangents or cotangents for a recorded path, with the points' axis in front.
    """

    whole: Arguments
    held: Held
    seeds: Callable[[Trace], list[Any]] = lambda trace: []


class PathGroups:
    """The paths of a function that batches have taken, each with its program for many points.

    What `paths` builds has a method `run` as `LaneProgram`.
    """

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.known: dict[Any, list[Path]] = {}
        self.lock = RLock()

    def run(self, batch: Batch, max_paths: int) -> tuple[Trace, Sequence[Any]]:
        """What one of the paths recorded, and the results of all points in order."""
        call = _Call(self.paths, batch, batch_count(batch.whole), max_paths)
        for path in self._usable(batch.whole):
            call.take(path, is_new=False)
        while len(call.pending) or not call.used:
            call.take(self._record(call.point()), is_new=True)
        return call.used[0].path.trace, call.result()

    def _usable(self, whole: Arguments) -> list[Path]:
        with self.lock:
            known = self.known.get(_key(whole), [])
            known[:] = [p for p in known if p.environment.is_unchanged()]
            return list(known)

    def _record(self, point: Arguments) -> Path:
        """A new path; kept for later batches if a second recording says the same."""
        trace = self.paths.trace(point)
        program = self.paths.program(trace.graph, point)
        path = Path(trace, program, Environment(self.paths.function))
        again = self.paths.trace(point)
        if again.graph == trace.graph and not trace.mutated and not trace.isolated:
            with self.lock:
                self.known.setdefault(_key(point, 0), []).append(path)
        return path


def _key(arguments: Arguments, leading: int = 1) -> Any:
    """What the path of one point depends on besides values."""
    structure, kinds, wanted, convention = arguments.key
    each = tuple((k[0][leading:], k[1]) if isinstance(k, tuple) else k for k in kinds)
    return structure, each, wanted, convention


def batch_count(whole: Arguments) -> int:
    """How many points the arguments hold.

    Raises
    ------
    ShapeError
        If an argument has no leading axis, or they differ in length.
    """
    if arguments_hold_values(whole):
        raise GraphError("a batch runs on arrays, not on values being traced: call it outside")
    lengths = {}
    for name, leaf in zip(whole.names, whole.leaves, strict=True):
        if not is_static(leaf):
            if not np.shape(leaf):
                raise ShapeError(
                    f"argument {name} of a batch is one number, {leaf!r}; expected an array whose "
                    "first axis counts the points: np.full(n, value) repeats one"
                )
            lengths[name] = len(leaf)
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{name} has {n}" for name, n in lengths.items()) or "there is no array"
        raise ShapeError(f"the arguments of a batch must hold equally many points, but {told}")
    return next(iter(lengths.values()))


class _Use(NamedTuple):
    """A path, the points that took it, and their results."""

    path: Path
    rows: np.ndarray | range
    results: Sequence[np.ndarray]


class _Call:
    """One batch under way: which points are still to be computed."""

    def __init__(self, paths: Paths, batch: Batch, count: int, max_paths: int) -> None:
        self.paths = paths
        self.whole, self.held, self.seeds = batch
        self.count = count
        self.max_paths = max_paths
        self.pending: np.ndarray | range = range(count)  # numbers written out once some are done
        self.used: list[_Use] = []

    def point(self) -> Arguments:
        """The arguments of the first point that is still to be computed (of ones, if none is)."""
        row = self.pending[0] if len(self.pending) else None
        leaves = [
            leaf if is_static(leaf) else _entry(self.held.leaves.get(k, leaf), row)
            for k, leaf in enumerate(self.whole.leaves)
        ]
        return self.whole._replace(leaves=leaves)

    def take(self, path: Path, is_new: bool) -> None:
        """Compute the pending points; those that leave the path stay pending."""
        # Each point that an equality test holds at is compared with the branch beside it.
        tried = self.pending[:1] if path.trace.isolated else self.pending
        everything = len(tried) == self.count
        arrays = [*self.held.arrays(self.whole), *self.seeds(path.trace)]
        points = Points(arrays, path.capture_values())
        if not everything:
            points = points.only(np.asarray(tried))
        results, done = path.built.run(points)
        if is_new and self.count and not done[0]:
            self._refuse_path(path)
        if done.all():
            self.used.append(_Use(path, tried, results))
            self.pending = self.pending[len(tried) :]
        elif done.any():
            rows = np.arange(self.count) if everything else np.asarray(self.pending)
            self.used.append(_Use(path, rows[done], [on_host(r)[done] for r in results]))
            self.pending = rows[~done]
        branches = sum(not use.path.trace.isolated for use in self.used)
        if branches >= self.max_paths and len(self.pending):
            self._refuse_more(path)

    def _refuse_path(self, path: Path) -> None:
        evaluate(path.trace.graph, *self.point().arrays, *path.capture_values())  # its own error
        raise GraphError(
            f"{self.paths.function!r} took another branch when it was run again at the "
            "same point; a function that draws random numbers or keeps state cannot be batched"
        )

    def _refuse_more(self, path: Path) -> None:
        guards: tuple[Guard, ...] = path.trace.graph.guards
        where = path.trace.graph.place(guards[-1].node) if guards else "no guard"
        raise GraphError(
            f"the points take more than {self.max_paths} different branches, {len(self.pending)} "
            f"of {self.count} are left; the last one hangs on {where}. Raise max_paths, or write "
            "the branch with np.where"
        )

    def result(self) -> Sequence[Any]:
        """The results of all points in order."""
        first = self.used[0]
        if len(self.used) == 1:
            return self._placed(first.results)
        joined = [room_for((self.count, *r.shape[1:]), r.dtype) for r in first.results]
        for use in self.used:
            self._check_alike(first, use)
            for whole, part in zip(joined, use.results, strict=True):
                whole[use.rows] = on_host(part)
        return self._placed(joined)

    def _placed(self, results: Sequence[Any]) -> Sequence[Any]:
        """The results where they belong: on the device, if an argument is there."""
        return placed(results) if self.held else results

    def _check_alike(self, first: _Use, other: _Use) -> None:
        alike = first.path.trace.structure == other.path.trace.structure and all(
            a.shape[1:] == b.shape[1:] and a.dtype == b.dtype
            for a, b in zip(first.results, other.results, strict=True)
        )
        if not alike:
            raise ShapeError(
                f"the result at point {first.rows[0]} and at point {other.rows[0]} differ in shape "
                "or dtype, so they cannot be stacked"
            )


def _entry(leaf: Any, row: int | None) -> Any:
    if row is None:
        return np.ones(leaf.shape[1:], leaf.dtype)[()]
    return on_host(leaf[row : row + 1])[0] if is_on_device(leaf) else leaf[row]
