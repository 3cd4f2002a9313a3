"""Derivatives along a line from the series on both sides of a point.

They exist where both sides agree, with the value at the point too. Where they differ, the error
names what was decided by the side.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from calcbench.graph.arraytype import DerivativeError
from calcbench.symbolic.references.branches import ANOTHER_BRANCH
from calcbench.symbolic.references.germs import Germs
from calcbench.symbolic.references.scalar_steps import Budget, Steps
from calcbench.symbolic.references.series import (
    ZERO,
    Algebra,
    MoreTerms,
    NeedsRoot,
    Series,
    Undefined,
)


MOST_ROOTS = 60
SPARE_TERMS = 1
MOST_SPARE_TERMS = 48

Direction = Mapping[str, int]


class Function(NamedTuple):
    """Steps, one of them the value, and the numbers at which its inputs are."""

    steps: Steps
    output: int
    point: Mapping[Any, Any]
    shown: str


class Line(NamedTuple):
    """Derivatives 0, 1, ..., n along a direction, each with the size of its terms.

    `sided` names what the side decided; it is empty where all is smooth. `doubtful` says that
    something was taken for 0 because it was no larger than rounding.
    """

    derivatives: tuple[Any, ...]
    sizes: tuple[Any, ...]
    sided: tuple[str, ...]
    doubtful: bool


def along(function: Function, direction: Direction, order: int, ctx: Any, budget: Budget) -> Line:
    """The derivatives up to `order` of t -> f(x + t v) at t = 0, if they exist."""
    right = _one_sided(function, direction, order, 1, ctx, budget)
    if isinstance(right, Line) and not right.sided:
        return right
    left = _one_sided(function, direction, order, -1, ctx, budget)
    found = [side for side in (right, left) if isinstance(side, Line)]
    _refuse_other_branches([right, left], function)
    if not found:
        raise DerivativeError(
            f"no derivative {function.shown}: the expression meets {right.reason}"  # type: ignore[union-attr]
        )
    _compare(found, range(1), function, direction, ctx)
    _compare_value(found[0], function, ctx, budget)
    _compare(found, range(1, order + 1), function, direction, ctx)
    return found[0]._replace(doubtful=any(side.doubtful for side in found))


def _refuse_other_branches(sides: Sequence[Line | Undefined], function: Function) -> None:
    if any(isinstance(s, Undefined) and s.reason == ANOTHER_BRANCH for s in sides):
        raise DerivativeError(
            f"no derivative {function.shown}: the program takes another branch on one side of this "
            "point, or at the point rounded to float64; write the branch with np.where, or move "
            "the point"
        )


def value_at(function: Function, ctx: Any, budget: Budget) -> tuple[Any, Any]:
    """The value at the point itself, where a comparison of equal numbers is an equality."""
    algebra = Algebra(ctx, 2, True, [], [])
    value = _at_point(function, algebra, budget)
    if isinstance(value, Undefined):
        raise DerivativeError(f"no value {function.shown}: the expression meets {value.reason}")
    if isinstance(value, bool):
        raise DerivativeError(f"the expression {function.shown} is a condition, not a number")
    number, size = algebra.at(value, 0)
    return number, ctx.inf if algebra.doubts else size


def _at_point(function: Function, algebra: Algebra, budget: Budget) -> Any:
    bound = {name: algebra.constant(x) for name, x in function.point.items()}
    return Germs(budget).run(function.steps, bound, [function.output], algebra)[function.output]


def _one_sided(
    function: Function, direction: Direction, order: int, side: int, ctx: Any, budget: Budget
) -> Line | Undefined:
    root, spare = 1, SPARE_TERMS
    while True:
        final = spare >= MOST_SPARE_TERMS
        algebra = Algebra(ctx, order * root + spare, final, [], [])
        try:
            return _expanded(function, direction, order, side, root, algebra, budget)
        except MoreTerms:
            if final:
                return Undefined(f"{MOST_SPARE_TERMS} vanishing terms of a series")
            spare = 4 * spare
        except NeedsRoot as needed:
            root *= needed.degree
        if root > MOST_ROOTS:
            return Undefined(f"a root of degree over {MOST_ROOTS} at 0")


def _expanded(
    function: Function,
    direction: Direction,
    order: int,
    side: int,
    root: int,
    algebra: Algebra,
    budget: Budget,
) -> Line | Undefined:
    """The derivatives by t = side * s^root."""
    ctx = algebra.ctx
    bound = {}
    for name, x in function.point.items():
        speed = ctx.mpf(side * direction.get(name, 0))
        step = Series(root, (speed,), (abs(speed),)) if speed else ZERO
        bound[name] = algebra.add(algebra.constant(x), step)
    result = Germs(budget).run(function.steps, bound, [function.output], algebra)[function.output]
    if isinstance(result, bool):
        raise DerivativeError(f"the expression {function.shown} is a condition, not a number")
    if isinstance(result, Undefined):
        return result
    derivatives, sizes = _by_t(result, order, side, root, algebra)
    sided = tuple(dict.fromkeys(algebra.sided))
    return Line(tuple(derivatives), tuple(sizes), sided, bool(algebra.doubts))


def _by_t(
    result: Series, order: int, side: int, root: int, algebra: Algebra
) -> tuple[list[Any], list[Any]]:
    ctx, derivatives, sizes = algebra.ctx, [], []
    for n in range(order + 1):
        blow_up = _infinite_part(result, n, root)
        value, size = algebra.at(result, n * root)
        factor = side**n * math.factorial(n)
        if blow_up is not None:
            k, term = blow_up
            factors = [Fraction(k, root) - j for j in range(n)]
            sign = math.prod([int(f > 0) - int(f < 0) for f in factors]) * side**n
            value, size, factor = sign * ctx.sign(term) * ctx.inf, ctx.zero, 1
        derivatives.append(value * factor)
        sizes.append(size * math.factorial(n))
    return derivatives, sizes


def _infinite_part(result: Series, n: int, root: int) -> tuple[int, Any] | None:
    """The first term t^e, e < n, whose n-th derivative has no limit."""
    for k, term in enumerate(result.terms, result.start):
        if k >= n * root:
            return None
        if term != 0 and (k < 0 or k % root):
            return k, term
    return None


def _compare(
    sides: Sequence[Line], orders: Iterable[int], function: Function, direction: Direction, ctx: Any
) -> None:
    """The derivatives of these orders must be the same on both sides, where there are two."""
    right, left = sides[0], sides[-1]
    for n in orders:
        a, b = right.derivatives[n], left.derivatives[n]
        if n + 1 < len(right.derivatives) and ctx.isinf(a) and ctx.isinf(b):
            continue  # a pole: the derivative asked for may still go the same way on both sides
        if not agree(a, b, right.sizes[n] + left.sizes[n], ctx):
            _refuse(n, right, left, function, direction, ctx)


def agree(a: Any, b: Any, size: Any, ctx: Any) -> bool:
    if ctx.isinf(a) or ctx.isinf(b):
        return bool(a == b)
    return bool(abs(a - b) <= size * ctx.ldexp(1, -ctx.prec // 2))


def _refuse(
    n: int, right: Line, left: Line, function: Function, direction: Direction, ctx: Any
) -> None:
    low, high = ctx.nstr(left.derivatives[n], 8), ctx.nstr(right.derivatives[n], 8)
    why = " and ".join(dict.fromkeys(right.sided + left.sided)) or "a singular point"
    line = " + ".join(f"{c} {name}" if c != 1 else str(name) for name, c in direction.items())
    if n == 0:
        raise DerivativeError(
            f"no derivative {function.shown}: the value jumps along {line} from {low} to {high}, "
            f"at {why}"
        )
    what = "slopes" if n == 1 else f"derivatives of order {n}"
    raise DerivativeError(
        f"no derivative {function.shown}: a kink along {line}, where the one-sided {what} are "
        f"{low} and {high}, at {why}; cb.subdifferential gives the set of slopes"
    )


def _compare_value(line: Line, function: Function, ctx: Any, budget: Budget) -> None:
    """The limit must be the value, where there is a value."""
    algebra = Algebra(ctx, 2, True, [], [])
    value = _at_point(function, algebra, budget)
    if not isinstance(value, Series):
        return
    at, size = algebra.at(value, 0)
    limit = line.derivatives[0]
    if not agree(at, limit, size + line.sizes[0] + abs(at), ctx):
        raise DerivativeError(
            f"no derivative {function.shown}: the value jumps, being {ctx.nstr(at, 8)} at the "
            f"point and {ctx.nstr(limit, 8)} next to it"
        )
