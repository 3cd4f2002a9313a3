"""Room for large results: memory of results that nobody holds any more is used again.

The system hands out fresh memory page by page and clears each page when it is first touched: for
48 MB of results that took a third of a batch's time. A block is free again when its only reference
is the one kept here, which covers views, buffers and everything else that keeps an array alive.
"""

from __future__ import annotations

import math
import sys
import threading
from collections import deque
from typing import Any

import numpy as np


SMALLEST = 1 << 20  # bytes; below that malloc reuses memory itself
MOST = 1 << 27  # bytes kept for results to come
_OWN = 3  # references to a free block while it is looked at: deque, loop variable, argument

_blocks: deque[np.ndarray] = deque()
_lock = threading.Lock()


def room_for(shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """An uninitialised C-contiguous array that shares memory with no array that is alive.

    Examples
    --------
    >>> room_for((2, 3), np.dtype(np.float32)).shape
    (2, 3)
    """
    size = math.prod(shape) * dtype.itemsize
    if size < SMALLEST or size > MOST or not _counts_references():
        return np.empty(shape, dtype)
    with _lock:
        # The view holds the block, so that no other thread finds it free after the lock is gone.
        return _block(size).view(dtype).reshape(shape)


def forget_idle() -> None:
    """Give free blocks back to the system."""
    with _lock:
        _forget()


def _forget() -> None:
    kept = [b for b in _blocks if sys.getrefcount(b) > _OWN]
    _blocks.clear()
    _blocks.extend(kept)


def _counts_references() -> bool:
    """Whether a reference count of one means that nobody else holds an object."""
    has_lock = getattr(sys, "_is_gil_enabled", None)
    return hasattr(sys, "getrefcount") and (has_lock is None or bool(has_lock()))


def _block(size: int) -> np.ndarray:
    block = _idle(size)
    if block is not None:
        return block
    try:
        block = np.empty(size, np.uint8)
    except MemoryError:
        _forget()  # blocks of other sizes
        block = np.empty(size, np.uint8)
    _blocks.append(block)
    while sum(map(len, _blocks)) > MOST:
        _blocks.popleft()  # the oldest; whoever holds it keeps it alive
    return block


def _idle(size: int) -> np.ndarray | None:
    """A block of this size that nobody else holds."""
    for block in _blocks:
        if len(block) == size and sys.getrefcount(block) <= _OWN:
            return block
    return None
