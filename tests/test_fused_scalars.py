"""Values of one entry: computed once, in straight-line code that calls our elementary functions."""

import numpy as np
import pytest

import calcbench as cb
from calcbench.graph.interpreter import evaluate
from calcbench.lower import drivers, parts
from calcbench.lower.compiler import load
from calcbench.lower.fused import prepare_fused
from calcbench.lower.shared import linked
from calcbench.lower.tape import prepare_tape


X = np.array([0.3, -0.7, 1.1, 0.5])


def chain(x):
    a, b, c, d = x[0], x[1], x[2], x[3]
    for _ in range(4):
        a = np.sin(b * c) + d
        b = np.exp(-a * a) - np.cos(c) * b
        c = np.tanh(a - b) * d
        d = np.log(1.5 + c * c) + 0.25 * a
    return a * b + c * d


@pytest.fixture
def short(monkeypatch):
    """Straight-line code in many functions."""
    for module in (parts, drivers):
        monkeypatch.setattr(module, "LONGEST", 12)


def same_bits(graph, values):
    program = prepare_fused(graph)
    for got, want in zip(program(values), prepare_tape(graph)(values), strict=True):
        assert np.asarray(got).tobytes() == np.asarray(want).tobytes()
    return program


def test_a_scalar_chain_is_computed_once_and_without_memory():
    program = same_bits(cb.trace(cb.grad(chain), X), [X])
    assert program.source.count("log_lane_called(v") == 4
    assert program.source.count("sin_cos_called(v") == 8  # each once for both
    assert "sin_any" not in program.source
    assert "log_lane(" not in program.source
    assert program.memory.arena == program.memory.workspace == 0


@pytest.mark.usefixtures("short")
def test_functions_hand_on_what_others_read():
    program = same_bits(cb.trace(cb.grad(chain), X), [X])
    assert program.source.count("def part") > 5
    assert program.memory.workspace > 0


def mixed(x, k):
    narrow = np.float32(x[0]) if isinstance(x, np.ndarray) else x[0].astype(np.float32)
    inside = (x[1] < x[2]) & (k > 2)
    count = k * 3 + 1
    for _ in range(3):
        narrow = np.sin(narrow) * narrow + np.float32(0.5)
        count = count * 5 - k
        inside = inside | (count < 0)
    return np.where(inside, narrow * x, np.exp(x[3]) * x + count)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("k", [1, 3])
def test_handed_on_in_every_dtype(k):
    graph = cb.trace(mixed, X, k)
    assert {t.dtype.name for t in graph.types} == {"float64", "float32", "int64", "bool"}
    same_bits(graph, [X, np.int64(k)])


def with_products(x):
    s = np.exp(np.sin(x[0])) * np.cos(x[1])
    y = np.sort(x * s)
    t = np.exp(np.sin(s * y[0])) * np.tanh(y[1])
    return (y * t + s).reshape(2, 2) @ x.reshape(2, 2) * t * s


def test_values_outlive_call_outs_and_products():
    graph = cb.trace(with_products, X)
    program = same_bits(graph, [X])
    np.testing.assert_allclose(program([X])[0], evaluate(graph, X)[0], rtol=1e-12)


def test_long_loops_read_values_of_one_entry():
    graph = cb.trace(lambda x, t: x * np.exp(np.sin(t)) + np.tanh(np.exp(x)), np.ones(500_000), 1.0)
    x = np.linspace(-2.0, 2.0, 500_000)
    program = same_bits(graph, [x, np.float64(0.7)])
    assert program.source.count("sin_any_called") == 2  # imported, and called once


ARGUMENTS = np.concatenate(
    [
        np.random.default_rng(0).uniform(-1.1, 1.1, 200_000),
        np.random.default_rng(1).uniform(-760.0, 760.0, 200_000),
        10.0 ** np.random.default_rng(2).uniform(-300.0, 300.0, 100_000),
        np.arange(-400, 400) * np.pi / 4,
        np.nextafter(np.arange(-400, 400) * np.pi / 4, np.inf),
        [0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, 1e-9, -1e-9, 0.34, 0.35, 1.03, 700.0, -700.0],
    ]
)
TEXT = """
@jit
def compute(x, inlined, called, count):
    for i in range(count):
        inlined[i] = {0}(x[i])
        called[i] = {0}_called(x[i])
"""


def test_one_call_for_sine_and_cosine_gives_their_bits():
    text = """
@jit
def compute(x, sines, cosines, count):
    for i in range(count):
        sines[0, i], cosines[0, i] = sin_any(x[i]), cos_any(x[i])
        sines[1, i], cosines[1, i] = sin_cos_called(x[i])
"""
    imports, modules = linked(text)
    results = np.empty((2, 2, ARGUMENTS.size))
    load(imports + text, modules).compute(ARGUMENTS, *results, ARGUMENTS.size)
    for apart, together in results:
        same = apart.view(np.int64) == together.view(np.int64)
        assert np.all(same | (np.isnan(apart) & np.isnan(together)))


@pytest.mark.parametrize("name", ["exp_lane", "sin_any", "cos_any", "tanh_lane"])
def test_called_functions_give_the_bits_of_inlined_ones(name):
    imports, modules = linked(TEXT.format(name))
    module = load(imports + TEXT.format(name), modules)
    inlined, called = np.empty((2, ARGUMENTS.size))
    module.compute(ARGUMENTS, inlined, called, ARGUMENTS.size)
    defined = ~np.isnan(inlined)
    np.testing.assert_array_equal(inlined[defined].view(np.int64), called[defined].view(np.int64))
    np.testing.assert_array_equal(np.isnan(called), ~defined)
