"""Graphs as JSON text and back, bit for bit; reading builds nodes and runs nothing."""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import Any

import numpy as np

from calcbench.graph import dispatch  # noqa: F401 - registers every row
from calcbench.graph.arraytype import SHORT_NAMES, ArrayType, CalcbenchError, Dim, GraphError
from calcbench.graph.checker import check_graph
from calcbench.graph.ir import Graph
from calcbench.graph.nodes import INPUT, Guard, Literal, Node
from calcbench.graph.primitive import find_primitive


SCHEMA = 1
DTYPES = {name: dtype for dtype, name in SHORT_NAMES.items()}


def graph_to_json(graph: Graph) -> str:
    """A graph as JSON text.

    Parameters
    ----------
    graph : Graph
        Any graph; source lines are left out.

    Returns
    -------
    str
        Strict JSON with the key ``schema``.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> graph = cb.trace(np.sin, 0.0)
    >>> cb.graph_from_json(cb.graph_to_json(graph)) == graph
    True
    """
    nodes = [
        [n.row.name, list(n.operands), [[k, _encoded(v)] for k, v in n.params], n.epoch]
        for n in graph.nodes
    ]
    return json.dumps(
        {
            "schema": SCHEMA,
            "nodes": nodes,
            "types": [_encoded(t) for t in graph.types],
            "inputs": graph.inputs,
            "outputs": graph.outputs,
            "guards": [[g.node, _encoded(g.expected)] for g in graph.guards],
        },
        allow_nan=False,
    )


def graph_from_json(text: str) -> Graph:
    """The graph that `graph_to_json` wrote, checked.

    Parameters
    ----------
    text : str
        JSON text.

    Returns
    -------
    Graph
        Equal to the one written.

    Raises
    ------
    GraphError
        If the text is no graph of a known schema, or breaks a rule of graphs.

    Examples
    --------
    >>> import calcbench as cb
    >>> cb.graph_from_json("{}")
    Traceback (most recent call last):
    ...
    calcbench.graph.arraytype.GraphError: not a graph of schema 1: the text has schema None
    """
    try:
        found = json.loads(text)
        schema = found.get("schema")
        if schema != SCHEMA:
            raise GraphError(f"not a graph of schema {SCHEMA}: the text has schema {schema!r}")
        return check_graph(_graph(found))
    except GraphError:
        raise
    except (CalcbenchError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GraphError(f"the text is no graph: {error}") from error


def _graph(found: dict[str, Any]) -> Graph:
    nodes = [_node(*parts) for parts in found["nodes"]]
    types = tuple(_decoded(t) for t in found["types"])
    guards = tuple(Guard(int(n), _decoded(e)) for n, e in found["guards"])
    inputs, outputs = (tuple(map(int, found[k])) for k in ("inputs", "outputs"))
    return Graph(tuple(nodes), types, inputs, outputs, guards, (None,) * len(nodes))


def _node(name: str, operands: list[int], params: list[Any], epoch: int) -> Node:
    row: Any = INPUT if name == INPUT.name else find_primitive(name)
    decoded = tuple((str(k), _decoded(v)) for k, v in params)
    return Node(row, tuple(map(int, operands)), decoded, int(epoch))


def _encoded(value: Any) -> Any:
    """A param as JSON: plain where JSON can hold it, tagged where not."""
    if isinstance(value, ArrayType):
        return {"type": [_encoded(value.shape), SHORT_NAMES[value.dtype]]}
    if isinstance(value, tuple):
        return {"tuple": [_encoded(v) for v in value]}
    if isinstance(value, Literal):
        bits = base64.b64encode(value.bits).decode()
        return {"literal": [SHORT_NAMES[value.array.dtype], list(value.shape), bits]}
    if isinstance(value, Dim):
        return {"dim": value.name}
    if isinstance(value, np.dtype):
        return {"dtype": SHORT_NAMES[value]}
    if isinstance(value, float):
        return {"float": value.hex()}
    if value is None or isinstance(value, bool | int | str):
        return value
    raise GraphError(f"a param of type {type(value).__name__} cannot be written as JSON: {value!r}")


def _decoded(value: Any) -> Any:
    if not isinstance(value, dict):
        if isinstance(value, list):
            raise GraphError("a bare list is no param; sequences are tagged as tuples")
        return value
    ((tag, body),) = value.items()
    if tag not in _READERS:
        raise GraphError(f"unknown tag {tag!r}; known are {', '.join(_READERS)}")
    return _READERS[tag](body)


def _literal(body: list[Any]) -> Literal:
    name, shape, text = body
    dtype, sizes = DTYPES[name], tuple(map(int, shape))
    try:
        bits = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise GraphError(f"a constant is not base64: {error}") from error
    if min(sizes, default=0) < 0 or len(bits) != math.prod(sizes) * dtype.itemsize:
        raise GraphError(f"a constant of shape {sizes} and dtype {name} has {len(bits)} bytes")
    return Literal.of(np.frombuffer(bits, dtype).reshape(sizes))


_READERS: dict[str, Any] = {
    "type": lambda body: ArrayType(_decoded(body[0]), DTYPES[body[1]]),
    "tuple": lambda body: tuple(_decoded(v) for v in body),
    "literal": _literal,
    "dim": Dim,
    "dtype": lambda body: DTYPES[body],
    "float": float.fromhex,
}
