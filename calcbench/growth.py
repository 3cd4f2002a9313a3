"""How the cost of each mode grows along a family of problems: exponents, and where modes cross."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from calcbench.graph.arraytype import GraphError
from calcbench.measure.device_columns import has_device
from calcbench.measure.fitting import Crossover, FitError, PowerFit, find_crossover, fit_power
from calcbench.measure.mode_charts import growth_charts, memory_fits
from calcbench.measure.mode_pages import crossings, growth_parts
from calcbench.measure.mode_plans import MODES
from calcbench.measure.mode_records import Comparison
from calcbench.measure.pages import write_page
from calcbench.measure.plotting import write_plot
from calcbench.measure.tables import aligned
from calcbench.measure.timing import seconds
from calcbench.workbench import compare_modes


NO_DEVICE = (
    "a sweep fits times, and engines=('cuda',) needs a device for them: none is present; name "
    "another engine as well, or take compare_modes at one size, whose columns need no device"
)
Key = tuple[str, str]
Family = Callable[[int], tuple[Any, ...]]


@dataclass(frozen=True)
class Growth:
    """All modes on problems of growing size; made by `sweep`.

    Attributes
    ----------
    sizes : tuple of int
    comparisons : tuple of Comparison
        One per size.
    fits : dict of (mode, engine) to PowerFit
        Seconds of warm calls as a power of the size, of ways that were taken at all sizes.
    operations : dict of mode to PowerFit
        Counted operations likewise.
    crossovers : dict of engine to Crossover or None
        Where forward and reverse mode take equally long on that engine; None if they grow alike.
    """

    sizes: tuple[int, ...]
    comparisons: tuple[Comparison, ...]
    fits: dict[Key, PowerFit]
    operations: dict[str, PowerFit]
    crossovers: dict[str, Crossover | None]

    def __str__(self) -> str:
        heading = ["mode", "engine", *(f"{s}" for s in self.sizes), "seconds"]
        rows = [
            [*key, *(seconds(_median(c, key)) for c in self.comparisons), str(fit)]
            for key, fit in self.fits.items()
        ]
        counted = [f"operations of {mode} mode {fit}" for mode, fit in self.operations.items()]
        fits = {key: fit for key, fit in memory_fits(self).items() if fit is not None}
        held = [
            f"peak bytes of {mode} mode on {engine} {fit}" for (mode, engine), fit in fits.items()
        ]
        said = [*counted, *held, *self.missing, *crossings(self.crossovers)]
        return "\n".join([*aligned([heading, *rows]), *said])

    @property
    def missing(self) -> tuple[str, ...]:
        """Which modes were not taken at which sizes, and why not at the last of these."""
        modes = dict.fromkeys(mode for c in self.comparisons for mode in c.missing)
        return tuple(map(self._missing, modes))

    def _missing(self, mode: str) -> str:
        pairs = zip(self.sizes, self.comparisons, strict=True)
        found = {size: c.missing[mode] for size, c in pairs if mode in c.missing}
        size, why = list(found.items())[-1]
        return (
            f"{mode} mode was not taken at {', '.join(map(str, found))}, so that it has no fit; at "
            f"{size}: {why}"
        )

    def plot(self, path: str | PathLike[str]) -> Path:
        """Draw time and bytes against the size with matplotlib, on logarithmic axes.

        Parameters
        ----------
        path : path-like
            Ends in .png or .svg. The file is written beside its place and then renamed.

        Returns
        -------
        Path

        Raises
        ------
        PathError
            If the path has another suffix, or its folder is not there.
        MissingLibraryError
            If matplotlib is not installed.
        """
        return write_plot(path, growth_charts(self))

    def report(self, path: str | PathLike[str]) -> Path:
        """Write one HTML page with charts, exponents, crossovers, tables, and a graph.

        Parameters
        ----------
        path : path-like
            Ends in .html. The file is written beside its place and then renamed.

        Returns
        -------
        Path

        Raises
        ------
        PathError
            If the path has another suffix, or its folder is not there.

        Notes
        -----
        The page needs no network, no script and no matplotlib. The graph is that
        of the first size, with the value, the cotangent and the bytes of every node.
        """
        title = f"Modes compared from size {self.sizes[0]} to {self.sizes[-1]}"
        return write_page(path, title, growth_parts(self))


def sweep(
    family: Family,
    sizes: Sequence[int],
    *,
    engines: Sequence[str] = ("tape",),
    modes: Sequence[str] = MODES,
    slots: int | None = None,
    budget: float = 1.0,
) -> Growth:
    """Compare the modes on a family of problems, and fit how their cost grows.

    Parameters
    ----------
    family : callable
        From a size to ``(function, x, ...)``: a function and its arguments.
    sizes : sequence of int
        At least three different ones.
    engines, modes, slots, budget
        As `compare_modes` takes them; the budget is for each size.

    Returns
    -------
    Growth
        Printed, a table with exponents, their 95 % intervals, and crossovers.

    Raises
    ------
    GraphError, FitError
        If a size gives no function with arguments, there are fewer than three sizes, or no way is
        timed at all of them.

    Notes
    -----
    An exponent is a fit in logarithms over the given sizes, with its interval; at small sizes the
    fixed cost of a call hides it.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> def products(n):
    ...     return lambda x: np.sum(x * x), np.ones(n)
    >>> found = cb.sweep(products, [10, 20, 40], engines=["numpy"], budget=0.001)
    >>> round(found.operations["reverse"].exponent, 1)
    1.0
    """
    if len({*sizes}) < 3:
        raise FitError(f"a power is fitted through at least three different sizes, got {[*sizes]}")
    if {*engines} == {"cuda"} and not has_device():
        raise GraphError(NO_DEVICE)
    comparisons = tuple(
        compare_modes(
            *_problem(family, size), engines=engines, modes=modes, slots=slots, budget=budget
        )
        for size in sizes
    )
    keys = _taken_at_all(comparisons)
    fits = {key: fit_power(sizes, [_median(c, key) for c in comparisons]) for key in keys}
    operations = {
        mode: fit_power(sizes, [_operations(c, mode) for c in comparisons])
        for mode in dict.fromkeys(mode for mode, _ in keys)
    }
    crossovers = {
        engine: find_crossover(fits["forward", engine], fits["reverse", engine])
        for mode, engine in keys
        if mode == "forward" and ("reverse", engine) in fits
    }
    return Growth(tuple(sizes), comparisons, fits, operations, crossovers)


def _problem(family: Family, size: int) -> tuple[Any, ...]:
    made = family(size)
    if not isinstance(made, tuple) or len(made) < 2 or not callable(made[0]):
        raise GraphError(
            f"a family gives (function, x, ...) for a size, got {made!r:.80} for {size}"
        )
    return made


def _taken_at_all(comparisons: Sequence[Comparison]) -> list[Key]:
    """The ways that every size has, in the order of the first."""
    ways = [[(r.mode, r.engine) for r in c.records] for c in comparisons]
    keys = [key for key in ways[0] if all(key in found for found in ways)]
    if not keys:
        reasons = [f"{mode} mode: {why}" for c in comparisons for mode, why in c.missing.items()]
        raise GraphError(
            f"a sweep fits times, and no mode was taken at all sizes; {reasons[0]}; ask for more "
            "modes, or for other sizes"
        )
    return keys


def _median(c: Comparison, key: Key) -> float:
    return next(r.timing.median for r in c.records if (r.mode, r.engine) == key)


def _operations(c: Comparison, mode: str) -> float:
    return float(next(r.operations for r in c.records if r.mode == mode))
