"""Rows that compare, combine truth values, and select."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.graph.arraytype import BOOL, ArrayType, DTypeError, Shape
from calcbench.graph.conventions import slope_at, tie_share
from calcbench.graph.primitive import (
    Masked,
    Sample,
    check_same,
    comparison,
    elementwise,
    piecewise_constant,
)
from calcbench.graph.structural import full


less = comparison("less", np.less, "StrictLessThan", "<")
less_equal = comparison("less_equal", np.less_equal, "LessThan", "<=")
greater = comparison("greater", np.greater, "StrictGreaterThan", ">")
greater_equal = comparison("greater_equal", np.greater_equal, "GreaterThan", ">=")
equal = comparison("equal", np.equal, "Equality", "==")
not_equal = comparison("not_equal", np.not_equal, "Unequality", "!=")

logical_and = piecewise_constant(
    "logical_and", np.logical_and, "And", "({0} & {1})", ["bool"], "bool", facts="exact"
)
logical_or = piecewise_constant(
    "logical_or", np.logical_or, "Or", "({0} | {1})", ["bool"], "bool", facts="exact"
)
logical_xor = piecewise_constant(
    "logical_xor", np.logical_xor, "Xor", "({0} != {1})", ["bool"], "bool", facts="exact"
)
logical_not = piecewise_constant(
    "logical_not", np.logical_not, "Not", "(not {0})", ["bool"], "bool", facts="exact"
)
ORDERINGS = (less, less_equal, greater, greater_equal)

isnan = piecewise_constant("isnan", np.isnan, None, "({0} != {0})", gives=BOOL, facts="exact")


def _select_type(condition: ArrayType, taken: ArrayType, other: ArrayType) -> ArrayType:
    if condition.dtype != BOOL:
        raise DTypeError(f"select takes a bool condition, got {condition}")
    check_same("select", condition, ArrayType(taken.shape, BOOL))
    check_same("select", taken, other)
    return taken


def _select_partials(
    z: Any, condition: Any, taken: Any, other: Any, active: Sequence[bool]
) -> tuple[Any, ...]:
    """The branch's own mask, after `_tied_partials` and `_without_isolated_points`."""
    node = condition.builder.nodes[condition.id]
    if node.row in ORDERINGS and set(node.operands) == {taken.id, other.id}:
        return None, *_tied_partials(condition, taken, other, active)
    condition = _without_isolated_points(condition, taken, other)
    return None, Masked(condition, 1), Masked(logical_not(condition), 1)


def _without_isolated_points(condition: Any, taken: Any, other: Any) -> Any:
    """A branch taken only where ``x == c`` has measure zero.

    If both branches agree there, the function is continuous and the other branch has its slope.
    """
    node = condition.builder.nodes[condition.id]
    if node.row is equal and condition.builder.types[node.operands[0]].is_float:
        return logical_and(condition, not_equal(taken, other))
    return condition


def _tied_partials(
    condition: Any, taken: Any, other: Any, active: Sequence[bool]
) -> tuple[Masked, Masked]:
    """``where(x > c, x, c)`` has the kink of ``maximum(x, c)`` at x == c, and so on."""
    node = condition.builder.nodes[condition.id]
    larger = (node.row in (greater, greater_equal)) == (node.operands[0] == taken.id)
    both = active[1] and active[2]
    slope = slope_at("max" if larger else "min")
    tie = equal(taken, other)
    first, second = (tie_share(True), tie_share(False)) if both else (slope, slope)
    return _at_tie(condition, tie, taken, first), _at_tie(
        logical_not(condition), tie, other, second
    )


def _at_tie(chosen: Any, tie: Any, branch: Any, share: float) -> Masked:
    if share == 0.0:
        return Masked(logical_and(chosen, logical_not(tie)), 1)
    either = logical_or(chosen, tie)
    if share == 1.0:
        return Masked(either, 1)
    return Masked(either, select(tie, full(branch, share), full(branch, 1)))


def _select(condition: Any, taken: Any, other: Any) -> Any:
    chosen: Any = np.where(condition, taken, other)
    return chosen[()]


_SHAPES: tuple[Shape, ...] = ((), (5,), (2, 3))
select = elementwise(
    "select",
    _select,
    lambda sp, c, a, b: sp.Piecewise((a, c), (b, True)),
    "({1} if {0} else {2})",
    _select_partials,
    infer=_select_type,
    samples=tuple(Sample((s,) * 3, {}, ("bool", (-2, 2), (-2, 2))) for s in _SHAPES),
    facts="kink exact",
)
