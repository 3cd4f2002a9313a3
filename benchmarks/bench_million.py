"""What does the first gradient of a million scalar operations of Python cost, per operation?

Nothing is kept from call to call: calcbench records the function anew and sweeps back through it;
torch runs it eagerly and goes back. Bars: the sweep on 1e6 operations <= 0.5 x torch on 1e5, per
operation; first gradient <= 3 x first value, on the tape at 1e4.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from chains import POINT, Program, chain, draw, expected
from contest import Problem, check, facts, is_quick, ratio_of
from harness import Bar, Timing, interleave, report
from participants import Absent, peer, torch_calls

import calcbench as cb


NAME = "first call, per operation"
SWEEP, TAPE, VALUE = "calcbench sweep", "calcbench tape", "calcbench tape: function"


def swept(program: Program) -> Any:
    """Value and gradient by the direct sweep; the function is new at every call."""
    return cb.reverse_sweep(partial(chain, np, program), POINT)


def taped(program: Program) -> Any:
    """Value and gradient by a graph of the derivative, run on the tape."""
    return cb.value_and_grad(partial(chain, np, program), engine="tape")(POINT)


def valued(program: Program) -> Any:
    return cb.compile(partial(chain, np, program), engine="tape")(POINT)


def participants(
    long: Program, short: Program, shorter: Program
) -> dict[str, tuple[Program, Callable[[], Any]]]:
    """Everybody who is there, with the program each one runs."""
    made = {TAPE: (shorter, partial(taped, shorter)), VALUE: (shorter, partial(valued, shorter))}
    if hasattr(cb, "reverse_sweep"):
        made[SWEEP] = (long, partial(swept, long))
    with suppress(Absent):
        words = peer("torch")
        made["torch"] = (short, torch_calls(partial(chain, words, short), [POINT])[0])
    return made


def checked(made: dict[str, tuple[Program, Callable[[], Any]]]) -> None:
    """Everybody's value and gradient against forward mode by hand."""
    for who, (program, call) in made.items():
        value, slope = expected(program)
        wanted = [value] if who == VALUE else [value, slope]
        check(Problem(NAME, len(program), wanted, 1e-9), who, call())


def per_operation(row: Timing, count: int) -> Timing:
    taken = tuple(t / count for t in row.taken)
    median, low, high = (t / count for t in (row.median, row.low, row.high))
    return replace(row, size=count, median=median, low=low, high=high, taken=taken)


def timed(made: dict[str, tuple[Program, Callable[[], Any]]], rounds: int) -> dict[str, Timing]:
    """Seconds an operation; the ratios are to torch, or to the tape without it."""
    base = "torch" if "torch" in made else TAPE
    calls = {who: call for who, (_, call) in made.items()}
    rows = interleave(NAME, 0, calls, base, rounds)
    each = {row.who: per_operation(row, len(made[row.who][0])) for row in rows}
    return {who: replace(row, ratio=row.median / each[base].median) for who, row in each.items()}


def bars(rows: dict[str, Timing]) -> list[Bar]:
    sweep, tape, value, torch = (rows.get(who) for who in (SWEEP, TAPE, VALUE, "torch"))
    return [
        ratio_of(f"{NAME}: {SWEEP} / torch", 0.5, sweep, torch),
        ratio_of(f"{NAME}: {TAPE} / its function", 3.0, tape, value),
    ]


def main(arguments: list[str] | None = None) -> list[Timing]:
    quick = is_quick(__doc__, arguments)
    counts = (60, 20, 10) if quick else (1_000_000, 100_000, 10_000)
    made = participants(*map(draw, counts))
    checked(made)
    rows = timed(made, 3)
    name = None if quick else "million"
    report(__doc__.splitlines()[0], list(rows.values()), facts(), name, bars=bars(rows))
    return list(rows.values())


if __name__ == "__main__":
    main(sys.argv[1:])
