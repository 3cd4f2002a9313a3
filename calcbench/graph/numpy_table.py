"""Which NumPy functions, ufuncs and array methods have a meaning on graph values: one table."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from calcbench.graph import (
    contractions,
    joining,
    numerics,
    reductions,
    selecting,
    shaping,
    summation,
)
from calcbench.graph.arraytype import TraceError, check_dtype
from calcbench.graph.axes import lift
from calcbench.graph.lifting import Value, as_dtype, used
from calcbench.graph.matrix_functions import MATRIX_FUNCTIONS
from calcbench.graph.ufuncs import UFUNCS as UFUNCS, find_ufunc as find_ufunc


Meaning = Callable[..., Any]


def shape(a: Any) -> Any:
    """``np.shape``."""
    return lift(a).type.shape


def ndim(a: Any) -> int:
    """``np.ndim``."""
    return lift(a).type.ndim


def size(a: Any, axis: int | None = None) -> Any:
    """``np.size``."""
    kind = lift(a).type
    return kind.size if axis is None else kind.shape[operator.index(axis)]


def result_type(*operands: Any) -> np.dtype:
    """``np.result_type``."""
    return np.result_type(*[v.type.dtype if isinstance(v, Value) else v for v in operands])


def iscomplexobj(x: Any) -> bool:
    """``np.iscomplexobj``: never."""
    return False


def _matrix_trace(x: Any, *, offset: int = 0, dtype: Any = None) -> Value:
    return selecting.trace(x, offset, -2, -1, dtype=dtype)  # type: ignore[no-any-return]


def _matrix_diagonal(x: Any, *, offset: int = 0) -> Value:
    return selecting.diagonal(x, offset, -2, -1)  # type: ignore[no-any-return]


def _same_names(module: Any, names: str) -> dict[Meaning, Meaning]:
    """NumPy function -> the function of the same name in a module here."""
    return {
        getattr(np, name): getattr(module, name, None) or getattr(module, f"{name}_")
        for name in names.split()
    }


ARRAY_FUNCTIONS: dict[Meaning, Meaning] = {
    **_same_names(
        shaping,
        "reshape ravel transpose matrix_transpose swapaxes moveaxis rollaxis expand_dims squeeze "
        "broadcast_to broadcast_arrays atleast_1d atleast_2d atleast_3d flip flipud fliplr rot90 "
        "meshgrid tile",
    ),
    **_same_names(
        joining,
        "concatenate stack vstack hstack dstack column_stack append block split array_split hsplit "
        "vsplit dsplit repeat roll pad delete",
    ),
    **_same_names(
        selecting,
        "where select clip take take_along_axis compress diag diagonal diagflat trace tril triu "
        "diff zeros_like ones_like full_like copy",
    ),
    **_same_names(
        reductions,
        "sum prod amax amin ptp mean var std average median any all count_nonzero cumsum cumprod "
        "argmax argmin sort argsort",
    ),
    **_same_names(contractions, "dot inner outer vdot tensordot kron cross"),
    **_same_names(summation, "einsum"),
    **_same_names(
        numerics,
        "round fix sinc real imag nan_to_num isclose allclose array_equal polyval trapezoid",
    ),
    np.max: reductions.amax,
    np.min: reductions.amin,
    np.around: numerics.round_,
    np.empty_like: selecting.zeros_like,
    np.linalg.trace: _matrix_trace,
    np.linalg.diagonal: _matrix_diagonal,
    np.linalg.outer: contractions.outer,
    np.linalg.cross: contractions.cross,
    np.linalg.matmul: contractions.matmul,
    np.linalg.tensordot: contractions.tensordot,
    np.linalg.vecdot: contractions.vecdot,
    np.linalg.multi_dot: summation.multi_dot,
    np.linalg.matrix_transpose: shaping.matrix_transpose,
    np.shape: shape,
    np.ndim: ndim,
    np.size: size,
    np.result_type: result_type,
    np.iscomplexobj: iscomplexobj,
    **MATRIX_FUNCTIONS,
}

# --- methods ---------------------------------------------------------------------------------


def _reshape(self: Value, *shape: Any, order: Any = None, copy: Any = None) -> Value:
    wanted = shape[0] if len(shape) == 1 else shape
    return shaping.reshape(self, wanted, order=order, copy=copy)  # type: ignore[no-any-return]


def _transpose(self: Value, *axes: Any) -> Value:
    order = axes[0] if len(axes) == 1 and not hasattr(axes[0], "__index__") else axes or None
    return shaping.transpose(self, order)  # type: ignore[no-any-return]


def _compress(self: Value, condition: Any, axis: Any = None, out: Any = None) -> Value:
    return selecting.compress(condition, self, axis, out=out)  # type: ignore[no-any-return]


def _flatten(self: Value, order: Any = None) -> Value:
    return selecting.copy(shaping.ravel(self, order=order))  # type: ignore[no-any-return]


def _astype(self: Value, dtype: Any, **_: Any) -> Value:
    x, wanted = used(self), check_dtype(np.dtype(dtype))
    if x.type.is_float and wanted.kind != "f" and not _is_constant(x):
        raise TraceError(
            f"astype({wanted}) of a traced value of type {x.type} would cut its derivative; say "
            "so with np.trunc(x).astype(...) or calcbench.detach(x).astype(...)"
        )
    return Value(x.builder, as_dtype(x, wanted).id)


def _is_constant(x: Value) -> bool:
    """Whether the row says already that no derivative passes: rounding, detach, constants."""
    return getattr(x.builder.nodes[x.id].row, "kind", "") in ("piecewise_constant", "source")


def _refused(name: str, instead: str) -> Meaning:
    def refuse(self: Value, *_: Any, **__: Any) -> Any:
        raise TraceError(f".{name}() of a traced value of type {self.type}: {instead}")

    return refuse


def _unary(ufunc: np.ufunc) -> Meaning:
    """The method that NumPy calls on each entry of an object array, as in np.sin([x, y])."""
    meaning = UFUNCS[ufunc]

    def method(self: Value, *others: Any) -> Any:
        return meaning(self, *others)

    return method


_PLAIN_METHODS = """
sum prod mean var std any all cumsum cumprod argmax argmin argsort round ravel swapaxes
squeeze diagonal trace take repeat clip dot copy
"""
_OBJECT_METHODS = """
sqrt cbrt exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos arctan sinh cosh tanh
arcsinh arccosh arctanh rint degrees radians rad2deg deg2rad fabs conjugate arctan2 hypot
logaddexp fmod logical_not isnan isfinite isinf
"""
_IN_PLACE = "changes the array in place, which the graph does not see; use np.{0}(x) instead"
_CUTS = "would cut the derivative; keep the value as it is"

METHODS: dict[str, Any] = {
    **{name: ARRAY_FUNCTIONS[getattr(np, name)] for name in _PLAIN_METHODS.split()},
    **{name: _unary(getattr(np, name)) for name in _OBJECT_METHODS.split()},
    "max": reductions.amax,
    "min": reductions.amin,
    "reshape": _reshape,
    "transpose": _transpose,
    "flatten": _flatten,
    "compress": _compress,
    "astype": _astype,
    "conj": _unary(np.conjugate),
    "T": property(_transpose),
    "mT": property(shaping.matrix_transpose),
    "real": property(numerics.real),
    "imag": property(numerics.imag),
    "shape": property(lambda self: used(self).type.shape),
    "ndim": property(lambda self: used(self).type.ndim),
    "size": property(lambda self: used(self).type.size),
    "dtype": property(lambda self: used(self).type.dtype),
    "itemsize": property(lambda self: used(self).type.dtype.itemsize),
    "sort": _refused("sort", _IN_PLACE.format("sort")),
    "partition": _refused("partition", _IN_PLACE.format("sort")),
    "fill": _refused("fill", "changes the array in place; use x[...] = value"),
    "put": _refused("put", "changes the array in place; use x[index] = value"),
    "resize": _refused("resize", _IN_PLACE.format("reshape")),
    "item": _refused("item", _CUTS),
    "tolist": _refused("tolist", _CUTS),
}
