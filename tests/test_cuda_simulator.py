"""The CUDA engine's kernels compute what the interpreter computes, under Numba's simulator."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import calcbench as cb


@pytest.fixture(scope="module")
def outcomes():
    """What the programs did: one process for all, as the simulator is chosen when Numba loads."""
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, str(here / "simulated_programs.py")],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
    )
    assert done.returncode == 0, done.stderr
    return {name: found for name, found in json.loads(done.stdout).items() if found is not None}


def test_every_program_agrees_with_the_interpreter(outcomes):
    assert len(outcomes) > 150
    assert {n: o["wrong"] for n, o in outcomes.items() if "wrong" in o} == {}


def test_launches_are_the_groups(outcomes):
    for name, found in outcomes.items():
        assert found["events"].get("launch", 0) == found["kernels"], name


def test_nothing_is_copied_between_kernels_unless_the_host_computes_a_row(outcomes):
    quiet = 0
    for name, found in outcomes.items():
        kinds = found["kinds"]
        if "call out" in kinds or "launch" not in kinds:
            continue
        quiet += 1
        first, last = kinds.index("launch"), len(kinds) - kinds[::-1].index("launch")
        assert set(kinds[first:last]) == {"launch"}, name
        assert "upload" not in kinds[last:], name
    assert quiet > 100


def test_without_a_device_the_error_says_what_is_missing():
    if "NUMBA_ENABLE_CUDASIM" in os.environ:
        pytest.skip("the simulator stands for a device")
    with pytest.raises(cb.EngineError, match=r"calcbench\[cuda\]|driver"):
        cb.compile(np.sin, engine="cuda")(np.ones(3))
