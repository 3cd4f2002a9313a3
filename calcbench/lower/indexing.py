"""Index maps: which entry of an operand is read where a loop stands, as sums of loop indices.

An index of a node has one part per axis of some *coarsening* of its shape: neighbouring axes may be
joined into one, and axes of extent 1 are left out. So a reshape changes nothing, and an elementwise
node of any rank can be walked by one flat loop.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple


class Affine(NamedTuple):
    """constant + sum of coefficient * symbol; symbols are loop indices and loaded positions."""

    terms: tuple[tuple[str, int], ...] = ()
    constant: int = 0

    def __add__(self, other: object) -> Affine:
        if isinstance(other, int):
            return Affine(self.terms, self.constant + other)
        assert isinstance(other, Affine)
        total = dict(self.terms)
        for symbol, coefficient in other.terms:
            total[symbol] = total.get(symbol, 0) + coefficient
        kept = tuple(sorted((s, c) for s, c in total.items() if c))
        return Affine(kept, self.constant + other.constant)

    def __mul__(self, factor: int) -> Affine:  # type: ignore[override,unused-ignore]
        if factor == 0:
            return Affine()
        return Affine(tuple((s, c * factor) for s, c in self.terms), self.constant * factor)

    def __str__(self) -> str:
        words = [s if c == 1 else f"{c} * {s}" for s, c in self.terms if c > 0]
        words += [str(self.constant)] if self.constant > 0 or not self.terms else []
        text = " + ".join(words) or "0"
        for symbol, coefficient in self.terms:
            if coefficient < 0:
                text += f" - {symbol}" if coefficient == -1 else f" - {-coefficient} * {symbol}"
        return text if self.constant >= 0 or not self.terms else f"{text} - {-self.constant}"


def symbol(name: str) -> Affine:
    """The affine sum that is one symbol."""
    return Affine(((name, 1),))


class Part(NamedTuple):
    """Where an index stands on one axis, or on several joined axes, of this extent."""

    extent: int
    at: Affine


Index = tuple[Part, ...]
Ranges = Mapping[str, tuple[int, int]]  # symbol -> lowest and highest value


def joined(parts: Iterable[Part]) -> Part:
    """Several parts as one: the position in row-major order."""
    extent, at = 1, Affine()
    for part in parts:
        extent, at = extent * part.extent, at * part.extent + part.at
    return Part(extent, at)


def interval(at: Affine, ranges: Ranges) -> tuple[int, int]:
    """The lowest and the highest value."""
    low = high = at.constant
    for name, coefficient in at.terms:
        ends = [coefficient * end for end in ranges[name]]
        low, high = low + min(ends), high + max(ends)
    return low, high


class NeedsDivision(Exception):
    """A joined part must be taken apart, and this is no sum of symbols."""


class Splitter:
    """Takes joined parts apart; `divide` makes symbols for quotient and remainder, if given."""

    def __init__(
        self,
        ranges: Ranges,
        divide: Callable[[Affine, int], tuple[Affine, Affine]] | None = None,
    ) -> None:
        self.ranges = ranges
        self.divide = divide

    def split(self, part: Part, inner: int) -> tuple[Part, Part]:
        """One part as an outer one and one of extent `inner`."""
        outer = part.extent // inner
        quotient = tuple((s, c // inner) for s, c in part.at.terms if c % inner == 0)
        rest = Affine(tuple((s, c) for s, c in part.at.terms if c % inner), 0)
        shift, left = divmod(part.at.constant, inner)
        remainder = rest + left
        low, high = interval(remainder, self.ranges)
        if low >= 0 and high < inner:
            return Part(outer, Affine(quotient, shift)), Part(inner, remainder)
        if self.divide is None:
            raise NeedsDivision
        whole, remainder = self.divide(part.at, inner)
        return Part(outer, whole), Part(inner, remainder)

    def regrouped(self, index: Index, extents: Sequence[int]) -> list[list[Part]]:
        """For each of `extents`, whose product is the index's, the parts that make it up."""
        rest, groups = list(index), []
        for extent in extents:
            group: list[Part] = []
            while extent > 1:
                part = rest.pop(0)
                if extent % part.extent:
                    outer, inner = self._cut(part, extent, rest)
                    rest.insert(0, inner)
                    part = outer
                group.append(part)
                extent //= part.extent
            groups.append(group)
        return groups

    def _cut(self, part: Part, extent: int, rest: list[Part]) -> tuple[Part, Part]:
        """`part` cut so that its first piece has the given extent, joining what is behind it."""
        while part.extent % extent:
            part = joined([part, rest.pop(0)])
        return self.split(part, part.extent // extent)


def runs(shape: Sequence[int], cuts: Iterable[int]) -> list[tuple[int, int]]:
    """The axes as runs that begin at 0 and at the cuts: (first, one after the last)."""
    ends = sorted({0, len(shape), *cuts})
    return list(itertools.pairwise(ends))


def run_parts(
    index: Index, shape: Sequence[int], cuts: Iterable[int], splitter: Splitter
) -> list[tuple[tuple[int, int], list[Part]]]:
    """The index by runs of axes; no part crosses a cut."""
    spans = runs(shape, cuts)
    groups = splitter.regrouped(index, [math.prod(shape[a:b]) for a, b in spans])
    return list(zip(spans, groups, strict=True))


def row_major(index: Index) -> Affine:
    """The position in the flattened array."""
    return joined(index).at
