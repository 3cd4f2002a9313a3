"""Index notation: sums of products of indexed tensors, as values with equality.

Every graph on named dimensions can be written this way, whatever its rank, and differentiated
without a special case for transposes (Laue, Mitterreiter & Giesen 2020, "A simple and efficient
tensor calculus"). Matrix notation is recognised afterwards, where there is one.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

from calcbench.graph.arraytype import DimLike
from calcbench.symbolic.matrices.keys import shortened, term_key


_COUNTER = itertools.count()


@dataclass(frozen=True, slots=True)
class Index:
    """One index; its size is a number or a named dimension."""

    number: int
    size: DimLike = field(compare=False)


def fresh(size: DimLike) -> Index:
    """An index that occurs nowhere else."""
    return Index(next(_COUNTER), size)


# --- what carries indices ----------------------------------------------------------------------


@dataclass(frozen=True)
class Base:
    """A tensor that a factor indexes; two are the same if their keys are."""

    @property
    def key(self) -> str:
        """Text that is equal for equal tensors."""
        raise NotImplementedError

    @property
    def is_symmetric(self) -> bool:
        """Whether its (two) indices may be exchanged."""
        return False

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The tensors within."""
        return ()

    @property
    def names(self) -> frozenset[str]:
        """The variables in it."""
        return frozenset[str]().union(*(p.names for p in self.parts))


@dataclass(frozen=True)
class Symbol(Base):
    """A variable; `structure` is that of the declaration, such as ``symmetric``."""

    name: str
    structure: str = ""

    @property
    def key(self) -> str:
        return self.name

    @property
    def names(self) -> frozenset[str]:
        return frozenset((self.name,))

    @property
    def is_symmetric(self) -> bool:
        return self.structure in ("symmetric", "diagonal")


@dataclass(frozen=True)
class Delta(Base):
    """1 where its two indices are equal, 0 elsewhere: the identity matrix."""

    @property
    def key(self) -> str:
        return "δ"

    @property
    def is_symmetric(self) -> bool:
        return True


@dataclass(frozen=True)
class Triangle(Base):
    """1 on and below (``lower``) or above (``upper``) the diagonal, 0 elsewhere."""

    side: str

    @property
    def key(self) -> str:
        return f"{self.side}-triangle"


@dataclass(frozen=True)
class Pack(Base):
    """1 where the first index counts the pair of the other two, 0 elsewhere: a reshape."""

    @property
    def key(self) -> str:
        return "pack"


@dataclass(frozen=True)
class Size(Base):
    """A dimension as a number."""

    dim: DimLike

    @property
    def key(self) -> str:
        return f"|{self.dim}|"


@dataclass(frozen=True)
class Function(Base):
    """A function applied entry by entry to tensors of the same indices."""

    name: str
    arguments: tuple[Tensor, ...]

    @cached_property
    def key(self) -> str:
        return shortened(f"{self.name}({'; '.join(a.key for a in self.arguments)})")

    @cached_property
    def is_symmetric(self) -> bool:
        return all(a.is_symmetric for a in self.arguments)

    @property
    def parts(self) -> tuple[Tensor, ...]:
        return self.arguments


@dataclass(frozen=True)
class MatrixFunction(Base):
    """A function of a matrix as a whole: ``inv`` has two indices, ``det`` has none."""

    name: str
    argument: Tensor

    @cached_property
    def key(self) -> str:
        return f"{self.name}[{self.argument.key}]"

    @cached_property
    def is_symmetric(self) -> bool:
        return self.argument.is_symmetric

    @property
    def parts(self) -> tuple[Tensor, ...]:
        return (self.argument,)


@dataclass(frozen=True)
class Group(Base):
    """A sum kept whole, as in 2A'(AX - B)."""

    tensor: Tensor

    @property
    def key(self) -> str:
        return f"({self.tensor.key})"

    @property
    def is_symmetric(self) -> bool:
        return self.tensor.is_symmetric

    @property
    def parts(self) -> tuple[Tensor, ...]:
        return (self.tensor,)


# --- factors, terms, tensors ---------------------------------------------------------------------


@dataclass(frozen=True)
class Factor:
    """A tensor at indices, raised entry by entry to an exponent."""

    base: Base
    indices: tuple[Index, ...] = ()
    exponent: Fraction = Fraction(1)

    def at(self, renamed: Mapping[Index, Index]) -> Factor:
        """The same with other indices."""
        indices = tuple(renamed.get(i, i) for i in self.indices)
        return Factor(self.base, indices, self.exponent)

    @property
    def is_plain(self) -> bool:
        """Whether the exponent is 1."""
        return self.exponent == 1


@dataclass(frozen=True)
class Term:
    """A number times a product of factors, summed over the bound indices."""

    coefficient: Fraction
    factors: tuple[Factor, ...] = ()
    bound: frozenset[Index] = frozenset()

    def at(self, renamed: Mapping[Index, Index]) -> Term:
        """The same with other free indices, and bound ones that occur nowhere else."""
        new = dict(renamed) | {i: fresh(i.size) for i in self.bound}
        return Term(
            self.coefficient,
            tuple(f.at(new) for f in self.factors),
            frozenset(new[i] for i in self.bound),
        )

    @property
    def free(self) -> tuple[Index, ...]:
        """The free indices, in order of appearance."""
        seen = dict.fromkeys(i for f in self.factors for i in f.indices)
        return tuple(i for i in seen if i not in self.bound)

    def uses(self, index: Index) -> int:
        """How often the index occurs."""
        return sum(f.indices.count(index) for f in self.factors)


Terms = tuple[Term, ...]


def free_indices(terms: Terms) -> tuple[Index, ...]:
    """The free indices of a sum, in order of appearance."""
    return tuple(dict.fromkeys(i for t in terms for i in t.free))


@dataclass(frozen=True, eq=False)
class Tensor:
    """A sum of terms as a function of its slots."""

    slots: tuple[Index, ...]
    terms: Terms

    def at(self, indices: Sequence[Index]) -> Terms:
        """The sum at the given indices."""
        renamed = dict(zip(self.slots, indices, strict=True))
        return tuple(t.at(renamed) for t in self.terms)

    @property
    def transposed(self) -> Tensor:
        """The same with the slots in reverse order."""
        return Tensor(self.slots[::-1], self.terms)

    @cached_property
    def key(self) -> str:
        """Text that is equal for sums that agree up to order and names of indices."""
        text = " + ".join(sorted(term_key(t, self.slots) for t in self.terms)) or "0"
        return shortened(text)

    @cached_property
    def weight(self) -> int:
        """How much there is to read."""
        return sum(1 + p.weight for t in self.terms for f in t.factors for p in f.base.parts) + sum(
            len(t.factors) for t in self.terms
        )

    @cached_property
    def names(self) -> frozenset[str]:
        """The variables in it."""
        return frozenset[str]().union(*(f.base.names for t in self.terms for f in t.factors))

    @cached_property
    def is_symmetric(self) -> bool:
        return len(self.slots) == 2 and (
            self.slots[0].size == self.slots[1].size and self.key == self.transposed.key
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tensor) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)
