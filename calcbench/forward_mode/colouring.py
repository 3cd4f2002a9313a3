"""Which columns or rows of a sparse matrix one sweep can compute together: greedy colourings.

Colours are sets of bits: an entry is looked at once or twice, and no graph of conflicts is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np


def column_colours(pattern: Any) -> np.ndarray:
    """A colour for each column, such that columns of one colour have no row in common.

    Parameters
    ----------
    pattern : scipy.sparse array, of shape (m, n)
        Its stored entries are what may be nonzero.

    Returns
    -------
    array of n ints
        Colours from 0 on. At least as many are needed as a row has entries.

    Notes
    -----
    Greedy distance-1 colouring of the column intersection graph (Curtis, Powell & Reid 1974), in
    the given order and with those columns first that meet most others: the better of the two.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> column_colours(csr_array(np.tri(5, k=1) - np.tri(5, k=-2))).tolist()
    [0, 1, 2, 0, 1]
    """
    columns, counts = pattern.tocsc(), np.diff(pattern.tocsr().indptr)
    rows, meetings = _lists(columns.indptr, columns.indices), counts[columns.indices]
    totals = np.concatenate([[0], np.cumsum(meetings)])[columns.indptr]
    least = int(np.max(counts, initial=0))
    return _fewest(lambda order: _greedy(rows, order, pattern.shape[0]), np.diff(totals), least)


def star_colours(pattern: Any) -> np.ndarray:
    """A colour for each column of a symmetric matrix, so that products with groups give it all.

    Parameters
    ----------
    pattern : scipy.sparse array, of shape (n, n)
        Symmetric.

    Returns
    -------
    array of n ints
        Colours from 0 on: neighbours differ, and no path of four vertices has only two colours.
        So of every entry (i, j) one of the two is read directly: in column group of j no other
        column reaches row i, or the same with i and j exchanged.

    Notes
    -----
    Star colouring of the adjacency graph (Coleman & Moré 1984), greedy as in Gebremedhin, Manne &
    Pothen 2005, section 4. With N the neighbours, v may not get the colour c

    - of a neighbour w;
    - of x in N(w), if x has two neighbours of the colour of w: the path v, w, x, y;
    - of y in N(w), if v has two neighbours of the colour of w: the path x, v, w, y.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> arrow = np.eye(5)
    >>> arrow[0] = arrow[:, 0] = 1
    >>> star_colours(csr_array(arrow)).tolist()
    [0, 1, 1, 1, 1]
    """
    matrix = pattern.tocsr()
    neighbours = [
        [i for i in row if i != v] for v, row in enumerate(_lists(matrix.indptr, matrix.indices))
    ]
    degrees = np.array([len(row) for row in neighbours], dtype=np.int64)
    return _fewest(lambda order: _star(neighbours, order), degrees, least_star_colours(matrix))


def least_star_colours(pattern: Any) -> int:
    """A number of colours below which there is no star colouring.

    Two are enough exactly if the graph falls into stars: if every edge has an end of degree one.
    """
    rows = np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))
    edges = rows != pattern.indices
    degrees = np.bincount(rows[edges], minlength=pattern.shape[0])
    inner = np.minimum(degrees[rows], degrees[pattern.indices])[edges]
    return min(1, int(pattern.nnz)) + min(2, int(np.max(inner, initial=0)))


def direct_entries(pattern: Any, colours: np.ndarray) -> np.ndarray:
    """Per stored entry (i, j), whether column j alone of its colour reaches row i.

    Where it is not so in a star colouring, it is so for the entry (j, i).
    """
    rows = np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))
    keys = rows * (int(colours.max(initial=0)) + 1) + colours[pattern.indices]
    _, which, counts = np.unique(keys, return_inverse=True, return_counts=True)
    alone: np.ndarray = counts[which] == 1
    return alone


def _lists(starts: np.ndarray, indices: np.ndarray) -> list[list[int]]:
    bounds, entries = starts.tolist(), indices.tolist()
    return [entries[a:b] for a, b in pairwise(bounds)]


def _fewest(
    colour: Callable[[Sequence[int]], list[int]], degrees: np.ndarray, least: int
) -> np.ndarray:
    """The colouring in the given order, or by falling degree if that takes fewer."""
    found = np.array(colour(range(len(degrees))), dtype=np.int64)
    if found.max(initial=-1) + 1 > least:
        order = np.argsort(-degrees, kind="stable").tolist()
        other = np.array(colour(order), dtype=np.int64)
        return other if other.max() < found.max() else found
    return found


def _lowest_free(taken: int) -> int:
    """The lowest bit that is not set."""
    return ~taken & (taken + 1)


def _greedy(rows: Sequence[Sequence[int]], order: Sequence[int], height: int) -> list[int]:
    used, colours = [0] * height, [0] * len(rows)
    for column in order:
        taken = 0
        for row in rows[column]:
            taken |= used[row]
        bit = _lowest_free(taken)
        colours[column] = bit.bit_length() - 1
        for row in rows[column]:
            used[row] |= bit
    return colours


def _star(neighbours: Sequence[Sequence[int]], order: Sequence[int]) -> list[int]:
    """Bits of a vertex: its own colour, those near it, those near it twice, and those of hubs.

    A hub of w is a neighbour x of w with a second neighbour of the colour of w.
    """
    count = len(neighbours)
    own, near, twice, hubs = [0] * count, [0] * count, [0] * count, [0] * count
    for v in order:
        taken = 0
        for w in neighbours[v]:
            taken |= own[w] | (hubs[w] if own[w] else 0)
            if own[w] & twice[v]:
                taken |= near[w]
        bit = own[v] = _lowest_free(taken)
        for x in neighbours[v]:
            if own[x] & twice[v]:
                hubs[x] |= bit
            if near[x] & bit and own[x]:
                _mark_leaves(neighbours[x] if not twice[x] & bit else (v,), own, bit, hubs, own[x])
            twice[x] |= near[x] & bit
            near[x] |= bit
    return [bit.bit_length() - 1 for bit in own]


def _mark_leaves(
    leaves: Sequence[int], own: Sequence[int], bit: int, hubs: list[int], colour: int
) -> None:
    """Note a hub of this colour at those of its neighbours that have the colour `bit`."""
    for w in leaves:
        if own[w] == bit:
            hubs[w] |= colour
