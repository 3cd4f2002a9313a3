"""The text of a program: a function for each loop, and drivers that call them in order.

A driver runs all that needs no interpreter in between. A long loop has a driver of its own, which
takes a range: its ranges are shared out among threads where computing takes longer than memory,
and Ctrl-C is answered between them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.lower.blocked_products import blocked_functions, product_workspace
from calcbench.lower.calls import Callee, CalleeOf, no_callee, operand_text
from calcbench.lower.emission import indented
from calcbench.lower.folding import FoldWriter
from calcbench.lower.groups import Group, Planner, base
from calcbench.lower.layout import Layout
from calcbench.lower.loops import Loop
from calcbench.lower.node_kinds import FunctionOf, numpy_function
from calcbench.lower.parts import LONGEST, SCALARS, Part, cut, hand_on, paired
from calcbench.lower.passes import product_lines, scan_lines, scatter_lines
from calcbench.lower.shared import calling
from calcbench.lower.targets import Target
from calcbench.lower.workers import thread_count


LONG_NS = 1e6  # on two cores, threads pay from 0.5 to 1 ms of computing


@dataclass(frozen=True)
class Step:
    """One call of a run.

    Attributes
    ----------
    function : str or callable
        The name of a driver, or a call-out.
    places : tuple of int
        The values of the call that it takes.
    loop : Loop or None
        The loop whose ranges the driver takes further.
    """

    function: str | Callable[..., None]
    places: tuple[int, ...]
    loop: Loop | None = None


class Drivers:
    """Writes loops, drivers and steps, group by group.

    Attributes
    ----------
    steps : list of Step
    source : str
    workspace : int
        Bytes of buffers inside loops, at most at a time.
    """

    def __init__(
        self,
        graph: Graph,
        plan: Planner,
        layout: Layout,
        target: Target,
        vectorised: bool,
        function_of: FunctionOf = numpy_function,
        callee_of: CalleeOf = no_callee,
    ) -> None:
        self.graph, self.layout, self._function_of = graph, layout, function_of
        self._apart = plan.apart
        self._callee_of, self.callees = callee_of, list[Callee]()
        self.target, self.vectorised = target, vectorised
        self.names = layout.names
        self.workspace = 0
        self.steps: list[Step] = []
        self._variables = {self.names.stored[i] for i in plan.variables}
        self._functions: list[list[str]] = []
        self._straight: list[tuple[str, Part]] = []  # straight-line code under its header
        self._parts: list[Part] = []  # drivers and pieces of straight-line code, in order
        self._drivers = 0
        self._calls: list[Step | tuple[str, Part, Loop | None]] = []  # steps, and drivers of some
        self._lines: list[str] = []  # of the driver that is being written
        self._loops: list[Loop] = []  # that it calls
        for number, group in enumerate(plan.groups):
            self._write(number, group)
        self._close()
        self.text = self._text()

    def _text(self) -> str:
        """The functions of loops and of straight-line code, and the drivers."""
        count = hand_on(self._parts, self._dtype)
        if count:
            self.layout.sums[SCALARS] = (count, "float64")
        drivers = [self._driver(*call) for call in self._calls if isinstance(call, tuple)]
        steps = iter([step for step, _ in drivers])
        self.steps = [next(steps) if isinstance(call, tuple) else call for call in self._calls]
        pieces = [[header, *indented(part.lines, 1)] for header, part in self._straight]
        texts = ["\n".join(["@loop", *lines]) for lines in [*self._functions, *pieces]]
        texts += ["\n".join([self.target.decorator, *lines]) for _, lines in drivers]
        text = "\n\n\n".join(texts) + "\n"
        return blocked_functions(text) + text

    # --- groups -------------------------------------------------------------------------------

    def _write(self, number: int, group: Group) -> None:
        root = group.roots[0]
        if group.kind == "callout":
            self._write_callout(root.node)
        elif group.kind == "product":
            self._lines += product_lines(self.graph, root, self.names)
            self.workspace = max(self.workspace, product_workspace(self.graph, root.node))
        elif group.kind == "loop":
            self._write_loop(number, group)
        else:
            lines = scan_lines if group.kind == "scan" else scatter_lines
            self._lines += lines(self.graph, root, self.names, self.target, self.vectorised)

    def _write_loop(self, number: int, group: Group) -> None:
        loop = self._loop(number, group, False)
        if not group.space:
            self._write_straight(loop.lines)
        elif loop.nanoseconds > LONG_NS and loop.total > 1:
            self._close()
            self._close_long(self._loop(number, group, True))
            self._lines += loop.finish
        else:
            self.workspace = max(self.workspace, loop.workspace)
            self._loops.append(loop)
            self._lines += [self._call(loop), *loop.finish]

    def _write_straight(self, lines: list[str]) -> None:
        """Code without a loop: in the driver, or in functions of its own if it is long."""
        if self.vectorised:
            lines = paired(calling("\n".join(lines)).split("\n"))
        if len(lines) <= LONGEST:
            self._lines += lines
            return
        self._close()  # what it computed has to be kept for the functions
        for piece in cut(lines):
            names = [n for n in self._used(piece) if n not in self._variables]
            call = f"part{len(self._straight)}({', '.join([*names, SCALARS])})"
            part = Part(piece, frozenset(names))
            self._straight.append((f"def {call}:", part))
            self._parts.append(part)
            self._lines.append(call)

    def _loop(self, number: int, group: Group, threaded: bool) -> Loop:
        writer = FoldWriter(self.graph, group, self.names, self.target, self.vectorised)
        make = writer.folded if group.axes else writer.plain
        loop = make(f"loop{number}", threaded)
        self.layout.sums.update(loop.sums)
        return loop

    def _call(self, loop: Loop) -> str:
        return f"{loop.name}({', '.join(self._used(loop.lines))})"

    # --- drivers ------------------------------------------------------------------------------

    def _close(self) -> None:
        """End the driver that is being written; one that calls a loop and no more is that loop."""
        alone = self._loops[0] if len(self._loops) == 1 else None
        if alone and self._lines == [self._call(alone), *alone.finish]:
            self._lines = [*alone.lines, *alone.finish]
        else:
            for loop in self._loops:
                self._functions.append([f"def {self._call(loop)}:", *indented(loop.lines, 1)])
        if self._lines:
            self._drive(self._lines)
        self._lines, self._loops = [], []

    def _close_long(self, loop: Loop) -> None:
        """A driver for ranges of one loop."""
        threads = thread_count() if is_shared(loop) else 1
        self.workspace = max(self.workspace, threads * loop.workspace)
        self._drive(loop.lines, loop)

    def _drive(self, lines: Sequence[str], loop: Loop | None = None) -> None:
        """Add a driver; what it takes and keeps shows when all are known."""
        part = Part(list(lines), frozenset(self._used(lines)) - self._variables)
        self._parts.append(part)
        self._calls.append((f"run{self._drivers}", part, loop))
        self._drivers += 1

    def _driver(self, name: str, part: Part, loop: Loop | None) -> tuple[Step, list[str]]:
        """What calls a driver, and its lines."""
        places = self.layout.places
        used = [n for n in self._used(part.lines) if n not in self._variables]
        inner = [n for n in used if n not in places]
        parameters = sorted((n for n in used if n in places), key=places.__getitem__)
        parameters += ["arena"] if inner else []
        ends = ["start", "stop"] if loop else []
        header = f"def {name}({', '.join([*parameters, *ends])}):"
        slices = [self.layout.slice_text(n) for n in inner]
        step = Step(name, tuple(places[n] for n in parameters), loop)
        return step, [header, *indented([*slices, *part.lines], 1)]

    def _dtype(self, name: str) -> str:
        """The dtype of a number that statements name: an entry of a node, or a position."""
        return (
            self.graph.types[int(name[1:].split("_")[0])].dtype.name if name[0] == "v" else "int64"
        )

    def _used(self, lines: Sequence[str]) -> list[str]:
        """The arrays and numbers that lines name, in order of their nodes."""
        words = set(re.findall(r"[A-Za-z_]\w*", "\n".join(lines)))
        known = [name for _, name in sorted(self.names.stored.items())]
        known += [*self.names.copies.values(), *self.layout.sums, *self.layout.further]
        return [name for name in known if name in words]

    # --- call-outs ----------------------------------------------------------------------------

    def _write_callout(self, node: int) -> None:
        """A call inside the driver, if there is a compiled function; else a step of its own."""
        callee = self._callee_of(self.graph.nodes[node]) if self._is_full(node) else None
        if callee is None:
            self._close()
            self._calls.append(self._callout(node))
            return
        self.callees.append(callee)
        room = f"room{node}"
        self.layout.sums[room] = (max(callee.words, 1), "float64")
        self._lines.append(self._call_of(callee, node, room))

    def _is_full(self, node: int) -> bool:
        """Whether a node and its operands have entries: there is no place for those without."""
        return all(self.graph.types[i].size for i in (node, *self.graph.nodes[node].operands))

    def _call_of(self, callee: Callee, node: int, room: str) -> str:
        operands = [
            operand_text(self.names.stored[base(self.graph, o)], self.graph.types[o])
            for o in self.graph.nodes[node].operands
        ]
        names = [self.layout.further_name(array) for array in callee.arrays]
        arrays = [f"seen({n}, 0, {a.size})" for n, a in zip(names, callee.arrays, strict=True)]
        return callee.call(self._results(callee, node), operands, arrays, room)

    def _results(self, callee: Callee, node: int) -> list[str]:
        """Where a called function writes its results: apart, or end to end."""
        if node not in self._apart:
            ends, out = list(accumulate(callee.sizes)), self.names.stored[node]
            return [f"span({out}, {b - n}, {n})" for b, n in zip(ends, callee.sizes, strict=True)]
        found = []
        for place, size in enumerate(callee.sizes):
            if place in self._apart[node]:
                name = self.names.stored[self._apart[node][place]]
            else:  # a result that nothing reads
                name = f"spare{node}_{place}"
                self.layout.sums[name] = (size, self.graph.types[node].dtype.name)
            found.append(f"span({name}, 0, {size})")
        return found

    def _callout(self, node: int) -> Step:
        operands = self.graph.nodes[node].operands
        nodes = [base(self.graph, operand) for operand in operands]
        readers = [self.layout.reader(n, o) for n, o in zip(nodes, operands, strict=True)]
        where = partial(self.graph.place, node)
        function = self._function_of(self.graph.nodes[node])
        results = self._apart.get(node, {0: node})
        outs = [self.layout.reader(n, n) for n in results.values()]
        values = tuple(self.layout.place(n) for n in (*nodes, *results.values()))
        places = tuple(results) if node in self._apart else None
        return Step(partial(_call_out, function, readers, outs, places, where), values)


def is_shared(loop: Loop) -> bool:
    """Whether threads share out a long loop: not if it waits for memory."""
    return loop.computing_ns > loop.memory_ns


def _call_out(
    function: Any,
    readers: Sequence[Any],
    outs: Sequence[Any],
    places: Sequence[int] | None,
    where: Callable[[], str],
    *values: Any,
) -> None:
    """Call with results and operands; with the places of the results, if they are apart."""
    operands = [read(value)[()] for read, value in zip(readers, values, strict=False)]
    results = [read(value) for read, value in zip(outs, values[len(readers) :], strict=True)]
    try:  # which takes no time where nothing fails
        with np.errstate(all="ignore"):
            if places is None:
                function(results[0], *operands)
            else:
                function.write_apart(dict(zip(places, results, strict=True)), *operands)
    except Exception as error:
        error.add_note(f"while evaluating {where()}")
        raise
