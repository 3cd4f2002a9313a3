"""Which tie is the same as which other one, whatever it is called: a - b >= 0 is a >= b."""

from __future__ import annotations

from calcbench.forward_mode.radicands import literal
from calcbench.forward_mode.walking import ZERO, Name
from calcbench.graph.elementwise import multiply, negative, subtract
from calcbench.graph.ir import Graph


def ordered(graph: Graph, larger: Name, smaller: Name) -> tuple[Name, Name]:
    """`larger >= smaller` as a statement about nodes that are no differences or negatives."""
    larger, smaller = _unwrapped(graph, larger), _unwrapped(graph, smaller)
    if larger == smaller._replace(sign=-smaller.sign):
        smaller = ZERO
    if all(name is ZERO or name.sign < 0 for name in (larger, smaller)):
        larger, smaller = _negated(smaller), _negated(larger)
    return _as_difference(graph, larger, smaller)


def _negated(name: Name) -> Name:
    return name if name is ZERO else name._replace(sign=-name.sign)


def _unwrapped(graph: Graph, name: Name) -> Name:
    while name.node >= 0 and graph.nodes[name.node].row is negative:
        name = Name(-name.sign, graph.nodes[name.node].operands[0], name.entry)
    if name.node >= 0 and literal(graph.nodes[name.node]) == 0:
        return ZERO
    return name


def _as_difference(graph: Graph, larger: Name, smaller: Name) -> tuple[Name, Name]:
    """a - b >= 0 is a >= b, and c a >= 0 is a >= 0 or 0 >= a."""
    name = larger if smaller is ZERO else smaller if larger is ZERO else ZERO
    if name.node < 0:
        return larger, smaller
    parts = _parts(graph, name)
    if parts is None:
        return larger, smaller
    first, second = parts if smaller is ZERO else parts[::-1]
    return ordered(graph, first, second)


def _parts(graph: Graph, name: Name) -> tuple[Name, Name] | None:
    """(a, b) such that the sign of a named entry is that of a - b."""
    node = graph.nodes[name.node]
    if node.row is subtract:
        return Name(1, node.operands[0], name.entry), Name(1, node.operands[1], name.entry)
    if node.row is multiply:
        for scale, other in (node.operands, node.operands[::-1]):
            factor = literal(graph.nodes[scale])
            if factor:
                return Name(1 if factor > 0 else -1, other, name.entry), ZERO
    return None
