"""A graph prepared for repeated evaluation with NumPy: one list of calls, freed at last use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.ir import Graph, paused_collection
from calcbench.graph.nodes import INPUT, Literal, Node
from calcbench.graph.structural import aligned_shape, broadcast, fill


class GuardMiss(Exception):
    """A run whose values leave the recorded path; its results and errors count for nothing."""


def check_guards(expected: Sequence[Any], values: Sequence[Any]) -> None:
    """GuardMiss unless every value is the expected one."""
    for wanted, value in zip(expected, values, strict=True):
        same = value == wanted
        if not (same.all() if same.shape else same):
            raise GuardMiss


class Step(NamedTuple):
    """One call: which values go in, which slot takes the result, which slots are free then."""

    function: Callable[..., Any]
    operands: tuple[int, ...]
    out: int
    dead: tuple[int, ...]
    node: int


class Plan:
    """A graph as a list of NumPy calls.

    Inputs at the positions `late` may change between sweeps over the same early inputs: the part
    of the graph that does not depend on them runs once (`start`), the rest per sweep (`finish`).
    Constants are computed once, and a broadcast that only feeds elementwise calls is left to
    NumPy's own broadcasting, which gives the same bits.
    """

    def __init__(self, graph: Graph, late: Iterable[int] = ()) -> None:
        self.graph = graph
        self.late = tuple(graph.inputs[p] for p in late)
        self.early = tuple(i for i in graph.inputs if i not in frozenset(self.late))
        with paused_collection():
            calls, self.template = _calls(graph)
            later = _dependents(graph, calls, self.late)
            early = [c for c in calls if c.node not in later]
            sweep = [c for c in calls if c.node in later]
            self.first, self.second = _with_deaths(graph, early, sweep)
        self.owned = {call.out for call in (sweep if self.late else early)}

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The outputs for all inputs in the graph's order; fresh arrays, aliasing nothing."""
        by_node = dict(zip(self.graph.inputs, inputs, strict=True))
        values = self.start([by_node[i] for i in self.early])
        return self.finish(values, [by_node[i] for i in self.late])

    def start(self, inputs: Sequence[Any]) -> list[Any]:
        """Run the part that does not depend on late inputs; the values, to be given to `finish`."""
        values = self.template.copy()
        for index, value in zip(self.early, inputs, strict=True):
            values[index] = value
        _run(self.first, values, self.graph)
        return values

    def finish(self, values: list[Any], late: Sequence[Any] = ()) -> tuple[Any, ...]:
        """Run the rest on a copy of `values`; the outputs."""
        values = values.copy()
        for index, value in zip(self.late, late, strict=True):
            values[index] = value
        _run(self.second, values, self.graph)
        return self._outputs(values)

    def peek(self, values: list[Any], count: int) -> tuple[Any, ...]:
        """Copies of the first outputs, which must not depend on late inputs."""
        return tuple(np.array(values[i])[()] for i in self.graph.outputs[:count])

    def _outputs(self, values: list[Any]) -> tuple[Any, ...]:
        """Outputs own their memory: nothing is shared with inputs, constants or each other."""
        results, given = [], set()
        for index in self.graph.outputs:
            value = values[index]
            if isinstance(value, np.ndarray):
                if value.base is not None or index not in self.owned or id(value) in given:
                    value = value.copy()
                given.add(id(value))
                value = value if value.ndim else value[()]
            results.append(value)
        return tuple(results)


def _run(steps: Sequence[Step], values: list[Any], graph: Graph) -> None:
    step = None
    try:
        with np.errstate(all="ignore"):
            for step in steps:
                function, operands, out, dead, _ = step
                values[out] = function(*[values[i] for i in operands])
                for index in dead:
                    values[index] = None
    except GuardMiss:
        raise
    except Exception as error:
        error.add_note(f"while evaluating {graph.place(step.node)}" if step else "")
        raise


class _Call(NamedTuple):
    function: Callable[..., Any]
    operands: tuple[int, ...]
    out: int
    node: int


def _calls(graph: Graph) -> tuple[list[_Call], list[Any]]:
    """The calls in order, and the initial values: constants in place, one spare slot per need."""
    template: list[Any] = [None] * len(graph.nodes)
    thin, guarded = _Thinner(graph, template), _guards(graph)
    calls: list[_Call] = []
    for index, node in enumerate(graph.nodes):
        if node.row.kind == "source":
            template[index] = node.row.numpy(**dict(node.params))
        elif node.row is not INPUT:
            operands = node.operands
            if len(operands) > 1 and graph.types[index].shape:
                calls += thin.prepare(node)
                operands = thin.operands(node)
            calls.append(_Call(_bound(node), operands, index, index))
        for expected in guarded.get(index, ()):
            template.append(None)
            calls.append(_Call(_check(expected), (index,), len(template) - 1, index))
    return _needed(graph, calls), template


def _bound(node: Node) -> Callable[..., Any]:
    return partial(node.row.numpy, **dict(node.params)) if node.params else node.row.numpy


def _guards(graph: Graph) -> dict[int, list[Literal]]:
    found: dict[int, list[Literal]] = {}
    for guard in graph.guards:
        found.setdefault(guard.node, []).append(guard.expected)
    return found


def _check(expected: Literal) -> Callable[[Any], None]:
    if expected.shape == ():
        wanted = expected.array.item()

        def check(value: Any) -> None:
            if value != wanted:
                raise GuardMiss

        return check

    def check_array(value: Any) -> None:
        if not np.array_equal(value, expected.array):
            raise GuardMiss

    return check_array


class _Thinner:
    """Replaces broadcast operands of elementwise calls by their unstretched sources."""

    def __init__(self, graph: Graph, template: list[Any]) -> None:
        self.graph = graph
        self.template = template
        self.slots: dict[int, int] = {}

    def operands(self, node: Node) -> tuple[int, ...]:
        thin = self._thin_operands(node)
        return tuple(self.slots[i] if i in thin else i for i in node.operands)

    def prepare(self, node: Node) -> list[_Call]:
        """The calls that make the thin operands of `node`, where they are not made yet."""
        made = []
        for operand in self._thin_operands(node):
            if operand not in self.slots:
                made += self._make(operand, self.graph.nodes[operand])
        return made

    def _thin_operands(self, node: Node) -> set[int]:
        if node.row.scalar is None:
            return set()
        thin = {i for i in node.operands if self._is_stretched(i)}
        return thin if len(thin) < len(set(node.operands)) else set()

    def _is_stretched(self, index: int) -> bool:
        row = self.graph.nodes[index].row
        return (row is broadcast or row is fill) and self.graph.types[index].shape != ()

    def _make(self, operand: int, node: Node) -> list[_Call]:
        params: Any = dict(node.params)
        if node.row is fill:
            self.slots[operand] = self._new_slot(params["value"].array[()])
            return []
        source = node.operands[0]
        old = self.graph.types[source].shape
        shape: Any = aligned_shape(old, params["dims"], len(params["shape"]))
        trailing = shape[len(shape) - len(old) :] == old
        if trailing:
            self.slots[operand] = source
            return []
        self.slots[operand] = self._new_slot(None)
        return [_Call(partial(_reshaped, shape), (source,), self.slots[operand], operand)]

    def _new_slot(self, value: Any) -> int:
        self.template.append(value)
        return len(self.template) - 1


def _reshaped(shape: tuple[int, ...], value: Any) -> Any:
    return np.reshape(value, shape)


def _needed(graph: Graph, calls: list[_Call]) -> list[_Call]:
    """Without the broadcasts that nobody reads any more."""
    used = set(graph.outputs)
    kept = []
    for call in reversed(calls):
        is_check = call.out >= len(graph.nodes) and call.operands == (call.node,)
        if call.out in used or is_check:
            used.update(call.operands)
            kept.append(call)
    return kept[::-1]


def _dependents(graph: Graph, calls: list[_Call], late: tuple[int, ...]) -> set[int]:
    """The nodes whose value depends on a late input, or is computed again for what does."""
    slots, nodes = set(late), set()
    for call in calls:
        again = late and graph.nodes[call.node].epoch
        if again or not slots.isdisjoint(call.operands):
            slots.add(call.out)
            nodes.add(call.node)
    return nodes


def _with_deaths(
    graph: Graph, first: list[_Call], second: list[_Call]
) -> tuple[list[Step], list[Step]]:
    """Attach to each call the slots nobody reads after it; early values that stay are kept."""
    uses = Counter(i for call in (*first, *second) for i in call.operands)
    held = set(graph.outputs) | set(graph.inputs) | {i for call in second for i in call.operands}
    produced = {call.out for call in first}, {call.out for call in second}
    return (
        _deaths(first, Counter(uses), produced[0] - held),
        _deaths(second, Counter(uses), produced[1] - set(graph.outputs)),
    )


def _deaths(calls: list[_Call], uses: Counter[int], mortal: set[int]) -> list[Step]:
    steps = []
    for call in calls:
        uses.subtract(call.operands)
        dead = tuple(i for i in set(call.operands) if uses[i] == 0 and i in mortal)
        steps.append(Step(call.function, call.operands, call.out, dead, call.node))
    return steps
