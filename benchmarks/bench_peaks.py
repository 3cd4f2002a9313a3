"""Is the memory that a derivative takes what its plan says, before anything is run?

Bar: the peak that is planned is within 10 % of the resident peak of one run in a fresh process,
beyond what the process held before. Problems of more than 1 MB, in both modes where n is small.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from bench_rosenbrock import rosenbrock
from bench_scan import wave
from contest import Calls, Contest, Problem, is_quick
from harness import Bar, Timing

from calcbench.measure.resident import SMALLEST, WITHIN, resident_peak
from calcbench.measure.stages import DIRECT, Recording, prepare_way, record_function


ENGINES = ("numpy", "tape", "fused", DIRECT)
COMPILED = ("tape", "fused")  # a million steps of Python take a minute
PEAKS = "planned bytes off the resident peak"


class Case(NamedTuple):
    """A function, where its derivative is taken, and in which modes."""

    name: str
    function: Callable[..., Any]
    x: np.ndarray
    modes: tuple[str, ...]
    engines: tuple[str, ...] = ENGINES


def layers(x: Any, w: Any, count: int) -> Any:
    h = np.tile(x, (count, 1))
    return np.sum(np.tanh(np.tanh(h @ w) @ w) ** 2)


def wide(x: Any, count: int) -> Any:
    return np.sum(np.exp(np.linspace(0.0, 1.0, count) * np.sum(x * x)))


def cases(quick: bool) -> list[Case]:
    both = ("forward", "reverse")
    if quick:
        x = np.linspace(0.1, 0.5, 2)
        return [Case("wide sum", partial(wide, count=5), x, both, ENGINES[:1])]
    w = np.random.default_rng(0).normal(size=(64, 64)) / 8
    return [
        Case("Rosenbrock", rosenbrock, np.linspace(-1.0, 1.0, 1_000_000), ("reverse",)),
        Case("wide sum", partial(wide, count=400_000), np.linspace(0.1, 0.5, 3), both),
        Case("two layers", partial(layers, w=w, count=10_000), np.linspace(-1, 1, 64), both[1:]),
        Case("loop", partial(wave, steps=1_000_000), np.array(0.9), both[1:], COMPILED),
    ]


def ways(case: Case, recording: Recording) -> dict[str, Any]:
    """Every mode on every engine, as it is made for timing."""
    made = {}
    for mode in case.modes:
        for engine in case.engines:
            made[f"{engine}, {mode}"] = partial(prepare_way, recording, mode, engine)
    return made


def measure(contest: Contest, case: Case, quick: bool) -> None:
    """Times first; then the plan of each way, and a process for it."""
    recording = record_function(case.function, case.x)
    made = ways(case, recording)
    expected = next(iter(made.values()))().run()
    problem = Problem(case.name, case.x.size, [np.asarray(expected)], 1e-9)
    calls = {who: partial(called, make) for who, make in made.items()}
    contest.run(problem, calls)
    for who, make in made.items():
        engine, mode = who.rsplit(", ", 1)
        predicted = make().predicted
        contest.put(problem, who, values=predicted)
        if not quick:
            found = resident_peak(recording, mode, engine)
            judge(contest, problem, who, predicted, found.measured)


def called(make: Callable[[], Any]) -> Calls:
    return Calls(make().run)


def judge(
    contest: Contest, problem: Problem, who: str, predicted: int, measured: int | None
) -> None:
    """A bar on how far they are apart, in parts of what was planned; none for less than 1 MB."""
    if measured is not None:
        contest.put(problem, who, peak=measured)
        if max(measured, predicted) < SMALLEST:
            return
    off = None if measured is None else abs(measured - predicted) / predicted
    contest.bars.append(Bar(f"{problem.name}: {who}: {PEAKS}", WITHIN, off))


def main(arguments: list[str] | None = None) -> list[Timing]:
    quick = is_quick(__doc__, arguments)
    contest = Contest(3 if quick else 5)
    for case in cases(quick):
        measure(contest, case, quick)
    return contest.finish(__doc__, None if quick else "peaks")


if __name__ == "__main__":
    main(sys.argv[1:])
