"""One-sided derivatives against differences to one side; lexicographic ones against limits."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from nonsmooth_cases import CASES, PLANE, Case, branching, norm

import calcbench as cb


STEPS = 2.0 ** -np.arange(8, 14)


def quotient_limit(function: Callable[[Any], Any], x: Any, d: Any) -> float:
    """The limit of (f(x + t d) - f(x)) / t by Richardson extrapolation in t."""
    at = float(function(x))
    table = [(float(function(x + t * d)) - at) / t for t in STEPS]
    for order in range(1, 4):
        table = [
            (2**order * finer - coarser) / (2**order - 1)
            for coarser, finer in itertools.pairwise(table)
        ]
    return table[-1]


def directions(case: Case, count: int = 4) -> list[Any]:
    rng = np.random.default_rng(sum(map(ord, case.name)))
    drawn = [rng.normal(size=np.shape(case.point)) for _ in range(count)]
    axis = np.zeros(np.shape(case.point))
    axis[(0,) * axis.ndim] = 1.0
    return [*drawn, axis, -axis, np.zeros_like(axis)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_directional_is_the_limit_of_difference_quotients(case: Case) -> None:
    scale = 1e12 if "apart" in case.name else 1.0
    for d in directions(case):
        found = cb.directional(case.function, case.point, d)
        expected = quotient_limit(case.function, case.point, d)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6 * scale)


def test_the_quotients_would_show_a_wrong_side() -> None:
    assert quotient_limit(branching, 0.0, -1.0) == pytest.approx(2.0)
    assert quotient_limit(branching, 0.0, 1.0) == pytest.approx(3.0)


# (function, point, direction, derivative by hand)
CLOSED_FORMS = [
    (np.abs, 0.0, -3.0, 3.0),
    (norm, PLANE, np.array([3.0, 4.0]), 5.0),
    (lambda x: norm(x) ** 2, PLANE, np.array([3.0, 4.0]), 0.0),
    (np.max, np.ones(3), np.array([1.0, 2.0, -1.0]), 2.0),
    (lambda x: np.abs(np.abs(x) - np.abs(2 * x)), 0.0, -1.0, 1.0),
    (lambda x: np.min(np.abs(x)), PLANE, np.array([1.0, 0.0]), 0.0),
    (np.sort, np.zeros(3), np.array([2.0, -1.0, 0.5]), [-1.0, 0.5, 2.0]),
    (lambda x: np.where(x > 0, np.exp(x), 1 - 5 * x), 0.0, -1.0, 5.0),
    (cb.relu, np.zeros(2), np.array([-1.0, 2.0]), [0.0, 2.0]),
]


@pytest.mark.parametrize(("function", "x", "d", "expected"), CLOSED_FORMS)
def test_closed_forms(function: Callable[[Any], Any], x: Any, d: Any, expected: Any) -> None:
    np.testing.assert_allclose(cb.directional(function, x, d), expected, atol=1e-15)


def test_a_tuple_is_several_arguments() -> None:
    found = cb.directional(lambda x, y: 2 * np.maximum(x, y), (1.0, 1.0), (2.0, 5.0))
    assert found == 10.0
    slopes = cb.lexicographic(lambda x, y: 2 * np.maximum(x, y), (1.0, 1.0))
    assert slopes == (2.0, 0.0)


def test_a_loop_that_branches_on_what_it_changes() -> None:
    def walked(x: Any) -> Any:
        for _ in range(4):
            x = 2 * x if x > 0 else -x
        return x

    for d in (1.0, -1.0):
        expected = quotient_limit(walked, 0.0, d)
        assert cb.directional(walked, 0.0, d) == pytest.approx(expected, abs=1e-9)


def test_single_precision_ties_within_its_rounding() -> None:
    x = np.float32(0.0)
    assert cb.directional(lambda v: np.abs(v) - np.abs(3 * v), x, 1.0) == -2.0


def test_lexicographic_is_homogeneous_in_the_direction_of_its_first_axis() -> None:
    """f'(x; e1) is the first entry: the first direction is taken as it is."""
    for case in CASES:
        slopes = np.ravel(cb.lexicographic(case.function, case.point))
        axis = np.zeros(np.shape(case.point))
        axis[(0,) * axis.ndim] = 1.0
        assert slopes[0] == pytest.approx(cb.directional(case.function, case.point, axis), abs=1e-9)


# (function, point, direction, error, what it says)
BAD: list[tuple[Any, Any, Any, type[Exception], str]] = [
    (np.abs, 1, 1.0, cb.DTypeError, "pass floats"),
    (np.abs, "x", 1.0, cb.DTypeError, "carries no derivative"),
    (np.abs, np.nan, 1.0, cb.DerivativeError, "finite numbers"),
    (np.abs, 0.0, np.inf, cb.DerivativeError, "finite numbers"),
    (np.abs, 0.0, np.ones(2), cb.ShapeError, "shape of its argument"),
    (np.abs, (0.0,), (1.0, 2.0), cb.ShapeError, "1 arguments need 1 directions, got 2"),
    (np.sqrt, 0.0, 1.0, cb.DerivativeError, "not locally Lipschitz"),
    (np.sign, 0.0, 1.0, cb.DerivativeError, "it is 0.0 there, and tends to 1.0 .*tied: v1 = sign"),
    (lambda x: np.where(x > 0, 1.0, x), 0.0, 1.0, cb.DerivativeError, "jumps"),
    (lambda x: np.where(x**2 > 0, 3 * x, x), 0.0, 1.0, cb.DerivativeError, "greater, recorded at"),
    (lambda x: np.log(x), 0.0, 1.0, cb.DerivativeError, "finite value is expected"),
    (lambda x: (x, x), 0.0, 1.0, cb.DerivativeError, "one float result"),
    (lambda x: np.argmax(x), np.ones(2), np.ones(2), cb.DerivativeError, "one float result"),
    (lambda a: np.linalg.norm(a, 2), np.eye(2), np.eye(2), cb.DerivativeError, "coincide"),
]


@pytest.mark.parametrize(("function", "x", "d", "error", "text"), BAD)
def test_bad_input_says_what_is_wrong(
    function: Callable[[Any], Any], x: Any, d: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        cb.directional(function, x, d)


def test_inside_another_derivative_is_an_error() -> None:
    with pytest.raises(cb.DerivativeError, match="being traced"):
        cb.grad(lambda x: cb.directional(np.abs, x, 1.0))(1.0)


def test_lexicographic_needs_a_scalar_result() -> None:
    with pytest.raises(cb.DerivativeError, match=r"scalar result is expected, got f64\[2\]"):
        cb.lexicographic(np.abs, np.zeros(2))
