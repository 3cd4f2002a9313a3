"""Slopes of a black box along a line, from function values alone, each with an error bound.

A line is any function t -> f(x + t d), flattened, NaN where f failed. Central differences are taken
on two ladders of steps (t = 2^-5, 2^-7, … and 3/4 of those) and extrapolated to t = 0 by Neville's
scheme [1]_. The bound adds what the last extrapolation still moved to what the noise of f can do at
that step; the two ladders must agree within it. The ladders grow downwards while truncation rules
and upwards while noise does. The same values give the slopes to the right and to the left: where
they disagree down to the finest visible step there is a kink, where f itself does not come back to
f(x) there is a jump.

.. [1] Ridders, C. J. F. (1982). Accurate computation of F'(x) and F'(x)F''(x). Advances in
   Engineering Software 4(2), 75-76.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calcbench.verification.extrapolation import Estimate
from calcbench.verification.ladder import (
    BATCH,
    FAMILIES,
    RATIO,
    Ladder,
    Line,
    combined,
    combined_from,
    difference_quotients,
)


Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

STAIRS = 16  # rises below this many times the noise are noise anyway
MOST_STAIRS = 8  # outputs for which stairs are measured one by one
SMOOTH, KINK, JUMP, ROUGH, NONFINITE = "smooth", "kink", "jump", "rough", "non-finite"


@dataclass(frozen=True)
class Slope:
    """What the differences say along one line, per output of f."""

    central: Estimate
    right: Estimate
    left: Estimate
    status: npt.NDArray[np.str_]
    variation: Array  # |f(x ± t d) - f(x)| / t at a moderate t: the size of slope f is capable of
    flat: Mask  # f did not move at all


def slope_along(line: Line, noise: Array, eps: float, smallest: float) -> Slope:
    """Derivative of a line at t = 0 with error bound, one-sided slopes and smoothness.

    Parameters
    ----------
    line : callable
        t -> values, shape (m,), NaN where the function failed.
    noise : array, shape (m,)
        Amplitude of the rounding noise of the function, as `noise_level` measures it.
    eps : float
        Machine epsilon of the values.
    smallest : float
        Smallest step to use.

    Returns
    -------
    Slope
        Each array of shape (m,).

    Examples
    --------
    >>> import numpy as np
    >>> slope = slope_along(lambda t: np.exp([t, 2 * t]), np.zeros(2), 2.2e-16, 2.0**-40)
    >>> np.abs(slope.central.value - [1, 2]) <= slope.central.error
    array([ True,  True])
    >>> slope.central.error < 1e-10
    array([ True,  True])
    """
    with np.errstate(all="ignore"):
        ladder = Ladder(line, line(0.0), noise, eps, smallest)
        variation, flat = movement(ladder)
        raise_noise_to_stairs(ladder)
        refine(ladder, variation, flat)
        coarse = worthless_coarse_rungs(ladder, flat)
        kinks, near, gap = settle_kinks(ladder, variation)
        jumps = settle_jumps(ladder)
        rough = settle_rough(ladder, variation)
        central = combined_from(ladder, 0, rungs_to_keep(ladder, gap, near, coarse))
        right, left = combined(ladder, 1), combined(ladder, -1)
        lost = beyond_reach(ladder)
    kinks |= np.isinf(central.error)  # no clean rung left: the kink is closer than any step
    status = np.select([lost, jumps, kinks, rough], [NONFINITE, JUMP, KINK, ROUGH], default=SMOOTH)
    return Slope(central, right, left, status, variation, flat)


def beyond_reach(ladder: Ladder) -> Mask:
    """Outputs without two neighbouring finite rungs."""
    finite = np.isfinite(difference_quotients(ladder, FAMILIES[0], 0))
    return np.asarray(~np.any(finite[1:] & finite[:-1], axis=0) | ~np.isfinite(ladder.centre))


def movement(ladder: Ladder) -> tuple[Array, Mask]:
    """How steep f can be at a moderate step, and where it does not move at all."""
    right, left = ladder.sides(FAMILIES[0])
    moved = np.fmax(np.abs(right - ladder.centre), np.abs(left - ladder.centre))
    steep: Array = np.nan_to_num(moved / ladder.steps(FAMILIES[0])[:, None], posinf=0.0)
    return steep.max(axis=0), np.all(moved == 0, axis=0)


# --- how far the ladders grow -------------------------------------------------------------------


def refine(ladder: Ladder, variation: Array, flat: Mask) -> None:
    """Grow the ladders until the bound is far below the slope or nothing helps any more."""
    if flat.all():
        ladder.ascend()
        return
    last = np.full(flat.shape, np.inf)
    while True:
        estimate = combined(ladder, 0)
        goal = np.sqrt(ladder.eps) * np.fmax(np.abs(estimate.value), variation)
        poor = ~flat & np.isfinite(ladder.centre) & ~(estimate.error <= goal)
        blurred = poor & ~(estimate.truncation <= estimate.rounding)
        if (blurred & finer_could_help(ladder, estimate)).any() and ladder.descend():
            continue
        noisy = poor & (estimate.error < last / 2)
        last = estimate.error
        if not (noisy.any() and np.isfinite(last).any() and ladder.ascend()):
            return


def raise_noise_to_stairs(ladder: Ladder) -> None:
    """Where f stands still at tiny steps and moves at larger ones, look for stairs in between.

    The stairs of a sum with a large constant, or of arithmetic in float32, are noise that samples
    at one spacing need not show: exact zeros at fine steps would pass for an exact slope of zero.
    """
    for side in (1, -1):
        ladder.noise = np.fmax(ladder.noise, stair_heights(ladder, side))


def stair_heights(ladder: Ladder, side: int) -> Array:
    """The height of the first stair of each output on one side, or 0 where there are no stairs."""
    heights = np.zeros_like(ladder.centre)
    tiny = ladder.smallest
    if np.all(moved(ladder, side, tiny) > 0):
        return heights
    count = int(np.log(FAMILIES[0] / tiny) / np.log(RATIO)) + 1
    steps = FAMILIES[0] * RATIO ** -np.arange(count, dtype=np.float64)
    moves = np.array([moved(ladder, side, float(t)) for t in steps])
    visible = moves > STAIRS * np.fmax(ladder.noise, ladder.eps * np.abs(ladder.centre))
    suspects = np.flatnonzero((moves[-1] == 0) & visible.any(axis=0))
    for output in suspects[:MOST_STAIRS]:
        last = int(np.flatnonzero(moves[:, output] > 0)[-1])
        if visible[last, output]:
            heights[output] = first_rise(ladder, side, int(output), float(steps[last]))
    heights[suspects[MOST_STAIRS:]] = heights.max(initial=0.0)
    return heights


def moved(ladder: Ladder, side: int, step: float) -> Array:
    """|f(x ± t d) - f(x)|, 0 where f fails."""
    there = ladder.pair(step)[0 if side > 0 else 1]
    return np.nan_to_num(np.abs(there - ladder.centre), nan=0.0, posinf=0.0)


def first_rise(ladder: Ladder, side: int, output: int, high: float) -> float:
    """The rise where f first leaves f(x), found by bisection.

    It stays finite on a stair and vanishes where f bends away; one isolated rise is a jump.
    """
    low, rise = high / RATIO, moved(ladder, side, high)[output]
    if all(moved(ladder, side, high * RATIO**k)[output] == rise for k in (1, 2)):
        return 0.0
    for _ in range(20):
        middle = 0.5 * (low + high)
        here = float(np.abs(ladder.line(side * middle) - ladder.centre)[output])
        if here > 0:
            high, rise = middle, here
        else:
            low = middle
    return float(rise)


def worthless_coarse_rungs(ladder: Ladder, flat: Mask) -> Mask:
    """Outputs for which the steps above the usual ones brought no slope into sight.

    There any bounded function has quotients near zero, with bounds just as small.
    """
    estimate = combined(ladder, 0)
    return np.asarray(flat | ~(estimate.error <= 0.05 * np.abs(estimate.value)))


def finer_could_help(ladder: Ladder, estimate: Estimate) -> Mask:
    return np.asarray(ladder.bars(FAMILIES[0])[-1] < estimate.error)


# --- kinks and jumps ----------------------------------------------------------------------------


def settle_kinks(ladder: Ladder, variation: Array) -> tuple[Mask, Mask, Array]:
    """Outputs with a kink at x, outputs with one beside x, and the gap between the two sides.

    At x the one-sided slopes disagree down to the finest visible step. Where they agree at fine
    steps only, the kink lies beside x, and the coarse steps that straddle it are worthless.
    """
    right, left = combined(ladder, 1), combined(ladder, -1)
    gap = np.abs(right.value - left.value)
    slack = 4 * (right.error + left.error) + 1e-6 * variation
    suspicious = np.asarray(gap > slack)
    while (suspicious & (ladder.bars(FAMILIES[0])[-1] < gap / 64)).any() and ladder.descend():
        pass
    kinks = suspicious & (finest_visible_gap(ladder, gap) > gap / 2)
    return kinks, suspicious & ~kinks, gap


def side_gaps(ladder: Ladder, family: float) -> Array:
    right, left = (difference_quotients(ladder, family, side) for side in (1, -1))
    return np.abs(right - left)


def finest_visible_gap(ladder: Ladder, gap: Array) -> Array:
    """|right - left| at the finest step where the noise leaves a gap of this size visible."""
    found = gap.copy()
    for gaps, bars in zip(side_gaps(ladder, FAMILIES[0]), ladder.bars(FAMILIES[0]), strict=True):
        found = np.where((bars < gap / 16) & np.isfinite(gaps), gaps, found)
    return found


def rungs_to_keep(ladder: Ladder, gap: Array, near: Mask, coarse: Mask) -> dict[float, Mask]:
    """Per family and step, the outputs whose central quotients are to be trusted."""
    usual = np.arange(ladder.low, ladder.high)[:, None] >= 0
    return {
        family: (~near | (side_gaps(ladder, family) < gap / 4)) & (~coarse | usual)
        for family in FAMILIES
    }


def settle_jumps(ladder: Ladder) -> Mask:
    """Outputs that do not come back to f(x) as the step shrinks.

    A power as weak as t^0.1 falls to a tenth over the whole ladder; a jump does not fall at all.
    """
    suspicious = stuck(ladder, 0.5)
    if not suspicious.any():
        return suspicious
    while ladder.descend():
        pass
    return suspicious & stuck(ladder, 0.25)


def stuck(ladder: Ladder, share: float) -> Mask:
    right, left = ladder.sides(FAMILIES[0])
    first = max(-ladder.low, 0)  # steps above the usual first one say nothing about x
    moved = np.fmax(np.abs(right - ladder.centre), np.abs(left - ladder.centre))[first:]
    noise = ladder.bars(FAMILIES[0])[-1] * ladder.steps(FAMILIES[0])[-1]
    return np.asarray((moved[-1] > 16 * noise) & (moved[-1] >= share * np.fmax.reduce(moved)))


def settle_rough(ladder: Ladder, variation: Array) -> Mask:
    """Outputs without one-sided slopes: the differences on a side go on moving at every step.

    Central differences alone do not see it: those of sqrt(|x|) at 0 are exactly 0.
    """
    rough = unsettled(ladder, variation)
    while rough.any() and ladder.descend():
        rough &= unsettled(ladder, variation)
    return rough


def unsettled(ladder: Ladder, variation: Array) -> Mask:
    return np.asarray(np.any([moves_on(ladder, side, variation) for side in (1, -1)], axis=0))


def moves_on(ladder: Ladder, side: int, variation: Array) -> Mask:
    """One side has no slope, though at the usual steps the noise would let one be seen."""
    estimate = combined(ladder, side)
    usual = BATCH - 1 - ladder.low
    quotients = np.abs(difference_quotients(ladder, FAMILIES[0], side)[usual])
    clear = ladder.bars(FAMILIES[0])[usual] < 0.01 * quotients
    return np.asarray(clear & (estimate.error > 0.05 * np.fmax(np.abs(estimate.value), variation)))
