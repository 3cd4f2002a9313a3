"""Products in blocks: exact to rounding, with the same bits on both engines and for any threads."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import calcbench as cb
from calcbench.lower import blocked_products
from calcbench.lower.blocked_products import MATRICES, VECTORS, WIDEST, Limits, blocks


LONG, INNER, NARROW = 3001, 20, 12  # 3001 is no multiple of a block


class Case(NamedTuple):
    f: Callable[[Any, Any], Any]
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    function: str | None
    dtype: str = "float64"


def last_two(x: Any) -> Any:
    return np.swapaxes(x, 1, 2)


CASES = {
    "A x": Case(lambda a, b: a @ b, ((LONG, INNER), (INNER,)), "dot_rows"),
    "x A'": Case(lambda a, b: b @ a.T, ((LONG, INNER), (INNER,)), "dot_rows"),
    "A' x": Case(lambda a, b: a.T @ b, ((LONG, INNER), (LONG,)), "dot_columns"),
    "x A": Case(lambda a, b: b @ a, ((LONG, INNER), (LONG,)), "dot_columns"),
    "A B": Case(lambda a, b: a @ b, ((LONG, INNER), (INNER, NARROW)), "dot_rows"),
    "A B'": Case(lambda a, b: a @ b.T, ((LONG, INNER), (NARROW, INNER)), "dot_rows"),
    "A' B": Case(lambda a, b: a.T @ b, ((LONG, INNER), (LONG, NARROW)), "dot_columns"),
    "A' B'": Case(lambda a, b: a.T @ b.T, ((LONG, INNER), (NARROW, LONG)), None),
    "stacks": Case(lambda a, b: a @ b, ((3, LONG, INNER), (3, INNER, NARROW)), "dot_rows"),
    "stacks, B'": Case(
        lambda a, b: a @ last_two(b), ((3, LONG, INNER), (3, NARROW, INNER)), "dot_rows"
    ),
    "stacks, A'": Case(
        lambda a, b: last_two(a) @ b, ((3, LONG, INNER), (3, LONG, NARROW)), "dot_columns"
    ),
    "halves of words": Case(
        lambda a, b: a.T @ b, ((LONG, INNER), (LONG,)), "dot_columns", "float32"
    ),
    "one column": Case(lambda a, b: a @ b, ((4 * LONG, INNER), (INNER, 1)), None),
    "a vector and itself": Case(lambda a, b: a @ b, ((LONG,), (LONG,)), None),
    "short": Case(lambda a, b: a @ b, ((40, INNER), (INNER,)), None),
    "wide": Case(lambda a, b: a @ b, ((40, 5000), (5000,)), None),
    "none": Case(lambda a, b: a.T @ b, ((0, INNER), (0,)), None),
}


def operands(case: Case) -> list[np.ndarray]:
    source = np.random.default_rng(7)
    return [source.normal(size=shape).astype(case.dtype) for shape in case.shapes]


def check(case: Case, engine: str) -> np.ndarray:
    """Within the bound of any order of summation, from sums with more digits."""
    a, b = operands(case)
    got: np.ndarray = cb.compile(case.f, engine=engine)(a, b)
    exact = case.f(a.astype(np.longdouble), b.astype(np.longdouble))
    sizes = case.f(abs(a).astype(np.longdouble), abs(b).astype(np.longdouble))
    terms = max(LONG, *a.shape, *b.shape)
    np.testing.assert_array_less(
        abs(got - exact), terms * np.finfo(case.dtype).eps * sizes + np.finfo(case.dtype).tiny
    )
    return got


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.deep if name == "halves of words" else ())
        for name in CASES  # float32 has kernels of its own, which take seconds to compile
    ],
)
def test_products_are_exact_to_rounding_and_equal_on_both_engines(name: str) -> None:
    case = CASES[name]
    np.testing.assert_array_equal(check(case, "fused"), check(case, "tape"))


@pytest.mark.parametrize("name", CASES)
def test_which_products_are_cut(name: str) -> None:
    case = CASES[name]
    graph = cb.trace(case.f, *operands(case))
    (node,) = [k for k, n in enumerate(graph.nodes) if n.row.name == "matmul"]
    found = blocks(graph, node)
    assert (found and found.function) == case.function
    source = cb.compile(graph, engine="fused").__source__
    assert ("dot_rows(" in source, "dot_columns(" in source) == (
        case.function == "dot_rows",
        case.function == "dot_columns",
    )


@pytest.mark.parametrize("limits", [VECTORS, MATRICES], ids=["vectors", "matrices"])
def test_blocks_are_small_enough_and_the_rest_is_left_to_blas(limits: Limits) -> None:
    for each in (1, 7, 100, 1000, WIDEST):
        first = limits.single // each
        assert blocked_products._rows(first, each, limits) is None
        assert blocked_products._rows(limits.most // each + 1, each, limits) is None
        rows = blocked_products._rows(first + 1, each, limits)
        assert rows is not None
        assert rows % 8 == 0
        assert rows == limits.least or 0.5 * limits.single < rows * each <= limits.single
    assert blocked_products._rows(500, WIDEST + 1, limits) is None


def test_a_term_that_is_lost_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    text = blocked_products._COLUMNS
    monkeypatch.setitem(blocked_products._FUNCTIONS, "dot_columns", text.replace("+=", "="))
    with pytest.raises(AssertionError):
        check(CASES["A' x"], "fused")


SCRIPT = """
import hashlib
import numpy as np
import calcbench as cb
x = np.random.default_rng(0).normal(size=(60_000, 20))
slope = cb.compile(cb.grad(lambda w: np.sum(np.tanh(x @ w) ** 2)), engine="fused")
print(hashlib.sha256(slope(x[0]).tobytes() + slope(x[1]).tobytes()).hexdigest())
"""


def test_threads_of_blas_change_no_bit() -> None:
    command = [sys.executable, "-c", SCRIPT]
    runs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **threads})
        for threads in ({"OPENBLAS_NUM_THREADS": "1"}, {"OPENBLAS_NUM_THREADS": "2"})
    ]
    one, two = [run.communicate()[0].strip() for run in runs]
    assert len(one) == 64
    assert one == two
