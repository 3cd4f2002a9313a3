"""Passes that are no loops over entries: matrix products, running sums, scattered additions."""

from __future__ import annotations

import math
from typing import Any

from calcbench.graph.ir import Graph
from calcbench.lower.blocked_products import product_call
from calcbench.lower.bodies import Body
from calcbench.lower.contractions import Factor, factors
from calcbench.lower.emission import Names, assignments, indented
from calcbench.lower.groups import Root, base, full_ranges, identity, without_ones
from calcbench.lower.indexing import row_major
from calcbench.lower.targets import Target


# --- products -----------------------------------------------------------------------------------


def product_lines(graph: Graph, root: Root, names: Names) -> list[str]:
    """A matmul node as calls of BLAS on the arrays of its factors, matrix by matrix."""
    first, second = factors(graph, root.node)
    into = names.stored[root.node]
    if graph.types[root.node].shape == ():
        return [
            f"{into}[0] = np.dot({_whole(graph, first, names)}, {_whole(graph, second, names)})"
        ]
    shape = graph.types[root.node].shape
    if graph.types[first.node].ndim <= 2:
        arrays = [_whole(graph, f, names) for f in (first, second)]
        return [product_call(graph, root.node, arrays, _shaped(into, shape))]
    count = math.prod(shape[:-2])
    lines = [
        f"stack{k} = {_shaped(names.stored[base(graph, f.node)], _stack(graph, f.node, count))}"
        for k, f in enumerate((first, second))
    ]
    lines.append(f"stack2 = {_shaped(into, (count, *shape[-2:]))}")
    call = product_call(graph, root.node, ["stack0[k]", "stack1[k]"], "stack2[k]")
    return [*lines, f"for k in range({count}):", "    " + call]


def _stack(graph: Graph, node: int, count: int) -> tuple[Any, ...]:
    return (count, *graph.types[node].shape[-2:])


def _whole(graph: Graph, factor: Factor, names: Names) -> str:
    node = factor.node
    return _shaped(names.stored[base(graph, node)], graph.types[node].shape)


def _shaped(name: str, shape: tuple[Any, ...]) -> str:
    return f"{name}.reshape({shape})" if len(shape) != 1 else f"{name}.reshape({shape[0]})"


# --- scans and scatters -------------------------------------------------------------------------


def _body(
    graph: Graph, value: int, names: Names, target: Target, vectorised: bool, order: list[int]
) -> tuple[Body, str]:
    """The statements for one entry of `value`, the loops in the given order."""
    space = without_ones(graph.types[value].shape)
    ranges = {f"i{k}": full_ranges(space)[f"i{k}"] for k in order}
    body = Body(graph, names.stored.get, ranges, True, True, vectorised, target.name)
    return body, body.value(value, identity(space))


def _loops(body: Body, lines: list[str], count: int) -> list[str]:
    """The statements and lines inside the first `count` loops of the body."""
    loops = [(name, high + 1) for name, (_, high) in list(body.ranges.items())[:count]]
    found = []
    for level, (name, stop) in enumerate(loops):
        found += indented(assignments(body.statements, level), level)
        found += indented([f"for {name} in range({stop}):"], level)
    return found + indented([*assignments(body.statements, count), *lines], count)


def scan_lines(
    graph: Graph, root: Root, names: Names, target: Target, vectorised: bool
) -> list[str]:
    """Running sums or products, one after the other along the axis, as NumPy does."""
    node, kind = graph.nodes[root.node], graph.types[root.node]
    axis: Any = dict(node.params)["axis"]
    space = without_ones(kind.shape)
    long = [a for a, n in enumerate(kind.shape) if n != 1]
    inner = [k for k, a in enumerate(long) if a != axis]
    order = [*inner, long.index(axis)] if axis in long else inner
    body, value = _body(graph, node.operands[0], names, target, vectorised, order)
    at = row_major(identity(space))
    dtype = f"np.{kind.dtype.name}"
    entry = "total" if axis in long else value
    store = target.write.format(number=0, array=names.stored[root.node], at=at, value=entry)
    if axis not in long:
        return _loops(body, [store], len(order))
    sign = "+" if node.row.name == "cumsum" else "*"
    step = f"total = {value} if i{order[-1]} == 0 else total {sign} {value}"
    lines = _loops(body, [step, store], len(order))
    return [f"total = {dtype}(0)", *lines]


def scatter_lines(
    graph: Graph, root: Root, names: Names, target: Target, vectorised: bool
) -> list[str]:
    """Additions one after the other, in the order of the entries, as `np.add.at` does."""
    values, positions = graph.nodes[root.node].operands
    space = without_ones(graph.types[values].shape)
    order = list(range(len(space)))
    body, value = _body(graph, values, names, target, vectorised, order)
    position = body.value(positions, identity(space))
    return _loops(body, [f"{names.stored[root.node]}[{position}] += {value}"], len(order))
