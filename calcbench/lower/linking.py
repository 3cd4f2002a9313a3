"""Functions of ours that kernels call: each compiled once per machine, and linked.

What a kernel calls is loaded only if the kernel itself has to be compiled: a process that finds it
on disk is spared some thirty modules, a tenth of a second.
"""

from __future__ import annotations

from functools import cache

from calcbench.lower import texts
from calcbench.lower.compiler import announce


def import_lines(text: str) -> str:
    """The lines that import the functions of ours that a text calls."""
    called = texts.own_functions(text).items()
    return "".join(f"from {_module_name(source)} import {name}\n" for name, source in called)


@cache
def _module_name(source: str) -> str:
    return announce(import_lines(_without_header(source)) + source)


def _without_header(source: str) -> str:
    """What a function does: its header looks like a call of itself."""
    return source[source.index(":\n") :]
