"""A graph on named dimensions, read in index notation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calcbench.graph.arraytype import ArrayType, GraphError
from calcbench.graph.ir import Graph
from calcbench.graph.nodes import INPUT, Node
from calcbench.symbolic.matrices.algebra import factor, number
from calcbench.symbolic.matrices.indexed import Symbol, Tensor, fresh
from calcbench.symbolic.matrices.row_meanings import READERS, Reader, Reading, read_function


def read_graph(
    graph: Graph,
    structures: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> tuple[Tensor, ...]:
    """The outputs of a graph as tensors over its inputs.

    Parameters
    ----------
    graph : Graph
        Its dimensions may have names.
    structures : mapping of str to str, optional
        What is known of square inputs: ``symmetric``, ``diagonal``, ``lower``, ``upper``.
    unit : str, optional
        An input that is read as the number 1: the cotangent of a scalar.

    Raises
    ------
    GraphError
        If a row has no meaning in index notation; its name and line are said.
    """
    known = structures or {}
    tensors: list[Tensor] = []
    for index, node in enumerate(graph.nodes):
        if node.row is INPUT:
            tensors.append(_variable(node, graph.types[index], known, unit))
            continue
        operands = [tensors[i] for i in node.operands]
        types = [graph.types[i] for i in node.operands]
        reading = Reading(node, graph.types[index], operands, types)
        reader = READERS.get(node.row.name) or _by_kind(node)
        if reader is None:
            raise GraphError(
                f"matrix calculus has no meaning for {graph.place(index)}: only rows that act "
                f"entry by entry and {', '.join(sorted(READERS))} have one"
            )
        tensors.append(reader(reading))
    return tuple(tensors[i] for i in graph.outputs)


def _variable(
    node: Node, type: ArrayType, structures: Mapping[str, str], unit: str | None
) -> Tensor:
    slots = tuple(fresh(size) for size in type.shape)
    name = str(dict(node.params)["name"])
    if name == unit:
        return Tensor(slots, number(1))
    return Tensor(slots, factor(Symbol(name, structures.get(name, "")), *slots))


def _by_kind(node: Node) -> Reader | None:
    row: Any = node.row
    return read_function if row.scalar is not None else None
