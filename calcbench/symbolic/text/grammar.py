"""Text to graph, with the conventions of linear algebra; nothing in the text is ever executed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from calcbench.graph.arraytype import GraphError
from calcbench.graph.ir import Graph, paused_collection
from calcbench.symbolic.text.declarations import Declaration, draft_declarations, settle_sizes
from calcbench.symbolic.text.graph_writing import write_graph
from calcbench.symbolic.text.inference import infer_forms
from calcbench.symbolic.text.listed_functions import find_listed
from calcbench.symbolic.text.parse_errors import ParseError
from calcbench.symbolic.text.sizes import Sizes
from calcbench.symbolic.text.syntax import Syntax, read_syntax


UNDECLARED = ("letter", "scalar")


@dataclass(frozen=True)
class Parsed:
    """What a text says.

    Attributes
    ----------
    text : str
        As it was given.
    syntax : tuple of Term
        Its parts, operands first.
    graph : Graph
        Its value; every variable is an input, in order of appearance.
    declarations : dict
        Name to `Declaration`, in the same order; constants are among them.
    is_row : bool
        Whether the result is a row vector, whose shape is (1, n).
    """

    text: str
    syntax: Syntax
    graph: Graph
    declarations: dict[str, Declaration]
    is_row: bool


def parse(text: str, /, **shapes: str) -> Graph:
    """The graph of an expression, in a small grammar of linear algebra.

    Parameters
    ----------
    text : str
        For example ``"x'*A*x"``. A vector is a column; ``*`` and ``@`` are the matrix product and a
        scalar scales; ``.*``, ``./``, ``.^`` (and ``.+``, ``.-``) act entry by entry; ``'`` and
        ``.T`` transpose; ``^`` and ``**`` are powers, of a square matrix to whole exponents. Called
        functions act entry by entry, unless they are of matrices, as det, logdet, inv, trace (tr),
        diag, Diag, vec, kron, or of all entries, as sum, norm, norm1, norm2, normF, dot, outer.
    **shapes : str
        "scalar", "vector(n)", "matrix(m, n)", "symmetric(n)", "diagonal(n)", "lower(n)" or
        "upper(n)"; a size is a name or a number, and left out it follows from the operators.
        ``e="constant"`` and ``pi="constant"`` make constants of these names. Undeclared names a to
        h are scalars, i to z vectors, capitals matrices (small Greek letters scalars).

    Returns
    -------
    Graph
        Its inputs are the variables in order of appearance, of shapes (), (n,) or (m, n). A result
        that is a row has shape (1, n).

    Raises
    ------
    ParseError
        If the text is not in the grammar, with the position.
    TextShapeError
        A `ParseError` and `ShapeError`: if shapes do not fit, at the operator.
    DTypeError
        If the text or a shape is no str.

    Notes
    -----
    Numbers are exact: 0.1 is the quotient of 1 and 10. ``-x^2`` is -(x^2), ``x^y^z`` is x^(y^z). No
    product is implied by writing factors side by side. No text is evaluated as Python.

    Examples
    --------
    >>> import calcbench as cb
    >>> graph = cb.parse("x'*A*x", A="symmetric(n)", x="vector(n)")
    >>> print(graph.signature)
    (x: f64[n], A: f64[n,n]) -> (f64[])
    >>> float(graph.bind(x=[1.0, 2.0], A=[[2.0, 0.0], [0.0, 3.0]]))
    14.0
    """
    return parse_text(text, shapes).graph


def parse_text(
    text: str, shapes: Mapping[str, str] | None = None, undeclared: str = "letter"
) -> Parsed:
    """The graph of a text with what was found on the way.

    Parameters
    ----------
    text : str
        See `parse`.
    shapes : mapping of str to str, optional
        Name to declared shape.
    undeclared : {"letter", "scalar"}
        What an undeclared name is: what its letter stands for, or always a scalar.

    Returns
    -------
    Parsed

    Raises
    ------
    ParseError, TextShapeError, DTypeError
        As `parse` does.

    Examples
    --------
    >>> parse_text("A*x").declarations["A"]
    Declaration(structure='matrix', dims=(Dim('m'), Dim('n')))
    """
    if undeclared not in UNDECLARED:
        raise GraphError(f"undeclared is one of {', '.join(UNDECLARED)}, got {undeclared!r}")
    syntax, sizes, declared = read_syntax(text), Sizes(), shapes or {}
    _refuse_functions(declared, text)
    drafts = draft_declarations(text, syntax, declared, undeclared)
    with paused_collection():
        operands = infer_forms(text, syntax, drafts, sizes)
        declarations = settle_sizes(drafts, sizes)
        graph = write_graph(text, syntax, operands, declarations)
    return Parsed(text, syntax, graph, declarations, operands[-1].kind == "row")


def _refuse_functions(names: Iterable[str], text: str) -> None:
    for name in names:
        if find_listed(name) is not None:
            raise ParseError(f"{name} is a function and cannot be a variable; rename it", text, 0)
