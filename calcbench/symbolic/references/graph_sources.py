"""Graphs and Python functions as scalar steps at a point."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from calcbench.graph.arraytype import (
    ArrayType,
    DTypeError,
    GraphError,
    check_bound,
    with_sizes,
)
from calcbench.graph.comparison import equal, not_equal
from calcbench.graph.ir import Builder, Graph, numpy_meaning
from calcbench.graph.nodes import Node
from calcbench.graph.paths import prepare
from calcbench.graph.tracing import Trace, record
from calcbench.graph.trees import leaves_of
from calcbench.symbolic.references.entries import Entry, entries_of, exact
from calcbench.symbolic.references.points import check_names, exact_array
from calcbench.symbolic.references.scalar_steps import Budget, Steps
from calcbench.symbolic.references.source import Source, StepWriter, entry_names, input_entries


def graph_source(
    graph: Graph,
    arrays: Sequence[np.ndarray],
    budget: Budget,
    captured: Sequence[Any] = (),
    several: bool | None = None,
    isolated: Trace | None = None,
) -> Source:
    """The steps of a graph whose last inputs are `captured` numbers.

    `isolated` is the path taken where the equality tests that guard the graph hold.
    """
    writer = StepWriter(Steps(budget=budget))
    names = [entry_names(n, x.shape) for n, x in zip(graph.input_names, arrays, strict=False)]
    inputs = [input_entries(n, writer) for n in names]
    parts = arrays, inputs, writer
    outputs, tests = _graph_outputs(graph, captured, *parts, apart=isolated is not None)
    if isolated is not None:
        true, _ = _graph_outputs(isolated.graph, _captured(isolated), *parts, apart=True)
        condition, always = writer.steps.add("and", tests), writer.number(True)
        outputs = [
            writer.steps.add("piecewise", (a, condition, b, always))
            for a, b in zip(true, outputs, strict=True)
        ]
    pairs = list(zip(names, arrays, strict=True))
    return Source(
        writer.steps,
        outputs,
        [tuple(graph.types[o].shape) for o in graph.outputs],
        len(graph.outputs) > 1 if several is None else several,
        dict(zip(graph.input_names, names, strict=False)),
        {e: v for n, x in pairs for e, v in zip(n.flat, x.flat, strict=True)},
        tuple(
            n
            for n, i in zip(graph.input_names, graph.inputs, strict=False)
            if graph.types[i].is_float
        )[: len(arrays)],
    )


def _graph_outputs(
    graph: Graph,
    captured: Sequence[Any],
    arrays: Sequence[np.ndarray],
    inputs: Sequence[np.ndarray],
    writer: StepWriter,
    apart: bool,
) -> tuple[list[int], list[int]]:
    """The entries of the outputs, guarded by the branches taken; equality tests maybe `apart`."""
    floats = [_as_floats(x, graph, k) for k, x in enumerate(arrays)]
    with np.errstate(all="ignore"):
        concrete = graph.run([*floats, *captured], numpy_meaning)
    constants = [_constant_entries(c, writer) for c in captured]
    found = entries_of(graph, [*inputs, *constants], writer, concrete)
    outputs = [e.value for o in graph.outputs for e in found[o].flat]
    tests: list[int] = []
    held: list[int] = []
    for position, guard in enumerate(graph.guards):
        kept = tests if apart and _is_equality(graph, guard.node) else held
        kept.append(_guard(graph, position, found, writer.steps))
    if held:
        condition = writer.steps.add("and", held)
        outputs = [writer.steps.add("guarded", (o, condition)) for o in outputs]
    return outputs, tests


def _is_equality(graph: Graph, index: int) -> bool:
    node = graph.nodes[index]
    return node.row in (equal, not_equal) and graph.types[node.operands[0]].is_float


def with_bound_sizes(graph: Graph, arrays: Sequence[np.ndarray]) -> Graph:
    """The graph with its named dimensions replaced by the sizes of the arrays."""
    if all(kind.is_concrete for kind in graph.types):
        return graph
    sizes: dict[Any, int] = {}
    for name, i, x in zip(graph.input_names, graph.inputs, arrays, strict=True):
        check_bound(name, np.zeros(x.shape), graph.types[i], sizes)
    builder = Builder()
    inputs = [
        builder.add_input(name, ArrayType(x.shape, graph.types[i].dtype))
        for name, i, x in zip(graph.input_names, graph.inputs, arrays, strict=True)
    ]

    def copy(node: Node, operands: list[int]) -> int:
        return builder.add(node.row, tuple(operands), with_sizes(node.params, sizes), node.epoch)

    ids = graph.run(inputs, copy)
    for guard in graph.guards:
        builder.guard(ids[guard.node], guard.expected.array)
    return builder.freeze([ids[o] for o in graph.outputs], inputs)


def _as_floats(x: np.ndarray, graph: Graph, position: int) -> Any:
    kind = graph.types[graph.inputs[position]]
    if x.shape != kind.shape:
        name = graph.input_names[position]
        raise GraphError(f"input {name!r} has type {kind}, got numbers of shape {x.shape}")
    if kind.dtype.kind != "f" and any(not v.is_Integer for v in x.flat):
        raise DTypeError(f"input {graph.input_names[position]!r} has type {kind}: whole numbers")
    return np.array([float(v) for v in x.flat]).reshape(x.shape).astype(kind.dtype)[()]


def _constant_entries(value: Any, writer: StepWriter) -> np.ndarray:
    array = np.asarray(value)
    result = np.empty(array.shape, dtype=object)
    for at in np.ndindex(array.shape):
        result[at] = Entry(writer, writer.number(exact(array[at])))
    return result


def _guard(graph: Graph, position: int, found: Sequence[np.ndarray], steps: Steps) -> int:
    """The condition that the recorded path is the one taken."""
    guard = graph.guards[position]
    conditions = []
    for entry, expected in zip(found[guard.node].flat, guard.expected.array.flat, strict=True):
        if guard.expected.array.dtype.kind == "b":
            holds = entry.value if expected else steps.add("not", (entry.value,))
        else:
            holds = steps.add("equal", (entry.value, steps.number(exact(expected))))
        conditions.append(holds)
    return steps.add("and", conditions)


def program_source(function: Callable[..., Any], at: Mapping[str, Any], budget: Budget) -> Source:
    names = _parameters(function, at)
    known = [n for n in names if n in at]
    numbers = {n: _exact_tree(at[n], n) for n in known}
    examples = [_examples(at[n], numbers[n]) for n in known]
    wanted = [k for k, example in enumerate(examples) if _all_floats(example)]
    arguments = prepare(tuple(examples), {}, wanted, names)
    parts = arguments.structure, arguments.leaves, arguments.names, arguments.wanted
    trace = record(function, *parts, generic=True)
    isolated = record(function, *parts) if trace.isolated else None
    arrays = [x for n in known for x in leaves_of(numbers[n]) if isinstance(x, np.ndarray)]
    return graph_source(
        trace.graph, arrays, budget, _captured(trace), len(trace.graph.outputs) > 1, isolated
    )


def _parameters(function: Callable[..., Any], at: Mapping[str, Any]) -> list[str]:
    """The names of the positional parameters, of which `at` must have all without a default."""
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise DTypeError(
            f"{function!r:.60} does not tell the names of its parameters; wrap it, as in "
            "lambda x: f(x)"
        ) from None
    names = [p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    given = [name for name in names if name in at]
    needed = [p.name for p in found if p.default is p.empty and p.name in names]
    if set(at) - set(names) or set(needed) - set(at):
        check_names(at, names, "the function")
    if given != names[: len(given)]:
        raise GraphError(
            f"name the parameters up to {given[-1]!r} in `at`, without leaving one out"
        )
    return names


def _captured(trace: Trace) -> list[Any]:
    """What the arrays from outside held when they were read."""
    return [np.asarray(c.source if c.snapshot is None else c.snapshot) for c in trace.captures]


def _exact_tree(value: Any, name: str) -> Any:
    """An argument with exact numbers: tuples and dicts are trees, a list of numbers is an array."""
    if isinstance(value, dict):
        return {key: _exact_tree(child, f"{name}[{key!r}]") for key, child in value.items()}
    if isinstance(value, tuple):
        return tuple(_exact_tree(child, f"{name}[{i}]") for i, child in enumerate(value))
    return exact_array(value, name)


def _examples(given: Any, numbers: Any) -> Any:
    """Floats with which the function is recorded; a NumPy array of integers stays one."""
    if isinstance(numbers, dict):
        return {key: _examples(given[key], child) for key, child in numbers.items()}
    if isinstance(numbers, tuple):
        return tuple(map(_examples, given, numbers))
    floats = np.array([float(x) for x in numbers.flat]).reshape(numbers.shape)
    whole = isinstance(given, np.ndarray | np.generic) and given.dtype.kind in "iu"
    return given if whole else floats[()]


def _all_floats(tree: Any) -> bool:
    return all(
        isinstance(x, np.ndarray | np.generic) and x.dtype.kind == "f" for x in leaves_of(tree)
    )
