"""Two meanings of a graph: NumPy values, and nodes of another graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from calcbench.graph.ir import Builder, Graph, numpy_meaning
from calcbench.graph.nodes import INPUT, Node


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

    same_types = [builder.types[i] for i in inputs] == [graph.types[i] for i in graph.inputs]
    meaning = _typed_copy(graph, builder) if same_types and epoch is None else copy
    ids: list[int] = graph.run(inputs, meaning)
    _keep_origins(graph, builder, ids)
    for guard in graph.guards:
        builder.guard(ids[guard.node], guard.expected.array)
    return ids


def _typed_copy(graph: Graph, builder: Builder) -> Callable[[Node, list[int]], int]:
    """Copies the nodes in their order; inputs of the graph's types give every node its own type."""
    types = iter([t for t, n in zip(graph.types, graph.nodes, strict=True) if n.row is not INPUT])
    recording = builder.recording
    here = builder.here if recording is None else recording.origin()

    def copy(node: Node, operands: list[int]) -> int:
        return builder.add_typed(node.with_operands(tuple(operands)), next(types), here)

    return copy


def _keep_origins(graph: Graph, builder: Builder, ids: list[int]) -> None:
    for index, origin in zip(ids, graph.origins, strict=False):
        if index is not None and builder.origins[index] is None:
            builder.origins[index] = origin
