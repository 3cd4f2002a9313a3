"""For each row without a SymPy column: why it has none, and what else says what it computes."""

import math
import operator
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from drawing_samples import draw, seeded
from laws import close, demand, jacobian_values
from meanings import along_axes, away_from_jumps, exact, number, symbols_like

from calcbench.graph.primitive import Primitive, Sample


class Witness(NamedTuple):
    """Why a row has no SymPy column, and who says what it computes.

    `value` computes it in another way; `residuals` are arrays that must vanish at the right
    value. With `symbols` the NumPy rule itself runs on arrays of SymPy symbols, so that the
    Jacobian is checked against `sympy.diff`; without, against differences (law 4). An
    elementwise row with neither has its element text for a witness (law 6).
    """

    reason: str
    value: Callable[..., Any] | None = None
    residuals: Callable[..., Sequence[Any]] | None = None
    symbols: bool = False


MOVES = "moves entries; the NumPy rule runs on symbols"
SUMS = "adds and multiplies entries; the NumPy rule runs on symbols"
SELECTS = "picks entries by comparing them: law 4 on distinct entries, law 8 at ties"
FACTORS = "SymPy's factors of a symbolic matrix are too large; the defining equations are not"
TEXT = Witness("a step that SymPy has no name for; the element text says it again")


# --- values in plain Python, where no derivative tells a right answer from a wrong one -----------


def by_lanes(fold: Callable[[list[float]], Any], x: Any, axis: int) -> Any:
    """`fold` of each lane along the axis, as a list per lane or one number."""
    moved = np.moveaxis(x, axis, -1)
    rows = [fold(list(lane)) for lane in moved.reshape(-1, moved.shape[-1])]
    out = np.array(rows).reshape(moved.shape if np.ndim(rows[0]) else moved.shape[:-1])
    return np.moveaxis(out, -1, axis) if np.ndim(rows[0]) else out


def _argsort(lane: list[float]) -> list[int]:
    return sorted(range(len(lane)), key=lambda i: (lane[i], i))


def _flattened(lanes: Any, shape: tuple[int, ...], axis: int) -> Any:
    """Positions along the axis as positions in the flattened array."""
    at = list(np.indices(shape))
    at[axis] = lanes
    return np.ravel_multi_index(at, shape)


def _sort_position(x: Any, *, axis: int, last: bool) -> Any:
    def order(lane: list[float]) -> list[int]:
        return sorted(range(len(lane)), key=lambda i: (lane[i], -i if last else i))

    return _flattened(by_lanes(order, x, axis), x.shape, axis)


def _tie_group(x: Any, *, axis: int) -> Any:
    def start(lane: list[float]) -> list[int]:
        return [sorted(lane).index(v) for v in lane]

    return _flattened(by_lanes(start, x, axis), x.shape, axis)


def _winner_share(x: Any, *, axes: tuple[int, ...], largest: bool, tie: str) -> Any:
    """On distinct entries the convention plays no part: the winner takes all."""
    best = max if largest else min
    return by_lanes(lambda lane: [float(v == best(lane)) for v in lane], x, axes[0])


def _last_writer(index: Any, *, size: int) -> Any:
    writers = {int(slot): turn for turn, slot in enumerate(np.ravel(index))}
    return np.array([writers.get(slot, -1) for slot in range(size)])


def _fill(*, shape: tuple[int, ...], value: Any) -> Any:
    return np.reshape([value.array.item()] * int(np.prod(shape)), shape)


def _concatenate(*parts: Any, axis: int) -> Any:
    rows = [row for part in parts for row in np.moveaxis(part, axis, 0)]
    return np.moveaxis(np.array(rows), 0, axis)


def _over(fold: Callable[[Any], Any]) -> Callable[..., Any]:
    """The value of a reduction over ``axes``, entry by entry."""
    return lambda x, *, axes: along_axes(fold, x, axes)


def _lanes(fold: Callable[[list[float]], Any]) -> Callable[..., Any]:
    """The value of a row with an ``axis``, lane by lane."""
    return lambda x, *, axis: by_lanes(fold, x, axis)


def _running(step: Callable[[float, float], float]) -> Callable[..., Any]:
    return _lanes(lambda lane: list(accumulate(lane, step)))


def _convert(x: Any, *, dtype: np.dtype) -> Any:
    return np.array([dtype.type(v) for v in x])


# --- defining equations of factors ---------------------------------------------------------------


def t(x: Any) -> Any:
    """Transposes of matrices."""
    return np.swapaxes(x, -1, -2)


def _orthonormal(q: Any) -> Any:
    return t(q) @ q - np.eye(q.shape[-1])


def _mirrored(a: Any, uplo: str) -> Any:
    half = np.tril(a, -1) if uplo == "L" else t(np.triu(a, 1))
    return half + t(half) + np.eye(a.shape[-1]) * a


def _eigenvectors(v: Any, a: Any, *, uplo: str) -> Sequence[Any]:
    """A V = V diag(w) with w ascending, and V orthonormal."""
    turned = t(v) @ _mirrored(a, uplo) @ v
    w = np.diagonal(turned, axis1=-2, axis2=-1)
    return _orthonormal(v), turned - np.eye(w.shape[-1]) * turned, np.minimum(np.diff(w), 0)


def _eigvalsh(w: Any, a: Any, *, uplo: str) -> Sequence[Any]:
    """The same power sums as A, ascending."""
    powers = [np.linalg.matrix_power(_mirrored(a, uplo), k + 1) for k in range(w.shape[-1])]
    traces = [np.trace(p, axis1=-2, axis2=-1) for p in powers]
    sums = [np.sum(w ** (k + 1), axis=-1) for k in range(w.shape[-1])]
    return *np.subtract(traces, sums), np.minimum(np.diff(w), 0)


def _singular_vectors(uv: Any, a: Any) -> Sequence[Any]:
    """U^T A V is diagonal, positive and descending; U and V are orthonormal."""
    u, v = uv[..., : a.shape[-2], :], uv[..., a.shape[-2] :, :]
    middle = t(u) @ a @ v
    s = np.diagonal(middle, axis1=-2, axis2=-1)
    apart = middle - np.eye(s.shape[-1]) * middle
    return _orthonormal(u), _orthonormal(v), apart, np.maximum(np.diff(s), 0), np.minimum(s, 0)


def _singular_values(s: Any, a: Any) -> Sequence[Any]:
    gram = a @ t(a) if a.shape[-2] <= a.shape[-1] else t(a) @ a
    return *_eigvalsh(np.flip(s, -1) ** 2, gram, uplo="L"), np.minimum(s, 0)


def _qr_q(q: Any, a: Any) -> Sequence[Any]:
    """Q is orthonormal and Q^T A upper triangular."""
    return _orthonormal(q), np.tril(t(q) @ a, -1), a - q @ (t(q) @ a)


def _qr_r(r: Any, a: Any) -> Sequence[Any]:
    return np.tril(r, -1), t(r) @ r - t(a) @ a


def _pinv(p: Any, a: Any, *, rcond: float) -> Sequence[Any]:
    """The four equations of Penrose (1955)."""
    return a @ p @ a - a, p @ a @ p - p, t(a @ p) - a @ p, t(p @ a) - p @ a


def _adjugate_tangent(a: Any, h: Any) -> Any:
    """d/dt of SymPy's adjugate of A + t H at t = 0, exactly."""
    time = sp.Symbol("t")
    found = []
    for entry in np.ndindex(a.shape[:-2]):
        line = sp.Matrix(a[entry]).applyfunc(sp.Rational) + time * sp.Matrix(h[entry])
        found.append(line.adjugate().diff(time).subs(time, 0).tolist())
    return np.array(found, float).reshape(a.shape)


def _gap_quotient(num: Any, values: Any, *, numerator: str, gap: str, of: str) -> Any:
    """Entry by entry; 0 on the diagonal unless the gap is a value alone."""
    sign = {"difference": -1, "sum": 1, "value": 0}[gap]
    part = {"symmetric": 0.5, "antisymmetric": -0.5, "plain": 0.0}[numerator]
    out = np.zeros(num.shape)
    for *batch, i, j in np.ndindex(num.shape):
        matrix, v = num[tuple(batch)], values[tuple(batch)]
        if sign == 0:
            out[(*batch, i, j)] = matrix[i, j] / v[j]
        elif i != j:
            top = 0.5 * matrix[i, j] + part * matrix[j, i]
            out[(*batch, i, j)] = top / (v[j] + sign * v[i])
    return out


WITNESSES: dict[str, Witness] = {
    **dict.fromkeys(
        ("broadcast", "diagonal", "flip", "from_diagonal", "gather", "pad", "reshape", "slice",
         "transpose"), Witness(MOVES, symbols=True),
    ),
    **dict.fromkeys(("matmul", "scatter_add"), Witness(SUMS, symbols=True)),
    **dict.fromkeys(("isnan", "larger_share", "rint", "sign_at"), TEXT),
    "adjugate_tangent": Witness("a derivative already; SymPy's along a line", _adjugate_tangent),
    "argmax": Witness("an integer", _lanes(lambda v: v.index(max(v)))),
    "argmin": Witness("an integer", _lanes(lambda v: v.index(min(v)))),
    "argsort": Witness("integers", _lanes(_argsort)),
    "concatenate": Witness(MOVES, _concatenate, symbols=True),
    "constant": Witness("a stored array", lambda *, value: np.array(value.array.tolist())),
    "convert": Witness("SymPy has no precisions", _convert),
    "cumprod": Witness(SUMS, _running(operator.mul), symbols=True),
    "cumsum": Witness(SUMS, _running(operator.add), symbols=True),
    "detach": Witness("SymPy has no stop-gradient", lambda x: x),
    "eigenvectors": Witness(FACTORS, residuals=_eigenvectors),
    "eigvalsh": Witness(FACTORS, residuals=_eigvalsh),
    "fill": Witness("a stored number", _fill),
    "full_rank": Witness("the identity, with an error at rank-deficient operands", lambda r: r),
    "gap_quotient": Witness("entries divided by gaps between values", _gap_quotient),
    "last_writer": Witness("integers", _last_writer),
    "max": Witness(SELECTS, _over(max)),
    "min": Witness(SELECTS, _over(min)),
    "pinv": Witness(FACTORS, residuals=_pinv),
    "position": Witness("integers", lambda index, *, size: np.mod(index, size)),
    "prod": Witness(SUMS, _over(math.prod), symbols=True),
    "qr_q": Witness(FACTORS, residuals=_qr_q),
    "qr_r": Witness(FACTORS, residuals=_qr_r),
    "singular_values": Witness(FACTORS, residuals=_singular_values),
    "singular_vectors": Witness(FACTORS, residuals=_singular_vectors),
    "sort": Witness(SELECTS, _lanes(sorted)),
    "sort_position": Witness("integers", _sort_position),
    "tie_group": Witness("integers", _tie_group),
    "winner_share": Witness("a step; its ties are law 8's", _winner_share),
}  # fmt: skip


def law_witness(row: Primitive, sample: Sample) -> None:
    """The row's value and Jacobian equal what its witness says."""
    witness = WITNESSES[row.name]
    values = draw(sample, seeded(row.name, "witness"))
    with np.errstate(all="ignore"):
        computed = row.numpy(*values, **sample.params)
    if witness.value is not None:
        wanted = np.asarray(witness.value(*values, **sample.params), float)
        bound = 1e-13 * np.max(np.abs(wanted), initial=0.0)
        close(computed, wanted, bound, f"{row}: value")
    if witness.residuals is not None:
        for residual in witness.residuals(computed, *values, **sample.params):
            close(residual, np.zeros(np.shape(residual)), 1e-10, f"{row}: defining equation")
    if witness.symbols:
        _jacobian_of_symbols(row, values, sample, computed)


def _jacobian_of_symbols(
    row: Primitive, values: Sequence[Any], sample: Sample, computed: Any
) -> None:
    symbols = symbols_like(values)
    expressions = np.asarray(row.numpy(*symbols, **sample.params), object)
    demand(expressions.shape == np.shape(computed), f"{row}: {expressions.shape} of symbols")
    floats = [s for s, v in zip(symbols, values, strict=True) if v.dtype.kind == "f"]
    numbers = [v for v in values if v.dtype.kind == "f"]
    point = {
        s: exact(v)
        for array, value in zip(floats, numbers, strict=True)
        for s, v in zip(np.ravel(array), np.ravel(value), strict=True)
    }
    for array, block in zip(floats, jacobian_values(row, values, sample.params), strict=True):
        wanted = [
            number(away_from_jumps(sp.diff(e, s)), point)
            for e in expressions.flat
            for s in np.ravel(array)
        ]
        bound = 1e-14 * np.max(np.abs(wanted), initial=0.0)
        close(block, np.reshape(wanted, block.shape), bound, f"{row}: Jacobian of symbols")
