"""A graph run forward and backward once, with the value and the cotangent of every node kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from calcbench.graph.activity import exposed, varied
from calcbench.graph.interpreter import evaluate, inline
from calcbench.graph.ir import Builder, Graph, paused_collection, reachable
from calcbench.graph.lifetimes import byte_size
from calcbench.graph.lifting import Value
from calcbench.graph.masks import combine, or_zeros
from calcbench.graph.rewriting import prune
from calcbench.graph.structural import fill, full
from calcbench.measure.recording import Point
from calcbench.reverse_mode.pullback import walk


@dataclass(frozen=True)
class Execution:
    """What every node of a graph held, upward and downward.

    Attributes
    ----------
    graph : Graph
    wanted : tuple of int
        The inputs by which was differentiated, as node ids.
    values : tuple
        Per node its value; None where nothing needs it, so that it was not computed.
    cotangents : tuple
        Per node the derivative of the sum of all float results by its value, of the value's shape;
        None where no cotangent was computed, as no path leads from a wanted input over the node to
        a result.
    """

    graph: Graph
    wanted: tuple[int, ...]
    values: tuple[Any, ...]
    cotangents: tuple[Any, ...]

    def size(self, node: int) -> int:
        """Bytes of the node's value; none for a number repeated, which belongs to the program."""
        row = self.graph.nodes[node].row
        return 0 if row is fill else byte_size(self.graph.types[node])

    def is_computed(self, node: int) -> bool:
        """Whether a result needs the node's value."""
        return self.values[node] is not None


def total_bytes(graph: Graph) -> int:
    """Bytes of all values together, which an execution holds twice at most."""
    return sum(map(byte_size, graph.types))


def execute(point: Point) -> Execution:
    """Run forward and backward; nodes that are not needed are pruned before.

    Notes
    -----
    The backward run is that of `vjp_graph`, node by node, with each node's cotangent kept where
    that one forgets it: the inputs get the same bits. Results are seeded with ones.
    """
    graph = point.graph
    with paused_collection():
        builder = Builder()
        names = zip(graph.input_names, graph.inputs, strict=True)
        ids = inline(graph, builder, [builder.add_input(n, graph.types[i]) for n, i in names])
        wanted = [graph.inputs[p] for p in point.wanted]
        guarded = [g.node for g in graph.guards]
        needed = reachable(graph.nodes, [*graph.outputs, *guarded, *wanted])
        arrived = _arrived(builder, [ids[i] for i in graph.outputs], [ids[i] for i in wanted])
        reached = [i for i in needed if ids[i] in arrived or i in wanted]
        pulled = [or_zeros(arrived.get(ids[i]), Value(builder, ids[i])).id for i in reached]
        both = prune(builder.freeze([*(ids[i] for i in needed), *pulled]))
    found = evaluate(both, *point.inputs)
    values, cotangents = [None] * len(graph), [None] * len(graph)
    for index, value in zip(needed, found, strict=False):
        values[index] = value
    for index, value in zip(reached, found[len(needed) :], strict=True):
        cotangents[index] = value
    return Execution(graph, tuple(wanted), tuple(values), tuple(cotangents))


def _arrived(builder: Builder, outputs: list[int], wanted: list[int]) -> dict[int, Any]:
    """What arrives at each node from the results, nodes taken downward one by one."""
    span = range(len(builder.nodes))
    active = varied(builder.nodes, builder.types, wanted, span)
    fragile = exposed(builder.nodes, active, span)
    arrived: dict[int, Any] = {}
    for index in outputs:
        if index in active:
            arrived[index] = combine(arrived.get(index), full(Value(builder, index), 1))
    for index in reversed(span):
        if index in arrived:
            operands = [i for i in dict.fromkeys(builder.nodes[index].operands) if i in active]
            shares = {i: arrived[i] for i in (index, *operands) if i in arrived}
            at_risk = [i for i in operands if i in fragile]
            walk(builder, range(index, index + 1), shares, operands, at_risk)
            arrived |= shares
    return arrived
