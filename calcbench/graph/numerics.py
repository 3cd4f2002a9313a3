"""NumPy's smaller numerical functions on graph values: rounding, comparing, polynomials, areas."""

from __future__ import annotations

from typing import Any

import numpy as np

from calcbench.graph import special
from calcbench.graph.arraytype import TraceError
from calcbench.graph.axes import (
    as_float,
    axis_of,
    lift,
    lift_all,
    lift_same,
    neighbours,
    not_given,
    numpy_signature,
    part,
    reshaped,
    sizes,
    summed,
)
from calcbench.graph.comparison import isnan
from calcbench.graph.elementwise import rint, trunc
from calcbench.graph.lifting import Value, promote
from calcbench.graph.reductions import all_
from calcbench.graph.selecting import where
from calcbench.graph.structural import full


@numpy_signature("a decimals !out")
def round_(a: Any, decimals: int = 0) -> Value:
    """``np.round``: multiply, round half to even, divide back."""
    x = lift(a)
    if not x.type.is_float:
        if decimals >= 0:
            return x
        raise TraceError("round of traced integers to tens is not supported; use // and *")
    if decimals == 0:
        return rint(x)  # type: ignore[no-any-return]
    scale = 10.0 ** abs(decimals)
    return rint(x * scale) / scale if decimals > 0 else rint(x / scale) * scale  # type: ignore[no-any-return]


@numpy_signature("x !out")
def fix(x: Any) -> Value:
    """``np.fix``: towards zero."""
    value = lift(x)
    return trunc(value) if value.type.is_float else value


@numpy_signature("x")
def sinc(x: Any) -> Value:
    """``np.sinc``."""
    return special.sinc(as_float(lift(x)))  # type: ignore[no-any-return]


@numpy_signature("val")
def real(val: Any) -> Value:
    """``np.real`` of real values."""
    return lift(val)


@numpy_signature("val")
def imag(val: Any) -> Value:
    """``np.imag`` of real values: zeros."""
    return full(lift(val), 0)  # type: ignore[no-any-return]


@numpy_signature("x !copy nan posinf neginf")
def nan_to_num(x: Any, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Value:
    """``np.nan_to_num``; no derivative passes where a value is replaced."""
    value = lift(x)
    if not value.type.is_float:
        return value
    limits = np.finfo(value.type.dtype)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    found = where(value > float(limits.max), high, where(value < float(limits.min), low, value))
    return where(isnan(value), nan, found)  # type: ignore[no-any-return]


# --- comparing -------------------------------------------------------------------------------


@numpy_signature("a b rtol atol equal_nan")
def isclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Value:
    """``np.isclose``."""
    x, y = promote((a, b), to_float=True)
    near = (abs(x - y) <= abs(y) * rtol + atol) & (abs(y) < np.inf)
    near = near | (x == y)
    return near | (isnan(x) & isnan(y)) if equal_nan else near  # type: ignore[no-any-return]


@numpy_signature("a b rtol atol equal_nan")
def allclose(a: Any, b: Any, **options: Any) -> Value:
    """``np.allclose``, as a truth value of the graph."""
    return all_(isclose(a, b, **options))  # type: ignore[no-any-return]


@numpy_signature("a1 a2 equal_nan")
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """``np.array_equal``, as a truth value of the graph."""
    x, y = lift_all((a1, a2))
    if x.type.shape != y.type.shape:
        return False
    same = x == y
    return all_(same | (isnan(x) & isnan(y)) if equal_nan and x.type.is_float else same)


# --- polynomials and areas -------------------------------------------------------------------


@numpy_signature("p x")
def polyval(p: Any, x: Any) -> Value:
    """``np.polyval``, by Horner's rule."""
    coefficients, at = lift_same((p, x))
    total = full(at, 0)
    for i in range(sizes(coefficients, "polyval")[0]):
        total = total * at + reshaped(part(coefficients, 0, i, i + 1), ())
    return total  # type: ignore[no-any-return]


@numpy_signature("y x dx axis")
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Value:
    """``np.trapezoid``."""
    values = lift(y) if not_given(x) else lift_all((y, x))[0]
    along = axis_of(axis, values.type.ndim, "trapezoid")
    upper, lower = neighbours(values, along, "trapezoid")
    width = dx if not_given(x) else _steps(lift_all((y, x))[1], along, values.type.ndim)
    return summed(width * (upper + lower) / 2.0, (along,))


def _steps(x: Value, axis: int, ndim: int) -> Value:
    """The distances between neighbours, along `axis` if `x` is a vector."""
    at = axis if x.type.ndim > 1 else 0
    upper, lower = neighbours(x, at, "trapezoid")
    found = upper - lower
    if x.type.ndim > 1:
        return found  # type: ignore[no-any-return]
    return reshaped(found, [found.type.size if i == axis else 1 for i in range(ndim)])
