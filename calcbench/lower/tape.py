"""One graph as instructions for kernels that are compiled once per machine, whatever the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import byte_size
from calcbench.lower.compiler import EngineError, load
from calcbench.lower.memory import MemoryPlan
from calcbench.lower.opcodes import ANY_FAMILY, numbering
from calcbench.lower.tape_encoding import Encoder
from calcbench.lower.tape_products import product
from calcbench.lower.tape_texts import RECORD, array_source, fold_source, scalar_source


SLICE = 1 << 22  # entries between two chances to answer Ctrl-C: some milliseconds
NO_CASE = -2
VIEW = {"float64": 0, "float32": 1, "int64": 2, "bool": 3}
Views = tuple[np.ndarray, ...]


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
        self._words = memory.arena // 8

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        """Fresh arrays, and NumPy scalars for shape (), for inputs of exactly the graph's types.

        Raises
        ------
        IndexError
            If a position is outside of what it is a position in.
        """
        f8 = np.empty(self._words)
        views = (f8, f8.view(np.float32), f8.view(np.int64), f8.view(np.bool_))
        views[3].view(np.uint8)[: self._image.size] = self._image
        for place, value in zip(self._inputs, inputs, strict=True):
            if place is not None:
                view = views[place.view]
                view[place.start : place.stop] = np.reshape(value, -1)
        for step in self._steps:
            step(views)
        return [p.of(views).copy() if p.shape else views[p.view][p.start] for p in self._outputs]


def prepare_tape(graph: Graph, vectorised: bool = True) -> TapeProgram:
    """Encode a graph of known sizes, without guards, for kernels that are there already.

    Parameters
    ----------
    graph : Graph
        Its dtypes are float64, float32, int64 and bool.
    vectorised : bool
        Whether elementary functions are those of `calcbench.lower.elementary`, or libm's.

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
    return _Preparation(graph, vectorised).program()


class _Preparation:
    """From instructions to slices, each one call of a kernel."""

    def __init__(self, graph: Graph, vectorised: bool) -> None:
        self.graph, self.vectorised = graph, vectorised
        self.numbering = numbering()
        self.encoder = Encoder(graph, self.numbering)
        self.values = self.encoder.values
        self.words, self.image, self.size = self.values.place()
        self.sources: dict[str, None] = {}
        self.callouts: list[int] = []
        instructions = [item for item in self.encoder.items if not isinstance(item, int)]
        self.code = self._code(instructions)
        self.aux = np.array(self.encoder.aux or [0], np.int64)
        self.full = {family for family, rare, _, _ in instructions if rare}
        known = [family for family, *_ in instructions if family != ANY_FAMILY]
        self.family = known[0] if known else 0
        self.full |= {known[0] if known else 0} if ANY_FAMILY in self.full else set()

    def _code(self, instructions: Sequence[Any]) -> np.ndarray:
        """The instructions with the words of their keys."""
        code = np.array([i for *_, i in instructions], np.int64).reshape(-1, RECORD)
        code[:, 1:5] = self.words[code[:, 1:5]]
        return code.astype(np.uint32).reshape(-1)

    def program(self) -> TapeProgram:
        """Everything put together."""
        steps = self._steps()
        types = self.graph.types
        held = self.values.held()
        used = set(self.values.used)
        memory = MemoryPlan(
            arena=self.size,
            outputs=sum(byte_size(types[i]) for i in self.graph.outputs),
            program=self.code.nbytes + self.aux.nbytes + self.image.nbytes,
            held=held,
            callouts=tuple(self.callouts),
        )
        inputs = [self._place(i) if i in used else None for i in self.graph.inputs]
        outputs = [self._place(i) for i in self.graph.outputs]
        return TapeProgram(
            self.graph, "\n".join(self.sources), memory, self.image, (inputs, outputs), steps
        )

    def _place(self, node: int, shape: Any = None) -> Place:
        kind = self.graph.types[node]
        start = int(self.words[self.values.key(node)]) * 8 // kind.dtype.itemsize
        return Place(
            VIEW[kind.dtype.name],
            start,
            start + int(kind.size),
            kind.shape if shape is None else shape,
        )

    # --- slices ---------------------------------------------------------------------------------

    def _steps(self) -> list[Callable[[Views], None]]:
        """Call-outs, and between them runs of instructions of one kernel."""
        steps: list[Callable[[Views], None]] = []
        start, at, entries, kernel = 0, 0, 0, (self.family, False)

        def close() -> None:
            nonlocal start, entries
            if at > start:
                steps.append(self._slice(kernel, start, at))
            start, entries = at, 0

        for item in self.encoder.items:
            if isinstance(item, int):
                close()
                steps.append(self._callout(item))
                continue
            family, _, folds, instruction = item
            wanted = (kernel[0] if family == ANY_FAMILY else family, folds)
            if wanted != kernel or entries > SLICE:
                close()
                kernel = wanted
            entries += 64 + instruction[5]
            at += 1
        close()
        return steps

    def _slice(self, kernel: tuple[int, bool], low: int, high: int) -> Callable[[Views], None]:
        family, folds = kernel
        if folds:
            source, name = fold_source(self.numbering, family), "folds"
        else:
            make = scalar_source if self.encoder.is_scalar else array_source
            source = make(self.numbering, family, family in self.full, self.vectorised)
            name = "scalars" if self.encoder.is_scalar else "arrays"
        self.sources[source] = None
        function = getattr(load(source), name)
        second = RECORD if name == "scalars" else self.aux
        return partial(_run_slice, function, self.code, second, low, high)

    def _callout(self, node: int) -> Callable[[Views], None]:
        graph = self.graph
        row: Any = graph.nodes[node].row
        if row.name == "matmul" and graph.types[node].is_float:
            found = product(graph, node)
            nodes = (*found.nodes, node)
            places = [self._place(i, s) for i, s in zip(nodes, found.shapes, strict=True)]
            return partial(_run_product, found.function, places)
        self.callouts.append(node)
        row_of = partial(row.numpy, **dict(graph.nodes[node].params))
        places = [self._place(i) for i in (*graph.nodes[node].operands, node)]
        return partial(_run_callout, row_of, places, graph.place(node))


def _run_slice(
    function: Any, code: np.ndarray, second: Any, low: int, high: int, views: Views
) -> None:
    stopped = function(code, second, low, high, *views)
    if stopped == NO_CASE:
        raise EngineError("the tape's kernel has no case for an instruction; please report this")
    if stopped >= 0:
        raise IndexError("a position is outside of the array that it is a position in")


def _run_product(function: Any, places: Sequence[Place], views: Views) -> None:
    function(*[place.of(views) for place in places])


def _run_callout(row: Any, places: Sequence[Place], where: str, views: Views) -> None:
    *operands, out = [place.of(views) for place in places]
    try:
        with np.errstate(all="ignore"):
            out[...] = row(*[operand[()] for operand in operands])
    except Exception as error:
        error.add_note(f"while evaluating {where}")
        raise
