"""Which rows compute which functions of SymPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp

from calcbench.graph.arraytype import GraphError
from calcbench.graph.elementwise import negative
from calcbench.graph.lifting import Value
from calcbench.graph.primitive import find_primitive
from calcbench.graph.structural import literal_of


Number = Callable[[Any], Value]  # writes a constant
Rule = Callable[..., Any]  # takes that, and the operands


def power_row(part: Any, operands: list[Value]) -> Any:
    if part.exp is sp.S.NegativeOne:
        return find_primitive("reciprocal")(operands[0])
    special = {sp.Integer(2): "square", sp.Rational(1, 2): "sqrt"}
    name = special.get(part.exp)
    if name is not None:
        return find_primitive(name)(operands[0])
    return find_primitive("power")(*operands)


def polygamma_row(order: Any, x: Value) -> Any:
    if not isinstance(order, sp.Integer):
        raise GraphError(f"polygamma of the order {order}; the order must be a number")
    if order == 0:
        return find_primitive("digamma")(x)
    return find_primitive("polygamma")(x, order=int(order))


def _row(name: str) -> Rule:
    return lambda number, *xs: find_primitive(name)(*xs)


def _folded(name: str) -> Rule:
    """A row of two operands for a SymPy class of any number."""

    def fold(number: Number, *xs: Value) -> Any:
        result = xs[0]
        for x in xs[1:]:
            result = find_primitive(name)(result, x)
        return result

    return fold


def _sum(number: Number, *xs: Value) -> Any:
    """x - y for x + (-y)."""
    result = xs[0]
    for x in xs[1:]:
        node = x.builder.nodes[x.id]
        inner = Value(x.builder, node.operands[0]) if node.row is negative else None
        result = result + x if inner is None else result - inner
    return result


def _piecewise(number: Number, *xs: Value) -> Any:
    """Nested selections; NaN where no condition holds."""
    pairs = list(zip(xs[::2], xs[1::2], strict=True))
    result = number(float("nan"))
    for value, condition in reversed(pairs):
        always = bool(literal_of(condition.builder, condition.id))
        result = value if always else find_primitive("select")(condition, value, result)
    return result


def _heaviside(number: Number, x: Value, at_zero: Value) -> Any:
    zero, select = number(0.0), find_primitive("select")
    positive = find_primitive("greater")(x, zero)
    below = select(find_primitive("less")(x, zero), zero, at_zero)
    return select(positive, number(1.0), below)


def _if_then_else(number: Number, condition: Value, a: Value, b: Value) -> Any:
    both, either = find_primitive("logical_and"), find_primitive("logical_or")
    return either(both(condition, a), both(find_primitive("logical_not")(condition), b))


def _inverse(name: str) -> Rule:
    return lambda number, x: find_primitive("reciprocal")(find_primitive(name)(x))


RULES: dict[str, Rule] = {
    "Add": _sum,
    "Max": _folded("maximum"),
    "Min": _folded("minimum"),
    "And": _folded("logical_and"),
    "Or": _folded("logical_or"),
    "Xor": _folded("logical_xor"),
    "Not": _row("logical_not"),
    "Piecewise": _piecewise,
    "Heaviside": _heaviside,
    "ITE": _if_then_else,
    "Abs": _row("abs"),
    "ceiling": _row("ceil"),
    "Mod": _row("remainder"),
    "detached": _row("detach"),
    "StrictLessThan": _row("less"),
    "LessThan": _row("less_equal"),
    "StrictGreaterThan": _row("greater"),
    "GreaterThan": _row("greater_equal"),
    "Equality": _row("equal"),
    "Unequality": _row("not_equal"),
    "cot": _inverse("tan"),
    "sec": _inverse("cos"),
    "csc": _inverse("sin"),
    "coth": _inverse("tanh"),
    "csch": _inverse("sinh"),
    **{name: _row(name) for name in ("sign", "floor", "exp", "log", "sin", "cos", "tan")},
    **{name: _row(name) for name in ("sinh", "cosh", "tanh", "sech", "erf", "erfc")},
    **{f"a{name}": _row(f"arc{name}") for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "atan2": _row("arctan2"),
}
