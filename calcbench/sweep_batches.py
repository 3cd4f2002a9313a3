"""The two direct sweeps at many points: over the cores, or one thread of a device a point.

Points are grouped by path as in every batch, and every path has a program for many points. Arrays
of a device stay there, as in ``cb.compile(..., engine="cuda")``: a new path copies one point to the
host to be recorded, and points of several paths are sorted there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import numpy as np

from calcbench.batches import Batch, PathGroups, batch_count
from calcbench.device_calls import Held, fitted, held_on_device, placed
from calcbench.graph.arraytype import ShapeError
from calcbench.graph.conventions import kink_convention
from calcbench.graph.paths import Arguments, Paths
from calcbench.graph.tracing import Trace
from calcbench.graph.trees import leaves_of, map_leaves
from calcbench.lower.cuda_arrays import device_array, is_on_device, on_host, stand_in
from calcbench.products import checked_seed
from calcbench.programs import (
    argument_tree,
    arguments_of,
    matching_leaves,
    result_tree,
    tangent_tree,
)
from calcbench.sweep_points import forward_points, reverse_points
from calcbench.sweeps import cotangents


Function = Callable[..., Any]


def forward_batch(
    function: Function, x: Any, dx: Any, kink: str | None, engine: str, max_paths: int
) -> tuple[Any, Any]:
    """`forward_sweep` at many points."""
    args = x if isinstance(x, tuple) else (x,)
    groups = _kept_groups(function, "forward", engine)
    with nullcontext() if kink is None else kink_convention(kink):
        whole, held = _arguments(groups.paths, args, tuple(range(len(args))), engine)
        given = list(matching_leaves(dx, x, "tangents"))
        stays = bool(held) or any(map(is_on_device, given))
        seeds, is_single = _directions(whole, [_seed(d, engine) for d in given])
        trace, found = groups.run(Batch(whole, held, lambda trace: seeds), max_paths)
    results, count = placed(found) if stays else found, len(trace.graph.outputs)
    tangents = list(results[count:])
    if is_single:
        tangents = [t.reshape((t.shape[0], *t.shape[2:])) for t in tangents]
    return result_tree(trace, results[:count]), tangent_tree(trace, tangents)


def reverse_batch(
    function: Function, x: Any, ct: Any, kink: str | None, engine: str, max_paths: int
) -> tuple[Any, Any]:
    """`reverse_sweep` at many points."""
    args = x if isinstance(x, tuple) else (x,)
    numbers: Any = tuple(range(len(args))) if isinstance(x, tuple) else 0
    groups = _kept_groups(function, "reverse", engine)
    with nullcontext() if kink is None else kink_convention(kink):
        whole, held = _arguments(groups.paths, args, numbers, engine)
        stays = bool(held) or any(map(is_on_device, leaves_of(ct)))
        own, count = map_leaves(lambda leaf: _seed(leaf, engine), ct), batch_count(whole)
        seeds = _cotangents if any(map(is_on_device, leaves_of(own))) else cotangents
        batch = Batch(whole, held, lambda trace: seeds(trace, own, count))
        trace, found = groups.run(batch, max_paths)
    results, count = placed(found) if stays else found, len(trace.graph.outputs)
    parts = results[count:]
    return result_tree(trace, results[:count]), argument_tree(whole, numbers, parts)


def _arguments(
    paths: Paths, args: tuple[Any, ...], numbers: Any, engine: str
) -> tuple[Arguments, Held]:
    """The arguments of all points, and those that lie on a device."""
    held = Held({})
    if engine == "cuda":
        held, args, _ = held_on_device(args, {})
    whole = arguments_of(paths, args, {}, numbers)
    return whole, Held({k: fitted(v, whole.leaves[k].dtype) for k, v in held.leaves.items()})


# --- seeds --------------------------------------------------------------------------------------


def _seed(leaf: Any, engine: str) -> Any:
    """A tangent or cotangent as the engine takes it; on the device side by side, as Numba's."""
    if not is_on_device(leaf):
        return leaf
    array = device_array(leaf)
    if not array.size:
        return stand_in(array)
    return fitted(array, array.dtype) if engine == "cuda" else on_host(array)


def _checked(seed: Any, like: Any, what: str) -> Any:
    """As `checked_seed`; one on the device is told by its type, and stays there."""
    if not is_on_device(seed):
        return checked_seed(seed, like, what)
    if seed.shape != like.shape or seed.dtype not in (np.float32, np.float64):
        checked_seed(stand_in(seed), like, what)  # the error
    return fitted(seed, like.dtype)


def _directions(whole: Arguments, given: Sequence[Any]) -> tuple[list[Any], bool]:
    """The tangents with an axis of directions after that of points; whether they had none."""
    count = batch_count(whole)
    primals = [whole.leaves[p] for p in whole.wanted]
    arrays = [d if is_on_device(d) else np.asarray(d) for d in given]
    is_single = all(d.ndim == v.ndim for d, v in zip(arrays, primals, strict=True))
    stacked = [d.reshape((*d.shape[:1], 1, *d.shape[1:])) if is_single else d for d in arrays]
    shapes = {d.shape[1:2] for d in stacked}
    if len(shapes) != 1 or shapes == {()}:
        told = ", ".join(f"{d.shape} for {v.shape}" for d, v in zip(arrays, primals, strict=True))
        raise ShapeError(
            "tangents of a batch are shaped like their arguments, or all have one axis more behind "
            f"that of the points, of the same length: the directions; got {told}"
        )
    if shapes == {(0,)}:
        raise ShapeError("the tangents hold no direction: their second axis is empty; pass one")
    (length,) = shapes.pop()
    likes = [np.broadcast_to(v[:, None], (count, length, *v.shape[1:])) for v in primals]
    names = [f"tangents of {whole.names[p]}" for p in whole.wanted]
    return [_checked(*leaf) for leaf in zip(stacked, likes, names, strict=True)], is_single


def _cotangents(trace: Trace, ct: Any, count: int) -> list[Any]:
    """As `cotangents`, where some lie on the device."""
    types = [trace.graph.types[i] for i in trace.graph.outputs]
    likes = [np.broadcast_to(np.zeros((), t.dtype), (count, *t.shape)) for t in types]
    value = result_tree(trace, likes)
    given = zip(matching_leaves(ct, value, "cotangents"), leaves_of(value), trace.kept, strict=True)
    computed = [(seed, like) for seed, like, kept in given if kept is not like]
    return [
        _checked(seed, like, f"cotangent of output {rank}")
        for rank, ((seed, like), kind) in enumerate(zip(computed, types, strict=True))
        if kind.is_float
    ]


# --- what was recorded --------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _groups(function: Function, mode: str, engine: str) -> PathGroups:
    make = {"forward": forward_points, "reverse": reverse_points}[mode]
    return PathGroups(Paths(function, lambda graph, wanted: make(graph, wanted, engine)))


def _kept_groups(function: Function, mode: str, engine: str) -> PathGroups:
    """What batches of a function have recorded, kept between calls."""
    try:
        return _groups(function, mode, engine)
    except TypeError:  # an unhashable callable
        return _groups.__wrapped__(function, mode, engine)
