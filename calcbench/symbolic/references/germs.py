"""Scalar steps as series on one side of a point: ties, removable points and kinks decided there.

On the right of x = 0 the numbers x and 2x are not tied: their difference is the series -s, and
the sign of its first coefficient decides. So max(x, 2x), abs(x), x == 0 and a Piecewise have a
branch on each side, and a quotient 0/0 is a quotient of series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import sympy as sp

from calcbench.symbolic.references.branches import branch_value, first_undefined
from calcbench.symbolic.references.calls import (
    NoDerivativeError,
    call_value,
    number_value,
    partial_steps,
)
from calcbench.symbolic.references.scalar_steps import SLOTS, Budget, Step, Steps
from calcbench.symbolic.references.series import (
    ZERO,
    Algebra,
    Infinite,
    MoreTerms,
    Series,
    Undefined,
)
from calcbench.symbolic.references.smooth_sweeps import needed_steps


Names = tuple[Any, ...]
LOG, EXP, GAMMA = sp.log(SLOTS[0]), sp.exp(SLOTS[0]), sp.gamma(SLOTS[0])


class Germs:
    """Evaluates steps on series; calls are remembered by the steps of their operands."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._known: dict[Any, Any] = {}

    def run(
        self,
        steps: Steps,
        bound: Mapping[Any, Any],
        wanted: Sequence[int],
        algebra: Algebra,
        names: Mapping[Any, Any] | None = None,
    ) -> list[Any]:
        """Series, truth value or `Undefined` of every step that `wanted` need.

        `names` are given to inputs that stand for operands of an outer list of steps.
        """
        found: list[Any] = [None] * len(steps.steps)
        for index in needed_steps(steps, wanted):
            step = steps.steps[index]
            self.budget.check()
            if step.kind == "input":
                found[index] = bound[step.data]
            elif step.kind == "number":
                found[index] = _number(step, algebra)
            elif step.kind == "pow":
                found[index] = self._power(steps, step, found, algebra)
            elif step.kind == "call":
                operands = [found[i] for i in step.operands]
                labels = tuple(_label(steps, i, names) for i in step.operands)
                found[index] = self._call(step.data, operands, labels, algebra)
            else:
                found[index] = branch_value(step, [found[i] for i in step.operands], algebra)
        return found

    def _power(self, steps: Steps, step: Step, found: list[Any], algebra: Algebra) -> Any:
        base, exponent = (found[i] for i in step.operands)
        wrong = first_undefined([base, exponent])
        if wrong is not None:
            return wrong
        exact: Any = steps.steps[step.operands[1]].data
        if isinstance(exact, sp.Rational):
            return algebra.power(base, Fraction(int(exact.p), int(exact.q)))
        return self._general_power(base, exponent, algebra)

    def _general_power(self, base: Series, exponent: Series, algebra: Algebra) -> Any:
        """b^e for an exponent that moves or is no fraction."""
        if exponent.is_constant:
            fraction = _fraction(algebra.at(exponent, 0)[0])
            if algebra.lead(base) == 0 or base.start or fraction.denominator < 2**20:
                return algebra.power(base, fraction)
        if algebra.lead(base) == 0:  # 0^e stays 0 while e > 0
            positive = exponent.start <= 0 and algebra.lead(exponent) > 0
            return ZERO if positive else Undefined("zero to a power that is not positive")
        logarithm = self._call(LOG, [base], (None,), algebra)
        if isinstance(logarithm, Undefined):
            return logarithm
        product = algebra.multiply(exponent, logarithm)
        return self._call(EXP, [product], (None,), algebra)

    def _call(self, template: Any, xs: list[Any], labels: Names, algebra: Algebra) -> Any:
        wrong = first_undefined(xs)
        if wrong is not None:
            return wrong
        if None in labels:
            return self._expand(template, xs, labels, algebra)
        key = (template, labels, algebra.length)
        if key not in self._known:
            self._known[key] = self._expand(template, xs, labels, algebra)
        return self._known[key]

    def _expand(self, template: Any, xs: list[Series], labels: Names, algebra: Algebra) -> Any:
        """f(X) = f(X(0)) + integral of sum of f_i(X) X_i' ds, the f_i on one term less."""
        name = template.func.__name__
        if any(x.terms and x.start < 0 for x in xs):
            return Undefined(f"{name} of an infinite argument")
        points = [algebra.at(x, 0) for x in xs]
        value = call_value(template, [p for p, _ in points], algebra.ctx)
        if value is None and template == GAMMA and not xs[0].is_constant:
            return self._gamma_at_pole(xs[0], algebra)
        if value is None:
            shown = ", ".join(algebra.ctx.nstr(p, 6) for p, _ in points)
            return Undefined(f"{name}({shown}), which is not a finite real number")
        if all(x.is_constant for x in xs):
            return algebra.constant(value, self._size_of_constant(template, value, points, algebra))
        if algebra.length == 1:
            return Series(0, (value,), (abs(value),), 1) if value else Series(1, (), (), 1)
        return self._integrated(template, xs, labels, algebra, value, points)

    def _size_of_constant(
        self, template: Any, value: Any, points: list[Any], algebra: Algebra
    ) -> Any:
        """|f| + sum of |f_i| times the sizes of the operands: sin(pi) is 0 but for rounding."""
        size = abs(value)
        bound = {i: algebra.constant(*p) for i, p in enumerate(points)}
        for position, (_, spread) in enumerate(points if algebra.length > 1 else []):
            partial = self._constant_partial(template, position, bound, algebra)
            if isinstance(partial, Series):
                size += abs(algebra.lead(partial)) * spread
        return size

    def _constant_partial(
        self, template: Any, position: int, bound: Mapping[Any, Any], algebra: Algebra
    ) -> Any:
        try:
            steps, output = partial_steps(template, position)
        except NoDerivativeError:  # an error only where it is asked for
            return None
        shortest = Algebra(algebra.ctx, 1, True, [], [])
        return self.run(steps, bound, [output], shortest, {})[output]

    def _gamma_at_pole(self, x: Series, algebra: Algebra) -> Any:
        """gamma(x) = gamma(x + n + 1) / (x (x + 1) ... (x + n)) next to x = -n."""
        n = int(-algebra.ctx.nint(algebra.at(x, 0)[0]))
        factors = [algebra.add(x, algebra.constant(algebra.ctx.mpf(k))) for k in range(n + 1)]
        shifted = algebra.add(x, algebra.constant(algebra.ctx.mpf(n + 1)))
        above = self._call(GAMMA, [shifted], (None,), algebra)
        below = algebra.power(algebra.multiply(*factors), Fraction(-1))
        if isinstance(above, Undefined) or isinstance(below, Undefined):
            return above if isinstance(above, Undefined) else below
        return algebra.multiply(above, below)

    def _integrated(
        self,
        template: Any,
        xs: list[Series],
        labels: Names,
        algebra: Algebra,
        value: Any,
        points: list[Any],
    ) -> Any:
        shorter, size, terms = algebra.shorter(), abs(value), []
        for position, x in enumerate(xs):
            if x.is_constant:
                continue
            itself = _refers_to_itself(template, position)
            partial = self._partial(template, position, xs, labels, shorter, itself)
            if itself and _is_short(partial, xs, shorter):
                return self._by_differences(template, position, xs, algebra)
            if isinstance(partial, Undefined):
                return partial
            if partial.terms and partial.start == 0:
                size += abs(partial.terms[0]) * points[position][1]
            terms.append(shorter.multiply(partial, shorter.slope(x)))
        total = shorter.add(*terms)
        if total.terms and total.start < 0:
            return Undefined(f"{template.func.__name__} at a pole of its derivative")
        return algebra.add(algebra.constant(value, size), algebra.integral(total))

    def _partial(
        self,
        template: Any,
        position: int,
        xs: list[Series],
        labels: Names,
        shorter: Algebra,
        itself: bool,
    ) -> Any:
        steps, output = partial_steps(template, position)
        cut = [_cut(x, shorter) for x in xs]
        try:
            names = dict(enumerate(labels))
            return self.run(steps, dict(enumerate(cut)), [output], shorter, names)[output]
        except MoreTerms:
            if itself:  # more of them would not help
                return Undefined("too few terms")
            raise

    def _by_differences(
        self, template: Any, position: int, xs: list[Series], algebra: Algebra
    ) -> Any:
        """Where SymPy's derivative is 0/0 at the point: mpmath's Taylor coefficients instead."""
        ctx = algebra.ctx
        if sum(not x.is_constant for x in xs) > 1:
            return Undefined(f"a derivative of {template.func.__name__}")
        points = [algebra.at(x, 0)[0] for x in xs]

        def function(t: Any) -> Any:
            value = call_value(template, [*points[:position], t, *points[position + 1 :]], ctx)
            if value is None:
                raise ValueError
            return value

        try:
            coefficients = ctx.taylor(function, points[position], algebra.length)
        except (ValueError, ZeroDivisionError):
            return Undefined(f"a derivative of {template.func.__name__}")
        moved = algebra.add(xs[position], algebra.constant(-points[position]))
        return algebra.compose(coefficients, moved)


def _label(steps: Steps, index: int, names: Mapping[Any, Any] | None) -> Any:
    """How an operand is known in every list of steps; None if it is not."""
    if names is None:
        return index
    step = steps.steps[index]
    if step.kind == "number":
        return step.data
    return names.get(step.data) if step.kind == "input" else None


def _refers_to_itself(template: Any, position: int) -> bool:
    """Whether the derivative uses the function, so that 0/0 in it stays one term long."""
    steps, _ = partial_steps(template, position)
    return any(step.data.func is template.func for step in _calls(steps))


def _calls(steps: Steps) -> list[Any]:
    return [step for step in steps.steps if step.kind == "call"]


def _is_short(x: Any, operands: Sequence[Series], algebra: Algebra) -> bool:
    """Whether fewer terms are known than the operands allow, as after dividing 0 by 0."""
    if isinstance(x, Undefined):
        return True
    ends = [operand.end for operand in operands if operand.end is not None]
    return x.end is not None and bool(x.end < min([algebra.length, *ends]))


def _cut(x: Series, algebra: Algebra) -> Series:
    return algebra.make(x.start, x.terms, x.sizes, x.end)


def _fraction(x: Any) -> Fraction:
    sign, mantissa, exponent, _ = x._mpf_
    return Fraction((-1) ** sign * int(mantissa)) * Fraction(2) ** int(exponent)


def _number(step: Step, algebra: Algebra) -> Any:
    value = number_value(step.data, algebra.ctx)
    if value is None or isinstance(value, bool):
        return Undefined("NaN") if value is None else value
    return (
        Infinite(int(algebra.ctx.sign(value)))
        if algebra.ctx.isinf(value)
        else algebra.constant(value)
    )
