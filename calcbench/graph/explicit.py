"""Graphs built by hand: named variables first, values later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.graph import dispatch  # noqa: F401 - gives values NumPy's functions and indexing
from calcbench.graph.arraytype import DimLike, GraphError, array_type
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import CLOSED, Value, common_builder, place, subgraph
from calcbench.graph.rewriting import simplify


def var(name: str, shape: tuple[DimLike, ...] | DimLike = (), dtype: object = np.float64) -> Any:
    """A named variable, to build a graph from with operators and NumPy functions.

    Parameters
    ----------
    name : str
        The name by which `Graph.bind` takes the value.
    shape : tuple of int or Dim
        Its shape; a `Dim` stands for a size that is bound later.
    dtype : dtype, default float64
        float64, float32, int64 or bool.

    Returns
    -------
    Value
        Nothing is computed until the graph that `as_graph` makes of a result is bound.

    Raises
    ------
    GraphError, ShapeError, DTypeError
        If the name is no identifier, or the shape or dtype is not one a graph has.

    Examples
    --------
    >>> import calcbench as cb
    >>> a = cb.var("a", shape=(3,))
    >>> c = 2 * a + cb.var("b", shape=(3,))
    >>> cb.as_graph(c).bind(a=[1.0, 2.0, 3.0], b=[0.0, 0.0, 1.0])
    array([2., 4., 7.])
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise GraphError(f"a variable's name is an identifier such as 'x', got {name!r}")
    builder = Builder()
    return Value(builder, builder.add_input(name, array_type(shape, dtype)))


def as_graph(outputs: Any) -> Graph:
    """The graph that computes one value, or several given as a tuple or list.

    Parameters
    ----------
    outputs : Value or sequence of Value
        What was built from `var`.

    Returns
    -------
    Graph
        Its inputs are the variables used, in order of appearance.

    Raises
    ------
    GraphError
        If something else than values built from `var` is given.

    Examples
    --------
    >>> import calcbench as cb
    >>> print(cb.as_graph(cb.var("x") ** 2))
    graph (x: f64[]) -> (f64[])
      v0 = input [name=x] : f64[]
      v1 = square v0 : f64[]
      return v1
    """
    values = list(outputs) if isinstance(outputs, Sequence) else [outputs]
    if not values:
        raise GraphError("as_graph takes at least one value built from calcbench.var, got none")
    for value in values:
        if not isinstance(value, Value) or value.builder.level == CLOSED:
            raise GraphError(f"as_graph takes values built from calcbench.var, got {value!r}")
    builder = common_builder(values)
    return simplify(subgraph(builder, [place(builder, v).id for v in values]))
