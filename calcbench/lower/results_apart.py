"""Results of a loop or choice that are read one by one: each is an array of its own then.

A node that holds graphs has its results laid end to end, and slices take them apart. Written where
each is wanted, none is copied out of the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.control_choices import cond_row
from calcbench.graph.control_loops import While, while_row
from calcbench.graph.control_reversals import saving_scan, scan_reversal
from calcbench.graph.control_scans import scan_row
from calcbench.graph.control_steps import Loop
from calcbench.graph.control_stretches import Reversal, Saving
from calcbench.graph.ir import Graph
from calcbench.graph.nodes import Node
from calcbench.graph.structural import reshape, slice_


Apart = dict[int, dict[int, int]]  # node to the slice that is its result at a place of `keep`


def result_types(node: Node) -> list[ArrayType]:
    """The types of what a loop or choice lays end to end; none for other nodes."""
    params: Any = dict(node.params)
    if node.row is scan_row:
        return Loop(**params).kept()
    if node.row is while_row:
        return While(**params).kept()
    if node.row is saving_scan:
        return Saving.of(params).kept()
    if node.row is scan_reversal:
        return Reversal(**params).loops[1].kept()
    if node.row is cond_row:
        return [params["branches"][0].outputs[k] for k in params["keep"]]
    return []


def results_apart(graph: Graph, used: Iterable[int]) -> Apart:
    """The slices of nodes that nothing else reads, and that are whole results."""
    readers: dict[int, list[int]] = {}
    for i in used:
        for operand in set(graph.nodes[i].operands):
            readers.setdefault(operand, []).append(i)
    found: Apart = {}
    for i, slices in readers.items():
        kinds = result_types(graph.nodes[i])
        if len(kinds) > 1 and i not in graph.outputs:
            places = [_place(graph.nodes[s], kinds) for s in slices]
            if None not in places and len(set(places)) == len(places):
                found[i] = dict(zip(places, slices, strict=True))  # type: ignore[arg-type]
    return found


def _place(node: Node, kinds: Sequence[ArrayType]) -> int | None:
    """Which of the results the slice is, if it is all of one."""
    ends = list(accumulate(kind.size for kind in kinds))
    spans = [(((end - t.size),), (end,), (1,)) for end, t in zip(ends, kinds, strict=True)]
    params = dict(node.params)
    taken = (params.get("starts"), params.get("stops"), params.get("steps"))
    return spans.index(taken) if node.row is slice_ and taken in spans else None


def claimed_outputs(graph: Graph, arrays: Iterable[int]) -> dict[int, int]:
    """Outputs that are reshapes of one of the arrays, which can be written as this output."""
    free = set(arrays) - set(graph.outputs)
    found = {}
    for i in dict.fromkeys(graph.outputs):
        source = i
        while graph.nodes[source].row is reshape:
            source = graph.nodes[source].operands[0]
        if source in free:
            found[i] = source
            free.remove(source)
    return found
