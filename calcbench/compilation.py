"""Functions and graphs compiled for an engine: called like the function, or on many points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, wraps
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from calcbench.compiled_graphs import CompiledGraph, device_calls, runner_of
from calcbench.graph.arraytype import GraphError
from calcbench.graph.ir import Graph
from calcbench.graph.lifting import Value
from calcbench.graph.paths import Arguments, Attempt, Path, Paths, prepare
from calcbench.lower.engines import Options, Runner, check_engine
from calcbench.lower.memory import MemoryPlan
from calcbench.programs import inlined, result_tree
from calcbench.shortcuts import MISS, finisher, shortcut


MOST_SHORTCUTS = 4  # the types and branches that one loop goes through


class Built(NamedTuple):
    """What is kept of a recorded path: its graph, and the graph on an engine."""

    graph: Graph
    runner: Runner


class Compiled:
    """A function that runs on an engine; made by `compile`.

    Attributes
    ----------
    engine : str
    memory : MemoryPlan
        Bytes of a run of the path that was run last.
    __source__ : str
        The generated code of that path, with the value numbers of its graph.
    """

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        self.function = function
        self.options = options
        self.paths = Paths(function, self._build, generic=False)
        self.last: Path | None = None
        self.device = device_calls(options.engine)
        self._shortcuts: tuple[tuple[Path, Callable[..., Any]], ...] = ()
        wraps(function, updated=())(self)

    @cached_property
    def batches(self) -> Any:
        """What `batch` has recorded. Loaded when it is asked for: modules for CUDA come with it."""
        return import_module("calcbench.batches").Batches(self.function, self.options)

    @property
    def engine(self) -> str:
        """The engine that was asked for."""
        return self.options.engine

    @property
    def memory(self) -> MemoryPlan:
        """What the path that was run last holds in memory."""
        return self._built("memory").runner.executable.memory

    @property
    def graph(self) -> Graph:
        """The graph of the path that was run last."""
        return self._built("graph").graph

    @property
    def __source__(self) -> str:
        return self._built("source").runner.executable.source

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's result, computed by the engine."""
        if not kwargs:
            for path, take in self._shortcuts:
                result = take(args)
                if result is not MISS:
                    if self.last is not path:
                        self._prefer(path, take)
                    return result
        if self.device:
            held, args, kwargs = self.device.held_on_device(args, kwargs)
            if held:
                return self._on_device(held, prepare(args, kwargs, (), self.paths.roots))
        arguments = prepare(args, kwargs, (), self.paths.roots)
        path, results = self._run(arguments, self.paths.candidates(arguments), arguments.arrays)
        self.last = path
        finish = finisher(path)
        # Bound, as calling an object takes 0.1 µs more than calling its method.
        found = shortcut(path, arguments, self.paths, path.built.runner.__call__, finish)
        if found is not None:
            self._prefer(*found)
        return result_tree(path.trace, results)

    def _on_device(self, held: Any, arguments: Arguments) -> Any:
        """A call with arrays of a device, for which some of the arguments stand in."""
        # Branches of Python look at values: for a new path, the arrays are copied to the host once.
        candidates = self.paths.candidates(arguments, lambda: held.on_host(arguments))
        path, results = self._run(arguments, candidates, held.arrays(arguments))
        self.last = path
        return result_tree(path.trace, self.device.placed(results))

    def _prefer(self, path: Path, take: Callable[..., Any]) -> None:
        """Try this one first from now on."""
        others = [known for known in self._shortcuts if known[0] is not path]
        self._shortcuts = ((path, take), *others)[:MOST_SHORTCUTS]  # plain tuples unpack faster
        self.last = path

    def batch(self, *args: Any, max_paths: int = 32, **kwargs: Any) -> Any:
        """The function at many points: every array's first axis is the point.

        Parameters
        ----------
        *args, **kwargs : array_like, or nested tuples, lists and dicts of them
            As for a call, each array with one more axis in front, of the same length.
        max_paths : int
            How many different branches the points may take together.

        Returns
        -------
        array or nested tuples, lists and dicts of arrays
            As of a call, each result with the points' axis in front.

        Raises
        ------
        ShapeError
            If an argument has no leading axis, or the lengths differ.
        GraphError
            If the points take more than `max_paths` branches.

        Examples
        --------
        >>> import numpy as np
        >>> import calcbench as cb
        >>> absolute = cb.compile(lambda x: x if x > 0 else -x, engine="auto")
        >>> absolute.batch(np.array([1.0, -2.0, 3.0]))
        array([1., 2., 3.])
        """
        return self.batches.run(args, kwargs, max_paths)

    def __reduce__(self) -> Any:
        raise TypeError(
            "a compiled function stays in its process: send the function, and compile it there "
            "with cb.compile; the code on disk is shared"
        )

    def _build(self, graph: Graph, wanted: tuple[int, ...]) -> Built:
        return Built(graph, runner_of(graph, self.options))

    def _built(self, what: str) -> Built:
        if self.last is None:
            raise GraphError(f"{self!r} has no {what} before its first call: call it, then ask")
        built: Built = self.last.built
        return built

    def _run(
        self, arguments: Arguments, candidates: Iterable[Attempt], arrays: Sequence[Any]
    ) -> tuple[Path, Sequence[Any]]:
        found = self.paths.first_taken(
            arguments, candidates, lambda a: run(a.path.built, [*arrays, *a.captured])
        )
        if found is not None:
            return found
        raise GraphError(
            f"{self.function!r} took another branch when it was run again at the same point; a "
            "function that draws random numbers or keeps state cannot be compiled"
        )


def run(built: Built, inputs: Sequence[Any]) -> Sequence[Any]:
    """The graph's outputs: on the engine, or written into the graph of traced inputs."""
    if any(isinstance(v, Value) for v in inputs):
        return inlined(built.graph, inputs)
    return built.runner(inputs)


def compile(
    function: Callable[..., Any] | Graph,
    engine: str = "auto",
    *,
    elementary: str = "vector",
    memory_limit: int | None = None,
) -> Any:
    """A function or graph, compiled for an engine.

    Parameters
    ----------
    function : callable or Graph
        A function of arrays written with NumPy, also one that `cb.grad` and its relatives return,
        or a graph with known sizes.
    engine : {"auto", "tape", "fused", "cuda", "numpy"}
        ``tape`` runs any graph at once; ``fused`` compiles loops for this graph; ``auto`` is the
        tape until the time spent would have paid for compiling; ``numpy`` is the interpreter.
    elementary : {"vector", "libm"}
        Whose exp, log, sin, ... are used on the CPU: calcbench's, which vectorise (at most 2 ulp
        off), or the C library's.
    memory_limit : int, optional
        Bytes that one run may take; by default what the machine has free.

    Returns
    -------
    callable
        Called like `function`, with equal results; ``.batch(...)`` runs it on many points at
        once, ``.memory`` says what it holds, ``.__source__`` is the code. On ``cuda``, arrays with
        ``__cuda_array_interface__`` or DLPack that lie on the device are taken there, without a
        copy (one goes to the host for each path, when it is recorded), and results stay there.

    Raises
    ------
    EngineError
        If the engine does not exist, or what it needs is not installed.
    MemoryError
        Before a run that would take more than `memory_limit` bytes.
    ShapeError, DTypeError
        If a graph has dimensions without numbers, or dtypes that the engine lacks.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> slope = cb.compile(cb.grad(lambda x: np.sum(x**2)), engine="tape")
    >>> slope(np.array([1.0, 3.0]))
    array([2., 6.])
    """
    if elementary not in ("vector", "libm"):
        raise GraphError(f"elementary must be 'vector' or 'libm', got {elementary!r}")
    if memory_limit is not None and not isinstance(memory_limit, int | np.integer):
        raise GraphError(f"memory_limit must be a whole number of bytes, got {memory_limit!r}")
    check_engine(engine)
    options = Options(engine, elementary == "vector", memory_limit)
    if isinstance(function, Graph):
        return CompiledGraph(function, options)
    return Compiled(function, options)
