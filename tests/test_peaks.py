"""Predicted peaks against the allocator and a fresh process; and what cannot be measured."""

import signal
import subprocess
import sys
import tempfile
import tracemalloc

import numpy as np
import pytest

import calcbench as cb
from calcbench.graph.primitive import REGISTRY
from calcbench.lower.rooms import forget_idle
from calcbench.measure import peak_process, resident
from calcbench.measure.interpreted import ON_THE_WAY, VIEWS
from calcbench.measure.resident import Resident, resident_peak
from calcbench.measure.stages import DIRECT, FUNCTION, prepare_way, record_function


RNG = np.random.default_rng(0)
LONG = RNG.normal(size=200_000)  # 1.6 MB
SQUARE = RNG.normal(size=(400, 400)) / 20  # 1.3 MB
TABLE = RNG.normal(size=(1000, 200))  # 1.6 MB
FEW = np.array([0.1, 0.2, 0.3])


def chain(x):
    for _ in range(2):
        x = np.tanh(x) * 1.01 + x * x
    return np.sum(x)


def products(x):
    return np.sum(np.tanh(np.tanh(x @ SQUARE) @ SQUARE) ** 2)


def one_product(x):
    return np.sum((np.tanh(x) @ SQUARE) ** 2)


def reductions(x):
    return np.sum(np.exp(-x * x), axis=1) @ np.mean(x, axis=1)


def of_few(t):
    return np.sum(np.sin(TABLE * t[0]) * np.cos(t[1] * TABLE)) + t[2]


def to_many(t):
    return t[0] * t[1] * np.ravel(TABLE) + np.sin(np.ravel(TABLE) * t[2])


def to_two(x):
    return np.array([np.sum(np.sin(x)), np.sum(x * x)])


def with_slices(x):
    return (
        np.sum(x[1:] * x[:-1]) + np.sum(np.flip(x) * x) + np.sum(x.reshape(1000, -1).T @ x[:1000])
    )


def waist(x):
    return np.sum(x * x) * np.linspace(1.0, 2.0, 10)


def links(x):
    for _ in range(12):
        x = np.sin(x)
    return np.sum(x)


PROGRAMS = {
    "chain": (chain, LONG, ("reverse",)),
    "products": (products, SQUARE.copy(), ("reverse",)),
    "one product": (one_product, SQUARE.copy(), ("reverse",)),
    "reductions": (reductions, TABLE, ("reverse",)),
    "few inputs": (of_few, FEW, ("forward", "reverse")),
    "many outputs": (to_many, FEW, ("forward",)),
    "two outputs": (to_two, LONG, ("reverse",)),
    "slices": (with_slices, LONG, ("reverse",)),
    "waist": (waist, LONG[:50_000], ("mixed",)),
    "checkpoints": (cb.checkpoint(links, slots=4), LONG, ("reverse",)),
}
ENGINES = ("numpy", "tape", "fused", DIRECT)
WAYS = [
    (name, mode, engine)
    for name, (_, _, modes) in PROGRAMS.items()
    for mode in (*modes, FUNCTION)
    for engine in ENGINES
    if (mode, engine) not in ((FUNCTION, DIRECT), ("mixed", DIRECT))
]
# A fresh process takes a second or two: every run measures these, deep runs measure all.
QUICK = [
    ("chain", "reverse", "tape"),
    ("chain", "reverse", "fused"),
    ("few inputs", "forward", DIRECT),
]


def recorded(name):
    function, x, _ = PROGRAMS[name]
    return record_function(function, x)


def allocated(run):
    """The allocator's peak: it knows nothing of plans, and is asked in this process."""
    return traced(run)[0]


def traced(run):
    """The same with the result; what was allocated before is not traced, garbage or not."""
    forget_idle()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = run()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return peak - before, result


# Every fused way takes a second to compile.
COMPILED = [(name, "reverse", "fused") for name in ("chain", "one product", "reductions")]
SLOW = [way for way in WAYS if way[2] == "fused" and way not in COMPILED]
MARKED = [pytest.param(*w, marks=pytest.mark.deep) if w in SLOW else w for w in WAYS]


@pytest.mark.parametrize(("name", "mode", "engine"), MARKED)
def test_the_allocator_gives_out_what_was_predicted(name, mode, engine):
    way = prepare_way(recorded(name), mode, engine)
    way.run()
    way = way.again()
    found = allocated(way.run)
    if max(found, way.predicted) >= 1 << 20:
        assert found == pytest.approx(way.predicted, rel=0.1)
    else:
        assert abs(found - way.predicted) < 1 << 17


def check_resident(name, mode, engine, measure=resident_peak):
    recording = recorded(name)
    predicted = prepare_way(recording, mode, engine).predicted
    found = measure(recording, mode, engine)
    assert found.measured is not None, found.reason
    if predicted >= 1 << 20:
        assert found.agrees_with(predicted), (found, predicted)
    else:
        assert found.measured < 1 << 20
    return found


FORKS = """
import os, sys
from calcbench.measure import peak_process
for folder in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        peak_process.main(folder)
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def quick_peaks(tmp_path_factory):
    """All quick ways, each in a child of one process that has done nothing but to import."""
    folders = []
    for name, *way in QUICK:
        folders.append(tmp_path_factory.mktemp("peak"))
        resident._write(folders[-1], recorded(name), *way)
    command = [sys.executable, "-W", "ignore", "-P", "-c", FORKS, *map(str, folders)]
    ended = subprocess.run(
        command, env=resident._environment(), capture_output=True, text=True, timeout=120
    )
    answers = ended.stdout.splitlines()
    assert len(answers) == len(QUICK), ended.stderr
    return {way: resident._read(a, "", 0) for way, a in zip(QUICK, answers, strict=True)}


@pytest.mark.parametrize(("name", "mode", "engine"), QUICK)
def test_a_fresh_process_takes_what_was_predicted(name, mode, engine, quick_peaks):
    check_resident(name, mode, engine, lambda *_: quick_peaks[name, mode, engine])


@pytest.mark.deep
@pytest.mark.parametrize(("name", "mode", "engine"), WAYS)
def test_all_ways_take_what_was_predicted_in_a_fresh_process(name, mode, engine):
    check_resident(name, mode, engine)


@pytest.mark.deep
@pytest.mark.parametrize("engine", ["numpy", "tape", "fused"])
def test_arrays_of_64_mb(engine):
    recording = record_function(lambda x: np.sum(np.sin(x) * x), np.ones(8_000_000))
    predicted = prepare_way(recording, "reverse", engine).predicted
    assert resident_peak(recording, "reverse", engine).agrees_with(predicted)


def test_a_gradient_in_one_loop_takes_its_result_alone():
    """Closed form: no value in between is stored, so the peak is the gradient."""
    way = prepare_way(recorded("chain"), "reverse", "fused")
    assert LONG.nbytes <= way.predicted <= LONG.nbytes + (1 << 16)


def test_forward_and_reverse_differ_by_what_is_kept():
    """n links of a chain of arrays: the interpreter's pullback keeps a value or two for each."""

    def links(n):
        def function(x):
            for _ in range(n):
                x = np.sin(x)
            return np.sum(x)

        recording = record_function(function, np.ones(1000))
        return prepare_way(recording, "reverse", "numpy").predicted

    assert links(40) - links(20) == 20 * 8000


def sampled(row):
    """Large operands from the row's own domain."""
    sample, count = row.samples[0], 50_000  # 400 kB: NumPy reuses the memory of 256 kB and more
    domains = [*sample.domain, *[(0.2, 0.8)] * len(sample.shapes)][: len(sample.shapes)]
    values = []
    for domain in domains:
        if domain == "bool":
            values.append(RNG.random(count) < 0.5)
        elif isinstance(domain, str):
            values.append(RNG.integers(0, 5, count))
        else:
            values.append(RNG.uniform(max(domain[0], -50), min(domain[1], 50), count))
    return values, sample.params


@pytest.mark.parametrize("name", sorted(n for n, r in REGISTRY.items() if r.scalar is not None))
def test_elementwise_rows_take_what_is_stated_on_the_way(name):
    row = REGISTRY[name]
    values, params = sampled(row)
    with np.errstate(all="ignore"):
        row.numpy(*values, **params)
        found, result = traced(lambda: row.numpy(*values, **params))
    if name in VIEWS:
        assert np.shares_memory(result, values[0])
        assert found < 1000
    else:
        assert found / result.nbytes == pytest.approx(1 + ON_THE_WAY.get(name, 0.0), abs=0.1)


SHAPED = {
    "reshape": ((6,), {"shape": (2, 3)}),
    "transpose": ((2, 3), {"perm": (1, 0)}),
    "slice": ((6,), {"starts": (1,), "stops": (5,), "steps": (2,)}),
    "broadcast": ((3,), {"dims": (1,), "shape": (2, 3)}),
    "flip": ((6,), {"axes": (0,)}),
    "diagonal": ((3, 3), {"offset": 0}),
    "sum": ((2, 3), {"axes": (0,)}),
    "cumsum": ((6,), {"axis": 0}),
    "pad": ((3,), {"high": (1,), "interior": (0,), "low": (1,)}),
}


@pytest.mark.parametrize("name", SHAPED)
def test_the_rows_that_are_views_share_memory_and_others_do_not(name):
    shape, params = SHAPED[name]
    x = RNG.normal(size=shape)
    assert np.shares_memory(REGISTRY[name].numpy(x, **params), x) == (name in VIEWS)


# --- what is not measured, and what is flagged ----------------------------------------------------


@pytest.mark.parametrize(
    ("measured", "predicted", "expected"),
    [
        (10_000_000, 10_000_000, True),
        (10_990_000, 10_000_000, True),
        (9_010_000, 10_000_000, True),
        (11_100_000, 10_000_000, False),
        (8_900_000, 10_000_000, False),
        (10_000_000, 0, False),
        (0, 10_000_000, False),
        (900_000, 100, None),
        (None, 10_000_000, None),
    ],
)
def test_ten_per_cent_is_the_limit_above_a_mebibyte(measured, predicted, expected):
    assert Resident(measured).agrees_with(predicted) is expected


def script(tmp_path, text):
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


UNMEASURED = {
    "no such program": ("", "no process could be started"),
    "ends with a code": ("echo the words >&2; exit 3", "ended with code 3: the words"),
    "ends in silence": ("exit 3", "ended with code 3: it said nothing"),
    "is killed": ("kill -9 $$", "ended by signal 9"),
    "says no record": ("echo '[]'", "ended with code 0"),
    "says a reason": ("""echo '{"reason": "no room"}'""", "no room"),
    "takes too long": ("exec sleep 60", "no answer within"),
}


@pytest.mark.parametrize("name", UNMEASURED)
def test_what_goes_wrong_in_the_process_is_a_reason_and_no_number(name, tmp_path, monkeypatch):
    text, reason = UNMEASURED[name]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    python = script(tmp_path, text) if text else str(tmp_path / "nothing")
    monkeypatch.setattr(sys, "executable", python)
    recording = record_function(np.sin, np.float64(1.0))
    found = resident_peak(recording, "forward", "numpy", patience=1.0)
    assert found.measured is None
    assert reason in str(found)
    assert not list(tmp_path.glob("calcbench-peak-*"))


def test_a_graph_that_is_no_json_is_not_measured():
    def looped(x):
        slope = cb.grad(lambda t: cb.while_loop(lambda c: c < 10.0, lambda c: c * t, 1.0))
        return slope(x)

    found = resident_peak(record_function(looped, np.float64(1.5)), "forward", "numpy")
    assert found.measured is None
    assert "while_loop" in found.reason


def test_an_error_in_the_process_is_told(tmp_path, monkeypatch, capsys):
    peak_process.main(str(tmp_path))
    assert "FileNotFoundError" in capsys.readouterr().out


def test_a_system_that_cannot_set_the_peak_back_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(peak_process, "RESET", tmp_path / "nothing" / "clear_refs")
    assert sys.platform in peak_process.measured_peak(tmp_path)["reason"]


def test_the_process_reads_what_was_written(tmp_path):
    recording = record_function(products, np.ones((400, 400)))
    with cb.kink_convention("left"):
        resident._write(tmp_path, recording, "reverse", "tape")
    read, request = peak_process.read_request(tmp_path)
    assert request == {"mode": "reverse", "engine": "tape", "kink": "left", "inputs": 2}
    assert read.graph == recording.graph
    assert all(map(np.array_equal, read.inputs, recording.inputs))


def test_ctrl_c_ends_the_process_and_removes_its_folder(tmp_path, monkeypatch):
    started = []
    communicate = subprocess.Popen.communicate

    def interrupted(self, *args, **kwargs):
        if not started:
            started.append(self)
            raise KeyboardInterrupt
        return communicate(self, *args, **kwargs)

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "executable", script(tmp_path, "exec sleep 60"))
    with pytest.raises(KeyboardInterrupt):
        resident_peak(record_function(np.sin, np.float64(1.0)), "forward", "numpy")
    assert started[0].wait(5) == -signal.SIGKILL
    assert not list(tmp_path.glob("calcbench-peak-*"))
