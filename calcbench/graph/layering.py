"""Where the nodes of a graph go in a picture: layers by depth, few crossings, no overlaps.

The method of Sugiyama, Tagawa & Toda (1981), "Methods for visual understanding of hierarchical
system structures": an edge that skips layers gets a place in each of them; every layer is sorted by
the mean place of the neighbours; then places move towards these means as far as there is room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf


SWEEPS = 8
GAP, LANE = 26.0, 14.0  # pixels: between boxes, and the width of an edge that passes by
Edge = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """Places in a picture.

    Attributes
    ----------
    x : list of float
        The middle of each node's box.
    layer : list of int
        From 0 at the top; who reads a node is further down.
    bends : dict of (operand, reader) to list of float
        Where an edge passes the layers between its ends.
    """

    x: list[float]
    layer: list[int]
    bends: dict[Edge, list[float]]


def place_nodes(operands: Sequence[Sequence[int]], widths: Sequence[float]) -> Layout:
    """Places for nodes of some widths, whose operands come before them.

    Examples
    --------
    >>> found = place_nodes([[], [], [0, 1]], [60.0, 60.0, 60.0])
    >>> found.layer
    [0, 0, 1]
    >>> found.x[2] == (found.x[0] + found.x[1]) / 2
    True
    """
    layer = _layers(operands)
    wide = dict(enumerate(widths))
    chains = _chains(operands, layer, wide)
    rows = _rows(layer, chains)
    near = _neighbours(chains)
    for sweep in range(SWEEPS):
        _sort_rows(rows if sweep % 2 == 0 else rows[::-1], near, rows)
    x = _spread(rows, near, wide)
    for chain in chains.values():
        _straighten(chain[1:-1], rows, x, wide)
    bends = {edge: [x[i] for i in chain[1:-1]] for edge, chain in chains.items()}
    return Layout([x[i] for i in range(len(widths))], layer, bends)


def _layers(operands: Sequence[Sequence[int]]) -> list[int]:
    """Depth below the sources; a source stands right above its first reader."""
    depth = [0] * len(operands)
    for index, read in enumerate(operands):
        depth[index] = max((depth[i] + 1 for i in read), default=0)
    first: dict[int, int] = {}
    for index, read in enumerate(operands):
        for operand in read:
            first[operand] = min(first.get(operand, depth[index]), depth[index])
    return [
        first[i] - 1 if not operands[i] and i in first else depth[i] for i in range(len(operands))
    ]


def _chains(
    operands: Sequence[Sequence[int]], layer: list[int], wide: dict[int, float]
) -> dict[Edge, list[int]]:
    """Each edge as nodes of adjacent layers: its ends, and new ones between, of a lane's width."""
    chains = {}
    for index, read in enumerate(operands):
        for operand in dict.fromkeys(read):
            between = []
            for _ in range(layer[operand] + 1, layer[index]):
                wide[len(wide)] = LANE
                between.append(len(wide) - 1)
            chains[operand, index] = [operand, *between, index]
    return chains


def _rows(layer: list[int], chains: dict[Edge, list[int]]) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in range(max(layer, default=-1) + 1)]
    for index, depth in enumerate(layer):
        rows[depth].append(index)
    for (operand, _), chain in chains.items():
        for below, index in enumerate(chain[1:-1], start=1):
            rows[layer[operand] + below].append(index)
    return rows


def _neighbours(chains: dict[Edge, list[int]]) -> dict[int, list[int]]:
    near: dict[int, list[int]] = {}
    for chain in chains.values():
        for above, below in pairwise(chain):
            near.setdefault(above, []).append(below)
            near.setdefault(below, []).append(above)
    return near


def _sort_rows(order: list[list[int]], near: dict[int, list[int]], rows: list[list[int]]) -> None:
    """Sort each row by the mean relative place of the neighbours."""
    place = {i: (k + 0.5) / len(row) for row in rows for k, i in enumerate(row)}
    for row in order:
        wish = {i: _mean([place[j] for j in near.get(i, [i])]) for i in row}
        row.sort(key=wish.__getitem__)
        place |= {i: (k + 0.5) / len(row) for k, i in enumerate(row)}


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _spread(
    rows: list[list[int]], near: dict[int, list[int]], wide: dict[int, float]
) -> dict[int, float]:
    """Places across: each near the mean of its neighbours, in the order of its row, with gaps."""
    x: dict[int, float] = {}
    for row in rows:
        x |= _apart(row, [0.0] * len(row), wide)
    for sweep in range(2 * SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            x |= _apart(row, [_mean([x[j] for j in near.get(i, [i])]) for i in row], wide)
    left = min((x[i] - wide[i] / 2 for i in x), default=0.0)
    return {i: at - left for i, at in x.items()}


def _apart(row: list[int], wishes: Sequence[float], wide: dict[int, float]) -> dict[int, float]:
    """Between all moved right as far as needed, and all moved left: neither overlaps."""
    right, left = list(wishes), list(wishes)
    for k in range(1, len(row)):
        right[k] = max(right[k], right[k - 1] + _distance(row[k - 1], row[k], wide))
    for k in range(len(row) - 2, -1, -1):
        left[k] = min(left[k], left[k + 1] - _distance(row[k], row[k + 1], wide))
    return {i: (a + b) / 2 for i, a, b in zip(row, right, left, strict=True)}


def _straighten(
    lanes: list[int], rows: list[list[int]], x: dict[int, float], wide: dict[int, float]
) -> None:
    """Put the lanes of one edge one below the other, as far down as there is room in each row."""
    run: list[int] = []
    low, high = -inf, inf
    for lane in lanes:
        left, right = _room(lane, rows, x, wide)
        if max(low, left) > min(high, right):
            _align(run, low, high, x)
            run, low, high = [], -inf, inf
        run, low, high = [*run, lane], max(low, left), min(high, right)
    _align(run, low, high, x)


def _align(run: list[int], low: float, high: float, x: dict[int, float]) -> None:
    if run:
        place = min(max(_mean([x[i] for i in run]), low), high)
        x.update(dict.fromkeys(run, place))


def _room(
    lane: int, rows: list[list[int]], x: dict[int, float], wide: dict[int, float]
) -> tuple[float, float]:
    """Between which places a lane may move without coming too near to its neighbours."""
    row = next(r for r in rows if lane in r)
    at = row.index(lane)
    left = x[row[at - 1]] + _distance(row[at - 1], lane, wide) if at else 0.0
    right = x[row[at + 1]] - _distance(lane, row[at + 1], wide) if at + 1 < len(row) else inf
    return left, right


def _distance(first: int, second: int, wide: dict[int, float]) -> float:
    return (wide[first] + wide[second]) / 2 + GAP
