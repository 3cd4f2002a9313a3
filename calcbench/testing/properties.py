"""Properties that derivatives of any function have, as checks with readable failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from calcbench.derivatives import grad, hessian, hvp, jacobian, jvp, vjp


Function = Callable[..., Any]


def _direction(x: Any, rng: np.random.Generator) -> Any:
    return rng.normal(size=np.shape(x))[()]


def _compare(what: str, found: Any, expected: Any, rtol: float, scale: float = 0.0) -> None:
    """Entries agree relative to the largest of them: small ones may come from cancellation."""
    largest = max(float(np.max(np.abs(expected), initial=0.0)), scale)
    error = float(np.max(np.abs(np.asarray(found) - expected), initial=0.0))
    if not error <= rtol * largest:
        raise AssertionError(
            f"{what}: got {found}, expected {expected}; off by {error:.3g}, allowed "
            f"{rtol * largest:.3g}"
        )


def check_modes_agree(function: Function, x: Any, rtol: float = 1e-10) -> None:
    """Forward and reverse Jacobians are equal.

    Parameters
    ----------
    function : callable
        Of one float array.
    x : array_like
        The point.
    rtol : float
        Allowed error relative to the largest entry.

    Raises
    ------
    AssertionError
        If they differ.

    Examples
    --------
    >>> import numpy as np
    >>> check_modes_agree(lambda x: np.sin(x) * x, np.ones(3))
    """
    x = np.asarray(x, float)
    forward = jacobian(function, mode="forward")(x)
    _compare("modes", forward, jacobian(function, mode="reverse")(x), rtol)


def check_adjoint_identity(function: Function, x: Any, rng: Any = None, rtol: float = 1e-9) -> None:
    """<ct, J dx> equals <J^T ct, dx> for random ct and dx.

    Parameters
    ----------
    function, x, rtol
        As in `check_modes_agree`.
    rng : int, Generator or None
        Source of the directions.

    Raises
    ------
    AssertionError
        If the identity fails.

    Examples
    --------
    >>> import numpy as np
    >>> check_adjoint_identity(np.exp, np.ones(3), rng=0)
    """
    rng, x = np.random.default_rng(rng), np.asarray(x, float)
    dx = _direction(x, rng)
    y, dy = jvp(function, (x,), (dx,))
    ct = _direction(y, rng)
    (ct_x,) = vjp(function, x)[1](ct)
    scale = float(np.sum(np.abs(ct * dy)) + np.sum(np.abs(ct_x * dx)))
    _compare("adjoint identity", np.sum(ct * dy), np.sum(ct_x * dx), rtol, scale)


def check_linearity(function: Function, x: Any, rng: Any = None, rtol: float = 1e-9) -> None:
    """The tangent is linear in its direction, the pullback in its cotangent.

    Parameters
    ----------
    function, x, rng, rtol
        As in `check_adjoint_identity`.

    Raises
    ------
    AssertionError
        If either is not linear.

    Examples
    --------
    >>> import numpy as np
    >>> check_linearity(np.tanh, np.ones(3), rng=0)
    """
    rng, x = np.random.default_rng(rng), np.asarray(x, float)
    u, v = _direction(x, rng), _direction(x, rng)
    first, second = (jvp(function, (x,), (d,))[1] for d in (u, v))
    together = jvp(function, (x,), (2.0 * u - 3.0 * v,))[1]
    scale = float(np.max(np.abs(first), initial=0) + np.max(np.abs(second), initial=0))
    _compare("linearity of the tangent", together, 2.0 * first - 3.0 * second, rtol, scale)
    y, pull = vjp(function, x)
    a, b = _direction(y, rng), _direction(y, rng)
    (one,), (other,), (both,) = pull(a), pull(b), pull(2.0 * a - 3.0 * b)
    scale = float(np.max(np.abs(one), initial=0) + np.max(np.abs(other), initial=0))
    _compare("linearity of the pullback", both, 2.0 * one - 3.0 * other, rtol, scale)


def check_taylor(
    function: Function, x: Any, rng: Any = None, least: float = 1.9, most: float = np.inf
) -> None:
    """The remainder f(x + h v) - f(x) - h J v shrinks like h squared, or faster.

    Parameters
    ----------
    function, x, rng
        As in `check_adjoint_identity`; the function is smooth at x.
    least, most : float
        Bounds for the fitted exponent; it is 2 where the second derivative does not vanish.

    Raises
    ------
    AssertionError
        If the exponent lies outside, unless the remainder is rounding error throughout.

    Examples
    --------
    >>> import numpy as np
    >>> check_taylor(np.exp, np.ones(3), rng=0)
    """
    rng, x = np.random.default_rng(rng), np.asarray(x, float)
    v = _direction(x, rng)
    v = v / max(float(np.linalg.norm(v)), 1e-300)
    y, dy = jvp(function, (x,), (v,))
    steps = 10.0 ** np.linspace(-2, -4, 9)
    rests = [np.linalg.norm(function(x + h * v) - y - h * dy) for h in steps]
    noise = 1e-14 * float(np.linalg.norm(y) + np.linalg.norm(dy) + 1e-300)
    kept = [(np.log(h), np.log(r)) for h, r in zip(steps, rests, strict=True) if r > 300 * noise]
    if len(kept) >= 4:
        sizes, remainders = np.transpose(kept)
        slope = float(np.polyfit(sizes, remainders, 1)[0])
        if not least <= slope <= most:
            raise AssertionError(f"the Taylor remainder shrinks like h^{slope:.2f}, not h^2")


def check_hessian_symmetry(function: Function, x: Any, rng: Any = None, rtol: float = 1e-9) -> None:
    """The Hessian is symmetric, and its products agree with it.

    Parameters
    ----------
    function, x, rng, rtol
        As in `check_adjoint_identity`; the result is a scalar.

    Raises
    ------
    AssertionError
        If it is not symmetric, or `hvp` disagrees.

    Examples
    --------
    >>> import numpy as np
    >>> check_hessian_symmetry(lambda x: np.prod(x), np.ones(3), rng=0)
    """
    rng, x = np.random.default_rng(rng), np.asarray(x, float)
    full = np.reshape(hessian(function)(x), (x.size, x.size))
    _compare("symmetry of the Hessian", full, full.T, rtol)
    v = _direction(x, rng)
    product = np.reshape(hvp(function, (x,), (v,)), -1)
    scale = float(np.max(np.abs(full), initial=0) * np.max(np.abs(v), initial=0))
    _compare("Hessian-vector product", product, full @ np.reshape(v, -1), rtol, scale)


def check_homogeneity(function: Function, x: Any, degree: float, rtol: float = 1e-9) -> None:
    """Euler's theorem: x . grad f(x) = k f(x) for a function homogeneous of degree k.

    Parameters
    ----------
    function, x, rtol
        As in `check_modes_agree`; the result is a scalar.
    degree : float
        The degree k.

    Raises
    ------
    AssertionError
        If the identity fails.

    Examples
    --------
    >>> import numpy as np
    >>> check_homogeneity(lambda x: np.sum(x**3), np.ones(3), degree=3)
    """
    x = np.asarray(x, float)
    _compare("Euler", np.sum(x * grad(function)(x)), degree * function(x), rtol)


def check_shift_invariance(
    function: Function, x: Any, rtol: float = 1e-9, scale: float = 0.0
) -> None:
    """The gradient of a function with f(x + c) = f(x) sums to zero.

    Parameters
    ----------
    function, x, rtol
        As in `check_modes_agree`; the result is a scalar.
    scale : float
        Size of terms that cancel within an entry: 1 for softmax(x) - 1/n, whose entries may be
        far smaller than the numbers they are differences of.

    Raises
    ------
    AssertionError
        If the sum is not zero, relative to the entries and to `scale`.

    Examples
    --------
    >>> import numpy as np
    >>> check_shift_invariance(np.var, np.arange(3.0))
    """
    slopes = grad(function)(np.asarray(x, float))
    size = max(scale, float(np.sum(np.abs(slopes))))
    _compare("shift", np.sum(slopes), 0.0, rtol, size)
