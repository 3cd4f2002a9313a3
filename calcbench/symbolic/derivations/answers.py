"""Whether an answer to a question about a derivative is right: decided at random points."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from calcbench.graph.arraytype import DTypeError
from calcbench.symbolic.derivations.derivation import check_variable, scalar_text, variables_of
from calcbench.symbolic.derivations.interval_functions import NoValue
from calcbench.symbolic.derivations.intervals import Intervals, Known
from calcbench.symbolic.derivations.sampling import (
    Point,
    format_point,
    random_points,
    value_or_none,
)
from calcbench.symbolic.derivations.scalar_rules import derived
from calcbench.symbolic.derivations.scalar_trees import Tree, format_tree, tree_of
from calcbench.symbolic.text.grammar import Parsed
from calcbench.symbolic.text.parse_errors import ParseError
from calcbench.symbolic.text.tokens import NAME, check_text


COMPARED, ATTEMPTS = 12, 96  # points wanted, and points tried
DIGITS = (40, 120)  # a difference is sought with few digits first
CLOSE = "1e-60"  # relative; intervals of 120 digits that are this narrow and meet count as equal


@dataclass(frozen=True)
class AnswerCheck:
    """What was found; `str` says it in a sentence.

    Attributes
    ----------
    verdict : {"equal", "differs", "undecided"}
        "differs" is proved, by intervals that do not meet; "equal" means that the intervals meet at
        `compared` random points, each to 60 digits.
    expected : str
        The expression that was asked for.
    compared : int
        Points at which both have a real value.
    point : dict
        Where they differ: name to Fraction; empty otherwise.
    values : tuple of str
        The expected value, that of the answer there, and their difference.
    note : str
        Where the answer has no value, or why nothing was decided.
    """

    verdict: str
    expected: str
    compared: int
    point: Mapping[str, Fraction]
    values: tuple[str, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        note = f"; {self.note}" if self.note else ""
        if self.verdict == "differs":
            expected, given, gap = self.values
            where = format_point(self.point) or "every point"
            return f"differs at {where}: {expected} expected, {given} given, {gap} apart{note}"
        if self.verdict == "equal":
            return f"equal at {self.compared} random points, each to 60 digits{note}"
        return f"undecided{note}"


def check_answer(question: str | tuple[str, str], answer: str, /, **shapes: str) -> AnswerCheck:
    """Whether an answer is the derivative that was asked for.

    Parameters
    ----------
    question : tuple of str or str
        ``("x*sin(x)^2", "x")``, or a text: ``"diff(x*sin(x)^2, x)"``, ``"d/dx x*sin(x)^2"`` (of all
        that follows). A text without a derivative asks for an equal expression.
    answer : str
        In the grammar of `parse`; undeclared names are scalars in both texts.
    **shapes : str
        "scalar", or "constant" for e and pi.

    Returns
    -------
    AnswerCheck
        Its `verdict` is "equal", "differs" or "undecided".

    Raises
    ------
    ParseError
        If a text is not in the grammar.
    DerivativeError
        If a text is not one of scalars, or has more than 200 parts.

    Notes
    -----
    Both expressions are enclosed in intervals at random rational points, at first with 40 and then
    with 120 digits. Intervals that do not meet prove a difference. Points at which the question,
    its derivative or the answer has no real value are passed over; if none is left, nothing is
    decided.

    Examples
    --------
    >>> import calcbench as cb
    >>> print(cb.check_answer(("x*sin(x)^2", "x"), "sin(x)^2 + x*sin(2*x)"))
    equal at 12 random points, each to 60 digits
    >>> cb.check_answer("diff(exp(x^2), x)", "exp(x^2)").verdict
    'differs'
    """
    text, variable = read_question(question)
    asked, given = _both(text, answer, shapes)
    names = variables_of(asked, *variables_of(given))
    expected = tree_of(asked.syntax)
    if variable is not None:
        check_variable(asked, variable)
        names = list(dict.fromkeys([*names, variable]))
        expected = derived(expected, variable)
    comparison = _Comparison(tree_of(asked.syntax), expected, tree_of(given.syntax))
    return comparison.run(names, f"{text}\n{answer}")


def _both(text: str, answer: str, shapes: Mapping[str, str]) -> tuple[Parsed, Parsed]:
    """Both texts; a declaration may be of a name in one of them."""
    used = [set(re.findall(NAME, t)) for t in (text, check_text(answer, "answer"))]
    if unknown := [name for name in shapes if not any(name in u for u in used)]:
        raise ParseError(f"declared but in neither text: {', '.join(unknown)}", text, 0)
    asked, given = (
        scalar_text(t, {n: s for n, s in shapes.items() if n in u})
        for t, u in zip((text, answer), used, strict=True)
    )
    return asked, given


# --- questions -------------------------------------------------------------------------------

LEIBNIZ = re.compile(rf"\s*d\s*/\s*d({NAME})(?=[\s(\[])")
CALLED = re.compile(rf"\s*diff\s*\((?P<text>.*),\s*(?P<wrt>{NAME})\s*\)\s*", re.DOTALL)


def read_question(question: Any) -> tuple[str, str | None]:
    """The expression and the variable of a question; None if no derivative is asked for.

    The expression keeps its place in the text, with blanks before it, so that errors point there.
    """
    if isinstance(question, tuple | list):
        if len(question) != 2 or not isinstance(question[1], str):
            raise DTypeError(f"a question is (text, variable) or a text, got {question!r}")
        return check_text(question[0], "question"), question[1]
    text = check_text(question, "question")
    if match := LEIBNIZ.match(text):
        return " " * match.end() + text[match.end() :], match[1]
    if match := CALLED.fullmatch(text):
        return " " * match.start("text") + match["text"], match["wrt"]
    if re.match(r"\s*diff\s*\(", text):
        raise ParseError("a derivative is asked for as diff(expression, variable)", text, 0)
    return text, None


# --- the comparison --------------------------------------------------------------------------


class _Comparison:
    """Two expressions, and what was found about them so far."""

    def __init__(self, question: Tree, expected: Tree, given: Tree) -> None:
        self.question, self.expected, self.given = question, expected, given
        self.contexts = [Intervals(digits) for digits in DIGITS]
        self.compared = 0
        self.without_answer: Point | None = None
        self.unclear = False

    def run(self, names: list[str], seed: str) -> AnswerCheck:
        """The verdict after `COMPARED` points with values, or at the first difference."""
        for point in random_points(names, seed, ATTEMPTS):
            difference = self._difference(point)
            if difference is not None:
                return self._result("differs", point, difference)
            if self.compared == COMPARED:
                break
        return self._result("equal" if self.compared else "undecided", {}, ())

    def _difference(self, point: Point) -> tuple[str, ...] | None:
        """The two values at a point where they differ for certain."""
        for intervals in self.contexts:
            known: Known = {}
            question, *pair = (
                value_or_none(intervals, tree, point, known)
                for tree in (self.question, self.expected, self.given)
            )
            if question is None or pair[0] is None:
                return None
            if pair[1] is None:
                self.without_answer = self.without_answer or point
                return None
            gap = pair[0] - pair[1]
            if 0 not in gap:
                mp = intervals.mp
                return tuple(mp.nstr(mp.mpf(v.mid), 17) for v in (*pair, gap))
        largest = max(abs(found).b for found in known.values() if not isinstance(found, NoValue))
        narrow = self._narrow(intervals, gap, abs(pair[0]) + abs(pair[1]), largest)
        self.compared += narrow
        self.unclear |= not narrow
        return None

    def _narrow(self, intervals: Intervals, gap: Any, sizes: Any, largest: Any) -> bool:
        """Whether a gap around 0 is small beside the values, or as rounding beside the parts.

        Where the values cancel, the gap is below 1e-90 of the largest part, and below 1e-60.
        """
        close = intervals.iv.mpf(CLOSE)
        rounding = min((close**0.5 * largest).b, intervals.iv.mpf(1))
        return bool(gap.delta <= (close * (sizes + rounding)).b)

    def _result(
        self, verdict: str, point: Mapping[str, Fraction], values: tuple[str, ...]
    ) -> AnswerCheck:
        text = format_tree(self.expected)
        return AnswerCheck(verdict, text, self.compared, point, values, self._note(verdict))

    def _note(self, verdict: str) -> str:
        if self.without_answer is not None:
            return f"the answer has no real value at {format_point(self.without_answer)}"
        if verdict == "undecided":
            unclear = "the values could not be told apart nor shown equal to 60 digits"
            return (
                unclear
                if self.unclear
                else "at no random point have the question and its derivative a real value"
            )
        return ""
