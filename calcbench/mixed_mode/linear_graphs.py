"""The linearised graph of a graph: an edge for each derivative of a node by an operand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from calcbench.graph.ir import Graph
from calcbench.mixed_mode.elimination import Edge, Linear


Rules = Callable[[int, int], tuple[int, int]]


def linear_graph(graph: Graph, between: Sequence[int], sources: set[int], rules: Rules) -> Linear:
    """The linearised graph of the nodes `between` inputs and results.

    Parameters
    ----------
    graph : Graph
    between : sequence of int
        Nodes on paths from `sources` to results, in order.
    sources : set of int
        The differentiated inputs.
    rules : callable
        (node, operand) -> operations of pushing one tangent of that operand through the node, and
        of pulling one cotangent back to it.

    Returns
    -------
    Linear
        Values by node id; result r is -1 - r, with an edge that costs nothing from its node. The
        block of an edge is (node, operand), or None if it is such an identity.
    """
    known = set(between)
    sizes = {i: int(graph.types[i].size) for i in between}
    edges = {
        (operand, index): Edge(*rules(index, operand), (index, operand))
        for index in between
        if index not in sources
        for operand in dict.fromkeys(graph.nodes[index].operands)
        if operand in known
    }
    for rank, index in enumerate(graph.outputs):
        sizes[-1 - rank] = int(graph.types[index].size)
        if index in known:
            edges[index, -1 - rank] = Edge(0, 0)
    return Linear(sizes, edges, tuple(i for i in between if i not in sources))
