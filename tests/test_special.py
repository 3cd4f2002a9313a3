"""The special functions: values and derivatives of every order against mpmath."""

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph import kernels
from calcbench.graph.arraytype import DerivativeError, array_type
from calcbench.graph.checker import check_graph
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.graph.primitive import Primitive
from calcbench.graph.special import (
    HIGHEST_ORDER,
    digamma,
    erf,
    erfc,
    lgamma,
    polygamma,
    sinc,
    sinc_derivative,
)
from calcbench.reverse_mode.pullback import vjp_graph


POSITIVE = (1e-300, 1e-9, 0.02, 0.3, 0.7, 1.0, 1.46, 1.47, 2.0, 2.9, 5.5, 9.99, 10.01, 30.25, 1e7)
NEGATIVE = (-1e-9, -0.3, -0.7, -1.5, -2.2, -7.9, -20.5)
REAL = (0.0, 1e-300, -1e-9, 0.01, -0.4, 0.5, 1.0, -1.3, 2.0, 2.7, -5.5, 5.9)
SINC_POINTS = (
    0.0, -0.0, 5e-324, 1e-300, -1e-12, 1e-4, 0.1, 0.3, -0.318, 0.32, 0.5, 0.9, 1.0, 1.5, -2.0,
    3.1, 4.77, 7.25, 10.5, 33.3, 1e6 + 0.25,
)  # fmt: skip


def one_node(row: Primitive, dtype: object = np.float64, shape: Any = (), **params: Any) -> Graph:
    builder = Builder()
    x = Value(builder, builder.add_input("x", array_type(shape, dtype)))
    return check_graph(builder.freeze([row(x, **params).id]))


def slope(row: Primitive, x: float, **params: Any) -> tuple[float, float]:
    """The derivative at x in forward and in reverse mode."""
    graph = one_node(row, **params)
    push, pull = check_graph(jvp_graph(graph)), check_graph(vjp_graph(graph))
    point, unit = np.float64(x), np.float64(1.0)
    return float(evaluate(push, point, unit)[1]), float(evaluate(pull, point, unit)[1])


def precise_sinc(x: float, order: int) -> Any:
    """The derivative by the power series, which converges everywhere, with digits to spare."""
    with mpmath.workdps(40 + int(3 * abs(x))):
        u = mpmath.pi * mpmath.mpf(x)
        total, k = mpmath.mpf(0), (order + 1) // 2
        while True:
            power = 2 * k - order
            term = (-1) ** k * u**power / (mpmath.factorial(power) * (2 * k + 1))
            total += term
            if power > 2 * abs(u) and abs(term) < mpmath.mpf(10) ** -36 * abs(total):
                return mpmath.pi**order * total
            if u == 0:
                return mpmath.pi**order * total
            k += 1


def far_sinc(x: float, order: int) -> Any:
    """The derivative by the recurrence upward, which is stable where |x| is large."""
    with mpmath.workdps(60):
        u = mpmath.pi * mpmath.mpf(x)
        s = mpmath.sin(u) / u
        for k in range(1, order + 1):
            s = (mpmath.sin(u + k * mpmath.pi / 2) - k * s) / u
        return mpmath.pi**order * s


def ulps(got: float, want: Any, floor: float = 0.0) -> float:
    """The error of `got` in units of the last place of `want`, or of `floor` if that is larger."""
    unit = math.ulp(max(abs(float(want)), floor))
    return float(abs(mpmath.mpf(got) - want) / unit)


# --- sinc ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", range(9))
def test_derivatives_of_sinc_of_every_order_are_right_at_and_near_zero(order: int) -> None:
    """To a few ulps of the largest value that the derivative takes near the point."""
    for x in SINC_POINTS:
        want = precise_sinc(x, order) if abs(x) < 50 else far_sinc(x, order)
        size = math.pi**order / (order + 1 + math.pi * abs(x))
        got = kernels.sinc_derivative_kernel(x, order)
        assert ulps(got, want, size) <= 6, (x, got, want)
        if 1e-305 < abs(x) < 0.1:  # the relative error counts, also of the odd orders' small values
            assert ulps(got, want) <= 6, (x, got, want)
        if order:
            value = float(sinc_derivative.numpy(np.float64(x), order=order))
            assert ulps(value, want, size) <= 6, (x, value, want)


def test_the_derivative_graphs_of_sinc_have_the_known_values_at_zero() -> None:
    """sinc'' (0) = -pi^2/3 and sinc''''(0) = pi^4/5; odd orders vanish."""
    for order, want in [(0, 0.0), (1, -(math.pi**2) / 3), (2, 0.0), (3, math.pi**4 / 5)]:
        row, params = (sinc, {}) if order == 0 else (sinc_derivative, {"order": order})
        assert slope(row, 0.0, **params) == pytest.approx((want, want), rel=1e-15, abs=0)


def test_sinc_is_numpys_and_its_slope_is_finite_next_to_zero() -> None:
    for x in (0.0, 1e-320, -1e-20, 1e-8, 0.3):
        assert float(sinc.numpy(np.float64(x))) == np.sinc(x)
        assert slope(sinc, x)[0] == pytest.approx(-(math.pi**2) / 3 * x, rel=0.3, abs=1e-323)


# --- gamma family --------------------------------------------------------------------------------


@pytest.mark.parametrize("x", POSITIVE)
def test_digamma_is_right_to_a_few_ulps_where_it_is_positive(x: float) -> None:
    """Also next to its zero 1.4616..., where the difference to the zero is kept exact."""
    want = mpmath.digamma(mpmath.mpf(x))
    assert ulps(kernels.digamma_kernel(x), want) <= 4
    assert ulps(float(digamma.numpy(np.float64(x))), want) <= 4


@pytest.mark.parametrize("x", NEGATIVE)
def test_digamma_left_of_zero_is_right_to_the_size_of_its_terms(x: float) -> None:
    want = mpmath.digamma(mpmath.mpf(x))
    assert ulps(kernels.digamma_kernel(x), want, 4.0) <= 8


@pytest.mark.parametrize("order", [1, 2, 3, 6, 15, 40])
def test_polygamma_is_right_to_a_few_ulps(order: int) -> None:
    for x in POSITIVE:
        want = mpmath.polygamma(order, mpmath.mpf(x))
        if 1e-290 < abs(want) < 1e290:
            assert ulps(kernels.polygamma_kernel(x, order), want) <= 24, x
            assert ulps(float(polygamma.numpy(np.float64(x), order=order)), want) <= 40, x
    for x in NEGATIVE[1:]:  # terms of both signs: the error is small beside the largest of them
        want = mpmath.polygamma(order, mpmath.mpf(x))
        largest = math.factorial(order) * abs(x - round(x)) ** -(order + 1.0)
        assert ulps(kernels.polygamma_kernel(x, order), want, largest) <= 24, x


def test_poles_answer_with_infinities_or_nan_and_never_raise() -> None:
    assert kernels.digamma_kernel(0.0) == -math.inf
    assert kernels.digamma_kernel(-0.0) == math.inf
    assert math.isnan(kernels.digamma_kernel(-3.0))
    for x in (0.0, -4.0, 1e-200):
        assert kernels.polygamma_kernel(x, 1) == math.inf
        assert polygamma.numpy(np.float64(x), order=1) == math.inf
    assert kernels.polygamma_kernel(1e-200, 2) == -math.inf
    assert math.isnan(kernels.polygamma_kernel(-4.0, 2))
    assert math.isnan(polygamma.numpy(np.float64(-4.0), order=2))
    assert math.isnan(kernels.digamma_kernel(math.nan))


@pytest.mark.parametrize("x", [0.02, 0.7, 2.5, 30.0, -0.3, -1.5, -2.2])
def test_slopes_of_the_gamma_family_equal_mpmath_in_both_modes(x: float) -> None:
    """Between the poles on the negative axis too, where lgamma is log |gamma|."""
    at = mpmath.mpf(x)
    cases: list[tuple[Primitive, dict[str, int], Any]] = [
        (lgamma, {}, mpmath.digamma(at)),
        (digamma, {}, mpmath.polygamma(1, at)),
        (polygamma, {"order": 1}, mpmath.polygamma(2, at)),
        (polygamma, {"order": 4}, mpmath.polygamma(5, at)),
    ]
    for row, params, want in cases:
        forward, reverse = slope(row, x, **params)
        assert forward == reverse
        assert forward == pytest.approx(float(want), rel=1e-13)
    assert float(lgamma.numpy(np.float64(x))) == pytest.approx(
        float(mpmath.log(abs(mpmath.gamma(at)))), rel=1e-13
    )


def test_lgamma_next_to_zero_and_at_infinity() -> None:
    for x in (5e-324, -5e-324, 1e-30, -1e-30):
        assert float(lgamma.numpy(np.float64(x))) == pytest.approx(-math.log(abs(x)), rel=1e-15)
    with np.errstate(all="ignore"):
        values = lgamma.numpy(np.array([0.0, -0.0, -2.0, math.inf, -math.inf]))
    np.testing.assert_array_equal(values, [math.inf] * 5)


# --- error function ------------------------------------------------------------------------------


@pytest.mark.parametrize("x", REAL)
def test_the_error_function_and_its_slope_equal_mpmath(x: float) -> None:
    bell = 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-(mpmath.mpf(x) ** 2))
    for row, value, sign in [(erf, mpmath.erf, 1), (erfc, mpmath.erfc, -1)]:
        # SciPy's erfc loses digits in its tail.
        assert ulps(float(row.numpy(np.float64(x))), value(mpmath.mpf(x))) <= 16
        for found in slope(row, x):
            assert found == pytest.approx(float(sign * bell), rel=1e-14)  # rounding of x * x


# --- types, parameters ---------------------------------------------------------------------------

ROWS: list[tuple[Primitive, dict[str, int]]] = [
    (erf, {}), (erfc, {}), (lgamma, {}), (digamma, {}), (sinc, {}),
    (polygamma, {"order": 1}), (sinc_derivative, {"order": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("row", "params"), ROWS)
def test_float32_stays_float32_in_values_and_in_both_modes(
    row: Primitive, params: dict[str, int]
) -> None:
    x = np.array([0.3, 1.7, 2.5], np.float32)
    graph = one_node(row, np.float32, (3,), **params)
    push, pull = check_graph(jvp_graph(graph)), check_graph(vjp_graph(graph))
    double = one_node(row, shape=(3,), **params)
    wide = evaluate(jvp_graph(double), x.astype(float), np.ones(3))
    for results in (evaluate(push, x, np.ones_like(x)), evaluate(pull, x, np.ones_like(x))):
        for result, want in zip(results, wide, strict=True):
            assert result.dtype == np.float32
            np.testing.assert_allclose(result, want, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("order", [0, -1, 1.0, HIGHEST_ORDER + 1, "2"])
@pytest.mark.parametrize("row", [polygamma, sinc_derivative])
def test_an_order_that_is_no_number_from_1_on_is_refused(row: Primitive, order: Any) -> None:
    with pytest.raises(DerivativeError, match=f"{row.name} takes an order .* got {order!r}"):
        one_node(row, order=order)


KERNELS: list[tuple[Callable[..., float], Callable[..., Any], tuple[int, ...]]] = [
    (kernels.digamma_kernel, digamma.numpy, ()),
    (kernels.sinc_kernel, sinc.numpy, ()),
]


@pytest.mark.parametrize(("kernel", "value", "rest"), KERNELS)
def test_kernels_equal_the_numpy_value_at_random_points(
    kernel: Callable[..., float], value: Any, rest: Any, rng: np.random.Generator
) -> None:
    for x in rng.uniform(0.01, 20.0, 200):
        assert ulps(kernel(float(x), *rest), mpmath.mpf(float(value(x))), 0.05) <= 6


def test_pi_times_x_is_reduced_before_it_is_multiplied() -> None:
    for x in (0.0, 1.0, -3.0, 2.0**40 + 1):
        assert kernels.sinpi_kernel(x) == 0.0
        assert kernels.cospi_kernel(x + 0.5) == 0.0
    for x in (0.1, -0.7, 1.3, 1e9 + 0.125, -2.9):
        assert ulps(kernels.sinpi_kernel(x), mpmath.sinpi(mpmath.mpf(x))) <= 2
        assert ulps(kernels.cospi_kernel(x), mpmath.cospi(mpmath.mpf(x))) <= 2
