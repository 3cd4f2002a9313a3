"""Values of scalar expressions as intervals that contain them, by mpmath.

Bounds come from mpmath's interval arithmetic; monotone functions that it lacks, or does not
round outward, are taken at both ends and widened by far more than the error of mpmath there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import mpmath
from mpmath.ctx_iv import MPIntervalContext
from mpmath.libmp import NoConvergence

from calcbench.symbolic.scalar_trees import Tree


LARGEST = 10**300  # float64 ends soon after, and larger arguments take long
STEP = Fraction(1, 10**25)  # of difference quotients


class NoValue(Exception):
    """An expression that has no real value at a point, or none that can be enclosed."""


Known = dict[int, Any]  # id of a part to its interval, or to the NoValue that says why not


class Intervals:
    """Interval arithmetic with a number of digits; every object has its own mpmath contexts."""

    def __init__(self, digits: int) -> None:
        self.iv = MPIntervalContext()
        self.mp = mpmath.MPContext()
        self.iv.dps = self.mp.dps = digits
        self.limit = self.iv.mpf(LARGEST)
        self.functions = {**_composed(self), **{n: getattr(self.iv, n) for n in _OF_MPMATH}}

    def enclose(self, value: Fraction) -> Any:
        """The smallest interval around a fraction."""
        return self.iv.mpf(value.numerator) / self.iv.mpf(value.denominator)

    def value(self, tree: Tree, point: Mapping[str, Fraction], known: Known | None = None) -> Any:
        """The interval of an expression at a point; a derivative by a difference quotient.

        Parts that are one object are evaluated once; `known` keeps them from call to call, as long
        as the trees live.

        Raises
        ------
        NoValue
            If the value is not real, or some part of it is beyond 1e300.
        """
        known = {} if known is None else known

        def visit(part: Tree) -> Any:
            found = known.get(id(part))
            if found is None:
                found = known[id(part)] = self._attempt(part, list(map(visit, part.parts)), point)
            return found

        found = visit(tree)
        if isinstance(found, NoValue):
            raise found
        return found

    def _attempt(self, part: Tree, parts: list[Any], point: Mapping[str, Fraction]) -> Any:
        """The interval of one part, or the exception that says why there is none."""
        if part.kind != "derivative":
            for found in parts:
                if isinstance(found, NoValue):
                    return found
        try:
            if part.kind == "derivative":
                return self._checked(self.quotient(part.parts[0], point, part.text))
            return self._checked(self._part(part, parts, point))
        except NoValue as reason:
            return reason
        except (ArithmeticError, ValueError, TypeError, NoConvergence) as error:
            return NoValue(f"{part.text}: {error}")

    def _checked(self, found: Any) -> Any:
        if not abs(found) < self.limit:
            raise NoValue("beyond 1e300")
        return found

    def quotient(self, tree: Tree, point: Mapping[str, Fraction], variable: str) -> Any:
        """The central difference quotient by a variable, whose error is of the order of 1e-50."""
        ahead, behind = (
            self.value(tree, {**point, variable: point[variable] + step}) for step in (STEP, -STEP)
        )
        return (ahead - behind) / self.enclose(2 * STEP)

    def _part(self, term: Tree, parts: list[Any], point: Mapping[str, Fraction]) -> Any:
        if term.kind == "number":
            return self.enclose(term.value or Fraction(0))
        if term.kind == "name":
            return self._named(term.text, point)
        if term.kind == "sign":
            return -parts[0]
        if term.kind == "call":
            return self.functions[term.text](*parts)
        return self._operation(term.text, *parts)

    def _named(self, name: str, point: Mapping[str, Fraction]) -> Any:
        if name in point:
            return self.enclose(point[name])
        return {"e": self.iv.e, "pi": self.iv.pi}[name] + 0

    def _operation(self, symbol: str, u: Any, v: Any) -> Any:
        if symbol == "^":
            return self._power(u, v)
        if symbol == "/":
            if 0 in v:
                raise NoValue("division by an interval around 0")
            return u / v
        return u + v if symbol == "+" else u - v if symbol == "-" else u * v

    def _power(self, u: Any, v: Any) -> Any:
        whole = v.delta == 0 and self.mp.isint(v.a) and abs(v.a) < 10**6
        if whole:
            exponent = int(self.mp.mpf(v.a))
            if exponent < 0 and 0 in u:
                raise NoValue("a negative power of an interval around 0")
            return u**exponent
        if not u > 0:
            raise NoValue("a broken power of something not positive")
        return self.iv.exp(v * self.iv.log(u))


# --- functions -------------------------------------------------------------------------------

_OF_MPMATH = ("exp", "expm1")
LARGEST_ANGLE = 10**20  # reducing larger ones takes long


def _composed(intervals: Intervals) -> dict[str, Callable[..., Any]]:
    """The listed functions that mpmath's intervals lack, made of those that they have."""
    iv, one = intervals.iv, intervals.iv.mpf(1)

    def circular(name: str) -> Callable[[Any], Any]:
        return lambda u: getattr(iv, name)(_real(abs(u) < LARGEST_ANGLE and u.delta < 1, u))

    def sqrt(u: Any) -> Any:
        return iv.sqrt(_real(u >= 0, u))

    def cbrt(u: Any) -> Any:
        if 0 in u:
            raise NoValue("the cube root near 0")
        return iv.exp(iv.log(abs(u)) / 3) * sign(u)

    def sign(u: Any) -> Any:
        if 0 in u:
            raise NoValue("the sign of an interval around 0")
        return one if u > 0 else -one

    def larger(u: Any, v: Any) -> Any:
        return iv.mpf([max(u.a, v.a), max(u.b, v.b)])

    def tanh(u: Any) -> Any:
        grown = iv.exp(-2 * abs(u))
        return sign(u) * (1 - grown) / (1 + grown) if 0 not in u else _odd(u)

    def _odd(u: Any) -> Any:
        grown = iv.exp(2 * u)
        return (grown - 1) / (grown + 1)

    def monotone(name: str, low: int | None = None) -> Callable[[Any], Any]:
        """An increasing or decreasing function of mpmath, on all numbers or above `low`."""
        function = getattr(intervals.mp, name)
        return lambda u: _monotone(intervals, function, _real(low is None or u > low, u))

    atan = monotone("atan")

    def atan2(u: Any, v: Any) -> Any:
        half = iv.pi / 2
        if 0 not in u and abs(v) < abs(u):
            return (half if u > 0 else -half) - atan(v / u)
        if v > 0:
            return atan(u / v)
        return atan(u / _real(v < 0 and 0 not in u, v)) + (iv.pi if u > 0 else -iv.pi)

    def within_one(name: str) -> Callable[[Any], Any]:
        function = monotone(name)
        return lambda u: function(_real(abs(u) <= 1, u))

    def asinh(u: Any) -> Any:
        return iv.log(u + sqrt(u * u + 1)) if not u < 0 else -iv.log(sqrt(u * u + 1) - u)

    def lgamma(u: Any) -> Any:
        """Not monotone around 1.46; between the ends it changes by less than the width there."""
        ends = _monotone(intervals, intervals.mp.loggamma, _real(u > 1, u))
        return ends + iv.mpf([-1, 1]) * u.delta

    return {
        "log": lambda u: iv.log(_real(u > 0, u)), "log1p": lambda u: iv.log1p(_real(u > -1, u)),
        "log2": lambda u: iv.log(_real(u > 0, u)) / iv.log(2),
        "log10": lambda u: iv.log(_real(u > 0, u)) / iv.log(10),
        **{name: circular(name) for name in ("sin", "cos", "tan")},
        "sqrt": sqrt, "cbrt": cbrt, "abs": abs, "sign": sign, "max": larger,
        "min": lambda u, v: -larger(-u, -v), "relu": lambda u: larger(u, 0 * u),
        "sinh": lambda u: (iv.exp(u) - iv.exp(-u)) / 2,
        "cosh": lambda u: (iv.exp(u) + iv.exp(-u)) / 2,
        "tanh": tanh, "atan2": atan2, "asin": within_one("asin"),
        "acos": within_one("acos"),
        "atan": atan, "asinh": asinh,
        "acosh": lambda u: iv.log(_real(u >= 1, u) + sqrt(u * u - 1)),
        "atanh": lambda u: iv.log((1 + u) / (1 - _real(abs(u) < 1, u))) / 2,
        "erf": monotone("erf"),
        "erfc": monotone("erfc"),
        "lgamma": lgamma, "digamma": monotone("digamma", low=0),
        "sigmoid": lambda u: 1 / (1 + iv.exp(-u)), "softplus": lambda u: iv.log(1 + iv.exp(u)),
    }  # fmt: skip


def _real(holds: Any, u: Any) -> Any:
    """`u`, where a condition holds on the whole interval."""
    if not holds:
        raise NoValue("outside of the domain")
    return u


def _monotone(intervals: Intervals, function: Callable[[Any], Any], u: Any) -> Any:
    ends = [function(intervals.mp.mpf(end)) for end in (u.a, u.b)]
    slack = intervals.mp.mpf(2) ** (16 - intervals.mp.prec)
    low, high = min(ends), max(ends)
    return intervals.iv.mpf([low - abs(low) * slack, high + abs(high) * slack])
