"""A Jacobian as a product over a cut: reverse sweeps before it, forward sweeps after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.activity import varied
from calcbench.graph.batching import batched
from calcbench.graph.elementwise import convert
from calcbench.graph.interpreter import inline
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.graph.nodes import INPUT
from calcbench.graph.rewriting import literal_array, simplify
from calcbench.graph.structural import array_constant, fill, full, matmul, reshape, transpose
from calcbench.reverse_mode.pullback import vjp_graph


def jacobian_by_parts(graph: Graph, wrt: Sequence[int], cut: Sequence[int]) -> Graph:
    """The graph x -> dy/dx by the chain rule at a cut c: dy/dx = (dy/dc) (dc/dx).

    Parameters
    ----------
    graph : Graph
        The function y = f(x), with float results.
    wrt : sequence of int
        Positions of the differentiated inputs.
    cut : sequence of int
        Nodes, together of k entries, through which every path from those inputs to results leads.

    Returns
    -------
    Graph
        Inputs and guards: those of `graph`; outputs: per result, per wanted input, the block of
        shape out.shape + in.shape, in the dtype of the result.

    Notes
    -----
    dc/dx takes k reverse sweeps over what lies before the cut, dy/dc takes k forward sweeps over
    the rest (Griewank & Walther 2008, chapter 10); all sweeps of a part run as lanes of one.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> from calcbench.graph.interpreter import evaluate
    >>> graph = cb.trace(lambda x: np.sum(x) * np.array([1.0, 2.0]), np.ones(3))
    >>> waist = next(i for i, n in enumerate(graph.nodes) if n.row.name == "sum")
    >>> jacobian = jacobian_by_parts(graph, [0], [waist])
    >>> evaluate(jacobian, *[np.ones(graph.types[i].shape) for i in graph.inputs])[0].shape
    (2, 3)
    """
    builder = Builder()
    named = zip(graph.input_names, graph.inputs, strict=True)
    ids = inline(graph, builder, [builder.add_input(name, graph.types[i]) for name, i in named])
    inputs, kinds = [ids[i] for i in graph.inputs], [graph.types[i] for i in cut]
    seeds = _unit_seeds(builder, kinds)
    before = _last_outputs(vjp_graph(_ending_at(graph, cut), wrt), len(wrt))
    rows = _all_lanes(builder, before, inputs, seeds)
    opened = [len(inputs) + rank for rank in range(len(cut))]
    after = _last_outputs(jvp_graph(_opened(graph, cut), opened), len(graph.outputs))
    columns = _all_lanes(builder, after, [*inputs, *[ids[i] for i in cut]], seeds)
    return simplify(builder.freeze([_block(c, r).id for c in columns for r in rows]))


def _unit_seeds(builder: Builder, kinds: Sequence[Any]) -> list[int]:
    """Per value of the cut its seeds in all lanes: every lane has one 1."""
    ends = list(accumulate([int(t.size) for t in kinds], initial=0))
    units, like = np.eye(ends[-1]), Value(builder, 0)
    seeds = [
        units[:, a:b].reshape(-1, *kind.shape).astype(kind.dtype)
        for (a, b), kind in zip(pairwise(ends), kinds, strict=True)
    ]
    return [
        (full(like, 1, s.shape, s.dtype) if s.size == 1 else array_constant(like, s)).id
        for s in seeds
    ]


def _ending_at(graph: Graph, cut: Sequence[int]) -> Graph:
    return simplify(replace(graph, outputs=tuple(cut), guards=()))


def _opened(graph: Graph, cut: Sequence[int]) -> Graph:
    """The graph with an input more for every value of the cut, which is not computed."""
    builder, new = Builder(), {}
    for name, index in zip(graph.input_names, graph.inputs, strict=True):
        new[index] = builder.add_input(name, graph.types[index])
    given = {i: builder.add_new_input("cut", graph.types[i]) for i in cut}
    for index, node in enumerate(graph.nodes):
        if index in given:
            new[index] = given[index]
        elif node.row is not INPUT:
            moved = node.with_operands(tuple(new[i] for i in node.operands))
            origin = graph.origins[index] if graph.origins else None
            new[index] = builder.add_typed(moved, graph.types[index], origin)
    return builder.freeze([new[i] for i in graph.outputs])


def _last_outputs(graph: Graph, count: int) -> Graph:
    kept = graph.outputs[len(graph.outputs) - count :]
    return simplify(replace(graph, outputs=kept, guards=()))


def _all_lanes(
    builder: Builder, swept: Graph, inputs: Sequence[int], seeds: Sequence[int]
) -> list[Value]:
    """The outputs of all sweeps, lanes in front."""
    lanes = builder.types[seeds[0]].shape[0]
    wide = batched(swept, int(lanes), range(len(inputs)))
    ids = inline(wide, builder, [*inputs, *seeds])
    return [Value(builder, ids[i]) for i in wide.outputs]


def _block(column: Any, row: Any) -> Any:
    """The product of (k, *out.shape) and (k, *in.shape) over k."""
    lanes, *out = column.type.shape
    into = row.type.shape[1:]
    shape, dtype = (*out, *into), np.result_type(column.type.dtype, row.type.dtype)
    if 0 in shape:
        return full(column, 0, shape)
    left, right = (
        reshape(_converted(v, dtype), shape=(lanes, v.type.size // lanes)) for v in (column, row)
    )
    product = matmul(transpose(left, perm=(1, 0)), right)
    return _converted(reshape(product, shape=shape), column.type.dtype)


def _converted(value: Any, dtype: Any) -> Any:
    return value if value.type.dtype == dtype else convert(value, dtype=dtype)


def holds_exceptions(graph: Graph, wrt: Sequence[int]) -> bool:
    """Whether a factor may be infinite, or 0 by a branch not taken, where all values are finite.

    A sweep leaves such a 0 alone; a product multiplies it by whatever the other factor holds.
    """
    sources = {graph.inputs[p] for p in wrt}
    active = varied(graph.nodes, graph.types, sources, range(len(graph)))
    return any(_is_exceptional(graph, i) for i in active)


def _is_exceptional(graph: Graph, index: int) -> bool:
    node = graph.nodes[index]
    if node.row.name in ("divide", "power"):
        by = graph.nodes[node.operands[1]]
        if by.row is fill:  # x / 0 is not finite either; powers below 1 have infinite slopes at 0
            return node.row.name == "power" and not literal_array(by) >= 1
    return not node.row.facts.isdisjoint(("kink", "singular"))
