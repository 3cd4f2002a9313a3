"""The cost of a function, of its jvp and of its vjp, counted before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from calcbench.forward_mode.interleaving import interleaved_jvp
from calcbench.graph.arraytype import GraphError
from calcbench.graph.ir import Graph
from calcbench.graph.rewriting import simplify
from calcbench.measure.counting import GraphCost, count_graph
from calcbench.measure.recording import Point, kept_point, recorded_graph, recorded_point
from calcbench.measure.saving import SavedValue, saved_values
from calcbench.measure.tables import aligned, counts_in_row, heading
from calcbench.programs import Argnums, float_outputs
from calcbench.reverse_mode.pullback import vjp_graph


REVERSE_BOUND = 5
SHOWN = 20


@dataclass(frozen=True)
class Cost:
    """What a function and its derivatives cost at arguments of some sizes; made by `cost`.

    Attributes
    ----------
    function : GraphCost
        The function alone.
    jvp : GraphCost or None
        Values and tangents side by side, for one direction (forward accumulation).
    vjp : GraphCost or None
        Values, then the cotangents of all differentiated inputs, for one cotangent (reverse
        accumulation).
    saved : tuple of SavedValue
        What the reverse sweep reads of what the function computed.
    without : str
        Why there is no derivative, where `jvp` and `vjp` are None.
    point : Point or None
        The graph of ``function`` with a copy of the inputs that it was recorded at, so that it can
        be run; None for a given graph, and where the inputs are too large to be kept.
    """

    function: GraphCost
    jvp: GraphCost | None
    vjp: GraphCost | None
    saved: tuple[SavedValue, ...] = ()
    without: str = ""
    point: Point | None = field(default=None, repr=False, compare=False)

    @property
    def forward_ratio(self) -> float | None:
        """Operations of the jvp, values included, per operation of the function."""
        return _ratio(self.jvp, self.function)

    @property
    def reverse_ratio(self) -> float | None:
        """Operations of the vjp, values included, per operation of the function."""
        return _ratio(self.vjp, self.function)

    @property
    def is_within_bound(self) -> bool | None:
        """Whether the vjp takes at most 5 times the operations; None unless y is one number."""
        types = [self.function.graph.types[i] for i in self.function.graph.outputs]
        if self.vjp is None or len(types) != 1 or types[0].shape != ():
            return None
        return self.vjp.operations.total <= REVERSE_BOUND * self.function.operations.total

    @property
    def saved_bytes(self) -> int:
        """Bytes of all values kept for the reverse sweep."""
        return sum(value.size for value in self.saved)

    def __str__(self) -> str:
        parts = [("function", self.function), ("jvp", self.jvp), ("vjp", self.vjp)]
        rows = [[name, *counts_in_row(c), str(c.peak)] for name, c in parts if c is not None]
        table = aligned([heading("", "peak"), *rows])
        return "\n".join([self.function.graph.signature, *table, *self._sentences(), *self._kept()])

    def _sentences(self) -> list[str]:
        said = [self.without] if self.without else [_said(self)]
        nominal = [c for c in (self.function, self.jvp, self.vjp) if c is not None and c.nominal]
        if nominal:
            names = {c.graph.nodes[i].row.name for c in nominal for i in c.nominal}
            shown = ", ".join(sorted(names))
            said.append(f"not exact, but nominal, as values or LAPACK decide: {shown}")
        return said

    def _kept(self) -> list[str]:
        if self.vjp is None:
            return []
        lines = [f"saved for the reverse sweep: {len(self.saved)} values, {self.saved_bytes} bytes"]
        lines += [f"  {value}" for value in self.saved[:SHOWN]]
        more = len(self.saved) - SHOWN
        return [*lines, f"  ... and {more} more"] if more > 0 else lines


def _ratio(derivative: GraphCost | None, function: GraphCost) -> float | None:
    if derivative is None or not function.operations.total:
        return None
    return derivative.operations.total / function.operations.total


def _said(found: Cost) -> str:
    if found.reverse_ratio is None:
        return "the function takes no operations, so there is no ratio to it"
    told = (
        f"operations per operation of the function: jvp {found.forward_ratio:.2f}, "
        f"vjp {found.reverse_ratio:.2f}"
    )
    if found.is_within_bound is None:
        return told
    verdict = "holds" if found.is_within_bound else "does not hold"
    return f"{told} (at most {REVERSE_BOUND} for a scalar result: {verdict})"


def cost(function: Callable[..., Any] | Graph, *args: Any, argnums: Argnums | None = None) -> Cost:
    """Operations, bytes moved and bytes held of a function, its jvp and its vjp, counted exactly.

    Parameters
    ----------
    function : callable or Graph
        A function of arrays; or a graph of known sizes, which takes no `args`.
    *args : array_like, or nested tuples, lists and dicts of them
        Arguments that tell the function's shapes, dtypes and branches.
    argnums : int or tuple of int, optional
        The arguments to differentiate; all that hold floats by default.

    Returns
    -------
    Cost
        Printed, a table. ``.function``, ``.jvp`` and ``.vjp`` have operations by kind, bytes and
        the most bytes held at once, in total and node by node; ``.saved`` has the values that the
        reverse sweep keeps, with line, bytes and reason. If nothing can be differentiated, ``.jvp``
        and ``.vjp`` are None and ``.without`` says why.

    Raises
    ------
    GraphError, ShapeError, DTypeError, DerivativeError, TraceError
        If no function or graph is given, a graph comes with arguments or has named dimensions, an
        argument of `argnums` holds no floats, or the function cannot be traced.

    Notes
    -----
    Counted is the program after exact rewrites, as the transforms leave it: every node reads its
    operands, computes, and writes its result; see `Operations` for the kinds. The count depends on
    no engine: fusing nodes moves fewer bytes, for the same operations. The jvp is run in forward
    accumulation's order, each tangent beside its value, so that what it holds does not grow with
    the length of the program; the vjp holds what its sweep downward reads. Where values (sorting,
    `cond`, `while_loop`) or LAPACK's iterations decide, the count is nominal, and the report says
    so.

    For a scalar y, reverse accumulation takes a small multiple of the operations of the function
    (Griewank & Walther 2008, chapter 4), stated here as 5 and judged by the numbers: indexing entry
    by entry breaks it, and so does a function of a few operations with a longer derivative.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> found = cb.cost(lambda x, w: np.dot(x, w), np.ones(3), np.ones(3))
    >>> found.function.operations.multiply, found.function.operations.add
    (3, 2)
    >>> found.vjp.operations.multiply, found.saved_bytes
    (9, 48)
    """
    if isinstance(function, Graph) and argnums is not None:
        raise GraphError(
            f"all float inputs of a graph are differentiated: pass it alone, without {argnums=}"
        )
    graph, wanted, point = _recorded(function, args, argnums)
    plain = count_graph(graph)
    without = _without_derivative(graph, wanted)
    if without:
        return Cost(plain, None, None, (), without, point)
    results = len(graph.outputs)
    pushed = interleaved_jvp(graph, wanted)
    pulled = vjp_graph(graph, wanted)
    saved = saved_values(pulled, results)
    return Cost(plain, count_graph(pushed), count_graph(pulled), saved, point=point)


def _recorded(
    function: Callable[..., Any] | Graph, args: tuple[Any, ...], argnums: Argnums | None
) -> tuple[Graph, tuple[int, ...], Point | None]:
    if isinstance(function, Graph):
        return *recorded_graph("cost", function, args, argnums), None
    point = recorded_point("cost", function, args, argnums)
    point = point._replace(graph=simplify(point.graph))
    return point.graph, point.wanted, kept_point(point)


def _without_derivative(graph: Graph, wanted: tuple[int, ...]) -> str:
    if not wanted:
        return "no argument holds floats, so there is no derivative; pass 3.0 instead of 3"
    if not any(float_outputs(graph)):
        return "no result holds floats, so there is no derivative"
    return ""
