"""The error function and its complement in float64, without branches as in `elementary`.

Intervals and forms as by Cody (Math. Comp. 23, 1969): an odd polynomial near 0, and exp(-x^2)
times a slowly varying factor beyond. The argument of that factor maps the half line to an interval
as by Schonfelder (Math. Comp. 32, 1978).
"""

from __future__ import annotations

from calcbench.lower.elementary import exp_lane, exp_pair, times_power_of_two
from calcbench.lower.powers import product_error


VECTORISED = {"math.erf": "erf_lane", "math.erfc": "erfc_lane"}


def erf_rest(x: float) -> float:
    """erf(x) - x for |x| <= 1."""
    z = x * x
    y = z * z
    w = y * y
    a = (0.12837916709551256 - 0.37612638903183343 * z) + y * (
        0.11283791670936955 - 0.026866170641960552 * z
    )
    b = (0.005223977596754098 - 0.0008548325486198975 * z) + y * (
        0.00012055280542380993 - 1.4924466710025359e-05 * z
    )
    c = (1.6444166091711099e-06 - 1.6184127323090815e-07 * z) + y * (
        1.3617360315763256e-08 - 7.609175026711763e-10 * z
    )
    return x * (a + w * (b + w * c))


def erf_far(x: float) -> float:
    """1 - erf(|x|) for |x| >= 1, to the digits that 1 - erfc(|x|) keeps: none beyond 6.

    The exponential is written as the derivative of erf has it, so that loops compute it once.
    """
    v = 1.0 / (abs(x) + 3.0)
    r = v - 0.1875
    z = r * r
    y = z * z
    a = (1.1942899073675226 + 6.278825694707442 * r) + z * (
        25.861566217794596 + 80.85933423384091 * r
    )
    b = (175.99030820499283 + 193.40216093037606 * r) + z * (
        -189.26683035590625 - 952.9885289845572 * r
    )
    c = (-291.6550119235982 + 3846.1876038830515 * r) + z * (
        2722.6368510561 - 16898.13418435148 * r
    )
    q = a + y * (b + y * c)
    return exp_lane(-(x * x)) * (v * q)


def erf_lane(x: float) -> float:
    """The error function, within 1.6 ulp."""
    far = 1.0 - erf_far(x)
    signed = -far if x < 0.0 else far
    near = x + erf_rest(x)
    return near if abs(x) < 1.0 else signed


def erfc_factor(t: float) -> float:
    """(1 + 2x) exp(x^2) erfc(x) - 1.2329951186255526 with t = (x - 4) / (x + 4), x >= 1/2."""
    z = t * t
    y = z * z
    a = (-2.9514949128914933e-17 - 0.13962111684056172 * t) + z * (
        0.015379652102613547 + 0.06809705425459278 * t
    )
    b = (-0.10103906603591163 + 0.09373283500210615 * t) + z * (
        -0.06633036582183027 + 0.0371675154725222 * t
    )
    c = (-0.016197733938510657 + 0.005031970597509674 * t) + z * (
        -0.0007577741401943282 - 0.00019926026061582315 * t
    )
    d = (0.0001506254009494067 - 2.4386278288066043e-05 * t) + z * (
        -1.123226219491438e-05 + 5.679852414541528e-06 * t
    )
    e = (3.1131311720808744e-07 - 7.824876834539347e-07 * t) + z * (
        5.689134911841349e-08 + 7.440909047003715e-08 * t
    )
    f = -8.520133786831808e-09
    return a + y * (b + y * (c + y * (d + y * (e + y * f))))


def erfc_far(x: float) -> float:
    """erfc(x) for 0.5 <= x <= 28: the factor times exp(-x^2) over 1 + 2x, all with tails."""
    s = x + 4.0
    d = 1.0 + 2.0 * x
    w = 1.0 / (s * d)
    rest = erfc_factor((x - 4.0) * (d * w))
    factor = 1.2329951186255526 + rest
    factor_tail = (1.2329951186255526 - factor) + rest
    square = x * x
    head, tail, n = exp_pair(-square, -product_error(x, x, square))
    top = head * factor
    top_tail = product_error(head, factor, top) + (head * factor_tail + tail * factor)
    v = s * w
    q = top * v
    qd = q * d
    residue = ((top - qd) - product_error(q, d, qd)) - q * ((1.0 - d) + 2.0 * x)
    return times_power_of_two(q + (residue + top_tail) * v, n)


def erfc_lane(x: float) -> float:
    """1 - erf(x), within 1.3 ulp down to the smallest float."""
    a = abs(x)
    far = erfc_far(28.0 if a > 28.0 else a)
    signed = 2.0 - far if x < 0.0 else far
    head = 1.0 - x
    near = head - (erf_rest(x) - ((1.0 - head) - x))
    return near if a < 0.75 else signed
