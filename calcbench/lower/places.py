"""Where a root of a loop writes its entry, as a position in the flattened array."""

from __future__ import annotations

from typing import Any

from calcbench.graph.ir import Graph
from calcbench.lower.groups import Root
from calcbench.lower.indexing import Affine, Index, Part, Splitter, joined, row_major, run_parts


def place(graph: Graph, root: Root, index: Index, splitter: Splitter) -> Affine:
    """The position that the root writes where its loop stands at `index` of its value."""
    name = graph.nodes[root.node].row.name
    if root.kind != "piece" or name not in PIECES:
        return row_major(index)
    params = dict(graph.nodes[root.node].params)
    shape, into = graph.types[root.value].shape, graph.types[root.node].shape
    return row_major(PIECES[name](params, root.place, (shape, into), index, splitter, graph, root))


def _padded(
    params: dict[str, Any], place: int, shapes: Any, index: Index, splitter: Splitter, *_: Any
) -> Index:
    shape, into = shapes
    found = []
    for (axis, _end), parts in run_parts(index, shape, range(len(shape)), splitter):
        at = joined(parts).at * (params["interior"][axis] + 1) + params["low"][axis]
        found.append(Part(into[axis], at))
    return tuple(found)


def _joined(
    params: dict[str, Any], place: int, shapes: Any, index: Index, splitter: Splitter, *others: Any
) -> Index:
    (shape, into), (graph, root) = shapes, others
    axis, operands = params["axis"], graph.nodes[root.node].operands
    start = sum(graph.types[o].shape[axis] for o in operands[:place])
    groups = run_parts(index, shape, [axis], splitter)
    outer, inner = [p for _, parts in groups[:-1] for p in parts], joined(groups[-1][1])
    width = inner.extent // shape[axis]
    return (*outer, Part(into[axis] * width, inner.at + start * width))


def _on_diagonal(
    params: dict[str, Any], place: int, shapes: Any, index: Index, splitter: Splitter, *_: Any
) -> Index:
    (shape, into), offset = shapes, params["offset"]
    groups = run_parts(index, shape, [len(shape) - 1], splitter)
    outer, at = [p for _, parts in groups[:-1] for p in parts], joined(groups[-1][1]).at
    rows, columns = into[-2:]
    return (*outer, Part(rows, at + max(-offset, 0)), Part(columns, at + max(offset, 0)))


PIECES: dict[str, Any] = {
    "pad": _padded,
    "concatenate": _joined,
    "from_diagonal": _on_diagonal,
}
