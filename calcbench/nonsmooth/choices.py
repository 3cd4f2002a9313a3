"""Answers at kinks that follow one piece of a function, and tell which other pieces there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from calcbench.forward_mode.onesided import slack_of
from calcbench.forward_mode.points import Point, Recording
from calcbench.forward_mode.walking import Name, Question
from calcbench.graph.arraytype import DerivativeError
from calcbench.graph.ir import Graph
from calcbench.nonsmooth.cones import Cone
from calcbench.nonsmooth.switches import ordered


class Piece(NamedTuple):
    """One way for the function to look near the point: value and slopes (also of norms)."""

    value: float
    slopes: np.ndarray
    cone: Cone


class Norm(NamedTuple):
    """A norm ||L d|| that vanishes at the point; `flat`: of piecewise linear values.

    `source` is its graph, node and entry.
    """

    matrix: np.ndarray
    flat: bool
    source: tuple[int, int, int]

    def multiple(self, other: Norm) -> float | None:
        """c such that `other` is c times this norm near the point, up to vanishing slopes.

        To first order the same is enough where L d = 0 for d = 0 alone: elsewhere the unit vectors
        L d / ||L d|| of two curved ones need not agree.
        """
        own, gram = self.matrix.T @ self.matrix, other.matrix.T @ other.matrix
        square = float(np.trace(gram) / np.trace(own))
        same = np.allclose(gram, square * own, rtol=1e-9, atol=1e-12 * np.trace(gram))
        sharp = np.linalg.matrix_rank(self.matrix) == len(own)
        told = self.source == other.source or sharp or (self.flat and other.flat)
        return float(np.sqrt(square)) if same and told else None


@dataclass
class Search:
    """What the enumeration of one function at one point has found and has to do."""

    point: Point
    budget: int
    independent: bool
    norms: list[Norm] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    recordings: list[Recording] = field(default_factory=list)
    questions: set[tuple[int, int]] = field(default_factory=set)
    steps: list[str] = field(default_factory=list)
    waiting: int = 0
    missed: bool = False

    @property
    def columns(self) -> int:
        """One per number of the point, then one per norm that vanishes there."""
        return self.point.size + len(self.norms)

    def check_budget(self, found: int = 0) -> None:
        """An error if the pieces looked at, and those that wait, are more than the budget."""
        waiting = self.waiting + found
        if len(self.pieces) + waiting > self.budget:
            raise DerivativeError(
                f"the function has at least {len(self.questions)} ties at this point, which make "
                f"more than budget={self.budget} pieces ({len(self.pieces)} looked at, {waiting} "
                "waiting); raise budget=..., or use cb.directional or cb.lexicographic, which need "
                "one sweep"
            )


class Widened(Exception):
    """A norm was met that has no column yet."""


class DeadEnd(Exception):
    """No answer is left that a piece near the point could give."""


class Branch(NamedTuple):
    """A piece to look at: the answers given so far, and their cone."""

    answers: tuple[int, ...]
    cone: Cone


class Choices:
    """Answers at kinks that follow a branch, and then take the first that is possible.

    Attributes
    ----------
    siblings : list of Branch
        The other answers that were possible.
    """

    def __init__(self, search: Search, graph: Graph, branch: Branch) -> None:
        self.search = search
        self.graph = graph
        self.given = branch.answers
        self.position = 0
        self.cone = branch.cone
        self.siblings: list[Branch] = []
        self.above: set[tuple[Name, Name]] = set()

    @property
    def columns(self) -> int:
        return self.search.columns

    def largest(self, question: Question, rows: np.ndarray) -> np.ndarray | None:
        groups = self._groups(question, rows)
        if groups is None:
            return None
        self.search.questions.add((question.node, question.names[0].entry))
        if question.discrete:
            self.search.steps.append(self.graph.place(question.node))
        allowed = [g for g in groups if not self._contradicted(question, g)]
        chosen = allowed[0] if len(allowed) == 1 else allowed[self._choice(question, rows, allowed)]
        self._remember(question, chosen)
        weights: np.ndarray = np.eye(len(rows))[chosen[0]]
        return weights

    def _groups(self, question: Question, rows: np.ndarray) -> list[list[int]] | None:
        """The tied values, those together that may stand for each other."""
        if self.search.independent:
            return [[i] for i in range(len(rows))]
        groups: list[list[int]] = []
        merges = question.flat or not question.discrete
        slack = slack_of(rows, self.search.point.eps)
        for i, row in enumerate(rows):
            alike = (g for g in groups if np.all(np.abs(rows[g[0]] - row) <= slack))
            home = next(alike, None) if merges else None
            if home is None:
                groups.append([i])
            else:
                home.append(i)
        return None if len(groups) == 1 and question.discrete else groups

    def _choice(self, question: Question, rows: np.ndarray, groups: list[list[int]]) -> int:
        """The number of the group that is taken."""
        if self.position < len(self.given):
            self.position += 1
            return self.given[self.position - 1]
        possible: list[Branch] = []
        for i in range(len(groups)):
            cone = self._cone(question, rows, groups, i)
            if cone is not None:
                possible.append(Branch((*self.given, i), cone))
                self.search.check_budget(len(possible) + len(self.siblings) - 1)
        if not possible:
            raise DeadEnd
        self.siblings += possible[1:]
        self.given, self.cone = possible[0]
        self.position += 1
        return self.given[-1]

    def _cone(
        self, question: Question, rows: np.ndarray, groups: list[list[int]], taken: int
    ) -> Cone | None:
        if self.search.independent:
            return self.cone
        others = [g[0] for i, g in enumerate(groups) if i != taken]
        differences = rows[groups[taken][0]] - rows[others]
        return self.cone.restricted(differences, question.flat, self.search.point.size)

    # --- the same switch twice ---

    def _pairs(self, question: Question, group: list[int]) -> list[tuple[Name, Name]]:
        """(a, b) with a >= b for the first of a group and everything that is not in it."""
        names = question.names
        return [
            ordered(self.graph, names[group[0]], names[i])
            for i in range(len(names))
            if i not in group
        ]

    def _contradicted(self, question: Question, group: list[int]) -> bool:
        if self.search.independent:
            return False
        return any((b, a) in self.above for a, b in self._pairs(question, group))

    def _remember(self, question: Question, group: list[int]) -> None:
        self.above.update(self._pairs(question, group) if len(group) == 1 else ())

    # --- norms ---

    def norm(self, question: Question, rows: np.ndarray) -> np.ndarray:
        """A column of its own, or a multiple of one; a norm of one number is a magnitude."""
        search, padding = self.search, self.columns - self.search.point.size
        matrix = np.vstack([self._squared(row) for row in rows])
        if not np.any(matrix):
            return np.zeros(self.columns)
        axis = _only_direction(matrix)
        if axis is not None:
            signed = np.pad(np.array([axis, -axis]), ((0, 0), (0, padding)))
            weights = self.largest(question, signed)
            assert weights is not None  # no discrete question
            found: np.ndarray = weights @ signed
            return found
        search.questions.add((question.node, question.names[0].entry))
        source = id(self.graph), question.node, question.names[0].entry
        return self._column(search, Norm(matrix, question.flat, source))

    def _column(self, search: Search, met: Norm) -> np.ndarray:
        found = np.zeros(self.columns)
        for position, norm in enumerate(search.norms):
            factor = norm.multiple(met)
            if factor is not None:
                found[search.point.size + position] = factor
                return found
        search.norms.append(met)
        raise Widened

    def _squared(self, row: np.ndarray) -> np.ndarray:
        """Rows of which the sum of squares is that of a row: a norm of a norm is flattened."""
        size = self.search.point.size
        inner = np.flatnonzero(row[size:])
        if not len(inner):
            return row[None, :size]
        if len(inner) > 1 or np.any(row[:size]):
            raise DerivativeError(
                "a norm of a sum with another norm vanishes at this point; such sets are not "
                "enumerated: use cb.directional, or write the function without the outer norm"
            )
        flattened: np.ndarray = row[size + inner[0]] * self.search.norms[inner[0]].matrix
        return flattened


def _only_direction(matrix: np.ndarray) -> np.ndarray | None:
    """The a with ||L d|| = |<a, d>|, if L has rank 1."""
    _, sizes, turned = np.linalg.svd(matrix)
    single = len(sizes) == 1 or sizes[1] <= 1e-12 * sizes[0]
    return sizes[0] * turned[0] if single else None
