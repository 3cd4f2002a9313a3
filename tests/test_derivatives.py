"""The derivative functions: shapes, argument numbers, orders and nesting, against closed forms."""

import numpy as np
import pytest
import sympy as sp

import calcbench as cb
from calcbench.programs import Session


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


W = np.array([[0.4, -1.1, 0.3], [0.2, 0.8, -0.6]])
FUNCTIONS = {
    "scalar to scalar": (lambda x: np.sin(x) * np.exp(-x), 0.7),
    "vector to scalar": (lambda x: np.sum(np.tanh(x) ** 2) / x[0], X),
    "matrix to scalar": (lambda a: np.log(np.linalg.det(a @ a.T)), W),
    "scalar to vector": (lambda t: np.array([np.cos(t), np.sin(t), t**2]), 0.3),
    "vector to vector": (lambda x: np.exp(W @ x) + x[:2], X),
    "vector to matrix": (lambda x: np.outer(x, np.sin(x)), X),
    "matrix to vector": (lambda a: np.linalg.norm(a, axis=1) * np.sum(a), W),
    "matrix to matrix": (lambda a: np.linalg.inv(a @ a.T) @ a, W),
    "branching": (lambda x: x**2 if np.sum(x) > 0 else x**3, X),
    "no dependence": (lambda x: 0.0 * x[:2] + 3.0, X),
}


def differences(function, x):
    """The Jacobian by central differences, of shape out.shape + in.shape."""
    x, h = np.asarray(x, float), 1e-5
    columns = []
    for entry in range(x.size):
        step = np.zeros(x.size)
        step[entry] = h
        step = step.reshape(x.shape)
        columns.append((function(x + step) - function(x - step)) / (2 * h))
    return np.reshape(np.stack(columns, -1), np.shape(function(x)) + x.shape)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_of_the_library_agrees_with_differences(name):
    function, x = FUNCTIONS[name]
    expected, value = differences(function, x), function(x)
    close = {"rtol": 1e-7, "atol": 1e-8}
    for mode in ("auto", "forward", "reverse"):
        np.testing.assert_allclose(cb.jacobian(function, mode=mode)(x), expected, **close)
    np.testing.assert_array_equal(cb.jacfwd(function)(x), cb.jacobian(function, mode="forward")(x))
    np.testing.assert_array_equal(cb.jacrev(function)(x), cb.jacobian(function, mode="reverse")(x))
    direction = np.cos(np.arange(1.0, np.size(x) + 1)).reshape(np.shape(x))
    y, pushed = cb.jvp(function, (x,), (direction,))
    np.testing.assert_allclose(y, value, rtol=1e-14)
    np.testing.assert_allclose(pushed, np.tensordot(expected, direction, np.ndim(x)), **close)
    y, pull = cb.vjp(function, x)
    weights = np.sin(np.arange(1.0, np.size(value) + 1)).reshape(np.shape(value))
    np.testing.assert_allclose(y, value, rtol=1e-14)
    pulled = np.tensordot(weights, expected, np.ndim(value))
    np.testing.assert_allclose(pull(weights)[0], pulled, **close)
    np.testing.assert_allclose(pull(2 * weights)[0], 2 * pulled, **close)


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n.endswith("to scalar")])
def test_functions_of_scalars_agree_with_differences_of_gradients(name):
    function, x = FUNCTIONS[name]
    slope = cb.grad(function)(x)
    np.testing.assert_allclose(slope, differences(function, x), rtol=1e-7, atol=1e-8)
    value, again = cb.value_and_grad(function)(x)
    assert value == pytest.approx(function(x), rel=1e-14)
    np.testing.assert_array_equal(again, slope)
    hessian = cb.hessian(function)(x)
    assert hessian.shape == np.shape(x) + np.shape(x)
    expected = differences(cb.grad(function), x)
    np.testing.assert_allclose(hessian, expected, rtol=1e-6, atol=1e-7)
    for twice in (cb.jacfwd(cb.jacrev(function)), cb.jacrev(cb.jacfwd(function))):
        np.testing.assert_allclose(twice(x), hessian, rtol=1e-9, atol=1e-11)
    direction = np.cos(np.arange(1.0, np.size(x) + 1)).reshape(np.shape(x))
    product = cb.hvp(function, x, direction)
    expected = np.tensordot(hessian, direction, np.ndim(x))
    np.testing.assert_allclose(product, expected, rtol=1e-9, atol=1e-11)


def test_both_modes_take_one_sweep_per_entry(monkeypatch):
    taken = []
    finish = Session.finish
    monkeypatch.setattr(Session, "finish", lambda s, *a: taken.append(1) or finish(s, *a))
    sweeps = {}
    for mode in ("forward", "reverse", "auto"):
        taken.clear()
        cb.jacobian(lambda x: W @ x, mode=mode)(X)
        sweeps[mode] = len(taken)
    assert sweeps == {"forward": 3, "reverse": 2, "auto": 2}


@pytest.mark.parametrize("function", [cb.grad, cb.jacfwd, cb.jacrev, cb.hessian, cb.derivative])
def test_float32_stays_float32(function):
    slope = function(lambda x: np.sin(x) * 2.0)(np.float32(0.5))
    assert slope.dtype == np.float32
    wide = function(lambda x: np.sin(x) * 2.0)(0.5)
    assert abs(slope - wide) < 4 * np.finfo(np.float32).eps


def test_seeds_are_converted_to_the_dtype_of_their_value():
    x = X.astype(np.float32)
    value, tangent = cb.jvp(np.sin, x, X)
    assert value.dtype == tangent.dtype == np.float32
    assert cb.vjp(np.sin, x)[1](X)[0].dtype == np.float32
    assert cb.hvp(lambda v: np.sum(v**3), x, X).dtype == np.float32


def test_trees_of_arguments_and_results():
    def f(params, scale):
        return {"y": scale * params["w"] @ params["v"][0], "s": [np.sum(params["w"])]}

    params = {"w": W, "v": (X,)}
    blocks = cb.jacobian(f, (0, 1))(params, 2.0)
    assert blocks["y"][0]["w"].shape == (2, 2, 3)
    np.testing.assert_array_equal(blocks["y"][0]["v"][0], 2.0 * W)
    np.testing.assert_array_equal(blocks["y"][1], W @ X)
    np.testing.assert_array_equal(blocks["s"][0][0]["w"], np.ones((2, 3)))
    np.testing.assert_array_equal(blocks["s"][0][1], 0.0)
    hessian = cb.hessian(lambda p: np.sum(p["w"] @ p["v"][0]) ** 2)(params)
    assert hessian["w"]["v"][0].shape == (2, 3, 3)
    np.testing.assert_allclose(hessian["w"]["v"][0], np.moveaxis(hessian["v"][0]["w"], 0, -1))


def test_results_without_tangent_have_none():
    def f(x):
        return np.sin(x), np.argmax(x), "label"

    value, tangent = cb.jvp(f, X, np.ones(3))
    assert value[1:] == (2, "label")
    np.testing.assert_array_equal(tangent[0], np.cos(X))
    assert tangent[1:] == (None, None)
    _, pull = cb.vjp(f, X)
    np.testing.assert_array_equal(pull((np.ones(3), None, None))[0], np.cos(X))


@pytest.mark.parametrize("mode", [cb.jacfwd, cb.jacrev])
def test_traced_seeds_at_constant_points(mode):
    np.testing.assert_allclose(mode(lambda t: cb.jvp(np.sin, X, t)[1])(X), np.diag(np.cos(X)))
    np.testing.assert_allclose(mode(lambda t: cb.vjp(np.sin, X)[1](t)[0])(X), np.diag(np.cos(X)))
    _, outer_pull = cb.vjp(np.sin, X)
    np.testing.assert_allclose(mode(lambda t: outer_pull(t)[0])(X), np.diag(np.cos(X)))
    cubic_form = mode(lambda t: cb.hvp(lambda x: np.sum(x**3), X, t))(X)
    np.testing.assert_allclose(cubic_form, np.diag(6 * X))


def test_a_derivative_is_a_function_with_the_name_of_its_function():
    assert cb.grad(cubic).__name__ == "cubic"
    assert cb.hessian(cubic).__wrapped__ is cubic


def test_a_tuple_of_one_for_nth_derivatives():
    assert cb.derivative(lambda x: x**3, 2, argnums=(0,))(2.0) == (12.0,)
    assert cb.derivative(lambda a, x: a * x**3, 2, argnums=-1)(5.0, 2.0) == 60.0


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


def power(x, n, y):
    return y * x**n


def test_products_differentiate_the_arguments_that_are_asked_for():
    args = (2.0, 3, 5.0)  # an integer among them carries no tangent
    _, slope = cb.jvp(power, args, 1.0, argnums=0)
    assert slope == 5 * 3 * 2.0**2
    _, slope = cb.jvp(power, args, (1.0, 1.0), argnums=(2, 0))
    assert slope == 2.0**3 + 60
    assert cb.vjp(power, *args, argnums=0)[1](1.0) == 60
    assert cb.vjp(power, *args, argnums=(-1,))[1](2.0) == (16.0,)
    assert cb.vjp(power, *args, argnums=(2, 0))[1](1.0) == (8.0, 60.0)
    assert cb.hvp(power, args, 1.0, argnums=0) == 5 * 6 * 2.0
    assert cb.hvp(power, args, (1.0,), argnums=(0,)) == (60.0,)
    assert cb.hvp(power, args, (1.0, 0.0), argnums=(0, 2)) == (60.0, 12.0)


@pytest.mark.parametrize("product", [cb.jvp, cb.hvp])
def test_one_tangent_belongs_to_each_argument_asked_for(product):
    with pytest.raises(cb.DerivativeError, match="expected 2 leaves"):
        product(power, (2.0, 3, 5.0), (1.0,), argnums=(0, 2))
    with pytest.raises(cb.DTypeError, match="argument n has dtype int64"):
        product(power, (2.0, 3, 5.0), (1.0, 1.0, 1.0))
    with pytest.raises(cb.DerivativeError, match="argnums=3"):
        product(power, (2.0, 3, 5.0), 1.0, argnums=3)


def test_the_order_may_be_an_integer_of_numpy():
    assert cb.derivative(lambda x: x**3, np.int64(2))(2.0) == 12.0


@pytest.mark.parametrize("function", [cb.grad, cb.value_and_grad, cb.hessian])
def test_a_result_that_is_no_scalar_says_what_to_do(function):
    with pytest.raises(cb.DerivativeError, match=r"got \(f64\[3\]\); sum the result \(np.sum\)"):
        function(lambda x: x)(X)


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
