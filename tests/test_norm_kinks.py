"""Square roots of sums of squares are norms: slope 0 at the origin, in every spelling and mode."""

import numpy as np
import pytest

import calcbench as cb


NORMS = {
    "norm": np.linalg.norm,
    "sqrt of squares": lambda x: np.sqrt(np.sum(x**2)),
    "sqrt of products": lambda x: np.sqrt(np.sum(x * x)),
    "sqrt of an inner product": lambda x: np.sqrt(x @ x),
    "entry by entry": lambda x: np.sqrt(x[0] ** 2 + x[1] ** 2),
    "root mean square": lambda x: np.sqrt(np.mean(x**2)),
    "half a square": lambda x: np.sqrt(0.5 * np.sum(x**2)),
    "hypot": lambda x: np.hypot(x[0], x[1]),
    "standard deviation": np.std,
}


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("derivative", [cb.jacfwd, cb.jacrev])
def test_the_slope_at_the_origin_is_zero(name, derivative):
    np.testing.assert_array_equal(derivative(NORMS[name])(np.zeros(2)), [0.0, 0.0])


@pytest.mark.parametrize("name", NORMS)
def test_away_from_the_origin_the_slope_is_that_of_the_differences(name):
    x, h = np.array([0.3, -1.1]), 1e-6
    norm = NORMS[name]
    expected = [(norm(x + h * e) - norm(x - h * e)) / (2 * h) for e in np.eye(2)]
    np.testing.assert_allclose(cb.grad(norm)(x), expected, rtol=1e-8)


def test_a_square_root_of_something_else_keeps_its_infinite_slope():
    assert cb.grad(np.sqrt)(0.0) == np.inf
    assert np.isnan(cb.grad(lambda x: np.sqrt(x) ** 2)(0.0))


SIGNED_SQUARES = {
    "-(x**2)": lambda x: np.abs(-(x**2)),
    "-x*x": lambda x: np.abs(-x * x),
    "x*-x": lambda x: np.abs(x * -x),
    "-(x*x)": lambda x: np.abs(-(x * x)),
}


@pytest.mark.parametrize("name", SIGNED_SQUARES)
def test_the_absolute_value_of_minus_a_square_is_smooth_in_every_spelling(name):
    function = SIGNED_SQUARES[name]
    assert cb.derivative(function, 2)(0.0) == 2.0
    assert cb.hessian(function)(0.0) == 2.0
    assert cb.grad(function)(-1.5) == -3.0
