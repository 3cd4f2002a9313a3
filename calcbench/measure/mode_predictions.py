"""What a Jacobian will take in forward, reverse and mixed mode: no transform is built."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from calcbench.graph.activity import varied
from calcbench.graph.control_checkpoints import without_regions
from calcbench.graph.ir import Graph
from calcbench.measure.predicting import (
    NodeSweeps,
    Prediction,
    Sweeps,
    by_nodes,
    meeting,
    of_node,
    sweeps_of,
)
from calcbench.mixed_mode.cuts import (
    after_cut,
    before_cut,
    frontier,
    frontier_sizes,
    on_paths,
    orders,
)
from calcbench.mixed_mode.elimination import Linear, best_order
from calcbench.mixed_mode.linear_graphs import linear_graph


# Numbers in all lanes of the widest value between inputs and results: a cut's sweeps run at once,
# and beyond half a gigabyte sweeps one by one are the better way.
CLOSE = 1.01  # totals that differ by less are alike: what happens between nodes is not predicted
MOST_NUMBERS = 2**26

# Elimination is for small graphs whose sweeps take long: the search for an order takes milliseconds
# to tenths of seconds, and sweeps of fewer operations than this are done before it is.
MOST_VERTICES = 16
FEWEST_OPERATIONS = 10_000
# Elimination moves whole matrices between rows and columns and repeats partials for all of them,
# which is not predicted: its graph takes up to 1.9 times as many operations. Below this it is no
# gain worth the memory of its matrices.
GAIN = 2


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


class Eliminated(NamedTuple):
    """A Jacobian by vertex elimination: the order, operations in total, and whether it is the best
    of all orders."""

    order: tuple[int, ...]
    total: int
    is_optimal: bool


class Modes(NamedTuple):
    """What a Jacobian will take: n forward sweeps, m reverse sweeps, and mixed mode.

    `cut` is None where none is narrower than both sides, `elimination` where it does not take far
    fewer operations than everything else.
    """

    n: int
    m: int
    forward: Sweeps
    reverse: Sweeps
    cut: Cut | None
    elimination: Eliminated | None = None

    @property
    def totals(self) -> dict[str, int]:
        """Predicted operations by mode."""
        totals = {"forward": self.forward.total(self.n), "reverse": self.reverse.total(self.m)}
        mixed = [way.total for way in (self.cut, self.elimination) if way is not None]
        return {**totals, "mixed": min(mixed)} if mixed else totals

    @property
    def mode(self) -> str:
        """The mode of fewest operations; forward, which keeps no values, if it comes close."""
        totals = self.totals
        least = min(totals, key=totals.__getitem__)
        return "forward" if totals["forward"] <= CLOSE * totals[least] else least


def predict_modes(graph: Graph, wanted: Sequence[int]) -> Modes:
    """What a Jacobian will take in forward, reverse and mixed mode."""
    graph = without_regions(graph)
    nodes = by_nodes(graph, wanted)
    n = sum(int(graph.types[graph.inputs[p]].size) for p in wanted)
    m = sum(int(graph.types[i].size) for i in graph.outputs)
    found = Modes(n, m, *sweeps_of(graph, nodes), _best_cut(graph, nodes, n, m))
    least = min(found.totals.values())
    eliminated = _eliminated(graph, nodes, n, m) if least >= FEWEST_OPERATIONS else None
    if eliminated is None or GAIN * eliminated.total >= least:
        return found
    return found._replace(elimination=eliminated)


# --- cuts -----------------------------------------------------------------------------------------


def _best_cut(graph: Graph, nodes: NodeSweeps, n: int, m: int) -> Cut | None:
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
    graph: Graph, nodes: NodeSweeps, order: Sequence[int], n: int, m: int, most: int
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


def _cut(graph: Graph, nodes: NodeSweeps, cut: tuple[int, ...], n: int, m: int) -> Cut:
    size = sum(int(graph.types[i].size) for i in cut)
    before = before_cut(graph, nodes.active, cut)
    head = [nodes.each[i].reverse for i in before if i in nodes.each]
    tail = [nodes.each[i].forward for i in after_cut(graph, nodes.active, cut)]
    met = meeting(graph, before, cut)
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


# --- elimination ----------------------------------------------------------------------------------


def elimination_graph(graph: Graph, wanted: Sequence[int]) -> Linear:
    """The linearised graph, with the operations of every edge."""
    sources = {graph.inputs[p] for p in wanted}
    active = varied(graph.nodes, graph.types, sources, range(len(graph)))
    return _linear(graph, sources, on_paths(graph, active))


def _linear(graph: Graph, sources: set[int], between: Sequence[int]) -> Linear:
    known: dict[object, Prediction] = {}

    def rules(index: int, operand: int) -> tuple[int, int]:
        forward, reverse = of_node(graph, index, {operand}, known)
        return forward.each, reverse.each

    return linear_graph(graph, between, sources, rules)


def _eliminated(graph: Graph, nodes: NodeSweeps, n: int, m: int) -> Eliminated | None:
    """The best order for a small graph; None for others, and where one side is a single number."""
    between = on_paths(graph, nodes.active)
    widest = max((int(graph.types[i].size) for i in between), default=0)
    if (
        min(n, m) < 2
        or len(between) > MOST_VERTICES + len(nodes.sources)
        or widest * max(n, m) > MOST_NUMBERS
    ):
        return None
    found = best_order(_linear(graph, nodes.sources, between))
    partials = sum(min(s.once for s in nodes.each[i]) for i in between if i in nodes.each)
    return Eliminated(found.vertices, nodes.value + partials + found.operations, found.is_optimal)
