"""Nodes of few entries in long programs on single numbers: one kernel call, and NumPy's bits."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import calcbench as cb
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Graph
from calcbench.lower import tape_encoding, tape_entries, tape_segments
from calcbench.lower.opcodes import numbering
from calcbench.lower.tape import prepare_tape
from calcbench.lower.tape_encoding import IN_ALL, Encoder
from calcbench.lower.tape_segments import ARRAYS, SCALARS, assemble
from calcbench.testing.programs import graphs, inputs


FLOATS = np.array([[0.5, -0.0, np.inf], [-1.25, 1e-310, 3.0]])
WHOLE = np.array([[3, -1, 2], [0, 2**40, -7]])
Few = Callable[[Any], Any]


def program(few: Few) -> Callable[[Any], Any]:
    """What `few` gives before and after a long run of exact operations on single numbers."""

    def f(x: Any) -> Any:
        last = x[1, 0]
        before = few(x)
        for k in range(IN_ALL):
            last = last + x[1, 2] if k % 3 else last - x[0, k % 2]
        return before, last, few(x * last), few(np.stack([np.stack([last, x[0, 0], last])] * 2))

    return f


FIT: dict[str, Few] = {
    "one entry": lambda x: x[1, 1],
    "rows": lambda x: x[1],
    "steps": lambda x: x[::-1, ::2],
    "flip of both axes": lambda x: np.flip(x),
    "transpose": lambda x: x.T,
    "repeated": lambda x: np.broadcast_to(x[:, :1], (2, 4)),
    "side by side": lambda x: np.concatenate([x, x[:, 1:], x[:, :1]], axis=1),
    "on top of each other": lambda x: np.concatenate([x[1:], x]),
    "arithmetic": lambda x: x * x - (x + x[0]),
    "a number": lambda x: np.concatenate([x + 2, np.ones_like(x)]),
    "zeros around": lambda x: cb.grad(lambda v: v[1] * v[2] * v[::2][1])(x[0] * 1.0),
}
OTHER: dict[str, Few] = {
    "too many": lambda x: np.broadcast_to(x, (4, 2, 3)),
    "truth values": lambda x: np.where(x > 1, x, -x),
    "half of a word": lambda x: x.astype(np.float32)[0],
    "folds": lambda x: np.cumsum(x, axis=1),
    "largest": lambda x: np.max(x, axis=0),
}


def kernels(graph: Graph) -> set[int]:
    encoder = Encoder(graph, numbering())
    return {segment.kernel for segment in assemble(encoder, encoder.values.place()[0]).segments}


def agree(graph: Graph, x: np.ndarray) -> None:
    """The tape's results have the bits of the interpreter, twice on the same memory."""
    run = prepare_tape(graph)
    with np.errstate(all="ignore"):
        for point in (x, x[::-1].copy(), x):
            for got, want in zip(run([point]), evaluate(graph, point), strict=True):
                np.testing.assert_array_equal(got, want)
                np.testing.assert_array_equal(np.signbit(got), np.signbit(want))
                assert got.dtype == np.asarray(want).dtype


@pytest.mark.parametrize("x", [FLOATS, WHOLE], ids=["float64", "int64"])
@pytest.mark.parametrize("name", [*FIT, *OTHER])
def test_results_are_those_of_numpy(name: str, x: np.ndarray) -> None:
    few = {**FIT, **OTHER}[name]
    with np.errstate(all="ignore"):
        graph = cb.trace(program(few), x)
    agree(graph, x)


@pytest.mark.parametrize("name", FIT)
def test_one_call_of_one_kernel(name: str) -> None:
    with np.errstate(all="ignore"):
        graph = cb.trace(program(FIT[name]), FLOATS)
    assert kernels(graph) == {SCALARS}
    assert len(prepare_tape(graph)._steps) == 1


@pytest.mark.parametrize("name", ["too many", "truth values"])
def test_the_kernel_for_arrays_has_the_others(name: str) -> None:
    with np.errstate(all="ignore"):
        graph = cb.trace(program(OTHER[name]), FLOATS)
    assert kernels(graph) == {SCALARS, ARRAYS}


def test_without_a_long_run_arrays_have_their_kernel() -> None:
    assert kernels(cb.trace(FIT["arithmetic"], FLOATS)) == {ARRAYS}


def test_an_entry_mistaken_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = tape_entries._places
    graph = cb.trace(program(FIT["rows"]), WHOLE)
    agree(graph, WHOLE)
    monkeypatch.setattr(tape_entries, "_places", lambda *a: np.roll(right(*a), 1).tolist())
    with pytest.raises(AssertionError):
        agree(graph, WHOLE)


MOVED = ["slice", "flip", "transpose", "broadcast", "pad", "concatenate", "reshape"]
EXACT = ["add", "subtract", "multiply", "negative", *MOVED]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_graphs_entry_by_entry(data: Any) -> None:
    """Whatever fits goes entry by entry, and every run of single numbers to their kernel."""
    graph = data.draw(graphs(max_operations=20, rows=EXACT))
    point = data.draw(inputs(graph))
    with pytest.MonkeyPatch.context() as always:
        for module in (tape_encoding, tape_segments):
            always.setattr(module, "IN_ALL", 0)
        always.setattr(tape_segments, "IN_A_ROW", 1)
        run = prepare_tape(graph)
    with np.errstate(all="ignore"):
        for got, want in zip(run(point), evaluate(graph, *point), strict=True):
            np.testing.assert_array_equal(got, want)
