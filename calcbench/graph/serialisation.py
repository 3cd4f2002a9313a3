"""Graphs as JSON text and back, bit for bit; reading builds nodes and runs nothing."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np

from calcbench.graph import dispatch  # noqa: F401 - registers every row
from calcbench.graph.arraytype import (
    SHORT_NAMES,
    ArrayType,
    CalcbenchError,
    Dim,
    GraphError,
    array_type,
)
from calcbench.graph.checker import check_graph
from calcbench.graph.control_bodies import Body
from calcbench.graph.control_choices import cond_row  # noqa: F401 - registers the row
from calcbench.graph.control_loops import Derivation
from calcbench.graph.ir import Graph
from calcbench.graph.nodes import INPUT, Guard, Literal, Node
from calcbench.graph.primitive import find_primitive


SCHEMA = 1
KEYS = {"schema", "nodes", "types", "inputs", "outputs", "guards"}
# What a damaged text may raise on the way, in the reader or in a row that is asked for its type.
FAULTS = (
    CalcbenchError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError,
    ValueError,
)  # fmt: skip
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
    return json.dumps(_written(graph), allow_nan=False)


def _written(graph: Graph) -> dict[str, Any]:
    nodes = [
        [n.row.name, list(n.operands), [[k, _encoded(v)] for k, v in n.params], n.epoch]
        for n in graph.nodes
    ]
    return {
        "schema": SCHEMA,
        "nodes": nodes,
        "types": [_encoded(t) for t in graph.types],
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "guards": [[g.node, _encoded(g.expected)] for g in graph.guards],
    }


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
        return check_graph(_graph(_document(json.loads(text, parse_constant=_refuse_constant))))
    except GraphError:
        raise
    except FAULTS as error:
        raise GraphError(f"the text is no graph: {error}") from error


def _document(found: Any) -> dict[str, Any]:
    schema = found.get("schema") if isinstance(found, dict) else None
    if type(schema) is not int or schema != SCHEMA:
        raise GraphError(f"not a graph of schema {SCHEMA}: the text has schema {schema!r}")
    if set(found) != KEYS:
        raise GraphError(f"a graph has the keys {sorted(KEYS)}, the text has {sorted(found)}")
    return dict(found)


def _refuse_constant(name: str) -> Any:
    raise GraphError(f"{name} is no JSON; numbers are written as tagged hexadecimal text")


def _graph(found: dict[str, Any]) -> Graph:
    nodes = tuple(_node(k, parts) for k, parts in enumerate(_list(found["nodes"], "nodes")))
    types = tuple(_typed(_decoded(t), ArrayType) for t in _list(found["types"], "types"))
    inputs, outputs = (_integers(found[k], k) for k in ("inputs", "outputs"))
    guards = tuple(
        Guard(_integers([node], "a guard")[0], _typed(_decoded(expected), Literal))
        for node, expected in _list(found["guards"], "guards")
    )
    names = [dict(node.params)["name"] for node in nodes if node.row is INPUT]
    if len(set(names)) != len(names):
        raise GraphError(f"two inputs have one name: {names}")
    return Graph(nodes, types, inputs, outputs, guards, (None,) * len(nodes))


def _node(place: int, parts: Any) -> Node:
    name, operands, params, epoch = _list(parts, f"node {place}")
    row: Any = INPUT if name == INPUT.name else find_primitive(_typed(name, str))
    pairs = [_list(pair, "a param") for pair in _list(params, f"params of node {place}")]
    decoded = tuple((_typed(key, str), _decoded(value)) for key, value in pairs)
    if row is INPUT:
        _typed(dict(decoded)["name"], str)
    if len(dict(decoded)) != len(decoded):
        raise GraphError(f"node {place} states a param twice: {[key for key, _ in decoded]}")
    return Node(row, _integers(operands, "operands"), decoded, _integers([epoch], "epoch")[0])


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise GraphError(f"{what}: a list is expected, got {value!r}")
    return value


def _integers(value: Any, what: str) -> tuple[int, ...]:
    """Whole numbers as they are: a float or a truth value would be rounded to another node."""
    for entry in _list(value, what):
        if type(entry) is not int:
            raise GraphError(f"{what}: whole numbers are expected, got {entry!r}")
    return tuple(value)


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise GraphError(f"a {kind.__name__} is expected, got {value!r}")
    return value


def _encoded(value: Any) -> Any:
    """A param as JSON: plain where JSON can hold it, tagged where not."""
    if isinstance(value, ArrayType):
        return {"type": [_encoded(value.shape), SHORT_NAMES[value.dtype]]}
    if isinstance(value, Body):
        return {"graph": _written(value.graph)}
    if isinstance(value, Derivation):
        raise GraphError(
            "a derivative of while_loop holds the transform that made it, which JSON does not: "
            "write the graph of the function, and differentiate what is read"
        )
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
    if isinstance(value, list | float):
        raise GraphError(f"lists and floats are tagged in params, got {value!r}")
    if not isinstance(value, dict):
        return value
    ((tag, body),) = value.items()
    if tag not in _READERS:
        raise GraphError(f"unknown tag {tag!r}; known are {', '.join(_READERS)}")
    return _READERS[tag](body)


def _literal(body: Any) -> Literal:
    name, shape, text = _list(body, "a constant")
    dtype, sizes = DTYPES[name], _integers(shape, "shape of a constant")
    bits = base64.b64decode(text, validate=True)
    if min(sizes, default=0) < 0 or len(bits) != math.prod(sizes) * dtype.itemsize:
        raise GraphError(f"a constant of shape {sizes} and dtype {name} has {len(bits)} bytes")
    return Literal.of(np.frombuffer(bits, dtype).reshape(sizes))


def _type(body: Any) -> ArrayType:
    shape, name = _list(body, "a type")
    return array_type(_typed(_decoded(shape), tuple), DTYPES[name])


def _body(found: Any) -> Body:
    return Body(check_graph(_graph(_document(found))))


_READERS: dict[str, Any] = {
    "graph": _body,
    "type": _type,
    "tuple": lambda body: tuple(_decoded(v) for v in _list(body, "a tuple")),
    "literal": _literal,
    "dim": Dim,
    "dtype": lambda body: DTYPES[body],
    "float": lambda body: float.fromhex(body),
}
