"""Matrix expressions of SymPy entry by entry, once the sizes are numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement

from calcbench.graph.arraytype import GraphError, ShapeError
from calcbench.symbolic.references.entries import Entry, Writer, object_array
from calcbench.symbolic.references.factors import FACTORS, determinant


def scalar_matrix_parts(
    expression: Any, given: Mapping[str, np.ndarray], writer: Writer
) -> dict[Any, Any]:
    """What the traces, determinants and entries of matrices in an expression are, as scalars.

    `given` are the entries of the matrix symbols by name. A vector may be given as a column.
    """
    found: dict[Any, Any] = {}
    seen, waiting = {expression}, [expression]
    while waiting:
        part = waiting.pop()
        if isinstance(part, MatrixElement | sp.Trace | sp.Determinant) or _is_number(part):
            found[part] = _scalar(part, given, writer).value
            continue
        new = [p for p in part.args if p not in seen]
        seen.update(new)
        waiting += new
    return found


def _is_number(part: Any) -> bool:
    return isinstance(part, sp.MatrixExpr) and part.shape == (1, 1)


def _scalar(part: Any, given: Mapping[str, np.ndarray], writer: Writer) -> Entry:
    if isinstance(part, MatrixElement):
        matrix = entries(part.args[0], given, writer)
        return matrix[tuple(int(i) for i in part.args[1:])]  # type: ignore[no-any-return]
    matrix = entries(part if _is_number(part) else part.args[0], given, writer)
    if _is_number(part):
        return matrix[0, 0]  # type: ignore[no-any-return]
    return np.trace(matrix) if isinstance(part, sp.Trace) else determinant(matrix)  # type: ignore[no-any-return]


def entries(part: Any, given: Mapping[str, np.ndarray], writer: Writer) -> np.ndarray:
    """The object array of a matrix expression, of two axes."""
    if isinstance(part, sp.MatrixSymbol):
        if part.name not in given:
            raise GraphError(f"`at` misses {part.name!r}, a matrix of shape {part.shape}")
        return _as_matrix(given[part.name], part)
    if isinstance(part, sp.Identity | sp.ZeroMatrix):
        return _constant(part, given, writer)
    rule = RULES.get(type(part).__name__)
    if rule is None:
        raise GraphError(f"no rule for {type(part).__name__} entry by entry, in {part!s:.60}")
    matrices = [entries(a, given, writer) for a in part.args if isinstance(a, sp.MatrixExpr)]
    scalars = [a for a in part.args if not isinstance(a, sp.MatrixExpr)]
    try:
        return np.asarray(rule(matrices, scalars), dtype=object)
    except ValueError as error:
        shapes = " and ".join(str(m.shape) for m in matrices)
        raise ShapeError(f"{part!s:.60} of shapes {shapes}: {error}") from None


def _as_matrix(array: np.ndarray, symbol: Any) -> np.ndarray:
    column = array.reshape(-1, 1) if array.ndim == 1 and symbol.shape[1] == 1 else array
    fits = column.ndim == 2 and all(
        not isinstance(want, sp.Integer) or int(want) == have
        for want, have in zip(symbol.shape, column.shape, strict=False)
    )
    if not fits:
        raise ShapeError(f"{symbol.name} is a matrix of shape {symbol.shape}, got {array.shape}")
    return column


def _constant(part: Any, given: Mapping[str, np.ndarray], writer: Writer) -> np.ndarray:
    if not all(isinstance(n, sp.Integer) for n in part.shape):
        raise GraphError(f"{part} has the symbolic size {part.shape}; give it a number")
    rows, columns = (int(n) for n in part.shape)
    plain = np.eye(rows, columns, dtype=int) * int(isinstance(part, sp.Identity))
    return object_array(plain.astype(object), plain.shape, writer)


def _product(matrices: list[np.ndarray], scalars: list[Any]) -> Any:
    result = matrices[0]
    for matrix in matrices[1:]:
        result = result @ matrix
    for scalar in scalars:
        if not scalar.is_Rational:
            raise GraphError(f"a matrix times {scalar}; only exact numbers are taken")
        result = result * scalar
    return result


def _sum(matrices: list[np.ndarray], scalars: list[Any]) -> Any:
    result = matrices[0]
    for matrix in matrices[1:]:
        result = result + matrix
    return result


def _power(matrices: list[np.ndarray], scalars: list[Any]) -> Any:
    exponent = scalars[0]
    if not exponent.is_Integer or not 0 < abs(exponent) <= 64:
        raise GraphError(f"a matrix to the power {exponent}; powers are whole, from 1 to 64")
    base = matrices[0] if exponent > 0 else FACTORS["inv"](matrices[0], concrete=[None])
    result = base
    for _ in range(abs(int(exponent)) - 1):
        result = result @ base
    return result


def _entrywise(matrices: list[np.ndarray], scalars: list[Any]) -> Any:
    result = matrices[0]
    for matrix in matrices[1:]:
        result = result * matrix
    return result


RULES: dict[str, Callable[[list[np.ndarray], list[Any]], Any]] = {
    "MatMul": _product,
    "MatAdd": _sum,
    "MatPow": _power,
    "Inverse": _power,
    "Transpose": lambda matrices, scalars: matrices[0].T,
    "HadamardProduct": _entrywise,
    "KroneckerProduct": lambda matrices, scalars: np.kron(*matrices),
}
