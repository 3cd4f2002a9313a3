"""One graph as few compiled loops, called in order by compiled drivers.

A call takes fresh arrays for the results and one block for all values in between, so any number of
threads may run one program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import Lifetime, byte_size, reason
from calcbench.lower.arena import pack, rounded
from calcbench.lower.compiler import Argument, compile_only, load
from calcbench.lower.emission import Loop, Names, indented
from calcbench.lower.folding import FoldWriter
from calcbench.lower.folds import library as fold_library
from calcbench.lower.groups import Group, Planner, base
from calcbench.lower.memory import MemoryPlan
from calcbench.lower.passes import product_lines, scan_lines, scatter_lines
from calcbench.lower.targets import CPU, Target
from calcbench.lower.texts import library


Step = Callable[[list[Any]], None]


@dataclass(frozen=True)
class Result:
    """An array that is made at each call for one result."""

    shape: tuple[int, ...]
    dtype: np.dtype
    is_scalar: bool


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
        results: Sequence[Result],
        rest: Sequence[Any],
        words: int,
        steps: Sequence[tuple[Any, tuple[int, ...]]],
    ) -> None:
        self.graph, self.source, self.memory = graph, source, memory
        self._rest, self._words = tuple(rest), words
        self._shapes = [r.shape or (1,) for r in results]
        self._dtypes = [r.dtype for r in results]
        self._scalars = [r.is_scalar for r in results] if any(r.is_scalar for r in results) else []
        count = len(graph.inputs) + len(rest) + len(results) + bool(words)
        self._steps = [(function, picker(places, count)) for function, places in steps]

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        """Fresh arrays, and NumPy scalars for shape (), for inputs of exactly the graph's types."""
        outputs = list(map(np.empty, self._shapes, self._dtypes))
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
            return self([np.require(v, requirements=["C", "A"])[()] for v in inputs])
        if self._scalars:
            return [o[0] if s else o for o, s in zip(outputs, self._scalars, strict=True)]
        return outputs


def picker(
    places: Sequence[int], count: int
) -> Callable[[tuple[Any, ...]], tuple[Any, ...]] | None:
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
    return _Preparation(graph, vectorised, CPU).program()


class _Preparation:
    """From groups to text, memory and steps."""

    def __init__(self, graph: Graph, vectorised: bool, target: Target) -> None:
        self.graph, self.vectorised, self.target = graph, vectorised, target
        plan = Planner(graph)
        self.groups, self.kinds = plan.groups, plan.kinds
        self.arrays = [i for i in sorted(plan.stored) if plan.kinds[i] == "array"]
        self.names = self._names(plan)
        self.sums: dict[str, tuple[int, str]] = {}
        self.workspace = 0

    def _names(self, plan: Planner) -> Names:
        stored = {
            i: f"v{i}" if plan.kinds[i] == "input" and self.graph.types[i].shape == () else f"V{i}"
            for i in plan.stored
        }
        copies = {
            r.place: f"OUT{r.place}"
            for g in plan.groups
            for r in g.roots
            if r.kind == "store" and r.place >= 0
        }
        return Names(stored, copies)

    # --- memory -------------------------------------------------------------------------------

    def _pack(self) -> None:
        """Offsets of what lies in the arena: values in between, and sums of blocks."""
        given = set(self.graph.outputs) | set(self.graph.inputs) | set(self.arrays)
        lives: dict[int, Lifetime] = {}
        for step, group in enumerate(self.groups):
            for root in group.roots:
                if root.node not in given and root.node not in lives:
                    size = byte_size(self.graph.types[root.node])
                    lives[root.node] = Lifetime(root.node, size, step, step, "")
                for node in root.reads:
                    if node in lives:
                        why = reason(self.graph, root.node)
                        lives[node] = lives[node]._replace(last=step, why=why)
        self.lives = list(lives.values())
        self.arena = pack(self.lives)

    # --- text ---------------------------------------------------------------------------------

    def _loop(self, number: int, group: Group) -> Loop:
        writer = FoldWriter(self.graph, group, self.names, self.target, self.vectorised)
        make = writer.folded if group.axes else writer.plain
        return make(f"loop{number}")

    def _lines(self, number: int, group: Group) -> tuple[list[str], list[str]]:
        """The text of a function of its own, if any, and the lines of the driver."""
        root = group.roots[0]
        if group.kind == "product":
            return [], product_lines(self.graph, root, self.names)
        if group.kind == "loop":
            loop = self._loop(number, group)
            self.workspace = max(self.workspace, loop.workspace)
            self._take_sums(loop)
            if not group.space:
                return [], [*loop.lines, *loop.finish]
            words = self._used("\n".join(loop.lines), loop.sums)
            text = [f"def {loop.name}({', '.join(words)}):", *indented(loop.lines, 1)]
            return text, [f"{loop.name}({', '.join(words)})", *loop.finish]
        lines = scan_lines if group.kind == "scan" else scatter_lines
        return [], lines(self.graph, root, self.names, self.target, self.vectorised)

    def _take_sums(self, loop: Loop) -> None:
        for name, entry in loop.sums.items():
            self.sums[name] = entry

    def _used(self, text: str, sums: Any = ()) -> list[str]:
        """The arrays and scalars that a text names, in order of their nodes."""
        words = set(_words(text))
        known = [n for _, n in sorted(self.names.stored.items())] + list(self.names.copies.values())
        return [n for n in (*known, *sums) if n in words]

    # --- the program --------------------------------------------------------------------------

    def program(self) -> FusedProgram:
        """Everything put together, and compiled."""
        self._pack()
        functions, drivers, steps = self._written()
        text = "\n\n\n".join(["\n".join([self.target.decorator, *f]) for f in functions + drivers])
        used = library(text)
        folds = fold_library(text)
        source = "\n\n".join(filter(None, [self.target.header, used, folds, text])) + "\n"
        module = load(source)
        results = [self._result(i) for i in self.graph.outputs]
        literals: list[Any] = [dict(self.graph.nodes[i].params)["value"] for i in self.arrays]
        rest = [np.array(literal.array) for literal in literals]
        arguments = self._arguments()
        bound = []
        for step, at in steps:
            kinds = [arguments[k] for k in at]
            ready = step if callable(step) else compile_only(getattr(module, step), kinds)
            bound.append((ready, at))
        words = (self._arena_bytes() + 7) // 8
        return FusedProgram(self.graph, source, self._memory(), results, rest, words, bound)

    def _result(self, node: int) -> Result:
        kind = self.graph.types[node]
        return Result(kind.shape, kind.dtype, kind.shape == ())

    def _memory(self) -> MemoryPlan:
        callouts = tuple(g.roots[0].node for g in self.groups if g.kind == "callout")
        outputs = sum(byte_size(self.graph.types[i]) for i in self.graph.outputs)
        sums = sum(rounded(8 * n) for n, _ in self.sums.values())
        return MemoryPlan(
            arena=self.arena.size,
            workspace=self.workspace + sums,
            outputs=outputs,
            held=tuple(self.lives),
            callouts=callouts,
        )

    def _arena_bytes(self) -> int:
        return self.arena.size + sum(rounded(8 * n) for n, _ in self.sums.values())

    def _written(self) -> tuple[list[list[str]], list[list[str]], list[Any]]:
        functions: list[list[str]] = []
        drivers: list[list[str]] = []
        steps: list[Any] = []
        lines: list[str] = []
        for number, group in enumerate(self.groups):
            if group.kind == "callout":
                self._close(lines, drivers, steps)
                lines = []
                steps.append(self._callout(group.roots[0].node))
                continue
            text, more = self._lines(number, group)
            functions += [text] if text else []
            lines += more
        self._close(lines, drivers, steps)
        return functions, drivers, steps

    def _close(self, lines: list[str], drivers: list[list[str]], steps: list[Any]) -> None:
        if not lines:
            return
        used = self._used("\n".join(lines), self.sums)
        places = self._places()
        parameters = sorted((n for n in used if n in places), key=places.__getitem__)
        inner = [n for n in used if n not in places]
        slices = [self._slice(n) for n in inner]
        parameters += ["arena"] if inner else []
        name = f"run{len(drivers)}"
        header = f"def {name}({', '.join(parameters)}):"
        drivers.append([header, *indented([*slices, *lines], 1)])
        steps.append((name, tuple(places.get(n, places["arena"]) for n in parameters)))

    def _places(self) -> dict[str, int]:
        """Where the drivers' arguments stand in the list of values of a call."""
        order = [self.names.stored.get(i, f"unused{i}") for i in self.graph.inputs]
        order += [self.names.stored[i] for i in self.arrays]
        order += [self._output_name(p, i) for p, i in enumerate(self.graph.outputs)]
        return {name: k for k, name in enumerate([*order, "arena"])}

    def _arguments(self) -> list[Argument]:
        """The types of the values of a call, in order."""
        types = self.graph.types
        given = [Argument(types[i].dtype, len(types[i].shape)) for i in self.graph.inputs]
        literals = [Argument(types[i].dtype, len(types[i].shape)) for i in self.arrays]
        results = [
            Argument(types[i].dtype, max(1, len(types[i].shape)), True) for i in self.graph.outputs
        ]
        return [*given, *literals, *results, Argument(np.dtype(np.float64), 1, True)]

    def _output_name(self, position: int, node: int) -> str:
        return self.names.copies.get(position) or self.names.stored[node]

    def _slice(self, name: str) -> str:
        """A part of the arena, under its name."""
        if name in self.sums:
            offset = self.arena.size
            for other, (count, _) in self.sums.items():
                if other == name:
                    break
                offset += rounded(8 * count)
            count, dtype = self.sums[name]
        else:
            node = int(name[1:])
            kind = self.graph.types[node]
            offset, count, dtype = self.arena.offsets[node], kind.size, kind.dtype.name
        first = offset // 8
        words = -(-count * np.dtype(dtype).itemsize // 8)
        text = f"arena[{first}:{first + words}]"
        if dtype != "float64":
            text += f".view(np.{'bool_' if dtype == 'bool' else dtype})[:{count}]"
        return f"{name} = {text}"

    def _callout(self, node: int) -> tuple[Step, tuple[int, ...]]:
        places = self._places()
        nodes = [base(self.graph, o) for o in self.graph.nodes[node].operands]
        readers = [
            self._reader(b, o) for b, o in zip(nodes, self.graph.nodes[node].operands, strict=True)
        ]
        out = self._reader(node, node)
        row, params = self.graph.nodes[node].row, dict(self.graph.nodes[node].params)
        at = [places.get(self.names.stored[i], places["arena"]) for i in (*nodes, node)]
        return partial(_call_out, partial(row.numpy, **params), readers, out), tuple(at)

    def _reader(self, node: int, shaped: int) -> Callable[[Any], Any]:
        """From the value at hand (an argument, or the arena) to the array of a node."""
        kind = self.graph.types[shaped]
        if node in self.arena.offsets:
            first, last = self.arena.offsets[node], self.arena.offsets[node] + byte_size(kind)
            return partial(_in_arena, first, last, kind.dtype, kind.shape)
        return partial(_reshaped, kind.shape)


def _in_arena(first: int, last: int, dtype: np.dtype, shape: Any, arena: Any) -> Any:
    return arena.view(np.uint8)[first:last].view(dtype).reshape(shape)


def _reshaped(shape: Any, value: Any) -> Any:
    return np.reshape(value, shape)


def _call_out(row: Any, readers: Sequence[Any], out: Any, *values: Any) -> None:
    operands = [read(value)[()] for read, value in zip(readers, values, strict=False)]
    with np.errstate(all="ignore"):
        out(values[-1])[...] = row(*operands)


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z_]\w*", text)
