"""Functions of ours that generated texts call: each compiled once per machine, and linked.

Each lives in a generated module of its own, which imports those that it calls. Numba keeps machine
code together with the form it came from, so elementary functions still become part of the loops
that call them, and loops around them vectorise.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping

from calcbench.lower import branching, folds, texts
from calcbench.lower.compiler import Module, load


CALLED = "_called"  # ends the name of a function that is called where it would be inlined


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


def calling(text: str) -> str:
    """The text with calls of our functions that stay calls: short code where nothing vectorises."""
    for name in texts.own_functions(text):
        text = re.sub(rf"\b{name}\(", f"{name}{CALLED}(", text)
    return text


def _called(text: str) -> Mapping[str, str]:
    """The functions that a text calls and does not define, with their own texts."""
    defined = set(re.findall(r"^def (\w+)", text, re.MULTILINE))
    own = {**texts.own_functions(text), **folds.own_functions(text), **straight_functions(text)}
    return {name: source for name, source in own.items() if name not in defined}


def straight_functions(text: str) -> Mapping[str, str]:
    """Functions for straight-line code: those with branches, and a call around each other one."""
    found = {}
    for name in dict.fromkeys(re.findall(r"\b(\w+)\(", text)):
        written = getattr(branching, name, None)
        if written is not None and written.__module__ == branching.__name__:
            decorator = "@part" if name.endswith(CALLED) else "@inline"
            found[name] = f"{decorator}\n{inspect.getsource(written)}"
        elif name.endswith(CALLED):
            found[name] = _around(name.removesuffix(CALLED))
    return found


def _around(name: str) -> str:
    """A function that calls one that becomes part of it."""
    signature = re.search(r"^def \w+\((.*?)\) ", texts.own_functions(f"{name}(")[name], re.M)
    assert signature is not None
    operands = ", ".join(re.findall(r"(\w+):", signature[1]))
    return f"@part\ndef {name}{CALLED}({operands}):\n    return {name}({operands})\n"
