"""Rows of the symmetric eigenvalue problem, the singular value decomposition, and QR."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import ArrayType, DerivativeError, ShapeError
from calcbench.graph.linalg import (
    RECTANGLES,
    SPD,
    check_matrix,
    matrix_type,
    mirrored,
    part_of,
    solve,
    strictly_lower,
    upper,
)
from calcbench.graph.primitive import Sample, linearised
from calcbench.graph.structural import broadcast, concatenate, matmul, sum_, swap_last


class DegenerateWarning(UserWarning):
    """A quotient 0/0 at coinciding eigenvalues or singular values was taken as 0."""


# --- quotients by gaps -----------------------------------------------------------------------


class Gap(NamedTuple):
    """One kind of denominator: v_j + sign v_i, and what its vanishing means."""

    sign: int
    numerators: dict[str, str]  # kind of numerator -> that of the transpose
    complaint: str


GAPS = {
    "difference": Gap(
        -1,
        {"symmetric": "antisymmetric", "antisymmetric": "symmetric"},
        "{of} {i} and {j} coincide ({vi:.6g} and {vj:.6g})",
    ),
    "sum": Gap(1, {"antisymmetric": "antisymmetric"}, "{of} {i} and {j} are both 0"),
    "value": Gap(0, {"plain": "plain"}, "{of} {j} is 0"),
}
NUMERATORS: dict[str, Callable[[Any], Any]] = {
    "symmetric": lambda x: (x + np.swapaxes(x, -1, -2)) / 2,
    "antisymmetric": lambda x: (x - np.swapaxes(x, -1, -2)) / 2,
    "plain": lambda x: x,
}
VECTORS = {"eigenvalues": "eigenvectors", "singular values": "singular vectors"}


def _gaps(values: Any, shape: tuple[int, ...], sign: int) -> Any:
    """v_j + sign v_i; the diagonal, where numerators are 0, is put at infinity."""
    gaps = np.broadcast_to(values[..., None, :], shape) + sign * (
        values[..., :, None] if sign else values.dtype.type(0)
    )
    return np.where(np.eye(shape[-1], dtype=bool), np.inf, gaps) if sign else gaps


def _largest(x: Any) -> Any:
    """The largest magnitude in each matrix, NaN left out."""
    return np.max(np.nan_to_num(np.abs(x)), axis=(-2, -1), keepdims=True, initial=0.0)


def _gap_quotient(num: Any, values: Any, *, numerator: str, gap: str, of: str) -> Any:
    rounding = 16 * max(num.shape[-2:]) * np.finfo(num.dtype).eps
    top = NUMERATORS[numerator](num)
    gaps = _gaps(values, num.shape, GAPS[gap].sign)
    vanishing = np.abs(gaps) <= rounding * _largest(values[..., None, :])
    matters = vanishing & (np.abs(top) > 4 * rounding * _largest(num))
    if vanishing.any():
        _report(values, vanishing, matters, gap, of)
    return np.where(vanishing, 0, top / np.where(vanishing, 1, gaps)).astype(num.dtype)


def _report(values: Any, vanishing: Any, matters: Any, gap: str, of: str) -> None:
    """An error if a quotient x/0 is asked for, a warning if all of them are 0/0."""
    if not matters.any():
        warnings.warn(
            f"{of} coincide or vanish, and 0/0 in the derivative of their {VECTORS[of]} was taken "
            "as 0: exact for results that single out no direction of the common eigenspace (norms, "
            "traces, projectors), incomplete for others; compare with cb.verify",
            DegenerateWarning,
            stacklevel=2,
        )
        return
    *batch, i, j = np.argwhere(matters)[0]
    row = values[tuple(batch)]
    found = GAPS[gap].complaint.format(of=of, i=i, j=j, vi=row[min(i, len(row) - 1)], vj=row[j])
    raise DerivativeError(
        f"{found}: the {VECTORS[of]} are not differentiable there. Move the point, or use a "
        "function that does not depend on the choice of basis, in reverse mode"
    )


def _gap_type(num: ArrayType, values: ArrayType, *, numerator: str, gap: str, of: str) -> ArrayType:
    check_matrix("gap_quotient", num, square=gap != "value")
    if values != ArrayType((*num.shape[:-2], num.shape[-1]), num.dtype):
        raise ShapeError(f"gap_quotient takes one value per column, got {num} and {values}")
    return num


def _pairs(dv: Any, shape: Any, sign: int) -> Any:
    """dv_j + sign dv_i."""
    ndim = len(shape)
    by_column = broadcast(dv, dims=(*range(ndim - 2), ndim - 1), shape=shape)
    if not sign:
        return by_column
    by_row = broadcast(dv, dims=(*range(ndim - 2), ndim - 2), shape=shape)
    return by_column + by_row if sign > 0 else by_column - by_row


def _gap_tangent(z: Any, xs: Sequence[Any], dxs: Sequence[Any], *, gap: str, **rest: Any) -> Any:
    dnum, dvalues = dxs
    moved = None if dnum is None else gap_quotient(dnum, xs[1], gap=gap, **rest)
    if dvalues is None:
        return moved
    shifted = z * _pairs(dvalues, z.type.shape, GAPS[gap].sign)
    spread = gap_quotient(shifted, xs[1], gap=gap, **rest)
    return -spread if moved is None else moved - spread


def _gap_share(ct: Any, num: Any, values: Any, *, gap: str, numerator: str, of: str) -> Any:
    transposed = GAPS[gap].numerators[numerator]
    return gap_quotient(ct, values, gap=gap, numerator=transposed, of=of)


def _gap_sample(shape: tuple[int, ...], numerator: str, gap: str) -> Sample:
    params = {"numerator": numerator, "gap": gap, "of": "singular values"}
    return Sample((shape, (*shape[:-2], shape[-1])), params, ((-2.0, 2.0), "distinct"))


# The numerator is made symmetric or antisymmetric before it is judged against 0: in each mode that
# is the part that counts. Where values coincide, forward mode has 0/0 only along directions that
# leave the basis alone. In reverse mode 0/0 means that turning the basis changes nothing; its limit
# is an off-diagonal entry of the gradient inside the eigenspace, which one basis does not tell, and
# which is 0 if no direction in there is singled out. Hence a warning and not an error.
gap_quotient = linearised(
    "gap_quotient", _gap_quotient, _gap_type, _gap_tangent,
    [
        _gap_sample((3, 3), "symmetric", "difference"),
        _gap_sample((2, 3, 3), "antisymmetric", "difference"),
        _gap_sample((3, 3), "antisymmetric", "sum"),
        _gap_sample((2, 3), "plain", "value"),
    ],
    transposes={0: _gap_share}.get,
)  # fmt: skip

# --- symmetric eigenvalue problem --------------------------------------------------------------


def _eigvalsh_tangent(z: Any, xs: Sequence[Any], dxs: Sequence[Any], *, uplo: str) -> Any:
    """dw_j = v_j^T dA v_j."""
    v = eigenvectors(xs[0], uplo=uplo)
    return sum_(v * matmul(mirrored(dxs[0], uplo), v), axes=(v.type.ndim - 2,))


def _eigenvectors_tangent(z: Any, xs: Sequence[Any], dxs: Sequence[Any], *, uplo: str) -> Any:
    """dV = V Omega with Omega_ij = v_i^T dA v_j / (w_j - w_i) (Giles 2008, section 3.1)."""
    turned = matmul(swap_last(z), matmul(mirrored(dxs[0], uplo), z))
    values = eigvalsh(xs[0], uplo=uplo)
    return matmul(z, gap_quotient(
        turned, values, numerator="symmetric", gap="difference", of="eigenvalues"
    ))  # fmt: skip


EIGEN = tuple(s._replace(params={"uplo": uplo}) for s in SPD for uplo in "LU")
eigvalsh = linearised(
    "eigvalsh", lambda a, *, uplo: np.linalg.eigvalsh(a, uplo),
    matrix_type("eigvalsh", lambda m, n: (n,), square=True), _eigvalsh_tangent, EIGEN,
)  # fmt: skip
eigenvectors = linearised(
    "eigenvectors", lambda a, *, uplo: np.linalg.eigh(a, uplo)[1],
    matrix_type("eigenvectors", lambda m, n: (m, n), square=True), _eigenvectors_tangent, EIGEN,
)  # fmt: skip

# --- singular value decomposition --------------------------------------------------------------


def _svd_vectors(a: Any) -> Any:
    u, _, vt = np.linalg.svd(a, full_matrices=False)
    return np.concatenate([u, np.swapaxes(vt, -1, -2)], axis=-2)


def left_singular(x: Any) -> Any:
    """U of x = U diag(s) V^T, of shape (..., m, k) with k = min(m, n)."""
    return part_of(singular_vectors(x), -2, 0, x.type.shape[-2])


def right_singular(x: Any) -> Any:
    """V (not its transpose) of x = U diag(s) V^T, of shape (..., n, k) with k = min(m, n)."""
    m, n = x.type.shape[-2:]
    return part_of(singular_vectors(x), -2, m, m + n)


def _singular_values_tangent(z: Any, xs: Sequence[Any], dxs: Sequence[Any]) -> Any:
    """ds_j = u_j^T dA v_j."""
    u, v = left_singular(xs[0]), right_singular(xs[0])
    return sum_(u * matmul(dxs[0], v), axes=(u.type.ndim - 2,))


def _outside(u: Any, moved: Any, within: Any, s: Any) -> Any:
    """The tangent of U that leaves its range: (dA V - U U^T dA V) / s; None if U is square."""
    m, k = u.type.shape[-2:]
    if m == k:
        return None
    rest = moved - matmul(u, within)
    return gap_quotient(rest, s, numerator="plain", gap="value", of="singular values")


def _singular_vectors_tangent(z: Any, xs: Sequence[Any], dxs: Sequence[Any]) -> Any:
    """dU = U (X + Y) and dV = V (X - Y), plus what leaves their ranges, where P = U^T dA V,

    2 X_ij = (P + P^T)_ij / (s_j - s_i) and 2 Y_ij = (P - P^T)_ij / (s_j + s_i).

    The textbook form has one quotient by s_j^2 - s_i^2 for each of dU and dV. Here they share X,
    so that in reverse mode the cotangents of U and V meet in it before they are divided: at a
    repeated singular value only their sum is free of the choice of basis.
    """
    x, dx = xs[0], dxs[0]
    u, v, s = left_singular(x), right_singular(x), singular_values(x)
    moved, moved_back = matmul(dx, v), matmul(swap_last(dx), u)
    p = matmul(swap_last(u), moved)
    turn = gap_quotient(p, s, numerator="symmetric", gap="difference", of="singular values")
    twist = gap_quotient(p, s, numerator="antisymmetric", gap="sum", of="singular values")
    du, dv = matmul(u, turn + twist), matmul(v, turn - twist)
    out_u, out_v = _outside(u, moved, p, s), _outside(v, moved_back, swap_last(p), s)
    du, dv = du if out_u is None else du + out_u, dv if out_v is None else dv + out_v
    return concatenate(du, dv, axis=z.type.ndim - 2)


singular_values = linearised(
    "singular_values", lambda a: np.linalg.svd(a, compute_uv=False),
    matrix_type("singular_values", lambda m, n: (min(m, n),)), _singular_values_tangent,
    RECTANGLES, facts="nonnegative",
)  # fmt: skip
# U above V in one array: a row has one output, and both modes need U and V together.
singular_vectors = linearised(
    "singular_vectors", _svd_vectors,
    matrix_type("singular_vectors", lambda m, n: (m + n, min(m, n))), _singular_vectors_tangent,
    RECTANGLES,
)  # fmt: skip

# --- QR --------------------------------------------------------------------------------------


def _full_rank(r: Any) -> Any:
    diagonal = np.abs(np.diagonal(r, axis1=-2, axis2=-1))
    rounding = 16 * r.shape[-1] * np.finfo(r.dtype).eps
    vanishing = diagonal <= rounding * np.max(diagonal, axis=-1, keepdims=True, initial=0.0)
    if vanishing.any():
        *_, j = np.argwhere(vanishing)[0]
        raise DerivativeError(
            f"column {j} of the matrix depends on the columns before it (R[{j}, {j}] is 0): QR is "
            "not differentiable there; it is where the first min(m, n) columns are independent"
        )
    return r


# The identity, where it may be divided by: R of a QR whose derivative is asked for.
full_rank = linearised(
    "full_rank", _full_rank, matrix_type("full_rank", lambda m, n: (m, n), square=True),
    lambda z, xs, dxs: dxs[0], [Sample(((3, 3),), {}, ("spd",))],
)  # fmt: skip


def _qr_turn(q: Any, x: Any, dx: Any) -> tuple[Any, Any]:
    """(dA R^-1, Q^T dQ) of the first k = min(m, n) columns.

    Q^T dA R^-1 = Q^T dQ + dR R^-1 is antisymmetric plus upper triangular, so that its strictly
    lower part determines Q^T dQ (Walter & Lehmann 2010, arXiv:1001.1654).
    """
    k = q.type.shape[-1]
    r = full_rank(part_of(qr_r(x), -1, 0, k))
    quotient = swap_last(solve(swap_last(r), swap_last(part_of(dx, -1, 0, k))))
    lower = strictly_lower(matmul(swap_last(q), quotient))
    return quotient, lower - swap_last(lower)


def _qr_q_tangent(z: Any, xs: Sequence[Any], dxs: Sequence[Any]) -> Any:
    """dQ = dA R^-1 - Q dR R^-1."""
    quotient, turn = _qr_turn(z, xs[0], dxs[0])
    return quotient - matmul(z, matmul(swap_last(z), quotient) - turn)


def _qr_r_tangent(z: Any, xs: Sequence[Any], dxs: Sequence[Any]) -> Any:
    """dR = Q^T dA - Q^T dQ R, whose lower triangle is 0."""
    q = qr_q(xs[0])
    _, turn = _qr_turn(q, xs[0], dxs[0])
    return upper(matmul(swap_last(q), dxs[0]) - matmul(turn, z))


qr_q = linearised(
    "qr_q", lambda a: np.linalg.qr(a)[0], matrix_type("qr_q", lambda m, n: (m, min(m, n))),
    _qr_q_tangent, RECTANGLES,
)  # fmt: skip
qr_r = linearised(
    "qr_r", lambda a: np.linalg.qr(a, mode="r"),
    matrix_type("qr_r", lambda m, n: (min(m, n), n)), _qr_r_tangent, RECTANGLES,
)  # fmt: skip
