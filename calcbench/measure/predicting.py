"""What a Jacobian will take in each mode, predicted row by row without building any transform.

Each kind of node is differentiated once, as a graph of that node alone, and counted. What that
cannot see: rewrites across nodes, partials that two nodes share, masks that cancel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.activity import varied
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.nodes import INPUT
from calcbench.graph.structural import fill
from calcbench.measure.counting import count_graph
from calcbench.mixed_mode.cuts import (
    after_cut,
    before_cut,
    frontier,
    frontier_sizes,
    on_paths,
    orders,
)
from calcbench.reverse_mode.pullback import vjp_graph


# Numbers in all lanes of the widest value between inputs and results: a cut's sweeps run at once,
# and beyond half a gigabyte sweeps one by one are the better way.
MOST_NUMBERS = 2**26

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


class Cut(NamedTuple):
    """A Jacobian as a product at a cut: reverse sweeps before it, forward sweeps after it.

    `nodes` are the values of the cut, of `size` entries together: as many sweeps does each part
    take. `product` are the operations that multiply the two factors.
    """

    nodes: tuple[int, ...]
    size: int
    reverse: Sweeps
    forward: Sweeps
    product: int

    @property
    def total(self) -> int:
        """Operations of both parts and the product."""
        return self.reverse.total(self.size) + self.forward.total(self.size) + self.product


class Modes(NamedTuple):
    """What n forward sweeps, m reverse sweeps, and the best cut (if one is narrow) will take."""

    n: int
    m: int
    forward: Sweeps
    reverse: Sweeps
    cut: Cut | None

    @property
    def totals(self) -> dict[str, int]:
        """Predicted operations by mode."""
        totals = {"forward": self.forward.total(self.n), "reverse": self.reverse.total(self.m)}
        return totals if self.cut is None else {**totals, "mixed": self.cut.total}

    @property
    def mode(self) -> str:
        """The mode of fewest operations; if several, forward, which keeps no values."""
        totals = self.totals
        return min(totals, key=totals.__getitem__)


class _Nodes(NamedTuple):
    """A graph's active nodes, and what the sweeps of each will take alone."""

    sources: set[int]
    active: set[int]
    value: int
    each: dict[int, Prediction]


def predict_sweeps(graph: Graph, wanted: Sequence[int]) -> Prediction:
    """What forward and reverse sweeps of a graph will take, predicted from its nodes.

    `wanted` are the positions of the differentiated inputs.
    """
    return _sweeps(graph, _by_nodes(graph, wanted))


def predict_modes(graph: Graph, wanted: Sequence[int]) -> Modes:
    """What a Jacobian will take in forward, reverse and mixed mode."""
    nodes = _by_nodes(graph, wanted)
    n = sum(int(graph.types[graph.inputs[p]].size) for p in wanted)
    m = sum(int(graph.types[i].size) for i in graph.outputs)
    return Modes(n, m, *_sweeps(graph, nodes), _best_cut(graph, nodes, n, m))


def _by_nodes(graph: Graph, wanted: Sequence[int]) -> _Nodes:
    sources = {graph.inputs[p] for p in wanted}
    active = varied(graph.nodes, graph.types, sources, range(len(graph)))
    known: dict[object, Prediction] = {}
    each = {i: _of_node(graph, i, active, known) for i in sorted(active - sources)}
    return _Nodes(sources, active, count_graph(graph).operations.total, each)


def _sweeps(graph: Graph, nodes: _Nodes) -> Prediction:
    forward, reverse = (
        Sweeps(nodes.value + sum(s.once for s in side), sum(s.each for s in side))
        for side in ([found[mode] for found in nodes.each.values()] for mode in (0, 1))
    )
    met = _meeting(graph, nodes.active, graph.outputs)
    return Prediction(forward, reverse._replace(each=reverse.each + met))


def _meeting(graph: Graph, active: set[int], outputs: Sequence[int]) -> int:
    """Additions where cotangents from several readers meet."""
    arriving = Counter(i for i in outputs if i in active)
    for index in active:
        arriving.update(i for i in frozenset(graph.nodes[index].operands) if i in active)
    return sum((count - 1) * graph.types[i].size for i, count in arriving.items())


# --- cuts -----------------------------------------------------------------------------------------


def _best_cut(graph: Graph, nodes: _Nodes, n: int, m: int) -> Cut | None:
    """The cut of fewest operations among those narrower than both sides."""
    between = on_paths(graph, nodes.active)
    widest = max((int(graph.types[i].size) for i in between), default=1)
    most = min(n, m, MOST_NUMBERS // max(widest, 1) + 1)
    if most < 2:
        return None
    found = [
        _cut(graph, nodes, frontier(graph, order, rank), n, m)
        for order in orders(graph, between, nodes.sources, most)
        for rank in _least(graph, nodes, order, n, m, most)
    ]
    return min(found, key=lambda cut: cut.total, default=None)


def _least(
    graph: Graph, nodes: _Nodes, order: Sequence[int], n: int, m: int, most: int
) -> list[int]:
    """The prefix of the order with the cheapest cut, if one is narrower than `most`."""
    none = Prediction(Sweeps(0, 0), Sweeps(0, 0))
    costs = [nodes.each.get(i, none) for i in order]
    head, tail = (_running([c[mode] for c in costs]) for mode in (1, 0))

    def total(rank: int, k: int) -> int:
        once, each = (
            h + whole - t for h, whole, t in zip(head[rank], tail[-1], tail[rank], strict=True)
        )
        return once + k * each + _product(n, m, k)

    start = sum(i in nodes.sources for i in order)
    sizes = enumerate(frontier_sizes(graph, order))
    narrow = {rank: total(rank, k) for rank, k in sizes if rank >= start and 0 < k < most}
    return [min(narrow, key=narrow.__getitem__)] if narrow else []


def _running(costs: Sequence[Sweeps]) -> list[Sweeps]:
    return list(accumulate(costs, lambda a, b: Sweeps(a.once + b.once, a.each + b.each)))


def _cut(graph: Graph, nodes: _Nodes, cut: tuple[int, ...], n: int, m: int) -> Cut:
    size = sum(int(graph.types[i].size) for i in cut)
    before = before_cut(graph, nodes.active, cut)
    head = [nodes.each[i].reverse for i in before if i in nodes.each]
    tail = [nodes.each[i].forward for i in after_cut(graph, nodes.active, cut)]
    met = _meeting(graph, before, cut)
    return Cut(
        cut,
        size,
        Sweeps(nodes.value + sum(s.once for s in head), sum(s.each for s in head) + met),
        Sweeps(sum(s.once for s in tail), sum(s.each for s in tail)),
        _product(n, m, size),
    )


def _product(n: int, m: int, k: int) -> int:
    """Of the (m, k) matrix, transposed from its lanes, and the (k, n) matrix."""
    return m * n * (2 * k - 1) + m * k


# --- nodes ----------------------------------------------------------------------------------------


def _of_node(
    graph: Graph, index: int, active: set[int], known: dict[object, Prediction]
) -> Prediction:
    node, types = graph.nodes[index], graph.types
    pattern = [node.operands.index(i) for i in node.operands]
    numbers = [graph.nodes[i] if graph.nodes[i].row is fill else None for i in node.operands]
    flags = [i in active for i in node.operands]
    kinds = [types[i] for i in node.operands]
    key = node.row, node.params, *pattern, *numbers, *flags, *kinds
    if key not in known:
        known[key] = _differentiated(_alone(graph, index), [flags[p] for p in sorted({*pattern})])
    return known[key]


def _alone(graph: Graph, index: int) -> Graph:
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
