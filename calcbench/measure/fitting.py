"""How costs grow: exponents with confidence, and where two costs cross."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calcbench.graph.arraytype import CalcbenchError


CONFIDENCE = 0.95
_MOST = 700.0  # the logarithm of the largest size that is a float


class FitError(CalcbenchError, ValueError):
    """Measurements through which no power can be fitted."""


@dataclass(frozen=True)
class PowerFit:
    """cost = factor * size ** exponent, fitted in logarithms.

    Attributes
    ----------
    exponent : float
    low, high : float
        The 95 % interval of the exponent.
    factor : float
        The cost at size 1.
    smallest, largest : float
        The sizes between which was measured.
    """

    exponent: float
    low: float
    high: float
    factor: float
    smallest: float
    largest: float

    def at(self, size: float) -> float:
        """The fitted cost at a size."""
        return float(self.factor * float(size) ** self.exponent)

    def __str__(self) -> str:
        return f"∝ size^{_shown(self.exponent)} ({_shown(self.low)} .. {_shown(self.high)})"


def _shown(exponent: float) -> str:
    """Two digits; nothing is no -0.00."""
    return f"{round(exponent, 2) + 0.0:.2f}"


def fit_power(sizes: Sequence[float], costs: Sequence[float]) -> PowerFit:
    """The power of the size with which a cost grows.

    Parameters
    ----------
    sizes, costs : sequence of float
        At least three different sizes, all numbers positive.

    Returns
    -------
    PowerFit
        By least squares on logarithms; the interval is that of Student's t with two degrees of
        freedom less than there are points.

    Raises
    ------
    FitError
        If there are fewer than three sizes, or a number is not positive and finite.

    Examples
    --------
    >>> fit = fit_power([1, 2, 4, 8], [3, 12, 48, 192])
    >>> round(fit.exponent, 6), round(fit.factor, 6)
    (2.0, 3.0)
    """
    x, y = _logarithms(sizes, "sizes"), _logarithms(costs, "costs")
    if len(x) != len(y) or len(set(x.tolist())) < 3:
        raise FitError(
            f"a power is fitted through at least three sizes with one cost each, got {len(x)} "
            f"sizes, {len(set(x.tolist()))} of them different, and {len(y)} costs"
        )
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    rest = y - y.mean() - slope * centred
    freedom = len(x) - 2
    spread = math.sqrt(float(rest @ rest) / freedom / float(centred @ centred))
    reach = _student(freedom) * spread
    factor = math.exp(float(y.mean()) - slope * float(x.mean()))
    ends = float(min(sizes)), float(max(sizes))
    return PowerFit(slope, slope - reach, slope + reach, factor, *ends)


def _logarithms(numbers: Sequence[float], what: str) -> np.ndarray:
    values: np.ndarray = np.asarray(numbers, dtype=float)
    if values.ndim != 1 or not np.all(np.isfinite(values)) or not np.all(values > 0):
        raise FitError(f"{what} are positive finite numbers in a row, got {numbers!r}")
    logarithms: np.ndarray = np.log(values)
    return logarithms


def _student(freedom: int) -> float:
    """How many standard errors the 95 % interval reaches to each side."""
    from scipy.stats import t

    return float(t.ppf(0.5 + CONFIDENCE / 2, freedom))


@dataclass(frozen=True)
class Crossover:
    """Where two costs are equal.

    Attributes
    ----------
    size : float
        By the fits.
    measured : bool
        Whether it lies between sizes at which both were measured; otherwise it is extrapolated.
    """

    size: float
    measured: bool

    def __str__(self) -> str:
        return f"at size {self.size:.3g}" + ("" if self.measured else " (extrapolated)")


def find_crossover(first: PowerFit, second: PowerFit) -> Crossover | None:
    """The size at which two fitted costs are equal; None if their exponents are within the noise.

    Examples
    --------
    >>> linear = fit_power([1, 10, 100], [5, 50, 500])
    >>> square = fit_power([1, 10, 100], [1, 100, 10000])
    >>> print(find_crossover(linear, square))
    at size 5
    """
    noise = math.hypot(first.high - first.low, second.high - second.low) / 2
    if abs(first.exponent - second.exponent) <= noise:
        return None
    ratio = math.log(second.factor / first.factor)
    size = math.exp(min(ratio / (first.exponent - second.exponent), _MOST))
    low = max(first.smallest, second.smallest)
    high = min(first.largest, second.largest)
    return Crossover(size, low <= size <= high)
