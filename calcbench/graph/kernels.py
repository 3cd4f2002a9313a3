"""Special functions of one number, in floats, ifs and loops alone.

The element texts of `calcbench.graph.special` call these where `math` has no function. They use
neither arrays nor exceptions, so that a compiler of plain Python can take them as they are.
"""

from __future__ import annotations

import math


LOG_OF_LARGEST = 709.7827128  # exp of this is the largest float64, nearly


def sinpi_kernel(x: float) -> float:
    """sin(pi x), exactly 0 at integers: the argument is reduced before pi multiplies it."""
    r = abs(x) % 2.0  # exact, as the remainder of two positive floats is
    if r > 1.5:
        r -= 2.0
    elif r > 0.5:
        r = 1.0 - r
    return math.sin(math.pi * (math.copysign(1.0, x) * r))


def cospi_kernel(x: float) -> float:
    """cos(pi x), exactly 0 at half integers."""
    return sinpi_kernel(0.5 - abs(x) % 2.0)


def sinc_kernel(x: float) -> float:
    """sin(pi x) / (pi x), and 1 at 0."""
    if x == 0.0:
        return 1.0
    return math.nan if math.isinf(x) else math.sin(math.pi * x) / (math.pi * x)


def _sine_derivative(x: float, order: int) -> float:
    """sin(pi x + order pi/2)."""
    value = cospi_kernel(x) if order % 2 else sinpi_kernel(x)
    return -value if order % 4 >= 2 else value


def sinc_derivative_kernel(x: float, order: int) -> float:
    """The derivative of this order of sin(pi x) / (pi x).

    With s_k the k-th derivative of sin(u)/u at u = pi x,

        u s_k + k s_(k-1) = sin(u + k pi/2),

    solved for s_k upward where |u| exceeds the order (errors shrink by k/u per step), and for
    s_(k-1) downward elsewhere, from a k so high that the unknown s_k no longer matters.
    """
    u = math.pi * x
    if not math.isfinite(u):
        return math.nan
    if abs(u) > max(order, 1):
        s = sinpi_kernel(x) / u
        for k in range(1, order + 1):
            s = (_sine_derivative(x, k) - k * s) / u
    else:
        s = 0.0
        for k in range(2 * order + 24, order, -1):
            s = (_sine_derivative(x, k) - u * s) / k
    return float(math.pi**order * s)


def digamma_kernel(x: float) -> float:
    """The logarithmic derivative of the gamma function; NaN at its poles -1, -2, ...

    Reflection for x < 0, recurrence to [1, 2] or above 10, there a rational function that keeps
    its digits near the zero 1.4616..., here the asymptotic series (NIST DLMF 5.5.2, 5.5.4, 5.11.2).
    """
    if x == 0.0:
        return -math.copysign(math.inf, x)
    shift = 0.0
    if x < 0.0:
        if math.isinf(x) or x == math.floor(x):
            return math.nan
        shift = -math.pi * cospi_kernel(x) / sinpi_kernel(x)
        x = 1.0 - x
    if x >= 10.0:
        return shift + _digamma_series(x)
    while x > 2.0:
        x -= 1.0
        shift += 1.0 / x
    while x < 1.0:
        shift -= 1.0 / x
        x += 1.0
    return shift + _digamma_near_zero(x)


def _digamma_series(x: float) -> float:
    """log x - 1/(2x) - sum of B_2k / (2k x^2k), for x >= 10."""
    y = 1.0 / (x * x)
    tail = 1.0 / 12.0 - y * (
        1.0 / 120.0
        - y
        * (
            1.0 / 252.0
            - y * (1.0 / 240.0 - y * (1.0 / 132.0 - y * (691.0 / 32760.0 - y * (1.0 / 12.0))))
        )
    )
    return math.log(x) - 0.5 / x - y * tail


def _digamma_near_zero(x: float) -> float:
    """Digamma on [1, 2]: its zero, in three parts, is subtracted exactly.

    Coefficients: the 53-bit rational approximation of Boost.Math (`digamma_imp_1_2`).
    """
    distance = x - 1569415565.0 / 1073741824.0
    distance -= 381566830.0 / 1073741824.0 / 1073741824.0
    distance -= 0.9016312093258695918615325266959189453125e-19
    t = x - 1.0
    top = -0.045251321448739056 - 0.0020713321167745952 * t
    top = 0.25479851061131551 + t * (
        -0.32555031186804491 + t * (-0.65031853770896507 + t * (-0.28919126444774784 + t * top))
    )
    bottom = 0.0021284987017821144 - 0.55789841321675513e-6 * t
    bottom = 1.0 + t * (
        2.0767117023730469
        + t
        * (1.4606242909763515 + t * (0.43593529692665969 + t * (0.054151797245674225 + t * bottom)))
    )
    return distance * 0.99558162689208984 + distance * (top / bottom)


def polygamma_kernel(x: float, order: int) -> float:
    """The derivative of this order (at least 1) of digamma.

    (-1)^(n+1) n! zeta(n+1, x), with Hurwitz' zeta by Euler and Maclaurin's formula from the first
    x + k >= 10 + 2n on (NIST DLMF 5.15.1, 25.11.28).
    """
    if math.isinf(x):
        if x < 0.0:
            return math.nan
        return 0.0 if order % 2 else -0.0
    if x <= 0.0 and x == math.floor(x):
        if order % 2:
            return math.inf
        return -math.copysign(math.inf, x) if x == 0.0 else math.nan
    s = order + 1.0
    nearest = abs(x - round(x)) if x < 0.5 else x
    if -s * math.log(nearest) > LOG_OF_LARGEST:  # Python's power would raise, C's give inf
        return math.inf if order % 2 else math.copysign(math.inf, round(x) - x)
    zeta = _zeta(x, s, 10.0 + 2.0 * order)
    for k in range(2, order + 1):
        zeta *= k
    return zeta if order % 2 else -zeta


def _zeta(x: float, s: float, far: float) -> float:
    """Sum of (x + k)^-s over k >= 0: term by term up to `far`, or until the rest is nothing."""
    total = 0.0
    while x < far:
        term: float = x**-s
        total += term
        x += 1.0
        if x > 1.0 and term < 1e-18 * total:
            return total
    return total + _zeta_tail(x, s)


def _zeta_tail(x: float, s: float) -> float:
    """Sum of (x + k)^-s over k >= 0, for x above 10 + 2s."""
    y = 1.0 / (x * x)
    term: float = s * x**-s / x  # s (s+1) ... (s+2j-2) x^(-s-2j+1), times B_2j / (2j)! below
    tail = term / 12.0
    term *= (s + 1.0) * (s + 2.0) * y
    tail -= term / 720.0
    term *= (s + 3.0) * (s + 4.0) * y
    tail += term / 30240.0
    term *= (s + 5.0) * (s + 6.0) * y
    tail -= term / 1209600.0
    term *= (s + 7.0) * (s + 8.0) * y
    tail += term / 47900160.0
    term *= (s + 9.0) * (s + 10.0) * y
    tail -= term * 691.0 / 1307674368000.0
    term *= (s + 11.0) * (s + 12.0) * y
    tail += term / 74724249600.0
    integral: float = x ** (1.0 - s) / (s - 1.0)
    half: float = 0.5 * x**-s
    return integral + (half + tail)
