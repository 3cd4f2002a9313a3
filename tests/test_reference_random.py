"""`cb.reference` on random expressions full of ties, against one-sided differences of mpmath."""

import random

import mpmath
import pytest
import sympy as sp
from sympy.functions.elementary.piecewise import ExprCondPair

import calcbench as cb


x = sp.Symbol("x", real=True)
STEP = mpmath.mpf(10) ** -40
DIGITS = 150
POINTS = (0, 0, 1, -1, 2, sp.Rational(1, 2))
UNEVALUATED = {"evaluate": False}


# --- random expressions, which SymPy does not simplify on the way --------------------------------


def leaf(draw):
    number = sp.Rational(draw.randint(-4, 4), 2)
    return draw.choice([x, x, x, number])


def piecewise(first, condition, second):
    pairs = [(first, condition), (second, sp.true)]
    return sp.Basic.__new__(sp.Piecewise, *[sp.Basic.__new__(ExprCondPair, *p) for p in pairs])


def norm(a, b):
    squares = [sp.Mul(v, v, **UNEVALUATED) for v in (a, b)]
    return sp.sqrt(sp.Add(*squares, **UNEVALUATED), **UNEVALUATED)


def expression(draw, depth):
    if depth == 0:
        return leaf(draw)
    a, b = expression(draw, depth - 1), expression(draw, depth - 1)
    below = sp.StrictLessThan(expression(draw, depth - 1), leaf(draw), **UNEVALUATED)
    kinds = [
        *[lambda: sp.Add(a, b, **UNEVALUATED)] * 2,
        *[lambda: sp.Mul(a, b, **UNEVALUATED)] * 2,
        lambda: sp.Max(a, b, **UNEVALUATED),
        lambda: sp.Min(a, b, **UNEVALUATED),
        lambda: sp.Abs(a, **UNEVALUATED),
        lambda: piecewise(a, below, b),
        lambda: piecewise(a, sp.LessThan(x, leaf(draw), **UNEVALUATED), b),
        lambda: sp.Pow(a, draw.choice([2, 3, -1]), **UNEVALUATED),
        lambda: sp.sin(a, **UNEVALUATED),
        lambda: sp.exp(a, **UNEVALUATED),
        lambda: norm(a, b),
    ]
    return draw.choice(kinds)()


# --- the witness ---------------------------------------------------------------------------------

VALUES = {
    "Add": lambda *v: mpmath.fsum(v),
    "Mul": lambda *v: mpmath.fprod(v),
    "Pow": lambda b, e: mpmath.sqrt(b) if e == 0.5 else b**e,
    "Max": lambda *v: max(v),
    "Min": lambda *v: min(v),
    "Abs": abs,
    "sin": mpmath.sin,
    "exp": mpmath.exp,
    "StrictLessThan": lambda a, b: a < b,
    "LessThan": lambda a, b: a <= b,
}


def value(part, at):
    if part == x:
        return at
    if part.is_Rational:
        return mpmath.mpf(part.p) / part.q
    if isinstance(part, sp.Piecewise):
        (first, condition), (second, _) = (pair.args for pair in part.args)
        return value(first if value(condition, at) else second, at)
    return VALUES[type(part).__name__](*[value(p, at) for p in part.args])


def side(part, at, order, step):
    """The limit, the slope and the second derivative on one side, by differences."""
    f1, f2, f3 = (value(part, at + k * step) for k in (1, 2, 3))
    limit = 3 * f1 - 3 * f2 + f3
    slope = -(5 * f1 - 8 * f2 + 3 * f3) / (2 * step)
    return [limit, slope, (f1 - 2 * f2 + f3) / step**2][: order + 1]


def verdict(part, at, order):
    """The derivative, the word ``jump`` or ``kink``, or None where differences do not tell."""
    try:
        left, right = side(part, at, order, -STEP), side(part, at, order, STEP)
    except (ZeroDivisionError, OverflowError):
        return None
    if any(abs(v) > 1e12 for v in left + right):
        return None
    try:
        middle = value(part, at)
    except ZeroDivisionError:
        middle = left[0]
    near = [abs(a - b) <= 1e-15 * (1 + abs(a)) for a, b in zip(left, right, strict=True)]
    if not near[0] or abs(middle - left[0]) > 1e-15 * (1 + abs(middle)):
        return "jump"
    return (left[order] + right[order]) / 2 if all(near) else "kink"


def answer(part, at, order):
    try:
        return cb.reference(part, {"x": at}, order=order, digits=20)
    except cb.DerivativeError as error:
        return "jump" if "jumps" in str(error) else "kink" if "kink" in str(error) else str(error)


@pytest.mark.parametrize(("order", "seed"), [(1, 1), (1, 2), (2, 3)])
def test_random_expressions_have_the_derivative_or_the_kink_that_differences_see(order, seed):
    draw, seen = random.Random(seed), set()
    for _ in range(150):
        part, at = expression(draw, draw.randint(1, 4)), draw.choice(POINTS)
        with mpmath.workdps(DIGITS):
            point = mpmath.mpf(sp.Rational(at).p) / sp.Rational(at).q
            wanted = verdict(part, point, order)
        if wanted is None or not part.has(x):
            continue
        found = answer(part, at, order)
        seen.add(wanted if isinstance(wanted, str) else "derivative")
        if isinstance(wanted, str) or isinstance(found, str):
            assert found == wanted, (part, at)
        else:
            assert abs(mpmath.mpf(str(found)) - wanted) <= 1e-13 * (1 + abs(wanted)), (part, at)
    assert seen == {"derivative", "jump", "kink"}
