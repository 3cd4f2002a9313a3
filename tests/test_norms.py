"""Norms: NumPy's values for every order and axis, slopes against differences, and kinks at 0."""

import math
from typing import Any

import numpy as np
import pytest
from matrix_programs import (
    NUMPY,
    VALUES,
    Program,
    assert_close,
    assert_first_order,
    assert_second_order,
    gradient,
    graph_of,
    pulled,
    pushed,
)

from calcbench.graph.arraytype import CalcbenchError, ShapeError, TraceError, array_type
from calcbench.graph.conventions import kink_convention
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder
from calcbench.graph.lifting import Value


VECTOR = np.array([0.7, -1.9, 2.4, -0.3])
MATRIX = np.array([[0.9, -2.1, 1.3], [0.4, 1.7, -0.6]])
STACK = np.stack([MATRIX, MATRIX[::-1] * 1.3 + 0.1])
INF = math.inf

# Keywords for vectors, matrices and stacks; ord in NumPy's spellings.
CASES: list[tuple[np.ndarray, dict[str, Any]]] = [
    *[(VECTOR, {"ord": p}) for p in (None, 1, 2, 2.0, 3, 1.5, 4, 0.5, INF, -INF, 0, -1)],
    *[(VECTOR, {"ord": p, "keepdims": True}) for p in (None, 2, 3, INF)],
    *[(MATRIX, {"ord": p}) for p in (None, "fro", "f", "nuc", 1, 2, INF, -1, -2, -INF)],
    *[(MATRIX, {"ord": p, "keepdims": True}) for p in (None, "fro", "nuc", 1, 2)],
    *[(MATRIX, {"ord": p, "axis": a}) for p in (None, 1, 2, 3, INF, 0) for a in (0, -1)],
    *[(MATRIX, {"ord": p, "axis": 1, "keepdims": True}) for p in (None, 3, -INF)],
    *[(STACK, {"ord": p, "axis": (1, 2)}) for p in (None, "fro", "nuc", 1, 2, INF, -2)],
    *[(STACK, {"ord": p, "axis": (2, 0)}) for p in (None, "nuc", 1, -1, 2, INF, -INF)],
    *[(STACK, {"ord": p, "axis": (-1, 0), "keepdims": True}) for p in ("fro", 1, 2)],
    (STACK, {}),
    (STACK, {"keepdims": True}),
    (STACK, {"axis": (1,)}),
]


def norm_with(options: dict[str, Any]) -> Program:
    return lambda la, x: la.norm(x, **options)


def named(case: tuple[np.ndarray, dict[str, Any]]) -> str:
    options = ", ".join(f"{k}={v}" for k, v in case[1].items())
    return f"{case[0].ndim}-d, {options}"


@pytest.mark.parametrize("case", CASES, ids=named)
def test_values_and_dtypes_are_numpys(case: tuple[np.ndarray, dict[str, Any]]) -> None:
    array, options = case
    for x in (array, array.astype(np.float32), np.rint(array).astype(np.int64)):
        with np.errstate(all="ignore"):
            want = np.linalg.norm(x, **options)
        (found,) = evaluate(graph_of(norm_with(options), x), x)
        assert found.dtype == want.dtype
        assert np.shape(found) == np.shape(want)
        if np.asarray(want).dtype == np.float32:
            np.testing.assert_allclose(found, want, rtol=1e-6)
        else:
            np.testing.assert_allclose(found, want, rtol=1e-15)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_both_modes_agree_with_differences(
    case: tuple[np.ndarray, dict[str, Any]], rng: np.random.Generator
) -> None:
    array, options = case
    assert_first_order(norm_with(options), [array], rng)


@pytest.mark.parametrize(
    "case", [c for c in CASES if c[1].get("ord") in (None, 3, 2, "nuc")], ids=named
)
def test_second_order_agrees_with_differences(
    case: tuple[np.ndarray, dict[str, Any]], rng: np.random.Generator
) -> None:
    array, options = case
    assert_second_order(norm_with(options), [array], rng)


# --- at 0 ----------------------------------------------------------------------------------------

AT_ZERO: list[tuple[np.ndarray, dict[str, Any]]] = [
    *[(np.zeros(3), {"ord": p}) for p in (None, 1, 2, 3, 1.5, 0, INF)],
    *[(np.zeros((2, 3)), {"ord": p}) for p in (None, "fro", "nuc", 1, 2, INF, -2)],
    *[(np.zeros((2, 3)), {"ord": p, "axis": 1}) for p in (None, 1, 3, INF)],
]


@pytest.mark.parametrize("case", AT_ZERO, ids=named)
def test_the_slope_at_zero_is_the_smallest_subgradient_which_is_zero(
    case: tuple[np.ndarray, dict[str, Any]], rng: np.random.Generator
) -> None:
    """Hard case 19, in both modes: no NaN from 0/0 or 0 * inf."""
    zero, options = case
    graph = graph_of(norm_with(options), zero)
    (tangent,) = pushed(graph, [zero], [rng.normal(size=zero.shape)])
    (share,) = pulled(graph, [zero], [np.ones(graph.types[graph.outputs[0]].shape)[()]])
    np.testing.assert_array_equal(tangent, np.zeros_like(tangent))
    np.testing.assert_array_equal(share, np.zeros_like(share))


def test_the_square_of_the_norm_is_differentiable_at_zero() -> None:
    (found,) = gradient(lambda la, x: la.norm(x) ** 2, np.zeros(3))
    np.testing.assert_array_equal(found, np.zeros(3))


def test_a_zero_entry_or_row_beside_others_makes_no_nan() -> None:
    x = np.array([[3.0, 0.0, -4.0], [0.0, 0.0, 0.0]])
    for order in (1.5, 3, 2):
        (found,) = gradient(lambda la, v, p=order: la.sum(la.norm(v, ord=p, axis=1)), x)
        size = np.linalg.norm(x[0], ord=order)
        row = np.sign(x[0]) * np.abs(x[0] / size) ** (order - 1)
        assert_close([found], [np.stack([row, np.zeros(3)])], 1e-14)


# --- kinks ---------------------------------------------------------------------------------------


def test_the_largest_magnitude_shares_its_slope_among_ties() -> None:
    """Hard case 7: the min-norm element of conv{E11, E13, -E33}."""
    x = np.array([[9.0, 2.0, 9.0], [-2.0, -3.0, -4.0], [7.0, 8.0, -9.0]])
    (found,) = gradient(lambda la, v: la.vector_norm(v, ord=INF), x)
    want = np.zeros((3, 3))
    want[0, 0], want[0, 2], want[2, 2] = 1 / 3, 1 / 3, -1 / 3
    assert_close([found], [want], 1e-15)


def test_the_convention_reaches_the_magnitudes() -> None:
    for name, slope in (("right", 1.0), ("left", -1.0), ("min-norm", 0.0)):
        with kink_convention(name):
            (found,) = gradient(lambda la, v: la.norm(v, ord=1), np.array([0.0, 2.0]))
        np.testing.assert_array_equal(found, [slope, 1.0])


def test_the_nuclear_norm_of_a_singular_matrix_has_the_smallest_subgradient() -> None:
    """U1 V1^T over the singular values that are not 0, also where rounding left 1e-17."""
    u, v = np.array([3.0, 4.0]) / 5, np.array([1.0, 2.0, 2.0]) / 3
    (found,) = gradient(lambda la, a: la.norm(a, ord="nuc"), 7.0 * np.outer(u, v))
    assert_close([found], [np.outer(u, v)], 1e-14)


# --- the two functions of NumPy 2, empty arrays, refusals ----------------------------------------


@pytest.mark.parametrize("options", [{}, {"ord": 3}, {"axis": (0, 2), "ord": 1}, {"axis": 1}])
def test_vector_norm_takes_any_axes(options: dict[str, Any], rng: np.random.Generator) -> None:
    program: Program = lambda la, x: la.vector_norm(x, **options)  # noqa: E731
    (found,) = evaluate(graph_of(program, STACK), STACK)
    np.testing.assert_allclose(found, np.linalg.vector_norm(STACK, **options), rtol=4e-16)
    assert_first_order(program, [STACK], rng)


@pytest.mark.parametrize("options", [{}, {"ord": "nuc"}, {"ord": 1, "keepdims": True}])
def test_matrix_norm_is_of_the_last_two_axes(
    options: dict[str, Any], rng: np.random.Generator
) -> None:
    program: Program = lambda la, x: la.matrix_norm(x, **options)  # noqa: E731
    (found,) = evaluate(graph_of(program, STACK), STACK)
    np.testing.assert_allclose(found, np.linalg.matrix_norm(STACK, **options), rtol=4e-16)
    assert_first_order(program, [STACK], rng)


@pytest.mark.parametrize("order", [None, 1, 2, 3, INF])
def test_norms_of_nothing_are_zero_as_in_numpy(order: Any) -> None:
    nothing = np.zeros(0)
    (found,) = evaluate(graph_of(norm_with({"ord": order}), nothing), nothing)
    assert found == np.linalg.norm(nothing, ord=order) == 0.0


REFUSED: list[tuple[np.ndarray, dict[str, Any], type[CalcbenchError], str]] = [
    (VECTOR, {"ord": "fro"}, TraceError, "norm of vectors with ord='fro' is not supported; give"),
    (MATRIX, {"ord": 3}, TraceError, "norm of matrices with ord=3 is not supported; give None,"),
    (MATRIX, {"ord": "spectral"}, TraceError, "with ord='spectral'"),
    (STACK, {"ord": 2}, ShapeError, r"takes one axis \(vectors\) or two \(matrices\)"),
    (MATRIX, {"axis": (1, -1)}, ShapeError, r"axis=\(1, -1\) does not name different axes"),
    (MATRIX, {"axis": 2}, ShapeError, "axis=2 does not name different axes of an array with 2"),
    (MATRIX, {"axis": 0.5}, TraceError, "axis of a norm is None, an int or a tuple, got 0.5"),
]


@pytest.mark.parametrize(("array", "options", "error", "message"), REFUSED)
def test_refusals_name_the_option_and_what_is_supported(
    array: np.ndarray, options: dict[str, Any], error: type[CalcbenchError], message: str
) -> None:
    with pytest.raises(error, match=message):
        graph_of(norm_with(options), array)


def test_an_order_that_is_a_traced_value_is_refused() -> None:
    builder = Builder()
    x = Value(builder, builder.add_input("x", array_type((3,))))
    p = Value(builder, builder.add_input("p", array_type(())))
    with pytest.raises(TraceError, match="ord="):
        VALUES.norm(x, ord=p)
    assert NUMPY.norm([3.0, 4.0], ord=2) == 5.0
