"""Tangents of a single node away from kinks, in many directions at once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.forward_mode.walking import State, Walk
from calcbench.graph.activity import partials_of
from calcbench.graph.arraytype import DerivativeError
from calcbench.graph.evaluation import Plan
from calcbench.graph.ir import Builder, numpy_meaning
from calcbench.graph.lifting import Value
from calcbench.graph.masks import materialise
from calcbench.graph.nodes import Node
from calcbench.graph.structural import fill


LINEAR = frozenset(("add", "subtract", "negative", "concatenate"))
SPECTRAL = frozenset(("eigvalsh", "eigenvectors", "singular_values", "singular_vectors"))
ROUNDING = 1e-13  # of a gap between eigenvalues, in relation to the largest


def smooth(walk: Walk, index: int, node: Node, operands: list[State]) -> State:
    """The state of a node whose row has one piece near the point."""
    row: Any = node.row
    value = numpy_meaning(node, [s.value for s in operands])
    moving = [s.tangent is not None for s in operands]
    if not any(moving) or row.kind in ("piecewise_constant", "source"):
        return constant(value, operands)
    if row.kind not in TANGENTS:
        raise DerivativeError(
            f"{walk.graph.place(index)} has a body of its own, whose kinks are not looked into; "
            "write the branch or loop in Python"
        )
    if row.name in SPECTRAL:
        _refuse_repeated(walk, index, operands[0].value)
    kinds = tuple(walk.graph.types[i] for i in node.operands)
    fills = tuple(_literal(walk, i) for i in node.operands)
    tangent = TANGENTS[row.kind](node, operands, (kinds, fills, tuple(moving)))
    still = _still(node, operands, value)
    tangent = np.where(still, 0.0, tangent)  # a branch not taken never yields 0 * inf
    return State(value, tangent, still, is_flat(node, operands))


def constant(value: Any, operands: list[State]) -> State:
    """The state of a value without tangents."""
    return State(value, None, np.ones(np.shape(value), bool), all(s.flat for s in operands))


def is_flat(node: Node, operands: list[State]) -> bool:
    """Whether the row of the node is linear in what moves, and that is piecewise linear."""
    moving = [s.tangent is not None for s in operands]
    linear = node.row.kind == "multilinear" or node.row.name == "multiply"
    if node.row.name == "divide":
        linear = not moving[1]
    once = linear and sum(moving) == 1
    return (node.row.name in LINEAR or once) and all(s.flat for s in operands)


def _literal(walk: Walk, index: int) -> Any:
    node = walk.graph.nodes[index]
    return node.params if node.row is fill else None


def _operands(builder: Builder, kinds: Any, fills: Any) -> list[Value]:
    """Inputs of these types; constants as they are, since rules look at exponents."""
    made = []
    for position, (kind, params) in enumerate(zip(kinds, fills, strict=True)):
        if params is None:
            made.append(Value(builder, builder.add_input(f"x{position}", kind)))
        else:
            made.append(Value(builder, builder.add(fill, (), params)))
    return made


def _numbers(operands: list[State], fills: Any) -> list[Any]:
    return [s.value for s, params in zip(operands, fills, strict=True) if params is None]


# --- one rule per kind of row ----------------------------------------------------------------


@lru_cache(maxsize=1024)
def _partials(row: Any, params: Any, kinds: Any, fills: Any, moving: Any) -> tuple[Plan, list[Any]]:
    """A plan for the partials that are values, and per operand its number, +1, -1 or None."""
    builder = Builder()
    operands = _operands(builder, kinds, fills)
    z = row(*operands, **dict(params))
    found = partials_of(row, z, operands, moving, dict(params))
    values: list[Value] = []
    signs: list[Any] = []
    for partial, moves in zip(found, moving, strict=True):
        plain = materialise(partial) if moves and partial is not None else None
        if isinstance(plain, Value):
            signs.append(len(values))
            values.append(plain)
        else:
            signs.append(None if plain is None else float(plain))
    return Plan(builder.freeze([v.id for v in values])), signs


def _elementwise(node: Node, operands: list[State], key: Any) -> Any:
    row: Any = node.row
    plan, signs = _partials(row, node.params, *key)
    partials = plan(*_numbers(operands, key[1]))
    terms = []
    for state, sign in zip(operands, signs, strict=True):
        if sign is not None and state.tangent is not None:
            terms.append(state.tangent * (sign if type(sign) is float else partials[sign]))
    return np.sum(terms, axis=0) if terms else _zeros(operands)


def _zeros(operands: list[State]) -> np.ndarray:
    return next(np.zeros_like(s.tangent) for s in operands if s.tangent is not None)


def _multilinear(node: Node, operands: list[State], key: Any) -> Any:
    values = [s.value for s in operands]
    terms = []
    for position, state in enumerate(operands):
        if state.tangent is not None:
            columns = [_applied(node, values, position, column) for column in state.tangent]
            terms.append(np.stack(columns))
    return np.sum(terms, axis=0)


def _applied(node: Node, values: list[Any], position: int, operand: Any) -> Any:
    """The row on these values, one of them replaced."""
    return numpy_meaning(node, [*values[:position], operand, *values[position + 1 :]])


@lru_cache(maxsize=256)
def _pushed(row: Any, params: Any, kinds: Any, fills: Any, moving: Any) -> Plan:
    builder = Builder()
    operands = _operands(builder, kinds, fills)
    z = row(*operands, **dict(params))
    inputs = [i for i, params in enumerate(fills) if params is None]
    return Plan(jvp_graph(builder.freeze([z.id]), [n for n, i in enumerate(inputs) if moving[i]]))


def _linearised(node: Node, operands: list[State], key: Any) -> np.ndarray:
    row: Any = node.row
    plan, values = _pushed(row, node.params, *key), _numbers(operands, key[1])
    moving = [s.tangent for s in operands if s.tangent is not None]
    return np.stack([plan(*values, *columns)[-1] for columns in zip(*moving, strict=True)])


TANGENTS: Any = {
    "elementwise": _elementwise,
    "multilinear": _multilinear,
    "linearised": _linearised,
}


# --- what is constant, what is refused -------------------------------------------------------


def _still(node: Node, operands: list[State], value: Any) -> Any:
    """The entries that no moving entry of an operand reaches."""
    if node.row.kind == "elementwise":
        return np.logical_and.reduce([s.still for s in operands])
    if node.row.name == "concatenate":
        return numpy_meaning(node, [s.still for s in operands])
    if node.row.kind == "linearised":
        return np.full(np.shape(value), all(np.all(s.still) for s in operands))
    return np.logical_and.reduce(
        [_unreached(node, operands, i) for i, s in enumerate(operands) if s.tangent is not None]
    )


def _unreached(node: Node, operands: list[State], position: int) -> Any:
    """Which entries of a multilinear row the moving entries of one operand do not reach."""
    ones = [s.value if s.value.dtype.kind != "f" else np.ones_like(s.value) for s in operands]
    moving = np.where(operands[position].still, 0.0, 1.0)[()]
    return np.equal(_applied(node, ones, position, moving), 0)


def _refuse_repeated(walk: Walk, index: int, matrix: Any) -> None:
    """An error where eigenvalues or singular values meet or vanish, which makes other kinks."""
    symmetric = walk.graph.nodes[index].row.name.startswith("eig")
    found = np.linalg.eigvalsh(matrix) if symmetric else np.linalg.svd(matrix, compute_uv=False)
    ordered = np.sort(found, axis=-1)
    gaps = np.diff(ordered, axis=-1) if symmetric else np.diff(ordered, axis=-1, prepend=0.0)
    if np.any(gaps <= ROUNDING * np.max(np.abs(found), initial=0.0)):
        raise DerivativeError(
            f"{walk.graph.place(index)} has values that coincide or vanish at this point; "
            "kinks of spectra are not enumerated: perturb the matrix, or write the function "
            "without its spectrum (np.trace, np.linalg.det, the Frobenius norm)"
        )
