"""Numbers on a ladder of steps: their limit at step zero with a bound, and their noise."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


Array = npt.NDArray[np.float64]

SAMPLES = 17
SPOILT = 4  # fourth differences that one kink between samples touches
UNIT_NOISE = 70**0.5  # standard deviation of fourth differences of unit noise: binomial(8, 4)
MOST_ORDERS = 6  # extrapolating further only amplifies noise


@dataclass(frozen=True)
class Estimate:
    """A value with its two sources of error, per output."""

    value: Array
    truncation: Array
    rounding: Array

    @property
    def error(self) -> Array:
        return self.truncation + self.rounding


def extrapolate(column: Array, bars: Array, ratio: float) -> Estimate:
    """Neville's table to t = 0; per output the entry with the smallest bound.

    `ratio` is the factor by which the leading error term shrinks from one row to the next:
    the step ratio squared for central differences, the step ratio for one-sided ones.
    """
    shape = column.shape[1:]
    best = Estimate(column[-1], np.full(shape, np.inf), np.full(shape, np.inf))
    for order in range(1, min(len(column), 1 + MOST_ORDERS)):
        weight = ratio**order
        refined = column[1:] + (column[1:] - column[:-1]) / (weight - 1)
        moved = np.fmax(np.abs(refined - column[1:]), np.abs(refined - column[:-1]))
        bars = (weight * bars[1:] + bars[:-1]) / (weight - 1)
        truncation = np.where(np.isnan(refined), np.inf, np.fmax(moved, denied(refined, bars)))
        best = closest(best, zip(refined, truncation, bars, strict=True))
        column = refined
    return best


def denied(column: Array, bars: Array) -> Array:
    """How far each row lies outside what the finer rows allow.

    Two coarse rows can agree by luck, or because the steps are so large that f looks bounded and
    every quotient small; the finer rows then say otherwise.
    """
    low = np.fmax.accumulate((column - 2 * bars)[::-1])[::-1]
    high = np.fmin.accumulate((column + 2 * bars)[::-1])[::-1]
    return np.asarray(np.fmax(np.fmax(low - column, column - high), 0.0))


def closest(best: Estimate, rows: Iterable[tuple[Array, Array, Array]]) -> Estimate:
    for value, moved, bar in rows:
        wins = moved + bar < best.error  # False for NaN
        best = Estimate(
            np.where(wins, value, best.value),
            np.where(wins, moved, best.truncation),
            np.where(wins, bar, best.rounding),
        )
    return best


def noise_level(samples: Array) -> Array:
    """Amplitude of the noise in values at SAMPLES equally spaced, very close points.

    Fourth differences of a smooth function vanish at such a spacing and those of noise do not;
    their size, divided by what a unit of white noise would give, is the noise [1]_. The largest
    are left out: they are what a kink or a jump between two samples leaves behind.

    Parameters
    ----------
    samples : array, shape (SAMPLES, m)

    Returns
    -------
    array, shape (m,)
        Zero where a sample is not finite.

    References
    ----------
    .. [1] Moré, J. J. and Wild, S. M. (2011). Estimating computational noise. SIAM Journal on
       Scientific Computing 33(3), 1292-1314.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(SAMPLES)
    >>> noise = 1e-9 * np.random.default_rng(0).standard_normal(SAMPLES)
    >>> kink = 1e-3 * np.abs(t - 6.5)
    >>> bool(1e-9 < noise_level((1 + kink + noise)[:, None])[0] < 1e-8)
    True
    """
    sizes = np.sort(np.abs(np.diff(samples, 4, axis=0)), axis=0)
    typical = sizes[len(sizes) - 1 - SPOILT] / (UNIT_NOISE * 0.93)  # the 65 % quantile of |N(0, 1)|
    return np.asarray(4 * np.nan_to_num(typical, nan=0.0, posinf=0.0))
