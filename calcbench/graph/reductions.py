"""NumPy's functions that reduce, accumulate and order along axes, on graph values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from calcbench.graph.arraytype import BOOL, INT64, ShapeError
from calcbench.graph.axes import (
    as_float,
    as_truth,
    axes_of,
    axis_of,
    flattened,
    lift,
    lift_same,
    not_given,
    number_like,
    numpy_signature,
    part,
    permuted,
    reshaped,
    sizes,
    summed,
    with_ones,
)
from calcbench.graph.comparison import isnan, less, select
from calcbench.graph.elementwise import add, detach, divide, exp, log, multiply, sqrt, square
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder
from calcbench.graph.kinks import abs_
from calcbench.graph.lifting import Value, as_dtype, holds_values, place_array, stretch
from calcbench.graph.ordering import (
    amax as amax_row,
    amin as amin_row,
    argmax as argmax_row,
    argmin as argmin_row,
    argsort as argsort_row,
    sort as sort_row,
)
from calcbench.graph.primitive import Primitive
from calcbench.graph.products import cumprod as cumprod_row, prod as prod_row
from calcbench.graph.structural import cumsum as cumsum_row, full, sum_ as sum_row, zeros


def _kept(x: Value, axes: tuple[int, ...], before: Value, keepdims: Any) -> Value:
    """A reduction of `before` over the axes, with them kept at extent 1 if asked for."""
    wanted = not not_given(keepdims) and keepdims
    return with_ones(x, axes, before.type.ndim) if wanted else x


def _reduction(name: str, row: Primitive, signature: str) -> Callable[..., Any]:
    @numpy_signature(signature)
    def reduce(a: Any, axis: Any = None, keepdims: Any = False) -> Value:
        x = lift(a)
        axes = axes_of(axis, x.type.ndim, name)
        changes = bool(axes) or (x.type.dtype == BOOL and row in (sum_row, prod_row))
        return _kept(row(x, axes=axes), axes, x, keepdims) if changes else x

    reduce.__name__, reduce.__doc__ = name, f"``np.{name}``."
    return reduce


_OF_SUM = "a axis !dtype !out keepdims !initial !where"
_OF_MAX = "a axis !out keepdims !initial !where"
sum_ = _reduction("sum", sum_row, _OF_SUM)
prod = _reduction("prod", prod_row, _OF_SUM)
amax = _reduction("max", amax_row, _OF_MAX)
amin = _reduction("min", amin_row, _OF_MAX)


@numpy_signature("a axis !out keepdims")
def ptp(a: Any, axis: Any = None, keepdims: Any = False) -> Value:
    """``np.ptp``."""
    return amax(a, axis, keepdims=keepdims) - amin(a, axis, keepdims=keepdims)  # type: ignore[no-any-return]


# --- means -----------------------------------------------------------------------------------


def _count(x: Value, axes: tuple[int, ...], name: str) -> int:
    return math.prod(sizes(x, name)[a] for a in axes)


def _averaged(x: Value, axes: tuple[int, ...], count: float) -> Value:
    total = summed(x, axes)
    return divide(total, number_like(total, count))  # type: ignore[no-any-return]


@numpy_signature("a axis !dtype !out keepdims / !where")
def mean(a: Any, axis: Any = None, keepdims: Any = False) -> Value:
    """``np.mean``."""
    x = as_float(lift(a))
    axes = axes_of(axis, x.type.ndim, "mean")
    return _kept(_averaged(x, axes, _count(x, axes, "mean")), axes, x, keepdims)


@numpy_signature("a axis !dtype !out ddof keepdims / !where !mean !correction")
def var(a: Any, axis: Any = None, ddof: float = 0, keepdims: Any = False) -> Value:
    """``np.var``."""
    x = as_float(lift(a))
    axes = axes_of(axis, x.type.ndim, "var")
    count = _count(x, axes, "var")
    centre = with_ones(_averaged(x, axes, count), axes, x.type.ndim)
    spread = square(x - stretch(centre, x.type.shape))
    return _kept(_averaged(spread, axes, max(count - ddof, 0)), axes, x, keepdims)


@numpy_signature("a axis !dtype !out ddof keepdims / !where !mean !correction")
def std(a: Any, axis: Any = None, ddof: float = 0, keepdims: Any = False) -> Value:
    """``np.std``; where all entries are equal it is a norm at 0, whose min-norm slope is 0."""
    return sqrt(var(a, axis, ddof=ddof, keepdims=keepdims))  # type: ignore[no-any-return]


@numpy_signature("a axis weights returned / keepdims")
def average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, keepdims: Any = False
) -> Any:
    """``np.average``."""
    if not_given(weights):
        result = mean(a, axis, keepdims=keepdims)
        count = sizes(lift(a), "average")
        total = full(result, math.prod(count) / max(math.prod(result.type.shape), 1))
        return (result, total) if returned else result
    x, w = lift_same((a, weights), to_float=True)
    if w.type.shape != x.type.shape:
        w = _along(w, x, axis)
    total = sum_(w, axis, keepdims=keepdims)
    result = divide(sum_(multiply(x, w), axis, keepdims=keepdims), total)
    return (result, total) if returned else result


def _along(w: Value, x: Value, axis: Any) -> Value:
    if axis is None or w.type.ndim != 1 or isinstance(axis, tuple):
        raise ShapeError(
            f"average of {x.type}: weights of {w.type} need the same shape, or one axis=..."
        )
    along = axis_of(axis, x.type.ndim, "average")
    others = [a for a in range(x.type.ndim) if a != along]
    return stretch(with_ones(w, others, x.type.ndim), x.type.shape)


@numpy_signature("a axis !out !overwrite_input keepdims")
def median(a: Any, axis: Any = None, keepdims: Any = False) -> Value:
    """``np.median``, by sorting."""
    x = as_float(lift(a))
    axes = axes_of(axis, x.type.ndim, "median")
    lanes = _last_joined(x, axes)
    count = sizes(lanes, "median")[-1]
    if count == 0:  # NaN, as in NumPy
        return mean(a, axis, keepdims=keepdims)  # type: ignore[no-any-return]
    ordered, at = sort_row(lanes, axis=lanes.type.ndim - 1), lanes.type.ndim - 1
    middle = part(ordered, at, (count - 1) // 2, count // 2 + 1)
    found = _averaged(middle, (at,), middle.type.shape[at])
    last = reshaped(part(ordered, at, count - 1, count), found.type.shape)
    return _kept(select(isnan(last), last, found), axes, x, keepdims)


def _last_joined(x: Value, axes: tuple[int, ...]) -> Value:
    """`x` with the axes joined into a last one."""
    kept = [a for a in range(x.type.ndim) if a not in axes]
    shape = sizes(x, "median")
    moved = permuted(x, (*kept, *axes))
    return reshaped(moved, (*[shape[a] for a in kept], math.prod(shape[a] for a in axes)))


# --- truth values ----------------------------------------------------------------------------


def _logical(name: str, row: Primitive, of_nothing: bool) -> Callable[..., Any]:
    @numpy_signature("a axis !out keepdims / !where")
    def reduce(a: Any, axis: Any = None, keepdims: Any = False) -> Value:
        x = as_truth(lift(a))
        axes = axes_of(axis, x.type.ndim, name)
        if not axes:
            return x
        if any(x.type.shape[i] == 0 for i in axes):
            shape = tuple(n for i, n in enumerate(x.type.shape) if i not in axes)
            return _kept(full(x, of_nothing, shape), axes, x, keepdims)
        return _kept(row(x, axes=axes), axes, x, keepdims)

    reduce.__name__, reduce.__doc__ = name, f"``np.{name}``."
    return reduce


any_ = _logical("any", amax_row, of_nothing=False)
all_ = _logical("all", amin_row, of_nothing=True)


@numpy_signature("a axis / keepdims")
def count_nonzero(a: Any, axis: Any = None, keepdims: Any = False) -> Value:
    """``np.count_nonzero``."""
    return sum_(as_truth(lift(a)), axis, keepdims=keepdims)  # type: ignore[no-any-return]


# --- accumulating and ordering ---------------------------------------------------------------


def _accumulation(name: str, row: Primitive) -> Callable[..., Any]:
    @numpy_signature("a axis !dtype !out")
    def accumulate(a: Any, axis: Any = None) -> Value:
        x = lift(a)
        x = as_dtype(x, INT64) if x.type.dtype == BOOL else x
        x, along = _lane(x, axis, name)
        return row(x, axis=along)  # type: ignore[no-any-return]

    accumulate.__name__, accumulate.__doc__ = name, f"``np.{name}``."
    return accumulate


def _lane(x: Value, axis: Any, name: str) -> tuple[Value, int]:
    """The array and the axis to work along; None means along the flattened array."""
    if axis is None:
        return flattened(x), 0
    return (x, axis_of(axis, x.type.ndim, name)) if x.type.ndim else (flattened(x), 0)


cumsum = _accumulation("cumsum", cumsum_row)
cumprod = _accumulation("cumprod", cumprod_row)


def _position(name: str, row: Primitive) -> Callable[..., Any]:
    @numpy_signature("a axis !out / keepdims")
    def find(a: Any, axis: Any = None, keepdims: Any = False) -> Value:
        x = lift(a)
        lanes, along = _lane(x, axis, name)
        axes = axes_of(axis, x.type.ndim, name)
        return _kept(row(lanes, axis=along), axes, x, keepdims)

    find.__name__, find.__doc__ = name, f"``np.{name}``."
    return find


argmax = _position("argmax", argmax_row)
argmin = _position("argmin", argmin_row)


@numpy_signature("a axis !kind !order / !stable")
def sort(a: Any, axis: Any = -1) -> Value:
    """``np.sort``."""
    lanes, along = _lane(lift(a), axis, "sort")
    return sort_row(lanes, axis=along)  # type: ignore[no-any-return]


@numpy_signature("a axis !kind !order / !stable")
def argsort(a: Any, axis: Any = -1) -> Value:
    """``np.argsort``, stable: equal entries keep their order."""
    lanes, along = _lane(lift(a), axis, "argsort")
    return argsort_row(lanes, axis=along)  # type: ignore[no-any-return]


# --- logsumexp and softmax -------------------------------------------------------------------


def _shifted(x: Value, top: Value, axes: tuple[int, ...]) -> tuple[Value, Value]:
    """``exp(x - m)`` and m, the largest entry; 0 where that is infinite."""
    infinite = number_like(top, math.inf)
    top = select(less(abs_(top), infinite), top, zeros(top))
    wide = stretch(with_ones(top, axes, x.type.ndim), x.type.shape)
    return exp(x - wide), top


def _largest(x: Value, axes: tuple[int, ...]) -> Value:
    return amax_row(x, axes=axes) if axes else x


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """``m + log(sum(exp(x - m)))`` with m the largest entry (Blanchard, Higham & Higham 2021)."""
    return _on_arrays(_logsumexp, x, axis, keepdims)


def _logsumexp(x: Value, axis: Any, keepdims: bool) -> Value:
    axes = axes_of(axis, x.type.ndim, "logsumexp")
    # A constant to the derivatives: the result does not depend on it.
    powers, top = _shifted(x, detach(_largest(x, axes)), axes)
    return _kept(add(log(summed(powers, axes)), top), axes, x, keepdims)


def softmax(x: Any, axis: Any = -1) -> Any:
    """``exp(x - m) / sum(exp(x - m))`` with m the largest entry."""
    return _on_arrays(_softmax, x, axis)


def _softmax(x: Value, axis: Any) -> Value:
    axes = axes_of(axis, x.type.ndim, "softmax")
    # No constant here: differentiating m subtracts the largest entry's tangent from the others,
    # so that a slope much smaller than its terms is not what their rounding leaves.
    powers, _ = _shifted(x, _largest(x, axes), axes)
    total = with_ones(summed(powers, axes), axes, x.type.ndim)
    return divide(powers, stretch(total, x.type.shape))  # type: ignore[no-any-return]


def _on_arrays(function: Callable[..., Value], x: Any, *args: Any) -> Any:
    """The function of a graph value, or of a plain array by way of a graph of its own."""
    if holds_values(x):
        return function(as_float(lift(x)), *args)
    builder = Builder()
    result = function(as_float(place_array(builder, np.asarray(x))), *args)
    return evaluate(builder.freeze([result.id]))[0]
