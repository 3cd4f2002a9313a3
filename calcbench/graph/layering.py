"""Where the nodes of a graph go in a picture: layers by depth, few crossings, no overlaps.

The method of Sugiyama, Tagawa & Toda (1981), "Methods for visual understanding of hierarchical
system structures": what is read further down than in the next layer passes the layers between in a
lane of its own; every layer is sorted by the mean place of the neighbours; then places move towards
these means as far as there is room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf


SWEEPS = 8
GAP, LANE = 26.0, 14.0  # pixels: between boxes, and the width of a lane


@dataclass(frozen=True)
class Layout:
    """Places in a picture.

    Attributes
    ----------
    x : list of float
        The middle of each node's box.
    layer : list of int
        From 0 at the top; who reads a node is further down.
    lanes : list of list of float
        For each node the middle of its lane in the layers below, down to that above its last
        reader; all readers are reached from there.
    """

    x: list[float]
    layer: list[int]
    lanes: list[list[float]]


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
    lanes = _lanes(operands, layer, wide)
    rows = _rows(layer, lanes)
    near = _neighbours(operands, layer, lanes)
    for sweep in range(SWEEPS):
        _sort_rows(rows if sweep % 2 == 0 else rows[::-1], near, rows)
    x = _spread(rows, near, wide)
    beside = _beside(rows)
    for lane in lanes:
        _straighten(lane, beside, x, wide)
    return Layout([x[i] for i in range(len(widths))], layer, [[x[i] for i in n] for n in lanes])


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


def _lanes(
    operands: Sequence[Sequence[int]], layer: list[int], wide: dict[int, float]
) -> list[list[int]]:
    """For each node new ones, of a lane's width, in the layers between it and its last reader."""
    last = list(layer)
    for index, read in enumerate(operands):
        for operand in read:
            last[operand] = max(last[operand], layer[index])
    lanes: list[list[int]] = []
    for index, depth in enumerate(layer):
        lanes.append(list(range(len(wide), len(wide) + max(last[index] - depth - 1, 0))))
        wide |= dict.fromkeys(lanes[-1], LANE)
    return lanes


def _rows(layer: list[int], lanes: list[list[int]]) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in range(max(layer, default=-1) + 1)]
    for index, depth in enumerate(layer):
        for below, found in enumerate([index, *lanes[index]]):
            rows[depth + below].append(found)
    return rows


def _neighbours(
    operands: Sequence[Sequence[int]], layer: list[int], lanes: list[list[int]]
) -> dict[int, list[int]]:
    """What is joined to each in the layers above and below."""
    pairs = [pair for index, lane in enumerate(lanes) for pair in pairwise([index, *lane])]
    for index, read in enumerate(operands):
        for operand in dict.fromkeys(read):
            above = [operand, *lanes[operand]][layer[index] - layer[operand] - 1]
            pairs.append((above, index))
    near: dict[int, list[int]] = {}
    for above, below in pairs:
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


def _beside(rows: list[list[int]]) -> dict[int, tuple[int | None, int | None]]:
    """Who stands to the left and to the right of each."""
    found: dict[int, tuple[int | None, int | None]] = {}
    for row in rows:
        found |= zip(row, zip([None, *row[:-1]], [*row[1:], None], strict=True), strict=True)
    return found


def _straighten(
    lanes: list[int],
    beside: dict[int, tuple[int | None, int | None]],
    x: dict[int, float],
    wide: dict[int, float],
) -> None:
    """Put the pieces of one lane below each other, as far down as there is room in each row."""
    run: list[int] = []
    low, high = -inf, inf
    for lane in lanes:
        before, after = beside[lane]
        left = 0.0 if before is None else x[before] + _distance(before, lane, wide)
        right = inf if after is None else x[after] - _distance(lane, after, wide)
        if max(low, left) > min(high, right):
            _align(run, low, high, x)
            run, low, high = [], -inf, inf
        run, low, high = [*run, lane], max(low, left), min(high, right)
    _align(run, low, high, x)


def _align(run: list[int], low: float, high: float, x: dict[int, float]) -> None:
    if run:
        place = min(max(_mean([x[i] for i in run]), low), high)
        x.update(dict.fromkeys(run, place))


def _distance(first: int, second: int, wide: dict[int, float]) -> float:
    return (wide[first] + wide[second]) / 2 + GAP
