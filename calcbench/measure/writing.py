"""Files that are there whole or not at all: written beside their place, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from calcbench.graph.arraytype import CalcbenchError


class PathError(CalcbenchError, ValueError):
    """A path to which a picture or page cannot be written."""


def checked_path(path: object, suffixes: Sequence[str]) -> Path:
    """The path, once its suffix says what to write and its folder is there.

    Raises
    ------
    PathError
        If it is no path, ends in something else, or lies in no folder.
    """
    if not isinstance(path, str | os.PathLike):
        raise PathError(f"a path is expected, got {type(path).__name__} {path!r:.60}")
    found = Path(os.fsdecode(path))
    if found.suffix.lower() not in suffixes:
        raise PathError(
            f"{str(found)!r} ends in {found.suffix or 'no suffix'!r}: the suffix says what is "
            f"written, and may be {' or '.join(suffixes)}"
        )
    if not found.parent.is_dir():
        raise PathError(f"{str(found)!r} lies in no folder: make {str(found.parent)!r} first")
    if found.is_dir():
        raise PathError(f"{str(found)!r} is a folder: name a file")
    return found


def write_whole(path: Path, data: bytes) -> None:
    """Write a file; whatever interrupts this, the path holds what it held before, or all of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, _usual_mode())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _usual_mode() -> int:
    """What a new file gets elsewhere: temporary files are closed to all others."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
