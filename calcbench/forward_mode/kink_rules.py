"""What rows with kinks do at a tie: ask which piece is meant, take its value and tangents."""

from __future__ import annotations

from typing import Any

import numpy as np

from calcbench.forward_mode.lane_rules import LANE_RULES
from calcbench.forward_mode.radicands import Square, literal, squares_of
from calcbench.forward_mode.smooth_rules import constant, smooth
from calcbench.forward_mode.ties import (
    entries_of,
    flattened,
    moves,
    tangent_of,
    with_ties,
)
from calcbench.forward_mode.walking import ZERO, Name, Rule, State, Walk
from calcbench.graph.arraytype import DerivativeError
from calcbench.graph.ir import numpy_meaning
from calcbench.graph.nodes import Node


def rule_of(node: Node) -> Rule:
    """The rule of a node: that of its row, or the smooth one."""
    return RULES.get(node.row.name, smooth)


# --- one operand or two, entry by entry ------------------------------------------------------


def _abs(walk: Walk, index: int, node: Node, operands: list[State]) -> State:
    (x,), (at,) = operands, node.operands
    value = np.abs(x.value)
    if x.tangent is None:
        return constant(value, operands)
    plain = State(value, np.sign(x.value) * x.tangent, x.still, x.flat)
    pieces = lambda e: ((Name(1, at, e), Name(-1, at, e)), 1)  # noqa: E731
    return with_ties(walk, index, pieces, np.equal(x.value, 0), plain)


def _relu(walk: Walk, index: int, node: Node, operands: list[State]) -> State:
    (x,), (at,) = operands, node.operands
    value = numpy_meaning(node, [x.value])
    if x.tangent is None:
        return constant(value, operands)
    off = np.less(x.value, 0)
    plain = State(value, np.where(off, 0.0, x.tangent), x.still | off, x.flat)
    pieces = lambda e: ((Name(1, at, e), ZERO), 1)  # noqa: E731
    return with_ties(walk, index, pieces, np.equal(x.value, 0), plain)


def _larger(sign: int) -> Rule:
    """maximum (+1) or minimum (-1): the minimum is minus the largest of the negatives."""

    def rule(walk: Walk, index: int, node: Node, operands: list[State]) -> State:
        (x, y), (at, other) = operands, node.operands
        value = numpy_meaning(node, [x.value, y.value])
        if not moves(operands):
            return constant(value, operands)
        first = np.greater(sign * x.value, sign * y.value)
        plain = _chosen(walk, first, x, y)._replace(value=value)
        pieces = lambda e: ((Name(sign, at, e), Name(sign, other, e)), sign)  # noqa: E731
        return with_ties(walk, index, pieces, np.equal(x.value, y.value), plain)

    return rule


def _chosen(walk: Walk, first: Any, x: State, y: State) -> State:
    tangent = np.where(first, tangent_of(walk, x), tangent_of(walk, y))
    still = np.where(first, x.still, y.still)
    return State(np.where(first, x.value, y.value)[()], tangent, still, x.flat and y.flat)


def _select(walk: Walk, index: int, node: Node, operands: list[State]) -> State:
    condition, x, y = operands
    state = _chosen(walk, condition.value, x, y)
    flat = state.flat and condition.flat
    return state._replace(flat=flat) if moves(operands) else constant(state.value, operands)


# --- truth values and steps ------------------------------------------------------------------

# The truth where the first operand is the larger, and where the second is.
COMPARISONS = {
    "less": (False, True), "less_equal": (False, True), "greater": (True, False),
    "greater_equal": (True, False), "equal": (False, False), "not_equal": (True, True),
    "larger_share": (1.0, 0.0),
}  # fmt: skip


def _comparison(walk: Walk, index: int, node: Node, operands: list[State]) -> State:
    (x, y), (at, other) = operands, node.operands
    value = np.array(numpy_meaning(node, [x.value, y.value]))
    if moves(operands):
        truths = COMPARISONS[node.row.name]
        for entry in entries_of(np.equal(x.value, y.value)):
            names = Name(1, at, entry), Name(1, other, entry)
            _force(walk, index, names, value, entry, truths)
    return constant(value[()], operands)


def _force(
    walk: Walk, index: int, names: Any, value: np.ndarray, entry: int, outcomes: tuple[Any, Any]
) -> None:
    """Set one entry to what holds where the first name is the larger, or the second."""
    if outcomes[0] == outcomes[1]:  # a test for equality fails next to the point, if it varies
        same = np.array_equal(walk.row(names[0]), walk.row(names[1]))
        if not (same and all(walk.is_flat(n) for n in names)):
            value.reshape(-1)[entry] = outcomes[0]
        return
    weights, _ = walk.ask(index, names, discrete=True)
    if weights is not None:
        value.reshape(-1)[entry] = outcomes[0 if weights[0] >= weights[1] else 1]


def _step(walk: Walk, index: int, node: Node, operands: list[State]) -> State:
    """floor, sign and the like: the values on both sides of a jump."""
    (x,), (at,) = operands, node.operands
    value = np.array(numpy_meaning(node, [x.value]))
    if x.tangent is not None:
        above, below = (
            np.ravel(numpy_meaning(node, [np.nextafter(x.value, end)]))
            for end in (x.value.dtype.type(np.inf), x.value.dtype.type(-np.inf))
        )
        for entry in entries_of(above != below):
            names = Name(1, at, entry), ZERO
            _force(walk, index, names, value, entry, (above[entry], below[entry]))
    return constant(value[()], operands)


# --- norms -----------------------------------------------------------------------------------


def _root(walk: Walk, index: int, node: Node, operands: list[State]) -> State:
    """A square root, or a power: where a sum of squares vanishes it is a norm."""
    state = smooth(walk, index, node, operands)
    root = node.row.name == "sqrt" or literal(walk.graph.nodes[node.operands[1]]) == 0.5
    if state.tangent is None or not root:
        return state
    tangent = np.array(state.tangent)
    for entry in entries_of(np.equal(operands[0].value, 0) & ~state.still):
        squares = squares_of(walk.graph, node.operands[0], entry)
        if squares is not None:
            flattened(tangent)[:, entry] = _norm(walk, index, entry, squares)
    return state._replace(tangent=tangent)


def _norm(walk: Walk, index: int, entry: int, squares: list[Square]) -> Any:
    """The tangent of the root of a sum of squares: of one square it is a magnitude."""
    names = [Name(1, s.node, s.entry) for s in squares]
    scales = [np.sqrt(s.weight) for s in squares]
    if len(names) == 1:
        weights, rows = walk.weigh(index, (names[0], names[0]._replace(sign=-1)))
        return scales[0] * (weights @ rows)
    rows = np.array([c * walk.row(name) for c, name in zip(scales, names, strict=True)])
    return walk.norm(index, entry, rows, all(map(walk.is_flat, names)))


def _hypot(walk: Walk, index: int, node: Node, operands: list[State]) -> State:
    state = smooth(walk, index, node, operands)
    if state.tangent is None:
        return state
    tangent = np.array(state.tangent)
    for entry in entries_of(np.equal(state.value, 0)):
        squares = [Square(i, entry, 1.0) for i in node.operands]
        flattened(tangent)[:, entry] = _norm(walk, index, entry, squares)
    return state._replace(tangent=tangent)


def _quotient(walk: Walk, index: int, node: Node, operands: list[State]) -> State:
    """x // y and x % y, which jump where y divides x."""
    (x, y), (at, _) = operands, node.operands
    state = smooth(walk, index, node, operands)
    tied = np.equal(np.remainder(x.value, y.value), 0)
    if not moves(operands) or not np.any(tied):
        return state
    if y.tangent is not None:
        raise DerivativeError(
            f"{walk.graph.place(index)} jumps where the divisor divides, and the divisor varies"
        )
    value, divisor = np.array(state.value), np.ravel(y.value)
    for entry in entries_of(tied):
        here = value.reshape(-1)[entry]
        below = divisor[entry] if node.row.name == "remainder" else here - 1
        names = Name(int(np.sign(divisor[entry])), at, entry), ZERO
        _force(walk, index, names, value, entry, (here, below))
    return state._replace(value=value[()])


RULES: dict[str, Rule] = {
    **LANE_RULES,
    "abs": _abs,
    "relu": _relu,
    "maximum": _larger(1),
    "minimum": _larger(-1),
    "select": _select,
    "sqrt": _root,
    "power": _root,
    "hypot": _hypot,
    "remainder": _quotient,
    "floor_divide": _quotient,
    **dict.fromkeys(COMPARISONS, _comparison),
    **dict.fromkeys(("sign", "sign_at", "floor", "ceil", "trunc", "rint"), _step),
}
