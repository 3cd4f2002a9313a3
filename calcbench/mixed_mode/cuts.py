"""Cuts of a graph: sets of values through which every path from inputs to results leads.

A cut is what is still read after a prefix of some order. Orders that list one side of a narrowest
cut first have that cut among their prefixes, whatever the order of recording.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from calcbench.graph.ir import Graph


# Steps of the search for a narrowest cut before it gives up: long scalar programs with wide inputs
# would otherwise take longer to search than to differentiate.
MOST_STEPS = 200_000


def on_paths(graph: Graph, active: set[int]) -> list[int]:
    """The active nodes from which an active path leads to a result, in the graph's order."""
    return sorted(before_cut(graph, active, [i for i in graph.outputs if i in active]))


def orders(graph: Graph, nodes: Sequence[int], sources: set[int], most: int) -> list[list[int]]:
    """Orders of `nodes`, sources first: as recorded, and with one side of a narrowest cut first."""
    first = [i for i in nodes if i in sources]
    rest = [i for i in nodes if i not in sources]
    heads = _narrowest(graph, nodes, sources, most)
    apart = [sorted(rest, key=lambda i, head=head: i not in head) for head in heads]  # type: ignore[misc]
    return [[*first, *order] for order in (rest, *apart)]


def frontier_sizes(graph: Graph, order: Sequence[int]) -> list[int]:
    """Per prefix of the order, up to and with each node, the entries that are still needed."""
    last = _last_readers(graph, order)
    change = [0] * (len(order) + 1)
    for rank, index in enumerate(order):
        change[rank] += int(graph.types[index].size)
        change[last[index]] -= int(graph.types[index].size)
    return list(accumulate(change[:-1]))


def frontier(graph: Graph, order: Sequence[int], rank: int) -> tuple[int, ...]:
    """The nodes up to `rank` that are still needed after it."""
    last = _last_readers(graph, order)
    return tuple(i for i in order[: rank + 1] if last[i] > rank)


def _last_readers(graph: Graph, order: Sequence[int]) -> dict[int, int]:
    """Per node its own rank or that of its last reader; results are read at the end.

    One side of a narrowest cut listed first may put a reader before its operand: whatever the
    order, a path that leaves a prefix for the last time does so at a node of its frontier.
    """
    last = {index: rank for rank, index in enumerate(order)}
    for rank, index in enumerate(order):
        last.update((i, max(last[i], rank)) for i in graph.nodes[index].operands if i in last)
    last.update((i, len(order)) for i in graph.outputs if i in last)
    return last


def before_cut(graph: Graph, active: set[int], cut: Sequence[int]) -> set[int]:
    """The active nodes that a cut is computed from, itself included."""
    found = set(cut)
    for index in sorted(active, reverse=True):
        if index in found:
            found.update(i for i in graph.nodes[index].operands if i in active)
    return found


def after_cut(graph: Graph, active: set[int], cut: Sequence[int]) -> set[int]:
    """The active nodes that are reached from a cut, itself left out."""
    found = set(cut)
    for index in sorted(active):
        if not found.isdisjoint(graph.nodes[index].operands):
            found.add(index)
    return found - set(cut)


# --- the narrowest cut: the largest flow through nodes as wide as their values --------------------


def _narrowest(
    graph: Graph, nodes: Sequence[int], sources: set[int], most: int
) -> list[frozenset[int]]:
    """What lies before the narrowest cut that is nearest to the inputs, and nearest to the results.

    Nothing if no cut is narrower than `most`, or the search takes too long. Maximum flow by
    shortest augmenting paths (Edmonds & Karp 1972); node i is an edge from 2 i to 2 i + 1.
    """
    network = _Network(graph, nodes, sources, most)
    flow = steps = 0
    while flow < most and steps < MOST_STEPS:
        reached = network.search()
        steps += len(reached)
        if network.end not in reached:
            after = network.leading_to_end()
            return [
                frozenset(i for i in nodes if 2 * i in reached),
                frozenset(i for i in nodes if 2 * i not in after),
            ]
        flow += network.augment(reached)
    return []


class _Network:
    """What each edge can still take; only `augment` changes it."""

    def __init__(self, graph: Graph, nodes: Sequence[int], sources: set[int], most: int) -> None:
        self.start, self.end = -1, -2
        self.left: dict[int, dict[int, int]] = {self.start: {}, self.end: {}}
        for index in nodes:
            self._join(2 * index, 2 * index + 1, int(graph.types[index].size))
            for operand in graph.nodes[index].operands:
                if 2 * operand in self.left:
                    self._join(2 * operand + 1, 2 * index, most)
            if index in sources:
                self._join(self.start, 2 * index, most)
            if index in graph.outputs:
                self._join(2 * index + 1, self.end, most)

    def _join(self, tail: int, head: int, capacity: int) -> None:
        self.left.setdefault(tail, {})[head] = capacity
        self.left.setdefault(head, {}).setdefault(tail, 0)

    def search(self) -> dict[int, int]:
        """Breadth first from the start: where each vertex was reached from."""
        reached, queue = {self.start: self.start}, [self.start]
        for vertex in queue:
            if vertex == self.end:
                break
            new = [h for h, c in self.left[vertex].items() if c > 0 and h not in reached]
            reached.update((h, vertex) for h in new)
            queue += new
        return reached

    def augment(self, reached: dict[int, int]) -> int:
        """Send as much as fits along the path that was found."""
        path = list(self._path(reached))
        amount = min(self.left[t][h] for t, h in path)
        for tail, head in path:
            self.left[tail][head] -= amount
            self.left[head][tail] += amount
        return amount

    def _path(self, reached: dict[int, int]) -> Iterator[tuple[int, int]]:
        head = self.end
        while head != self.start:
            yield reached[head], head
            head = reached[head]

    def leading_to_end(self) -> set[int]:
        """The vertices from which something could still flow to the end."""
        found, queue = {self.end}, [self.end]
        for vertex in queue:
            new = [t for t in self.left[vertex] if self.left[t][vertex] > 0 and t not in found]
            found.update(new)
            queue += new
        return found
