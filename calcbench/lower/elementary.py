"""Elementary functions of one float64 without branches, so that a compiler turns loops into SIMD.

The text of each function is copied into generated modules: it uses `math`, `np`, literals and
other functions of this file alone. Conditional expressions choose between values that are already
computed, and so become selects. Bits are the same compiled and in Python, given `np.float64`:
no operation is contracted, and each is rounded once. The largest error found is stated in ulps.

Polynomials are minimax (Remez) fits whose leading coefficients were rounded first and the others
fitted again; arguments are reduced as by Cody and Waite (Software Manual for the Elementary
Functions, 1980), in parts so short that multiples of them are exact.
"""

from __future__ import annotations

import math

import numpy as np


VECTORISED = {"math.exp": "exp_lane", "math.log": "log_lane"}


def nearest_integer(x: float) -> float:
    """`x` rounded to an integer, for |x| < 2^51: 1.5 * 2^52 leaves no room for a fraction."""
    return (x + 6755399441055744.0) - 6755399441055744.0


def times_power_of_two(x: float, k: float) -> float:
    """x * 2^k for an integer |k| < 2044, in two factors: the second may round or overflow."""
    whole = np.float64(k + 6755399441055744.0).view(np.int64)
    half = np.float64(0.5 * k + 6755399441055744.0).view(np.int64)
    first = np.int64((half + 1023) << 52).view(np.float64)
    second = np.int64((whole - half + 1023) << 52).view(np.float64)
    return x * first * second


def exp_rest(r: float) -> float:
    """e^r - 1 - r for |r| <= log(2) / 2."""
    q = 2.4978991539395304e-08
    q = q * r + 2.7625196732440837e-07
    q = q * r + 2.755763864419408e-06
    q = q * r + 2.4801508656433693e-05
    q = q * r + 0.0001984126946919437
    q = q * r + 0.001388888892681924
    q = q * r + 0.008333333333498318
    q = q * r + 0.04166666666660389
    q = q * r + 0.16666666666666438
    q = q * r + 0.5
    return q * (r * r)


def exp_lane(x: float) -> float:
    """e^x, within 1.0 ulp."""
    x = 710.0 if x > 710.0 else x
    x = -746.0 if x < -746.0 else x
    k = nearest_integer(x * 1.4426950408889634)
    r = (x - k * 0.6931471805601177) - k * -1.7239444525614835e-13
    return times_power_of_two(1.0 + (r + exp_rest(r)), k)


def log_rest(s: float) -> float:
    """2 artanh(s) / s - 2 for |s| <= (sqrt(2) - 1) / (sqrt(2) + 1)."""
    z = s * s
    q = 0.14796109336156382
    q = q * z + 0.1531403543691255
    q = q * z + 0.18183564883178302
    q = q * z + 0.22222198563131837
    q = q * z + 0.2857142874247897
    q = q * z + 0.399999999994143
    q = q * z + 0.6666666666666734
    return q * z


def log_lane(x: float) -> float:
    """The logarithm of x, within 0.9 ulp: k log 2 + 2 artanh(f / (2 + f)), x = 2^k (1 + f)."""
    tiny = x < 2.2250738585072014e-308
    normal = x * 18014398509481984.0 if tiny else x
    bits = np.float64(normal).view(np.int64)
    e = (bits - 0x3FE6A09E667F3BCD) >> 52
    whole = np.int64(e + 0x4338000000000000).view(np.float64) - 6755399441055744.0
    k = whole - 54.0 if tiny else whole
    f = np.int64(bits - (e << 52)).view(np.float64) - 1.0
    s = f / (2.0 + f)
    h = 0.5 * f * f
    low = s * (h + log_rest(s)) + k * -1.7239444525614835e-13
    value = k * 0.6931471805601177 - ((h - low) - f)
    inside = value if x < math.inf else x
    right = inside if x >= 0.0 else math.nan
    return -math.inf if x == 0.0 else right
