"""Strategies for random typed graphs (shapes first, then operations that fit) and their inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from calcbench.graph import comparison, elementwise, kinks
from calcbench.graph.arraytype import FLOAT64, ArrayType
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.graph.structural import broadcast, flip, matmul, reshape, slice_, sum_, transpose


SHAPES = ((), (1,), (3,), (2, 3), (3, 2), (3, 3))
# Everywhere defined and smooth, and bounded or growing slowly, so that compositions stay finite.
SMOOTH_UNARY = (
    elementwise.sin,
    elementwise.cos,
    elementwise.tanh,
    elementwise.arctan,
    elementwise.arcsinh,
    elementwise.sigmoid,
    elementwise.softplus,
    elementwise.negative,
)
SMOOTH_BINARY = (elementwise.add, elementwise.subtract, elementwise.multiply, elementwise.logaddexp)
KINKED_UNARY = (kinks.abs_, kinks.relu)
KINKED_BINARY = (kinks.maximum, kinks.minimum)

NEAR = (0.0, -0.0, 1.0, -1.0, 2.0, 1e-9, -1e-9, 5e-324, 1e-310)


def graphs(
    max_operations: int = 12, kinked: bool = False, scalar_output: bool = False
) -> st.SearchStrategy[Graph]:
    """Random graphs of one to three float64 inputs and one output.

    Parameters
    ----------
    max_operations : int
        How many operations are drawn at most.
    kinked : bool
        Whether abs, relu, maximum, minimum and where may occur; the rest is smooth everywhere.
    scalar_output : bool
        Whether the output is summed to a scalar.

    Returns
    -------
    SearchStrategy of Graph
        Types are drawn first; only operations that fit are drawn.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5)
    ... @given(graphs(kinked=True))
    ... def every_graph_has_a_tangent(graph):
    ...     assert len(cb.jvp_graph(graph).outputs) == 2
    >>> import calcbench as cb
    >>> every_graph_has_a_tangent()
    """
    return st.composite(_draw_graph)(max_operations, kinked, scalar_output)


def _draw_graph(
    draw: Callable[..., Any], max_operations: int, kinked: bool, scalar_output: bool
) -> Graph:
    builder = Builder()
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    values = [
        Value(builder, builder.add_input(f"x{k}", ArrayType(shape, FLOAT64)))
        for k, shape in enumerate(shapes)
    ]
    for _ in range(draw(st.integers(1, max_operations))):
        first = draw(st.sampled_from(values))
        steps = [*_unary(first, kinked), *_binary(first, values, kinked), *_shaping(first)]
        values.append(draw(st.sampled_from(steps))())
    last = values[-1]
    if scalar_output and last.type.shape:
        last = sum_(last, axes=tuple(range(last.type.ndim)))
    return builder.freeze([last.id])


def _unary(x: Value, kinked: bool) -> list[Callable[[], Any]]:
    rows = (*SMOOTH_UNARY, *(KINKED_UNARY if kinked else ()))
    return [partial(row, x) for row in rows]


def _binary(x: Value, values: Sequence[Value], kinked: bool) -> list[Callable[[], Any]]:
    rows = (*SMOOTH_BINARY, *(KINKED_BINARY if kinked else ()))
    fitting = [y for y in values if y.type.shape == x.type.shape]
    steps: list[Callable[[], Any]] = [partial(row, x, y) for row in rows for y in fitting]
    if kinked:
        steps += [partial(_larger, x, y) for y in fitting]
    products = [y for y in values if _multiplies(x, y)]
    return [*steps, *(partial(matmul, x, y) for y in products)]


def _larger(x: Value, y: Value) -> Any:
    return comparison.select(comparison.greater(x, y), x, y)


def _multiplies(x: Value, y: Value) -> bool:
    left, right = x.type.shape, y.type.shape
    return bool(left and right) and left[-1] == right[-1 if len(right) == 1 else -2]


def _shaping(x: Value) -> list[Callable[[], Any]]:
    shape, ndim = x.type.shape, x.type.ndim
    if not ndim:
        return [lambda: broadcast(x, dims=(), shape=(3,)), lambda: reshape(x, shape=(1,))]
    rest = tuple(range(ndim - 1))
    tail = tuple(shape[:-1])
    return [
        lambda: sum_(x, axes=(ndim - 1,)),
        lambda: transpose(x, perm=(ndim - 1, *rest)),
        lambda: flip(x, axes=(0,)),
        lambda: broadcast(x, dims=tuple(range(ndim)), shape=shape),
        lambda: slice_(
            x, starts=(0,) * ndim, stops=(*tail, max(shape[-1] - 1, 1)), steps=(1,) * ndim
        ),
    ]


def points(graph: Graph, special: bool = False) -> st.SearchStrategy[list[Any]]:
    """Values for the inputs of a graph.

    Parameters
    ----------
    graph : Graph
        Its inputs are float arrays of known sizes.
    special : bool
        Whether ties, whole numbers, ±0, neighbours of kinks and subnormal numbers are mixed in;
        otherwise entries are drawn from a normal distribution.

    Returns
    -------
    SearchStrategy of list
        One array (or NumPy scalar) per input.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> graph = cb.trace(np.sin, np.ones(2))
    >>> points(graph).example()[0].shape  # doctest: +SKIP
    (2,)
    """
    types = [graph.types[i] for i in graph.inputs]
    return st.tuples(st.integers(0, 2**32 - 1), st.booleans()).map(
        lambda drawn: _values(types, np.random.default_rng(drawn[0]), special and drawn[1])
    )


def _values(types: Sequence[ArrayType], rng: np.random.Generator, special: bool) -> list[Any]:
    found = []
    for kind in types:
        value = rng.normal(size=kind.shape)
        if special:
            pick = rng.random(kind.shape) < 0.5
            value = np.where(pick, rng.choice(NEAR, size=kind.shape), value)
        found.append(np.asarray(value, kind.dtype)[()])
    return found
