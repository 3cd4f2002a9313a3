"""What a reference is computed from: scalar steps, and which of them are whose entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import sympy as sp

from calcbench.symbolic.references.entries import Entry
from calcbench.symbolic.references.scalar_steps import Steps


@dataclass(frozen=True)
class Source:
    """Scalar steps with the point at which to differentiate them.

    `entries` has, for each name, the array of its scalar inputs; `shapes` are the shapes of the
    outputs, whose entries are `outputs` one after the other; `several` says whether they are a
    tuple.
    """

    steps: Steps
    outputs: list[int]
    shapes: list[tuple[int, ...]]
    several: bool
    entries: Mapping[str, np.ndarray]
    point: Mapping[str, Any]
    differentiable: tuple[str, ...]

    @property
    def shown(self) -> str:
        """The point as text for errors."""
        parts = [f"{name} = {_short(x)}" for name, x in list(self.point.items())[:6]]
        more = ", ..." if len(self.point) > 6 else ""
        return f"at {', '.join(parts)}{more}"

    def arrange(self, blocks: list[Any], pattern: Any) -> Any:
        """The blocks of scalar outputs as arrays of output shape in front of input shapes.

        `pattern` is a block, for outputs without entries.
        """
        results, start = [], 0
        for shape in self.shapes:
            count = int(np.prod(shape))
            results.append(_stacked(blocks[start : start + count], shape, pattern))
            start += count
        return tuple(results) if self.several else results[0]


def _short(x: Any) -> str:
    """A few digits of a long fraction; str of an int of over 4300 digits is an error of Python."""
    if not isinstance(x, sp.Rational) or max(abs(int(x.p)), int(x.q)) < 10**12:
        return str(x)
    return str(mpmath.nstr(mpmath.mpf(int(x.p)) / int(x.q), 8))


def _stacked(blocks: list[Any], shape: tuple[int, ...], pattern: Any) -> Any:
    if isinstance(pattern, dict):
        parts = {name: [block[name] for block in blocks] for name in pattern}
        return {name: _stacked(parts[name], shape, pattern[name]) for name in pattern}
    result = np.empty((*shape, *np.shape(pattern)), dtype=object)
    for at, block in zip(np.ndindex(shape), blocks, strict=True):
        result[at] = block
    return result if result.ndim else result[()]


class StepWriter:
    """Writes scalar operations as steps."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def number(self, value: Any) -> int:
        """The step of an exact number."""
        return self.steps.number(value)

    def apply(self, expression: Any, operands: Sequence[int]) -> int:
        """The expression with these operands in its slots."""
        return self.steps.call(expression, operands)

    def fold(self, name: str, operands: Sequence[int]) -> int:
        """A sum, product, maximum or minimum."""
        return self.steps.fold(name.lower(), operands) if len(operands) > 1 else operands[0]


def entry_names(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The names of an input's entries: ``x``, or ``x[0, 1]``."""
    result = np.empty(shape, dtype=object)
    for at in np.ndindex(shape):
        result[at] = f"{name}[{', '.join(map(str, at))}]" if shape else name
    return result


def input_entries(names: np.ndarray, writer: StepWriter) -> np.ndarray:
    result = np.empty(names.shape, dtype=object)
    for at in np.ndindex(names.shape):
        name: Any = names[at]
        result[at] = Entry(writer, writer.steps.input(name))
    return result
