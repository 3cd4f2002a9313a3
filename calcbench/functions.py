"""Functions that NumPy lacks, for arrays and for traced values alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from calcbench.graph import elementwise, kinks, reductions, special
from calcbench.graph.arraytype import FLOAT64, DTypeError, as_array
from calcbench.graph.lifting import Value, as_dtype, holds_values, used, value_or_array
from calcbench.graph.primitive import Primitive


def _apply(row: Primitive, x: Any, keep_integers: bool = False) -> Any:
    """A unary row on a traced value (a node) or on numbers (NumPy)."""
    if isinstance(x, Value) or holds_values(x):
        value = used(value_or_array(x))
        return row(value if keep_integers or value.type.is_float else as_dtype(value, FLOAT64))
    array = as_array(x, "the argument")
    if array.dtype.kind == "b":
        raise DTypeError(f"{row.name} takes numbers, got bool; convert with .astype(float)")
    if array.dtype.kind != "f" and not keep_integers:
        array = array.astype(np.float64)
    with np.errstate(all="ignore"):
        return row.numpy(array[()])


def detach(x: Any) -> Any:
    """The value of `x`, through which no derivative passes (stop-gradient).

    Parameters
    ----------
    x : array_like or traced value
        Any shape; integers count as float64 unless kept as they are.

    Returns
    -------
    array or traced value
        Shaped like `x`.

    Raises
    ------
    DTypeError
        If `x` holds no real numbers.

    Notes
    -----
    detach(x) = x, d detach(x) = 0.

    Examples
    --------
    >>> import calcbench as cb
    >>> float(cb.grad(lambda x: x * cb.detach(x))(3.0))
    3.0
    """
    return _apply(elementwise.detach, x, keep_integers=True)


def relu(x: Any) -> Any:
    """max(x, 0), NaN where x is NaN; its slope at 0 is chosen by `kink_convention`.

    Parameters
    ----------
    x : array_like or traced value
        Any shape; integers count as float64 unless kept as they are.

    Returns
    -------
    array or traced value
        Shaped like `x`.

    Raises
    ------
    DTypeError
        If `x` holds no real numbers.

    Notes
    -----
    relu(x) = max(x, 0); Clarke subdifferential [0, 1] at 0.

    Examples
    --------
    >>> import calcbench as cb
    >>> cb.relu([-1.0, 2.0])
    array([0., 2.])
    """
    return _apply(kinks.relu, x, keep_integers=True)


def sigmoid(x: Any) -> Any:
    """The logistic function, without overflow.

    Parameters
    ----------
    x : array_like or traced value
        Any shape; integers count as float64.

    Returns
    -------
    array or traced value
        Shaped like `x`.

    Raises
    ------
    DTypeError
        If `x` holds no real numbers.

    Notes
    -----
    sigmoid(x) = 1 / (1 + exp(-x)); derivative sigmoid(x) sigmoid(-x).

    Examples
    --------
    >>> import calcbench as cb
    >>> float(cb.sigmoid(0.0))
    0.5
    """
    return _apply(elementwise.sigmoid, x)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow.

    Parameters
    ----------
    x : array_like or traced value
        Any shape; integers count as float64.

    Returns
    -------
    array or traced value
        Shaped like `x`.

    Raises
    ------
    DTypeError
        If `x` holds no real numbers.

    Notes
    -----
    Derivative sigmoid(x).

    Examples
    --------
    >>> import calcbench as cb
    >>> float(cb.softplus(1000.0))
    1000.0
    """
    return _apply(elementwise.softplus, x)


def erf(x: Any) -> Any:
    """The error function.

    Parameters
    ----------
    x : array_like or traced value
        Any shape; integers count as float64.

    Returns
    -------
    array or traced value
        Shaped like `x`.

    Raises
    ------
    DTypeError
        If `x` holds no real numbers.

    Notes
    -----
    erf(x) = 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x (DLMF 7.2.1).

    Examples
    --------
    >>> import calcbench as cb
    >>> float(cb.erf(0.0))
    0.0
    """
    return _apply(special.erf, x)


def erfc(x: Any) -> Any:
    """The complementary error function, 1 - erf(x) without cancellation.

    Parameters
    ----------
    x : array_like or traced value
        Any shape; integers count as float64.

    Returns
    -------
    array or traced value
        Shaped like `x`.

    Raises
    ------
    DTypeError
        If `x` holds no real numbers.

    Notes
    -----
    DLMF 7.2.2.

    Examples
    --------
    >>> import calcbench as cb
    >>> float(cb.erfc(0.0))
    1.0
    """
    return _apply(special.erfc, x)


def lgamma(x: Any) -> Any:
    """The logarithm of |Gamma(x)|.

    Parameters
    ----------
    x : array_like or traced value
        Any shape; integers count as float64.

    Returns
    -------
    array or traced value
        Shaped like `x`.

    Raises
    ------
    DTypeError
        If `x` holds no real numbers.

    Notes
    -----
    Derivative digamma(x) (DLMF 5.2.2).

    Examples
    --------
    >>> import calcbench as cb
    >>> float(cb.lgamma(1.0))
    0.0
    """
    return _apply(special.lgamma, x)


def digamma(x: Any) -> Any:
    """The logarithmic derivative of the gamma function.

    Parameters
    ----------
    x : array_like or traced value
        Any shape; integers count as float64.

    Returns
    -------
    array or traced value
        Shaped like `x`.

    Raises
    ------
    DTypeError
        If `x` holds no real numbers.

    Notes
    -----
    digamma(x) = Gamma'(x) / Gamma(x) (DLMF 5.2.2).

    Examples
    --------
    >>> import calcbench as cb
    >>> round(float(cb.digamma(1.0)), 6)
    -0.577216
    """
    return _apply(special.digamma, x)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) along axes, without overflow.

    Parameters
    ----------
    x : array_like or traced value
        Any shape.
    axis : int or tuple of int, optional
        All axes by default.
    keepdims : bool
        Whether reduced axes stay with size one.

    Returns
    -------
    array or traced value
        Reduced along `axis`.

    Raises
    ------
    DTypeError, ShapeError
        If `x` holds no real numbers, or has no such axis.

    Notes
    -----
    Its gradient is softmax(x), whose entries sum to one.

    Examples
    --------
    >>> import calcbench as cb
    >>> float(cb.logsumexp([1000.0, 1000.0])) - 1000.0 < 0.6932
    True
    """
    return reductions.logsumexp(x, axis=axis, keepdims=keepdims)


def softmax(x: Any, axis: Any = -1) -> Any:
    """exp(x) / sum(exp(x)) along an axis, without overflow.

    Parameters
    ----------
    x : array_like or traced value
        Any shape.
    axis : int
        The axis along which the result sums to one.

    Returns
    -------
    array or traced value
        Shaped like `x`.

    Raises
    ------
    DTypeError, ShapeError
        If `x` holds no real numbers, or has no such axis.

    Examples
    --------
    >>> import calcbench as cb
    >>> cb.softmax([0.0, 0.0])
    array([0.5, 0.5])
    """
    return reductions.softmax(x, axis=axis)
