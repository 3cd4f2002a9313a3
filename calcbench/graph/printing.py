"""A graph as SSA text: one node a line, in stable order."""

from __future__ import annotations

from typing import Protocol

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.nodes import Guard, Literal, Node


class Printable(Protocol):
    """What printing needs of a graph."""

    @property
    def nodes(self) -> tuple[Node, ...]: ...
    @property
    def types(self) -> tuple[ArrayType, ...]: ...
    @property
    def outputs(self) -> tuple[int, ...]: ...
    @property
    def guards(self) -> tuple[Guard, ...]: ...
    @property
    def signature(self) -> str: ...


def format_node(graph: Printable, index: int) -> str:
    """One node as SSA text."""
    node = graph.nodes[index]
    params = ", ".join(f"{k}={_show(v)}" for k, v in node.params if k != "type")
    words = [node.row.name, *(f"v{i}" for i in node.operands)]
    words += [f"[{params}]"] if params else []
    words += [f"@{node.epoch}"] if node.epoch else []
    return f"v{index} = {' '.join(words)} : {graph.types[index]}"


def _show(value: object) -> str:
    if isinstance(value, tuple):
        inner = ", ".join(map(_show, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return str(value) if not isinstance(value, str | Literal) else repr(value).replace("'", "")


def format_graph(graph: Printable, limit: int | None = None) -> str:
    """SSA text, one node a line, in stable order."""
    count = len(graph.nodes) if limit is None else min(limit, len(graph.nodes))
    guards = {g.node: [h.expected for h in graph.guards if h.node == g.node] for g in graph.guards}
    lines = []
    for index in range(count):
        lines.append("  " + format_node(graph, index))
        lines += [f"  guard v{index} == {expected!r}" for expected in guards.get(index, ())]
    lines += [f"  ... {len(graph.nodes) - count} more nodes"] if count < len(graph.nodes) else []
    returned = ", ".join(f"v{i}" for i in graph.outputs)
    return "\n".join([f"graph {graph.signature}", *lines, f"  return {returned}"])
