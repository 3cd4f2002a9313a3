"""Interleaved timing of alternatives, as records: what was run, where, the ratios, and the bars."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple


RESULTS = Path(__file__).parent / "results"
PATIENCE = 0.5  # seconds after which a call that has been made counts as warm
BUDGET = 12.0  # seconds of one comparison after which no further round is begun
FEWEST_ROUNDS = 5


@dataclass(frozen=True)
class Timing:
    """Seconds per call of one alternative: quartiles over interleaved rounds.

    `first` is what came before: seconds to build it and to call it once, compilation included.
    `taken` are the rounds, so that two alternatives can be compared round by round.

    Four numbers of bytes, where they are known. Planned, before anything is run: `values` that are
    held at once, inputs not among them, and the `program`. Resident, in a process of its own (see
    `weighing`): `peak` of a warm call beyond what was held before it, and `peak_first` of the first
    one, with packages and compilers.
    """

    problem: str
    size: int
    who: str
    median: float
    low: float
    high: float
    ratio: float
    first: float | None = None
    taken: tuple[float, ...] = ()
    values: int | None = None
    program: int | None = None
    peak: int | None = None
    peak_first: int | None = None


class Absence(NamedTuple):
    """A participant without a time, and the reason."""

    problem: str
    size: int
    who: str
    reason: str


class Bar(NamedTuple):
    """What was asked of a number, and the number; None if a participant is absent.

    `spread` are the quartiles of the number over the rounds.
    """

    what: str
    limit: float
    measured: float | None
    unit: str = ""
    spread: tuple[float, float] | None = None

    def __str__(self) -> str:
        asked = f"{self.what}: bar ≤ {self.limit:g}{self.unit}: "
        if self.measured is None:
            return asked + "not measured"
        spread = f" ({self.spread[0]:.3g} .. {self.spread[1]:.3g})" if self.spread else ""
        verdict = "met" if self.is_met else "MISSED"
        return f"{asked}{self.measured:.3g}{self.unit}{spread} {verdict}"

    @property
    def is_met(self) -> bool | None:
        return None if self.measured is None else self.measured <= self.limit


# --- timing ----------------------------------------------------------------------------------


def interleave(
    problem: str,
    size: int,
    calls: dict[str, Callable[[], object]],
    against: str | Sequence[str],
    rounds: int = 15,
) -> list[Timing]:
    """Time the alternatives in turn, A B C A B C ..., and relate their medians to the base.

    The base is the fastest of `against`, one name or several.
    """
    repeats = {who: _repeats(call) for who, call in calls.items()}
    seconds: dict[str, list[float]] = {who: [] for who in calls}
    start = time.perf_counter()
    for done in range(rounds):
        if done >= FEWEST_ROUNDS and time.perf_counter() - start > BUDGET:
            break
        for who, call in calls.items():
            seconds[who].append(_time(call, repeats[who]))
    names = (against,) if isinstance(against, str) else against
    base = min(statistics.median(seconds[who]) for who in names)
    return [_timing(problem, size, who, taken, base) for who, taken in seconds.items()]


def _timing(problem: str, size: int, who: str, taken: list[float], base: float) -> Timing:
    low, median, high = quartiles(taken)
    return Timing(problem, size, who, median, low, high, median / base, None, tuple(taken))


def quartiles(numbers: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile; of one number, that number."""
    if len(numbers) == 1:
        return (numbers[0],) * 3
    low, median, high = statistics.quantiles(numbers, n=4)
    return low, median, high


def _repeats(call: Callable[[], object], least: float = 2e-3) -> int:
    """How often to call so that one measurement lasts at least `least` seconds, after warm-up."""
    taken = [_time(call, 1)]
    while len(taken) < 4 and sum(taken) < PATIENCE:
        taken.append(_time(call, 1))
    return max(1, int(least / max(taken[-1], 1e-9)))


def _time(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


# --- facts and reports -----------------------------------------------------------------------


def machine(*packages: str) -> dict[str, str]:
    """The day, the processor, the threads and the versions behind a measurement."""
    facts = {
        "date": date.today().isoformat(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": sys.version.split()[0],
    }
    threads = {k: v for k, v in os.environ.items() if k.endswith("_NUM_THREADS")}
    return {**facts, **threads, **{name: _version(name) for name in ("numpy", *packages)}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown")


def report(
    question: str,
    rows: list[Timing],
    facts: dict[str, str],
    name: str | None,
    absent: Sequence[Absence] = (),
    bars: Sequence[Bar] = (),
) -> None:
    """Print a table and, if `name` is given, write it as JSON: temporary file, then rename."""
    print(question)
    print(", ".join(f"{k} {v}" for k, v in facts.items()))
    print(
        f"{'problem':<28}{'size':>8}  {'who':<28}{'median µs':>13}{'quartiles µs':>26}"
        f"{'ratio':>9}{'first s':>9}{'peak MB':>9}"
    )
    for row in rows:
        print(_line(row))
    for gone in absent:
        print(f"{gone.problem:<28}{gone.size:>8}  {gone.who:<28}{gone.reason}")
    for bar in bars:
        print(bar)
    if name:
        _write(name, _record(question, rows, facts, absent, bars))


def _line(row: Timing) -> str:
    spread = f"{row.low * 1e6:.2f} .. {row.high * 1e6:.2f}"
    first = "" if row.first is None else f"{row.first:.2f}"
    bytes_ = row.values if row.peak is None else row.peak
    peak = "" if bytes_ is None else f"{bytes_ / 1e6:.2f}"
    return (
        f"{row.problem:<28}{row.size:>8}  {row.who:<28}{row.median * 1e6:>13.2f}{spread:>26}"
        f"{row.ratio:>9.2f}{first:>9}{peak:>9}"
    )


def _record(
    question: str,
    rows: list[Timing],
    facts: dict[str, str],
    absent: Sequence[Absence],
    bars: Sequence[Bar],
) -> dict[str, object]:
    return {
        "question": question,
        "machine": facts,
        "rows": [asdict(row) for row in rows],
        "absent": [gone._asdict() for gone in absent],
        "bars": [{**bar._asdict(), "is_met": bar.is_met} for bar in bars],
    }


def _write(name: str, record: dict[str, object]) -> None:
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{name}.json"
    temporary = target.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(target)
