"""What the sweeps of both modes will take, predicted row by row without building either transform.

Each kind of node is differentiated once, as a graph of that node alone, and counted. What that
cannot see: rewrites across nodes, partials that two nodes share, masks that cancel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.activity import varied
from calcbench.graph.control_checkpoints import without_regions
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.nodes import INPUT
from calcbench.graph.structural import fill
from calcbench.measure.counting import count_graph
from calcbench.reverse_mode.pullback import vjp_graph


Transform = Callable[[Graph, Sequence[int]], Graph]


class Sweeps(NamedTuple):
    """Operations of a Jacobian in one mode: `once` for all sweeps, and `each` for every one."""

    once: int
    each: int

    def total(self, count: int) -> int:
        """Operations of `count` sweeps at the same point."""
        return self.once + count * self.each


class Prediction(NamedTuple):
    """What both modes will take."""

    forward: Sweeps
    reverse: Sweeps


class NodeSweeps(NamedTuple):
    """A graph's active nodes, and what the sweeps of each will take alone."""

    sources: set[int]
    active: set[int]
    value: int
    each: dict[int, Prediction]


def predict_sweeps(graph: Graph, wanted: Sequence[int]) -> Prediction:
    """What forward and reverse sweeps of a graph will take, predicted from its nodes.

    `wanted` are the positions of the differentiated inputs.
    """
    graph = without_regions(graph)
    return sweeps_of(graph, by_nodes(graph, wanted))


def by_nodes(graph: Graph, wanted: Sequence[int]) -> NodeSweeps:
    """What the sweeps of each active node will take."""
    sources = {graph.inputs[p] for p in wanted}
    active = varied(graph.nodes, graph.types, sources, range(len(graph)))
    known: dict[object, Prediction] = {}
    each = {i: of_node(graph, i, active, known) for i in sorted(active - sources)}
    return NodeSweeps(sources, active, count_graph(graph).operations.total, each)


def sweeps_of(graph: Graph, nodes: NodeSweeps) -> Prediction:
    """What sweeps over all nodes will take."""
    forward, reverse = (
        Sweeps(nodes.value + sum(s.once for s in side), sum(s.each for s in side))
        for side in ([found[mode] for found in nodes.each.values()] for mode in (0, 1))
    )
    met = meeting(graph, nodes.active, graph.outputs)
    return Prediction(forward, reverse._replace(each=reverse.each + met))


def meeting(graph: Graph, active: set[int], outputs: Sequence[int]) -> int:
    """Additions where cotangents from several readers meet."""
    arriving = Counter(i for i in outputs if i in active)
    for index in active:
        arriving.update(i for i in frozenset(graph.nodes[index].operands) if i in active)
    return sum((count - 1) * graph.types[i].size for i, count in arriving.items())


def of_node(
    graph: Graph, index: int, active: set[int], known: dict[object, Prediction]
) -> Prediction:
    """What the sweeps of one node will take; `known` are those of nodes seen before."""
    node, types = graph.nodes[index], graph.types
    pattern = [node.operands.index(i) for i in node.operands]
    numbers = [graph.nodes[i] if graph.nodes[i].row is fill else None for i in node.operands]
    flags = [i in active for i in node.operands]
    kinds = [types[i] for i in node.operands]
    key = node.row, node.params, *pattern, *numbers, *flags, *kinds
    if key not in known:
        known[key] = _differentiated(alone(graph, index), [flags[p] for p in sorted({*pattern})])
    return known[key]


def alone(graph: Graph, index: int) -> Graph:
    """The graph of one node, whose operands are inputs or, as before, repeated numbers."""
    builder = Builder()
    node = graph.nodes[index]
    new: dict[int, int] = {}
    for operand in dict.fromkeys(node.operands):
        source = graph.nodes[operand]
        new[operand] = (
            builder.add(fill, (), source.params)
            if source.row is fill
            else builder.add_input(f"x{len(new)}", graph.types[operand])
        )
    return builder.freeze(
        [builder.add(node.row, tuple(new[i] for i in node.operands), node.params)]
    )


def _differentiated(alone: Graph, active: Sequence[bool]) -> Prediction:
    inputs = [flag for flag, i in zip(active, _distinct(alone), strict=True) if i in alone.inputs]
    wrt = [position for position, flag in enumerate(inputs) if flag]
    own = count_graph(alone).operations.total
    forward, reverse = (swept(transform(alone, wrt), len(inputs)) for transform in MODES)
    return Prediction(
        forward._replace(once=forward.once - own), reverse._replace(once=reverse.once - own)
    )


MODES: tuple[Transform, Transform] = (jvp_graph, vjp_graph)


def _distinct(alone: Graph) -> list[int]:
    return list(dict.fromkeys(alone.nodes[alone.outputs[0]].operands))


def swept(graph: Graph, inputs: int) -> Sweeps:
    """The operations of a jvp or vjp graph that depend on its seeds, and all others.

    Its first `inputs` inputs are those of the function; the rest are the seeds.
    """
    late = set(graph.inputs[inputs:])
    each = 0
    counted = count_graph(graph)
    for index, node in enumerate(graph.nodes):
        if node.row is not INPUT and not late.isdisjoint(node.operands):
            late.add(index)
            each += counted.nodes[index].operations.total
    return Sweeps(counted.operations.total - each, each)
