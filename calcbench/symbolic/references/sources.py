"""What a reference is asked of: SymPy expressions, graphs, programs and texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import sympy as sp

from calcbench.graph.arraytype import DTypeError, GraphError
from calcbench.graph.ir import Graph
from calcbench.symbolic.references.graph_sources import (
    graph_source,
    program_source,
    with_bound_sizes,
)
from calcbench.symbolic.references.matrix_entries import scalar_matrix_parts
from calcbench.symbolic.references.points import check_names, exact_array
from calcbench.symbolic.references.scalar_steps import Budget, Steps
from calcbench.symbolic.references.source import Source, StepWriter, entry_names, input_entries
from calcbench.symbolic.text.grammar import parse_text


def read_source(function: Any, at: Mapping[str, Any], budget: Budget) -> Source:
    """The steps of an expression, a graph, a function or a text."""
    if isinstance(function, str):
        return _of_text(function, at, budget)
    if isinstance(function, Graph):
        check_names(at, list(function.input_names), "the graph")
        arrays = [exact_array(at[name], name) for name in function.input_names]
        return graph_source(with_bound_sizes(function, arrays), arrays, budget)
    if isinstance(function, sp.Basic | sp.MatrixBase | np.ndarray | list | tuple):
        return _of_expression(function, at, budget)
    if callable(function):
        return program_source(function, at, budget)
    raise DTypeError(
        "a reference is asked of a SymPy expression, a Graph, a function or a text; got "
        f"{type(function).__name__}"
    )


def _of_text(text: str, at: Mapping[str, Any], budget: Budget) -> Source:
    """A text whose names have the shapes that `at` gives them."""
    arrays = {name: exact_array(x, name) for name, x in at.items()}
    kinds = {0: "scalar", 1: "vector", 2: "matrix"}
    for name, x in arrays.items():
        if x.ndim not in kinds:
            raise GraphError(f"{name} has shape {x.shape}; a text has scalars, vectors, matrices")
    names = set(re.findall(r"\w+", text))
    shapes = {name: kinds[x.ndim] for name, x in arrays.items() if name in names}
    graph = parse_text(text, shapes, "scalar").graph
    check_names(arrays, list(graph.input_names), "the text")
    return read_source(graph, arrays, budget)


def _of_expression(expression: Any, at: Mapping[str, Any], budget: Budget) -> Source:
    parts = _expressions(expression)
    writer = StepWriter(Steps(budget=budget))
    arrays = {name: exact_array(x, name) for name, x in at.items()}
    entries = {name: entry_names(name, x.shape) for name, x in arrays.items()}
    given = {name: input_entries(entries[name], writer) for name in arrays}
    steps = writer.steps
    outputs = [steps.lower(p, scalar_matrix_parts(p, given, writer)) for p in parts.flat]
    check_names(arrays, _used_names(steps, outputs), "the expression")
    point = {e: v for n, x in arrays.items() for e, v in zip(entries[n].flat, x.flat, strict=True)}
    missing = [name for name in steps.inputs if name not in point]
    if missing:
        raise GraphError(
            f"the expression uses {missing[0]}, and `at` gives {_given_for(missing[0], arrays)}"
        )
    return Source(steps, outputs, [parts.shape], False, entries, point, tuple(arrays))


def _used_names(steps: Steps, outputs: list[int]) -> list[str]:
    """The names of the inputs on which something depends, without their indices."""
    used = {*outputs, *[i for step in steps.steps for i in step.operands]}
    found = [name for name, index in steps.inputs.items() if index in used]
    return sorted({name.partition("[")[0] for name in found})


def _expressions(given: Any) -> np.ndarray:
    """One expression, or an array of them, as an object array."""
    if isinstance(given, sp.MatrixBase | sp.NDimArray):
        given = given.tolist()
    if isinstance(given, sp.MatrixExpr):
        raise GraphError(
            f"the matrix {given!s:.60} has many entries; take one, or a trace, or a determinant"
        )
    array = np.array(given, dtype=object)
    for part in array.flat:
        if not isinstance(part, sp.Basic):
            raise DTypeError(f"{part!r:.60} of type {type(part).__name__} is no SymPy expression")
    return array


def _given_for(entry: str, arrays: Mapping[str, np.ndarray]) -> str:
    name = entry.partition("[")[0]
    return f"{name} the shape {arrays[name].shape}" if name in arrays else "it no number"
