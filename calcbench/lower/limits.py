"""How much memory is left to this process: of the machine, of its containers, of its own limits.

Each is asked anew, because others take memory too: 20 microseconds for the machine, 10 to 40 for
each group that a container puts the process in.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import PurePosixPath
from typing import NamedTuple


try:
    import resource
except ImportError:  # Windows has no limits of this kind
    resource = None  # type: ignore[assignment]


PROCESSES = "/proc"
GROUPS = "/sys/fs/cgroup"  # where systemd and the makers of containers mount control groups
BOUNDLESS = 1 << 62  # version 1 writes the largest number of whole pages where nothing is limited


class Files(NamedTuple):
    """Where one version of control groups says what a group may take, and what it has taken.

    Attributes
    ----------
    root : str
        The folder of the outermost group, below the mounts of all.
    limit, taken : str
    returned : tuple of bytes
        Entries of ``memory.stat``: caches, which the kernel gives back before it refuses.
    """

    root: str
    limit: str
    taken: str
    returned: tuple[bytes, ...]


V1 = Files(
    "memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
    (b"total_inactive_file", b"total_active_file"),
)  # fmt: skip
V2 = Files(
    "", "memory.max", "memory.current", (b"inactive_file", b"active_file", b"slab_reclaimable")
)


def bytes_left() -> Iterator[int]:
    """What each limit leaves that this process is under; the least of them holds."""
    yield from _of_machine()
    yield from _of_groups()
    yield from _of_process()


def _contents(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # half the time of a file of text
        return file.read()


# --- the machine --------------------------------------------------------------------------------


def _of_machine() -> Iterator[int]:
    """Linux counts what it would give back from its caches of files as available, not as free."""
    with suppress(OSError, StopIteration, ValueError):
        lines = _contents(f"{PROCESSES}/meminfo").splitlines()
        line = next(line for line in lines if line.startswith(b"MemAvailable:"))
        yield 1024 * int(line.split()[1])
        return
    with suppress(ValueError, OSError, AttributeError):
        yield os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


# --- containers ---------------------------------------------------------------------------------


def _of_groups() -> Iterator[int]:
    """What the control groups leave: a group's limit binds all groups inside it.

    https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.max, memory.current, memory.stat),
    https://docs.kernel.org/admin-guide/cgroup-v1/memory.html (memory.limit_in_bytes).
    """
    with suppress(OSError, ValueError):
        memberships = _contents(f"{PROCESSES}/self/cgroup")
        for folder, files in _folders(memberships, GROUPS):
            yield from _of_group(folder, files)


@lru_cache(maxsize=4)
def _folders(memberships: bytes, groups: str) -> tuple[tuple[str, Files], ...]:
    """The groups that count the memory of this process, and those around them.

    A container may see only the part of the tree that is its own, while the path is that of the
    whole tree: folders that are not there are passed over, and the outermost is the container's.
    """
    found: list[tuple[str, Files]] = []
    for line in os.fsdecode(memberships).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or "memory" in controllers.split(","):
            files = V1 if controllers else V2
            inner = PurePosixPath("/".join(p for p in path.split("/") if p not in ("", "..")))
            found += [(f"{groups}/{files.root}/{p}", files) for p in (inner, *inner.parents)]
    return tuple(found)


def _of_group(folder: str, files: Files) -> Iterator[int]:
    """The limit without what is taken for good; nothing if there is no limit, or no such group."""
    with suppress(OSError, ValueError):  # "max" is no number
        limit = int(_contents(f"{folder}/{files.limit}"))
        if limit < BOUNDLESS:
            taken = int(_contents(f"{folder}/{files.taken}")) - _returned(folder, files)
            yield max(0, limit - max(0, taken))


def _returned(folder: str, files: Files) -> int:
    with suppress(OSError, ValueError):
        entries = [line.split() for line in _contents(f"{folder}/memory.stat").splitlines()]
        return sum(int(count) for name, count in entries if name in files.returned)
    return 0


# --- the process --------------------------------------------------------------------------------


def _of_process() -> Iterator[int]:
    """What ``ulimit -v`` and ``ulimit -d`` leave, where the system says what is taken."""
    if resource is None:
        return
    for limit, column in ((resource.RLIMIT_AS, 0), (resource.RLIMIT_DATA, 5)):
        most, _ = resource.getrlimit(limit)
        with suppress(OSError, ValueError, IndexError):
            if most != resource.RLIM_INFINITY:
                pages = int(_contents(f"{PROCESSES}/self/statm").split()[column])
                yield max(0, most - pages * resource.getpagesize())
