"""The charts of compared modes: seconds and bytes, at one size or as it grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from calcbench.measure.charts import COLOURS, Chart, Dot, DotChart, GrowthChart, Line, Mark
from calcbench.measure.fitting import Crossover, FitError, PowerFit, fit_power
from calcbench.measure.timing import Timing


Key = tuple[str, str]
STYLES = {"forward": 0, "reverse": 1}  # of lines; 2 for all other modes


class Way(Protocol):
    """What a chart needs of one way to a derivative."""

    @property
    def mode(self) -> str: ...
    @property
    def engine(self) -> str: ...
    @property
    def timing(self) -> Timing: ...
    @property
    def allocated(self) -> int: ...


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
    """Seconds of warm calls with their quartiles, and bytes at once, way by way."""
    times = [
        Dot(_label(r.mode, r.engine), r.timing.median, r.timing.low, r.timing.high)
        for r in found.records
    ]
    sizes = [Dot(_label(r.mode, r.engine), *[float(r.allocated)] * 3) for r in found.records]
    return [
        DotChart("time of one derivative: median and quartiles", "seconds", tuple(times)),
        DotChart("memory: bytes at once", "bytes", tuple(sizes)),
    ]


def growth_charts(found: Grown) -> list[Chart]:
    """Seconds and bytes at once against the size, with fitted exponents and crossovers."""
    sizes = tuple(map(float, found.sizes))
    engines = list(dict.fromkeys(engine for _, engine in found.fits))
    times, memory = [], []
    for mode, engine in found.fits:
        records = [way_of(c, (mode, engine)) for c in found.comparisons]
        style = STYLES.get(mode, 2), COLOURS[engines.index(engine) % len(COLOURS)]
        medians = tuple(r.timing.median for r in records)
        held = tuple(float(r.allocated) for r in records)
        times.append(Line(_label(mode, engine), medians, found.fits[mode, engine], *style))
        memory.append(Line(_label(mode, engine), held, memory_fit(sizes, held), *style))
    first, second = "time of one derivative, 95 % intervals", "bytes at once, 95 % intervals"
    return [
        GrowthChart(first, "seconds", sizes, tuple(times), _marks(found)),
        GrowthChart(second, "bytes", sizes, tuple(memory)),
    ]


def way_of(found: Compared, key: Key) -> Way:
    """The record of one mode on one engine."""
    return next(r for r in found.records if (r.mode, r.engine) == key)


def memory_fit(sizes: Sequence[float], held: Sequence[float]) -> PowerFit | None:
    """The power with which memory grows; None where a run allocated nothing that was seen."""
    try:
        return fit_power(sizes, held)
    except FitError:
        return None


def _marks(found: Grown) -> tuple[Mark, ...]:
    return tuple(
        Mark(f"{engine}: forward and reverse take equally long {crossing}", crossing.size)
        for engine, crossing in found.crossovers.items()
        if crossing is not None
    )


def _label(mode: str, engine: str) -> str:
    return f"{mode} on {engine}" if engine != "direct sweep" else f"{mode} by direct sweep"
