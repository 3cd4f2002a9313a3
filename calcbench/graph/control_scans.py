"""The row `scan`: a loop of known length whose body is a graph, and its two derivatives."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.control_bodies import (
    check_operands,
    compute_instead,
    control,
    is_read,
    live_carries,
    moving_inputs,
    pack,
    packed_type,
    rewired,
    spread,
    unpack,
    with_outputs,
)
from calcbench.graph.control_steps import Loop, Operands, Reduced, run_scan
from calcbench.graph.elementwise import add
from calcbench.graph.interpreter import inline
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.primitive import Primitive
from calcbench.graph.structural import full, zeros


Transform = Callable[[Graph, Sequence[int]], Graph]


def _scan_type(*operands: ArrayType, **params: Any) -> ArrayType:
    loop = Loop(**params)
    inputs, count = loop.body.inputs, loop.carries
    across = [loop.stacked(t) for t in inputs[count : loop.first_constant]]
    check_operands("scan", operands, inputs[:count] + across + inputs[loop.first_constant :])
    check_operands("the next step of scan", loop.body.outputs[:count], inputs[:count])
    return packed_type("scan", loop.kept())


def _scan(*operands: Any, **params: Any) -> Any:
    loop = Loop(**params)
    found = run_scan(loop, operands)
    return np.concatenate([np.ravel(found[k]) for k in loop.keep])


def add_scan(
    graph: Graph,
    given: Operands,
    wanted: Iterable[int],
    length: int,
    reverse: bool,
    row: Primitive | None = None,
    **further: Hashable,
) -> list[Any]:
    """The `wanted` results of a scan, or of another `row` with `further` params.

    The scan is without carries and operands on which none of them depends.
    """
    chosen = list(wanted)
    parts = len(given.carry), len(given.scanned)
    loop, inputs, place = Reduced.of(graph, *parts, chosen, length, reverse)
    operands = [*given.carry, *given.scanned, *given.constants]
    types = loop.results()
    pairs = [(place[k], types[place[k]]) for k in chosen]
    params = loop._asdict() | further
    del params["keep"]
    return spread(row or scan_row, [operands[p] for p in inputs], pairs, **params)


# --- forward: a scan of the pushed body --------------------------------------------------------


def _push_scan(
    z: Any, operands: Sequence[Any], tangents: Sequence[Any], push: Transform, **params: Any
) -> Any:
    return push_scan(z, operands, tangents, push, Loop(**params), add_scan)


def push_scan(
    z: Any,
    operands: Sequence[Any],
    tangents: Sequence[Any],
    push: Transform,
    loop: Loop,
    add: Callable[..., list[Any]],
) -> Any:
    """One scan carries values and tangents; only the carries that can have tangents get them.

    `add` writes it, as `add_scan` does.
    """
    arriving = {p for p, t in enumerate(tangents) if t is not None}
    moving, reached = moving_inputs(loop.body.graph, loop.carries, arriving)
    if reached.isdisjoint(loop.keep):
        return None
    graph, values, found = _pushed_body(loop, sorted(moving), reached, push)
    steps = {p: zeros(operands[p]) if tangents[p] is None else tangents[p] for p in moving}
    parts = Operands.of(loop, range(len(operands)))
    given = [[operands[p] for p in s] + [steps[p] for p in s if p in steps] for s in parts]
    count = len(loop.keep)
    wanted = [*[values[k] for k in loop.keep], *[found[k] for k in loop.keep if k in reached]]
    pieces = add(graph, Operands(*given), wanted, loop.length, loop.reverse)
    steps_of = iter(pieces[count:])
    pairs = zip(loop.keep, loop.kept(), strict=True)
    pushed = pack([next(steps_of) if k in reached else full(z, 0, t.shape) for k, t in pairs])
    compute_instead(z, pieces[:count], pushed)
    return pushed


def _pushed_body(
    loop: Loop, moving: Sequence[int], reached: set[int], push: Transform
) -> tuple[Graph, dict[int, int], dict[int, int]]:
    """The body with tangents beside the values; where each output's value and tangent are."""
    graph, count = loop.body.graph, loop.carries
    pushed = push(graph, moving)
    slots = {p: len(graph.inputs) + rank for rank, p in enumerate(moving)}
    inputs: list[int] = []
    for span in Operands.of(loop, range(len(graph.inputs))):
        inputs += [*span, *[slots[p] for p in span if p in slots]]
    floats = [k for k, kind in enumerate(loop.body.outputs) if kind.is_float]
    tangent = {k: len(graph.outputs) + rank for rank, k in enumerate(floats)}
    carried = [p for p in moving if p < count]
    stacks = [k for k in range(count, len(graph.outputs)) if k in loop.keep]
    outputs = [*range(count), *[tangent[k] for k in carried]]
    outputs += [*stacks, *[tangent[k] for k in stacks if k in reached]]
    place = {k: rank for rank, k in enumerate(outputs)}
    found = {k: place[tangent[k]] for k in reached if tangent[k] in place}
    return rewired(pushed, inputs, outputs), place, found


# --- reverse: a scan that keeps the carries, then a scan backwards -----------------------------


def _pull_scan(
    z: Any,
    operands: Sequence[Any],
    active: Sequence[bool],
    arrived: Any,
    pull: Transform,
    **params: Any,
) -> list[Any]:
    """The share of each operand; carries of all steps are kept if the pulled body reads them."""
    loop = Loop(**params)
    given = Operands.of(loop, operands)
    step = Backward.of(loop, [p for p, flag in enumerate(active) if flag], pull)
    seeds = dict(zip(loop.keep, unpack(arrived, loop.kept()), strict=True))
    last = [seeds[p] if p in seeds else zeros(operands[p]) for p in step.carried]
    sums = [zeros(operands[p]) for p in step.constants]
    across = [
        *_kept_carries(z, loop, given, step),
        *given.scanned,
        *[seeds[k] for k in step.stacks],
    ]
    backward = Operands([*last, *sums], across, given.constants)
    wanted = [rank for rank, p in enumerate(step.order) if active[p]]
    shares = add_scan(step.graph, backward, wanted, loop.length, not loop.reverse)
    by_operand = {step.order[rank]: s for rank, s in zip(wanted, shares, strict=True)}
    return [by_operand.get(p) for p in range(len(operands))]


class Backward(NamedTuple):
    """The backward scan.

    Carried are the cotangents of the carries `carried` and the sums for `constants`; scanned are
    the carries before each step, the scanned operands, and the cotangents of the stacks `stacks`.
    Its results are the shares of the operands `order`.
    """

    graph: Graph
    carried: list[int]
    constants: list[int]
    stacks: list[int]
    order: list[int]

    @staticmethod
    def of(loop: Loop, active: Sequence[int], pull: Transform) -> Backward:
        """The backward scan for the operands at the positions `active`."""
        graph, count = loop.body.graph, loop.carries
        moving, reached = moving_inputs(graph, count, active)
        live = live_carries(graph, count, loop.keep)
        carried = [p for p in live if p in moving]
        stacks = sorted(k for k in set(loop.keep) & reached if k >= count)
        wrt = [*carried, *sorted(p for p in moving if p >= count)]
        pulled = pull(with_outputs(graph, [*carried, *stacks]), wrt)
        constants = [p for p in wrt if p >= loop.first_constant]
        across = [p for p in wrt if count <= p < loop.first_constant]
        order = [*carried, *constants, *across]
        shares = [wrt.index(p) + len(carried) + len(stacks) for p in order]
        summed = range(len(carried), len(carried) + len(constants))
        step = _backward_step(pulled, loop, len(carried), shares, summed)
        return Backward(step, carried, constants, stacks, order)


def _backward_step(
    pulled: Graph, loop: Loop, carried: int, shares: Sequence[int], summed: range
) -> Graph:
    """The pulled body with its cotangents first, adding up the shares at `summed`."""
    builder = Builder()
    first, count = loop.first_constant, len(loop.body.inputs)
    seeds = range(count, len(pulled.inputs))
    order = [*seeds[:carried], *range(first), *seeds[carried:], *range(first, count)]
    names, kinds = pulled.input_names, [pulled.types[i] for i in pulled.inputs]
    given = {p: builder.add_new_input(names[p], kinds[p]) for p in order[:carried]}
    totals = [pulled.types[pulled.outputs[shares[s]]] for s in summed]
    sums = [builder.add_new_input(f"sum{rank}", t) for rank, t in enumerate(totals)]
    given |= {p: builder.add_new_input(names[p], kinds[p]) for p in order[carried:]}
    ids = inline(pulled, builder, [given[p] for p in range(len(order))])
    results = [ids[pulled.outputs[s]] for s in shares]
    for place, total in zip(summed, sums, strict=True):
        results[place] = builder.add(add, (total, results[place]))
    return builder.freeze(results)


def _kept_carries(z: Any, loop: Loop, given: Operands, step: Backward) -> list[Any]:
    """The carries before each step, where the backward scan reads them; None where not.

    The scan keeps them itself, or one that also gives what it gives runs in its place.
    """
    graph, count = loop.body.graph, loop.carries
    first = len(step.carried) + len(step.constants)
    needed = [p for p, read in enumerate(is_read(step.graph)[first : first + count]) if read]
    stacked = {graph.outputs[k]: rank for rank, k in enumerate(loop.keep) if k >= count}
    whole = unpack(z, loop.kept())
    kept = {p: whole[stacked[graph.inputs[p]]] for p in needed if graph.inputs[p] in stacked}
    rest = [p for p in needed if p not in kept]
    if rest:
        outputs = (*graph.outputs, *[graph.inputs[p] for p in rest])
        saving = replace(graph, outputs=outputs)
        wanted = [*loop.keep, *range(len(graph.outputs), len(outputs))]
        found = add_scan(saving, given, wanted, loop.length, loop.reverse)
        own = len(loop.keep)
        kept |= dict(zip(rest, found[own:], strict=True))
        compute_instead(z, found[:own], found[-1])
    return [kept.get(p) for p in range(count)]


scan_row = control("scan", _scan_type, _scan, _push_scan, _pull_scan)
