"""Functions with kinks: a point, and what Clarke's subdifferential is there by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import calcbench as cb


class Case(NamedTuple):
    """`corners`: the vertices in closed form, None for round sets. `convex` functions are regular.

    `hard`: the number in the list of hard cases where other systems go wrong.
    """

    name: str
    function: Callable[[Any], Any]
    point: Any
    corners: Any
    convex: bool = False
    hard: int = 0
    exact: bool = True


def unit(position: int, size: int) -> np.ndarray:
    return np.eye(size)[position]


def branching(x: Any) -> Any:
    if x > 0:
        return 3 * x
    return -2 * x


def branching_twice(x: Any) -> Any:
    total, gap = x[0] + x[1], x[0] - x[1]
    if total > 0:
        return 3 * total + gap if gap > 0 else 3 * total
    return gap - total if gap > 0 else -total


def isolated(x: Any) -> Any:
    return 1.0 if x == 1 else x**2


def curved(x: Any) -> Any:
    return np.sin(x[0]) + x[1] ** 2


def triangle_wave(x: Any) -> Any:
    return np.abs(x % 2 - 1)


def guarded_root(x: Any) -> Any:
    return np.sqrt(np.where(x > 0, x, 1.0) + 1) - 1


def norm(x: Any) -> Any:
    return np.linalg.norm(x)


def bent(x: Any) -> Any:
    return np.stack([x[0] + x[1] ** 2, x[1]])


MATRIX = np.array([[9.0, 2.0, 9.0], [-2.0, -3.0, -4.0], [7.0, 8.0, -9.0]])
LARGEST = np.zeros((3, 3, 3))
LARGEST[0, 0, 0], LARGEST[1, 0, 2], LARGEST[2, 2, 2] = 1, 1, -1
PLANE, SPACE = np.zeros(2), np.zeros(3)
CROSS = [[1.0, 0], [-1, 0], [0, 1], [0, -1]]

CASES = (
    Case("relu", cb.relu, 0.0, [0.0, 1], True, 1),
    Case("abs", np.abs, 0.0, [-1.0, 1], True, 2),
    Case("difference of relus", lambda x: cb.relu(x) - cb.relu(-x), 0.0, [1.0], True, 3),
    Case(
        "three tangent pieces",
        lambda x: np.maximum(np.maximum(x, np.exp(x) - 1), ((x + 1) ** 2 - 1) / 2),
        0.0, [1.0], True, 4,
    ),
    Case("three equal entries", np.max, np.ones(3), np.eye(3), True, 5),
    Case("five equal entries", np.max, np.ones(5), np.eye(5), True, 6),
    Case("largest magnitude", lambda a: np.max(np.abs(a)), MATRIX, LARGEST, True, 7),
    Case(
        "power of an l1 norm",
        lambda x: (np.abs(x[0]) + np.abs(x[1])) ** 4 + np.exp(x[1]),
        np.array([1.0, 0]), [[4.0, -3], [4, 5]], True, 8,
    ),
    Case("minus abs", lambda x: -np.abs(x), 0.0, [-1.0, 1], False, 9),
    Case("minus abs, moved", lambda x: -np.abs(x + 1), -1.0, [-1.0, 1], False, 9),
    Case("least magnitude", lambda x: np.min(np.abs(x)), PLANE, CROSS, False, 10),
    Case("abs minus itself", lambda x: np.abs(x) - np.abs(x), 0.0, [0.0], True, 11),
    Case("norm", norm, SPACE, None, True, 19),
    Case("squared norm", lambda x: norm(x) ** 2, SPACE, [SPACE], True, 19),
    Case("clip by itself", lambda x: np.clip(x, 0, x), 5.0, [1.0], True, 24),
    Case("clip at its bound", lambda x: np.clip(x, 0.0, 3.0), 3.0, [0.0, 1], False, 24),
    Case("clip at its lower bound", lambda x: np.clip(x, 0.0, 3.0), 0.0, [0.0, 1], True, 24),
    Case("sinc", np.sinc, 0.0, [0.0], False, 14),
    Case("minus a square", lambda x: np.abs(-(x**2)), 0.0, [0.0], True, 12),
    Case("root of a relu that is off", lambda x: np.sqrt(cb.relu(x)), -10.0, [0.0], False, 17),
    Case("smooth", lambda x: np.sum(x**3), np.ones(2), [[3.0, 3]]),
    Case("two relus of a vector", lambda x: cb.relu(x[0]) - cb.relu(-x[0]) + x[1],
         PLANE, [[1.0, 1]]),
    Case("two relus of a curve", lambda x: cb.relu(curved(x)) - cb.relu(-curved(x)),
         PLANE, [[1.0, 0]]),
    Case("abs of a curve, twice", lambda x: np.abs(curved(x)) - np.sqrt(curved(x) ** 2),
         PLANE, [PLANE]),
    Case("a branch", branching, 0.0, [-2.0, 3], True),
    Case("branches", branching_twice, PLANE, [[3.0, 3], [4, 2], [-1, -1], [0, -2]],
         True),
    Case("an isolated branch", isolated, 1.0, [2.0], True, 13),
    Case("where", lambda x: np.sum(np.where(x > 0, 3 * x, -2 * x)), PLANE,
         [[-2.0, -2], [-2, 3], [3, -2], [3, 3]], True),
    Case("where, otherwise spelt", lambda x: np.where(np.less_equal(x, 0), 0 * x, x),
         0.0, [0.0, 1], True),
    Case("a guarded root", lambda x: np.where(x > 0, guarded_root(x), 0.0), 0.0, [0.0, 0.5]),
    Case("x times its sign", lambda x: x * np.sign(x), 0.0, [-1.0, 1], True),
    Case("x where it is positive", lambda x: x * (x > 0), 0.0, [0.0, 1], True),
    Case("a triangle wave, below", triangle_wave, 1.0, [-1.0, 1], True),
    Case("a triangle wave, above", triangle_wave, 2.0, [-1.0, 1]),
    Case("a masked sum", lambda x: np.sum(x[x >= 0]), PLANE,
         [[0.0, 0], [0, 1], [1, 0], [1, 1]], True),
    Case("the entry at argmax", lambda x: x[np.argmax(x)], np.ones(2), np.eye(2), True),
    Case("the least of three", lambda x: np.sort(x)[0], SPACE, np.eye(3)),
    Case(
        "sorted and weighted", lambda x: np.dot(np.sort(x), np.arange(3.0)), SPACE,
        [[0.0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]], True,
    ),
    Case("a median", lambda x: np.median(x), SPACE, np.eye(3)),
    Case("by argsort", lambda x: x[np.argsort(x)][1], SPACE, np.eye(3)),
    Case("two ties of a matrix", lambda a: np.max(a, axis=0).sum(), np.array([[1.0, 2], [1, 2]]),
         [[[1.0, 1], [0, 0]], [[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, 0], [1, 1]]], True),
    Case("max of min", lambda x: np.maximum(np.minimum(x[0], x[1]), -x[0] - x[1]), PLANE,
         [[1.0, 0], [0, 1], [-1, -1]]),
    Case("far apart in size", lambda x: np.maximum(1e12 * x[0] + x[1], 1e12 * x[0]), PLANE,
         [[1e12, 0], [1e12, 1]], True),
    Case("norm plus abs", lambda x: norm(x) + np.abs(x[0]), PLANE, None, True),
    Case("norm and a bound", lambda x: np.maximum(norm(x), 2 * x[0]), PLANE, None, True),
    Case("norm minus its mirror image", lambda x: norm(x) - norm(-x), PLANE, [PLANE], True),
    Case("norms of two parts", lambda x: norm(x[:2]) - norm(x[2:]), np.zeros(4), None),
    Case("norm and another kink", lambda x: norm(x[1:]) - np.abs(x[0]), SPACE, None),
    Case("norm of a norm", lambda x: norm(np.stack([norm(x), x[0]])), PLANE, None, True),
    Case("positive part of a norm", lambda x: cb.relu(norm(x)), PLANE, None, True),
    Case("hypot", lambda x: np.hypot(x[0], 2 * x[1]), PLANE, None, True),
    Case("scaled root", lambda x: np.sqrt(np.mean(x**2)), PLANE, None, True),
    Case("norm of one number", lambda x: np.sqrt(4 * x**2), 0.0, [-2.0, 2], True),
    Case("norm of a line", lambda x: np.sqrt(np.sum((x[0] + x[1]) ** 2 + (x[0] + x[1]) ** 2)),
         PLANE, [[np.sqrt(2), np.sqrt(2)], [-np.sqrt(2), -np.sqrt(2)]], True),
    Case("norms alike to first order", lambda x: norm(bent(x)) - norm(x), PLANE, [PLANE]),
    Case("norm less a magnitude", lambda x: norm(x) - np.abs(x[0]), PLANE, None, exact=False),
    Case(
        "cells of the linearisation alone give 0",
        lambda x: np.maximum(np.minimum(x[1], x[0] ** 2 - x[1]), 0.0),
        PLANE, [[0.0, -1], [0, 1]], exact=False,
    ),
)  # fmt: skip
