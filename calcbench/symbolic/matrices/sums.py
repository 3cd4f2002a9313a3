"""Sums of matrix forms, with what their terms share taken out: (A + A')x, 2A'(Ax - b)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, lcm

from calcbench.symbolic.matrices.forms import Extents, Form, eye, num, product, raised, scale, zero
from calcbench.symbolic.matrices.whole_matrices import diagonal_matrix


Parts = tuple[Fraction, tuple[Form, ...], tuple[Form, ...]]  # number, scalars, chain


def parts_of(f: Form) -> Parts:
    """A form as number times scalars times a chain of matrices."""
    coefficient, scalars, body = Fraction(1), tuple[Form, ...](), f
    if f.op == "scale":
        coefficient, scalars, body = f.data, f.args[:-1], f.args[-1]
    if body.op == "number":
        return coefficient * body.data, scalars, ()
    if body.is_scalar:
        return coefficient, (*scalars, body), ()
    return coefficient, scalars, body.args if body.op == "product" else (body,)


def total(forms: Sequence[Form], shape: Extents) -> Form:
    """The sum, like terms collected and common factors taken out."""
    collected: dict[tuple[tuple[Form, ...], tuple[Form, ...]], Fraction] = {}
    for f in forms:
        for term in _terms(f):
            coefficient, scalars, chain = parts_of(term)
            key = (tuple(sorted(scalars, key=lambda s: s.key)), chain)
            collected[key] = collected.get(key, Fraction(0)) + coefficient
    terms = [(c, scalars, chain) for (scalars, chain), c in collected.items() if c]
    return _factored(terms, shape)


def _terms(f: Form) -> list[Form]:
    if f.op != "sum":
        return [] if f.op == "zero" else [f]
    return [scale(c, (), a) for c, a in zip(f.data, f.args, strict=True)]


def _rebuilt(term: Parts, shape: Extents) -> Form:
    coefficient, scalars, chain = term
    body = product(chain) if chain else (eye(shape[0]) if shape != (1, 1) else num(1))
    return scale(coefficient, scalars, body)


def _plain(terms: Sequence[Parts], shape: Extents) -> Form:
    """The sum as it stands, a positive term in front."""
    if not terms:
        return zero(shape)
    if len(terms) == 1:
        return _rebuilt(terms[0], shape)
    ordered = sorted(terms, key=_place)
    bodies = tuple(_rebuilt((abs(c), s, chain), shape) for c, s, chain in ordered)
    signs = tuple(Fraction(1 if c > 0 else -1) for c, _, _ in ordered)
    return Form("sum", bodies, shape, signs)


def _place(term: Parts) -> tuple[bool, bool]:
    """What is subtracted comes last, and X before X'."""
    coefficient, _, chain = term
    return coefficient < 0, bool(chain) and chain[0].op == "transpose"


def _factored(terms: Sequence[Parts], shape: Extents) -> Form:
    """The shortest of: the sum as it stands, with a factor of all taken out, of some."""
    if len(terms) < 2:
        return _plain(terms, shape)
    candidates = [] if all(c < 0 for c, _, _ in terms) else [_plain(terms, shape)]
    for take in (_coefficient_out, _scalar_out, _left_out, _right_out, _diagonal_out):
        found = take(terms, shape)
        if found is not None:
            candidates.append(found)
    if len(terms) > 2 and candidates[0].op == "sum" and len(candidates) == 1:
        candidates += [_partly(terms, shape, end) for end in (0, -1)]
    return min(candidates, key=lambda f: f.weight)


def _coefficient_out(terms: Sequence[Parts], shape: Extents) -> Form | None:
    sizes = {abs(c) for c, _, _ in terms}
    sign = -1 if all(c < 0 for c, _, _ in terms) else 1
    common = sign * (sizes.pop() if len(sizes) == 1 else _gcd(sizes))
    if common == 1:
        return None
    return scale(common, (), _factored([(c / common, s, chain) for c, s, chain in terms], shape))


def _gcd(sizes: set[Fraction]) -> Fraction:
    """The largest number that all coefficients are whole multiples of."""
    return Fraction(gcd(*(s.numerator for s in sizes)), lcm(*(s.denominator for s in sizes)))


def _scalar_out(terms: Sequence[Parts], shape: Extents) -> Form | None:
    """The power of a scalar that all terms have, outside."""
    powers = [dict(map(_power_of, scalars)) for _, scalars, _ in terms]
    for base in powers[0]:
        exponents = [p.get(base, Fraction(0)) for p in powers]
        common = max(exponents) if max(exponents) < 0 else max(min(exponents), Fraction(0))
        if common:
            outside = raised(base, common)
            rest = [(c, _divided(s, base, common), chain) for c, s, chain in terms]
            return scale(Fraction(1), (outside,), _factored(rest, shape))
    return None


def _power_of(f: Form) -> tuple[Form, Fraction]:
    return (f.args[0], f.data) if f.op == "power" else (f, Fraction(1))


def _divided(scalars: tuple[Form, ...], base: Form, by: Fraction) -> tuple[Form, ...]:
    powers = [(b, e - by if b == base else e) for b, e in map(_power_of, scalars)]
    return tuple(raised(b, e) for b, e in powers if e)


def _left_out(terms: Sequence[Parts], shape: Extents) -> Form | None:
    return _end_out(terms, shape, 0)


def _right_out(terms: Sequence[Parts], shape: Extents) -> Form | None:
    return _end_out(terms, shape, -1)


def _diagonal_out(terms: Sequence[Parts], shape: Extents) -> Form | None:
    """Diag(u) - Diag(v) is Diag(u - v)."""
    if not all(len(chain) == 1 and chain[0].op == "Diag" for _, _, chain in terms):
        return None
    column = (shape[0], 1)
    vectors = [scale(c, scalars, chain[0].args[0]) for c, scalars, chain in terms]
    return diagonal_matrix(total(vectors, column))


def _end_out(terms: Sequence[Parts], shape: Extents, end: int) -> Form | None:
    """The first (end 0) or last (-1) matrix of every chain, if it is the same, outside."""
    if not all(chain for _, _, chain in terms):
        return None
    common = terms[0][2][end]
    if any(chain[end] != common for _, _, chain in terms):
        return None
    rest = [(c, s, chain[1:] if end == 0 else chain[:-1]) for c, s, chain in terms]
    inner_shape = (common.shape[1], shape[1]) if end == 0 else (shape[0], common.shape[0])
    if inner_shape[0] != inner_shape[1] and not all(chain for _, _, chain in rest):
        return None
    inner = _factored(rest, inner_shape)
    return product([common, inner] if end == 0 else [inner, common])


def _partly(terms: Sequence[Parts], shape: Extents, end: int) -> Form:
    """Terms that share the first (or last) matrix factored, one group beside the other."""
    groups: dict[object, list[Parts]] = {}
    for term in terms:
        key: object = term[2][end] if len(term[2]) > 1 else term
        groups.setdefault(key, []).append(term)
    if len(groups) in (1, len(terms)):
        return _plain(terms, shape)
    forms = [_factored(group, shape) for group in groups.values()]
    return _plain([parts_of(f) for f in forms], shape)
