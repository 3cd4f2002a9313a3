"""What does a reverse sweep through a million steps cost, in time and memory, with fewer slots?

Bar: with at most 1 % of the value memory of the run that keeps every state, at most 2 x its time.
Planned bytes of values and of the program, and the resident peak of a process of its own, are
columns. Beside it the loop by hand, which keeps all, and JAX's `checkpoint` of stretches.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from math import isqrt
from typing import Any

import numpy as np
from bench_scan import jax_wave, wave, wave_by_hand, wave_forward, wave_step
from contest import Calls, Contest, Problem, is_quick, ratio_of
from harness import Bar, Timing
from participants import jax_calls, peer

import calcbench as cb
from calcbench.lower.engines import Options, Runner
from calcbench.measure.stages import derivative_of, record_function


ENGINE = "tape"  # its program has a size; the loop is the same compiled function as on fused
POINT = np.array(0.9)
SLOTS = (10, 30, 100, 300, 1_000, 3_000, 9_000, 100_000)
STORED, HAND, JAX = "stored", "by hand, stored", "JAX, stored"
LEAN = 9_000  # slots of the bar: the most that take less than 1 %


def saving(steps: int, slots: int | None) -> Any:
    """The function whose reversal keeps so many states; all of them without a number."""
    f = partial(wave, steps=steps)
    return f if slots is None else cb.checkpoint(f, slots=slots)


def ours(steps: int, slots: int | None) -> Calls:
    gradient = cb.compile(cb.value_and_grad(saving(steps, slots)), engine=ENGINE)
    return Calls(lambda: gradient(POINT))


def jax_stretches(a: Any, steps: int) -> Any:
    """A loop over stretches of which the first state alone is kept, about as many as steps in one.

    What is left over at the end is a stretch of its own.
    """
    jax = peer("jax")
    length = isqrt(steps)

    def stretch(x: Any, count: int) -> Any:
        step = lambda c, _: (wave_step(jax.numpy, a, c), None)  # noqa: E731
        return jax.lax.scan(step, x, length=count)[0]

    kept = jax.checkpoint(stretch, static_argnums=1)
    x = jax.lax.scan(lambda c, _: (kept(c, length), None), a, length=steps // length)[0]
    return kept(x, steps % length) if steps % length else x


def jax(f: Any, steps: int) -> Calls:
    peer("jax")
    return Calls(jax_calls(partial(f, steps=steps), [POINT])[0])


def named(slots: int) -> str:
    return f"{slots} slots"


def makers(steps: int, all_slots: tuple[int, ...]) -> dict[str, Any]:
    """Everybody who takes part; the run that keeps all is the first."""
    return {
        STORED: partial(ours, steps, None),
        **{named(k): partial(ours, steps, k) for k in all_slots},
        HAND: lambda: Calls(partial(wave_by_hand, float(POINT), steps)),
        JAX: partial(jax, jax_wave, steps),
        f"JAX, {isqrt(steps)} stretches": partial(jax, jax_stretches, steps),
    }


def plan(contest: Contest, problem: Problem, who: str, slots: int | None) -> int:
    """Put the planned bytes into a row; those of values are returned."""
    recording = derivative_of(record_function(saving(problem.size, slots), POINT), "reverse")
    memory = Runner(recording.graph, Options(ENGINE)).executable.memory
    values = memory.arena + memory.workspace
    contest.put(problem, who, values=values, program=memory.program)
    return values


def bars(contest: Contest, problem: Problem, planned: dict[str, int]) -> None:
    """Memory and time of the run with few slots, by those of the run that keeps all."""
    share = planned[named(LEAN)] / planned[STORED]
    what = f"loop of {problem.size} steps, {LEAN} slots / stored"
    contest.bars.append(Bar(f"{what}: bytes of values", 0.01, share))
    rows = (contest.row(problem, who) for who in (named(LEAN), STORED))
    contest.bars.append(ratio_of(f"{what}: time", 2.0, *rows))


def against_stored(contest: Contest, problem: Problem) -> None:
    """Ratios to the run that keeps all, whatever the peers take."""
    base = contest.seconds(problem, STORED)
    assert base is not None
    contest.rows = [replace(row, ratio=row.median / base) for row in contest.rows]


def main(arguments: list[str] | None = None) -> list[Timing]:
    quick = is_quick(__doc__, arguments)
    contest = Contest(3 if quick else 9)
    steps, all_slots = (30, (2, 5)) if quick else (1_000_000, SLOTS)
    by_forward = wave_forward.py_func if quick else wave_forward
    problem = Problem("loop, reversed", steps, list(by_forward(float(POINT), steps)), 1e-9)
    made = makers(steps, all_slots)
    if quick:
        made[HAND] = lambda: Calls(partial(wave_by_hand.py_func, float(POINT), steps))
    contest.run(problem, made)
    if not quick:
        contest.weigh(problem, made)
    everyone = {STORED: None, **{named(k): k for k in all_slots}}
    planned = {who: plan(contest, problem, who, slots) for who, slots in everyone.items()}
    against_stored(contest, problem)
    if LEAN in all_slots:
        bars(contest, problem, planned)
    return contest.finish(__doc__, None if quick else "checkpoint")


if __name__ == "__main__":
    main(sys.argv[1:])
