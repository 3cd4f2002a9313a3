"""Python functions of NumPy arrays are recorded as they are: control flow, containers, in place."""

import collections
import subprocess
import sys

import numpy as np
import pytest

import calcbench as cb


X = np.array([0.5, -1.0, 2.0])


def recursive(x, depth=4):
    return x if depth == 0 else np.sin(recursive(x, depth - 1)) * x


def with_while(x):
    while np.sum(x**2) < 50.0:
        x = x * 1.5
    return x


def with_loop(x):
    total = 0.0
    for v in x:
        total = total + v**3 if v > 0 else total - v
    return total


def with_generator(x):
    return sum(v * w for v, w in zip(x, reversed([*x]), strict=True))


def with_array(x):
    return np.array([x[0], x[1] * x[2], np.sum(x)]) * 2.0


def with_integers(x):
    return x ** int(np.sum(np.abs(x)))


def in_place(x):
    y = x.copy()
    y[0] = x[1] * x[2]
    y[1:] += x[:2] ** 2
    y *= 2.0
    y[[0, 2]] = y[[2, 0]]
    return y


def aliased(x):
    y = 1.0 * x
    z = y
    z += 1.0
    return y * z


def masked(x):
    y = x**2
    y[x < 0] = 7.0
    return y[x != 0.7].sum() + y


PROGRAMS = [
    recursive, with_while, with_loop, with_generator, with_array, with_integers, in_place, aliased,
    masked,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_value_and_derivative_are_those_of_the_plain_function(program):
    value, tangent = cb.jvp(program, (X,), (np.ones(3),))
    np.testing.assert_array_equal(value, program(X.copy()))
    h = 1e-6
    expected = (program(X + h) - program(X - h)) / (2 * h)
    np.testing.assert_allclose(tangent, expected, rtol=1e-7, atol=1e-8)
    jacobian = cb.jacrev(program)(X)
    np.testing.assert_allclose(jacobian @ np.ones(3), tangent, rtol=1e-12)


def test_arguments_are_never_written_to():
    def f(x):
        x += 1.0
        x[0] = 0.0
        return np.sum(x**2)

    x = X.copy()
    np.testing.assert_array_equal(cb.grad(f)(x), [0.0, 2 * (X[1] + 1), 2 * (X[2] + 1)])
    np.testing.assert_array_equal(x, X)


WRITES = {
    "through a view": lambda x, v: v.__setitem__(0, 1.0),
    "in place on a view": lambda x, v: (v.__iadd__(1.0), x * 2),
    "to the base of a view used later": lambda x, v: (x.__setitem__(0, 1.0), v * 2),
}


@pytest.mark.parametrize("name", WRITES)
def test_writes_that_numpy_would_share_are_errors(name):
    def f(x):
        y = 1.0 * x
        WRITES[name](y, y[1:])
        return np.sum(y)

    with pytest.raises(cb.TraceError, match="view"):
        cb.grad(f)(X)


Pair = collections.namedtuple("Pair", "a b")


def test_trees_in_and_out():
    def f(tree, scale=1.0, label="unused"):
        assert label == "given"
        return {"sum": np.sum(tree["w"]) * scale, "rest": [tree["p"].a, (tree["p"].b ** 2,)]}

    tree = {"w": X, "p": Pair(2.0, 3.0)}
    value, pull = cb.vjp(lambda t: f(t, scale=2.0, label="given"), tree)
    assert value["sum"] == 2 * np.sum(X)
    (back,) = pull({"sum": 1.0, "rest": [10.0, (1.0,)]})
    np.testing.assert_array_equal(back["w"], 2.0)
    assert isinstance(back["p"], Pair)
    assert back["p"] == (10.0, 6.0)


def test_results_share_no_memory():
    y, z, w = cb.jvp(lambda x: (x, x, x.T), (X,), (X,))[0]
    for a, b in ((y, z), (y, w), (y, X), (z, X)):
        assert not np.shares_memory(a, b)
    gradient = cb.grad(lambda x: np.sum(3.0 * x))
    first = [gradient(X) for _ in range(3)][-1]
    first[:] = -1.0
    np.testing.assert_array_equal(gradient(X), 3.0)


def test_an_input_that_is_ignored_has_exact_zeros():
    slopes = cb.grad(lambda x, y: np.sum(np.sqrt(x)), argnums=(0, 1))(X**2, X * np.inf)
    np.testing.assert_array_equal(slopes[1], 0.0)


def test_the_explicit_route_builds_the_same_graph():
    a, b = cb.var("a", shape=(3,)), cb.var("b", shape=(3,))
    explicit = cb.as_graph(np.sum(np.sin(2 * a + b) * b))
    traced = cb.trace(lambda a, b: np.sum(np.sin(2 * a + b) * b), X, X)
    assert explicit == traced
    assert str(explicit) == str(traced)


def test_nothing_is_computed_until_values_are_bound():
    value = cb.var("x") / 0.0
    with pytest.raises(cb.TraceError, match="bound"):
        bool(value > 1)
    assert cb.as_graph(value).bind(x=1.0) == np.inf


MILLION = """
import resource
import numpy as np
import calcbench as cb
from calcbench.graph.interpreter import evaluate


def chain(x):
    for _ in range(200_000):
        x = np.sin(x) * 1.0001 + 0.5
        x = x - x * x
    return x


graph = cb.trace(chain, 0.3)
assert len(graph) >= 1_000_000, len(graph)
assert "more nodes" in graph.head(5)
one = np.float64(1.0)
pulled = evaluate(cb.vjp_graph(graph), np.float64(0.3), one)
pushed = evaluate(cb.jvp_graph(graph), np.float64(0.3), one)
assert pulled[0] == pushed[0] == chain(0.3)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_a_chain_of_a_million_nodes_in_under_three_gigabytes():
    command = [sys.executable, "-c", MILLION]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 < 3e9
