"""Which nodes are at a kink, what frameworks return there, and whether that is a subgradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from calcbench.derivatives import grad
from calcbench.forward_mode.points import Point
from calcbench.forward_mode.walking import Question
from calcbench.graph.arraytype import DerivativeError
from calcbench.nonsmooth.sets import SubgradientSet
from calcbench.subgradients import subdifferential


FIRST, SECOND, EQUAL, UNDEFINED = "first", "second", "equal", "undefined"

# Which of what ties carries the derivative: abs(x) ties x with -x, relu(x) ties x with 0. PyTorch
# 2.x: sign(0) = 0, maximum and amax share equally, torch.linalg.norm has the slope 0 at 0. JAX:
# abs takes the branch x >= 0 (jax#37820), norm is NaN (jax#21723). TensorFlow: maximum gives all to
# the first (x >= y), norm is NaN. A root of a square is NaN in all of them. Comparisons take the
# branch that holds at the point, sorts are stable.
FRAMEWORKS: dict[str, dict[str, str]] = {
    "PyTorch": {"abs": EQUAL, "relu": SECOND, "maximum": EQUAL, "minimum": EQUAL, "max": EQUAL,
                "min": EQUAL, "norm": EQUAL},
    "JAX": {"abs": FIRST, "relu": SECOND, "maximum": EQUAL, "minimum": EQUAL, "max": EQUAL,
            "min": EQUAL, "norm": UNDEFINED},
    "TensorFlow": {"abs": EQUAL, "relu": SECOND, "maximum": FIRST, "minimum": FIRST, "max": EQUAL,
                   "min": EQUAL, "norm": UNDEFINED},
}  # fmt: skip
ROOTS = ("sqrt", "power", "hypot")


class Convention:
    """Answers at kinks as a framework gives them; notes what was asked.

    Attributes
    ----------
    asked : list of (Question, text)
        The kinks, and which of what ties got the derivative.
    """

    def __init__(self, columns: int, rules: dict[str, str]) -> None:
        self.columns = columns
        self.rules = rules
        self.asked: list[tuple[Question, str]] = []

    def largest(self, question: Question, rows: np.ndarray) -> np.ndarray | None:
        default = UNDEFINED if question.kind in ROOTS else FIRST
        rule = self.rules.get(question.kind, default)
        if question.discrete:
            self.asked.append((question, "the branch at the point"))
            return None
        weights = _weights(rule, len(rows))
        self.asked.append((question, _share(question, weights)))
        return weights

    def norm(self, question: Question, rows: np.ndarray) -> np.ndarray:
        value = 0.0 if self.rules["norm"] == EQUAL else np.nan
        self.asked.append((question, f"slope {value:g}"))
        return np.full(self.columns, value)


def _weights(rule: str, count: int) -> np.ndarray:
    if rule in (EQUAL, UNDEFINED):
        return np.full(count, 1 / count if rule == EQUAL else np.nan)
    weights: np.ndarray = np.eye(count)[0 if rule == FIRST else -1]
    return weights


def _share(question: Question, weights: np.ndarray) -> str:
    if question.kind == "abs":
        return f"slope {weights[0] - weights[1]:g}"
    if question.kind == "relu":
        return f"slope {weights[0]:g}"
    return "shares " + ", ".join(f"{w:.3g}" for w in weights)


class KinkRow(NamedTuple):
    """One kink: where it was recorded, which entry is there, and each framework's choice."""

    place: str
    entry: int
    ties: int
    choices: dict[str, str]


@dataclass(frozen=True, repr=False)
class KinkReport:
    """What happens at the kinks of a function at a point; prints as a table.

    Attributes
    ----------
    rows : tuple of KinkRow
        The kinks on the branch that is taken at the point, in the order of evaluation.
    gradients : dict of str to array
        What each framework's convention gives for the whole function, and calcbench's own.
    inside : dict of str to bool
        Whether that lies in the set.
    found : SubgradientSet
        Clarke's subdifferential; see its `exact`.
    """

    rows: tuple[KinkRow, ...]
    gradients: dict[str, Any]
    inside: dict[str, bool]
    found: SubgradientSet

    def __str__(self) -> str:
        if not self.rows:
            head = "no kink at this point"
        else:
            names = list(self.rows[0].choices)
            table = [["kink", "ties", *names], *(_cells(row, names) for row in self.rows)]
            head = _aligned(table)
        results = [["gradient", "value", "in the set"]]
        for name, gradient in self.gradients.items():
            shown = np.array2string(np.asarray(gradient), precision=6, separator=", ")
            results.append([name, " ".join(shown.split()), "yes" if self.inside[name] else "no"])
        return f"{head}\n\n{_aligned(results)}\n\nset: {self.found!r}"

    __repr__ = __str__


def _cells(row: KinkRow, names: Sequence[str]) -> list[str]:
    return [f"{row.place}, entry {row.entry}", str(row.ties), *(row.choices[n] for n in names)]


def _aligned(table: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])


def kink_report(f: Callable[..., Any], x: Any, *, budget: int = 1024) -> KinkReport:
    """The kinks of a scalar function at a point, with what frameworks return there.

    Parameters
    ----------
    f : callable
        A function of one float array with a scalar result, written with NumPy.
    x : float or array_like
        The point.
    budget : int
        As for `subdifferential`.

    Returns
    -------
    KinkReport
        Its rows are the kinks, with the lines that recorded them; `gradients` and `inside` say
        what the conventions of PyTorch, JAX and TensorFlow give for the function, and whether it
        is an element of Clarke's subdifferential.

    Raises
    ------
    DerivativeError, DTypeError
        As for `subdifferential`.

    Notes
    -----
    Reverse mode multiplies one element per kink, so the product may lie outside the set, as 0 does
    for relu(x) - relu(-x). The conventions are applied to the graph that calcbench records: a norm
    counts as ``torch.linalg.norm``, a clip as its maximum and minimum.

    Examples
    --------
    >>> import calcbench as cb
    >>> report = cb.kink_report(lambda x: cb.relu(x) - cb.relu(-x), 0.0)
    >>> float(report.gradients["PyTorch"]), report.inside["PyTorch"], report.found
    (0.0, False, {1})
    """
    found = subdifferential(f, x, budget=budget)
    point = Point(f, (x,))
    runs = {name: _gradient(point, rules) for name, rules in FRAMEWORKS.items()}
    gradients = {name: gradient for name, (gradient, _) in runs.items()}
    gradients["calcbench"] = grad(f)(point.leaves[0])
    inside = {name: found.contains(gradient) for name, gradient in gradients.items()}
    asked = {name: kinks for name, (_, kinks) in runs.items()}
    return KinkReport(_rows(point, asked), gradients, inside, found)


def _gradient(point: Point, rules: dict[str, str]) -> tuple[Any, list[tuple[Question, str]]]:
    """What a convention gives for the function; NaN where a slope was not finite on the way."""
    answers = Convention(point.size, rules)
    try:
        state = point.walk(point.here, answers, np.eye(point.size))
    except DerivativeError:
        return point.parts(np.full(point.size, np.nan))[0][()], answers.asked
    flat = np.zeros(point.size) if state.tangent is None else state.tangent
    return point.parts(flat + 0.0)[0][()], answers.asked


def _rows(point: Point, asked: dict[str, list[tuple[Question, str]]]) -> tuple[KinkRow, ...]:
    """One row per kink that any of the conventions met."""
    texts: dict[tuple[int, int], dict[str, str]] = {}
    questions: dict[tuple[int, int], Question] = {}
    for name, kinks in asked.items():
        for question, text in kinks:
            key = question.node, question.names[0].entry
            questions.setdefault(key, question)
            texts.setdefault(key, dict.fromkeys(asked, "not met"))[name] = text
    return tuple(
        KinkRow(point.here.graph.place(node), entry, len(questions[node, entry].names), choices)
        for (node, entry), choices in sorted(texts.items())
    )
