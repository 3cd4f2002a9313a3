"""The functions given to loops and choices: traced into bodies, and their types compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import (
    BOOL,
    ArrayType,
    DTypeError,
    ShapeError,
    TraceError,
    as_array,
)
from calcbench.graph.control_bodies import Body
from calcbench.graph.interpreter import inline
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value, value_or_array
from calcbench.graph.rewriting import simplify
from calcbench.graph.tracing import COMPUTED, Trace, record
from calcbench.graph.trees import LEAF, leaf_count, leaves_of, path_names, rebuild, structure_of


# --- what is given ------------------------------------------------------------------------------


class Tree(NamedTuple):
    """A tree of arrays and values: its structure, its leaves, and a name per leaf."""

    structure: Any
    leaves: list[Any]
    names: list[str]

    @staticmethod
    def of(tree: Any, name: str) -> Tree:
        """The leaves as values, or as arrays of a graph dtype."""
        structure = structure_of(tree)
        names = path_names(structure, name)
        leaves = [_leaf(v, n) for v, n in zip(leaves_of(tree), names, strict=True)]
        return Tree(structure, leaves, names)

    @property
    def types(self) -> list[ArrayType]:
        """The types of the leaves."""
        return [type_of(v) for v in self.leaves]


def _leaf(value: Any, name: str) -> Any:
    found = value_or_array(value) if isinstance(value, Value | np.ndarray) else value
    return found if isinstance(found, Value) else as_array(found, name)[()]


def type_of(value: Any) -> ArrayType:
    return value.type if isinstance(value, Value) else ArrayType(value.shape, value.dtype)


def step_count(across: Tree, length: Any) -> int:
    """The number of steps, on which `length` and the scanned arrays agree."""
    if length is not None and (
        isinstance(length, bool) or not isinstance(length, int | np.integer)
    ):
        raise ShapeError(f"length={length!r}: the number of steps of a scan is an int")
    known = {} if length is None else {"length": int(length)}
    for name, kind in zip(across.names, across.types, strict=True):
        if not kind.shape or not isinstance(kind.shape[0], int):
            raise ShapeError(f"scan steps along the first axis of {name}, which is {kind}")
        known[name] = kind.shape[0]
    if len(set(known.values())) != 1 or min(known.values()) < 0:
        shown = ", ".join(f"{name} says {count}" for name, count in known.items())
        raise ShapeError(
            f"a scan takes one number of steps, at least 0: {shown or 'none is given'}"
        )
    return min(known.values())


# --- the functions inside -----------------------------------------------------------------------


class Results(NamedTuple):
    """A tree of results: what is no number in it is kept as it is."""

    structure: Any
    kept: tuple[Any, ...]

    def filled(self, values: Iterator[Any]) -> Any:
        """The tree with these values."""
        return rebuild(
            self.structure, iter([next(values) if v is COMPUTED else v for v in self.kept])
        )


class Inner(NamedTuple):
    """A traced function: its graph, whose inputs are its arguments and then what it captured."""

    graph: Graph
    sources: list[Any]
    results: Results

    @property
    def types(self) -> list[ArrayType]:
        """The types of its results."""
        return [self.graph.types[i] for i in self.graph.outputs]


def traced_body(
    name: str, function: Callable[..., Any], structures: Sequence[Any], kinds: Any
) -> Inner:
    """The function recorded for arguments of these types, whose values are not known."""
    outside = Builder()
    leaves = [Value(outside, outside.add_input(f"x{k}", t)) for k, t in enumerate(kinds)]
    arguments = (tuple, None, ((tuple, None, tuple(structures)), structure_of({})))
    try:
        trace = record(function, arguments, leaves)
    except TraceError as error:
        error.add_note(
            f"while tracing a function given to {name}: its arguments have no values yet, so "
            "choose with calcbench.cond or np.where, not with if"
        )
        raise
    _refuse_paths(name, trace)
    sources = [c.source for c in trace.captures]
    return Inner(simplify(trace.graph), sources, Results(trace.structure, trace.kept))


def _refuse_paths(name: str, trace: Trace) -> None:
    if trace.graph.guards:
        where = trace.graph.place(trace.graph.guards[0].node)
        raise TraceError(
            f"a function given to {name} branches in Python on {where}; "
            f"branch before {name}, or choose with calcbench.cond or np.where"
        )
    if trace.mutated:
        raise TraceError(
            f"a function given to {name} writes to an array from outside; carry the array instead"
        )


def pair_of(results: Results) -> tuple[Results, Results]:
    """The two parts of what the body of a scan returns."""
    found = results.structure
    if found == LEAF or found[0] is not tuple or len(found[2]) != 2:
        raise TraceError(
            "the function given to scan returns a pair, (next carry, y); write `return carry, "
            "None` where nothing is stacked"
        )
    first, second = found[2]
    count = leaf_count(first)
    return Results(first, results.kept[:count]), Results(second, results.kept[count:])


def joined(traces: Sequence[Inner], count: int) -> tuple[list[Any], list[Body]]:
    """What the functions captured, once each, and their graphs with all of that as inputs."""
    sources = {_key(s): s for trace in traces for s in trace.sources}
    bodies = []
    for trace in traces:
        graph, builder = trace.graph, Builder()
        own = [
            builder.add_input(f"x{k}", graph.types[i]) for k, i in enumerate(graph.inputs[:count])
        ]
        shared = {
            key: builder.add_input(f"captured{k}", type_of(source))
            for k, (key, source) in enumerate(sources.items())
        }
        ids = inline(graph, builder, [*own, *[shared[_key(s)] for s in trace.sources]])
        bodies.append(Body(simplify(builder.freeze([ids[i] for i in graph.outputs]))))
    return list(sources.values()), bodies


def _key(source: Any) -> Any:
    return (id(source.builder), source.id) if isinstance(source, Value) else id(source)


# --- types that must agree ----------------------------------------------------------------------


def check_carry(name: str, start: Tree, results: Results, types: Sequence[ArrayType]) -> None:
    """An error that names the first part of a carry whose type a step changes."""
    if results.structure != start.structure or any(v is not COMPUTED for v in results.kept):
        raise ShapeError(
            f"the next carry of {name} is {_shown(results)}; it must be a tree like init, with the "
            f"leaves {', '.join(start.names) or '(none)'}"
        )
    for leaf, before, after in zip(start.names, start.types, types, strict=True):
        if before != after:
            kind = ShapeError if before.shape != after.shape else DTypeError
            raise kind(
                f"{name} carries {leaf} of type {before}, and a step makes it {after}; start with "
                f"the type {after}, or convert the next carry with .astype or np.broadcast_to"
            )


def _shown(results: Results) -> str:
    leaves = ["an array" if v is COMPUTED else repr(v) for v in results.kept]
    return f"{rebuild(results.structure, iter(leaves))}".replace("'", "")


def check_truth(what: str, types: Sequence[ArrayType]) -> None:
    if list(types) != [ArrayType((), BOOL)]:
        shown = ", ".join(map(str, types))
        raise DTypeError(f"{what} is one truth value, bool[], got {shown}; compare, as in x > 0")


def check_branches(first: Inner, second: Inner) -> None:
    if first.results != second.results:
        raise ShapeError(
            f"the branches of cond return {_shown(first.results)} and {_shown(second.results)}; "
            "return trees of one structure"
        )
    for rank, (one, other) in enumerate(zip(first.types, second.types, strict=True)):
        if one != other:
            kind = ShapeError if one.shape != other.shape else DTypeError
            raise kind(f"result {rank} of cond is {one} in one branch and {other} in the other")
