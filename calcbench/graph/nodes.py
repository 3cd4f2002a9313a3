"""Nodes of the graph, and the hashable constants and guards that hang on them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from calcbench.graph.arraytype import ArrayType, GraphError


class Row(Protocol):
    """What a node needs of its primitive; the full record is `calcbench.graph.primitive`."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def facts(self) -> frozenset[str]: ...
    @property
    def scalar(self) -> str | None: ...
    @property
    def takes_named_dimensions(self) -> bool: ...
    @property
    def infer(self) -> Callable[..., ArrayType]: ...
    @property
    def numpy(self) -> Callable[..., Any]: ...


Params = tuple[tuple[str, Hashable], ...]
Origin = tuple[str, int] | None


class Node(NamedTuple):
    """One operation; the tuple is also its value number, so equal nodes are one node.

    `epoch` separates recomputed values from stored ones: nodes of different epochs never merge.
    """

    row: Row
    operands: tuple[int, ...]
    params: Params = ()
    epoch: int = 0

    def with_operands(self, operands: tuple[int, ...]) -> Node:
        """The same operation on other operands (`_replace` is several times slower)."""
        return tuple.__new__(Node, (self.row, operands, self.params, self.epoch))


@dataclass(frozen=True)
class InputRow:
    """The row of a graph input; its params are the name and the type."""

    name: str = "input"
    kind: str = "input"
    facts: frozenset[str] = frozenset()
    scalar: str | None = None
    takes_named_dimensions: bool = True

    def infer(self, *, name: str, type: ArrayType) -> ArrayType:
        """The type that the params state."""
        return type

    def numpy(self, **_: object) -> Any:
        """Inputs are bound, never computed."""
        raise GraphError("an input has no value of its own; bind it first")


INPUT = InputRow()


@dataclass(frozen=True, eq=False, repr=False)
class Literal:
    """A constant array as hashable bits, so that 0.0, -0.0, every NaN and 1, 1.0, True differ."""

    dtype: str
    shape: tuple[int, ...]
    bits: bytes
    array: np.ndarray = field(hash=False)

    @staticmethod
    def of(value: object, dtype: object = None) -> Literal:
        """A literal holding a private copy of `value`."""
        array = np.array(value, dtype=dtype, order="C")  # type: ignore[call-overload]
        array.setflags(write=False)
        return Literal(array.dtype.str, array.shape, array.tobytes(), array)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[object, ...]:
        return self.bits, self.dtype, self.shape

    def __repr__(self) -> str:
        if self.array.size == 1:
            return repr(self.array.item())
        shown = np.array2string(self.array, separator=", ", threshold=6).replace("\n", "")
        return " ".join(shown.split())


class Guard(NamedTuple):
    """A fact about a value that tracing relied on: node `node` must equal `expected`."""

    node: int
    expected: Literal
