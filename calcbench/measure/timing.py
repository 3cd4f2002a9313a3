"""Seconds of alternatives, taken in turns so that a busy machine is busy for all of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any


SHORTEST = 1e-3  # seconds; shorter calls are repeated until one sample takes as long
FEWEST, MOST = 5, 50  # rounds


@dataclass(frozen=True)
class Timing:
    """Seconds per call of one alternative.

    Attributes
    ----------
    first : float
        The first call, with whatever it records, transforms and compiles.
    median, low, high : float
        Median and quartiles of the calls after it.
    rounds : int
        How many samples these are of.
    """

    first: float
    median: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        shown = f"{seconds(self.median)} ({seconds(self.low)} .. {seconds(self.high)})"
        return f"{shown}, first call {seconds(self.first)}"


def seconds(value: float) -> str:
    """A duration with three digits and a unit.

    Examples
    --------
    >>> seconds(0.00123), seconds(12.0)
    ('1.23 ms', '12 s')
    """
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= unit:
            return f"{value / unit:.3g} {name}"
    return f"{value / 1e-9:.3g} ns"


def time_calls(
    calls: Mapping[str, Callable[[], Any]],
    budget: float = 2.0,
    firsts: Mapping[str, float] | None = None,
) -> dict[str, Timing]:
    """Time alternatives in turns: A B C, A B C, ...

    Parameters
    ----------
    calls : mapping of str to callable
        Each is called without arguments.
    budget : float
        Seconds after which no further round begins, once there are five.
    firsts : mapping of str to float, optional
        Seconds of first calls that were made before, as to check results.

    Returns
    -------
    dict of str to Timing

    Examples
    --------
    >>> timings = time_calls({"sum": lambda: sum(range(1000))}, budget=0.01)
    >>> timings["sum"].median > 0
    True
    """
    firsts = dict(firsts or {})
    firsts |= {name: elapsed(call) for name, call in calls.items() if name not in firsts}
    repeats = {name: _repeats(call) for name, call in calls.items()}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    start = perf_counter()
    for done in range(MOST):
        if done >= FEWEST and perf_counter() - start > budget:
            break
        for name, call in calls.items():
            taken[name].append(elapsed(call, repeats[name]))
    return {name: _timing(firsts[name], values) for name, values in taken.items()}


def elapsed(call: Callable[[], Any], repeats: int = 1) -> float:
    """Seconds per call of so many in a row."""
    start = perf_counter()
    for _ in range(repeats):
        call()
    return (perf_counter() - start) / repeats


def _repeats(call: Callable[[], Any]) -> int:
    """How often a call is made for one sample; a call that was made before counts."""
    once = min(elapsed(call), elapsed(call))
    return max(1, int(SHORTEST / max(once, 1e-9)))


def _timing(first: float, values: list[float]) -> Timing:
    low, median, high = statistics.quantiles(values, n=4)
    return Timing(first, median, low, high, len(values))
