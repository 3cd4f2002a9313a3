"""Two meanings of a graph: NumPy values, and nodes of another graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.graph.ir import Builder, Graph, numpy_meaning
from calcbench.graph.nodes import Node


def evaluate(graph: Graph, *inputs: Any) -> tuple[Any, ...]:
    """The outputs of the graph on NumPy values, node by node; the oracle for every engine."""
    with np.errstate(all="ignore"):
        values = graph.run(inputs, numpy_meaning)
    return tuple(values[i] for i in graph.outputs)


def inline(
    graph: Graph, builder: Builder, inputs: Sequence[int], epoch: int | None = None
) -> list[int]:
    """Write the graph into `builder` with its inputs replaced; the new id of every node.

    `epoch` overrides the epoch of the copied nodes, which keeps a recomputation apart.
    """

    def copy(node: Node, operands: list[int]) -> int:
        return builder.add(
            node.row, tuple(operands), node.params, node.epoch if epoch is None else epoch
        )

    ids: list[int] = graph.run(inputs, copy)
    _keep_origins(graph, builder, ids)
    for guard in graph.guards:
        builder.guard(ids[guard.node], guard.expected.array)
    return ids


def _keep_origins(graph: Graph, builder: Builder, ids: list[int]) -> None:
    for index, origin in zip(ids, graph.origins, strict=False):
        if index is not None and builder.origins[index] is None:
            builder.origins[index] = origin
