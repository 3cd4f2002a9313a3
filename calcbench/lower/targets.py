"""What generated text looks like on one kind of machine; the emission knows no other difference."""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import dataclass

from calcbench.lower import access


@dataclass(frozen=True)
class Target:
    """The words of one target.

    Attributes
    ----------
    name : str
        Key of rows' own element texts (`Primitive.scalar_on`).
    header : str
        Lines before the first function.
    decorator : str
        The line above each function.
    read, write, keep, kept : str
        Templates of accesses: array and position; `write` also knows the number of its array.
    width : int
        Columns that a fold over leading axes takes at a time, so that its lanes stay in cache.
    threads : bool
        Whether functions take the range of their outermost loop.
    """

    name: str
    header: str
    decorator: str = "@jit"
    read: str = "read({array}, {at})"
    write: str = "write{number}({array}, {at}, {value})"
    keep: str = "keep({array}, {at}, {value})"
    kept: str = "kept({array}, {at})"
    buffer: str = "np.empty({size}, np.{dtype})"
    width: int = 256


def _header() -> str:
    """The import of the accesses; the digest makes their text a part of this one."""
    names = ["keep", "kept", "read", *(f"write{k}" for k in range(access.WRITERS))]
    digest = hashlib.sha256(inspect.getsource(access).encode()).hexdigest()[:16]
    return f'ACCESS = "{digest}"\nfrom calcbench.lower.access import {", ".join(names)}\n'


CPU = Target("cpu", _header())
