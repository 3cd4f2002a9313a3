"""Charts as SVG text, for pages that need nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from calcbench.graph.markup import element, escaped, picture
from calcbench.measure.charts import (
    COLOURS,
    Chart,
    DotChart,
    GrowthChart,
    Line,
    LogAxis,
    positive,
    tick_text,
)


WIDTH, PLOT = 640, 300  # pixels: of a picture, and of the height of what lies between the axes
LEFT, RIGHT, TOP, LEGEND = 80, 20, 40, 20
INK, PALE = "#333333", "#dddddd"
DASHES = ("none", "6 4", "2 3", "8 3 2 3")  # by the style of a line


def chart_svg(chart: Chart) -> str:
    """The chart as an SVG document."""
    if isinstance(chart, DotChart):
        return _dots(chart)
    return _growth(chart)


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 12) -> str:
    return element("text", escaped(text), x=x, y=y, text_anchor=anchor, font_size=size, fill=INK)


def _stroke(
    x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1, dashes: str = "none"
) -> str:
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return element("line", **ends, stroke=colour, stroke_width=width, stroke_dasharray=dashes)


# --- growth --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plane:
    """Where sizes and costs lie in the picture."""

    across: LogAxis
    up: LogAxis

    def x(self, size: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * self.across.place(size)

    def y(self, cost: float) -> float:
        return TOP + PLOT * (1 - self.up.place(cost))


def _growth(chart: GrowthChart) -> str:
    costs = [c for line in chart.lines for c in line.costs]
    plane = _Plane(LogAxis.around(chart.sizes), LogAxis.around(costs))
    rows = [*chart.lines, *chart.marks]
    height = TOP + PLOT + 55 + LEGEND * len(rows)
    parts = [_text(LEFT, 24, chart.title, size=14), *_grid(plane, chart.unit)]
    for line in chart.lines:
        parts += _measured(plane, chart, line)
    parts += _crossings(plane, chart)
    parts += _legend(chart)
    return picture(WIDTH, height, chart.title, parts)


def _grid(plane: _Plane, unit: str) -> Iterator[str]:
    bottom = TOP + PLOT
    for size in plane.across.ticks():
        x = plane.x(size)
        yield _stroke(x, TOP, x, bottom, PALE)
        yield _text(x, bottom + 18, tick_text(size, ""), "middle")
    for cost in plane.up.ticks():
        y = plane.y(cost)
        yield _stroke(LEFT, y, WIDTH - RIGHT, y, PALE)
        yield _text(LEFT - 8, y + 4, tick_text(cost, unit), "end")
    yield element("rect", x=LEFT, y=TOP, width=WIDTH - LEFT - RIGHT, height=PLOT, fill="none",
                  stroke=INK)  # fmt: skip
    yield _text((LEFT + WIDTH - RIGHT) / 2, bottom + 36, "size", "middle")


def _measured(plane: _Plane, chart: GrowthChart, line: Line) -> Iterator[str]:
    """The measured points, and the fitted power through them."""
    for size, cost in zip(chart.sizes, line.costs, strict=True):
        if positive([cost]):
            yield _point(line, plane.x(size), plane.y(cost))
    if line.fit is not None:
        fit = line.fit
        ends = [(plane.x(s), plane.y(fit.at(s))) for s in (fit.smallest, fit.largest)]
        yield _stroke(*ends[0], *ends[1], line.colour, 1.5, DASHES[line.style])


def _point(line: Line, x: float, y: float) -> str:
    """A disc, a square, a diamond or a triangle."""
    if line.style == 0:
        return element("circle", cx=x, cy=y, r=4.5, fill=line.colour)
    if line.style == 1:
        return element("rect", x=x - 4, y=y - 4, width=8, height=8, fill=line.colour)
    sides = "5.5 5.5 -5.5 5.5 -5.5 -5.5" if line.style == 2 else "5.5 9.5 h -11"
    return element("path", d=f"M {x:.2f} {y - 5.5:.2f} l {sides} z", fill=line.colour)


def _crossings(plane: _Plane, chart: GrowthChart) -> Iterator[str]:
    for mark in chart.marks:
        x = plane.x(mark.size)
        if LEFT <= x <= WIDTH - RIGHT:
            yield _stroke(x, TOP, x, TOP + PLOT, INK, dashes="2 3")
            yield element("path", d=f"M {x:.2f} {TOP} l -5 -8 h 10 z", fill=INK)


def _legend(chart: GrowthChart) -> Iterator[str]:
    y = TOP + PLOT + 45
    for line in chart.lines:
        y += LEGEND
        yield _stroke(LEFT, y - 4, LEFT + 30, y - 4, line.colour, 2, DASHES[line.style])
        yield _point(line, LEFT + 15, y - 4)
        yield _text(LEFT + 40, y, line.legend)
    for mark in chart.marks:
        y += LEGEND
        yield element("path", d=f"M {LEFT + 15} {y} l -5 -8 h 10 z", fill=INK)
        yield _text(LEFT + 40, y, mark.label)


# --- one size ------------------------------------------------------------------------------------

ROW, NAMES = 26, 190


def _dots(chart: DotChart) -> str:
    ends = [number for d in chart.dots for number in (d.low, d.cost, d.high)]
    axis = LogAxis.around(ends)
    bottom = TOP + ROW * len(chart.dots)
    parts = [_text(20, 24, chart.title, size=14)]
    for tick in axis.ticks():
        parts.append(_stroke(_along(axis, tick), TOP, _along(axis, tick), bottom, PALE))
        parts.append(_text(_along(axis, tick), bottom + 18, tick_text(tick, chart.unit), "middle"))
    for rank, dot in enumerate(chart.dots):
        y = TOP + ROW * (rank + 0.5)
        parts.append(_text(NAMES - 10, y + 4, dot.label, "end"))
        if not positive([dot.cost]):
            parts.append(_text(NAMES, y + 4, f"{dot.cost:g}: no place on this axis"))
            continue
        if positive([dot.low, dot.high]) == [dot.low, dot.high]:
            places = _along(axis, dot.low), y, _along(axis, dot.high), y
            parts.append(_stroke(*places, COLOURS[0], 3))
        parts.append(element("circle", cx=_along(axis, dot.cost), cy=y, r=5, fill=COLOURS[0]))
    return picture(WIDTH, bottom + 30, chart.title, parts)


def _along(axis: LogAxis, number: float) -> float:
    return NAMES + (WIDTH - NAMES - 2 * RIGHT) * axis.place(number)
