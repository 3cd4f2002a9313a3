"""Binomial schedules: run on a chain, optimal by dynamic programming and by the closed form."""

from functools import cache

import pytest
from checkpoint_schedules import EndReverse, Forward, Revolve

from calcbench.reverse_mode.schedules import (
    ScheduleError,
    binomial_schedule,
    coarse_schedule,
    fewest_advances,
    repetitions,
)


@cache
def least(steps, slots):
    """Bellman's equation, with no closed form in it."""
    if steps == 1:
        return 0
    if slots == 1:
        return steps * (steps - 1) // 2
    return min(m + least(steps - m, slots - 1) + least(m, slots) for m in range(1, steps))


def execute(steps, slots):
    """Steps computed, checking that every state is there when it is needed."""
    stored, state, left, computed, times = {0: 0}, 0, steps, 0, [0] * steps
    for action in binomial_schedule(steps, slots):
        if action.kind == "restore":
            assert stored[action.slot] == action.start
            state = stored[action.slot]
        elif action.kind == "advance":
            assert state == action.start < action.stop
            for k in range(action.start, action.stop):
                times[k] += 1
            computed += action.stop - action.start
            state = action.stop
        elif action.kind == "store":
            assert state == action.start
            assert 0 <= action.slot < slots
            stored[action.slot] = state
        else:
            assert action.kind == "reverse"
            assert state == action.start == left - 1
            left -= 1
            state = None
    assert left == 0
    return computed, max(times)


SIZES = [(steps, slots) for steps in (*range(1, 31), 57, 100) for slots in (1, 2, 3, 4, 7, 40)]


@pytest.mark.parametrize(("steps", "slots"), SIZES)
def test_a_schedule_reverses_the_chain_with_the_fewest_steps(steps, slots):
    computed, most = execute(steps, slots)
    assert computed == fewest_advances(steps, slots)
    assert most <= repetitions(steps, slots)
    if steps <= 30 or slots <= 4:
        assert computed == least(steps, slots)


@pytest.mark.parametrize(("steps", "slots"), [s for s in SIZES if s[0] >= s[1]])
def test_a_schedule_computes_as_many_steps_as_another_implementation(steps, slots):
    """That one counts the step of each reversal, too."""
    total = 0
    for action in Revolve(steps, slots):
        if isinstance(action, EndReverse):
            break
        total += action.n1 - action.n0 if isinstance(action, Forward) else 0
    assert total == fewest_advances(steps, slots) + steps


def test_few_actions_suffice_where_many_states_are_stored():
    actions = list(coarse_schedule(10**6, 10**4))
    assert len(actions) < 500
    assert max(a.stop - a.start for a in actions if a.kind == "sweep") <= 10**4 + 1


def test_many_steps_with_few_slots():
    count = 100_000
    for slots, times in ((10, 10), (1000, 2)):
        assert repetitions(count, slots) == times
        total = sum(
            a.stop - a.start for a in binomial_schedule(count, slots) if a.kind == "advance"
        )
        assert total == fewest_advances(count, slots) <= times * count


@pytest.mark.parametrize(("steps", "slots"), [(0, 1), (3, 0), (-1, 2), (2.0, 1), (True, 1)])
def test_numbers_without_a_schedule_are_refused(steps, slots):
    with pytest.raises(ScheduleError, match="a whole number from 1"):
        list(binomial_schedule(steps, slots))
