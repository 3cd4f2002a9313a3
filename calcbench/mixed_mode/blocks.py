"""A Jacobian by vertex elimination, written as a graph: the blocks of the plan as matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.batching import batched
from calcbench.graph.elementwise import add, convert
from calcbench.graph.interpreter import inline
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.graph.rewriting import simplify
from calcbench.graph.structural import array_constant, fill, full, matmul, reshape, transpose
from calcbench.measure.mode_predictions import elimination_graph
from calcbench.measure.predicting import alone
from calcbench.mixed_mode.elimination import Elimination
from calcbench.reverse_mode.pullback import vjp_graph


def jacobian_by_elimination(graph: Graph, wrt: Sequence[int], order: Sequence[int]) -> Graph:
    """The graph x -> dy/dx, inner values eliminated from the linearised graph in this order.

    Parameters
    ----------
    graph : Graph
        The function y = f(x), with float results and without unused nodes.
    wrt : sequence of int
        Positions of the differentiated inputs.
    order : sequence of int
        All nodes between those inputs and the results, inputs left out.

    Returns
    -------
    Graph
        As from `jacobian_by_parts`.

    Examples
    --------
    >>> import calcbench as cb
    >>> from calcbench.graph.interpreter import evaluate
    >>> graph = cb.trace(lambda x: x * x * x, 2.0)
    >>> print(float(evaluate(jacobian_by_elimination(graph, [0], [2, 1]), 2.0)[0]))
    12.0
    """
    builder = Builder()
    named = zip(graph.input_names, graph.inputs, strict=True)
    ids = inline(graph, builder, [builder.add_input(name, graph.types[i]) for name, i in named])
    state = Elimination(elimination_graph(graph, wrt), _Written(graph, builder, ids))
    for vertex in order:
        state.eliminate(vertex)
    found = state.finish()
    sources = [graph.inputs[p] for p in wrt]
    blocks = [
        _shaped(builder, found.get((i, -1 - rank)), graph.types[o], graph.types[i])
        for rank, o in enumerate(graph.outputs)
        for i in sources
    ]
    return simplify(builder.freeze([b.id for b in blocks]))


def _shaped(builder: Builder, edge: Any, out: Any, into: Any) -> Any:
    """A block in its shape and dtype; zeros where no path leads."""
    shape = (*out.shape, *into.shape)
    if edge is None or 0 in shape:
        return full(Value(builder, 0), 0, shape, out.dtype)
    return reshape(_converted(edge.block, out.dtype), shape=shape)


def _converted(value: Any, dtype: Any) -> Any:
    return value if value.type.dtype == dtype else convert(value, dtype=dtype)


class _Written:
    """Matrices as values of one builder, in which the graph's own values are `ids`."""

    def __init__(self, graph: Graph, builder: Builder, ids: Sequence[int]) -> None:
        self.graph, self.builder, self.ids = graph, builder, ids

    def pushed(self, edge: Any, columns: Any, count: int) -> Any:
        """The node's tangents for all columns, as columns."""
        if edge is None:
            return self._identity(count) if columns is None else columns
        index, operand = edge
        lanes = self._identity(count) if columns is None else transpose(columns, perm=(1, 0))
        return transpose(self._swept(jvp_graph, index, operand, lanes, operand), perm=(1, 0))

    def pulled(self, edge: Any, rows: Any, count: int) -> Any:
        """The operand's cotangents for all rows, as rows."""
        if edge is None:
            return self._identity(count) if rows is None else rows
        index, operand = edge
        lanes = self._identity(count) if rows is None else rows
        return self._swept(vjp_graph, index, operand, lanes, index)

    def multiplied(self, second: Any, first: Any) -> Any:
        """The product of two matrices."""
        dtype = np.result_type(second.type.dtype, first.type.dtype)
        return matmul(_converted(second, dtype), _converted(first, dtype))

    def added(self, first: Any, second: Any) -> Any:
        """The sum of two matrices."""
        dtype = np.result_type(first.type.dtype, second.type.dtype)
        return add(_converted(first, dtype), _converted(second, dtype))

    def _identity(self, count: int) -> Any:
        return array_constant(Value(self.builder, 0), np.eye(count))

    def _swept(self, transform: Any, index: int, operand: int, lanes: Any, seeded: int) -> Any:
        """The transform of one node by one operand, for all lanes: a row each."""
        graph, kind = self.graph, self.graph.types[seeded]
        given = [
            i for i in dict.fromkeys(graph.nodes[index].operands) if graph.nodes[i].row is not fill
        ]
        both = transform(alone(graph, index), [given.index(operand)])
        swept = simplify(replace(both, outputs=both.outputs[1:], guards=()))
        count = lanes.type.shape[0]
        seeds = reshape(_converted(lanes, kind.dtype), shape=(count, *kind.shape))
        wide = batched(swept, count, range(len(given)))
        ids = inline(wide, self.builder, [*[self.ids[i] for i in given], seeds.id])
        result = Value(self.builder, ids[wide.outputs[0]])
        return reshape(result, shape=(count, result.type.size // count))
