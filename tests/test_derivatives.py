"""The derivative functions: shapes, argument numbers, orders and nesting, against closed forms."""

import numpy as np
import pytest
import sympy as sp

import calcbench as cb


X = np.array([0.5, -1.0, 2.0])
A = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]])


def cubic(x, y):
    return np.sum(x**3 * y) + np.sum(np.sin(y))


@pytest.mark.parametrize(
    ("argnums", "kind"), [(0, None), (1, None), (-1, None), ((0,), 1), ((0, 1), 2), ((1, 0), 2)]
)
@pytest.mark.parametrize("function", [cb.grad, cb.value_and_grad, cb.jacobian, cb.hessian])
def test_an_int_gives_a_bare_result_and_a_tuple_a_tuple(function, argnums, kind):
    found = function(cubic, argnums=argnums)(X, X + 1)
    found = found[1] if function is cb.value_and_grad else found
    assert (kind is None) == (not isinstance(found, tuple))
    if kind is not None:
        assert len(found) == kind


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,)])
def test_shapes_are_those_of_the_output_then_the_input(mode, shape):
    x = np.full(shape, 0.5)
    assert cb.jacobian(lambda x: np.sum(x**2), mode=mode)(x).shape == shape
    assert cb.jacobian(lambda x: np.sin(x), mode=mode)(x).shape == shape + shape
    assert cb.jacobian(lambda x: np.outer(x, x), mode=mode)(x).shape == (
        *(2 * (int(np.prod(shape)),)), *shape,
    )  # fmt: skip
    assert cb.hessian(lambda x: np.sum(x**3))(x).shape == shape + shape


def test_closed_forms():
    np.testing.assert_allclose(cb.grad(cubic, 0)(X, X + 1), 3 * X**2 * (X + 1), rtol=1e-15)
    np.testing.assert_allclose(cb.grad(cubic, 1)(X, X + 1), X**3 + np.cos(X + 1), rtol=1e-15)
    np.testing.assert_array_equal(cb.jacobian(lambda x: A @ x)(X), A)
    np.testing.assert_allclose(cb.hessian(cubic, 0)(X, X + 1), np.diag(6 * X * (X + 1)), rtol=1e-15)
    blocks = cb.hessian(cubic, (0, 1))(X, X + 1)
    np.testing.assert_allclose(blocks[0][1], np.diag(3 * X**2), rtol=1e-15)
    np.testing.assert_allclose(blocks[1][1], np.diag(-np.sin(X + 1)), rtol=1e-15)
    product = cb.hvp(cubic, (X, X + 1), (X, np.zeros(3)))
    np.testing.assert_allclose(product[0], 6 * X**2 * (X + 1), rtol=1e-15)
    value, pull = cb.vjp(lambda x: A @ x, X)
    np.testing.assert_array_equal(value, A @ X)
    np.testing.assert_array_equal(pull(np.array([1.0, 2.0]))[0], A.T @ [1.0, 2.0])


ORDERS = {
    "sin": (np.sin, sp.sin),
    "power": (lambda x: x**5, lambda x: x**5),
    "product": (lambda x: np.exp(-x) * np.cos(2 * x), lambda x: sp.exp(-x) * sp.cos(2 * x)),
    "quotient": (lambda x: 1 / (1 + x**2), lambda x: 1 / (1 + x**2)),
}


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("n", range(7))
def test_derivatives_up_to_the_sixth_order_are_sympys(name, n):
    ours, symbolic = ORDERS[name]
    x = sp.Symbol("x")
    expected = float(sp.diff(symbolic(x), x, n).subs(x, sp.Rational(7, 10)).evalf(30))
    np.testing.assert_allclose(cb.derivative(ours, n)(0.7), expected, rtol=1e-12, atol=1e-13)


def test_nesting():
    def inner(x):
        return x * cb.grad(lambda y: x * y**2)(x)  # 2 x^3

    assert cb.grad(inner)(3.0) == 54.0
    assert cb.grad(cb.grad(cb.grad(lambda x: x**4)))(2.0) == 48.0
    assert cb.grad(lambda x: cb.jvp(np.sin, (x,), (2.0,))[1])(0.5) == -2 * np.sin(0.5)
    assert cb.grad(lambda x: cb.vjp(np.sin, x)[1](2.0)[0])(0.5) == -2 * np.sin(0.5)
    trace_of_hessian = cb.grad(lambda x: np.trace(cb.hessian(lambda y: np.sum(y**3) * x)(X)))
    np.testing.assert_allclose(trace_of_hessian(1.0), 6 * np.sum(X), rtol=1e-15)
    directional = cb.grad(lambda x: np.sum(cb.hvp(lambda y: np.sum(y**4), x, X)))
    np.testing.assert_allclose(directional(X), 24 * X**2, rtol=1e-14)


def test_kinks_are_chosen_per_call_and_by_context():
    assert cb.grad(np.abs, kink="right")(0.0) == 1.0
    assert cb.grad(np.abs, kink="left")(0.0) == -1.0
    gradient = cb.grad(cb.relu)
    assert [gradient(0.0) for _ in range(3)] == [0.0] * 3
    for name, slope in (("right", 1.0), ("mid", 0.5), ("left", 0.0), ("zero", 0.0)):
        with cb.kink_convention(name):
            assert gradient(0.0) == slope
            assert cb.jvp(cb.relu, (0.0,), (1.0,))[1] == slope
    assert gradient(0.0) == 0.0
    with pytest.raises(ValueError, match="min-norm"):
        cb.grad(np.abs, kink="best")(0.0)
