"""Modes compared: counts, agreement before time, what theory says, and bad input."""

import numpy as np
import pytest

import calcbench as cb
from calcbench import workbench
from calcbench.measure.mode_records import DIRECT


def energy(x):
    return np.sum(np.sin(x) * x**2)


def wide(x):
    return np.sin(x[:3] * x[3:6]) + x[:3]


@pytest.fixture(scope="module")
def scalar_result():
    return cb.compare_modes(
        energy, np.linspace(0.1, 1.0, 30), engines=["numpy", "tape"], budget=0.2
    )


def test_every_way_is_there_with_its_sweeps(scalar_result):
    found = {(r.mode, r.engine): r.sweeps for r in scalar_result.records}
    engines = ("numpy", "tape", DIRECT)
    expected = {("forward", e): 30 for e in engines} | {("reverse", e): 1 for e in engines}
    assert found == expected
    assert (scalar_result.inputs, scalar_result.outputs) == (30, 1)
    assert set(scalar_result.function) == {"numpy", "tape"}


def test_operations_are_sweeps_times_the_counts(scalar_result):
    counts = cb.cost(energy, np.ones(30))
    for r in scalar_result.records:
        one = counts.jvp if r.mode == "forward" else counts.vjp
        assert r.operations == r.sweeps * one.operations.total


def test_bytes_at_once_cover_the_result(scalar_result):
    assert all(r.allocated >= 8 * 30 for r in scalar_result.records)


def test_the_print_has_a_line_each_and_a_recommendation(scalar_result):
    lines = str(scalar_result).splitlines()
    assert len(lines) == 1 + 6 + 2 + 1 + 1
    assert lines[-1].startswith("for 30 inputs and 1 outputs take ")
    assert "times the function on the tape; at most 5 times its operations" in lines[-2]


def test_a_function_of_several_outputs_has_the_jacobian_of_both_modes():
    x = np.linspace(0.2, 1.0, 6)
    found = cb.compare_modes(wide, x, engines=["tape"], budget=0.05)
    assert [r.sweeps for r in found.records] == [6, 6, 3, 3]
    assert found.verdicts == ()


def test_many_inputs_and_one_output_are_faster_in_reverse_and_the_other_way_round():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(300, 300))
    many = cb.compare_modes(lambda x: np.sum(np.tanh(a @ x)), rng.normal(size=300),
                            engines=["numpy"], budget=0.1)  # fmt: skip
    assert many.fastest.mode == "reverse"
    assert "take reverse mode" in many.recommendation
    few = cb.compare_modes(lambda t: np.tanh(a[:, 0] * t), np.array(0.3), engines=["numpy"],
                           budget=0.1)  # fmt: skip
    assert few.fastest.mode == "forward"


def test_ways_that_disagree_are_not_timed(monkeypatch):
    monkeypatch.setattr(workbench, "jacrev", lambda f, engine: lambda x: 1.000001 * cb.jacrev(f)(x))
    monkeypatch.setattr(workbench, "time_calls", lambda *_: pytest.fail("timed"))
    with pytest.raises(cb.DerivativeError, match="reverse mode on numpy and forward mode on numpy"):
        cb.compare_modes(energy, np.ones(3), engines=["numpy"])


REFUSED = {
    "unknown engine": (lambda: cb.compare_modes(energy, np.ones(3), engines=["gpu"]), "gpu"),
    "no engine": (lambda: cb.compare_modes(energy, np.ones(3), engines=[]), "got none"),
    "unknown mode": (lambda: cb.compare_modes(energy, np.ones(3), modes=["both"]), "both"),
    "no point": (lambda: cb.compare_modes(energy), "the point"),
    "integers": (lambda: cb.compare_modes(energy, np.arange(3)), "pass floats"),
    "no entries": (lambda: cb.compare_modes(energy, np.ones(0)), "no entries"),
    "not finite": (
        lambda: cb.compare_modes(lambda x: np.sum(x * np.inf), np.ones(2), engines=["numpy"]),
        "not finite",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused(name):
    call, message = REFUSED[name]
    with pytest.raises(cb.CalcbenchError, match=message):
        call()
