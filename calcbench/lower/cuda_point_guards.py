"""Guards of a graph as one more result, so that a kernel can tell who leaves the path."""

from __future__ import annotations

from dataclasses import replace

from calcbench.graph.comparison import equal, greater, logical_and, logical_not
from calcbench.graph.interpreter import inline
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.graph.nodes import Guard
from calcbench.graph.rewriting import simplify
from calcbench.graph.structural import array_constant, full, sum_


def flagged(graph: Graph) -> Graph:
    """The graph whose last output says whether all its guards hold, if it has any."""
    if not graph.guards:
        return graph
    builder = Builder()
    pairs = zip(graph.input_names, graph.inputs, strict=True)
    inputs = [builder.add_input(name, graph.types[i]) for name, i in pairs]
    ids = inline(replace(graph, guards=()), builder, inputs)
    flags = [_holds(Value(builder, ids[g.node]), g) for g in graph.guards]
    flag = flags[0]
    for other in flags[1:]:
        flag = logical_and(flag, other)
    return simplify(builder.freeze([*[ids[i] for i in graph.outputs], flag.id]))


def _holds(value: Value, guard: Guard) -> Value:
    """Whether every entry of the value is the expected one."""
    expected = guard.expected.array
    if not value.type.shape and value.type.dtype.kind == "b":
        return value if expected else logical_not(value)
    if not value.type.shape:
        return equal(value, full(value, expected))  # type: ignore[no-any-return]
    same = equal(value, array_constant(value, expected))
    wrong = sum_(logical_not(same), axes=tuple(range(value.type.ndim)))
    return logical_not(greater(wrong, full(wrong, 0)))  # type: ignore[no-any-return]
