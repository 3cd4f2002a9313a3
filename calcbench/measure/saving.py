"""What reverse accumulation keeps: values of the function that the sweep downward reads again."""

from __future__ import annotations

from typing import NamedTuple

from calcbench.graph.ir import Graph, reachable
from calcbench.graph.lifetimes import byte_size
from calcbench.graph.nodes import Origin


class SavedValue(NamedTuple):
    """One value kept for the reverse sweep.

    Attributes
    ----------
    node : int
        Its id in the vjp graph.
    place : str
        The node and where it was recorded, in words.
    origin : (str, int) or None
        File and line of that.
    size : int
        Bytes.
    why : str
        How many nodes of the sweep read it, and the last one.
    """

    node: int
    place: str
    origin: Origin
    size: int
    why: str

    def __str__(self) -> str:
        return f"{self.size} bytes: {self.place}; {self.why}"


def saved_values(graph: Graph, results: int) -> tuple[SavedValue, ...]:
    """The values that a vjp graph keeps; its first `results` outputs are those of the function.

    Constants are left out: they belong to the program. A loop that runs for the sweep's sake, to
    keep its carries, counts as one of the function's.
    """
    seeds = frozenset(graph.inputs[-_seed_count(graph, results) :])
    roots = [*graph.outputs[:results], *(g.node for g in graph.guards), *_early_loops(graph, seeds)]
    upward = frozenset(reachable(graph.nodes, roots))
    kept = (upward | frozenset(graph.inputs)) - seeds
    readers: dict[int, list[int]] = {}
    for index, node in enumerate(graph.nodes):
        for operand in frozenset(node.operands) if index not in upward else ():
            if operand in kept and graph.nodes[operand].row.kind != "source":
                readers.setdefault(operand, []).append(index)
    return tuple(_saved(graph, i, readers[i]) for i in sorted(readers))


def _early_loops(graph: Graph, seeds: frozenset[int]) -> list[int]:
    """The nodes that hold graphs and wait for no seed."""
    late = set(seeds)
    for index, node in enumerate(graph.nodes):
        if not late.isdisjoint(node.operands):
            late.add(index)
    return [i for i, n in enumerate(graph.nodes) if n.row.kind == "control" and i not in late]


def _seed_count(graph: Graph, results: int) -> int:
    """One cotangent for each float result."""
    return sum(graph.types[i].is_float for i in graph.outputs[:results])


def _saved(graph: Graph, index: int, readers: list[int]) -> SavedValue:
    origin = graph.origins[index] if graph.origins else None
    size, last = byte_size(graph.types[index]), graph.place(readers[-1])
    why = f"read by {last}" if len(readers) == 1 else f"read by {len(readers)} nodes up to {last}"
    return SavedValue(index, graph.place(index), origin, size, why)
