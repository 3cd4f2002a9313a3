"""One rule of differentiation applied at one place: which one, and what stands there then."""

from __future__ import annotations

from collections.abc import Callable

from calcbench.symbolic.derivations import rules
from calcbench.symbolic.derivations.rules import DERIVATIVE_TREES, Rule, function_rule
from calcbench.symbolic.derivations.scalar_trees import (
    Tree,
    binary,
    negated,
    number,
    number_of,
    pending,
    substituted,
)
from calcbench.symbolic.derivations.tidying import tidied


Applied = tuple[Rule, Tree]


def next_step(tree: Tree) -> Applied | None:
    """The rule for the first derivative still to be taken, and the tree after it."""
    if tree.kind == "derivative":
        return applied(tree.parts[0], tree.text)
    for place, part in enumerate(tree.parts):
        if (found := next_step(part)) is not None:
            rule, new = found
            return rule, tree._replace(parts=(*tree.parts[:place], new, *tree.parts[place + 1 :]))
    return None


def derived(tree: Tree, variable: str) -> Tree:
    """The derivative, by all rules that it needs, with zeros and ones removed."""
    current = pending(tree, variable)
    while (found := next_step(current)) is not None:
        current = found[1]
    return tidied(current)


def applied(u: Tree, x: str) -> Applied:
    """The rule for the derivative of `u` by `x`, and its right side."""
    if not u.holds("name", x):
        return rules.CONSTANT, number(0)
    if u.kind == "name":
        return rules.IDENTITY, number(1)
    if u.kind == "sign":
        return rules.SIGN, negated(pending(u.parts[0], x))
    if u.kind == "operator":
        return _OPERATORS[u.text](u.parts[0], u.parts[1], x)
    if len(u.parts) == 1:
        return _function(u, x)
    return _FUNCTIONS_OF_TWO[u.text](u.parts[0], u.parts[1], x)


def _sum(u: Tree, v: Tree, x: str) -> Applied:
    return rules.SUM, binary("+", pending(u, x), pending(v, x))


def _difference(u: Tree, v: Tree, x: str) -> Applied:
    return rules.DIFFERENCE, binary("-", pending(u, x), pending(v, x))


def _product(u: Tree, v: Tree, x: str) -> Applied:
    if not u.holds("name", x):
        return rules.MULTIPLE, binary("*", u, pending(v, x))
    if not v.holds("name", x):
        return rules.MULTIPLE, binary("*", pending(u, x), v)
    left, right = binary("*", pending(u, x), v), binary("*", u, pending(v, x))
    return rules.PRODUCT, binary("+", left, right)


def _quotient(u: Tree, v: Tree, x: str) -> Applied:
    if not v.holds("name", x):
        return rules.MULTIPLE, binary("/", pending(u, x), v)
    below = binary("^", v, number(2))
    if not u.holds("name", x):
        return rules.RECIPROCAL, negated(binary("/", binary("*", u, pending(v, x)), below))
    left, right = binary("*", pending(u, x), v), binary("*", u, pending(v, x))
    return rules.QUOTIENT, binary("/", binary("-", left, right), below)


def _power(u: Tree, v: Tree, x: str) -> Applied:
    if not v.holds("name", x):
        slope = binary("*", v, _lowered(u, v))
        if u.kind == "name":
            return rules.POWER, slope
        return rules.POWER_CHAIN, binary("*", slope, pending(u, x))
    whole = binary("^", u, v)
    logarithm = Tree("call", "log", (u,))
    if not u.holds("name", x):
        return rules.EXPONENTIAL, binary("*", binary("*", whole, logarithm), pending(v, x))
    by_exponent = binary("*", pending(v, x), logarithm)
    by_base = binary("/", binary("*", v, pending(u, x)), u)
    return rules.GENERAL_POWER, binary("*", whole, binary("+", by_exponent, by_base))


def _lowered(u: Tree, v: Tree) -> Tree:
    """u^(v - 1)."""
    known = number_of(v)
    if known is None:
        return binary("^", u, binary("-", v, number(1)))
    return u if known == 2 else binary("^", u, number(known - 1))


def _function(u: Tree, x: str) -> Applied:
    inner = u.parts[0]
    outer = substituted(DERIVATIVE_TREES[u.text], "u", inner)
    chained = inner.kind != "name"
    rule = function_rule(u.text, chained)
    return rule, binary("*", outer, pending(inner, x)) if chained else outer


def _larger(u: Tree, v: Tree, x: str, sign: str) -> Applied:
    """u' where u is taken and v' where v is, with the sign of u - v to choose."""
    side = Tree("call", "sign", (binary("-", u, v),))
    other = {"+": "-", "-": "+"}[sign]
    first = binary("/", binary("*", pending(u, x), binary(sign, number(1), side)), number(2))
    second = binary("/", binary("*", pending(v, x), binary(other, number(1), side)), number(2))
    return rules.MAXIMUM if sign == "+" else rules.MINIMUM, binary("+", first, second)


def _angle(u: Tree, v: Tree, x: str) -> Applied:
    above = binary("-", binary("*", pending(u, x), v), binary("*", u, pending(v, x)))
    below = binary("+", binary("^", u, number(2)), binary("^", v, number(2)))
    return rules.ANGLE, binary("/", above, below)


_OPERATORS: dict[str, Callable[[Tree, Tree, str], Applied]] = {
    "+": _sum, "-": _difference, "*": _product, "/": _quotient, "^": _power,
}  # fmt: skip
_FUNCTIONS_OF_TWO: dict[str, Callable[[Tree, Tree, str], Applied]] = {
    "max": lambda u, v, x: _larger(u, v, x, "+"),
    "min": lambda u, v, x: _larger(u, v, x, "-"),
    "atan2": _angle,
}
