"""Each fault put into `cb.reference` gives a wrong answer to a short check."""

import mpmath
import pytest
import sympy as sp

import calcbench as cb
from calcbench.symbolic.references import branches, calls, precision, sides, smooth_steps
from calcbench.symbolic.references.series import Algebra


x = sp.Symbol("x")


def slope(expression, at, order=1):
    return lambda: cb.reference(expression, {"x": at}, order=order, digits=30)


CHECKS = {  # what is asked, and the answer by hand: a number, or a word of the error
    "product": (slope(x * sp.sin(x), 1), lambda: mpmath.sin(1) + mpmath.cos(1)),
    "power": (slope((1 + x) ** 3 / x, 2), lambda: mpmath.mpf(27) / 4),
    "moving exponent": (slope(x**x, 2), lambda: 4 * (1 + mpmath.log(2))),
    "third derivative": (slope(sp.sqrt(1 + x) * sp.exp(x), 0, 3), lambda: mpmath.mpf(17) / 8),
    "maximum": (slope(sp.Max(x**2, 1), 2), lambda: mpmath.mpf(4)),
    "tie": (slope(sp.Max(x, sp.exp(x) - 1, ((x + 1) ** 2 - 1) / 2), 0), lambda: mpmath.mpf(1)),
    "curved tie": (slope(sp.Max(x, x + x**2), 0, 2), lambda: mpmath.mpf(2)),
    "kink": (slope(sp.Abs(x), 0), lambda: "kink"),
    "jump": (slope(sp.Piecewise((x, x < 1), (x + 1, True)), 1), lambda: "jumps"),
    "isolated value": (slope(sp.Piecewise((7, sp.Eq(x, 1)), (x, True)), 1), lambda: "jumps"),
    "cancellation": (slope((1 - sp.cos(x)) / x**2, "1e-200"), lambda: -mpmath.mpf("1e-200") / 12),
    "quotient 0/0": (slope(sp.sin(x) / x, 0, 2), lambda: -mpmath.mpf(1) / 3),
}


def is_right(name):
    ask, answer = CHECKS[name]
    with mpmath.workdps(40):
        wanted = answer()
        try:
            found = ask()
        except cb.DerivativeError as error:
            return isinstance(wanted, str) and wanted in str(error)
        if isinstance(wanted, str) or not found.is_finite:
            return False
        return abs(mpmath.make_mpf(sp.Float(found)._mpf_) - wanted) <= 1e-28 * abs(wanted)


def wrong(what):
    """The names of the checks that fail under a fault."""
    calls.partial_steps.cache_clear()
    failing = {name for name in CHECKS if not is_right(name)}
    assert what in failing, failing


def test_without_a_fault_every_check_holds():
    assert [name for name in CHECKS if not is_right(name)] == []


def replaced(table, key, rule):
    return lambda patch: patch.setitem(table, key, rule)


def attribute(owner, name, value):
    return lambda patch: patch.setattr(owner, name, value)


def half_power(ctx, z, xs):
    return [(0, smooth_steps._by_base(ctx, *xs))]


def without_bounds(patch):
    """Two precisions that agree are believed, whatever the sizes say."""
    patch.setattr(precision, "_is_bounded", lambda *_: True)
    patch.setattr(precision, "_wanted_digits", lambda *_: 0)


def undivided(self, series):
    return self.multiply(series, self.make(1, [1], [1], None))


def right_side_only(found, *rest):
    del found[1:]


def straight(self, x, exponent, start):
    """The first term of the power only."""
    return self.make(start, [x.terms[0] ** self.ctx.mpf(float(exponent))], [1], start + 1)


EAGER, PARTIALS, RULES = smooth_steps.EAGER, smooth_steps.PARTIALS, branches.RULES
swapped = replaced(PARTIALS, "mul", lambda ctx, z, xs: [(0, tuple(xs[0])), (1, tuple(xs[1]))])
FAULTS = {
    "factors swapped": (swapped, "product"),
    "no slope along exponents": (replaced(PARTIALS, "pow", half_power), "moving exponent"),
    "minimum for maximum": (replaced(EAGER, "max", EAGER["min"]), "maximum"),
    "first of ties": (replaced(RULES, "max", lambda algebra, *xs: xs[0]), "curved tie"),
    "sign without a side": (replaced(RULES, "abs", lambda algebra, x: x), "kink"),
    "sides not compared": (attribute(sides, "_compare", lambda *a: None), "jump"),
    "value not compared": (attribute(sides, "_compare_value", lambda *a: None), "isolated value"),
    "left side not looked at": (attribute(sides, "_compare", right_side_only), "kink"),
    "no bound of the error": (without_bounds, "cancellation"),
    "powers of one term": (attribute(Algebra, "_power", straight), "third derivative"),
    "integral forgets to divide": (attribute(Algebra, "integral", undivided), "third derivative"),
    "slope forgets the power": (attribute(Algebra, "slope", lambda self, s: s), "third derivative"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen(fault, monkeypatch):
    put_in, check = FAULTS[fault]
    put_in(monkeypatch)
    try:
        wrong(check)
    finally:
        calls.partial_steps.cache_clear()
