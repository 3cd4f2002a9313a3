"""Lifetimes to offsets in one arena, so that its exact size is known before anything runs."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from calcbench.graph.lifetimes import Lifetime


ALIGNMENT = 64  # a cache line, and the widest vector register
WORD = 8  # scalars are packed: one word each


@dataclass(frozen=True)
class Arena:
    """Where each value lies, in bytes from the start, and how many bytes there are in all."""

    offsets: dict[int, int]
    size: int


def rounded(size: int) -> int:
    """The bytes a value takes: scalars a word, arrays whole cache lines."""
    unit = WORD if size <= WORD else ALIGNMENT
    return -(-size // unit) * unit


def pack(lifetimes: Sequence[Lifetime]) -> Arena:
    """Offsets such that values alive at the same step never overlap.

    Lifetimes are taken in the order of their first step; each value takes the smallest hole that
    fits, and a hole that opens joins its neighbours. A value that is written at the step at which
    another is read for the last time does not take its place: a loop may read while it writes.

    Examples
    --------
    >>> from calcbench.graph.lifetimes import Lifetime
    >>> lives = [Lifetime(n, 64, n, n + 1, "") for n in range(4)]
    >>> pack(lives).size  # two at a time, where four values are made
    128
    """
    ordered = sorted((life for life in lifetimes if life.size), key=lambda life: life.first)
    empty = {life.node: 0 for life in lifetimes if not life.size}
    space = _Space()
    ending: list[tuple[int, int, int]] = []
    for life in ordered:
        while ending and ending[0][0] < life.first:
            _, offset, size = heappop(ending)
            space.release(offset, size)
        size = rounded(life.size)
        space.offsets[life.node] = offset = space.take(size)
        heappush(ending, (life.last, offset, size))
    return Arena({**space.offsets, **empty}, space.end)


@dataclass
class _Space:
    """The holes of the arena, by size and by place."""

    end: int = 0
    offsets: dict[int, int] = field(default_factory=dict)
    by_size: list[tuple[int, int]] = field(default_factory=list)
    starts: dict[int, int] = field(default_factory=dict)  # offset -> size
    ends: dict[int, int] = field(default_factory=dict)  # offset + size -> offset

    def take(self, size: int) -> int:
        unit = WORD if size <= WORD else ALIGNMENT
        for place in range(bisect_left(self.by_size, (size, 0)), len(self.by_size)):
            hole, offset = self.by_size[place]
            start = -(-offset // unit) * unit
            if start + size <= offset + hole:
                self._remove(hole, offset)
                self._add(offset, start - offset)
                self._add(start + size, offset + hole - start - size)
                return start
        start = -(-self.end // unit) * unit
        self._add(self.end, start - self.end)
        self.end = start + size
        return start

    def release(self, offset: int, size: int) -> None:
        before = self.ends.get(offset)
        if before is not None:
            hole = self.starts[before]
            self._remove(hole, before)
            offset, size = before, size + hole
        after = self.starts.get(offset + size)
        if after is not None:
            self._remove(after, offset + size)
            size += after
        self._add(offset, size)

    def _add(self, offset: int, size: int) -> None:
        if size:
            insort(self.by_size, (size, offset))
            self.starts[offset] = size
            self.ends[offset + size] = offset

    def _remove(self, size: int, offset: int) -> None:
        del self.by_size[bisect_left(self.by_size, (size, offset))]
        del self.starts[offset]
        del self.ends[offset + size]
