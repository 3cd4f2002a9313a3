"""Counts as aligned text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from calcbench.measure.operations import KINDS, Operations


class Counted(Protocol):
    """What has a row in a table of counts."""

    @property
    def operations(self) -> Operations: ...
    @property
    def read(self) -> int: ...
    @property
    def written(self) -> int: ...


def heading(first: str, *last: str) -> list[str]:
    """The heads of the columns of `counts_in_row`, and of those before and after."""
    return [first, *KINDS, "read", "written", *last]


def counts_in_row(counted: Counted) -> list[str]:
    """Operations by kind, bytes read, bytes written."""
    return [str(n) for n in (*counted.operations.counts, counted.read, counted.written)]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the first column to the left and the others to the right."""
    columns = max(map(len, rows))
    full = [[*row, *[""] * (columns - len(row))] for row in rows]
    widths = [max(map(len, column)) for column in zip(*full, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in full
    ]
