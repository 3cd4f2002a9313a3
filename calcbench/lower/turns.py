"""Processes that need the same code take turns: the first compiles, the others read what it kept.

Nothing depends on it. Where turns cannot be taken, or a process does not get on, everybody compiles
for itself, and all are right.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from calcbench.lower import cache


if sys.platform != "win32":
    import fcntl


PATIENCE = 60.0  # seconds: some times what the longest compilation takes
_PAUSE = 0.01  # seconds between two looks
_OPEN = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


@contextmanager
def turn(key: str) -> Iterator[None]:
    """While this holds, no other process has its turn at `key`; if one has it now, wait.

    The system takes a turn from a process that ends, however it does. One that holds it for long,
    as it was stopped, is not waited for beyond `PATIENCE`.

    Parameters
    ----------
    key : str
        Of an entry of the cache.

    Examples
    --------
    >>> with turn("0" * 64):
    ...     print("compiled by one at a time")
    compiled by one at a time
    """
    folder = cache.directory()
    if folder is None or sys.platform == "win32":
        yield
        return
    path = folder / f"{key}.turn"
    handle = _locked_in_time(path)
    try:
        yield
    finally:
        if handle is not None:
            with suppress(OSError):
                path.unlink()
            fcntl.flock(handle, fcntl.LOCK_UN)  # children that were forked meanwhile hold it too
            os.close(handle)


def _locked_in_time(path: Path) -> int | None:
    """The file, locked; None if others hold it for too long, or nothing can be locked there."""
    deadline = time.monotonic() + PATIENCE
    with suppress(OSError):  # a full or read-only disk, a system without locks
        while time.monotonic() < deadline:
            if (handle := _locked(path)) is not None:
                return handle
            time.sleep(_PAUSE)
    return None


def _locked(path: Path) -> int | None:
    """The file, locked, unless others hold it, or removed it after they had held it."""
    handle, is_ours = os.open(path, _OPEN, 0o600), False
    try:
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = os.path.samestat(os.fstat(handle), path.stat())
    finally:
        if not is_ours:
            os.close(handle)
    return handle if is_ours else None
