"""The verifier of graphs bites: every rule broken once, and good graphs pass unchanged."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from calcbench.graph.arraytype import GraphError, array_type
from calcbench.graph.checker import check_graph
from calcbench.graph.elementwise import sin
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.graph.nodes import INPUT, Guard, Literal, Node
from calcbench.graph.structural import full, sum_


SCALAR, VECTOR = array_type(()), array_type((3,))


def good() -> Graph:
    """(x, y) -> sum(sin(x) + y), with one guard."""
    builder = Builder()
    x, y = (Value(builder, builder.add_input(name, VECTOR)) for name in "xy")
    total = sum_(sin(x) + y, axes=(0,))
    builder.guard((total > 0).id, True)
    return builder.freeze([total.id])


def with_node(graph: Graph, index: int, **changes: object) -> Graph:
    nodes = list(graph.nodes)
    nodes[index] = nodes[index]._replace(**changes)
    return dataclasses.replace(graph, nodes=tuple(nodes))


def with_type(graph: Graph, index: int, type: object) -> Graph:
    types = list(graph.types)
    types[index] = type
    return dataclasses.replace(graph, types=tuple(types))


def with_copy_of(graph: Graph, index: int) -> Graph:
    """The same node once more, at the end."""
    return dataclasses.replace(
        graph,
        nodes=(*graph.nodes, graph.nodes[index]),
        types=(*graph.types, graph.types[index]),
        origins=(*graph.origins, None),
    )


# Nodes of `good`: 0 input x, 1 input y, 2 sin, 3 add, 4 sum, 5 fill, 6 greater.
BROKEN: list[tuple[str, Callable[[Graph], Graph], str]] = [
    ("operand after its user", lambda g: with_node(g, 2, operands=(3,)), "before it is defined"),
    ("operand is the node itself", lambda g: with_node(g, 2, operands=(2,)), "before it is"),
    ("operand below zero", lambda g: with_node(g, 2, operands=(-1,)), "before it is defined"),
    ("shape not what the row infers", lambda g: with_type(g, 4, VECTOR), "its row infers"),
    ("dtype not what the row infers",
     lambda g: with_type(g, 4, array_type((), np.float32)), "its row infers"),
    ("type of an input not its own", lambda g: with_type(g, 0, SCALAR), "its row infers"),
    ("row refuses its operands",
     lambda g: with_type(g, 0, array_type((3,), np.int64)), "its row infers"),
    ("operands that do not fit", lambda g: with_node(g, 6, operands=(3, 5)), "does not type"),
    ("unknown param", lambda g: with_node(g, 4, params=(("axis", 0),)), "does not type-check"),
    ("axis out of range", lambda g: with_node(g, 4, params=(("axes", (7,)),)), "does not type"),
    ("params that are not hashable",
     lambda g: with_node(g, 4, params=(("axes", [0]),)), "does not type-check"),
    ("a type too few", lambda g: dataclasses.replace(g, types=g.types[:-1]), "7 nodes but 6"),
    ("two equal nodes", lambda g: with_copy_of(g, 2), "two nodes are equal"),
    ("an output that does not exist",
     lambda g: dataclasses.replace(g, outputs=(99,)), "v99 is named"),
    ("a guard that does not exist",
     lambda g: dataclasses.replace(g, guards=(Guard(99, Literal.of(True)),)), "v99 is named"),
    ("an input that does not exist",
     lambda g: dataclasses.replace(g, inputs=(0, 1, 99)), "v99 is named"),
    ("an input that is not listed", lambda g: dataclasses.replace(g, inputs=(0,)), "input nodes"),
    ("an input listed twice", lambda g: dataclasses.replace(g, inputs=(0, 1, 1)), "input nodes"),
    ("a listed input that is none",
     lambda g: dataclasses.replace(g, inputs=(0, 1, 2)), "input nodes"),
]  # fmt: skip


def test_a_good_graph_is_returned_itself() -> None:
    graph = good()
    assert check_graph(graph) is graph


def test_the_nodes_are_where_the_cases_expect_them() -> None:
    names = [node.row.name for node in good().nodes]
    assert names == ["input", "input", "sin", "add", "sum", "fill", "greater"]
    assert good().nodes[0].row is INPUT


@pytest.mark.parametrize(
    ("breaking", "message"), [pytest.param(b, m, id=name) for name, b, m in BROKEN]
)
def test_a_broken_rule_is_named(breaking: Callable[[Graph], Graph], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        check_graph(breaking(good()))


def test_the_first_broken_node_is_named_with_its_line() -> None:
    graph = dataclasses.replace(good(), origins=(None, None, ("model.py", 12), *[None] * 4))
    with pytest.raises(GraphError, match=r"v2 = sin, recorded at model\.py:12"):
        check_graph(with_type(graph, 2, SCALAR))


def test_a_chain_of_many_nodes_is_checked_without_recursion() -> None:
    builder = Builder()
    index = builder.add_input("x", SCALAR)
    for _ in range(20_000):
        index = builder.add(sin, (index,))
    assert len(check_graph(builder.freeze([index]))) == 20_001


def test_equal_bits_and_not_equal_numbers_are_equal_nodes() -> None:
    builder = Builder()
    x = Value(builder, builder.add_input("x", SCALAR))
    plus, minus, again = full(x, 0.0), full(x, -0.0), full(x, 0.0)
    assert plus.id == again.id
    assert plus.id != minus.id
    check_graph(builder.freeze([x.id, plus.id, minus.id]))


def test_nodes_of_two_epochs_are_not_equal() -> None:
    graph = good()
    copy = graph.nodes[2]._replace(epoch=1)
    assert isinstance(copy, Node)
    nodes = dataclasses.replace(
        graph,
        nodes=(*graph.nodes, copy),
        types=(*graph.types, graph.types[2]),
        origins=(*graph.origins, None),
    )
    assert check_graph(nodes) is nodes
