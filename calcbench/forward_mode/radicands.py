"""Sums of squares under a root: where the root vanishes it is a Euclidean norm, with a kink."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.elementwise import multiply, power, square
from calcbench.graph.ir import Graph, numpy_meaning
from calcbench.graph.nodes import Node
from calcbench.graph.structural import fill, matmul, sum_


MOVES = frozenset(("reshape", "broadcast", "transpose", "slice"))


class Square(NamedTuple):
    """weight * (entry of a node)^2."""

    node: int
    entry: int
    weight: float


def squares_of(graph: Graph, index: int, entry: int) -> list[Square] | None:
    """The squares whose sum is one entry of a node; None if it is no sum of squares."""
    pending, found = [Square(index, entry, 1.0)], []
    while pending:
        place = pending.pop()
        parts = _parts(graph, place)
        if parts is None:
            return None
        terms, rest = parts
        found += terms
        pending += rest
    return found


def _parts(graph: Graph, place: Square) -> tuple[list[Square], list[Square]] | None:
    """One step: the squares found, and the sums still to be looked into."""
    node = graph.nodes[place.node]
    if _is_squared(graph, node):
        return [place._replace(node=node.operands[0])], []
    if node.row is matmul and node.operands[0] == node.operands[1] and not _shape(graph, place):
        size = graph.types[node.operands[0]].size
        return [Square(node.operands[0], i, place.weight) for i in range(size)], []
    if node.row is fill:
        return ([], []) if literal(node) == 0 else None
    rest = _summands(graph, node, place)
    return None if rest is None else ([], rest)


def _shape(graph: Graph, place: Square) -> tuple[int, ...]:
    shape: tuple[int, ...] = graph.types[place.node].shape
    return shape


def _is_squared(graph: Graph, node: Node) -> bool:
    if node.row is power:
        return literal(graph.nodes[node.operands[1]]) == 2
    return node.row is square or (node.row is multiply and node.operands[0] == node.operands[1])


def _summands(graph: Graph, node: Node, place: Square) -> list[Square] | None:
    """The entries that add up to one entry of a node that adds, moves or scales entries."""
    if node.row.name == "add":
        return [place._replace(node=i) for i in node.operands]
    if node.row.name in ("multiply", "divide"):
        return _unscaled(graph, node, place)
    if node.row is not sum_ and node.row.name not in MOVES:
        return None
    sources = source_entries(graph, node)[place.entry]
    return [Square(node.operands[0], int(i), place.weight) for i in np.ravel(sources)]


def source_entries(graph: Graph, node: Node) -> np.ndarray:
    """Per entry of a node that sums or moves entries, the entries of its operand."""
    kind = graph.types[node.operands[0]]
    numbers = np.arange(kind.size).reshape(kind.shape)
    if node.row is not sum_:
        return np.reshape(numpy_meaning(node, [numbers]), (-1, 1))
    return lanes(numbers, dict(node.params)["axes"])


def lanes(x: Any, axes: Any) -> np.ndarray:
    """`x` as a matrix: one row per entry that is left when `axes` are reduced."""
    kept = [a for a in range(np.ndim(x)) if a not in axes]
    rows = int(np.prod([np.shape(x)[a] for a in kept], dtype=int))
    return np.transpose(x, (*kept, *axes)).reshape(rows, -1)


def _unscaled(graph: Graph, node: Node, place: Square) -> list[Square] | None:
    first, second = node.operands
    scales = [literal(graph.nodes[i]) for i in node.operands]
    if scales[1] is not None and scales[1] > 0:
        factor = scales[1] if node.row is multiply else 1 / scales[1]
        return [Square(first, place.entry, place.weight * factor)]
    if node.row is multiply and scales[0] is not None and scales[0] > 0:
        return [Square(second, place.entry, place.weight * scales[0])]
    return None


def literal(node: Node) -> float | None:
    """The number of which a node is a fill, or None."""
    value: Any = dict(node.params)["value"] if node.row is fill else None
    return None if value is None else float(value.array)
