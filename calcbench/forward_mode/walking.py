"""A graph walked at one point, many directions at once, with every kink put as a question.

The answer to a question is the piece on which the function is meant to be near the point: by a
direction, by a choice that an enumeration makes, or by the convention of a framework. Ties are
exact equalities of floating-point values; 0.1 + 0.2 does not tie with 0.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from calcbench.graph.arraytype import DerivativeError
from calcbench.graph.comparison import equal, not_equal
from calcbench.graph.ir import Graph, reachable
from calcbench.graph.nodes import INPUT, Guard, Node


class Name(NamedTuple):
    """What ties: an entry of a node's value, or its negative; `ZERO` is the number 0."""

    sign: int
    node: int
    entry: int


ZERO = Name(0, -1, 0)


class Question(NamedTuple):
    """A tie.

    `flat`: the tied values are piecewise linear near the point, so that their tangents tell all of
    them. `discrete`: the answer picks a position, a truth value or a step, so that it matters even
    where the tangents are equal.
    """

    kind: str
    node: int
    names: tuple[Name, ...]
    flat: bool
    discrete: bool = False


class Answers(Protocol):
    """Who decides at kinks; rows are the tangents of what ties, (ties, columns)."""

    @property
    def columns(self) -> int: ...
    def largest(self, question: Question, rows: np.ndarray) -> np.ndarray | None:
        """The weight of each tied value in the largest; None: what holds at the point itself."""

    def norm(self, question: Question, rows: np.ndarray) -> np.ndarray:
        """The tangent of the Euclidean norm of what vanishes at the point."""


class State(NamedTuple):
    """What is known of a node: its value, its tangents (columns, *shape) or None for none.

    `still` marks the entries that are constant near the point on this piece, `flat` says that the
    value is piecewise linear there.
    """

    value: Any
    tangent: np.ndarray | None
    still: Any
    flat: bool


class OffPath(Exception):
    """A piece on which Python would have taken another branch than the recorded one."""

    def __init__(self, node: int) -> None:
        super().__init__(node)
        self.node = node


Rule = Callable[["Walk", int, Node, list[State]], State]


class Walk:
    """One run over a graph.

    Attributes
    ----------
    states : dict
        Per node what is known of it.
    """

    def __init__(self, graph: Graph, answers: Answers, rules: Callable[[Node], Rule]) -> None:
        self.graph = graph
        self.answers = answers
        self.rules = rules
        self.states: dict[int, State] = {}

    def run(self, inputs: Sequence[Any], seeds: dict[int, np.ndarray]) -> State:
        """The state of the first output, for input values and the tangents of some inputs."""
        for index, value in zip(self.graph.inputs, inputs, strict=True):
            self.states[index] = _input_state(value, seeds.get(index))
        guards = {guard.node: guard for guard in self.graph.guards}
        with np.errstate(all="ignore"):
            for index in reachable(self.graph.nodes, [*guards, *self.graph.outputs]):
                if self.graph.nodes[index].row is not INPUT:
                    self._step(index)
                if index in guards:
                    self._check(guards[index])
        return self.states[self.graph.outputs[0]]

    def _step(self, index: int) -> None:
        node = self.graph.nodes[index]
        self.states[index] = self.rules(node)(
            self, index, node, [self.states[i] for i in node.operands]
        )

    def _check(self, guard: Guard) -> None:
        """A branch on equality was recorded for the general point, whatever holds here."""
        node = self.graph.nodes[guard.node]
        varies = any(self.states[i].tangent is not None for i in node.operands)
        if node.row in (equal, not_equal) and varies:
            return
        if not np.array_equal(self.states[guard.node].value, guard.expected.array):
            raise OffPath(guard.node)

    def ask(
        self, index: int, names: Sequence[Name], discrete: bool = False
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """The weights of the largest of what ties, and the rows they weigh."""
        rows = np.array([self.row(name) for name in names])
        self._check_rows(index, rows)
        flat = all(self.is_flat(name) for name in names)
        kind = self.graph.nodes[index].row.name
        question = Question(kind, index, tuple(names), flat, discrete)
        return self.answers.largest(question, rows), rows

    def weigh(self, index: int, names: Sequence[Name]) -> tuple[np.ndarray, np.ndarray]:
        """The same for a tie that always has a winner."""
        weights, rows = self.ask(index, names)
        assert weights is not None  # only discrete questions may stay open
        return weights, rows

    def norm(self, index: int, entry: int, rows: np.ndarray, flat: bool) -> np.ndarray:
        """The tangent of one entry, the norm of what vanishes with tangents `rows`.

        If there is one direction only, its sign has the number ``-2 - index`` of no node.
        """
        self._check_rows(index, rows)
        names = Name(1, -2 - index, entry), ZERO
        return self.answers.norm(Question("norm", index, names, flat), rows)

    def row(self, name: Name) -> np.ndarray:
        """The tangents of one entry, in all columns."""
        tangent = None if name.node < 0 else self.states[name.node].tangent
        if tangent is None:
            return np.zeros(self.answers.columns)
        entry: np.ndarray = name.sign * tangent.reshape(len(tangent), -1)[:, name.entry]
        return entry

    def is_flat(self, name: Name) -> bool:
        """Whether an entry is piecewise linear near the point."""
        if name.node < 0:
            return True
        state = self.states[name.node]
        return state.flat or bool(np.ravel(state.still)[name.entry])

    def _check_rows(self, index: int, rows: np.ndarray) -> None:
        if not np.all(np.isfinite(rows)):
            raise DerivativeError(
                f"what ties at {self.graph.place(index)} has a slope that is not finite, so the "
                "function is not locally Lipschitz there, and has no set of subgradients"
            )


def _input_state(value: Any, tangent: np.ndarray | None) -> State:
    return State(value, tangent, np.full(np.shape(value), tangent is None), True)
