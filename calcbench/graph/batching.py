"""A graph of one point turned into the graph of many: every value gains a leading axis of lanes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from calcbench.graph.arraytype import ArrayType, DerivativeError
from calcbench.graph.control_checkpoints import without_regions
from calcbench.graph.ir import Builder, Graph, paused_collection
from calcbench.graph.lifting import Value
from calcbench.graph.nodes import INPUT, Node
from calcbench.graph.primitive import Primitive
from calcbench.graph.rewriting import simplify
from calcbench.graph.structural import (
    array_constant,
    broadcast,
    concatenate,
    full,
    gather,
    matmul,
    reshape,
    scatter_add,
    slice_,
    swap_last,
)


# A rule writes a row for values whose first axis is the lane: (row, operands, params, lanes) ->
# value. All operands have lanes, unless the rule stands in `SHARING`.
Rule = Callable[[Any, Sequence[Any], dict[str, Any], int], Any]


def batched(graph: Graph, lanes: int, shared: Sequence[int] = ()) -> Graph:
    """The graph that computes `lanes` points at once.

    Parameters
    ----------
    graph : Graph
        A function of one point, with known sizes.
    lanes : int
        The number of points: the size of the new leading axis.
    shared : sequence of int
        Positions of inputs that are the same for all points and keep their type.

    Returns
    -------
    Graph
        Every other input, every output and every guard has the leading axis. Guards become
        outputs, after the graph's own: which points took the recorded path is the caller's
        question.

    Examples
    --------
    >>> import calcbench as cb
    >>> print(batched(cb.trace(lambda x: x * 2.0, 1.0), 5).signature)
    (x: f64[5]) -> (f64[5])
    """
    with paused_collection():
        return simplify(_batched(without_regions(graph), lanes, frozenset(shared)))


def _batched(graph: Graph, lanes: int, shared: frozenset[int]) -> Graph:
    builder, varied = Builder(), set()
    for position, index in enumerate(graph.inputs):
        kind = graph.types[index]
        wide = kind if position in shared else ArrayType((lanes, *kind.shape), kind.dtype)
        builder.add_input(graph.input_names[position], wide)
        if position not in shared:
            varied.add(index)
    new: list[Any] = [None] * len(graph)
    for index, built in zip(graph.inputs, builder.inputs, strict=True):
        new[index] = Value(builder, built)
    for index, node in enumerate(graph.nodes):
        if node.row is not INPUT:
            builder.here = graph.origins[index] if graph.origins else None
            builder.epoch = node.epoch
            if varied.isdisjoint(node.operands):
                new[index] = _copied(builder, node, new)
            else:
                varied.add(index)
                new[index] = _spread(graph, node, new, varied, lanes)
    wanted = [*graph.outputs, *[g.node for g in graph.guards]]
    outputs = [new[i] if i in varied else with_lanes(new[i], lanes) for i in wanted]
    return builder.freeze([v.id for v in outputs])


def _copied(builder: Builder, node: Node, new: list[Any]) -> Value:
    operands = tuple(new[i].id for i in node.operands)
    return Value(builder, builder.add(node.row, operands, node.params, node.epoch))


def _spread(graph: Graph, node: Node, new: list[Any], varied: set[int], lanes: int) -> Any:
    row: Any = node.row
    operands, params = [new[i] for i in node.operands], dict(node.params)
    if row.name in SHARING:
        flags = [i in varied for i in node.operands]
        return SHARING[row.name](operands, flags, params, lanes)
    wide = [
        v if i in varied else with_lanes(v, lanes)
        for v, i in zip(operands, node.operands, strict=True)
    ]
    if row.kind == "control":
        return _lanes_apart(row, wide, params, lanes)
    rule = _entrywise if row.scalar is not None else RULES.get(row.name, _lane_by_lane)
    return rule(row, wide, params, lanes)


def with_lanes(value: Any, lanes: int) -> Any:
    """The value repeated for every lane."""
    shape = value.type.shape
    return broadcast(value, dims=tuple(range(1, len(shape) + 1)), shape=(lanes, *shape))


# --- rules -------------------------------------------------------------------------------------


def _entrywise(row: Any, operands: Sequence[Any], params: dict[str, Any], lanes: int) -> Any:
    return row(*operands, **params)


def _one_axis(row: Any, operands: Sequence[Any], params: dict[str, Any], lanes: int) -> Any:
    return row(*operands, **{**params, "axis": params["axis"] + 1})


def _axes(row: Any, operands: Sequence[Any], params: dict[str, Any], lanes: int) -> Any:
    return row(*operands, **{**params, "axes": tuple(a + 1 for a in params["axes"])})


def _shape(row: Any, operands: Sequence[Any], params: dict[str, Any], lanes: int) -> Any:
    return row(*operands, shape=(lanes, *params["shape"]))


def _broadcast(row: Any, operands: Sequence[Any], params: dict[str, Any], lanes: int) -> Any:
    dims = (0, *[d + 1 for d in params["dims"]])
    return row(*operands, dims=dims, shape=(lanes, *params["shape"]))


def _transpose(row: Any, operands: Sequence[Any], params: dict[str, Any], lanes: int) -> Any:
    return row(*operands, perm=(0, *[p + 1 for p in params["perm"]]))


def _slice(row: Any, operands: Sequence[Any], params: dict[str, Any], lanes: int) -> Any:
    first = {"starts": 0, "stops": lanes, "steps": 1}
    return row(*operands, **{name: (n, *params[name]) for name, n in first.items()})


def _pad(row: Any, operands: Sequence[Any], params: dict[str, Any], lanes: int) -> Any:
    return row(*operands, **{name: (0, *amounts) for name, amounts in params.items()})


def _solve(row: Any, operands: Sequence[Any], params: dict[str, Any], lanes: int) -> Any:
    a, b = operands
    if b.type.ndim == 2 and a.type.ndim == 3:
        column = reshape(b, shape=(*b.type.shape, 1))
        return reshape(row(a, column), shape=b.type.shape)
    return row(a, b)


def _positions(index: Any, size: int, lanes: int) -> Any:
    """Positions in one lane's array as positions in all lanes' arrays, laid end to end."""
    offsets = array_constant(index, np.arange(lanes, dtype=np.int64) * size)
    return index + broadcast(offsets, dims=(0,), shape=index.type.shape)


def _scatter_add(row: Any, operands: Sequence[Any], params: dict[str, Any], lanes: int) -> Any:
    x, index = operands
    size = params["size"]
    summed = scatter_add(x, _positions(index, size, lanes), size=lanes * size)
    return reshape(summed, shape=(lanes, size))


def _gather(operands: Sequence[Any], varied: Sequence[bool], params: Any, lanes: int) -> Any:
    """A table that all lanes share is not repeated."""
    x, index = operands
    if not varied[0]:
        return gather(x, index)
    index = index if varied[1] else with_lanes(index, lanes)
    size = x.type.shape[1]
    return gather(reshape(x, shape=(lanes * size,)), _positions(index, size, lanes))


def _matmul(operands: Sequence[Any], varied: Sequence[bool], params: Any, lanes: int) -> Any:
    """Vectors of all lanes times one shared matrix are one product of matrices."""
    a, b = operands
    ranks = tuple(v.type.ndim - f for v, f in zip(operands, varied, strict=True))
    if not all(varied):
        if ranks == (2, 1) and varied[1]:
            return matmul(b, swap_last(a))
        if ranks[0] <= 2 and ranks[1] <= 2 and varied[0] and ranks[0] == 1:
            return matmul(a, b)
        if ranks == (1, 1):
            return matmul(b, a)
        if ranks == (2, 2) and varied[0]:
            m, k = a.type.shape[1:]
            product = matmul(reshape(a, shape=(lanes * m, k)), b)
            return reshape(product, shape=(lanes, m, b.type.shape[1]))
    full = [v if f else with_lanes(v, lanes) for v, f in zip(operands, varied, strict=True)]
    return _stacked_product(full[0], full[1], ranks)


def _stacked_product(a: Any, b: Any, ranks: tuple[int, ...]) -> Any:
    """The product lane by lane: vectors become matrices of one row or column."""
    if ranks[0] == 1:
        a = reshape(a, shape=(a.type.shape[0], 1, a.type.shape[1]))
    if ranks[1] == 1:
        b = reshape(b, shape=(*b.type.shape, 1))
    product = matmul(a, b)
    shape = list(product.type.shape)
    if ranks[1] == 1:
        del shape[-1]
    if ranks[0] == 1:
        del shape[1]
    return reshape(product, shape=tuple(shape))


def _lane_by_lane(row: Any, operands: Sequence[Any], params: dict[str, Any], lanes: int) -> Any:
    """One node that calls the row's NumPy function once a lane."""
    kinds = [ArrayType(v.type.shape[1:], v.type.dtype) for v in operands]
    result = row.infer(*kinds, **params)
    constant = row.kind in ("piecewise_constant", "source")
    many = Primitive(
        f"{row.name} by lanes",
        "piecewise_constant" if constant else "linearised",
        lambda *_, **__: ArrayType((lanes, *result.shape), result.dtype),
        partial(_each_lane, row, lanes),
        jvp=None if constant else partial(_refuse_derivative, row),
    )
    return many(*operands, **params)


def _refuse_derivative(row: Any, *_: Any, **__: Any) -> Any:
    raise DerivativeError(
        f"{row.name} at many points at once has no derivative; differentiate first, then batch"
    )


def _lanes_apart(row: Any, operands: Sequence[Any], params: dict[str, Any], lanes: int) -> Any:
    """One node a lane: each may take its own branch and number of trips, and has its derivative."""
    if not lanes:
        kinds = [ArrayType(v.type.shape[1:], v.type.dtype) for v in operands]
        kind = row.infer(*kinds, **params)
        return full(operands[0], 0, (0, *kind.shape), kind.dtype)
    results = []
    for lane in range(lanes):
        result = row(*[_lane(v, lane) for v in operands], **params)
        results.append(reshape(result, shape=(1, *result.type.shape)))
    return concatenate(*results, axis=0) if lanes > 1 else results[0]


def _lane(value: Any, lane: int) -> Any:
    rest = value.type.ndim - 1
    starts, stops = (lane, *(0,) * rest), (lane + 1, *(None,) * rest)
    whole = value.type.shape[0] == 1
    part = value if whole else slice_(value, starts=starts, stops=stops, steps=(1,) * (rest + 1))
    return reshape(part, shape=value.type.shape[1:])


def _each_lane(row: Any, lanes: int, *operands: Any, **params: Any) -> Any:
    return np.stack([row.numpy(*[v[lane] for v in operands], **params) for lane in range(lanes)])


SHARING: dict[str, Callable[..., Any]] = {"gather": _gather, "matmul": _matmul}
_STACKS = (
    "adjugate adjugate_tangent cholesky det diagonal eigenvectors eigvalsh from_diagonal full_rank "
    "gap_quotient inv logabsdet pinv position qr_q qr_r sign_det singular_values singular_vectors "
    "convert"
)
_ONE_AXIS = "argmax argmin argsort cumprod cumsum concatenate sort"
_AXES = "flip max min prod sum winner_share"
RULES: dict[str, Rule] = {
    **dict.fromkeys(_STACKS.split(), _entrywise),
    **dict.fromkeys(
        ["argmax", "argmin", "argsort", "cumprod", "cumsum", "concatenate", "sort"], _one_axis
    ),
    **dict.fromkeys(_AXES.split(), _axes),
    "broadcast": _broadcast,
    "reshape": _shape,
    "transpose": _transpose,
    "slice": _slice,
    "pad": _pad,
    "solve": _solve,
    "scatter_add": _scatter_add,
}
