"""The reverse transform: a graph of values becomes a graph of values and input cotangents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from calcbench.graph.activity import exposed, partials_of, varied
from calcbench.graph.arraytype import BOOL
from calcbench.graph.checker import float_positions
from calcbench.graph.comparison import not_equal
from calcbench.graph.control_bodies import holds_singular, shared_runs
from calcbench.graph.control_checkpoints import without_regions
from calcbench.graph.elementwise import convert
from calcbench.graph.interpreter import inline
from calcbench.graph.ir import Builder, Graph, paused_collection
from calcbench.graph.lifting import Value
from calcbench.graph.masks import combine, materialise, or_zeros, scale
from calcbench.graph.primitive import Masked
from calcbench.graph.rewriting import simplify
from calcbench.graph.structural import broadcast, full, sum_, zeros


def vjp_graph(graph: Graph, wrt: Sequence[int] | None = None) -> Graph:
    """The graph (x, ct_y) -> (y, ct_x) of a graph x -> y.

    Parameters
    ----------
    graph : Graph
        The function y = f(x).
    wrt : sequence of int, optional
        Positions of the inputs whose cotangent is wanted; all float inputs by default.

    Returns
    -------
    Graph
        Inputs: those of `graph`, then one cotangent per float output; outputs: those of `graph`,
        then the cotangent ct_x = f'(x)^T ct_y of each wanted input.

    Raises
    ------
    GraphError, DTypeError
        If `wrt` names an input that is not there, or one of integers or booleans.

    Notes
    -----
    Values first, then nodes downward: ``ct_i += (dz/dx_i) ct_z`` (Griewank & Walther 2008,
    table 3.5). A node that no wanted input reaches is never visited, and unused values are pruned.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> from calcbench.graph.interpreter import evaluate
    >>> g = cb.vjp_graph(cb.trace(lambda x, y: x * y, 2.0, 5.0))
    >>> [float(v) for v in evaluate(g, np.float64(2.0), np.float64(5.0), np.float64(1.0))]
    [10.0, 5.0, 2.0]
    """
    positions = float_positions(graph, wrt)
    with paused_collection():
        return simplify(without_regions(_pulled(graph, positions)))


def _pulled(graph: Graph, positions: Sequence[int]) -> Graph:
    builder = Builder()
    ids = inline(graph, builder, _copy_inputs(graph, builder))
    count = len(builder.nodes)
    outputs = [ids[i] for i in graph.outputs]
    wanted = [ids[graph.inputs[p]] for p in positions]
    cotangents: dict[int, Any] = {}
    for rank, index in enumerate(outputs):
        if builder.types[index].is_float:
            seed = builder.add_new_input(f"ct{rank}", builder.types[index])
            _accumulate(cotangents, index, Value(builder, seed))
    walk(builder, range(count), cotangents, wanted)
    pulled = [or_zeros(cotangents.get(i), Value(builder, i)).id for i in wanted]
    return shared_runs(builder.freeze([*outputs, *pulled]), builder.instead)


def _copy_inputs(graph: Graph, builder: Builder) -> list[int]:
    named = zip(graph.input_names, graph.inputs, strict=True)
    return [builder.add_input(name, graph.types[i]) for name, i in named]


def walk(
    builder: Builder,
    span: range,
    cotangents: dict[int, Any],
    wanted: Sequence[int],
    fragile: Sequence[int] = (),
) -> None:
    """Walk the nodes of `span` downward, passing each one's cotangent on to its operands.

    `cotangents` maps node ids to what has arrived; at the end it holds those of `wanted`.
    `fragile` are those of `wanted` at which the walk outside this one may meet an infinity.
    """
    active = varied(builder.nodes, builder.types, wanted, span)
    masked = exposed(builder.nodes, active, span, fragile)
    keep = frozenset(wanted)
    for index in reversed(span):
        if index in keep or index not in cotangents:
            continue
        arrived = cotangents.pop(index)
        if index in active:
            builder.here = builder.origins[index]
            for operand, share in _shares(builder, index, arrived, active, masked):
                _accumulate(cotangents, operand, share)


def _accumulate(cotangents: dict[int, Any], index: int, share: Any) -> None:
    cotangents[index] = combine(cotangents.get(index), share)


def _shares(
    builder: Builder, index: int, arrived: Any, varying: set[int], masked: set[int]
) -> Iterator[tuple[int, Any]]:
    """Each varied operand of a node with the cotangent passed to it."""
    node = builder.nodes[index]
    row: Any = node.row
    params = dict(node.params)
    z, operands = Value(builder, index), [Value(builder, i) for i in node.operands]
    active = [i in varying for i in node.operands]
    if row.kind == "elementwise":
        partials = partials_of(row, z, operands, active, params)
        for operand, partial, is_active in zip(node.operands, partials, active, strict=True):
            if is_active and partial is not None:
                yield operand, scale(partial, arrived)
        return
    if row.kind == "control":
        shares = row.pull(z, operands, active, materialise(arrived), pull=vjp_graph, **params)
        pairs = [p for p in zip(node.operands, shares, strict=True) if p[1] is not None]
        fragile = isinstance(arrived, Masked) and holds_singular(params)
        yield from ((i, _reached(s, arrived) if fragile else s) for i, s in pairs)
        return
    rules = [row.transposes(i) if a and row.transposes else None for i, a in enumerate(active)]
    for operand, rule in zip(node.operands, rules, strict=True):
        if rule is not None:
            seed = _picked(row, arrived) if operand in masked else arrived
            yield operand, _transposed(row, rule, seed, operands, params)
    rest = [a and rule is None for a, rule in zip(active, rules, strict=True)]
    if any(rest) and row.kind == "linearised":
        yield from _transposed_tangent(row, z, operands, rest, arrived, params, masked)


def _transposed(row: Any, rule: Any, arrived: Any, operands: list[Value], params: Any) -> Any:
    if isinstance(arrived, Masked) and "transpose_structural" in row.facts:
        mask, value = (rule(v, *operands, **params) for v in (arrived.mask, arrived.value))
        return Masked(mask, value, arrived.zeroed)
    value = materialise(arrived)
    if not isinstance(arrived, Masked) or "structural" not in row.facts:
        return rule(value, *operands, **params)
    reached = rule(convert(arrived.mask, dtype=value.type.dtype), *operands, **params)
    share = rule(value, *operands, **params)
    return Masked(not_equal(reached, zeros(reached)), share, zeroed=True)


def _reached(share: Any, arrived: Masked) -> Any:
    """A share of a loop or branch: exactly 0 where nothing arrived at all, whatever is inside."""
    count = convert(arrived.mask, dtype=share.type.dtype)
    total = sum_(count, axes=tuple(range(count.type.ndim)))
    anything = not_equal(total, zeros(total))
    if share.type.ndim:
        anything = broadcast(anything, dims=(), shape=share.type.shape)
    return Masked(anything, share)


def _picked(row: Any, arrived: Any) -> Any:
    """What arrives at a row that leaves entries out: those get nothing, not even 0 * inf."""
    if "leaves_out" not in row.facts or isinstance(arrived, Masked):
        return arrived
    return Masked(full(arrived, True, dtype=BOOL), arrived, zeroed=True)


def _transposed_tangent(
    row: Any,
    z: Value,
    operands: list[Value],
    active: list[bool],
    arrived: Any,
    params: Any,
    masked: set[int],
) -> Iterator[tuple[int, Any]]:
    """Transpose the row's tangent rule: write it for placeholder tangents and walk it downward.

    What it wrote forward is linear in the placeholders, so no share refers to them and they are
    pruned with the rest.
    """
    builder = z.builder
    start = len(builder.nodes)
    tangents = [
        Value(builder, builder.placeholder(v.type)) if a else None
        for v, a in zip(operands, active, strict=True)
    ]
    out = materialise(row.jvp(z, operands, tangents, **params))
    if out is None:
        return
    placeholders = [t.id for t in tangents if t is not None]
    shares = {out.id: arrived}
    pairs = zip(operands, tangents, strict=True)
    fragile = [t.id for v, t in pairs if t is not None and v.id in masked]
    walk(builder, range(start, len(builder.nodes)), shares, placeholders, fragile)
    for operand, tangent in zip(operands, tangents, strict=True):
        if tangent is not None and tangent.id in shares:
            yield operand.id, shares[tangent.id]
