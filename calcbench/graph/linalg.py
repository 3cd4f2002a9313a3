"""Rows of linear algebra on (..., n, n) and (..., m, n) matrices; leading axes are a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from calcbench.graph.arraytype import ArrayType, DTypeError, ShapeError
from calcbench.graph.primitive import Infer, Primitive, Sample, linearised, piecewise_constant
from calcbench.graph.structural import (
    array_constant,
    broadcast,
    gather,
    matmul,
    reshape,
    slice_,
    sum_,
    swap_last,
)


REGULAR = tuple(Sample((s,), {}, ("regular",)) for s in ((3, 3), (2, 2, 2), (1, 1)))
ANY_SQUARE = tuple(Sample((s,), {}, ((-2.0, 2.0),)) for s in ((3, 3), (2, 2, 2), (1, 1)))
RECTANGLES = tuple(Sample((s,), {}, ("regular",)) for s in ((3, 3), (4, 2), (2, 3), (2, 3, 2)))


# --- types and small pieces ------------------------------------------------------------------


def check_matrix(name: str, x: ArrayType, square: bool = False) -> ArrayType:
    wanted = "(..., n, n)" if square else "(..., m, n)"
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        raise ShapeError(f"{name} takes matrices of shape {wanted}, got {x}")
    if not x.is_float:
        raise DTypeError(f"{name} takes float matrices, got {x}; convert it with .astype(float)")
    return x


def matrix_type(name: str, result: Callable[..., tuple[Any, ...]], square: bool = False) -> Infer:
    """Type rule: from the operand's (batch, m, n) to the shape after the batch."""

    def infer(x: ArrayType, **_: object) -> ArrayType:
        check_matrix(name, x, square)
        return ArrayType((*x.shape[:-2], *result(*x.shape[-2:])), x.dtype)

    return infer


def _inner(x: Any, y: Any) -> Any:
    """The sum of x_ij y_ij over the last two axes."""
    return sum_(x * y, axes=(x.type.ndim - 2, x.type.ndim - 1))


def _total(*terms: Any) -> Any:
    """The sum of the terms that are there; None if none is."""
    total = None
    for term in terms:
        if term is not None:
            total = term if total is None else total + term
    return total


def _weighted(x: Any, weights: np.ndarray) -> Any:
    """Every matrix of `x` times constant weights, entry by entry."""
    pattern = array_constant(x, weights.astype(x.type.dtype))
    ndim = x.type.ndim
    return x * broadcast(pattern, dims=(ndim - 2, ndim - 1), shape=x.type.shape)


def _half(x: Any, uplo: str = "L") -> Any:
    """One triangle with half the diagonal: y + y^T is the symmetric matrix it stands for."""
    n = x.type.shape[-1]
    weights = np.tril(np.ones((n, n))) - 0.5 * np.eye(n)
    return _weighted(x, weights if uplo == "L" else weights.T)


def mirrored(x: Any, uplo: str = "L") -> Any:
    """The symmetric matrix that has the lower ("L") or upper ("U") triangle of `x`."""
    half = _half(x, uplo)
    return half + swap_last(half)


def strictly_lower(x: Any) -> Any:
    """`x` with zeros on and above the diagonal."""
    return _weighted(x, np.tril(np.ones(x.type.shape[-2:]), -1))


def upper(x: Any) -> Any:
    """`x` with zeros below the diagonal."""
    return _weighted(x, np.triu(np.ones(x.type.shape[-2:])))


def part_of(x: Any, axis: int, start: int, stop: int) -> Any:
    """``x[..., start:stop, ...]`` along one axis, counted from the end."""
    starts, stops = [0] * x.type.ndim, list(x.type.shape)
    starts[axis], stops[axis] = start, stop
    return slice_(x, starts=tuple(starts), stops=tuple(stops), steps=(1,) * x.type.ndim)


# --- determinant -----------------------------------------------------------------------------
# d det(A) = tr(adj(A) dA) holds for every A (Jacobi); det(A) inv(A) does not at a singular one.

det = linearised(
    "det", np.linalg.det, matrix_type("det", lambda m, n: (), square=True),
    lambda z, xs, dxs: _inner(swap_last(adjugate(xs[0])), dxs[0]), ANY_SQUARE,
    sympy=lambda sp, a: a.det(),
    facts="named",
)  # fmt: skip


def _products_of_others(s: Any) -> Any:
    """The product of the s_k with k != i along the last axis, without dividing."""
    ones = np.ones_like(s[..., :1])
    before = np.cumprod(np.concatenate([ones, s[..., :-1]], -1), -1)
    after = np.cumprod(np.concatenate([ones, s[..., :0:-1]], -1), -1)
    return before * after[..., ::-1]


def _products_of_other_pairs(s: Any) -> Any:
    """The product of the s_k with k != i and k != j as a matrix (i, j), 0 on the diagonal."""
    diagonal = np.eye(s.shape[-1], dtype=bool)
    without = np.where(diagonal, s.dtype.type(1), s[..., None, :])
    return np.where(diagonal, s.dtype.type(0), _products_of_others(without))


def _oriented_svd(a: Any) -> tuple[Any, Any, Any, Any]:
    """(det(U) det(V), U^T, s, V) of a = U diag(s) V^T; NaN where `a` is not finite."""
    finite = np.isfinite(a).all(axis=(-2, -1))
    u, s, vt = np.linalg.svd(np.where(finite[..., None, None], a, a.dtype.type(0)))
    sign = np.asarray(np.sign(np.linalg.det(u) * np.linalg.det(vt)))[..., None, None]
    s = np.where(finite[..., None], s, s.dtype.type(np.nan))
    return sign, np.swapaxes(u, -1, -2), s, np.swapaxes(vt, -1, -2)


def _adjugate(a: Any) -> Any:
    """adj(U S V^T) = det(UV) V adj(S) U^T: no division, so every rank is its own limit."""
    sign, ut, s, v = _oriented_svd(a)
    return sign * (v * _products_of_others(s)[..., None, :]) @ ut


adjugate: Primitive = linearised(
    "adjugate", _adjugate, matrix_type("adjugate", lambda m, n: (m, n), square=True),
    lambda z, xs, dxs: adjugate_tangent(xs[0], dxs[0]), ANY_SQUARE,
    sympy=lambda sp, a: a.adjugate(),
    facts="named",
)  # fmt: skip


def _adjugate_tangent(a: Any, h: Any) -> Any:
    """adj'(A)[H] = det(UV) V adj'(S)[T] U^T with T = U^T H V.

    With P_ij the product of the s_k other than s_i and s_j, adj'(S)[T] is -P_ij T_ij off the
    diagonal and the sum of the P_ij T_jj over j on it.
    """
    sign, ut, s, v = _oriented_svd(a)
    turned, others = ut @ h @ v, _products_of_other_pairs(s)
    diagonal = others @ np.diagonal(turned, axis1=-2, axis2=-1)[..., None]
    return sign * v @ (np.eye(s.shape[-1], dtype=s.dtype) * diagonal - others * turned) @ ut


def _minors(x: Any) -> Any:
    """Every n x n matrix without row i and column j, as shape (..., i, j, n-1, n-1)."""
    n, batch = x.type.shape[-1], x.type.shape[:-2]
    rest = np.array([[k for k in range(n) if k != i] for i in range(n)], dtype=np.int64)
    within = rest[:, None, :, None] * n + rest[None, :, None, :]
    first = np.arange(int(np.prod(batch)), dtype=np.int64).reshape(*batch, 1, 1, 1, 1) * n * n
    return gather(reshape(x, shape=(x.type.size,)), array_constant(x, first + within))


def _second_adjugate_tangent(a: Any, h: Any, da: Any) -> Any:
    """adj''(A)[H, dA], entry by entry: adj(A)_ij = (-1)^(i+j) det of the minor (j, i)."""
    n = a.type.shape[-1]
    if not a.type.is_concrete:
        raise ShapeError(f"the third derivative of det needs sizes that are numbers, got {a.type}")
    if n < 3:  # adj(A) is linear in A
        return None
    inner = _inner(swap_last(adjugate_tangent(_minors(a), _minors(da))), _minors(h))
    return _weighted(swap_last(inner), (-1.0) ** np.add.outer(np.arange(n), np.arange(n)))


def _adjugate_tangent_tangent(z: Any, xs: Sequence[Any], dxs: Sequence[Any]) -> Any:
    (a, h), (da, dh) = xs, dxs
    return _total(
        None if dh is None else adjugate_tangent(a, dh),
        None if da is None else _second_adjugate_tangent(a, h, da),
    )


def _two_squares(name: str) -> Infer:
    def infer(a: ArrayType, h: ArrayType) -> ArrayType:
        if check_matrix(name, a, square=True) != h:
            raise ShapeError(f"{name} takes two operands of one type, got {a} and {h}")
        return a

    return infer


# tr(adj'(A)[H] K) is symmetric in H and K: the second derivative of det.
adjugate_tangent: Primitive = linearised(
    "adjugate_tangent", _adjugate_tangent, _two_squares("adjugate_tangent"),
    _adjugate_tangent_tangent,
    [Sample((s, s), {}, ((-2.0, 2.0),) * 2) for s in ((3, 3), (2, 4, 4))],
    transposes={1: lambda ct, a, h: swap_last(adjugate_tangent(a, swap_last(ct)))}.get,
    facts="named",
)  # fmt: skip

logabsdet = linearised(
    "logabsdet", lambda a: np.linalg.slogdet(a)[1],
    matrix_type("logabsdet", lambda m, n: (), square=True),
    lambda z, xs, dxs: _inner(swap_last(inv(xs[0])), dxs[0]), REGULAR,
    sympy=lambda sp, a: sp.log(sp.Abs(a.det())),
    facts="named",
)  # fmt: skip
sign_det = piecewise_constant(
    "sign_det", lambda a: np.linalg.slogdet(a)[0], lambda sp, a: sp.sign(a.det()),
    infer=matrix_type("sign_det", lambda m, n: (), square=True), samples=REGULAR,
    facts="named",
)  # fmt: skip

# --- inverses --------------------------------------------------------------------------------

inv: Primitive = linearised(
    "inv", np.linalg.inv, matrix_type("inv", lambda m, n: (m, n), square=True),
    lambda z, xs, dxs: -matmul(z, matmul(dxs[0], z)), REGULAR, sympy=lambda sp, a: a.inv(),
    facts="named",
)  # fmt: skip


def _solve_type(a: ArrayType, b: ArrayType) -> ArrayType:
    check_matrix("solve", a, square=True)
    vector = b.ndim == 1 and a.ndim == 2
    fits = b.shape == a.shape[-1:] if vector else b.ndim == a.ndim and b.shape[:-1] == a.shape[:-1]
    if not fits or a.dtype != b.dtype:
        raise ShapeError(
            f"solve takes matrices (..., n, n) and right sides (..., n, k) of one dtype, or one "
            f"matrix and one vector, got {a} and {b}"
        )
    return b


def _solve_tangent(z: Any, xs: Sequence[Any], dxs: Sequence[Any]) -> Any:
    da, db = dxs
    return solve(xs[0], _total(db, None if da is None else -matmul(da, z)))


solve: Primitive = linearised(
    "solve", np.linalg.solve, _solve_type, _solve_tangent,
    [
        Sample(shapes, {}, ("regular", (-2.0, 2.0)))
        for shapes in (((3, 3), (3,)), ((3, 3), (3, 2)), ((2, 3, 3), (2, 3, 1)))
    ],
    transposes={1: lambda ct, a, b: solve(swap_last(a), ct)}.get,
    sympy=lambda sp, a, b: a.inv() * b,
    facts="named",
)  # fmt: skip


def _pinv_tangent(z: Any, xs: Sequence[Any], dxs: Sequence[Any], *, rcond: float) -> Any:
    """Golub & Pereyra 1973 (4.12); the rank of A is constant near A, or there is no derivative."""
    a, da, zt = xs[0], dxs[0], swap_last(z)
    by_columns = matmul(matmul(z, zt), swap_last(da))
    by_rows = matmul(swap_last(da), matmul(zt, z))
    in_range = -matmul(z, matmul(da, z))
    return (
        in_range
        + by_columns
        - matmul(matmul(by_columns, a), z)
        + by_rows
        - matmul(z, matmul(a, by_rows))
    )


pinv = linearised(
    "pinv", lambda a, *, rcond: np.linalg.pinv(a, rcond), matrix_type("pinv", lambda m, n: (n, m)),
    _pinv_tangent, [s._replace(params={"rcond": 1e-15}) for s in RECTANGLES],
)  # fmt: skip

# --- rows that read one triangle (docs/decisions/0003) -----------------------------------------


def _cholesky_tangent(z: Any, xs: Sequence[Any], dxs: Sequence[Any]) -> Any:
    """dL = L times the lower half of L^-1 dA L^-T (Murray 2016, arXiv:1602.07527)."""
    inner = solve(z, swap_last(solve(z, mirrored(dxs[0]))))
    return matmul(z, _half(inner))


def _cholesky_in_sympy(sp: Any, a: Any) -> Any:
    mirrored = sp.Matrix(*a.shape, lambda i, j: a[max(i, j), min(i, j)])
    return mirrored.cholesky(hermitian=False)


SPD = tuple(Sample((s,), {}, ("spd",)) for s in ((3, 3), (2, 2, 2)))
cholesky = linearised(
    "cholesky", np.linalg.cholesky, matrix_type("cholesky", lambda m, n: (m, n), square=True),
    _cholesky_tangent, SPD, sympy=_cholesky_in_sympy,
)  # fmt: skip
