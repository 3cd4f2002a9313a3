"""NumPy's universal functions on graph values, each a row or a short composition of rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from calcbench.graph import comparison, elementwise as rows, kinks, special
from calcbench.graph.arraytype import BOOL, FLOAT64, DTypeError
from calcbench.graph.axes import as_float, as_truth, lift, lift_all, number_like
from calcbench.graph.contractions import matmul, vecdot
from calcbench.graph.lifting import Value, as_dtype, binary, promote
from calcbench.graph.primitive import Primitive
from calcbench.graph.selecting import where
from calcbench.graph.structural import zeros


Meaning = Callable[..., Any]


def of_floats(row: Primitive) -> Meaning:
    """A row of floats as NumPy's function: integers become float64, shapes broadcast."""

    def call(*operands: Any) -> Any:
        first = operands[0]
        if len(operands) == 1 and type(first) is Value and first.alias is None:
            builder = first.builder
            if builder.level >= 0 and builder.types[first.id].dtype.kind == "f":
                return Value(builder, builder.add(row, (first.id,)))
        return row(*promote(operands, to_float=True))

    call.__name__, call.__doc__ = row.name, f"``np.{row.name}``."
    return call


def of_numbers(row: Primitive) -> Meaning:
    """A row that keeps integers."""

    def call(*operands: Any) -> Any:
        return row(*promote(operands))

    call.__name__, call.__doc__ = row.name, f"``np.{row.name}``."
    return call


def of_truths(row: Primitive) -> Meaning:
    """A row of truth values as NumPy's function: an entry counts as whether it is not zero."""

    def call(*operands: Any) -> Any:
        return row(*promote(tuple(as_truth(v) for v in lift_all(operands))))

    call.__name__, call.__doc__ = row.name, f"``np.{row.name}``."
    return call


def of_bits(row: Primitive, name: str) -> Meaning:
    """A bitwise ufunc, which has a meaning here for truth values only."""

    def call(*operands: Any) -> Any:
        values = promote(operands)
        if values[0].type.dtype != BOOL:
            raise DTypeError(f"{name} of traced values takes truth values, got {values[0].type}")
        return row(*values)

    return call


def step(row: Primitive) -> Meaning:
    """floor, ceil and trunc leave integers as they are."""

    def call(x: Any) -> Any:
        value = lift(x)
        return row(value) if value.type.is_float else value

    call.__name__, call.__doc__ = row.name, f"``np.{row.name}``."
    return call


# --- compositions ----------------------------------------------------------------------------


def scaled_by(numerator: float, denominator: float) -> Meaning:
    """Multiplication by a quotient, rounded in the dtype of the operand as NumPy does."""

    def call(x: Any) -> Any:
        value = as_float(lift(x))
        scalar = value.type.dtype.type
        return value * number_like(value, float(scalar(numerator) / scalar(denominator)))

    return call


def is_finite(x: Any) -> Any:
    """``np.isfinite``."""
    return abs(as_float(lift(x))) < math.inf


def is_infinite(x: Any) -> Any:
    """``np.isinf``."""
    return abs(as_float(lift(x))) == math.inf


def is_nan(x: Any) -> Any:
    """``np.isnan``."""
    return comparison.isnan(as_float(lift(x)))


def unchanged(x: Any) -> Any:
    """``np.positive`` and ``np.conjugate`` of real values."""
    value = lift(x)
    return Value(value.builder, value.id)


def ignoring_nan(row: Primitive) -> Meaning:
    """fmax and fmin: where one operand is NaN the other counts."""

    def call(x: Any, y: Any) -> Any:
        first, second = promote((x, y))
        if not first.type.is_float:
            return row(first, second)
        found = where(comparison.isnan(second), first, row(first, second))
        return where(comparison.isnan(first), second, found)

    return call


def fmod(x: Any, y: Any) -> Any:
    """``np.fmod``: the remainder with the sign of `x`."""
    first, second = promote((x, y))
    size = abs(second)
    return where(first < 0, -rows.remainder(-first, size), rows.remainder(first, size))


def divmod_(x: Any, y: Any) -> tuple[Any, Any]:
    """``np.divmod``."""
    return binary(rows.floor_divide, x, y), binary(rows.remainder, x, y)


def heaviside(x: Any, y: Any) -> Any:
    """``np.heaviside``."""
    first, second = promote((x, y), to_float=True)
    below = where(first < 0, zeros(first), rows.one(first))
    return where(first == 0, second, where(comparison.isnan(first), first, below))


def logaddexp2(x: Any, y: Any) -> Any:
    """``np.logaddexp2``."""
    first, second = promote((x, y), to_float=True)
    return rows.logaddexp(first * math.log(2.0), second * math.log(2.0)) / math.log(2.0)


def float_power(x: Any, y: Any) -> Any:
    """``np.float_power``, in float64."""
    return rows.power(*promote(tuple(as_dtype(v, FLOAT64) for v in lift_all((x, y)))))


UNARY_FLOAT = (
    "sqrt", "cbrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan",
    "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "rint",
)  # fmt: skip

UFUNCS: dict[np.ufunc, Meaning] = {
    **{getattr(np, name): of_floats(getattr(rows, name)) for name in UNARY_FLOAT},
    **{getattr(np, name): step(getattr(rows, name)) for name in ("floor", "ceil", "trunc")},
    # Binary rows stay rows: dispatch adds them without promoting where nothing promotes.
    np.add: rows.add,
    np.subtract: rows.subtract,
    np.multiply: rows.multiply,
    np.true_divide: rows.divide,
    np.floor_divide: rows.floor_divide,
    np.remainder: rows.remainder,
    np.maximum: kinks.maximum,
    np.minimum: kinks.minimum,
    np.less: comparison.less,
    np.less_equal: comparison.less_equal,
    np.greater: comparison.greater,
    np.greater_equal: comparison.greater_equal,
    np.equal: comparison.equal,
    np.not_equal: comparison.not_equal,
    np.arctan2: of_floats(rows.arctan2),
    np.hypot: of_floats(rows.hypot),
    np.logaddexp: of_floats(rows.logaddexp),
    np.float_power: float_power,
    np.power: rows.power,
    np.negative: of_numbers(rows.negative),
    np.absolute: of_numbers(kinks.abs_),
    np.sign: of_numbers(kinks.sign),
    np.square: of_numbers(rows.square),
    np.reciprocal: of_numbers(rows.reciprocal),
    np.fabs: of_floats(kinks.abs_),
    np.positive: unchanged,
    np.conjugate: unchanged,
    np.degrees: scaled_by(180.0, math.pi),
    np.rad2deg: scaled_by(180.0, math.pi),
    np.radians: scaled_by(math.pi, 180.0),
    np.deg2rad: scaled_by(math.pi, 180.0),
    np.isnan: is_nan,
    np.isfinite: is_finite,
    np.isinf: is_infinite,
    np.logical_and: of_truths(comparison.logical_and),
    np.logical_or: of_truths(comparison.logical_or),
    np.logical_xor: of_truths(comparison.logical_xor),
    np.logical_not: of_truths(comparison.logical_not),
    np.bitwise_and: of_bits(comparison.logical_and, "bitwise_and"),
    np.bitwise_or: of_bits(comparison.logical_or, "bitwise_or"),
    np.bitwise_xor: of_bits(comparison.logical_xor, "bitwise_xor"),
    np.invert: of_bits(comparison.logical_not, "invert"),
    np.fmax: ignoring_nan(kinks.maximum),
    np.fmin: ignoring_nan(kinks.minimum),
    np.fmod: fmod,
    np.divmod: divmod_,
    np.heaviside: heaviside,
    np.logaddexp2: logaddexp2,
    np.matmul: matmul,
    np.vecdot: vecdot,
}

# scipy.special is known by the names of its ufuncs, so that SciPy need not be loaded.
SPECIAL: dict[str, Meaning] = {
    "erf": of_floats(special.erf),
    "erfc": of_floats(special.erfc),
    "gammaln": of_floats(special.lgamma),
    "psi": of_floats(special.digamma),
    "digamma": of_floats(special.digamma),
    "expit": of_floats(rows.sigmoid),
    "cbrt": of_floats(rows.cbrt),
    "exp2": of_floats(rows.exp2),
    "expm1": of_floats(rows.expm1),
    "log1p": of_floats(rows.log1p),
}


def find_ufunc(ufunc: np.ufunc) -> Meaning | None:
    """The meaning of a ufunc of NumPy or of scipy.special, or None."""
    return UFUNCS.get(ufunc) or SPECIAL.get(ufunc.__name__)
