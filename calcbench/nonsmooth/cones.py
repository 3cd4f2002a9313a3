"""Cones {v : R v >= 0} of directions: has one an interior, has one a point with a nonzero part?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


MARGIN = 1e-9  # of the interior: the radius of a ball in the cone, within the unit cube


def interior_point(rows: np.ndarray) -> np.ndarray | None:
    """A point with R v > 0, as far from the faces as the unit cube allows, or None.

    Rows are scaled to length 1; a row of zeros leaves no interior.
    """
    lengths = np.linalg.norm(rows, axis=1)
    columns = rows.shape[1]
    if not np.all(lengths > 0):
        return None
    if not len(rows):
        return np.ones(columns)
    scaled = rows / lengths[:, None]
    if columns == 1:
        return _on_a_line(scaled)
    # maximise t subject to R v >= t and |v_i| <= 1
    system = np.column_stack([-scaled, np.ones(len(rows))])
    bounds = [*[(-1.0, 1.0)] * columns, (None, 1.0)]
    solution = _solved(np.r_[np.zeros(columns), -1.0], system, np.zeros(len(rows)), bounds)
    return solution[:-1] if solution is not None and solution[-1] > MARGIN else None


def _on_a_line(rows: np.ndarray) -> np.ndarray | None:
    for side in (1.0, -1.0):
        if np.all(side * rows > 0):
            return np.array([side])
    return None


def nonzero_point(rows: np.ndarray) -> np.ndarray | None:
    """A point v != 0 with R v >= 0, or None.

    If R v = 0 has such a solution, that is one. Otherwise R v is nonzero, and its sum can be
    scaled to 1.
    """
    lengths = np.linalg.norm(rows, axis=1)
    scaled = rows[lengths > 0] / lengths[lengths > 0, None]
    columns = rows.shape[1]
    if not len(scaled):
        return np.ones(columns)
    _, sizes, turned = np.linalg.svd(scaled)
    if len(sizes) < columns or sizes[-1] <= MARGIN:
        kernel: np.ndarray = turned[-1]
        return kernel
    system, right = np.vstack([-scaled, -scaled.sum(axis=0)]), np.zeros(len(scaled) + 1)
    right[-1] = -1.0
    return _solved(np.zeros(columns), system, right, [(None, None)] * columns)


def lowest_on(rows: np.ndarray, slope: np.ndarray) -> float:
    """The minimum of <slope, v> over R v >= 0 in the unit cube."""
    solution = _solved(slope, -rows, np.zeros(len(rows)), [(-1.0, 1.0)] * rows.shape[1])
    assert solution is not None  # v = 0 is feasible
    return float(slope @ solution)


def _solved(cost: Any, system: Any, right: Any, bounds: Any) -> np.ndarray | None:
    """The solution of min cost v, system v <= right; None if there is no feasible point."""
    from scipy.optimize import linprog

    found = linprog(cost, A_ub=system, b_ub=right, bounds=bounds, method="highs")
    return np.asarray(found.x) if found.status == 0 else None


# --- the constraints of a piece ---------------------------------------------------------------


class Cone(NamedTuple):
    """The constraints of a piece: rows, which of them are exact, and a direction in it.

    `inner` says that the rows have an interior, in which `witness` lies.
    """

    rows: np.ndarray
    exact: np.ndarray
    inner: bool
    witness: np.ndarray

    def restricted(self, rows: np.ndarray, exact: bool, size: int) -> Cone | None:
        """The cone with more rows, or None if no piece can lie in it."""
        if np.any(_is_vanishing(rows, size)):
            return None
        rows = rows[~_is_vanishing(-rows, size)]
        every = np.vstack([self.rows, rows])
        flags = np.r_[self.exact, np.full(len(rows), exact)]
        if self.inner and not np.any(rows[:, size:]):
            for direction in (self.witness, _mirrored(self.witness, rows), _middle(every)):
                if _is_clear(every, direction):
                    return Cone(every, flags, True, direction)
        inside = interior_point(_known(every, size)) if self.inner else None
        if inside is not None and len(_known(every, size)) == len(every):
            return Cone(every, flags, True, _padded(inside, every))
        if interior_point(_known(every[flags], size)) is None:
            return None
        beside = nonzero_point(_known(every, size))
        return None if beside is None else Cone(every, flags, False, _padded(beside, every))


def _is_clear(rows: np.ndarray, direction: np.ndarray) -> bool:
    """Whether a direction lies well inside: no program needs to be solved then."""
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(direction)
    return bool(np.all(rows @ direction > 1e-4 * lengths))


def _mirrored(direction: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The direction on the other side of the first row."""
    if not np.any(rows[:1]):
        return direction
    flipped: np.ndarray = direction - 2 * (rows[0] @ direction) / (rows[0] @ rows[0]) * rows[0]
    return flipped


def _middle(rows: np.ndarray) -> np.ndarray:
    """The sum of the rows, each scaled to length 1: inside of a wide cone."""
    lengths = np.linalg.norm(rows, axis=1)
    middle: np.ndarray = np.sum(rows[lengths > 0] / lengths[lengths > 0, None], axis=0)
    return middle


def _is_vanishing(rows: np.ndarray, size: int) -> np.ndarray:
    """Which rows ask norms to be 0 or less: where L d = 0, which has no interior."""
    found: np.ndarray = (
        np.all(rows[:, :size] == 0, axis=1)
        & np.all(rows[:, size:] <= 0, axis=1)
        & np.any(rows[:, size:] < 0, axis=1)
    )
    return found


def _known(rows: np.ndarray, size: int) -> np.ndarray:
    """The rows in which no norm takes part, without the norms' columns."""
    return rows[np.all(rows[:, size:] == 0, axis=1), :size]


def _padded(direction: np.ndarray, rows: np.ndarray) -> np.ndarray:
    padded: np.ndarray = np.r_[direction, np.zeros(rows.shape[1] - len(direction))]
    return padded
