"""Which states of a chain to store and which to compute again: binomial checkpointing.

A chain of l steps is reversed with s stored states. With r the least number for which
C(s + r, s) >= l, no step is computed more than r times before its own reversal, and
r l - C(s + r, s + 1) steps in all is the least that is possible (Griewank & Walther 2000,
"Algorithm 799: revolve", theorem 1). A split is optimal exactly if its two parts keep the numbers
r - 1 and r, which leaves a range of places; the last of it is taken, which gives the fewest parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import comb
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import CalcbenchError


KINDS = ("restore", "advance", "store", "sweep")
ACTIONS_AT_ONCE = 64


class ScheduleError(CalcbenchError, ValueError):
    """A number of steps or slots for which there is no schedule."""


class Action(NamedTuple):
    """One thing to do.

    Attributes
    ----------
    kind : {"restore", "advance", "store", "reverse", "sweep"}
        Read the state before step `start` from `slot`; compute steps `start` to `stop` - 1; write
        the state before step `start` to `slot`; reverse step `start`, whose state is at hand.
    start, stop, slot : int
    """

    kind: str
    start: int
    stop: int
    slot: int


def repetitions(steps: int, slots: int) -> int:
    """How often a step is computed at most before it is reversed.

    Examples
    --------
    >>> repetitions(10, 3)
    2
    """
    _check(steps, slots)
    r = 0
    while comb(slots + r, slots) < steps:
        r += 1
    return r


def fewest_advances(steps: int, slots: int) -> int:
    """Steps that are computed in all, beside those of the reversals themselves.

    Examples
    --------
    >>> fewest_advances(10, 3), fewest_advances(10, 10)
    (15, 9)
    """
    r = repetitions(steps, slots)
    return r * steps - comb(slots + r, slots + 1)


def binomial_schedule(steps: int, slots: int) -> Iterator[Action]:
    """The actions that reverse a chain with the fewest steps computed again.

    Parameters
    ----------
    steps : int
        The length of the chain.
    slots : int
        How many states may be stored at once, the first among them, which is in slot 0 before.

    Yields
    ------
    Action
        Steps are reversed from the last to the first.

    Raises
    ------
    ScheduleError
        If a number is not positive.

    Examples
    --------
    >>> [(a.kind, a.start, a.stop) for a in binomial_schedule(2, 1)][:3]
    [('advance', 0, 1), ('reverse', 1, 2), ('restore', 0, 0)]
    """
    for action in coarse_schedule(steps, slots):
        if action.kind == "sweep":
            yield from _stored_sweep(action)
        else:
            yield action


def coarse_schedule(steps: int, slots: int) -> Iterator[Action]:
    """The same actions with stretches whose states all fit taken together.

    Parameters
    ----------
    steps, slots : int
        As for `binomial_schedule`.

    Yields
    ------
    Action
        Of kind "restore", "advance", "store", or "sweep": compute the states before each of the
        steps `start` to `stop` - 1 from the first, which is at hand, and reverse these steps. The
        states may be put into slots from `slot` on; the last of them needs none, and may be in
        one more than there are.

    Raises
    ------
    ScheduleError
        If a number is not positive.

    Examples
    --------
    >>> [(a.kind, a.start, a.stop) for a in coarse_schedule(5, 2)]
    [('advance', 0, 3), ('store', 3, 3), ('sweep', 3, 5), ('restore', 0, 0), ('sweep', 0, 3)]
    """
    _check(steps, slots)
    slots = min(slots, steps)
    pending = np.zeros((slots + 2, 4), np.int64)
    pending[0] = 0, steps, 0, 1
    actions = np.zeros((ACTIONS_AT_ONCE, 4), np.int64)
    top = 1
    while top:
        count, top = next_actions(pending, top, slots, actions)
        for kind, *rest in actions[:count].tolist():
            yield Action(KINDS[kind], *rest)


def next_actions(pending: Any, top: int, slots: int, actions: Any) -> tuple[int, int]:
    """Fill an array with the next actions; a text that engines compile, too.

    Parameters
    ----------
    pending : array of int64, shape (slots + 2, 4)
        A stack of parts of the chain to reverse: the first step, the one after the last, the slot
        of the first state, and whether that is at hand.
    top : int
        How many parts the stack holds.
    slots : int
    actions : array of int64, shape (n, 4)
        Is given rows of the place in `KINDS`, start, stop and slot.

    Returns
    -------
    count, top : int
        How many actions were written, and how many parts are left.
    """
    count = 0
    while top > 0 and count + 3 <= actions.shape[0]:
        top -= 1
        start, stop = pending[top, 0], pending[top, 1]
        slot, at_hand = pending[top, 2], pending[top, 3]
        if not at_hand:
            actions[count, 0], actions[count, 1] = 0, start
            actions[count, 2], actions[count, 3] = start, slot
            count += 1
        last, free = start, slots - slot
        if stop - start > free + 1:
            # C(free + r, free) for the least r for which it is at least the number of steps, and
            # for the r before.
            steps, r, before, found = stop - start, 0, 1, 1
            while found < steps:
                r += 1
                before, found = found, found * (free + r) // r
            part = before * free // (free + r - 1)
            last = start + min(before, steps - part)
            actions[count, 0], actions[count, 1] = 1, start
            actions[count, 2], actions[count, 3] = last, slot
            count += 1
            pending[top, 0], pending[top, 1] = start, last
            pending[top, 2], pending[top, 3] = slot, 0
            top += 1
            if free > 1:
                actions[count, 0], actions[count, 1] = 2, last
                actions[count, 2], actions[count, 3] = last, slot + 1
                count += 1
                pending[top, 0], pending[top, 1] = last, stop
                pending[top, 2], pending[top, 3] = slot + 1, 1
                top += 1
                continue
            slot += 1
        actions[count, 0], actions[count, 1] = 3, last
        actions[count, 2], actions[count, 3] = stop, slot
        count += 1
    return count, top


def _stored_sweep(sweep: Action) -> Iterator[Action]:
    """Step by step: every state but the last, which is at hand then, has a slot."""
    _, start, stop, slot = sweep
    for k in range(start, stop - 1):
        if k > start:
            yield Action("store", k, k, slot + k - start)
        yield Action("advance", k, k + 1, slot)
    yield Action("reverse", stop - 1, stop, slot)
    for k in range(stop - 2, start - 1, -1):
        yield Action("restore", k, k, slot + k - start)
        yield Action("reverse", k, k + 1, slot)


def _check(steps: int, slots: int) -> None:
    for what, number in (("steps", steps), ("slots", slots)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ScheduleError(f"{what} is a whole number from 1, got {number!r}")
