"""Products with many directions at once: the bits of one by one, on every engine."""

import numpy as np
import pytest
from cases import CASES

import calcbench as cb
from calcbench import many_sweeps
from calcbench.graph.trees import leaves_of, map_leaves
from calcbench.many_sweeps import ManySweeps
from calcbench.matrix_products import _many_pushed
from calcbench.measure.timing import elapsed


K = 3
X = np.array([0.5, -1.0, 2.0])


def float_arguments(case):
    leaves = [[np.asarray(v) for v in leaves_of(a)] for a in case.arguments]
    return tuple(i for i, vs in enumerate(leaves) if all(v.dtype.kind == "f" for v in vs))


def drawn(tree, seed=0):
    """K directions for every leaf."""
    rng = np.random.default_rng(seed)
    return map_leaves(
        lambda v: rng.normal(size=(K, *np.shape(v))).astype(np.asarray(v).dtype), tree
    )


def picked(tree, lane):
    return map_leaves(lambda v: None if v is None else v[lane], tree)


def assert_same_bits(many, single, lane, what):
    for stacked, alone in zip(leaves_of(many), leaves_of(single), strict=True):
        if alone is None:
            assert stacked is None
        else:
            assert stacked.dtype == np.asarray(alone).dtype
            assert stacked[lane].tobytes() == np.asarray(alone).tobytes(), what


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_direction_has_the_bits_of_its_own_sweep(case):
    wanted = float_arguments(case)
    options = {"argnums": wanted}
    directions = drawn(tuple(case.arguments[i] for i in wanted))
    y, dy = cb.jmp(case.function, case.arguments, directions, **options)
    value, pull = cb.vjp(case.function, *case.arguments, **options)
    back = drawn(value, 1)
    again, ct = cb.mjp(case.function, case.arguments, back, **options)
    for lane in range(K):
        alone = cb.jvp(case.function, case.arguments, picked(directions, lane), **options)
        assert_same_bits(dy, alone[1], lane, "jmp")
        assert_same_bits(ct, pull(picked(back, lane)), lane, "mjp")
        for found in (y, again):
            assert_same_bits(map_leaves(lambda v: np.asarray(v)[None], found), alone[0], 0, "y")
    if np.shape(value) == ():
        products = cb.hmp(case.function, case.arguments, directions, **options)
        for lane in range(K):
            alone = cb.hvp(case.function, case.arguments, picked(directions, lane), **options)
            assert_same_bits(products, alone, lane, "hmp")


def chained(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + np.exp(x[:-1]))


@pytest.mark.parametrize("engine", ["numpy", "tape", "fused"])
@pytest.mark.parametrize("n", [7, 1000])
def test_engines_keep_the_bits(engine, n):
    x, directions = np.linspace(-1, 1, n), np.random.default_rng(n).normal(size=(K, n))
    dy = cb.jmp(chained, x, directions, engine=engine)[1]
    products = cb.hmp(chained, x, directions, engine=engine)
    ct = cb.mjp(chained, x, np.arange(1.0, K + 1), engine=engine)[1]
    pull = cb.vjp(chained, x, argnums=0, engine=engine)[1]
    for lane in range(K):
        assert dy[lane] == cb.jvp(chained, x, directions[lane], engine=engine)[1]
        alone = cb.hvp(chained, x, directions[lane], engine=engine)
        np.testing.assert_array_equal(products[lane], alone)
        np.testing.assert_array_equal(ct[lane], pull(lane + 1.0))


@pytest.mark.parametrize("function", [np.sin, lambda x: np.linalg.inv(np.diag(x)) @ x])
@pytest.mark.parametrize("most", [1, 7, 2**20])
def test_parts_of_any_size_give_the_same_bits(function, most, monkeypatch):
    directions = np.random.default_rng(2).normal(size=(5, 3))
    expected = np.stack([cb.jvp(function, X, d)[1] for d in directions])
    monkeypatch.setattr(many_sweeps, "MOST_BYTES", 24 * most)
    fresh = lambda x: function(x)  # noqa: E731 - a function without recorded paths
    np.testing.assert_array_equal(cb.jmp(fresh, X, directions)[1], expected)


def test_lanes_are_taken_where_they_keep_the_bits_and_fit_the_caches():
    def program(function, n):
        return _many_pushed(cb.trace(function, np.ones(n)), (0,))

    each = 2 * 8  # a number of the seed and one of the product with it
    assert program(np.sin, 10).each == 10 * each
    assert program(np.sin, 10).lanes(8) == 8
    assert program(np.sin, many_sweeps.MOST_BYTES // (3 * each)).lanes(8) == 3
    assert program(np.sin, many_sweeps.MOST_BYTES).lanes(8) == 1
    assert program(lambda x: np.eye(10) @ np.sin(x), 10).lanes(8) == 1
    assert program(lambda x: np.sin(np.eye(10) @ np.ones(10)) * x, 10).lanes(8) == 8
    assert isinstance(program(np.sin, 10), ManySweeps)


def long(x):
    for _ in range(10):
        x = np.sin(x) * x + np.exp(-x * x)
    return x


def test_lanes_that_fit_take_less_time_than_one_by_one_and_the_same_bits(monkeypatch):
    x, directions = np.linspace(-1, 1, 300), np.random.default_rng(3).normal(size=(60, 300))
    seconds, found = {}, {}
    for most in (1, many_sweeps.MOST_BYTES, 2**40):
        monkeypatch.setattr(many_sweeps, "MOST_BYTES", most)
        sweeps = _many_pushed(cb.trace(long, x), (0,))
        found[sweeps.lanes(60)] = sweeps([x], [directions], "numpy")[1][0]
        seconds[most] = min(elapsed(lambda s=sweeps: s([x], [directions], "numpy")) for _ in "abc")
    assert list(found) == [1, 60]
    np.testing.assert_array_equal(found[1], found[60])
    assert seconds[1] > 3 * seconds[2**20], seconds


def test_the_reason_for_the_lanes_has_the_counted_bytes():
    found = cb.explain_directions(long, np.ones(300), 300)
    assert found.together == 100
    assert found.sweeps == 3
    assert found.together * found.each <= found.most < 150 * found.each
    assert str(found).startswith("100 of 300 directions together, 3 sweeps: 100 x 9600 bytes held")
    alone = cb.explain_directions(lambda x: np.eye(3) @ x, X, 5)
    assert (alone.together, alone.sweeps) == (1, 5)
    assert "round differently" in str(alone)
    assert "exceed even alone" in str(cb.explain_directions(np.sin, np.ones(10**6), 2))
    for product, function in (("mjp", long), ("hmp", chained)):
        assert cb.explain_directions(function, X, 4, product=product).together == 4


def test_against_closed_forms():
    a = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]])
    y, dy = cb.jmp(lambda x: a @ x, X, np.eye(3))
    np.testing.assert_array_equal(y, a @ X)
    np.testing.assert_array_equal(dy, a.T)
    np.testing.assert_array_equal(cb.mjp(lambda x: a @ x, X, np.eye(2))[1], a)
    np.testing.assert_array_equal(cb.hmp(lambda x: x @ x, X, np.eye(3)), 2 * np.eye(3))
    products = cb.hmp(lambda x, y: np.sum(x) * y, (X, 2.0), (np.eye(3), np.zeros(3)))
    np.testing.assert_array_equal(products[0], np.zeros((3, 3)))
    np.testing.assert_array_equal(products[1], np.ones(3))


def test_branches_and_integers():
    def function(x, n):
        return (x * x if x[0] > 0 else -x, n)

    for sign in (1.0, 1.0, -1.0, -1.0, 1.0):
        y, dy = cb.jmp(function, (sign * X, 3), np.eye(3), argnums=0)
        assert y[1] == 3
        assert dy[1] is None
        slope = 2 * X if sign > 0 else -np.ones(3)
        np.testing.assert_array_equal(dy[0], np.diag(slope))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: cb.jmp(np.sin, X, X), cb.ShapeError, "has shape"),
        (lambda: cb.jmp(np.sin, 1.0, 1.0), cb.ShapeError, "got no axis"),
        (lambda: cb.jmp(np.sin, X, np.zeros((0, 3))), cb.ShapeError, "got 0"),
        (lambda: cb.jmp(np.sin, X, np.ones((2, 4))), cb.ShapeError, "has shape"),
        (lambda: cb.jmp(np.sin, X, np.ones((2, 3), int)), cb.DTypeError, "floats"),
        (lambda: cb.jmp(np.add, (X, X), (np.eye(3), np.ones((2, 3)))), cb.ShapeError, "got 2, 3"),
        (lambda: cb.mjp(np.sin, X, np.ones((2, 4))), cb.ShapeError, "has shape"),
        (lambda: cb.mjp(np.sum, X, 1.0), cb.ShapeError, "got no axis"),
        (lambda: cb.mjp(np.sin, X, (np.eye(3),)), cb.DerivativeError, "nested like"),
        (lambda: cb.hmp(np.sin, X, np.eye(3)), cb.DerivativeError, "one scalar float"),
        (lambda: cb.jmp(np.sin, np.arange(3), np.eye(3)), cb.DTypeError, "carry no tangent"),
        (lambda: cb.explain_directions(np.sin, X, 0), cb.DerivativeError, "at least one"),
        (lambda: cb.explain_directions(np.sin, X, 1.5), cb.DerivativeError, "whole number"),
        (lambda: cb.explain_directions(np.sin, X, 2, product="jvp"), cb.DerivativeError, "'jvp'"),
        (lambda: cb.jmp(np.sin, X, np.eye(3), engine="warp"), cb.EngineError, "no engine"),
    ],
)
def test_what_is_refused_says_why(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_inside_a_derivative_they_are_refused():
    with pytest.raises(cb.DerivativeError, match="one direction at a time"):
        cb.grad(lambda x: np.sum(cb.jmp(np.sin, x, np.eye(3))[1]))(X)


LAYOUTS = {
    "sum over an axis": lambda y: np.sum(np.sin(y), axis=0),
    "sum over the other": lambda y: np.sum(y, axis=1) * np.sum(y),
    "of a transpose": lambda y: np.sum(y.T * np.sin(y.T), axis=0),
    "backwards": lambda y: np.sum(np.flip(y, 1), axis=1),
    "with strides": lambda y: np.sum(y[::-2, ::3]),
    "of a broadcast": lambda y: np.sum(np.broadcast_to(y, (50, *y.shape)), axis=0),
    "gathered often": lambda y: y.ravel()[np.arange(300) % 7],
    "running": lambda y: np.cumsum(y, axis=0)[::2],
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("shape", [(300, 7), (7, 300), (1, 260)])
def test_sums_keep_their_bits_in_lanes_whatever_the_layout(name, shape, monkeypatch):
    monkeypatch.setattr(many_sweeps, "MOST_BYTES", 2**26)
    rng = np.random.default_rng(3)
    x, directions, function = rng.normal(size=shape), rng.normal(size=(K, *shape)), LAYOUTS[name]
    assert _many_pushed(cb.trace(function, x), (0,)).lanes(K) == K
    y, dy = cb.jmp(function, x, directions)
    back = rng.normal(size=(K, *np.shape(y)))
    ct, pull = cb.mjp(function, x, back)[1], cb.vjp(function, x, argnums=0)[1]
    for lane in range(K):
        np.testing.assert_array_equal(dy[lane], cb.jvp(function, x, directions[lane])[1])
        np.testing.assert_array_equal(ct[lane], pull(back[lane]))
