"""One way to run a graph on any engine: outputs for inputs, or word that another path is due."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from threading import Lock
from time import perf_counter
from typing import Any, Protocol

from calcbench.graph.arraytype import DTypeError, ShapeError
from calcbench.graph.control_checkpoints import without_regions
from calcbench.graph.control_choices import cond_row
from calcbench.graph.control_loops import while_row
from calcbench.graph.control_reversals import saving_scan, scan_reversal
from calcbench.graph.control_scans import scan_row
from calcbench.graph.evaluation import Plan, check_guards
from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import byte_size, value_lifetimes
from calcbench.graph.nodes import Node
from calcbench.graph.rewriting import simplify
from calcbench.lower import memory
from calcbench.lower.compiler import EngineError, check_process
from calcbench.lower.lasting_loops import LastingLoop
from calcbench.lower.loop_costs import held_cost, loop_cost
from calcbench.lower.memory import MemoryPlan, check_budget
from calcbench.lower.node_kinds import numpy_function
from calcbench.lower.tape import TapeProgram, prepare_tape


DTYPES = frozenset(["float64", "float32", "int64", "bool"])
# Seconds to compile a fused graph, measured: a start, and a share for each node. Graphs of 17 to
# 262 nodes took 0.1 + 0.003 n (polynomials) to 0.15 + 0.0046 n (exp and tanh); sines take more.
COMPILE_START, COMPILE_PER_NODE = 0.1, 0.005
# Seconds for one step of a scan in NumPy, measured on bodies of 5 and 40 nodes.
STEP_START, STEP_PER_NODE = 5e-6, 1e-6
BODIES: dict[Any, str] = {scan_row: "body", saving_scan: "body", scan_reversal: "down"}  # of loops


class Executable(Protocol):
    """A graph ready to run; calls are independent of each other and may come from any thread."""

    @property
    def source(self) -> str: ...
    @property
    def memory(self) -> MemoryPlan: ...
    def __call__(self, inputs: Sequence[Any]) -> Sequence[Any]: ...


@dataclass(frozen=True)
class Options:
    """How graphs are to be run.

    Attributes
    ----------
    engine : {"numpy", "tape", "fused", "cuda", "auto"}
    vectorised : bool
        Whether exp, log, sin ... are calcbench's own vectorising ones, or libm's.
    memory_limit : int or None
        Bytes that one run may take; by default what the machine has free when it is prepared, and
        before each run of `calcbench.lower.memory.LARGE` bytes or more.
    """

    engine: str = "auto"
    vectorised: bool = True
    memory_limit: int | None = None


class Runner:
    """A graph on one engine; its guards are checked before its results count."""

    def __init__(self, graph: Graph, options: Options = Options()) -> None:
        graph = without_regions(graph)
        check_runnable(graph, options.engine)
        self.graph = graph
        self.options = options
        self.expected = [guard.expected.array[()] for guard in graph.guards]
        self.count = len(graph.outputs)
        self.executable = PREPARE[options.engine](without_guards(graph), options)
        self._execute = self.executable.__call__  # bound: calling the object takes 0.1 µs more
        self._check_memory()
        self.is_compiled = options.engine != "numpy"
        self.is_large = options.memory_limit is None and self.executable.memory.peak >= memory.LARGE

    def __call__(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """Fresh arrays, or NumPy scalars, for inputs of exactly the graph's types.

        Raises
        ------
        GuardMiss
            If the inputs do not take the recorded path: results and errors count for nothing.
        """
        if self.is_compiled:
            check_process()
        if self.is_large:
            self._check_memory()
        results = self._execute(inputs)
        if self.expected:
            check_guards(self.expected, results[self.count :])
            return results[: self.count]
        return results

    def _check_memory(self) -> None:
        check_budget(self.executable.memory, byte_limit(self.options), self.graph)


def without_guards(graph: Graph) -> Graph:
    """The graph with its guards' values as further outputs, after its own."""
    if not graph.guards:
        return graph
    outputs = (*graph.outputs, *[g.node for g in graph.guards])
    return simplify(replace(graph, outputs=outputs, guards=()))


def check_engine(engine: Any) -> None:
    """An EngineError unless this is the name of an engine."""
    if not isinstance(engine, str) or engine not in PREPARE:
        raise EngineError(f"there is no engine {engine!r}; choose one of {', '.join(PREPARE)}")


def check_runnable(graph: Graph, engine: str) -> None:
    """An error for what no compiled engine can run.

    Raises
    ------
    ShapeError
        If a dimension has a name and no number.
    DTypeError
        If a value has a dtype that engines do not know.
    EngineError
        If there is no such engine.
    """
    check_engine(engine)
    refused = {t for t in set(graph.types) if not t.is_concrete or t.dtype.name not in DTYPES}
    for index, kind in enumerate(graph.types if refused else ()):  # names of dtypes are slow
        if not kind.is_concrete:
            raise ShapeError(
                f"{graph.place(index)} has type {kind}: engines need sizes that are numbers; use "
                "graph.bind(...), which takes sizes from the values, or cb.var with ints"
            )
        if kind.dtype.name not in DTYPES:
            raise DTypeError(
                f"{graph.place(index)} has dtype {kind.dtype}; engines run {', '.join(DTYPES)}"
            )


def byte_limit(options: Options) -> int | None:
    """Bytes that a run may take now."""
    return memory.free_bytes() if options.memory_limit is None else options.memory_limit


# --- the engines -------------------------------------------------------------------------------


class _OnNumpy:
    """The interpreter, as an engine beside the others."""

    def __init__(self, graph: Graph, options: Options) -> None:
        self.graph = graph
        self.source = str(graph)
        held = tuple(value_lifetimes(graph))
        outputs = sum(byte_size(graph.types[i]) for i in graph.outputs)
        self.memory = MemoryPlan(arena=0, outputs=outputs, held=held)
        self.plan = Plan(graph)

    def __call__(self, inputs: Sequence[Any]) -> Sequence[Any]:
        return self.plan(*inputs)


def _tape(graph: Graph, options: Options) -> Executable:
    """Loops that take longer than to compile them are compiled here too."""
    return prepare_tape(graph, options.vectorised, partial(_tape_function, options.vectorised))


def _tape_function(vectorised: bool, node: Node) -> Callable[..., None]:
    if node.row in BODIES:
        params: Any = dict(node.params)
        graph = params[BODIES[node.row]].graph
        cost = loop_cost(graph)
        step = STEP_START * cost.runs + STEP_PER_NODE * cost.node_runs
        if params["length"] * step > COMPILE_START + COMPILE_PER_NODE * cost.nodes:
            compiled = import_module("calcbench.lower.compiled_loops").compiled_function
            function: Callable[..., None] = compiled(node, vectorised)
            return function
    if node.row in (while_row, cond_row):
        nodes = held_cost(node).nodes
        return LastingLoop(node, vectorised, COMPILE_START + COMPILE_PER_NODE * nodes)
    return numpy_function(node)


def _fused(graph: Graph, options: Options) -> Executable:
    """Loaded when it is asked for: a first call on the tape does not wait for it."""
    prepare = import_module("calcbench.lower.fused").prepare_fused
    program: Executable = prepare(graph, vectorised=options.vectorised)
    return program


def _cuda(graph: Graph, options: Options) -> Executable:
    """Loaded when it is asked for: numba.cuda looks for drivers and toolkits."""
    program: Executable = import_module("calcbench.lower.cuda_program").prepare_cuda(graph)
    return program


class _Auto:
    """The tape at once, and the fused engine once it would have paid for its compilation."""

    def __init__(self, graph: Graph, options: Options) -> None:
        self.graph = graph
        self.options = options
        self.current: Executable = _tape(graph, options)
        self.has_run = False
        self.spent = 0.0
        self.price = predicted_compile_seconds(graph)
        self.lock = Lock()

    @property
    def source(self) -> str:
        return self.current.source

    @property
    def memory(self) -> MemoryPlan:
        return self.current.memory

    def __call__(self, inputs: Sequence[Any]) -> Sequence[Any]:
        if self.spent > self.price:
            return self.current(inputs)
        start = perf_counter()
        results = self.current(inputs)
        if self.has_run:  # the first run may also load the tape's code
            self.spent += perf_counter() - start
        self.has_run = True
        if self.spent > self.price:
            self._switch()
        return results

    def _switch(self) -> None:
        with self.lock:
            if isinstance(self.current, TapeProgram):
                compiled = _fused(self.graph, self.options)
                limit = byte_limit(self.options)
                if limit is None or compiled.memory.peak <= max(limit, self.memory.peak):
                    self.current = compiled


def predicted_compile_seconds(graph: Graph) -> float:
    """What compiling the fused engine's code for a graph takes, roughly."""
    return COMPILE_START + COMPILE_PER_NODE * len(graph)


PREPARE: dict[str, Callable[[Graph, Options], Executable]] = {
    "numpy": _OnNumpy,
    "tape": _tape,
    "fused": _fused,
    "cuda": _cuda,
    "auto": _Auto,
}
