"""Powers of the size through rows of one benchmark, and where two of them cross."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from harness import Timing

from calcbench.measure.fitting import PowerFit, find_crossover, fit_power


MODES = ("forward", "reverse")
FEWEST = 3  # sizes through which a power is fitted at all
WANTED = 4  # with three the intervals are wide


class Fit(NamedTuple):
    """The growth of one cost of one participant, through its rows in order of size."""

    problem: str
    who: str
    cost: str  # seconds or bytes
    sizes: tuple[int, ...]
    costs: tuple[float, ...]
    fit: PowerFit | None

    def __str__(self) -> str:
        return f"{self.problem}: {self.who}: {self.cost} {self.fit or 'at too few sizes to fit'}"


def fits(rows: Iterable[Timing]) -> list[Fit]:
    """Seconds and planned bytes of everybody, as powers of the size.

    A power is fitted through the upper half of the sizes, four at least where there are as many:
    below, the fixed cost of a call hides it.
    """
    series: dict[tuple[str, str], list[Timing]] = {}
    for row in rows:
        series.setdefault((row.problem, row.who), []).append(row)
    found = []
    for (problem, who), of_one in series.items():
        found.append(_fit(problem, who, "seconds", {r.size: r.median for r in of_one}))
        planned = {r.size: float(r.values) for r in of_one if r.values}
        if planned:
            found.append(_fit(problem, who, "bytes", planned))
    return found


def _fit(problem: str, who: str, cost: str, by_size: dict[int, float]) -> Fit:
    sizes = tuple(sorted(by_size))
    costs = tuple(by_size[size] for size in sizes)
    upper = max(WANTED, (len(sizes) + 1) // 2)
    power = fit_power(sizes[-upper:], costs[-upper:]) if len(sizes) >= FEWEST else None
    return Fit(problem, who, cost, sizes, costs, power)


def crossings(found: Iterable[Fit]) -> Iterator[str]:
    """Where both modes of the same participant take equally long, a sentence each."""
    powers = {(f.problem, f.who): f.fit for f in found if f.cost == "seconds" and f.fit}
    for problem, who in powers:
        name, _, mode = who.rpartition(", ")
        other = powers.get((problem, f"{name}, {MODES[1]}"))
        if mode == MODES[0] and other is not None:
            crossing = find_crossover(powers[problem, who], other)
            where = "grow alike within the noise" if crossing is None else f"cross {crossing}"
            yield f"{problem}: {name}: forward and reverse {where}"
