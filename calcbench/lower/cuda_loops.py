"""Loops without folds as kernels: one thread an entry, in strides of the grid."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from calcbench.graph.ir import Graph
from calcbench.lower.bodies import Body, Statement
from calcbench.lower.cuda_words import CUDA, device_text
from calcbench.lower.emission import Names, Space, Writer, Written, indented, spaces
from calcbench.lower.groups import Group
from calcbench.lower.indexing import NeedsDivision
from calcbench.lower.places import place


class ThreadWriter(Writer):
    """Writes the statements of one thread: selects instead of boxes, so that no thread differs."""

    def __init__(self, graph: Graph, group: Group, names: Names) -> None:
        super().__init__(graph, group, names, CUDA, vectorised=False)

    def choose(self) -> tuple[Space, list[Written]]:
        """The coarsest space that needs no divisions, or the first that can be had."""
        for divides in (False, True):
            for space in spaces(self.group):
                try:
                    return space, [self._written(space, space.ranges, True, divides)]
                except NeedsDivision:
                    continue
        raise AssertionError("dividing always works")

    def _written(self, space: Space, box: object, guarded: bool, divides: bool) -> Written:
        """As in loops on the CPU, with all kept axes outside of all reduced ones."""
        body = Body(
            self.graph, self.stored, space.ranges, guarded, divides, False, self.target.name
        )
        body.depths = {f"i{k}": 2 if reduced else 1 for k, reduced in enumerate(space.reduced)}
        entries = []
        for root in self.group.roots:
            at = place(self.graph, root, space.index, body.splitter)
            entries.append((root, self._value(body, root, space.index), at))
        return Written(space.ranges, body, entries)


def statement_lines(statements: Sequence[Statement]) -> list[str]:
    """Statements as lines in CUDA's words."""
    return [f"{s.name} = {device_text(s.text)}" for s in statements]


def unravelled(flat: str, axes: Sequence[tuple[str, int]]) -> Iterator[str]:
    """The statements that take a flat position apart: (index, extent) of axes, outermost first."""
    below = math.prod(extent for _, extent in axes)
    for position, (name, extent) in enumerate(axes):
        below //= extent
        whole = f"{flat} // {below}" if below > 1 else flat
        yield f"{name} = {whole} % {extent}" if position else f"{name} = {whole}"


def strided(total: int, body: Sequence[str], flat: str = "flat") -> list[str]:
    """The body for every position below `total`, shared out over all threads of the grid."""
    return [
        f"{flat} = cuda.grid(1)",
        f"while {flat} < {total}:",
        *indented([*body, f"{flat} += cuda.gridsize(1)"], 1),
    ]


def loop_lines(graph: Graph, group: Group, names: Names) -> tuple[list[str], int]:
    """The body of the kernel of a loop without folds, and the number of its entries."""
    writer = ThreadWriter(graph, group, names)
    space, (written,) = writer.choose()
    axes = [(f"i{k}", extent) for k, extent in enumerate(space.extents)]
    lines = [
        *unravelled("flat", axes),
        *statement_lines(written.body.statements),
        *writer.writes(written),
    ]
    total = math.prod(space.extents)
    return strided(total, used_only(lines)), total


def used_only(lines: Sequence[str], rest: Sequence[str] = ()) -> list[str]:
    """The lines without the indices that neither later lines nor `rest` read."""
    kept: list[str] = []
    for line in reversed(lines):
        index = re.match(r"(i\d+) = ", line)
        if not index or any(re.search(rf"\b{index[1]}\b", later) for later in (*kept, *rest)):
            kept.append(line)
    return kept[::-1]
