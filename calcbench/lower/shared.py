"""Functions of ours that generated texts call: each compiled once per machine, and linked.

Each lives in a generated module of its own, which imports those that it calls. Numba keeps machine
code together with the form it came from, so elementary functions still become part of the loops
that call them, and loops around them vectorise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from calcbench.lower import folds, texts
from calcbench.lower.compiler import Module, load


def linked(text: str) -> tuple[str, tuple[Module, ...]]:
    """The lines that import what a text calls, and the modules they import from."""
    found: dict[str, Module] = {}
    return _imports(text, found), tuple(found.values())


def _imports(text: str, found: dict[str, Module]) -> str:
    lines = []
    for name, source in _called(text).items():
        if name not in found:
            below: dict[str, Module] = {}
            lines_below = _imports(source, below)
            found |= below
            found[name] = load(lines_below + source, tuple(below.values()))
        lines.append(f"from {found[name].name} import {name}\n")
    return "".join(lines)


def _called(text: str) -> Mapping[str, str]:
    """The functions that a text calls and does not define, with their own texts."""
    defined = set(re.findall(r"^def (\w+)", text, re.MULTILINE))
    return {
        name: source
        for name, source in {**texts.own_functions(text), **folds.own_functions(text)}.items()
        if name not in defined
    }
