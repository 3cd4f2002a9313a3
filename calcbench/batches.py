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
from calcbench.graph.tracing import is_static
from calcbench.lanes import LaneProgram, Points
from calcbench.lower.cuda_arrays import is_on_device, on_host
from calcbench.lower.engines import Options
from calcbench.programs import result_tree


class Batches:
    """The paths of a function that batches have taken, each with its program for many points."""

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        self.paths = Paths(function, self._build, generic=False)
        self.options = options
        self.known: dict[Any, list[Path]] = {}
        self.lock = RLock()

    def _build(self, graph: Graph, wanted: tuple[int, ...]) -> LaneProgram:
        return LaneProgram(graph, self.options)

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any], max_paths: int) -> Any:
        """All points, path by path."""
        held = Held({})
        if self.options.engine == "cuda":
            held, args, kwargs = held_on_device(args, kwargs)
        whole = prepare(args, kwargs, (), self.paths.roots)
        call = _Call(self, whole, held, batch_count(whole), max_paths)
        for path in self._usable(whole):
            call.take(path, is_new=False)
        while len(call.pending) or not call.used:
            call.take(self._record(call.point()), is_new=True)
        return call.result()

    def _usable(self, whole: Arguments) -> list[Path]:
        with self.lock:
            known = self.known.get(_key(whole), [])
            known[:] = [p for p in known if p.environment.is_unchanged()]
            return list(known)

    def _record(self, point: Arguments) -> Path:
        """A new path; kept for later batches if a second recording says the same."""
        trace = self.paths.trace(point)
        program = LaneProgram(trace.graph, self.options)
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

    def __init__(
        self,
        batches: Batches,
        whole: Arguments,
        held: Held,
        count: int,
        max_paths: int,
    ) -> None:
        self.batches = batches
        self.whole = whole
        self.held = held
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
        everything = len(self.pending) == self.count
        points = Points(self.held.arrays(self.whole), path.capture_values())
        if not everything:
            points = points.only(np.asarray(self.pending))
        results, done = path.built.run(points)
        if is_new and self.count and not done[0]:
            self._refuse_path(path)
        if done.all():
            self.used.append(_Use(path, self.pending, results))
            self.pending = self.pending[:0]
        elif done.any():
            rows = np.arange(self.count) if everything else np.asarray(self.pending)
            self.used.append(_Use(path, rows[done], [on_host(r)[done] for r in results]))
            self.pending = rows[~done]
        if len(self.used) >= self.max_paths and len(self.pending):
            self._refuse_more(path)

    def _refuse_path(self, path: Path) -> None:
        evaluate(path.trace.graph, *self.point().arrays, *path.capture_values())  # its own error
        raise GraphError(
            f"{self.batches.paths.function!r} took another branch when it was run again at the "
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

    def result(self) -> Any:
        """The results of all points in order, in the shape of the function's result."""
        first = self.used[0]
        if len(self.used) == 1:
            return self._tree(first.path, first.results)
        joined = [np.empty((self.count, *r.shape[1:]), r.dtype) for r in first.results]
        for use in self.used:
            self._check_alike(first, use)
            for whole, part in zip(joined, use.results, strict=True):
                whole[use.rows] = on_host(part)
        return self._tree(first.path, joined)

    def _tree(self, path: Path, results: Sequence[Any]) -> Any:
        """The results where they belong: on the device, if an argument is there."""
        return result_tree(path.trace, placed(results) if self.held else results)

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
