"""Derivatives of functions with branches, compiled: a point takes its own branch, not another's."""

import numpy as np
import pytest

import calcbench as cb


def bent(x):
    return x**2 if x > 1 else x * 1.0


def spelt_out_at_zero(x):
    """The test for equality holds at 0 alone, where the general branch gives the derivative."""
    if x == 0:
        return x * 1.0
    return bent(x)


DERIVATIVES = {
    "grad": cb.grad,
    "jacobian": cb.jacobian,
    "jacrev": cb.jacrev,
    "jacfwd": cb.jacfwd,
    "second": lambda f: cb.grad(cb.grad(f)),
    "hessian": cb.hessian,
}
POINTS = np.array([0.0, 0.0, 0.0, 2.0, 0.5, 3.0, 0.0])
SLOPES = np.array([1.0, 1.0, 1.0, 4.0, 1.0, 6.0, 1.0])
CURVES = np.array([0.0, 0.0, 0.0, 2.0, 0.0, 2.0, 0.0])


def wanted(name):
    return CURVES if name in ("second", "hessian") else SLOPES


@pytest.mark.parametrize("function", [bent, spelt_out_at_zero])
@pytest.mark.parametrize("name", DERIVATIVES)
def test_one_point_after_the_other(name, function):
    compiled = cb.compile(DERIVATIVES[name](function), engine="tape")
    np.testing.assert_array_equal([compiled(x) for x in POINTS], wanted(name))


@pytest.mark.parametrize("function", [bent, spelt_out_at_zero])
@pytest.mark.parametrize("name", DERIVATIVES)
def test_all_points_at_once(name, function):
    compiled = cb.compile(DERIVATIVES[name](function), engine="tape")
    for _ in range(2):
        np.testing.assert_array_equal(compiled.batch(POINTS), wanted(name))


@pytest.mark.parametrize("name", DERIVATIVES)
def test_without_an_engine(name):
    derivative = DERIVATIVES[name](spelt_out_at_zero)
    np.testing.assert_array_equal([derivative(x) for x in POINTS], wanted(name))
