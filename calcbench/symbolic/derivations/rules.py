"""The textbook's rules of differentiation, as data; `u` and `v` stand for any expressions.

Statements are in the notation of a textbook, with ' for the derivative by the variable. The
derivatives of functions are texts of the grammar, read when the table is loaded.
"""

from __future__ import annotations

from typing import NamedTuple

from calcbench.symbolic.derivations.scalar_trees import Tree, format_tree, substituted, tree_of
from calcbench.symbolic.text.syntax import read_syntax


class Rule(NamedTuple):
    """A rule by its name, and what it says in text and LaTeX."""

    name: str
    statement: str
    latex: str


def _rule(name: str, statement: str, latex: str | None = None) -> Rule:
    return Rule(name, statement, statement if latex is None else latex)


CONSTANT = _rule("constant rule", "c' = 0")
IDENTITY = _rule("identity rule", "x' = 1")
SUM = _rule("sum rule", "(u + v)' = u' + v'")
DIFFERENCE = _rule("difference rule", "(u - v)' = u' - v'")
SIGN = _rule("sign rule", "(-u)' = -u'")
MULTIPLE = _rule("constant multiple rule", "(c u)' = c u'")
PRODUCT = _rule("product rule", "(u v)' = u' v + u v'")
QUOTIENT = _rule("quotient rule", "(u/v)' = (u' v - u v')/v^2", r"(u/v)' = (u' v - u v')/v^{2}")
RECIPROCAL = _rule("reciprocal rule", "(c/v)' = -c v'/v^2", r"(c/v)' = -c\,v'/v^{2}")
POWER = _rule("power rule", "(x^n)' = n x^(n-1)", r"(x^{n})' = n x^{n-1}")
POWER_CHAIN = _rule(
    "power rule with chain rule", "(u^n)' = n u^(n-1) u'", r"(u^{n})' = n u^{n-1} u'"
)
EXPONENTIAL = _rule("exponential rule", "(c^v)' = c^v log(c) v'", r"(c^{v})' = c^{v} \log(c)\,v'")
GENERAL_POWER = _rule(
    "general power rule",
    "(u^v)' = u^v (v' log(u) + v u'/u)",
    r"(u^{v})' = u^{v} (v' \log(u) + v u'/u)",
)
MAXIMUM = _rule(
    "maximum rule",
    "max(u, v)' = u' (1 + sign(u - v))/2 + v' (1 - sign(u - v))/2 where u and v differ",
    r"\max(u, v)' = u' \text{ where } u > v,\ v' \text{ where } u < v",
)
MINIMUM = _rule(
    "minimum rule",
    "min(u, v)' = u' (1 - sign(u - v))/2 + v' (1 + sign(u - v))/2 where u and v differ",
    r"\min(u, v)' = u' \text{ where } u < v,\ v' \text{ where } u > v",
)
ANGLE = _rule(
    "angle rule",
    "atan2(u, v)' = (u' v - u v')/(u^2 + v^2)",
    r"\operatorname{atan2}(u, v)' = (u' v - u v')/(u^{2} + v^{2})",
)
ARITHMETIC = _rule("arithmetic", "u + 0 = u, 0 u = 0, 1 u = u", r"u + 0 = u,\ 0\,u = 0,\ 1\,u = u")

# Function -> its derivative, as a text about u. Where it has a kink, the value off the kink.
DERIVATIVES = {
    "exp": "exp(u)",
    "expm1": "exp(u)",
    "log": "1/u",
    "log2": "1/(u*log(2))",
    "log10": "1/(u*log(10))",
    "log1p": "1/(1 + u)",
    "sqrt": "1/(2*sqrt(u))",
    "cbrt": "1/(3*cbrt(u)^2)",
    "sin": "cos(u)",
    "cos": "-sin(u)",
    "tan": "1 + tan(u)^2",
    "asin": "1/sqrt(1 - u^2)",
    "acos": "-1/sqrt(1 - u^2)",
    "atan": "1/(1 + u^2)",
    "sinh": "cosh(u)",
    "cosh": "sinh(u)",
    "tanh": "1 - tanh(u)^2",
    "asinh": "1/sqrt(u^2 + 1)",
    "acosh": "1/(sqrt(u - 1)*sqrt(u + 1))",
    "atanh": "1/(1 - u^2)",
    "abs": "sign(u)",
    "sign": "0",
    "erf": "2*exp(-u^2)/sqrt(4*atan(1))",
    "erfc": "-2*exp(-u^2)/sqrt(4*atan(1))",
    "lgamma": "digamma(u)",
    "relu": "(1 + sign(u))/2",
    "sigmoid": "sigmoid(u)*sigmoid(-u)",
    "softplus": "sigmoid(u)",
}
DERIVATIVE_TREES: dict[str, Tree] = {
    name: tree_of(read_syntax(text)) for name, text in DERIVATIVES.items()
}


def function_rule(name: str, chained: bool) -> Rule:
    """The rule for one function, of the variable itself or of an expression."""
    if not chained:
        x = Tree("name", "x")
        return _rule(f"derivative of {name}", *_statements(name, x, ""))
    return _rule(f"chain rule with {name}", *_statements(name, Tree("name", "u"), " u'"))


def _statements(name: str, argument: Tree, inner: str) -> tuple[str, str]:
    """What the rule says, in text and LaTeX."""
    outer = substituted(DERIVATIVE_TREES[name], "u", argument)
    sides = [Tree("call", name, (argument,)), outer]
    brackets = ("({})", r"\left({}\right)") if inner else ("{}", "{}")
    texts, typeset = ([format_tree(s, in_latex=latex) for s in sides] for latex in (False, True))
    return (
        f"{texts[0]}' = {brackets[0].format(texts[1])}{inner}",
        f"{typeset[0]}' = {brackets[1].format(typeset[1])}{inner}",
    )
