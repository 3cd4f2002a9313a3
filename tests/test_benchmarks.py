"""Every benchmark runs at a tiny size, correctness checks included; no time is judged here."""

import importlib.util
import sys
from pathlib import Path

import pytest


FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("bench_*.py")), ids=lambda p: p.stem)
def test_a_benchmark_runs_quickly_and_reports_rows(path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    rows = module.main(["--quick"])
    assert rows
    assert all(row.median > 0 for row in rows)
    assert "numpy" in capsys.readouterr().out
