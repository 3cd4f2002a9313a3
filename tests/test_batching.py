"""A batched graph computes, lane by lane, what the graph of one point computes."""

import numpy as np
import pytest
from cases import CASES
from drawing_samples import draw, seeded
from hypothesis import given

import calcbench as cb
from calcbench import testing
from calcbench.graph.arraytype import ArrayType
from calcbench.graph.batching import RULES, batched
from calcbench.graph.checker import check_graph
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder
from calcbench.graph.lifting import Value
from calcbench.graph.primitive import REGISTRY
from calcbench.graph.trees import leaves_of
from calcbench.lanes import LaneProgram
from calcbench.lower.engines import Options
from calcbench.lower.fused import arena_bytes
from calcbench.lower.groups import Planner


LANES = 3
ROWS = [
    (row, sample) for row in REGISTRY.values() if row.kind != "source" for sample in row.samples
]


def one_node(row, sample, values):
    """A graph that applies one row to its inputs."""
    builder = Builder()
    inputs = [
        builder.add_input(f"x{k}", ArrayType(np.shape(v), np.asarray(v).dtype))
        for k, v in enumerate(values)
    ]
    out = row(*[Value(builder, i) for i in inputs], **sample.params)
    return builder.freeze([out.id])


def assert_lanes(graph, points, shared=()):
    """The batched graph's results are the results of each point, stacked."""
    wide = check_graph(batched(graph, len(points), shared))
    stacked = [
        points[0][k] if k in shared else np.stack([p[k] for p in points])
        for k in range(len(graph.inputs))
    ]
    got = evaluate(wide, *stacked)[: len(graph.outputs)]
    each = [evaluate(graph, *p) for p in points]
    for rank, result in enumerate(got):
        expected = np.stack([e[rank] for e in each])
        assert result.dtype == expected.dtype
        np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("row", "sample"), ROWS, ids=[f"{r.name}{s.shapes}" for r, s in ROWS])
def test_every_row_has_lanes(row, sample):
    rng = seeded(row.name, "lanes")
    points = [draw(sample, rng) for _ in range(LANES)]
    graph = one_node(row, sample, points[0])
    assert_lanes(graph, points)
    for shared in range(len(graph.inputs)) if len(graph.inputs) > 1 else ():
        same = [[points[0][k] if k == shared else v for k, v in enumerate(p)] for p in points]
        assert_lanes(graph, same, (shared,))


def test_every_rule_is_of_a_row():
    assert set(RULES) <= set(REGISTRY)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_program_has_lanes(case):
    graph = cb.trace(case.function, *case.arguments)
    values = [np.asarray(v)[()] for v in leaves_of(case.arguments)]
    if len(values) != len(graph.inputs):
        pytest.skip("reads arrays from outside")
    assert_lanes(graph, [values] * LANES)


def test_guards_become_outputs_with_lanes():
    graph = cb.trace(lambda x: x * x if x > 0 else -x, 1.0)
    wide = batched(graph, 2)
    value, taken = evaluate(wide, np.array([2.0, -3.0]))
    assert value.tolist() == [4.0, 9.0]
    assert taken.tolist() == [True, False]


@given(testing.graphs(max_operations=6, kinked=True))
def test_random_graphs_have_lanes(graph):
    rng = np.random.default_rng(0)
    points = [[rng.normal(size=graph.types[i].shape)[()] for i in graph.inputs] for _ in range(2)]
    assert_lanes(graph, points)


def two_results(x, y):
    return np.sum(x * y), np.exp(x) - y if np.sum(x) > 0 else x * y


@pytest.mark.parametrize("count", [1, 16, 33, 40_000])
def test_blocks_are_written_where_the_results_belong(count):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3 * count, 2))
    x, y = x[::3], np.asfortranarray(y[:count])
    x.flags.writeable = False
    wanted = cb.compile(two_results, engine="tape").batch(x, y)
    for _ in range(2):
        got = cb.compile(two_results, engine="fused").batch(x, y)
        for g, w in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(g, w)
            assert g.flags.writeable
            assert g.flags.owndata


def test_a_block_of_the_fused_engine_is_as_wide_as_its_arena_allows():
    options = Options("fused")
    loops = LaneProgram(cb.trace(lambda x: np.exp(np.sin(x) * x), 1.0), options)
    assert loops.width(1_000_000) == 16384
    assert loops.width(100) == 128
    between = LaneProgram(cb.trace(lambda x: np.linalg.inv(np.exp(x)), np.ones((20, 20))), options)
    assert between.width(1_000_000) < 256


def price(spot, strike, rate, vol, time):
    total = vol * np.sqrt(time)
    d = (np.log(spot / strike) + (rate + 0.5 * vol * vol) * time) / total
    inside, paid = 1.0 + cb.erf(d * 0.7), 1.0 + cb.erf((d - total) * 0.7)
    return 0.5 * (spot * inside - strike * np.exp(-rate * time) * paid)


def test_a_price_and_its_greeks_are_one_loop():
    point = (100.0, 95.0, 0.05, 0.2, 1.0)
    wide = batched(cb.trace(cb.value_and_grad(price, (0, 1, 2, 3, 4)), *point), 64)
    (group,) = Planner(wide, variables=True).groups
    assert len(group.roots) == 6
    assert arena_bytes(wide) == 0
