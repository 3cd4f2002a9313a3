"""The ladder of working precisions: up until two rungs agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp
from mpmath.ctx_mp import MPContext

from calcbench.graph.arraytype import DerivativeError


RUNGS = 7
SPARE = 12
MOST_LOST = 5000  # digits lost by cancellation that are made good at most
SAFETY = 10  # bits between a size and a bound of the error

SHRINKING = 20  # digits by which rounding shrinks from a rung to the next, at least


class NotSettledError(DerivativeError):
    """Digits that could not be reached."""


# A number with its size: the absolute values of all terms that made it, with their weights.
Sized = tuple[Any, Any]


def settled(compute: Callable[[Any], list[Sized]], digits: int) -> list[Any]:
    """The numbers that `compute` gives at a precision, as SymPy numbers of `digits` digits.

    `compute` takes an mpmath context; the size of a number times the rounding unit bounds its
    error. A rung is believed when these bounds are below ``10**-digits`` of the numbers, which
    also agree with those of the rung below. What is still doubtful on the last rung must agree;
    or it is 0, if it shrinks with the rounding and is below ``10**-digits`` of its largest term.
    """
    numbers: list[Sized] = []
    working = digits + SPARE
    for rung in range(RUNGS):
        below, numbers = numbers, compute(_context(working))
        if rung and all(map(_is_sure, numbers, below, [digits] * len(numbers))):
            break
        following = max(natural_rungs(digits)[min(rung, 2)], _wanted_digits(numbers, digits))
        if rung >= 3 and following <= working:
            break
        working = max(following, working)
    return [
        _as_sympy(_last(new, old, digits), digits) for new, old in zip(numbers, below, strict=True)
    ]


def natural_rungs(digits: int) -> tuple[int, int, int]:
    """The precisions after the first."""
    return digits + digits // 2 + 60, 3 * digits + 200, 6 * digits + 500


def _wanted_digits(numbers: list[Sized], digits: int) -> int:
    """The digits at which the errors will be small enough, judged by the sizes."""
    wanted = 0
    for value, size in numbers:
        if value and value.context.isfinite(value) and value.context.isfinite(size) and size:
            lost = int(value.context.log10(size / abs(value)))
            wanted = max(wanted, digits + SPARE + lost)
    return min(wanted, 6 * digits + MOST_LOST)


def _is_sure(new: Sized, old: Sized, digits: int) -> bool:
    """Whether the bound of the error is small enough, and the rung below agrees."""
    value, size = new
    if not value.context.isfinite(value):
        return False
    error = size * value.context.ldexp(1, SAFETY - value.context.prec)
    return bool(error <= abs(value) * _unit(value, digits)) and _agree(new, old, digits - 1)


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
    return bool(abs(a - b) <= abs(a) * _unit(a, digits + 1))


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
