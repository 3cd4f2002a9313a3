"""One derivative computed every way, side by side: seconds, operations and bytes of each mode."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from calcbench.compilation import compile as compile_graph
from calcbench.graph.arraytype import DerivativeError, DTypeError, GraphError
from calcbench.jacobians import jacfwd, jacrev
from calcbench.measure.mode_records import DIRECT, Comparison, ModeRecord
from calcbench.measure.reporting import Cost, cost
from calcbench.measure.timing import Timing, elapsed, time_calls
from calcbench.sweeps import forward_sweep, reverse_sweep


Function = Callable[..., Any]
MODES = ("forward", "reverse")
ENGINES = ("numpy", "tape", "fused")
AGREEMENT = 1e-8  # relative to the largest entry


def compare_modes(
    function: Function,
    *args: Any,
    engines: Sequence[str] = ("tape", "fused"),
    modes: Sequence[str] = MODES,
    budget: float = 2.0,
) -> Comparison:
    """Compute the derivative by the first argument every way, check that all agree, and time them.

    Parameters
    ----------
    function : callable
        A function of float arrays with one array as its result.
    *args : array_like
        The point; the derivative is by the first.
    engines : sequence of {"numpy", "tape", "fused"}
        ``tape`` brings the direct sweeps along.
    modes : sequence of {"forward", "reverse"}
        Forward: one sweep an input. Reverse: one sweep an output.
    budget : float
        Seconds to spend on timing, once every way has been taken five times.

    Returns
    -------
    Comparison
        Printed, a table with a recommendation.

    Raises
    ------
    GraphError
        If a mode or engine is unknown, or none is left.
    DerivativeError
        If the function is not differentiable there, or two ways disagree: then nothing is timed.

    Notes
    -----
    Times are of warm calls in turns, with the first call (recording, transforming, compiling)
    apart; bytes are what the allocator gave out in one more call, so that counting them slows no
    other.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> found = cb.compare_modes(
    ...     lambda x: np.sum(np.sin(x) * x), np.ones(50), engines=["numpy"], budget=0.01
    ... )
    >>> [(r.mode, r.sweeps) for r in found.records]
    [('forward', 50), ('reverse', 1)]
    """
    _check("mode", modes, MODES)
    _check("engine", engines, ENGINES)
    x = _point(args)

    def of_first(first: Any) -> Any:
        return function(first, *args[1:])

    counts = cost(of_first, x)
    if counts.jvp is None or counts.vjp is None:
        raise DerivativeError(f"there is nothing to differentiate: {counts.without}")
    m = int(np.size(of_first(x)))
    ways = _ways(of_first, x, m, engines, modes)
    found, firsts = _called(ways)
    _check_agreement(found)
    alone = {e: compile_graph(of_first, engine=e) for e in engines}
    calls = {"/".join(key): way for key, way in ways.items()}
    calls |= {e: partial(call, x) for e, call in alone.items()}
    timings = time_calls(calls, budget, firsts)
    records = [
        _record(key, way, timings["/".join(key)], x.size, m, counts) for key, way in ways.items()
    ]
    return Comparison(x.size, m, tuple(records), {e: timings[e] for e in engines}, counts)


def _check(what: str, asked: Sequence[str], known: Sequence[str]) -> None:
    unknown = [a for a in asked if a not in known]
    if unknown or not asked:
        raise GraphError(
            f"{what}s are one or several of {', '.join(known)}, got {', '.join(asked) or 'none'}"
        )


def _point(args: tuple[Any, ...]) -> np.ndarray:
    if not args:
        raise GraphError("compare_modes takes the point to differentiate at after the function")
    x = np.array(args[0])
    if x.dtype.kind != "f":
        raise DTypeError(f"the first argument carries no derivative: it is {x.dtype}; pass floats")
    if not x.size:
        raise GraphError(f"the first argument has no entries: its shape is {x.shape}")
    return x


Key = tuple[str, str]
Ways = dict[Key, Callable[[], Any]]


def _ways(f: Function, x: np.ndarray, m: int, engines: Sequence[str], modes: Sequence[str]) -> Ways:
    """The derivative, y's axes then x's, by mode and engine."""
    makers = {"forward": jacfwd, "reverse": jacrev}
    direct = {"forward": _by_directions, "reverse": _by_cotangents}
    ways: Ways = {}
    for mode in modes:
        for engine in engines:
            ways[mode, engine] = partial(makers[mode](f, engine=engine), x)
            if engine == "tape":
                ways[mode, DIRECT] = direct[mode](f, x)
    return ways


def _by_directions(f: Function, x: np.ndarray) -> Callable[[], Any]:
    """All directions in one forward sweep."""
    directions = np.eye(x.size, dtype=x.dtype).reshape(x.size, *x.shape)

    def jacobian() -> Any:
        y, dy = forward_sweep(f, x, directions)
        return np.moveaxis(np.asarray(dy), 0, -1).reshape(*np.shape(y), *x.shape)

    return jacobian


def _by_cotangents(f: Function, x: np.ndarray) -> Callable[[], Any]:
    """One reverse sweep an output."""
    y = np.asarray(f(x))
    if y.ndim == 0:
        return lambda: reverse_sweep(f, x)[1]
    seeds = np.eye(y.size, dtype=y.dtype).reshape(y.size, *y.shape)
    return lambda: np.reshape([reverse_sweep(f, x, ct)[1] for ct in seeds], (*y.shape, *x.shape))


def _called(ways: Ways) -> tuple[dict[Key, Any], dict[str, float]]:
    """What every way gives, and the seconds of that first call."""
    found: dict[Key, Any] = {}
    firsts: dict[str, float] = {}
    for key, way in ways.items():

        def call(key: Key = key, way: Callable[[], Any] = way) -> None:
            found[key] = way()

        firsts["/".join(key)] = elapsed(call)
    return found, firsts


def _check_agreement(found: dict[Key, Any]) -> None:
    (first, expected), *others = found.items()
    if not np.all(np.isfinite(expected)):
        raise DerivativeError("the derivative is not finite at this point: choose another one")
    for key, value in others:
        size = np.max(np.abs(expected), initial=0.0)
        if not np.allclose(value, expected, rtol=AGREEMENT, atol=AGREEMENT * size, equal_nan=True):
            raise DerivativeError(
                f"{' mode on '.join(key)} and {' mode on '.join(first)} disagree by "
                f"{np.max(np.abs(value - expected)):.3g}: nothing was timed; please report this"
            )


def _record(
    key: Key, way: Callable[[], Any], timing: Timing, n: int, m: int, counts: Cost
) -> ModeRecord:
    mode, engine = key
    sweeps, once = (n, counts.jvp) if mode == "forward" else (m, counts.vjp)
    assert once is not None
    return ModeRecord(mode, engine, sweeps, timing, sweeps * once.operations.total, _allocated(way))


def _allocated(call: Callable[[], Any]) -> int:
    """The most bytes that a call takes at once, by the allocator."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = call()
        peak = tracemalloc.get_traced_memory()[1]
        del result
    finally:
        tracemalloc.stop()
    return int(peak - before)
