"""What extremes, sorts and their positions do at ties along axes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from calcbench.forward_mode.radicands import lanes
from calcbench.forward_mode.smooth_rules import constant
from calcbench.forward_mode.ties import flattened, with_ties
from calcbench.forward_mode.walking import Name, Rule, State, Walk
from calcbench.graph.arraytype import DerivativeError
from calcbench.graph.ir import numpy_meaning
from calcbench.graph.nodes import Node


def _extreme(sign: int) -> Rule:
    def rule(walk: Walk, index: int, node: Node, operands: list[State]) -> State:
        (x,), (at,) = operands, node.operands
        value = numpy_meaning(node, [x.value])
        if x.tangent is None:
            return constant(value, operands)
        entries = lanes(_numbers(x.value), dict(node.params)["axes"])
        ranked = sign * np.ravel(x.value)[entries]
        best = np.argmax(ranked, axis=1)
        tied = np.sum(ranked == np.max(ranked, axis=1, keepdims=True), axis=1) > 1
        winners = np.take_along_axis(entries, best[:, None], 1)[:, 0]
        plain = State(value, *_taken(x, winners, np.shape(value)), x.flat)

        def pieces(lane: int) -> Any:
            equals = entries[lane][ranked[lane] == ranked[lane].max()]
            return [Name(sign, at, int(e)) for e in equals], sign

        return with_ties(walk, index, pieces, tied, plain)

    return rule


def _numbers(x: Any) -> Any:
    return np.arange(np.size(x)).reshape(np.shape(x))


def _taken(x: State, entries: Any, shape: Any) -> tuple[Any, Any]:
    """Tangents and stillness of chosen entries of a moving state."""
    assert x.tangent is not None
    chosen = flattened(x.tangent)[:, entries].reshape(-1, *shape)
    return chosen, np.ravel(x.still)[entries].reshape(shape)


def _position(sign: int) -> Rule:
    """argmax (+1) and argmin (-1)."""

    def rule(walk: Walk, index: int, node: Node, operands: list[State]) -> State:
        (x,), (at,) = operands, node.operands
        value = np.array(numpy_meaning(node, [x.value]))
        if x.tangent is not None:
            entries = lanes(_numbers(x.value), (dict(node.params)["axis"],))
            for lane, row in enumerate(sign * np.ravel(x.value)[entries]):
                equals = np.flatnonzero(row == row.max())
                names = [Name(sign, at, int(e)) for e in entries[lane][equals]]
                weights = walk.ask(index, names, discrete=True)[0] if len(names) > 1 else None
                if weights is not None:
                    value.reshape(-1)[lane] = equals[np.argmax(weights)]
        return constant(value[()], operands)

    return rule


def _sorted(walk: Walk, index: int, node: Node, operands: list[State]) -> State:
    (x,) = operands
    if x.tangent is None:
        return constant(numpy_meaning(node, [x.value]), operands)
    order = _order(walk, index, node, x)
    entries = np.take_along_axis(_numbers(x.value), order, _axis(node))
    value = np.ravel(x.value)[entries]
    return State(value, *_taken(x, np.ravel(entries), np.shape(value)), x.flat)


def _argsort(walk: Walk, index: int, node: Node, operands: list[State]) -> State:
    (x,) = operands
    if x.tangent is None:
        return constant(numpy_meaning(node, [x.value]), operands)
    return constant(_order(walk, index, node, x), operands)


def _order(walk: Walk, index: int, node: Node, x: State) -> Any:
    """The positions that sort along the axis, ties in the order of the answers."""
    axis: Any = dict(node.params)["axis"]
    order = np.argsort(x.value, axis=axis, kind="stable")
    entries = np.moveaxis(_numbers(x.value), axis, -1).reshape(-1, x.value.shape[axis])
    rows = np.moveaxis(order, axis, -1).reshape(entries.shape)
    for lane, row in enumerate(rows):
        ordered = np.ravel(x.value)[entries[lane][row]]
        for start, stop in _runs(ordered):
            row[start:stop] = _ranked(walk, index, node.operands[0], entries[lane], row[start:stop])
    shape = np.moveaxis(order, axis, -1).shape
    return np.moveaxis(rows.reshape(shape), -1, axis)


def _runs(ordered: np.ndarray) -> list[tuple[int, int]]:
    """Where equal numbers follow each other."""
    breaks = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    ends = [0, *map(int, breaks), len(ordered)]
    return [(a, b) for a, b in itertools.pairwise(ends) if b - a > 1]


def _ranked(walk: Walk, index: int, at: int, entries: np.ndarray, tied: np.ndarray) -> list[int]:
    """Tied positions, the smallest first: one question for each place."""
    remaining, ranked = [int(t) for t in tied], []
    discrete = walk.graph.nodes[index].row.name == "argsort"
    while len(remaining) > 1:
        names = [Name(-1, at, int(entries[t])) for t in remaining]
        weights, _ = walk.ask(index, names, discrete)
        ranked.append(remaining.pop(0 if weights is None else int(np.argmax(weights))))
    return [*ranked, *remaining]


def _axis(node: Node) -> Any:
    return dict(node.params)["axis"]


def _of_derivatives(walk: Walk, index: int, node: Node, operands: list[State]) -> State:
    """What derivatives of extremes and sorts look at: they jump where entries tie."""
    (x,) = operands
    if x.tangent is not None and len(np.unique(x.value)) < np.size(x.value):
        raise DerivativeError(
            f"{walk.graph.place(index)} is part of a derivative that jumps where entries tie, as "
            "some do at this point"
        )
    return constant(numpy_meaning(node, [x.value]), operands)


LANE_RULES: dict[str, Rule] = {
    "max": _extreme(1),
    "min": _extreme(-1),
    "argmax": _position(1),
    "argmin": _position(-1),
    "sort": _sorted,
    "argsort": _argsort,
    **dict.fromkeys(("winner_share", "tie_group", "sort_position"), _of_derivatives),
}
