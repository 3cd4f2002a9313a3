"""Graphs inside nodes: the body of a loop or branch, and several results in one flat array."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from calcbench.graph.activity import varied
from calcbench.graph.arraytype import ArrayType, GraphError
from calcbench.graph.evaluation import Plan
from calcbench.graph.interpreter import inline
from calcbench.graph.ir import Builder, Graph, reachable
from calcbench.graph.primitive import CONTROL, Primitive, Rule
from calcbench.graph.rewriting import simplify
from calcbench.graph.structural import concatenate, full, reshape, slice_


class Body:
    """A graph as the param of a node: hashed once, prepared for NumPy once."""

    def __init__(self, graph: Graph) -> None:
        if graph.guards:
            raise GraphError(f"the body of a loop or branch has no guards, got {graph!r}")
        self.graph = graph
        self._hash = hash(graph)
        self._plans: dict[int, Plan] = {}

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Body) and self._hash == other._hash and self.graph == other.graph
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"{{{self.graph.signature}: {len(self.graph)} nodes}}"

    @cached_property
    def inputs(self) -> list[ArrayType]:
        """The types of the inputs."""
        return [self.graph.types[i] for i in self.graph.inputs]

    @cached_property
    def outputs(self) -> list[ArrayType]:
        """The types of the outputs."""
        return [self.graph.types[i] for i in self.graph.outputs]

    def plan(self, late: int) -> Plan:
        """The graph as NumPy calls; only the first `late` inputs change between runs."""
        if late not in self._plans:
            self._plans[late] = Plan(self.graph, range(late))
        return self._plans[late]


def control(
    name: str, infer: Callable[..., ArrayType], numpy: Callable[..., Any], jvp: Rule, pull: Rule
) -> Primitive:
    """A row that holds graphs; its two rules are given the transform of graphs they need.

    A graph inside may have an infinite partial where the value is finite.
    """
    facts = frozenset(("singular",))
    row = Primitive(name, "control", infer, numpy, jvp=jvp, pull=pull, facts=facts)
    CONTROL[name] = row
    return row


def holds_singular(params: Mapping[str, Any]) -> bool:
    """Whether a graph in the params has a row whose partial may be infinite at a finite value."""
    held = [v for value in params.values() for v in (value if type(value) is tuple else (value,))]
    nodes = [n for body in held if isinstance(body, Body) for n in body.graph.nodes]
    return any(
        "singular" in n.row.facts and (n.row.kind != "control" or holds_singular(dict(n.params)))
        for n in nodes
    )


def check_operands(name: str, given: Sequence[ArrayType], wanted: Sequence[ArrayType]) -> None:
    """A GraphError that names the first operand that does not have its type."""
    if len(given) != len(wanted):
        raise GraphError(f"{name} takes {len(wanted)} operands, got {len(given)}")
    for place, (have, want) in enumerate(zip(given, wanted, strict=True)):
        if have != want:
            raise GraphError(f"operand {place} of {name} is {want} in its body, got {have}")


# --- several results in one flat array ---------------------------------------------------------


def packed_type(name: str, types: Sequence[ArrayType]) -> ArrayType:
    """The type of results of one dtype, laid end to end."""
    if len({t.dtype for t in types}) != 1:
        raise GraphError(f"{name} packs results of one dtype, got {', '.join(map(str, types))}")
    return ArrayType((sum(t.size for t in types),), types[0].dtype)


def pack(values: Sequence[Any]) -> Any:
    """Values of one dtype laid end to end."""
    flat = [reshape(v, shape=(v.type.size,)) for v in values]
    return concatenate(*flat, axis=0) if len(flat) > 1 else flat[0]


def unpack(packed: Any, types: Sequence[ArrayType]) -> list[Any]:
    """The values that `pack` laid end to end."""
    ends = list(accumulate(t.size for t in types))
    return [_piece(packed, end - t.size, end, t) for end, t in zip(ends, types, strict=True)]


def _piece(packed: Any, start: int, stop: int, type: ArrayType) -> Any:
    whole = stop - start == packed.type.size
    part = packed if whole else slice_(packed, starts=(start,), stops=(stop,), steps=(1,))
    return reshape(part, shape=type.shape)


def pack_arrays(arrays: Sequence[Any]) -> Any:
    """NumPy arrays of one dtype laid end to end, in fresh memory."""
    return np.concatenate([np.ravel(a) for a in arrays])


def spread(
    row: Primitive, operands: Sequence[Any], wanted: Iterable[tuple[int, ArrayType]], **params: Any
) -> list[Any]:
    """The `wanted` results of a control row, one node for each dtype among them."""
    pairs = list(wanted)
    found = {k: full(operands[0], 0, t.shape, t.dtype) for k, t in pairs if not t.size}
    for dtype in dict.fromkeys(t.dtype for _, t in pairs if t.size):
        chosen = {k: t for k, t in pairs if t.dtype == dtype and t.size}
        packed = row(*operands, keep=tuple(chosen), **params)
        found.update(zip(chosen, unpack(packed, list(chosen.values())), strict=True))
    return [found[k] for k, _ in pairs]


# --- graphs of bodies --------------------------------------------------------------------------


def with_outputs(graph: Graph, outputs: Iterable[int]) -> Graph:
    """The graph with some of its outputs, by their positions."""
    return simplify(replace(graph, outputs=tuple(graph.outputs[k] for k in outputs)))


def rewired(graph: Graph, inputs: Sequence[int], outputs: Sequence[int]) -> Graph:
    """The graph with some of its inputs and outputs in another order; what it drops is unread."""
    builder = Builder()
    names = graph.input_names
    given = {p: builder.add_new_input(names[p], graph.types[graph.inputs[p]]) for p in inputs}
    rest = [p for p in range(len(graph.inputs)) if p not in given]
    given |= {p: builder.placeholder(graph.types[graph.inputs[p]]) for p in rest}
    ids = inline(graph, builder, [given[p] for p in range(len(graph.inputs))])
    return simplify(builder.freeze([ids[graph.outputs[k]] for k in outputs]))


def is_read(graph: Graph, outputs: Iterable[int] | None = None) -> list[bool]:
    """For each input whether an output depends on it, or one of those at some positions."""
    positions = range(len(graph.outputs)) if outputs is None else outputs
    read = frozenset(reachable(graph.nodes, [graph.outputs[k] for k in positions]))
    return [i in read for i in graph.inputs]


def live_carries(graph: Graph, carries: int, wanted: Iterable[int]) -> list[int]:
    """The carries on which the `wanted` results of a loop depend, by fixpoint."""
    outputs = set(wanted)
    while True:
        reads = is_read(graph, outputs)
        more = {p for p in range(carries) if reads[p]} - outputs
        if not more:
            return sorted(p for p in outputs if p < carries)
        outputs |= more


def moving_inputs(graph: Graph, carries: int, moving: Iterable[int]) -> tuple[set[int], set[int]]:
    """The inputs and outputs of a loop's body that depend on the inputs `moving`, by fixpoint.

    A carry that depends on a moving input in one step is a moving input of the next.
    """
    inputs = set(moving)
    while True:
        wanted = [graph.inputs[p] for p in inputs]
        reached = varied(graph.nodes, graph.types, wanted, range(len(graph)))
        outputs = {k for k, i in enumerate(graph.outputs) if i in reached}
        more = {k for k in outputs if k < carries} - inputs
        if not more:
            return inputs, outputs
        inputs |= more


def with_further_inputs(graph: Graph, further: Sequence[tuple[str, ArrayType]]) -> Graph:
    """The graph with inputs after its own that nothing reads."""
    builder = Builder()
    names = zip(graph.input_names, graph.inputs, strict=True)
    given = [builder.add_new_input(name, graph.types[i]) for name, i in names]
    ids = inline(graph, builder, given)
    for name, kind in further:
        builder.add_new_input(name, kind)
    return builder.freeze([ids[i] for i in graph.outputs])


# --- one run for a value and its derivative -----------------------------------------------------


def compute_instead(z: Any, values: Sequence[Any], beside: Any) -> None:
    """Note that `values`, laid end to end, are `z`, and are computed with `beside` anyway."""
    new = pack(values).id
    if z.id not in reachable(z.builder.nodes, [new]):  # else it is `z` itself, taken apart
        z.builder.instead[z.id] = (new, beside.id)


def shared_runs(graph: Graph, instead: Mapping[int, tuple[int, int]]) -> Graph:
    """The graph in which a loop or branch does not run a second time beside its derivative.

    `instead` maps a node to one of the same value, and to one that is computed with that. The
    replacement counts where the latter is needed; what a loop is given never depends on the loop,
    so there is an order in which every node follows what it reads.
    """
    needed = frozenset(reachable(graph.nodes, graph.outputs))
    better = {i: new for i, (new, beside) in instead.items() if beside in needed}
    if not better:
        return graph
    builder, new = Builder(), dict[int, int]()
    for index in graph.inputs:
        new[index] = builder.add_typed(graph.nodes[index], graph.types[index], None)
    for index in _following(graph, better):
        if index in better:
            new[index] = new[better[index]]
        elif index not in new:
            node = graph.nodes[index]
            moved = node.with_operands(tuple(new[i] for i in node.operands))
            new[index] = builder.add_typed(moved, graph.types[index], graph.origins[index])
    builder.inputs = [new[i] for i in graph.inputs]
    for guard in graph.guards:
        builder.guard(new[guard.node], guard.expected.array)
    return builder.freeze([new[i] for i in graph.outputs])


def _following(graph: Graph, better: Mapping[int, int]) -> list[int]:
    """The needed nodes in their order, but each after what it reads or is replaced by."""
    ends = [*graph.outputs, *(g.node for g in graph.guards)]
    needed = _in_order(graph, better, ends)
    return _in_order(graph, better, sorted(needed))


def _in_order(graph: Graph, better: Mapping[int, int], roots: Sequence[int]) -> list[int]:
    """What the roots need and they themselves, one root after the other."""
    order: list[int] = []
    pending = [(i, False) for i in reversed(roots)]
    seen: set[int] = set()
    while pending:
        index, is_ready = pending.pop()
        if is_ready:
            order.append(index)
        elif index not in seen:
            seen.add(index)
            pending.append((index, True))
            below = (better[index],) if index in better else graph.nodes[index].operands
            pending += [(i, False) for i in sorted(below, reverse=True)]
    return order
