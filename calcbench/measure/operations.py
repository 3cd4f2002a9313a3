"""How many operations of each kind something takes, as one record that adds up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Operations:
    """Operations by kind, each on one number.

    Attributes
    ----------
    add : int
        Additions, subtractions and changes of sign.
    multiply, divide : int
        Products; quotients and remainders.
    transcendental : int
        Calls of a function: exp, sin, erf, a power, also a square root.
    comparison : int
        Comparisons of numbers, operations on truth values, magnitudes, signs and rounding.
    move : int
        Entries that are copied, repeated, reordered or selected without arithmetic.
    """

    add: int = 0
    multiply: int = 0
    divide: int = 0
    transcendental: int = 0
    comparison: int = 0
    move: int = 0

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers in the order of `KINDS`."""
        return (
            self.add, self.multiply, self.divide, self.transcendental, self.comparison, self.move
        )  # fmt: skip

    @property
    def total(self) -> int:
        """Operations of all kinds."""
        return sum(self.counts)

    def __add__(self, other: Operations) -> Operations:
        return summed([self, other])

    def __mul__(self, count: int) -> Operations:
        return Operations(*[count * own for own in self.counts])


KINDS = tuple(field.name for field in fields(Operations))


def summed(parts: Sequence[Operations]) -> Operations:
    """The sum of all parts."""
    return Operations(*map(sum, zip(*[part.counts for part in parts], strict=True)))
