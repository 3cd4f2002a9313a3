"""Every benchmark runs at a tiny size, correctness checks included; no time is judged here."""

import importlib.util
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
