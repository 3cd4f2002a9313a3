"""Graphs whose dimensions are names: what is accepted, what is refused, and what binding gives."""

import numpy as np
import pytest

import calcbench as cb
from calcbench.graph.checker import check_graph


n, m, k = cb.Dim("n"), cb.Dim("m"), cb.Dim("k")
SIZES = {n: 3, m: 4, k: 2}

# name -> (shapes of x and y, function of both, whether a square matrix is needed)
ACCEPTED = {
    "elementwise": (((n,), (n,)), lambda x, y: np.sin(x) * y + 2.0 * x),
    "kinks": (((n,), (n,)), lambda x, y: np.maximum(x, y) - np.abs(x)),
    "broadcast a row": (((m, n), (n,)), lambda x, y: x * y),
    "broadcast a column": (((m, n), (m,)), lambda x, y: x + y[:, None]),
    "matmul": (((m, n), (n, k)), lambda x, y: x @ y),
    "matrix by vector": (((m, n), (n,)), lambda x, y: x @ y),
    "inner product": (((n,), (n,)), lambda x, y: x @ y),
    "transpose": (((m, n), (m,)), lambda x, y: x.T @ y),
    "sum": (((m, n), (m,)), lambda x, y: np.sum(x, axis=1) * y),
    "sum of all": (((m, n), ()), lambda x, y: np.sum(x) * y),
    "trace": (((n, n), ()), lambda x, y: np.trace(x) * y),
    "diag of a matrix": (((n, n), (n,)), lambda x, y: np.diag(x) * y),
    "diag of a vector": (((n,), (n,)), lambda x, y: np.diag(x) @ y),
    "outer": (((m,), (n,)), lambda x, y: np.outer(x, y)),
    "kron": (((m, n), (k, k)), lambda x, y: np.kron(x, y)),
    "det": (((n, n), ()), lambda x, y: np.linalg.det(x) * y),
    "inv": (((n, n), (n,)), lambda x, y: np.linalg.inv(x) @ y),
}


def example(shape, rng):
    sizes = tuple(SIZES[d] for d in shape)
    extra = 3 * np.eye(sizes[0]) if len(set(shape)) == 1 and len(shape) == 2 else 0.0
    return rng.normal(size=sizes) + extra


def symbolic(name):
    (x_shape, y_shape), function = ACCEPTED[name]
    return function(cb.var("x", x_shape), cb.var("y", y_shape)), function, (x_shape, y_shape)


@pytest.mark.parametrize("name", ACCEPTED)
def test_binding_gives_numpys_value(name, rng):
    value, function, shapes = symbolic(name)
    x, y = (example(s, rng) for s in shapes)
    graph = check_graph(cb.as_graph(value))
    np.testing.assert_allclose(graph.bind(x=x, y=y), function(x, y), rtol=1e-12)


@pytest.mark.parametrize("name", ACCEPTED)
def test_both_modes_keep_the_names_and_agree_with_the_bound_function(name, rng):
    value, function, shapes = symbolic(name)
    graph = cb.as_graph(value)
    pushed, pulled = check_graph(cb.jvp_graph(graph)), check_graph(cb.vjp_graph(graph))
    x, y = (example(s, rng) for s in shapes)
    dx, dy = rng.normal(size=x.shape), rng.normal(size=y.shape)
    ct = rng.normal(size=np.shape(function(x, y)))
    h = 1e-6
    expected = (function(x + h * dx, y + h * dy) - function(x - h * dx, y - h * dy)) / (2 * h)
    _, tangent = pushed.bind(x=x, y=y, dx=dx, dy=dy)
    np.testing.assert_allclose(tangent, expected, rtol=2e-7, atol=2e-7)
    _, ct_x, ct_y = pulled.bind(x=x, y=y, ct0=ct)
    adjoint = np.sum(ct_x * dx) + np.sum(ct_y * dy)
    np.testing.assert_allclose(adjoint, np.sum(ct * tangent), rtol=1e-10)


REFUSED = {
    "concatenate": lambda x: np.concatenate([x, x]),
    "an index": lambda x: x[0],
    "a slice": lambda x: x[1:],
    "sort": lambda x: np.sort(x),
    "roll": lambda x: np.roll(x, 1),
    "iteration": lambda x: list(x),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_rows_say_that_they_need_sizes(name):
    with pytest.raises(cb.CalcbenchError, match=r"n\b"):
        REFUSED[name](cb.var("x", (n,)))


def test_a_name_is_equal_to_itself_only():
    with pytest.raises(cb.ShapeError, match="n"):
        cb.var("x", (n,)) + cb.var("y", (m,))
    with pytest.raises(cb.ShapeError, match="matmul"):
        cb.var("x", (n, m)) @ cb.var("y", (n, m))


def test_a_name_has_one_size_in_a_call_and_never_the_size_one():
    graph = cb.as_graph(cb.var("x", (n,)) * cb.var("y", (n,)))
    with pytest.raises(cb.GraphError, match="dimensions"):
        graph.bind(x=np.ones(3), y=np.ones(4))
    with pytest.raises(cb.GraphError, match="size 1"):
        graph.bind(x=np.ones(1), y=np.ones(1))


@pytest.mark.parametrize("question", [bool, int, lambda v: [0][v]])
def test_an_unbound_value_has_no_truth_and_no_number(question):
    with pytest.raises((cb.TraceError, TypeError), match=r"bound|position"):
        question(cb.var("x") > 0 if question is bool else cb.var("x"))
