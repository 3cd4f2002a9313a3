"""A graph of arrays as scalar operations, entry by entry, in any form that can be written.

Rows that move, add and multiply entries run their NumPy rule on arrays of `Entry`; elementwise
rows run their SymPy column on each entry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import sympy as sp

from calcbench.graph.arraytype import ArrayType, DerivativeError, GraphError
from calcbench.graph.ir import Graph, numpy_meaning
from calcbench.graph.nodes import INPUT, Node
from calcbench.symbolic.references.columns import template
from calcbench.symbolic.references.factors import FACTORS
from calcbench.symbolic.references.scalar_steps import SLOTS


QUOTIENT = SLOTS[0] / SLOTS[1]
LONGEST_LANE = 64  # sorting compares each pair


class Writer(Protocol):
    """What writes scalar operations: SymPy expressions, or steps."""

    def number(self, value: Any) -> Any:
        """An exact SymPy number or truth value."""

    def apply(self, expression: Any, operands: Sequence[Any]) -> Any:
        """An expression in `SLOTS`, of these operands."""

    def fold(self, name: str, operands: Sequence[Any]) -> Any:
        """Add, Mul, Max or Min of any number of operands."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One entry of an array, with the operators that NumPy's rules use on objects."""

    writer: Writer
    value: Any

    def _fold(self, name: str, other: Any) -> Entry:
        if not isinstance(other, Entry):
            other = Entry(self.writer, self.writer.number(exact(other)))
        return Entry(self.writer, self.writer.fold(name, [self.value, other.value]))

    def __add__(self, other: Any) -> Entry:
        return self._fold("Add", other)

    def __radd__(self, other: Any) -> Entry:
        return self if isinstance(other, int) and other == 0 else self._fold("Add", other)

    def __mul__(self, other: Any) -> Entry:
        return self._fold("Mul", other)

    __rmul__ = __mul__

    def __neg__(self) -> Entry:
        return self._fold("Mul", -1)

    def __sub__(self, other: Any) -> Entry:
        return self._fold("Add", -other)

    def __truediv__(self, other: Entry) -> Entry:
        return self.apply(QUOTIENT, other)

    def apply(self, expression: Any, *others: Entry) -> Entry:
        """An expression in `SLOTS` of this entry and others."""
        operands = [self.value, *[o.value for o in others]]
        return Entry(self.writer, self.writer.apply(expression, operands))


def exact(value: Any) -> Any:
    """A NumPy or Python number or bool as the SymPy number that it exactly is."""
    if isinstance(value, sp.Basic):
        return value
    if isinstance(value, bool | np.bool_):
        return sp.true if value else sp.false
    if isinstance(value, int | np.integer):
        return sp.Integer(int(value))
    if np.isnan(value):
        return sp.nan
    if np.isinf(value):
        return sp.oo if value > 0 else -sp.oo
    return sp.Rational(*float(value).as_integer_ratio())


def object_array(value: Any, shape: tuple[int, ...], writer: Writer) -> np.ndarray:
    """Entries, and plain numbers among them, as an object array of entries."""
    result = np.empty(shape, dtype=object)
    result[...] = value
    for at in np.ndindex(shape):
        if not isinstance(result[at], Entry):
            result[at] = Entry(writer, writer.number(exact(result[at])))
    return result


def entries_of(
    graph: Graph, inputs: Sequence[np.ndarray], writer: Writer, concrete: Sequence[Any] | None
) -> list[np.ndarray]:
    """The entries of every node, given the inputs'.

    `concrete` are NumPy's values of the nodes at the point, where there is one: they decide what
    integers such as the positions in ``x[argsort(x)]`` are.
    """
    for kind, node in zip(graph.types, graph.nodes, strict=True):
        if not kind.is_concrete:
            raise GraphError(
                f"{node.row.name} has the type {kind}; entry by entry, sizes must be numbers"
            )
    meaning = _Meaning(graph, writer, concrete)
    return graph.run(inputs, meaning)


class _Meaning:
    """The meaning of a node: the object array of its entries. Nodes come in order."""

    def __init__(self, graph: Graph, writer: Writer, concrete: Sequence[Any] | None) -> None:
        self.graph, self.writer, self.concrete = graph, writer, concrete
        self.order = iter([i for i, n in enumerate(graph.nodes) if n.row is not INPUT])
        self.static: dict[int, Any] = {}

    def __call__(self, node: Node, operands: list[np.ndarray]) -> np.ndarray:
        index = next(self.order)
        kind = self.graph.types[index]
        if all(i in self.static for i in node.operands):
            known = [self.static[i] for i in node.operands]
            if node.row.kind == "source" or kind.dtype.kind != "f":
                self.static[index] = numpy_meaning(node, known)
        try:
            return object_array(self._entries(node, index, operands), kind.shape, self.writer)
        except (GraphError, DerivativeError) as error:
            where = self.graph.place(index)
            raise type(error)(f"{error} (node {where})") from None

    def _entries(self, node: Node, index: int, operands: list[np.ndarray]) -> Any:
        name, kind, params = node.row.name, self.graph.types[index], dict(node.params)
        if index in self.static:
            return self.static[index]
        if name in ("sum", "cumsum") and self.graph.types[node.operands[0]].dtype.kind == "b":
            operands = [_convert(operands[0], self.graph.types[node.operands[0]], kind)]
        if name in CONVERSIONS:
            return CONVERSIONS[name](operands[0], self.graph.types[node.operands[0]], kind)
        if name in INDEXED:
            return node.row.numpy(operands[0], self._integers(node.operands[1]), **params)
        if node.row.scalar is not None:
            return self._elementwise(node, operands, kind)
        if name in DECIDED:
            return self._decided(node, index)
        rule = ENTRYWISE.get(name) or FACTORS.get(name)
        if rule is not None:
            lane = [self._value(i) for i in (*node.operands, index)]
            return (
                rule(*operands, **params, concrete=lane)
                if name in FACTORS
                else rule(*operands, **params)
            )
        if node.row.kind == "multilinear" or name in ("concatenate", "prod", "cumprod"):
            return node.row.numpy(*operands, **params)
        raise GraphError(f"{name} has no meaning entry by entry")

    def _elementwise(self, node: Node, operands: list[np.ndarray], kind: ArrayType) -> np.ndarray:
        expression = template(node.row.name, node.params, len(operands))
        result = np.empty(kind.shape, dtype=object)
        for at in np.ndindex(kind.shape):
            scalars: Any = [x[at] for x in operands]
            values = [entry.value for entry in scalars]
            result[at] = Entry(self.writer, self.writer.apply(expression, values))
        return result

    def _value(self, index: int) -> Any:
        if index in self.static:
            return self.static[index]
        return None if self.concrete is None else self.concrete[index]

    def _integers(self, index: int) -> Any:
        value = self._value(index)
        if value is None:
            raise GraphError("the positions depend on the inputs, which have no values here")
        return value

    def _decided(self, node: Node, index: int) -> Any:
        """Integers that comparisons of the entries decide: constant as long as none tie."""
        x = self._value(node.operands[0])
        if x is None or self._value(index) is None:
            raise GraphError(f"{node.row.name} depends on the inputs, which have no values here")
        axis: Any = dict(node.params).get("axis")
        if axis is not None and np.any(np.diff(np.sort(x, axis=axis), axis=axis) == 0):
            raise DerivativeError(
                f"{node.row.name} of entries that tie: a kink, or a jump of the positions; "
                "cb.subdifferential gives the set of slopes"
            )
        return self._value(index)


INDEXED = {"gather", "scatter_add"}
DECIDED = {"argsort", "argmax", "argmin", "sort_position", "position", "last_writer"}


def _convert(x: np.ndarray, old: ArrayType, new: ArrayType) -> np.ndarray:
    """Precisions are ignored: a real number stays what it is."""
    slot = SLOTS[0]
    if old.dtype.kind == "b" and new.dtype.kind != "b":
        expression = sp.Piecewise((1, slot), (0, True))
    elif new.dtype.kind == "b" and old.dtype.kind != "b":
        expression = sp.Ne(slot, 0)
    elif old.dtype.kind == "f" and new.dtype.kind == "i":
        expression = sp.sign(slot) * sp.floor(sp.Abs(slot))
    else:
        return x
    return _each(lambda entry: entry.apply(expression), x)


CONVERSIONS = {"convert": _convert}


def _each(function: Callable[[Entry], Entry], x: np.ndarray) -> np.ndarray:
    result = np.empty(x.shape, dtype=object)
    for at in np.ndindex(x.shape):
        entry: Any = x[at]
        result[at] = function(entry)
    return result


def _by_lanes(fold: Callable[[list[Entry]], Any], x: np.ndarray, axes: Sequence[int]) -> Any:
    """`fold` of the entries along the axes; the axes disappear."""
    kept = [a for a in range(x.ndim) if a not in axes]
    moved = np.transpose(x, (*kept, *axes))
    shape = tuple(x.shape[a] for a in kept)
    result = np.empty(shape, dtype=object)
    for at in np.ndindex(shape):
        result[at] = fold(list(np.ravel(moved[at])))
    return result


def _folded(name: str) -> Callable[..., Any]:
    def fold(lane: list[Entry]) -> Entry:
        return Entry(lane[0].writer, lane[0].writer.fold(name, [e.value for e in lane]))

    return lambda x, *, axes: _by_lanes(fold, x, axes)


def _total(x: np.ndarray, *, axes: tuple[int, ...]) -> Any:
    empty = any(x.shape[a] == 0 for a in axes)
    return np.sum(x, axis=axes) if empty or not axes else _folded("Add")(x, axes=axes)


def _sorted_lane(lane: list[Entry]) -> list[Entry]:
    """By comparing neighbours and exchanging them: ties are ties of a maximum and a minimum."""
    if len(lane) > LONGEST_LANE:
        raise GraphError(f"sort of {len(lane)} entries; at most {LONGEST_LANE} are taken")
    for end in range(len(lane) - 1, 0, -1):
        for i in range(end):
            low, high = lane[i].apply(LOW, lane[i + 1]), lane[i].apply(HIGH, lane[i + 1])
            lane[i], lane[i + 1] = low, high
    return lane


def _sort(x: np.ndarray, *, axis: int) -> np.ndarray:
    moved = np.moveaxis(x, axis, -1)
    result = np.empty(moved.shape, dtype=object)
    for at in np.ndindex(moved.shape[:-1]):
        result[at] = _sorted_lane(list(moved[at]))
    return np.moveaxis(result, -1, axis)


LOW, HIGH = sp.Min(*SLOTS[:2]), sp.Max(*SLOTS[:2])

ENTRYWISE: dict[str, Callable[..., Any]] = {
    "sum": _total,
    "max": _folded("Max"),
    "min": _folded("Min"),
    "sort": _sort,
}
