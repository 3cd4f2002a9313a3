"""Linear algebra entry by entry: determinants, inverses and factors by other ways than LAPACK's.

The determinant, the adjugate and the characteristic polynomial come from the recurrence of
Faddeev and Le Verrier, which divides by whole numbers only and so holds at singular matrices.
Eigenvalues are roots of that polynomial, found by Newton's iteration from NumPy's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import sympy as sp

from calcbench.graph.arraytype import DerivativeError, GraphError
from calcbench.symbolic.references.scalar_steps import SLOTS


LARGEST = 12
NEWTON_STEPS = 11  # each doubles the 16 digits of NumPy's eigenvalue
CLOSE = 1e-9

SQRT, SIGN = sp.sqrt(SLOTS[0]), sp.sign(SLOTS[0])
LOG_ABS = sp.log(sp.Abs(SLOTS[0]))


def characteristic(a: np.ndarray) -> tuple[list[Any], Any]:
    """Coefficients c_0 ... c_(n-1) of det(x - A) below x^n, and the adjugate of A.

    M_1 = 1, c_(n-k) = -tr(A M_k) / k, M_(k+1) = A M_k + c_(n-k); det A = (-1)^n c_0 and
    adj A = (-1)^(n-1) M_n (Householder, The Theory of Matrices in Numerical Analysis, 6.7).
    """
    n = a.shape[-1]
    if n > LARGEST:
        raise GraphError(f"a {n} x {n} matrix; entry by entry at most {LARGEST} x {LARGEST}")
    coefficients: list[Any] = []
    product, m = a, None
    for k in range(1, n + 1):
        coefficients.insert(0, np.trace(product) * sp.Rational(-1, k))
        if k < n:
            m = product.copy()
            m[np.diag_indices(n)] = m.diagonal() + coefficients[0]
            product = a @ m
    one = (a[:1, :1] * 0) + 1 if n else a
    return coefficients, one if m is None else m * (-1) ** (n - 1)


def determinant(a: np.ndarray) -> Any:
    """det A of one matrix."""
    if not a.shape[-1]:
        raise GraphError("the determinant of an empty matrix has no entries")
    return characteristic(a)[0][0] * (-1) ** a.shape[-1]


def _inverse(a: np.ndarray) -> Any:
    coefficients, adjugate = characteristic(a)
    return adjugate / (coefficients[0] * (-1) ** a.shape[-1])


def _cholesky(a: np.ndarray) -> np.ndarray:
    n = a.shape[0]
    lower = a * 0
    for j in range(n):
        for i in range(j, n):
            rest = a[i, j] - sum(lower[i, k] * lower[j, k] for k in range(j)) if j else a[i, j]
            lower[i, j] = rest.apply(SQRT) if i == j else rest / lower[j, j]
    return lower


def _mirrored(a: np.ndarray, uplo: str) -> np.ndarray:
    """The symmetric matrix that has the lower or upper triangle of `a`."""
    result = a.copy()
    for i, j in np.ndindex(a.shape):
        take = (max(i, j), min(i, j)) if uplo == "L" else (min(i, j), max(i, j))
        result[i, j] = a[take]
    return result


# --- eigenvalues -------------------------------------------------------------------------------


def _roots(matrix: np.ndarray, guesses: np.ndarray) -> list[Any]:
    """The roots of the characteristic polynomial next to the guesses, which must be apart."""
    guesses = np.asarray(guesses, dtype=float)
    gaps = np.diff(np.sort(guesses))
    if gaps.size and np.min(gaps) <= CLOSE * np.max(np.abs(guesses)):
        raise DerivativeError(
            "eigenvalues or singular values coincide: they have no derivative one by one there; "
            "cb.subdifferential gives the set of slopes"
        )
    coefficients, _ = characteristic(matrix)
    return [_root(coefficients, float(guess), matrix[0, 0]) for guess in guesses]


def _root(coefficients: list[Any], guess: float, like: Any) -> Any:
    x = like * 0 + guess
    for _ in range(NEWTON_STEPS):
        value, slope = x * 0 + 1, x * 0
        for c in reversed(coefficients):
            value, slope = value * x + c, slope * x + value
        x = x - value / slope
    return x


def _vector(matrix: np.ndarray, root: Any, guess: np.ndarray) -> np.ndarray:
    """The unit eigenvector of a simple root: a column of adj(A - root), turned like the guess."""
    shifted = matrix.copy()
    shifted[np.diag_indices(len(matrix))] = matrix.diagonal() - root
    column = characteristic(shifted)[1][:, int(np.argmax(np.abs(guess)))]
    largest = column[int(np.argmax(np.abs(guess)))]
    unit = column / _norm(column)
    turned = float(np.sign(guess[np.argmax(np.abs(guess))]))
    result: np.ndarray = unit * largest.apply(SIGN) * int(turned)
    return result


def _norm(vector: np.ndarray) -> Any:
    return np.sum(vector * vector).apply(SQRT)


def _gram(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smaller of A^T A and A A^T, and A so turned that it is the first."""
    tall = a if a.shape[0] >= a.shape[1] else a.T
    return tall.T @ tall, tall


def _eigvalsh(a: np.ndarray, concrete: Any, *, uplo: str) -> Any:
    return np.array(_roots(_mirrored(a, uplo), concrete[1]), dtype=object)


def _eigenvectors(a: np.ndarray, concrete: Any, *, uplo: str) -> Any:
    symmetric = _mirrored(a, uplo)
    half: Any = uplo
    roots = _roots(symmetric, np.linalg.eigvalsh(concrete[0], half))
    columns = [_vector(symmetric, r, v) for r, v in zip(roots, concrete[1].T, strict=True)]
    return np.stack(columns, axis=1)


def _singular_values(a: np.ndarray, concrete: Any) -> Any:
    gram, _ = _gram(a)
    squares = _roots(gram, np.linalg.svd(concrete[0], compute_uv=False) ** 2)
    return np.array([s.apply(SQRT) for s in squares], dtype=object)


def _singular_vectors(a: np.ndarray, concrete: Any) -> Any:
    """U above V: eigenvectors of the smaller Gram matrix, and their images over their lengths."""
    gram, tall = _gram(a)
    u, v = np.split(concrete[1], [a.shape[0]])
    guesses = v if a.shape[0] >= a.shape[1] else u
    squares = _roots(gram, np.linalg.svd(concrete[0], compute_uv=False) ** 2)
    short = [_vector(gram, s, g) for s, g in zip(squares, guesses.T, strict=True)]
    images = [tall @ v / s.apply(SQRT) for s, v in zip(squares, short, strict=True)]
    parts = (images, short) if a.shape[0] >= a.shape[1] else (short, images)
    return np.concatenate([np.stack(p, axis=1) for p in parts])


# --- orthogonal columns ------------------------------------------------------------------------


def _columns(a: np.ndarray, concrete: Any) -> np.ndarray:
    """Q of A = QR by Gram and Schmidt, with NumPy's signs."""
    triangle: Any = np.linalg.qr(concrete[0], mode="r")
    diagonal = triangle.diagonal()
    if np.min(np.abs(diagonal)) <= CLOSE * np.max(np.abs(diagonal)):
        raise DerivativeError("QR of linearly dependent columns, which has no derivative")
    columns: list[Any] = []
    for j, sign in enumerate(np.sign(diagonal)):
        rest = a[:, j]
        for q in columns:
            rest = rest - q * np.sum(q * a[:, j])
        columns.append(rest / _norm(rest) * int(sign))
    return np.stack(columns, axis=1)


def _qr_r(a: np.ndarray, concrete: Any) -> Any:
    r = _columns(a, concrete).T @ a
    rows, columns = np.indices(r.shape)
    return np.where(rows <= columns, r, r * 0)


def _pinv(a: np.ndarray, concrete: Any, *, rcond: float) -> Any:
    """(A^T A)^-1 A^T, or A^T (A A^T)^-1; for matrices of full rank."""
    if np.linalg.matrix_rank(concrete[0], rtol=max(rcond, CLOSE)) < min(a.shape):
        raise DerivativeError("pinv of a matrix that has not full rank: it jumps there")
    gram, tall = _gram(a)
    result = _inverse(gram) @ tall.T
    return result if a.shape[0] >= a.shape[1] else result.T


# --- batches -----------------------------------------------------------------------------------


def _matrices(*xs: Any) -> Iterator[tuple[tuple[int, ...], list[Any]]]:
    """The matrices of every batch position; None stays None."""
    batch = xs[0].shape[:-2]
    for at in np.ndindex(batch):
        yield at, [None if x is None else x[at] for x in xs]


def _batched(rule: Callable[..., Any], needs_point: bool = False) -> Callable[..., Any]:
    """The rule of one matrix on arrays of matrices."""

    def apply(x: np.ndarray, *, concrete: Sequence[Any], **params: Any) -> Any:
        if needs_point and concrete[0] is None:
            raise GraphError("this factor is found next to NumPy's, and there is no point here")
        points = [None if c is None else np.asarray(c) for c in concrete]
        found = [
            rule(a, at, **params) if needs_point else rule(a)
            for _, (a, *at) in _matrices(x, *points)
        ]
        shape = x.shape[:-2] + np.shape(found[0])
        result = np.empty(shape, dtype=object)
        for (where, _), value in zip(_matrices(x), found, strict=True):
            result[where] = value
        return result

    return apply


def _solve(a: np.ndarray, b: np.ndarray, *, concrete: Any) -> Any:
    result = np.empty(b.shape, dtype=object)
    for at in np.ndindex(a.shape[:-2]):
        result[at] = _inverse(a[at]) @ b[at]
    return result


FACTORS: dict[str, Callable[..., Any]] = {
    "det": _batched(determinant),
    "adjugate": _batched(lambda a: characteristic(a)[1]),
    "logabsdet": _batched(lambda a: determinant(a).apply(LOG_ABS)),
    "sign_det": _batched(lambda a: determinant(a).apply(SIGN)),
    "inv": _batched(_inverse),
    "solve": _solve,
    "cholesky": _batched(_cholesky),
    "eigvalsh": _batched(_eigvalsh, needs_point=True),
    "eigenvectors": _batched(_eigenvectors, needs_point=True),
    "singular_values": _batched(_singular_values, needs_point=True),
    "singular_vectors": _batched(_singular_vectors, needs_point=True),
    "full_rank": _batched(lambda a: a),
    "qr_q": _batched(_columns, needs_point=True),
    "qr_r": _batched(_qr_r, needs_point=True),
    "pinv": _batched(_pinv, needs_point=True),
}
