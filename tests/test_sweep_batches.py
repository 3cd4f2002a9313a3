"""Sweeps at many points: bit for bit the sweeps of single points, grouped by path."""

import numpy as np
import pytest
from cases import CASES

import calcbench as cb
from calcbench.graph.trees import leaves_of, map_leaves
from calcbench.lower.sweep_kinds import is_straight
from calcbench.sweep_points import forward_points, reverse_points


COUNT = 5
MIXED = np.array([-2.0, 0.5, 0.0, 3.0, 0.0, 1.5, -1.0])


def chain(x, y):
    for _ in range(20):
        x, y = np.sin(x) * y, np.exp(-x * x) + y
    return x * y, np.stack([x, y])


def branches(x):
    if x > 1:
        return x * x
    return np.exp(x) if x > 0 else -x


def spelt_out(x):
    """A test for equality, whose points are single sweeps each."""
    if x == 0:
        return 0.0 * x
    return x * x if x > 1 else np.sin(x)


def on_arrays(a, x):
    return np.tanh(a @ x) * np.sum(x), np.linalg.inv(a)


def masked(x):
    kept = x[x > 0]
    return np.sum(kept * kept)


def scaled(x):
    return x * WEIGHTS, x[0] * x[1]


def structured(x):
    return {"product": x["a"] * x["b"][0], "sum": x["a"] + x["b"][1], "count": np.floor(x["a"])}


WEIGHTS = np.array([1.0, -2.0, 3.0])
RNG = np.random.default_rng(3)
MATRICES = np.eye(40) + RNG.normal(size=(COUNT, 40, 40)) / 50
PROGRAMS = {
    "chain": (chain, (RNG.normal(size=COUNT), RNG.normal(size=COUNT))),
    "branches": (branches, (MIXED + 0.1,)),
    "equality": (spelt_out, (MIXED,)),
    "arrays": (
        on_arrays,
        (MATRICES, np.ones((COUNT, 40))),
    ),
    "masks": (masked, (RNG.normal(size=(COUNT, 3)),)),
    "captured": (scaled, (RNG.normal(size=(COUNT, 3)),)),
    "containers": (structured, ({"a": RNG.normal(size=COUNT), "b": [MIXED[:COUNT]] * 2},)),
    "single precision": (lambda x: np.sin(x) / x, (RNG.normal(size=COUNT).astype(np.float32),)),
}


def same(got, want, name):
    """Every bit of straight-line code; matrices of one point and of many are multiplied apart."""
    for a, b in zip(leaves_of(got), leaves_of(want), strict=True):
        if b is None:
            assert a is None
        elif name == "arrays":
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
        else:
            assert np.asarray(a).dtype == np.asarray(b).dtype
            np.testing.assert_array_equal(a, b)


def at(tree, k):
    return map_leaves(lambda leaf: None if leaf is None else leaf[k], tree)


def drawn(like, *axes):
    """One more array like each, with these axes after that of the points."""

    def one(leaf):
        shape = (leaf.shape[0], *axes, *leaf.shape[1:])
        return np.random.default_rng(0).normal(size=shape).astype(leaf.dtype)

    return map_leaves(one, like)


def results(function, arguments, k):
    """The value at a point, whose floats have cotangents."""
    return cb.jvp(function, at(arguments, k), at(arguments, k))[0]


@pytest.mark.parametrize("axes", [(), (3,)], ids=["one tangent", "directions"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_forward_sweeps_are_those_of_single_points(name, axes):
    function, arguments = PROGRAMS[name]
    tangents = drawn(arguments, *axes)
    for _ in range(2):
        got = cb.forward_sweep(function, arguments, tangents, batch=True)
        for k in range(len(leaves_of(arguments)[0])):
            want = cb.forward_sweep(function, at(arguments, k), at(tangents, k))
            same(at(got, k), want, name)


@pytest.mark.parametrize("name", PROGRAMS)
def test_reverse_sweeps_are_those_of_single_points(name):
    function, arguments = PROGRAMS[name]
    count = len(leaves_of(arguments)[0])
    values = [results(function, arguments, k) for k in range(count)]
    structure = map_leaves(lambda leaf: np.zeros((count, *np.shape(leaf)), leaf.dtype), values[0])
    cotangents = drawn(structure)
    for _ in range(2):
        got = cb.reverse_sweep(function, arguments, cotangents, batch=True)
        for k in range(count):
            want = cb.reverse_sweep(function, at(arguments, k), at(cotangents, k))
            same(at(got, k), want, name)


def test_gradients_need_no_cotangent():
    value, slope = cb.reverse_sweep(branches, MIXED + 0.1, batch=True)
    wanted = [cb.reverse_sweep(branches, x) for x in MIXED + 0.1]
    np.testing.assert_array_equal(value, [w[0] for w in wanted])
    np.testing.assert_array_equal(slope, [w[1] for w in wanted])


STRAIGHT = [c for c in CASES if is_straight(cb.trace(c.function, *c.arguments))]


@pytest.mark.parametrize("case", STRAIGHT, ids=lambda c: c.name)
def test_sample_programs(case):
    arguments = tuple(
        np.stack([np.asarray(a) * (1 + 1e-3 * k) for k in range(3)]).astype(np.asarray(a).dtype)
        for a in case.arguments
    )
    if not all(a.dtype.kind == "f" for a in arguments):
        return
    tangents = drawn(arguments)
    got = cb.forward_sweep(case.function, arguments, tangents, batch=True)
    for k in range(3):
        want = cb.forward_sweep(case.function, at(arguments, k), at(tangents, k))
        same(at(got, k), want, case.name)


def test_no_points():
    empty = np.zeros((0, 3))
    value, slope = cb.reverse_sweep(masked, empty, batch=True)
    assert (value.shape, slope.shape) == ((0,), (0, 3))
    value, (pushed, product) = cb.forward_sweep(scaled, empty, np.zeros((0, 2, 3)), batch=True)
    assert (pushed.shape, product.shape) == ((0, 2, 3), (0, 2))


def test_many_points_on_all_cores():
    x = np.linspace(-1.0, 1.0, 500)
    y, dy = cb.forward_sweep(chain, (x, x), (x, x), batch=True)
    for k in (0, 77, 499):
        same((at(y, k), at(dy, k)), cb.forward_sweep(chain, (x[k], x[k]), (x[k], x[k])), "")


def test_the_convention_at_kinks_is_that_of_the_call():
    zero = np.zeros(2)
    found = [cb.reverse_sweep(np.abs, zero, kink=k, batch=True)[1][0] for k in ("zero", "right")]
    assert found == [cb.reverse_sweep(np.abs, 0.0, kink=k)[1] for k in ("zero", "right")]


@pytest.mark.parametrize("make", [forward_points, reverse_points])
def test_programs_on_arrays_take_the_transformed_graph(make):
    graph = cb.trace(on_arrays, np.eye(40), np.ones(40))
    assert type(make(graph, (0, 1), "tape")).__name__ in ("PushedPoints", "TransformedPoints")
    graph = cb.trace(chain, 0.1, 0.2)
    assert type(make(graph, (0, 1), "tape")).__name__ == "SweptPoints"


BAD = {
    "engine": ({"engine": "fused", "batch": True}, cb.EngineError, "choose tape or cuda"),
    "no batch": ({"engine": "cuda"}, cb.EngineError, "pass batch=True"),
    "paths": ({"batch": True, "max_paths": 2}, cb.GraphError, "more than 2 different branches"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_done_is_told(name):
    options, kind, text = BAD[name]
    with pytest.raises(kind, match=text):
        cb.reverse_sweep(branches, MIXED, **options)
    with pytest.raises(kind, match=text):
        cb.forward_sweep(branches, MIXED, MIXED, **options)


def test_arguments_of_a_batch_are_checked():
    with pytest.raises(cb.ShapeError, match="first axis counts the points"):
        cb.reverse_sweep(branches, 1.0, batch=True)
    with pytest.raises(cb.ShapeError, match="equally many points"):
        cb.forward_sweep(chain, (MIXED, MIXED[:2]), (MIXED, MIXED[:2]), batch=True)
    with pytest.raises(cb.ShapeError, match="behind that of the points"):
        cb.forward_sweep(chain, (MIXED, MIXED), (MIXED, MIXED[:, None]), batch=True)
    with pytest.raises(cb.ShapeError, match="cotangent of output 0"):
        cb.reverse_sweep(branches, MIXED, MIXED[:2], batch=True)
    with pytest.raises(cb.DerivativeError, match="without a cotangent"):
        cb.reverse_sweep(scaled, np.ones((2, 3)), batch=True)
