"""How the cost of each mode grows along a family of problems: exponents, and where modes cross."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from calcbench.graph.arraytype import GraphError
from calcbench.measure.fitting import Crossover, PowerFit, find_crossover, fit_power
from calcbench.measure.mode_charts import growth_charts
from calcbench.measure.mode_pages import crossings, growth_parts
from calcbench.measure.mode_records import Comparison
from calcbench.measure.pages import write_page
from calcbench.measure.plotting import write_plot
from calcbench.measure.tables import aligned
from calcbench.measure.timing import seconds
from calcbench.workbench import MODES, compare_modes


Key = tuple[str, str]
Family = Callable[[int], tuple[Any, ...]]


@dataclass(frozen=True)
class Growth:
    """Both modes on problems of growing size; made by `sweep`.

    Attributes
    ----------
    sizes : tuple of int
    comparisons : tuple of Comparison
        One per size.
    fits : dict of (mode, engine) to PowerFit
        Seconds of warm calls as a power of the size.
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
        return "\n".join([*aligned([heading, *rows]), *counted, *crossings(self.crossovers)])

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
    budget: float = 1.0,
) -> Growth:
    """Compare the modes on a family of problems, and fit how their cost grows.

    Parameters
    ----------
    family : callable
        From a size to ``(function, x, ...)``: a function and its arguments.
    sizes : sequence of int
        At least three different ones.
    engines, modes, budget
        As `compare_modes` takes them; the budget is for each size.

    Returns
    -------
    Growth
        Printed, a table with exponents, their 95 % intervals, and crossovers.

    Raises
    ------
    GraphError, FitError
        If a size gives no function with arguments, or there are fewer than three sizes.

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
    comparisons = tuple(
        compare_modes(*_problem(family, size), engines=engines, modes=modes, budget=budget)
        for size in sizes
    )
    keys = [(r.mode, r.engine) for r in comparisons[0].records] if comparisons else []
    fits = {key: fit_power(sizes, [_median(c, key) for c in comparisons]) for key in keys}
    operations = {
        mode: fit_power(sizes, [_operations(c, mode) for c in comparisons]) for mode in modes
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


def _median(c: Comparison, key: Key) -> float:
    return next(r.timing.median for r in c.records if (r.mode, r.engine) == key)


def _operations(c: Comparison, mode: str) -> float:
    return float(next(r.operations for r in c.records if r.mode == mode))
