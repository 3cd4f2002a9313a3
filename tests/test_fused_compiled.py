"""Compiled, the fused engine has NumPy's values, special numbers too, and its planned memory."""

import itertools
import tracemalloc

import numpy as np
import pytest
from cases import CASES
from drawing_samples import draw, seeded
from meanings import NEAR_ROOTS, TEXT_EXCEPTIONS, TEXT_ULPS

import calcbench as cb
from calcbench.graph.arraytype import ArrayType
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder
from calcbench.graph.lifting import Value
from calcbench.graph.primitive import REGISTRY
from calcbench.graph.trees import leaves_of
from calcbench.lower.compiler import EngineError
from calcbench.lower.emission import Writer
from calcbench.lower.engines import without_guards
from calcbench.lower.fused import prepare_fused
from calcbench.lower.texts import is_elementwise


SPECIALS = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 5e-324, -1e-310, 1e300, -745.2]
# NumPy's vector kernels may be 4 ulp off, calcbench's 2.
ULPS = 6.0
FLOAT32_ULPS = 6.0


class Applied:
    """Many rows in one graph, each on inputs of its own: compiling is what takes time."""

    def __init__(self):
        self.builder = Builder()
        self.values, self.outputs, self.rows = [], [], []

    def add(self, row, params, values):
        first = len(self.values)
        inputs = [
            Value(
                self.builder,
                self.builder.add_input(
                    f"x{first + k}", ArrayType(np.shape(v), np.asarray(v).dtype)
                ),
            )
            for k, v in enumerate(values)
        ]
        self.values += [np.ascontiguousarray(v).reshape(np.shape(v))[()] for v in values]
        self.outputs.append(row(*inputs, **params).id)
        self.rows.append((row, values))

    def check(self):
        graph = self.builder.freeze(self.outputs)
        got = prepare_fused(graph)(self.values)
        wanted = evaluate(graph, *self.values)
        for (row, values), a, b in zip(self.rows, got, wanted, strict=True):
            same(row, values, a, b)


def same(row, operands, got, wanted):
    """`got` is the row's value, to the last bit if the row is exact."""
    assert np.asarray(got).dtype == np.asarray(wanted).dtype, row.name
    assert np.shape(got) == np.shape(wanted), row.name
    if "exact" in row.facts or np.asarray(wanted).dtype.kind != "f":
        assert np.array_equal(got, wanted, equal_nan=True), (row.name, operands, got, wanted)
        return
    limits = np.finfo(np.asarray(wanted).dtype)
    floor = 1.0 if row.name in NEAR_ROOTS or not is_elementwise(row) else 0.0
    with np.errstate(all="ignore"):
        size = np.maximum(np.maximum(np.abs(wanted), floor), limits.smallest_normal)
        ulps = max(ULPS, TEXT_ULPS.get(row.name, (0.0,))[0])
        unit = np.asarray(size, float) * float(limits.eps)
        error = np.abs(np.subtract(got, wanted, dtype=float)) / unit
    fine = (error <= ulps) | (np.isnan(got) & np.isnan(wanted)) | (np.asarray(got) == wanted)
    assert np.all(fine), (row.name, operands, got, wanted)


def families(size):
    """The table's rows in parts, with their samples."""
    rows = [(r, s) for r in REGISTRY.values() if r.kind != "source" for s in r.samples]
    return [rows[k : k + size] for k in range(0, len(rows), size)]


@pytest.mark.parametrize("part", families(24), ids=lambda p: f"{p[0][0].name}-{p[-1][0].name}")
def test_rows_have_numpy_s_values(part):
    applied = Applied()
    for row, sample in part:
        applied.add(row, sample.params, draw(sample, seeded(row.name, "fused")))
    applied.check()


def float_rows():
    return [
        (r, r.samples[0].params)
        for r in REGISTRY.values()
        if is_elementwise(r) and r.kind in ("elementwise", "piecewise_constant") and takes_floats(r)
    ]


def takes_floats(row):
    arity = len(row.samples[0].shapes)
    try:
        row.infer(*[ArrayType((2,), np.dtype(np.float64))] * arity, **row.samples[0].params)
    except cb.CalcbenchError:
        return False
    return True


def special_operands(row, dtype):
    arity = len(row.samples[0].shapes)
    with np.errstate(all="ignore"):
        entries = np.array(list(itertools.product(SPECIALS, repeat=arity))).astype(dtype)
    excepted = TEXT_EXCEPTIONS.get(row.name, (lambda *x: False,))[0]
    kept = [e for e in entries if not excepted(*map(float, e))]
    return [np.ascontiguousarray(column) for column in np.array(kept, dtype).T]


# What differs at special operands, and why.
LEFT_OUT = {
    "remainder": "NumPy gives NaN and the sign of zero by rules of its own at infinities",
    "floor_divide": "NumPy gives NaN at infinities where division and floor give an infinity",
    "lgamma": "next to its poles the C library's and SciPy's series differ",
    "sinc_derivative": "tested on its domain",
    "polygamma": "tested on its domain",
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("half", [0, 1])
def test_special_numbers(dtype, half):
    applied = Applied()
    rows = [(r, p) for r, p in float_rows() if r.name not in LEFT_OUT]
    for row, params in rows[half::2]:
        applied.add(row, params, special_operands(row, dtype))
    applied.check()


QUICK = CASES[::5]


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=[] if c in QUICK else pytest.mark.deep) for c in CASES],
    ids=lambda c: c.name,
)
def test_programs_and_their_gradients(case):
    graph = without_guards(cb.trace(case.function, *case.arguments))
    leaves = [np.asarray(v)[()] for v in leaves_of(case.arguments)]
    if len(leaves) != len(graph.inputs):
        pytest.skip("reads arrays from outside")
    compare(graph, leaves)
    floats = [i for i, n in enumerate(graph.inputs) if graph.types[n].is_float]
    pulled = cb.vjp_graph(graph, tuple(floats))
    ones = [np.ones(graph.types[i].shape)[()] for i in graph.outputs if graph.types[i].is_float]
    compare(pulled, [*leaves, *ones])


def compare(graph, values):
    for got, wanted in zip(prepare_fused(graph)(values), evaluate(graph, *values), strict=True):
        assert np.asarray(got).dtype == np.asarray(wanted).dtype
        np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-12)


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def test_the_gradient_of_rosenbrock_is_one_loop_without_memory_in_between():
    program = prepare_fused(cb.trace(cb.grad(rosenbrock), np.ones(50)))
    assert program.memory.arena == 0
    assert program.source.count("\ndef ") == 1
    assert program.source.count("for i0 in range(") == 3  # the first entry, the rest, the last
    assert "if " not in program.source


def test_values_are_named_as_in_the_printed_graph():
    graph = cb.trace(cb.grad(rosenbrock), np.ones(50))
    source = prepare_fused(graph).source
    assert "    v3 = v0 * v0\n" in source.replace("        ", "    ")
    assert "v3 = square v2" in str(graph)


GRAPHS = {
    "an input": lambda x: x,
    "an input twice": lambda x: (x, x),
    "a constant": lambda x: (2.5, x),
    "no entries": lambda x: np.sum(x[:0]) + x[:0],
    "a number": lambda x: np.sum(x),
    "a number and an array": lambda x: (np.max(x), x * 2.0, np.prod(x)),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_odd_results(name):
    x = np.array([1.0, -2.0, 3.0])
    compare(cb.trace(GRAPHS[name], x), [x])


def test_a_run_takes_the_memory_that_was_planned():
    def f(x):
        return np.sort(np.exp(x) @ np.tanh(x.T)) + np.cumsum(x @ x.T, axis=0)

    graph = cb.trace(f, np.ones((300, 300)))
    program, x = prepare_fused(graph), np.random.default_rng(0).normal(size=(300, 300))
    program([x])
    tracemalloc.start()
    program([x])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    callouts = sum(graph.types[n].size * 8 for n in program.memory.callouts)
    planned = program.memory.peak
    assert planned <= peak + 4096
    assert peak <= planned + 2 * callouts + 65536, (peak, planned, callouts)


def test_an_error_of_the_compiler_says_what_to_do(monkeypatch):
    monkeypatch.setattr(Writer, "writes", lambda *_: ["unknown_name + 1"])
    with pytest.raises(EngineError, match="engine='numpy' computes the same") as caught:
        prepare_fused(cb.trace(np.sin, np.ones(2)))([np.ones(2)])
    assert type(caught.value.__cause__).__module__.startswith("numba.")


def test_a_wrong_element_text_is_noticed(monkeypatch):
    applied = Applied()
    row = REGISTRY["multiply"]
    applied.add(row, {}, [np.array([2.0, 3.0]), np.array([4.0, 5.0])])
    monkeypatch.setattr("calcbench.lower.texts.cast", lambda text, *_: text.replace("*", "+"))
    with pytest.raises(AssertionError):
        applied.check()
