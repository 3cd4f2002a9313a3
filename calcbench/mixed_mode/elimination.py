"""Vertex elimination: inner values leave the linearised graph one by one, in a cheap order.

An edge of the linearised graph is the derivative of one value by another. At first it is what the
row's own rules compute, a column (push) or a row (pull) at a time: a diagonal or a permutation is
never written out. Eliminating a value multiplies each edge into it by each edge out of it; what
that gives are matrices. What is left between inputs and results is the Jacobian (Griewank & Walther
2008, chapter 10; Naumann 2004).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol


MOST_EXACT = 7  # so many inner values have 5040 orders, of which 128 sets need to be looked at
BEAM = 8  # sets followed at once if there are more values


class Edge(NamedTuple):
    """The derivative of one value by another: operations a column pushed, and a row pulled.

    Both are None for a matrix. `block` is what stands for it where one is computed.
    """

    push: int | None
    pull: int | None
    block: Any = None


class Linear(NamedTuple):
    """A linearised graph: entries of each value, edges by (operand, value), and inner values.

    Results have no edges out, inputs none into them; inner values come after their operands.
    """

    sizes: dict[int, int]
    edges: dict[tuple[int, int], Edge]
    inner: tuple[int, ...]


class Blocks(Protocol):
    """How matrices are computed; a block of None is an identity."""

    def pushed(self, edge: Any, columns: Any, count: int) -> Any: ...
    def pulled(self, edge: Any, rows: Any, count: int) -> Any: ...
    def multiplied(self, second: Any, first: Any) -> Any: ...
    def added(self, first: Any, second: Any) -> Any: ...


class _Uncomputed:
    """Blocks of a plan: only operations are counted."""

    def pushed(self, edge: Any, columns: Any, count: int) -> None: ...
    def pulled(self, edge: Any, rows: Any, count: int) -> None: ...
    def multiplied(self, second: Any, first: Any) -> None: ...
    def added(self, first: Any, second: Any) -> None: ...


class Elimination:
    """An elimination under way; `operations` are those so far."""

    def __init__(self, linear: Linear, blocks: Blocks | None = None) -> None:
        self.sizes = linear.sizes
        self.blocks: Blocks = _Uncomputed() if blocks is None else blocks
        self.operations = 0
        self.into: dict[int, dict[int, Edge]] = {v: {} for v in linear.sizes}
        self.out: dict[int, set[int]] = {v: set() for v in linear.sizes}
        for (tail, head), edge in linear.edges.items():
            self.into[head][tail] = edge
            self.out[tail].add(head)

    def copy(self) -> Elimination:
        """The same state, which may go on in another way."""
        new = Elimination(Linear(self.sizes, {}, ()), self.blocks)
        new.operations = self.operations
        new.into = {v: dict(edges) for v, edges in self.into.items()}
        new.out = {v: set(heads) for v, heads in self.out.items()}
        return new

    def eliminate(self, vertex: int) -> None:
        """Take a value out, joining its edges."""
        for head in sorted(self.out[vertex]):
            second = self.into[head].pop(vertex)
            for tail, first in sorted(self.into[vertex].items()):
                found = self._product(second, first, (head, vertex, tail))
                self.into[head][tail] = self._sum(self.into[head].get(tail), found, head, tail)
                self.out[tail].add(head)
        for tail in self.into[vertex]:
            self.out[tail].discard(vertex)
        self.into[vertex], self.out[vertex] = {}, set()

    def finish(self) -> dict[tuple[int, int], Edge]:
        """The edges that are left, as matrices."""
        return {
            (tail, head): self._matrix(edge, head, tail)
            for head, edges in self.into.items()
            for tail, edge in edges.items()
        }

    def cost(self, vertex: int) -> int:
        """The operations that eliminating a value next would take."""
        total = 0
        for head in self.out[vertex]:
            second = self.into[head][vertex]
            for tail, first in self.into[vertex].items():
                known = self.into[head].get(tail)
                total += self._way(second, first, (head, vertex, tail))[0]
                total += 0 if known is None else self._sum_cost(known, head, tail)
        return total

    def _way(self, second: Edge, first: Edge, vertices: tuple[int, int, int]) -> tuple[int, str]:
        """The cheapest of three products: one edge's rule on the other as a matrix, or matrices."""
        head, middle, tail = vertices
        rows, columns = self.sizes[head], self.sizes[tail]
        inner = self._matrix_cost(first, middle, tail)
        outer = self._matrix_cost(second, head, middle)
        ways = [(inner + outer + rows * columns * max(2 * self.sizes[middle] - 1, 0), "multiply")]
        if second.push is not None:
            ways.append((inner + columns * second.push, "push"))
        if first.pull is not None:
            ways.append((outer + rows * first.pull, "pull"))
        return min(ways, key=lambda way: way[0])

    def _product(self, second: Edge, first: Edge, vertices: tuple[int, int, int]) -> Edge:
        head, middle, tail = vertices
        operations, way = self._way(second, first, vertices)
        self.operations += operations
        right = first.block if way == "pull" else self._block(first, middle, tail)
        left = second.block if way == "push" else self._block(second, head, middle)
        if way == "push":
            return Edge(None, None, self.blocks.pushed(left, right, self.sizes[tail]))
        if way == "pull":
            return Edge(None, None, self.blocks.pulled(right, left, self.sizes[head]))
        return Edge(None, None, self.blocks.multiplied(left, right))

    def _matrix_cost(self, edge: Edge, head: int, tail: int) -> int:
        return 0 if edge.push is None else self._writing(edge, head, tail)[0]

    def _writing(self, edge: Any, head: int, tail: int) -> tuple[int, str]:
        """Operations of writing a rule out as a matrix, and the better way of two."""
        pushing, pulling = self.sizes[tail] * edge.push, self.sizes[head] * edge.pull
        return min((pushing, "push"), (pulling, "pull"), key=lambda way: way[0])

    def _block(self, edge: Edge, head: int, tail: int) -> Any:
        """The edge as a matrix, whose operations are counted elsewhere."""
        if edge.push is None:
            return edge.block
        if self._writing(edge, head, tail)[1] == "push":
            return self.blocks.pushed(edge.block, None, self.sizes[tail])
        return self.blocks.pulled(edge.block, None, self.sizes[head])

    def _sum(self, known: Edge | None, found: Edge, head: int, tail: int) -> Edge:
        if known is None:
            return found
        self.operations += self._sum_cost(known, head, tail)
        matrix = self._block(known, head, tail)
        return Edge(None, None, self.blocks.added(matrix, found.block))

    def _sum_cost(self, known: Edge, head: int, tail: int) -> int:
        return self._matrix_cost(known, head, tail) + self.sizes[head] * self.sizes[tail]

    def _matrix(self, edge: Edge, head: int, tail: int) -> Edge:
        self.operations += self._matrix_cost(edge, head, tail)
        return Edge(None, None, self._block(edge, head, tail))


# --- orders ---------------------------------------------------------------------------------------

Layer = dict[frozenset[int], tuple[Elimination, tuple[int, ...]]]


class Order(NamedTuple):
    """An order of elimination, the operations it takes, and whether no other takes fewer."""

    vertices: tuple[int, ...]
    operations: int
    is_optimal: bool


def order_cost(linear: Linear, order: Iterable[int]) -> int:
    """Operations of an elimination in this order.

    Examples
    --------
    >>> edges = {(0, 1): Edge(10, 10), (1, 2): Edge(10, 10), (2, 3): Edge(10, 10)}
    >>> narrow = Linear({0: 5, 1: 5, 2: 1, 3: 5}, edges, (1, 2))
    >>> order_cost(narrow, (1, 2)), order_cost(narrow, (2, 1))
    (55, 95)
    """
    state = Elimination(linear)
    for vertex in order:
        state.eliminate(vertex)
    state.finish()
    return state.operations


def best_order(linear: Linear) -> Order:
    """The best of all orders if the inner values are few, else the best that a search finds.

    The search starts from three orders: from the inputs (forward mode), from the results (reverse
    mode), and always the value that takes the fewest operations next (Markowitz 1957, with sizes
    as weights); and it follows several that begin cheaply.
    """
    is_optimal = len(linear.inner) <= MOST_EXACT
    found = [_searched(linear, 2**MOST_EXACT if is_optimal else BEAM)]
    if not is_optimal:
        found += [linear.inner, linear.inner[::-1], greedy_order(linear)]
    costs = [order_cost(linear, order) for order in found]
    best = min(range(len(found)), key=costs.__getitem__)
    return Order(tuple(found[best]), costs[best], is_optimal)


def greedy_order(linear: Linear) -> tuple[int, ...]:
    """Always the value that takes the fewest operations next; the earliest of equal ones."""
    state, order, left = Elimination(linear), [], list(linear.inner)
    while left:
        best = min(left, key=state.cost)
        state.eliminate(best)
        left.remove(best)
        order.append(best)
    return tuple(order)


def _searched(linear: Linear, width: int) -> tuple[int, ...]:
    """Dynamic programming over sets: what is left depends on which values went, not on when.

    Of the sets of one size the `width` cheapest are followed: if those are all, none is missed.
    """
    layer: Layer = {frozenset(): (Elimination(linear), ())}
    for _ in linear.inner:
        layer = _next_layer(layer, linear.inner, width)
    return next(iter(layer.values()))[1]


def _next_layer(layer: Layer, inner: Sequence[int], width: int) -> Layer:
    best: dict[frozenset[int], tuple[int, frozenset[int], int]] = {}
    for gone, (state, _) in layer.items():
        for vertex in inner:
            if vertex not in gone:
                total, key = state.operations + state.cost(vertex), gone | {vertex}
                if key not in best or total < best[key][0]:
                    best[key] = total, gone, vertex
    kept = sorted(best, key=lambda key: best[key][0])[:width]
    return {key: _eliminated(layer[best[key][1]], best[key][2]) for key in kept}


def _eliminated(
    reached: tuple[Elimination, tuple[int, ...]], vertex: int
) -> tuple[Elimination, tuple[int, ...]]:
    state = reached[0].copy()
    state.eliminate(vertex)
    return state, (*reached[1], vertex)
