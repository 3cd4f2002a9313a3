"""Loops shared out among threads give the bits of one thread, whatever the ranges are."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from test_fused import interpreted

import calcbench as cb
from calcbench.graph.ir import Graph
from calcbench.lower import drivers, fused, workers
from calcbench.lower.drivers import is_shared
from calcbench.lower.fused import FusedProgram, prepare_fused
from calcbench.testing import graphs, inputs


def of_vectors(x: Any) -> Any:
    """Boxes at the edges, angles that need libm in some blocks, folds with and without writes."""
    waves = np.sin(1e4 * x) * np.cos(x)
    weights = np.exp(np.tanh(x))
    return waves[1:] * x[:-1], weights / np.sum(weights), np.max(waves), np.prod(np.cos(x))


def of_layers(x: Any) -> Any:
    """Folds by rows, by columns, and over axes that do not lie side by side."""
    terms = np.exp(x)
    return np.sum(terms, axis=2), np.sum(terms, axis=1), np.sum(terms, axis=0), terms.sum((0, 2))


PROGRAMS = {"vectors": (of_vectors, (5_000,)), "layers": (of_layers, (5, 600, 7))}


@pytest.fixture
def always_shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every loop counts as long, and as one that pays for threads."""
    monkeypatch.setattr(drivers, "LONG_NS", 0.0)
    monkeypatch.setattr(workers, "THREADS_PAY_NS", 0.0)
    monkeypatch.setattr(workers, "_pools", {})
    yield
    for pool in workers._pools.values():
        pool.shutdown()
    workers.thread_count.cache_clear()


def with_threads(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALCBENCH_NUM_THREADS", str(count))
    workers.thread_count.cache_clear()
    workers._pools.clear()


def bits(results: Any) -> list[bytes]:
    return [np.asarray(r).tobytes() for r in results]


def point(shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    return rng.normal(size=shape) * 10.0 ** rng.integers(-3, 3, size=shape).clip(max=1)


@pytest.fixture(scope="module")
def alone() -> dict[str, list[bytes]]:
    """The bits of each program as one call of its loops, run by one thread."""
    return {
        name: bits(prepare_fused(cb.trace(function, point(shape)))([point(shape)]))
        for name, (function, shape) in PROGRAMS.items()
    }


@pytest.mark.parametrize("name", PROGRAMS)
def test_any_number_of_threads_gives_the_same_bits(
    name: str, alone: Any, always_shared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, shape = PROGRAMS[name]
    program = prepare_fused(cb.trace(function, point(shape)))
    assert "start, stop" in program.source
    for count in (1, 2, 3):
        with_threads(count, monkeypatch)
        assert bits(program([point(shape)])) == alone[name]


def test_a_program_may_be_called_from_many_threads(
    always_shared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_threads(3, monkeypatch)
    function, shape = PROGRAMS["vectors"]
    program = prepare_fused(cb.trace(function, point(shape)))
    points = [point(shape) + k for k in range(6)]
    expected = [bits(program([x])) for x in points]
    right = []

    def call(k: int) -> None:
        right.extend(bits(program([points[k]])) == expected[k] for _ in range(20))

    callers = [threading.Thread(target=call, args=(k,)) for k in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert right == [True] * 120


@given(graphs(kinked=True).flatmap(lambda g: inputs(g).map(lambda v: (g, v))))
@settings(max_examples=40)
def test_random_graphs_in_ranges(drawn: tuple[Graph, list[Any]]) -> None:
    graph, values = drawn
    given = [np.ascontiguousarray(v) if np.ndim(v) else v for v in values]
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(fused, "load", interpreted)
        patch.setattr(fused, "compile_only", lambda function, _: function)
        whole = _results(prepare_fused(graph), given)
        patch.setattr(drivers, "LONG_NS", 0.0)
        patch.setattr(workers, "THREADS_PAY_NS", 0.0)
        assert _results(prepare_fused(graph), given) == whole


def _results(program: FusedProgram, values: list[Any]) -> list[bytes] | str:
    try:
        return bits(program(values))
    except Exception as error:  # of a row that refuses these numbers
        return str(error)


# --- when -------------------------------------------------------------------------------------


def long_loops(function: Any, *shape: int) -> list[bool]:
    """For each loop that is run in ranges, whether threads share them out."""
    program = prepare_fused(cb.trace(function, np.ones(shape)))
    loops = [step.args[1] for step, _ in program._steps if hasattr(step, "args")]
    return [is_shared(loop) for loop in loops]


def test_only_long_loops_that_compute_are_shared_out() -> None:
    assert long_loops(np.exp, 1000) == []
    assert long_loops(np.exp, 2_000_000) == [True]
    assert long_loops(lambda x: 2.0 * x + 1.0, 2_000_000) == [False]  # memory sets the pace
    assert long_loops(lambda x: np.sum(np.exp(x)), 2000, 1000) == [True]


def test_the_plan_counts_the_buffers_of_each_thread(
    always_shared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = cb.trace(lambda x: np.sum(np.exp(x), axis=1), np.ones((40, 300)))
    planned = []
    for count in (1, 3):
        with_threads(count, monkeypatch)
        planned.append(prepare_fused(graph).memory.workspace)
    assert planned[1] == 3 * planned[0] > 0
