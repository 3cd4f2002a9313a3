"""Elementary functions as straight-line code calls them: with branches, and the same bits.

Where nothing vectorises, what counts is how long a value is waited for. Near 0 an argument needs
no reduction, and the processor, which guesses branches, does not wait to know: sin takes 13 ns
instead of 21, exp 12 instead of 18. Each function gives the bits of the one that it is named after.
"""

from __future__ import annotations

import numpy as np

from calcbench.lower.circles import (
    angle,
    cos_any,
    cos_near,
    cos_reduced,
    is_far,
    sin_any,
    sin_near,
    sin_reduced,
)
from calcbench.lower.elementary import exp_lane, exp_rest, shifted, unshifted


def exp_from(x: float, k: float, power: float) -> float:
    """e^x, with the multiple k of log(2) that is nearest to x, and 2^k."""
    r = (x - k * 0.6931471805601177) - k * -1.7239444525614835e-13
    return (1.0 + (r + exp_rest(r))) * power


def exp_lane_called(x: float) -> float:
    """`exp_lane`: no multiple of log(2) is taken near 0, and none of its scales is 0 below 700."""
    if abs(x) < 0.34:
        return 1.0 + (x + exp_rest(x))
    if not abs(x) < 700.0:
        return exp_lane(x)
    if 0.35 < x < 1.03:
        return exp_from(x, 1.0, 2.0)
    if -1.03 < x < -0.35:
        return exp_from(x, -1.0, 0.5)
    n = shifted(x * 1.4426950408889634)
    power = np.int64((np.float64(n).view(np.int64) + 1023) << 52).view(np.float64)
    return exp_from(x, unshifted(n), power)


def sin_any_called(x: float) -> float:
    """`sin_any`: one polynomial, of `x` itself near 0."""
    if abs(x) < 0.78:
        return x if abs(x) < 1e-9 else sin_reduced(x, 0.0)
    if is_far(x):
        return sin_any(x)
    n, r, tail = angle(x)
    quarter = np.float64(n).view(np.int64)
    value = sin_reduced(r, tail) if quarter & 1 == 0 else cos_reduced(r, tail)
    return value if quarter & 2 == 0 else -value


def cos_any_called(x: float) -> float:
    """`cos_any`: the same."""
    if abs(x) < 0.78:
        return cos_reduced(x, 0.0)
    if is_far(x):
        return cos_any(x)
    n, r, tail = angle(x)
    quarter = np.float64(n).view(np.int64)
    value = cos_reduced(r, tail) if quarter & 1 == 0 else sin_reduced(r, tail)
    return value if (quarter + 1) & 2 == 0 else -value


def sin_cos_called(x: float) -> tuple[float, float]:
    """`sin_any` and `cos_any` of one angle, which is reduced once."""
    if abs(x) < 0.78:
        sine = sin_reduced(x, 0.0)
        return x if abs(x) < 1e-9 else sine, cos_reduced(x, 0.0)
    if is_far(x):
        return sin_any(x), cos_any(x)
    return sin_near(x), cos_near(x)
