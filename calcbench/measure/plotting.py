"""Charts as PNG or SVG files, drawn by matplotlib on figures of their own."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calcbench.graph.arraytype import CalcbenchError
from calcbench.measure.charts import COLOURS, Chart, DotChart, GrowthChart, positive
from calcbench.measure.writing import checked_path, write_whole


SUFFIXES = (".png", ".svg")
LINES = (("-", "o"), ("--", "s"), (":", "D"), ("-.", "^"))  # by style, in matplotlib's words


class MissingLibraryError(CalcbenchError, ImportError):
    """A library that is needed for this alone, and is not installed."""


def write_plot(path: object, charts: Sequence[Chart]) -> Path:
    """Draw the charts side by side into a file; its suffix says PNG or SVG.

    Raises
    ------
    PathError
        If the path has another suffix, or its folder is not there.
    MissingLibraryError
        If matplotlib is not installed.
    """
    place = checked_path(path, SUFFIXES)
    figure = _figure(charts)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=place.suffix[1:].lower(), dpi=150)
    write_whole(place, buffer.getvalue())
    return place


def _figure(charts: Sequence[Chart]) -> Any:
    """A figure with a canvas of its own: what others draw with pyplot is left alone."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingLibraryError(
            f"plots are drawn by matplotlib, which cannot be imported ({error}): "
            "pip install 'calcbench[plots]'; .report(path) draws its charts without it"
        ) from error
    figure = Figure(figsize=(6.4 * len(charts), _height(charts)), layout="constrained")
    FigureCanvasAgg(figure)
    for rank, chart in enumerate(charts):
        axes = figure.add_subplot(1, len(charts), rank + 1)
        axes.set_title(_literal(chart.title), fontsize=10)
        if isinstance(chart, DotChart):
            _draw_dots(axes, chart)
        else:
            _draw_growth(axes, chart)
    return figure


def _height(charts: Sequence[Chart]) -> float:
    """Inches: a row for each way, below the axes or beside them."""
    return max(
        1.5 + 0.35 * len(c.dots)
        if isinstance(c, DotChart)
        else 4.2 + 0.2 * (len(c.lines) + len(c.marks))
        for c in charts
    )


def _literal(text: str) -> str:
    """Text that is shown as it is: between two dollars matplotlib reads mathematics."""
    return text.replace("$", r"\$")


def _draw_growth(axes: Any, chart: GrowthChart) -> None:
    axes.set(xscale="log", yscale="log", xlabel="size", ylabel=chart.unit)
    for line in chart.lines:
        style, marker = LINES[line.style]
        pairs = [p for p in zip(chart.sizes, line.costs, strict=True) if positive(p[1:])]
        axes.plot(*zip(*pairs, strict=True) if pairs else ([], []), marker, color=line.colour)
        ends = [line.fit.smallest, line.fit.largest] if line.fit else []
        fitted = [line.fit.at(s) for s in ends] if line.fit else []
        axes.plot(ends, fitted, style, color=line.colour)
        axes.plot([], [], marker + style, color=line.colour, label=_literal(line.legend))
    for mark in chart.marks:
        if min(chart.sizes) <= mark.size <= max(chart.sizes):
            axes.axvline(mark.size, linestyle=":", color="black")
        axes.plot([], [], "kv", label=_literal(mark.label))
    axes.grid(visible=True, color="#dddddd")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), fontsize=8, frameon=False)


def _draw_dots(axes: Any, chart: DotChart) -> None:
    shown = [d for d in chart.dots if positive([d.cost])]
    ranks = range(len(shown))
    reach = [[d.cost - d.low for d in shown], [d.high - d.cost for d in shown]]
    axes.errorbar([d.cost for d in shown], ranks, xerr=reach, fmt="o", color=COLOURS[0])
    axes.set_yticks(ranks, [_literal(d.label) for d in shown])
    axes.set(xlabel=chart.unit, xscale="log")
    axes.invert_yaxis()
    axes.grid(visible=True, axis="x", color="#dddddd")
