"""Facts about all nodes of a graph as arrays, and whether direct sweeps are for it."""

from __future__ import annotations

from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from calcbench.graph.activity import carries_tangent
from calcbench.graph.elementwise import convert
from calcbench.graph.ir import Graph
from calcbench.graph.nodes import INPUT
from calcbench.graph.structural import constant, fill
from calcbench.lower.sweep_cases import must_know_active
from calcbench.lower.texts import is_elementwise


_MOVES = "reshape transpose broadcast slice pad concatenate flip gather"
MOVES = frozenset(_MOVES.split())


def is_straight(graph: Graph) -> bool:
    """Whether direct sweeps pay for the graph: mostly scalars, and rows that they know.

    An entry of an array becomes an instruction, which costs more than a loop over the array once
    arrays hold more than a few entries on average.
    """
    rows, row = _numbered(map(itemgetter(0), graph.nodes), len(graph))
    kinds, kind = _numbered(graph.types, len(graph))
    if len({t.dtype for t in kinds if t.is_float}) != 1 or not all(t.is_concrete for t in kinds):
        return False
    if not all(_is_known(r) for r in rows) or not _are_plain(graph, rows, row):
        return False
    works = np.array([is_elementwise(r) or r is convert for r in rows])[row]
    entries = int(np.array([t.size for t in kinds])[kind][works].sum())
    return entries + _summed(graph, rows, row) <= 4 * len(graph) + 256


def _is_known(row: Any) -> bool:
    moves = row in (INPUT, fill, constant) or row.name in MOVES or row.name == "sum"
    return moves or is_elementwise(row) or row is convert


def _are_plain(graph: Graph, rows: list[Any], row: np.ndarray) -> bool:
    """Whether all positions are constants, and all sums are of floats."""
    nodes, types = graph.nodes, graph.types
    gathers, sums = _nodes_of("gather", rows, row), _nodes_of("sum", rows, row)
    known = all(nodes[nodes[i].operands[1]].row in (fill, constant) for i in gathers)
    return known and all(types[i].is_float for i in sums)


def _summed(graph: Graph, rows: list[Any], row: np.ndarray) -> int:
    """How many terms all sums have."""
    sums = _nodes_of("sum", rows, row)
    return sum(int(graph.types[graph.nodes[i].operands[0]].size) for i in sums)


def _nodes_of(name: str, rows: list[Any], row: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.isin(row, [k for k, r in enumerate(rows) if r.name == name]))


class Kinds:
    """Facts about the first `count` nodes, as arrays; what follows them is no node to be computed.

    Attributes
    ----------
    arity, starts, flat : int64 arrays
        Operands: how many, and where they start in the list of all.
    plain, number, special : bool arrays
        Elementwise nodes of one entry, constants of one entry, and all others.
    group : int64 array
        Equal where row, dtypes and params are: such nodes have the same step.
    exact : bool array
        Whether the step depends on which operands vary.
    carries : bool array
        Whether a tangent can pass.
    floats : int64 array
        Which operands are floats, as bits.
    """

    def __init__(self, graph: Graph, count: int) -> None:
        nodes, types = graph.nodes, graph.types
        operands = list(map(itemgetter(1), nodes))
        self.arity = np.fromiter(map(len, operands), np.int64, len(nodes))
        self.flat = np.fromiter(chain.from_iterable(operands), np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.arity)[:-1]]).astype(np.int64)
        rows, row = _numbered(map(itemgetter(0), nodes), len(nodes))
        kinds, kind = _numbered(types, len(nodes))
        params, param = _numbered(map(itemgetter(2), nodes), len(nodes))
        single = np.array([t.size == 1 for t in kinds])[kind]
        acts = np.array([is_elementwise(r) or r is convert for r in rows])[row]
        self.plain = acts & single
        self.number = np.array([r is fill for r in rows])[row] & single
        self.plain[count:] = False
        self.special = ~self.plain & ~self.number
        self.special[count:] = False
        last = kind[self.flat[np.maximum(self.starts + self.arity - 1, 0)]] if len(self.flat) else 0
        with_params = np.where(acts, param, 0)
        self.group = ((row * len(kinds) + kind) * len(kinds) + last) * len(params) + with_params
        self.exact = np.array([must_know_active(r) for r in rows])[row]
        self.carries = _carries(graph, rows, row, kinds, kind)
        self.floats = self._floats(np.array([t.is_float for t in kinds])[kind])

    def _floats(self, is_float: np.ndarray) -> np.ndarray:
        """Per node the operands that are floats, as bits."""
        bits = np.zeros(len(is_float), np.int64)
        for k in range(3):
            has = self.arity > k
            bits[has] |= is_float[self.flat[self.starts[has] + k]].astype(np.int64) << k
        return bits


def _numbered(items: Any, count: int) -> tuple[list[Any], np.ndarray]:
    """The distinct objects among many, and the number of each: by identity, which is quick."""
    items = list(items)
    keys = np.fromiter(map(id, items), np.int64, count)
    _, first, numbers = np.unique(keys, return_index=True, return_inverse=True)
    return [items[i] for i in first], numbers


def _carries(graph: Graph, rows: Any, row: Any, kinds: Any, kind: Any) -> np.ndarray:
    both = row * len(kinds) + kind
    _, first, which = np.unique(both, return_index=True, return_inverse=True)
    found = [carries_tangent(graph.nodes[i], graph.types[i]) for i in first]
    return np.array(found, np.bool_)[which]
