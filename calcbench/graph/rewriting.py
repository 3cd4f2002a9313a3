"""Exact rewrites as a table, constant folding, and pruning of nodes nobody uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.elementwise import add, negative, subtract
from calcbench.graph.ir import Builder, Graph, reachable
from calcbench.graph.kinks import abs_
from calcbench.graph.nodes import INPUT, Literal, Node
from calcbench.graph.structural import fill, literal_of, reshape, transpose


# A rule reads (builder, node) and answers with the id of an equal node, or None. Equal means the
# same bits for every input: finite, infinite, NaN, +0 and -0. So x*0, x/x and x-x stay, and so
# does x+0, which turns -0 into +0.
Rewrite = Callable[[Builder, Node], int | None]


def _times_one(builder: Builder, node: Node) -> int | None:
    first, second = node.operands
    if literal_of(builder, second) == 1:
        return first
    return second if literal_of(builder, first) == 1 else None


def _over_one(builder: Builder, node: Node) -> int | None:
    return node.operands[0] if literal_of(builder, node.operands[1]) == 1 else None


def _undone_twice(builder: Builder, node: Node) -> int | None:
    """-(-x) is x."""
    inner = builder.nodes[node.operands[0]]
    return inner.operands[0] if inner.row is node.row else None


def _minus(builder: Builder, node: Node) -> int | None:
    """x + (-y) is x - y."""
    first, second = node.operands
    if builder.nodes[second].row is negative:
        return builder.add(subtract, (first, builder.nodes[second].operands[0]))
    return None


def _plus(builder: Builder, node: Node) -> int | None:
    """x - (-y) is x + y."""
    first, second = node.operands
    if builder.nodes[second].row is negative:
        return builder.add(add, (first, builder.nodes[second].operands[0]))
    return None


def _abs_twice(builder: Builder, node: Node) -> int | None:
    """| |x| | is |x|. But |-x| stays: |x| has the left and right slopes at 0 exchanged."""
    return node.operands[0] if builder.nodes[node.operands[0]].row is abs_ else None


def _same_shape(builder: Builder, node: Node) -> int | None:
    """A reshape or broadcast to the shape it has already, and a reshape of a reshape."""
    operand = node.operands[0]
    params = dict(node.params)
    if builder.types[operand].shape == params["shape"]:
        return operand
    inner = builder.nodes[operand]
    if node.row is reshape and inner.row is reshape:
        return builder.add(reshape, inner.operands, node.params)
    return _constant_shape(builder, node)


def _constant_shape(builder: Builder, node: Node) -> int | None:
    inner = builder.nodes[node.operands[0]]
    if inner.row is not fill:
        return None
    shape: Any = dict(node.params)["shape"]
    return builder.add(fill, (), (("shape", shape), ("value", dict(inner.params)["value"])))


def _undone_transpose(builder: Builder, node: Node) -> int | None:
    operand = node.operands[0]
    perm: Any = dict(node.params)["perm"]
    if perm == tuple(range(len(perm))):
        return operand
    inner = builder.nodes[operand]
    if inner.row is not transpose:
        return None
    before: Any = dict(inner.params)["perm"]
    composed = tuple(before[p] for p in perm)
    if composed == tuple(range(len(perm))):
        return inner.operands[0]
    return builder.add(transpose, inner.operands, (("perm", composed),))


REWRITES: dict[str, Rewrite] = {
    "multiply": _times_one,
    "divide": _over_one,
    "negative": _undone_twice,
    "add": _minus,
    "subtract": _plus,
    "abs": _abs_twice,
    "reshape": _same_shape,
    "broadcast": _same_shape,
    "transpose": _undone_transpose,
}


def _fold(builder: Builder, node: Node, type: ArrayType) -> int | None:
    """An exact elementwise row of fills is a fill, computed by the row's NumPy value."""
    nodes = builder.nodes
    for operand in node.operands:
        if nodes[operand].row is not fill:
            return None
    row: Any = node.row
    if not node.operands or "exact" not in row.facts or row.scalar is None:
        return None
    numbers = [literal_array(nodes[i]) for i in node.operands]
    with np.errstate(all="ignore"):
        result = row.numpy(*numbers, **dict(node.params))
    literal = Literal.of(result, type.dtype)
    return builder.add(fill, (), (("shape", type.shape), ("value", literal)))


def literal_array(node: Node) -> Any:
    """The number of a fill node, in its dtype."""
    value: Any = dict(node.params)["value"]
    return value.array[()]


def simplify(graph: Graph, rewrites: bool = True) -> Graph:
    """The graph without unused nodes, and with every exact rewrite applied.

    Inputs come first; outputs, guards and their order are kept. `rewrites=False` only prunes.
    """
    return prune(_rewritten(graph, rewrites))


def _rewritten(graph: Graph, rewrites: bool) -> Graph:
    builder = Builder()
    new = [-1] * len(graph.nodes)
    for index in graph.inputs:
        new[index] = builder.add_typed(graph.nodes[index], graph.types[index], None)
    for index in _needed(graph):
        node = graph.nodes[index]
        if node.row is not INPUT:
            moved = node.with_operands(tuple([new[i] for i in node.operands]))
            better = _better(builder, moved, graph.types[index]) if rewrites else None
            if better is None:
                better = builder.add_typed(moved, graph.types[index], graph.origins[index])
            new[index] = better
    builder.inputs = [new[i] for i in graph.inputs]
    for guard in graph.guards:
        builder.guard(new[guard.node], guard.expected.array)
    return builder.freeze([new[i] for i in graph.outputs])


def _better(builder: Builder, node: Node, type: ArrayType) -> int | None:
    rule = REWRITES.get(node.row.name)
    better = rule(builder, node) if rule else None
    return _fold(builder, node, type) if better is None else better


def _needed(graph: Graph) -> list[int]:
    guarded = [g.node for g in graph.guards]
    return reachable(graph.nodes, [*graph.outputs, *guarded, *graph.inputs])


def prune(graph: Graph) -> Graph:
    """The graph without the nodes that neither an output nor a guard needs; inputs stay."""
    kept = _needed(graph)
    if len(kept) == len(graph.nodes):
        return graph
    new = [-1] * len(graph.nodes)
    for rank, index in enumerate(kept):
        new[index] = rank
    nodes = [graph.nodes[i] for i in kept]
    return Graph(
        tuple([n.with_operands(tuple([new[i] for i in n.operands])) for n in nodes]),
        tuple([graph.types[i] for i in kept]),
        tuple([new[i] for i in graph.inputs]),
        tuple([new[i] for i in graph.outputs]),
        tuple([g._replace(node=new[g.node]) for g in graph.guards]),
        tuple([graph.origins[i] for i in kept]),
    )
