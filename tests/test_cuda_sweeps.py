"""The direct sweeps on CUDA, one thread a point: in the simulator, and as machine code."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_cuda_points import black_scholes
from test_cuda_static import needs_compiler

import calcbench as cb
from calcbench.lower.cuda_kernels import module_text
from calcbench.lower.cuda_row_copies import copy_kernel
from calcbench.lower.cuda_static import CAPABILITIES, kernel_records
from calcbench.lower.cuda_sweep_texts import (
    forward_module,
    forward_parameters,
    reverse_module,
    reverse_parameters,
    sweep_kernel,
)
from calcbench.lower.forward_code import ForwardSweep
from calcbench.lower.reverse_code import ReverseSweep
from calcbench.lower.sweep_texts import downward, pushing, upward


@pytest.fixture(scope="module")
def simulated(outcomes):
    return outcomes["sweeps"]


@pytest.fixture(scope="module")
def outcomes():
    """What the programs did: one process for all, as the simulator is chosen when Numba loads."""
    return simulation("simulated_sweeps.py")


@pytest.fixture(scope="module")
def on_device():
    """What sweeps of arrays of the device did."""
    return simulation("simulated_device_sweeps.py")


def simulation(script):
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / script)],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_point_agrees_with_the_transformed_graph(simulated):
    assert len(simulated) > 50
    assert {n: o["wrong"] for n, o in simulated.items() if "wrong" in o} == {}


def test_a_sweep_is_one_launch_between_uploads_and_downloads(simulated):
    done = {name: found for name, found in simulated.items() if "events" in found}
    for name, found in done.items():
        assert found["events"].count("launch") == 1, name
        first, last = found["events"].index("launch"), found["events"][::-1].index("launch")
        assert "download" not in found["events"][:first], name
        assert "upload" not in found["events"][len(found["events"]) - last :], name


def test_points_that_leave_the_path_are_told(simulated):
    assert simulated["leaves the path forward"]["missed"] > 0
    assert simulated["leaves the path reverse"]["missed"] > 0


def test_batches_of_both_sweeps_are_those_of_the_cpu(outcomes):
    assert {name: found for name, found in outcomes["public"].items() if found} == {}


# --- arrays that lie on the device ---------------------------------------------------------------

PROGRAM = {"code", "image", "places"}


def test_only_what_lies_on_the_host_is_copied(simulated):
    """All arrays on the device, the first alone, and all but the first: bits are equal, too."""
    told = {name: found for name, found in simulated.items() if "moved" in found}
    assert len(told) > 50
    for name, found in told.items():
        everything, first, others = map(set, found["moved"])
        assert everything - PROGRAM == ({"YB"} if found["guards"] else set()), name
        assert {"XF", "CT", "DX"} & (first | others), name
    assert {"XF", "XI", "XB", "CT"} <= set(told["mixed dtypes reverse"]["moved"][1])


def test_known_paths_copy_nothing_from_the_device_but_guards(on_device):
    assert len(on_device["stays"]) == 14
    assert {name: found for name, found in on_device["stays"].items() if found} == {}


def test_arrays_that_kernels_cannot_read_as_they_lie_are_taken_too(on_device):
    assert on_device["odd"] == {"strides": None, "every second": None}


REFUSALS = {
    "tangents of another length": r"ShapeError: .*tangents of x0 has shape \(4, 1\).*\(3, 1\)",
    "tangents of too many axes": r"ShapeError: .*tangents of x0 has shape \(3, 2, 2\).*\(3, 2\)",
    "whole tangents": "DTypeError: .*tangents of x0 has dtype int64",
    "cotangents of another shape": r"ShapeError: .*cotangent of output 0 .*\(3, 1\).*\(3,\)",
    "cotangents of half precision": "DTypeError: cotangent of output 0: dtype float16",
    "cotangents nested otherwise": "DerivativeError: cotangents must be nested",
    "whole arguments": "DTypeError: argument x0 has dtype int64",
    "other lengths": "ShapeError: .*x has 3, y has 4",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_lies_on_the_device_is_refused_in_the_words_of_the_host(name, on_device):
    assert re.match(REFUSALS[name], on_device["refused"][name])


@needs_compiler
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
def test_the_copies_of_rows_are_compiled_and_spill_nothing(dtype):
    kernel = copy_kernel(dtype)
    (record,) = kernel_records(module_text([kernel]), [kernel], CAPABILITIES[1])
    assert not record.spills
    assert 0 < record.registers <= 64


# --- texts and machine code ----------------------------------------------------------------------


def greeks():
    return cb.trace(black_scholes, 100.0, 95.0, 1.0, 0.03, 0.2)


def reverse_source(sweep, steps):
    dtype = sweep.dtype.name
    loops = upward(steps, dtype), downward(steps, dtype, sweep.masked)
    return reverse_module(*loops, dtype, False), reverse_parameters(dtype)


def forward_source(sweep, steps):
    dtype = sweep.dtype.name
    loop = pushing(steps, dtype, sweep.masked)
    return forward_module(loop, dtype, False), forward_parameters(dtype)


MODES = {"reverse": (ReverseSweep, reverse_source), "forward": (ForwardSweep, forward_source)}


def test_slots_of_threads_lie_side_by_side():
    sweep = ReverseSweep(greeks(), range(5), vectorised=False)
    source, _ = reverse_source(sweep, frozenset(sweep.code.steps))
    assert "x = f8[i * threads + thread]" in source
    assert "g8[first * threads + thread] = g8[first * threads + thread] + a" in source


@needs_compiler
@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda c: f"sm_{c[0]}{c[1]}")
@pytest.mark.parametrize("name", MODES)
def test_the_sweeps_of_black_scholes_spill_nothing(name, capability):
    make, source_of = MODES[name]
    sweep = make(greeks(), range(5), vectorised=False)
    source, parameters = source_of(sweep, frozenset(sweep.code.steps))
    kernel = sweep_kernel(name, parameters, source)
    (record,) = kernel_records(source, [kernel], capability)
    assert not record.spills, record
    assert 0 < record.registers <= 128


def two_results(x):
    return np.sin(x[0]) * np.abs(x[1]), np.exp(x[1])


@needs_compiler
@pytest.mark.parametrize("name", MODES)
def test_the_report_counts_what_a_sweep_moves(name):
    """A convention of its own gives the program kernels of its own, which compile quickly."""
    with cb.kink_convention("right"):
        report = cb.cuda_report(
            two_results, np.ones((1000, 2)), sweep=name, capabilities=CAPABILITIES[1:2]
        )
    assert [record.kernel for record in report.records] == [name]
    assert not report.spills
    assert report.least == 1000 * 8 * (2 + 2 + 2 + 2)  # inputs, seeds, results and derivatives
    assert report.least < report.total < 1.01 * report.least
    assert report.device > 0
    assert "One thread sweeps a point; the batch has 1000." in str(report)


@needs_compiler
@pytest.mark.parametrize("name", MODES)
def test_the_report_of_programs_on_arrays_is_that_of_the_transformed_graph(name):
    arguments = np.ones((9, 12, 12)), np.ones((9, 12))
    report = cb.cuda_report(lambda a, x: np.tanh(a @ x), *arguments, sweep=name, capabilities=())
    assert [moved[0] for moved in report.moved] == ["points"]
    assert "One thread runs a point; the batch has 9." in str(report)


def test_a_report_knows_two_sweeps():
    with pytest.raises(cb.GraphError, match="'forward' or 'reverse'"):
        cb.cuda_report(np.sin, np.ones(3), sweep="sideways")


@pytest.mark.deep
@needs_compiler
@pytest.mark.parametrize("name", MODES)
def test_the_kernels_of_all_programs_spill_nothing(name):
    make, source_of = MODES[name]
    sweep = make(cb.trace(np.sin, 1.0), (0,), vectorised=False)
    source, parameters = source_of(sweep, sweep.known)
    (record,) = kernel_records(source, [sweep_kernel(name, parameters, source)], (8, 0))
    assert not record.spills, record


def test_single_precision_has_arrays_of_its_own():
    dtypes = {p.name: p.dtype for p in reverse_parameters("float32")}
    assert (dtypes["XF"], dtypes["GX"], dtypes["code"]) == ("float32", "float32", "uint32")
