"""Powers and logarithms to base 2 and 10 of float64, through a logarithm in two parts.

Without branches, as in `calcbench.lower.elementary`. The error of y log2(x) is that of x^y times
the exponent, so log2(x) carries 79 bits: a head of 26, whose products are exact (Dekker, Numer.
Math. 18, 1971), and a tail of 53. The series is arranged as in fdlibm's `e_pow.c`.
"""

from __future__ import annotations

import math

import numpy as np

from calcbench.lower.elementary import exp_rest, parts, shifted, times_power_of_two, unshifted


VECTORISED = {"math.log2": "log2_lane", "math.log10": "log10_lane"}
ROW_LANES = {"power": "pow_lane({0}, {1})"}


def truncated(x: float) -> float:
    """`x` without its lower 27 bits: products of two such numbers are exact."""
    return np.int64(np.float64(x).view(np.int64) & -134217728).view(np.float64)


def product_error(x: float, y: float, xy: float) -> float:
    """x * y - xy, where xy is the rounded product."""
    x_head, y_head = truncated(x), truncated(y)
    x_tail, y_tail = x - x_head, y - y_head
    return ((x_head * y_head - xy) + (x_head * y_tail + x_tail * y_head)) + x_tail * y_tail


def log2_pair(x: float) -> tuple[float, float]:
    """The logarithm to base 2 of x > 0 as a head of 26 bits and a tail.

    x = 2^k (1 + f), s = f / (2 + f): log(1 + f) = 2/3 s (3 + s^2 + s^4 (3/5 + 3/7 s^2 + ...)).
    """
    k, f = parts(x)
    d = 2.0 + f
    w = 1.0 / d
    s = f * w
    s_head, d_head = truncated(s), truncated(d)
    s_tail = ((f - s_head * d_head) - s_head * (f - (d_head - 2.0))) * w
    square = s_head * s_head
    rest = log2_rest(s * s) + s_tail * (s_head + s)
    t = truncated(3.0 + (square + rest))
    u = s_head * t
    v = s_tail * t + (rest - ((t - 3.0) - square)) * s
    p = truncated(u + v)
    scaled = 0.9617966860532761 * p  # 2 / (3 log 2), its first 26 bits
    low = 7.872699542894897e-09 * p + (v - (p - u)) * 0.9617966939259756
    head = truncated(k + (scaled + low))
    return head, low - ((head - k) - scaled)


def log2_rest(z: float) -> float:
    """3 artanh(s) / s - 3 - z, z = s^2."""
    y = z * z
    w = y * y
    a = (0.6000000000000338 + 0.4285714285514946 * z) + y * (
        0.3333333377985756 + 0.27272676553681185 * z
    )
    b = (0.2308013583321569 + 0.19885230941164977 * z) + y * 0.19794448838774398
    return y * (a + w * b)


def log_limits(value: float, x: float) -> float:
    """A logarithm at x <= 0, infinity and NaN, else `value`."""
    inside = value if x < math.inf else x
    right = inside if x >= 0.0 else math.nan
    return -math.inf if x == 0.0 else right


def log2_lane(x: float) -> float:
    """The logarithm to base 2, within 0.6 ulp; exact at powers of two."""
    head, tail = log2_pair(x)
    return log_limits(head + tail, x)


def log10_lane(x: float) -> float:
    """The logarithm to base 10, within 0.6 ulp; exact at powers of ten."""
    head, tail = log2_pair(x)
    low = head * 5.801722962879576e-10 + tail * 0.3010299956639812
    return log_limits(head * 0.3010299950838089 + low, x)


def pow_magnitude(x: float, y: float) -> float:
    """x^y for x > 0 and |y| < 1e20."""
    log_head, log_tail = log2_pair(x)
    y_head = truncated(y)
    product = y_head * log_head
    head = 1100.0 if product > 1100.0 else product
    head = -1100.0 if head < -1100.0 else head
    tail = (y - y_head) * log_head + y * log_tail
    tail = tail if head == product else 0.0
    n = shifted(head)
    fraction = head - unshifted(n)
    r = truncated(fraction + tail)
    r_tail = (fraction - r) + tail
    a = r * 0.6931471675634384  # log(2), its first 26 bits
    low = r * 1.2996506893889889e-08 + r_tail * 0.6931471805599453
    rest = exp_rest(a + low)
    total = 1.0 + a
    return times_power_of_two(total + (((1.0 - total) + a) + (low + rest)), n)


def rounded_magnitude(x: float) -> float:
    """x >= 0 rounded to an integer."""
    near = (x + 4503599627370496.0) - 4503599627370496.0
    return near if x < 4503599627370496.0 else x


def pow_lane(x: float, y: float) -> float:
    """x^y, within 1.3 ulp, with the special values of C99's Annex F."""
    u = 4e19 if y > 4e19 else y  # beyond, the result is 0, 1 or inf, and y an even integer
    u = -4e19 if u < -4e19 else u
    a, b = abs(x), abs(u)
    value = pow_magnitude(a, u)
    at_zero, at_infinity = 0.0 if y > 0.0 else math.inf, math.inf if y > 0.0 else 0.0
    value = at_zero if a == 0.0 else value
    value = at_infinity if a == math.inf else value
    odd = rounded_magnitude(0.5 * b) != 0.5 * b  # if an integer at all
    between = value if (a == 0.0) | (a == math.inf) else math.nan
    signed = -value if odd else value
    left = signed if rounded_magnitude(b) == b else between
    value = left if np.float64(x).view(np.int64) < 0 else value
    value = value if (x == x) & (y == y) else math.nan
    return 1.0 if (x == 1.0) | (y == 0.0) else value
