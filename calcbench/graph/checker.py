"""What graphs must satisfy: the verifier of every pass, and what derivatives ask of inputs."""

from __future__ import annotations

from collections.abc import Sequence

from calcbench.graph.arraytype import CalcbenchError, DTypeError, GraphError
from calcbench.graph.ir import Graph
from calcbench.graph.nodes import INPUT, Node


def check_graph(graph: Graph) -> Graph:
    """`graph` itself, or an error that names the first node that breaks a rule.

    Rules: operands are defined before use; every type is what the row infers; params are
    hashable; no two nodes are equal; inputs are input nodes; ids in inputs, outputs and guards
    exist.
    """
    if len(graph.types) != len(graph.nodes):
        raise GraphError(f"{len(graph.nodes)} nodes but {len(graph.types)} types")
    for index, node in enumerate(graph.nodes):
        _check_node(graph, index, node)
    _check_ends(graph)
    return graph


def _check_node(graph: Graph, index: int, node: Node) -> None:
    if not all(0 <= i < index for i in node.operands):
        raise GraphError(f"{graph.place(index)} uses a value before it is defined: {node.operands}")
    try:
        hash(node.params)
        inferred = node.row.infer(*[graph.types[i] for i in node.operands], **dict(node.params))
    except (CalcbenchError, TypeError) as error:
        raise GraphError(f"{graph.place(index)} does not type-check: {error}") from error
    if inferred != graph.types[index]:
        raise GraphError(
            f"{graph.place(index)} is stated as {graph.types[index]}, its row infers {inferred}"
        )


def _check_ends(graph: Graph) -> None:
    if len(set(graph.nodes)) != len(graph.nodes):
        raise GraphError("two nodes are equal; value numbering should have merged them")
    known = range(len(graph.nodes))
    for index in (*graph.inputs, *graph.outputs, *(g.node for g in graph.guards)):
        if index not in known:
            raise GraphError(f"v{index} is named as input, output or guard but does not exist")
    inputs = {i for i, node in enumerate(graph.nodes) if node.row is INPUT}
    if inputs != set(graph.inputs) or len(graph.inputs) != len(inputs):
        raise GraphError(f"input nodes are {sorted(inputs)}, the graph lists {graph.inputs}")


def float_positions(graph: object, wrt: Sequence[int] | None) -> tuple[int, ...]:
    """The positions `wrt` of a graph's inputs, checked; by default all that hold floats."""
    if not isinstance(graph, Graph):
        raise GraphError(
            f"a Graph is expected, as trace(f, *examples) makes it, got {type(graph).__name__}"
        )
    kinds = [graph.types[i] for i in graph.inputs]
    if wrt is None:
        return tuple(p for p, kind in enumerate(kinds) if kind.is_float)
    for position in wrt:
        if not 0 <= position < len(kinds):
            raise GraphError(
                f"wrt={tuple(wrt)}, but the graph has {len(kinds)} inputs: {graph.signature}"
            )
        if not kinds[position].is_float:
            raise DTypeError(
                f"input {graph.input_names[position]} has type {kinds[position]}: integers and "
                "booleans carry no tangent; leave it out of wrt"
            )
    return tuple(wrt)
