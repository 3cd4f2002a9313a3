"""Loops as functions that are called for some steps at a time, in the memory they are given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import ArrayType
from calcbench.lower.calls import Callee
from calcbench.lower.compiler import Argument, load
from calcbench.lower.emission import indented
from calcbench.lower.loop_code import LoopCode, with_imports


class Part(NamedTuple):
    """A loop as a function of its first step, the one after its last, and all that it uses."""

    letter: str
    code: LoopCode
    function: Callee

    @staticmethod
    def of(letter: str, code: LoopCode) -> Part:
        """The function, in a module of its own."""
        parameters = ", ".join(["start", "stop", *code.names])
        lines = indented([*code.lines("start", "stop"), "return taken"], 1)
        rest = f"({parameters}):\n" + "\n".join(lines) + "\n"
        name = f"stretch_{hashlib.sha256(f'{code.body}{rest}'.encode()).hexdigest()[:16]}"
        source, modules = with_imports(f"{code.body}\n\n@part\ndef {name}{rest}", code.callees)
        return Part(letter, code, Callee(name, load(source, modules), code.arrays, (), code.words))

    def call(self, value: Callable[[str, int], str]) -> str:
        """The statement for `count` steps; `value` gives what stands for a carry, a stack ..."""
        values = [self._value(name, value) for name in self.code.names]
        return f"{self.function.name}({', '.join(['0', 'count', *values])})"

    def _value(self, name: str, value: Callable[[str, int], str]) -> str:
        if name == "arena" or name[0] in "an":
            return f"{self.letter}_{name}"
        return value(name[0], int(name[1:]))

    def own(self) -> list[tuple[str, Argument]]:
        """The names and types of what only this function works with: constants and rooms."""
        pairs = zip(self.code.names, self.code.arguments, strict=True)
        return [(f"{self.letter}_{n}", kind) for n, kind in pairs if n == "arena" or n[0] in "an"]


def stretch_text(function: str, name: str, first: str, kind: ArrayType) -> str:
    """The part of an array of all steps that `count` steps from `first` on have."""
    return f"{function}({name}, ({first}) * {kind.size}, count * {kind.size})"


def array_parameters(
    letter: str, kinds: Sequence[ArrayType], written: bool
) -> list[tuple[str, Argument]]:
    """Names and types of flat arrays."""
    return [(f"{letter}{k}", Argument(t.dtype, 1, written)) for k, t in enumerate(kinds)]


def constant_parameters(letter: str, kinds: Sequence[ArrayType]) -> list[tuple[str, Argument]]:
    """Names and types of flat arrays, and of numbers."""
    return [(f"{letter}{k}", Argument(t.dtype, min(t.ndim, 1))) for k, t in enumerate(kinds)]


def copy_lines(
    kinds: Sequence[ArrayType], into: tuple[str, str], source: tuple[str, str]
) -> list[str]:
    """Statements that copy a state: arrays by their letter, and its place in each of them."""
    lines = []
    for p, kind in enumerate(kinds):
        to, of = (f"{letter}{p}[({at}) * {kind.size} + i]" for letter, at in (into, source))
        lines += [f"for i in range({kind.size}):", f"    {to} = {of}"]
    return lines


def rooms(part: Part) -> list[Any]:
    """What a part works with, in the order of `Part.own`."""
    found, arrays = list[Any](), iter(part.code.arrays)
    for name, kind in part.own():
        name = name.partition("_")[2]
        if name == "arena":
            found.append(np.empty(max(part.code.words, 1)))
        elif name[0] == "a":
            found.append(next(arrays).reshape(-1))
        else:
            found.append(np.empty(part.code.loop.body.outputs[int(name[1:])].size, kind.dtype))
    return found
