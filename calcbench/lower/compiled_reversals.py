"""Checkpointed scans and their reversals on compiled engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.control_reversals import saving_scan, scan_reversal
from calcbench.graph.control_steps import Loop, Operands
from calcbench.graph.control_stretches import Reversal, Saving, in_turn, upward
from calcbench.graph.nodes import Node
from calcbench.lower.compiled_scans import split
from calcbench.lower.compiler import Argument, compile_only, load
from calcbench.lower.reversal_code import FIRST_SWEEP, ReversalCode
from calcbench.lower.saving_code import SavingCode
from calcbench.lower.stretches import rooms


ACTIONS_AT_ONCE = 512  # between which Ctrl-C is answered
REMEMBERED = 64
Run = Callable[[Any, Sequence[Any], Mapping[int, Any]], None]


@lru_cache(maxsize=REMEMBERED)
def compiled_saving(loop: Loop, vectorised: bool) -> CompiledSaving | None:
    """The loop for any number of steps and slots; None if its body calls out of compiled code."""
    code = SavingCode.of(loop, vectorised)
    return None if code is None else CompiledSaving(code)


class CompiledSaving:
    """A `saving_scan` compiled for its types."""

    def __init__(self, code: SavingCode) -> None:
        self.code = code
        module = load(code.source, code.modules)
        self.drive = compile_only(module.drive, [kind for _, kind in code.parameters])

    def run(self, saving: Saving, operands: Sequence[Any], into: Mapping[int, Any]) -> None:
        """Write what is kept into arrays; length and slots are those of `saving`."""
        loop, types = saving.loop, saving.results()
        given = Operands.of(loop, operands)
        carry = [np.array(v, order="C").reshape(-1) for v in given.carry]
        stacks = {k: stack(into, types[k], k) for k in self.code.stacks}
        values = [
            *carry,
            *map(_flat, given.scanned),
            *map(_constant, given.constants),
            *stacks.values(),
            *[room for part in self.code.parts for room in rooms(part)],
        ]
        self.drive(np.array(upward(loop.length, saving.slots)), loop.length, *values)
        for k, whole in into.items():
            if k < loop.carries:
                whole[...] = carry[k].reshape(whole.shape)


@lru_cache(maxsize=REMEMBERED)
def compiled_reversal(reversal: Reversal, vectorised: bool) -> CompiledReversal | None:
    """The reversal for any number of steps and slots; None if a body calls out of compiled code."""
    code = ReversalCode.of(reversal, vectorised)
    return None if code is None else CompiledReversal(code)


class CompiledReversal:
    """A `scan_reversal` compiled for its types: schedule and loops are one piece of code."""

    def __init__(self, code: ReversalCode) -> None:
        self.code = code
        module = load(code.source, code.modules)
        self.drive = compile_only(module.drive, [kind for _, kind in code.parameters])
        rows, number = Argument(np.dtype(np.int64), 2, True), Argument(np.dtype(np.int64), 0)
        self.next_actions = compile_only(module.next_actions, [rows, number, number, rows])

    def run(self, reversal: Reversal, operands: Sequence[Any], into: Mapping[int, Any]) -> None:
        """Write what is kept into arrays; length and slots are those of `reversal`."""
        up, down = reversal.loops
        above, states, below = reversal.parts(operands)
        slots = min(reversal.slots, up.length)
        held = [_held(v, slots + 1) for v in above[: up.carries]]
        carry = [np.array(v, order="C").reshape(-1) for v in below.carry]
        types = down.results()
        stacks = [stack(into, types[k], k) for k in self.code.stacks]
        values = [
            *[np.array(v, order="C").reshape(-1) for v in above[: up.carries]],
            *carry,
            *held,
            *map(_flat, states),
            *map(_flat, above[up.carries : up.first_constant]),
            *map(_flat, below.scanned),
            *map(_constant, above[up.first_constant :]),
            *map(_constant, below.constants),
            *stacks,
            *[room for part in self.code.parts for room in rooms(part)],
        ]
        turns = [in_turn(up, v) for v in states]
        for actions in self._actions(reversal, slots, held, turns):
            self.drive(actions, len(actions), up.length, *values)
        for k, whole in into.items():
            if k < down.carries:
                whole[...] = carry[k].reshape(whole.shape)

    def _actions(
        self, reversal: Reversal, slots: int, held: Sequence[Any], states: Sequence[Any]
    ) -> Iterator[Any]:
        """All actions from the first sweep on; the states stored on the way up are held."""
        *before, (start, stop) = upward(reversal.length, reversal.slots)
        pending = np.empty((slots + 2, 4), np.int64)
        for slot, (first, last) in enumerate(before):
            pending[slot] = first, last, slot, 0
            for place, stack in zip(held, states, strict=True):
                if slot:
                    size = place.size // (slots + 1)
                    place[slot * size : (slot + 1) * size] = stack[slot - 1].reshape(-1)
        offset = 0 if reversal.reverse else max(len(before) - 1, 0)
        yield np.array([[FIRST_SWEEP, start, stop, offset]])
        top, actions = len(before), np.empty((ACTIONS_AT_ONCE, 4), np.int64)
        while top:
            count, top = self.next_actions(pending, top, slots, actions)
            yield actions[:count]


def stack(into: Mapping[int, Any], kind: ArrayType, k: int) -> Any:
    """Where a stack goes; one that nothing reads is written all the same."""
    return into[k].reshape(-1) if k in into else np.empty(kind.size, kind.dtype)


class StretchedNode:
    """A checkpointed scan, or its reversal, as a node's function."""

    def __init__(self, params: Any, keep: Sequence[int], types: Sequence[Any], run: Run) -> None:
        self.params, self.keep, self.types, self.run = params, keep, types, run

    def __call__(self, out: Any, *operands: Any) -> None:
        """Write the results into `out`, laid end to end."""
        self.write_apart(split(out, [t.size for t in self.types]), *operands)

    def write_apart(self, results: Mapping[int, Any], *operands: Any) -> None:
        """Write each result, by its place, into its array."""
        into = {self.keep[p]: v.reshape(self.types[p].shape) for p, v in results.items()}
        self.run(self.params, operands, into)


def checkpointing_function(node: Node, vectorised: bool) -> StretchedNode | None:
    """What a call-out of a checkpointed scan, or its reversal, calls.

    None for other nodes, and where a body calls out of compiled code. The code is that of any
    number of steps and slots.
    """
    params: Any = dict(node.params)
    if node.row is saving_scan:
        saving = Saving.of(params)
        up = compiled_saving(saving.loop._replace(length=2), vectorised)
        return StretchedNode(saving, saving.loop.keep, saving.kept(), up.run) if up else None
    if node.row is not scan_reversal:
        return None
    reversal = Reversal(**params)
    down = compiled_reversal(reversal._replace(length=2, slots=1), vectorised)
    types = reversal.loops[1].kept()
    return StretchedNode(reversal, reversal.keep, types, down.run) if down else None


def _held(value: Any, count: int) -> Any:
    """Room for some states, the first of them written."""
    flat = np.reshape(value, -1)
    found = np.empty(count * flat.size, flat.dtype)
    found[: flat.size] = flat
    return found


def _flat(value: Any) -> Any:
    return np.require(value, requirements=["C", "A"]).reshape(-1)


def _constant(value: Any) -> Any:
    return _flat(value) if np.ndim(value) else value[()]
