"""C's mathematics for kernels that the simulator runs as Python: inf and NaN, no errors."""

from __future__ import annotations

import math as python
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np


_UFUNCS = {
    "sqrt": np.sqrt, "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log,
    "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "sin": np.sin, "cos": np.cos,
    "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh,
    "atanh": np.arctanh, "hypot": np.hypot, "pow": np.power, "fmod": np.fmod, "fabs": np.fabs,
    "copysign": np.copysign, "ldexp": np.ldexp, "cbrt": np.cbrt,
}  # fmt: skip


def _quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    def compute(*operands: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*operands)

    return compute


def _or_limit(function: Callable[[float], float]) -> Callable[[float], Any]:
    """A function of `math` that answers inf where it overflows or has a pole."""

    def compute(x: float) -> Any:
        try:
            return np.float64(function(x))
        except (OverflowError, ValueError):
            return np.float64(np.nan if x == -np.inf else np.inf)

    return compute


_PLAIN = ("floor", "isnan", "isinf", "isfinite", "pi", "e", "inf", "nan")
math = SimpleNamespace(
    **{name: _quiet(ufunc) for name, ufunc in _UFUNCS.items()},
    **{name: _or_limit(getattr(python, name)) for name in ("erf", "erfc", "gamma", "lgamma")},
    **{name: getattr(python, name) for name in _PLAIN},
)
