"""Convex hulls of points: which of them are corners, and what is nearest to another point."""

from __future__ import annotations

import numpy as np


ROUNDING = 1e-9  # of coordinates, in relation to their largest: what is closer is one
NOISE = 1e-13  # of the largest coordinate of all: below it a coordinate is rounding alone


def units_of(points: np.ndarray) -> np.ndarray:
    """Per coordinate its size; hulls do not change when coordinates are measured in these."""
    largest = np.max(np.abs(points), axis=0, initial=0.0)
    units: np.ndarray = np.maximum(largest, NOISE * np.max(largest, initial=0.0))
    units[units == 0] = 1.0
    return units


def extreme_points(points: np.ndarray) -> np.ndarray:
    """The points, (k, n), that the hull of the others does not hold, sorted."""
    units = units_of(points)
    corners: np.ndarray = _corners(_distinct(points / units)) * units
    return corners[np.lexsort(corners.T[::-1])] + 0.0  # no -0


def _corners(points: np.ndarray) -> np.ndarray:
    if points.shape[1] == 1:
        ends = [points.min(axis=0), points.max(axis=0)]
        return np.array(ends if len(points) > 1 else ends[:1])
    certain = _stick_out(points)
    left = [*points[certain], *points[~certain]]
    position = int(np.sum(certain))
    while position < len(left) and len(left) > 1:
        others = [*left[:position], *left[position + 1 :]]
        if holds(np.array(others), left[position]):
            left = others
        else:
            position += 1
    return np.array(left)


def _distinct(points: np.ndarray) -> np.ndarray:
    kept: list[np.ndarray] = []
    for point in points[np.lexsort(points.T[::-1])]:
        if not kept or np.min(np.max(np.abs(np.array(kept) - point), axis=1)) > ROUNDING:
            kept.append(point)
    return np.array(kept)


def _stick_out(points: np.ndarray) -> np.ndarray:
    """Which points are the highest of all, seen from the middle: corners for certain."""
    outward = points - points.mean(axis=0)
    heights = outward @ points.T
    own = np.diagonal(heights).copy()
    np.fill_diagonal(heights, -np.inf)
    found: np.ndarray = own > heights.max(axis=1) + ROUNDING * np.linalg.norm(outward, axis=1)
    return found


def holds(points: np.ndarray, target: np.ndarray) -> bool:
    """Whether the hull of some points holds another one, to rounding."""
    units = units_of(np.vstack([points, target]))
    gap = nearest_in_hull(points / units, target / units) - target / units
    return bool(np.linalg.norm(gap) <= ROUNDING)


def nearest_in_hull(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The point of a hull that is nearest to `target`; points (k, n).

    min |P^T w| over weights w >= 0 with sum 1, for points P - target: the nonnegative solution of
    [P^T; 1^T] w = (0, 1) in least squares has these weights, up to a factor.
    """
    from scipy.optimize import nnls

    moved = points - target
    scale = float(np.max(np.abs(moved), initial=0.0))
    if len(points) == 1 or scale == 0.0:
        alone: np.ndarray = points[0]
        return alone
    system = np.vstack([moved.T / scale, np.ones(len(points))])
    weights, _ = nnls(system, np.r_[np.zeros(len(target)), 1.0])
    nearest: np.ndarray = weights / weights.sum() @ points
    return nearest
