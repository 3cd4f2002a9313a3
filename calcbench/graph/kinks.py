"""Rows with kinks; what they return there comes from `calcbench.graph.conventions`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.graph.comparison import not_equal
from calcbench.graph.conventions import slope_at, tie_share
from calcbench.graph.elementwise import multiply, negative, power
from calcbench.graph.nodes import INPUT
from calcbench.graph.primitive import (
    Masked,
    Sample,
    elementwise,
    piecewise_constant,
)
from calcbench.graph.structural import (
    literal_of,
    literal_value,
    zeros,
)


KINKED = ((-2.0, 2.0),)


# --- slopes: the partials of kink rows, as rows ----------------------------------------------


def _sign_at(x: Any, *, at_zero: float) -> Any:
    return np.where(x == 0, x.dtype.type(at_zero), np.sign(x))[()]


sign_at = piecewise_constant(
    "sign_at",
    _sign_at,
    None,
    "(1.0 if {0} > 0 else -1.0 if {0} < 0 else at_zero if {0} == 0 else {0})",
    samples=(Sample(((5,),), {"at_zero": 0.0}, KINKED), Sample(((3,),), {"at_zero": 1.0}, KINKED)),
)


def _share(x: Any, y: Any, *, tie: float) -> Any:
    decided = np.where(x == y, x.dtype.type(tie), (x > y).astype(x.dtype))
    return np.where(np.isnan(x) | np.isnan(y), x.dtype.type(np.nan), decided)[()]


# 1 where x is the larger, 0 where y is, `tie` where they are equal, NaN where either is NaN.
larger_share = piecewise_constant(
    "larger_share",
    _share,
    None,
    "(1.0 if {0} > {1} else 0.0 if {0} < {1} else tie if {0} == {1} else {0} + {1})",
    samples=(Sample(((5,), (5,)), {"tie": 0.5}, KINKED * 2),),
)


def gated(slope: Any) -> Masked:
    """A slope that also switches off: where it is 0 the contribution is exactly 0."""
    return Masked(not_equal(slope, zeros(slope)), slope)


# --- abs, sign, maximum, minimum, relu -------------------------------------------------------


def is_nonnegative(x: Any) -> bool:
    """Whether the node of `x` says that x >= 0 (or NaN) whatever its operands are."""
    node = x.builder.nodes[x.id]
    if node.row is INPUT:
        return False
    if node.row is power:
        exponent = literal_of(x.builder, node.operands[1])
        return exponent is not None and exponent % 2 == 0
    doubled = node.row is multiply and node.operands[0] == node.operands[1]
    return doubled or "nonnegative" in node.row.facts


def is_nonpositive(x: Any) -> bool:
    """Whether the node of `x` says that x <= 0 (or NaN): -(y*y), (-y)*y or y*(-y)."""
    nodes = x.builder.nodes
    node = nodes[x.id]
    if node.row is multiply:
        pairs = (node.operands, node.operands[::-1])
        return any(nodes[a].row is negative and nodes[a].operands == (b,) for a, b in pairs)
    return node.row is negative and is_nonnegative(type(x)(x.builder, node.operands[0]))


def _abs_partials(z: Any, x: Any, active: Sequence[bool]) -> tuple[Any, ...]:
    if is_nonnegative(x) or is_nonpositive(x):
        return (1 if is_nonnegative(x) else -1,)
    return (gated(sign_at(x, at_zero=slope_at("abs"))),)


abs_ = elementwise(
    "abs",
    np.abs,
    "Abs",
    "abs({0})",
    _abs_partials,
    KINKED,
    "number",
    "kink exact nonnegative",
)
sign = piecewise_constant(
    "sign",
    np.sign,
    "sign",
    "(1.0 if {0} > 0 else -1.0 if {0} < 0 else 0.0 if {0} == 0 else {0})",
    takes="number",
)


def _pair(winner: Any, x: Any, y: Any, active: Sequence[bool], kink: str) -> tuple[Any, ...]:
    """Both operands' partials, where ``winner(a, b, tie)`` is the share of a."""
    ties = (tie_share(True), tie_share(False)) if all(active) else (slope_at(kink),) * 2
    return gated(winner(x, y, ties[0])), gated(winner(y, x, ties[1]))


def _is_floor_of(bound: Any, x: Any) -> bool:
    """Whether x >= bound is known, so that maximum(x, bound) is x: a square, a constant <= 0."""
    number = literal_value(bound)
    return number is not None and number <= 0 and is_nonnegative(x)


def _maximum_partials(z: Any, x: Any, y: Any, active: Sequence[bool]) -> tuple[Any, ...]:
    if _is_floor_of(y, x) or _is_floor_of(x, y):
        return (1, None) if _is_floor_of(y, x) else (None, 1)
    return _pair(lambda a, b, tie: larger_share(a, b, tie=tie), x, y, active, "max")


def _minimum_partials(z: Any, x: Any, y: Any, active: Sequence[bool]) -> tuple[Any, ...]:
    return _pair(lambda a, b, tie: larger_share(b, a, tie=tie), x, y, active, "min")


maximum = elementwise(
    "maximum",
    np.maximum,
    "Max",
    "({0} if {0} >= {1} or {0} != {0} else {1})",
    _maximum_partials,
    KINKED,
    "number",
    "commutative kink exact",
)
minimum = elementwise(
    "minimum",
    np.minimum,
    "Min",
    "({0} if {0} <= {1} or {0} != {0} else {1})",
    _minimum_partials,
    KINKED,
    "number",
    "commutative kink exact",
)


def _relu_partials(z: Any, x: Any, active: Sequence[bool]) -> tuple[Any, ...]:
    if is_nonnegative(x):
        return (1,)
    return (gated(larger_share(x, zeros(x), tie=slope_at("max"))),)


relu = elementwise(
    "relu",
    lambda x: np.maximum(x, x.dtype.type(0)),
    lambda sp, x: sp.Max(x, 0),
    "({0} if {0} > 0 or {0} != {0} else 0.0)",
    _relu_partials,
    KINKED,
    "number",
    "kink exact nonnegative",
)
