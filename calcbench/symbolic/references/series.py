"""Truncated Laurent series in s > 0: how a function begins on one side of a point.

A sum is known up to O(s^end). Beside each coefficient stands its size, the sum of the absolute
values of the terms that made it: a coefficient far below its size is rounding, and counts as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple


class Undefined(NamedTuple):
    """No series, and why not."""

    reason: str


class Infinite(NamedTuple):
    """A constant infinity, which can be compared with."""

    sign: int


class MoreTerms(Exception):
    """A leading coefficient was asked for that lies beyond the terms kept."""


class NeedsRoot(Exception):
    """A power is no series in s; it is one in the root of s of this degree."""

    def __init__(self, degree: int) -> None:
        super().__init__(degree)
        self.degree = degree


@dataclass(frozen=True, slots=True)
class Series:
    """sum of terms[k] s^(start + k) + O(s^end); exact if `end` is None; zero if there are no terms.

    The first term is not 0.
    """

    start: int
    terms: tuple[Any, ...]
    sizes: tuple[Any, ...]
    end: int | None = None

    @property
    def is_zero(self) -> bool:
        """Whether nothing is known to differ from 0, up to O(s^end)."""
        return not self.terms

    @property
    def is_constant(self) -> bool:
        """Whether it is exactly its value at s = 0."""
        return self.end is None and (self.is_zero or (self.start == 0 and len(self.terms) == 1))


ZERO = Series(0, (), ())


def _least(*ends: int | None) -> int | None:
    return min((e for e in ends if e is not None), default=None)


class Algebra:
    """Arithmetic of series with at most `length` terms, at the precision of `ctx`.

    `final` says that what vanishes to the order kept counts as zero. What was decided by the
    side from which s comes is noted in `sided`; `doubts` are filled by terms that vanish but for
    rounding, and might not vanish with more digits.
    """

    def __init__(
        self, ctx: Any, length: int, final: bool, sided: list[str], doubts: list[bool]
    ) -> None:
        self.ctx, self.length, self.final, self.sided = ctx, length, final, sided
        self.doubts = doubts
        self.rounding = ctx.ldexp(1, -(ctx.prec * 3) // 5)

    def shorter(self) -> Algebra:
        """The same with one term less, for the derivative."""
        return Algebra(self.ctx, self.length - 1, self.final, self.sided, self.doubts)

    def make(
        self, start: int, terms: Sequence[Any], sizes: Sequence[Any], end: int | None
    ) -> Series:
        """The series with rounding taken for 0, and cut to the length."""
        if end is not None:
            terms, sizes = terms[: max(end - start, 0)], sizes[: max(end - start, 0)]
        kept = [
            self.ctx.zero if abs(t) <= m * self.rounding else t
            for t, m in zip(terms, sizes, strict=True)
        ]
        skipped = next((k for k, t in enumerate(kept) if t != 0), len(kept))
        self.doubts += [True for size in sizes[:skipped] if size]
        if skipped == len(kept):
            return ZERO if end is None else Series(end, (), (), end)
        kept, sizes, start = kept[skipped:], sizes[skipped:], start + skipped
        while end is None and kept[-1] == 0:
            kept, sizes = kept[:-1], sizes[:-1]
        if len(kept) > self.length:
            end = start + self.length
        return Series(start, tuple(kept[: self.length]), tuple(sizes[: self.length]), end)

    def constant(self, value: Any, size: Any = None) -> Series:
        """A number as a series."""
        return self.make(0, [value], [abs(value) if size is None else size], None)

    def lead(self, x: Series) -> Any:
        """The first coefficient, whose sign is that of the series; 0 if the series is 0."""
        if x.terms:
            return x.terms[0]
        if x.end is not None and not self.final:
            raise MoreTerms
        return self.ctx.zero

    def at(self, x: Series, power: int) -> tuple[Any, Any]:
        """The coefficient of s^power, with its size."""
        if x.end is not None and power >= x.end and not (self.final and x.is_zero):
            raise MoreTerms
        k = power - x.start
        inside = 0 <= k < len(x.terms)
        return (x.terms[k], x.sizes[k]) if inside else (self.ctx.zero, self.ctx.zero)

    def add(self, *xs: Series) -> Series:
        """The sum."""
        end = _least(*[x.end for x in xs])
        known = [x for x in xs if x.terms]
        if not known:
            return ZERO if end is None else Series(end, (), (), end)
        start = min(x.start for x in known)
        stop = max(x.start + len(x.terms) for x in known)
        terms, sizes = [self.ctx.zero] * (stop - start), [self.ctx.zero] * (stop - start)
        for x in known:
            for k, (term, size) in enumerate(zip(x.terms, x.sizes, strict=True), x.start - start):
                terms[k] += term
                sizes[k] += size
        return self.make(start, terms, sizes, end)

    def multiply(self, *xs: Series) -> Series:
        """The product."""
        result = xs[0]
        for x in xs[1:]:
            result = self._product(result, x)
        return result

    def _product(self, x: Series, y: Series) -> Series:
        if x == ZERO or y == ZERO:
            return ZERO
        start = x.start + y.start
        end = _least(
            None if x.end is None else x.end + y.start, None if y.end is None else y.end + x.start
        )
        count = max(len(x.terms) + len(y.terms) - 1, 0)
        kept = count if end is None else end - start
        terms = _convolved(x.terms, y.terms, kept, self.ctx)
        return self.make(start, terms, _convolved(x.sizes, y.sizes, kept, self.ctx), end)

    def scale(self, x: Series, factor: Any) -> Series:
        """The product with a number."""
        return self.multiply(x, self.constant(self.ctx.mpf(factor)))

    def power(self, x: Series, exponent: Fraction) -> Series | Undefined:
        """x ** exponent."""
        lead = self.lead(x)
        if lead == 0:
            if exponent < 0:
                return Undefined("a division by zero")
            return ZERO if exponent else self.constant(self.ctx.one)
        whole = exponent.denominator == 1
        if not whole and lead < 0:
            return Undefined(f"a negative number to the power {exponent}, which is not real")
        start = x.start * exponent
        if start.denominator != 1:
            raise NeedsRoot(start.denominator)
        if x.start and not (whole and exponent >= 0):
            self.sided.append("a zero to the power " + str(exponent))
        if whole and 0 <= exponent <= 4:
            return self.multiply(self.constant(self.ctx.one), *[x] * int(exponent))
        return self._power(x, exponent, int(start))

    def _power(self, x: Series, exponent: Fraction, start: int) -> Series:
        """J. C. P. Miller's recurrence for (x_0 + x_1 s + ...)^q (Knuth, TAOCP 2, 4.7)."""
        ctx, q = self.ctx, self.ctx.mpf(exponent.numerator) / exponent.denominator
        first = x.terms[0] ** (int(exponent) if exponent.denominator == 1 else q)
        terms, sizes = [first], [abs(first) * (1 + abs(q) * x.sizes[0] / abs(x.terms[0]))]
        monomial = x.end is None and len(x.terms) == 1
        known = self.length if x.end is None else min(self.length, x.end - x.start)
        count = 1 if monomial else known
        for k in range(1, count):
            weights = [q * i - (k - i) for i in range(1, min(k, len(x.terms) - 1) + 1)]
            pairs = [(w * x.terms[i], terms[k - i], sizes[k - i]) for i, w in enumerate(weights, 1)]
            bottom = k * x.terms[0]
            terms.append(ctx.fsum(a * b for a, b, _ in pairs) / bottom)
            sizes.append(ctx.fsum(abs(a) * m for a, _, m in pairs) / abs(bottom))
        return self.make(start, terms, sizes, None if monomial else start + count)

    def slope(self, x: Series) -> Series:
        """The derivative by s."""
        powers = range(x.start, x.start + len(x.terms))
        terms = [t * p for t, p in zip(x.terms, powers, strict=True)]
        sizes = [m * abs(p) for m, p in zip(x.sizes, powers, strict=True)]
        return self.make(x.start - 1, terms, sizes, None if x.end is None else x.end - 1)

    def integral(self, x: Series) -> Series:
        """The antiderivative that is 0 at s = 0, of a series without negative powers."""
        powers = range(x.start + 1, x.start + 1 + len(x.terms))
        terms = [t / p for t, p in zip(x.terms, powers, strict=True)]
        sizes = [m / p for m, p in zip(x.sizes, powers, strict=True)]
        return self.make(x.start + 1, terms, sizes, None if x.end is None else x.end + 1)

    def compose(self, coefficients: Sequence[Any], x: Series) -> Series:
        """sum of coefficients[k] x^k, for a series x that is 0 at s = 0."""
        total = self.constant(self.ctx.zero)
        for c in reversed(coefficients):
            total = self.add(self.multiply(total, x), self.constant(c))
        if x == ZERO:
            return total
        order = len(coefficients) * max(x.start, 1)
        return self.add(total, Series(order, (), (), order))


def _convolved(a: Sequence[Any], b: Sequence[Any], count: int, ctx: Any) -> list[Any]:
    return [
        ctx.fsum(a[i] * b[k - i] for i in range(max(0, k - len(b) + 1), min(k + 1, len(a))))
        for k in range(count)
    ]
