"""Modes compared: counts, agreement before time, what theory says, and bad input."""

import tempfile
import tracemalloc
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import calcbench as cb
from calcbench import workbench
from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.lower.cuda_errors import NoToolkitError
from calcbench.measure import bounds, device_columns, ways
from calcbench.measure.fusion import fusion_saving
from calcbench.measure.mode_plans import MODES, Problem, plan_mode
from calcbench.measure.preconditions import checked_value
from calcbench.measure.resident import Resident
from calcbench.measure.stages import DIRECT, plan_of_sweep, prepare_way, record_function


BOTH = ["forward", "reverse"]


def energy(x):
    return np.sum(np.sin(x) * x**2)


def squares(x):
    return np.sum(x * x)


def wide(x):
    return np.sin(x[:3] * x[3:6]) + x[:3]


@pytest.fixture(scope="module")
def scalar_result():
    return cb.compare_modes(
        energy, np.linspace(0.1, 1.0, 30), engines=["numpy", "tape"], budget=0.05
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
    times, stages, missing = 1 + 6 + 2, 1 + 6 + 2, 2
    assert len(lines) == times + stages + len(scalar_result.bounds) + 2 * missing + 1
    assert set(scalar_result.missing) == {"mixed", "checkpointed"}
    assert lines[-1].startswith("for 30 inputs and 1 output take ")
    said = "times the function on the tape; at most 5 times its operations"
    assert sum(said in line for line in lines) == 1


def test_a_function_of_several_outputs_has_the_jacobian_of_both_modes():
    x = np.linspace(0.2, 1.0, 6)
    found = cb.compare_modes(wide, x, engines=["tape"], budget=0.05)
    assert [r.sweeps for r in found.records] == [6, 6, 3, 3]
    said = [b.claim.partition("{}")[0] for b in found.bounds]
    assert [s.split(" of ")[0].split(" in ")[0] for s in said] == [
        "forward accumulation", "forward accumulation", "reverse accumulation"
    ]  # fmt: skip


def test_many_inputs_and_one_output_are_faster_in_reverse_and_the_other_way_round():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(100, 100))
    many = cb.compare_modes(lambda x: np.sum(np.tanh(a @ x)), rng.normal(size=100),
                            engines=["numpy"], modes=BOTH, budget=0.05)  # fmt: skip
    assert many.fastest.mode == "reverse"
    assert "take reverse mode" in many.recommendation
    few = cb.compare_modes(lambda t: np.tanh(a[:, 0] * t), np.array(0.3), engines=["numpy"],
                           modes=BOTH, budget=0.05)  # fmt: skip
    assert few.fastest.mode == "forward"


def test_ways_that_disagree_are_not_timed(monkeypatch):
    monkeypatch.setattr(ways, "jacrev", lambda f, engine: lambda x: 1.000001 * cb.jacrev(f)(x))
    monkeypatch.setattr(workbench, "time_calls", lambda *_: pytest.fail("timed"))
    with pytest.raises(cb.DerivativeError, match="reverse mode on numpy and forward mode on numpy"):
        cb.compare_modes(energy, np.ones(3), engines=["numpy"])


# --- the first call, step by step -----------------------------------------------------------------


def test_the_first_call_is_the_sum_of_its_stages(scalar_result):
    timings = [r.timing for r in scalar_result.records] + [*scalar_result.function.values()]
    for timing in timings:
        assert timing.first == timing.stages.total == pytest.approx(sum(timing.stages))
        assert min(timing.stages.trace, timing.stages.compile, timing.stages.first) > 0
    direct = next(r for r in scalar_result.records if r.engine == DIRECT)
    assert direct.timing.stages.transform == 0
    assert all(r.timing.stages.transform > 0 for r in scalar_result.records if r.engine != DIRECT)


PROGRAMS = {
    "scalar": (energy, np.linspace(0.1, 1.0, 6)),
    "wide": (wide, np.linspace(0.1, 1.0, 6)),
    "matrix": (lambda x: np.tanh(np.outer(x, x) @ x) * x, np.linspace(0.1, 1.0, 4)),
    "branch": (lambda x: x * x if x[0] > 0 else -x, np.linspace(0.1, 1.0, 4)),
    "float32": (energy, np.linspace(0.1, 1.0, 6, dtype=np.float32)),
    "one number": (lambda t: np.sin(t) * t, np.array(0.7)),
    "waist": (lambda x: np.sum(x * x) * np.linspace(1.0, 2.0, 4), np.linspace(0.1, 1.0, 4)),
    "chain": (lambda x: np.sum(np.sin(np.cos(np.sin(np.cos(np.sin(x)))))), np.ones(4)),
}


SPECIAL = {"waist": 1, "chain": 1, "matrix": 1}  # modes of their own beside the two
BY_ENGINE = [(name, e) for name in PROGRAMS for e in ("numpy", "tape", DIRECT)]
BY_ENGINE += [("scalar", "fused"), ("wide", "fused")]  # the others take seconds to compile


@pytest.mark.parametrize(("name", "engine"), BY_ENGINE)
def test_what_is_made_step_by_step_is_what_a_user_gets(name, engine):
    function, x = PROGRAMS[name]
    y = np.asarray(function(x))
    problem = Problem(function, x, y, cb.cost(function, x), record_function(function, x))
    plans = [p for p in (plan_mode(problem, mode) for mode in MODES) if not p.missing]
    made = ways.ways_to(plans, x, ["tape"] if engine == DIRECT else [engine])
    taken = [(plan, made[plan.mode, engine]) for plan in plans if (plan.mode, engine) in made]
    assert len(taken) == (2 if engine == DIRECT else 2 + SPECIAL.get(name, 0))
    for plan, way in taken:
        found = np.asarray(prepare_way(plan.recording, plan.transform, engine).run())
        expected = as_swept(np.asarray(way()), y, x, (plan.mode, engine))
        assert found.ravel().tobytes() == expected.tobytes()


def as_swept(derivative, y, x, key):
    """The interpreter's sweeps lie one after the other: those of forward mode are columns."""
    if key == ("forward", "numpy"):
        return derivative.reshape(y.size, x.size).T.ravel()
    return derivative.ravel()


# --- theory ---------------------------------------------------------------------------------------


def links(depth):
    """A chain of single numbers, which both sweeps take one by one."""

    def function(x):
        y = x[0]
        for k in range(depth):
            y = np.sin(y) * x[k % 2] + 1.5
        return y

    return function, np.array([0.3, 0.4])


def test_memory_of_direct_sweeps_is_flat_forward_and_in_proportion_in_reverse():
    depths = [50, 100, 200, 400]
    recordings = [record_function(*links(d)) for d in depths]
    forward = [plan_of_sweep(r, "forward").peak for r in recordings]
    reverse = [plan_of_sweep(r, "reverse").peak for r in recordings]
    assert len({*forward}) == 1
    slopes = np.diff(reverse) / np.diff(depths)
    assert slopes == pytest.approx(16 * 3)  # three operations a link: a value, a cotangent each


def test_all_bounds_hold_for_a_long_chain_of_numbers():
    found = cb.compare_modes(*links(100), engines=["tape"], modes=BOTH, budget=0.05)
    counted = {b.claim: b for b in found.bounds if "took" not in b.claim}  # times are not exact
    assert len(found.bounds) == 5
    assert len(counted) == 3
    assert all(b.holds for b in counted.values()), [*map(str, found.bounds)]


WEIGHTS = np.linspace(0.0, 1.0, 20_000)


def array_links(depth):
    """A chain of whole arrays, which forward accumulation takes as its graph."""

    def function(t):
        y = t[0] * WEIGHTS
        for _ in range(depth):
            y = np.sin(y) * t[1]
        return np.sum(y)

    return function


def test_memory_of_forward_mode_on_whole_arrays_is_flat_on_every_engine():
    """Planned for the tape, allocated by NumPy: six arrays at most, a value and a tangent of each
    operand and of the result, and never more for more links."""
    point, direction = np.array([0.7, 1.1]), np.array([0.3, -0.2])
    found = {"sweep": [], "jacobian": [], "numpy": []}
    for depth in (4, 16, 64):
        function = array_links(depth)
        recording = record_function(function, point)
        found["sweep"].append(plan_of_sweep(recording, "forward").peak)
        found["jacobian"].append(prepare_way(recording, "forward", "tape").predicted)
        product = partial(cb.jvp, function, (point,), (direction,))
        product()
        found["numpy"].append(workbench._allocated(product))
    assert len({*found["sweep"]}) == len({*found["jacobian"]}) == 1
    assert max(found["numpy"]) - min(found["numpy"]) < WEIGHTS.nbytes / 2
    assert max(found["sweep"] + found["numpy"]) <= 6 * WEIGHTS.nbytes + 4096
    assert max(found["jacobian"]) <= 2 * 9 * WEIGHTS.nbytes  # both directions at once


@pytest.mark.parametrize("engine", ["numpy", "tape"])
def test_the_order_of_forward_accumulation_changes_no_bit(engine):
    point, directions = np.array([0.7, 1.1]), np.array([[0.3, -0.2], [1.0, 0.5]])
    function = array_links(5)
    listed = cb.compile(jvp_graph(record_function(function, point).graph, (0,)), engine=engine)
    expected = [listed(point, WEIGHTS, dx) for dx in directions]
    assert [cb.jvp(function, point, dx, engine=engine) for dx in directions] == expected
    if engine == "tape":
        y, dy = cb.forward_sweep(function, point, directions)
        assert [(y, d) for d in dy] == expected
        assert cb.forward_sweep(function, point, directions[0]) == expected[0]


def test_memory_of_forward_mode_on_whole_arrays_is_judged_by_the_function_alone():
    """Whatever the engine does: the verdict is the comparison of the two plans, and says so."""
    function, point = array_links(12), np.ones(2)
    found = cb.compare_modes(function, point, engines=["tape"], modes=["forward"], budget=0.01)
    recording = record_function(function, point)
    alone = prepare_way(recording, "function", "tape").predicted
    (bound,) = [b for b in found.bounds if "one direction" in b.claim]
    assert bound.found == plan_of_sweep(recording, "forward").peak
    assert bound.holds == (bound.found <= 2 * alone + 4096)
    assert "direct sweeps run on whole arrays" in found.verdicts[0]


def test_a_single_input_is_not_compared_with_one_direction():
    found = cb.compare_modes(np.sin, np.array(0.3), engines=["tape"], budget=0.01)
    assert not any("directions" in b.claim for b in found.bounds)


def test_a_reverse_sweep_of_too_many_operations_is_flagged():
    """The power takes one operation, its derivative with a logarithm more than five."""
    found = cb.compare_modes(lambda x: x**x, np.array(1.5), engines=["tape"], budget=0.01)
    counts = cb.cost(lambda x: x**x, np.array(1.5))
    (bound,) = [b for b in found.bounds if "counted" in b.claim]
    assert bound.found == counts.reverse_ratio > 5
    assert "does not hold" in str(bound)


@pytest.mark.parametrize(
    ("bound", "holds"),
    [
        (bounds.reverse_time(5.0, 1.0), True),
        (bounds.reverse_time(5.1, 1.0), False),
        (bounds.reverse_time(float("nan"), 1.0), False),
        (bounds.forward_time(10.0, 1.0, 10), True),
        (bounds.forward_time(11.0, 1.0, 10), False),
        (bounds.reverse_memory(24 * 1000 + 4096, 900, 100), True),
        (bounds.reverse_memory(24 * 1000 + 4097, 900, 100), False),
        (bounds.forward_memory(2 * 1000 + 4096, 1000), True),
        (bounds.forward_memory(2 * 1000 + 4097, 1000), False),
    ],
)
def test_bounds_hold_up_to_their_limit(bound, holds):
    assert bound.holds is holds
    assert str(bound).endswith(": holds" if holds else "does not hold")


# --- what fusion saves ----------------------------------------------------------------------------

N = 1000
COLUMN = 8 * N
FUSED = {
    # function: bytes by nodes, bytes by loops, loops, values that are never written
    "one product": (lambda x: x * x, 2 * COLUMN, 2 * COLUMN, 1, 0),
    "three in a row": (lambda x: np.sin(np.cos(np.exp(x))), 6 * COLUMN, 2 * COLUMN, 1, 2),
    "a sum": (lambda x: np.sum(np.sin(x)), 3 * COLUMN + 8, COLUMN + 8, 1, 1),
    "read twice": (lambda x: np.exp(x) * x + x, 8 * COLUMN, 2 * COLUMN, 1, 2),
    "sorted": (lambda x: np.sort(x) * 2.0, 4 * COLUMN, 4 * COLUMN, 2, 0),
    "a product": (lambda x: np.outer(x, x) @ x, (6 * N + 4) * COLUMN, (2 * N + 3) * COLUMN, 2, 2),
}


@pytest.mark.parametrize("name", FUSED)
def test_bytes_saved_by_fusion_have_a_closed_form(name):
    function, nodes, loops, count, unwritten = FUSED[name]
    found = fusion_saving(record_function(function, np.ones(N)).graph)
    assert (found.by_nodes, found.by_loops) == (nodes, loops)
    assert (found.loops, found.unwritten) == (count, unwritten)
    assert ("saves nothing" in str(found)) == (nodes == loops)


def test_fused_results_are_explained_apart():
    found = cb.compare_modes(
        lambda x: np.sin(np.cos(x)), np.ones(3), engines=["fused"], modes=["forward"], budget=0.01
    )
    assert found.bounds == ()
    (said,) = found.verdicts
    assert said.startswith("fused, forward mode: 1 loop reads and writes")
    assert found.fused["forward"].by_loops < found.fused["forward"].by_nodes


# --- CUDA without a device ------------------------------------------------------------------------


def test_without_a_device_there_are_columns_and_no_time(monkeypatch):
    pytest.importorskip("numba_cuda")
    monkeypatch.setattr(workbench, "has_device", lambda: False)
    monkeypatch.setattr(device_columns, "has_device", lambda: False)
    found = cb.compare_modes(squares, np.ones(4), engines=["cuda"], modes=["reverse"])
    (columns,) = found.devices
    report = cb.cuda_report(cb.jacrev(squares), np.ones(4), capabilities=[(9, 0)])
    assert columns.registers == max(r.registers for r in report.records) > 0
    assert (columns.moved, columns.spills) == (report.total, 0)
    assert "no time was taken: no device is present" in str(found)
    assert found.records == ()
    assert found.function == {}


def test_without_the_compiler_the_columns_say_so(monkeypatch):
    def missing(*_, **__):
        raise NoToolkitError("the cuda engine needs the package numba-cuda: install it")

    monkeypatch.setattr(workbench, "has_device", lambda: False)
    monkeypatch.setattr(device_columns, "cuda_report", missing)
    found = cb.compare_modes(energy, np.ones(4), engines=["cuda", "numpy"], budget=0.01)
    assert [(c.mode, c.kernels) for c in found.devices] == [("forward", None), ("reverse", None)]
    assert "not compiled: the cuda engine needs the package numba-cuda" in str(found)
    assert {r.engine for r in found.records} == {"numpy"}


# --- memory beside the prediction -----------------------------------------------------------------


def with_resident(found, resident):
    records = tuple(replace(r, predicted=10_000_000, resident=resident) for r in found.records)
    return replace(found, records=records)


def test_memory_off_the_prediction_is_flagged(scalar_result):
    off = with_resident(scalar_result, Resident(12_000_000))
    assert str(off).count("1.200 (!)") == 6
    assert sum("more than 10 % off the predicted 10000000" in v for v in off.verdicts) == 6
    right = with_resident(scalar_result, Resident(10_100_000))
    assert "(!)" not in str(right)
    assert right.verdicts == scalar_result.verdicts


def test_memory_that_was_not_measured_says_why(scalar_result):
    text = str(with_resident(scalar_result, Resident(None, reason="no answer within 2 seconds")))
    assert text.count("the resident peak was not measured: no answer within 2 seconds") == 6


def test_the_resident_peak_of_a_way_stands_beside_its_prediction():
    x = np.linspace(0.0, 1.0, 300_000)
    found = cb.compare_modes(
        energy, x, engines=["numpy"], modes=["reverse"], budget=0.01, resident=True
    )
    (record,) = found.records
    assert record.is_as_predicted, record
    head, row, *_ = found.table
    assert dict(zip(head, row, strict=True))["resident"] == str(record.resident.measured)


def test_counting_bytes_leaves_the_tracing_of_others_on():
    tracemalloc.start()
    try:
        assert workbench._allocated(lambda: np.ones(1000)) >= 8000
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


# --- bad input ------------------------------------------------------------------------------------


def counting():
    calls = iter(range(1000))
    return lambda x: np.sum(x) * next(calls)


def growing():
    calls = iter(range(1, 1000))
    return lambda x: x[: next(calls)] * 2


def alternating():
    """The same twice when called, another value when it is recorded."""
    calls = iter([1.0, 1.0, *[2.0] * 100])
    return lambda x: np.sum(x) * next(calls)


def compared(function, *args, **options):
    return lambda: cb.compare_modes(function, *args, **{"engines": ["numpy"], **options})


THREE = np.ones(3)
REFUSED = {
    "unknown engine": (compared(energy, THREE, engines=["gpu"]), "gpu"),
    "no engine": (compared(energy, THREE, engines=[]), "got none"),
    "unknown mode": (compared(energy, THREE, modes=["both"]), "both"),
    "no point": (compared(energy), "the point"),
    "no function": (compared(3.0, THREE), r"got 3.0 first: compare_modes\(f, x\)"),
    "integers": (compared(energy, np.arange(3)), "pass floats"),
    "no entries": (compared(energy, np.ones(0)), "no entries"),
    "no entries in the result": (compared(lambda x: x[:0] * 2, THREE), r"result has no entries"),
    "not finite": (compared(lambda x: np.sum(x * np.inf), THREE), "not finite"),
    "infinite function": (compared(lambda x: 1 / (x - 1), np.array([2.0, 1.0])), r"1 of 2.*\(1,\)"),
    "nan function": (compared(lambda x: np.log(x), np.array([-1.0, 1.0])), "value is not finite"),
    "nan point": (compared(energy, np.array([1.0, np.nan])), "the point is not finite"),
    "infinite slope": (
        compared(lambda x: np.sum(np.sqrt(x)), np.zeros(2)),
        "derivative is not fin",
    ),
    "random numbers": (
        compared(lambda x: np.sum(x * np.random.default_rng().normal(size=3)), THREE),
        "not deterministic",
    ),
    "random shapes": (
        compared(growing(), THREE),
        r"not deterministic.*shapes \(1,\) and \(2,\)",
    ),
    "a count of calls": (compared(counting(), THREE), "not deterministic"),
    "state that calls do not show": (compared(alternating(), THREE), "disagree.*keeps state"),
    "two results": (compared(lambda x: (x, x), THREE), "a tuple of 2"),
    "whole numbers as result": (
        compared(lambda x: np.argmax(x), THREE),
        "nothing to differentiate",
    ),
    "budget of nothing": (compared(energy, THREE, budget=0), "positive number of seconds"),
    "negative budget": (compared(energy, THREE, budget=-1.0), "got -1.0"),
    "budget nan": (compared(energy, THREE, budget=float("nan")), "got nan"),
    "budget in words": (compared(energy, THREE, budget="long"), "got 'long'"),
    "budget true": (compared(energy, THREE, budget=True), "got True"),
    "sweep budget": (
        lambda: cb.sweep(lambda n: (energy, np.ones(n)), [1, 2, 3], budget=float("nan")),
        "got nan",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused(name, monkeypatch):
    call, message = REFUSED[name]
    monkeypatch.setattr(workbench, "time_calls", lambda *_: pytest.fail("timed"))
    with np.errstate(all="ignore"), pytest.raises(cb.CalcbenchError, match=message):
        call()


def test_a_function_that_writes_to_its_argument_leaves_the_point_alone():
    def shifted(x):
        x += 1.0
        return x * x

    point = np.array([1.0, 2.0])
    found = cb.compare_modes(shifted, point, engines=["tape"], modes=BOTH, budget=0.01)
    assert point.tolist() == [1.0, 2.0]
    assert len(found.records) == 4


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_value_whose_terms_cancel_is_no_disagreement(dtype):
    """The sum of an odd function over symmetric points: 0, but for the rounding of its terms."""
    x = np.linspace(-1.0, 1.0, 30, dtype=dtype)
    found = cb.compare_modes(
        lambda x: np.sum(np.tanh(np.tanh(x) * 1.5)), x, engines=["numpy", "tape"], modes=BOTH,
        budget=0.001,
    )  # fmt: skip
    assert len(found.records) == 6


def test_what_the_rounding_of_a_point_does_has_a_closed_form():
    assert ways.movement(np.array([[1.0, -2.0], [0.5, 0.0]]), np.array([3.0, -4.0])) == 11.0
    ways.check_values(np.array(0.0), {"tape": np.array(4e-16)}, 1.0)
    with pytest.raises(cb.DerivativeError, match="disagree by 1e-07"):
        ways.check_values(np.array(0.0), {"tape": np.array(1e-7)}, 1.0)


def test_noise_of_rounding_is_no_randomness():
    signs = iter([1.0, 1.0 + 4e-16] * 50)
    assert checked_value(lambda x: x * next(signs), THREE).shape == (3,)


def test_ctrl_c_in_a_sweep_leaves_nothing_behind(tmp_path, monkeypatch):
    def family(n):
        if n == 3:
            raise KeyboardInterrupt
        return energy, np.ones(n)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        cb.sweep(family, [1, 2, 3, 4], engines=["numpy"], budget=0.001)
    assert not list(tmp_path.iterdir())
    assert not tracemalloc.is_tracing()
