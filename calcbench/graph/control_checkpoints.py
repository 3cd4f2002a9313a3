"""The row `checkpoint`: a graph whose reverse derivative computes values again to save memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.control_bodies import (
    Body,
    check_operands,
    compute_instead,
    control,
    pack,
    pack_arrays,
    packed_type,
    spread,
    unpack,
    with_outputs,
)
from calcbench.graph.control_reversals import saving_scan
from calcbench.graph.control_scans import scan_row
from calcbench.graph.control_steps import Loop
from calcbench.graph.interpreter import inline
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifetimes import byte_size
from calcbench.graph.lifting import Value
from calcbench.graph.nodes import Node
from calcbench.graph.rewriting import simplify
from calcbench.graph.structural import reshape, slice_
from calcbench.reverse_mode.budgets import held_bytes, within
from calcbench.reverse_mode.rematerialising import Forward, binomially


# Parts of a budget that a scan's stored states take; as many again are computed at a time.
SHARES = (0.5, 0.45, 0.4, 0.3, 0.2, 0.1, 0)
Transform = Callable[[Graph, Sequence[int]], Graph]


class Region(NamedTuple):
    """The params of a checkpoint: one of `slots` and `limit` is not 0.

    The operands are the inputs of the body; the result is what `keep` names of its outputs, laid
    end to end.
    """

    body: Body
    keep: tuple[int, ...]
    limit: int
    slots: int

    def pulled(self, pull: Transform, wrt: Sequence[int]) -> Graph:
        """The vjp graph of the body, which keeps no more than it may."""
        graph, count = with_outputs(self.body.graph, self.keep), len(self.keep)
        scans = long_scans(graph)
        if not self.limit:
            found = pull(with_slots(graph, dict.fromkeys(scans, self.slots)), wrt)
            return found if scans else binomially(Forward(found, count), self.slots)
        for share in SHARES if scans else SHARES[-1:]:
            slots = {
                i: max(int(share * self.limit / (len(scans) * n)), 1) for i, n in scans.items()
            }
            found = pull(with_slots(graph, slots), wrt)
            again = max(((slots[i] + 1) * n for i, n in scans.items()), default=0)
            if held_bytes(found) + again <= self.limit:
                break
        return within(found, count, self.limit)

    def kept(self) -> list[ArrayType]:
        """The types of what is laid end to end."""
        return [self.body.outputs[k] for k in self.keep]


def _region_type(*operands: ArrayType, **params: Any) -> ArrayType:
    region = Region(**params)
    check_operands("checkpoint", operands, region.body.inputs)
    return packed_type("checkpoint", region.kept())


def _region(*operands: Any, **params: Any) -> Any:
    region = Region(**params)
    results = region.body.plan(len(operands))(*[np.asarray(v)[()] for v in operands])
    return pack_arrays([results[k] for k in region.keep])


def _push_region(
    z: Any, operands: Sequence[Any], tangents: Sequence[Any], push: Transform, **params: Any
) -> Any:
    """A region again, of values and tangents."""
    region = Region(**params)
    wrt = [p for p, t in enumerate(tangents) if t is not None]
    pushed = Body(push(with_outputs(region.body.graph, region.keep), wrt))
    given = [*operands, *[tangents[p] for p in wrt]]
    wanted = [(k, pushed.outputs[k]) for k in range(len(region.keep), len(pushed.outputs))]
    further = {"body": pushed, "limit": region.limit, "slots": region.slots}
    return pack(spread(checkpoint_row, given, wanted, **further))


def _pull_region(
    z: Any,
    operands: Sequence[Any],
    active: Sequence[bool],
    arrived: Any,
    pull: Transform,
    **params: Any,
) -> list[Any]:
    """The pulled body, written out: what it computes again is in epochs of its own."""
    region = Region(**params)
    wrt = [p for p, flag in enumerate(active) if flag]
    pulled = region.pulled(pull, wrt)
    given = [*operands, *unpack(arrived, region.kept())]
    ids = _written_apart(pulled, z.builder, [v.id for v in given])
    results = [Value(z.builder, ids[i]) for i in pulled.outputs]
    compute_instead(z, results[: len(region.keep)], results[-1])
    shares = iter(results[len(region.keep) :])
    return [next(shares) if flag else None for flag in active]


def long_scans(graph: Graph) -> dict[int, int]:
    """The scans of more than one step, with the bytes of one state."""
    loops = {i: Loop(**dict(n.params)) for i, n in enumerate(graph.nodes) if n.row is scan_row}  # type: ignore[arg-type]
    return {
        i: sum(byte_size(t) for t in loop.body.inputs[: loop.carries])
        for i, loop in loops.items()
        if loop.length > 1
    }


def with_slots(graph: Graph, slots: Mapping[int, int]) -> Graph:
    """The graph whose scans (nodes) store so many states for their reverse derivatives."""
    if not slots:
        return graph

    def moved(index: int, node: Node) -> Node:
        if index not in slots:
            return node
        return Node(saving_scan, node.operands, (*node.params, ("slots", slots[index])), node.epoch)

    return replace(graph, nodes=tuple([moved(i, n) for i, n in enumerate(graph.nodes)]))


def _written_apart(graph: Graph, builder: Builder, inputs: Sequence[int]) -> list[int]:
    """The graph inlined, with its epochs after all that are there."""
    last = max(node.epoch for node in builder.nodes)

    def copy(node: Node, operands: list[int]) -> int:
        epoch = node.epoch + last if node.epoch else 0
        return builder.add(node.row, tuple(operands), node.params, epoch)

    return list(graph.run(inputs, copy))


checkpoint_row = control("checkpoint", _region_type, _region, _push_region, _pull_region)


# --- without regions ---------------------------------------------------------------------------


def without_regions(graph: Graph) -> Graph:
    """The graph with the bodies of its checkpoints written out, in the order of its nodes."""
    if not any(node.row is checkpoint_row for node in graph.nodes):
        return graph
    builder, new = Builder(), dict[int, int]()
    pieces: dict[int, dict[tuple[int, int], int]] = {}
    for index, node in enumerate(graph.nodes):
        origin = graph.origins[index] if graph.origins else None
        moved = node.with_operands(tuple(new[i] for i in node.operands))
        piece = _piece(node, pieces)
        if piece is not None:
            new[index] = piece
        elif node.row is checkpoint_row:
            builder.here = origin
            new[index], pieces[index] = _written_out(moved, builder)
        else:
            new[index] = builder.add_typed(moved, graph.types[index], origin)
    builder.inputs = [new[i] for i in graph.inputs]
    for guard in graph.guards:
        builder.guard(new[guard.node], guard.expected.array)
    return simplify(builder.freeze([new[i] for i in graph.outputs]))


def _written_out(node: Node, builder: Builder) -> tuple[int, dict[tuple[int, int], int]]:
    """The packed results of a body, and each piece of them by its span."""
    region = Region(**dict(node.params))  # type: ignore[arg-type]
    graph = without_regions(with_outputs(region.body.graph, region.keep))
    ids = inline(graph, builder, node.operands)
    results = [Value(builder, ids[i]) for i in graph.outputs]
    flat = [reshape(v, shape=(v.type.size,)) for v in results]
    ends = list(accumulate(v.type.size for v in flat))
    spans = {(end - v.type.size, end): v.id for v, end in zip(flat, ends, strict=True)}
    return pack(results).id, spans


def _piece(node: Node, pieces: Mapping[int, Mapping[tuple[int, int], int]]) -> int | None:
    """What a slice of packed results is, without packing them."""
    if node.row is not slice_ or node.operands[0] not in pieces:
        return None
    params: Any = dict(node.params)
    if params["steps"] != (1,):
        return None
    return pieces[node.operands[0]].get((params["starts"][0], params["stops"][0]))
