"""Sine and cosine of float64, whose loops are SIMD where no argument is far from 0.

Without branches, as in `calcbench.lower.elementary`, for |x| <= 1e5: pi/2 in four parts leaves an
angle with a tail, even beside a multiple of pi/2. No cheap reduction holds for every x, so
`sin_any` and `cos_any` branch to libm beyond, which keeps a loop scalar. A loop over a block gets
SIMD, and the same bits lane by lane whatever the neighbours, from one test (of slices, as here, or
unsigned indices: signed ones might be negative, and keep the loop scalar):

    n_far = 0
    for i in range(block.size):
        n_far += is_far(block[i])
    if n_far == 0:
        for i in range(block.size):
            out[i] = sin_near(block[i])
    else:
        for i in range(block.size):
            out[i] = sin_any(block[i])
"""

from __future__ import annotations

import math

import numpy as np

from calcbench.lower.elementary import shifted, unshifted


# What an element text calls -> the same at any argument, and then within a block without far ones.
VECTORISED = {"math.sin": "sin_any", "math.cos": "cos_any"}
NEAR = {"sin_any": "sin_near", "cos_any": "cos_near"}


def is_far(x: float) -> bool:
    """Whether `sin_near` and `cos_near` do not take `x`: beyond 1e5, infinite or NaN."""
    return not abs(x) <= 1e5


def angle(x: float) -> tuple[float, float, float]:
    """(1.5 * 2^52 + k, r, tail) with x = k pi/2 + r + tail and |r| <= pi/4, for |x| <= 1e5.

    pi/2 in 36 + 36 + 36 + 53 bits, of which the first is subtracted without error.
    """
    n = shifted(x * 0.6366197723675814)
    k = unshifted(n)
    a = x - k * 1.5707963267923333
    b = k * -2.5633441515839558e-12
    c = k * -1.0562999066944068e-23
    h = a + b
    t = h - a
    h_tail = (a - (h - t)) + (b - t)
    r = h + c
    t = r - h
    r_tail = (h - (r - t)) + (c - t)
    return n, r, (h_tail + r_tail) - k * 4.3359050650618903e-35


def sin_reduced(r: float, tail: float) -> float:
    """sin(r + tail) for |r| <= pi/4."""
    z = r * r
    y = z * z
    w = y * y
    a = (0.008333333333322413 - 0.00019841269829807434 * z) + y * (
        2.755731369181954e-06 - 2.505075810316864e-08 * z
    )
    b = 1.5896795091975098e-10
    q = a + w * b
    cube = z * r
    return r - ((z * (0.5 * tail - cube * q) - tail) + cube * 0.16666666666666632)


def cos_reduced(r: float, tail: float) -> float:
    """cos(r + tail) for |r| <= pi/4: 1 - z/2 is rounded, and what it loses is added back."""
    z = r * r
    y = z * z
    w = y * y
    a = (0.0416666666666666 - 0.0013888888888874125 * z) + y * (
        2.480158728948234e-05 - 2.755731435237232e-07 * z
    )
    b = 2.087572327815284e-09 - 1.13596480433772e-11 * z
    q = a + w * b
    h = 0.5 * z
    head = 1.0 - h
    return head + (((1.0 - head) - h) + (y * q - r * tail))


def sin_near(x: float) -> float:
    """The sine for |x| <= 1e5, within 0.9 ulp."""
    n, r, tail = angle(x)
    quarter = np.float64(n).view(np.int64)
    s, c = sin_reduced(r, tail), cos_reduced(r, tail)
    value = s if quarter & 1 == 0 else c
    signed = value if quarter & 2 == 0 else -value
    return x if abs(x) < 1e-9 else signed


def cos_near(x: float) -> float:
    """The cosine for |x| <= 1e5, within 0.8 ulp."""
    n, r, tail = angle(x)
    quarter = np.float64(n).view(np.int64)
    s, c = sin_reduced(r, tail), cos_reduced(r, tail)
    value = c if quarter & 1 == 0 else s
    return value if (quarter + 1) & 2 == 0 else -value


def sin_any(x: float) -> float:
    """The sine: `sin_near`, and libm beyond 1e5."""
    if is_far(x):
        return math.sin(x) if abs(x) < math.inf else math.nan
    return sin_near(x)


def cos_any(x: float) -> float:
    """The cosine: `cos_near`, and libm beyond 1e5."""
    if is_far(x):
        return math.cos(x) if abs(x) < math.inf else math.nan
    return cos_near(x)
