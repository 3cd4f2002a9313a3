"""One loop that was written: its text, what calls it, and how long it takes, as predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from calcbench.graph.ir import Graph
from calcbench.lower.bodies import Statement
from calcbench.lower.costs import BYTE_NS, FOLD, OPERATION_NS, operation_cost
from calcbench.lower.groups import Root


Box = dict[str, tuple[int, int]]  # the lowest and highest value of each loop index


@dataclass
class Loop:
    """The text of one loop and what the driver needs to call it.

    Attributes
    ----------
    lines : list of str
        The body of the function, not indented.
    arrays : list of str
        Names that the body reads or writes.
    total, grain : int
        The range of the outermost loop, and where it may be cut.
    computing_ns, memory_ns : float
        What the operations take, and what reading and writing takes, as predicted.
    finish : list of str
        What is left to do when the whole range is done.
    sums : dict
        Name to (entries, dtype) of the workspace that folds need between ranges.
    workspace : int
        Bytes of buffers inside the function.
    """

    name: str
    lines: list[str] = field(default_factory=list)
    arrays: list[str] = field(default_factory=list)
    total: int = 1
    grain: int = 1
    finish: list[str] = field(default_factory=list)
    sums: dict[str, tuple[int, str]] = field(default_factory=dict)
    workspace: int = 0
    computing_ns: float = 0.0
    memory_ns: float = 0.0

    @property
    def nanoseconds(self) -> float:
        """What all of it takes, roughly: the processor computes while it waits for memory."""
        return max(self.computing_ns, self.memory_ns)


def charge(
    loop: Loop, graph: Graph, box: Box, statements: Sequence[Statement], roots: Sequence[Root]
) -> None:
    """Add what the loops over a box take, as predicted."""
    runs = [1]
    for low, high in box.values():
        runs.append(runs[-1] * (high - low + 1))
    for _, text, depth, node in statements:
        if text.startswith("read("):
            loop.memory_ns += BYTE_NS * runs[depth] * graph.types[node].dtype.itemsize
        elif node >= 0:
            loop.computing_ns += OPERATION_NS * runs[depth] * operation_cost(graph.nodes[node].row)
    for root in roots:
        if root.kind == "fold":
            loop.computing_ns += OPERATION_NS * runs[-1] * FOLD
        else:
            loop.memory_ns += BYTE_NS * runs[-1] * graph.types[root.node].dtype.itemsize


def volume(box: Box) -> int:
    """The number of entries of a box."""
    return math.prod(high - low + 1 for low, high in box.values())
