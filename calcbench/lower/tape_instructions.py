"""What a tape's kernels are told: records of instructions, keys of values where words will be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.lower.opcodes import ANY_FAMILY, FAMILIES, FOLDING_MOVES, Case, Numbering
from calcbench.lower.tape_columns import Columns
from calcbench.lower.tape_values import Values


NUMBERS = ("float64", "float32", "int64")  # what adds, folds and scatters


class Instructions:
    """The instructions of one graph, written node by node.

    Attributes
    ----------
    records : list of tuple of int
        Node, family, level, whether it folds; operation, four keys, count, steps and place in
        `aux`.
    singles : list of tuple of int
        Of nodes of few entries, on single numbers: node, operation, four keys.
    node : int
        The one that is encoded.
    """

    def __init__(self, graph: Graph, numbering: Numbering) -> None:
        self.graph, self.numbering = graph, numbering
        self.columns = Columns(graph, numbering)
        self.values = Values(graph, self.columns)
        self.aux: list[int] = []
        self.records: list[tuple[int, ...]] = []
        self.singles: list[tuple[int, ...]] = []
        self.node = -1

    def type(self, node: int) -> Any:
        """The type of a node."""
        return self.graph.types[node]

    def emit(self, op: int, keys: Sequence[int], count: int, **more: Any) -> None:
        """One instruction; missing keys stand for the first."""
        padded = [*keys, *[keys[0]] * (4 - len(keys))]
        kind = (more.get("family", ANY_FAMILY), more.get("level", 0), more.get("folds", False))
        rest = (count, more.get("steps", 0), more.get("aux", 0))
        self.records.append((self.node, *kind, op, *padded, *rest))

    def on_single(self, op: int, keys: Sequence[int]) -> None:
        """One instruction on single numbers; missing keys stand for the first."""
        self.singles.append((self.node, op, *keys, *[keys[0]] * (4 - len(keys))))

    def params(self, node: int, case: Case) -> list[int]:
        """The keys of a node's params."""
        params: dict[str, Any] = dict(self.graph.nodes[node].params)
        number = np.int64 if case.whole else np.float64
        return [self.values.constant(number(params[name])) for name in case.params]

    def move(self, name: str, keys: Sequence[int], count: int, dtype: Any, aux: Any = ()) -> None:
        """A move on items of a dtype; `aux` are further numbers that it reads."""
        place = len(self.aux)
        self.aux += [int(n) for n in aux]
        if name in ("fill", "copy", "gather"):
            name = f"{name}{dtype.itemsize}"
            family = 1 if dtype.itemsize == 4 else ANY_FAMILY
        else:
            family = FAMILIES.index(dtype.name)
        number, folds = self.numbering.move(name), name in FOLDING_MOVES
        self.emit(number, keys, count, aux=place, family=family, folds=folds)

    def zeros(self, key: int, count: int, dtype: Any) -> None:
        """Fill with zeros."""
        self.move("fill", (key, self.values.constant(np.zeros((), dtype))), count, dtype)

    def copy(
        self, keys: tuple[int, int], dtype: Any, shape: Any, strides: Any, start: tuple[int, int]
    ) -> None:
        """Entries from strides there to strides here, both in entries; (there, here) start."""
        axes = _merged(shape, *strides)
        if math.prod(shape) == 0:
            return
        (n, near, far), outer = axes[-1], axes[:-1][::-1]
        rows = math.prod(axis[0] for axis in outer)
        flat = [number for axis in outer for number in axis]
        target, source = keys
        aux = [len(outer), rows, n, near, far, *start, *flat]
        self.move("copy", (target, source), rows * n, dtype, aux)


def c_strides(shape: Sequence[int]) -> list[int]:
    """The strides of a C-contiguous array, in entries."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return strides


def _merged(shape: Any, there: Any, here: Any) -> list[tuple[int, int, int]]:
    """Axes as (extent, stride there, stride here), neighbours joined where both are one walk."""
    axes: list[tuple[int, int, int]] = []
    for n, a, b in zip(shape, there, here, strict=True):
        if n == 1:
            continue
        if axes and axes[-1][1] == a * n and axes[-1][2] == b * n:
            n, axes = n * axes[-1][0], axes[:-1]
        axes.append((n, a, b))
    return axes or [(1, 1, 1)]
