"""The tape has NumPy's bits where a row is exact: special numbers, random graphs, odd inputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import calcbench as cb
from calcbench.graph.arraytype import BOOL, FLOAT32, FLOAT64, INT64, ArrayType
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.primitive import REGISTRY
from calcbench.lower.opcodes import Case, numbering
from calcbench.lower.tape import prepare_tape
from calcbench.testing.programs import fitting_steps, graphs, inputs


# Not stated to be exact, though the standard of floating-point numbers leaves no choice.
ROUNDED = {"sqrt", "floor", "ceil", "trunc", "rint", "sign"}
# Of 0.0 and -0.0 NumPy takes the one that the processor's vector instruction takes.
TIES = {"maximum", "minimum", "relu"}
MOVED = {"sqrt", "divide", "reciprocal"}  # a tanh brings drawn operands into their domain


def special(dtype: np.dtype) -> np.ndarray:
    """Numbers at which rules differ."""
    if dtype == BOOL:
        return np.array([False, True])
    if dtype == INT64:
        return np.array([0, 1, -1, 2, -7, 2**62, 2**63 - 1, -(2**63)])
    limits = np.finfo(dtype)
    tiny, least = limits.smallest_normal, limits.smallest_subnormal
    numbers = [0, least, 7 * least, tiny, 0.5, 1, 1.5, 2.5, 3, limits.max, np.inf]
    return np.array([np.nan, *numbers, *np.negative(numbers)], dtype)


def exact_cases(dtype: np.dtype) -> list[Case]:
    return [
        case
        for case in numbering().cases
        if ("exact" in case.row.facts or case.row.name in ROUNDED)
        and case.operands[-1] == dtype
        and not case.params
    ]


def grid(case: Case) -> list[np.ndarray]:
    """Every combination of special operands."""
    found = np.meshgrid(*[special(d) for d in case.operands], indexing="ij")
    return [np.ascontiguousarray(x.reshape(-1)) for x in found]


def same_bits(got: Any, want: Any, what: str, signed: bool = True) -> None:
    """Equal dtypes and bits; of NaN there is one."""
    got, want = np.asarray(got), np.asarray(want)
    assert (got.dtype, got.shape) == (want.dtype, want.shape), what
    np.testing.assert_array_equal(got, want, err_msg=what)
    if got.dtype.kind == "f" and signed:
        known = ~np.isnan(want)
        signs = np.signbit(got[known]), np.signbit(want[known])
        np.testing.assert_array_equal(*signs, err_msg=f"{what}: signs")


def wanted(case: Case, operands: Sequence[np.ndarray]) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(case.row.numpy(*operands), case.result)


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32, INT64, BOOL], ids=str)
def test_special_numbers_in_arrays(dtype: np.dtype) -> None:
    builder, values, outputs = Builder(), [], []
    cases = exact_cases(dtype)
    for case in cases:
        operands = grid(case)
        types = [ArrayType(x.shape, x.dtype) for x in operands]
        ids = [builder.add_new_input("x", kind) for kind in types]
        outputs.append(builder.add(case.row, tuple(ids)))
        values += operands
    results = prepare_tape(builder.freeze(outputs))(values)
    for case, got in zip(cases, results, strict=True):
        same_bits(got, wanted(case, grid(case)), case.row.name, case.row.name not in TIES)


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32, INT64, BOOL], ids=str)
def test_special_numbers_one_by_one(dtype: np.dtype) -> None:
    builder, cases = Builder(), exact_cases(dtype)
    numbers = [x for d in dict.fromkeys((dtype, BOOL)) for x in special(d)]
    ids = [builder.add_new_input("x", ArrayType((), x.dtype)) for x in numbers]
    known = {(x.dtype, x.tobytes()): i for x, i in zip(numbers, ids, strict=True)}
    outputs = [
        builder.add(case.row, tuple(known[x.dtype, x.tobytes()] for x in operands))
        for case in cases
        for operands in zip(*grid(case), strict=True)
    ]
    results = iter(prepare_tape(builder.freeze(outputs))(numbers))
    for case in cases:
        want = wanted(case, grid(case))
        got = np.array([next(results) for _ in want])
        same_bits(got, want, case.row.name, case.row.name not in TIES)


# --- graphs --------------------------------------------------------------------------------------


def bit_exact_rows() -> list[str]:
    """Rows of equal bits that are applied to operands as they are."""
    rows = [r for r in REGISTRY.values() if "exact" in r.facts or r.name in ROUNDED]
    steps = [steps for row in rows for steps in fitting_steps(True, frozenset([row.name]))]
    exact = [group[0].row.name for group in steps if all(step.raw for step in group)]
    return sorted(set(exact) - TIES - MOVED)


EXACT = bit_exact_rows()


def check(graph: Graph, values: Sequence[Any]) -> None:
    got = prepare_tape(graph)([np.asarray(v) for v in values])
    for g, w, i in zip(got, evaluate(graph, *values), graph.outputs, strict=True):
        same_bits(g, np.asarray(w, graph.types[i].dtype), f"\n{graph}")


@settings(max_examples=40)
@given(st.data())
def test_random_graphs_have_the_bits_of_the_interpreter(data: Any) -> None:
    graph = data.draw(graphs(kinked=True, max_operations=20, rows=EXACT))
    check(graph, data.draw(inputs(graph)))


@settings(max_examples=40)
@given(st.data())
def test_random_graphs_of_single_numbers(data: Any) -> None:
    graph = data.draw(graphs(kinked=True, max_operations=60, rows=EXACT, shapes=[()]))
    check(graph, data.draw(inputs(graph)))


def test_long_runs_of_single_numbers_between_arrays() -> None:
    """What the kernel for single numbers leaves behind is what arrays go on with, and back."""

    def f(x: Any) -> Any:
        for _ in range(3):
            last = x[0]
            for k in range(300):
                last = last * x[k % 5] - x[(k + 2) % 5] if k % 3 else last * 0.5
            x = x * 0.25 + last
        return x, last

    x = np.array([0.5, -0.25, 0.125, 1.0, -0.75])
    for got, want in zip(cb.compile(f, engine="tape")(x), f(x), strict=True):
        same_bits(got, want, "run")


# --- inputs --------------------------------------------------------------------------------------

WIDE = np.random.default_rng(3).normal(size=(12, 10))
FROZEN = WIDE.copy()
FROZEN.setflags(write=False)
INPUTS = {
    "strided": WIDE[::3, ::-2],
    "transposed": WIDE.T,
    "in Fortran's order": np.asfortranarray(WIDE),
    "read-only": FROZEN,
    "repeated": np.broadcast_to(WIDE[:1], (4, 10)),
    "without entries": WIDE[:0],
    "of one entry": WIDE[:1, :1],
}


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_however_they_lie(name: str) -> None:
    def f(x: Any) -> Any:
        return x * x - 0.5, x.T[::-1] + 1.0, np.maximum(x, 0.25), x.reshape(-1)

    x = INPUTS[name]
    before = x.copy()
    for got, want in zip(cb.compile(f, engine="tape")(x), f(np.array(x)), strict=True):
        same_bits(got, want, name)
    np.testing.assert_array_equal(x, before)
