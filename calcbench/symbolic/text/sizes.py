"""Sizes of rows and columns: names, numbers, their products, and unknowns that operators equate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from calcbench.graph.arraytype import Dim, DimLike


MOST_FACTORS = 16
LARGEST = 2**31


class Unknown(NamedTuple):
    """The size of one axis of a variable that was not declared."""

    variable: str
    axis: int

    def __str__(self) -> str:
        return f"{('rows', 'columns')[self.axis]}({self.variable})"


Atom = str | int | Unknown
Size = tuple[Atom, ...]  # a product; the normal form is that of `product`


class Misfit(Exception):
    """Operands that an operator or a function cannot take; caught where the position is known."""

    def __init__(self, problem: str, of_shapes: bool = True) -> None:
        super().__init__(problem)
        self.of_shapes = of_shapes


def product(atoms: Iterable[Atom]) -> Size:
    """The product in normal form: one number, or else the factors in order, without ones.

    Numbers stay apart beside names, as they do in the product of a `Dim` and an int.
    """
    factors = [a for a in atoms if a != 1]
    numbers = [a for a in factors if isinstance(a, int)]
    if len(factors) > MOST_FACTORS or math.prod(numbers) > LARGEST:
        raise Misfit(f"a size has at most {MOST_FACTORS} factors and is at most {LARGEST}")
    if len(numbers) == len(factors):
        return (math.prod(numbers),)
    return tuple(sorted(factors, key=lambda a: (isinstance(a, Unknown), str(a))))


def format_size(size: Size) -> str:
    """A size as in a declaration, ``n`` or ``n*m``."""
    return "*".join(map(str, size))


def as_dim(size: Size) -> DimLike:
    """The size as a dimension of a graph."""
    if len(size) == 1 and isinstance(size[0], int):
        return size[0]
    return Dim("*".join(sorted(map(str, size))))


class Sizes:
    """What is known of the unknown sizes; `equate` adds to it."""

    def __init__(self) -> None:
        self.known: dict[Unknown, Size] = {}

    def resolve(self, size: Size) -> Size:
        """The size with every known unknown replaced."""
        while any(a in self.known for a in size if isinstance(a, Unknown)):
            size = product(b for a in size for b in self._replaced(a))
        return size

    def _replaced(self, atom: Atom) -> Size:
        return self.known.get(atom, (atom,)) if isinstance(atom, Unknown) else (atom,)

    def equate(self, first: Size, second: Size) -> bool:
        """Whether two sizes are or can be the same; then they are from now on."""
        first, second = self.resolve(first), self.resolve(second)
        if first == second:
            return True
        for one, other in ((second, first), (first, second)):
            if len(one) == 1 and isinstance(one[0], Unknown) and one[0] not in other:
                self.known[one[0]] = other
                return True
        return False

    def settle(self, unknowns: Iterable[Unknown], names: Iterable[str]) -> None:
        """Give each unknown that is left the next of the names."""
        fresh = iter(names)
        for unknown in unknowns:
            for atom in self.resolve((unknown,)):
                if isinstance(atom, Unknown):
                    self.known[atom] = (next(fresh),)
