"""The graph itself: nodes in topological order, built once by an append-only builder."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from calcbench.graph.arraytype import (
    ArrayType,
    GraphError,
    ShapeError,
    as_array,
    check_bound,
    check_size,
    with_sizes,
)
from calcbench.graph.nodes import INPUT, Guard, Literal, Node, Origin, Params, Row
from calcbench.graph.printing import format_graph


_new_node = tuple.__new__  # what Node(...) calls, without the detour: this is the hottest line
Meaning = Callable[[Node, list[Any]], Any]


def numpy_meaning(node: Node, operands: list[Any]) -> Any:
    """The reference meaning of a node: its row's NumPy function."""
    return node.row.numpy(*operands, **dict(node.params))


@dataclass(frozen=True)
class Graph:
    """A function as a list of typed nodes; operands always come before their users.

    Attributes
    ----------
    nodes, types : tuple
        Node ``i`` computes a value of type ``types[i]``.
    inputs, outputs : tuple of int
        Node ids, in calling order.
    guards : tuple of Guard
        Facts on which the recorded path rests; no pass may drop them.
    origins : tuple
        Per node the file and line that recorded it, or None.
    """

    nodes: tuple[Node, ...]
    types: tuple[ArrayType, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    guards: tuple[Guard, ...] = ()
    origins: tuple[Origin, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(self.nodes)

    def __str__(self) -> str:
        return format_graph(self)

    def __repr__(self) -> str:
        return f"<Graph of {len(self)} nodes: {self.signature}>"

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the inputs, in calling order."""
        return tuple(str(dict(self.nodes[i].params)["name"]) for i in self.inputs)

    @property
    def signature(self) -> str:
        """The type of the graph as a function."""
        sources = (
            f"{n}: {self.types[i]}" for n, i in zip(self.input_names, self.inputs, strict=True)
        )
        return f"({', '.join(sources)}) -> ({', '.join(str(self.types[i]) for i in self.outputs)})"

    def head(self, count: int = 10) -> str:
        """The first `count` nodes as text."""
        return format_graph(self, count)

    def place(self, node: int) -> str:
        """Where node `node` was recorded, as text for an error message."""
        origin = self.origins[node] if self.origins else None
        where = f", recorded at {origin[0]}:{origin[1]}" if origin else ""
        found = self.nodes[node]
        name = f" {dict(found.params)['name']!r}" if found.row is INPUT else ""
        return f"v{node} = {found.row.name}{name}{where}"

    def bind(self, **values: object) -> Any:
        """Evaluate with the inputs bound by name; one array, or a tuple for several outputs.

        Raises
        ------
        GraphError
            If a name is missing or unknown, or a value does not have the input's type.

        Examples
        --------
        >>> import calcbench as cb
        >>> a = cb.var("a", shape=(3,))
        >>> cb.as_graph(2 * a).bind(a=[1.0, 2.0, 3.0])
        array([2., 4., 6.])
        """
        arrays, sizes = self._bound(values)

        def meaning(node: Node, operands: list[Any]) -> Any:
            return numpy_meaning(node._replace(params=with_sizes(node.params, sizes)), operands)

        with np.errstate(all="ignore"):
            computed = self.run(arrays, meaning if sizes else numpy_meaning)
        results = tuple(np.array(computed[i])[()] for i in self.outputs)
        return results[0] if len(results) == 1 else results

    def _bound(self, values: Mapping[str, object]) -> tuple[list[Any], dict[Any, int]]:
        names = self.input_names
        missing, unknown = sorted(set(names) - set(values)), sorted(set(values) - set(names))
        if missing or unknown:
            raise GraphError(
                f"the graph's inputs are {', '.join(names)}; missing: {missing}, unknown: {unknown}"
            )
        sizes: dict[object, int] = {}
        arrays = [
            check_bound(name, as_array(values[name], name), self.types[i], sizes)
            for name, i in zip(names, self.inputs, strict=True)
        ]
        return arrays, sizes

    def run(self, inputs: Sequence[Any], meaning: Meaning) -> list[Any]:
        """THE loop: every node's value, given the inputs' and a meaning for the other nodes."""
        values: list[Any] = [None] * len(self.nodes)
        for index, value in zip(self.inputs, inputs, strict=True):
            values[index] = value
        for index, node in enumerate(self.nodes):
            if node.row is not INPUT:
                values[index] = meaning(node, [values[i] for i in node.operands])
        return values


class Recording(Protocol):
    """What a builder knows of the function whose trace it records."""

    def origin(self) -> Origin: ...
    def concrete(self, node: int) -> Any: ...
    def decide(self, node: int) -> Any: ...
    def capture_array(self, array: np.ndarray) -> int: ...
    def capture_value(self, value: Any) -> int: ...


class Builder:
    """Append-only construction of a graph, with value numbering.

    While a function is traced, `recording` knows the values of nodes and the user's line, and
    `level` orders nested recordings: an inner one may capture values of an outer one. A transform
    sets `here`, the origin of the node whose derivative it writes, `epoch`, that of the nodes which
    rows add, and `instead`, nodes that compute another node on the way (see
    `calcbench.graph.control_bodies.shared_runs`).
    """

    __slots__ = (
        "_inferred", "_numbers", "captures", "epoch", "guards", "here", "inputs", "instead",
        "level", "nodes", "origins", "recording", "types",
    )  # fmt: skip

    def __init__(self, level: int = 0) -> None:
        self.nodes: list[Node] = []
        self.types: list[ArrayType] = []
        self.origins: list[Origin] = []
        self.inputs: list[int] = []
        self.guards: list[Guard] = []
        self.captures: dict[Hashable, tuple[Any, int]] = {}
        self.level = level
        self.recording: Recording | None = None
        self.here: Origin = None
        self.epoch = 0
        self.instead: dict[int, tuple[int, int]] = {}
        self._numbers: dict[Node, int] = {}
        self._inferred: dict[tuple[object, ...], ArrayType] = {}

    def add(self, row: Row, operands: tuple[int, ...], params: Params = (), epoch: int = 0) -> int:
        """The id of the node, new or already there."""
        node = _new_node(Node, (row, operands, params, epoch))
        found = self._numbers.get(node)
        if found is not None:
            return found
        types = self.types
        kinds = [types[i] for i in operands]
        key = (row, params, *kinds)
        known = self._inferred.get(key)
        if known is None:
            known = self._inferred[key] = _infer(row, kinds, params)
        recording = self.recording
        index = self._numbers[node] = len(types)
        self.nodes.append(node)
        types.append(known)
        self.origins.append(self.here if recording is None else recording.origin())
        return index

    def add_typed(self, node: Node, type: ArrayType, origin: Origin) -> int:
        """The id of a node whose type is known, as when a graph is copied."""
        found = self._numbers.get(node)
        if found is not None:
            return found
        index = self._numbers[node] = len(self.nodes)
        self.nodes.append(node)
        self.types.append(type)
        self.origins.append(origin)
        return index

    def add_input(self, name: str, type: ArrayType) -> int:
        """A new input, or the input that already has this name and type."""
        index = self.add(INPUT, (), _named(name, type))
        if index not in self.inputs:
            self._refuse_second_type(name, index)
            self.inputs.append(index)
        return index

    def add_new_input(self, name: str, type: ArrayType) -> int:
        """A new input, numbered if the name is taken: transforms of transforms name alike."""
        taken = {dict(self.nodes[i].params)["name"] for i in self.inputs}
        names = itertools.chain([name], (f"{name}_{k}" for k in itertools.count(2)))
        return self.add_input(next(n for n in names if n not in taken), type)

    def _refuse_second_type(self, name: str, index: int) -> None:
        for other in self.inputs:
            if dict(self.nodes[other].params)["name"] == name:
                raise GraphError(
                    f"two inputs are named {name!r}, of types {self.types[other]} and "
                    f"{self.types[index]}; give one of them another name"
                )

    def capture(self, key: Hashable, source: Any, type: ArrayType) -> int:
        """The input that stands for something used from outside the function, re-read at calls."""
        known = self.captures.get(key)
        if known is None:
            name = f"captured{len(self.captures)}"
            known = self.captures[key] = (source, self.add(INPUT, (), _named(name, type)))
        return known[1]

    def placeholder(self, type: ArrayType) -> int:
        """An input that stands for a tangent while a rule is transposed; pruned afterwards."""
        return self.add(INPUT, (), _named(f"placeholder{len(self.nodes)}", type))

    def guard(self, node: int, expected: object) -> None:
        """Record that tracing relied on node `node` being `expected`."""
        self.guards.append(Guard(node, Literal.of(expected, self.types[node].dtype)))

    def freeze(self, outputs: Sequence[int], inputs: Sequence[int] | None = None) -> Graph:
        """The graph built so far, with the given outputs."""
        return Graph(
            tuple(self.nodes),
            tuple(self.types),
            tuple(self.inputs if inputs is None else inputs),
            tuple(outputs),
            tuple(self.guards),
            tuple(self.origins),
        )


def _infer(row: Row, types: Sequence[ArrayType], params: Params) -> ArrayType:
    if not row.takes_named_dimensions and not all(t.is_concrete for t in types):
        raise ShapeError(
            f"{row.name} needs sizes that are numbers, got {', '.join(map(str, types))}; only "
            "elementwise operations, broadcasting, sum, cumsum, flip, transpose, matmul, trace, "
            "diag, outer, kron, det and inv take named dimensions"
        )
    return check_size(row.infer(*types, **dict(params)), row.name)


def _named(name: str, type: ArrayType) -> Params:
    return (("name", name), ("type", type))


def reachable(nodes: Sequence[Node], roots: Sequence[int]) -> list[int]:
    """The ids on which `roots` depend, themselves included, in order."""
    wanted = bytearray(len(nodes))
    for index in roots:
        wanted[index] = 1
    for index in range(len(nodes) - 1, -1, -1):
        if wanted[index]:
            for operand in nodes[index].operands:
                wanted[operand] = 1
    return [index for index, flag in enumerate(wanted) if flag]


@contextmanager
def paused_collection() -> Iterator[None]:
    """Pause cyclic garbage collection: nodes hold no cycles, and scanning them is quadratic."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
