"""Rows that only move entries, as index maps: where in the operand an entry of the result is read.

A row answers with windows: an operand, the index in it, and the parts of that index which must lie
inside their extent for the window to apply. Where none applies the value is 0.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from calcbench.graph.ir import Graph
from calcbench.lower.indexing import Index, Part, Splitter, joined, run_parts


class Window(NamedTuple):
    """`operand` `at` an index, if every part in `conditions` lies in its extent."""

    operand: int
    at: Index
    conditions: tuple[Part, ...] = ()


class View(NamedTuple):
    """A node that moves entries, with all that its rule reads."""

    operands: tuple[int, ...]
    shape: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    params: dict[str, Any]


Rule = Callable[[View, Index, Splitter], list[Window]]


def view(graph: Graph, node: int) -> View:
    """The node as its rule reads it."""
    operands = graph.nodes[node].operands
    shapes: Any = tuple(graph.types[i].shape for i in operands)
    shape: Any = graph.types[node].shape
    return View(operands, shape, shapes, dict(graph.nodes[node].params))


def windows(graph: Graph, node: int, index: Index, splitter: Splitter) -> list[Window]:
    """Where the entry of a moving node comes from."""
    return VIEWS[graph.nodes[node].row.name](view(graph, node), index, splitter)


def is_view(graph: Graph, node: int) -> bool:
    """Whether consumers can absorb the node as an index map."""
    name, params = graph.nodes[node].row.name, dict(graph.nodes[node].params)
    if name == "pad":
        interior: Any = params["interior"]
        return not any(interior)
    if name == "concatenate":
        return len(graph.nodes[node].operands) <= MOST_PIECES
    return name in VIEWS


MOST_PIECES = 4  # longer concatenations are written piece by piece


def _index(parts: Iterable[Part]) -> Index:
    return tuple(part for part in parts if part.extent != 1)


def _reshape(node: View, index: Index, splitter: Splitter) -> list[Window]:
    return [Window(node.operands[0], index)]


def _long_axes(shape: Sequence[int]) -> list[int]:
    return [axis for axis, extent in enumerate(shape) if extent != 1]


def _broadcast(node: View, index: Index, splitter: Splitter) -> list[Window]:
    dims, extents = node.params["dims"], node.shapes[0]
    kept = {a for a, n in zip(dims, extents, strict=True) if n == node.shape[a]}
    axes = _long_axes(node.shape)
    cuts = [b for a, b in itertools.pairwise(axes) if (a in kept) != (b in kept)]
    found: list[Part] = []
    for (first, last), parts in run_parts(index, node.shape, cuts, splitter):
        if any(a in kept for a in axes if first <= a < last):
            found += parts
    return [Window(node.operands[0], _index(found))]


def _transpose(node: View, index: Index, splitter: Splitter) -> list[Window]:
    perm, axes = node.params["perm"], _long_axes(node.shape)
    order = {axis: rank for rank, axis in enumerate(sorted(perm[a] for a in axes))}
    ranks = [order[perm[a]] for a in axes]
    cuts = [axes[k] for k in range(1, len(axes)) if ranks[k] != ranks[k - 1] + 1]
    found = []
    for (first, last), parts in run_parts(index, node.shape, cuts, splitter):
        inside = [perm[a] for a in axes if first <= a < last]
        found.append((min(inside, default=-1), parts))
    return [Window(node.operands[0], _index(p for _, parts in sorted(found) for p in parts))]


def _slice(node: View, index: Index, splitter: Splitter) -> list[Window]:
    starts, steps, old = node.params["starts"], node.params["steps"], node.shapes[0]
    cut = [a for a, n in enumerate(node.shape) if n != old[a]]
    cuts = {*cut, *(a + 1 for a in cut if steps[a] > 1)}
    found: list[Part] = []
    for (first, last), parts in run_parts(index, node.shape, cuts, splitter):
        if first in cut:
            width = math.prod(node.shape[first + 1 : last])
            at = joined(parts).at * steps[first] + starts[first] * width
            parts = [Part(old[first] * width, at)]
        found += parts
    return [Window(node.operands[0], _index(found))]


def _flip(node: View, index: Index, splitter: Splitter) -> list[Window]:
    axes = node.params["axes"]
    cuts = {*axes, *(a + 1 for a in axes)}
    found: list[Part] = []
    for (first, _), parts in run_parts(index, node.shape, cuts, splitter):
        if first in axes:
            extent, at = joined(parts)
            parts = [Part(extent, at * -1 + (extent - 1))]
        found += parts
    return [Window(node.operands[0], _index(found))]


def _pad(node: View, index: Index, splitter: Splitter) -> list[Window]:
    old, low = node.shapes[0], node.params["low"]
    if 0 in old:
        return []
    cut = [a for a, n in enumerate(node.shape) if n != old[a]]
    found: list[Part] = []
    conditions = []
    for (first, last), parts in run_parts(index, node.shape, cut, splitter):
        if first in cut:
            width = math.prod(node.shape[first + 1 : last])
            parts = [Part(old[first] * width, joined(parts).at + -low[first] * width)]
            conditions += parts
        found += parts
    return [Window(node.operands[0], _index(found), tuple(conditions))]


def _concatenate(node: View, index: Index, splitter: Splitter) -> list[Window]:
    axis = node.params["axis"]
    width = math.prod(node.shape[axis + 1 :])
    groups = run_parts(index, node.shape, [axis], splitter)
    outer, inner = [p for _, parts in groups[:-1] for p in parts], groups[-1][1]
    found, start = [], 0
    for operand, shape in zip(node.operands, node.shapes, strict=True):
        part = Part(shape[axis] * width, joined(inner).at + -start * width)
        if shape[axis]:
            found.append(Window(operand, _index([*outer, part]), (part,)))
        start += shape[axis]
    return found


def _diagonal(node: View, index: Index, splitter: Splitter) -> list[Window]:
    offset, (rows, columns) = node.params["offset"], node.shapes[0][-2:]
    last = len(node.shape) - 1
    groups = run_parts(index, node.shape, [last], splitter)
    outer, at = [p for _, parts in groups[:-1] for p in parts], joined(groups[-1][1]).at
    cell = [Part(rows, at + max(-offset, 0)), Part(columns, at + max(offset, 0))]
    return [Window(node.operands[0], _index([*outer, *cell]))]


VIEWS: dict[str, Rule] = {
    "reshape": _reshape,
    "broadcast": _broadcast,
    "transpose": _transpose,
    "slice": _slice,
    "flip": _flip,
    "pad": _pad,
    "concatenate": _concatenate,
    "diagonal": _diagonal,
}
