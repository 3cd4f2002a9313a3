"""Which values of a vjp graph to keep under a budget of bytes: cheap ones are computed again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import byte_size, peak_bytes, value_lifetimes
from calcbench.reverse_mode.rematerialising import Forward, binomially, keeping
from calcbench.reverse_mode.schedules import ScheduleError


PREFIXES = 24  # how many sets of cheap values are tried
DEAR = 16  # operations of one entry of exp, sin ...; roughly, as rankings need no more


def held_bytes(graph: Graph) -> int:
    """The most bytes of values at once, beside inputs, constants and results.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> held_bytes(cb.trace(lambda x: np.sum(np.sin(x)), np.ones(1000)))
    8000
    """
    given = {*graph.inputs, *graph.outputs}
    sources = {i for i, n in enumerate(graph.nodes) if n.row.kind == "source"}
    return peak_bytes([v for v in value_lifetimes(graph) if v.node not in given | sources])


def within(graph: Graph, results: int, limit: int) -> Graph:
    """The vjp graph that holds at most `limit` bytes, and computes least again among those tried.

    Parameters
    ----------
    graph : Graph
        Its first `results` outputs are those of the function.
    limit : int
        Bytes, as `held_bytes` counts them.

    Returns
    -------
    Graph
        The same function, with the same bits.

    Raises
    ------
    ScheduleError
        If no way that is known holds so few bytes; it names the least.

    Notes
    -----
    Tried are to keep everything; to keep all but the values that are cheapest to compute again
    for each byte, for more and more of them; and binomial schedules of the chain.
    """
    if held_bytes(graph) <= limit:
        return graph
    best, least, price = None, math.inf, math.inf
    for candidate in _candidates(graph, results):
        held = held_bytes(candidate)
        least = min(least, held)
        if held <= limit and (paid := recomputed(candidate, graph)) < price:
            best, price = candidate, paid
    if best is None:
        raise ScheduleError(
            f"no way was found to hold at most {limit} bytes in the reverse sweep: the least was "
            f"{least:.0f}, and keeping everything takes {held_bytes(graph)}; allow more bytes"
        )
    return best


def _candidates(graph: Graph, results: int) -> Iterator[Graph]:
    forward = Forward(graph, results)
    wanted = [i for i in forward.nodes if i not in forward.free]
    ranked = sorted(wanted, key=lambda i: price_of(graph, i) / max(byte_size(graph.types[i]), 1))
    for k in range(1, PREFIXES + 1):
        yield keeping(forward, ranked[len(ranked) * k // PREFIXES :])
    slots = len(forward.nodes)
    while slots > 0:
        yield binomially(forward, slots)
        slots = slots * 2 // 3


def recomputed(graph: Graph, before: Graph) -> float:
    """Operations of what is computed again, roughly."""
    first = max(node.epoch for node in before.nodes)
    return sum(price_of(graph, i) for i, n in enumerate(graph.nodes) if n.epoch > first)


def price_of(graph: Graph, index: int) -> float:
    """Operations to compute a node, roughly: what moves values is the cheapest."""
    node, size = graph.nodes[index], graph.types[index].size
    row: Any = node.row
    if "structural" in row.facts:
        return float(size / 2)
    if row.kind == "elementwise":
        return float(size * (1 if "exact" in row.facts else DEAR))
    inner = max((graph.types[i].size for i in node.operands), default=1)
    if row.name == "matmul":
        shared = graph.types[node.operands[0]].shape[-1]
        return float(2 * size * shared)
    return float(inner * (1 if row.name in ("sum", "max", "min") else DEAR**2))
