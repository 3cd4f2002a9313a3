"""The operations of one entry of an elementwise row, read off its element text.

The text is parsed and never run. Every distinct expression counts once, in all branches: that is
what a loop without jumps computes. An expression without operands is a constant and costs nothing.
A test ``x != x`` in a selection only lets NaN through, as comparisons in hardware do: not counted.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from calcbench.graph.arraytype import GraphError
from calcbench.measure.operations import Operations


OPERANDS = ("x0", "x1", "x2", "x3")
KIND_OF_OPERATOR: dict[type[ast.AST], str] = {
    ast.Add: "add", ast.Sub: "add", ast.USub: "add",
    ast.Mult: "multiply",
    ast.Div: "divide", ast.FloorDiv: "divide", ast.Mod: "divide",
    ast.Pow: "transcendental",
    ast.BitAnd: "comparison", ast.BitOr: "comparison", ast.Not: "comparison",
}  # fmt: skip
DECIDES = frozenset(("abs", "max", "min", "np.floor", "np.ceil", "np.trunc", "np.rint"))
FREE = (ast.Name, ast.Constant, ast.Attribute, ast.IfExp, ast.BoolOp)


@lru_cache(maxsize=512)
def entry_operations(text: str) -> Operations:
    """The operations of one entry; an entry that is only selected or passed on is one move."""
    tree = ast.parse(text.format(*OPERANDS), mode="eval").body
    distinct = {ast.unparse(part): part for part in _computed(tree)}
    counts = Counter(kind for part in distinct.values() for kind in _kinds(part))
    return Operations(**counts) if counts else Operations(move=1)


def _computed(tree: ast.expr) -> Iterator[ast.expr]:
    """The expressions that depend on operands."""
    if not any(isinstance(n, ast.Name) and n.id in OPERANDS for n in ast.walk(tree)):
        return
    yield tree
    for part in _parts(tree):
        yield from _computed(part)


def _parts(tree: ast.expr) -> list[ast.expr]:
    if isinstance(tree, ast.IfExp):
        tests = tree.test.values if isinstance(tree.test, ast.BoolOp) else [tree.test]
        return [*(t for t in tests if not _asks_for_nan(t)), tree.body, tree.orelse]
    return [n for n in ast.iter_child_nodes(tree) if isinstance(n, ast.expr)]


def _asks_for_nan(test: ast.expr) -> bool:
    """Whether the test is ``x != x``."""
    return isinstance(test, ast.Compare) and [ast.unparse(test.left)] == [
        ast.unparse(other) for other in test.comparators
    ]


def _kinds(part: ast.expr) -> list[str]:
    """The kinds of the operations that an expression adds to those of its parts."""
    if isinstance(part, FREE):
        return []
    if isinstance(part, ast.Compare):
        return ["comparison"] * len(part.ops)
    if isinstance(part, ast.Call):
        return ["comparison" if ast.unparse(part.func) in DECIDES else "transcendental"]
    if isinstance(part, ast.BinOp | ast.UnaryOp) and type(part.op) in KIND_OF_OPERATOR:
        return [KIND_OF_OPERATOR[type(part.op)]]
    raise GraphError(
        f"an element text holds {ast.unparse(part)!r}, of which no kind of operation is known; "
        "say which in calcbench.measure.element_counts"
    )
