"""Smooth rows that act entry by entry: arithmetic, powers, exponentials, circles, hyperbolas."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.comparison import equal, greater, logical_and, logical_not
from calcbench.graph.primitive import (
    Masked,
    Primitive,
    Sample,
    elementwise,
    multilinear,
    piecewise_constant,
)
from calcbench.graph.structural import full, literal_of, literal_value, matmul, zeros


REAL = ((-2.0, 2.0),)
POSITIVE = ((0.1, 3.0),)
UNIT = ((-0.9, 0.9),)


def one(x: Any) -> Any:
    """A 1 of the type of `x`."""
    return full(x, 1)


# --- arithmetic ------------------------------------------------------------------------------
# Python's operators reach NumPy's scalar arithmetic, several times faster than a ufunc there.

add: Primitive = elementwise(
    "add", operator.add, "Add", "({0} + {1})", lambda z, x, y: (1, 1), REAL, "number",
    "commutative exact",
)  # fmt: skip
subtract: Primitive = elementwise(
    "subtract", operator.sub, lambda sp, x, y: x - y, "({0} - {1})", lambda z, x, y: (1, -1),
    REAL, "number", "exact",
)  # fmt: skip
multiply: Primitive = elementwise(
    "multiply", operator.mul, "Mul", "({0} * {1})", lambda z, x, y: (y, x), REAL, "number",
    "commutative exact",
)  # fmt: skip
# -z/y and not -x/y**2: y**2 overflows and underflows where z/y does not.
divide: Primitive = elementwise(
    "divide", lambda x, y: np.true_divide(x, y), lambda sp, x, y: x / y, "({0} / {1})",
    lambda z, x, y: (reciprocal(y), -(z / y)), [(-2.0, 2.0), (0.3, 2.0)], facts="exact singular",
)  # fmt: skip
negative: Primitive = elementwise(
    "negative", operator.neg, lambda sp, x: -x, "(-{0})", lambda z, x: (-1,), REAL, "number",
    "exact",
)  # fmt: skip
reciprocal: Primitive = elementwise(
    "reciprocal", lambda x: np.true_divide(1, x, dtype=x.dtype), lambda sp, x: 1 / x,
    "(1.0 / {0})", lambda z, x: (-(z * z),), POSITIVE, facts="exact singular",
)  # fmt: skip
square: Primitive = elementwise(
    "square", np.square, lambda sp, x: x**2, "({0} * {0})", lambda z, x: (x * 2,), REAL, "number",
    "exact nonnegative",
)  # fmt: skip


_ADDS_UP = frozenset(("add", "sum", "reshape", "broadcast", "transpose", "slice"))


def is_square(x: Any) -> bool:
    """Whether the node of `x` says that it is a square or a sum of squares (1000 nodes looked at).

    The bound keeps a program of many roots linear; it holds the norm of 500 entries, written as a
    sum in Python.
    """
    pending, looked = [x.id], 0
    while pending and looked < 1000:
        index, looked = pending.pop(), looked + 1
        node = x.builder.nodes[index]
        if node.row.name in _ADDS_UP:
            pending.extend(node.operands)
        elif (inner := _unscaled(x.builder, node)) is not None:
            pending.append(inner)
        elif not _squares(x.builder, node):
            start = literal_of(x.builder, index)  # as the 0 with which Python's sum() starts
            if start is None or not start >= 0:
                return False
    return not pending


def _unscaled(builder: Any, node: Any) -> int | None:
    """What a node multiplies or divides by a positive constant, as a mean does."""
    if node.row is not multiply and node.row is not divide:
        return None
    first, second = node.operands
    if (literal_of(builder, second) or 0) > 0:
        return int(first)
    scaled = node.row is multiply and (literal_of(builder, first) or 0) > 0
    return int(second) if scaled else None


def _squares(builder: Any, node: Any) -> bool:
    if node.row is power:
        return literal_of(builder, node.operands[1]) == 2
    twice = len(node.operands) == 2 and node.operands[0] == node.operands[1]
    inner_product = node.row is matmul and builder.types[node.operands[0]].ndim == 1
    return node.row is square or (twice and (node.row is multiply or inner_product))


def _sqrt_partials(z: Any, x: Any) -> tuple[Any, ...]:
    """1/(2z), masked at z = 0 if x is a sum of squares: a norm, whose min-norm slope at 0 is 0."""
    partial = full(z, 0.5) / z
    return (Masked(logical_not(equal(z, zeros(z))), partial) if is_square(x) else partial,)


sqrt: Primitive = elementwise(
    "sqrt", np.sqrt, "sqrt", "math.sqrt({0})", _sqrt_partials, POSITIVE,
    facts="nonnegative singular",
)  # fmt: skip
cbrt: Primitive = elementwise(
    "cbrt", np.cbrt, lambda sp, x: sp.sign(x) * sp.Abs(x) ** sp.Rational(1, 3),
    "np.cbrt({0})", lambda z, x: (reciprocal(square(z) * 3),), POSITIVE, facts="singular",
)  # fmt: skip


def _power_partials(z: Any, a: Any, b: Any) -> tuple[Any, ...]:
    """b a^(b-1), and a^b log a; 0 where they are 0*inf but the derivative exists.

    a^0 is constant in a; a^b stays 0 along b > 0 at a = 0 (the stan-math#3031 table).
    """
    exponent = literal_value(b)
    if exponent is not None:
        return _power_by_constant(a, b, exponent), z * log(a)
    by_base = Masked(logical_not(equal(b, zeros(b))), b * power(a, b - 1))
    flat = logical_and(equal(a, zeros(a)), greater(b, zeros(b)))
    return by_base, Masked(logical_not(flat), z * log(a))


def _power_by_constant(a: Any, b: Any, exponent: float) -> Any:
    simple = {0.0: None, 1.0: 1, 2.0: a * 2}
    if exponent in simple:
        return simple[exponent]
    slope = b * power(a, full(b, exponent - 1))
    if 0.5 <= exponent < 1 and is_square(a):  # |x|^(2 exponent): a norm at 0.5, else smooth
        return Masked(logical_not(equal(a, zeros(a))), slope)
    return slope


power: Primitive = elementwise(
    "power", np.power, "Pow", "({0} ** {1})", _power_partials, [(0.2, 2.0), (-2.0, 2.0)],
    facts="transcendental singular",
)  # fmt: skip
integer_power: Primitive = piecewise_constant(
    "integer_power", np.power, "Pow", "({0} ** {1})", takes="integer",
    samples=(Sample(((5,), (5,)), {}, ("integer", "index:4")),),
)  # fmt: skip
hypot: Primitive = elementwise(
    "hypot", np.hypot, lambda sp, x, y: sp.sqrt(x**2 + y**2), "math.hypot({0}, {1})",
    lambda z, x, y: tuple(Masked(logical_not(equal(z, zeros(z))), v / z) for v in (x, y)), REAL,
    facts="commutative nonnegative kink_at_origin",
)  # fmt: skip

# --- exponentials and logarithms -------------------------------------------------------------

exp: Primitive = elementwise(
    "exp", np.exp, "exp", "math.exp({0})", lambda z, x: (z,), REAL,
    facts="transcendental nonnegative",
)  # fmt: skip
exp2: Primitive = elementwise(
    "exp2", np.exp2, lambda sp, x: sp.Integer(2) ** x, "math.exp2({0})",
    lambda z, x: (z * math.log(2.0),), REAL, facts="transcendental nonnegative",
)  # fmt: skip
expm1: Primitive = elementwise(
    "expm1", np.expm1, lambda sp, x: sp.exp(x) - 1, "math.expm1({0})", lambda z, x: (exp(x),),
    REAL, facts="transcendental zero_preserving",
)  # fmt: skip
log: Primitive = elementwise(
    "log", np.log, "log", "math.log({0})", lambda z, x: (reciprocal(x),), POSITIVE,
    facts="transcendental singular",
)  # fmt: skip
log2: Primitive = elementwise(
    "log2", np.log2, lambda sp, x: sp.log(x, 2), "math.log2({0})",
    lambda z, x: (reciprocal(x * math.log(2.0)),), POSITIVE, facts="transcendental singular",
)  # fmt: skip
log10: Primitive = elementwise(
    "log10", np.log10, lambda sp, x: sp.log(x, 10), "math.log10({0})",
    lambda z, x: (reciprocal(x * math.log(10.0)),), POSITIVE, facts="transcendental singular",
)  # fmt: skip
log1p: Primitive = elementwise(
    "log1p", np.log1p, lambda sp, x: sp.log(1 + x), "math.log1p({0})",
    lambda z, x: (reciprocal(x + 1),), POSITIVE, facts="transcendental zero_preserving singular",
)  # fmt: skip


def _logaddexp_partials(z: Any, x: Any, y: Any) -> tuple[Any, ...]:
    return sigmoid(x - y), sigmoid(y - x)


logaddexp: Primitive = elementwise(
    "logaddexp", np.logaddexp, lambda sp, x, y: sp.log(sp.exp(x) + sp.exp(y)),
    "(max({0}, {1}) + (math.log1p(math.exp(-abs({0} - {1}))) if {0} != {1} else math.log(2.0)))",
    _logaddexp_partials, REAL, facts="commutative transcendental",
)  # fmt: skip


def _sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return (np.where(x >= 0, x.dtype.type(1), e) / (1 + e))[()]


# s(x) s(-x) and not s(1 - s): 1 - s loses every digit for large x.
sigmoid: Primitive = elementwise(
    "sigmoid", _sigmoid, lambda sp, x: 1 / (1 + sp.exp(-x)),
    "((1.0 if {0} >= 0 else math.exp(-abs({0}))) / (1.0 + math.exp(-abs({0}))))",
    lambda z, x: (z * sigmoid(-x),), REAL, facts="transcendental nonnegative",
)  # fmt: skip
softplus: Primitive = elementwise(
    "softplus", lambda x: np.logaddexp(x, np.zeros_like(x)), lambda sp, x: sp.log(1 + sp.exp(x)),
    "(max({0}, 0.0) + math.log1p(math.exp(-abs({0}))))", lambda z, x: (sigmoid(x),), REAL,
    facts="transcendental nonnegative",
)  # fmt: skip

# --- circles ---------------------------------------------------------------------------------

sin: Primitive = elementwise(
    "sin", np.sin, "sin", "math.sin({0})", lambda z, x: (cos(x),), REAL,
    facts="transcendental zero_preserving",
)  # fmt: skip
cos: Primitive = elementwise(
    "cos", np.cos, "cos", "math.cos({0})", lambda z, x: (-sin(x),), REAL, facts="transcendental"
)
tan: Primitive = elementwise(
    "tan", np.tan, "tan", "math.tan({0})", lambda z, x: (z * z + 1,), ((-1.2, 1.2),),
    facts="transcendental zero_preserving",
)  # fmt: skip


def _chord(x: Any) -> Any:
    """sqrt((1 - x)(1 + x)): the factors stay exact near |x| = 1, where 1 - x*x cancels."""
    return sqrt((one(x) - x) * (x + 1))


arcsin: Primitive = elementwise(
    "arcsin", np.arcsin, "asin", "math.asin({0})", lambda z, x: (reciprocal(_chord(x)),), UNIT,
    facts="transcendental zero_preserving singular",
)  # fmt: skip
arccos: Primitive = elementwise(
    "arccos", np.arccos, "acos", "math.acos({0})", lambda z, x: (-reciprocal(_chord(x)),), UNIT,
    facts="transcendental singular",
)  # fmt: skip
arctan: Primitive = elementwise(
    "arctan", np.arctan, "atan", "math.atan({0})", lambda z, x: (reciprocal(x * x + 1),), REAL,
    facts="transcendental zero_preserving",
)  # fmt: skip


def _arctan2_partials(z: Any, y: Any, x: Any) -> tuple[Any, ...]:
    radius = hypot(x, y)
    return x / radius / radius, -(y / radius / radius)


arctan2: Primitive = elementwise(
    "arctan2", np.arctan2, "atan2", "math.atan2({0}, {1})", _arctan2_partials,
    [(-2.0, 2.0), (0.3, 2.0)], facts="transcendental singular",
)  # fmt: skip

# --- hyperbolas ------------------------------------------------------------------------------

sinh: Primitive = elementwise(
    "sinh", np.sinh, "sinh", "math.sinh({0})", lambda z, x: (cosh(x),), REAL,
    facts="transcendental zero_preserving",
)  # fmt: skip
cosh: Primitive = elementwise(
    "cosh", np.cosh, "cosh", "math.cosh({0})", lambda z, x: (sinh(x),), REAL,
    facts="transcendental nonnegative",
)  # fmt: skip


def _sech(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return (e + e) / (e * e + 1)


sech: Primitive = elementwise(
    "sech", _sech, "sech", "(2.0 * math.exp(-abs({0})) / (1.0 + math.exp(-2.0 * abs({0}))))",
    lambda z, x: (-(z * tanh(x)),), REAL, facts="transcendental nonnegative",
)  # fmt: skip
# 1 - z*z loses every digit for large |x|, where z is 1.
tanh: Primitive = elementwise(
    "tanh", np.tanh, "tanh", "math.tanh({0})", lambda z, x: (square(sech(x)),), REAL,
    facts="transcendental zero_preserving",
)  # fmt: skip
arcsinh: Primitive = elementwise(
    "arcsinh", np.arcsinh, "asinh", "math.asinh({0})",
    lambda z, x: (reciprocal(hypot(x, one(x))),), REAL, facts="transcendental zero_preserving",
)  # fmt: skip
arccosh: Primitive = elementwise(
    "arccosh", np.arccosh, "acosh", "math.acosh({0})",
    lambda z, x: (reciprocal(sqrt(x - 1) * sqrt(x + 1)),), ((1.2, 4.0),),
    facts="transcendental singular",
)  # fmt: skip
arctanh: Primitive = elementwise(
    "arctanh", np.arctanh, "atanh", "math.atanh({0})",
    lambda z, x: (reciprocal((one(x) - x) * (x + 1)),), UNIT,
    facts="transcendental zero_preserving singular",
)  # fmt: skip

# --- steps -----------------------------------------------------------------------------------
# np.floor and not math.floor, whose result is an int: that has no infinity, NaN or -0.

floor: Primitive = piecewise_constant("floor", np.floor, "floor", "np.floor({0})")
ceil: Primitive = piecewise_constant("ceil", np.ceil, "ceiling", "np.ceil({0})")
trunc: Primitive = piecewise_constant(
    "trunc", np.trunc, lambda sp, x: sp.sign(x) * sp.floor(sp.Abs(x)), "np.trunc({0})"
)
rint: Primitive = piecewise_constant("rint", np.rint, None, "np.rint({0})")
floor_divide: Primitive = piecewise_constant(
    "floor_divide", lambda x, y: np.floor_divide(x, y), lambda sp, x, y: sp.floor(x / y),
    "({0} // {1})", [(-3.0, 3.0), (0.3, 2.0)], "number",
)  # fmt: skip
# d/dy of x mod y is -floor(x/y), away from its jumps.
remainder: Primitive = elementwise(
    "remainder", lambda x, y: np.remainder(x, y), "Mod", "({0} % {1})",
    lambda z, x, y: (1, -floor_divide(x, y)), [(-3.0, 3.0), (0.3, 2.0)], "number",
)  # fmt: skip

# --- changes of meaning, not of value ----------------------------------------------------------

detach: Primitive = piecewise_constant(
    "detach", lambda x: x, None, "{0}", [(-2.0, 2.0)], "any", facts="exact"
)


def _convert_type(x: ArrayType, *, dtype: np.dtype) -> ArrayType:
    return ArrayType(x.shape, dtype)


convert: Primitive = multilinear(
    "convert",
    lambda x, *, dtype: np.asarray(x).astype(dtype)[()],
    _convert_type,
    [lambda ct, x, *, dtype: convert(ct, dtype=x.type.dtype)],
    [Sample(((3,),), {"dtype": np.dtype(np.float32)}, ((-2.0, 2.0),))],
    facts="named",
)
