"""What a chart shows, apart from how it is drawn: costs on logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from calcbench.measure.fitting import PowerFit


# Okabe and Ito's colours (jfly.uni-koeln.de/color, 2008), told apart by all eyes.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


@dataclass(frozen=True)
class Line:
    """One way measured at growing sizes.

    Attributes
    ----------
    label : str
    costs : tuple of float
        One per size; what is not positive and finite is left out of a drawing.
    fit : PowerFit or None
    style : int
        0 to 3: solid with discs, dashed with squares, dotted with diamonds, dashed and dotted with
        triangles.
    colour : str
    """

    label: str
    costs: tuple[float, ...]
    fit: PowerFit | None
    style: int
    colour: str

    @property
    def legend(self) -> str:
        """The label, with the fitted exponent and its 95 % interval."""
        return f"{self.label} {self.fit}" if self.fit else f"{self.label} (no fit)"


@dataclass(frozen=True)
class Mark:
    """A size at which two ways cost the same."""

    label: str
    size: float


@dataclass(frozen=True)
class GrowthChart:
    """Costs against sizes, both axes logarithmic."""

    title: str
    unit: str
    sizes: tuple[float, ...]
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Dot:
    """One way measured once: its cost, between two quartiles."""

    label: str
    cost: float
    low: float
    high: float


@dataclass(frozen=True)
class DotChart:
    """Costs of several ways to one thing, on a logarithmic axis."""

    title: str
    unit: str
    dots: tuple[Dot, ...]


Chart = GrowthChart | DotChart


def positive(numbers: Iterable[float]) -> list[float]:
    """The numbers that have a place on a logarithmic axis."""
    return [n for n in numbers if 0 < n < math.inf]


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic axis from one number to another, in powers of ten."""

    low: float
    high: float

    @staticmethod
    def around(numbers: Sequence[float]) -> LogAxis:
        """With room to both sides; from 1 to 10 where there is nothing to show."""
        shown = [math.log10(n) for n in positive(numbers)] or [0.0, 1.0]
        room = max(0.06 * (max(shown) - min(shown)), 0.15)
        return LogAxis(min(shown) - room, max(shown) + room)

    def place(self, number: float) -> float:
        """Where a number lies: 0 at the lower end, 1 at the upper."""
        return (math.log10(number) - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Powers of ten; where they are few, twice and five times those as well."""
        tens = range(math.floor(self.low), math.ceil(self.high) + 1)
        step = -(-len(tens) // 9)
        powers = [10.0**k for k in tens if k % step == 0 and self._holds(10.0**k)]
        if len(powers) > 2:
            return powers
        finer = [f * 10.0**k for k in tens for f in (1, 2, 5) if self._holds(f * 10.0**k)]
        return finer or [10 ** ((self.low + self.high) / 2)]

    def _holds(self, number: float) -> bool:
        return self.low <= math.log10(number) <= self.high


def tick_text(number: float, unit: str) -> str:
    """A tick in the unit's multiples: 2 ms, 5 kB, 1e+04.

    Examples
    --------
    >>> tick_text(0.002, "seconds"), tick_text(5e6, "bytes"), tick_text(1e4, "")
    ('2 ms', '5 MB', '10000')
    """
    if unit == "seconds":
        steps = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
    elif unit == "bytes":
        steps = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))
    else:
        return f"{number:.0f}" if 1 <= number < 1e6 else f"{number:.2g}"
    scale, name = next((s for s in steps if number >= s[0] * (1 - 1e-9)), steps[-1])
    return f"{number / scale:.3g} {name}"
