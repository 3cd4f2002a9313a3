"""Nodes and their values in a few letters, for pictures and tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.graph.markup import plain
from calcbench.graph.nodes import INPUT
from calcbench.graph.structural import fill


LONGEST = 42  # letters
ENTRIES = 4  # of an array that are shown; of longer ones, the least and the largest


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text on one line, cut where it is too long."""
    line = " ".join(plain(text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def shown(value: Any) -> str:
    """A value in a few letters: all entries, or the least and the largest.

    Examples
    --------
    >>> import numpy as np
    >>> shown(np.float64(0.25)), shown(np.array([1.0, 2.5])), shown(np.arange(6.0))
    ('0.25', '[1, 2.5]', '0 .. 5')
    """
    array = np.asarray(value)
    if not array.size:
        return "no entries"
    if array.ndim == 0:
        return _number(array, 5)
    if array.size <= ENTRIES:
        return _listed(array)
    finite = array[~np.isnan(array)] if array.dtype.kind == "f" else array
    span = f"{_number(finite.min())} .. {_number(finite.max())}" if finite.size else ""
    missing = array.size - finite.size
    return " and ".join(filter(None, [span, f"{missing} nan" if missing else ""]))


def _listed(array: Any) -> str:
    if array.ndim == 0:
        return _number(array)
    return f"[{', '.join(map(_listed, array))}]"


def _number(value: Any, digits: int = 3) -> str:
    return f"{float(value):.{digits}g}" if value.dtype.kind == "f" else str(value)


def name_of(graph: Graph, index: int) -> str:
    """An input's own name, cut where it is long; ``v7`` for other nodes."""
    node = graph.nodes[index]
    return shortened(str(dict(node.params)["name"]), 16) if node.row is INPUT else f"v{index}"


def formula(graph: Graph, index: int) -> str:
    """``x`` for an input, ``v4 = 2.0`` for a number, ``v7 = subtract v6 y`` for the rest."""
    node = graph.nodes[index]
    if node.row is INPUT:
        return name_of(graph, index)
    if node.row is fill:
        return f"v{index} = {dict(node.params)['value']}"
    return " ".join([f"v{index} =", node.row.name, *(name_of(graph, i) for i in node.operands)])


def hint_of(graph: Graph, index: int) -> str:
    """The row, all params, and the line that recorded the node."""
    node = graph.nodes[index]
    params = ", ".join(f"{k}={v!r}" for k, v in node.params if k != "type")
    return shortened("; ".join(filter(None, [node.row.name, params, line_of(graph, index)])), 200)


def line_of(graph: Graph, index: int) -> str:
    """File and line that recorded a node, without the folder."""
    origin = graph.origins[index] if graph.origins else None
    return f"{origin[0].replace(chr(92), '/').rpartition('/')[2]}:{origin[1]}" if origin else ""
