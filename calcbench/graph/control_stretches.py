"""Checkpointed scans up and down: which states are stored, and loops over stretches of steps.

Up the chain a `saving_scan` gives, beside what a scan gives, the states that its schedule stores on
the way; down, a `scan_reversal` starts from them and computes the other states again. Both run
loops over stretches of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import ArrayType, GraphError
from calcbench.graph.control_bodies import Body
from calcbench.graph.control_steps import Loop, Operands
from calcbench.reverse_mode.schedules import coarse_schedule


# A loop, its operands, and arrays for its stacks: what it keeps.
Run = Callable[[Loop, Sequence[Any], Mapping[int, Any]], dict[int, Any]]


# --- which states are stored on the way up -----------------------------------------------------


@lru_cache(maxsize=64)
def upward(steps: int, slots: int) -> tuple[tuple[int, int], ...]:
    """The stretches between stored states on the way up; the states of all steps of the last."""
    bounds = [0]
    for action in coarse_schedule(steps, slots):
        if action.kind == "sweep":
            return (*pairwise(bounds), (action.start, action.stop))
        if action.kind == "advance":
            bounds.append(action.stop)
    raise GraphError(f"a schedule of {steps} steps ended without a sweep")


def state_count(steps: int, slots: int) -> int:
    """How many states a `saving_scan` gives: those between stretches, then those of the last."""
    stretches = upward(steps, slots)
    start, stop = stretches[-1]
    return max(len(stretches) - 2, 0) + stop - start


def over(loop: Loop, start: int, stop: int) -> slice:
    """The places of steps `start` to `stop` - 1, counted as they run, in an array of all steps."""
    return slice(loop.length - stop, loop.length - start) if loop.reverse else slice(start, stop)


def in_turn(loop: Loop, stack: Any) -> Any:
    """A stack of some steps as it stands in memory, in the order in which they run; and back."""
    return stack[::-1] if loop.reverse else stack


# --- up ----------------------------------------------------------------------------------------


class Saving(NamedTuple):
    """What the params of a `saving_scan` say: a scan, and the slots.

    Its results are those of the scan, then the stored states of each carry, stacked as results
    are: of a reversed scan, the first state is the last.
    """

    loop: Loop
    slots: int

    @staticmethod
    def of(params: Mapping[str, Any]) -> Saving:
        """From the params of a node."""
        return Saving(Loop(**{k: v for k, v in params.items() if k != "slots"}), params["slots"])

    def results(self) -> list[ArrayType]:
        """The types of the results."""
        loop = self.loop
        count = state_count(loop.length, self.slots)
        states = [ArrayType((count, *t.shape), t.dtype) for t in loop.body.inputs[: loop.carries]]
        return [*loop.results(), *states]

    def kept(self) -> list[ArrayType]:
        """The types of what is laid end to end."""
        results = self.results()
        return [results[k] for k in self.loop.keep]

    def own(self) -> tuple[int, ...]:
        """What is kept of the scan's own results."""
        return tuple(k for k in self.loop.keep if k < len(self.loop.body.outputs))


def run_saving(
    saving: Saving, operands: Sequence[Any], run: Run, into: Mapping[int, Any] | None = None
) -> dict[int, Any]:
    """What a `saving_scan` keeps, stretch by stretch; stacks `into` arrays, where given."""
    loop, types = saving.loop, saving.results()
    count, size = loop.carries, len(loop.body.outputs)
    found = _stacks(types, [k for k in loop.keep if k >= count], into)
    own, states = [[k for k in found if (k < size) is is_own] for is_own in (True, False)]
    whole, carry = with_states(loop), list(operands[:count])
    *before, last = upward(loop.length, saving.slots)
    between = before[:-1]  # the last of them ends in the first state of the last stretch
    for span in (*before, last):
        places = {k: found[k][over(loop, *span)] for k in own}
        if span == last:
            places |= {k: in_turn(loop, in_turn(loop, found[k])[len(between) :]) for k in states}
        part = run_stretch(whole, span, operands, carry, run, places)
        carry = [part[k] for k in range(count)]
        if span in between:
            for k in states:
                in_turn(loop, found[k])[between.index(span)] = carry[k - size]
    return {k: carry[k] if k < count else found[k] for k in loop.keep}


def _stacks(
    types: Sequence[ArrayType], wanted: Sequence[int], into: Mapping[int, Any] | None
) -> dict[int, Any]:
    given = into or {}
    return {k: given[k] if k in given else np.empty(types[k].shape, types[k].dtype) for k in wanted}


@lru_cache(maxsize=64)
def with_states(loop: Loop) -> Loop:
    """The loop whose results are those of `loop`, then the carries before each step."""
    graph = loop.body.graph
    outputs = (*graph.outputs, *graph.inputs[: loop.carries])
    return loop._replace(body=Body(replace(graph, outputs=outputs)))


def run_stretch(
    loop: Loop,
    span: tuple[int, int],
    operands: Sequence[Any],
    carry: Sequence[Any],
    run: Run,
    into: Mapping[int, Any],
) -> dict[int, Any]:
    """Some steps from a state: the next state, and stacks; `operands` are those of all steps."""
    given = Operands.of(loop, operands)
    part = loop._replace(length=span[1] - span[0], keep=(*range(loop.carries), *into))
    across = [v[over(loop, *span)] for v in given.scanned]
    return run(part, [*carry, *across, *given.constants], into)


# --- down --------------------------------------------------------------------------------------


class Reversal(NamedTuple):
    """The params of a `scan_reversal`.

    Its operands are those of the loop up, the stored states of each of its carries, and those of
    the loop down without the states that this scans first, which are of the carries `read`. Its
    results are those of the loop down, of which it keeps `keep`.
    """

    up: Body
    carries: int
    scanned: int
    down: Body
    down_carries: int
    down_scanned: int
    read: tuple[int, ...]
    length: int
    reverse: bool
    slots: int
    keep: tuple[int, ...]

    @property
    def loops(self) -> tuple[Loop, Loop]:
        """The loops up and down."""
        up = Loop(self.up, self.carries, (), self.length, self.reverse, self.scanned)
        down, count = self.down_carries, self.down_scanned
        return up, Loop(self.down, down, self.keep, self.length, not self.reverse, count)

    def parts(self, operands: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Operands]:
        """The operands of the loop up, the states, and the operands of the loop down."""
        first = len(self.up.inputs)
        states = operands[first : first + self.carries]
        rest = operands[first + self.carries :]
        carry, others = rest[: self.down_carries], rest[self.down_carries :]
        count = self.down_scanned - len(self.read)
        return operands[:first], states, Operands(carry, others[:count], others[count:])


def run_reversal(
    reversal: Reversal,
    operands: Sequence[Any],
    run: Run,
    into: Mapping[int, Any] | None = None,
) -> dict[int, Any]:
    """The schedule, from the first sweep on: stretches up again, each then swept down.

    What it keeps; stacks are written `into` arrays, where these are given.
    """
    up, down = reversal.loops
    above, given, below = reversal.parts(operands)
    types, count = down.results(), up.carries
    found = _stacks(types, [k for k in down.keep if k >= down.carries], into)
    states, carry = [in_turn(up, v) for v in given], list(below.carry)
    state, first, turned = list(above[:count]), 0, False
    held = {0: state}
    for kind, start, stop, slot in coarse_schedule(up.length, reversal.slots):
        if kind == "restore":
            state = held[slot]
        elif kind == "advance":
            if turned:
                part = run_stretch(up, (start, stop), above, state, run, {})
                state = [part[k] for k in range(count)]
        elif kind == "store":
            held[slot] = state if turned else [v[first] for v in states]
            first += not turned
        else:
            span = (start, stop)
            last = [v[start - stop :] for v in states]
            stacks = recorded(up, span, above, state, run) if turned else last
            scanned = [in_turn(up, stacks[p]) for p in reversal.read]
            scanned += [v[over(up, *span)] for v in below.scanned]
            into = {k: v[over(up, *span)] for k, v in found.items()}
            given_down = Operands(carry, scanned, below.constants)
            carry, turned = _swept(down, stop - start, given_down, run, into), True
    return {k: carry[k] if k < down.carries else found[k] for k in down.keep}


def _swept(down: Loop, count: int, given: Operands, run: Run, into: Mapping[int, Any]) -> list[Any]:
    """The carries of the loop down after some steps."""
    loop = down._replace(length=count, keep=(*range(down.carries), *into))
    found = run(loop, [*given.carry, *given.scanned, *given.constants], into)
    return [found[k] for k in range(down.carries)]


def recorded(
    up: Loop, span: tuple[int, int], operands: Sequence[Any], state: Sequence[Any], run: Run
) -> list[Any]:
    """The states before some steps, in turn, from the first of them."""
    count, whole = span[1] - span[0], with_states(up)
    stacks = [np.empty((count, *t.shape), t.dtype) for t in up.body.inputs[: up.carries]]
    turns = [in_turn(up, v) for v in stacks]
    if count > 1:
        first = len(up.body.outputs)
        into = {first + p: in_turn(up, v[:-1]) for p, v in enumerate(turns)}
        found = run_stretch(whole, (span[0], span[1] - 1), operands, state, run, into)
        state = [found[p] for p in range(up.carries)]
    for turn, value in zip(turns, state, strict=True):
        turn[-1] = value
    return turns
