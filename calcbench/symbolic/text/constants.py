"""Arithmetic of numbers in a text: exact fractions, as long as float64 can hold one near them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from fractions import Fraction

from calcbench.symbolic.text.sizes import Misfit
from calcbench.symbolic.text.syntax import Term


MOST_BITS = 4096  # of an exact numerator or denominator
_EXACT: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    ".+": operator.add, ".-": operator.sub, ".*": operator.mul, "./": operator.truediv,
}  # fmt: skip


def folded(term: Term, operands: Sequence[Fraction | None]) -> Fraction | None:
    """The value of an operation on numbers; None where it is no number or no short fraction.

    -0 is left to the graph, since a fraction has no signed zero.
    """
    if not operands or term.kind not in ("operator", "sign", "transpose"):
        return None
    known = [v for v in operands if v is not None]
    if term.text in ("/", "./") and operands[1] == 0:
        raise Misfit("division by zero", of_shapes=False)
    if len(known) != len(operands):
        return None
    if term.kind != "operator":
        return known[0] if term.kind == "transpose" else -known[0] or None
    value = _power(*known) if term.text in ("^", ".^") else _EXACT[term.text](*known)
    return value if value is None else _checked(value, term.text)


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    """The exact power if it is short; otherwise None, once float64 can hold it."""
    if base == 0 and exponent < 0:
        raise Misfit("division by zero: 0 to a negative power", of_shapes=False)
    if exponent.denominator != 1:
        if base < 0:
            raise Misfit("a negative number to a broken power is not real", of_shapes=False)
        return None
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(base) != 1 and base and abs(exponent) * bits > MOST_BITS:
        raise Misfit(f"this power has more than {MOST_BITS} bits", of_shapes=False)
    whole = exponent.numerator if abs(base) != 1 and base else exponent.numerator % 2 + 2
    return Fraction(1) if exponent == 0 else base**whole


def _checked(value: Fraction, symbol: str) -> Fraction | None:
    """The value, once it is within the range of float64; None if it has become long."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
        return None
    try:
        nearest = float(value)
    except OverflowError:
        raise Misfit(f"the result of {symbol} overflows float64", of_shapes=False) from None
    if value and not nearest:
        raise Misfit(f"the result of {symbol} underflows float64", of_shapes=False)
    return value
