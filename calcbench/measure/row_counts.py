"""The operations of one node: derived from its row, or declared in the one table below."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from calcbench.graph.arraytype import ArrayType, GraphError
from calcbench.graph.nodes import INPUT, Row
from calcbench.measure.element_counts import entry_operations
from calcbench.measure.operations import Operations


Rule = Callable[..., Operations]  # (type of the result, *types of the operands, **params)


class RowCount(NamedTuple):
    """The operations of a node; `nominal` where they depend on the values, or on LAPACK."""

    operations: Operations
    nominal: bool = False


def count_row(
    row: Row, result: ArrayType, operands: Sequence[ArrayType], params: Mapping[str, Any]
) -> RowCount:
    """The operations of one node of this row.

    Raises
    ------
    GraphError
        If they neither follow from the row nor are declared.
    """
    if row is INPUT or row.kind == "source":
        return RowCount(Operations())
    if row.scalar is not None:
        return RowCount(entry_operations(row.scalar) * result.size)
    if "structural" in row.facts:
        return RowCount(Operations(move=result.size))
    for table in (EXACT, NOMINAL):
        if row.name in table:
            return RowCount(table[row.name](result, *operands, **params), table is NOMINAL)
    raise GraphError(
        f"no count of operations is known for the row {row.name}: it has no element text and is "
        "not structural; declare one in calcbench.measure.row_counts"
    )


# --- sums, products, extremes: n numbers take n - 1 operations -----------------------------------


def _fold(kind: str) -> Rule:
    return lambda z, x, **_: Operations(**{kind: max(x.size - z.size, 0)})


def _running(kind: str) -> Rule:
    return lambda z, x, *, axis: Operations(**{kind: x.size - _lanes(x, axis)})


def _lanes(x: ArrayType, axis: int) -> int:
    return x.size // x.shape[axis] if x.size else 0


def _moves(z: ArrayType, *_: ArrayType, **__: object) -> Operations:
    return Operations(move=z.size)


def _matmul(z: ArrayType, a: ArrayType, b: ArrayType) -> Operations:
    k = a.shape[-1]
    return Operations(add=z.size * max(k - 1, 0), multiply=z.size * k)


def _winner_share(z: ArrayType, x: ArrayType, *, axes: Any, largest: bool, tie: str) -> Operations:
    """Who equals the extreme; then 1/k for k of them, or those alone, or the first or last."""
    lanes = x.size // math.prod(x.shape[a] for a in axes)
    within = x.size - lanes
    found = Operations(comparison=within + x.size)
    if tie == "equal":
        return found + Operations(add=within, divide=x.size)
    if tie == "none":
        return found + Operations(add=within, comparison=lanes + x.size)
    return found + Operations(comparison=within + 2 * x.size)


def _gap_quotient(z: ArrayType, *_: ArrayType, numerator: str, gap: str, of: str) -> Operations:
    """Half the sum of opposite entries, the gap, two tests against rounding, and the quotient."""
    halved = Operations() if numerator == "plain" else Operations(add=1, divide=1)
    apart = Operations() if gap == "value" else Operations(add=1)
    return (halved + apart + Operations(comparison=4, divide=1)) * int(z.size)


# --- linear algebra ------------------------------------------------------------------------------


def _in_batch(count: Callable[[int, int], Operations]) -> Rule:
    """A rule for (..., m, n) matrices from that for one."""

    def rule(z: ArrayType, x: ArrayType, *_: ArrayType, **__: object) -> Operations:
        return count(*x.shape[-2:]) * math.prod(x.shape[:-2])

    return rule


def _halves(flops: float) -> Operations:
    """As many additions as products."""
    return Operations(add=round(flops / 2), multiply=round(flops / 2))


def _lu(n: int) -> Operations:
    """LU with partial pivoting (Golub & Van Loan 2013, algorithm 3.4.1), counted exactly."""
    inner = sum(k * k for k in range(n))
    below = n * (n - 1) // 2
    return Operations(add=inner, multiply=inner, divide=below, comparison=2 * below)


def _solved(n: int, columns: int) -> Operations:
    """LU, then two triangular systems a column, of which the first has ones on the diagonal."""
    pairs = n * (n - 1)
    return _lu(n) + Operations(add=pairs, multiply=pairs, divide=n) * columns


def _solve(z: ArrayType, a: ArrayType, b: ArrayType) -> Operations:
    n = a.shape[-1]
    columns = b.shape[-1] if b.ndim > 1 else 1
    return _solved(n, columns) * math.prod(a.shape[:-2])


def _cholesky(n: int) -> Operations:
    inner = (n**3 - n) // 6
    divide = n * (n - 1) // 2
    return Operations(add=inner, multiply=inner, divide=divide, transcendental=n)


def _reflections(m: int, n: int, columns: int) -> Operations:
    """Householder reflections of lengths m, m - 1, ..., applied to the columns that are left."""
    steps = range(min(m, n))
    return _halves(sum(4 * (m - j) * (columns - j) for j in steps))


def _qr_q(m: int, n: int) -> Operations:
    return _reflections(m, n, n) + _reflections(m, n, min(m, n))


def _singular_values(m: int, n: int) -> Operations:
    """4 m n^2 - 4 n^3 / 3 for m >= n (Golub & Van Loan 2013, figure 8.6.1)."""
    m, n = max(m, n), min(m, n)
    return _halves(4 * m * n * n - 4 * n**3 / 3)


def _singular_vectors(m: int, n: int) -> Operations:
    """14 m n^2 + 8 n^3 for the thin factors (the same figure)."""
    m, n = max(m, n), min(m, n)
    return _halves(14 * m * n * n + 8 * n**3)


def _pinv(m: int, n: int) -> Operations:
    k = min(m, n)
    scaled = Operations(multiply=n * k, divide=k, comparison=k)
    return _singular_vectors(m, n) + scaled + _halves(2 * n * k * m)


def _adjugate(m: int, n: int) -> Operations:
    """Singular vectors, the signs of both factors, one product of matrices."""
    return _singular_vectors(n, n) + _lu(n) * 2 + _halves(2 * n**3)


def _adjugate_tangent(m: int, n: int) -> Operations:
    """That, with three more products of matrices and the products of all others but two."""
    return _adjugate(m, n) + _halves(6 * n**3) + Operations(multiply=3 * n**2)


# --- sorting: merge sort at its worst ------------------------------------------------------------


def _merging(n: int) -> int:
    levels = max(n - 1, 0).bit_length()
    return n * levels - 2**levels + 1 if n else 0


def _sorted(extra: int = 0) -> Rule:
    """Comparisons of a sort, and `extra` more an entry."""

    def rule(z: ArrayType, x: ArrayType, *, axis: int, **_: object) -> Operations:
        compared = _lanes(x, axis) * _merging(x.shape[axis]) + extra * x.size
        return Operations(comparison=compared, move=z.size)

    return rule


# --- the table -----------------------------------------------------------------------------------

EXACT: dict[str, Rule] = {
    "convert": _moves,
    "concatenate": _moves,
    "sum": _fold("add"),
    "prod": _fold("multiply"),
    "max": _fold("comparison"),
    "min": _fold("comparison"),
    "argmax": _fold("comparison"),
    "argmin": _fold("comparison"),
    "cumsum": _running("add"),
    "cumprod": _running("multiply"),
    "matmul": _matmul,
    "scatter_add": lambda z, x, *_, size: Operations(add=x.size, move=z.size),
    "last_writer": lambda z, x, *, size: Operations(move=z.size + x.size),
    "position": lambda z, x, *, size: Operations(add=1, comparison=3) * z.size,
    "full_rank": _in_batch(lambda m, n: Operations(multiply=1, comparison=3 * n, move=m * n)),
    "winner_share": _winner_share,
    "det": _in_batch(lambda m, n: _lu(n) + Operations(multiply=n)),
    "logabsdet": _in_batch(lambda m, n: _lu(n) + Operations(n, transcendental=n, comparison=n)),
    "sign_det": _in_batch(lambda m, n: _lu(n) + Operations(multiply=n, comparison=n)),
    "inv": _in_batch(lambda m, n: _solved(n, n)),
    "solve": _solve,
    "cholesky": _in_batch(lambda m, n: _cholesky(n)),
}
# What depends on the values (sorting, tests against rounding), or on LAPACK's way and the steps its
# iterations take: the count of the textbook stands for it.
NOMINAL: dict[str, Rule] = {
    "sort": _sorted(),
    "argsort": _sorted(),
    "sort_position": _sorted(),
    "tie_group": _sorted(extra=1),
    "gap_quotient": _gap_quotient,
    "qr_q": _in_batch(_qr_q),
    "qr_r": _in_batch(lambda m, n: _reflections(m, n, n)),
    "eigvalsh": _in_batch(lambda m, n: _halves(4 * n**3 / 3)),
    "eigenvectors": _in_batch(lambda m, n: _halves(9 * n**3)),
    "singular_values": _in_batch(_singular_values),
    "singular_vectors": _in_batch(_singular_vectors),
    "pinv": _in_batch(_pinv),
    "adjugate": _in_batch(_adjugate),
    "adjugate_tangent": _in_batch(_adjugate_tangent),
}
