"""Ladders of steps along a line, and what the difference quotients on them say.

Two families of steps (2^-5, 2^-7, … and 3/4 of those) are evaluated once and kept. The ladders
grow downwards and upwards; an estimate extrapolates each family to step zero, and the two must
agree within their bounds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from calcbench.verification.extrapolation import Estimate, extrapolate


Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Line = Callable[[float], Array]

FAMILIES = (2.0**-5, 3 * 2.0**-7)  # the coarsest step of each ladder before it grows
RATIO = 4.0
BATCH = 4  # rungs added at a time
LARGEST = 2.0**22


@dataclass
class Ladder:
    """The values of f on both families of steps, evaluated once and kept."""

    line: Line
    centre: Array
    noise: Array
    eps: float
    smallest: float
    low: int = 0
    high: int = BATCH
    values: dict[float, tuple[Array, Array]] = field(default_factory=dict)
    estimates: dict[tuple[int, int, int], Estimate] = field(default_factory=dict)

    def steps(self, family: float) -> Array:
        return family * RATIO ** -np.arange(self.low, self.high, dtype=np.float64)

    def sides(self, family: float) -> tuple[Array, Array]:
        """f to the right and to the left of x, one row a step."""
        pairs = [self.pair(float(t)) for t in self.steps(family)]
        return np.array([p for p, _ in pairs]), np.array([m for _, m in pairs])

    def pair(self, t: float) -> tuple[Array, Array]:
        if t not in self.values:
            self.values[t] = (self.line(t), self.line(-t))
        return self.values[t]

    def bars(self, family: float) -> Array:
        """What noise alone can do to a difference quotient at each step."""
        right, left = self.sides(family)
        size = np.fmax(np.fmax(np.abs(right), np.abs(left)), np.abs(self.centre))
        noise: Array = np.fmax(self.noise, 0.5 * self.eps * size)
        return noise / self.steps(family)[:, None]

    def descend(self) -> bool:
        """Add finer rungs; False when no finer step is representable."""
        finest = FAMILIES[0] * RATIO ** -(self.high - 1)
        room = int(np.floor(np.log(finest / self.smallest) / np.log(RATIO) + 1e-9))
        self.high += min(BATCH, max(room, 0))
        return room > 0

    def ascend(self) -> bool:
        """Add coarser rungs; False when the steps are large enough already."""
        if FAMILIES[0] * RATIO ** -(self.low - BATCH) > LARGEST:
            return False
        self.low -= BATCH
        return True


def combined(ladder: Ladder, side: int) -> Estimate:
    """The better of the two families, from all rungs; remembered until the ladder grows."""
    key = (side, ladder.low, ladder.high)
    if key not in ladder.estimates:
        ladder.estimates[key] = combined_from(ladder, side, None)
    return ladder.estimates[key]


def combined_from(ladder: Ladder, side: int, keep: dict[float, Mask] | None) -> Estimate:
    """The better of the two families; their disagreement counts as truncation."""
    first, second = (family_estimate(ladder, family, side, keep) for family in FAMILIES)
    better = first.error <= second.error
    apart = np.nan_to_num(np.abs(first.value - second.value), nan=0.0)
    apart = np.where(np.isfinite(first.error) & np.isfinite(second.error), apart, 0.0)
    rounding = np.where(better, first.rounding, second.rounding)
    truncation = np.where(better, first.truncation, second.truncation)
    truncation = np.fmax(truncation, apart - first.rounding - second.rounding)
    return Estimate(np.where(better, first.value, second.value), truncation, rounding)


def family_estimate(
    ladder: Ladder, family: float, side: int, keep: dict[float, Mask] | None
) -> Estimate:
    quotients = difference_quotients(ladder, family, side)
    if keep is not None:
        quotients = np.where(keep[family], quotients, np.nan)
    bars = ladder.bars(family) * (2.0 if side else 1.0)
    return extrapolate(quotients, bars, RATIO if side else RATIO**2)


def difference_quotients(ladder: Ladder, family: float, side: int) -> Array:
    """(f(x + t d) - f(x - t d)) / 2t for side 0, one-sided for side 1 and -1; one row a step."""
    right, left = ladder.sides(family)
    steps = ladder.steps(family)[:, None]
    if side == 0:
        return np.asarray((right - left) / (2 * steps))
    return np.asarray(
        (right - ladder.centre) / steps if side > 0 else (ladder.centre - left) / steps
    )
