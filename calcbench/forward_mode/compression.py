"""Plans for sparse matrices of derivatives: which sweeps to make, and where each entry is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from calcbench.forward_mode.colouring import (
    column_colours,
    direct_entries,
    least_star_colours,
    star_colours,
)


MOST_NUMBERS = 2**23  # in the seeds, and in the results, of sweeps made at once


@dataclass(frozen=True, eq=False)
class SparsePlan:
    """How a sparse matrix of derivatives is computed at the points of one path.

    Attributes
    ----------
    pattern : scipy.sparse.csr_array of bool
        Which entries may be nonzero: rows are the entries of the results, columns those of the
        arguments, each flattened in C order, one result or argument after the other.
    mode : {"forward", "reverse", "symmetric"}
        Whether groups of columns are computed together, groups of rows, or groups of columns of a
        symmetric matrix, of which one entry of each pair is read.
    colours : array of int
        The group of each column (of each row, if the mode is reverse).
    sweeps : int
        The number of groups: of tangents or cotangents that are pushed through the function.
    least : int
        No groups of columns (or rows) of this pattern take fewer sweeps: the entries of its
        fullest row (column). For symmetric matrices at most 3.
    """

    pattern: Any
    mode: str
    colours: np.ndarray
    sweeps: int
    least: int

    def __str__(self) -> str:
        rows, columns = self.pattern.shape
        kind = "Hessian" if self.mode == "symmetric" else "Jacobian"
        name = "forward-over-reverse" if self.mode == "symmetric" else self.mode
        count = "1 sweep" if self.sweeps == 1 else f"{self.sweeps} sweeps"
        return (
            f"{kind} of {rows} x {columns} with up to {self.pattern.nnz} nonzeros: {count} "
            f"({name}) instead of {rows if self.mode == 'reverse' else columns}; at least "
            f"{self.least} for this pattern"
        )


def make_plan(pattern: Any, mode: str) -> SparsePlan:
    """The groups of columns or rows that take the fewest sweeps.

    Parameters
    ----------
    pattern : scipy.sparse.csr_array
        Of shape (m, n).
    mode : {"auto", "forward", "reverse", "symmetric"}
        Auto takes forward or reverse, whichever needs fewer sweeps; symmetric wants m = n, and
        completes the pattern.
    """
    if mode == "symmetric":
        return _symmetric(pattern)
    if mode != "auto":
        return _grouped(pattern, mode)
    forward, reverse = (_least(p) for p in (pattern, pattern.T.tocsr()))
    first, second = ("forward", "reverse") if forward <= reverse else ("reverse", "forward")
    plan = _grouped(pattern, first)
    if plan.sweeps <= max(forward, reverse):
        return plan
    return min(plan, _grouped(pattern, second), key=lambda p: p.sweeps)


def _symmetric(pattern: Any) -> SparsePlan:
    whole = (pattern + pattern.T).tocsr()
    whole.sort_indices()
    colours = star_colours(whole)
    least = least_star_colours(whole)
    return SparsePlan(whole, "symmetric", colours, _count(colours, whole), least)


def _grouped(pattern: Any, mode: str) -> SparsePlan:
    columns = pattern if mode == "forward" else pattern.T.tocsr()
    colours = column_colours(columns)
    return SparsePlan(pattern, mode, colours, _count(colours, pattern), _least(columns))


def _least(pattern: Any) -> int:
    return int(np.max(np.diff(pattern.indptr), initial=0))


def _count(colours: np.ndarray, pattern: Any) -> int:
    return int(colours.max(initial=-1)) + 1 if pattern.nnz else 0


class Part(NamedTuple):
    """Some of the sweeps, made at once: `lanes` of them from number `first` on.

    `places` says where the entries of the pattern at `entries` lie among the results, laid end to
    end.
    """

    first: int
    lanes: int
    entries: Any
    places: np.ndarray


def sweep_parts(plan: SparsePlan) -> Iterator[Part]:
    """The sweeps, as many at once as memory allows and the same number in each part."""
    if not plan.sweeps:
        return
    size = max(plan.pattern.shape)
    parts = -(-plan.sweeps // max(MOST_NUMBERS // size, 1))
    lanes = -(-plan.sweeps // parts)
    width = plan.pattern.shape[0 if plan.mode != "reverse" else 1]
    sweeps, positions = _readings(plan)
    if parts == 1:
        yield Part(0, lanes, slice(None), sweeps * width + positions)
        return
    for first in range(0, plan.sweeps, lanes):
        entries = np.flatnonzero((sweeps >= first) & (sweeps < first + lanes))
        places = (sweeps[entries] - first) * width + positions[entries]
        yield Part(first, lanes, entries, places)


def group_seeds(plan: SparsePlan, part: Part) -> np.ndarray:
    """One direction per sweep: the sum of the unit vectors of its columns (or rows)."""
    seeds, sweeps = np.zeros((part.lanes, len(plan.colours))), plan.colours - part.first
    members = np.flatnonzero((sweeps >= 0) & (sweeps < part.lanes))
    seeds[sweeps[members], members] = 1.0
    return seeds


def _readings(plan: SparsePlan) -> tuple[np.ndarray, np.ndarray]:
    """Per entry of the pattern the sweep, and the position in its result, at which it is read."""
    columns = plan.pattern.indices.astype(np.int64)
    rows = np.repeat(np.arange(plan.pattern.shape[0]), np.diff(plan.pattern.indptr))
    if plan.mode == "forward":
        return plan.colours[columns], rows
    if plan.mode == "reverse":
        return plan.colours[rows], columns
    direct = direct_entries(plan.pattern, plan.colours)
    sweeps = np.where(direct, plan.colours[columns], plan.colours[rows])
    return sweeps, np.where(direct, rows, columns)
