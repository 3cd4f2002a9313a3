"""How each node is computed: where it is read, or in a pass of its own kind."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from calcbench.graph.ir import Graph
from calcbench.graph.nodes import INPUT, Node
from calcbench.graph.structural import constant, fill, gather, matmul
from calcbench.lower.pulling import is_view
from calcbench.lower.texts import is_elementwise


FunctionOf = Callable[[Node], Callable[..., None]]

FOLDS = ("sum", "prod", "max", "min")
SCANS = ("cumsum", "cumprod")
PIECES = ("pad", "concatenate", "from_diagonal")


def node_kind(graph: Graph, node: int) -> str:
    """How a node is computed: "pure" nodes where they are read, the others in passes."""
    row = graph.nodes[node].row
    scalar = graph.types[node].shape == ()
    if row is INPUT:
        return "input"
    if row is constant and not scalar:
        return "array"
    if row is fill or row is constant or is_elementwise(row) or row.name == "convert":
        return "pure"
    if is_view(graph, node) or (row is gather and is_inside(graph, node)):
        return "pure"
    if row is matmul:
        return "product" if graph.types[node].is_float else "callout"
    if row.name == "scatter_add":
        return "scatter" if is_inside(graph, node) else "callout"
    kinds = {FOLDS: "fold", SCANS: "scan", PIECES: "piece"}
    return next((kind for names, kind in kinds.items() if row.name in names), "callout")


def numpy_function(node: Node) -> Callable[..., None]:
    """What a call-out of the node calls, with its result and operands: its row in NumPy."""
    return partial(_write, partial(node.row.numpy, **dict(node.params)))


def _write(function: Callable[..., Any], out: Any, *operands: Any) -> None:
    out[...] = function(*operands)


def is_inside(graph: Graph, node: int) -> bool:
    """Whether the positions that a gather or scatter reads are known to lie in the array."""
    source, positions = graph.nodes[node].operands
    size: Any = dict(graph.nodes[node].params).get("size", graph.types[source].size)
    return _are_below(graph, positions, size)


def _are_below(graph: Graph, node: int, size: int) -> bool:
    row, operands, params, _ = graph.nodes[node]
    if row is constant or row is fill:
        value: Any = dict(params)["value"]
        array = value.array
        return bool(not array.size or (array.min() >= 0 and array.max() < size))
    if row.name == "position":
        return bool(dict(params)["size"] <= size)  # type: ignore[operator]
    if row.name in ("reshape", "broadcast", "transpose", "slice", "flip", "diagonal"):
        return _are_below(graph, operands[0], size)
    if row.name == "concatenate":
        return all(_are_below(graph, o, size) for o in operands)
    if row.name in ("sort_position", "tie_group"):
        return bool(graph.types[node].size <= size)
    return False
