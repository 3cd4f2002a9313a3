"""Interleaved timing of alternatives, as records: what was run, where, and the ratios."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path


RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Timing:
    """Seconds per call of one alternative: quartiles over interleaved rounds."""

    problem: str
    size: int
    who: str
    median: float
    low: float
    high: float
    ratio: float


def interleave(
    problem: str, size: int, calls: dict[str, Callable[[], object]], against: str, rounds: int = 15
) -> list[Timing]:
    """Time the alternatives in turn, A B C A B C ..., and relate their medians to `against`."""
    repeats = {who: _repeats(call) for who, call in calls.items()}
    seconds: dict[str, list[float]] = {who: [] for who in calls}
    for _ in range(rounds):
        for who, call in calls.items():
            seconds[who].append(_time(call, repeats[who]))
    base = statistics.median(seconds[against])
    return [_timing(problem, size, who, taken, base) for who, taken in seconds.items()]


def _timing(problem: str, size: int, who: str, taken: list[float], base: float) -> Timing:
    low, median, high = statistics.quantiles(taken, n=4)
    return Timing(problem, size, who, median, low, high, median / base)


def _repeats(call: Callable[[], object], least: float = 2e-3) -> int:
    """How often to call so that one measurement lasts at least `least` seconds, after warm-up."""
    call(), call(), call()
    return max(1, int(least / max(_time(call, 1), 1e-9)))


def _time(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def machine(*packages: str) -> dict[str, str]:
    """The processor, the threads and the versions behind a measurement."""
    facts = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "python": sys.version.split()[0],
    }
    threads = {k: v for k, v in os.environ.items() if k.endswith("_NUM_THREADS")}
    return {**facts, **threads, **{name: version(name) for name in ("numpy", *packages)}}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown")


def report(question: str, rows: list[Timing], facts: dict[str, str], name: str | None) -> None:
    """Print a table and, if `name` is given, write it as JSON: temporary file, then rename."""
    print(question)
    print(", ".join(f"{k} {v}" for k, v in facts.items()))
    print(
        f"{'problem':<28}{'size':>8}  {'who':<18}{'median µs':>11}{'quartiles µs':>20}{'ratio':>8}"
    )
    for row in rows:
        spread = f"{row.low * 1e6:.2f} .. {row.high * 1e6:.2f}"
        print(
            f"{row.problem:<28}{row.size:>8}  {row.who:<18}{row.median * 1e6:>11.2f}{spread:>20}"
            f"{row.ratio:>8.2f}"
        )
    if name:
        _write(name, {"question": question, "machine": facts, "rows": [asdict(r) for r in rows]})


def _write(name: str, record: dict[str, object]) -> None:
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{name}.json"
    temporary = target.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1) + "\n")
    temporary.replace(target)
