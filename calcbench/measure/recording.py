"""The graph that a function and its arguments stand for, and what of it is differentiated."""

from __future__ import annotations

from typing import Any, NamedTuple

from calcbench.graph.arraytype import GraphError, as_array, check_bound
from calcbench.graph.ir import Graph
from calcbench.graph.lifting import Value
from calcbench.graph.paths import Arguments, Paths, prepare, type_of
from calcbench.graph.rewriting import simplify
from calcbench.graph.tracing import Capture, is_static
from calcbench.programs import Argnums, Program, arguments_of


MOST_KEPT = 2**20  # bytes of inputs that are kept for a drawing


class Recorded(NamedTuple):
    """A graph and the positions of its inputs that are differentiated."""

    graph: Graph
    wanted: tuple[int, ...]


class Point(NamedTuple):
    """A graph as it was recorded, before any rewrite, and the inputs that it was recorded at.

    `inputs` has those that the function captured as well, and is in the order of the graph's.
    """

    graph: Graph
    wanted: tuple[int, ...]
    inputs: tuple[Any, ...]


def recorded_point(
    asked: str, function: Any, args: tuple[Any, ...], argnums: Argnums | None
) -> Point:
    """The graph of a function at its arguments, or a given graph at inputs in their order.

    Raises
    ------
    GraphError, DTypeError, ShapeError
        If neither a function nor a graph is given, or a graph with other inputs than its own.
    """
    if isinstance(function, Graph):
        return _given_point(asked, function, args)
    _check_callable(asked, function)
    paths = Paths(function, lambda graph, wrt: Program(graph))
    arguments = _arguments(paths, args, argnums)
    trace = paths.trace(arguments)
    inputs = (*arguments.arrays, *map(_captured, trace.captures))
    return Point(trace.graph, paths.positions(arguments), inputs)


def _captured(capture: Capture) -> Any:
    """What the function read from outside, as it was then."""
    if capture.snapshot is None:
        return capture.source
    return capture.snapshot if capture.snapshot.ndim else capture.snapshot[()]


def kept_point(point: Point) -> Point | None:
    """The point with its inputs copied; None where they are large, or being traced themselves."""
    if any(isinstance(v, Value) for v in point.inputs):
        return None
    if sum(v.nbytes for v in point.inputs) > MOST_KEPT:
        return None
    return point._replace(inputs=tuple(v.copy() for v in point.inputs))


def _given_point(asked: str, graph: Graph, args: tuple[Any, ...]) -> Point:
    if len(args) != len(graph.inputs):
        raise GraphError(
            f"{asked} runs the graph, whose inputs are {graph.signature}: it takes "
            f"{len(graph.inputs)} values after the graph, got {len(args)}"
        )
    sizes: dict[Any, int] = {}
    named = zip(graph.input_names, args, graph.inputs, strict=True)
    inputs = [check_bound(n, as_array(v, n), graph.types[i], sizes) for n, v, i in named]
    if sizes:
        raise GraphError(f"{asked} needs a graph whose sizes are numbers, got {graph.signature}")
    return Point(graph, _float_inputs(graph), tuple(inputs))


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
    point = recorded_point(asked, function, args, argnums)
    return Recorded(simplify(point.graph), point.wanted)


def _check_callable(asked: str, function: Any) -> None:
    if not callable(function):
        raise GraphError(
            f"{asked} takes a function or a Graph, got {type(function).__name__} {function!r:.60}; "
            f"pass the function itself and then its arguments: {asked}(f, x), not {asked}(f(x)); "
            "as_graph makes a graph of a value built from var"
        )


def _float_inputs(graph: Graph) -> tuple[int, ...]:
    return tuple(p for p, i in enumerate(graph.inputs) if graph.types[i].is_float)


def _given(asked: str, graph: Graph, args: tuple[Any, ...]) -> Recorded:
    if args:
        raise GraphError(
            f"a graph knows its types, {graph.signature}: pass it alone, as in {asked}(graph), "
            f"without the {len(args)} arguments"
        )
    return Recorded(simplify(graph), _float_inputs(graph))


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
