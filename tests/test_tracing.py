"""Python functions of NumPy arrays are recorded as they are: control flow, containers, in place."""

import collections
import copy
import subprocess
import sys
from time import perf_counter
from typing import Any

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


def with_closure(x):
    def scaled(factor):
        return lambda v: factor * np.sin(v)

    return scaled(np.sum(x))(x)


def with_nested_lists(x):
    return np.array([[x[0], 1.0], [2.0, x[1]]]) @ np.array([x[2], 1.0])


def with_object_arrays(x):
    entries = np.array([v * v for v in x])
    entries[0] = entries[1] + 1.0
    return np.sum(entries * 2.0) + x


def with_vectorize(x):
    return np.vectorize(lambda v: v * v if v > 0 else -v)(x)


def with_min_max_sum(x):
    return max(x) * min(x) + sum(x) + abs(sorted(x)[1])


def with_unpacking(x):
    a, b, c = x
    first, *rest = x
    return a * b + c * first + rest[0]


def with_division_and_remainder(x):
    whole, part = divmod(x, 0.7)
    return whole + part * x


def with_floor_guard(x):
    n = int(np.floor(np.sum(np.abs(x))))
    return sum(x[i % 3] * (i + 1) for i in range(n)) * x


def with_numpy_scalars(x):
    return np.float64(2.0) * x * np.int64(3) - np.array(0.5) * x[0] + True


def with_copies(x):
    y = copy.deepcopy(x)
    y[0] = 4.0
    return y * copy.copy(x)


def with_try(x):
    try:
        return x[7]
    except IndexError:
        return x[2] ** 3


def with_dispatch_on_type(x):
    return x * (2.0 if isinstance(x[0], str) else 3.0) if x is not None else 0.0


def with_early_return(x):
    for i, v in enumerate(x):
        if v < 0:
            return v * i * x
    return x


def with_formatting(x):
    return x**2 if f"{x}" else x


PROGRAMS = [
    with_closure, with_nested_lists, with_object_arrays, with_vectorize, with_min_max_sum,
    with_unpacking, with_division_and_remainder, with_floor_guard, with_numpy_scalars, with_copies,
    with_try, with_dispatch_on_type, with_early_return, with_formatting,
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


EXPLICIT = {
    "slices": lambda a, b: a[1:] - a[:-1] ** 2 + b[0],
    "matmul": lambda a, b: np.outer(a, b) @ b,
    "choice": lambda a, b: np.where(a > b, a, np.maximum(b, 0.0)),
    "norm": lambda a, b: np.linalg.norm(a) * np.mean(b),
    "in order of use": lambda a, b: b * a - b,
    "numbers": lambda a, b: 1.0 - a / 3 + b**-1 + 0 * a,
}


@pytest.mark.parametrize("name", EXPLICIT)
def test_both_routes_agree_for_every_kind_of_operation(name):
    function = EXPLICIT[name]
    explicit = cb.as_graph(function(cb.var("a", (3,)), cb.var("b", (3,))))
    traced = cb.trace(function, X, X + 1)
    assert set(explicit.input_names) == set(traced.input_names)
    bound = {"a": X, "b": X + 1}
    np.testing.assert_array_equal(explicit.bind(**bound), traced.bind(**bound))
    assert sorted(n.row.name for n in explicit.nodes) == sorted(n.row.name for n in traced.nodes)


def test_nodes_remember_the_line_that_recorded_them():
    def f(x):
        y = np.sin(x)

        z = y * x
        return np.sum(z)

    line = f.__code__.co_firstlineno
    graph = cb.trace(f, X)
    recorded = {
        node.row.name: origin[1] - line
        for node, origin in zip(graph.nodes, graph.origins, strict=True)
        if node.row.name in ("sin", "multiply")
    }
    assert recorded == {"sin": 1, "multiply": 3}
    assert all(origin is None or origin[0] == __file__ for origin in graph.origins)


def test_nodes_of_derivatives_remember_the_line_they_come_from():
    def f(x):
        return np.sum(np.tanh(x))

    for graph in (cb.vjp_graph(cb.trace(f, X)), cb.jvp_graph(cb.trace(f, X))):
        lines = {origin[1] for origin in graph.origins if origin}
        assert lines == {f.__code__.co_firstlineno + 1}
        multiply = [i for i, node in enumerate(graph.nodes) if node.row.name == "multiply"]
        assert all(graph.origins[i] for i in multiply)


def test_static_arguments_choose_their_own_path():
    def f(x, how, n=None, *, flip=False):
        y = np.sin(x) if how == "sin" else x**2
        y = y if n is None else y * n
        return -np.sum(y) if flip else np.sum(y)

    gradient = cb.grad(f)
    for _ in range(3):
        np.testing.assert_array_equal(gradient(X, "sin"), np.cos(X))
        np.testing.assert_array_equal(gradient(X, "square"), 2 * X)
        np.testing.assert_array_equal(gradient(X, "square", 3), 6 * X)
        np.testing.assert_array_equal(gradient(X, how="sin", flip=True), -np.cos(X))
        np.testing.assert_array_equal(gradient(X, "sin", None, flip=False), np.cos(X))


def test_integer_arguments_are_values_and_decide_branches():
    def power(x, n):
        result = 1.0
        for _ in range(n):
            result = result * x
        return result

    gradient = cb.grad(power)
    for _ in range(3):
        for n in (1, 2, 5):
            assert gradient(2.0, n) == n * 2.0 ** (n - 1)
    assert cb.grad(lambda x, n: np.sum(x) if n > 2 else np.sum(2 * x))(X, 3).tolist() == [1.0] * 3


@pytest.mark.parametrize(
    "branch",
    [
        lambda x: 0.0 * x + 4.0 if x == 2.0 else x**2,
        lambda x: x**2 if x != 2.0 else 4.0,
        lambda x: 4.0 if 2.0 == x else x**2,  # noqa: SIM300
        lambda x: 4.0 if x in [1.0, 2.0] else x**2,
        lambda x: 4.0 if not x != 2.0 else x**2,  # noqa: SIM202
        lambda x: x**2 if x - 2.0 else 4.0,
    ],
)
def test_tests_for_equality_take_the_generic_branch(branch):
    gradient = cb.grad(branch)
    assert [float(gradient(x)) for x in (2.0, 3.0, 2.0, 2.0, 3.0)] == [4.0, 6.0, 4.0, 4.0, 6.0]


def test_equality_of_integers_is_an_ordinary_guard():
    def f(x, n):
        return x if n == 2 else x**3

    gradient = cb.grad(f)
    assert [float(gradient(2.0, n)) for n in (2, 3, 2, 3)] == [1.0, 12.0, 1.0, 12.0]


def test_while_loops_follow_their_trip_count():
    def halvings(x):
        while x > 1.0:
            x = x / 2.0
        return x

    gradient = cb.grad(halvings)
    for _ in range(2):
        for k in range(1, 12):
            assert gradient(1.5 * 2.0**k) == 0.5 ** (k + 1)


@pytest.mark.parametrize("make", [float, np.float64, np.float32, np.array])
def test_every_kind_of_scalar_is_differentiated(make):
    slope = cb.grad(lambda x: x**2)(make(1.5))
    assert slope == 3.0
    assert slope.dtype == (np.float32 if make is np.float32 else np.float64)
    assert isinstance(slope, np.generic)


def test_masks_of_traced_values_are_guards():
    gradient = cb.grad(lambda x: np.sum(x[x > 0] ** 2) * len(x[x > 0]))
    for x in (X, -X, X, np.abs(X), -X):
        np.testing.assert_allclose(gradient(x), 2 * x * (x > 0) * np.sum(x > 0), rtol=1e-15)


MILLION = """
import resource
from pathlib import Path
import numpy as np
import calcbench as cb
from calcbench.graph.interpreter import evaluate


def chain(x):
    for _ in range(COUNT):
        x = np.sin(x) * 1.0001 + 0.5
        x = x - x * x
    return x


graph = cb.trace(chain, 0.3)
assert len(graph) >= 5 * COUNT, len(graph)
assert "more nodes" in graph.head(5)
one = np.float64(1.0)
pulled = evaluate(cb.vjp_graph(graph), np.float64(0.3), one)
pushed = evaluate(cb.jvp_graph(graph), np.float64(0.3), one)
assert pulled[0] == pushed[0] == chain(0.3)
status = Path("/proc/self/status")  # what getrusage tells includes the process that forked this one
if status.exists():
    print(next(line.split()[1] for line in status.read_text().splitlines() if "VmHWM" in line))
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


# A fifth of a million in every run, in a fifth of the memory: a million takes over a minute.
@pytest.mark.parametrize(
    ("count", "limit"), [(40_000, 0.6e9), pytest.param(200_000, 3e9, marks=pytest.mark.deep)]
)
def test_a_chain_of_a_million_nodes_in_under_three_gigabytes(count, limit):
    command = [sys.executable, "-c", MILLION.replace("COUNT", str(count))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 < limit


def straight(lines: int) -> Any:
    """A function of so many statements, and the number of the line before its first."""
    body = "\n".join("    y = y + x" for _ in range(lines))
    space: dict[str, Any] = {}
    code = compile(f"def f(x):\n    y = x\n{body}\n    return y", "<written>", "exec")
    exec(code, space)  # noqa: S102 - our own text
    return space["f"]


def test_lines_of_a_long_function_are_found_in_linear_time() -> None:
    def seconds(lines: int) -> float:
        function = straight(lines)
        start = perf_counter()
        graph = cb.trace(function, 1.0)
        taken = perf_counter() - start
        numbers = [origin[1] for origin in graph.origins if origin]
        assert numbers == list(range(3, lines + 3))
        return taken

    seconds(100)
    short = min(seconds(2_000) for _ in range(3))
    assert seconds(32_000) < 16 * short * 6  # 16 times as long; it was 256 times
