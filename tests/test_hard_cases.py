"""Points where other systems return wrong derivatives; the values here were derived by hand."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import calcbench as cb


MODES = {"forward": cb.jacfwd, "reverse": cb.jacrev}
ORDERS = {
    "forward over forward": lambda f: cb.jacfwd(cb.jacfwd(f)),
    "forward over reverse": lambda f: cb.jacfwd(cb.jacrev(f)),
    "reverse over forward": lambda f: cb.jacrev(cb.jacfwd(f)),
    "reverse over reverse": lambda f: cb.jacrev(cb.jacrev(f)),
    "hessian": cb.hessian,
    "derivative": lambda f: cb.derivative(f, 2),
}


class Hard(NamedTuple):
    """A function, a point, the derivative there, and the convention that chooses it."""

    function: Callable[..., Any]
    at: tuple[Any, ...]
    expected: Any
    kink: str = "min-norm"


def one_at_one(x):
    """x^2 with its value at 1 spelt out: the derivative is that of x^2."""
    return 1.0 if x == 1 else x**2


def product_with_early_exit(x):
    """The product, left early at a zero."""
    total = 1.0
    for v in x:
        if v == 0:
            return 0.0
        total = total * v
    return total


def logsumexp_by_loop(x):
    """log(sum(exp(x))), entry by entry."""
    total = 0.0
    for v in x:
        total = total + np.exp(v)
    return np.log(total)


def shared_norm(a):
    """The largest absolute value of a matrix."""
    return np.max(np.abs(a))


TIED = np.array([[9.0, 2.0, 9.0], [-2.0, -3.0, -4.0], [7.0, 8.0, -9.0]])
THIRD = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, -1.0]]) / 3
MATRIX = np.array([[2.0, 0.3, -0.5], [0.1, 1.5, 0.4], [-0.2, 0.6, 1.1]])
VECTOR = np.array([0.3, -0.4])
RELUS = {
    "relu": cb.relu,
    "maximum(x, 0)": lambda x: np.maximum(x, 0.0),
    "maximum(0, x)": lambda x: np.maximum(0.0, x),
    "clip": lambda x: np.clip(x, 0.0, None),
    "where": lambda x: np.where(x > 0.0, x, 0.0),
}
# What an element of the Clarke subdifferential [0, 1] or [-1, 1] each convention chooses.
AT_RELU = {"min-norm": 0.0, "left": 0.0, "right": 1.0, "zero": 0.0, "mid": 0.5}
AT_ABS = {"min-norm": 0.0, "left": -1.0, "right": 1.0, "zero": 0.0, "mid": 0.0}
# b -> d/da a^b at a = 0: Stan's table.
SLOPES_AT_ZERO = {3.0: 0.0, 1.0: 1.0, 0.5: np.inf, 0.0: 0.0, -1.0: -np.inf}


def root_of_difference(x, z):
    """The square root of a positive part, where the positive part is zero."""
    return np.sqrt(np.maximum(0.0, x**2 - z**2))


def euclidean(x):
    """The Euclidean norm."""
    return np.linalg.norm(x)


HARD: dict[str, Hard] = {
    **{
        f"1 {spelling}, {kink}": Hard(f, (0.0,), slope, kink)
        for spelling, f in RELUS.items()
        for kink, slope in AT_RELU.items()
    },
    **{f"2 abs, {kink}": Hard(np.abs, (0.0,), slope, kink) for kink, slope in AT_ABS.items()},
    "4 three branches of slope one": Hard(
        lambda x: np.maximum(np.maximum(x, np.exp(x) - 1), ((x + 1) ** 2 - 1) / 2), (0.0,), 1.0
    ),
    "5 max of three": Hard(np.max, (np.ones(3),), np.full(3, 1 / 3)),
    "7 largest absolute value": Hard(shared_norm, (TIED,), THIRD),
    "7 infinity norm": Hard(lambda a: np.linalg.norm(a.ravel(), np.inf), (TIED,), THIRD),
    "13 a value spelt out": Hard(one_at_one, (1.0,), 2.0),
    "13 by where": Hard(lambda x: np.where(x == 1.0, 1.0, x**2), (1.0,), 2.0),
    "16 untaken root": Hard(lambda x: np.where(x >= 0, x, np.sqrt(-x)), (1.0,), 1.0),
    "16 untaken roots": Hard(
        lambda x: np.sum(np.where(x > 0, np.sqrt(x), x)), (np.array([-1.0, -4.0]),), [1.0, 1.0]
    ),
    "17 root of relu": Hard(lambda x: np.sqrt(cb.relu(x)), (-10.0,), 0.0),
    "18 root of a positive part": Hard(lambda x: root_of_difference(x, 2.0), (1.0,), 0.0),
    "18 by the other operand": Hard(lambda z: root_of_difference(1.0, z), (2.0,), 0.0),
    "19 norm": Hard(euclidean, (np.zeros(3),), np.zeros(3)),
    "19 squared norm": Hard(lambda x: euclidean(x) ** 2, (np.zeros(3),), np.zeros(3)),
    "20 power by its exponent": Hard(lambda b: np.power(0.0, b), (1.0,), 0.0),
    **{
        f"20 x**{b}": Hard(lambda a, b=b: a**b, (0.0,), slope)
        for b, slope in SLOPES_AT_ZERO.items()
    },
    **{
        f"20 power(x, {b})": Hard(lambda a, b=b: np.power(a, b * np.ones(())), (0.0,), slope)
        for b, slope in SLOPES_AT_ZERO.items()
    },
    "21 cumprod 2 3 0": Hard(
        lambda x: np.sum(np.cumprod(x)), (np.array([2.0, 3.0, 0.0]),), [4.0, 2.0, 6.0]
    ),
    "21 cumprod 0 2 3": Hard(
        lambda x: np.sum(np.cumprod(x)), (np.array([0.0, 2.0, 3.0]),), [9.0, 0.0, 0.0]
    ),
    "21 cumprod 2 0 0 3": Hard(
        lambda x: np.sum(np.cumprod(x)), (np.array([2.0, 0.0, 0.0, 3.0]),), [1.0, 2.0, 0.0, 0.0]
    ),
    "22 early exit": Hard(product_with_early_exit, (np.array([1.0, 0.0, 3.0]),), [0.0, 3.0, 0.0]),
    "22 prod": Hard(np.prod, (np.array([1.0, 0.0, 3.0]),), [0.0, 3.0, 0.0]),
    "24 clip by itself": Hard(lambda x: np.clip(x, 0.0, x), (5.0,), 1.0),
    **{
        f"24 clip at its bound, {kink}": Hard(lambda x: np.clip(x, 0.0, 1.0), (1.0,), slope, kink)
        for kink, slope in {"left": 1.0, "right": 0.0, "min-norm": 0.0, "mid": 0.5}.items()
    },
    "26 logsumexp": Hard(
        logsumexp_by_loop,
        (np.array([1.0, 2.0, 3.0, 4.0]),),
        np.exp([1.0, 2.0, 3.0, 4.0]) / np.sum(np.exp([1.0, 2.0, 3.0, 4.0])),
    ),
    "30 trace": Hard(lambda a: np.trace(a) + 1, (MATRIX,), np.eye(3)),
    "30 trace of a square": Hard(
        lambda a: np.trace(a) + np.trace(a @ a), (MATRIX,), np.eye(3) + 2 * MATRIX.T
    ),
    "30 log det": Hard(lambda a: np.log(np.linalg.det(a)), (MATRIX,), np.linalg.inv(MATRIX).T),
    "30 slogdet": Hard(lambda a: np.linalg.slogdet(a)[1], (MATRIX,), np.linalg.inv(MATRIX).T),
    "30 exp of a square": Hard(
        lambda v: np.exp(v @ v), (VECTOR,), 2 * np.exp(0.25) * np.array([0.3, -0.4])
    ),
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("mode", MODES)
def test_the_derivative_is_the_one_derived_by_hand(name, mode):
    case = HARD[name]
    derivative = MODES[mode](case.function, kink=case.kink)
    for _ in range(3):  # recorded, recorded again, and from the cache
        np.testing.assert_allclose(derivative(*case.at), case.expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", [n for n, c in HARD.items() if np.ndim(c.expected) == 0])
def test_jvp_and_vjp_agree_with_it(name):
    case = HARD[name]
    _, pushed = cb.jvp(case.function, case.at, (1.0,), kink=case.kink)
    _, pull = cb.vjp(case.function, *case.at, kink=case.kink)
    np.testing.assert_array_equal([pushed, pull(1.0)[0]], [case.expected, case.expected])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "spelling",
    [
        lambda v: np.maximum(np.maximum(v[0], v[1]), v[2]),
        lambda v: np.maximum(v[0], np.maximum(v[1], v[2])),
        lambda v: np.maximum.reduce(v),
        lambda v: max(v),
        lambda v: np.sort(v)[-1],
    ],
)
def test_5_every_spelling_of_a_triple_tie_stays_in_the_simplex(mode, spelling):
    slopes = MODES[mode](spelling)(np.ones(3))
    assert np.all(slopes >= 0)
    assert np.sum(slopes) == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kink", ["min-norm", "left", "right", "zero", "mid"])
def test_12_the_second_derivative_of_an_absolute_square(order, kink):
    with cb.kink_convention(kink):
        assert ORDERS[order](lambda x: abs(-(x**2)))(0.0) == 2.0


@pytest.mark.parametrize("order", ORDERS)
def test_13_the_second_derivative_passes_the_isolated_point_too(order):
    assert ORDERS[order](one_at_one)(1.0) == 2.0


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("mode", MODES)
def test_20_one_derivative_more_than_the_power_is_zero(n, mode):
    def f(x):
        return x**n

    for _ in range(n + 1):
        f = MODES[mode](f)
    assert f(0.0) == 0.0


@pytest.mark.parametrize("inner", MODES)
@pytest.mark.parametrize("outer", MODES)
def test_23_nested_derivatives_keep_their_variables_apart(outer, inner):
    outer, inner = MODES[outer], MODES[inner]
    assert outer(lambda x: x * inner(lambda y: x + y)(1.0))(1.0) == 1.0
    assert outer(lambda x: x * inner(lambda y: x * y)(1.0))(4.0) == 8.0


@pytest.mark.parametrize("mode", MODES)
def test_26_integers_are_refused_instead_of_giving_zeros(mode):
    with pytest.raises(cb.DTypeError, match=r"argument x .*int64.*carry no tangent"):
        MODES[mode](logsumexp_by_loop)(np.array([1, 2, 3, 4]))


def test_15_a_jump_at_a_test_for_equality_is_an_error_that_names_the_line():
    def jump(x):
        return 2.0 if x == 1 else x**2

    with pytest.raises(cb.DerivativeError, match=r"jumps at this point.*test_hard_cases.py:\d+"):
        cb.grad(jump)(1.0)
    assert cb.grad(jump)(2.0) == 4.0


def test_a_singularity_that_is_filled_by_a_test_for_equality_is_an_error_with_advice():
    def filled(x):
        return 1.0 if x == 0 else np.sin(x) / x

    with pytest.raises(cb.DerivativeError, match=r"spelt out at this point.*np\.sinc.*nan"):
        cb.grad(filled)(0.0)


# --- 33: the array changes between record and pullback -----------------------------------------

CAPTURED = np.array([1.0, 2.0])


def test_33_a_pullback_uses_the_values_of_its_argument_at_record_time():
    for _ in range(4):  # whether recorded or taken from the cache
        x = np.array([1.0, 2.0])
        _, pull = cb.vjp(lambda v: v * v, x)
        x[:] = 9.0
        np.testing.assert_array_equal(pull(np.ones(2))[0], [2.0, 4.0])


def test_33_and_of_arrays_that_the_function_captured():
    function = lambda s: CAPTURED * s * s  # noqa: E731
    for _ in range(4):
        CAPTURED[:] = [1.0, 2.0]
        value, pull = cb.vjp(function, 3.0)
        CAPTURED[:] = 9.0
        assert pull(np.ones(2)) == (18.0,)
        np.testing.assert_array_equal(value, [9.0, 18.0])


def test_33_the_value_and_the_cotangent_may_change_too():
    value, pull = cb.vjp(lambda v: np.exp(v), np.zeros(2))
    value[:] = 7.0
    cotangent = np.ones(2)
    first = pull(cotangent)[0]
    first[:] = 5.0
    np.testing.assert_array_equal(pull(cotangent)[0], [1.0, 1.0])
