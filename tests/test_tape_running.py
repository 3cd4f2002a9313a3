"""A run of the tape: the memory that was planned, errors with a node and a line, and Ctrl-C."""

import os
import signal
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import calcbench as cb
from calcbench.graph.arraytype import FLOAT64, INT64, ArrayType
from calcbench.graph.ir import Builder
from calcbench.graph.lifetimes import peak_bytes
from calcbench.graph.primitive import REGISTRY
from calcbench.lower import tape_segments
from calcbench.lower.opcodes import numbering
from calcbench.lower.tape import SPARE, TapeProgram, prepare_tape
from calcbench.lower.tape_encoding import Encoder
from calcbench.lower.tape_segments import ARRAYS, SCALARS, assemble


def chain(x: Any, length: int) -> Any:
    """A long program on single numbers."""
    last = x[0]
    for k in range(length):
        last = np.sin(last) * x[k % 3] if k % 2 else last + x[(k + 1) % 3]
    return last


# --- memory --------------------------------------------------------------------------------------

POINTS = np.random.default_rng(0).normal(size=(200, 300))
LOOSE = 6000  # bytes: Python's objects of a call
PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "elementwise": lambda x: np.exp(x) * np.tanh(x) + np.sin(x),
    "folds": lambda x: (np.sum(x * x, axis=0), np.max(np.cos(x)), np.cumsum(x, axis=1)),
    "moves": lambda x: np.concatenate([x[::2], x[1::2] * 2.0]).T[::-1],
    "products": lambda x: (x @ x.T) @ x,
    "single numbers": lambda x: chain(x[0], 700),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_run_takes_the_memory_that_was_planned(name: str) -> None:
    graph = cb.trace(PROGRAMS[name], POINTS)
    prepare_tape(graph)([POINTS])  # kernels are loaded
    peak, program = measured(graph)
    planned = program.memory.peak
    assert program.memory.callouts == ()
    assert planned <= peak + LOOSE
    assert peak <= planned + LOOSE, (peak, planned)


def test_calls_of_numpy_are_reported_apart() -> None:
    graph = cb.trace(lambda x: np.sort(np.exp(x), axis=1) * 2.0, POINTS)
    prepare_tape(graph)([POINTS])
    peak, program = measured(graph)
    (node,) = program.memory.callouts
    assert graph.nodes[node].row.name == "sort"
    own = POINTS.nbytes  # the array that NumPy makes, before it is copied to its place
    assert program.memory.peak <= peak <= program.memory.peak + own + LOOSE


def measured(graph: Any) -> tuple[int, TapeProgram]:
    """What the first run of a fresh program allocates."""
    program = prepare_tape(graph)
    tracemalloc.start()
    program([POINTS])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak, program


def test_small_arenas_are_kept_and_large_ones_given_back() -> None:
    small, large = (cb.trace(lambda x: np.sum(np.exp(x)), np.ones(n)) for n in (10, SPARE // 4))
    for graph, kept in ((small, True), (large, False)):
        program = prepare_tape(graph)
        (x,) = (np.ones(graph.types[i].shape) for i in graph.inputs)
        program([x])
        tracemalloc.start()
        program([x])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (peak < LOOSE) == kept


@pytest.mark.parametrize("name", PROGRAMS)
def test_held_says_what_lies_in_the_arena_and_why(name: str) -> None:
    program = prepare_tape(cb.trace(PROGRAMS[name], POINTS))
    held = program.memory.held
    assert peak_bytes(held) <= program.memory.arena + 8 * len(held)
    for life in held:
        readers = [k for k, n in enumerate(program.graph.nodes) if life.node in n.operands]
        assert life.first <= life.node <= life.last
        assert all(reader <= life.last for reader in readers) or life.why == "workspace"
    assert f"v{held[-1].node}: {held[-1].size} bytes" in str(program.memory)


def test_values_that_live_at_the_same_time_lie_apart() -> None:
    graph = cb.trace(lambda x: chain(x, 400), POINTS[0, :3])
    encoder = Encoder(graph, numbering())
    words, _, _ = encoder.values.place()
    lives = encoder.values.held()
    assert peak_bytes(lives) < 20 * len(lives)
    for a in lives:
        for b in lives:
            if a.node < b.node and b.first < a.last and a.last > b.node:
                assert words[a.node] != words[b.node], (a, b)


def test_long_runs_of_single_numbers_have_their_kernel() -> None:
    def kernels(length: int) -> set[int]:
        graph = cb.trace(lambda x: chain(x, length), POINTS[0, :3])
        encoder = Encoder(graph, numbering())
        words, _, _ = encoder.values.place()
        return {segment.kernel for segment in assemble(encoder, words).segments}

    assert kernels(10) == {ARRAYS}
    assert kernels(1000) == {SCALARS}


# --- errors --------------------------------------------------------------------------------------


def test_a_position_outside_names_the_node_and_its_line() -> None:
    def f(x: Any, positions: Any) -> Any:
        return np.sum((np.exp(x) + x[0])[positions])  # this line

    compiled = cb.compile(f, engine="tape")
    compiled(np.arange(4.0), np.array([1, -4]))
    line = f.__code__.co_firstlineno + 1
    with pytest.raises(IndexError, match=rf"index 4 .*\n.* recorded at .*{__name__}.py:{line}"):
        compiled(np.arange(4.0), np.array([1, 4]))
    assert np.isfinite(compiled(np.arange(4.0), np.array([0, 3])))


@pytest.mark.parametrize("row", ["gather", "scatter_add"])
def test_a_position_that_no_node_checked_is_found_by_the_kernel(row: str) -> None:
    """Tracing records a check of every position; a graph that was written by hand may not."""
    builder = Builder()
    builder.here = ("model.py", 7)
    x = builder.add_new_input("x", ArrayType((4,), FLOAT64))
    positions = builder.add_new_input("positions", ArrayType((4,), INT64))
    doubled = builder.add(REGISTRY["add"], (x, x))
    builder.here = ("model.py", 8)
    params = (("size", 4),) if row == "scatter_add" else ()
    chosen = builder.add(REGISTRY[row], (doubled, positions), params)
    program = prepare_tape(builder.freeze([chosen]))
    program([np.arange(4.0), np.array([3, -4, 0, 1])])
    with pytest.raises(IndexError, match=rf"position.*\n.*v3 = {row}, recorded at model.py:8"):
        program([np.arange(4.0), np.array([1, 2, 4, 0])])


# --- Ctrl-C --------------------------------------------------------------------------------------


def test_long_scalar_runs_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """No slice takes 100 ms, were each of its instructions to take 100 ns."""
    longest = tape_segments.SLICE // (tape_segments.BESIDE + 1)
    assert longest * 100e-9 < 0.1
    monkeypatch.setattr(tape_segments, "SLICE", 1 << 10)
    encoder = Encoder(cb.trace(lambda x: chain(x, 1000), POINTS[0, :3]), numbering())
    segments = assemble(encoder, encoder.values.place()[0]).segments
    runs = [s.high - s.low for s in segments if s.kernel == SCALARS]
    assert sum(runs) > 0.9 * len(encoder.scalars)
    assert len(runs) > 4
    assert max(runs) <= 1 + (1 << 10) // (tape_segments.BESIDE + 1)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.skipif(os.name != "posix", reason="signals are sent to this process")
def test_long_scalar_runs_answer_ctrl_c() -> None:
    program = prepare_tape(cb.trace(lambda x: chain(x, 5_000), POINTS[0, :3]))
    program([POINTS[0, :3]])
    program._steps = program._steps * 200_000  # seconds
    sent = []

    def interrupt() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.1, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        program([POINTS[0, :3]])
    assert time.perf_counter() - sent[0] < 0.1
