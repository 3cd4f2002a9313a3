"""Fits of growth and timing in turns, against closed forms, NumPy's fit and a clock that is set."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from calcbench.measure import timing
from calcbench.measure.fitting import FitError, find_crossover, fit_power
from calcbench.measure.timing import seconds, time_calls


@given(st.floats(-3, 3), st.floats(1e-6, 1e6))
def test_an_exact_power_is_found_with_an_empty_interval(exponent, factor):
    sizes = np.array([1.0, 3.0, 10.0, 50.0, 200.0])
    fit = fit_power(sizes, factor * sizes**exponent)
    assert fit.exponent == pytest.approx(exponent, abs=1e-9)
    assert fit.factor == pytest.approx(factor, rel=1e-9)
    assert fit.high - fit.low < 1e-6
    assert fit.at(7.0) == pytest.approx(factor * 7.0**exponent, rel=1e-8)


def test_a_noisy_fit_is_numpys_and_its_interval_covers_the_truth_19_times_in_20(rng):
    sizes = np.geomspace(10, 1e5, 9)
    covered = 0
    for _ in range(400):
        costs = 3.0 * sizes**1.5 * np.exp(rng.normal(0, 0.2, len(sizes)))
        fit = fit_power(sizes, costs)
        slope, intercept = np.polyfit(np.log(sizes), np.log(costs), 1)
        assert fit.exponent == pytest.approx(slope, rel=1e-9)
        assert fit.factor == pytest.approx(np.exp(intercept), rel=1e-9)
        covered += fit.low <= 1.5 <= fit.high
    assert 0.91 <= covered / 400 <= 0.985


@pytest.mark.parametrize(
    ("sizes", "costs"),
    [([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [1, 0, 2]), ([1, 2, 3], [1, 2]),
     ([1, 2, np.inf], [1, 2, 3]), ([1, 2, 3], [1, np.nan, 3]), ([], [])],
)  # fmt: skip
def test_what_cannot_be_fitted_is_refused(sizes, costs):
    with pytest.raises(FitError):
        fit_power(sizes, costs)


def test_costs_cross_where_the_powers_are_equal():
    sizes = np.array([1.0, 10.0, 100.0])
    linear, square = fit_power(sizes, 40 * sizes), fit_power(sizes, sizes**2)
    found = find_crossover(linear, square)
    assert found.size == pytest.approx(40.0)
    assert found.measured
    far = find_crossover(fit_power(sizes, 4000 * sizes), square)
    assert far.size == pytest.approx(4000.0)
    assert not far.measured
    assert "extrapolated" in str(far)


def test_costs_that_grow_alike_do_not_cross(rng):
    sizes = np.geomspace(1, 1e4, 6)
    noise = np.exp(rng.normal(0, 0.3, (2, 6)))
    assert find_crossover(fit_power(sizes, sizes * noise[0]), fit_power(sizes, 2 * sizes)) is None


class Clock:
    """A clock that calls move on by a set time."""

    def __init__(self, monkeypatch):
        self.now, self.order = 0.0, []
        monkeypatch.setattr(timing, "perf_counter", lambda: self.now)

    def call(self, name, times):
        left = iter(times)

        def made():
            self.order.append(name)
            self.now += next(left)

        return made


def test_first_calls_are_kept_apart_and_the_rest_is_interleaved(monkeypatch):
    clock = Clock(monkeypatch)
    a = clock.call("a", [5.0] + [0.01] * 100)
    b = clock.call("b", [7.0] + [0.03] * 100)
    found = time_calls({"a": a, "b": b}, budget=0.2)
    assert (found["a"].first, found["b"].first) == (5.0, 7.0)
    assert found["a"].median == pytest.approx(0.01)
    assert found["b"].median == pytest.approx(0.03)
    rounds = clock.order[6:]  # two first calls, two of each to see how long they take
    assert rounds[0::2] == ["a"] * found["a"].rounds
    assert rounds[1::2] == ["b"] * found["b"].rounds
    assert 5 <= found["a"].rounds <= 7


def test_short_calls_are_repeated_and_quartiles_are_those_of_the_samples(monkeypatch):
    clock = Clock(monkeypatch)
    call = clock.call("a", [1e-4] * 5000)
    found = time_calls({"a": call}, budget=1e-2)["a"]
    assert found.median == pytest.approx(1e-4)
    assert len(clock.order) == 3 + 10 * found.rounds or len(clock.order) == 3 + 9 * found.rounds


@pytest.mark.parametrize(
    ("value", "text"), [(2.0, "2 s"), (0.0123, "12.3 ms"), (4.56e-6, "4.56 µs"), (3e-9, "3 ns")]
)
def test_durations_have_units(value, text):
    assert seconds(value) == text


def test_an_exponent_of_nothing_has_no_sign():
    assert str(fit_power([1, 2, 4], [3.0, 3.0, 3.0 - 1e-9])) == "∝ size^0.00 (0.00 .. 0.00)"
