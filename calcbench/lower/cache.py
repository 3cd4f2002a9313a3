"""Compiled code kept on disk between processes, read only if this user alone can have written it.

An entry is one file: a digest, and an archive of the files that Numba wrote for one module. Numba
unpickles those, so nothing reaches it that fails the digest or belongs to somebody else, and it
reads and writes them in a directory of this process only. Two processes thus never meet in a
half-written file; whoever replaces an entry last wins, and both are right.

Everything that can be wrong with an entry is a miss: it is removed, and the code compiled anew.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import os
import platform
import shutil
import stat
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding  # type: ignore[import-untyped]
import numba
import numpy as np
from numba.core.caching import FunctionCache  # noqa: TID251 - see KeptCode
from numba.core.runtime import rtsys  # type: ignore[attr-defined]  # noqa: TID251 - see KeptCode


SUFFIX = ".calcbench"
UNUSED_DAYS = 90  # entries of old versions and of graphs long forgotten are removed after this
_LOST_DAYS = 7  # and workspaces of processes that were killed after this
_DIGEST_BYTES = hashlib.sha256().digest_size
# Settings of Numba that change machine code and are not in its own key.
_SETTINGS = (
    "BOUNDSCHECK", "CPU_FEATURES", "CPU_NAME", "DEBUGINFO_DEFAULT", "ENABLE_AVX",
    "ENABLE_PROFILING", "EXTEND_VARIABLE_LIFETIMES", "LLVM_REFPRUNE_FLAGS", "LLVM_REFPRUNE_PASS",
    "LOOP_VECTORIZE", "OPT", "SLP_VECTORIZE", "USING_SVML",
)  # fmt: skip
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class CacheWarning(UserWarning):
    """The cache directory that was asked for cannot be used."""


# --- keys ---------------------------------------------------------------------------------------


def digest(*texts: str) -> str:
    """The key of compiled code: a digest of its texts and of all that their meaning depends on."""
    return hashlib.sha256("\0".join((*_platform(), *texts)).encode()).hexdigest()


@cache
def _platform() -> tuple[str, ...]:
    features = llvmlite.binding.get_host_cpu_features().flatten()
    return (
        f"calcbench {sys.modules['calcbench'].__version__}",
        f"numba {numba.__version__} llvmlite {llvmlite.__version__} numpy {np.__version__}",
        f"{sys.implementation.cache_tag} {platform.python_version()} {platform.platform()}",
        f"{llvmlite.binding.get_host_cpu_name()} {features}",
        *(f"{name} {getattr(numba.config, name, None)!r}" for name in _SETTINGS),
    )


# --- entries ------------------------------------------------------------------------------------


def read(key: str) -> dict[str, bytes]:
    """The files kept under `key`, by name; none if there is no entry, or none to be trusted."""
    if (folder := directory()) is None:
        return {}
    path = folder / f"{key}{SUFFIX}"
    try:
        return _unpacked(key, _trusted_bytes(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, zipfile.BadZipFile):
        _remove(path)
        return {}


def holds(key: str) -> bool:
    """Whether there is an entry of `key`, trusted or not."""
    folder = directory()
    return folder is not None and (folder / f"{key}{SUFFIX}").exists()


def write(key: str, files: Mapping[str, bytes]) -> None:
    """Keep `files` under `key`, all or nothing; a full or read-only disk keeps nothing."""
    if (folder := directory()) is None:
        return
    with suppress(OSError):
        _replace(folder / f"{key}{SUFFIX}", _packed(key, files))


def forget(key: str) -> None:
    """Remove the entry of `key`."""
    if (folder := directory()) is not None:
        _remove(folder / f"{key}{SUFFIX}")


def _packed(key: str, files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # no time in it: clocks may be wrong
    return _digest(key, buffer.getvalue()) + buffer.getvalue()


def _unpacked(key: str, data: bytes) -> dict[str, bytes]:
    digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if digest != _digest(key, body):
        raise ValueError("damaged, or the entry of another key")
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _digest(key: str, body: bytes) -> bytes:
    return hashlib.sha256(key.encode() + body).digest()


def _trusted_bytes(path: Path) -> bytes:
    """What a file holds, if it is a plain file that nobody else can have written."""
    with open(os.open(path, _READ), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or not is_private(status):
            raise ValueError("not a file of this user alone")
        with suppress(OSError):
            os.utime(path)  # when it was last of use
        return file.read()


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix="new-", suffix=SUFFIX)
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        _remove(Path(name))
        raise


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


# --- where entries lie --------------------------------------------------------------------------


@cache
def directory() -> Path | None:
    """Where this process keeps entries, or None for nowhere.

    ``$CALCBENCH_CACHE_DIR``, ``$NUMBA_CACHE_DIR``, or the platform's place for caches of a user:
    the first that is set, provided that it can be written, belongs to this user, and is writable
    by no other. ``CALCBENCH_NO_CACHE=1`` keeps nothing. Read once per process.

    Warns
    -----
    CacheWarning
        If ``$CALCBENCH_CACHE_DIR`` does not qualify; nothing is kept then.
    """
    if os.environ.get("CALCBENCH_NO_CACHE", "0") not in ("", "0"):
        return None
    if wanted := os.environ.get("CALCBENCH_CACHE_DIR"):
        return _usable(wanted, complain=True)
    shared = os.environ.get("NUMBA_CACHE_DIR")
    if shared and (found := _usable(shared)):
        return found
    return _usable(folder) if (folder := _user_folder()) else None


def _usable(path: str | Path, complain: bool = False) -> Path | None:
    """The folder, made if it is missing, if entries may be kept there."""
    try:
        folder = Path(path).expanduser().absolute()
        _check_folder(folder)
    except (OSError, RuntimeError) as error:  # the second for the home of a user who is not there
        if complain:
            reason = getattr(error, "strerror", None) or error
            message = f"compiled code is not kept: CALCBENCH_CACHE_DIR={path}: {reason}"
            warnings.warn(message, CacheWarning, stacklevel=2)
        return None
    _remove_unused(folder, f"*{SUFFIX}", UNUSED_DAYS)
    return folder


def _check_folder(folder: Path) -> None:
    """Raise OSError unless this user, and no other, can write in the folder; make it if missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not is_private(folder.stat()):
        raise PermissionError(0, "others can write there; choose a folder of yours with mode 0700")
    with tempfile.TemporaryFile(dir=folder):
        pass


def is_private(status: os.stat_result) -> bool:
    """Whether a file or folder is this user's and closed to writing by others (POSIX only)."""
    if os.name != "posix":
        return True  # folders of a user are closed by default, and mode bits say nothing
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _user_folder() -> Path | None:
    """The platform's folder for caches, None where there is no home."""
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "calcbench" if base.is_absolute() else None


def _remove_unused(folder: Path, pattern: str, days: int) -> None:
    """Drop what this user left there and nobody used for long; no process depends on it."""
    oldest = time.time() - days * 86400
    for path in folder.glob(pattern):
        with suppress(OSError):
            status = path.lstat()
            if status.st_mtime < oldest and is_private(status):
                shutil.rmtree(path) if stat.S_ISDIR(status.st_mode) else path.unlink()


# --- where Numba reads and writes ---------------------------------------------------------------


@cache
def workspace() -> Path:
    """A fresh directory of this process alone, removed at its end.

    Raises
    ------
    OSError
        If neither the place for temporary files nor the cache can hold it.
    """
    parents = [Path(tempfile.gettempdir()), directory()]
    for parent in filter(None, parents):
        if _keeps_owners(parent.stat()):
            _remove_unused(parent, "calcbench-*", _LOST_DAYS)
            made = Path(tempfile.mkdtemp(prefix="calcbench-", dir=parent))
            atexit.register(_remove_tree, made, os.getpid())
            return made
    raise PermissionError(0, f"others may rename what is in {parents[0]}; set TMPDIR", parents[0])


def _keeps_owners(status: os.stat_result) -> bool:
    """Whether nobody but root can rename what this user makes in a folder."""
    if os.name != "posix":
        return True
    closed = not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or status.st_mode & stat.S_ISVTX
    return status.st_uid in (0, os.geteuid()) and bool(closed)


def _remove_tree(folder: Path, owner: int) -> None:
    """Remove the workspace; a forked child leaves its parent's alone."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def beside_files() -> Iterator[None]:
    """While this holds, functions that Numba decorates keep their cache beside their file.

    It would prefer the directories that its environment variables name, unchecked.
    """
    saved = {k: getattr(numba.config, k, "") for k in ("CACHE_DIR", "CACHE_LOCATOR_CLASSES")}
    try:
        vars(numba.config).update(dict.fromkeys(saved, ""))
        yield
    finally:
        vars(numba.config).update(saved)


class KeptCode(FunctionCache):
    """What Numba keeps of a function, read without what only compiling needs.

    Before it reads, Numba fills the registries of its compiler: 0.5 s of processor time in a new
    process, a half of it to load SciPy. Machine code links to the functions of Numba's run time
    alone. A process that compiles fills the registries then.

    `complete` is called before something is compiled.
    """

    def __init__(self, function: Any, complete: Callable[[], None]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        self.complete = complete

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The code for these types, None if there is none."""
        rtsys.initialize(target_context)
        found = self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        if found is None:
            self.complete()
        return found


def read_quickly(dispatchers: Iterable[Any], complete: Callable[[], None]) -> None:
    """Let what Numba caches be `KeptCode`."""
    for dispatcher in dispatchers:
        if isinstance(getattr(dispatcher, "_cache", None), FunctionCache):
            dispatcher._cache = KeptCode(dispatcher.py_func, complete)
