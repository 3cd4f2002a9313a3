"""One product in index notation, brought to its plainest form by rules that hold for all values."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from calcbench.symbolic.matrices.indexed import (
    Delta,
    Factor,
    Group,
    Index,
    MatrixFunction,
    Pack,
    Size,
    Term,
)


def tidied(term: Term) -> Term:
    """The term after every rule of `_RULES` that applies, in order, until none does."""
    term = Term(term.coefficient, _merged(term.factors), term.bound)
    for rule in _RULES:
        changed = rule(term)
        if changed is not None:
            return tidied(changed)
    return term


def _merged(factors: Iterable[Factor]) -> tuple[Factor, ...]:
    """Equal tensors at equal indices as one factor, exponents added."""
    total: dict[tuple[str, tuple[Index, ...]], Factor] = {}
    for f in factors:
        indices = f.indices
        if f.base.is_symmetric:
            indices = tuple(sorted(indices, key=lambda i: i.number))
        key = (f.base.key, indices)
        known = total.get(key)
        exponent = f.exponent + (known.exponent if known else 0)
        total[key] = Factor(f.base, indices, exponent)
    return tuple(f for f in total.values() if f.exponent)


def without(term: Term, *gone: Factor) -> tuple[Factor, ...]:
    return tuple(f for f in term.factors if not any(f is g for g in gone))


def _unmentioned(term: Term) -> Term | None:
    """A sum over an index that nothing depends on is its size."""
    used = {i for f in term.factors for i in f.indices}
    for index in sorted(term.bound - used, key=lambda i: i.number):
        rest = term.bound - {index}
        if isinstance(index.size, int):
            return Term(term.coefficient * index.size, term.factors, rest)
        return Term(term.coefficient, (*term.factors, Factor(Size(index.size))), rest)
    return None


def _contracted(term: Term) -> Term | None:
    """delta_ab renames a bound index; delta_aa is 1; its powers are itself."""
    for f in term.factors:
        if not isinstance(f.base, Delta):
            continue
        first, second = f.indices
        rest = without(term, f)
        if first == second:
            return Term(term.coefficient, rest, term.bound)
        old, new = (second, first) if second in term.bound else (first, second)
        if old in term.bound:
            renamed = tuple(g.at({old: new}) for g in rest)
            return Term(term.coefficient, renamed, term.bound - {old})
        if f.exponent != 1:
            return Term(term.coefficient, (*rest, Factor(f.base, f.indices)), term.bound)
        if any(second in g.indices for g in rest):
            renamed = tuple(g.at({second: first}) for g in rest)
            return Term(term.coefficient, (*renamed, f), term.bound)
    return None


def _inlined(term: Term) -> Term | None:
    """A bracket around a single product is not needed."""
    for f in term.factors:
        if not isinstance(f.base, Group) or len(f.base.tensor.terms) != 1 or not f.is_plain:
            continue
        (inner,) = f.base.tensor.at(f.indices)
        factors = (*without(term, f), *inner.factors)
        return Term(term.coefficient * inner.coefficient, factors, term.bound | inner.bound)
    return None


def _cancelled(term: Term) -> Term | None:
    """inv(A) A and A inv(A) are the identity."""
    for f in term.factors:
        if not (isinstance(f.base, MatrixFunction) and f.base.name == "inv" and f.is_plain):
            continue
        for g in term.factors:
            found = _meeting(term, f, g) if g.is_plain and len(g.indices) == 2 else None
            if found:
                a, b, shared = found
                factors = (*without(term, f, g), Factor(Delta(), (a, b)))
                return Term(term.coefficient, factors, term.bound - {shared})
    return None


def _meeting(term: Term, f: Factor, g: Factor) -> tuple[Index, Index, Index] | None:
    """(a, b, i) if the factors are inv(A)_ai A_ib or A_ai inv(A)_ib with i bound and used up."""
    assert isinstance(f.base, MatrixFunction)
    whole = f.base.argument.terms
    if len(whole) != 1 or whole[0].bound or len(whole[0].factors) != 1:
        base_key, flipped = f"({f.base.argument.key})", False
    else:
        (inner,) = whole[0].factors
        base_key, flipped = inner.base.key, inner.indices != f.base.argument.slots
        if whole[0].coefficient != 1 or not inner.is_plain:
            return None
    if g.base.key != base_key:
        return None
    options = [(f.indices, g.indices[::-1] if flipped else g.indices)]
    if f.base.is_symmetric:
        options += [(f.indices[::-1], options[0][1])]
        options += [(a, b[::-1]) for a, b in options]
    for (a, i), (j, b) in options:
        if i == j and i in term.bound and term.uses(i) == 2:
            return a, b, i
        if a == b and a in term.bound and term.uses(a) == 2:
            return j, i, a
    return None


def _unpacked(term: Term) -> Term | None:
    """Two packs that share the packed index, or both parts, are deltas; one alone is 1."""
    packs = [f for f in term.factors if isinstance(f.base, Pack)]
    for k, f in enumerate(packs):
        whole, *parts = f.indices
        if whole in term.bound and term.uses(whole) == 1:
            return Term(term.coefficient, without(term, f), term.bound - {whole})
        for g in packs[k + 1 :]:
            other, *others = g.indices
            sizes_agree = [p.size for p in parts] == [o.size for o in others]
            if not sizes_agree:
                continue
            if whole == other and whole in term.bound and term.uses(whole) == 2:
                deltas = [Factor(Delta(), (p, o)) for p, o in zip(parts, others, strict=True)]
                rest = (*without(term, f, g), *deltas)
                return Term(term.coefficient, rest, term.bound - {whole})
            used_up = all(p in term.bound and term.uses(p) == 2 for p in parts)
            if parts == others and used_up:
                rest = (*without(term, f, g), Factor(Delta(), (whole, other)))
                return Term(term.coefficient, rest, term.bound - set(parts))
    return None


_RULES: tuple[Callable[[Term], Term | None], ...] = (
    _inlined,
    _contracted,
    _cancelled,
    _unpacked,
    _unmentioned,
)
