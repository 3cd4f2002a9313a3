"""The derivative of one node on its own: what its row's partials are, where it stands in a graph.

A transform writes every node's derivative into one new graph. A sweep does not: it asks for the
partials of one node, makes them an instruction, and forgets them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from calcbench.graph.activity import partials_of
from calcbench.graph.arraytype import ArrayType
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.graph.nodes import Node
from calcbench.graph.primitive import Masked


class Term(NamedTuple):
    """What one operand adds: partial * tangent, and exactly 0 where the mask does not hold.

    `partial` is a node, or None where the partial is `sign` alone; `mask` is a node or None.
    """

    operand: int
    partial: int | None
    sign: int
    mask: int | None


class Linearised(NamedTuple):
    """The terms of a node, and the nodes from `first` on that compute partials and masks.

    `nodes` and `types` are keyed by id. `looked` are the nodes of the graph whose rows the rule
    looked at: the answer holds where those are the same.
    """

    terms: tuple[Term, ...]
    nodes: dict[int, Node]
    types: dict[int, ArrayType]
    looked: frozenset[int]


class Partials:
    """The partials of the nodes of one graph, one node at a time."""

    def __init__(self, graph: Graph) -> None:
        self._count = len(graph)
        self._nodes = _Watched(graph.nodes)
        self._types = list(graph.types)

    def of(self, index: int, active: Sequence[bool]) -> Linearised:
        """The terms of an elementwise node for the operands that are `active`."""
        node: Node = list.__getitem__(self._nodes, index)
        builder = Builder()
        builder.nodes, builder.types = self._nodes, self._types
        self._nodes.looked.clear()
        z, operands = Value(builder, index), [Value(builder, i) for i in node.operands]
        partials = partials_of(node.row, z, operands, active, dict(node.params))
        pairs = enumerate(zip(partials, active, strict=True))
        terms = tuple(_term(i, p) for i, (p, a) in pairs if a and p is not None)
        return self._taken(terms)

    def _taken(self, terms: tuple[Term, ...]) -> Linearised:
        """What the rule wrote, removed from the lists."""
        new = range(self._count, len(self._types))
        nodes = {i: list.__getitem__(self._nodes, i) for i in new}
        types = {i: self._types[i] for i in new}
        looked = frozenset(self._nodes.looked)
        del self._nodes[self._count :], self._types[self._count :]
        return Linearised(terms, nodes, types, looked)


class _Watched(list[Node]):
    """Nodes that note which of the graph's were looked at; those a rule wrote do not count."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        super().__init__(nodes)
        self._count = len(nodes)
        self.looked: set[int] = set()

    def __getitem__(self, index: Any) -> Any:
        if index < self._count:
            self.looked.add(index)
        return super().__getitem__(index)


def _term(operand: int, partial: Any) -> Term:
    mask = None
    if isinstance(partial, Masked):
        mask, partial = partial.mask.id, partial.value
    if isinstance(partial, Value):
        return Term(operand, partial.id, 1, mask)
    return Term(operand, None, partial, mask)
