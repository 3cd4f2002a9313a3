"""Graphs to SymPy expressions and back: `to_sympy` and `from_sympy`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy as sp
from sympy.functions.elementary.piecewise import ExprCondPair

from calcbench.graph.arraytype import ArrayType, GraphError
from calcbench.graph.ir import Graph
from calcbench.symbolic.references.entries import Entry, entries_of, exact
from calcbench.symbolic.references.scalar_steps import SLOTS


MOST_OPERATIONS = 50_000


def to_sympy(graph: Graph) -> Any:
    """The graph as SymPy expressions, entry by entry.

    Parameters
    ----------
    graph : Graph
        With sizes that are numbers.

    Returns
    -------
    Expr, object array of Expr, or tuple of these
        One for each output. A scalar input is a symbol of its name, an entry of an array input an
        ``IndexedBase`` with indices.

    Raises
    ------
    GraphError
        If the graph has named sizes, a row without a meaning in SymPy (eigenvectors, sorting
        positions that depend on the inputs), or more than 50000 scalar operations.

    Notes
    -----
    Nothing is evaluated on the way: ``x - x`` stays, a float is the fraction that it exactly is,
    and what the graph uses twice is one object. ``.doit()`` lets SymPy simplify. As a text or a
    tree such an expression may still be exponentially large. A path that was recorded under
    conditions is a Piecewise that is NaN where they do not hold.

    Examples
    --------
    >>> import calcbench as cb
    >>> x = cb.var("x")
    >>> cb.to_sympy(cb.as_graph(x * np.sin(x) ** 2))
    x*sin(x)**2
    """
    if not isinstance(graph, Graph):
        raise GraphError(
            f"to_sympy takes a Graph, got {type(graph).__name__}; record a function with "
            "calcbench.trace, or build one with calcbench.as_graph"
        )
    writer = ExpressionWriter(len(graph))
    inputs = [
        _symbols(name, graph.types[i], writer)
        for name, i in zip(graph.input_names, graph.inputs, strict=True)
    ]
    found = entries_of(graph, inputs, writer, None)
    condition = _conditions(graph, found)
    results = tuple(_expressions(found[o], condition) for o in graph.outputs)
    return results[0] if len(results) == 1 else results


class ExpressionWriter:
    """Writes scalar operations as SymPy expressions that are not evaluated."""

    def __init__(self, nodes: int) -> None:
        self.written = 0

    def _count(self) -> None:
        self.written += 1
        if self.written > MOST_OPERATIONS:
            raise GraphError(
                f"the graph has more than {MOST_OPERATIONS} scalar operations, the most that are "
                "written as SymPy expressions; take smaller arrays or a shorter program"
            )

    def number(self, value: Any) -> Any:
        """The number itself."""
        return value

    def apply(self, expression: Any, operands: Sequence[Any]) -> Any:
        """The expression with these operands in its slots."""
        self._count()
        return _filled(expression, dict(zip(SLOTS, operands, strict=False)))

    def fold(self, name: str, operands: Sequence[Any]) -> Any:
        """A sum, product, maximum or minimum."""
        self._count()
        if len(operands) == 1:
            return operands[0]
        return getattr(sp, name)(*operands, evaluate=False)


def _filled(part: Any, operands: dict[Any, Any]) -> Any:
    """`part` with operands for slots; a call a level, and templates have few."""
    if part in operands:
        return operands[part]
    if not part.args:
        return part
    args = [_filled(a, operands) for a in part.args]
    if isinstance(part, sp.Tuple | sp.Piecewise):
        return _as_it_is(part.func, args)
    return part.func(*args, evaluate=False)


def _as_it_is(kind: Any, args: Sequence[Any]) -> Any:
    """A Piecewise or one of its pairs, which SymPy would otherwise fold into its conditions."""
    return sp.Basic.__new__(kind, *args)


def _symbols(name: str, kind: ArrayType, writer: ExpressionWriter) -> np.ndarray:
    """The entries of an input: a symbol, or an indexed one."""
    if not kind.is_concrete:
        raise GraphError(f"input {name!r} has type {kind}; entry by entry, sizes must be numbers")
    facts = {} if kind.dtype.kind == "b" else {"real": True}
    result = np.empty(kind.shape, dtype=object)
    if not kind.shape:
        result[()] = Entry(writer, sp.Symbol(name, **facts))
        return result
    base = sp.IndexedBase(name, shape=kind.shape, **facts)
    for at in np.ndindex(*kind.shape):
        result[at] = Entry(writer, base[at])
    return result


def _conditions(graph: Graph, found: Sequence[np.ndarray]) -> Any:
    """That the recorded path is the one taken; None if there is only one."""
    conditions = []
    for guard in graph.guards:
        entries: Any = found[guard.node]
        for entry, expected in zip(entries.flat, guard.expected.array.flat, strict=True):
            if guard.expected.array.dtype.kind == "b":
                conditions.append(entry.value if expected else sp.Not(entry.value, evaluate=False))
            else:
                conditions.append(sp.Eq(entry.value, exact(expected), evaluate=False))
    if len(conditions) < 2:
        return conditions[0] if conditions else None
    return sp.And(*conditions, evaluate=False)


def _expressions(entries: Any, condition: Any) -> Any:
    result = np.empty(entries.shape, dtype=object)
    for at in np.ndindex(entries.shape):
        value = entries[at].value
        if condition is not None:
            pairs = [(value, condition), (sp.nan, sp.true)]
            value = _as_it_is(sp.Piecewise, [_as_it_is(ExprCondPair, pair) for pair in pairs])
        result[at] = value
    return result if result.ndim else result[()]
