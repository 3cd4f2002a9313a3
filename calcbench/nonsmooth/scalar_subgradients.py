"""Subdifferentials of SymPy expressions of one real variable, point by point.

SymPy is handed in as `sp` by whoever has loaded it. The line is cut where the argument of an abs,
the difference of two operands of a max, or the two sides of a condition vanish; between two cuts
every kink is on one side, and the expression is smooth.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import DerivativeError
from calcbench.graph.ir import Graph
from calcbench.graph.nodes import INPUT, Node
from calcbench.graph.structural import fill


MOST_CUTS = 64
DIGITS = 40
REFUSED = ("floor", "ceiling", "frac", "Mod", "Heaviside", "DiracDelta")


class Cut(Exception):
    """Points inside an interval at which a kink changes sides."""

    def __init__(self, points: list[Any]) -> None:
        super().__init__(points)
        self.points = points


class Span(NamedTuple):
    """An open interval, and the smooth expression that holds in it."""

    low: Any
    high: Any
    smooth: Any


class Case(NamedTuple):
    """A set of slopes, and where it holds: between two ends, or at them if they are one."""

    slopes: Any
    low: Any
    high: Any


def scalar_subdifferential(sp: Any, expression: Any, variable: Any) -> Any:
    """The subdifferential of an expression as a Piecewise of SymPy sets.

    Raises
    ------
    DerivativeError
        If there are other variables, the zeros that decide cannot be found, the function jumps, or
        its slope is not finite at a kink.
    """
    x = sp.Symbol(variable.name, real=True)
    function = expression.xreplace({variable: x})
    _check(sp, function, x)
    spans = _spans(sp, function, x)
    cases = [_case(sp, x, spans[0])]
    for before, after in itertools.pairwise(spans):
        kink, case = _at_cut(sp, function, x, before, after), _case(sp, x, after)
        if case.slopes == cases[-1].slopes and case.slopes.subs(x, after.low) == kink:
            cases[-1] = cases[-1]._replace(high=after.high)  # no kink after all
        else:
            cases += [Case(kink, after.low, after.low), case]
    pairs = [(case.slopes, _condition(sp, x, case)) for case in cases]
    found = sp.Piecewise(*pairs) if len(pairs) > 1 else pairs[0][0]
    return found.xreplace({x: variable})


def _check(sp: Any, function: Any, x: Any) -> None:
    others = sorted(str(s) for s in function.free_symbols - {x})
    if others:
        raise DerivativeError(
            f"the subdifferential of {function} depends on {', '.join(others)} too; give them "
            "values with .subs, or pass a function and a point"
        )
    jumps = sorted({f.func.__name__ for f in function.atoms(sp.Function)} & set(REFUSED))
    if jumps:
        raise DerivativeError(
            f"{', '.join(jumps)} in {function} jumps; pass a function and a point instead"
        )


# --- cutting the line ------------------------------------------------------------------------


def _spans(sp: Any, function: Any, x: Any) -> list[Span]:
    """The line in open intervals, in each of which one smooth expression holds."""
    pending, done = [(sp.S.NegativeInfinity, sp.S.Infinity)], []
    while pending:
        low, high = pending.pop()
        resolver = Resolver(sp, x, low, high)
        try:
            done.append(Span(low, high, resolver.smooth(function)))
        except Cut as cut:
            ends = [low, *sorted(cut.points, key=lambda p: sp.N(p, DIGITS)), high]
            pending += list(itertools.pairwise(ends))
        if len(pending) + len(done) > MOST_CUTS:
            raise DerivativeError(f"{function} has more than {MOST_CUTS} kinks on the line")
    return sorted(done, key=lambda span: float(_inside(sp, span.low, span.high)))


def _inside(sp: Any, low: Any, high: Any) -> Any:
    """A point between two ends."""
    if low.is_infinite:
        return sp.Integer(0) if high.is_infinite else high - 1
    return low + 1 if high.is_infinite else (low + high) / 2


class Resolver:
    """The smooth expression that a nonsmooth one is within an interval; `Cut` if there are more."""

    def __init__(self, sp: Any, x: Any, low: Any, high: Any) -> None:
        self.sp = sp
        self.x = x
        self.domain = sp.Interval.open(low, high)
        self.at = _inside(sp, low, high)

    def smooth(self, part: Any) -> Any:
        """`part` with every kink replaced by the side that is taken."""
        sp = self.sp
        if isinstance(part, sp.Piecewise):
            taken = next((e for e, c in part.args if self._holds(c)), None)
            return sp.nan if taken is None else self.smooth(taken)
        operands = [self.smooth(a) for a in part.args]
        if isinstance(part, sp.Abs):
            return self._sign(operands[0]) * operands[0]
        if isinstance(part, sp.sign):
            return sp.Integer(self._sign(operands[0]))
        if isinstance(part, sp.Max | sp.Min):
            return self._extreme(operands, 1 if isinstance(part, sp.Max) else -1)
        return part.func(*operands) if operands else part

    def _extreme(self, operands: list[Any], sign: int) -> Any:
        best = operands[0]
        for other in operands[1:]:
            best = best if sign * self._sign(best - other) >= 0 else other
        return best

    def _holds(self, condition: Any) -> bool:
        """The truth of a condition in the interval."""
        sp = self.sp
        if condition in (sp.true, sp.false):
            return bool(condition)
        if not condition.is_Relational:
            truths = [sp.true if self._holds(c) else sp.false for c in condition.args]
            return bool(condition.func(*truths))
        gap = self._sign(self.smooth(condition.lhs) - self.smooth(condition.rhs))
        return bool(condition.func(sp.Integer(gap), sp.Integer(0)))

    def _sign(self, switch: Any) -> int:
        """The sign in the interval of a smooth expression, 0 if it vanishes throughout."""
        sp = self.sp
        if sp.simplify(switch) == 0:
            return 0
        points = self._zeros(switch)
        if points:
            raise Cut(points)
        value = sp.N(switch.subs(self.x, self.at), DIGITS)
        if not value.is_real:
            raise DerivativeError(f"{switch} is not real at {self.at}, so it decides no kink there")
        return int(sp.sign(value))

    def _zeros(self, switch: Any) -> list[Any]:
        """Where a switch can change its sign: its zeros and its poles."""
        sp = self.sp
        zeros = sp.solveset(switch, self.x, self.domain)
        poles = sp.singularities(switch, self.x, self.domain)
        found = zeros.union(poles)
        if not isinstance(found, sp.FiniteSet | sp.sets.sets.EmptySet):
            raise DerivativeError(
                f"the zeros of {switch} in {self.domain}, where a kink may be, were not found: "
                f"{found}; pass a function and a point instead"
            )
        return list(found)


# --- slopes ----------------------------------------------------------------------------------


def _case(sp: Any, x: Any, span: Span) -> Case:
    """The gradient between two cuts."""
    return Case(sp.FiniteSet(sp.simplify(sp.diff(span.smooth, x))), span.low, span.high)


def _condition(sp: Any, x: Any, case: Case) -> Any:
    """The condition to be there."""
    if case.low == case.high:
        return sp.Eq(x, case.low)
    bounds = [] if case.low.is_infinite else [x > case.low]
    return sp.And(*bounds, *([] if case.high.is_infinite else [x < case.high]))


def _at_cut(sp: Any, function: Any, x: Any, before: Span, after: Span) -> Any:
    """The hull of the slopes from both sides: Clarke's set on the line."""
    at = after.low
    values = [sp.limit(before.smooth, x, at, "-"), sp.limit(after.smooth, x, at, "+")]
    values.append(function.subs(x, at))
    if any(sp.simplify(v - values[0]) != 0 for v in values):
        shown = ", ".join(map(str, values))
        raise DerivativeError(
            f"the function jumps at {at}: from the left, from the right and there it is {shown}"
        )
    left = sp.limit(sp.diff(before.smooth, x), x, at, "-")
    right = sp.limit(sp.diff(after.smooth, x), x, at, "+")
    if not (left.is_finite and right.is_finite):
        raise DerivativeError(
            f"the slopes at {at} are {left} from the left and {right} from the right: the function "
            "is not locally Lipschitz there"
        )
    if sp.simplify(left - right) == 0:
        return sp.FiniteSet(sp.simplify(left))
    return sp.Interval(*sorted((left, right), key=lambda v: sp.N(v, DIGITS)))


# --- expressions of graphs -------------------------------------------------------------------


def scalar_expression(sp: Any, graph: Graph, variable: Any) -> Any:
    """The expression of a graph of one scalar, by the SymPy column of its rows."""
    names = graph.input_names
    if names != (variable.name,) or graph.types[graph.inputs[0]].shape != ():
        raise DerivativeError(
            f"a text of the one scalar {variable.name} is expected, got {graph.signature}"
        )

    def meaning(node: Node, operands: list[Any]) -> Any:
        row: Any = node.row
        if row is fill:
            return _exact(sp, dict(node.params)["value"])
        if row is INPUT or row.sympy is None:
            raise DerivativeError(f"{row.name} has no meaning in SymPy here")
        if isinstance(row.sympy, str):
            return getattr(sp, row.sympy)(*operands)
        return row.sympy(sp, *operands)

    return graph.run([variable], meaning)[graph.outputs[0]]


def _exact(sp: Any, literal: Any) -> Any:
    number = literal.array.item()
    return sp.Integer(int(number)) if number == np.rint(number) else sp.Rational(number)
