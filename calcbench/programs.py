"""Recorded functions, transformed and run: on arrays by a plan, on traced values by inlining."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import numpy as np

from calcbench.graph.arraytype import DerivativeError, DTypeError
from calcbench.graph.conventions import kink_convention
from calcbench.graph.evaluation import Plan
from calcbench.graph.interpreter import inline
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value, common_builder, place
from calcbench.graph.nodes import Literal
from calcbench.graph.paths import Arguments, Attempt, Path, Paths, prepare
from calcbench.graph.rewriting import simplify
from calcbench.graph.structural import fill
from calcbench.graph.tracing import COMPUTED, Trace, is_static
from calcbench.graph.trees import leaf_count, leaves_of, rebuild, structure_of


Argnums = int | tuple[int, ...]
Build = Callable[[Graph, tuple[int, ...]], "Program"]


class Program:
    """A graph ready to run, whose last `seeds` inputs may change between sweeps."""

    def __init__(self, graph: Graph, seeds: int = 0) -> None:
        self.graph = graph
        self.seeds = seeds
        self._plan: Plan | None = None
        self._whole: Plan | None = None

    @property
    def plan(self) -> Plan:
        """The calls, made on first use."""
        if self._plan is None:
            count = len(self.graph.inputs)
            self._plan = Plan(self.graph, range(count - self.seeds, count))
        return self._plan

    def start(self, inputs: Sequence[Any]) -> Session:
        """Run what does not depend on seeds, unless the inputs are traced values."""
        if any(isinstance(v, Value) for v in inputs):
            return Session(self, inputs, None)
        return Session(self, inputs, self.plan.start(inputs))

    def run(self, inputs: Sequence[Any], seeds: Sequence[Any]) -> tuple[Any, ...]:
        """One sweep alone: a value goes as soon as it has been read, none is kept for another."""
        if any(isinstance(v, Value) for v in (*inputs, *seeds)):
            return inlined(self.graph, [*inputs, *seeds])
        if self._whole is None:
            self._whole = Plan(self.graph)
        return self._whole(*inputs, *seeds)


class Session:
    """One point at which a program was started; sweeps may follow, each with its own seeds."""

    __slots__ = ("inputs", "program", "state")

    def __init__(self, program: Program, inputs: Sequence[Any], state: list[Any] | None) -> None:
        self.program = program
        self.inputs = inputs
        self.state = state

    def finish(self, seeds: Sequence[Any] = ()) -> tuple[Any, ...]:
        """The outputs for these seeds: numbers, or traced values if inputs or seeds are."""
        if self.state is None or any(isinstance(v, Value) for v in seeds):
            return inlined(self.program.graph, [*self.inputs, *seeds])
        return self.program.plan.finish(self.state, seeds)


def own(leaf: Any) -> Any:
    """A leaf that nobody else can change."""
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


def inlined(graph: Graph, inputs: Sequence[Any]) -> tuple[Any, ...]:
    """The graph written into the builder of the traced values among its inputs."""
    builder = common_builder(list(inputs))
    ids = inline(graph, builder, [place(builder, v).id for v in inputs])
    return tuple(Value(builder, ids[i]) for i in graph.outputs)


def start(paths: Paths, arguments: Arguments, owned: bool = False) -> tuple[Path, Session]:
    """The first path whose guards hold at the arguments, started there.

    With `owned`, captured arrays are copied: sweeps may follow when they have changed.
    """

    def begun(attempt: Attempt) -> Session:
        path, captured, is_new = attempt
        captures = [own(v) for v in captured] if owned and not is_new else captured
        session: Session = path.built.start([*arguments.arrays, *captures])
        return session

    return taken(paths, arguments, begun)


def taken(paths: Paths, arguments: Arguments, run: Callable[[Attempt], Any]) -> tuple[Path, Any]:
    """The first path whose guards hold, and what `run` made of it."""
    found = paths.first_taken(arguments, paths.candidates(arguments), run)
    if found is None:
        raise DerivativeError(
            f"{paths.function!r} took another branch when it was run again at the same point; "
            "a function that draws random numbers or keeps state has no derivative"
        )
    return found


def swept_once(
    paths: Paths, arguments: Arguments, seeds: Sequence[Any]
) -> tuple[Path, tuple[Any, ...]]:
    """The first path whose guards hold, and the outputs of one sweep there."""

    def swept(attempt: Attempt) -> Any:
        return attempt.path.built.run([*arguments.arrays, *attempt.captured], seeds)

    return taken(paths, arguments, swept)


@lru_cache(maxsize=32)
def _shared(function: Callable[..., Any], build: Build) -> Paths:
    return Paths(function, build)


def shared_paths(function: Callable[..., Any], build: Build) -> Paths:
    """The paths of a function for one use, kept between calls of one-shot functions."""
    try:
        return _shared(function, build)
    except TypeError:  # an unhashable callable
        return Paths(function, build)


def seeded(graph: Graph, count: int) -> Graph:
    """The graph with its last `count` inputs replaced by ones."""
    builder = Builder()
    split = len(graph.inputs) - count
    ids = [
        builder.add_input(name, graph.types[i])
        for name, i in zip(graph.input_names[:split], graph.inputs[:split], strict=True)
    ]
    for index in graph.inputs[split:]:
        shape, dtype = graph.types[index]
        params = (("shape", shape), ("value", Literal.of(1, dtype)))
        ids.append(builder.add(fill, (), params))
    new = inline(graph, builder, ids)
    return simplify(builder.freeze([new[i] for i in graph.outputs]))


def with_outputs(graph: Graph, outputs: Sequence[int]) -> Graph:
    """The graph with only these of its outputs (positions), pruned."""
    kept = tuple(graph.outputs[p] for p in outputs)
    return simplify(
        Graph(graph.nodes, graph.types, graph.inputs, kept, graph.guards, graph.origins)
    )


def begin(
    paths: Paths,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    argnums: Argnums,
    kink: str | None,
    owned: bool = False,
) -> tuple[Arguments, Path, Session]:
    """A call's arguments, the path recorded for them and that path started there.

    With `owned`, the arguments and what the function captured are copied.
    """
    with nullcontext() if kink is None else kink_convention(kink):
        arguments = arguments_of(paths, args, kwargs, argnums)
        if owned:
            arguments = arguments._replace(leaves=[own(v) for v in arguments.leaves])
        return arguments, *start(paths, arguments, owned)


# --- arguments and results -------------------------------------------------------------------


def arguments_of(
    paths: Paths, args: tuple[Any, ...], kwargs: dict[str, Any], argnums: Argnums
) -> Arguments:
    """A call's arguments, those of `argnums` checked to be differentiable."""
    numbers = check_argnums(argnums, len(args))
    arguments = prepare(args, kwargs, numbers, paths.roots)
    for position in arguments.wanted:
        check_float(arguments.leaves[position], arguments.names[position])
    return arguments


def check_argnums(argnums: Argnums, count: int) -> tuple[int, ...]:
    """`argnums` as positions, or an error that says which there are."""
    numbers = argnums if isinstance(argnums, tuple) else (argnums,)
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int | np.integer):
            raise DerivativeError(f"argnums must be an int or a tuple of ints, got {argnums!r}")
        if not -count <= number < count:
            raise DerivativeError(
                f"argnums={argnums!r}, but the function was called with {count} positional "
                "arguments; name the differentiated ones by position"
            )
    positions = tuple(n % count for n in numbers)
    if len(set(positions)) != len(positions):
        raise DerivativeError(f"argnums={argnums!r} names an argument twice")
    if not positions:
        raise DerivativeError("argnums is empty; name at least one argument by its position")
    return positions


def check_float(leaf: Any, name: str) -> None:
    """An error unless the leaf can carry a tangent."""
    if is_static(leaf):
        raise DTypeError(
            f"argument {name} is {type(leaf).__name__} {leaf!r}, which carries no tangent; "
            "leave it out of argnums"
        )
    dtype = leaf.type.dtype if isinstance(leaf, Value) else leaf.dtype
    if dtype.kind != "f":
        raise DTypeError(
            f"argument {name} has dtype {dtype}: integers and booleans carry no tangent; pass "
            "floats (3.0, or x.astype(float))"
        )


def argument_tree(arguments: Arguments, argnums: Argnums, parts: Sequence[Any]) -> Any:
    """One part per differentiated leaf, in the shape of the arguments that `argnums` names."""
    children = arguments.structure[2][0][2]
    numbers = check_argnums(argnums, len(children))
    remaining = iter(parts)
    trees = [rebuild(children[n], remaining) for n in numbers]
    return tuple(trees) if isinstance(argnums, tuple) else trees[0]


def result_tree(trace: Trace, computed: Sequence[Any], static: bool = True) -> Any:
    """The function's result with the computed leaves in place; static ones kept, or None."""
    remaining = iter(computed)
    leaves = [
        next(remaining) if kept is COMPUTED else (kept if static else None) for kept in trace.kept
    ]
    return rebuild(trace.structure, iter(leaves))


def float_outputs(graph: Graph) -> list[bool]:
    """Which outputs carry tangents."""
    return [graph.types[i].is_float for i in graph.outputs]


def tangent_tree(trace: Trace, tangents: Sequence[Any]) -> Any:
    """Tangents in the shape of the result; None at outputs that carry none."""
    remaining = iter(tangents)
    leaves = [next(remaining) if f else None for f in float_outputs(trace.graph)]
    return result_tree(trace, leaves, static=False)


def matching_leaves(tree: Any, like: Any, what: str) -> Iterator[Any]:
    """The leaves of `tree`, once it is known to have the structure of `like`."""
    if structure_of(tree) != structure_of(like):
        raise DerivativeError(
            f"{what} must be nested like the values they belong to: expected "
            f"{leaf_count(structure_of(like))} leaves in {_shown(like)}, got {_shown(tree)}"
        )
    return iter(leaves_of(tree))


def _shown(tree: Any) -> str:
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{k!r}: {_shown(v)}" for k, v in tree.items()) + "}"
    if isinstance(tree, list | tuple):
        return f"{type(tree).__name__}({', '.join(map(_shown, tree))})"
    return type(tree).__name__
