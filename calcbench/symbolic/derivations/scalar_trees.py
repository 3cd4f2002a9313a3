"""Scalar expressions as trees, for rules that take one apart and put another together."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from calcbench.graph.arraytype import DerivativeError
from calcbench.symbolic.text.listed_functions import SPELLINGS, find_listed
from calcbench.symbolic.text.syntax import Syntax, Term
from calcbench.symbolic.text.syntax_text import Piece, latex_piece, text_piece


LARGEST_TREE = 200  # parts
DEEPEST_TREE = 100  # parts within parts; trees are walked recursively


class Tree(NamedTuple):
    """One part: a number, a name, a sign, an operator, a call, or a derivative still to be taken.

    `text` is the name, the operator or the function, and for a derivative the variable.
    """

    kind: str
    text: str
    parts: tuple[Tree, ...] = ()
    value: Fraction | None = None

    def holds(self, kind: str, text: str) -> bool:
        """Whether this or a part within it is of a kind with this text."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            if (part.kind, part.text) == (kind, text):
                return True
            waiting.extend(part.parts)
        return False


def tree_of(syntax: Syntax) -> Tree:
    """The tree of a syntax of scalars, in which every operator has its plain spelling."""
    if len(syntax) > LARGEST_TREE:
        raise DerivativeError(
            f"a derivation takes expressions of at most {LARGEST_TREE} parts, this one has "
            f"{len(syntax)}; use calcbench.grad of the graph"
        )
    trees: list[Tree] = []
    depths: list[int] = []
    for term in syntax:
        trees.append(_tree(term, tuple(trees[i] for i in term.operands)))
        depths.append(1 + max((depths[i] for i in term.operands), default=0))
    if depths[-1] > DEEPEST_TREE:
        raise DerivativeError(
            f"a derivation takes expressions that nest at most {DEEPEST_TREE} deep, this one "
            f"{depths[-1]}; use calcbench.grad of the graph"
        )
    return trees[-1]


def _tree(term: Term, parts: tuple[Tree, ...]) -> Tree:
    if term.kind == "transpose" or (term.kind == "call" and term.text in ("sum", "transpose")):
        return parts[0]
    if term.kind == "call":
        name = "abs" if term.text == "norm" else SPELLINGS.get(term.text, term.text)
        return Tree("operator", "^", parts) if name == "pow" else _called(name, parts)
    text = term.text.lstrip(".") if term.kind == "operator" else term.text
    return Tree(term.kind, text, parts, term.value)


def _called(name: str, parts: tuple[Tree, ...]) -> Tree:
    listed = find_listed(name)
    if listed is None or not listed.entrywise:
        raise DerivativeError(
            f"{name} is no function of scalars; for matrices use calcbench.matrix_diff"
        )
    return Tree("call", name, parts)


def syntax_of(tree: Tree) -> Syntax:
    """The tree as a syntax, for printing and evaluation; its positions mean nothing."""
    terms: list[Term] = []

    def visit(part: Tree) -> int:
        operands = tuple(map(visit, part.parts))
        terms.append(Term(part.kind, part.text, operands, 0, 0, 0, part.value))
        return len(terms) - 1

    visit(tree)
    return tuple(terms)


Written = dict[int, Piece]  # id of a part to its text


def format_tree(tree: Tree, known: Written | None = None, in_latex: bool = False) -> str:
    """The tree as text, or as LaTeX; `known` keeps the texts of parts while the trees live."""
    known = {} if known is None else known
    write = latex_piece if in_latex else text_piece

    def visit(part: Tree) -> Piece:
        found = known.get(id(part))
        if found is None:
            found = known[id(part)] = write(part.kind, part.text, list(map(visit, part.parts)))
        return found

    return visit(tree).text


# --- construction ----------------------------------------------------------------------------


def number(value: Fraction | int) -> Tree:
    """A number as the grammar writes it: digits, a quotient of digits, and a sign before them."""
    value = Fraction(value)
    if value < 0:
        return Tree("sign", "-", (number(-value),))
    if value.denominator != 1:
        return binary("/", number(value.numerator), number(value.denominator))
    return Tree("number", str(value), (), value)


def number_of(tree: Tree) -> Fraction | None:
    """The value of a tree that is a number, with a sign or as a quotient of two."""
    if tree.kind == "number":
        return tree.value
    if tree.kind == "sign":
        value = number_of(tree.parts[0])
        return None if value is None else -value
    if tree.text == "/" and all(part.kind == "number" for part in tree.parts):
        top, bottom = (Fraction(part.value or 0) for part in tree.parts)
        return top / bottom if bottom else None
    return None


def binary(symbol: str, left: Tree, right: Tree) -> Tree:
    """An operator with its two sides."""
    return Tree("operator", symbol, (left, right))


def negated(tree: Tree) -> Tree:
    """Minus a tree."""
    return Tree("sign", "-", (tree,))


def pending(tree: Tree, variable: str) -> Tree:
    """The derivative of a tree, still to be taken."""
    return Tree("derivative", variable, (tree,))


def substituted(tree: Tree, name: str, by: Tree) -> Tree:
    """The tree with every use of a name replaced."""
    if (tree.kind, tree.text) == ("name", name):
        return by
    return tree._replace(parts=tuple([substituted(part, name, by) for part in tree.parts]))
