"""The ladder of working precisions: up until two rungs agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp
from mpmath.ctx_mp import MPContext

from calcbench.graph.arraytype import DerivativeError


RUNGS = 8
SPARE = 12
CONFIRMING = 50  # digits more, to see the same again
MOST_LOST = 5000  # digits lost by cancellation that are made good at most
MOST_IN_THE_DARK = 1500  # digits more for a number that may be 0
SAFETY = 10  # bits between a size and a bound of the error

SHRINKING = 20  # digits by which rounding shrinks from a rung to the next, at least


class NotSettledError(DerivativeError):
    """Digits that could not be reached."""


# A number with its size: the absolute values of all terms that made it, with their weights.
Sized = tuple[Any, Any]


def settled(compute: Callable[[Any], list[Sized]], digits: int) -> list[Any]:
    """The numbers that `compute` gives at a precision, as SymPy numbers of `digits` digits.

    `compute` takes an mpmath context; the size of a number times the rounding unit bounds its
    error. A rung is believed when these bounds are below ``10**-digits`` of the numbers, and the
    rung below agrees to a digit less. What is still doubtful on the last rung must agree;
    or it is 0, if it shrinks with the rounding and is below ``10**-digits`` of its largest term.
    """
    numbers: list[Sized] = []
    working = digits + SPARE
    for rung in range(RUNGS):
        below, numbers = numbers, compute(_context(working))
        bounded = all(_is_bounded(number, digits) for number in numbers)
        if bounded and rung and all(map(_agree, numbers, below, [digits - 1] * len(numbers))):
            return [_as_sympy(value, digits) for value, _ in numbers]
        wanted = _wanted_digits(numbers, digits, working)
        following = max(natural_rungs(digits)[min(rung, 2)], wanted)
        if following <= working and not bounded:
            break
        working = max(following, working + CONFIRMING)
    return [_as_sympy(_last(a, b, digits), digits) for a, b in zip(numbers, below, strict=True)]


def natural_rungs(digits: int) -> tuple[int, int, int]:
    """The precisions after the first."""
    return digits + digits // 2 + 60, 3 * digits + 200, 6 * digits + 500


def _wanted_digits(numbers: list[Sized], digits: int, working: int) -> int:
    """The digits at which the errors will be small enough, judged by the sizes.

    A number of which no digit is known says only that there are more; and it may be 0.
    """
    wanted, most_in_the_dark = 0, 6 * digits + MOST_IN_THE_DARK
    for value, size in numbers:
        if value and value.context.isfinite(value) and value.context.isfinite(size) and size:
            lost = int(value.context.log10(size / abs(value)))
            dark = lost > working - 3
            more = digits + SPARE + lost
            wanted = max(wanted, min(max(more, 2 * working), most_in_the_dark) if dark else more)
    return min(wanted, 6 * digits + MOST_LOST)


def _is_bounded(number: Sized, digits: int) -> bool:
    """Whether the bound of the error is small enough."""
    value, size = number
    if not value.context.isfinite(value):
        return False
    error = size * value.context.ldexp(1, SAFETY - value.context.prec)
    return bool(error <= abs(value) * _unit(value, digits))


def _context(digits: int) -> Any:
    """An mpmath of our own, so that the precision of the user's stays as it is."""
    ctx = MPContext()
    ctx.dps = digits
    return ctx


def _agree(new: Sized, old: Sized, digits: int) -> bool:
    a, b = new[0], old[0]
    if a == b:
        return True
    if not abs(a) < abs(a) * 2:  # infinite
        return False
    return bool(abs(a - b) <= abs(a) * _unit(a, digits))


def _unit(like: Any, digits: int) -> Any:
    return like.context.mpf(10) ** -digits


def _last(new: Sized, old: Sized, digits: int) -> Any:
    """A number that agrees, or 0 for one that is nothing but rounding."""
    if _agree(new, old, digits):
        return new[0]
    shrinks = abs(new[0]) <= abs(old[0]) * _unit(new[0], SHRINKING)
    if shrinks and abs(new[0]) <= new[1] * _unit(new[0], digits):
        return new[0] * 0
    raise NotSettledError(
        f"{digits} digits could not be reached: at the highest working precision the derivative "
        f"is still between {_shown(old[0])} and {_shown(new[0])}"
    )


def _shown(value: Any) -> str:
    return str(value.context.nstr(value, 8))


def _as_sympy(value: Any, digits: int) -> Any:
    if value == value.context.inf or value == -value.context.inf:
        return sp.oo if value > 0 else -sp.oo
    return sp.Float(value._mpf_, digits)
