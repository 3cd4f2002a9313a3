"""Sums, products and everything that compares, on series: which branch holds on this side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from calcbench.symbolic.references.scalar_steps import Step
from calcbench.symbolic.references.series import Algebra, Infinite, Series, Undefined
from calcbench.symbolic.references.smooth_steps import all_of, any_of


ANOTHER_BRANCH = "a branch of the program that was not recorded"


def branch_value(step: Step, xs: list[Any], algebra: Algebra) -> Any:
    """A step that calls no function, of series and truth values; `Undefined` if not decided."""
    if step.kind == "piecewise":
        return _piecewise(xs)
    if step.kind == "guarded" and xs[1] is not True:
        return Undefined(ANOTHER_BRANCH) if xs[1] is False else xs[1]
    if step.kind == "guarded":
        return xs[0]
    wrong = next((x for x in xs if isinstance(x, Undefined)), None)
    if step.kind in COMPARED and wrong is None and any(isinstance(x, Infinite) for x in xs):
        return COMPARED[step.kind](_order(*xs))
    wrong = first_undefined(xs)
    if step.kind in ("and", "or"):
        decided = [None if isinstance(x, Undefined) else x for x in xs]
        result = all_of(decided) if step.kind == "and" else any_of(decided)
        return wrong if result is None else result
    return RULES[step.kind](algebra, *xs) if wrong is None else wrong


def first_undefined(xs: Sequence[Any]) -> Undefined | None:
    """The first of the values with which nothing can be computed."""
    for x in xs:
        if isinstance(x, Undefined | Infinite):
            return x if isinstance(x, Undefined) else Undefined("infinity")
    return None


def _order(a: Any, b: Any) -> int:
    """The sign of a - b, where one of them is infinite."""
    first, second = (x.sign if isinstance(x, Infinite) else 0 for x in (a, b))
    return (first > second) - (first < second)


def _piecewise(xs: list[Any]) -> Any:
    for value, condition in zip(xs[::2], xs[1::2], strict=True):
        if isinstance(condition, Undefined) or condition is True:
            return value if condition is True else condition
    return Undefined("a Piecewise none of whose conditions holds")


def sign_of(x: Series, algebra: Algebra, what: str) -> int:
    """-1, 0 or 1 for s > 0; noted if x is 0 at s = 0 and not beyond."""
    lead = algebra.lead(x)
    if lead == 0:
        return 0
    if x.start > 0:
        algebra.sided.append(what)
    return 1 if lead > 0 else -1


def _compared(accept: Callable[[int], bool]) -> Callable[..., bool]:
    def value(algebra: Algebra, a: Any, b: Any) -> bool:
        difference = algebra.add(a, algebra.scale(b, -1))
        return accept(sign_of(difference, algebra, "a condition at equality"))

    return value


def _extreme(wanted: int, what: str) -> Callable[..., Any]:
    def value(algebra: Algebra, *xs: Any) -> Any:
        best = xs[0]
        for x in xs[1:]:
            difference = algebra.add(x, algebra.scale(best, -1))
            best = x if sign_of(difference, algebra, what) == wanted else best
        return best

    return value


def _absolute(algebra: Algebra, x: Any) -> Any:
    return algebra.scale(x, sign_of(x, algebra, "an absolute value at 0"))


def _sign(algebra: Algebra, x: Any) -> Any:
    return algebra.constant(algebra.ctx.mpf(sign_of(x, algebra, "a sign at 0")))


def _floor(algebra: Algebra, x: Any) -> Any:
    if x.terms and x.start < 0:
        return Undefined("the floor of infinity")
    nearest = algebra.ctx.nint(algebra.at(x, 0)[0])
    above = algebra.add(x, algebra.constant(-nearest))
    below = sign_of(above, algebra, "a floor at a whole number") < 0
    return algebra.constant(nearest - 1 if below else nearest)


COMPARED: dict[str, Callable[[int], bool]] = {
    "less": lambda sign: sign < 0,
    "less_equal": lambda sign: sign <= 0,
    "equal": lambda sign: sign == 0,
}

RULES: dict[str, Callable[..., Any]] = {
    "add": lambda algebra, *xs: algebra.add(*xs),
    "mul": lambda algebra, *xs: algebra.multiply(*xs),
    "abs": _absolute,
    "sign": _sign,
    "floor": _floor,
    "max": _extreme(1, "a tie in a maximum"),
    "min": _extreme(-1, "a tie in a minimum"),
    **{kind: _compared(accept) for kind, accept in COMPARED.items()},
    "not": lambda algebra, x: not x,
    "detach": lambda algebra, x: algebra.constant(algebra.at(x, 0)[0]),
}
