"""Forward accumulation's order: each tangent right after the last value that it needs.

A jvp graph lists all values and then all tangents: run as listed, it holds every value until its
tangent comes. In this order a value goes as soon as the values and tangents that read it are there.
"""

from __future__ import annotations

from calcbench.graph.ir import Graph, reachable


def interleaved(graph: Graph, results: int) -> Graph:
    """A jvp graph, of which the first `results` outputs are values, in that order."""
    guarded = [g.node for g in graph.guards]
    values = frozenset(reachable(graph.nodes, [*graph.outputs[:results], *guarded]))
    needed = [0] * len(graph)
    for index, node in enumerate(graph.nodes):
        last = max((needed[i] for i in node.operands), default=0)
        needed[index] = index if index in values else last
    return reordered(graph, sorted(range(len(graph)), key=needed.__getitem__))


def reordered(graph: Graph, order: list[int]) -> Graph:
    """The graph with its nodes in another order, in which operands still come first."""
    new = [0] * len(order)
    for rank, index in enumerate(order):
        new[index] = rank
    nodes = [graph.nodes[i] for i in order]
    return Graph(
        tuple(n.with_operands(tuple(new[i] for i in n.operands)) for n in nodes),
        tuple(graph.types[i] for i in order),
        tuple(new[i] for i in graph.inputs),
        tuple(new[i] for i in graph.outputs),
        tuple(g._replace(node=new[g.node]) for g in graph.guards),
        tuple(graph.origins[i] for i in order) if graph.origins else (),
    )
