"""Loops and choices as compiled functions that other compiled loops call: loops inside loops."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.control_bodies import Body, with_outputs
from calcbench.graph.control_choices import cond_row
from calcbench.graph.control_loops import While, while_row
from calcbench.graph.control_scans import scan_row
from calcbench.graph.control_steps import Loop
from calcbench.graph.interpreter import inline
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.nodes import Node
from calcbench.lower.calls import Callee, array_names, room_text, words_of
from calcbench.lower.compiler import load
from calcbench.lower.emission import indented
from calcbench.lower.loop_code import LoopCode, body_code, loop_code, with_imports


ENDLESS = 1 << 62  # steps of a loop that ends by its test


def callee(node: Node, vectorised: bool) -> Callee | None:
    """The function that computes a loop or choice; None if it calls out of compiled code.

    A derivative of a while loop that runs its scans after counting has none: their length, and so
    the memory they take, is known in the run only.
    """
    params: Any = dict(node.params)
    if node.row is scan_row:
        loop = Loop(**params)
        code = loop_code(loop, vectorised, partial(callee, vectorised=vectorised))
        return None if code is None else _looping(code, loop.keep, loop.length)
    if node.row is while_row and not params["derived"]:
        code = while_code(While(**params), vectorised)
        return None if code is None else _looping(code, params["keep"], ENDLESS)
    if node.row is cond_row:
        return _choosing(params["branches"], params["keep"], vectorised)
    return None


# --- while loops --------------------------------------------------------------------------------


def while_code(loop: While, vectorised: bool) -> LoopCode | None:
    """A while loop's code: that of a scan which a test ends.

    Where nothing loops in the body, it is computed together with the test, once more than it is
    taken. A loop in it might never end where the test is false: then the test comes first.
    """
    callee_of, count = partial(callee, vectorised=vectorised), loop.carries
    if not any(node.row.kind == "control" for node in loop.body.graph.nodes):
        return loop_code(_endless(Body(_tested(loop)), count), vectorised, callee_of, count)
    test = _graph_callee(loop.condition.graph, vectorised)
    return test and loop_code(_endless(loop.body, count), vectorised, callee_of, before=test)


def _endless(body: Body, carries: int) -> Loop:
    return Loop(body, carries, (), 0, reverse=False, scanned=0)


def _tested(loop: While) -> Graph:
    """The next carries, and whether they are to be taken."""
    builder, graph = Builder(), loop.body.graph
    named = zip(graph.input_names, loop.body.inputs, strict=True)
    given = [builder.add_input(name, kind) for name, kind in named]
    steps = inline(graph, builder, given)
    tests = inline(loop.condition.graph, builder, given)
    outputs = [steps[i] for i in graph.outputs]
    return builder.freeze([*outputs, tests[loop.condition.graph.outputs[0]]])


# --- choices ------------------------------------------------------------------------------------


def _choosing(branches: tuple[Body, Body], keep: Sequence[int], vectorised: bool) -> Callee | None:
    """A choice as a function: only the branch taken is run."""
    taken, other = (_graph_callee(with_outputs(b.graph, keep), vectorised) for b in branches)
    if taken is None or other is None:
        return None
    given = [f"o{rank}" for rank in range(len(keep))], [f"p{k}" for k in _inputs(branches[0])]
    arrays = (*taken.arrays, *other.arrays)
    names, split = array_names(arrays), len(taken.arrays)
    lines = [
        "if chosen:",
        f"    {taken.call(*given, names[:split], 'work')}",
        "else:",
        f"    {other.call(*given, names[split:], 'work')}",
    ]
    parameters = [*given[0], "chosen", *given[1], *names, "work"]
    words = max(taken.words, other.words)
    code = _Code("@inline", parameters, lines, "", (taken, other))
    return code.callee(arrays, taken.sizes, words)


def _inputs(body: Body) -> range:
    return range(len(body.inputs))


def _graph_callee(graph: Graph, vectorised: bool) -> Callee | None:
    """A graph as a function, with one array for each output."""
    code = body_code(graph, vectorised, partial(callee, vectorised=vectorised))
    if code is None:
        return None
    outs = [f"o{rank}" for rank in range(len(graph.outputs))]
    operands = [f"p{k}" for k in range(len(graph.inputs))]
    lines = code.lines(operands, outs, "work")
    parameters = [*outs, *operands, *array_names(code.arrays), "work"]
    function = _Code("@inline", parameters, lines, code.text, code.callees)
    sizes = [graph.types[i].size for i in graph.outputs]
    return function.callee(code.arrays, sizes, code.layout.words)


# --- loops --------------------------------------------------------------------------------------


def _looping(code: LoopCode, keep: Sequence[int], length: int) -> Callee:
    """A function that runs all steps of a loop, in the memory it is given."""
    loop, kinds = code.loop, code.loop.body.inputs
    rooms, lines = _Rooms(), list[str]()
    for name in code.names:
        letter, k = name[0], int(name[1:] or 0) if name != "arena" else 0
        if letter == "c":
            lines += [rooms.line(name, kinds[k]), *_copied(name, f"p{k}", kinds[k])]
        elif letter == "n":
            lines.append(rooms.line(name, loop.body.outputs[k]))
        elif letter in "xks":
            lines.append(f"{name} = {f'o{keep.index(k)}' if letter == 's' else f'p{k}'}")
    lines += [f"arena = span(work, {rooms.words}, {code.words})", *code.lines("0", str(length))]
    for rank, k in enumerate(keep):
        if k < loop.carries:
            lines += [f"for i in range({kinds[k].size}):", f"    o{rank}[i] = c{k}[i]"]
    outs, operands = (
        [f"o{rank}" for rank in range(len(keep))],
        [f"p{k}" for k in _inputs(loop.body)],
    )
    parameters = [*outs, *operands, *array_names(code.arrays), "work"]
    function = _Code("@part", parameters, lines, code.body, code.callees)
    sizes = [kind.size for kind in loop._replace(keep=tuple(keep), length=length).kept()]
    return function.callee(code.arrays, sizes, rooms.words + code.words)


def _copied(name: str, source: str, kind: ArrayType) -> list[str]:
    if not kind.ndim:
        return [f"{name}[0] = {source}"]
    return [f"for i in range({kind.size}):", f"    {name}[i] = {source}[i]"]


class _Rooms:
    """Parts of the memory that a function is given, one behind the other."""

    def __init__(self) -> None:
        self.words = 0

    def line(self, name: str, kind: ArrayType) -> str:
        """The statement that gives the next part a name."""
        word = self.words
        self.words += words_of(kind.size, kind.dtype)
        return f"{name} = {room_text('work', word, kind.size, kind.dtype)}"


class _Code(NamedTuple):
    """The lines of a function, and the text that they call."""

    decorator: str
    parameters: Sequence[str]
    lines: Sequence[str]
    text: str
    callees: Sequence[Callee]

    def callee(self, arrays: Sequence[Any], sizes: Sequence[int], words: int) -> Callee:
        """The function, in a module of its own."""
        body = "\n".join(indented(self.lines, 1))
        rest = f"({', '.join(self.parameters)}):\n{body}\n"
        name = f"nested_{hashlib.sha256(f'{self.text}{rest}'.encode()).hexdigest()[:16]}"
        text = f"{self.text}\n\n{self.decorator}\ndef {name}{rest}"
        source, modules = with_imports(text, self.callees)
        return Callee(name, load(source, modules), tuple(arrays), tuple(sizes), words)
