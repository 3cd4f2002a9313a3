"""A derivative made step by step, so that each step can be timed and its memory is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from calcbench.compositions import ReverseProgram, jacobian_program
from calcbench.graph.arraytype import GraphError
from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import byte_size
from calcbench.graph.paths import Paths, prepare
from calcbench.graph.rewriting import simplify
from calcbench.jacobians import jacobian
from calcbench.lower.engines import Options, Runner
from calcbench.lower.memory import MemoryPlan
from calcbench.lower.reverse_code import ReverseSweep
from calcbench.lower.sweep_code import SPARE
from calcbench.lower.transformed_sweeps import TransformedForward, TransformedReverse
from calcbench.measure.interpreted import interpreted_peak
from calcbench.measure.timing import Stages, elapsed
from calcbench.programs import Program, arguments_of, inlined
from calcbench.sweeps import forward_program, reverse_program


DIRECT = "direct sweep"
FUNCTION = "function"


class Recording(NamedTuple):
    """A function of one array as a graph, and the graph's inputs at the point.

    The first input is the one to differentiate by; arrays that the function captured follow.
    """

    graph: Graph
    inputs: list[Any]
    seconds: float = 0.0

    @property
    def n(self) -> int:
        """Entries of the point."""
        return int(np.size(self.inputs[0]))

    @property
    def m(self) -> int:
        """Entries of the result."""
        return int(self.graph.types[self.graph.outputs[0]].size)


class Prepared(NamedTuple):
    """One way to a derivative, ready to run.

    Attributes
    ----------
    run : callable
        Takes nothing, and returns the derivative.
    predicted : int
        Bytes that a run takes at most at once, beyond its inputs, by the plan of the engine.
    graph : Graph or None
        What is run, unless it is a direct sweep.
    transform, compile : float
        Seconds.
    again : callable
        Makes the same anew, without transforming: nothing that a run has kept is in it.
    note : str
        What the prediction leaves out, or how the sweep is run.
    """

    run: Callable[[], Any]
    predicted: int
    graph: Graph | None
    transform: float
    compile: float
    again: Callable[[], Any]
    note: str = ""


def plan_of_sweep(recording: Recording, mode: str) -> MemoryPlan:
    """What a direct sweep in one direction, or for one entry of the result, holds."""
    if mode == "forward":
        plan: MemoryPlan = forward_program(recording.graph, (0,)).memory(1)
    else:
        plan = reverse_program(recording.graph, (0,)).memory
    return plan


def record_function(function: Callable[..., Any], x: Any) -> Recording:
    """The graph of a function of one float array, with the seconds that recording it took.

    Raises
    ------
    GraphError
        If the result is not one array.
    DTypeError, TraceError
        If the point holds no floats, or the function cannot be traced.
    """
    found: list[Recording] = []
    taken = elapsed(lambda: found.append(_recorded(function, x)))
    return found[0]._replace(seconds=taken)


def _recorded(function: Callable[..., Any], x: Any) -> Recording:
    paths = Paths(function, lambda graph, wrt: Program(graph), cache=False)
    arguments = arguments_of(paths, (x,), {}, 0)
    path, captured, _ = next(iter(paths.candidates(arguments)))
    graph = simplify(path.trace.graph)
    if len(graph.outputs) != 1:
        raise GraphError(
            f"the function returns {len(graph.outputs)} arrays, and one is compared: return one, "
            "as with np.concatenate"
        )
    return Recording(graph, [*arguments.arrays, *captured])


def prepare_way(recording: Recording, mode: str, engine: str) -> Prepared:
    """The derivative in a mode on an engine or by direct sweeps; or the function alone.

    Parameters
    ----------
    recording : Recording
    mode : {"forward", "reverse", "mixed", "function"}
    engine : {"numpy", "tape", "fused", "direct sweep"}
    """
    if mode == FUNCTION:
        return _compiled(recording.graph, recording.inputs, engine, 0.0)
    if engine == DIRECT:
        return _pushing(recording) if mode == "forward" else _pulling(recording)
    if engine == "numpy":
        return _multiplied(recording) if mode == "mixed" else _interpreted(recording, mode)
    made: list[Recording] = []
    taken = elapsed(lambda: made.append(derivative_of(recording, mode)))
    return _compiled(made[0].graph, made[0].inputs, engine, taken)


def staged(recording: Recording, way: Prepared) -> Stages:
    """Seconds of each step, with the first run made now."""
    return Stages(recording.seconds, way.transform, way.compile, elapsed(way.run))


def derivative_of(recording: Recording, mode: str) -> Recording:
    """The graph of the whole derivative, all sweeps in one, as compiled engines run it."""

    def of_graph(*values: Any) -> Any:
        return inlined(recording.graph, values)[0]

    return _traced(jacobian(of_graph, 0, mode), *recording.inputs)


def _traced(function: Callable[..., Any], *args: Any) -> Recording:
    """A graph as `calcbench.compile` records it, and what it is run on."""
    paths = Paths(function, lambda graph, wrt: Program(graph), generic=False, cache=False)
    arguments = prepare(args, {}, (), paths.roots)
    path, captured, _ = next(iter(paths.candidates(arguments)))
    return Recording(path.trace.graph, [*arguments.arrays, *captured])


def _compiled(graph: Graph, inputs: list[Any], engine: str, transform: float) -> Prepared:
    made: list[Runner] = []
    taken = elapsed(lambda: made.append(Runner(graph, Options(engine))))
    plan, again = made[0].executable.memory, partial(_compiled, graph, inputs, engine, transform)
    predicted, note = plan.peak, _left_out(graph, plan)
    if engine == "numpy":
        predicted, note = interpreted_peak(Program(made[0].graph).plan, 0), ROWS
    run = partial(made[0], inputs)
    return Prepared(run, predicted, graph, transform, taken, again, note)


ROWS = "without what NumPy takes to sort or to solve"


def _left_out(graph: Graph, plan: MemoryPlan) -> str:
    names = sorted({graph.nodes[i].row.name for i in plan.callouts})
    return f"without what NumPy takes inside {', '.join(names)}" if names else ""


# --- the interpreter ------------------------------------------------------------------------------


def _interpreted(recording: Recording, mode: str) -> Prepared:
    graph = recording.graph
    made: list[Program] = []
    transform = elapsed(lambda: made.append(jacobian_program(graph, (0,), mode)))
    program = made[0]
    taken = elapsed(lambda: program.plan)
    size, sweeps = _seed(recording, mode), (recording.n if mode == "forward" else recording.m)
    row = byte_size(program.graph.types[program.graph.outputs[0]])
    predicted = interpreted_peak(program.plan, size * sweeps, sweeps, row)
    run = partial(_swept, program, recording, mode)
    again = partial(_interpreted, recording, mode)
    return Prepared(run, predicted, program.graph, transform, taken, again, ROWS)


def _multiplied(recording: Recording) -> Prepared:
    """Mixed mode: a program that has no seeds, where one mode alone is not the better way."""
    made: list[Program] = []
    transform = elapsed(lambda: made.append(jacobian_program(recording.graph, (0,), "mixed")))
    program = made[0]
    taken = elapsed(lambda: program.plan)
    run, again = partial(_product, program, recording), partial(_multiplied, recording)
    predicted = interpreted_peak(program.plan, 0)
    return Prepared(run, predicted, program.graph, transform, taken, again, ROWS)


def _product(program: Program, recording: Recording) -> Any:
    """The Jacobian; by sweeps where the product is not finite."""
    session = program.start(recording.inputs)
    if session.program is program:
        return session.finish()[0]
    mode = "reverse" if isinstance(session.program, ReverseProgram) else "forward"
    return np.stack([session.finish([seed])[0] for seed in unit_seeds(recording, mode)])


def _seed(recording: Recording, mode: str) -> int:
    graph = recording.graph
    return byte_size(graph.types[graph.inputs[0] if mode == "forward" else graph.outputs[0]])


def _swept(program: Program, recording: Recording, mode: str) -> Any:
    """All sweeps over one point, and their results as one array."""
    session = program.start(recording.inputs)
    seeds = unit_seeds(recording, mode)
    return np.stack([session.finish([seed])[0] for seed in seeds])


def unit_seeds(recording: Recording, mode: str) -> np.ndarray:
    """One seed for each sweep: unit tangents of x, or unit cotangents of y."""
    graph = recording.graph
    kind = graph.types[graph.inputs[0] if mode == "forward" else graph.outputs[0]]
    return np.eye(int(kind.size), dtype=kind.dtype).reshape(-1, *kind.shape)


# --- direct sweeps --------------------------------------------------------------------------------


def _pushing(recording: Recording) -> Prepared:
    """One forward sweep in all directions."""
    graph, n = recording.graph, recording.n
    made: list[Any] = []

    def encode() -> None:
        made.append(forward_program(graph, (0,)))
        made.append(made[0].memory(n))

    taken = elapsed(encode)
    program, plan = made
    directions = unit_seeds(recording, "forward")
    shape = (*graph.types[graph.outputs[0]].shape, *np.shape(recording.inputs[0]))

    def run() -> Any:
        _, dy = program(recording.inputs, [directions])
        return np.moveaxis(np.asarray(dy), 0, -1).reshape(shape)

    again = partial(_pushing, recording)
    return Prepared(run, plan.peak, None, 0.0, taken, again, _how(program))


def _pulling(recording: Recording) -> Prepared:
    """One reverse sweep for each entry of the result."""
    made: list[Any] = []
    taken = elapsed(lambda: made.append(reverse_program(recording.graph, (0,))))
    program = made[0]
    seeds = unit_seeds(recording, "reverse")

    def run() -> Any:
        return _stacked([program(recording.inputs, [np.asarray(s)[()]])[1] for s in seeds])

    row = byte_size(recording.graph.types[recording.graph.inputs[0]])
    kept = SPARE if isinstance(program, ReverseSweep) else 0
    predicted = _peak_of_sweeps(program.memory, len(seeds), row, kept)
    again = partial(_pulling, recording)
    return Prepared(run, predicted, None, 0.0, taken, again, _how(program))


def _stacked(rows: Sequence[Any]) -> Any:
    return rows[0] if len(rows) == 1 else np.stack(rows)


def _peak_of_sweeps(plan: MemoryPlan, count: int, row: int, most_kept: int) -> int:
    """The last sweep beside the rows of those before it; or all rows, once more as one array.

    A sweep of `most_kept` bytes or fewer keeps its memory for the next.
    """
    if count == 1:
        return plan.peak
    kept = plan.arena + plan.workspace if plan.peak <= most_kept else 0
    return max(plan.peak + (count - 1) * row, kept + 2 * count * row)


def _how(program: Any) -> str:
    """Whether the sweep is direct: for programs on whole arrays it is their transformed graph."""
    is_graph = isinstance(program, TransformedForward | TransformedReverse)
    return "on whole arrays, so as the derivative's graph on the tape" if is_graph else ""
