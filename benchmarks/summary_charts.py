"""The charts of a file of results: dots at the largest sizes, or lines where sizes grow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from growth_fits import Fit, fits
from harness import Timing

from calcbench.measure.chart_pictures import chart_svg
from calcbench.measure.charts import COLOURS, Chart, Dot, DotChart, GrowthChart, Line


class Shown(Protocol):
    """What of a file of results is drawn."""

    @property
    def name(self) -> str: ...
    @property
    def rows(self) -> list[Timing]: ...
    @property
    def notes(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Points(Line):
    """Points without a line through them: a fit holds for the upper sizes of one participant."""

    words: str = ""

    @property
    def legend(self) -> str:
        return f"{self.label} {self.words}".rstrip()


class Picture(NamedTuple):
    """A file's name, the words for those who cannot see it, and its text."""

    name: str
    title: str
    svg: str


def pictures(result: Shown) -> Iterator[Picture]:
    """By the notes: points over sizes for ``fits``, over slots for ``slots``, else dots."""
    if result.notes.get("fits"):
        charts = growth_charts(result.rows)
    elif result.notes.get("slots"):
        charts = slot_charts(result.rows)
    else:
        charts = dot_charts(result.rows) if result.notes.get("charts", True) else iter(())
    for number, chart in enumerate(charts, 1):
        yield Picture(f"{result.name}-{number}", chart.title, chart_svg(chart) + "\n")


# --- dots ----------------------------------------------------------------------------------------


def dot_charts(rows: Sequence[Timing]) -> Iterator[Chart]:
    """Times of everybody, at the largest size of each problem; functions are left out."""
    largest: dict[str, int] = {}
    for row in rows:
        largest[row.problem] = max(row.size, largest.get(row.problem, 0))
    for problem, size in largest.items():
        shown = [r for r in rows if (r.problem, r.size) == (problem, size)]
        dots = tuple(
            Dot(r.who, r.median, r.low, r.high) for r in shown if not r.who.endswith(": function")
        )
        if len(dots) > 1:
            yield DotChart(f"{problem}, size {size}", "seconds", dots)


# --- growth --------------------------------------------------------------------------------------


def growth_charts(rows: Sequence[Timing]) -> Iterator[Chart]:
    """One chart for each family and cost."""
    found = fits(rows)
    for problem, cost in dict.fromkeys((one.problem, one.cost) for one in found):
        lines = [one for one in found if (one.problem, one.cost) == (problem, cost)]
        yield line_chart(f"{problem}: {cost}", cost, lines)


def line_chart(title: str, unit: str, found: Sequence[Fit]) -> GrowthChart:
    """Sizes that one participant lacks have no point of its line."""
    sizes = sorted({size for one in found for size in one.sizes})
    lines = []
    for rank, one in enumerate(found):
        known = dict(zip(one.sizes, one.costs, strict=True))
        costs = tuple(known.get(size, float("nan")) for size in sizes)
        style = 1 if one.who.endswith("reverse") else 0
        colour = COLOURS[rank % len(COLOURS)]
        lines.append(Points(one.who, costs, None, style, colour, str(one.fit or "")))
    return GrowthChart(title, unit, tuple(map(float, sizes)), tuple(lines))


# --- slots ---------------------------------------------------------------------------------------


def slot_charts(rows: Sequence[Timing]) -> Iterator[Chart]:
    """Seconds and bytes by the number of slots; the run that keeps all has as many as steps."""
    by_slots = {slots: row for row in rows if (slots := slot_count(row)) is not None}
    ordered = sorted(by_slots.items())
    sizes = tuple(float(slots) for slots, _ in ordered)
    taken = tuple(row.median for _, row in ordered)
    yield GrowthChart("seconds by slots", "seconds", sizes, (points("gradient", taken, 0),))
    planned = tuple(float(row.values or 0) for _, row in ordered)
    peaks = tuple(float(row.peak or 0) for _, row in ordered)
    lines = points("values, planned", planned, 0), points("resident peak", peaks, 1)
    yield GrowthChart("bytes by slots", "bytes", sizes, lines)


def slot_count(row: Timing) -> int | None:
    """How many states a row's run keeps."""
    if row.who == "stored":
        return row.size
    named = re.fullmatch(r"(\d+) slots", row.who)
    return int(named[1]) if named else None


def points(label: str, costs: tuple[float, ...], rank: int) -> Line:
    return Points(label, costs, None, rank, COLOURS[rank])
