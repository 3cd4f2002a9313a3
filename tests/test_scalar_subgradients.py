"""Subdifferentials of expressions of one variable, against differences and sets of functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp

import calcbench as cb


X = sp.Symbol("x")
SINC = sp.Piecewise((sp.sin(X) / X, sp.Ne(X, 0)), (1, True))
HALF = sp.Rational(1, 2)


def interval(low: Any, high: Any) -> Any:
    return sp.Interval(low, high) if low != high else sp.FiniteSet(low)


# (expression, its kinks, the sets there by hand)
CASES: list[tuple[Any, list[Any], list[Any]]] = [
    ("abs(x)", [0], [(-1, 1)]),
    ("relu(x)", [0], [(0, 1)]),
    ("max(x, 0)", [0], [(0, 1)]),
    ("min(x, 2)", [2], [(0, 1)]),
    ("-abs(x + 1)", [-1], [(-1, 1)]),
    ("max(x, 0) + abs(x - 1)", [0, 1], [(-1, 0), (0, 2)]),
    ("abs(abs(x) - 1)", [-1, 0, 1], [(-1, 1)] * 3),
    ("relu(1 - relu(x))", [0, 1], [(-1, 0), (-1, 0)]),
    ("abs(x - 0.1)", [sp.Rational(1, 10)], [(-1, 1)]),
    ("sqrt(x^2)", [0], [(-1, 1)]),
    (sp.Abs(X), [0], [(-1, 1)]),
    (sp.Max(X, 0, 1 - X), [HALF], [(-1, 1)]),
    (sp.Abs(X**3 - X), [-1, 0, 1], [(-2, 2), (-1, 1), (-2, 2)]),
    (sp.exp(sp.Abs(X)) * sp.cos(X), [0], [(-1, 1)]),
    (X * sp.Abs(X), [0], [(0, 0)]),
    (X * sp.sign(X), [0], [(-1, 1)]),
    (sp.Piecewise((X, X > 1), (2 - X**2, True)), [1], [(-2, 1)]),
    (SINC, [0], [(0, 0)]),
    (SINC.diff(X), [0], [(-sp.Rational(1, 3),) * 2]),
]


def expression_of(case: Any) -> Any:
    if not isinstance(case, str):
        return case
    found = cb.to_sympy(cb.parse(case, x="scalar"))
    return found.xreplace(dict.fromkeys(found.free_symbols, X))


def at(found: Any, value: Any) -> Any:
    symbols = list(found.free_symbols)
    return found.subs(symbols[0], value) if symbols else found


@pytest.mark.parametrize(("case", "kinks", "sets"), CASES, ids=lambda v: str(v)[:30])
def test_sets_at_kinks_are_those_by_hand(case: Any, kinks: list[Any], sets: list[Any]) -> None:
    found = cb.subdifferential(case, "x")
    points = {e.rhs for e in found.atoms(sp.Eq)}
    assert points == set(kinks)
    for kink, ends in zip(kinks, sets, strict=True):
        assert at(found, kink) == interval(*ends)


@pytest.mark.parametrize("case", [case for case, _, _ in CASES], ids=lambda v: str(v)[:30])
def test_between_kinks_the_set_is_the_slope_by_differences(case: Any) -> None:
    found, expression = cb.subdifferential(case, "x"), expression_of(case)
    for value in (-2.3, -0.7, -0.4, 0.3, 0.6, 1.7):
        h = sp.Float("1e-12", 40)
        moved = [expression.subs(X, sp.Float(value, 40) + s * h) for s in (1, -1)]
        slope = sp.N((moved[0] - moved[1]) / (2 * h), 15)
        (element,) = at(found, sp.Float(value, 40)).args
        assert float(element) == pytest.approx(float(slope), rel=1e-9, abs=1e-9)


# The same sets from the graph of a function at a point, by another way altogether.
FUNCTIONS = [
    ("abs(x)", np.abs),
    ("relu(x)", cb.relu),
    ("max(x, 0) + abs(x - 1)", lambda x: np.maximum(x, 0.0) + np.abs(x - 1)),
    ("abs(abs(x) - 1)", lambda x: np.abs(np.abs(x) - 1)),
    ("relu(1 - relu(x))", lambda x: cb.relu(1 - cb.relu(x))),
    ("relu(x) - relu(-x)", lambda x: cb.relu(x) - cb.relu(-x)),
]


@pytest.mark.parametrize(("text", "function"), FUNCTIONS)
def test_points_of_the_line_are_those_of_functions(text: str, function: Any) -> None:
    found = cb.subdifferential(text, "x")
    for value in (-1, 0, 1, 2, 3):
        numeric = cb.subdifferential(function, float(value))
        exact = at(found, value)
        ends = [float(exact.inf), float(exact.sup)]
        np.testing.assert_allclose(ends, [numeric.vertices.min(), numeric.vertices.max()])


def test_kinks_that_cancel_leave_no_cases() -> None:
    assert cb.subdifferential("relu(x) - relu(-x)", "x") == sp.FiniteSet(1)
    assert cb.subdifferential("abs(x) - abs(x)", "x") == sp.FiniteSet(0)
    assert cb.subdifferential(X**2, X) == sp.FiniteSet(2 * X)


def test_the_variable_may_be_a_symbol_with_assumptions() -> None:
    y = sp.Symbol("y", real=True)
    found = cb.subdifferential(sp.Abs(y), y)
    assert found.free_symbols == {y}
    assert found == cb.subdifferential(sp.Abs(y), "y")


def test_it_prints_as_cases() -> None:
    latex = sp.latex(cb.subdifferential("abs(x)", "x"))
    assert r"\left[-1, 1\right]" in latex
    assert r"\begin{cases}" in latex


# (expression, variable, what the error says)
BAD: list[tuple[Any, Any, str]] = [
    (sp.Piecewise((sp.sin(X), X < 0), (HALF, True)), X, "jumps at 0: .* it is 0, 1/2, 1/2"),
    (sp.Piecewise((1, sp.Eq(X, 0)), (X**2, True)), X, "jumps at 0: .* it is 0, 0, 1"),
    (sp.sign(X), X, "jumps at 0"),
    (sp.sqrt(sp.Abs(X)), X, "not locally Lipschitz"),
    (sp.Abs(X - sp.cos(X)), X, r"the zeros of x - cos\(x\)"),
    (sp.Abs(X) * sp.Symbol("a"), X, "depends on a too"),
    (sp.floor(X), X, "floor in floor.x. jumps"),
    ("abs(x*y)", "x", "one scalar x is expected"),
    ("abs(x)", 0.0, "x is the variable"),
]


@pytest.mark.parametrize(("expression", "variable", "text"), BAD, ids=lambda v: str(v)[:30])
def test_bad_input_says_what_is_wrong(expression: Any, variable: Any, text: str) -> None:
    with pytest.raises(cb.DerivativeError, match=text):
        cb.subdifferential(expression, variable)


def test_text_that_is_none_is_an_error_with_a_position() -> None:
    with pytest.raises(cb.ParseError, match="position 3"):
        cb.subdifferential("abs(x", "x")


def test_the_conservative_kind_needs_a_function() -> None:
    with pytest.raises(cb.DerivativeError, match="pass a function and a point"):
        cb.subdifferential("abs(x)", "x", kind="conservative")
