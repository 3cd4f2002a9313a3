"""Compiled random graphs, at ordinary and at odd numbers: NumPy's values, and the tape's bits."""

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import calcbench as cb
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Graph
from calcbench.lower import cache
from calcbench.lower.fused import prepare_fused
from calcbench.lower.shared import linked
from calcbench.lower.tape import prepare_tape
from calcbench.testing import graphs, inputs


ODD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -1e-310, 1e308]


@given(graphs(kinked=True).flatmap(lambda g: inputs(g).map(lambda v: (g, v))))
@settings(max_examples=6)
def test_random_graphs_compiled(drawn: tuple[Graph, list[Any]]) -> None:
    graph, values = drawn
    values = [np.ascontiguousarray(v) if np.ndim(v) else v for v in values]
    odd = [odd_numbers(v) for v in values]
    program, tape = prepare_fused(graph), prepare_tape(graph)
    for point in (values, odd):
        try:
            with np.errstate(all="ignore"):
                expected = evaluate(graph, *point)
        except Exception:
            continue  # no number: a row refuses these
        for got, from_tape, wanted in zip(program(point), tape(point), expected, strict=True):
            assert np.array_equal(got, from_tape, equal_nan=True)
            if point is values and np.all(np.isfinite(wanted)):
                size = np.max(np.abs(wanted), initial=1e-290)
                np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-6 * size)


def odd_numbers(value: Any) -> Any:
    if np.asarray(value).dtype.kind != "f":
        return value
    return np.resize(ODD, np.shape(value)).astype(np.asarray(value).dtype)[()]


def test_functions_that_graphs_share_are_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "read", lambda key: {})  # no graph comes from disk
    x = np.linspace(0.0, 1.0, 5)
    for factor in (2.0, 3.0):
        program = prepare_fused(cb.trace(lambda x, k=factor: np.exp(x) * k, x))
        np.testing.assert_allclose(program([x])[0], factor * np.exp(x), rtol=1e-15)
    _, modules = linked("exp_lane(x)")
    function = vars(sys.modules[modules[-1].name])["exp_lane"]
    assert len(function.signatures) == 1
    assert modules[-1].functions == {}  # Python has no way into it
    with pytest.raises(AttributeError, match="no function 'exp_lane'"):
        _ = modules[-1].exp_lane
