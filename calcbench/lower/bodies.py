"""Statements of one loop body: every node once per index, operands before their users."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from calcbench.graph.ir import Graph
from calcbench.graph.structural import constant, fill, gather
from calcbench.lower.indexing import (
    Affine,
    Index,
    NeedsDivision,
    Part,
    Splitter,
    interval,
    row_major,
    symbol,
)
from calcbench.lower.pulling import Window, is_view, windows
from calcbench.lower.texts import element_text, literal_text


Key = tuple[int, Index]


class Mixed(Exception):
    """A condition holds in one part of the box only: cut symbol `name` before `at`."""

    def __init__(self, name: str, at: int) -> None:
        self.name, self.at = name, at


class Statement(NamedTuple):
    """`name = text`, in the innermost of the loops that `depth` counts."""

    name: str
    text: str
    depth: int
    node: int = -1


@dataclass
class Body:
    """The statements of a loop over one box of its index space.

    Attributes
    ----------
    graph : Graph
    stored : callable
        Node to the name of the array that holds it, the name of its scalar, or None.
    ranges : dict
        The lowest and highest value of each symbol.
    guarded : bool
        Whether a condition that holds in a part of the box becomes a select, or raises `Mixed`.
    divides : bool
        Whether taking joined axes apart becomes a division, or raises `NeedsDivision`.
    """

    graph: Graph
    stored: Callable[[int], str | None]
    ranges: dict[str, tuple[int, int]]
    guarded: bool = False
    divides: bool = False
    vectorised: bool = True
    target: str = "cpu"
    statements: list[Statement] = field(default_factory=list)
    depths: dict[str, int] = field(default_factory=dict)
    loads: list[Key] = field(default_factory=list)
    _texts: dict[Key, str] = field(default_factory=dict)
    _counts: dict[int, int] = field(default_factory=dict)
    _integers: dict[tuple[str, ...], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.depths.update({name: k + 1 for k, name in enumerate(self.ranges)})
        self.splitter = Splitter(self.ranges, self._divide if self.divides else None)

    def value(self, node: int, index: Index) -> str:
        """The name (or literal) of a node's entry; its statements are written where missing."""
        stack: list[Generator[Key, str, str]] = [self._entry(node, index)]
        answer = ""
        while stack:
            try:
                wanted = stack[-1].send(answer) if answer else next(stack[-1])
                answer = self._texts.get(wanted, "")
                if not answer:
                    stack.append(self._entry(*wanted))
            except StopIteration as done:
                stack.pop()
                answer = done.value
        return answer

    def needs(self, node: int, index: Index) -> list[Key]:
        """The entries that one entry is computed from, without computing them."""
        found: list[Key] = []
        steps = self._compute(node, index)
        try:
            wanted = next(steps)
            while True:
                found.append(wanted)
                wanted = steps.send(f"v{wanted[0]}")
        except StopIteration:
            return found

    # --- one entry: yields the keys it needs, and is sent their texts -------------------------

    def _entry(self, node: int, index: Index) -> Generator[Key, str, str]:
        key = (node, index)
        if key not in self._texts:
            self._texts[key] = yield from self._compute(node, index)
        return self._texts[key]

    def _compute(self, node: int, index: Index) -> Generator[Key, str, str]:
        row = self.graph.nodes[node].row
        name = self.stored(node)
        if name is not None:
            return self._load(node, name, index)
        if row is fill or row is constant:
            return literal_text(dict(self.graph.nodes[node].params)["value"])  # type: ignore[arg-type]
        if row is gather:
            return (yield from self._gathered(node, index))
        if is_view(self.graph, node):
            return (yield from self._chosen(node, windows(self.graph, node, index, self.splitter)))
        return (yield from self._applied(node, index))

    def _load(self, node: int, name: str, index: Index) -> str:
        if name.islower():  # a scalar that is at hand
            return name
        at = row_major(index)
        self.loads.append((node, index))
        return self._state(node, f"read({name}, {at})", [s for s, _ in at.terms])

    def _applied(self, node: int, index: Index) -> Generator[Key, str, str]:
        row, ids, params, _ = self.graph.nodes[node]
        names = []
        for operand in ids:
            name = yield operand, index
            names += [name]
        if row.name == "convert":
            return self._state(node, converted(names[0], self.graph.types[node].dtype), names)
        types = [self.graph.types[i] for i in ids]
        text = element_text(
            row, dict(params), names, types, self.graph.types[node], self.vectorised, self.target
        )
        return self._state(node, text, names)

    def _gathered(self, node: int, index: Index) -> Generator[Key, str, str]:
        source, positions = self.graph.nodes[node].operands
        name = yield positions, index
        size = self.graph.types[source].size
        at = symbol(name) if name.isidentifier() else Affine((), int(re.sub(r"\D+64|\D", "", name)))
        self.ranges[name] = (0, size - 1)
        return (yield source, ((Part(size, at),) if size != 1 else ()))

    def _chosen(self, node: int, found: list[Window]) -> Generator[Key, str, str]:
        """The value of the first window whose conditions hold, or 0."""
        zero = literal_zero(self.graph, node)
        pieces: list[tuple[str, str]] = []
        for window in found:
            states = [self._state_of(part) for part in window.conditions]
            if "no" in states:
                continue
            if "mixed" not in states:
                value = yield window.operand, window.at
                pieces.append(("", value))
                break
            conditions, index = self._clamped(window)
            value = yield window.operand, index
            pieces.append((conditions, value))
        return self._select(node, pieces, zero)

    def _select(self, node: int, pieces: list[tuple[str, str]], zero: str) -> str:
        last = pieces.pop()[1] if pieces and not pieces[-1][0] else zero
        if not pieces:
            return last
        text, uses = last, [last]
        for conditions, value in reversed(pieces):
            text = f"({value} if {conditions} else {text})"
            uses += [value, *self._named(conditions)]
        return self._state(node, text, uses)

    def _named(self, conditions: str) -> list[str]:
        return [name for name in self.depths if name in conditions.split()]

    # --- conditions ---------------------------------------------------------------------------

    def _state_of(self, part: Part) -> str:
        low, high = interval(part.at, self.ranges)
        if low >= 0 and high < part.extent:
            return "yes"
        if high < 0 or low >= part.extent:
            return "no"
        if not self.guarded:
            self._raise_mixed(part)
        return "mixed"

    def _raise_mixed(self, part: Part) -> None:
        """Name a cut, where one symbol decides."""
        if len(part.at.terms) != 1:
            raise NeedsDivision
        (name, factor), shift = part.at.terms[0], part.at.constant
        low, high = self.ranges[name]
        ends = (-shift, part.extent - shift)
        cuts = [-(-end // factor) if factor > 0 else end // factor + 1 for end in ends]
        for cut in sorted(cuts):
            if low < cut <= high:
                raise Mixed(name, cut)
        raise NeedsDivision

    def _clamped(self, window: Window) -> tuple[str, Index]:
        """The conditions as text, and the index moved inside where they do not hold."""
        moved: dict[Part, Part] = {}
        words = []
        for part in window.conditions:
            if self._state_of(part) == "mixed":
                at = self._integer("at", str(part.at), part.at)
                inside = f"min(max({at}, 0), {part.extent - 1})"
                low, high = interval(part.at, self.ranges)
                words.append(f"{at} >= 0" if low < 0 else "")
                words.append(f"{at} < {part.extent}" if high >= part.extent else "")
                new = self._integer("at", inside, symbol(at))
                self.ranges[new] = (0, part.extent - 1)
                moved[part] = Part(part.extent, symbol(new))
        index = tuple(moved.get(part, part) for part in window.at)
        return " and ".join(filter(None, words)), index

    def _divide(self, at: Affine, inner: int) -> tuple[Affine, Affine]:
        low, high = interval(at, self.ranges)
        whole = self._integer("at", f"({at}) // {inner}", at)
        self.ranges[whole] = (low // inner, high // inner)
        rest = self._integer("at", str(at + symbol(whole) * -inner), at + symbol(whole))
        self.ranges[rest] = (0, inner - 1)
        return symbol(whole), symbol(rest)

    def _integer(self, prefix: str, text: str, uses: Affine) -> str:
        """The name of an integer, stated once."""
        key = (prefix, text)
        if key not in self._integers:
            name = self._integers[key] = f"{prefix}{len(self._integers)}"
            self.ranges.setdefault(name, interval(uses, self.ranges))
            self._append(name, text, [s for s, _ in uses.terms], -1)
        return self._integers[key]

    # --- statements ---------------------------------------------------------------------------

    def _state(self, node: int, text: str, uses: list[str]) -> str:
        count = self._counts[node] = self._counts.get(node, 0) + 1
        name = f"v{node}" if count == 1 else f"v{node}_{count - 1}"
        self._append(name, text, uses, node)
        return name

    def _append(self, name: str, text: str, uses: list[str], node: int) -> None:
        depth = max([self.depths.get(u, 0) for u in uses], default=0)
        self.depths[name] = depth
        self.statements.append(Statement(name, text, depth, node))


def literal_zero(graph: Graph, node: int) -> str:
    """0 in the dtype of a node."""
    dtype = graph.types[node].dtype
    if dtype.kind == "b":
        return "False"
    return {"float64": "0.0", "int64": "0"}.get(dtype.name, f"np.{dtype.name}(0)")


def converted(text: str, dtype: Any) -> str:
    """`text` in another dtype, as `astype` converts."""
    return f"({text} != 0)" if dtype.kind == "b" else f"np.{dtype.name}({text})"
