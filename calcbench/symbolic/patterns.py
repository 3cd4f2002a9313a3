"""Rows of the table recognised in SymPy expressions, where SymPy has several functions for one.

``log(1 + exp(x))`` is the row softplus, which does not overflow, and ``exp(x) - 1`` is expm1,
which does not cancel: taken apart, they would not keep their values.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import sympy as sp

from calcbench.symbolic.references.columns import template
from calcbench.symbolic.references.scalar_steps import SLOTS


class Pattern(NamedTuple):
    """A row with its params, and its SymPy expression."""

    row: str
    params: tuple[tuple[str, Any], ...]
    expression: Any


# The longer one first: log(1 + exp(x)) is also a log1p.
ROWS = ("sigmoid", "softplus", "logaddexp", "log1p", "expm1", "hypot", "log2", "log10", "lgamma")
SINC = ("sinc", "cbrt", "trunc", "rint")
SINC_ORDERS = (1, 2, 3, 4)


@cache
def _patterns() -> dict[type, list[Pattern]]:
    """The patterns by the class at their top."""
    found = [Pattern(n, (), template(n, (), 2 if n in ("logaddexp", "hypot") else 1)) for n in ROWS]
    found += [Pattern(name, (), template(name, (), 1)) for name in SINC]
    for order in SINC_ORDERS:
        params = (("order", order),)
        found.append(Pattern("sinc_derivative", params, template("sinc_derivative", params, 1)))
    by_class: dict[type, list[Pattern]] = {}
    for pattern in found:
        by_class.setdefault(pattern.expression.func, []).append(pattern)
    return by_class


def recognised(part: Any) -> tuple[Pattern, list[Any]] | None:
    """The row that an expression is, and its operands; None if it is none of these."""
    for pattern in _patterns().get(part.func, []):
        bound = _matched(pattern.expression, part, {})
        if bound is not None:
            return pattern, [bound[s] for s in SLOTS[: len(bound)]]
    return None


Bound = dict[Any, Any]


def _matched(pattern: Any, part: Any, bound: Bound) -> Bound | None:
    """What the slots of the pattern are in `part`, added to `bound`; None if it does not fit."""
    if pattern in SLOTS:
        known = bound.get(pattern, part)
        return {**bound, pattern: part} if known is part or known == part else None
    if not pattern.args:
        return bound if pattern == part else None
    if pattern.func is not part.func or len(pattern.args) != len(part.args):
        return None
    orders = [part.args]
    if isinstance(part, sp.Add | sp.Mul) and len(part.args) == 2:
        orders.append(part.args[::-1])  # SymPy sorts the operands of sums and products
    for args in orders:
        found: Bound | None = bound
        for inner, arg in zip(pattern.args, args, strict=True):
            found = None if found is None else _matched(inner, arg, found)
        if found is not None:
            return found
    return None
