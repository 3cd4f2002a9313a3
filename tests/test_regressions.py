"""Defects found by using calcbench in anger, each with a value known from elsewhere."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import calcbench as cb


Function = Callable[[Any], Any]


def both_modes(f: Function, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """The gradient in reverse mode, and in forward mode one coordinate at a time."""
    point = np.asarray(x, dtype=float)
    argument = point if point.ndim else float(point)
    units = np.eye(point.size).reshape(point.size, *point.shape)
    slopes = [cb.jvp(f, (argument,), (unit if point.ndim else 1.0,))[1] for unit in units]
    return np.asarray(cb.grad(f)(argument)), np.reshape(slopes, point.shape)


# --- no 0 * inf from entries and branches that the result does not use -------------------------


def branch_uses_root_twice(x: Any) -> Any:
    root = np.sqrt(x)
    return np.sum(np.where(x > 0, root + root**3, 0.0))


def loop_skips(x: Any) -> Any:
    total = 0.0
    for root in np.sqrt(x):
        if root > 0:
            total = total + root
    return total


def overwritten(x: Any) -> Any:
    y = np.sqrt(x)
    y[0] = 3.0
    return np.sum(y)


UNUSED: dict[str, tuple[Function, Any, Any]] = {
    "a branch that uses a root twice": (branch_uses_root_twice, [0.0, -1.0, 4.0], [0, 0, 3.25]),
    "slice": (lambda x: np.sum(np.sqrt(x)[1:]), [0.0, 1.0], [0, 0.5]),
    "entry": (lambda x: np.log(x)[1], [0.0, 2.0], [0, 0.5]),
    "index array": (lambda x: np.sum(np.sqrt(x)[np.array([1, 1])]), [0.0, 1.0], [0, 1.0]),
    "mask": (lambda x: np.sum(np.log(x)[x > 0]), [0.0, 2.0], [0, 0.5]),
    "take": (lambda x: np.sum(np.take(1 / x, [2, 1])), [0.0, 1.0, 2.0], [0, -1, -0.25]),
    "split": (lambda x: np.sum(np.split(np.sqrt(x), 2)[0]), [1.0, 0.0], [0.5, 0]),
    "trace": (lambda x: np.trace(np.sqrt(x)), [[1.0, 0.0], [0.0, 1.0]], [[0.5, 0], [0, 0.5]]),
    "sort": (lambda x: np.sort(np.sqrt(x))[1], [0.0, 1.0], [0, 0.5]),
    "median": (lambda x: np.median(np.sqrt(x)), [0.0, 1.0, 2.0], [0, 0.5, 0]),
    "reduced, then switched off": (
        lambda x: np.where(np.sum(x) > 9, np.sum(np.sqrt(x)), 0.0),
        [0.0, 1.0],
        [0, 0],
    ),
    "joined, then switched off": (
        lambda x: np.sum(np.where(x > 0, np.concatenate([np.sqrt(x[:1]), np.log(x[1:])]), 0.0)),
        [0.0, 2.0],
        [0, 0.5],
    ),
    "broadcast, then switched off": (
        lambda x: np.sum(np.where(np.array([False, False]), np.sqrt(x), 0.0)),
        0.0,
        0.0,
    ),
    "a loop that skips": (loop_skips, [0.0, 1.0, 4.0], [0, 0.5, 0.25]),
    "an entry overwritten": (overwritten, [0.0, 1.0], [0, 0.5]),
}


@pytest.mark.parametrize("name", UNUSED)
def test_what_the_result_does_not_use_has_slope_zero(name: str) -> None:
    f, x, expected = UNUSED[name]
    with np.errstate(all="ignore"):
        for slope in both_modes(f, x):
            np.testing.assert_allclose(slope, expected, rtol=1e-12, atol=0)


def test_what_the_result_uses_keeps_its_infinite_slope() -> None:
    with np.errstate(all="ignore"):
        assert cb.grad(lambda x: np.sum(np.sqrt(x)[:1]))(np.array([0.0, 1.0]))[0] == math.inf


# --- small slopes beside large terms -----------------------------------------------------------


@pytest.mark.parametrize("x", [0.0, 0.3, -3.0, 10.0, -20.0, 300.0, 400.0, -1e308])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_tanh_far_from_zero(x: float, order: int) -> None:
    with mpmath.workdps(40), warnings.catch_warnings():
        warnings.simplefilter("error")
        t = mpmath.tanh(x)
        sech2 = mpmath.sech(min(abs(x), 1e4)) ** 2
        exact = (sech2, -2 * t * sech2, (6 * t**2 - 2) * sech2)[order - 1]
        np.testing.assert_allclose(cb.derivative(np.tanh, order)(x), float(exact), rtol=1e-14)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize(
    "x", [(37.43, 0.0, -3.0), (0.0, 0.0, 1.0), (-900.0, 0.0, 0.0), (80.0, 1.0)]
)
def test_softmax_of_distant_entries(x: tuple[float, ...], mode: str) -> None:
    with mpmath.workdps(60):
        powers = [mpmath.exp(v) for v in x]
        s = [p / sum(powers) for p in powers]
        exact = [[float(s[i] * ((i == j) - s[j])) for j in range(len(s))] for i in range(len(s))]
    found = cb.jacobian(cb.softmax, mode=mode)(np.array(x))
    np.testing.assert_allclose(found, exact, rtol=1e-14)


# --- the seam of a function written with np.select ---------------------------------------------

ELU: dict[str, Function] = {
    "smooth side first": lambda x: np.select([x < 0, x >= 0], [np.expm1(x), x]),
    "straight side first": lambda x: np.select([x >= 0, x < 0], [x, np.expm1(x)]),
    "where": lambda x: np.where(x < 0, np.expm1(x), x),
}


@pytest.mark.parametrize("name", ELU)
@pytest.mark.parametrize(("x", "slope"), [(0.0, 1.0), (2.0, 1.0), (-1.0, math.exp(-1.0))])
def test_select_at_a_smooth_seam(name: str, x: float, slope: float) -> None:
    for found in both_modes(ELU[name], x):
        assert found == pytest.approx(slope, rel=1e-15)


def test_select_of_one_condition_is_a_maximum() -> None:
    with cb.kink_convention("right"):
        assert cb.grad(lambda x: np.select([x > 0], [x]))(0.0) == 1.0


# --- the norm at 0 in more spellings -----------------------------------------------------------

NORMS_AT_0: dict[str, Function] = {
    "np.power(s, 0.5)": lambda x: np.power(np.sum(x**2), 0.5),
    "sqrt(sum(v*v for v in x))": lambda x: np.sqrt(sum(v * v for v in x)),
    "sqrt(sum((v*v for v in x), 0.0)) / 3": lambda x: np.sqrt(sum((v * v for v in x), 0.0) / 3),
    "s**0.75": lambda x: np.sum(x * x) ** 0.75,
}


@pytest.mark.parametrize("name", NORMS_AT_0)
def test_the_root_of_a_sum_of_squares_has_slope_0_at_0(name: str) -> None:
    for size in (1, 3, 100):
        for slope in both_modes(NORMS_AT_0[name], np.zeros(size)):
            np.testing.assert_array_equal(slope, np.zeros(size))


@pytest.mark.parametrize("name", NORMS_AT_0)
def test_the_root_of_a_sum_of_squares_away_from_0(name: str) -> None:
    x, h = np.array([0.3, -0.4, 1.2]), 1e-6
    f = NORMS_AT_0[name]
    wanted = [(f(x + h * e) - f(x - h * e)) / (2 * h) for e in np.eye(3)]
    for slope in both_modes(f, x):
        np.testing.assert_allclose(slope, wanted, rtol=1e-8)


def test_a_root_of_no_square_keeps_its_infinite_slope() -> None:
    for f in (lambda x: np.power(x, 0.5), lambda x: np.sqrt(0.0 + x), lambda x: x**0.75):
        assert [float(s) for s in both_modes(f, 0.0)] == [math.inf, math.inf]


def test_a_smooth_power_of_a_square_has_a_second_derivative_at_0() -> None:
    """(x^2)^1.5 = |x|^3, whose second derivative 6 |x| is 0 at 0."""
    assert cb.derivative(lambda x: (x * x) ** 1.5, 2)(0.0) == 0.0


# --- dtypes of arrays made of traced values ----------------------------------------------------


@pytest.mark.parametrize("number", [2.0, 2, True, np.float32(2), np.float64(2), np.int64(2)])
def test_an_array_of_traced_values_and_numbers_has_numpys_dtype(number: Any) -> None:
    def f(x: Any) -> Any:
        return np.array([x[0], number])

    x = np.ones(2, np.float32)
    value, pull = cb.vjp(f, x)
    assert value.dtype == f(x).dtype
    assert pull(np.ones(2, value.dtype))[0].dtype == np.float32


# --- arrays without entries, and arguments of pad, tile and repeat -----------------------------


@pytest.mark.parametrize("order", [0, 1, 4, 9])
def test_differences_of_too_few_entries_are_empty(order: int) -> None:
    for shape in ((4, 3), (1, 3), (0, 3)):
        x = np.arange(float(np.prod(shape))).reshape(shape)
        value, pull = cb.vjp(lambda x: np.diff(x, n=order, axis=0), x)
        np.testing.assert_array_equal(value, np.diff(x, n=order, axis=0))
        assert pull(np.ones(value.shape))[0].shape == shape


def test_the_area_under_no_points_is_0() -> None:
    for f in (np.trapezoid, lambda x: np.trapezoid(x, x)):
        value, slope = cb.value_and_grad(f)(np.zeros(0))
        assert value == f(np.zeros(0)) == 0.0
        assert slope.shape == (0,)


def test_the_median_of_nothing_is_nan_as_in_numpy() -> None:
    value, slope = cb.value_and_grad(np.median)(np.zeros(0))
    assert math.isnan(value)
    assert slope.shape == (0,)
    value, _ = cb.vjp(lambda x: np.median(x, axis=0, keepdims=True), np.zeros((0, 2)))
    np.testing.assert_array_equal(value, np.full((1, 2), np.nan))


PADDINGS: list[dict[str, Any]] = [
    {"pad_width": ((1, 2), (0, 3)), "constant_values": ((3.0, 4.0), (5.0, 6.0))},
    {"pad_width": 2, "constant_values": (3.0, 4.0)},
    {"pad_width": {0: (1, 2)}},
    {"pad_width": {-1: 2}, "mode": "edge"},
]


@pytest.mark.parametrize("options", PADDINGS, ids=str)
def test_pad_takes_constants_and_widths_per_side(options: dict[str, Any]) -> None:
    x = np.array([[1.0, -2.0], [3.0, 0.5]])
    value, pull = cb.vjp(lambda x: np.pad(x, **options), x)
    wanted = np.pad(x, **options)
    np.testing.assert_array_equal(value, wanted)
    ct = np.arange(1.0, wanted.size + 1).reshape(wanted.shape)
    for entry in np.ndindex(x.shape):
        unit = np.zeros_like(x)
        unit[entry] = 1.0
        moved = np.pad(x + unit, **options) - wanted
        assert pull(ct)[0][entry] == np.sum(moved * ct)


REFUSED: dict[str, tuple[Function, str]] = {
    "pad by text": (lambda x: np.pad(x, "a"), "whole numbers as pad_width.*got 'a'"),
    "pad by a fraction": (lambda x: np.pad(x, 1.5), "whole numbers as pad_width.*got 1.5"),
    "pad by a triple": (lambda x: np.pad(x, {0: (1, 2, 3)}), "got {0: .1, 2, 3.}"),
    "tile": (lambda x: np.tile(x, (2, -1)), r"tile of f64\[2\] needs counts >= 0, got \(2, -1\)"),
    "repeat": (lambda x: np.repeat(x, -1), r"repeat of f64\[2\] needs counts >= 0, got -1"),
    "no similar name": (
        lambda x: np.quantile(x, 0.3),
        "np.quantile .*nearest supported is np.sort and indexing",
    ),
    "mean of a list": (lambda x: np.mean([x[0], x[1]]), "join a list with np.stack before np.mean"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_numpy_would_not_take_is_named(name: str) -> None:
    f, message = REFUSED[name]
    with pytest.raises(cb.CalcbenchError, match=message):
        cb.grad(lambda x: np.sum(f(x)))(np.ones(2))


# --- branches not taken, below sums, products and factorisations -------------------------------

UNREACHED: dict[str, Function] = {
    "sum": lambda x: np.sqrt(np.sum(cb.relu(x))),
    "mean": lambda x: np.sqrt(np.mean(cb.relu(x))),
    "two sums": lambda x: np.sqrt(np.sum(cb.relu(x)) + np.sum(cb.relu(x) ** 2)),
    "matmul": lambda x: np.sum(np.sqrt(np.array([[1.0, -2.0], [3.0, 1.0]]) @ cb.relu(x))),
    "einsum": lambda x: np.cbrt(np.einsum("i,i", cb.relu(x), np.array([1.0, -1.0]))),
    "max": lambda x: np.sqrt(np.max(cb.relu(x))),
    "prod": lambda x: np.sqrt(np.prod(cb.relu(x))),
    "cumsum": lambda x: np.sum(np.sqrt(np.cumsum(cb.relu(x)))),
    "sort": lambda x: np.sum(np.sqrt(np.sort(cb.relu(x)))),
    "det": lambda x: np.sqrt(np.linalg.det(np.diag(cb.relu(x)))),
    "root of a branch": lambda x: np.sqrt(np.sum(np.where(x > 0, np.sqrt(x), 0.0))),
}


@pytest.mark.parametrize("name", UNREACHED)
def test_a_sum_of_branches_not_taken_has_slope_0_in_both_modes(name: str) -> None:
    x = np.array([-1.0, -2.0])
    for slope in both_modes(UNREACHED[name], x):
        np.testing.assert_array_equal(slope, np.zeros(2))
    np.testing.assert_array_equal(cb.hessian(UNREACHED[name])(x), np.zeros((2, 2)))


def test_one_branch_taken_is_enough_for_the_slope_of_the_sum() -> None:
    for slope in both_modes(UNREACHED["sum"], np.array([-1.0, 4.0])):
        np.testing.assert_allclose(slope, [0.0, 0.25])
    for slope in both_modes(UNREACHED["sum"], np.array([1.0, 3.0])):
        np.testing.assert_allclose(slope, [0.25, 0.25])


def test_a_sum_that_is_0_and_varies_keeps_its_infinite_slope() -> None:
    for slope in both_modes(lambda x: np.sqrt(np.sum(cb.relu(x)) - 2), [2.0]):
        assert slope == [math.inf]
