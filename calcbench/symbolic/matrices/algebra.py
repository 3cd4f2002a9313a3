"""Sums and products in index notation, tidied as they are built.

Sums are kept whole inside products, as people write 2A'(AX - B); `expanded` multiplies them out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from calcbench.symbolic.matrices.indexed import (
    Base,
    Factor,
    Group,
    Index,
    Tensor,
    Term,
    Terms,
    free_indices,
)
from calcbench.symbolic.matrices.keys import term_key
from calcbench.symbolic.matrices.tidying import tidied, without


ZERO: Terms = ()


def number(value: Fraction | int) -> Terms:
    """A number as a sum of terms."""
    return (Term(Fraction(value)),) if value else ZERO


def factor(base: Base, *indices: Index) -> Terms:
    """One tensor at indices."""
    return (tidied(Term(Fraction(1), (Factor(base, indices),))),)


def scaled(terms: Terms, by: Fraction | int) -> Terms:
    """Every coefficient times a number."""
    if by == 0:
        return ZERO
    return tuple(Term(t.coefficient * by, t.factors, t.bound) for t in terms)


def plus(*sums: Terms) -> Terms:
    """The sum, like terms collected."""
    terms = [t for s in sums for t in s]
    slots = free_indices(tuple(terms))
    collected: dict[str, Term] = {}
    for t in terms:
        key = term_key(t, slots, coefficient=False)
        known = collected.get(key)
        total = t.coefficient + (known.coefficient if known else 0)
        collected[key] = Term(total, t.factors, t.bound)
    return tuple(t for t in collected.values() if t.coefficient)


def grouped(terms: Terms) -> Terms:
    """A sum as a single factor."""
    slots = free_indices(terms)
    return (Term(Fraction(1), (Factor(Group(Tensor(slots, terms)), slots),)),)


def times(*sums: Terms) -> Terms:
    """The product; a sum of several terms becomes one factor of it unless it stands alone."""
    kept = [s for s in sums if not _is_one(s)]
    if any(not s for s in kept):
        return ZERO
    if len(kept) == 1:
        return kept[0]
    coefficient, factors, bound = Fraction(1), list[Factor](), set[Index]()
    for s in kept:
        common = _common_coefficient(s)
        (single,) = s if len(s) == 1 else grouped(scaled(s, 1 / common))
        coefficient *= single.coefficient if len(s) == 1 else common
        factors += single.factors
        bound |= single.bound
    return (tidied(Term(coefficient, tuple(factors), frozenset(bound))),)


def _is_one(terms: Terms) -> bool:
    return len(terms) == 1 and terms[0] == Term(Fraction(1))


def _common_coefficient(terms: Terms) -> Fraction:
    """What a person would write in front of the brackets: the size all coefficients share.

    The first term is left positive, so that -(x - w) does not become w - x.
    """
    sizes = {abs(t.coefficient) for t in terms}
    sign = -1 if terms[0].coefficient < 0 else 1
    return sign * (sizes.pop() if len(sizes) == 1 else Fraction(1))


def bind(terms: Terms, indices: Sequence[Index]) -> Terms:
    """The sum over the given indices."""
    return tuple(
        tidied(Term(t.coefficient, t.factors, t.bound | frozenset(indices))) for t in terms
    )


def power(terms: Terms, exponent: Fraction) -> Terms:
    """The sum raised to an exponent, entry by entry."""
    if exponent == 1 or not terms:
        return terms if exponent > 0 else grouped_power(terms, exponent)
    if exponent == 0:
        return number(1)
    if len(terms) == 1 and not terms[0].bound and _may_distribute(terms[0], exponent):
        (term,) = terms
        factors = tuple(Factor(f.base, f.indices, f.exponent * exponent) for f in term.factors)
        return (tidied(Term(term.coefficient ** int(exponent), factors)),)
    if exponent.denominator == 1:
        common = _common_coefficient(terms)
        return scaled(grouped_power(scaled(terms, 1 / common), exponent), common ** int(exponent))
    return grouped_power(terms, exponent)


def grouped_power(terms: Terms, exponent: Fraction) -> Terms:
    """The sum kept whole under an exponent."""
    (whole,) = grouped(terms)
    (base,) = whole.factors
    return (Term(Fraction(1), (Factor(base.base, base.indices, exponent),)),)


def _may_distribute(term: Term, exponent: Fraction) -> bool:
    """(ab)^p = a^p b^p and (a^q)^p = a^(qp) for whole p; otherwise a sign could be lost."""
    if exponent.denominator == 1:
        return True
    one = len(term.factors) == 1 and term.factors[0].is_plain
    return one and term.coefficient == 1


# --- multiplying out -----------------------------------------------------------------------------


def opened(term: Term, wanted: Callable[[Factor], bool]) -> Terms:
    """The term with the brackets that are `wanted` multiplied out, however deep they nest."""
    pending, done = [term], []
    while pending:
        t = pending.pop()
        bracket = next((f for f in t.factors if _is_open(f) and wanted(f)), None)
        if bracket is None:
            done.append(t)
            continue
        assert isinstance(bracket.base, Group)
        rest = Term(t.coefficient, without(t, bracket), t.bound)
        pending += [
            tidied(
                Term(
                    rest.coefficient * inner.coefficient,
                    (*rest.factors, *inner.factors),
                    rest.bound | inner.bound,
                )
            )
            for inner in bracket.base.tensor.at(bracket.indices)
        ]
    return tuple(done)


def _is_open(f: Factor) -> bool:
    return isinstance(f.base, Group) and f.is_plain


def expanded(terms: Terms) -> Terms | None:
    """The sum with every bracket multiplied out, or None if that makes very many terms."""
    if sum(_terms_within(t) for t in terms) > _MOST_TERMS:
        return None
    return plus(*(opened(t, lambda f: True) for t in terms))


_MOST_TERMS = 200


def _terms_within(term: Term) -> int:
    """How many terms the product makes when it is multiplied out."""
    brackets = [f.base for f in term.factors if _is_open(f)]
    return math.prod(
        sum(map(_terms_within, b.tensor.terms)) for b in brackets if isinstance(b, Group)
    )
