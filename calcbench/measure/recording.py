"""The graph that a function and its arguments stand for, and what of it is differentiated."""

from __future__ import annotations

from typing import Any, NamedTuple

from calcbench.graph.arraytype import GraphError
from calcbench.graph.ir import Graph
from calcbench.graph.paths import Arguments, Paths, prepare, type_of
from calcbench.graph.rewriting import simplify
from calcbench.graph.tracing import is_static
from calcbench.programs import Argnums, Program, arguments_of


class Recorded(NamedTuple):
    """A graph and the positions of its inputs that are differentiated."""

    graph: Graph
    wanted: tuple[int, ...]


def recorded_graph(
    asked: str, function: Any, args: tuple[Any, ...], argnums: Argnums | None
) -> Recorded:
    """The graph after exact rewrites; `asked` is the public name, for errors.

    Differentiated are the arguments `argnums`; if None, all leaves that hold floats.

    Raises
    ------
    GraphError
        If neither a function nor a graph is given, or a graph with arguments.
    """
    if isinstance(function, Graph):
        return _given(asked, function, args)
    if not callable(function):
        raise GraphError(
            f"{asked} takes a function or a Graph, got {type(function).__name__} {function!r:.60}; "
            f"pass the function itself and then its arguments: {asked}(f, x), not {asked}(f(x)); "
            "as_graph makes a graph of a value built from var"
        )
    paths = Paths(function, lambda graph, wrt: Program(graph))
    arguments = _arguments(paths, args, argnums)
    graph = simplify(paths.trace(arguments).graph)
    return Recorded(graph, paths.positions(arguments))


def _given(asked: str, graph: Graph, args: tuple[Any, ...]) -> Recorded:
    if args:
        raise GraphError(
            f"a graph knows its types, {graph.signature}: pass it alone, as in {asked}(graph), "
            f"without the {len(args)} arguments"
        )
    floats = tuple(p for p, i in enumerate(graph.inputs) if graph.types[i].is_float)
    return Recorded(simplify(graph), floats)


def _arguments(paths: Paths, args: tuple[Any, ...], argnums: Argnums | None) -> Arguments:
    if argnums is not None:
        return arguments_of(paths, args, {}, argnums)
    arguments = prepare(args, {}, (), paths.roots)
    floats = [
        i
        for i, leaf in enumerate(arguments.leaves)
        if not is_static(leaf) and type_of(leaf)[1].kind == "f"
    ]
    return arguments._replace(wanted=tuple(floats))
