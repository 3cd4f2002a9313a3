"""NumPy's functions on graph values equal NumPy, bit for bit unless said, and differentiate."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph import dispatch  # noqa: F401  (gives values NumPy's protocols)
from calcbench.graph.arraytype import Dim, ShapeError, TraceError, array_type
from calcbench.graph.checker import check_graph
from calcbench.graph.conventions import kink_convention
from calcbench.graph.elementwise import detach
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.graph.numpy_table import ARRAY_FUNCTIONS, METHODS, UFUNCS
from calcbench.graph.reductions import logsumexp, softmax
from calcbench.reverse_mode.pullback import vjp_graph


class Case(NamedTuple):
    """A function of arrays written with NumPy, and where it is compared with NumPy itself."""

    name: str
    function: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    ulps: int = 0
    dtypes: str = "dfl"  # float64, float32, int64


def case(name: str, function: Callable[..., Any], *arrays: Any, ulps: int = 0, dtypes: str = "dfl"):
    return Case(name, function, tuple(map(np.asarray, arrays)), ulps, dtypes)


# --- examples: entries distinct and away from kinks and from the ends of domains ----------------

_draw = np.random.default_rng(20240517)


def spread(*shape: int) -> np.ndarray:
    """Entries in (-3, 3), equally spaced in random order, none near 0."""
    size = int(np.prod(shape))
    steps = _draw.permutation(size) - size // 2 + 0.3
    return (steps * 5.8 / size).reshape(shape)


V, W, U = spread(5), spread(5) + 0.07, spread(4)
A, B, S, R = spread(3, 4), spread(4, 3), spread(3, 3), spread(3, 4)
T, T2 = spread(2, 3, 4), spread(2, 4, 3)
V3, M3, N3 = spread(3), spread(2, 3), spread(2, 3)
POSITIVE, UNIT, LARGE = np.abs(V) + 0.2, V / 4, np.abs(V) + 1.2
SCALAR = np.array(0.7)
MASK = np.array([True, False, True, True, False])

# fmt: off
SMOOTH = """
exp exp2 expm1 sin cos tan arctan sinh cosh tanh arcsinh cbrt square negative positive absolute fabs
degrees radians deg2rad rad2deg conjugate
"""
PAIRED = "add subtract multiply arctan2 hypot maximum minimum fmax fmin logaddexp logaddexp2"
OF_UNIT = ("arcsin", "arccos", "arctanh")
UNARY = [
    *[(name, V) for name in SMOOTH.split()],
    *[(name, POSITIVE) for name in ["sqrt", "log", "log2", "log10", "log1p"]],
    *[(name, UNIT) for name in OF_UNIT],
    ("arccosh", LARGE),
]
STEPS = ["floor", "ceil", "trunc", "rint", "sign", "isnan", "isfinite", "isinf", "logical_not"]
BINARY = [
    *[(name, V, W) for name in PAIRED.split()],
    *[(name, V, np.abs(W) + 0.55) for name in ("remainder", "fmod", "true_divide")],
    ("power", POSITIVE, W), ("float_power", POSITIVE, W),
]
COMPARISONS = (
    "less less_equal greater greater_equal equal not_equal logical_and logical_or logical_xor"
)

CASES = [
    *[case(n, getattr(np, n), x, ulps=1, dtypes="df" if n in OF_UNIT else "dfl")
      for n, x in UNARY],
    *[case(n, getattr(np, n), V) for n in STEPS],
    case("reciprocal", np.reciprocal, POSITIVE, dtypes="df"),
    *[case(n, getattr(np, n), x, y, ulps=2, dtypes="df" if "power" in n else "dfl")
      for n, x, y in BINARY],
    *[case(n, getattr(np, n), V, W) for n in COMPARISONS.split()],
    case("floor_divide", np.floor_divide, V, np.abs(W) + 0.55),
    case("heaviside", lambda x: np.heaviside(x, 0.5), V),
    case("divmod", lambda x, y: np.divmod(x, y)[1], V, np.abs(W) + 0.55),
    case("and", lambda x: (x > 0) & (x < 2), V),
    *[case(f.__name__, lambda x, f=f: f(x > 0, x < 2), V)
      for f in (np.bitwise_and, np.bitwise_or, np.bitwise_xor)],
    case("invert", lambda x: np.invert(x > 0), V),
    case("power 2", lambda x: np.power(x, 2), V),
    case("power 3", lambda x: x**3, V, ulps=1),
    case("power -1", lambda x: x**-1, POSITIVE, dtypes="df"),
    case("broadcast", lambda x, y: x * y + 1, A, U),
    case("scalar array", lambda x, y: np.sin(x) * y, SCALAR, V, ulps=2),
    case("multiply.reduce", lambda x: np.add.reduce(x), A),
    # shapes
    case("reshape", lambda x: np.reshape(x, (4, 3)), A),
    case("reshape -1", lambda x: np.reshape(x, (2, -1)), A),
    case("reshape int", lambda x: np.reshape(x, -1), A),
    case("method reshape", lambda x: x.reshape(2, 6), A),
    case("ravel", np.ravel, A),
    case("flatten", lambda x: x.flatten(), A),
    case("transpose", np.transpose, T),
    case("transpose axes", lambda x: np.transpose(x, (1, -1, 0)), T),
    case("T", lambda x: x.T, A),
    case("mT", lambda x: x.mT, T),
    case("method transpose", lambda x: x.transpose(2, 0, 1), T),
    case("swapaxes", lambda x: np.swapaxes(x, 0, -1), T),
    case("moveaxis", lambda x: np.moveaxis(x, 0, -1), T),
    case("moveaxis two", lambda x: np.moveaxis(x, (0, 1), (-1, 0)), T),
    case("rollaxis", lambda x: np.rollaxis(x, 2), T),
    case("rollaxis start", lambda x: np.rollaxis(x, 0, 3), T),
    case("matrix_transpose", np.matrix_transpose, T),
    case("expand_dims", lambda x: np.expand_dims(x, 1), A),
    case("expand_dims two", lambda x: np.expand_dims(x, (0, -1)), A),
    case("squeeze", np.squeeze, A[None, :, None]),
    case("squeeze axis", lambda x: np.squeeze(x, 0), A[None, :, None]),
    case("broadcast_to", lambda x: np.broadcast_to(x, (2, 3, 4)), A),
    case("broadcast_arrays", lambda x, y: np.broadcast_arrays(x, y)[1], A, U),
    case("atleast_1d", np.atleast_1d, SCALAR),
    case("atleast_2d", np.atleast_2d, V),
    case("atleast_3d", np.atleast_3d, A),
    case("flip", np.flip, A),
    case("flip axis", lambda x: np.flip(x, 1), A),
    case("flipud", np.flipud, A),
    case("fliplr", np.fliplr, A),
    *[case(f"rot90 {k}", lambda x, k=k: np.rot90(x, k), A) for k in (-1, 0, 1, 2, 3)],
    case("rot90 axes", lambda x: np.rot90(x, 1, (2, 0)), T),
    # joining, splitting, repeating
    case("concatenate", lambda x, y: np.concatenate([x, y]), A, R),
    case("concatenate axis", lambda x, y: np.concatenate((x, y), axis=-1), A, S),
    case("concatenate None", lambda x, y: np.concatenate([x, y], axis=None), A, V),
    case("concatenate constants", lambda x: np.concatenate([x, np.ones(2), [3.0]]), V),
    case("stack", lambda x, y: np.stack([x, y]), A, R),
    case("stack axis", lambda x, y: np.stack([x, y], axis=-1), A, R),
    case("hstack", lambda x, y: np.hstack([x, y]), V, U),
    case("hstack matrices", lambda x, y: np.hstack([x, y]), A, S),
    case("vstack", lambda x, y: np.vstack([x, y]), V, W),
    case("dstack", lambda x, y: np.dstack([x, y]), A, R),
    case("column_stack", lambda x, y: np.column_stack([x, y]), V, W),
    case("append", lambda x: np.append(x, [1.0, 2.0]), V),
    case("append axis", lambda x, y: np.append(x, y, axis=0), A, R),
    case("block", lambda x, y: np.block([[x, y], [np.ones((1, 4)), np.zeros((1, 3))]]), A, S),
    case("split", lambda x: np.split(x, 2, axis=1)[1], A),
    case("split at", lambda x: np.split(x, [1, 3])[1], V),
    case("array_split", lambda x: np.array_split(x, 3)[1], V),
    case("hsplit", lambda x: np.hsplit(x, 2)[0], A),
    case("vsplit", lambda x: np.vsplit(x, 3)[2], A),
    case("dsplit", lambda x: np.dsplit(x, 2)[1], T),
    case("tile", lambda x: np.tile(x, 3), A),
    case("tile tuple", lambda x: np.tile(x, (2, 1, 2)), A),
    case("repeat", lambda x: np.repeat(x, 2), A),
    case("repeat axis", lambda x: np.repeat(x, 3, axis=1), A),
    case("repeat counts", lambda x: np.repeat(x, [1, 0, 2], axis=0), A),
    case("roll", lambda x: np.roll(x, 2), A),
    case("roll axis", lambda x: np.roll(x, -1, axis=1), A),
    case("roll axes", lambda x: np.roll(x, (1, 2), axis=(0, 1)), A),
    case("pad", lambda x: np.pad(x, 1), A),
    case("pad widths", lambda x: np.pad(x, ((1, 2), (0, 3))), A),
    case("pad constant", lambda x: np.pad(x, (2, 1), constant_values=7), V),
    *[case(f"pad {m}", lambda x, m=m: np.pad(x, ((2, 1), (1, 2)), mode=m), A)
      for m in ("edge", "reflect", "symmetric", "wrap")],
    case("meshgrid", lambda x, y: np.meshgrid(x, y)[0], V, U),
    case("meshgrid ij", lambda x, y: np.meshgrid(x, y, indexing="ij")[1], V, U),
    case("delete", lambda x: np.delete(x, [1, 3]), V),
    case("delete axis", lambda x: np.delete(x, 1, axis=1), A),
    # choosing
    case("where", lambda x, y: np.where(x > y, x, y * 2), V, W),
    case("where scalar", lambda x: np.where(x > 0, x, 0.0), V),
    case("where array", lambda x: np.where(MASK, x, -1.0), V),
    case("where broadcast", lambda x, y: np.where(y > 0, x, y), A, U),
    case("select", lambda x: np.select([x < -1, x < 1], [x * 2, x * 3], 4.0), V),
    case("clip", lambda x: np.clip(x, -1, 1), V),
    case("clip one", lambda x: np.clip(x, None, 1.0), V),
    case("clip keywords", lambda x: np.clip(x, min=-0.5), V, dtypes="df"),
    case("method clip", lambda x: x.clip(-1, 2), V),
    case("take", lambda x: np.take(x, [3, 0, 3]), V),
    case("take axis", lambda x: np.take(x, [[1, 0], [-1, 2]], axis=1), A),
    case("take_along_axis", lambda x: np.take_along_axis(x, np.argsort(x, axis=1), axis=1), A),
    case("compress", lambda x: np.compress([True, False, True], x, axis=0), A),
    case("diag", np.diag, S),
    case("diag of vector", np.diag, V),
    *[case(f"diag {k}", lambda x, k=k: np.diag(x, k), A) for k in (-2, 1, 3)],
    case("diag of vector, above", lambda x: np.diag(x, 2), V),
    case("diagflat", np.diagflat, M3),
    case("diagonal", lambda x: np.diagonal(x, 1, 0, 2), T),
    case("trace", np.trace, S),
    case("trace offset", lambda x: np.trace(x, 1, 1, 2), T),
    case("tril", lambda x: np.tril(x, 1), A),
    case("triu", lambda x: np.triu(x, -1), T),
    case("triu of vector", np.triu, V),
    case("diff", np.diff, V),
    case("diff n", lambda x: np.diff(x, 2, axis=0), A),
    case("diff prepend", lambda x: np.diff(x, prepend=0), V),
    case("zeros_like", lambda x: np.zeros_like(x) + x, A),
    case("ones_like", lambda x: np.ones_like(x, shape=(3,)) * x[0, 0], A),
    case("full_like", lambda x: np.full_like(x, 2) * x, A),
    case("full_like traced", lambda x: np.full_like(x, x[0]), V),
    case("copy", lambda x: np.copy(x) + x.copy(), V),
    # reductions
    case("sum", np.sum, A),
    case("sum axis", lambda x: np.sum(x, axis=-1), T),
    case("sum axes", lambda x: np.sum(x, axis=(0, -1), keepdims=True), T),
    case("method sum", lambda x: x.sum(0), A),
    case("sum of truths", lambda x: np.sum(x > 0), V),
    case("prod", np.prod, V),
    case("prod axes", lambda x: np.prod(x, axis=(0, 2)), T),
    case("mean", np.mean, A),
    case("mean axis", lambda x: np.mean(x, axis=(0, 2), keepdims=True), T),
    case("var", lambda x: np.var(x, axis=1), A),
    case("var ddof", lambda x: np.var(x, ddof=1), A),
    case("std", lambda x: np.std(x, axis=0, ddof=1), A),
    case("average", lambda x: np.average(x, axis=1), A),
    case("average weights", lambda x, w: np.average(x, axis=1, weights=w), A, np.abs(U) + 1),
    case("max", np.max, A),
    case("max axes", lambda x: np.max(x, axis=(0, 2)), T),
    case("amin", lambda x: np.amin(x, axis=-1, keepdims=True), T),
    case("method min", lambda x: x.min(axis=1), A),
    case("ptp", lambda x: np.ptp(x, axis=0), A),
    case("median", np.median, V),
    case("median even", lambda x: np.median(x, axis=(0, 1)), T),
    case("median keepdims", lambda x: np.median(x, axis=1, keepdims=True), A),
    case("any", lambda x: np.any(x > 2, axis=0), A),
    case("all", lambda x: np.all(x > -2, axis=1, keepdims=True), A),
    case("count_nonzero", lambda x: np.count_nonzero(x > 0, axis=1), A),
    case("cumsum", np.cumsum, A),
    case("cumsum axis", lambda x: np.cumsum(x, axis=1), A),
    case("cumprod", lambda x: np.cumprod(x, axis=0), A),
    case("argmax", lambda x: np.argmax(x, axis=1), A),
    case("argmin", lambda x: np.argmin(x), A),
    case("argmax keepdims", lambda x: np.argmax(x, axis=0, keepdims=True), A),
    case("argsort", lambda x: np.argsort(x, axis=0, kind="stable"), A),
    case("sort", np.sort, A),
    case("sort axis", lambda x: np.sort(x, axis=0), A),
    case("sort None", lambda x: np.sort(x, axis=None), A),
    # contractions
    case("matmul", np.matmul, A, B, ulps=4),
    case("matmul vectors", lambda x, y: x @ y, V, W, ulps=4),
    case("matmul matrix vector", lambda x, y: x @ y, A, U, ulps=4),
    case("matmul vector matrix", lambda x, y: x @ y, U, B, ulps=4),
    case("matmul batch", lambda x, y: x @ y, T, T2, ulps=4),
    case("matmul batch matrix", lambda x, y: x @ y, T, B, ulps=4),
    case("matmul matrix batch", lambda x, y: x @ y, A, T2, ulps=4),
    case("matmul batch vector", lambda x, y: x @ y, T, U, ulps=4),
    case("matmul vector batch", lambda x, y: x @ y, U, T2, ulps=4),
    case("matmul stretch", lambda x, y: x[:, None] @ y, T, T2, ulps=4),
    case("matmul constant", lambda x: np.ones((2, 3)) @ x, A, ulps=4, dtypes="d"),
    case("dot", np.dot, A, B, ulps=4),
    case("dot scalar", lambda x: np.dot(x, 2), V),
    case("dot many", np.dot, T, T2, ulps=4),
    case("dot many vector", np.dot, T, U, ulps=4),
    case("method dot", lambda x, y: x.dot(y), V, W, ulps=4),
    case("inner", np.inner, A, R, ulps=4),
    case("outer", np.outer, V, U),
    case("outer of matrices", np.outer, M3, S),
    case("vdot", np.vdot, A, R, ulps=4),
    case("vecdot", np.vecdot, A, R, ulps=4),
    case("tensordot", lambda x, y: np.tensordot(x, y, axes=1), T, B, ulps=4),
    case("tensordot 0", lambda x, y: np.tensordot(x, y, axes=0), V3, U),
    case("tensordot axes", lambda x, y: np.tensordot(x, y, axes=([2, 0], [1, 0])), T, T2, ulps=4),
    case("tensordot all", lambda x, y: np.tensordot(x, y), A, R, ulps=8),
    case("kron", np.kron, M3, S),
    case("kron vector", np.kron, V3, M3),
    case("cross", np.cross, V3, spread(3)),
    case("cross many", np.cross, M3, N3),
    case("cross stretch", np.cross, M3, V3),
    case("cross axis", lambda x, y: np.cross(x, y, axis=0), M3.T, N3.T),
    # numpy.linalg's own spellings
    case("linalg.trace", lambda x: np.linalg.trace(x, offset=1), T),
    case("linalg.diagonal", np.linalg.diagonal, T),
    case("linalg.outer", np.linalg.outer, V, U),
    case("linalg.cross", np.linalg.cross, M3, N3),
    case("linalg.matmul", np.linalg.matmul, T, T2, ulps=4),
    case("linalg.tensordot", lambda x, y: np.linalg.tensordot(x, y, axes=1), A, B, ulps=4),
    case("linalg.vecdot", np.linalg.vecdot, A, R, ulps=4),
    *[case(f"linalg.multi_dot {i}", lambda *xs: np.linalg.multi_dot(xs), *xs, ulps=16)
      for i, xs in enumerate([(A, B), (A, B, S), (V3, A, B), (A, B, V3), (V3, A, B, V3)])],
    case("linalg.matrix_transpose", np.linalg.matrix_transpose, T),
    # methods, their arguments by position where the order is their own
    *[case(f"method {name}{args}", lambda x, name=name, args=args: getattr(x, name)(*args), A)
      for name, *args in [
          ("sum", 0), ("prod", 1), ("mean", -1), ("max", 0), ("min", 1), ("argmax", 1),
          ("argmin", 0), ("cumsum", 1), ("cumprod", 0), ("ravel",), ("swapaxes", 0, 1),
          ("squeeze",), ("diagonal", 1), ("trace", -1), ("take", [0, 2], 1), ("repeat", 2, 0),
          ("clip", -1, 1), ("compress", [True, False, True], 0), ("round", 1), ("copy",),
          ("reshape", (2, -1)), ("transpose", (1, 0)), ("dot", 2.0)]
      if name not in ("mean", "round")],
    case("method mean", lambda x: x.mean((0, 1), keepdims=True), A),
    case("method var", lambda x: x.var(0, ddof=1), A),
    case("method std", lambda x: x.std(1, keepdims=True), A),
    case("method any", lambda x: (x > 0).any(0), A),
    case("method all", lambda x: (x > -9).all(1), A),
    case("method argsort", lambda x: x.argsort(0), A),
    # the rest
    case("round", np.round, V),
    case("round decimals", lambda x: np.round(x, 2) + 0 * x, V, dtypes="d"),
    case("fix", np.fix, V),
    case("sinc", np.sinc, V, ulps=2),
    case("real", np.real, V),
    case("imag", lambda x: np.imag(x) + x, V),
    case("nan_to_num", np.nan_to_num, V),
    case("isclose", lambda x: np.isclose(x, x + 1e-9), V),
    case("allclose", lambda x: np.allclose(x, x + 1.0), V),
    case("array_equal", lambda x: np.array_equal(x, x), V),
    case("polyval", lambda p, x: np.polyval(p, x), V3, V, ulps=2),
    case("trapezoid", np.trapezoid, V, ulps=4, dtypes="df"),
    case("trapezoid x", lambda y, x: np.trapezoid(y, x, axis=0), B, U, ulps=4, dtypes="df"),
    case("astype", lambda x: x.astype(np.float32).astype(np.float64), V),
    case("object array", lambda x: np.sin(np.array([x[0], x[1] * 2])) * x[:2], V, ulps=1),
    case("shape", lambda x: x * np.shape(x)[0], A),
    case("ndim", lambda x: x * np.ndim(x), A),
    case("size", lambda x: x * np.size(x, 1), A),
]

# fmt: on
SUBSCRIPTS = [
    ("ij->ji", (3, 4)),
    ("ij->", (3, 4)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("ij->i", (3, 4)),
    ("iij->j", (3, 3, 2)),
    ("ijj,j->i", (2, 3, 3), (3,)),
    ("i,i", (5,), (5,)),
    ("i,j", (3,), (4,)),
    ("ij,jk", (3, 4), (4, 2)),
    ("ij,jk->ki", (3, 4), (4, 2)),
    ("ij,ij->", (3, 4), (3, 4)),
    ("ij,ij->i", (3, 4), (3, 4)),
    ("ij,kj->ik", (3, 4), (2, 4)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 3)),
    ("bi,bi->b", (3, 4), (3, 4)),
    ("ij,j->ij", (3, 4), (4,)),
    ("...ij,...jk", (2, 3, 4), (4, 3)),
    ("...i->...", (2, 3, 4)),
    ("i...,i...->...", (3, 4), (3, 4)),
    ("ij,jk,kl", (3, 4), (4, 2), (2, 5)),
    ("i,j,k->kij", (2,), (3,), (4,)),
    ("ab,ab,ab->b", (3, 4), (3, 4), (3, 4)),
    ("ij,ji->", (3, 4), (4, 3)),
    ("ijk,ilm,njm->nlk", (2, 3, 4), (2, 5, 3), (4, 3, 3)),
    ("i,i->i", (4,), (4,)),
    ("ij,jk->k", (3, 4), (4, 2)),
]
CASES += [
    case(
        f"einsum {text}",
        lambda *xs, text=text: np.einsum(text, *xs),
        *[spread(*s) for s in shapes],
        ulps=16,
    )
    for text, *shapes in SUBSCRIPTS
]
CASES.append(
    case("einsum lists", lambda x, y: np.einsum(x, [0, 1], y, [1, 2], [2, 0]), A, B, ulps=4)
)
CASES.append(case("einsum stretch", lambda x, y: np.einsum("ij,ij->ij", x, y), A, A[:, :1] + 1))


# --- the harness -----------------------------------------------------------------------------


def graph_of(function: Callable[..., Any], arrays: tuple[np.ndarray, ...]) -> Graph:
    """The graph that NumPy's calls in `function` write on graph values."""
    builder = Builder()
    inputs = [
        Value(builder, builder.add_input(f"x{i}", array_type(a.shape, a.dtype)))
        for i, a in enumerate(arrays)
    ]
    result = function(*inputs)
    if not isinstance(result, Value):
        result = inputs[0] * 0 + result
    return check_graph(builder.freeze([result.id]))


def as_dtype(arrays: tuple[np.ndarray, ...], letter: str) -> tuple[np.ndarray, ...]:
    """The examples in another dtype; integers of the same order as the entries, none of them 0."""
    if letter == "l":
        ranks = [np.round(np.where(a >= 0, a * 7 + 1, a * 7 - 1)) for a in arrays]
        return tuple(r.astype(np.int64) for r in ranks)
    return tuple(a.astype(letter) for a in arrays)


def assert_equal_to(ulps: int, got: Any, expected: Any) -> None:
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    if ulps == 0:
        assert got.tobytes() == np.ascontiguousarray(expected).tobytes(), (got, expected)
    elif expected.dtype.kind == "f":
        scale = max(np.abs(expected).max(initial=0), expected.dtype.type(1))
        assert np.abs(got - expected).max(initial=0) <= ulps * np.spacing(scale)
    else:
        np.testing.assert_array_equal(got, expected)


COMPARED = [(c, letter) for c in CASES for letter in c.dtypes]


def ids(value: Any) -> str:
    return value.name if isinstance(value, Case) else str(value)


@pytest.mark.parametrize(("sample", "letter"), COMPARED, ids=ids)
def test_value_and_dtype_are_numpys(sample: Case, letter: str) -> None:
    arrays = as_dtype(sample.arrays, letter)
    got = evaluate(graph_of(sample.function, arrays), *arrays)[0]
    with np.errstate(all="ignore"):
        expected = sample.function(*arrays)
    assert_equal_to(sample.ulps, got, expected)


@pytest.mark.parametrize("sample", CASES, ids=ids)
def test_both_modes_agree_with_central_differences(sample: Case, rng: np.random.Generator) -> None:
    arrays = as_dtype(sample.arrays, "d")
    graph = graph_of(sample.function, arrays)
    out = graph.types[graph.outputs[0]]
    pushed, pulled = check_graph(jvp_graph(graph)), check_graph(vjp_graph(graph))
    if not out.is_float:
        assert all(not np.any(ct) for ct in evaluate(pulled, *arrays)[1:])
        return
    dx = [rng.normal(size=a.shape) for a in arrays]
    tangent = evaluate(pushed, *arrays, *dx)[1]
    step = 2e-4
    if sample.name != "astype":
        points = [
            evaluate(graph, *[a + k * step * d for a, d in zip(arrays, dx, strict=True)])[0]
            for k in (-2, -1, 1, 2)
        ]
        difference = (points[0] - 8 * points[1] + 8 * points[2] - points[3]) / (12 * step)
        scale = 1 + np.abs(difference).max(initial=0)
        np.testing.assert_allclose(tangent, difference, rtol=0, atol=1e-8 * scale)
    ct = rng.normal(size=np.shape(tangent))
    shares = evaluate(pulled, *arrays, np.asarray(ct)[()])[1:]
    backward = sum(np.sum(s * d) for s, d in zip(shares, dx, strict=True))
    np.testing.assert_allclose(backward, np.sum(ct * tangent), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("sample", CASES, ids=ids)
def test_second_derivatives_are_those_of_the_gradient(
    sample: Case, rng: np.random.Generator
) -> None:
    arrays = as_dtype(sample.arrays, "d")
    graph = graph_of(sample.function, arrays)
    out = graph.types[graph.outputs[0]]
    if not out.is_float:
        return
    pulled = vjp_graph(graph)
    second = check_graph(jvp_graph(pulled))
    dx, ct = [rng.normal(size=a.shape) for a in arrays], np.asarray(rng.normal(size=out.shape))[()]
    found = evaluate(second, *arrays, ct, *dx, 0 * ct)[len(pulled.outputs) + 1 :]
    step = 2e-4
    near = [
        evaluate(pulled, *[a + k * step * d for a, d in zip(arrays, dx, strict=True)], ct)[1:]
        for k in (-2, -1, 1, 2)
    ]
    for got, a, b, c, d in zip(found, *near, strict=True):
        difference = (a - 8 * b + 8 * c - d) / (12 * step)
        scale = 1 + np.abs(difference).max(initial=0)
        np.testing.assert_allclose(got, difference, rtol=0, atol=1e-7 * scale)


def test_the_comparisons_bite() -> None:
    with pytest.raises(AssertionError):
        assert_equal_to(0, np.float64(1.0), np.nextafter(1.0, 2.0))
    with pytest.raises(AssertionError):
        assert_equal_to(1, np.float64(1.0), 1.0 + 3 * np.spacing(1.0))
    with pytest.raises(AssertionError):
        assert_equal_to(4, np.float32(1.0), np.float64(1.0))
    cut = Case("cut", lambda x: x * (detach(x) if isinstance(x, Value) else x), (V,))
    with pytest.raises(AssertionError):
        test_both_modes_agree_with_central_differences(cut, np.random.default_rng(0))


def test_every_function_of_the_table_is_in_a_case() -> None:
    """Run all cases with a table that notes which functions were asked for."""
    asked: set[Any] = set()

    class Noting(Value):
        def __array_function__(self, function, types, args, kwargs):
            asked.add(function)
            return function

        def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
            asked.add(ufunc)
            return ufunc

    builder = Builder()
    for sample in CASES:
        nodes = [
            builder.add_input(f"x{len(builder.inputs)}", array_type(a.shape)) for a in sample.arrays
        ]
        try:
            sample.function(*[Noting(builder, i) for i in nodes])
        except (TypeError, AttributeError, ValueError, IndexError):
            continue  # it went on with the noted function; the note is taken
    missing = {
        f.__name__ for f in ARRAY_FUNCTIONS if f not in asked and "linalg" not in f.__module__
    }
    aliases = {"result_type", "iscomplexobj", "around", "empty_like", "amax", "min"}
    assert missing <= aliases, missing - aliases
    assert {u.__name__ for u in UFUNCS if u not in asked} == set()


# --- what the table cannot say ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "expected"),
    [([2.0, 3.0, 0.0], [4, 2, 6]), ([0, 2, 3], [9, 0, 0]), ([2, 0, 0, 3], [1, 2, 0, 0])],
)
def test_the_gradient_of_a_sum_of_prefix_products_is_exact_at_zeros(x: Any, expected: Any) -> None:
    x = np.asarray(x, float)
    pulled = vjp_graph(graph_of(lambda v: np.sum(np.cumprod(v)), (x,)))
    np.testing.assert_array_equal(evaluate(pulled, x, np.float64(1))[1], expected)


def test_second_derivatives_of_products_are_exact_at_zeros(rng: np.random.Generator) -> None:
    x = np.array([2.0, 0.0, 3.0, 0.0, 5.0])
    second = jvp_graph(vjp_graph(graph_of(np.prod, (x,))))
    rows = [evaluate(second, x, np.float64(1), e, np.float64(0))[3] for e in np.eye(5)]
    expected = np.zeros((5, 5))
    expected[1, 3] = expected[3, 1] = 30.0
    np.testing.assert_array_equal(rows, expected)


TIES = {"min-norm": [0.5, 0, 0.5], "mid": [0.5, 0, 0.5], "left": [1, 0, 0], "right": [0, 0, 1],
        "zero": [0, 0, 0]}  # fmt: skip


@pytest.mark.parametrize("convention", TIES)
@pytest.mark.parametrize("function", [np.max, lambda x: np.sort(x)[-1]], ids=["max", "sort"])
def test_ties_follow_the_convention(function: Any, convention: str) -> None:
    x = np.array([3.0, 1.0, 3.0])
    graph = graph_of(function, (x,))
    with kink_convention(convention):
        pulled, pushed = vjp_graph(graph), jvp_graph(graph)
    expected = TIES[convention]
    if function is not np.max and convention in ("left", "right"):
        expected = expected[::-1]  # the first of the tied entries is sorted before the last
    np.testing.assert_array_equal(evaluate(pulled, x, np.float64(1))[1], expected)
    np.testing.assert_array_equal([evaluate(pushed, x, e)[1] for e in np.eye(3)], expected)


def test_the_largest_modulus_of_a_matrix_shares_its_three_ties() -> None:
    x = np.array([[9.0, 2, 9], [-2, -3, -4], [7, 8, -9]])
    pulled = vjp_graph(graph_of(lambda a: np.max(np.abs(a)), (x,)))
    share = 1 / 3
    expected = [[share, 0, share], [0, 0, 0], [0, 0, -share]]
    np.testing.assert_allclose(evaluate(pulled, x, np.float64(1))[1], expected, rtol=1e-15)


def test_nan_is_not_hidden_by_a_maximum() -> None:
    x = np.array([1.0, np.nan, 3.0])
    pulled = vjp_graph(graph_of(np.max, (x,)))
    assert all(np.isnan(evaluate(pulled, x, np.float64(1))[1]))


@pytest.mark.parametrize("shift", [0.0, 1000.0, -1000.0])
def test_softmax_is_stable_and_its_gradients_sum_to_zero(shift: float) -> None:
    x = np.array([[0.1, 2.0, -1.0], [0.3, 0.3, 5.0]])
    np.testing.assert_allclose(softmax(x + shift), softmax(x), rtol=1e-10)
    np.testing.assert_allclose(logsumexp(x + shift, axis=1), logsumexp(x, axis=1) + shift)
    pulled = vjp_graph(graph_of(lambda v: softmax(v), (x,)))
    share = evaluate(pulled, x + shift, np.arange(6.0).reshape(2, 3))[1]
    np.testing.assert_allclose(share.sum(axis=1), 0, atol=1e-15)


def test_logsumexp_of_integers_has_the_gradient_of_the_floats() -> None:
    assert logsumexp(np.array([1, 2, 3, 4])) == pytest.approx(4.440189698561196)
    x = np.arange(1.0, 5.0)
    pulled = vjp_graph(graph_of(logsumexp, (x,)))
    expected = [0.0320586, 0.08714432, 0.23688282, 0.64391426]
    np.testing.assert_allclose(evaluate(pulled, x, np.float64(1))[1], expected, atol=1e-8)


@pytest.mark.parametrize("x", [[-np.inf, -np.inf], [np.inf, 1.0], [-np.inf, 2.0]])
def test_logsumexp_of_infinities(x: Any) -> None:
    with np.errstate(all="ignore"):
        assert logsumexp(x) == np.logaddexp.reduce(x)


# fmt: off
REFUSED = [
    (lambda x: np.sum(x, out=np.zeros(())), "sum of a traced value got out="),
    (lambda x: np.sum(x, dtype=np.float32), "got dtype="),
    (lambda x: np.max(x, where=x > 0, initial=0), "which it does not take"),
    (lambda x: np.mean(x, nonsense=3), "unexpected keyword argument"),
    (lambda x: np.where(x > 0), "x[condition]"),
    (lambda x: np.take(x, [0], mode="wrap"), "got mode='wrap'"),
    (lambda x: np.reshape(x, (5, 1), order="F"), "got order='F'"),
    (lambda x: np.pad(x, 1, mode="mean"), "constant, edge, reflect"),
    (lambda x: np.unique(x), "nearest supported"),
    (lambda x: np.copysign(x, x), "no meaning"),
    (lambda x: x.item(), ".item()"),
    (lambda x: x.sort(), "np.sort"),
    (lambda x: x.astype(int), "would cut its derivative"),
    (lambda x: np.einsum("i->", x, out=np.zeros(())), "out="),
    (lambda x: x.sum(dtype=int), "got dtype="),
]
# fmt: on


@pytest.mark.parametrize(("function", "expected"), REFUSED)
def test_what_is_not_supported_says_so(function: Any, expected: str) -> None:
    with pytest.raises(TypeError, match=r".") as caught:
        graph_of(function, (V,))
    assert expected in str(caught.value)


# fmt: off
UNFIT = [
    (lambda x: np.sum(x, axis=1), "axis 1 is out of bounds"),
    (lambda x: np.sum(x, axis=(0, 0)), "names an axis twice"),
    (lambda x: np.reshape(x, (2, -1)), "cannot turn f64[5]"),
    (lambda x: np.concatenate([x, x[None]]), "cannot join"),
    (lambda x: np.split(x, 2), "array_split allows"),
    (lambda x: np.max(x[:0]), "no entry to choose from"),
    (lambda x: np.stack([x, x[:2]]), "arrays of one shape"),
    (lambda x: np.einsum("ij->", x), "does not label"),
    (lambda x: np.einsum("i,i->", x, x[:2]), "label 'i' has extent"),
    (lambda x: np.tensordot(x, x[:3], 1), "differ"),
    (lambda x: np.cross(x, x), "vectors of 3 entries"),
    (lambda x: x @ x[:2], "matmul cannot multiply"),
    (lambda x: np.squeeze(x, 0), "has not extent 1"),
    (lambda x: np.transpose(x, (0, 0)), "each axis once"),
]
# fmt: on


@pytest.mark.parametrize(("function", "expected"), UNFIT)
def test_what_does_not_fit_says_so(function: Any, expected: str) -> None:
    with pytest.raises(ShapeError, match=r".") as caught:
        graph_of(function, (V,))
    assert expected in str(caught.value)


# --- named dimensions ------------------------------------------------------------------------

N, M, P, Q = map(Dim, "nmpq")
# fmt: off
NAMED = [
    (lambda a, b: a.T, (N, M), (N,), (M, N)),
    (lambda a, b: np.sum(a, axis=0), (N, M), (N,), (M,)),
    (lambda a, b: np.trace(a), (N, N), (N,), ()),
    (lambda a, b: np.diag(b) @ a, (N, M), (N,), (N, M)),
    (lambda a, b: np.outer(b, b) * np.sum(a), (N, M), (N,), (N, N)),
    (lambda a, b: np.kron(a, b), (N, M), (P, Q), (N * P, M * Q)),
    (lambda a, b: b @ a, (N, M), (N,), (M,)),
    (lambda a, b: a + b[:, None], (N, M), (N,), (N, M)),
    (lambda a, b: np.squeeze(np.expand_dims(a, 1), 1) * b, (N, M), (M,), (N, M)),
    (lambda a, b: np.einsum("ij,jk,k->i", a, a.T, b), (N, M), (N,), (N,)),
    (lambda a, b: np.cumsum(a, axis=0) * b, (N, M), (M,), (N, M)),
    (lambda a, b: np.flip(a), (N, M), (N,), (N, M)),
]
# fmt: on


@pytest.mark.parametrize(("function", "first", "second", "expected"), NAMED)
def test_named_dimensions_give_a_type_and_both_derivatives(
    function: Any, first: Any, second: Any, expected: Any
) -> None:
    builder = Builder()
    inputs = [
        Value(builder, builder.add_input(name, array_type(shape)))
        for name, shape in (("a", first), ("b", second))
    ]
    result = function(*inputs)
    assert result.type.shape == expected
    graph = check_graph(builder.freeze([result.id]))
    check_graph(jvp_graph(graph))
    check_graph(vjp_graph(graph))


@pytest.mark.parametrize(
    ("function", "name"),
    [(np.mean, "mean"), (np.prod, "prod"), (lambda a: np.tile(a, 2), "tile"), (np.tril, "tril"),
     (lambda a: np.reshape(a, -1), "reshape with -1"), (np.median, "median"), (np.max, "max")],
)  # fmt: skip
def test_other_functions_name_themselves_when_they_meet_a_named_dimension(
    function: Any, name: str
) -> None:
    builder = Builder()
    a = Value(builder, builder.add_input("a", array_type((N, M))))
    with pytest.raises(ShapeError, match=name):
        function(a)


# --- node counts -----------------------------------------------------------------------------

COUNTS = [
    (lambda x: np.reshape(x, (3, 4)), 0),
    (lambda x: np.transpose(x, (0, 1)), 0),
    (lambda x: x.T, 1),
    (lambda x: np.swapaxes(x, 0, 1), 1),
    (lambda x: x[:], 0),
    (lambda x: x[1], 2),
    (lambda x: x[1:], 1),
    (lambda x: x[:, None], 1),
    (lambda x: np.sum(x), 1),
    (lambda x: np.max(x, axis=0), 1),
    (lambda x: np.squeeze(x), 0),
    (lambda x: np.broadcast_to(x, (3, 4)), 0),
    (lambda x: x @ x.T, 2),
    (lambda x: np.mean(x, axis=0), 3),
    (lambda x: x.flatten(), 1),
    (lambda x: np.einsum("ij,kj->ik", x, x), 2),
    (lambda x: np.roll(x, 0), 2),
    (lambda x: np.clip(x, 0, 1), 4),
]


@pytest.mark.parametrize(("function", "count"), COUNTS)
def test_few_nodes_are_written(function: Any, count: int) -> None:
    assert len(graph_of(function, (A,))) <= 1 + count


def test_methods_of_arrays_that_values_lack_are_known() -> None:
    """A list to keep: what ndarray has and a traced value refuses or does not know."""
    absent = {name for name in dir(np.ndarray) if not name.startswith("_")} - set(METHODS)
    assert absent == {
        "argpartition", "base", "byteswap", "choose", "ctypes", "data", "device", "dump", "dumps",
        "flags", "flat", "getfield", "nbytes", "nonzero", "searchsorted", "setfield", "setflags",
        "strides", "to_device", "tobytes", "tofile", "view",
    }  # fmt: skip


def test_a_refused_keyword_at_its_default_is_no_refusal() -> None:
    graph_of(lambda x: np.sum(x, dtype=None, out=None), (V,))
    graph_of(lambda x: np.copy(x, order="K"), (V,))
    with pytest.raises(TraceError, match="by position"):
        graph_of(lambda x: ARRAY_FUNCTIONS[np.flipud](x, 1), (V,))
