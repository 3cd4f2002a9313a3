"""Values of scalar expressions as intervals that contain them, by mpmath."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import mpmath
from mpmath.ctx_iv import MPIntervalContext
from mpmath.libmp import NoConvergence

from calcbench.symbolic.derivations.interval_functions import INTERVAL_FUNCTIONS, Contexts, NoValue
from calcbench.symbolic.derivations.scalar_trees import Tree


LARGEST = 10**300  # float64 ends soon after, and larger arguments take long
STEP = Fraction(1, 10**25)  # of difference quotients


Known = dict[int, Any]  # id of a part to its interval, or to the NoValue that says why not


class Intervals:
    """Interval arithmetic with a number of digits; every object has its own mpmath contexts."""

    def __init__(self, digits: int) -> None:
        self.iv = MPIntervalContext()
        self.mp = mpmath.MPContext()
        self.iv.dps = self.mp.dps = digits
        self.limit = self.iv.mpf(LARGEST)
        self.contexts = Contexts(self.iv, self.mp)

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
            return INTERVAL_FUNCTIONS[term.text](self.contexts, *parts)
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
