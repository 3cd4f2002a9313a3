"""Which entries of the results may depend on which entries of the inputs, by sets of indices.

The sets go through the graph once, from the inputs to the results. What they say holds at every
point of the recorded path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from calcbench.forward_mode.control_patterns import branches, looped, scanned
from calcbench.forward_mode.pattern_rules import DECIDING, Reach, rule_of
from calcbench.forward_mode.patterns import Pattern, stacked
from calcbench.graph.activity import varied
from calcbench.graph.arraytype import DerivativeError
from calcbench.graph.control_expansion import without_checkpoints
from calcbench.graph.ir import Graph, numpy_meaning, reachable
from calcbench.graph.nodes import INPUT, Node


def jacobian_pattern(graph: Graph, wrt: Sequence[int], fixed: Mapping[int, Any]) -> Any:
    """The pattern of all outputs with respect to the inputs at `wrt`.

    Parameters
    ----------
    graph : Graph
        A function with known sizes.
    wrt : sequence of int
        Positions of the inputs whose entries are the columns, one after the other.
    fixed : mapping of int to array
        Values of inputs, by position, for which alone the pattern shall hold: integers that say
        which entries are read, bools that choose.

    Returns
    -------
    scipy.sparse.csr_array
        Booleans, of shape (entries of the outputs, entries of the wanted inputs).

    Raises
    ------
    DerivativeError
        If some value depends on so much that its pattern is no longer sparse.

    Notes
    -----
    Index domains as in Griewank & Walther 2008, section 7.1: the pattern of an elementwise
    operation is the union of its operands' patterns, a structural row moves the rows. Numbers do
    not count: a product with a matrix reads whole rows and columns, zeros in it or not, and a step
    of a loop may read what any other step left.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> graph = cb.trace(lambda x: x[1:] * x[:-1], np.zeros(3))
    >>> jacobian_pattern(graph, [0], {}).toarray().astype(int)
    array([[1, 1, 0],
           [0, 1, 1]])
    """
    return _whole_pattern(without_checkpoints(graph), wrt, fixed).matrix()


def _whole_pattern(graph: Graph, wrt: Sequence[int], fixed: Mapping[int, Any]) -> Pattern:
    wanted = [graph.inputs[p] for p in wrt]
    width = sum(int(graph.types[i].size) for i in wanted)
    patterns: dict[int, Pattern] = dict(zip(wanted, _identities(graph, wanted, width), strict=True))
    _sweep(graph, patterns, {graph.inputs[p]: value for p, value in fixed.items()})
    found = [patterns.get(i) for i in graph.outputs]
    return stacked(found, [int(graph.types[i].size) for i in graph.outputs], width)


def _identities(graph: Graph, wanted: Sequence[int], width: int) -> Iterator[Pattern]:
    start = 0
    for index in wanted:
        size = int(graph.types[index].size)
        yield Pattern(np.arange(size + 1), np.arange(start, start + size), width)
        start += size


def _sweep(graph: Graph, patterns: dict[int, Pattern], fixed: Mapping[int, Any]) -> None:
    """Add the pattern of every value that depends on those given; drop those nobody reads again."""
    values = _known_values(graph, fixed)
    active = varied(graph.nodes, graph.types, patterns, range(len(graph)))
    last = {i: index for index, node in enumerate(graph.nodes) for i in node.operands}
    kept = frozenset(graph.outputs)
    for index, node in enumerate(graph.nodes):
        if index in active and index not in patterns:
            try:
                patterns[index] = _pattern_of(node, _reach(graph, index, patterns, values))
            except DerivativeError as error:
                error.add_note(f"while finding what {graph.place(index)} depends on")
                raise
        for i in set(node.operands):
            if last[i] == index and i not in kept:
                patterns.pop(i, None)


# Rows that hold graphs are given the pattern of a graph.
CONTROL = {"cond": branches, "scan": scanned, "while_loop": looped}


def _pattern_of(node: Node, at: Reach) -> Any:
    holds_graph = node.row.name in CONTROL and not at.params.get("derived")
    return CONTROL[node.row.name](at, _whole_pattern) if holds_graph else rule_of(node)(at)


def _known_values(graph: Graph, fixed: Mapping[int, Any]) -> dict[int, Any]:
    """What decides and depends on constants and fixed inputs alone."""
    nodes = graph.nodes
    deciding = [n.operands[DECIDING[n.row.name]] for n in nodes if n.row.name in DECIDING]
    values = dict(fixed)
    with np.errstate(all="ignore"):
        for index in reachable(nodes, deciding):
            node = nodes[index]
            if node.row is not INPUT and all(i in values for i in node.operands):
                values[index] = numpy_meaning(node, [values[i] for i in node.operands])
    return values


def _reach(
    graph: Graph, index: int, patterns: Mapping[int, Pattern], values: Mapping[int, Any]
) -> Reach:
    node = graph.nodes[index]
    position = DECIDING.get(node.row.name)
    return Reach(
        node,
        dict(node.params),
        [graph.types[i] for i in node.operands],
        graph.types[index],
        [patterns.get(i) for i in node.operands],
        None if position is None else _decision(graph, node.operands[position], values),
    )


def _decision(graph: Graph, index: int, values: Mapping[int, Any]) -> Any:
    """The value that decides, if it is known and counts as it stands.

    Where floats are tested for equality the slope may be that of the other branch: see
    `calcbench.graph.comparison`.
    """
    node = graph.nodes[index]
    if node.row.name == "equal" and graph.types[node.operands[0]].is_float:
        return None
    return values.get(index)
