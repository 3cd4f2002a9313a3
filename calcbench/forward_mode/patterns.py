"""Patterns: which entries of a value depend on which inputs, as sparse matrices of booleans.

A pattern has a row for each entry of a value and a column for each entry of the wanted inputs, its
indices sorted; None stands for a value that depends on none. Everything works on whole arrays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.graph.arraytype import DerivativeError


Pattern = Any  # scipy.sparse.csr_array of booleans, or None
MOST_ENTRIES = 100_000_000  # of one pattern: half a gigabyte


def csr(indices: np.ndarray, starts: np.ndarray, shape: tuple[int, int]) -> Pattern:
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(indices), bool), indices, starts), shape=shape)


def check_count(count: int, shape: tuple[int, int]) -> None:
    if count > MOST_ENTRIES:
        raise DerivativeError(
            f"a value of {shape[0]} entries depends on up to {count} pairs of entries with the "
            f"{shape[1]} inputs: that is not sparse, and more than {MOST_ENTRIES} are not kept; "
            "use jacobian or hessian without sparse=True, or the products jvp, vjp and hvp"
        )


def union(patterns: Sequence[Pattern]) -> Pattern:
    """The entries that are in some of the patterns of one shape."""
    found = None
    for pattern in patterns:
        if found is None or pattern is None or pattern is found:
            found = pattern if found is None else found
        else:
            check_count(found.nnz + pattern.nnz, found.shape)
            found = found + pattern
    return found


def rows_at(pattern: Pattern, positions: np.ndarray) -> Pattern:
    """The rows at these positions, counted from 1; 0 is a row without entries."""
    rows = positions.reshape(-1) - 1
    height, width = pattern.shape
    if len(rows) == height and np.array_equal(rows, np.arange(height)):
        return pattern
    starts = np.append(pattern.indptr, pattern.indptr[-1])
    check_count(int(np.sum(np.diff(starts)[rows], dtype=np.int64)), (len(rows), width))
    return csr(pattern.indices, starts, (height + 1, width))[np.where(rows < 0, height, rows)]


def collected(pattern: Pattern, groups: np.ndarray, count: int) -> Pattern:
    """Per group the union of the rows that belong to it."""
    from scipy.sparse import csr_array

    rows = groups.reshape(-1)
    ones = np.ones(len(rows), bool)
    members = csr_array((ones, (rows, np.arange(len(rows)))), shape=(count, len(rows)))
    found = members @ pattern
    found.sort_indices()
    return found


def stacked(patterns: Sequence[Pattern], sizes: Sequence[int], width: int) -> Pattern:
    """The patterns of several values, one below the other."""
    from scipy.sparse import csr_array, vstack

    blocks = [
        csr_array((size, width), dtype=bool) if pattern is None else pattern
        for pattern, size in zip(patterns, sizes, strict=True)
    ]
    check_count(sum(block.nnz for block in blocks), (sum(sizes), width))
    return blocks[0] if len(blocks) == 1 else csr_array(vstack(blocks, format="csr"))


def numbered(shape: Sequence[int], start: int = 1) -> np.ndarray:
    """The entries of an array, numbered in order."""
    return np.arange(start, start + math.prod(shape), dtype=np.int64).reshape(shape)
