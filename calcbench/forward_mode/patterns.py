"""Patterns: which entries of a value depend on which inputs, as rows of sorted column numbers.

Rows belong to the entries of a value, columns to the entries of the wanted inputs; None stands for
a value that depends on none. Large patterns are united and multiplied by SciPy, all rows at once; a
single row, of which programs of scalars have thousands, is only an array.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import DerivativeError


MOST_ENTRIES = 100_000_000  # of one pattern: half a gigabyte


class Pattern(NamedTuple):
    """Row i holds the columns ``indices[starts[i]:starts[i + 1]]``, in order."""

    starts: np.ndarray
    indices: np.ndarray
    width: int

    @property
    def height(self) -> int:
        """The number of rows."""
        return len(self.starts) - 1

    @property
    def size(self) -> int:
        """The number of entries."""
        return len(self.indices)

    def matrix(self) -> Any:
        """The same as a `scipy.sparse.csr_array` of booleans."""
        from scipy.sparse import csr_array

        ones = np.ones(self.size, bool)
        return csr_array((ones, self.indices, self.starts), shape=(self.height, self.width))


def _of_matrix(matrix: Any) -> Pattern:
    matrix.sort_indices()
    return Pattern(matrix.indptr, matrix.indices, matrix.shape[1])


def _one_row(indices: np.ndarray, width: int) -> Pattern:
    return Pattern(np.array([0, len(indices)]), indices, width)


def _check_count(count: int, height: int, width: int) -> None:
    if count > MOST_ENTRIES:
        raise DerivativeError(
            f"a value of {height} entries depends on up to {count} pairs of entries with the "
            f"{width} inputs: that is not sparse, and more than {MOST_ENTRIES} are not kept; "
            "use jacobian or hessian without sparse=True, or the products jvp, vjp and hvp"
        )


def union(patterns: Sequence[Any]) -> Any:
    """The entries that are in some of the patterns of one shape; None if there is no pattern."""
    found = None
    for pattern in patterns:
        if found is None or pattern is None or pattern is found:
            found = pattern if found is None else found
        else:
            found = _union(found, pattern)
    return found


def _union(a: Pattern, b: Pattern) -> Pattern:
    _check_count(a.size + b.size, a.height, a.width)
    if a.height == 1:
        return _one_row(np.union1d(a.indices, b.indices), a.width)
    return _of_matrix(a.matrix() + b.matrix())


def rows_at(pattern: Pattern, positions: np.ndarray) -> Pattern:
    """The rows at these positions, counted from 1; 0 is a row without entries."""
    rows = positions.reshape(-1) - 1
    starts, indices, width = pattern
    if len(rows) == 1:
        row = int(rows[0])
        return _one_row(indices[starts[row] : starts[row + 1]] if row >= 0 else indices[:0], width)
    height = pattern.height
    if len(rows) == height and np.array_equal(rows, np.arange(height)):
        return pattern
    lengthened = Pattern(np.append(starts, starts[-1]), indices, width)
    _check_count(int(np.sum(np.diff(lengthened.starts)[rows])), len(rows), width)
    return _of_matrix(lengthened.matrix()[np.where(rows < 0, height, rows)])


def collected(pattern: Pattern, groups: np.ndarray, count: int) -> Pattern:
    """Per group the union of the rows that belong to it."""
    from scipy.sparse import csr_array

    rows = groups.reshape(-1)
    if count == 1:
        return _one_row(np.unique(pattern.indices), pattern.width)
    ones = np.ones(len(rows), bool)
    members = csr_array((ones, (rows, np.arange(len(rows)))), shape=(count, len(rows)))
    return _of_matrix(members @ pattern.matrix())


def composed(outer: Pattern, inner: Pattern) -> Pattern:
    """What the rows of `outer` depend on, whose columns are the rows of `inner`."""
    lengths = np.diff(inner.starts)
    _check_count(int(np.sum(lengths[outer.indices])), outer.height, inner.width)
    return _of_matrix(outer.matrix() @ inner.matrix())


def columns(pattern: Pattern, start: int, stop: int) -> Pattern:
    """Some of the columns, numbered anew."""
    return _of_matrix(pattern.matrix()[:, start:stop])


def diagonal_blocks(pattern: Pattern, count: int) -> Pattern:
    """The pattern `count` times along a diagonal."""
    shifts = np.arange(count)[:, None]
    starts = (shifts * pattern.size + pattern.starts[:-1]).reshape(-1)
    indices = (shifts * pattern.width + pattern.indices).reshape(-1)
    ends = np.append(starts, count * pattern.size)
    return Pattern(ends, indices, count * pattern.width)


def stacked(patterns: Sequence[Pattern | None], sizes: Sequence[int], width: int) -> Pattern:
    """The patterns of several values, one below the other."""
    if len(patterns) == 1 and patterns[0] is not None:
        return patterns[0]
    pairs = list(zip(patterns, sizes, strict=True))
    lengths = [np.zeros(size, int) if p is None else np.diff(p.starts) for p, size in pairs]
    starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths), dtype=np.int64)])
    _check_count(int(starts[-1]), sum(sizes), width)
    parts = [np.zeros(0, int) if p is None else p.indices for p in patterns]
    return Pattern(starts, np.concatenate(parts), width)


def numbered(shape: Sequence[int], start: int = 1) -> np.ndarray:
    """The entries of an array, numbered in order."""
    return np.arange(start, start + math.prod(shape), dtype=np.int64).reshape(shape)
