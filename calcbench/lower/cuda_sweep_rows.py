"""Arrays of many points as one row a point: what the kernels of the sweeps read and write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.lower.cuda_arrays import on_host
from calcbench.lower.cuda_runtime import Device


def flat(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Places one after the other."""
    empty = np.zeros(0, np.int64)
    return np.concatenate([empty, *[np.asarray(p, np.int64).reshape(-1) for p in parts]])


def joined(arrays: Sequence[Any], count: int, dtype: Any) -> np.ndarray:
    """Arrays of many points as one row a point."""
    rows = [np.asarray(on_host(a), dtype).reshape(count, -1) for a in arrays]
    return np.concatenate([np.zeros((count, 0), dtype), *rows], axis=1)


def taken(
    device: Device, name: str, array: Any, count: int, shapes: Sequence[Any], *more: int
) -> list[np.ndarray]:
    """The rows of all points as arrays of these shapes, with the axes `more` at the end."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    whole = np.empty((count, 0, *more))
    if sum(sizes):
        whole = device.download(name, array, (count, sum(sizes), *more))
    cuts = np.cumsum([0, *sizes])
    return [
        np.ascontiguousarray(whole[:, low : low + size]).reshape(count, *shape, *more)
        for low, size, shape in zip(cuts, sizes, shapes, strict=False)
    ]
