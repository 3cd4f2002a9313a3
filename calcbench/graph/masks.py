"""Tangents and cotangents that may be structural zeros or masked: scaling and adding them."""

from __future__ import annotations

from typing import Any

from calcbench.graph.comparison import logical_and, logical_not, logical_or, select
from calcbench.graph.elementwise import add, multiply, negative
from calcbench.graph.primitive import Masked
from calcbench.graph.structural import full, literal_value, zeros


def materialise(term: Any) -> Any:
    """A plain value: exactly 0 where the mask does not hold."""
    if isinstance(term, Masked):
        return term.value if term.zeroed else select(term.mask, term.value, zeros(term.value))
    return term


def scale(partial: Any, term: Any) -> Any:
    """partial * term, where either may be masked; the masked-out part never meets an infinity."""
    if isinstance(partial, Masked):
        inner = scale(partial.value, term)
        if isinstance(inner, Masked):
            return Masked(logical_and(partial.mask, inner.mask), inner.value)
        return Masked(partial.mask, inner)
    if isinstance(term, Masked):
        return Masked(
            term.mask, scale(partial, term.value), term.zeroed and isinstance(partial, int)
        )
    if isinstance(partial, int):
        return term if partial == 1 else negative(term)
    return _product(partial, term)


def _product(partial: Any, term: Any) -> Any:
    """Multiplying by a constant 1 is exact and left out."""
    if literal_value(term) == 1:
        return partial
    return term if literal_value(partial) == 1 else multiply(partial, term)


def combine(first: Any, second: Any) -> Any:
    """first + second; either may be None (zero). Complementary masks become one select."""
    if first is None or second is None:
        return second if first is None else first
    if isinstance(first, Masked) and isinstance(second, Masked):
        return _united(first, second)
    return add(materialise(first), materialise(second))


def _united(first: Masked, second: Masked) -> Any:
    """The sum of two masked terms: exactly 0 where neither mask holds."""
    if _is_negation(second.mask, first.mask):
        return select(first.mask, first.value, second.value)
    if _is_negation(first.mask, second.mask):
        return select(second.mask, second.value, first.value)
    if first.mask.id == second.mask.id:
        return Masked(first.mask, add(first.value, second.value), first.zeroed and second.zeroed)
    either = logical_or(first.mask, second.mask)
    return Masked(either, add(materialise(first), materialise(second)), zeroed=True)


def _is_negation(mask: Any, of: Any) -> bool:
    node = mask.builder.nodes[mask.id]
    return node.row is logical_not and node.operands[0] == of.id


def or_zeros(term: Any, like: Any) -> Any:
    """The term as a value, with a structural zero made an array of zeros."""
    return full(like, 0) if term is None else materialise(term)
