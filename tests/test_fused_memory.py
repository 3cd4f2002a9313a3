"""The fused engine's memory: planned to the byte, refused before a run, and usable afterwards."""

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import calcbench as cb
from calcbench.lower import engines, memory
from calcbench.lower.engines import Options, Runner
from calcbench.lower.fused import prepare_fused


def centred(x):
    y = np.exp(x - np.mean(x, axis=0))
    return y / np.sum(y, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def runner():
    """A program of 2 MB in between and 1 MB of results."""
    return Runner(cb.trace(centred, np.ones((500, 256))), Options("fused"))


def test_the_plan_is_what_a_run_allocates(runner):
    program, x = runner.executable, np.random.default_rng(0).normal(size=(500, 256))
    program([x])
    tracemalloc.start()
    results = program([x])
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    plan = program.memory
    assert plan.outputs == results[0].nbytes <= kept <= plan.outputs + 4096
    # Buffers inside loops are Numba's, which Python's allocator does not see.
    assert peak <= plan.peak + 4096
    assert plan.arena + plan.outputs <= peak + 64


@pytest.mark.parametrize("limit", [0, 1_000_000])
def test_a_run_beyond_the_limit_is_refused_before_it_starts(limit):
    compiled = cb.compile(centred, engine="fused", memory_limit=limit)
    for _ in range(2):
        with pytest.raises(MemoryError, match=r"this run needs \d+ bytes .*allowed or free"):
            compiled(np.ones((500, 256)))
    assert limit == 0 or compiled(np.ones((2, 256))).shape == (2, 256)


def test_free_memory_is_asked_for_before_each_large_run(runner, monkeypatch):
    monkeypatch.setattr(memory, "LARGE", 1 << 20)
    graph = runner.graph
    x = np.ones((500, 256))
    large = Runner(graph, Options("fused"))
    expected = large([x])
    monkeypatch.setattr(memory, "free_bytes", lambda: 1 << 20)
    with pytest.raises(MemoryError, match="this run needs"):
        large([x])
    monkeypatch.undo()
    np.testing.assert_array_equal(large([x]), expected)


def test_auto_stays_on_the_tape_where_the_loops_would_take_too_much(monkeypatch):
    compiled = cb.compile(lambda x: np.sum(np.sin(x)), engine="auto")
    compiled(np.ones(10))
    executable = compiled.last.built.runner.executable
    greedy = prepare_fused(cb.trace(np.exp, np.ones(1_000_000)))
    monkeypatch.setattr(engines, "_fused", lambda graph, options: greedy)
    monkeypatch.setattr(memory, "free_bytes", lambda: 100)
    executable._switch()
    assert type(executable.current).__name__ == "TapeProgram"


EXHAUSTED = """
import resource
import numpy as np
import calcbench as cb

large = np.ones((4000, 4000))
loops = cb.compile(np.exp, engine="fused")
expected = [loops(large) for _ in range(3)][-1]
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 60_000_000, resource.RLIM_INFINITY))
for _ in range(2):
    try:
        loops(large)
        print("not refused")
    except MemoryError:
        print("refused")
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(np.array_equal(loops(large), expected))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="limits address space on Linux")
def test_a_program_is_usable_after_memory_ran_out():
    done = subprocess.run(
        [sys.executable, "-c", EXHAUSTED],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == ["refused", "refused", "True"], done.stderr
