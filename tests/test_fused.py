"""The fused engine computes what the interpreter computes, for every row, program and random graph.

Most texts are run as plain Python, which takes no time to compile and checks every position; the
marked ones, and those of whole groups of rows, are compiled.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cases import CASES as PROGRAMS, Case
from drawing_samples import ROWS, concrete, draw, seeded, type_of
from hypothesis import given, settings

import calcbench as cb
from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.arraytype import FLOAT32, FLOAT64, ArrayType, CalcbenchError
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.primitive import Primitive, Sample
from calcbench.graph.rewriting import simplify
from calcbench.lower import folds, fused
from calcbench.lower.fused import FusedProgram, prepare_fused
from calcbench.lower.shared import straight_functions
from calcbench.lower.texts import library
from calcbench.reverse_mode.pullback import vjp_graph
from calcbench.testing import graphs, inputs


ULPS = {"sum": 4, "prod": 8, "matmul": 8, "cumsum": 8, "cumprod": 8}
LOOSE = 64  # ulps of the largest entry, for rows that call other functions than NumPy does


def interpreted(source: str, _: Any = ()) -> Any:
    """The generated text run by Python, with accesses that check positions."""
    text = "\n".join(line for line in source.splitlines() if "import" not in line)
    called = "\n".join(straight_functions(text).values())
    called = "\n".join([*straight_functions(called).values(), called])
    text = f"{called}\n\n{text}"
    text = f"{library(text)}\n\n{folds.library(text)}\n\n{text}"

    def read(array: Any, at: int) -> Any:
        assert 0 <= at < np.size(array)
        return array.reshape(-1)[at]

    def write(array: Any, at: int, value: Any) -> None:
        assert 0 <= at < array.size
        array.reshape(-1)[at] = value

    space: dict[str, Any] = {"np": np, "math": math, "read": read}
    space |= dict.fromkeys(("jit", "loop", "part", "inline"), lambda f: f)
    space |= {"kept": read, "keep": write, **{f"write{k}": write for k in range(7)}}
    exec(text, space)  # noqa: S102 - our own text
    return SimpleNamespace(**space)


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs prepared by this test are run as plain Python."""
    monkeypatch.setattr(fused, "load", interpreted)
    monkeypatch.setattr(fused, "compile_only", lambda function, _: function)


def run(program: FusedProgram, values: Sequence[Any]) -> list[Any]:
    with np.errstate(all="ignore"):
        return program([np.ascontiguousarray(v) if np.ndim(v) else v for v in values])


def check(graph: Graph, values: Sequence[Any], ulps: float = LOOSE, **options: Any) -> FusedProgram:
    """The program's results have the interpreter's types and, to `ulps` of the largest, values."""
    program = prepare_fused(graph, **options)
    got, want = run(program, values), evaluate(graph, *values)
    for g, w, i in zip(got, want, graph.outputs, strict=True):
        same(g, np.asarray(w, graph.types[i].dtype), ulps, f"v{i} = {graph.nodes[i].row.name}")
        assert g.flags.writeable or np.ndim(g) == 0
    return program


def same(got: Any, want: Any, ulps: float, what: str) -> None:
    assert (np.shape(got), got.dtype) == (want.shape, want.dtype), what
    finite = np.abs(want[np.isfinite(want)]) if want.dtype.kind == "f" else np.abs(want * 1)
    eps = np.finfo(want.dtype).eps if want.dtype.kind == "f" else 0
    bound = float(ulps * eps * np.max(finite, initial=0.0)) + (1e-290 if ulps else 0)
    np.testing.assert_allclose(got, want, rtol=0, atol=bound, err_msg=what)


# --- rows ---------------------------------------------------------------------------------------


def sample_graph(cases: Sequence[tuple[Primitive, Sample]], dtype: np.dtype) -> Any:
    """One graph that applies each row to operands of its sample, and those operands."""
    builder, values, outputs = Builder(), [], []
    for row, sample in cases:
        drawn = draw(sample, seeded(row.name, str(sample.params)), dtype)
        try:
            row.infer(*map(type_of, drawn), **sample.params)
        except CalcbenchError:
            continue  # this dtype is not for this row
        ids = [builder.add_new_input("x", type_of(v)) for v in drawn]
        outputs.append(builder.add(row, tuple(ids), tuple(sorted(sample.params.items()))))
        values += drawn
    return builder.freeze(outputs), values


SAMPLES = [(row, sample) for row in ROWS.values() for sample in row.samples]


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32], ids=str)
@pytest.mark.parametrize("vectorised", [True, False])
@pytest.mark.usefixtures("uncompiled")
def test_every_row_at_its_samples(dtype: np.dtype, vectorised: bool) -> None:
    for row, sample in SAMPLES:
        graph, values = sample_graph([(row, sample)], dtype)
        if graph.outputs:
            exact = "exact" in row.facts
            check(graph, values, 0 if exact else ULPS.get(row.name, LOOSE), vectorised=vectorised)


# --- programs -----------------------------------------------------------------------------------


def without_guards(graph: Graph) -> Graph:
    return simplify(replace(graph, guards=()))


def program_graphs(case: Case) -> Iterator[tuple[Graph, list[Any]]]:
    """The graph of a sample program, its tangents and its cotangents, and inputs for each."""
    traced = cb.trace(case.function, *case.arguments)
    rng = seeded(case.name)
    for graph in (traced, jvp_graph(traced), vjp_graph(traced)):
        graph = without_guards(graph)
        values = [drawn(graph.types[i], rng) for i in graph.inputs]
        yield graph, values


def drawn(kind: ArrayType, rng: np.random.Generator) -> Any:
    shape = concrete(kind.shape)
    if kind.dtype.kind == "f":
        return rng.uniform(0.2, 0.9, size=shape).astype(kind.dtype)[()]
    return np.asarray(rng.integers(0, 2, size=shape), kind.dtype)[()]


@pytest.mark.parametrize("case", PROGRAMS, ids=lambda case: case.name)
@pytest.mark.usefixtures("uncompiled")
def test_every_sample_program(case: Case) -> None:
    for graph, values in program_graphs(case):
        try:
            evaluate(graph, *values)
        except Exception:
            continue  # no number: not positive definite, an index too large
        check(graph, values, 1e6)


@given(graphs(kinked=True).flatmap(lambda g: inputs(g).map(lambda v: (g, v))))
@settings(max_examples=50)
@pytest.mark.usefixtures("uncompiled_for_all")
def test_random_graphs(drawn: tuple[Graph, list[Any]]) -> None:
    graph, values = drawn
    try:
        evaluate(graph, *values)
    except Exception:
        return
    check(graph, values, 1e9)


@pytest.fixture(scope="module")
def uncompiled_for_all() -> Iterator[None]:
    """As `uncompiled`, for all examples of a property."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "load", interpreted)
        patch.setattr(fused, "compile_only", lambda function, _: function)
        yield


@pytest.mark.usefixtures("uncompiled")
def test_entries_at_given_positions_of_what_was_joined() -> None:
    x, y = np.arange(3.0), 10.0 + np.arange(3.0)
    joined = cb.trace(lambda x, y: np.concatenate([x, y])[[0, 3, 1, 5, 5]] * 2.0, x, y)
    check(joined, [x, y], 0)
    check(cb.trace(lambda x: np.pad(x, (1, 2))[[0, 3, 1, 5, 5]], x), [x], 0)
