"""How often the nodes of a graph run when loops inside it run, and how many there are."""

from __future__ import annotations

from typing import Any, NamedTuple

from calcbench.graph.control_choices import cond_row
from calcbench.graph.control_loops import while_row
from calcbench.graph.control_scans import scan_row
from calcbench.graph.ir import Graph
from calcbench.graph.nodes import Node


class LoopCost(NamedTuple):
    """Runs of a graph and of those inside it, runs of nodes, and nodes that are written once.

    A while loop counts as one step: its trips are known in the run only.
    """

    runs: int
    node_runs: int
    nodes: int


def loop_cost(graph: Graph) -> LoopCost:
    """The cost of one run of a graph."""
    runs, node_runs, nodes = 1, len(graph), len(graph)
    for node in graph.nodes:
        held = held_cost(node)
        runs, node_runs, nodes = runs + held.runs, node_runs + held.node_runs, nodes + held.nodes
    return LoopCost(runs, node_runs, nodes)


def held_cost(node: Node) -> LoopCost:
    """The cost of what a node holds in one run of it."""
    params: Any = dict(node.params)
    if node.row is scan_row:
        inside, times = [loop_cost(params["body"].graph)], params["length"]
    elif node.row is while_row:
        inside, times = [loop_cost(params[key].graph) for key in ("condition", "body")], 1
    elif node.row is cond_row:
        inside, times = [loop_cost(body.graph) for body in params["branches"]], 1
    else:
        return LoopCost(0, 0, 0)
    return LoopCost(
        times * max(cost.runs for cost in inside),
        times * max(cost.node_runs for cost in inside),
        sum(cost.nodes for cost in inside),
    )
