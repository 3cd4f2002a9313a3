"""The ways to a derivative as a user would call them, and the check that they agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from calcbench.graph.arraytype import DerivativeError
from calcbench.jacobians import jacfwd, jacobian, jacrev
from calcbench.measure.mode_plans import ModePlan
from calcbench.measure.stages import DIRECT
from calcbench.sweeps import forward_sweep, reverse_sweep


Function = Callable[..., Any]
Key = tuple[str, str]
Call = Callable[[], Any]
AGREEMENT = 1e-8  # relative to the largest entry
ROUNDING = 1e3  # units in the last place; more than the above for float32 alone


def ways_to(plans: Sequence[ModePlan], x: np.ndarray, engines: Sequence[str]) -> dict[Key, Call]:
    """The derivative, y's axes then x's, by mode and engine; the tape brings direct sweeps too."""
    makers: dict[str, Callable[..., Function]]
    makers = {"forward": jacfwd, "reverse": jacrev, "mixed": partial(jacobian, mode="mixed")}
    direct = {"forward": by_directions, "reverse": by_cotangents}
    ways: dict[Key, Call] = {}
    for plan in plans:
        for engine in engines:
            made = makers[plan.transform](plan.function, engine=engine)
            ways[plan.mode, engine] = partial(made, x)
            if engine == "tape" and plan.mode in direct:
                ways[plan.mode, DIRECT] = direct[plan.mode](plan.function, x)
    return ways


def by_directions(function: Function, x: np.ndarray) -> Call:
    """All directions in one forward sweep."""
    directions = np.eye(x.size, dtype=x.dtype).reshape(x.size, *x.shape)

    def jacobian() -> Any:
        y, dy = forward_sweep(function, x, directions)
        return np.moveaxis(np.asarray(dy), 0, -1).reshape((*np.shape(y), *x.shape))

    return jacobian


def one_direction(function: Function, x: np.ndarray) -> Call:
    """A forward sweep in the first direction alone."""
    direction = np.zeros((1, *x.shape), x.dtype)
    direction.reshape(-1)[0] = 1
    return partial(forward_sweep, function, x, direction)


def by_cotangents(function: Function, x: np.ndarray) -> Call:
    """One reverse sweep an output."""
    y = np.asarray(function(x.copy()))  # a function may write to its argument
    if y.ndim == 0:
        return lambda: reverse_sweep(function, x)[1]
    seeds = np.eye(y.size, dtype=y.dtype).reshape(y.size, *y.shape)
    rows = partial(map, lambda ct: reverse_sweep(function, x, ct)[1])
    return lambda: np.reshape(list(rows(seeds)), (*y.shape, *x.shape))


def check_agreement(found: Mapping[Key, Any]) -> None:
    """A DerivativeError unless all ways lead to the same finite derivative."""
    if not found:
        return
    (first, expected), *others = found.items()
    if not np.all(np.isfinite(expected)):
        raise DerivativeError("the derivative is not finite at this point: choose another one")
    for key, value in others:
        _check_pair(" mode on ".join(key), " mode on ".join(first), value, expected)


def check_values(y: np.ndarray, found: Mapping[str, Any], moved: float = 0.0) -> None:
    """A DerivativeError unless the function has its own value on every engine.

    A recording of a function that keeps state may differ from what its calls return. Terms may
    cancel: rounding is measured by what the point's own rounding does to a value, if that is more.
    """
    for engine, value in found.items():
        _check_pair(f"the function on {engine}", "the function called", value, y, moved)


def movement(derivative: Any, x: np.ndarray) -> float:
    """The most by which a relative change of 1 in every entry of x moves an entry of y."""
    rows = np.abs(np.asarray(derivative)).reshape(-1, x.size)
    return float(np.max(rows @ np.abs(x).reshape(-1)))


def _check_pair(one: str, other: str, value: Any, expected: Any, least: float = 0.0) -> None:
    size = max(float(np.max(np.abs(expected), initial=0.0)), least)
    near = max(AGREEMENT, ROUNDING * float(np.finfo(np.asarray(expected).dtype).eps))
    if not np.allclose(value, expected, rtol=near, atol=near * size, equal_nan=True):
        raise DerivativeError(
            f"{one} and {other} disagree by {np.max(np.abs(value - expected)):.3g}: nothing was "
            "timed; please report this, unless the function keeps state"
        )
