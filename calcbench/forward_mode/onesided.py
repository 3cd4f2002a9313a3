"""Derivatives to one side: along a direction, and along one direction after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from calcbench.forward_mode.points import Point, Recording, check_scalar, direction_of
from calcbench.forward_mode.walking import OffPath, Question
from calcbench.graph.arraytype import DerivativeError


Function = Callable[..., Any]
SHRINK = 2.0**-8  # of each direction in relation to the one before, where a branch is looked for
ATTEMPTS = 16


class Lexicographic:
    """Answers at kinks by the first of several directions that tells.

    Attributes
    ----------
    columns : int
        How many directions there are.
    undecided : list of int
        Nodes whose truth value no direction decides, where `fallback` was taken: the truth at the
        point for None, the first or the last of what ties.
    discrete : list of int
        Nodes at which a condition or a step ties.
    """

    def __init__(self, columns: int, eps: float, fallback: int | None = None) -> None:
        self.columns = columns
        self.eps = eps
        self.fallback = fallback
        self.undecided: list[int] = []
        self.discrete: list[int] = []

    def largest(self, question: Question, rows: np.ndarray) -> np.ndarray | None:
        self.discrete += [question.node] if question.discrete else []
        left = np.arange(len(rows))
        for column, slack in zip(rows.T, slack_of(rows, self.eps), strict=True):
            left = left[column[left] >= np.max(column[left]) - slack]
        chosen = left[0]
        if question.discrete and len(left) > 1:
            if question.flat:
                return None
            self.undecided.append(question.node)
            if self.fallback is None:
                return None
            chosen = left[self.fallback]
        weights: np.ndarray = np.eye(len(rows))[chosen]
        return weights

    def norm(self, question: Question, rows: np.ndarray) -> np.ndarray:
        """The derivative of a norm along the first direction in which it grows, then of that."""
        lengths = np.linalg.norm(rows, axis=0)
        moving = np.flatnonzero(lengths)
        if not len(moving):
            return np.zeros(self.columns)
        first = moving[0]
        slopes: np.ndarray = rows[:, first] / lengths[first] @ rows
        return slopes


def slack_of(rows: np.ndarray, eps: float) -> np.ndarray:
    """Per column how far tangents may be apart by rounding alone, and count as equal."""
    largest = np.max(np.abs(rows), axis=0)
    slack: np.ndarray = np.sqrt(eps) / 100 * largest + 64 * eps * np.max(largest, initial=0.0)
    return slack


def _towards(directions: np.ndarray) -> np.ndarray:
    """A direction that goes along the first, bent towards the second, and so on."""
    weights = SHRINK ** np.arange(len(directions))
    bent: np.ndarray = weights @ directions
    return bent


def _swept(point: Point, directions: np.ndarray, fallback: int | None) -> tuple[np.ndarray, Any]:
    """The tangents of the result, and which answer was left open."""
    recording: Recording = point.here
    for attempt in range(ATTEMPTS):
        answers = Lexicographic(len(directions), point.eps, fallback)
        try:
            state = point.walk(recording, answers, directions)
        except OffPath:
            recording = point.beside(_towards(directions) * 2.0**-attempt)
            continue
        zeros = np.zeros((len(directions), *np.shape(state.value)))
        found = zeros if state.tangent is None else state.tangent + 0.0  # no -0
        return found, (answers, recording, state.value)
    raise DerivativeError(
        "the branches that the function takes next to this point could not be recorded along "
        f"the direction {directions[0]}"
    )


def _tangents(point: Point, directions: np.ndarray) -> np.ndarray:
    """Tangents along directions that come one after another."""
    found, (answers, recording, value) = _swept(point, directions, None)
    _check_continuous(point, value, [recording.graph.place(n) for n in answers.discrete])
    if answers.undecided:
        others = [_swept(point, directions, fallback)[0] for fallback in (0, -1)]
        if not all(np.allclose(found, other, rtol=1e-9, atol=1e-12) for other in others):
            place = recording.graph.place(answers.undecided[0])
            raise DerivativeError(
                f"{place} compares values that are equal to first order along this direction, and "
                "its branches have different slopes; write the condition so that it has a slope"
            )
    if not np.all(np.isfinite(found)):
        raise DerivativeError(
            "the slope along this direction is not finite: the function is not locally Lipschitz "
            f"at this point (got {found})"
        )
    return found


def _check_continuous(point: Point, value: Any, places: list[str]) -> None:
    """An error if the branch next to the point has another value at it than the function."""
    here = point.value()
    if not np.allclose(here, value, rtol=1e-9, atol=1e-12):
        raise DerivativeError(
            f"the function jumps at this point: it is {here} there, and tends to {value} along "
            f"the direction{named(places)}"
        )


def named(places: list[str]) -> str:
    """The first place where a condition or a step is tied, as the end of a message."""
    return f" (tied: {places[0]})" if places else ""


def _arguments(x: Any) -> tuple[Any, ...]:
    return x if isinstance(x, tuple) else (x,)


def directional(function: Function, x: Any, d: Any) -> Any:
    """The one-sided derivative f'(x; d), also at kinks.

    Parameters
    ----------
    function : callable
        A function of float arrays with one float array as its result.
    x, d : array_like, or tuples of them
        The point and a direction of the same shape; a tuple holds several arguments.

    Returns
    -------
    array or float
        lim (f(x + t d) - f(x)) / t for t -> 0, t > 0; shaped like the result.

    Raises
    ------
    DerivativeError
        If the function jumps at `x`, its slope is infinite, or branches with different slopes are
        chosen by a condition without slope along `d`; if `x` or `d` is not finite.
    DTypeError, ShapeError
        If `x` is not made of floats, or `d` has another shape.

    Notes
    -----
    One forward sweep, with one-sided rules at ties: ``abs'(0; d) = |d|``, a maximum takes the
    largest of the tied tangents, a sort sorts them, a Euclidean norm at 0 is the norm of the
    tangents, and a comparison at equality goes to the side that `d` goes to (Griewank & Walther,
    "First- and second-order optimality conditions for piecewise smooth objective functions",
    2016). Only values that are equal as floating-point numbers tie.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> float(cb.directional(np.abs, 0.0, -3.0))
    3.0
    >>> float(cb.directional(np.linalg.norm, np.zeros(2), np.array([3.0, 4.0])))
    5.0
    """
    point = Point(function, _arguments(x))
    direction = direction_of(point, _arguments(d))
    return _tangents(point, direction[None])[0][()]


def lexicographic(function: Function, x: Any) -> Any:
    """An element of Clarke's subdifferential at `x`, from one forward sweep.

    Parameters
    ----------
    function : callable
        A function of float arrays with a scalar result.
    x : array_like, or a tuple of arguments
        The point.

    Returns
    -------
    array, float or a tuple of them
        Shaped like `x`.

    Raises
    ------
    DerivativeError, DTypeError
        As for `directional`; if the result is no scalar.

    Notes
    -----
    The gradient at 0 of the derivative of the derivative ... along the first, second, ... unit
    direction, which Nesterov's lexicographic derivative is; for functions made of smooth ones, abs,
    max, min and norms it lies in Clarke's set (Nesterov 2005, doi:10.1007/s10107-005-0633-0;
    Khan & Barton 2015, doi:10.1080/10556788.2015.1025400).

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> cb.lexicographic(lambda x: np.maximum(x[0], -x[1]), np.zeros(2))
    array([1., 0.])
    """
    point = Point(function, _arguments(x))
    check_scalar(point)
    slopes = _tangents(point, np.eye(point.size))
    parts = tuple(part[()] for part in point.parts(slopes))
    return parts if isinstance(x, tuple) else parts[0]
