"""What one run of a graph takes, node by node: operations, bytes read and written, bytes held.

The run that is counted computes one node after the other, reads its operands, and writes its result
to memory. An engine that fuses nodes computes the same and moves less. A number that is repeated
over a shape (a `fill`) belongs to the program: nothing is read, written or held for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from calcbench.graph.arraytype import ShapeError
from calcbench.graph.control_checkpoints import without_regions
from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import Lifetime, byte_size, peak_bytes, value_lifetimes
from calcbench.graph.nodes import INPUT
from calcbench.graph.structural import fill
from calcbench.measure.loop_counts import Taken, count_control
from calcbench.measure.operations import Operations, summed
from calcbench.measure.row_counts import count_row
from calcbench.measure.tables import aligned, counts_in_row, heading


SHOWN = 40


class NodeCost(NamedTuple):
    """What one node takes: its operations, and the bytes that it reads and writes.

    `nominal` says that its operations depend on values or on LAPACK: a textbook's count stands for
    them. `inside` are the bytes that a loop or choice holds while it runs.
    """

    node: int
    operations: Operations
    read: int
    written: int
    nominal: bool = False
    inside: int = 0


@dataclass(frozen=True, repr=False)
class GraphCost:
    """What one run of a graph takes.

    Attributes
    ----------
    graph : Graph
        Node ids refer to it.
    nodes : tuple of NodeCost
        One per node.
    operations : Operations
        In total.
    read, written : int
        Bytes in total.
    peak : int
        The most bytes held at once, inputs (which the caller holds throughout) included.
    inputs : int
        Bytes of the inputs.
    """

    graph: Graph
    nodes: tuple[NodeCost, ...]
    operations: Operations
    read: int
    written: int
    peak: int
    inputs: int

    @cached_property
    def nominal(self) -> tuple[int, ...]:
        """The nodes whose operations are not exact."""
        return tuple(n.node for n in self.nodes if n.nominal)

    def __repr__(self) -> str:
        return f"<{self.operations.total} operations, peak {self.peak} bytes: {self.graph!r}>"

    def __str__(self) -> str:
        rows = [_row(self.graph, n) for n in self.nodes[:SHOWN]]
        lines = aligned([heading("node"), *rows, ["total", *counts_in_row(self)]])
        if len(self.nodes) > SHOWN:
            lines.insert(-1, f"... {len(self.nodes) - SHOWN} more nodes")
        return "\n".join([*lines, f"peak {self.peak} bytes, of which inputs {self.inputs}"])


def _row(graph: Graph, found: NodeCost) -> list[str]:
    node = graph.nodes[found.node]
    mark = " (nominal)" if found.nominal else ""
    origin = graph.origins[found.node] if graph.origins else None
    place = f"{origin[0].rpartition('/')[2]}:{origin[1]}" if origin else ""
    return [f"v{found.node} {node.row.name}{mark}", *counts_in_row(found), place]


def count_graph(graph: Graph) -> GraphCost:
    """The cost of one run of the graph, its nodes computed in their order.

    Raises
    ------
    ShapeError
        If a dimension has no number.
    GraphError
        If no count is known for a row.
    """
    graph = without_regions(graph)
    _check_sizes(graph)
    known: dict[object, Taken] = {}  # long programs repeat few operations
    nodes = tuple(NodeCost(i, *_taken(graph, i, known)) for i in range(len(graph)))
    return GraphCost(
        graph,
        nodes,
        summed([n.operations for n in nodes]),
        sum(n.read for n in nodes),
        sum(n.written for n in nodes),
        peak_bytes([*held_values(graph), *_held_inside(nodes)]),
        sum(byte_size(graph.types[i]) for i in graph.inputs),
    )


def _check_sizes(graph: Graph) -> None:
    for index, found in enumerate(graph.types):
        if not found.is_concrete:
            raise ShapeError(
                f"{graph.place(index)} has type {found}: operations are counted for sizes that are "
                "numbers; build the graph with numbers for its named dimensions"
            )


def _taken(graph: Graph, index: int, known: dict[object, Taken]) -> Taken:
    node, types = graph.nodes[index], graph.types
    operands = [(types[i], graph.nodes[i].row is fill) for i in node.operands]
    key = node.row, node.params, len(frozenset(node.operands)), *operands
    found = known.get(key)
    if found is None:
        found = known[key] = _counted(graph, index)
    return found


def _counted(graph: Graph, index: int) -> Taken:
    node, types = graph.nodes[index], graph.types
    if node.row is INPUT or node.row.kind == "source":
        return Taken(Operations(), 0, 0)
    if node.row.kind == "control":
        return count_control(node.row, types[index], dict(node.params), count_graph)
    kinds = [types[i] for i in node.operands]
    operations, nominal = count_row(node.row, types[index], kinds, dict(node.params))
    return Taken(operations, _bytes_read(graph, index), byte_size(types[index]), nominal)


def _bytes_read(graph: Graph, index: int) -> int:
    """Every operand once; of one from which entries are left out, those that are taken."""
    node, types = graph.nodes[index], graph.types
    read = {i: byte_size(types[i]) for i in node.operands if graph.nodes[i].row is not fill}
    if "leaves_out" in node.row.facts and node.operands[0] in read:
        read[node.operands[0]] = byte_size(types[index])
    return sum(read.values())


def _held_inside(nodes: Sequence[NodeCost]) -> list[Lifetime]:
    return [Lifetime(n.node, n.inside, n.node, n.node, "its loop") for n in nodes if n.inside]


def held_values(graph: Graph) -> list[Lifetime]:
    """When each value is held: inputs throughout, repeated numbers only as results."""
    results = frozenset(graph.outputs)
    held = [i for i, n in enumerate(graph.nodes) if n.row is not fill or i in results]
    inputs, end = frozenset(graph.inputs), len(graph)
    return [
        life._replace(first=0, last=end, why="an input") if life.node in inputs else life
        for life in value_lifetimes(graph, held)
    ]
