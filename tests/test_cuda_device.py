"""The CUDA engine on a real device: the same programs, arrays that stay there, errors."""

import numpy as np
import pytest
from cases import CASES
from simulated_programs import EXTRA, captured
from test_fused import program_graphs, same

import calcbench as cb
from calcbench.graph.interpreter import evaluate
from calcbench.lower.cuda_program import prepare_cuda


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
