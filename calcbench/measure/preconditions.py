"""What must hold of a function at a point before anything is measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from calcbench.graph.arraytype import DerivativeError, DTypeError, GraphError


ROUNDING = 64  # units in the last place of the largest entry


def checked_point(args: tuple[Any, ...]) -> np.ndarray:
    """The first argument as an array of finite floats.

    Raises
    ------
    GraphError
        If there is none, or it has no entries.
    DTypeError
        If it holds no floats.
    DerivativeError
        If it is not finite.
    """
    if not args:
        raise GraphError("compare_modes takes the point to differentiate at after the function")
    x = np.array(args[0])
    if x.dtype.kind != "f":
        raise DTypeError(f"the first argument carries no derivative: it is {x.dtype}; pass floats")
    if not x.size:
        raise GraphError(f"the first argument has no entries: its shape is {x.shape}")
    _check_finite(x, "the point")
    return x


def checked_value(function: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    """The function's value, which two calls at the same point agree on.

    Raises
    ------
    GraphError
        If it is not one array of floats with entries.
    DerivativeError
        If the calls differ, or the value is not finite.
    """
    first, second = (_array(function(x.copy())) for _ in range(2))
    difference = _difference(first, second)
    if difference:
        raise DerivativeError(
            f"the function is not deterministic: two calls at the same point gave {difference}; "
            "nothing was timed. Draw random numbers before, and pass them as arguments"
        )
    if not first.size:
        raise GraphError(f"the result has no entries: its shape is {first.shape}")
    _check_finite(first, "the function's value")
    return first


def _array(value: Any) -> np.ndarray:
    if isinstance(value, tuple | list | dict):
        raise GraphError(
            f"one array is compared, and the function returns a {type(value).__name__} of "
            f"{len(value)}: return one array, as with np.concatenate"
        )
    found = np.asarray(value)
    if found.dtype.kind != "f":
        raise DerivativeError(f"there is nothing to differentiate: the result is {found.dtype}")
    return found


def _difference(first: np.ndarray, second: np.ndarray) -> str:
    """How two values differ, in words; empty if by no more than BLAS's order of additions does."""
    if first.shape != second.shape:
        return f"shapes {first.shape} and {second.shape}"
    with np.errstate(all="ignore"):
        gap = np.abs(np.where(_same(first, second), 0, first - second))
        size = np.max(np.abs(first), initial=0.0, where=np.isfinite(first))
        most = np.max(gap, initial=0.0)
    return (
        "" if most <= ROUNDING * np.finfo(first.dtype).eps * size else f"results {most:.3g} apart"
    )


def _same(first: np.ndarray, second: np.ndarray) -> Any:
    return (first == second) | (np.isnan(first) & np.isnan(second))


def _check_finite(array: np.ndarray, what: str) -> None:
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = tuple(map(int, bad[0]))
        raise DerivativeError(
            f"{what} is not finite: {len(bad)} of {array.size} entries, the first "
            f"{array[place]} at {place}; choose another point"
        )
