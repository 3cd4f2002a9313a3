"""Rows of the special functions: error function, gamma family, and sinc with its derivatives.

SciPy gives the NumPy values, on first use; the element texts call `calcbench.graph.kernels`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from calcbench.graph.arraytype import ArrayType, DerivativeError
from calcbench.graph.elementwise import REAL, exp, square
from calcbench.graph.primitive import Infer, Primitive, Sample, elementwise, same_types


HIGHEST_ORDER = 169  # 170! is the largest factorial in float64


def _scipy(name: str) -> Callable[[Any], Any]:
    """The function of this name in scipy.special, loaded when it is first called."""

    def value(x: Any) -> Any:
        import scipy.special

        return getattr(scipy.special, name)(x)

    return value


def _ordered(name: str) -> Infer:
    """Type rule of a row with a param ``order``, a whole number from 1 to `HIGHEST_ORDER`."""
    same = same_types(name, 1, "float")

    def infer(x: ArrayType, *, order: int) -> ArrayType:
        if not isinstance(order, int) or not 1 <= order <= HIGHEST_ORDER:
            raise DerivativeError(
                f"{name} takes an order that is an int from 1 to {HIGHEST_ORDER}, got {order!r}"
            )
        return same(x)

    return infer


def _samples(*intervals: tuple[float, float], **params: int) -> tuple[Sample, ...]:
    return tuple(Sample((shape,), params, (i,)) for i in intervals for shape in ((), (5,), (2, 3)))


# --- error function --------------------------------------------------------------------------


def _bell(x: Any) -> Any:
    """exp(-x^2) 2/sqrt(pi), the derivative of erf."""
    return exp(-square(x)) * (2.0 / math.sqrt(math.pi))


erf = elementwise(
    "erf", _scipy("erf"), "erf", "math.erf({0})", lambda z, x: (_bell(x),), REAL,
    facts="transcendental zero_preserving",
)  # fmt: skip
erfc = elementwise(
    "erfc", _scipy("erfc"), "erfc", "math.erfc({0})", lambda z, x: (-_bell(x),), REAL,
    facts="transcendental nonnegative",
)  # fmt: skip

# --- gamma family ----------------------------------------------------------------------------
# Between two poles on the negative axis the functions are as smooth as on the positive one;
# lgamma is the logarithm of |gamma| there, while SymPy's loggamma is complex.

_GAMMA_DOMAIN = ((0.1, 4.0), (-0.9, -0.1), (-2.8, -2.2))


def _lgamma(x: Any) -> Any:
    """log |gamma(x)|, where SciPy's is wrong: next to 0 from below, and at -inf (as in C)."""
    size = np.abs(x)
    near_zero = np.where(size < 1e-20, -np.log(size), _gammaln(x))
    return np.where(x == -math.inf, x.dtype.type(math.inf), near_zero)[()]


_gammaln = _scipy("gammaln")
lgamma = elementwise(
    "lgamma", _lgamma, lambda sp, x: sp.log(sp.Abs(sp.gamma(x))), "math.lgamma({0})",
    lambda z, x: (digamma(x),), samples=_samples(*_GAMMA_DOMAIN), facts="transcendental singular",
)  # fmt: skip
digamma: Primitive = elementwise(
    "digamma", _scipy("psi"), "digamma", "digamma_kernel({0})",
    lambda z, x: (polygamma(x, order=1),), samples=_samples(*_GAMMA_DOMAIN),
    facts="transcendental singular",
)  # fmt: skip


def _polygamma(x: Any, *, order: int) -> Any:
    """(-1)^(n+1) n! zeta(n + 1, x), in float64 whatever x is (NIST DLMF 5.15.1)."""
    import scipy.special

    wide = np.asarray(x, dtype=np.float64)
    zeta = scipy.special.zeta(order + 1.0, wide)
    regular = zeta * ((-1.0) ** (order + 1) * math.factorial(order))
    poles = (wide <= 0) & (wide == np.floor(wide))
    at_pole = math.inf if order % 2 else np.where(wide == 0, -np.copysign(math.inf, wide), math.nan)
    result = np.where(poles, at_pole, regular)
    return np.where(wide == -math.inf, math.nan, result).astype(x.dtype)[()]


polygamma: Primitive = elementwise(
    "polygamma", _polygamma, lambda sp, x, *, order: sp.polygamma(order, x),
    "polygamma_kernel({0}, order)", lambda z, x, *, order: (polygamma(x, order=order + 1),),
    infer=_ordered("polygamma"), samples=_samples(*_GAMMA_DOMAIN, order=1)
    + _samples((0.5, 4.0), order=2), facts="transcendental singular",
)  # fmt: skip

# --- sinc ------------------------------------------------------------------------------------


# Written as in the kernels, operation by operation, so that both give the same digits.


def _sinpi(x: Any) -> Any:
    r = np.fmod(np.abs(x), 2.0)
    folded = np.where(r > 1.5, r - 2.0, np.where(r > 0.5, 1.0 - r, r))
    return np.sin(np.pi * (np.copysign(1.0, x) * folded))


def _sine_derivative(x: Any, order: int) -> Any:
    """sin(pi x + order pi/2)."""
    value = _sinpi(0.5 - np.fmod(np.abs(x), 2.0)) if order % 2 else _sinpi(x)
    return -value if order % 4 >= 2 else value


def _sinc_derivative(x: Any, *, order: int) -> Any:
    """The recurrence of `calcbench.graph.kernels.sinc_derivative_kernel`, in both directions."""
    wide = np.asarray(x, dtype=np.float64)
    u = np.pi * wide
    far = np.abs(u) > order
    divisor = np.where(far, u, 1.0)
    up = _sine_derivative(wide, 0) / divisor
    for k in range(1, order + 1):
        up = np.where(far, (_sine_derivative(wide, k) - k * up) / divisor, 0.0)
    factor, down = np.where(far, 0.0, u), np.zeros_like(u)
    for k in range(2 * order + 24, order, -1):
        down = (_sine_derivative(wide, k) - factor * down) / k
    return (np.pi**order * np.where(far, up, down)).astype(x.dtype)[()]


def _sinc_derivative_in_sympy(sp: Any, x: Any, *, order: int) -> Any:
    t = sp.Dummy("t", real=True)
    return sp.diff(sp.sin(sp.pi * t) / (sp.pi * t), t, order).subs(t, x)


sinc_derivative: Primitive = elementwise(
    "sinc_derivative", _sinc_derivative, _sinc_derivative_in_sympy,
    "sinc_derivative_kernel({0}, order)",
    lambda z, x, *, order: (sinc_derivative(x, order=order + 1),),
    infer=_ordered("sinc_derivative"),
    samples=_samples((0.2, 3.0), order=1) + _samples((-2.0, -0.2), order=2),
    facts="transcendental",
)  # fmt: skip
sinc = elementwise(
    "sinc", np.sinc, lambda sp, x: sp.sinc(sp.pi * x), "sinc_kernel({0})",
    lambda z, x: (sinc_derivative(x, order=1),), REAL, facts="transcendental",
)  # fmt: skip
