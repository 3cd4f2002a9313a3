"""The listed functions of scalars on intervals, each with a bound on both sides.

mpmath's interval arithmetic rounds outward for arithmetic, exp, log, sqrt, sin, cos and tan.
Monotone functions that it lacks, or does not round outward, are taken at both ends and widened by
far more than the error of mpmath's values there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


LARGEST_ANGLE = 10**20  # reducing larger ones takes long
SLACK_BITS = 16  # the last bits of mpmath's values that are not relied on


class NoValue(Exception):
    """An expression that has no real value at a point, or none that can be enclosed."""


class Contexts(NamedTuple):
    """mpmath's contexts of intervals and of numbers, of one precision."""

    iv: Any
    mp: Any


Function = Callable[..., Any]  # (contexts, intervals) -> interval


def inside(holds: Any, u: Any) -> Any:
    """`u`, where a condition holds on the whole interval."""
    if not holds:
        raise NoValue("outside of the domain")
    return u


def _without_zero(u: Any, what: str) -> Any:
    if 0 in u:
        raise NoValue(f"{what} of an interval around 0")
    return u


def _monotone(name: str, domain: Callable[[Any], Any] = lambda u: True) -> Function:
    """An increasing or decreasing function of mpmath."""

    def function(c: Contexts, u: Any) -> Any:
        inside(domain(u), u)
        ends = [getattr(c.mp, name)(c.mp.mpf(end)) for end in (u.a, u.b)]
        slack = c.mp.mpf(2) ** (SLACK_BITS - c.mp.prec)
        low, high = min(ends), max(ends)
        return c.iv.mpf([low - abs(low) * slack, high + abs(high) * slack])

    return function


def _own(name: str, domain: Callable[[Any], Any] = lambda u: True) -> Function:
    """A function that mpmath's intervals have."""
    return lambda c, u: getattr(c.iv, name)(inside(domain(u), u))


def _is_short_angle(u: Any) -> Any:
    return abs(u) < LARGEST_ANGLE and u.delta < 1


# --- piecewise -------------------------------------------------------------------------------


def _sign(c: Contexts, u: Any) -> Any:
    return c.iv.mpf(1 if _without_zero(u, "the sign") > 0 else -1)


def _maximum(c: Contexts, u: Any, v: Any) -> Any:
    return c.iv.mpf([max(u.a, v.a), max(u.b, v.b)])


def _minimum(c: Contexts, u: Any, v: Any) -> Any:
    return c.iv.mpf([min(u.a, v.a), min(u.b, v.b)])


def _cbrt(c: Contexts, u: Any) -> Any:
    return c.iv.exp(c.iv.log(abs(_without_zero(u, "the cube root"))) / 3) * _sign(c, u)


# --- hyperbolas and angles -------------------------------------------------------------------


def _tanh(c: Contexts, u: Any) -> Any:
    """By e^(-2|u|), which does not overflow."""
    if 0 in u:
        grown = c.iv.exp(2 * u)
        return (grown - 1) / (grown + 1)
    shrunk = c.iv.exp(-2 * abs(u))
    return _sign(c, u) * (1 - shrunk) / (1 + shrunk)


def _asinh(c: Contexts, u: Any) -> Any:
    """By the sum that does not cancel."""
    root = c.iv.sqrt(u * u + 1)
    return -c.iv.log(root - u) if u < 0 else c.iv.log(u + root)


def _acosh(c: Contexts, u: Any) -> Any:
    return c.iv.log(inside(u >= 1, u) + c.iv.sqrt(u * u - 1))


def _atanh(c: Contexts, u: Any) -> Any:
    return c.iv.log((1 + u) / (1 - inside(abs(u) < 1, u))) / 2


_atan = _monotone("atan")


def _atan2(c: Contexts, u: Any, v: Any) -> Any:
    """The angle of the point (v, u), from the quotient that is below 1 where possible."""
    if 0 not in u and abs(v) < abs(u):
        return _sign(c, u) * c.iv.pi / 2 - _atan(c, v / u)
    if v > 0:
        return _atan(c, u / v)
    return _atan(c, u / inside(v < 0 and 0 not in u, v)) + _sign(c, u) * c.iv.pi


# --- the gamma family ------------------------------------------------------------------------


_rising_lgamma = _monotone("loggamma", lambda u: u > 1)


def _lgamma(c: Contexts, u: Any) -> Any:
    """Above 1; not monotone around 1.46, but between the ends it changes by less than the width."""
    return _rising_lgamma(c, u) + c.iv.mpf([-1, 1]) * u.delta


INTERVAL_FUNCTIONS: dict[str, Function] = {
    "exp": _own("exp"),
    "expm1": _own("expm1"),
    "log": _own("log", lambda u: u > 0),
    "log1p": _own("log1p", lambda u: u > -1),
    "log2": lambda c, u: c.iv.log(inside(u > 0, u)) / c.iv.log(2),
    "log10": lambda c, u: c.iv.log(inside(u > 0, u)) / c.iv.log(10),
    "sqrt": _own("sqrt", lambda u: u >= 0),
    "cbrt": _cbrt,
    "sin": _own("sin", _is_short_angle),
    "cos": _own("cos", _is_short_angle),
    "tan": _own("tan", _is_short_angle),
    "asin": _monotone("asin", lambda u: abs(u) <= 1),
    "acos": _monotone("acos", lambda u: abs(u) <= 1),
    "atan": _atan,
    "atan2": _atan2,
    "sinh": lambda c, u: (c.iv.exp(u) - c.iv.exp(-u)) / 2,
    "cosh": lambda c, u: (c.iv.exp(u) + c.iv.exp(-u)) / 2,
    "tanh": _tanh,
    "asinh": _asinh,
    "acosh": _acosh,
    "atanh": _atanh,
    "abs": lambda c, u: abs(u),
    "sign": _sign,
    "max": _maximum,
    "min": _minimum,
    "relu": lambda c, u: _maximum(c, u, 0 * u),
    "erf": _monotone("erf"),
    "erfc": _monotone("erfc"),
    "lgamma": _lgamma,
    "digamma": _monotone("digamma", lambda u: u > 0),
    "sigmoid": lambda c, u: 1 / (1 + c.iv.exp(-u)),
    "softplus": lambda c, u: c.iv.log(1 + c.iv.exp(u)),
}
