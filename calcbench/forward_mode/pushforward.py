"""The forward transform: a graph of values becomes a graph of values and tangents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from calcbench.graph.activity import leading, partials_of, varied
from calcbench.graph.checker import float_positions
from calcbench.graph.comparison import not_equal
from calcbench.graph.control_bodies import holds_singular, shared_runs
from calcbench.graph.elementwise import convert
from calcbench.graph.interpreter import inline
from calcbench.graph.ir import Builder, Graph, paused_collection
from calcbench.graph.lifting import Value
from calcbench.graph.masks import combine, materialise, or_zeros, scale
from calcbench.graph.primitive import Masked
from calcbench.graph.rewriting import simplify
from calcbench.graph.structural import broadcast, full, sum_, zeros


def jvp_graph(graph: Graph, wrt: Sequence[int] | None = None) -> Graph:
    """The graph (x, dx) -> (y, dy) of a graph x -> y.

    Parameters
    ----------
    graph : Graph
        The function y = f(x).
    wrt : sequence of int, optional
        Positions of the inputs that get a tangent; all float inputs by default.

    Returns
    -------
    Graph
        Inputs: those of `graph`, then one tangent per wanted input; outputs: those of `graph`,
        then the tangent dy = f'(x) dx of each float output.

    Raises
    ------
    GraphError, DTypeError
        If `wrt` names an input that is not there, or one of integers or booleans.

    Notes
    -----
    One node at a time, ``dz = sum_i (dz/dx_i) dx_i`` (Griewank & Walther 2008, table 3.4). The
    tangents are structural zeros (None) until an input with a tangent reaches them.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> from calcbench.graph.interpreter import evaluate
    >>> g = cb.jvp_graph(cb.trace(np.sin, 0.0))
    >>> [float(v) for v in evaluate(g, np.float64(0.0), np.float64(3.0))]
    [0.0, 3.0]
    """
    positions = float_positions(graph, wrt)
    with paused_collection():
        return simplify(_pushed(graph, positions))


def _pushed(graph: Graph, positions: Sequence[int]) -> Graph:
    builder = Builder()
    ids = inline(graph, builder, [_copy_input(graph, builder, i) for i in graph.inputs])
    count = len(builder.nodes)
    tangents: dict[int, Any] = {
        ids[graph.inputs[p]]: _tangent_input(graph, builder, p) for p in positions
    }
    _sweep(builder, count, tangents)
    outputs = [ids[i] for i in graph.outputs]
    floats = [i for i in outputs if builder.types[i].is_float]
    pushed = [or_zeros(tangents.get(i), Value(builder, i)).id for i in floats]
    return shared_runs(builder.freeze([*outputs, *pushed]), builder.instead)


def _copy_input(graph: Graph, builder: Builder, index: int) -> int:
    return builder.add_input(str(dict(graph.nodes[index].params)["name"]), graph.types[index])


def _tangent_input(graph: Graph, builder: Builder, position: int) -> Value:
    index = graph.inputs[position]
    name = f"d{graph.input_names[position]}"
    return Value(builder, builder.add_new_input(name, graph.types[index]))


def _sweep(builder: Builder, count: int, tangents: dict[int, Any]) -> None:
    """Walk the first `count` nodes upward, adding a tangent for each that varies."""
    active = varied(builder.nodes, builder.types, tangents, range(count))
    exposed = leading(builder.nodes, active, count)
    for index in range(count):
        if index in active and index not in tangents:
            builder.here = builder.origins[index]
            pushed = _push(builder, index, tangents, active, index in exposed)
            if pushed is not None:
                tangents[index] = pushed


def _push(
    builder: Builder, index: int, tangents: dict[int, Any], active: set[int], exposed: bool
) -> Any:
    """The tangent of one node: a value, a `Masked`, or None.

    Masks pass through sums, products and factorisations only where an infinite partial may follow.
    """
    node = builder.nodes[index]
    row: Any = node.row
    params = dict(node.params)
    z, operands = Value(builder, index), [Value(builder, i) for i in node.operands]
    arriving = [tangents.get(i) for i in node.operands]
    if row.kind == "elementwise":
        partials = partials_of(row, z, operands, [i in active for i in node.operands], params)
        return _total(scale(p, t) for p, t in _pairs(partials, arriving))
    if row.kind == "multilinear":
        return _total(
            _replaced(row, operands, i, t, params, exposed) for i, t in enumerate(arriving)
        )
    if row.kind == "control":
        exposed = exposed or holds_singular(params)
        params["push"] = jvp_graph
    pushed = row.jvp(z, operands, [materialise(t) for t in arriving], **params)
    return _masked_whole(pushed, arriving) if exposed else pushed


def _masked_whole(pushed: Any, arriving: Sequence[Any]) -> Any:
    """Exactly 0 where every operand's tangent is masked throughout."""
    masks = [t.mask for t in arriving if isinstance(t, Masked)]
    if pushed is None or len(masks) < sum(t is not None for t in arriving):
        return pushed
    counts = [convert(m, dtype=pushed.type.dtype) for m in masks]
    total = _total(sum_(c, axes=tuple(range(c.type.ndim))) if c.type.ndim else c for c in counts)
    reached = not_equal(total, zeros(total))
    if pushed.type.ndim:
        reached = broadcast(reached, dims=(), shape=pushed.type.shape)
    return Masked(reached, pushed)


def _pairs(partials: Sequence[Any], arriving: Sequence[Any]) -> list[tuple[Any, Any]]:
    pairs = zip(partials, arriving, strict=True)
    return [(p, t) for p, t in pairs if p is not None and t is not None]


def _total(terms: Any) -> Any:
    total = None
    for term in terms:
        total = combine(total, term)
    return total


def _replaced(
    row: Any, operands: list[Value], position: int, tangent: Any, params: Any, exposed: bool
) -> Any:
    """The row itself with one operand replaced by its tangent."""
    if tangent is None:
        return None
    if not isinstance(tangent, Masked):
        return _apply(row, operands, position, tangent, params)
    if "structural" in row.facts:
        return Masked(
            _apply(row, operands, position, tangent.mask, params),
            _apply(row, operands, position, tangent.value, params),
        )
    value = _apply(row, operands, position, materialise(tangent), params)
    if not exposed:
        return value
    return Masked(_reached(row, operands, position, tangent.mask, params), value, zeroed=True)


def _reached(row: Any, operands: list[Value], position: int, mask: Value, params: Any) -> Any:
    """Which results some unmasked entry reaches: a sum of branches not taken is exactly 0."""
    counts = convert(mask, dtype=operands[position].type.dtype)
    reached = _apply(row, [full(v, 1) for v in operands], position, counts, params)
    return not_equal(reached, zeros(reached))


def _apply(row: Any, operands: list[Value], position: int, operand: Any, params: Any) -> Any:
    return row(*operands[:position], operand, *operands[position + 1 :], **params)
