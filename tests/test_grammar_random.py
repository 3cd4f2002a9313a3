"""The reader of texts under random texts, and random expressions printed and read back."""

import operator

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import calcbench as cb
from calcbench.graph.checker import check_graph
from calcbench.symbolic.text.grammar import parse_text
from calcbench.symbolic.text.syntax import read_syntax
from calcbench.symbolic.text.syntax_text import format_latex, format_syntax


WORDS = [
    "a", "b", "x", "y", "A", "B", "2", "0.5", "1e3", ".5", "0", "+", "-", "*", "/", "@", "^", "**",
    ".*", "./", ".^", ".+", ".-", "'", ".T", "(", ")", ",", " ", "sin(", "max(", "det(", "norm(",
    "diag(", "kron(", "vec(", "inv(", "tr(", "T", "e", ".", "_", "\n",
]  # fmt: skip
random_texts = st.lists(st.sampled_from(WORDS), max_size=25).map("".join) | st.text(max_size=30)


def outcome(read, text):
    """What reading gives, or the error."""
    try:
        return read(text)
    except cb.ParseError as error:
        return error


def shape_of(text):
    """The syntax without positions; None if there is none."""
    found = outcome(read_syntax, text)
    return None if isinstance(found, cb.ParseError) else [t[:3] for t in found]


@settings(max_examples=400)
@given(random_texts)
def test_a_random_text_gives_a_graph_or_an_error_at_a_position(text):
    found = outcome(parse_text, text)
    if isinstance(found, cb.ParseError):
        assert 0 <= found.position <= len(text)
        assert f"position {found.position}:" in str(found)
    else:
        check_graph(found.graph)
        assert found.graph.input_names == tuple(found.declarations)


@settings(max_examples=300)
@given(random_texts)
def test_what_is_printed_reads_back_the_same(text):
    syntax = shape_of(text)
    if syntax is not None:
        printed = format_syntax(read_syntax(text))
        assert shape_of(printed) == syntax
        assert format_syntax(read_syntax(printed)) == printed
        assert balanced(format_latex(read_syntax(text)))


def balanced(latex):
    return latex.count("{") == latex.count("}") and latex.count(r"\left") == latex.count(r"\right")


# --- random trees of scalars, with Python's own arithmetic as the witness ------------------------

NAMES = {"a": 1.5, "b": -0.75, "c": 0.25, "f_1": 2.0}
LEAVES = st.sampled_from([*NAMES, "2", "0.5", "3"])
OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "^": operator.pow}
SPELLED = {"+": ["+", ".+"], "-": ["-", ".-"], "*": ["*", "@", ".*"], "^": ["^", "**", ".^"]}
FUNCTIONS = {"sin": np.sin, "abs": np.abs, "tanh": np.tanh, "relu": lambda v: max(v, 0.0)}


def trees(children):
    return (
        st.tuples(st.sampled_from(["+", "-", "*"]), children, children)
        | st.tuples(st.just("^"), children, st.sampled_from(["2", "3"]))
        | st.tuples(st.sampled_from(sorted(FUNCTIONS)), children)
        | st.tuples(st.just("neg"), children)
    )


def value(tree):
    if isinstance(tree, str):
        return NAMES[tree] if tree in NAMES else float(tree)
    head, *rest = tree
    operands = [value(t) for t in rest]
    if head == "neg":
        return -operands[0]
    return OPERATORS[head](*operands) if head in OPERATORS else float(FUNCTIONS[head](*operands))


def written(tree, choose):
    """The tree as text, with brackets everywhere and spellings chosen."""
    if isinstance(tree, str):
        return tree
    head, *rest = tree
    parts = [written(t, choose) for t in rest]
    if head == "neg":
        return f"(-{parts[0]})"
    if head in OPERATORS:
        return f"({parts[0]} {choose(SPELLED[head])} {parts[1]})"
    return f"{head}({parts[0]})"


@given(st.recursive(LEAVES, trees, max_leaves=12), st.data())
def test_random_expressions_have_the_value_that_python_gives(tree, data):
    text = written(tree, lambda options: data.draw(st.sampled_from(options)))
    sparse = format_syntax(read_syntax(text))
    for spelled in (text, sparse):
        graph = cb.parse(spelled, **dict.fromkeys(set(NAMES) & names(tree), "scalar"))
        found = graph.bind(**{n: NAMES[n] for n in graph.input_names})
        np.testing.assert_allclose(found, value(tree), rtol=1e-9, atol=1e-12)


def names(tree):
    return {tree} if isinstance(tree, str) else set().union(*map(names, tree[1:]))


# --- the printer -----------------------------------------------------------------------------

PRINTED = {
    "((a))": "a",
    "(a+b)+c": "a + b + c",
    "a+(b+c)": "a + (b + c)",
    "a-(b-c)": "a - (b - c)",
    "a*(b/c)": "a*(b/c)",
    "(a^b)^c": "(a^b)^c",
    "a^(b^c)": "a^b^c",
    "(-a)^2": "(-a)^2",
    "-(a^2)": "-a^2",
    "-(a*b)": "-(a*b)",
    "2^(-a)": "2^(-a)",
    "(x*y')'": "(x*y')'",
    "A.T": "A'",
    "2 .*x": "2 .* x",
    "max(a,b)": "max(a, b)",
}
LATEX = {
    "a*b/c": r"\frac{a \, b}{c}",
    "-(a-b)": r"-\left(a - b\right)",
    "a*(-b)": r"a \, \left(-b\right)",
    "(a+b)^2": r"\left(a + b\right)^{2}",
    "x'*A*x": r"x^{\top} \, A \, x",
    "sqrt(a) + abs(b)": r"\sqrt{a} + \left|b\right|",
    "erf(σ_1)": r"\operatorname{erf}\left(\sigma_{1}\right)",
    "det(A)*x_new": r"\det\left(A\right) \, x_{new}",
    "a*(b/c)": r"a \, \frac{b}{c}",
    "(a/b)^2": r"\left(\frac{a}{b}\right)^{2}",
}


@pytest.mark.parametrize("text", PRINTED)
def test_brackets_are_printed_where_they_are_needed(text):
    assert format_syntax(read_syntax(text)) == PRINTED[text]


@pytest.mark.parametrize("text", LATEX)
def test_latex(text):
    assert format_latex(read_syntax(text)) == LATEX[text]
