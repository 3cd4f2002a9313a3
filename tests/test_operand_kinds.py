"""What a row knows of its operands (a number, the same twice, a square) changes no derivative."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from drawing_samples import ROWS, one_node
from laws import checked, close, partial_values

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.arraytype import array_type
from calcbench.graph.elementwise import hypot, multiply, negative, power, sqrt, square
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.kinks import abs_, maximum, relu
from calcbench.graph.lifting import Value
from calcbench.graph.primitive import Primitive
from calcbench.graph.structural import full, matmul, reshape, sum_
from calcbench.reverse_mode.pullback import vjp_graph


BINARY = [
    name
    for name, row in ROWS.items()
    if row.kind == "elementwise" and len(row.samples[0].shapes) == 2
]
NUMBERS = (0.0, 1.0, 2.0, 3.0, -1.0, 0.5, 2.5)
SMOOTH = [name for name in BINARY if "kink" not in ROWS[name].facts and name != "remainder"]
POINT = np.array([0.7, 1.9])  # in the domain of every row, and at no kink with any of NUMBERS


def graph_with(row: Primitive, number: float, position: int) -> Graph:
    """x -> row(x, number), or row(number, x) if the number stands first."""
    builder = Builder()
    x = Value(builder, builder.add_input("x", array_type((2,))))
    operands = (full(x, number), x) if position == 0 else (x, full(x, number))
    return builder.freeze([row(*operands).id])


def slope(graph: Graph, *operands: Any) -> tuple[Any, Any]:
    """The derivative along ones, from both modes."""
    ones = np.ones(2)
    forward = evaluate(checked(jvp_graph(graph)), *operands, *[ones] * len(operands))[1]
    reverse = evaluate(checked(vjp_graph(graph)), *operands, ones)[1:]
    return forward, sum(reverse)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", BINARY)
def test_a_number_as_operand(name: str, number: float) -> None:
    row = ROWS[name]
    for position in (0, 1):
        if name == "power" and (position == 0 and number <= 0):
            continue  # the logarithm of a base that is not positive: see the table of powers
        operands = [POINT, np.full(2, number)] if position else [np.full(2, number), POINT]
        wanted = partial_values(row, operands, {})[1 - position]
        if not np.all(np.isfinite(wanted)):
            continue
        graph = graph_with(row, number, position)
        for got in slope(graph, POINT):
            close(got, wanted, 4e-16 * np.abs(wanted), f"{row} with {number} at {position}")


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", SMOOTH)
def test_a_number_as_operand_at_second_order(name: str, number: float) -> None:
    """Against the same graph with the number as an input that is not differentiated."""
    if name == "divide" and number == 0.0:
        pytest.skip("x / 0 has no finite derivative to compare")
    row = ROWS[name]
    literal, other = graph_with(row, number, 1), np.full(2, number)
    both = one_node(row, [POINT, other], {})
    ones = np.ones(2)
    twice = jvp_graph(jvp_graph(literal))
    wanted_graph = jvp_graph(jvp_graph(both, [0]), [0, 2])
    got = evaluate(checked(twice), POINT, ones, ones, 0 * ones)[3]
    wanted = evaluate(checked(wanted_graph), POINT, other, ones, ones, 0 * ones)[3]
    close(got, wanted, 1e-15 * np.abs(wanted), f"{row} with {number}, twice")


@pytest.mark.parametrize("name", SMOOTH)
def test_the_same_operand_twice(name: str) -> None:
    row = ROWS[name]
    builder = Builder()
    x = Value(builder, builder.add_input("x", array_type((2,))))
    graph = builder.freeze([row(x, x).id])
    parts = partial_values(row, [POINT, POINT], {})
    scale = sum(np.abs(p) for p in parts)
    for got in slope(graph, POINT):
        close(got, sum(parts), 1e-15 * scale, f"{row} of x and x")


def norm(x: Any) -> Any:
    return sqrt(sum_(square(x), axes=(0,)))


# Each is f of a sum of squares written in a way that rows recognise, with f'(x) by hand.
SQUARES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "sqrt(x*x)": (lambda x: sqrt(multiply(x, x)), np.sign),
    "sqrt(square(x))": (lambda x: sqrt(square(x)), np.sign),
    "sqrt(x**2)": (lambda x: sqrt(power(x, full(x, 2.0))), np.sign),
    "sqrt(x*x + x*x)": (lambda x: sqrt(x * x + square(x)), lambda x: np.sqrt(2) * np.sign(x)),
    "abs(x*x)": (lambda x: abs_(x * x), lambda x: 2 * x),
    "abs(-(x*x))": (lambda x: abs_(negative(x * x)), lambda x: 2 * x),
    "relu(x*x)": (lambda x: relu(x * x), lambda x: 2 * x),
    "maximum(x*x, 0)": (lambda x: maximum(x * x, full(x, 0.0)), lambda x: 2 * x),
    "maximum(-1, x**2)": (
        lambda x: maximum(full(x, -1.0), power(x, full(x, 2.0))), lambda x: 2 * x,
    ),
    "hypot(x, 0)": (lambda x: hypot(x, full(x, 0.0)), np.sign),
    "norm(x) in each entry": (
        lambda x: norm(x) * full(x, 1.0),
        lambda x: np.full(2, np.sum(x) / np.linalg.norm(x)) if np.any(x) else np.zeros(2),
    ),
    "sqrt(x @ x) in each entry": (
        lambda x: sqrt(matmul(x, x)) * full(x, 1.0),
        lambda x: np.full(2, np.sum(x) / np.linalg.norm(x)) if np.any(x) else np.zeros(2),
    ),
    "sqrt of a reshaped square": (
        lambda x: reshape(sqrt(reshape(square(x), shape=(2, 1))), shape=(2,)), np.sign,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SQUARES)
@pytest.mark.parametrize("at", ["beside zero", "at zero"])
def test_squares_and_norms(name: str, at: str) -> None:
    """Also at 0: f is smooth there, or a norm, whose slope of smallest norm is 0."""
    function, by_hand = SQUARES[name]
    builder = Builder()
    x = Value(builder, builder.add_input("x", array_type((2,))))
    graph = builder.freeze([_all_entries(function(x), x).id])
    point = np.array([-0.7, 1.9]) if at == "beside zero" else np.zeros(2)
    wanted = by_hand(point)
    pushed = evaluate(checked(jvp_graph(graph)), point, np.ones(2))[1]
    close(pushed, wanted, 4e-16 * np.abs(wanted), f"{name} forward")
    if "each entry" not in name:
        pulled = evaluate(checked(vjp_graph(graph)), point, np.ones(2))[1]
        close(pulled, wanted, 4e-16 * np.abs(wanted), f"{name} reverse")


def _all_entries(value: Any, like: Any) -> Any:
    return value if value.type.shape == like.type.shape else value * full(like, 1.0)


# d/da a**b and d/db a**b where b |a|^(b-1) or log a is infinite (the stan-math#3031 table).
POWERS = [
    (0.0, 1.0, 1.0, 0.0),
    (0.0, 2.0, 0.0, 0.0),
    (0.0, 0.5, np.inf, 0.0),
    (0.0, 0.0, 0.0, -np.inf),
    (-2.0, 2.0, -4.0, np.nan),
    (-2.0, 3.0, 12.0, np.nan),
    (0.0, -1.0, -np.inf, -np.inf),
]


@pytest.mark.parametrize(("a", "b", "by_base", "by_exponent"), POWERS)
def test_table_of_powers(a: float, b: float, by_base: float, by_exponent: float) -> None:
    graph = one_node(ROWS["power"], [np.float64(a), np.float64(b)], {})
    one, zero = np.float64(1.0), np.float64(0.0)
    pulled = evaluate(checked(vjp_graph(graph)), np.float64(a), np.float64(b), one)[1:]
    assert np.array_equal(pulled, [by_base, by_exponent], equal_nan=True)
    push = checked(jvp_graph(graph))
    if np.isfinite(by_exponent):
        assert evaluate(push, np.float64(a), np.float64(b), one, zero)[1] == by_base
    alone = checked(jvp_graph(graph, [0]))
    assert evaluate(alone, np.float64(a), np.float64(b), one)[1] == by_base


@pytest.mark.parametrize("exponent", [1, 2, 3, 4, 5])
def test_derivative_of_order_n_plus_1_of_a_power_is_zero_at_zero(exponent: int) -> None:
    builder = Builder()
    x = Value(builder, builder.add_input("x", array_type(())))
    graph = builder.freeze([power(x, full(x, float(exponent))).id])
    values = [np.float64(0.0)]
    for order in range(1, exponent + 2):
        graph = checked(jvp_graph(graph, [0]))
        graph = last_output_of(graph)
        values.append(np.float64(1.0))
        expected = float(np.prod(range(1, exponent + 1))) if order == exponent else 0.0
        assert evaluate(graph, *values) == (expected,)


def last_output_of(graph: Graph) -> Graph:
    """The graph with its last output only."""
    return replace(graph, outputs=graph.outputs[-1:])
