"""Ties of single entries: tied entries of a node take the pieces that are chosen for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.forward_mode.walking import Name, State, Walk


def moves(operands: Sequence[State]) -> bool:
    return any(s.tangent is not None for s in operands)


def tangent_of(walk: Walk, state: State) -> np.ndarray:
    if state.tangent is None:
        return np.zeros((walk.answers.columns, *np.shape(state.value)))
    return state.tangent


def flattened(array: np.ndarray) -> np.ndarray:
    """Tangents as (columns, entries): a view, to be written to."""
    return array.reshape(len(array), -1)


def entries_of(mask: Any) -> list[int]:
    return [int(i) for i in np.flatnonzero(mask)]


def with_ties(walk: Walk, index: int, pieces: Any, tied: Any, state: State) -> State:
    """The state of a node, its tied entries replaced by the pieces that the answers choose.

    `pieces` gives, for an entry, the names of what ties there and the sign of the result.
    """
    tangent, still = np.array(state.tangent), np.array(state.still)
    for entry in entries_of(tied):
        names, sign = pieces(entry)
        weights, rows = walk.weigh(index, names)
        flattened(tangent)[:, entry] = sign * (weights @ rows)
        chosen = [is_still(walk, n) for n, w in zip(names, weights, strict=True) if w]
        still.reshape(-1)[entry] = all(chosen)
    return State(state.value, tangent, still, state.flat)


def is_still(walk: Walk, name: Name) -> bool:
    return name.node < 0 or bool(np.ravel(walk.states[name.node].still)[name.entry])
