"""Scans whose reverse derivative stores few states: the rows `saving_scan` and `scan_reversal`.

What they compute is in `calcbench.graph.control_stretches`; here are types and derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.control_bodies import (
    check_operands,
    compute_instead,
    control,
    pack,
    packed_type,
    spread,
    unpack,
)
from calcbench.graph.control_scans import Backward, add_scan, push_scan, scan_row
from calcbench.graph.control_steps import Loop, Operands, Reduced, run_scan
from calcbench.graph.control_stretches import (
    Reversal,
    Saving,
    run_reversal,
    run_saving,
    state_count,
    with_states,
)
from calcbench.graph.interpreter import inline
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.graph.structural import full, zeros


Transform = Callable[[Graph, Sequence[int]], Graph]


def _saving_type(*operands: ArrayType, slots: int, **params: Any) -> ArrayType:
    saving = Saving(Loop(**params), slots)
    scan_row.infer(*operands, **(params | {"keep": saving.own() or (0,)}))
    return packed_type("saving_scan", saving.kept())


def _saving(*operands: Any, slots: int, **params: Any) -> Any:
    saving = Saving(Loop(**params), slots)
    found = run_saving(saving, operands, run_scan)
    return np.concatenate([np.ravel(found[k]) for k in saving.loop.keep])


def _push_saving(
    z: Any,
    operands: Sequence[Any],
    tangents: Sequence[Any],
    push: Transform,
    *,
    slots: int,
    **params: Any,
) -> Any:
    """The scan's results move; stored states do not, as a reversal has its own derivative."""
    saving = Saving(Loop(**params), slots)
    own, results = saving.own(), saving.results()
    if not own:
        return None
    kept = [results[k] for k in own]
    whole = saving_scan(*operands, slots=slots, **(params | {"keep": own}))
    loop = saving.loop._replace(keep=own)
    add = partial(add_scan, row=saving_scan, slots=slots)
    pushed = push_scan(whole, operands, tangents, push, loop, add)
    if pushed is None or own == saving.loop.keep:
        return pushed
    pieces = dict(zip(own, unpack(pushed, kept), strict=True))
    return pack(
        [pieces[k] if k in pieces else full(z, 0, results[k].shape) for k in params["keep"]]
    )


def _pull_saving(
    z: Any,
    operands: Sequence[Any],
    active: Sequence[bool],
    arrived: Any,
    pull: Transform,
    *,
    slots: int,
    **params: Any,
) -> list[Any]:
    """Its reversal, which starts from the states that are stored on the way up."""
    saving = Saving(Loop(**params), slots)
    own, loop, results = saving.own(), saving.loop, saving.results()
    seeds = dict(zip(loop.keep, unpack(arrived, [results[k] for k in loop.keep]), strict=True))
    step = Backward.of(loop._replace(keep=own), [p for p, flag in enumerate(active) if flag], pull)
    wanted = [rank for rank, p in enumerate(step.order) if active[p]]
    shares = _add_reversal(z, saving, operands, step, seeds, wanted)
    by_operand = {step.order[rank]: s for rank, s in zip(wanted, shares, strict=True)}
    return [by_operand.get(p) for p in range(len(operands))]


saving_scan = control("saving_scan", _saving_type, _saving, _push_saving, _pull_saving)


def _reversal_type(*operands: ArrayType, **params: Any) -> ArrayType:
    reversal = Reversal(**params)
    up, down = reversal.loops
    count = state_count(up.length, reversal.slots)
    above, below, carried = up.body.inputs, down.body.inputs, down.carries
    across, first = len(reversal.read), up.first_constant
    wanted = above[: up.carries] + [up.stacked(t) for t in above[up.carries : first]]
    wanted += above[first:] + [ArrayType((count, *t.shape), t.dtype) for t in above[: up.carries]]
    wanted += below[:carried]
    wanted += [down.stacked(t) for t in below[carried + across : down.first_constant]]
    check_operands("scan_reversal", operands, wanted + below[down.first_constant :])
    return packed_type("scan_reversal", down.kept())


def _reversal(*operands: Any, **params: Any) -> Any:
    reversal = Reversal(**params)
    found = run_reversal(reversal, operands, run_scan)
    return np.concatenate([np.ravel(found[k]) for k in reversal.keep])


def _derived(
    transform: Transform, z: Any, operands: Sequence[Any], wrt: list[int], params: Any, seeds: Any
) -> list[Any]:
    """The further results of a transform of the reversal as two scans that store every state."""
    reversal = Reversal(**params)
    graph = transform(as_scans(reversal, [v.type for v in operands]), wrt)
    ids = inline(graph, z.builder, [v.id for v in (*operands, *seeds)])
    return [Value(z.builder, ids[i]) for i in graph.outputs[1:]]


def as_scans(reversal: Reversal, types: Sequence[ArrayType]) -> Graph:
    """The packed result as a graph of two scans, which does not read the stored states."""
    builder = Builder()
    given = [Value(builder, builder.add_new_input(f"x{k}", t)) for k, t in enumerate(types)]
    up, down = reversal.loops
    above, _, below = reversal.parts(given)
    whole = with_states(up)
    first = len(whole.body.outputs) - up.carries
    ends = [first + p for p in reversal.read]
    stacks = add_scan(whole.body.graph, Operands.of(up, above), ends, up.length, up.reverse)
    rest = Operands(below.carry, [*stacks, *below.scanned], below.constants)
    found = add_scan(down.body.graph, rest, down.keep, down.length, down.reverse)
    return builder.freeze([pack(found).id])


def _push_reversal(
    z: Any, operands: Sequence[Any], tangents: Sequence[Any], push: Transform, **params: Any
) -> Any:
    states = _state_positions(Reversal(**params))
    wrt = [p for p, t in enumerate(tangents) if t is not None and p not in states]
    if not wrt:
        return None
    return _derived(push, z, operands, wrt, params, [tangents[p] for p in wrt])[0]


def _pull_reversal(
    z: Any,
    operands: Sequence[Any],
    active: Sequence[bool],
    arrived: Any,
    pull: Transform,
    **params: Any,
) -> list[Any]:
    states = _state_positions(Reversal(**params))
    wrt = [p for p, flag in enumerate(active) if flag and p not in states]
    shares = dict(zip(wrt, _derived(pull, z, operands, wrt, params, [arrived]), strict=True))
    return [shares.get(p) for p in range(len(operands))]


def _state_positions(reversal: Reversal) -> range:
    first = len(reversal.up.inputs)
    return range(first, first + reversal.carries)


scan_reversal = control("scan_reversal", _reversal_type, _reversal, _push_reversal, _pull_reversal)


def _add_reversal(
    z: Any,
    saving: Saving,
    operands: Sequence[Any],
    step: Backward,
    seeds: dict[int, Any],
    wanted: Sequence[int],
) -> list[Any]:
    """The reversal of a scan, as a node; or the scan down alone if that reads no states."""
    loop, below = saving.loop, _below(saving.loop, operands, step, seeds)
    count, carries = len(below.carry), loop.carries
    rest = below.scanned[carries:]
    length, back = loop.length, not loop.reverse
    down = Reduced.of(step.graph, count, len(below.scanned), wanted, length, back)
    read = [p - count for p in down.inputs if count <= p < count + carries]
    if not read:
        given = Operands(below.carry, [*[None] * carries, *rest], below.constants)
        return add_scan(step.graph, given, wanted, length, back)
    up = Reduced.of(loop.body.graph, carries, loop.scanned, read, length, loop.reverse)
    live = up.inputs[: up.loop.carries]
    own, states = _stored(saving, operands, live)
    whole = [*below.carry, *below.scanned, *below.constants]
    arguments = [*[operands[p] for p in up.inputs], *states]
    arguments += [whole[p] for p in down.inputs if not count <= p < count + carries]
    results = down.loop.results()
    shares = spread(
        scan_reversal,
        arguments,
        [(down.place[k], results[down.place[k]]) for k in wanted],
        read=tuple(live.index(p) for p in read),
        slots=saving.slots,
        **_of_both(up.loop, down.loop),
    )
    if saving.own() == loop.keep:
        compute_instead(z, own, shares[-1])
    return shares


def _below(loop: Loop, operands: Sequence[Any], step: Backward, seeds: dict[int, Any]) -> Operands:
    """What the scan down is given; the states of all steps are represented by the first."""
    given = Operands.of(loop, operands)
    last = [seeds[p] if p in seeds else zeros(operands[p]) for p in step.carried]
    sums = [zeros(operands[p]) for p in step.constants]
    stacks = [seeds[k] for k in step.stacks]
    return Operands([*last, *sums], [*given.carry, *given.scanned, *stacks], given.constants)


def _stored(
    saving: Saving, operands: Sequence[Any], live: Sequence[int]
) -> tuple[list[Any], list[Any]]:
    """The scan's own results, and the stored states of some carries, from one run."""
    own, types, size = saving.own(), saving.results(), len(saving.loop.body.outputs)
    params = saving.loop._asdict()
    del params["keep"]
    pairs = [(k, types[k]) for k in (*own, *[size + p for p in live])]
    found = spread(saving_scan, operands, pairs, slots=saving.slots, **params)
    return found[: len(own)], found[len(own) :]


def _of_both(up: Loop, down: Loop) -> dict[str, Any]:
    """The params of a reversal that say what its loops are."""
    return {
        "up": up.body,
        "carries": up.carries,
        "scanned": up.scanned,
        "down": down.body,
        "down_carries": down.carries,
        "down_scanned": down.scanned,
        "length": up.length,
        "reverse": up.reverse,
    }
