"""A scan as one compiled loop around the compiled code of its body."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.control_scans import Loop
from calcbench.graph.ir import Graph
from calcbench.lower.access import WRITERS
from calcbench.lower.compiler import Argument, compile_only, load
from calcbench.lower.drivers import Drivers, Step
from calcbench.lower.groups import Planner
from calcbench.lower.layout import Layout
from calcbench.lower.shared import linked
from calcbench.lower.targets import CPU


CHUNK = 1 << 18  # steps between which Ctrl-C is answered
INLINED = replace(CPU, decorator="@inline")  # the body in the loop: carries stay in registers
REMEMBERED = 64  # compiled loops that are held
_WRITE = re.compile(r"^    write\d\((\w+), 0, (.+)\)\n", re.MULTILINE)


@lru_cache(maxsize=REMEMBERED)
def compiled_scan(loop: Loop, vectorised: bool, test: int | None = None) -> CompiledScan | None:
    """The loop, compiled; None if its body calls out of compiled code, as a loop in a loop does.

    With `test`, the loop ends where that output of the body is false.
    """
    graph = loop.body.graph
    plan = Planner(graph, variables=True)
    layout = Layout(graph, plan)
    drivers = Drivers(graph, plan, layout, INLINED, vectorised)
    steps = drivers.steps
    if len(steps) != 1 or callable(steps[0].function) or steps[0].loop:
        return None
    return CompiledScan(loop, layout, drivers.text, steps[0], test)


class CompiledScan:
    """A scan compiled for its types; calls are independent of each other.

    Attributes
    ----------
    source : str
        The generated text: the body's code, and a loop around it.
    """

    def __init__(self, loop: Loop, layout: Layout, text: str, step: Step, test: int | None) -> None:
        self.loop, self.test = loop, test
        self.arrays = [np.array(_literal(loop.body.graph, i)) for i in layout.arrays]
        self.words = layout.words
        ends = list(accumulate(kind.size for kind in loop.kept()))
        self.places = dict(zip(loop.keep, pairwise([0, *ends]), strict=True))
        self.results = [self._result(k, kind) for k, kind in enumerate(loop.body.outputs)]
        self.stacks = [k for k in loop.keep if self.results[k][0] == "n" and k >= loop.carries]
        names, arguments = self._parameters()
        text, self.returned = self._returning(text, layout)
        text = f"{text}\n\n{self._text(names, step)}"
        imports, modules = linked(text)
        self.source = f"{CPU.header}{imports}\n\n{text}"
        counters = [Argument(np.dtype(np.int64), 0)] * 2
        function = load(self.source, modules).steps
        self.function = compile_only(function, [*counters, *arguments])

    def _returning(self, text: str, layout: Layout) -> tuple[str, list[int]]:
        """The body's code, with the numbers it writes returned instead; and which these are.

        A number that went through memory would have to wait for all that is written beside it.
        """
        first = len(self.loop.body.inputs) + len(self.arrays)
        dtypes = {k: kind.dtype.name for k, kind in enumerate(self.loop.body.outputs)}
        places = {name: place - first for name, place in layout.places.items()}
        start = text.rindex(INLINED.decorator)
        before, body = text[:start], text[start:]
        found: dict[int, str] = {}

        def take(match: re.Match[str]) -> str:
            k = places[match[1]]
            if k < 0 or self.results[k][0] != "n" or self.loop.body.outputs[k].ndim:
                return match[0]
            dtype = "bool_" if dtypes[k] == "bool" else dtypes[k]
            found[k] = f"np.{dtype}({match[2]})"
            return ""

        body = _WRITE.sub(take, body).rstrip("\n")
        values = "".join(f"{value}, " for value in found.values())
        return f"{before}{body}\n    return ({values})\n", list(found)

    def _result(self, k: int, kind: ArrayType) -> tuple[str, ArrayType]:
        """Where a step writes an output: into one entry "n", or into a stack of arrays "s"."""
        if kind.ndim and k >= self.loop.carries and k in self.places:
            return "s", self.loop.stacked(kind)
        return "n", kind if kind.ndim else ArrayType((1,), kind.dtype)

    def __call__(self, out: Any, *operands: Any) -> None:
        """Write the results that the scan keeps into `out`, laid end to end."""
        loop = self.loop
        pieces = {k: out[start:stop] for k, (start, stop) in self.places.items()}
        carry, values = self._values(pieces, operands)
        spans = range(0, loop.length, CHUNK)
        for start in reversed(spans) if loop.reverse else spans:
            self.function(start, min(start + CHUNK, loop.length), *values)
        for k in loop.keep:
            if k < loop.carries:
                pieces[k][...] = carry[k].reshape(-1)

    def repeat(self, *operands: Any) -> tuple[list[Any], int]:
        """Go round until the test fails: the last carries, and the number of trips."""
        carry, values = self._values({}, operands)
        trips = taken = int(self.function(0, CHUNK, *values))
        while taken == CHUNK:
            taken = int(self.function(0, CHUNK, *values))
            trips += taken
        return carry, trips

    def _values(self, pieces: Any, operands: Any) -> tuple[list[Any], list[Any]]:
        """The carries, in memory of their own, and all that the loop is given."""
        count = self.loop.carries
        carry = [_fresh(v) for v in operands[:count]]
        given = [_contiguous(v) for v in operands[count:]]
        results = [
            pieces[k].reshape(kind.shape) if letter == "s" else np.empty(kind.shape, kind.dtype)
            for k, (letter, kind) in enumerate(self.results)
        ]
        stacks = [pieces[k] for k in self.stacks]
        arena = np.empty(max(self.words, 1))
        return carry, [*carry, *given, *self.arrays, *results, arena, *stacks]

    # --- the text -----------------------------------------------------------------------------

    def _parameters(self) -> tuple[list[str], list[Argument]]:
        """The names and types of what the loop is given, after its ends."""
        loop, body = self.loop, self.loop.body
        found = [
            (f"c{k}", Argument(t.dtype, max(t.ndim, 1), True))
            for k, t in enumerate(body.inputs[: loop.carries])
        ]
        for p, kind in list(enumerate(body.inputs))[loop.carries :]:
            across = p < loop.first_constant
            name = f"{'x' if across else 'k'}{p}"
            found.append((name, Argument(kind.dtype, kind.ndim + across)))
        found += [(f"a{k}", Argument(a.dtype, a.ndim)) for k, a in enumerate(self.arrays)]
        found += [
            (f"{letter}{k}", Argument(kind.dtype, kind.ndim, True))
            for k, (letter, kind) in enumerate(self.results)
        ]
        found.append(("arena", Argument(np.dtype(np.float64), 1, True)))
        found += [(f"s{k}", Argument(body.outputs[k].dtype, 1, True)) for k in self.stacks]
        return [name for name, _ in found], [kind for _, kind in found]

    def _text(self, names: Sequence[str], step: Step) -> str:
        """A function that takes the body from one step to another."""
        values = [self._entry(name) for name in names]
        call = f"{step.function}({', '.join(values[p] for p in step.places)})"
        ends = "stop - 1, start - 1, -1" if self.loop.reverse else "start, stop"
        carries = list(enumerate(self.loop.body.inputs[: self.loop.carries]))
        numbers = [k for k, kind in carries if not kind.ndim]
        lines = [f"def steps({', '.join(['start', 'stop', *names])}):"]
        lines += ["    taken = stop - start", *[f"    v{k} = c{k}[0]" for k in numbers]]
        taken = "".join(f"r{k}, " for k in self.returned)
        lines += [
            f"    for step in range({ends}):",
            f"        {taken}{'= ' if taken else ''}{call}",
        ]
        if self.test is not None:
            lines.append(f"        if not {self._number(self.test)}:")
            lines += ["            taken = step - start", "            break"]
        lines += [f"        v{k} = {self._number(k)}" for k in numbers]
        lines += [
            f"        write{min(rank, WRITERS - 1)}(s{k}, step, {self._number(k)})"
            for rank, k in enumerate(self.stacks)
        ]
        for k, kind in carries:
            # Not by exchanging the two arrays: the body's code relies on it that none of its
            # results is an array that it reads, in any step.
            if kind.ndim:
                lines.append(f"        for i in range({kind.size}):")
                lines.append(f"            c{k}.flat[i] = n{k}.flat[i]")
        lines += [*[f"    c{k}[0] = v{k}" for k in numbers], "    return taken"]
        return "\n".join([CPU.decorator, *lines]) + "\n"

    def _number(self, k: int) -> str:
        return f"r{k}" if k in self.returned else f"n{k}[0]"

    def _entry(self, name: str) -> str:
        """What the body is given of a parameter in one step."""
        if name[0] == "x" and not self.loop.body.inputs[int(name[1:])].ndim:
            return f"read({name}, step)"
        if name[0] == "c" and not self.loop.body.inputs[int(name[1:])].ndim:
            return f"v{name[1:]}"
        return f"{name}[step]" if name[0] in "xs" else name


def _fresh(value: Any) -> Any:
    """A carry in memory of its own; a number is an array of one entry."""
    array = np.array(value, order="C")
    return array.reshape(1) if array.ndim == 0 else array


def _contiguous(value: Any) -> Any:
    return np.require(value, requirements=["C", "A"])[()]


def _literal(graph: Graph, node: int) -> Any:
    value: Any = dict(graph.nodes[node].params)["value"]
    return value.array
