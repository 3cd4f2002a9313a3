"""Compiled functions that stand for one node each, and the statements that call them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.nodes import Node
from calcbench.lower.compiler import Module
from calcbench.lower.spans import HEADER


class Callee(NamedTuple):
    """A function of results to write, operands, constants, and memory to work in.

    Results and arrays have one axis; an operand of shape () is a number.

    Attributes
    ----------
    name : str
    module : Module
        Where it is defined.
    arrays : tuple of array
        The constants that it takes after its operands.
    sizes : tuple of int
        The entries of each result.
    words : int
        The numbers of 8 bytes that it works in.
    """

    name: str
    module: Module
    arrays: tuple[np.ndarray, ...]
    sizes: tuple[int, ...]
    words: int

    def call(
        self, results: Sequence[str], operands: Sequence[str], arrays: Sequence[str], room: str
    ) -> str:
        """The statement that calls it."""
        return f"{self.name}({', '.join([*results, *operands, *arrays, room])})"


CalleeOf = Callable[[Node], Callee | None]


def no_callee(node: Node) -> None:
    """Every node that is called is called from Python."""


def import_lines(callees: Sequence[Callee]) -> str:
    """What the text of a module begins with if it calls these."""
    modules = {c.name: c.module.name for c in callees}
    return HEADER + "".join(f"from {at} import {name}\n" for name, at in modules.items())


def array_names(arrays: Sequence[object]) -> list[str]:
    """What constants are called inside the functions that take them."""
    return [f"a{k}" for k in range(len(arrays))]


def operand_text(name: str, kind: ArrayType) -> str:
    """An operand of a call, from the name of a number or of an array of any shape."""
    if kind.ndim:
        return f"seen({name}, 0, {kind.size})"
    return name if name.islower() else f"{name}[0]"


def room_text(whole: str, word: int, size: int, dtype: np.dtype) -> str:
    """A part of an array of numbers of 8 bytes, as an array of another dtype."""
    name = "bool_" if dtype.kind == "b" else dtype.name
    return f"room({whole}, {word}, {size}, np.{name})"


def words_of(size: int, dtype: np.dtype) -> int:
    """The numbers of 8 bytes that so many entries take; a whole cache line if they are many."""
    words = -(-size * dtype.itemsize // 8)
    return words if words <= 1 else -(-words // 8) * 8
