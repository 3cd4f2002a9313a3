"""The text of a loop around the compiled code of its body."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.control_checkpoints import without_regions
from calcbench.graph.control_steps import Loop
from calcbench.graph.ir import Graph
from calcbench.lower.access import WRITERS
from calcbench.lower.calls import (
    Callee,
    CalleeOf,
    array_names,
    import_lines,
    operand_text,
    room_text,
)
from calcbench.lower.compiler import Argument, Module
from calcbench.lower.drivers import Drivers, Step
from calcbench.lower.emission import indented
from calcbench.lower.groups import Planner
from calcbench.lower.layout import Layout
from calcbench.lower.shared import linked
from calcbench.lower.targets import CPU


FLAG_WORDS = 8  # of the arena, where a test that comes first writes its result
_WRITE = re.compile(r"write\d\((\w+), 0, (.+)\)")


class BodyCode(NamedTuple):
    """A graph as statements that call nothing but compiled code.

    Two parts: the functions that it calls, and the statements under their header. Its values are
    the inputs, `own` of the arrays, the results, the arena, and the other arrays, which are for
    what it calls.
    """

    graph: Graph
    layout: Layout
    parts: tuple[str, list[str]]
    step: Step
    callees: tuple[Callee, ...]
    arrays: tuple[np.ndarray, ...]
    own: int

    def lines(self, inputs: Sequence[str], results: Sequence[str], arena: str) -> list[str]:
        """Its statements, on values of these names."""
        header, lines = self.parts[1][0], self.parts[1][1:]
        arrays = array_names(self.arrays)
        values = [*inputs, *arrays[: self.own], *results, arena, *arrays[self.own :]]
        names = header[header.index("(") + 1 : header.index(")")].split(", ")
        pairs = zip(names, (values[p] for p in self.step.places), strict=True)
        return [*[f"{name} = {value}" for name, value in pairs if name != value], *lines]

    @property
    def text(self) -> str:
        """The functions that the statements call."""
        return self.parts[0]


def body_code(graph: Graph, vectorised: bool, callee_of: CalleeOf) -> BodyCode | None:
    """The code of a graph; None if it calls out of compiled code, or shares out a loop."""
    graph = without_regions(graph)
    plan = Planner(graph, variables=True)
    layout = Layout(graph, plan, counts_no_references=True)
    drivers = Drivers(graph, plan, layout, CPU, vectorised, callee_of=callee_of)
    steps = drivers.steps
    if len(steps) != 1 or callable(steps[0].function) or steps[0].loop:
        return None
    own = [np.array(_literal(graph, i)) for i in layout.arrays]
    arrays = (*own, *layout.further.values())
    parts = _apart(drivers.text)
    return BodyCode(graph, layout, parts, steps[0], (*drivers.callees,), arrays, len(own))


def _apart(text: str) -> tuple[str, list[str]]:
    """The functions before the last one, and the lines of that: its header and its statements."""
    before, _, last = text.rpartition(f"{CPU.decorator}\n")
    header, *lines = last.rstrip("\n").split("\n")
    return before, [header, *[line[4:] for line in lines]]


def with_imports(text: str, callees: Sequence[Callee]) -> tuple[str, tuple[Module, ...]]:
    """The source of a module that defines what is in the text; and the modules it imports from."""
    imports, modules = linked(text)
    further = [m for callee in callees for m in (*callee.module.imports, callee.module)]
    source = f"{CPU.header}{import_lines(callees)}{imports}\n\n{text}"
    return source, tuple(dict.fromkeys([*modules, *further]))


class LoopCode:
    """A loop as lines of text, and the names and types of what they use.

    Attributes
    ----------
    body : str
        The functions that the body calls.
    statements : list of str
        What it does.
    names, arguments : list
        What the lines read and write: the carries `c`, what is scanned `x`, constants `k`, arrays
        of the body `a`, what a step writes `n`, the arena, and the stacks `s`.
    test : int or None
        The output of the body that says whether its other outputs are taken.
    before : Callee or None
        What says so before the body is computed.
    """

    def __init__(
        self, loop: Loop, code: BodyCode, test: int | None = None, before: Callee | None = None
    ) -> None:
        self.loop, self.code, self.test, self.before = loop, code, test, before
        self.callees = (*code.callees, before) if before else code.callees
        self.arrays = (*code.arrays, *before.arrays) if before else code.arrays
        self.words = code.layout.words + (FLAG_WORDS + before.words if before else 0)
        self.stacks = [k for k in loop.keep if k >= loop.carries]
        self.body = code.text
        self.statements, self.returned = self._without_writing()
        found = self._parameters()
        self.names, self.arguments = [name for name, _ in found], [kind for _, kind in found]

    def is_written_in_place(self, k: int) -> bool:
        """Whether a step writes an output into its part of a stack, and not as a number."""
        return k in self.stacks and self.loop.body.outputs[k].ndim > 0

    def _without_writing(self) -> tuple[list[str], list[int]]:
        """The body's statements, which keep the numbers they would write; and which these are.

        A number that went through memory would have to wait for all that is written beside it.
        """
        outputs = self.code.graph.outputs
        first = len(self.code.graph.inputs) + self.code.own
        places = {name: place - first for name, place in self.code.layout.places.items()}
        lines, found = list[str](), list[int]()
        for line in self.code.lines(self._inputs(), self._results(), "arena"):
            match = _WRITE.fullmatch(line)
            k = places.get(match[1], -1) if match else -1
            kind = self.code.graph.types[outputs[k]]
            if match is None or k < 0 or kind.ndim:
                lines.append(line)
            else:
                dtype = "bool_" if kind.dtype.kind == "b" else kind.dtype.name
                lines.append(f"r{k} = np.{dtype}({match[2]})")
                found.append(k)
        return lines, found

    def _parameters(self) -> list[tuple[str, Argument]]:
        loop, body = self.loop, self.loop.body
        inputs = [self.code.graph.types[i] for i in self.code.graph.inputs]
        found = [
            (f"c{k}", Argument(t.dtype, 1, True)) for k, t in enumerate(inputs[: loop.carries])
        ]
        for p, kind in list(enumerate(inputs))[loop.carries :]:
            across = p < loop.first_constant
            found.append((f"{'x' if across else 'k'}{p}", Argument(kind.dtype, kind.ndim + across)))
        names = array_names(self.arrays)
        found += [(n, Argument(a.dtype, 1)) for n, a in zip(names, self.arrays, strict=True)]
        written = [k for k in range(len(body.outputs)) if not self.is_written_in_place(k)]
        found += [(f"n{k}", Argument(body.outputs[k].dtype, 1, True)) for k in written]
        found.append(("arena", Argument(np.dtype(np.float64), 1, True)))
        return found + [(f"s{k}", Argument(body.outputs[k].dtype, 1, True)) for k in self.stacks]

    # --- the text -----------------------------------------------------------------------------

    def lines(self, start: str, stop: str) -> list[str]:
        """The steps from one to another, and `taken`, the number of steps that were taken."""
        carries = list(enumerate(self.loop.body.inputs[: self.loop.carries]))
        numbers = [k for k, kind in carries if not kind.ndim]
        ends = f"{stop} - 1, {start} - 1, -1" if self.loop.reverse else f"{start}, {stop}"
        return [
            f"taken = {stop} - {start}",
            *self._flag(),
            *[f"u{k} = c{k}[0]" for k in numbers],
            f"for step in range({ends}):",
            *indented(self._step(start, numbers), 1),
            *[f"c{k}[0] = u{k}" for k in numbers],
        ]

    def _step(self, start: str, numbers: Sequence[int]) -> list[str]:
        """One step: the body, then what it computed is carried and stacked."""
        lines = [*self._tested(start), *self.statements]
        if self.test is not None:
            lines += _ending(self._number(self.test), start)
        lines += [f"u{k} = {self._number(k)}" for k in numbers]
        stacked = [k for k in self.stacks if not self.is_written_in_place(k)]
        lines += [
            f"write{min(rank, WRITERS - 1)}(s{k}, step, {self._number(k)})"
            for rank, k in enumerate(stacked)
        ]
        for k, kind in enumerate(self.loop.body.inputs[: self.loop.carries]):
            # Not by exchanging the two arrays: the body's code relies on it that none of its
            # results is an array that it reads, in any step.
            if kind.ndim:
                lines += [f"for i in range({kind.size}):", f"    c{k}[i] = n{k}[i]"]
        return lines

    def _flag(self) -> list[str]:
        if self.before is None:
            return []
        word = self.code.layout.words
        flag = room_text("arena", word, 1, np.dtype(bool))
        rest = f"span(arena, {word + FLAG_WORDS}, {self.before.words})"
        return [f"flag = {flag}", f"further = {rest}"]

    def _tested(self, start: str) -> list[str]:
        """The test that comes first, on carries and constants."""
        if self.before is None:
            return []
        pairs = zip(self._inputs(), self.loop.body.inputs, strict=True)
        operands = [operand_text(name, kind) for name, kind in pairs]
        arrays = array_names(self.arrays)[len(self.code.arrays) :]
        call = self.before.call(["flag"], operands, arrays, "further")
        return [call, *_ending("flag[0]", start)]

    def _number(self, k: int) -> str:
        return f"r{k}" if k in self.returned else f"n{k}[0]"

    def _inputs(self) -> list[str]:
        """What the body is given in one step."""
        loop, kinds = self.loop, self.loop.body.inputs
        found = [f"c{k}" if t.ndim else f"u{k}" for k, t in enumerate(kinds[: loop.carries])]
        for p in range(loop.carries, loop.first_constant):
            size = kinds[p].size
            part = f"seen(x{p}, step * {size}, {size})"
            found.append(part if kinds[p].ndim else f"read(x{p}, step)")
        return found + [f"k{p}" for p in range(loop.first_constant, len(kinds))]

    def _results(self) -> list[str]:
        """What it writes into in one step."""
        return [
            f"span(s{k}, step * {t.size}, {t.size})" if self.is_written_in_place(k) else f"n{k}"
            for k, t in enumerate(self.loop.body.outputs)
        ]


def _ending(test: str, start: str) -> list[str]:
    return [f"if not {test}:", f"    taken = step - {start}", "    break"]


def loop_code(
    loop: Loop,
    vectorised: bool,
    callee_of: CalleeOf,
    test: int | None = None,
    before: Callee | None = None,
) -> LoopCode | None:
    """The code of a loop; None if its body calls out of compiled code."""
    code = body_code(loop.body.graph, vectorised, callee_of)
    return None if code is None else LoopCode(loop, code, test, before)


def _literal(graph: Graph, node: int) -> Any:
    value: Any = dict(graph.nodes[node].params)["value"]
    return value.array
