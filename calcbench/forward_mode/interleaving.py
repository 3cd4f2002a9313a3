"""Forward accumulation's order: each tangent right after the last value that it needs.

A jvp graph lists all values and then all tangents: run as listed, it holds every value until its
tangent comes. In this order a value goes as soon as the values and tangents that read it are there.
"""

from __future__ import annotations

from collections.abc import Sequence

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.ir import Graph, paused_collection, reachable


def interleaved_jvp(graph: Graph, wanted: Sequence[int] | None = None) -> Graph:
    """`jvp_graph` in forward accumulation's order.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> graph = cb.trace(lambda x: np.exp(np.exp(x)), 1.0)
    >>> [node.row.name for node in jvp_graph(graph).nodes]
    ['input', 'input', 'exp', 'exp', 'multiply', 'multiply']
    >>> [node.row.name for node in interleaved_jvp(graph).nodes]
    ['input', 'input', 'exp', 'multiply', 'exp', 'multiply']
    """
    pushed = jvp_graph(graph, wanted)
    with paused_collection():
        return interleaved(pushed, len(graph.outputs))


def interleaved(graph: Graph, results: int) -> Graph:
    """A jvp graph, of which the first `results` outputs are values, in that order.

    Values keep their order among themselves, and tangents theirs: as terms of a tangent come one
    after the other, none of them waits.
    """
    guarded = [g.node for g in graph.guards]
    values = frozenset(reachable(graph.nodes, [*graph.outputs[:results], *guarded]))
    needed, latest = list(range(len(graph))), 0
    for index, node in enumerate(graph.nodes):
        if index not in values:
            latest = needed[index] = max([latest, *[needed[i] for i in node.operands]])
    return reordered(graph, sorted(range(len(graph)), key=needed.__getitem__))


def reordered(graph: Graph, order: list[int]) -> Graph:
    """The graph with its nodes in another order, in which operands still come first."""
    new = [0] * len(order)
    for rank, index in enumerate(order):
        new[index] = rank
    nodes = [graph.nodes[i] for i in order]
    return Graph(
        tuple([n.with_operands(tuple([new[i] for i in n.operands])) for n in nodes]),
        tuple(graph.types[i] for i in order),
        tuple(new[i] for i in graph.inputs),
        tuple(new[i] for i in graph.outputs),
        tuple(g._replace(node=new[g.node]) for g in graph.guards),
        tuple(graph.origins[i] for i in order) if graph.origins else (),
    )
