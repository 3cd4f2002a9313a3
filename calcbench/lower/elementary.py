"""Elementary functions of float64 without branches, so that compiled loops over them are SIMD.

The text of a function is copied into generated modules: it uses `math`, `np`, literals and other
functions of ours alone. Conditional expressions choose between values that are already computed,
and so become selects. The bits are the same compiled and in Python (given `np.float64`), since
every operation is rounded once and none is contracted. A docstring states the largest error that
was found, in units of the last place (ulps) of the true value.

Arguments are reduced as by Cody and Waite (Software Manual for the Elementary Functions, 1980),
with constants in parts so short that their multiples are exact. Polynomials are minimax fits by
Remez' exchange, the leading coefficients rounded before the others were fitted, and are evaluated
by Estrin's scheme, whose chains are short. A sum's rounding error is recovered as by Dekker
(Numer. Math. 18, 1971) and carried as a tail beside the head.
"""

from __future__ import annotations

import math

import numpy as np


# What an element text calls -> what computes the same and vectorises.
VECTORISED = {
    "math.exp": "exp_lane",
    "math.exp2": "exp2_lane",
    "math.expm1": "expm1_lane",
    "math.log": "log_lane",
    "math.log1p": "log1p_lane",
    "math.tanh": "tanh_lane",
}
# Rows whose whole text is replaced: composite ones would lose digits or call twice.
ROW_LANES = {
    "sigmoid": "sigmoid_lane({0})",
    "softplus": "softplus_lane({0})",
    "logaddexp": "logaddexp_lane({0}, {1})",
    "sech": "sech_lane({0})",
}


# --- powers of two and of e ------------------------------------------------------------------


def shifted(x: float) -> float:
    """1.5 * 2^52 + k, with k in its last bits: `x` rounded to an integer, for |x| < 2^51."""
    return x + 6755399441055744.0


def unshifted(n: float) -> float:
    """The integer k of n = 1.5 * 2^52 + k."""
    return n - 6755399441055744.0


def times_power_of_two(x: float, n: float) -> float:
    """x * 2^k for n = 1.5 * 2^52 + k, |k| < 2044, in two factors: the second may round x."""
    bits = np.float64(n).view(np.int64)
    half = bits >> 1
    first = np.int64((half + 1023) << 52).view(np.float64)
    second = np.int64((bits - half + 1023) << 52).view(np.float64)
    return x * first * second


def exp_rest(r: float) -> float:
    """e^r - 1 - r for |r| <= log(2) / 2."""
    z = r * r
    y = z * z
    a = (0.5 + 0.16666666666666438 * r) + z * (0.04166666666660389 + 0.008333333333498318 * r)
    b = (0.001388888892681924 + 0.0001984126946919437 * r) + z * (
        2.4801508656433693e-05 + 2.755763864419408e-06 * r
    )
    c = 2.7625196732440837e-07 + 2.4978991539395304e-08 * r
    return z * (a + y * (b + y * c))


def exp_lane(x: float) -> float:
    """e^x, within 1.1 ulp."""
    y = 710.0 if x > 710.0 else x
    y = -746.0 if y < -746.0 else y
    n = shifted(y * 1.4426950408889634)
    k = unshifted(n)
    r = (y - k * 0.6931471805601177) - k * -1.7239444525614835e-13
    return times_power_of_two(1.0 + (r + exp_rest(r)), n)


def exp_pair(x: float, low: float) -> tuple[float, float, float]:
    """(head, tail, 1.5 * 2^52 + k) with e^(x + low) = (head + tail) 2^k, for |x| < 1000."""
    n = shifted(x * 1.4426950408889634)
    k = unshifted(n)
    near = x - k * 0.6931471805601177
    correction = low - k * -1.7239444525614835e-13
    r = near + correction
    lost = (near - r) + correction
    rest = exp_rest(r)
    p = r + rest
    head = 1.0 + p
    return head, ((1.0 - head) + p) + (((r - p) + rest) + lost * head), n


def expm1_pair(x: float) -> tuple[float, float]:
    """e^x - 1 as head and tail, for -60 <= x < 709; beyond, up to 710, the head is right."""
    n = shifted(x * 1.4426950408889634)
    k = unshifted(n)
    near = x - k * 0.6931471805601177
    correction = k * -1.7239444525614835e-13
    r = near - correction
    rest = exp_rest(r)
    p = r + rest
    p_tail = ((r - p) + rest) + ((near - r) - correction)
    bits = np.float64(n).view(np.int64)
    half = np.int64((bits + 1022) << 52).view(np.float64)  # 2^k itself may overflow
    big = half - 0.5
    head = big + half * p
    return 2.0 * head, 2.0 * (((big - head) + half * p) + half * p_tail)


def expm1_lane(x: float) -> float:
    """e^x - 1, within 1.4 ulp."""
    y = 710.0 if x > 710.0 else x
    head, tail = expm1_pair(-60.0 if y < -60.0 else y)
    value = head if y > 708.0 else head + tail
    return x if abs(x) < 1e-17 else value


def exp2_rest(r: float) -> float:
    """(2^r - 1) / r for |r| <= 1/2."""
    z = r * r
    y = z * z
    a = (0.2402265069591012 + 0.05550410866482261 * r) + z * (
        0.009618129107597623 + 0.0013333558146255634 * r
    )
    b = (0.00015403530453567618 + 1.5252733948736812e-05 * r) + z * (
        1.3215436766073197e-06 + 1.0178021278260687e-07 * r
    )
    c = 7.073562551587614e-09 + 4.4603709045610993e-10 * r
    return 0.6931471805599453 + r * (a + y * (b + y * c))


def exp2_lane(x: float) -> float:
    """2^x, within 1.2 ulp."""
    y = 1025.0 if x > 1025.0 else x
    y = -1080.0 if y < -1080.0 else y
    n = shifted(y)
    r = y - unshifted(n)
    return times_power_of_two(1.0 + r * exp2_rest(r), n)


# --- hyperbolas ------------------------------------------------------------------------------


def quotient(head: float, tail: float, d: float, d_tail: float) -> float:
    """(head + tail) / (d + d_tail) for 1 <= d <= 2: the tails need no more of 1/d than 6 %."""
    q = head / d
    return q + (tail - q * d_tail) * (1.411764705882353 - 0.47058823529411764 * d)


def tanh_lane(x: float) -> float:
    """The hyperbolic tangent, within 1.6 ulp: -e / (2 + e) with e = exp(-2|x|) - 1."""
    y = -2.0 * abs(x)
    head, tail = expm1_pair(-60.0 if y < -60.0 else y)
    d = 2.0 + head
    t = quotient(head, tail, d, ((2.0 - d) + head) + tail)
    signed = t if x < 0.0 else -t
    return x if abs(x) < 1e-9 else signed


def sigmoid_lane(x: float) -> float:
    """1 / (1 + e^-x), within 1.2 ulp."""
    y = -abs(x)
    head, tail, n = exp_pair(-746.0 if y < -746.0 else y, 0.0)
    power = times_power_of_two(1.0, n)
    e = head * power
    d = 1.0 + e
    d_tail = ((1.0 - d) + e) + tail * power
    left = x < 0.0
    q = quotient(head if left else 1.0, tail if left else 0.0, d, d_tail)
    return times_power_of_two(q, n if left else shifted(0.0))


def sech_lane(x: float) -> float:
    """1 / cosh(x) = 2 e / (1 + e^2) with e = exp(-|x|), within 1.4 ulp."""
    y = -abs(x)
    head, tail, n = exp_pair(-746.0 if y < -746.0 else y, 0.0)
    power = times_power_of_two(1.0, n)
    e = head * power
    square = e * e
    d = 1.0 + square
    d_tail = ((1.0 - d) + square) + 2.0 * e * (tail * power)
    return times_power_of_two(quotient(head, tail, d, d_tail), n + 1.0)


# --- logarithms ------------------------------------------------------------------------------


def normal_parts(x: float) -> tuple[float, float]:
    """(k, f) with x = 2^k (1 + f) and sqrt(1/2) <= 1 + f < sqrt(2), for a normal x > 0."""
    bits = np.float64(x).view(np.int64)
    e = (bits - 0x3FE6A09E667F3BCD) >> 52
    k = np.int64(e + 0x4338000000000000).view(np.float64) - 6755399441055744.0
    return k, np.int64(bits - (e << 52)).view(np.float64) - 1.0


def parts(x: float) -> tuple[float, float]:
    """The same for any x > 0."""
    tiny = x < 2.2250738585072014e-308
    k, f = normal_parts(x * 18014398509481984.0 if tiny else x)
    return k - 54.0 if tiny else k, f


def log_sum(k: float, f: float, low: float) -> float:
    """k log 2 + log(1 + f) + low, with log(1 + f) = 2 artanh(s), s = f / (2 + f)."""
    s = f / (2.0 + f)
    z = s * s
    y = z * z
    w = y * y
    a = (0.6666666666666734 + 0.399999999994143 * z) + y * (
        0.2857142874247897 + 0.22222198563131837 * z
    )
    b = (0.18183564883178302 + 0.1531403543691255 * z) + y * 0.14796109336156382
    rest = z * (a + w * b)
    h = 0.5 * f * f
    return k * 0.6931471805601177 - ((h - (s * (h + rest) + low)) - f)


def log_lane(x: float) -> float:
    """The logarithm, within 0.9 ulp."""
    k, f = parts(x)
    value = log_sum(k, f, k * -1.7239444525614835e-13)
    inside = value if x < math.inf else x
    right = inside if x >= 0.0 else math.nan
    return -math.inf if x == 0.0 else right


def log1p_lane(x: float) -> float:
    """log(1 + x), within 0.9 ulp: what rounding 1 + x loses is made good to first order."""
    u = 1.0 + x
    k, reduced = normal_parts(u)
    lost = 1.0 - (u - x) if x > 1.0 else x - (u - 1.0)
    low = lost / u + k * -1.7239444525614835e-13
    near = k == 0.0
    value = log_sum(k, x if near else reduced, 0.0 if near else low)
    inside = value if x < math.inf else x
    right = inside if x >= -1.0 else math.nan
    signed = x if abs(x) < 1e-17 else right
    return -math.inf if x == -1.0 else signed


def softplus_lane(x: float) -> float:
    """log(1 + e^x), within 1.8 ulp."""
    return (0.0 if x < 0.0 else x) + log1p_lane(exp_lane(-abs(x)))


def logaddexp_lane(x: float, y: float) -> float:
    """log(e^x + e^y), within 1.8 ulp of the largest of |x|, |y| and 1/2."""
    gap = 0.0 if x == y else abs(x - y)
    return (x if x > y else y) + log1p_lane(exp_lane(-gap))
