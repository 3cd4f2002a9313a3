"""Seconds of alternatives, taken in turns so that a busy machine is busy for all of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from time import perf_counter
from typing import Any, NamedTuple

from calcbench.graph.arraytype import GraphError


SHORTEST = 1e-3  # seconds; shorter calls are repeated until one sample takes as long
FEWEST, MOST = 5, 50  # rounds


class Stages(NamedTuple):
    """Seconds from a function to its first result.

    Attributes
    ----------
    trace : float
        Recording the function as a graph.
    transform : float
        Making the graph of the derivative; 0 where none is made before compiling.
    compile : float
        Making the graph ready to run: generated code compiled, or read from disk.
    first : float
        The first run.
    """

    trace: float
    transform: float
    compile: float
    first: float

    @property
    def total(self) -> float:
        """All stages."""
        return sum(self)

    def __str__(self) -> str:
        return " + ".join(f"{name} {seconds(s)}" for name, s in self._asdict().items() if s)


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
    stages : Stages or None
        What `first` is the sum of, where the steps were timed one by one.
    """

    first: float
    median: float
    low: float
    high: float
    rounds: int
    stages: Stages | None = None

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

    Raises
    ------
    GraphError
        If the budget is no positive number.

    Examples
    --------
    >>> timings = time_calls({"sum": lambda: sum(range(1000))}, budget=0.01)
    >>> timings["sum"].median > 0
    True
    """
    check_budget(budget)
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


def check_budget(budget: Any) -> None:
    """A GraphError unless this is a positive number of seconds."""
    is_number = isinstance(budget, Real) and not isinstance(budget, bool)
    if not is_number or not budget > 0:  # NaN is not
        raise GraphError(
            f"budget is a positive number of seconds for timing, got {budget!r}; every way is "
            "taken five times at least, however small it is"
        )


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
