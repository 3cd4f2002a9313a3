"""The functions of `numpy.linalg` on graph values, with NumPy's arguments."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph import factorisations, linalg
from calcbench.graph.arraytype import FLOAT64, TraceError, broadcast_shapes, format_shape
from calcbench.graph.lifting import (
    common_builder,
    enter,
    result_dtype,
    shape_of,
    stretch,
    value_or_array,
)
from calcbench.graph.norms import NORM_FUNCTIONS
from calcbench.graph.structural import array_constant, broadcast, matmul, reshape, swap_last


class SlogdetResult(NamedTuple):
    """As `numpy.linalg.slogdet` returns."""

    sign: Any
    logabsdet: Any


class EighResult(NamedTuple):
    """As `numpy.linalg.eigh` returns."""

    eigenvalues: Any
    eigenvectors: Any


class SVDResult(NamedTuple):
    """As `numpy.linalg.svd` returns."""

    U: Any
    S: Any
    Vh: Any


class QRResult(NamedTuple):
    """As `numpy.linalg.qr` returns."""

    Q: Any
    R: Any


def _lift(*operands: Any, to_float: bool = True) -> list[Any]:
    """The operands as values of one builder and one dtype, each with its own shape."""
    raw = [value_or_array(v) for v in operands]
    builder, dtype = common_builder(raw), result_dtype(raw, to_float)
    return [enter(builder, v, dtype, shape_of(v)) for v in raw]


def _lift_matrix(name: str, a: Any) -> Any:
    x = _lift(a)[0]
    linalg.check_matrix(f"np.linalg.{name}", x.type)
    return x


def _refuse(name: str, option: str, given: object, supported: str) -> None:
    raise TraceError(
        f"np.linalg.{name} with {option}={given!r} has no derivative here; supported: {supported}"
    )


# --- determinants and inverses ---------------------------------------------------------------


def _det(a: Any) -> Any:
    return linalg.det(_lift_matrix("det", a))


def _slogdet(a: Any) -> SlogdetResult:
    x = _lift_matrix("slogdet", a)
    return SlogdetResult(linalg.sign_det(x), linalg.logabsdet(x))


def _inv(a: Any) -> Any:
    return linalg.inv(_lift_matrix("inv", a))


_ABSENT: Any = object()


def _pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = _ABSENT) -> Any:
    if hermitian:
        _refuse("pinv", "hermitian", hermitian, "hermitian=False")
    if rcond is not None and rtol is not _ABSENT:
        raise TraceError("np.linalg.pinv takes rcond or rtol, not both")
    x = _lift_matrix("pinv", a)
    cutoff = _cutoff(x, 1e-15 if rtol is _ABSENT else rtol) if rcond is None else rcond
    if not isinstance(cutoff, float | int | np.floating):
        _refuse("pinv", "rcond", cutoff, "a number")
    return linalg.pinv(x, rcond=float(cutoff))


def _cutoff(x: Any, rtol: Any) -> Any:
    """NumPy's default relative tolerance where `rtol` is None."""
    return max(x.type.shape[-2:]) * np.finfo(x.type.dtype).eps if rtol is None else rtol


def _solve(a: Any, b: Any) -> Any:
    """A vector `b` is one right side for every matrix; anything else is a stack of matrices."""
    a, b = _lift(a, b)
    batch = broadcast_shapes(a.type.shape[:-2], b.type.shape[:-2])
    if b.type.ndim == 1 and a.type.ndim > 2:
        column = reshape(b, shape=(*b.type.shape, 1))
        result = linalg.solve(a, stretch(column, (*batch, *column.type.shape)))
        return reshape(result, shape=result.type.shape[:-1])
    if b.type.ndim > 1:
        a = stretch(a, (*batch, *a.type.shape[-2:]))
        b = stretch(b, (*batch, *b.type.shape[-2:]))
    return linalg.solve(a, b)


def _matrix_power(a: Any, n: Any) -> Any:
    """By repeated squaring, in NumPy's order of multiplications."""
    x = _lift(a, to_float=False)[0]
    linalg.check_matrix("np.linalg.matrix_power", x.type._replace(dtype=FLOAT64), square=True)
    try:
        exponent = operator.index(n)
    except TypeError:
        raise TraceError(f"np.linalg.matrix_power takes a whole exponent, got {n!r}") from None
    if exponent == 0:
        return _identity(x)
    if exponent < 0:
        x, exponent = linalg.inv(_lift(x)[0]), -exponent
    return matmul(matmul(x, x), x) if exponent == 3 else _squarings(x, exponent)


def _identity(x: Any) -> Any:
    ndim, n = x.type.ndim, x.type.shape[-1]
    one = array_constant(x, np.eye(n, dtype=x.type.dtype))
    return broadcast(one, dims=(ndim - 2, ndim - 1), shape=x.type.shape)


def _squarings(x: Any, exponent: int) -> Any:
    result: Any = None
    while True:
        exponent, bit = divmod(exponent, 2)
        if bit:
            result = x if result is None else matmul(result, x)
        if not exponent:
            return result
        x = matmul(x, x)


# --- factorisations --------------------------------------------------------------------------


def _cholesky(a: Any, /, *, upper: bool = False) -> Any:
    x = _lift_matrix("cholesky", a)
    return swap_last(linalg.cholesky(swap_last(x))) if upper else linalg.cholesky(x)


def _triangle(name: str, uplo: str) -> str:
    if not isinstance(uplo, str) or uplo.upper() not in ("L", "U"):
        _refuse(name, "UPLO", uplo, "'L' and 'U'")
    return uplo.upper()


def _eigh(a: Any, UPLO: str = "L") -> EighResult:
    x, uplo = _lift_matrix("eigh", a), _triangle("eigh", UPLO)
    return EighResult(
        factorisations.eigvalsh(x, uplo=uplo), factorisations.eigenvectors(x, uplo=uplo)
    )


def _eigvalsh(a: Any, UPLO: str = "L") -> Any:
    x = _lift_matrix("eigvalsh", a)
    return factorisations.eigvalsh(x, uplo=_triangle("eigvalsh", UPLO))


def _svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    x = _lift_matrix("svd", a)
    if hermitian:
        _refuse("svd", "hermitian", hermitian, "hermitian=False")
    if not compute_uv:
        return factorisations.singular_values(x)
    if full_matrices and x.type.shape[-1] != x.type.shape[-2]:
        shape = format_shape(x.type.shape)
        _refuse("svd", "full_matrices", True, f"full_matrices=False for a matrix of shape {shape}")
    vh = swap_last(factorisations.right_singular(x))
    return SVDResult(factorisations.left_singular(x), factorisations.singular_values(x), vh)


def _svdvals(x: Any, /) -> Any:
    return factorisations.singular_values(_lift_matrix("svdvals", x))


def _qr(a: Any, mode: str = "reduced") -> Any:
    x = _lift_matrix("qr", a)
    if mode not in ("reduced", "r"):
        _refuse("qr", "mode", mode, "'reduced' and 'r'")
    r = factorisations.qr_r(x)
    return r if mode == "r" else QRResult(factorisations.qr_q(x), r)


MATRIX_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.linalg.det: _det,
    np.linalg.slogdet: _slogdet,
    np.linalg.inv: _inv,
    np.linalg.pinv: _pinv,
    np.linalg.solve: _solve,
    np.linalg.matrix_power: _matrix_power,
    np.linalg.cholesky: _cholesky,
    np.linalg.eigh: _eigh,
    np.linalg.eigvalsh: _eigvalsh,
    np.linalg.svd: _svd,
    np.linalg.svdvals: _svdvals,
    np.linalg.qr: _qr,
    **NORM_FUNCTIONS,
}
