"""Variables that are symmetric, diagonal or triangular: derivatives by their free entries."""

from __future__ import annotations

from typing import Any

import numpy as np

from calcbench.symbolic.matrices.algebra import factor, plus, scaled, times
from calcbench.symbolic.matrices.indexed import Delta, Tensor, Triangle, fresh


STRUCTURED = ("symmetric", "diagonal", "lower", "upper")

NOTES = {
    "symmetric": "by the n(n+1)/2 free entries of the symmetric {0}: entry (i, j) is the derivative"
    " with respect to {0}[i,j] and {0}[j,i] changed together",
    "diagonal": "by the n free entries on the diagonal of {0}",
    "lower": "by the n(n+1)/2 free entries on and below the diagonal of {0}; the others are 0",
    "upper": "by the n(n+1)/2 free entries on and above the diagonal of {0}; the others are 0",
}


def by_free_entries(derivative: Tensor, structure: str) -> Tensor:
    """The derivative by the free entries, from the one by all entries (the last two slots)."""
    if structure not in STRUCTURED:
        return derivative
    *rest, row, column = derivative.slots
    entry = derivative.terms
    if structure == "diagonal":
        k = fresh(row.size)
        return Tensor((*rest, k), derivative.at([*rest, k, k]))
    if structure == "symmetric":
        mirrored = derivative.at([*rest, column, row])
        once = times(factor(Delta(), row, column), entry)
        return Tensor(derivative.slots, plus(entry, mirrored, scaled(once, -1)))
    return Tensor(derivative.slots, times(factor(Triangle(structure), row, column), entry))


def completed(free: Any, structure: str) -> Any:
    """A matrix of the structure from an array that holds its free entries."""
    if structure == "diagonal":
        return np.diag(np.diag(free)) if free.ndim == 2 else np.diag(free)
    if structure in ("lower", "upper"):
        return np.tril(free) if structure == "lower" else np.triu(free)
    return np.tril(free) + np.tril(free, -1).T if structure == "symmetric" else free


def free_entries(structure: str, shape: tuple[int, ...]) -> Any:
    """Where the free entries of a matrix of this shape lie, as a mask."""
    full = np.ones(shape, dtype=bool)
    if structure in ("symmetric", "lower"):
        return np.tril(full)
    return np.triu(full) if structure == "upper" else full
