"""When each value of a graph is first needed and last read, and how many bytes it takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from calcbench.graph.arraytype import ArrayType, ShapeError
from calcbench.graph.ir import Graph


class Lifetime(NamedTuple):
    """One value that a run holds, from the step that writes it to the last step that reads it.

    `why` says who reads it last, in words for a person.
    """

    node: int
    size: int
    first: int
    last: int
    why: str


def byte_size(type: ArrayType) -> int:
    """The bytes of a value of this type.

    Raises
    ------
    ShapeError
        If a dimension has no number yet.
    """
    if not type.is_concrete:
        raise ShapeError(f"{type} has no size in bytes: give its named dimensions a number first")
    return int(type.size * type.dtype.itemsize)


def value_lifetimes(graph: Graph, nodes: Iterable[int] | None = None) -> list[Lifetime]:
    """The lifetimes of the values of `nodes` (all by default) when each node is one step.

    Outputs live to the end of the run, whose step is the number of nodes.
    """
    last, reader = last_readers(graph)
    wanted = range(len(graph)) if nodes is None else nodes
    return [
        Lifetime(i, byte_size(graph.types[i]), i, last[i], reason(graph, reader[i])) for i in wanted
    ]


def last_readers(graph: Graph) -> tuple[list[int], list[int]]:
    """Per node the step that reads it last, and the node that does (-1: the caller, as output)."""
    last, reader = list(range(len(graph))), list(range(len(graph)))
    for index, node in enumerate(graph.nodes):
        for operand in node.operands:
            last[operand] = reader[operand] = index
    for guard in graph.guards:
        last[guard.node], reader[guard.node] = len(graph), -1
    for output in graph.outputs:
        last[output], reader[output] = len(graph), -1
    return last, reader


def reason(graph: Graph, reader: int) -> str:
    """Why a value is held until `reader` runs."""
    return "a result" if reader < 0 else f"read by {graph.place(reader)}"


def peak_bytes(lifetimes: Sequence[Lifetime]) -> int:
    """The most bytes that are held at once: a lower bound for any arena."""
    changes: dict[int, int] = {}
    for life in lifetimes:
        changes[life.first] = changes.get(life.first, 0) + life.size
        changes[life.last + 1] = changes.get(life.last + 1, 0) - life.size
    held = peak = 0
    for step in sorted(changes):
        held += changes[step]
        peak = max(peak, held)
    return peak
