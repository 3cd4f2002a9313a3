"""The charts of compared modes: seconds and bytes, at one size or as it grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from calcbench.measure.charts import COLOURS, Chart, Dot, DotChart, GrowthChart, Line, Mark
from calcbench.measure.fitting import Crossover, PowerFit, find_crossover, fit_power
from calcbench.measure.timing import Timing


Key = tuple[str, str]
STYLES = {"forward": 0, "reverse": 1, "mixed": 2, "checkpointed": 3}  # of lines


class Way(Protocol):
    """What a chart needs of one way to a derivative."""

    @property
    def mode(self) -> str: ...
    @property
    def engine(self) -> str: ...
    @property
    def timing(self) -> Timing: ...
    @property
    def predicted(self) -> int: ...


class Compared(Protocol):
    """What a chart needs of a comparison."""

    @property
    def records(self) -> Sequence[Way]: ...


class Grown(Protocol):
    """What a chart needs of comparisons at growing sizes."""

    @property
    def sizes(self) -> tuple[int, ...]: ...
    @property
    def comparisons(self) -> Sequence[Compared]: ...
    @property
    def fits(self) -> Mapping[Key, PowerFit]: ...
    @property
    def crossovers(self) -> Mapping[str, Crossover | None]: ...


def comparison_charts(found: Compared) -> list[Chart]:
    """Seconds of warm calls with their quartiles, and predicted peaks, way by way."""
    times = [
        Dot(_label(r.mode, r.engine), r.timing.median, r.timing.low, r.timing.high)
        for r in found.records
    ]
    sizes = [Dot(_label(r.mode, r.engine), *[float(r.predicted)] * 3) for r in found.records]
    return [
        DotChart("time of one derivative: median and quartiles", "seconds", tuple(times)),
        DotChart("memory: predicted peak of one run", "bytes", tuple(sizes)),
    ]


def growth_charts(found: Grown) -> list[Chart]:
    """Seconds and predicted peaks against the size, with fitted exponents and crossovers."""
    sizes = tuple(map(float, found.sizes))
    engines = list(dict.fromkeys(engine for _, engine in found.fits))
    fits = memory_fits(found)
    times, memory = [], []
    for mode, engine in found.fits:
        records = [way_of(c, (mode, engine)) for c in found.comparisons]
        style = STYLES[mode], COLOURS[engines.index(engine) % len(COLOURS)]
        medians = tuple(r.timing.median for r in records)
        held = tuple(float(r.predicted) for r in records)
        times.append(Line(_label(mode, engine), medians, found.fits[mode, engine], *style))
        memory.append(Line(_label(mode, engine), held, fits[mode, engine], *style))
    first, second = "time of one derivative, 95 % intervals", "predicted peak, 95 % intervals"
    marks = _marks(found.crossovers, "take equally long")
    held_alike = _marks(memory_crossovers(found), "hold as many bytes")
    return [
        GrowthChart(first, "seconds", sizes, tuple(times), marks),
        GrowthChart(second, "bytes", sizes, tuple(memory), held_alike),
    ]


def way_of(found: Compared, key: Key) -> Way:
    """The record of one mode on one engine."""
    return next(r for r in found.records if (r.mode, r.engine) == key)


def memory_fits(found: Grown) -> dict[Key, PowerFit | None]:
    """The powers with which predicted peaks grow; None where a run holds nothing.

    What a warm call allocates says less: memory that an engine keeps between calls is not in it.
    """
    sizes = [float(s) for s in found.sizes]
    fits: dict[Key, PowerFit | None] = {}
    for key in found.fits:
        held = [float(way_of(c, key).predicted) for c in found.comparisons]
        fits[key] = fit_power(sizes, held) if min(held) > 0 else None
    return fits


def memory_crossovers(found: Grown) -> dict[str, Crossover | None]:
    """Where forward and reverse mode hold as many bytes, for engines that fits tell of."""
    fits = memory_fits(found)
    crossovers = {}
    for engine in found.crossovers:
        forward, reverse = fits["forward", engine], fits["reverse", engine]
        if forward is not None and reverse is not None:
            crossovers[engine] = find_crossover(forward, reverse)
    return crossovers


def _marks(crossovers: Mapping[str, Crossover | None], alike: str) -> tuple[Mark, ...]:
    return tuple(
        Mark(f"{engine}: forward and reverse {alike} {crossing}", crossing.size)
        for engine, crossing in crossovers.items()
        if crossing is not None
    )


def _label(mode: str, engine: str) -> str:
    return f"{mode} on {engine}" if engine != "direct sweep" else f"{mode} by direct sweep"
