"""Linear algebra: both modes and second order against differences and SymPy, and its refusals."""

import itertools
from typing import Any

import numpy as np
import pytest
import sympy as sp
from matrix_programs import (
    VALUES,
    Program,
    assert_close,
    assert_first_order,
    assert_second_order,
    gradient,
    graph_of,
    on_numpy,
    pulled,
    pushed,
)

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.arraytype import (
    CalcbenchError,
    DerivativeError,
    Dim,
    DTypeError,
    ShapeError,
    TraceError,
    array_type,
)
from calcbench.graph.checker import check_graph
from calcbench.graph.factorisations import DegenerateWarning
from calcbench.graph.interpreter import evaluate, inline
from calcbench.graph.ir import Builder
from calcbench.graph.lifting import Value
from calcbench.graph.linalg import adjugate, adjugate_tangent
from calcbench.graph.structural import full
from calcbench.reverse_mode.pullback import vjp_graph


def rotation(n: int, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0]


def with_singular_values(*values: float, seed: int = 0) -> np.ndarray:
    return rotation(len(values), seed) @ np.diag(values) @ rotation(len(values), seed + 1)


A = with_singular_values(1.0, 2.1, 3.3)
TALL, WIDE = A[:, :2] + 0.1, A[:2] - 0.1
BATCH = np.stack([A, with_singular_values(0.7, 1.5, 2.9, seed=5)])
SPD = rotation(3) @ np.diag([1.0, 2.2, 3.1]) @ rotation(3).T
LOPSIDED = SPD + np.triu(np.ones((3, 3)), 1)  # its lower triangle is that of SPD
B, COLUMNS = np.array([1.0, -2.0, 0.5]), np.array([[1.0, 0.3], [-2.0, 1.1], [0.5, 0.7]])
W2, W3 = np.array([1.0, -0.7]), np.array([1.0, -0.7, 2.3])


def eigh_free_of_signs(uplo: str) -> Program:
    def program(la: Any, a: Any) -> Any:
        w, v = la.eigh(a, UPLO=uplo)
        return w, la.matmul(la.scaled(v, W3), la.mT(v))

    return program


def svd_weighted(weights: np.ndarray) -> Program:
    """U diag(weights) V^T and s: what of an SVD does not depend on the choice of signs."""

    def program(la: Any, a: Any) -> Any:
        u, s, vh = la.svd(a, full_matrices=False)
        return la.matmul(la.scaled(u, weights), vh), s

    return program


# fmt: off
PROGRAMS: dict[str, tuple[Program, list[np.ndarray]]] = {
    "det": (lambda la, a: la.det(a), [A]),
    "det of a batch": (lambda la, a: la.det(a), [BATCH]),
    "slogdet": (lambda la, a: la.slogdet(a)[1], [A]),
    "inv": (lambda la, a: la.inv(a), [A]),
    "inv of a batch": (lambda la, a: la.inv(a), [BATCH]),
    "solve a vector": (lambda la, a, b: la.solve(a, b), [A, B]),
    "solve columns": (lambda la, a, b: la.solve(a, b), [A, COLUMNS]),
    "solve a batch for one vector": (lambda la, a, b: la.solve(a, b), [BATCH, B]),
    "solve a batch for one matrix": (lambda la, a, b: la.solve(a, b), [BATCH, COLUMNS]),
    "solve one matrix for a batch": (
        lambda la, a, b: la.solve(a, b), [A, np.stack([COLUMNS, 2 * COLUMNS])],
    ),
    "pinv, tall": (lambda la, a: la.pinv(a), [TALL]),
    "pinv, wide": (lambda la, a: la.pinv(a, rcond=1e-10), [WIDE]),
    "pinv of rank 1": (lambda la, b, c: la.pinv(la.matmul(b, c)), [COLUMNS[:, :1], WIDE[:1]]),
    "cholesky": (lambda la, a: la.cholesky(a), [SPD]),
    "cholesky off the symmetric matrices": (lambda la, a: la.cholesky(a), [LOPSIDED]),
    "cholesky, upper": (lambda la, a: la.cholesky(a, upper=True), [LOPSIDED]),
    "cholesky of a batch": (lambda la, a: la.cholesky(a), [np.stack([SPD, LOPSIDED])]),
    "eigh": (eigh_free_of_signs("L"), [LOPSIDED]),
    "eigh, upper": (eigh_free_of_signs("U"), [LOPSIDED]),
    "eigh of a batch": (eigh_free_of_signs("l"), [np.stack([SPD, SPD + 0.2 * A @ A.T])]),
    "eigvalsh": (lambda la, a: la.eigvalsh(a), [LOPSIDED]),
    "svd": (svd_weighted(W3), [A]),
    "svd, tall": (svd_weighted(W2), [TALL]),
    "svd, wide": (svd_weighted(W2), [WIDE]),
    "svd of a batch": (svd_weighted(W3), [BATCH]),
    "singular values": (lambda la, a: la.svd(a, compute_uv=False), [TALL]),
    "svdvals": (lambda la, a: la.svdvals(a), [WIDE]),
    "qr": (lambda la, a: la.qr(a), [A]),
    "qr, tall": (lambda la, a: la.qr(a), [TALL]),
    "qr, wide": (lambda la, a: la.qr(a), [WIDE]),
    "qr of a batch": (lambda la, a: la.qr(a), [BATCH]),
    "qr, r alone": (lambda la, a: la.qr(a, mode="r"), [TALL]),
    "matrix_power 3": (lambda la, a: la.matrix_power(a, 3), [A]),
    "matrix_power -2": (lambda la, a: la.matrix_power(a, -2), [A]),
}
# fmt: on


@pytest.mark.parametrize("name", PROGRAMS)
def test_values_are_numpys(name: str) -> None:
    """Of vectors of a decomposition, in what does not depend on signs."""
    program, arrays = PROGRAMS[name]
    got, want = evaluate(graph_of(program, *arrays), *arrays), on_numpy(program, *arrays)
    assert_close(got, want, 1e-14)


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_modes_agree_with_differences(name: str, rng: np.random.Generator) -> None:
    assert_first_order(*PROGRAMS[name], rng)


@pytest.mark.parametrize("name", PROGRAMS)
def test_second_order_agrees_with_differences(name: str, rng: np.random.Generator) -> None:
    assert_second_order(*PROGRAMS[name], rng)


def test_the_comparison_bites(rng: np.random.Generator) -> None:
    """A program whose graph differs from its NumPy meaning by 1 in 1,000 is caught."""

    def wrong(la: Any, a: Any) -> Any:
        return la.det(a) * (1.001 if la is VALUES else 1.0)

    with pytest.raises(AssertionError):
        assert_first_order(wrong, [A], rng)


@pytest.mark.parametrize("name", PROGRAMS)
def test_float32_stays_float32_in_values_and_in_both_modes(
    name: str, rng: np.random.Generator
) -> None:
    program, arrays = PROGRAMS[name]
    narrow = [a.astype(np.float32) for a in arrays]
    graph, wide = graph_of(program, *narrow), graph_of(program, *arrays)
    results = evaluate(graph, *narrow)
    ones = [np.ones_like(a) for a in narrow]
    tangents = pushed(graph, narrow, ones)
    cotangents = pulled(graph, narrow, [np.ones_like(r) for r in results])
    assert {r.dtype for r in (*results, *tangents, *cotangents)} == {np.dtype(np.float32)}
    assert_close(tangents, pushed(wide, arrays, [np.ones_like(a) for a in arrays]), 2e-3)


# --- determinant at singular matrices ------------------------------------------------------------

SINGULAR: dict[str, list[list[int]]] = {
    "rank n-1": [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
    "rank n-1, 4x4": [[2, 1, 0, 1], [1, 3, 1, 0], [3, 4, 1, 1], [0, 1, 5, 2]],
    "rank n-2": [[1, 2, 3], [2, 4, 6], [-1, -2, -3]],
    "rank n-2, 4x4": [[1, 0, 2, 1], [0, 1, 1, 1], [1, 1, 3, 2], [2, 1, 5, 3]],
    "zero": [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
    "zero, 2x2": [[0, 0], [0, 0]],
    "zero, 1x1": [[0]],
    "regular": [[2, -1, 0], [1, 3, 1], [0, 2, -2]],
}


def symbols(n: int) -> Any:
    return sp.Matrix(n, n, lambda i, j: sp.Symbol(f"a{i}{j}"))


def derivatives_of_det(entries: list[list[int]], order: int) -> np.ndarray:
    """All derivatives of this order at an integer matrix, by SymPy, entry by entry and exact."""
    n = len(entries)
    a = symbols(n)
    value = a.det(method="berkowitz")
    at = dict(zip(a, itertools.chain(*entries), strict=True))
    flat = [float(sp.diff(value, *which).subs(at)) for which in itertools.product(a, repeat=order)]
    return np.reshape(flat, (n,) * 2 * order)


@pytest.mark.parametrize("name", SINGULAR)
def test_the_gradient_of_det_is_the_cofactor_matrix_at_every_rank(name: str) -> None:
    matrix = np.array(SINGULAR[name], float)
    (found,) = gradient(lambda la, a: la.det(a), matrix)
    assert_close([found], [derivatives_of_det(SINGULAR[name], 1)], 1e-14)


@pytest.mark.parametrize("name", [n for n in SINGULAR if "4x4" not in n])
def test_second_and_third_derivatives_of_det_are_right_at_every_rank(
    name: str, rng: np.random.Generator
) -> None:
    matrix = np.array(SINGULAR[name], float)
    h, k = rng.normal(size=matrix.shape), rng.normal(size=matrix.shape)
    second = derivatives_of_det(SINGULAR[name], 2)
    pull = vjp_graph(graph_of(lambda la, a: la.det(a), matrix))
    hessian_h = evaluate(jvp_graph(pull), matrix, np.float64(1.0), h, np.float64(0.0))[3]
    assert_close([hessian_h], [np.tensordot(second, h, 2)], 1e-12)
    third = np.tensordot(np.tensordot(derivatives_of_det(SINGULAR[name], 3), h, 2), k, 2)
    bent = graph_of(lambda la, a, step: adjugate_tangent(a, step), matrix, h)
    (found,) = pushed(bent, [matrix, h], [k, np.zeros_like(k)])
    assert_close([found.T], [third], 1e-12)


def test_derivatives_of_det_go_on_to_any_order() -> None:
    """The fourth derivative of a 4 x 4 determinant along h, h, h, h is 4! det(h)."""
    h = np.array([[2.0, 1, 0, 1], [1, 3, 1, 0], [3, 0, 1, 1], [0, 1, 5, 2]])
    point = np.array(SINGULAR["rank n-2, 4x4"], float)

    def along(la: Any, t: Any) -> Any:
        return la.det(t * h + point)

    graph = graph_of(along, np.float64(0.0))
    for _ in range(4):  # each time the derivative with respect to t alone
        graph = derivative_in_t(graph)
    np.testing.assert_allclose(
        evaluate(graph, np.float64(0.7))[0], 24 * np.linalg.det(h), rtol=1e-11
    )


def derivative_in_t(graph: Any) -> Any:
    """The graph t -> dy/dt of a graph t -> y of one number."""
    push = jvp_graph(graph)
    builder = Builder()
    t = builder.add_input("x0", array_type(()))
    one = full(Value(builder, t), 1).id
    ids = inline(push, builder, [t, one])
    return check_graph(builder.freeze([ids[push.outputs[1]]]))


def test_the_derivative_of_det_accepts_sizes_with_names() -> None:
    n = Dim("n")
    builder = Builder()
    a = Value(builder, builder.add_input("a", array_type((n, n))))
    pull = check_graph(vjp_graph(builder.freeze([VALUES.det(a).id, VALUES.inv(a).id])))
    shares = pull.bind(a=A, ct0=1.0, ct1=np.zeros((3, 3)))[2]
    assert_close([shares], [np.linalg.det(A) * np.linalg.inv(A).T], 1e-13)


def test_adjugate_of_a_matrix_with_nan_is_nan_and_does_not_raise() -> None:
    bad = np.stack([np.full((2, 2), np.nan), np.diag([2.0, 3.0]), np.diag([np.inf, 1.0])])
    found = adjugate.numpy(bad)
    assert np.isnan(found[0]).all()
    assert np.isnan(found[2]).all()
    assert_close([found[1]], [np.diag([3.0, 2.0])], 1e-15)


# --- identities of matrix calculus ---------------------------------------------------------------

IDENTITIES: dict[str, tuple[Program, np.ndarray, np.ndarray]] = {
    "log det": (lambda la, a: la.log(la.det(a)), SPD, np.linalg.inv(SPD).T),
    "slogdet": (lambda la, a: la.slogdet(a)[1], A, np.linalg.inv(A).T),
    "slogdet, negative": (lambda la, a: la.slogdet(a)[1], A[::-1].copy(), np.linalg.inv(A[::-1]).T),
    "tr E + tr E^2": (
        lambda la, a: la.sum((a + la.matrix_power(a, 2)) * np.eye(3)), A, np.eye(3) + 2 * A.T,
    ),
    "sum of eigenvalues": (lambda la, a: la.sum(la.eigvalsh(a)), SPD, np.eye(3)),
    "log det by cholesky": (
        lambda la, a: la.sum(la.log(la.cholesky(a) * np.eye(3) + (1 - np.eye(3)))) * 2.0, SPD,
        np.tril(2 * np.linalg.inv(SPD)) - np.diag(np.diag(np.linalg.inv(SPD))),
    ),
    "nothing of a zeroth power": (
        lambda la, a: la.sum(la.matrix_power(a, 0)), A, np.zeros((3, 3)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", IDENTITIES)
def test_gradients_are_those_of_the_textbook(name: str) -> None:
    program, at, want = IDENTITIES[name]
    assert_close(gradient(program, at), [want], 1e-12)


@pytest.mark.parametrize("power", [0, 1, 2, 3, 4, 5, 7, 8, -1, -3])
def test_matrix_power_multiplies_in_numpys_order(power: int) -> None:
    (found,) = evaluate(graph_of(lambda la, a: la.matrix_power(a, power), BATCH), BATCH)
    np.testing.assert_array_equal(found, np.linalg.matrix_power(BATCH, power))


def test_matrix_power_of_integers_stays_exact() -> None:
    whole = np.array([[3, 1], [2, 5]])
    (found,) = evaluate(graph_of(lambda la, a: la.matrix_power(a, 5), whole), whole)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, np.linalg.matrix_power(whole, 5))


def test_integers_become_floats_and_results_have_names() -> None:
    whole = np.array([[2, 1], [1, 3]])
    sign, logabsdet = evaluate(graph_of(lambda la, a: la.slogdet(a), whole), whole)
    assert (sign, logabsdet) == tuple(np.linalg.slogdet(whole))
    builder = Builder()
    x = Value(builder, builder.add_input("x", array_type((2, 2))))
    assert VALUES.slogdet(x)._fields == ("sign", "logabsdet")
    assert VALUES.eigh(x)._fields == ("eigenvalues", "eigenvectors")
    assert VALUES.svd(x)._fields == ("U", "S", "Vh")
    assert VALUES.qr(x)._fields == ("Q", "R")


# --- one triangle (docs/decisions/0003) ----------------------------------------------------------


@pytest.mark.parametrize("name", ["cholesky", "eigh", "eigvalsh"])
@pytest.mark.parametrize("triangle", ["L", "U"])
def test_the_triangle_that_is_not_read_has_an_exactly_zero_gradient(
    name: str, triangle: str, rng: np.random.Generator
) -> None:
    options = {"upper": triangle == "U"} if name == "cholesky" else {"UPLO": triangle}

    def program(la: Any, a: Any) -> Any:
        return getattr(la, name)(a, **options)

    graph = graph_of(program, SPD)
    cts = [rng.normal(size=graph.types[i].shape) for i in graph.outputs]
    (share,) = pulled(graph, [SPD], cts)
    unread = np.triu(share, 1) if triangle == "L" else np.tril(share, -1)
    np.testing.assert_array_equal(unread, 0.0)
    assert np.abs(share).max() > 0.1


# --- coinciding eigenvalues and singular values --------------------------------------------------

REPEATED = {
    "diagonal": np.diag([1.0, 1.0, 2.0, 3.0]),
    "rotated": with_singular_values(1.0, 1.0, 2.0, 3.0),
    "all the same": 2.5 * rotation(4),
    "rank 2": with_singular_values(0.0, 0.0, 2.0, 3.0),
    "tall": rotation(4)[:, :2] @ (2.0 * rotation(2)),
    "tall of rank 1": np.outer(rotation(4)[0], rotation(2)[0]),
}


def norm_of_rebuilt(la: Any, a: Any) -> Any:
    u, s, vh = la.svd(a, full_matrices=False)
    return la.norm(la.matmul(u * s, vh))


@pytest.mark.parametrize("name", REPEATED)
def test_the_norm_of_u_s_vt_has_its_gradient_where_singular_values_coincide(name: str) -> None:
    """Hard case 25: A/||A||, with a warning that 0/0 was taken as 0, where others give NaN."""
    matrix = REPEATED[name]
    with pytest.warns(DegenerateWarning, match="0/0 in the derivative of their singular vectors"):
        (found,) = gradient(norm_of_rebuilt, matrix)
    assert_close([found], [matrix / np.linalg.norm(matrix)], 1e-13)


def test_a_projector_on_a_whole_eigenspace_has_its_gradient_where_eigenvalues_coincide(
    rng: np.random.Generator,
) -> None:
    """The tangent of the projector P on the space of 1, 1 is P dA R + R dA P, R = (1 - A)^+."""
    q = rotation(4)
    matrix = q @ np.diag([1.0, 1.0, 2.0, 3.5]) @ q.T
    weights, chosen = rng.normal(size=(4, 4)), np.array([1.0, 1.0, 0.0, 0.0])

    def program(la: Any, a: Any) -> Any:
        _, v = la.eigh(a)
        return la.sum(la.matmul(v * chosen, la.mT(v)) * weights)

    with pytest.warns(DegenerateWarning, match="eigenvalues coincide"):
        (found,) = gradient(program, matrix)
    p = q[:, :2] @ q[:, :2].T
    step = rng.normal(size=(4, 4))
    symmetric = np.tril(step) + np.tril(step, -1).T
    others = sum(np.outer(q[:, k], q[:, k]) / (1.0 - w) for k, w in ((2, 2.0), (3, 3.5)))
    tangent = p @ symmetric @ others + others @ symmetric @ p
    np.testing.assert_allclose(np.sum(found * step), np.sum(weights * tangent), rtol=1e-11)


def test_what_singles_out_a_direction_of_an_eigenspace_is_never_silent(
    rng: np.random.Generator,
) -> None:
    """V diag(w) V^T is A, but one basis of a repeated eigenvalue does not tell its derivative."""
    weights, step = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    matrix = np.diag([1.0, 1.0, 2.0])

    def program(la: Any, a: Any) -> Any:
        w, v = la.eigh(a)
        return la.sum(la.matmul(v * w, la.mT(v)) * weights)

    with pytest.warns(DegenerateWarning, match=r"incomplete for others; compare with cb\.verify"):
        gradient(program, matrix)
    with pytest.raises(DerivativeError, match="in reverse mode"):
        pushed(graph_of(program, matrix), [matrix], [step])


# fmt: off
UNDEFINED: dict[str, tuple[Program, np.ndarray, str]] = {
    "an eigenvector of 1, 1, 2": (
        lambda la, a: la.sum(la.eigh(a)[1] * A), np.diag([1.0, 1.0, 2.0]),
        r"eigenvalues [01] and [01] coincide \(1 and 1\): the eigenvectors are not differentiable",
    ),
    "a left singular vector of 3, 2, 2": (
        lambda la, a: la.sum(la.svd(a)[0] * A), np.diag([3.0, 2.0, 2.0]),
        r"singular values [12] and [12] coincide \(2 and 2\): the singular vectors are not diff",
    ),
    "a singular vector of a rank 1 square": (
        lambda la, a: la.sum(la.svd(a)[0] * A), np.diag([3.0, 0.0, 0.0]),
        "singular values [12] and [12]",
    ),
    "a singular vector of a rank 1 tall matrix": (
        lambda la, a: la.sum(la.svd(a, full_matrices=False)[0] * TALL),
        np.array([[1.0, 0.0], [2.0, 0.0], [2.0, 0.0]]), "singular values 1 is 0",
    ),
    "qr of dependent columns": (
        lambda la, a: la.sum(la.qr(a)[1]), np.array([[1.0, 2.0], [2.0, 4.0], [0.0, 0.0]]),
        r"column 1 of the matrix depends on the columns before it \(R\[1, 1\] is 0\)",
    ),
    "qr of a wide matrix that starts with dependent columns": (
        lambda la, a: la.sum(la.qr(a)[0] * W2), np.array([[1.0, 2.0, 0.0], [1.0, 2.0, 5.0]]),
        "column 1 of the matrix depends",
    ),
}
# fmt: on


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("name", UNDEFINED)
def test_derivatives_that_do_not_exist_are_errors_that_name_the_place(name: str, mode: str) -> None:
    program, matrix, message = UNDEFINED[name]
    graph = graph_of(program, matrix)
    assert np.isfinite(evaluate(graph, matrix)[0])
    step = np.arange(float(matrix.size)).reshape(matrix.shape) ** 2
    derive, seed = (pushed, step) if mode == "forward" else (pulled, np.float64(1.0))
    with pytest.raises(DerivativeError, match=message):
        derive(graph, [matrix], [seed])


def test_values_alone_need_no_gaps(rng: np.random.Generator) -> None:
    """Sums of repeated eigenvalues and singular values have derivatives, and nothing warns."""
    for matrix in (np.eye(4), np.diag([1.0, 1.0, 2.0, 3.0])):
        (found,) = gradient(lambda la, a: la.sum(la.eigvalsh(a)), matrix)
        assert_close([found], [np.eye(4)], 1e-14)
        (found,) = gradient(lambda la, a: la.sum(la.svdvals(a)), matrix)
        assert_close([found], [np.eye(4)], 1e-14)


# --- refusals ------------------------------------------------------------------------------------

# fmt: off
REFUSED: dict[str, tuple[Program, np.ndarray, type[CalcbenchError], str]] = {
    "det of a vector": (
        lambda la, a: la.det(a), B, ShapeError, r"np.linalg.det takes matrices .* got f64\[3\]",
    ),
    "det of a rectangle": (
        lambda la, a: la.det(a), TALL, ShapeError, r"det takes .*\(..., n, n\), got f64\[3,2\]",
    ),
    "inv of a rectangle": (lambda la, a: la.inv(a), TALL, ShapeError, "inv takes"),
    "matrix_power of a rectangle": (
        lambda la, a: la.matrix_power(a, 0), TALL, ShapeError, "np.linalg.matrix_power takes",
    ),
    "matrix_power 1.5": (
        lambda la, a: la.matrix_power(a, 1.5), A, TraceError, "takes a whole exponent, got 1.5",
    ),
    "solve with a right side that does not fit": (
        lambda la, a: la.solve(a, W2), A, ShapeError, "solve takes matrices",
    ),
    "solve with batches that do not fit": (
        lambda la, a: la.solve(a, np.ones((3, 3, 1))), BATCH, ShapeError, "do not broadcast",
    ),
    "svd with full matrices": (
        lambda la, a: la.svd(a), TALL, TraceError,
        r"np.linalg.svd with full_matrices=True .* full_matrices=False for .* \(3, 2\)",
    ),
    "svd, hermitian": (
        lambda la, a: la.svd(a, hermitian=True), SPD, TraceError, "svd with hermitian=True",
    ),
    "qr, complete": (
        lambda la, a: la.qr(a, "complete"), TALL, TraceError,
        "qr with mode='complete' .* 'reduced' and 'r'",
    ),
    "eigh, UPLO": (lambda la, a: la.eigh(a, UPLO="X"), SPD, TraceError, "UPLO='X' .* 'L' and 'U'"),
    "pinv, hermitian": (
        lambda la, a: la.pinv(a, hermitian=True), SPD, TraceError, "pinv with hermitian=True",
    ),
    "pinv, one tolerance for each": (
        lambda la, a: la.pinv(a, rcond=np.ones(2)), BATCH, TraceError, "pinv with rcond=",
    ),
    "pinv, two tolerances": (
        lambda la, a: la.pinv(a, rcond=1e-3, rtol=1e-3), A, TraceError, "rcond or rtol, not both",
    ),
}
# fmt: on


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_is_refused_with_what_is(name: str) -> None:
    program, at, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        graph_of(program, at)


def test_a_row_of_integers_is_refused() -> None:
    builder = Builder()
    whole = Value(builder, builder.add_input("a", array_type((2, 2), np.int64)))
    with pytest.raises(DTypeError, match=r"adjugate takes float matrices, got i64\[2,2\]"):
        adjugate(whole)


def test_a_singular_matrix_is_numpys_error() -> None:
    graph = graph_of(lambda la, a: la.inv(a), A)
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        evaluate(graph, np.zeros((3, 3)))
