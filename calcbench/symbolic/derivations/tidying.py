"""Arithmetic that a derivation leaves over: zeros, ones, and numbers beside numbers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from calcbench.symbolic.derivations.scalar_trees import Tree, binary, negated, number, number_of


LARGEST_FOLDED = 10**12  # beyond it numbers are left as they stand


def tidied(tree: Tree) -> Tree:
    """The tree without sums with 0, products with 0 and 1, and operations on two numbers.

    Equal wherever every part has a finite value.
    """
    done: dict[int, Tree] = {}  # parts that are one object stay one

    def visit(part: Tree) -> Tree:
        found = done.get(id(part))
        if found is None:
            found = done[id(part)] = _tidied_once(part, tuple(map(visit, part.parts)))
        return found

    return visit(tree)


def _tidied_once(tree: Tree, parts: tuple[Tree, ...]) -> Tree:
    if tree.kind == "sign":
        return minus(parts[0])
    if tree.kind == "operator":
        return OPERATIONS[tree.text](*parts)
    return tree._replace(parts=parts)


def plus(u: Tree, v: Tree) -> Tree:
    """u + v."""
    a, b = number_of(u), number_of(v)
    if a == 0 or b == 0:
        return v if a == 0 else u
    if v.kind == "sign" and b is None:
        return binary("-", u, v.parts[0])
    return _folded("+", u, v)


def less(u: Tree, v: Tree) -> Tree:
    """u - v."""
    a, b = number_of(u), number_of(v)
    if b == 0:
        return u
    if a == 0:
        return minus(v)
    if v.kind == "sign" and b is None:
        return binary("+", u, v.parts[0])
    return _folded("-", u, v)


def times(u: Tree, v: Tree) -> Tree:
    """u*v, with a number in front and a sign before everything."""
    a, b = number_of(u), number_of(v)
    if a == 0 or b == 0:
        return number(0)
    if a == 1 or b == 1:
        return v if a == 1 else u
    if a is None and u.kind == "sign":
        return minus(times(u.parts[0], v))
    if b is None and v.kind == "sign":
        return minus(times(u, v.parts[0]))
    if b is not None and a is None:
        return times(v, u)
    if a is None and (first := _first_factor(v)) is not None:
        return times(number(first), times(u, v.parts[1]))
    return _number_in_front(a, u, v) if a is not None and b is None else _folded("*", u, v)


def _number_in_front(a: Fraction, u: Tree, v: Tree) -> Tree:
    """a*v; one number where v begins with another."""
    if a == -1:
        return minus(v)
    if a < 0:
        return minus(times(number(-a), v))
    first = _first_factor(v)
    if first is None:
        return binary("*", u, v)
    return times(number(a * first), v.parts[1]) if _is_short(a * first) else binary("*", u, v)


def _first_factor(tree: Tree) -> Fraction | None:
    """The number with which a product begins."""
    is_product = (tree.kind, tree.text) == ("operator", "*")
    return number_of(tree.parts[0]) if is_product else None


def over(u: Tree, v: Tree) -> Tree:
    """u/v."""
    a, b = number_of(u), number_of(v)
    if b == 1 or (a == 0 and b != 0):
        return u
    if a is None and u.kind == "sign":
        return minus(over(u.parts[0], v))
    return binary("/", u, v) if b == 0 else _folded("/", u, v)


def to_power(u: Tree, v: Tree) -> Tree:
    """u^v."""
    b = number_of(v)
    if b == 0 or b == 1:
        return number(1) if b == 0 else u
    return binary("^", u, v)


def minus(u: Tree) -> Tree:
    """-u."""
    a = number_of(u)
    if a is not None:
        return number(-a)
    return u.parts[0] if u.kind == "sign" else negated(u)


_FOLDS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}


def _folded(symbol: str, u: Tree, v: Tree) -> Tree:
    a, b = number_of(u), number_of(v)
    if a is None or b is None:
        return binary(symbol, u, v)
    value = _FOLDS[symbol](a, b)
    return number(value) if _is_short(value) else binary(symbol, u, v)


def _is_short(value: Fraction) -> bool:
    return max(abs(value.numerator), value.denominator) <= LARGEST_FOLDED


OPERATIONS: dict[str, Callable[[Tree, Tree], Tree]] = {
    "+": plus, "-": less, "*": times, "/": over, "^": to_power,
}  # fmt: skip
