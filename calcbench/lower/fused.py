"""One graph as few compiled loops, called in order by compiled drivers.

A call takes fresh arrays for the results and one block for all values in between, so any number of
threads may run one program.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import byte_size
from calcbench.lower.compiled_loops import compiled_function
from calcbench.lower.compiler import Argument, compile_only, load
from calcbench.lower.drivers import Drivers, Step, is_shared
from calcbench.lower.groups import Planner
from calcbench.lower.layout import Layout
from calcbench.lower.loops import Loop
from calcbench.lower.memory import MemoryPlan
from calcbench.lower.rooms import SMALLEST, room_for
from calcbench.lower.shared import linked
from calcbench.lower.targets import CPU
from calcbench.lower.workers import run_sliced


Picker = Callable[[tuple[Any, ...]], tuple[Any, ...]]


class FusedProgram:
    """A graph compiled into few loops; calls are independent of each other.

    Attributes
    ----------
    graph : Graph
    source : str
        The generated text; ``v17`` in it is an entry of node 17 of the printed graph.
    memory : MemoryPlan
    """

    def __init__(
        self,
        graph: Graph,
        source: str,
        memory: MemoryPlan,
        rest: Sequence[Any],
        words: int,
        steps: Sequence[tuple[Any, tuple[int, ...]]],
    ) -> None:
        self.graph, self.source, self.memory = graph, source, memory
        self._rest, self._words = tuple(rest), words
        results = [graph.types[i] for i in graph.outputs]
        scalars = [kind.shape == () for kind in results]
        self._makers: list[Any] = [_maker(kind.shape or (1,), kind.dtype) for kind in results]
        self._scalars = scalars if any(scalars) else []
        count = len(graph.inputs) + len(rest) + len(results) + bool(words)
        self._steps = [(function, picker(places, count)) for function, places in steps]

    def __call__(self, inputs: Sequence[Any], into: Sequence[Any] = ()) -> list[Any]:
        """Fresh arrays, and NumPy scalars for shape (), for inputs of exactly the graph's types.

        `into` are C-contiguous arrays that the first results are written into; they share no
        memory with inputs.
        """
        outputs = [*into]
        makers = self._makers[len(outputs) :] if outputs else self._makers
        for make, shape, dtype in makers:  # a comprehension takes 0.2 microseconds more
            outputs.append(make(shape, dtype))
        values = (*inputs, *self._rest, *outputs)
        if self._words:
            values = (*values, np.empty(self._words))
        try:
            for function, pick in self._steps:
                function(*(pick(values) if pick else values))
        except TypeError:
            if all(map(_is_aligned, inputs)):
                raise
            # Loops are compiled for arrays that begin where numbers begin, and for no others.
            return self([np.require(v, requirements=["C", "A"])[()] for v in inputs], into)
        if self._scalars:
            return [o[0] if s else o for o, s in zip(outputs, self._scalars, strict=True)]
        return outputs


def _maker(shape: tuple[int, ...], dtype: np.dtype) -> tuple[Any, ...]:
    """What makes room for a result, and its arguments."""
    is_large = math.prod(shape) * dtype.itemsize >= SMALLEST
    return room_for if is_large else np.empty, shape, dtype


def picker(places: Sequence[int], count: int) -> Picker | None:
    """From the `count` values of a call to the arguments of one step; None if it takes them all."""
    if tuple(places) == tuple(range(count)):
        return None
    if len(places) == 1:
        first = places[0]
        return itemgetter(slice(first, first + 1))
    return itemgetter(*places)


def _is_aligned(value: Any) -> bool:
    return type(value) is not np.ndarray or value.flags.aligned


def prepare_fused(graph: Graph, vectorised: bool = True) -> FusedProgram:
    """Compile a graph of known sizes, without guards, into loops.

    Parameters
    ----------
    graph : Graph
        Its dtypes are float64, float32, int64 and bool.
    vectorised : bool
        Whether elementary functions are those of `calcbench.lower.elementary`, or libm's.

    Returns
    -------
    FusedProgram

    Raises
    ------
    EngineError
        If the text cannot be compiled.

    Examples
    --------
    >>> import calcbench as cb
    >>> x = cb.var("x", shape=(3,))
    >>> program = prepare_fused(cb.as_graph(2 * x + 1))
    >>> program([np.arange(3.0)])
    [array([1., 3., 5.])]
    """
    plan = Planner(graph, variables=True)
    layout = Layout(graph, plan)
    function_of = partial(compiled_function, vectorised=vectorised)
    drivers = Drivers(graph, plan, layout, CPU, vectorised, function_of)
    imports, modules = linked(drivers.text)
    source = f"{CPU.header}{imports}\n\n{drivers.text}"
    module, arguments = load(source, modules), layout.arguments()
    steps = [(_bound(step, module, arguments), step.places) for step in drivers.steps]
    literals: list[Any] = [dict(graph.nodes[i].params)["value"] for i in layout.arrays]
    memory = MemoryPlan(
        arena=layout.arena.size,
        workspace=drivers.workspace + layout.sums_bytes,
        outputs=sum(byte_size(graph.types[i]) for i in graph.outputs),
        held=tuple(layout.lives),
        callouts=tuple(g.roots[0].node for g in plan.groups if g.kind == "callout"),
    )
    rest = [np.array(literal.array) for literal in literals]
    return FusedProgram(graph, source, memory, rest, layout.words, steps)


def arena_bytes(graph: Graph) -> int:
    """What the values between the loops of a graph would take, without compiling it."""
    return Layout(graph, Planner(graph, variables=True)).arena.size


def _bound(step: Step, module: Any, arguments: Sequence[Argument]) -> Callable[..., None]:
    """The step, compiled: called with its values."""
    if callable(step.function):
        return step.function
    kinds = [arguments[place] for place in step.places]
    ends = [Argument(np.dtype(np.int64), 0)] * 2 if step.loop else []
    function = compile_only(getattr(module, step.function), [*kinds, *ends])
    return partial(_run_long, function, step.loop) if step.loop else function


def _run_long(function: Callable[..., None], loop: Loop, *values: Any) -> None:
    """All ranges of a long loop."""
    each = loop.nanoseconds / loop.total
    run_sliced(partial(function, *values), loop.total, each, loop.grain, is_shared(loop))
