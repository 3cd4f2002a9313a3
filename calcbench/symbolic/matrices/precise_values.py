"""Graphs evaluated in many digits, on real or complex numbers: NumPy object arrays of mpmath."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from calcbench.graph.arraytype import Dim, GraphError, with_sizes
from calcbench.graph.ir import Graph
from calcbench.graph.nodes import Node


def exact_number(value: float) -> Fraction:
    """The number that was meant: a float within rounding of a simple fraction is that fraction."""
    exact = Fraction(value)
    simple = exact.limit_denominator(1000)
    return simple if float(simple) == float(exact) else exact


class Precision:
    """Arithmetic of a number of decimal digits, and the meaning of rows in it.

    Kinks are continued analytically from the side on which the real part lies, so that a complex
    step through a row such as abs measures the derivative of the piece the point is on.
    """

    def __init__(self, digits: int) -> None:
        self.context = mpmath.MPContext()
        self.context.dps = digits
        self.functions = _smooth(self.context) | _pieces(self.context)

    def number(self, value: float | Fraction) -> Any:
        """A number of this precision."""
        exact = value if isinstance(value, Fraction) else exact_number(value)
        return self.context.mpf(exact.numerator) / exact.denominator

    def array(self, values: Any) -> Any:
        """An object array of such numbers."""
        flat = [self.number(Fraction(float(v))) for v in np.ravel(values)]
        out = np.empty(len(flat), dtype=object)
        out[:] = flat
        return out.reshape(np.shape(values))

    def run(self, graph: Graph, inputs: list[Any], sizes: Mapping[Dim, int]) -> Any:
        """The first output of a graph at object arrays."""
        return graph.run(inputs, lambda n, ops: self._meaning(n, ops, sizes))[graph.outputs[0]]

    def _meaning(self, node: Node, operands: list[Any], sizes: Mapping[Dim, int]) -> Any:
        row: Any = node.row
        params = {key: with_sizes(value, sizes) for key, value in node.params}
        if row.name in ("fill", "constant"):
            return self._constant(params)
        function = self.functions.get(row.name)
        if function is not None:
            return _everywhere(function, operands)
        if row.name == "polygamma":
            order = params["order"]
            return _everywhere(lambda x: self.context.polygamma(order, x), operands)
        if row.name in _MATRIX_ROWS:
            return _MATRIX_ROWS[row.name](self.context, *operands)
        if row.name in ("convert", "detach"):
            return operands[0]
        if row.name in SAME_ON_OBJECTS:
            return row.numpy(*operands, **params)
        raise GraphError(f"{row.name} has no meaning in many digits; row {row.name!r} is unknown")

    def _constant(self, params: Mapping[str, Any]) -> Any:
        array = params["value"].array
        values = np.broadcast_to(array, params.get("shape", array.shape))
        if array.dtype == bool:
            return values
        out = np.empty(values.shape, dtype=object)
        out[...] = self.number(array.item()) if array.ndim == 0 else self.array(values)
        return out


SAME_ON_OBJECTS = frozenset(
    (
        *("add", "subtract", "multiply", "negative", "sum", "cumsum", "matmul"),
        *("broadcast", "reshape", "transpose", "flip", "slice", "pad", "concatenate"),
        *("diagonal", "from_diagonal"),
    )
)


def _everywhere(function: Callable[..., Any], operands: list[Any]) -> Any:
    """The function entry by entry."""
    lifted: Any = np.frompyfunc(function, len(operands), 1)
    return lifted(*operands)


def _real(z: Any) -> Any:
    return z.real if hasattr(z, "real") else z


def _side(mp: Any, z: Any) -> Any:
    """The sign of the real part: which piece of a kink row the point is on."""
    return mp.sign(_real(z))


def _larger(x: Any, y: Any) -> Any:
    return x if _real(x) >= _real(y) else y


def _smaller(x: Any, y: Any) -> Any:
    return x if _real(x) <= _real(y) else y


def _angle(mp: Any, y: Any, x: Any) -> Any:
    """The angle of (x, y), continued analytically to complex numbers."""
    if not (hasattr(y, "imag") and y.imag) and not (hasattr(x, "imag") and x.imag):
        return mp.atan2(_real(y), _real(x))
    return mp.log((x + mp.j * y) / mp.sqrt(x * x + y * y)) / mp.j


def _smooth(mp: Any) -> dict[str, Callable[..., Any]]:
    """Rows that act entry by entry."""
    circles = ("sin", "cos", "tan", "sinh", "cosh", "tanh")
    names = (*circles, "exp", "log", "sqrt", "sech", "erf", "erfc", "digamma")
    table: dict[str, Callable[..., Any]] = {name: getattr(mp, name) for name in names}
    table |= {f"arc{n}": getattr(mp, f"a{n}") for n in circles}
    return table | {
        "divide": lambda x, y: x / y,
        "reciprocal": lambda x: 1 / x,
        "square": lambda x: x * x,
        "power": lambda x, y: mp.power(x, y),
        "cbrt": lambda x: _side(mp, x) * mp.cbrt(_side(mp, x) * x),
        "exp2": lambda x: mp.power(2, x),
        "expm1": mp.expm1,
        "log1p": mp.log1p,
        "log2": lambda x: mp.log(x) / mp.log(2),
        "log10": lambda x: mp.log(x) / mp.log(10),
        "logaddexp": lambda x, y: mp.log(mp.exp(x) + mp.exp(y)),
        "hypot": lambda x, y: mp.sqrt(x * x + y * y),
        "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
        "softplus": lambda x: mp.log(1 + mp.exp(x)),
        "lgamma": mp.loggamma,
        "arctan2": lambda y, x: _angle(mp, y, x),
        "sinc": lambda x: mp.sinc(mp.pi * x),
    }


def _pieces(mp: Any) -> dict[str, Callable[..., Any]]:
    """Rows with kinks or steps, and conditions: the piece on which the real part lies."""
    return {
        "abs": lambda x: _side(mp, x) * x,
        "sign": lambda x: _side(mp, x),
        "sign_at": lambda x: _side(mp, x),
        "maximum": _larger,
        "minimum": _smaller,
        "relu": lambda x: _larger(x, mp.zero),
        "larger_share": lambda x, y: mp.one if _real(x) > _real(y) else mp.zero,
        "floor": lambda x: mp.floor(_real(x)),
        "ceil": lambda x: mp.ceil(_real(x)),
        "trunc": lambda x: _side(mp, x) * mp.floor(abs(_real(x))),
        "rint": lambda x: mp.nint(_real(x)),
        "floor_divide": lambda x, y: mp.floor(_real(x / y)),
        "remainder": lambda x, y: x - y * mp.floor(_real(x / y)),
        "less": lambda x, y: _real(x) < _real(y),
        "less_equal": lambda x, y: _real(x) <= _real(y),
        "greater": lambda x, y: _real(x) > _real(y),
        "greater_equal": lambda x, y: _real(x) >= _real(y),
        "equal": lambda x, y: x == y,
        "not_equal": lambda x, y: x != y,
        "logical_and": lambda x, y: bool(x) and bool(y),
        "logical_or": lambda x, y: bool(x) or bool(y),
        "logical_not": lambda x: not x,
        "select": lambda c, x, y: x if c else y,
    }


# --- matrices: elimination with pivots, on numbers of any kind -----------------------------------


def _eliminated(mp: Any, a: Any, right: Any) -> tuple[Any, Any]:
    """det(a) and inv(a) @ right."""
    a, right, determinant = a.copy(), right.copy(), mp.one
    smallest = max((abs(v) for v in a.ravel()), default=mp.zero) * mp.mpf(10) ** (10 - mp.dps)
    for k in range(len(a)):
        pivot = max(range(k, len(a)), key=lambda i: abs(a[i, k]))
        if abs(a[pivot, k]) <= smallest:
            return mp.zero, None
        if pivot != k:
            a[[k, pivot]], right[[k, pivot]] = a[[pivot, k]], right[[pivot, k]]
            determinant = -determinant
        determinant = determinant * a[k, k]
        right[k] = right[k] / a[k, k]
        a[k] = a[k] / a[k, k]
        for i in range(len(a)):
            if i != k:
                right[i] = right[i] - right[k] * a[i, k]
                a[i] = a[i] - a[k] * a[i, k]
    return determinant, right


def _solved(mp: Any, a: Any, b: Any) -> Any:
    solution = _eliminated(mp, a, b.reshape(len(a), -1))[1]
    if solution is None:
        raise ZeroDivisionError("a singular matrix")
    return solution.reshape(b.shape)


def _identity(mp: Any, n: int) -> Any:
    out = np.empty((n, n), dtype=object)
    out[...] = mp.zero
    for i in range(n):
        out[i, i] = mp.one
    return out


def _determinant(mp: Any, a: Any) -> Any:
    return _eliminated(mp, a, _identity(mp, len(a)))[0]


def _log_of_size(mp: Any, a: Any) -> Any:
    """log|det a|, continued analytically."""
    determinant = _determinant(mp, a)
    return mp.log(_side(mp, determinant) * determinant)


_MATRIX_ROWS: dict[str, Callable[..., Any]] = {
    "inv": lambda mp, a: _solved(mp, a, _identity(mp, len(a))),
    "solve": _solved,
    "det": _determinant,
    "logabsdet": _log_of_size,
    "sign_det": lambda mp, a: _side(mp, _determinant(mp, a)),
}
