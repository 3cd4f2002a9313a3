"""The node `scan` as one compiled loop around the compiled code of its body."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from calcbench.graph.control_bodies import pack_arrays
from calcbench.graph.control_scans import Loop, scan_row
from calcbench.graph.ir import Graph
from calcbench.graph.nodes import Node
from calcbench.lower.compiler import Argument, compile_only, load
from calcbench.lower.drivers import Drivers, Step
from calcbench.lower.groups import Planner
from calcbench.lower.layout import Layout
from calcbench.lower.node_kinds import numpy_function
from calcbench.lower.shared import linked
from calcbench.lower.targets import CPU


CHUNK = 1 << 18  # steps between which Ctrl-C is answered
REMEMBERED = 64  # compiled loops that are held


def compiled_function(node: Node, vectorised: bool) -> Callable[..., Any]:
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
    drivers = Drivers(graph, plan, layout, CPU, vectorised)
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
        self.types = loop.results()
        names, arguments = self._parameters(layout)
        text = f"{text}\n\n{self._text(names, step, layout)}"
        imports, modules = linked(text)
        self.source = f"{CPU.header}{imports}\n\n{text}"
        counters = [Argument(np.dtype(np.int64), 0)] * 2
        function = load(self.source, modules).steps
        self.function = compile_only(function, [*counters, *arguments])

    def __call__(self, *operands: Any) -> Any:
        """The results that the scan keeps, laid end to end."""
        loop, count = self.loop, self.loop.carries
        carry = [_fresh(v) for v in operands[:count]]
        given = [_contiguous(v) for v in operands[count:]]
        results = [*[np.empty_like(c) for c in carry], *self._stacks()]
        values = [*carry, *given, *self.arrays, *results, np.empty(max(self.words, 1))]
        spans = range(0, loop.length, CHUNK)
        for start in reversed(spans) if loop.reverse else spans:
            self.function(start, min(start + CHUNK, loop.length), *values)
        kept = [results[k] if k >= count else carry[k] for k in loop.keep]
        return kept[0].reshape(-1) if len(kept) == 1 else pack_arrays(kept)

    def _stacks(self) -> list[Any]:
        """Room for what is stacked; one entry, written again and again, for what is not kept."""
        stacks = []
        for k, kind in list(enumerate(self.types))[self.loop.carries :]:
            length = self.loop.length if k in self.loop.keep else min(1, self.loop.length)
            stacks.append(np.empty((length, *kind.shape[1:]), kind.dtype))
        return stacks

    # --- the text -----------------------------------------------------------------------------

    def _parameters(self, layout: Layout) -> tuple[list[str], list[Argument]]:
        """The names and types of what the loop is given, after its ends."""
        loop, body = self.loop, self.loop.body
        names = [f"c{k}" for k in range(loop.carries)]
        kinds = [Argument(t.dtype, max(t.ndim, 1), True) for t in body.inputs[: loop.carries]]
        for p, kind in list(enumerate(body.inputs))[loop.carries :]:
            across = p < loop.first_constant
            names.append(f"{'x' if across else 'k'}{p}")
            kinds.append(Argument(kind.dtype, kind.ndim + across))
        for rank, array in enumerate(self.arrays):
            names.append(f"a{rank}")
            kinds.append(Argument(array.dtype, array.ndim))
        for k, kind in enumerate(body.outputs):
            stacked = k >= loop.carries
            names.append(f"{'s' if stacked else 'n'}{k}")
            ndim = kind.ndim + 1 if stacked else max(kind.ndim, 1)
            kinds.append(Argument(kind.dtype, ndim, True))
        return [*names, "arena"], [*kinds, Argument(np.dtype(np.float64), 1, True)]

    def _text(self, names: Sequence[str], step: Step, layout: Layout) -> str:
        """A function that takes the body from one step to another."""
        values = [self._entry(name) for name in names]
        call = f"{step.function}({', '.join(values[p] for p in step.places)})"
        ends = "stop - 1, start - 1, -1" if self.loop.reverse else "start, stop"
        lines = [f"def steps({', '.join(['start', 'stop', *names])}):"]
        lines += [f"    for step in range({ends}):", f"        {call}"]
        for k, kind in enumerate(self.loop.body.inputs[: self.loop.carries]):
            # Not by exchanging the two arrays: the body's code relies on it that none of its
            # results is an array that it reads, in any step.
            lines += [f"        for i in range({kind.size}):"] if kind.ndim else []
            copied = f"c{k}.flat[i] = n{k}.flat[i]" if kind.ndim else f"c{k}[0] = n{k}[0]"
            lines.append(f"        {'    ' if kind.ndim else ''}{copied}")
        return "\n".join([CPU.decorator, *lines]) + "\n"

    def _entry(self, name: str) -> str:
        """What the body is given of a parameter in one step."""
        letter, loop = name[0], self.loop
        if name == "arena" or letter in "ka":
            return name
        k = int(name[1:])
        types = loop.body.outputs if letter in "sn" else loop.body.inputs
        scalar = types[k].shape == ()
        if letter == "c":
            return f"{name}[0]" if scalar else name
        if letter == "x":
            return f"{name}[step]"
        if letter == "n":
            return name
        at = "step" if k in loop.keep else "0"
        return f"{name}[{at}:{at} + 1]" if scalar else f"{name}[{at}]"


def _fresh(value: Any) -> Any:
    """A carry in memory of its own; a number is an array of one entry."""
    array = np.array(value, order="C")
    return array.reshape(1) if array.ndim == 0 else array


def _contiguous(value: Any) -> Any:
    return np.require(value, requirements=["C", "A"])[()]


def _literal(graph: Graph, node: int) -> Any:
    value: Any = dict(graph.nodes[node].params)["value"]
    return value.array
