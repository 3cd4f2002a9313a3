"""What fusing nodes into loops saves: bytes that are neither written nor read again."""

from __future__ import annotations

from typing import NamedTuple

from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import byte_size
from calcbench.lower.engines import without_guards
from calcbench.lower.groups import Group, Planner, Root
from calcbench.measure.counting import GraphCost, count_graph


class FusionSaving(NamedTuple):
    """The bytes that a graph moves node by node, and loop by loop.

    Attributes
    ----------
    nodes, loops : int
        Nodes that compute something, and passes over memory that compute them all.
    by_nodes : int
        Bytes that the nodes read and write, as `calcbench.cost` counts them.
    by_loops : int
        Bytes that the passes read and write, each array counted once a pass, and whole. What
        NumPy, LAPACK or a loop computes counts as it does among the nodes.
    unwritten : int
        Nodes whose values never reach memory.
    """

    nodes: int
    loops: int
    by_nodes: int
    by_loops: int
    unwritten: int

    def __str__(self) -> str:
        loops = (
            "1 loop reads and writes" if self.loops == 1 else f"{self.loops} loops read and write"
        )
        text = (
            f"{loops} {self.by_loops} bytes, where {self.nodes} nodes one by one read and write "
            f"{self.by_nodes}"
        )
        if not 0 < self.by_loops < self.by_nodes:
            return f"{text}: fusion saves nothing"
        times = self.by_nodes / self.by_loops
        return f"{text} ({times:.3g} times as many); {self.unwritten} values are never written"


def fusion_saving(graph: Graph) -> FusionSaving:
    """What the fused engine saves on a graph, read off its plan before anything is compiled."""
    graph = without_guards(graph)
    plan = Planner(graph, variables=True)
    counted = count_graph(graph)
    sources = {i for i in plan.used if graph.nodes[i].row.kind == "source"}
    computed = [i for i in plan.used if plan.kinds[i] != "input" and i not in sources]
    return FusionSaving(
        len(computed),
        len(plan.groups),
        counted.read + counted.written,
        sum(_moved(counted, group) for group in plan.groups),
        len([i for i in computed if i not in plan.stored]),
    )


def _moved(counted: GraphCost, group: Group) -> int:
    """Bytes that one pass reads and writes."""
    if group.kind == "callout":
        return sum(counted.nodes[r.node].read + counted.nodes[r.node].written for r in group.roots)
    graph = counted.graph
    made = {root.node for root in group.roots}
    read = {node for root in group.roots for node in root.reads} - made
    written = [_written(root) for root in group.roots if root.kind != "result"]
    return sum(byte_size(graph.types[i]) for i in (*read, *written))


def _written(root: Root) -> int:
    """The node of whose size the array is that a root writes."""
    return root.node if root.kind == "fold" else root.value
