"""The two accumulation modes run directly: no graph of the derivative is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib import import_module
from typing import Any

import numpy as np

from calcbench.graph.arraytype import DerivativeError, ShapeError, as_array
from calcbench.graph.conventions import kink_convention
from calcbench.graph.ir import Graph
from calcbench.graph.paths import Arguments, Attempt, Path, Paths, arguments_hold_values
from calcbench.graph.tracing import Trace
from calcbench.graph.trees import leaves_of
from calcbench.lower.compiler import EngineError
from calcbench.lower.forward_code import ForwardSweep
from calcbench.lower.reverse_code import ReverseSweep
from calcbench.lower.sweep_kinds import is_straight
from calcbench.lower.transformed_sweeps import TransformedForward, TransformedReverse
from calcbench.products import checked_seed, cotangent_leaves, jvp, vjp
from calcbench.programs import (
    argument_tree,
    arguments_of,
    matching_leaves,
    result_tree,
    shared_paths,
    taken,
    tangent_tree,
)
from calcbench.shortcuts import MISS
from calcbench.sweep_shortcuts import learn, quick_pull, quick_push


Function = Callable[..., Any]


def forward_sweep(
    function: Function,
    x: Any,
    dx: Any,
    *,
    kink: str | None = None,
    batch: bool = False,
    engine: str = "tape",
    max_paths: int = 32,
) -> tuple[Any, Any]:
    """Value and tangents in one forward accumulation sweep.

    Parameters
    ----------
    function : callable
        Any function of float arrays.
    x : array_like or tuple
        Its argument, or a tuple of several.
    dx : array_like or tuple
        The tangent, shaped like `x`; or several at once, along one more axis in front.
    kink : str, optional
        Convention at kinks.
    batch : bool
        Whether every array holds many points, along its first axis: the sweep at each of them,
        shared out over the cores. Directions are then the second axis of `dx`.
    engine : {"tape", "cuda"}
        ``cuda`` takes a batch to a CUDA device, where each thread sweeps one point.
    max_paths : int
        How many different branches the points of a batch may take together.

    Returns
    -------
    (y, dy)
        The result, and f'(x) dx; with the directions' axis in front if `dx` has one. Of a batch,
        both have the points' axis in front, and lie on the device if an argument does.

    Raises
    ------
    DerivativeError, DTypeError, ShapeError, TraceError
        As `jvp`.
    EngineError, GraphError
        If the engine cannot be used, or the points take more than `max_paths` branches.

    Notes
    -----
    ``dz = sum_i (dz/dx_i) dx_i``, one operation after the other (Griewank & Walther 2008, table
    3.4). A program of scalars runs as straight-line code that carries value and tangents and uses
    memory again after a value's last reader: memory does not grow with the number of operations.
    A program on whole arrays runs as its `jvp_graph` on the tape; in a batch, as `compile` runs
    graphs at many points.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> y, dy = cb.forward_sweep(lambda x: x[0] * x[1], np.array([2.0, 3.0]), np.eye(2))
    >>> dy
    array([3., 2.])
    >>> cb.forward_sweep(np.sin, np.zeros(3), np.array([1.0, 2.0, 3.0]), batch=True)[1]
    array([1., 2., 3.])
    """
    if _asks_for_batch(batch, engine):
        pair: tuple[Any, Any] = _batches().forward_batch(function, x, dx, kink, engine, max_paths)
        return pair
    args = x if isinstance(x, tuple) else (x,)
    paths = shared_paths(function, forward_program)
    if kink is None:
        quick = quick_push(paths, args, dx)
        if quick is not MISS:
            return quick[0], quick[1]
    with nullcontext() if kink is None else kink_convention(kink):
        arguments = arguments_of(paths, args, {}, tuple(range(len(args))))
        if arguments_hold_values(arguments):
            return jvp(function, x, dx)
        seeds, is_single = _directions(arguments, x, dx)
        path, results = _run(paths, arguments, lambda trace: seeds)
        learn(paths, path, arguments, len(args))
    count = len(path.trace.graph.outputs)
    tangents = [r[0] if is_single else r for r in results[count:]]
    return result_tree(path.trace, results[:count]), tangent_tree(path.trace, tangents)


def reverse_sweep(
    function: Function,
    x: Any,
    ct: Any = None,
    *,
    kink: str | None = None,
    batch: bool = False,
    engine: str = "tape",
    max_paths: int = 32,
) -> tuple[Any, Any]:
    """Value and cotangent in one reverse accumulation sweep.

    Parameters
    ----------
    function : callable
        Any function of float arrays.
    x : array_like or tuple
        Its argument, or a tuple of several.
    ct : array_like, optional
        The cotangent of the result, shaped like it; 1 by default, for a scalar result.
    kink : str, optional
        Convention at kinks.
    batch : bool
        Whether every array holds many points, along its first axis: the sweep at each of them,
        shared out over the cores.
    engine : {"tape", "cuda"}
        ``cuda`` takes a batch to a CUDA device, where each thread sweeps one point.
    max_paths : int
        How many different branches the points of a batch may take together.

    Returns
    -------
    (y, ct_x)
        The result, and f'(x)^T ct, shaped like `x`: the gradient, if y is a scalar and `ct` is 1.
        Of a batch, both have the points' axis in front, and lie on the device if an argument does.

    Raises
    ------
    DerivativeError, DTypeError, ShapeError, TraceError
        As `vjp`; also if `ct` is missing and the result is not one scalar.
    EngineError, GraphError
        If the engine cannot be used, or the points take more than `max_paths` branches.

    Notes
    -----
    Values upward, then ``bar_i += (dz/dx_i) bar_z`` from the last operation to the first (Griewank
    & Walther 2008, table 3.5): time in proportion to the function's, whatever the number of inputs;
    memory in proportion to its operations. A program of scalars runs as straight-line code, a
    program on whole arrays as its `vjp_graph` on the tape; in a batch, as `compile` runs graphs at
    many points.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> y, slope = cb.reverse_sweep(lambda x: x[0] * x[1], np.array([2.0, 3.0]))
    >>> slope
    array([3., 2.])
    >>> cb.reverse_sweep(lambda x: x * x, np.array([1.0, 2.0, 3.0]), batch=True)[1]
    array([2., 4., 6.])
    """
    if _asks_for_batch(batch, engine):
        pair: tuple[Any, Any] = _batches().reverse_batch(function, x, ct, kink, engine, max_paths)
        return pair
    args = x if isinstance(x, tuple) else (x,)
    paths = shared_paths(function, reverse_program)
    if ct is None and kink is None:
        quick = quick_pull(paths, args)
        if quick is not MISS:
            return quick if isinstance(x, tuple) else (quick[0], quick[1][0])
    numbers: Any = tuple(range(len(args))) if isinstance(x, tuple) else 0
    with nullcontext() if kink is None else kink_convention(kink):
        arguments = arguments_of(paths, args, {}, numbers)
        if arguments_hold_values(arguments):
            return _traced(function, args, numbers, ct)
        path, results = _run(paths, arguments, lambda trace: cotangents(trace, ct))
        learn(paths, path, arguments, len(args))
    count = len(path.trace.graph.outputs)
    value = result_tree(path.trace, results[:count])
    return value, argument_tree(arguments, numbers, results[count:])


def _asks_for_batch(batch: bool, engine: str) -> bool:
    if engine not in ("tape", "cuda"):
        raise EngineError(f"sweeps have no engine {engine!r}; choose tape or cuda")
    if engine == "cuda" and not batch:
        raise EngineError(
            "on a CUDA device each thread sweeps one point: pass batch=True and arrays whose first "
            "axis is the point, or stay with engine='tape' for a single one"
        )
    return batch


def _batches() -> Any:
    """Loaded when it is asked for: modules for CUDA come with it."""
    return import_module("calcbench.sweep_batches")


def forward_program(graph: Graph, wanted: Sequence[int]) -> Any:
    """What runs a forward sweep: straight-line code, or the transformed graph."""
    if not is_straight(graph):
        return TransformedForward(graph, wanted)
    return ForwardSweep(graph, wanted)


def reverse_program(graph: Graph, wanted: Sequence[int]) -> Any:
    """What runs a reverse sweep."""
    if not is_straight(graph):
        return TransformedReverse(graph, wanted)
    return ReverseSweep(graph, wanted)


def _run(
    paths: Paths, arguments: Arguments, seeds: Callable[[Trace], Sequence[Any]]
) -> tuple[Path, list[Any]]:
    """The first path whose guards hold, and its sweep."""

    def swept(attempt: Attempt) -> Any:
        path = attempt.path
        return path.built([*arguments.arrays, *attempt.captured], seeds(path.trace))

    return taken(paths, arguments, swept)


# --- seeds ----------------------------------------------------------------------------------------


def _directions(arguments: Arguments, x: Any, dx: Any) -> tuple[list[Any], bool]:
    """The tangents with an axis of directions in front, and whether they were given without."""
    wanted = [arguments.names[p] for p in arguments.wanted]
    pairs = zip(matching_leaves(dx, x, "tangents"), wanted, strict=True)
    given = [np.asarray(as_array(d, f"tangents of {n}")) for d, n in pairs]
    primals = [np.asarray(v) for v in leaves_of(x)]
    is_single = all(d.ndim == v.ndim for d, v in zip(given, primals, strict=True))
    stacked = [d[None] if is_single else d for d in given]
    counts = {d.shape[:1] for d in stacked}
    if len(counts) != 1 or counts == {()}:
        shapes = ", ".join(f"{d.shape} for {v.shape}" for d, v in zip(given, primals, strict=True))
        raise ShapeError(
            "tangents are shaped like their arguments, or all have one axis more in front, of the "
            f"same length: the directions; got {shapes}"
        )
    if counts == {(0,)}:
        raise ShapeError("the tangents hold no direction: their first axis is empty; pass one")
    likes = [np.broadcast_to(v, (*next(iter(counts)), *v.shape)) for v in primals]
    leaves = zip(stacked, likes, wanted, strict=True)
    return [checked_seed(d, v, f"tangents of {n}") for d, v, n in leaves], is_single


def cotangents(trace: Trace, ct: Any, *count: int) -> list[Any]:
    """One cotangent per float output; those of `count` points have their axis in front."""
    types = [trace.graph.types[i] for i in trace.graph.outputs]
    if ct is None:
        if len(types) != 1 or types[0].shape != () or not types[0].is_float:
            raise DerivativeError(
                "without a cotangent the result must be one scalar float, got "
                f"({', '.join(map(str, types))}); pass ct, shaped like the result"
            )
        return [np.ones(count, types[0].dtype)[()]]
    value = result_tree(trace, [np.zeros((*count, *t.shape), t.dtype)[()] for t in types])
    return list(cotangent_leaves(trace, ct, value))


def _traced(function: Function, args: Any, numbers: Any, ct: Any) -> tuple[Any, Any]:
    """Inside another derivative: the same as the graph that the outer one differentiates."""
    value, pull = vjp(function, *args, argnums=numbers)
    return value, pull(np.float64(1.0) if ct is None else ct)
