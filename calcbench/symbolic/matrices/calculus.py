"""`matrix_diff`: derivatives of expressions on named dimensions, each certified."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from calcbench.graph.arraytype import DTypeError, GraphError
from calcbench.graph.explicit import as_graph
from calcbench.graph.ir import Graph
from calcbench.graph.lifting import Value
from calcbench.symbolic.layouts import check_layout
from calcbench.symbolic.matrices.certificates import certify
from calcbench.symbolic.matrices.indexed import Tensor
from calcbench.symbolic.matrices.recognition import recognised
from calcbench.symbolic.matrices.results import MatrixDerivative, derivative_graph
from calcbench.symbolic.matrices.slopes import slope_of
from calcbench.symbolic.matrices.structures import NOTES, STRUCTURED, by_free_entries
from calcbench.symbolic.text.grammar import parse_text


def matrix_diff(
    expr: Any, wrt: str, /, layout: str = "mixed", *, order: int = 1, **shapes: str
) -> MatrixDerivative:
    """The derivative of an expression whose sizes have names, certified.

    Parameters
    ----------
    expr : str or Value or Graph
        Text, see `parse`, or what was built from `var`.
    wrt : str
        The variable to differentiate by.
    layout : {"mixed", "numerator", "denominator"}
        ``numerator`` puts the axes of the value first and those of the variable after them in
        reverse, a vector's gradient being a row; ``denominator`` is its transpose; ``mixed`` has
        the axes of the value, then those of the variable: a gradient is shaped like the variable.
    order : {1, 2}
        2 gives the Hessian of a scalar.
    **shapes : str
        Declarations of variables, for text: see `parse`. ``symmetric(n)``, ``diagonal(n)``,
        ``lower(n)`` and ``upper(n)`` give the derivative by the free entries.

    Returns
    -------
    MatrixDerivative

    Raises
    ------
    ParseError, ShapeError
        If the text is not in the grammar, or shapes do not fit.
    GraphError
        If the variable is unknown, or an operation has no meaning in matrix calculus.
    CertificateError
        If the answer cannot be checked, or a check contradicts it.

    Notes
    -----
    The differential dy is linear in dX; its coefficient is the derivative (Magnus & Neudecker 2019,
    chapter 5). Inverses are taken where they exist and log det where det > 0; at kinks the formula
    gives what the convention "min-norm" gives.

    Examples
    --------
    >>> import calcbench as cb
    >>> print(cb.matrix_diff("x'*A*x", "x").unicode())
    (A + Aᵀ) x
    >>> print(cb.matrix_diff("logdet(X)", "X").unicode())
    X⁻ᵀ
    >>> print(cb.matrix_diff("A*X*B", "X").vec())
    Bᵀ ⊗ A
    """
    check_layout(layout)
    if order not in (1, 2):
        raise GraphError(f"order is 1 or 2, got {order!r}")
    graph, structures = _read(expr, shapes)
    _check_size(graph)
    names = graph.input_names
    if wrt not in names:
        known = ", ".join(names) or "none"
        raise GraphError(f"{wrt!r} is no variable of the expression; its variables: {known}")
    position = names.index(wrt)
    slope = slope_of(graph, position, structures, order)
    tensor = _by_free(slope.tensor, structures.get(wrt, ""), order)
    x_ndim = len(tensor.slots) - slope.y_ndim
    y_ndim = slope.y_ndim if order == 1 else x_ndim // 2
    wide = tuple(i for i in tensor.slots if i.size != 1)
    form = recognised(tensor.terms, wide)
    inputs = tuple(zip(names, (graph.types[i] for i in graph.inputs), strict=True))
    certificate = certify(
        graph, derivative_graph(tensor, form, inputs), position, structures, order
    )
    note = NOTES.get(structures.get(wrt, ""), "").format(wrt)
    return MatrixDerivative(layout, certificate, wrt, order, note, tensor, y_ndim, form, inputs)


def _read(expr: Any, shapes: Mapping[str, str]) -> tuple[Graph, dict[str, str]]:
    """The graph of an expression and what is declared of its square variables."""
    if isinstance(expr, str):
        parsed = parse_text(expr, shapes)
        known = {name: d.structure for name, d in parsed.declarations.items()}
        return parsed.graph, {n: s for n, s in known.items() if s in STRUCTURED}
    if shapes:
        raise GraphError(
            f"shapes are declared for text only, got {', '.join(shapes)} with a graph; its "
            "variables have the shapes that calcbench.var gave them"
        )
    if isinstance(expr, Graph):
        return expr, {}
    if not isinstance(expr, Value):
        raise DTypeError(
            f"matrix_diff takes text, a value of calcbench.var or a Graph, got {expr!r}"
        )
    return as_graph(expr), {}


MOST_NODES, MOST_ENTRIES = 2_000, 2_500


def _check_size(graph: Graph) -> None:
    """Refuse what would take minutes: the answer is written and certified entry by entry."""
    if len(graph) > MOST_NODES:
        raise GraphError(
            f"matrix_diff takes expressions of at most {MOST_NODES} operations, got {len(graph)}; "
            "for programs use calcbench.grad or calcbench.jacobian"
        )
    for index, kind in enumerate(graph.types):
        entries = math.prod(e for e in kind.shape if isinstance(e, int))
        if entries > MOST_ENTRIES:
            raise GraphError(
                f"{graph.place(index)} has {entries} entries by its numbers; give sizes names, as "
                f"in 'matrix(m, n)': the formula is the same; at most {MOST_ENTRIES} are checked"
            )


def _by_free(tensor: Tensor, structure: str, order: int) -> Tensor:
    """By free entries; for a Hessian on both sides, which the exchange of sides brings about."""
    once = by_free_entries(tensor, structure)
    if order == 1 or not structure:
        return once
    half = len(tensor.slots) // 2
    rotated = Tensor((*once.slots[half:], *once.slots[:half]), once.terms)
    return by_free_entries(rotated, structure)
