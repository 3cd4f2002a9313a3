"""One program on two meanings: NumPy arrays, and a graph built from the same text."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from laws import differences

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.arraytype import array_type
from calcbench.graph.checker import check_graph
from calcbench.graph.elementwise import log
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.graph.matrix_functions import MATRIX_FUNCTIONS
from calcbench.graph.structural import matmul, sum_, swap_last
from calcbench.reverse_mode.pullback import vjp_graph


Program = Callable[..., Any]

# What programs call, with NumPy's meaning and with that of graph values.
NUMPY = SimpleNamespace(
    **{f.__name__: f for f in MATRIX_FUNCTIONS},
    matmul=np.matmul,
    mT=lambda x: np.swapaxes(x, -1, -2),
    log=np.log,
    scaled=lambda x, weights: x * weights.astype(x.dtype),
    sum=np.sum,
)
VALUES = SimpleNamespace(
    **{f.__name__: g for f, g in MATRIX_FUNCTIONS.items()},
    matmul=matmul,
    mT=swap_last,
    log=log,
    scaled=lambda x, weights: x * weights.astype(x.type.dtype),
    sum=lambda x: sum_(x, axes=tuple(range(x.type.ndim))),
)


def as_tuple(results: Any) -> tuple[Any, ...]:
    return tuple(results) if isinstance(results, tuple) else (results,)


def graph_of(program: Program, *arrays: Any) -> Graph:
    """The program as a checked graph whose inputs have the types of the arrays."""
    builder = Builder()
    inputs = [
        Value(builder, builder.add_input(f"x{i}", array_type(np.shape(a), np.asarray(a).dtype)))
        for i, a in enumerate(arrays)
    ]
    return check_graph(builder.freeze([v.id for v in as_tuple(program(VALUES, *inputs))]))


def on_numpy(program: Program, *arrays: Any) -> tuple[Any, ...]:
    with np.errstate(all="ignore"):
        return as_tuple(program(NUMPY, *arrays))


def pushed(graph: Graph, arrays: Sequence[Any], steps: Sequence[Any]) -> tuple[Any, ...]:
    """The tangents of the outputs."""
    push = check_graph(jvp_graph(graph))
    return evaluate(push, *arrays, *steps)[len(graph.outputs) :]


def pulled(graph: Graph, arrays: Sequence[Any], cotangents: Sequence[Any]) -> tuple[Any, ...]:
    """The cotangents of the inputs."""
    pull = check_graph(vjp_graph(graph))
    return evaluate(pull, *arrays, *cotangents)[len(graph.outputs) :]


def gradient(program: Program, *arrays: Any) -> tuple[Any, ...]:
    """The gradient of a program with one number as its result."""
    graph = graph_of(program, *arrays)
    return pulled(graph, arrays, [np.float64(1.0)])


def like(arrays: Sequence[Any], rng: np.random.Generator) -> list[Any]:
    """A random direction for each array, not symmetric."""
    return [rng.uniform(-1, 1, np.shape(a)).astype(np.asarray(a).dtype)[()] for a in arrays]


def moved(arrays: Sequence[Any], steps: Sequence[Any], h: float) -> list[Any]:
    return [a + h * s for a, s in zip(arrays, steps, strict=True)]


def assert_close(got: Sequence[Any], want: Sequence[Any], tolerance: float) -> None:
    """Entry by entry, relative to the largest entry; NaN is never close."""
    for g, w in zip(got, want, strict=True):
        assert np.shape(g) == np.shape(w)
        size = max(1.0, float(np.max(np.abs(w), initial=0.0)))
        np.testing.assert_allclose(g, w, rtol=0, atol=tolerance * size, equal_nan=False)


def assert_first_order(program: Program, arrays: Sequence[Any], rng: np.random.Generator) -> None:
    """J dx equals differences of NumPy's values, and <ct, J dx> = <J^T ct, dx>."""
    graph, steps = graph_of(program, *arrays), like(arrays, rng)
    tangents = pushed(graph, arrays, steps)
    for rank, tangent in enumerate(tangents):
        slope, error = differences(lambda h, r=rank: on_numpy(program, *moved(arrays, steps, h))[r])
        assert np.max(error, initial=0.0) < 1e-6
        assert_close([tangent], [slope], 1e-8)
    cts = like(tangents, rng)
    forward = sum(np.sum(c * t) for c, t in zip(cts, tangents, strict=True))
    shares = pulled(graph, arrays, cts)
    reverse = sum(np.sum(a * s) for a, s in zip(shares, steps, strict=True))
    np.testing.assert_allclose(reverse, forward, rtol=1e-10, atol=1e-10)


def assert_second_order(program: Program, arrays: Sequence[Any], rng: np.random.Generator) -> None:
    """Forward over reverse equals differences of the pulled-back cotangent."""
    graph, steps = graph_of(program, *arrays), like(arrays, rng)
    pull = check_graph(vjp_graph(graph))
    n_outputs, n_inputs = len(graph.outputs), len(arrays)
    cts = like([np.zeros(graph.types[i].shape) for i in graph.outputs], rng)
    still = [np.zeros_like(c) for c in cts]
    bent = evaluate(check_graph(jvp_graph(pull)), *arrays, *cts, *steps, *still)
    for rank in range(n_inputs):

        def along(h: float, rank: int = rank) -> Any:
            return evaluate(pull, *moved(arrays, steps, h), *cts)[n_outputs + rank]

        slope, _ = differences(along)
        assert_close([bent[2 * n_outputs + n_inputs + rank]], [slope], 1e-7)
