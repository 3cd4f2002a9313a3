"""What belongs to a matrix as a whole: trace, determinant, diagonals, vec, Kronecker products."""

from __future__ import annotations

from fractions import Fraction

from calcbench.graph.arraytype import DimLike
from calcbench.symbolic.matrices.forms import (
    SCALAR,
    Form,
    eye,
    num,
    ones,
    scale,
    size,
    without_scalars,
)


def of_matrix(op: str, f: Form) -> Form:
    """A number that belongs to a square matrix: ``det``, ``logabsdet``, ``trace``."""
    if op == "trace":
        return trace(f)
    if op == "det" and f.op == "product" and all(a.shape == f.shape for a in f.args):
        return scale(Fraction(1), [of_matrix("det", a) for a in f.args], num(1))
    return Form(op, (f.args[0] if f.op == "transpose" else f,), SCALAR)


def trace(f: Form) -> Form:
    """tr f, with scalars and the transpose taken out."""
    if f.op == "scale":
        return scale(f.data, f.args[:-1], trace(f.args[-1]))
    if f.op == "eye":
        return size(f.shape[0])
    return Form("trace", (f.args[0] if f.op == "transpose" else f,), SCALAR)


def diagonal_of(f: Form) -> Form:
    """The diagonal of a matrix, as a vector."""
    if f.op == "eye":
        return ones(f.shape[0])
    if f.op == "Diag":
        return f.args[0]
    return Form("diag", (f.args[0] if f.op == "transpose" else f,), (f.shape[0], 1))


def diagonal_matrix(v: Form) -> Form:
    """The matrix with a vector on its diagonal."""
    if v.op == "ones":
        return eye(v.shape[0])
    if v.op == "scale":
        return scale(v.data, v.args[:-1], diagonal_matrix(v.args[-1]))
    return Form("Diag", (v,), (v.shape[0], v.shape[0]))


def vectorised(f: Form) -> Form:
    """The columns of a matrix, one below the other."""
    if f.op == "scale":
        return scale(f.data, f.args[:-1], vectorised(f.args[-1]))
    if f.shape[1] == 1:
        return f
    return Form("vec", (f,), (f.shape[1] * f.shape[0], 1))


def commutation(rows: DimLike, columns: DimLike) -> Form:
    """K with K vec(X) = vec(X') for X of this shape."""
    if 1 in (rows, columns):
        return eye(rows * columns)
    return Form("commutation", (), (rows * columns,) * 2, (rows, columns))


def kron(a: Form, b: Form) -> Form:
    """The Kronecker product."""
    if a.is_scalar or b.is_scalar:
        return scale(Fraction(1), [a], b) if a.is_scalar else scale(Fraction(1), [b], a)
    if a.op == b.op == "eye":
        return eye(a.shape[0] * b.shape[0])
    coefficient, scalars, (x, y) = without_scalars([a, b])
    shape = (x.shape[0] * y.shape[0], x.shape[1] * y.shape[1])
    return scale(coefficient, scalars, Form("kron", (x, y), shape))
