"""Every benchmark runs at a tiny size, correctness checks included; no time is judged here."""

import importlib.util
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest


FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmark_module(monkeypatch):
    """Loads a file of benchmarks/ as a module, with its neighbours in reach."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(name):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


LONG = ("bench_black_scholes", "bench_gmm")  # seconds of compiling


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.deep if name in LONG else ())
        for name in sorted(p.stem for p in FOLDER.glob("bench_*.py"))
    ],
)
def test_a_benchmark_runs_quickly_and_reports_rows(name, benchmark_module, capsys):
    rows = benchmark_module(name).main(["--quick"])
    assert rows
    assert all(row.median > 0 for row in rows)
    assert "numpy" in capsys.readouterr().out


def test_a_drawn_chain_stays_in_bounds_and_equals_its_text(benchmark_module):
    chains = benchmark_module("chains")
    program = chains.draw(2000, seed=3)
    value, slope = chains.expected(program)
    assert 1e-6 < abs(value) <= chains.LARGEST_VALUE
    assert 1e-3 < np.max(np.abs(slope)) < 1e3
    for function in (partial(chains.chain, np, program), chains.written(program, np)):
        assert function(chains.POINT) == pytest.approx(value, rel=1e-12)


def test_a_ratio_is_taken_round_by_round(benchmark_module):
    contest = benchmark_module("contest")
    slow, fast = (
        contest.Timing("p", 1, who, 0.0, 0.0, 0.0, 1.0, None, taken)
        for who, taken in (("slow", (2.0, 20.0, 4.0, 8.0)), ("fast", (1.0, 10.0, 2.0, 4.0)))
    )
    bar = contest.ratio_of("slow / fast", 1.5, slow, fast)
    assert (bar.measured, bar.spread, bar.is_met) == (2.0, (2.0, 2.0), False)
    assert contest.ratio_of("absent", 1.5, slow, None).is_met is None


def test_a_peer_is_known_by_its_first_word(benchmark_module):
    contest = benchmark_module("contest")
    names = ("JAX", "JAX jacfwd", "JAX, same groups", "torch compiled", "CasADi")
    assert all(map(contest.is_of_peer, names))
    assert not any(map(contest.is_of_peer, ("calcbench fused", "by hand", "JAX: function")))


WEIGHED = """
import numpy as np
from contest import Calls, Contest, Problem

def stored():
    kept = np.ones(500_000)  # held before and after the call: no part of the second number
    return Calls(lambda: np.add(kept, 1.0).sum() + np.ones(250_000).sum())

contest = Contest()
contest.weigh(Problem("sums", 3, [], 0.0), {"one": stored})
contest.finish("What does it take?", None)
"""


def weigh(folder, who):
    path = folder / "script.py"
    path.write_text(WEIGHED)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(FOLDER), str(FOLDER.parent)]),
        "CALCBENCH_WEIGHED": json.dumps(["sums", 3, who]),
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "NUMPY_MADVISE_HUGEPAGE": "0",
    }
    command = [sys.executable, str(path)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.skipif(sys.platform != "linux", reason="no process sets its peak back elsewhere")
def test_a_process_of_its_own_says_what_a_call_takes(tmp_path):
    found = json.loads(weigh(tmp_path, "one").stdout)
    assert found["warm"] == pytest.approx(4_000_000, rel=0.1)  # one array of results at a time
    assert found["first"] == pytest.approx(8_000_000, rel=0.1)  # with what is kept


@pytest.mark.skipif(sys.platform != "linux", reason="no process sets its peak back elsewhere")
def test_whoever_is_not_there_is_not_weighed(tmp_path):
    ended = weigh(tmp_path, "another")
    assert ended.returncode
    assert "another" in ended.stderr


@pytest.mark.parametrize(
    ("text", "reason"),
    [("raise SystemExit('out of memory')", "out of memory"), ("print('no number')", "no answer")],
)
def test_a_process_without_an_answer_gives_no_number(
    text, reason, tmp_path, benchmark_module, monkeypatch, capsys
):
    weighing = benchmark_module("weighing")
    (tmp_path / "script.py").write_text(text)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "script.py")])
    assert weighing.weighed(weighing.Question("sums", 3, "one")) is None
    assert f"one on sums 3 was not weighed: {reason}" in capsys.readouterr().out


# --- the page ----------------------------------------------------------------------------------

ROW = {
    "problem": "sums", "size": 10, "who": "ours", "median": 2e-3, "low": 1e-3, "high": 4e-3,
    "ratio": 0.5, "first": 1.5, "taken": [1e-3, 2e-3, 4e-3],
}  # fmt: skip
BAR = {"limit": 1.5, "unit": "", "spread": [1.0, 3.0], "is_met": False}
FILE = {
    "question": "How | much?",
    "machine": {"processor": "P", "cores": "2", "date": "2000-01-01"},
    "rows": [ROW, {**ROW, "who": "theirs", "ratio": 1.0, "values": 16_000_000, "peak": 2_000}],
    "absent": [{"problem": "sums", "size": 10, "who": "gone", "reason": "not installed"}],
    "bars": [
        {**BAR, "what": "sums 10: ours / theirs", "measured": 2.0},
        {**BAR, "what": "sums 10: ours / hand", "measured": 1.2, "is_met": True},
        {**BAR, "what": "sums 10: ours / gone", "measured": None, "is_met": None},
    ],
}
NOTES = """
[second]
main = true
title = "Sums"
text = "Of numbers."
causes = { "sums" = "no", "sums 10: ours / theirs" = "the additions", "sums 10: ours / hand" = "-" }
"""


@pytest.fixture
def summary(benchmark_module):
    return benchmark_module("summary")


def page_of(summary, folder, files, notes=NOTES):
    (folder / "notes.toml").write_text(notes)
    for name, record in files.items():
        (folder / f"{name}.json").write_text(json.dumps(record))
    found = summary.results(folder, folder / "notes.toml")
    return summary.page(found), found


def test_the_page_says_what_is_missed_and_why(summary, tmp_path):
    text, _ = page_of(summary, tmp_path, {"second": FILE})
    assert "| sums 10: ours / theirs | 1.5 | 2 (1 .. 3) | **missed** | the additions |" in text
    assert "| sums 10: ours / hand | 1.5 | 1.2 (1 .. 3) | met |  |" in text
    assert "| sums 10: ours / gone | 1.5 |  | not measured | no |" in text
    assert "1 of 3 are met" in text
    assert "### Sums\n" in text
    assert "| sums | 10 | gone | absent: not installed |" in text
    assert "| sums | 10 | theirs | 2 ms | 1 ms .. 4 ms | 1 | 1.5 s | 16 MB | 2 kB |" in text


def test_a_missed_bar_without_a_note_says_so(summary, tmp_path):
    text, _ = page_of(summary, tmp_path, {"second": FILE}, notes="")
    assert "| **missed** | not looked into yet |" in text
    busy = {**FILE, "machine": {**FILE["machine"], "load": "7.5"}}
    text, _ = page_of(summary, tmp_path, {"second": busy}, notes="")
    assert "| **missed** | not looked into yet; load of the machine 7.5 |" in text


def test_files_come_in_the_order_of_the_notes_and_shared_facts_once(summary, tmp_path):
    other = {**FILE, "machine": {**FILE["machine"], "date": "2000-01-02", "torch": "2"}}
    text, found = page_of(summary, tmp_path, {"a": other, "second": FILE})
    assert [r.name for r in found] == ["second", "a"]
    assert "processor P, cores 2, torch 2." in text
    assert "| a | date 2000-01-02 |" in text
    alone, _ = page_of(summary, tmp_path, {"a": other, "second": other})
    assert "| a | date 2000-01-02 |" in alone  # the day is said of each, even if it is the same


def test_nothing_to_show_and_half_a_file_are_said(summary, tmp_path):
    with pytest.raises(SystemExit, match=r"no results in .*make bench"):
        page_of(summary, tmp_path, {})
    (tmp_path / "half.json").write_text('{"rows": [')
    with pytest.raises(SystemExit, match=r"half\.json is no JSON"):
        page_of(summary, tmp_path, {})


def test_charts_follow_the_rows(summary, tmp_path):
    grown = [
        {**ROW, "size": n, "who": f"sweeps, {mode}", "median": n**power * 1e-6, "values": 8 * n}
        for n in (10, 100, 1000)
        for mode, power in (("forward", 2), ("reverse", 1))
    ]
    saved = [
        {**ROW, "size": 50, "who": who, "values": 16}
        for who in ("stored", "5 slots", "JAX, stored")
    ]
    notes = "[first]\nfits = true\n[third]\nslots = true"
    files = {"first": {**FILE, "rows": grown}, "third": {**FILE, "rows": saved}, "zero": FILE}
    text, found = page_of(summary, tmp_path, files, notes)
    titles = [p.title for result in found for p in summary.pictures(result)]
    assert titles == [
        "sums: seconds", "sums: bytes", "seconds by slots", "bytes by slots", "sums, size 10",
    ]  # fmt: skip
    assert "| sums | sweeps, forward | seconds | ∝ size^2.00 (2.00 .. 2.00) |" in text
    assert "sums: sweeps: forward and reverse cross at size 1 (extrapolated)" in text
    (by_slots, _) = summary.pictures(found[1])
    assert by_slots.svg.count("<circle") == 2 + 1  # two runs of ours, and the legend


def test_the_committed_page_is_what_the_committed_results_give(summary):
    for name, text in summary.written(summary.results()).items():
        path = summary.PAGE.parent / name
        assert path.read_text(encoding="utf-8") == text, f"{name}: run benchmarks/summary.py"
    shown = {Path(name).name for name in summary.written(summary.results())}
    kept = {p.name for p in (summary.PAGE.parent / summary.CHARTS).glob("*.svg")}
    assert kept == shown - {summary.PAGE.name}


def test_results_name_no_host_and_no_path(summary):
    for path in sorted(summary.RESULTS.glob("*.json")):
        text = path.read_text(encoding="utf-8")
        machine = json.dumps(json.loads(text)["machine"])
        assert not any(word in text for word in ("/home", "/tmp", "/work", "http")), path.name
        assert "/" not in machine, path.name
