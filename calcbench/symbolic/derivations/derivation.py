"""Derivatives of texts step by step, one named rule a step, each step confirmed by differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calcbench.graph.arraytype import DerivativeError, DTypeError, GraphError
from calcbench.graph.ir import Graph
from calcbench.symbolic.derivations.intervals import Intervals, Known
from calcbench.symbolic.derivations.rules import ARITHMETIC, Rule
from calcbench.symbolic.derivations.sampling import (
    Point,
    format_point,
    random_points,
    value_or_none,
)
from calcbench.symbolic.derivations.scalar_rules import derived, next_step
from calcbench.symbolic.derivations.scalar_trees import (
    Tree,
    Written,
    format_tree,
    pending,
    syntax_of,
    tree_of,
)
from calcbench.symbolic.derivations.tidying import tidied
from calcbench.symbolic.text.declarations import Declaration, Draft, read_declaration
from calcbench.symbolic.text.grammar import Parsed, parse_text
from calcbench.symbolic.text.graph_writing import write_graph
from calcbench.symbolic.text.inference import infer_forms
from calcbench.symbolic.text.sizes import Sizes
from calcbench.symbolic.text.syntax import read_syntax


LARGEST_DERIVATION = 100  # parts of an expression whose derivation is shown
POINTS, ATTEMPTS, DIGITS = 3, 60, 80
TOLERANCE = "1e-20"  # relative; difference quotients are right to about 1e-50


@dataclass(frozen=True)
class Step:
    """One step: the rule, the expression after it, and at how many points it was confirmed.

    Attributes
    ----------
    rule : Rule
        Its `name` and `statement`.
    text : str
        The whole expression after the step; ``d/dx[...]`` is a derivative still to be taken.
    points : int
        Random points at which the value agrees with a difference quotient of the question.
    """

    rule: Rule
    text: str
    points: int
    tree: Tree

    def latex(self) -> str:
        """The expression after the step as LaTeX."""
        return format_tree(self.tree, in_latex=True)


@dataclass(frozen=True)
class Derivation:
    """A derivation; `str` prints it, and `latex` typesets it.

    Attributes
    ----------
    question : str
        What is differentiated.
    variable : str
        By what.
    steps : tuple of Step
        In order.
    """

    question: str
    variable: str
    steps: tuple[Step, ...]
    tree: Tree

    @property
    def result(self) -> str:
        """The derivative as text."""
        return self.steps[-1].text

    def __str__(self) -> str:
        lines = [format_tree(self.tree)]
        width = min(max(len(step.text) for step in self.steps), 60)
        for step in self.steps:
            says = f"{step.rule.name}: {step.rule.statement}"
            lines.append(f"  = {step.text.ljust(width)}   {says}")
        return "\n".join([*lines, self._confirmed()])

    def _confirmed(self) -> str:
        points = min(step.points for step in self.steps)
        if not points:
            return "not confirmed: no random point was found at which it has a real value"
        return f"every step confirmed at {points} random points to {TOLERANCE}"

    def latex(self) -> str:
        """An ``align*`` environment with the rule beside each step."""
        lines = [format_tree(self.tree, in_latex=True)]
        lines += [rf"&= {s.latex()} && \text{{{s.rule.name}: }} {s.rule.latex}" for s in self.steps]
        body = " \\\\\n".join(lines)
        return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"


def steps(text: str, wrt: str, /, **shapes: str) -> Derivation:
    """The derivative of a scalar expression, one textbook rule a step.

    Parameters
    ----------
    text : str
        In the grammar of `parse`; undeclared names are scalars, and so ``*`` is their product.
    wrt : str
        The variable.
    **shapes : str
        "scalar", or "constant" for e and pi.

    Returns
    -------
    Derivation
        `str` prints it; `latex` typesets it; `steps` has the rules and expressions.

    Raises
    ------
    ParseError
        If the text is not in the grammar.
    DerivativeError
        If it is not an expression of scalars, or has more than 100 parts.

    Notes
    -----
    Every step is confirmed at three random points by a central difference quotient of the question
    with 80 digits, which uses none of the rules. At kinks (abs, sign, max, min, relu) the rules
    hold on both sides, not at the kink.

    Examples
    --------
    >>> import calcbench as cb
    >>> print(cb.steps("x*sin(x)", "x"))
    d/dx[x*sin(x)]
      = d/dx[x]*sin(x) + x*d/dx[sin(x)]   product rule: (u v)' = u' v + u v'
      = 1*sin(x) + x*d/dx[sin(x)]         identity rule: x' = 1
      = 1*sin(x) + x*cos(x)               derivative of sin: sin(x)' = cos(x)
      = sin(x) + x*cos(x)                 arithmetic: u + 0 = u, 0 u = 0, 1 u = u
    every step confirmed at 3 random points to 1e-20
    """
    parsed = scalar_text(text, shapes)
    check_variable(parsed, wrt)
    question = tree_of(parsed.syntax)
    if len(parsed.syntax) > LARGEST_DERIVATION:
        raise DerivativeError(
            f"a derivation is shown for expressions of at most {LARGEST_DERIVATION} parts, this "
            f"one has {len(parsed.syntax)}; use calcbench.diff"
        )
    confirm = _Confirmation(question, wrt, parsed)
    current, taken = pending(question, wrt), []
    while (found := next_step(current)) is not None:
        rule, current = found
        taken.append(confirm.step(rule, current))
    final = tidied(current)
    if final != current:
        taken.append(confirm.step(ARITHMETIC, final))
    return Derivation(text, wrt, tuple(taken), pending(question, wrt))


class _Confirmation:
    """Points at which the question has a derivative by differences, and its values there."""

    def __init__(self, question: Tree, variable: str, parsed: Parsed) -> None:
        self.intervals = Intervals(DIGITS)
        self.written: Written = {}
        self.points: list[tuple[Point, Any, Any, Known]] = []
        asked = pending(question, variable)
        for point in random_points(variables_of(parsed, variable), parsed.text, ATTEMPTS):
            value = value_or_none(self.intervals, question, point)
            slope = None if value is None else value_or_none(self.intervals, asked, point)
            if slope is not None:
                self.points.append((point, value, slope, {}))
            if len(self.points) == POINTS:
                break

    def step(self, rule: Rule, tree: Tree) -> Step:
        """The step, once its value agrees with the difference quotient wherever it has one."""
        points = 0
        for point, value, slope, known in self.points:
            found = value_or_none(self.intervals, tree, point, known)
            if found is not None:
                self._compare(rule, point, found, slope, abs(value))
                points += 1
        return Step(rule, format_tree(tree, self.written), points, tree)

    def _compare(self, rule: Rule, point: Point, found: Any, slope: Any, size: Any) -> None:
        tolerance = self.intervals.iv.mpf(TOLERANCE)
        allowed = tolerance * (abs(found) + abs(slope)) + tolerance**2 * (1 + size)
        if not abs(found - slope).b <= allowed.b:
            raise GraphError(
                f"the {rule.name} was applied wrongly: {found} against a difference quotient of "
                f"{slope} at {format_point(point)}; please report this expression"
            )


# --- texts of scalars ------------------------------------------------------------------------


def scalar_text(text: str, shapes: Mapping[str, str]) -> Parsed:
    """The text, once it is known to be one of scalars."""
    for name, shape in shapes.items():
        if read_declaration(name, shape).sizes:
            raise DerivativeError(
                f"{name} is declared {shape!r}, and this takes scalars only; use "
                "calcbench.matrix_diff for vectors and matrices"
            )
    return parse_text(text, shapes, undeclared="scalar")


def check_variable(parsed: Parsed, wrt: object) -> None:
    """An error unless `wrt` is the name of a variable."""
    if not isinstance(wrt, str):
        raise DTypeError(f"wrt is the name of a variable, got {wrt!r}")
    syntax = read_syntax(wrt)
    if len(syntax) != 1 or syntax[0].kind != "name" or syntax[0].text != wrt:
        raise DerivativeError(f"wrt is the name of one variable such as 'x', got {wrt!r}")
    if wrt in parsed.declarations and parsed.declarations[wrt].structure == "constant":
        raise DerivativeError(f"{wrt} is declared a constant, so there is no derivative by it")


def variables_of(parsed: Parsed, *others: str) -> list[str]:
    """The names that stand for numbers to be chosen."""
    named = [n for n, d in parsed.declarations.items() if d.structure != "constant"]
    return list(dict.fromkeys([*named, *others]))


@dataclass(frozen=True)
class TextDerivative:
    """A derivative as text and as a graph; `str` is the text.

    Attributes
    ----------
    text : str
        In the grammar of `parse`.
    graph : Graph
        Its value; the inputs are the variables of the original text.
    """

    text: str
    graph: Graph
    tree: Tree

    def __str__(self) -> str:
        return self.text

    def latex(self) -> str:
        """The derivative as LaTeX."""
        return format_tree(self.tree, in_latex=True)


def diff(text: str, wrt: str, /, **shapes: str) -> TextDerivative:
    """The derivative of a scalar expression, as text and as a graph.

    Parameters
    ----------
    text : str
        In the grammar of `parse`; undeclared names are scalars.
    wrt : str
        The variable.
    **shapes : str
        "scalar", or "constant" for e and pi.

    Returns
    -------
    TextDerivative
        `str` gives the text, `graph` computes it.

    Raises
    ------
    ParseError
        If the text is not in the grammar.
    DerivativeError
        If it is not an expression of scalars, or has more than 200 parts.

    Examples
    --------
    >>> import calcbench as cb
    >>> print(cb.diff("a*x^3 + exp(-x)", "x"))
    3*(a*x^2) - exp(-x)
    >>> float(cb.diff("a*x^3", "x").graph.bind(a=1.0, x=2.0))
    12.0
    """
    parsed = scalar_text(text, shapes)
    check_variable(parsed, wrt)
    tree = derived(tree_of(parsed.syntax), wrt)
    printed = format_tree(tree)
    return TextDerivative(printed, _graph(printed, tree, parsed.declarations), tree)


def _graph(text: str, tree: Tree, declarations: Mapping[str, Declaration]) -> Graph:
    drafts = {name: Draft(d.structure, ()) for name, d in declarations.items()}
    syntax = syntax_of(tree)
    return write_graph(text, syntax, infer_forms(text, syntax, drafts, Sizes()), declarations)
