"""The two direct sweeps at many points: over the cores, or one thread of a device a point.

Points are grouped by path as in every batch, and every path has a program for many points. On CUDA,
sweeps of straight-line code read all numbers of a point side by side: they are packed so on the
host, so that arrays of a device are copied there, and results back, once a call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import numpy as np

from calcbench.batches import Batch, PathGroups, batch_count
from calcbench.device_calls import Held, held_on_device, placed
from calcbench.graph.arraytype import ShapeError
from calcbench.graph.conventions import kink_convention
from calcbench.graph.paths import Arguments, Paths
from calcbench.graph.trees import leaves_of, map_leaves
from calcbench.lower.cuda_arrays import device_array, is_on_device, on_host
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
        seeds, is_single = _directions(whole, [_fetched(d) for d in given])
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
        own, count = map_leaves(_fetched, ct), batch_count(whole)
        batch = Batch(whole, held, lambda trace: cotangents(trace, own, count))
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
    return arguments_of(paths, args, {}, numbers), held


def _fetched(seed: Any) -> Any:
    """A tangent or cotangent on the host: it is checked, and packed with the others, there."""
    return on_host(device_array(seed)) if is_on_device(seed) else seed


def _directions(whole: Arguments, given: Sequence[Any]) -> tuple[list[Any], bool]:
    """The tangents with an axis of directions after that of points; whether they had none."""
    count = batch_count(whole)
    primals = [whole.leaves[p] for p in whole.wanted]
    arrays = [np.asarray(d) for d in given]
    is_single = all(d.ndim == v.ndim for d, v in zip(arrays, primals, strict=True))
    stacked = [d[:, None] if is_single else d for d in arrays]
    shapes = {d.shape[1:2] for d in stacked}
    if len(shapes) != 1 or shapes == {()}:
        told = ", ".join(f"{d.shape} for {v.shape}" for d, v in zip(arrays, primals, strict=True))
        raise ShapeError(
            "tangents of a batch are shaped like their arguments, or all have one axis more behind "
            f"that of the points, of the same length: the directions; got {told}"
        )
    (length,) = shapes.pop()
    likes = [np.broadcast_to(v[:, None], (count, length, *v.shape[1:])) for v in primals]
    names = [f"tangents of {whole.names[p]}" for p in whole.wanted]
    return [checked_seed(*leaf) for leaf in zip(stacked, likes, names, strict=True)], is_single


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
