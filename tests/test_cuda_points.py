"""Batches on CUDA with one thread a point: in the simulator, and as machine code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_cuda_static import needs_compiler

import calcbench as cb
from calcbench.lower.cuda_errors import CallOutError
from calcbench.lower.cuda_point_emission import MOST_NODES, misfit, point_text
from calcbench.lower.cuda_static import CAPABILITIES, kernel_records


@pytest.fixture(scope="module")
def simulated():
    """What the programs did: one process for all, as the simulator is chosen when Numba loads."""
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, str(here / "simulated_points.py")],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def programs(simulated):
    return {name: found for name, found in simulated["programs"].items() if found is not None}


def test_every_point_agrees_with_the_interpreter(programs):
    assert len(programs) > 120
    assert {n: o["wrong"] for n, o in programs.items() if "wrong" in o} == {}


def test_a_batch_is_one_launch_between_uploads_and_downloads(programs):
    for name, found in programs.items():
        assert found["events"]["launch"] == 1, name
        assert "call out" not in found["events"], name


def test_some_points_hold_arrays_in_between(programs):
    assert sum(bool(found["arena"]) for found in programs.values()) > 20


def test_points_are_grouped_by_path_with_one_launch_each(simulated):
    assert {n: o for n, o in simulated["batches"].items() if "wrong" in o} == {}


REFUSALS = {
    "outside": "IndexingError: index 7 is out of bounds for an axis of 3 entries",
    "paths": "more than 2 different branches",
    "memory": "MemoryError: this run needs 1584 bytes",
    "host": "v1 = inv",
    "dtype": "input x has type f64[2,3], got an array of int64",
    "shape": "has type f64[2,3], got an array of shape (2, 4)",
    "strides": "kernels read contiguous arrays",
    "called with strides": "kernels read contiguous arrays",
    "called with half": "dtype float16 is not one of",
    "graph of another shape": "has type f64[40,3], got an array of shape (3,)",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_goes_wrong_at_a_point_is_told(simulated, name):
    assert REFUSALS[name] in simulated["refusals"][name]


def test_arrays_of_the_device_are_not_copied(simulated):
    assert simulated["device"] == ["launch"]


def test_batches_of_arrays_of_the_device_stay_there(simulated):
    assert simulated["device batches"] is None


def test_single_calls_take_arrays_where_they_lie(simulated):
    """A path copies its arrays to the host once, to be recorded; after that no call copies any."""
    assert simulated["device calls"] == [[1, 0, 0], ["launch"]]


def test_ties_follow_every_convention(simulated):
    assert simulated["ties"] is None


# --- which graphs a thread takes -----------------------------------------------------------------


def long_chain(x):
    for _ in range(MOST_NODES):
        x = np.sin(x)
    return x


def holding(x):
    a = np.cumsum(x)
    b = np.cumsum(a * a)
    return np.cumsum(a[::-1] * b)[::-1] * np.cumsum(b) * a


MISFITS = {
    "long": (long_chain, 0.5, "1001 nodes"),
    "wide": (np.sin, np.ones(2000), "2000 entries"),
    "holding": (holding, np.ones(300), "bytes at once"),
    "host": (np.linalg.inv, np.eye(3), "the host computes inv"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_large_points_are_left_to_the_batched_graph(name):
    function, x, reason = MISFITS[name]
    assert reason in misfit(cb.trace(function, x))


def test_a_row_of_the_host_is_refused():
    with pytest.raises(CallOutError, match="batch the graph instead"):
        point_text(cb.trace(np.linalg.inv, np.eye(3)))


def test_the_text_reads_like_a_loop_over_points():
    text = point_text(cb.trace(lambda x: np.sin(x) * x, 1.0))
    assert text.kernel.text == TEXT


TEXT = """@cuda.jit
def points(count, V0, V2):
    thread, threads = cuda.grid(1), cuda.gridsize(1)
    point = thread
    while point < count:
        v0 = V0[at(point)]
        v1 = math.sin(v0)
        v2 = v1 * v0
        V2[at(point)] = v2
        point += threads
"""


def test_arrays_in_between_lie_thread_beside_thread():
    text = point_text(cb.trace(lambda x: np.sum(np.cumsum(np.exp(x)) ** 2), np.ones(10)))
    assert "F8[at(i0 * threads + thread)]" in text.source
    assert text.memory(1000, 256).arena == 256 * text.entries["float64"] * 8


# --- machine code --------------------------------------------------------------------------------


def black_scholes(spot, strike, time, rate, volatility):
    spread = volatility * np.sqrt(time)
    up = (np.log(spot / strike) + (rate + volatility**2 / 2) * time) / spread
    discounted = strike * np.exp(-rate * time)
    return spot * normal(up) - discounted * normal(up - spread)


def normal(x):
    return 0.5 * cb.erfc(-x / np.sqrt(2.0))


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def logistic(weights, x, y):
    return cb.softplus(-y * np.dot(x, weights))


STANDARD = {
    "Black-Scholes and all Greeks": (
        cb.value_and_grad(black_scholes, argnums=(0, 1, 2, 3, 4)),
        (100.0, 95.0, 1.0, 0.03, 0.2),
    ),
    "Rosenbrock": (cb.grad(rosenbrock), (np.ones(10),)),
    "logistic loss": (cb.value_and_grad(logistic), (np.ones(20), np.ones(20), 1.0)),
    "arrays in between": (cb.grad(lambda x: np.sum(np.cumsum(np.exp(x)) ** 2)), (np.ones(10),)),
}


@needs_compiler
@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda c: f"sm_{c[0]}{c[1]}")
@pytest.mark.parametrize("name", STANDARD)
def test_standard_points_spill_nothing(name, capability):
    function, arguments = STANDARD[name]
    text = point_text(cb.trace(function, *arguments))
    (record,) = kernel_records(text.source, [text.kernel], capability)
    assert not record.spills, record
    assert 0 < record.registers <= 128
    assert record.stack == 0


def every_loop(x, y, i):
    largest = np.max(y) * x[i] + np.argmax(y)
    return np.sum(np.outer(x, x)), largest, np.cumsum(x), y / (i + 2), y > 0.5


@needs_compiler
def test_every_kind_of_loop_is_compiled():
    """The simulator knows no types: what it runs might still not compile."""
    graph = cb.trace(every_loop, np.linspace(0, 1, 20), np.ones(5, np.float32), 2)
    slope = cb.trace(cb.grad(lambda x: np.max(x) ** 2), np.ones(4))
    assert {"argmax", "position", "cumsum"} <= {n.row.name for n in graph.nodes}
    assert "winner_share" in {n.row.name for n in slope.nodes}
    assert "pairs_sum(" in point_text(graph).source
    for text in map(point_text, (graph, slope)):
        (record,) = kernel_records(text.source, [text.kernel], (8, 0))
        assert not record.spills


# --- the report ----------------------------------------------------------------------------------


@needs_compiler
def test_the_report_of_a_batch_moves_what_any_program_must():
    points = np.ones((1000, 10))
    compiled = cb.compile(cb.grad(rosenbrock), engine="cuda")
    report = cb.cuda_report(compiled, points, batch=True, capabilities=[(8, 0)])
    assert report.moved == (("points", 80_000, 80_000),)
    assert report.total == report.least
    assert not report.spills
    assert "One thread runs a point; the batch has 1000." in str(report)


def test_the_report_counts_arrays_in_between_and_names_the_reason_for_a_batched_graph():
    def held(x):
        return np.sum(np.cumsum(x) ** 2)

    report = cb.cuda_report(cb.grad(held), np.ones((100, 10)), batch=True, capabilities=[])
    assert report.device > 0
    assert report.total > report.least == 2 * 8000
    report = cb.cuda_report(np.linalg.inv, np.stack([np.eye(3)] * 5), batch=True, capabilities=[])
    assert "the host computes inv" in str(report)
    assert report.callouts
