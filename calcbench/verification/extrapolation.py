"""Numbers on a ladder of steps: their limit at step zero with a bound, and their noise."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


Array = npt.NDArray[np.float64]

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
    """Amplitude of the noise in values at nine equally spaced, very close points.

    High differences of a smooth function vanish at such a spacing and those of noise do not; their
    size, divided by what a unit of white noise would give, is the noise [1]_.

    Parameters
    ----------
    samples : array, shape (9, m)

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
    >>> t = np.arange(9.0)
    >>> noise = 1e-9 * np.array([1, -1, -1, 1, 0, 1, -1, 0, 1])
    >>> bool(1e-9 < noise_level((1 + 1e-3 * t + noise)[:, None])[0] < 2e-8)
    True
    """
    levels = [difference_size(samples, order) for order in (4, 5, 6)]
    return np.asarray(4 * np.nan_to_num(np.min(levels, axis=0), nan=0.0, posinf=0.0))


def difference_size(samples: Array, order: int) -> Array:
    with np.errstate(all="ignore"):
        table = np.diff(samples, order, axis=0)
        gain = np.prod([(order + k) / k for k in range(1, order + 1)])  # binomial(2 order, order)
        return np.asarray(np.sqrt((table**2).mean(axis=0) / gain))
