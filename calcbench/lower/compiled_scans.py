"""The node `scan` as one compiled loop around the compiled code of its body."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.control_scans import Loop, scan_row
from calcbench.graph.ir import Graph
from calcbench.graph.nodes import Node
from calcbench.lower.access import WRITERS
from calcbench.lower.compiler import Argument, compile_only, load
from calcbench.lower.drivers import Drivers, Step
from calcbench.lower.groups import Planner
from calcbench.lower.layout import Layout
from calcbench.lower.node_kinds import numpy_function
from calcbench.lower.shared import linked
from calcbench.lower.targets import CPU


CHUNK = 1 << 18  # steps between which Ctrl-C is answered
INLINED = replace(CPU, decorator="@inline")  # the body in the loop: carries stay in registers
REMEMBERED = 64  # compiled loops that are held
_WRITE = re.compile(r"^    write\d\((\w+), 0, (.+)\)\n", re.MULTILINE)


def compiled_function(node: Node, vectorised: bool) -> Callable[..., None]:
    """What a call-out of the node calls: a compiled loop for a scan, NumPy for other rows.

    A scan whose body itself calls out of compiled code, as for a loop in a loop, goes to NumPy.
    """
    if node.row is scan_row:
        loop = Loop(**dict(node.params))  # type: ignore[arg-type]
        found = _compiled(loop, vectorised)
        if found is not None:
            return found
    return numpy_function(node)


@lru_cache(maxsize=REMEMBERED)
def _compiled(loop: Loop, vectorised: bool) -> CompiledScan | None:
    graph = loop.body.graph
    plan = Planner(graph, variables=True)
    layout = Layout(graph, plan)
    drivers = Drivers(graph, plan, layout, INLINED, vectorised)
    steps = drivers.steps
    if len(steps) != 1 or callable(steps[0].function) or steps[0].loop:
        return None
    return CompiledScan(loop, layout, drivers.text, steps[0])


class CompiledScan:
    """A scan compiled for its types; calls are independent of each other.

    Attributes
    ----------
    source : str
        The generated text: the body's code, and a loop around it.
    """

    def __init__(self, loop: Loop, layout: Layout, text: str, step: Step) -> None:
        self.loop = loop
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
        loop, count = self.loop, self.loop.carries
        carry = [_fresh(v) for v in operands[:count]]
        given = [_contiguous(v) for v in operands[count:]]
        pieces = {k: out[start:stop] for k, (start, stop) in self.places.items()}
        results = [
            pieces[k].reshape(kind.shape) if letter == "s" else np.empty(kind.shape, kind.dtype)
            for k, (letter, kind) in enumerate(self.results)
        ]
        stacks = [pieces[k] for k in self.stacks]
        values = [*carry, *given, *self.arrays, *results, np.empty(max(self.words, 1)), *stacks]
        spans = range(0, loop.length, CHUNK)
        for start in reversed(spans) if loop.reverse else spans:
            self.function(start, min(start + CHUNK, loop.length), *values)
        for k in loop.keep:
            if k < count:
                pieces[k][...] = carry[k].reshape(-1)

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
        lines += [f"    v{k} = c{k}[0]" for k in numbers]
        taken = "".join(f"r{k}, " for k in self.returned)
        lines += [
            f"    for step in range({ends}):",
            f"        {taken}{'= ' if taken else ''}{call}",
        ]
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
        lines += [f"    c{k}[0] = v{k}" for k in numbers]
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
