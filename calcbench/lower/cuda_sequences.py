"""Running sums and scattered additions as kernels that keep the order of the terms.

A line of a running sum belongs to one thread. An entry of a scattered sum belongs to one thread,
which walks all positions and adds those that are its own: no atomic additions, whose order varies.
"""

from __future__ import annotations

import math
from typing import Any

from calcbench.graph.ir import Graph
from calcbench.lower.bodies import Body
from calcbench.lower.cuda_loops import statement_lines, strided, unravelled, used_only
from calcbench.lower.emission import Names, indented
from calcbench.lower.groups import Root, full_ranges, identity, without_ones
from calcbench.lower.indexing import row_major


def sequence_body(graph: Graph, space: tuple[int, ...], names: Names) -> Body:
    """Statements for entries of a value of this space."""
    return Body(
        graph, names.stored.get, full_ranges(space), True, True, vectorised=False, target="cuda"
    )


def scan_axes(graph: Graph, root: Root) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """The axes of separate lines, and the axis along which they run (none if it has extent 1)."""
    axis: Any = dict(graph.nodes[root.node].params)["axis"]
    shape = graph.types[root.node].shape
    long = [a for a, n in enumerate(shape) if n != 1]
    axes = [(f"i{k}", shape[a]) for k, a in enumerate(long)]
    return (
        [axes[k] for k, a in enumerate(long) if a != axis],
        [axes[k] for k, a in enumerate(long) if a == axis],
    )


def scan_lines(graph: Graph, root: Root, names: Names) -> tuple[list[str], int]:
    """The body of the kernel of a running sum or product, and the number of its lines."""
    lines, along = scan_axes(graph, root)
    node, kind = graph.nodes[root.node], graph.types[root.node]
    space = without_ones(kind.shape)
    body = sequence_body(graph, space, names)
    value = body.value(node.operands[0], identity(space))
    store = f"{names.stored[root.node]}[at({row_major(identity(space))})]"
    sign = "+" if node.row.name == "cumsum" else "*"
    inner = statement_lines(body.statements)
    count = math.prod(extent for _, extent in lines)
    start = list(unravelled("line", lines))
    if not along:
        return strided(count, used_only([*start, *inner, f"{store} = {value}"]), "line"), count
    ((index, extent),) = along
    step = f"total = {value} if {index} == 0 else total {sign} {value}"
    loop = [
        f"total = np.{kind.dtype.name}(0)",
        f"for {index} in range({extent}):",
        *indented([*inner, step, f"{store} = total"], 1),
    ]
    return strided(count, used_only([*start, *loop]), "line"), count


def scatter_lines(graph: Graph, root: Root, names: Names) -> tuple[list[str], int]:
    """The body of the kernel of a scattered sum, and the number of its entries."""
    values, positions = graph.nodes[root.node].operands
    space = without_ones(graph.types[values].shape)
    body = sequence_body(graph, space, names)
    position = body.value(positions, identity(space))
    before = len(body.statements)
    value = body.value(values, identity(space))
    axes = [(f"i{k}", extent) for k, extent in enumerate(space)]
    into, count = names.stored[root.node], int(graph.types[root.node].size)
    mine = [*statement_lines(body.statements[before:]), f"total += {value}"]
    inner = [
        *unravelled("entry", axes),
        *statement_lines(body.statements[:before]),
        f"if {position} == target:",
        *indented(mine, 1),
    ]
    lines = [
        f"total = {into}[at(target)]",
        f"for entry in range({math.prod(space)}):",
        *indented(used_only(inner), 1),
        f"{into}[at(target)] = total",
    ]
    return strided(count, lines, "target"), count
