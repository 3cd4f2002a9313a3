"""All spellings of one kink return the same derivatives there, under every convention."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kink_points import ABS, MAX, MIN, forward_jacobian, reverse_jacobian
from laws import checked

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.arraytype import array_type
from calcbench.graph.checker import check_graph
from calcbench.graph.comparison import select
from calcbench.graph.conventions import CONVENTIONS, KINKS, kink_convention, slope_at
from calcbench.graph.elementwise import negative, square
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.kinks import abs_, maximum, minimum, relu
from calcbench.graph.lifting import Value
from calcbench.graph.structural import full
from calcbench.reverse_mode.pullback import vjp_graph


Spelling = Callable[[Any, Any], Any]

# Each is max(x, c), min(x, c) or |x - c| written in another way; the kink is at x == c.
LARGER: dict[str, Spelling] = {
    "relu(x - c) + c": lambda x, c: relu(x - c) + c,
    "maximum(x, c)": lambda x, c: maximum(x, c),
    "maximum(c, x)": lambda x, c: maximum(c, x),
    "where(x > c, x, c)": lambda x, c: select(x > c, x, c),
    "where(x >= c, x, c)": lambda x, c: select(x >= c, x, c),
    "where(c < x, x, c)": lambda x, c: select(c < x, x, c),
    "where(c <= x, x, c)": lambda x, c: select(c <= x, x, c),
    "where(x < c, c, x)": lambda x, c: select(x < c, c, x),
    "where(x <= c, c, x)": lambda x, c: select(x <= c, c, x),
    "where(c > x, c, x)": lambda x, c: select(c > x, c, x),
    "where(c >= x, c, x)": lambda x, c: select(c >= x, c, x),
    "clip(x, c, c + 5)": lambda x, c: minimum(maximum(x, c), c + 5.0),
}
SMALLER: dict[str, Spelling] = {
    "minimum(x, c)": lambda x, c: minimum(x, c),
    "minimum(c, x)": lambda x, c: minimum(c, x),
    "where(x < c, x, c)": lambda x, c: select(x < c, x, c),
    "where(c > x, x, c)": lambda x, c: select(c > x, x, c),
    "where(x > c, c, x)": lambda x, c: select(x > c, c, x),
    "clip(x, c - 5, c)": lambda x, c: minimum(maximum(x, c - 5.0), c),
}
DISTANCE: dict[str, Spelling] = {
    "abs(x - c)": lambda x, c: abs_(x - c),
}
CASES = [
    pytest.param(spelling, expected, id=name)
    for spellings, expected in ((LARGER, MAX), (SMALLER, MIN), (DISTANCE, ABS))
    for name, spelling in spellings.items()
]
C = 1.5


def graph_of(spelling: Spelling, shape: tuple[int, ...] = ()) -> Graph:
    """x -> spelling(x, 1.5)."""
    builder = Builder()
    x = Value(builder, builder.add_input("x", array_type(shape)))
    return check_graph(builder.freeze([spelling(x, full(x, C)).id]))


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize(("spelling", "expected"), CASES)
def test_first_derivative_is_the_conventions(
    spelling: Spelling, expected: dict[str, float], convention: str
) -> None:
    graph, point = graph_of(spelling), (np.float64(C),)
    with kink_convention(convention):
        push, pull = checked(jvp_graph(graph)), checked(vjp_graph(graph))
    assert forward_jacobian(push, point, (0,)) == [[expected[convention]]]
    assert reverse_jacobian(pull, point, 1) == [[expected[convention]]]


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize(("spelling", "expected"), CASES)
def test_second_derivative_is_the_same_for_all_spellings(
    spelling: Spelling, expected: dict[str, float], convention: str
) -> None:
    """d2/dx2 of (s(x) - s(c))**2 is 2 s' s' there, however s is written and the modes composed."""
    height = evaluate(graph_of(spelling), np.float64(C))[0]
    graph = graph_of(lambda x, c: square(spelling(x, c) - float(height)))
    with kink_convention(convention):
        push, pull = checked(jvp_graph(graph)), checked(vjp_graph(graph))
        mixed, swapped = checked(jvp_graph(pull)), checked(vjp_graph(push))
        twice = checked(jvp_graph(push))
    at, one, zero = np.float64(C), np.float64(1.0), np.float64(0.0)
    orders = [
        evaluate(mixed, at, one, one, zero)[-1],
        evaluate(swapped, at, one, zero, one)[2],
        evaluate(twice, at, one, one, zero)[-1],
    ]
    assert orders == [2 * expected[convention] ** 2] * 3


@pytest.mark.parametrize(("spelling", "expected"), CASES)
def test_beside_the_kink_the_convention_plays_no_part(
    spelling: Spelling, expected: dict[str, float]
) -> None:
    graph, points = graph_of(spelling, (2,)), (np.array([np.nextafter(C, -9), np.nextafter(C, 9)]),)
    sides = np.diag([expected["left"], expected["right"]])
    for convention in CONVENTIONS:
        with kink_convention(convention):
            assert np.array_equal(forward_jacobian(jvp_graph(graph), points, (0,)), sides)
            assert np.array_equal(reverse_jacobian(vjp_graph(graph), points, 2), sides)


@pytest.mark.parametrize(("kind", "expected"), [("abs", ABS), ("max", MAX), ("min", MIN)])
def test_the_table_of_conventions_says_the_same(kind: str, expected: dict[str, float]) -> None:
    assert KINKS[kind].interval == tuple(sorted((expected["left"], expected["right"])))
    for convention in CONVENTIONS:
        with kink_convention(convention):
            assert slope_at(kind) == expected[convention]


def test_the_convention_is_fixed_when_the_derivative_is_built() -> None:
    with kink_convention("right"):
        pull = vjp_graph(graph_of(LARGER["maximum(x, c)"]))
    with kink_convention("left"):
        assert evaluate(pull, np.float64(C), np.float64(1.0))[1] == 1.0


def test_a_nan_stays_a_nan_in_every_spelling() -> None:
    for spellings in (LARGER, SMALLER, DISTANCE):
        for name in ("maximum(x, c)", "minimum(x, c)", "abs(x - c)", "relu(x - c) + c"):
            if name in spellings:
                pull = vjp_graph(graph_of(spellings[name]))
                _, slope = evaluate(pull, np.float64(np.nan), np.float64(1.0))
                assert np.isnan(slope), name


@pytest.mark.parametrize("convention", ["left", "right"])
def test_rewriting_keeps_the_slope_of_the_absolute_value_of_a_negative(convention: str) -> None:
    """d2/dx2 of |c - x|**2 is 2 at c: both factors of 2 s' s' have the sign of one convention."""
    graph = graph_of(lambda x, c: square(abs_(negative(x - c))))
    with kink_convention(convention):
        mixed = jvp_graph(vjp_graph(graph))
    at, one, zero = np.float64(C), np.float64(1.0), np.float64(0.0)
    assert evaluate(mixed, at, one, one, zero)[-1] == 2.0
