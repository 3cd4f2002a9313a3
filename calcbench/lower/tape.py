"""One graph as instructions for kernels that are compiled once per machine, whatever the graph."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.ir import Graph, paused_collection
from calcbench.graph.lifetimes import Lifetime, byte_size
from calcbench.lower.compiler import EngineError, is_kept, load
from calcbench.lower.memory import Held, MemoryPlan
from calcbench.lower.node_kinds import FunctionOf, numpy_function
from calcbench.lower.opcodes import LEVELS, Numbering, numbering
from calcbench.lower.tape_array_texts import array_source, fold_source
from calcbench.lower.tape_encoding import Encoder
from calcbench.lower.tape_products import product
from calcbench.lower.tape_segments import CALLOUT, FOLDS, SCALARS, Segment, assemble
from calcbench.lower.tape_texts import scalar_source


WHOLE_KERNELS = "CALCBENCH_WHOLE_KERNELS"
NO_CASE = -2
SPARE = 1 << 20  # bytes; a smaller arena is kept for the next call
VIEW = {"float64": 0, "float32": 1, "int64": 2, "bool": 3}
Views = tuple[np.ndarray, ...]


class Arena(NamedTuple):
    """Memory of one run: as items of each size, and the arrays of inputs and outputs on it."""

    views: Views
    inputs: list[tuple[int, np.ndarray]]
    outputs: list[np.ndarray]


class Place(NamedTuple):
    """Where a value lies: which view of the arena, from which item to which, and its shape."""

    view: int
    start: int
    stop: int
    shape: tuple[int, ...]

    def of(self, views: Views) -> Any:
        """The value as an array on the arena."""
        return views[self.view][self.start : self.stop].reshape(self.shape)


class TapeProgram:
    """A graph encoded in flat arrays; calls are independent of each other.

    Attributes
    ----------
    graph : Graph
    source : str
        The text of the kernels that run it: the same for all graphs of like dtypes.
    memory : MemoryPlan
    """

    def __init__(
        self,
        graph: Graph,
        source: str,
        memory: MemoryPlan,
        image: np.ndarray,
        places: tuple[Sequence[Place | None], Sequence[Place]],
        steps: Sequence[Callable[[Views], None]],
    ) -> None:
        self.graph, self.source, self.memory = graph, source, memory
        self._image, self._steps = image, steps
        self._inputs, self._outputs = places
        known = [(k, p) for k, p in enumerate(self._inputs) if p is not None]
        # Single numbers apart: where there are many, looking at shapes would be half of a call.
        self._numbers = [(k, p.view, p.start) for k, p in known if not p.shape]
        self._arrays = [(k, p) for k, p in known if p.shape]
        self._words = [(p.view, p.start) for p in self._outputs if not p.shape]
        self._spares: list[Arena] = []  # arenas that no call uses; taking one is atomic

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        """Fresh arrays, and NumPy scalars for shape (), for inputs of exactly the graph's types.

        Raises
        ------
        IndexError
            If a position is outside of what it is a position in.
        """
        arena = self._arena()
        views = arena.views
        if len(inputs) != len(self._inputs):
            raise ValueError(f"the graph has {len(self._inputs)} inputs, got {len(inputs)}")
        for k, view, start in self._numbers:
            views[view][start] = inputs[k]
        for k, array in arena.inputs:
            array[...] = inputs[k]
        for step in self._steps:
            step(views)
        results = self._results(arena)
        if self.memory.arena <= SPARE:
            self._spares.append(arena)
        return results

    def _results(self, arena: Arena) -> list[Any]:
        if len(self._words) == len(self._outputs):
            return [arena.views[view][start] for view, start in self._words]
        return [array.copy() if array.ndim else array[()] for array in arena.outputs]

    def _arena(self) -> Arena:
        """One that holds the constants: nothing else is read before it is written."""
        try:
            return self._spares.pop()
        except IndexError:
            f8 = np.empty(self.memory.arena // 8)
        f8.view(np.uint8)[: self._image.size] = self._image
        views = f8, f8.view(np.float32), f8.view(np.int64), f8.view(np.bool_)
        inputs = [(k, place.of(views)) for k, place in self._arrays]
        single = len(self._words) == len(self._outputs)
        return Arena(views, inputs, [] if single else [p.of(views) for p in self._outputs])


def prepare_tape(
    graph: Graph, vectorised: bool = True, function_of: FunctionOf = numpy_function
) -> TapeProgram:
    """Encode a graph of known sizes, without guards, for kernels that are there already.

    Parameters
    ----------
    graph : Graph
        Its dtypes are float64, float32, int64 and bool.
    vectorised : bool
        Whether elementary functions are those of `calcbench.lower.elementary`, or libm's.
    function_of : callable
        What a node that no kernel computes calls, with its result and operands.

    Returns
    -------
    TapeProgram

    Raises
    ------
    EngineError
        If the kernels cannot be compiled.

    Examples
    --------
    >>> import calcbench as cb
    >>> x = cb.var("x", shape=(3,))
    >>> program = prepare_tape(cb.as_graph(2 * x + 1))
    >>> program([np.arange(3.0)])
    [array([1., 3., 5.])]
    """
    with paused_collection():
        return _Preparation(graph, vectorised, function_of).program()


def held(graph: Graph) -> tuple[Lifetime, ...]:
    """The lifetimes of all values in the arena, worked out anew."""
    return Encoder(graph, numbering()).values.held()


class _Preparation:
    """From instructions to steps, each one call of a kernel or of a row's NumPy function."""

    def __init__(self, graph: Graph, vectorised: bool, function_of: FunctionOf) -> None:
        self.graph, self.vectorised, self.function_of = graph, vectorised, function_of
        self.numbering: Numbering = numbering()
        self.encoder = Encoder(graph, self.numbering)
        self.values = self.encoder.values
        self.words, self.image, self.size = self.values.place()
        self.assembly = assemble(self.encoder, self.words)
        self.aux = np.array(self.encoder.aux or [0], np.int64)
        self.sources: dict[str, None] = {}
        self.callouts: list[int] = []
        self.workspace = 0

    def program(self) -> TapeProgram:
        """Everything put together."""
        graph, code = self.graph, (self.assembly.narrow, self.assembly.wide, self.assembly.owners)
        steps = [step for segment in self.assembly.segments for step in self._steps(segment)]
        memory = MemoryPlan(
            arena=self.size,
            workspace=self.workspace,
            outputs=sum(byte_size(graph.types[i]) for i in graph.outputs),
            program=sum(array.nbytes for array in (*code, self.aux, self.image)),
            held=Held(partial(held, graph)),
            callouts=tuple(self.callouts),
        )
        used = self.encoder.columns.used
        inputs = [self._place(i) if used[i] else None for i in graph.inputs]
        outputs = [self._place(i) for i in graph.outputs]
        source = "\n".join(self.sources)
        return TapeProgram(graph, source, memory, self.image, (inputs, outputs), steps)

    def _place(self, node: int, shape: Any = None) -> Place:
        kind = self.graph.types[node]
        start = int(self.words[self.values.key(node)]) * 8 // kind.dtype.itemsize
        shape = kind.shape if shape is None else shape
        return Place(VIEW[kind.dtype.name], start, start + int(kind.size), shape)

    # --- steps ----------------------------------------------------------------------------------

    def _steps(self, segment: Segment) -> list[Callable[[Views], None]]:
        kernel, family, low, high = segment
        if kernel == CALLOUT:
            return [self._callout(node) for node in self.encoder.callouts[low:high]]
        code = self.assembly
        if kernel == SCALARS:
            function = self._function("scalars", scalar_source, family)
            return [partial(_run_scalars, function, code.narrow, low, high)]
        if kernel == FOLDS:
            source = fold_source(self.numbering, family)
            self.sources[source] = None
            function = load(source).folds
        else:
            function = self._function("arrays", array_source, family)
        where = partial(_owner, self.graph, code.owners)
        return [partial(_run_arrays, function, where, code.wide, self.aux, low, high)]

    def _function(self, name: str, make: Callable[..., str], family: int) -> Any:
        source = self._source(make, family)
        self.sources[source] = None
        return getattr(load(source), name)

    def _source(self, make: Callable[..., str], family: int) -> str:
        """The least kernel that knows all cases, or a larger one that is compiled already.

        Where all of them will be needed, to compile the largest at once takes the least time.
        """
        levels = LEVELS[self.assembly.levels[family] :]
        for level in levels:
            source = make(self.numbering, family, level, self.vectorised)
            if is_kept(source):
                return source
        is_whole = os.environ.get(WHOLE_KERNELS, "0") not in ("", "0")
        return make(self.numbering, family, levels[-1 if is_whole else 0], self.vectorised)

    def _callout(self, node: int) -> Callable[[Views], None]:
        graph = self.graph
        row: Any = graph.nodes[node].row
        if row.name == "matmul" and graph.types[node].is_float:
            found = product(graph, node)
            self.workspace = max(self.workspace, found.workspace)
            nodes = (*found.nodes, node)
            places = [self._place(i, s) for i, s in zip(nodes, found.shapes, strict=True)]
            return partial(_run_product, found.function, places)
        self.callouts.append(node)
        places = [self._place(i) for i in (*graph.nodes[node].operands, node)]
        return partial(_run_callout, self.function_of(graph.nodes[node]), places, graph.place(node))


def _owner(graph: Graph, owners: np.ndarray, instruction: int) -> str:
    """The node of an instruction and the line that recorded it, as text."""
    return graph.place(int(owners[instruction]))


def _run_scalars(function: Any, code: np.ndarray, low: int, high: int, views: Views) -> None:
    if function(code, low, high, *views) == NO_CASE:
        raise EngineError(_MISSING)


def _run_arrays(
    function: Any,
    where: Callable[[int], str],
    code: np.ndarray,
    aux: np.ndarray,
    low: int,
    high: int,
    views: Views,
) -> None:
    stopped = function(code, aux, low, high, *views)
    if stopped == NO_CASE:
        raise EngineError(_MISSING)
    if stopped >= 0:
        error = IndexError("a position is outside of the array that it is a position in")
        error.add_note(f"while evaluating {where(stopped)}")
        raise error


def _run_product(function: Any, places: Sequence[Place], views: Views) -> None:
    function(*[place.of(views) for place in places])


def _run_callout(function: Any, places: Sequence[Place], where: str, views: Views) -> None:
    *operands, out = [place.of(views) for place in places]
    try:
        with np.errstate(all="ignore"):
            function(out, *[operand[()] for operand in operands])
    except Exception as error:
        error.add_note(f"while evaluating {where}")
        raise


_MISSING = "the tape's kernel has no case for an instruction; please report this"
