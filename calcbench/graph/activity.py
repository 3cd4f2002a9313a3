"""Which values depend on the differentiated inputs: one answer for both modes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.nodes import INPUT, Node


_NO_EDGE = ("piecewise_constant", "source")


def varied(
    nodes: Sequence[Node], types: Sequence[ArrayType], wanted: Iterable[int], span: range
) -> set[int]:
    """The ids in `span` at which a derivative with respect to `wanted` may be nonzero.

    Nodes outside the span count as constants unless wanted.
    """
    found = set(wanted)
    for index in span:
        node = nodes[index]
        reached = index not in found and not found.isdisjoint(node.operands)
        if reached and carries_tangent(node, types[index]):
            found.add(index)
    return found


def carries_tangent(node: Node, type: ArrayType) -> bool:
    """Whether a tangent can pass through the node."""
    return node.row is not INPUT and type.is_float and node.row.kind not in _NO_EDGE


def exposed(
    nodes: Sequence[Node], active: set[int], span: range, start: Iterable[int] = ()
) -> set[int]:
    """The ids below which a cotangent may meet an infinite partial where the value is finite.

    Those in `start`, the rows whose facts say "singular", and all that depend on them.
    """
    found = set(start)
    for index in span:
        if index in active and index not in found:
            node = nodes[index]
            if "singular" in node.row.facts or not found.isdisjoint(node.operands):
                found.add(index)
    return found


def leading(nodes: Sequence[Node], active: set[int], count: int) -> set[int]:
    """The ids whose tangent may meet an infinite partial further up: what singular rows read."""
    found: set[int] = set()
    for index in range(count - 1, -1, -1):
        if index in active and (index in found or "singular" in nodes[index].row.facts):
            found.update(nodes[index].operands)
    return found


def partials_of(
    row: Any, z: Any, operands: Sequence[Any], active: Sequence[bool], params: Any
) -> Any:
    """The row's partials; rows with kinks are told which operands are differentiated."""
    if "kink" in row.facts:
        return row.partials(z, *operands, active=active, **params)
    return row.partials(z, *operands, **params)
