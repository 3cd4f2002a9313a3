"""Mixed and checkpointed mode in comparisons: sweeps, operations, and when they are no way."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import calcbench as cb
from calcbench.compositions import jacobian_program
from calcbench.graph.rewriting import simplify
from calcbench.measure import ways
from calcbench.measure.counting import count_graph
from calcbench.measure.mode_plans import MODES, Problem, chain_length, plan_mode, slots_for
from calcbench.measure.stages import prepare_way, record_function
from calcbench.reverse_mode.schedules import fewest_advances


RNG = np.random.default_rng(5)
IN, OUT = RNG.normal(size=(2, 12)) / 3, RNG.normal(size=(15, 2))
SQUARE, WIDE, TALL = (RNG.normal(size=s) / 5 for s in ((40, 40), (2, 40), (40, 2)))
POINT = np.linspace(0.1, 1.0, 12)


def waist(x):
    return np.sin(OUT @ np.tanh(IN @ (x * x)))


def residual(x):
    """Half of the paths go around the waist, so that no cut is narrow."""
    return x + TALL @ np.tanh(WIDE @ np.sin(SQUARE @ np.sin(SQUARE @ x)))


def clipped(x):
    """The product of two parts is NaN at 0: branches that are not taken have infinite slopes."""
    spread = OUT @ (IN @ np.sqrt(x))
    return np.where(spread > 0, spread, 0.0)


def energy(x):
    return np.sum(np.sin(x) * x**2)


def sines(depth):
    def function(x):
        for _ in range(depth):
            x = np.sin(x)
        return np.sum(x)

    return function


def looped(x):
    return np.sum(cb.scan(lambda c, _: (np.sin(c), None), x, None, length=30)[0])


def branching(x):
    return sines(20)(x) if x[0] > 0 else np.sum(x)


def problem(function, x):
    x = np.asarray(x)
    return Problem(function, x, function(x), cb.cost(function, x), record_function(function, x))


def compared(function, x, **options):
    return cb.compare_modes(function, x, **{"engines": ["numpy"], "budget": 0.001, **options})


# --- mixed mode -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "x", "sweeps", "said"),
    [
        (waist, POINT, 4, "2 reverse sweeps up to the cut at matmul : f64[2]"),
        (residual, np.linspace(0.1, 1.0, 40), 0, "elimination of"),
        (lambda x: np.sum(x) * np.arange(5.0), POINT, 2, "1 reverse sweep up to the cut at sum"),
    ],
)
def test_mixed_mode_has_the_sweeps_of_its_cut_and_the_operations_of_its_product(
    function, x, sweeps, said
):
    plan = plan_mode(problem(function, x), "mixed")
    found = cb.explain_mode(function, x)
    assert plan.sweeps == sweeps == (0 if found.elimination else 2 * found.cut.size)
    product = jacobian_program(simplify(cb.trace(function, x)), (0,), "mixed").graph
    assert plan.operations == count_graph(product).operations.total
    assert said in plan.note
    assert not plan.missing


def test_mixed_mode_takes_fewer_operations_through_a_waist_than_both_others():
    """2 + 2 sweeps in place of 12 or 15, and a product of 15 x 2 by 2 x 12."""
    found = compared(waist, POINT, modes=["forward", "reverse", "mixed"])
    operations = {r.mode: r.operations for r in found.records}
    assert operations["mixed"] < min(operations["forward"], operations["reverse"])
    assert found.missing == {}
    assert any(v.startswith("mixed mode: 2 reverse sweeps") for v in found.verdicts)


def test_where_mixed_mode_finds_nothing_the_table_says_so_and_repeats_no_row():
    found = compared(energy, POINT, modes=["reverse", "mixed"])
    assert cb.explain_mode(energy, POINT).mixed_total is None
    assert [r.mode for r in found.records] == ["reverse"]
    assert ["mixed", "not taken"] in [row[:2] for row in found.table]
    assert "mixed mode is not taken: no cut is narrower than both n = 12 and m = 1" in str(found)


def test_the_product_step_by_step_is_the_sweeps_where_it_is_not_finite():
    recording = record_function(clipped, np.zeros(12))
    program = jacobian_program(recording.graph, (0,), "mixed")
    assert np.any(np.isnan(program.plan(*recording.inputs)[0]))
    found = prepare_way(recording, "mixed", "numpy").run()
    np.testing.assert_array_equal(found, np.zeros((12, 15)))  # a row for each forward sweep


# --- checkpointed mode ----------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [3, 9, 16, 40])
def test_sines_are_computed_again_as_often_as_the_schedule_says(depth):
    """Closed form: a chain of the sines and the sum; a step again costs one sine an entry."""
    given = problem(sines(depth), np.ones(7))
    slots = int(np.ceil(np.sqrt(depth + 1)))
    plan = plan_mode(given, "checkpointed")
    assert plan.note.startswith(f"{slots} of the states of a chain of {depth + 1} steps")
    found = cb.cost(cb.checkpoint(sines(depth), slots=slots), np.ones(7)).vjp
    assert plan.operations == found.operations.total
    again = found.operations.transcendental - given.counts.vjp.operations.transcendental
    assert again == 7 * (fewest_advances(depth + 1, slots) - depth)
    assert f"holds {found.peak} bytes, counted, instead of {given.counts.vjp.peak}" in plan.note
    assert found.peak < given.counts.vjp.peak


def test_slots_are_the_root_of_the_length():
    assert [slots_for(n) for n in (0, 1, 2, 4, 5, 9, 10, 100, 101)] == [1, 1, 2, 2, 3, 3, 4, 10, 11]


def test_the_chain_of_a_loop_is_its_steps():
    assert chain_length(problem(looped, np.ones(3))) == 30


def test_a_sweep_is_taken_for_each_output():
    def function(x):
        return np.cos(cb.scan(lambda c, _: (np.sin(c), None), x, None, length=30)[0])

    plan = plan_mode(problem(function, np.ones(3)), "checkpointed")
    once = cb.cost(plan.function, np.ones(3)).vjp.operations.total
    assert (plan.sweeps, plan.operations) == (3, 3 * once)


@pytest.mark.parametrize("function", [sines(20), looped], ids=["chain", "loop"])
def test_checkpointed_mode_has_the_bits_of_reverse_mode_in_less_memory(function):
    found = compared(function, POINT, modes=["reverse", "checkpointed"])
    plain, stored = found.records
    assert stored.operations > plain.operations or function is looped
    assert stored.predicted < plain.predicted
    assert any(v.startswith("checkpointed mode on numpy takes 0.") for v in found.verdicts)
    given = problem(function, POINT)
    made = ways.ways_to([plan_mode(given, m) for m in MODES[1::2]], POINT, ["numpy"])
    reverse, checkpointed = (way() for way in made.values())
    assert reverse.tobytes() == checkpointed.tobytes()


MISSING = {
    "no chain": (energy, POINT, "no chain of 4 steps or more"),
    "one operation": (np.sum, POINT, "no chain of 4 steps or more"),
    "nothing to save": (waist, POINT, r"it holds \d+ bytes, and reverse mode \d+"),
    "a branch by value": (branching, POINT, "cb.checkpoint does not take it: .*truth value"),
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_no_chain_is_told(name):
    function, x, said = MISSING[name]
    assert re.search(said, plan_mode(problem(function, x), "checkpointed").missing)


@pytest.mark.parametrize("slots", [1, 3, 50])
def test_slots_that_are_given_are_taken_all_the_same(slots):
    found = compared(energy, POINT, modes=["checkpointed"], slots=slots)
    assert found.chosen["checkpointed"].startswith(f"{slots} of the states of a chain of")
    assert [r.mode for r in found.records] == ["checkpointed"]


# --- all modes together ---------------------------------------------------------------------------


def test_all_four_modes_are_the_default_and_agree():
    found = compared(lambda x: waist(sines(9)(x) + x), POINT)
    assert {r.mode for r in found.records} | {*found.missing} == set(MODES)


@pytest.mark.parametrize(("mode", "changed"), [("mixed", "jacobian"), ("checkpointed", "jacrev")])
def test_a_wrong_mode_is_found_before_anything_is_timed(mode, changed, monkeypatch):
    right = getattr(cb, changed)

    def wrong(function, **options):
        return lambda x: 1.000001 * right(function, **options)(x)

    monkeypatch.setattr(ways, changed, wrong)
    function = waist if mode == "mixed" else sines(20)
    with pytest.raises(cb.DerivativeError, match=f"{mode} mode on numpy and forward mode on numpy"):
        compared(function, POINT, modes=["forward", mode])


def test_one_input_and_one_output_are_no_plural():
    found = compared(np.sin, np.array(0.3), modes=["forward", "reverse"])
    assert found.recommendation.startswith("for 1 input and 1 output take ")
    more = replace(found, inputs=2, outputs=3)
    assert more.recommendation.startswith("for 2 inputs and 3 outputs take ")


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (1.0, ": about as fast as the best of reverse mode"),
        (1.04, ": about as fast as"),
        (1.06, ": 1.1 times as fast as"),
        (9.84, ": 9.8 times as fast as"),
        (228.3, ": 228 times as fast as"),
        (123456.0, ": 123456 times as fast as"),
    ],
)
def test_a_recommendation_says_by_how_much_in_plain_numbers(ratio, said):
    found = compared(np.sin, np.array(0.3), modes=["forward", "reverse"])
    medians = {"forward": 1e-6, "reverse": ratio * 1e-6}
    records = [replace(r, timing=replace(r.timing, median=medians[r.mode])) for r in found.records]
    assert said in replace(found, records=tuple(records)).recommendation


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (partial(compared, energy, POINT, slots=0), "slots is a whole number from 1, got 0"),
        (partial(compared, energy, POINT, slots=2.5), "got 2.5"),
        (
            partial(compared, energy, POINT, slots=3, modes=["reverse"]),
            "slots=3 is for the mode 'checkpointed'",
        ),
        (partial(compared, energy, POINT, modes=["hybrid"]), "mixed, checkpointed, got hybrid"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(cb.CalcbenchError, match=message):
        call()
