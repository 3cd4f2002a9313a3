"""How far rounding may move the outputs of a graph, measured by shaking every node."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Graph, numpy_meaning


EPS = 2.0**-52
SAFETY = 8  # what is computed is one draw of the noise, its worst case a few standard deviations
UNDERFLOW = 1e-290  # below it float64 loses digits
RUNS = 5
EXACT = {
    "negative", "abs", "maximum", "minimum", "relu", "select", "gather", "concatenate", "max",
    "min", "sort", "detach", "convert",
}  # fmt: skip
CORRECTLY_ROUNDED = {"add", "subtract", "multiply", "divide", "square", "sqrt", "reciprocal"}


def computed(
    graph: Graph, *inputs: Any, eps: float = EPS
) -> tuple[tuple[Any, ...], list[np.ndarray]]:
    """The outputs of a graph and, entry by entry, a bound for their rounding error.

    The bound is the condition of the computation as such (stochastic arithmetic, La Porte &
    Vignes 1974): the graph is run again with each node's value moved at random by what its row may
    round, and the largest change is multiplied by a safety factor. No rule of a derivative is
    used, so that a wrong one does not excuse itself.
    """
    values = evaluate(graph, *inputs)
    rng = np.random.default_rng(len(graph))
    moved = [_shaken(graph, inputs, eps, rng) for _ in range(RUNS)]
    bounds = []
    for rank, value in enumerate(values):
        with np.errstate(all="ignore"):
            changes = [np.abs(np.asarray(m[rank], float) - value) for m in moved]
            bounds.append(SAFETY * (np.max(changes, axis=0) + eps * np.abs(value)) + UNDERFLOW)
    return values, bounds


def _shaken(graph: Graph, inputs: Sequence[Any], eps: float, rng: np.random.Generator) -> Any:
    def meaning(node: Any, operands: list[Any]) -> Any:
        value = numpy_meaning(node, operands)
        if value.dtype.kind != "f" or _is_exact(node.row):
            return value
        noise = eps * rng.uniform(-1, 1, np.shape(value)) * _size(node, value, operands)
        return (value + noise).astype(value.dtype)[()]

    with np.errstate(all="ignore"):
        values = graph.run(inputs, meaning)
    return [values[i] for i in graph.outputs]


def _is_exact(row: Any) -> bool:
    constant = row.kind in ("source", "piecewise_constant")
    return constant or "structural" in row.facts or row.name in EXACT


def _size(node: Any, value: Any, operands: list[Any]) -> Any:
    """What the rounding error of a row is relative to."""
    row = node.row
    if row.name in CORRECTLY_ROUNDED:
        return np.abs(value)
    if row.kind == "multilinear":  # sums of terms that may cancel
        sizes = [np.abs(v) if v.dtype.kind == "f" else v for v in operands]
        return 2 * np.abs(row.numpy(*sizes, **dict(node.params)))
    if row.kind == "linearised":
        return 4 * np.max(np.abs(value), initial=0.0) + 4
    return 2 * np.abs(value) + _near_roots(row)


def _near_roots(row: Any) -> float:
    """Some functions keep absolute, not relative accuracy near their roots."""
    return float(row.name in {"lgamma", "digamma", "polygamma", "logaddexp", "sinc_derivative"})


def agree(found: Any, expected: Any, bound: Any, what: str) -> None:
    """Every entry of `found` lies within its bound of `expected`; NaN never does."""
    assert np.shape(found) == np.shape(expected), f"{what}: shapes differ"
    wrong = ~(np.abs(np.asarray(found) - expected) <= bound)
    assert not np.any(wrong), f"{what}: got {found}, expected {expected}, allowed {bound}"
