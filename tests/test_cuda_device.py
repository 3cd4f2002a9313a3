"""The CUDA engine on a real device: the same programs, arrays that stay there, errors."""

import numpy as np
import pytest
from cases import CASES
from simulated_points import (
    BATCHES,
    EXTRA as POINTS,
    MANY,
    batches_on_device,
    calls_on_device,
    compare,
    outcome,
)
from simulated_programs import EXTRA, captured
from simulated_sweeps import MODES, PUBLIC, attempt, programs, public
from test_cuda_points import STANDARD
from test_fused import program_graphs, same

import calcbench as cb
from calcbench.graph.interpreter import evaluate
from calcbench.lower.cuda_points import prepare_cuda_points
from calcbench.lower.cuda_program import prepare_cuda
from calcbench.lower.sweep_kinds import is_straight


pytestmark = pytest.mark.gpu


def check(graph, values):
    try:
        wanted = evaluate(graph, *values)
    except Exception:
        return  # no number: not positive definite, an index too large
    got = prepare_cuda(graph)([np.asarray(v) for v in values])
    for a, b, i in zip(got, wanted, graph.outputs, strict=True):
        same(a, np.asarray(b, graph.types[i].dtype), 64, f"v{i}")


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_programs_agree_with_the_interpreter(case):
    for graph, values in program_graphs(case):
        check(graph, values)


@pytest.mark.parametrize("name", EXTRA)
def test_products_sums_and_scatters(name):
    function, arguments = EXTRA[name]
    graph = cb.trace(function, *arguments)
    check(graph, [*arguments, *captured(graph, arguments)])


def test_large_arrays():
    x = np.random.default_rng(0).normal(size=1_000_000)

    def f(x):
        return np.sum(np.exp(-x * x) * np.sin(x))

    got = cb.grad(f, engine="cuda")(x)
    np.testing.assert_allclose(got, cb.grad(f)(x), rtol=1e-10, atol=1e-14)


def test_the_same_bits_at_every_run():
    x = np.random.default_rng(1).normal(size=100_000)
    total = cb.compile(np.sum, engine="cuda")
    assert len({float(total(x)) for _ in range(5)}) == 1


def test_arrays_of_the_device_stay_there():
    from numba import cuda

    x = cuda.to_device(np.linspace(0.0, 1.0, 1000))
    (result,) = prepare_cuda(cb.trace(lambda x: x * 2.0, np.ones(1000)))([x])
    assert hasattr(result, "__cuda_array_interface__")
    np.testing.assert_array_equal(result.copy_to_host(), 2.0 * x.copy_to_host())


def test_too_much_memory_is_refused():
    graph = cb.as_graph(cb.var("x", shape=(1 << 38,)) * 2.0 + 1.0)
    with pytest.raises(MemoryError):
        prepare_cuda(graph)([np.zeros(1)])


# --- one thread a point --------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_programs_agree_point_by_point(case):
    for graph, values in program_graphs(case):
        outcome(graph, values, 1000)


@pytest.mark.parametrize("name", POINTS)
def test_sums_products_and_positions_of_points(name):
    function, arguments = POINTS[name]
    graph = cb.trace(function, *arguments)
    positions = [np.array([0, 2, 2, 0])] if len(graph.inputs) > len(arguments) else []
    outcome(graph, [*arguments, *positions], MANY)


@pytest.mark.parametrize("name", BATCHES)
def test_points_are_grouped_by_path(name):
    function, arguments, _ = BATCHES[name]
    compiled = cb.compile(function, engine="cuda")
    for _ in range(2):
        compare(compiled.batch(*arguments), function, arguments)


@pytest.mark.parametrize("name", STANDARD)
def test_a_million_points(name):
    function, arguments = STANDARD[name]
    graph = cb.trace(function, *arguments)
    scale = np.random.default_rng(0).uniform(0.9, 1.1, size=1_000_000)
    wide = [np.multiply.outer(scale, np.asarray(v)) for v in arguments]
    got = prepare_cuda_points(graph)(wide, len(scale))
    for k in (0, 1, 77, 999_999):
        for a, b in zip(got.values, evaluate(graph, *[w[k] for w in wide]), strict=True):
            np.testing.assert_allclose(a[k], b, rtol=1e-11)


def test_batches_on_the_device_stay_there():
    from numba import cuda

    x = cuda.to_device(np.linspace(0.0, 1.0, 3000).reshape(1000, 3))
    got = prepare_cuda_points(cb.trace(lambda x: x * 2.0, np.ones(3)))([x], 1000)
    np.testing.assert_array_equal(got.values[0].copy_to_host(), 2.0 * x.copy_to_host())


def test_batches_of_functions_stay_there():
    batches_on_device()


def test_a_position_outside_harms_no_other_point():
    graph = cb.trace(lambda x, i: x[i], np.ones(3), 1)
    got = prepare_cuda_points(graph)([np.eye(3), np.array([0, 5, 2])], 3)
    assert got.done.tolist() == [True, False, True]
    assert got.values[0][[0, 2]].tolist() == [1.0, 1.0]


def test_single_calls_stay_there():
    assert calls_on_device() == ([1, 0, 0], ["launch"])


# --- direct sweeps -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_sweeps_agree_with_transformed_graphs(mode):
    for name, graph, values, _ in programs():
        if is_straight(graph):
            assert "wrong" not in attempt(mode, graph, values, 1000), name


@pytest.mark.parametrize("name", PUBLIC)
def test_batches_of_both_sweeps_are_those_of_the_cpu(name):
    public(name)
