"""A cached recording is never used once what it rests on has changed."""

import functools
import threading

import numpy as np
import pytest

import calcbench as cb
from calcbench.graph.paths import MAX_PATHS


X = np.array([1.0, 2.0, 3.0])
SCALE = 2.0
TABLE = {"a": 1.0}


def settled(gradient, *args):
    """The gradient's value once its recording is trusted: after three calls."""
    return [gradient(*args) for _ in range(3)][-1]


def test_a_closure_that_is_rebound():
    factor = 2.0
    gradient = cb.grad(lambda x: np.sum(factor * x))
    np.testing.assert_array_equal(settled(gradient, X), 2.0)
    factor = 5.0
    np.testing.assert_array_equal(gradient(X), 5.0)


def test_a_global_that_is_rebound(monkeypatch):
    gradient = cb.grad(lambda x: np.sum(SCALE * x))
    np.testing.assert_array_equal(settled(gradient, X), 2.0)
    monkeypatch.setitem(globals(), "SCALE", 7.0)
    np.testing.assert_array_equal(gradient(X), 7.0)


def inner(x):
    return SCALE * x


def test_a_global_of_a_called_function(monkeypatch):
    gradient = cb.grad(lambda x: np.sum(inner(x)))
    np.testing.assert_array_equal(settled(gradient, X), 2.0)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    np.testing.assert_array_equal(gradient(X), 3.0)


def test_a_captured_array_written_in_place():
    weights = np.ones(3)
    gradient = cb.grad(lambda x: np.sum(weights * x))
    settled(gradient, X)
    weights[:] = [1.0, 5.0, 9.0]
    np.testing.assert_array_equal(gradient(X), weights)


def test_an_array_computed_from_a_captured_one():
    weights = np.ones(3)
    gradient = cb.grad(lambda x: np.sum(np.exp(weights) * x))
    settled(gradient, X)
    weights[:] = 0.0
    np.testing.assert_array_equal(gradient(X), 1.0)


def test_an_array_written_while_the_function_runs():
    buffer = np.zeros(3)

    def f(x):
        buffer[:] = 1.0
        first = np.sum(buffer * x)
        buffer[:] = 10.0
        return first + np.sum(buffer * x)

    gradient = cb.grad(f)
    for _ in range(4):
        np.testing.assert_array_equal(gradient(X), 11.0)


@pytest.mark.parametrize("holder", [{"k": 2.0}, [2.0]])
def test_a_list_or_dict_that_is_changed(holder):
    key = "k" if isinstance(holder, dict) else 0
    gradient = cb.grad(lambda x: np.sum(holder[key] * x))
    np.testing.assert_array_equal(settled(gradient, X), 2.0)
    holder[key] = 4.0
    np.testing.assert_array_equal(gradient(X), 4.0)


class Model:
    def __init__(self):
        self.scale = 2.0

    def loss(self, x):
        return np.sum(self.scale * x)

    def __call__(self, x):
        return self.loss(x)


@pytest.mark.parametrize("use", [lambda m: m.loss, lambda m: m, lambda m: lambda x: m.loss(x)])
def test_an_attribute_that_is_changed(use):
    model = Model()
    gradient = cb.grad(use(model))
    np.testing.assert_array_equal(settled(gradient, X), 2.0)
    model.scale = 6.0
    np.testing.assert_array_equal(gradient(X), 6.0)


def test_a_partial_and_a_default():
    def f(x, k=2.0):
        return np.sum(k * x)

    np.testing.assert_array_equal(settled(cb.grad(functools.partial(f, k=3.0)), X), 3.0)
    gradient = cb.grad(f)
    settled(gradient, X)
    f.__defaults__ = (8.0,)
    np.testing.assert_array_equal(gradient(X), 8.0)


def test_what_lies_deep_is_seen_without_the_cache():
    class Deep:
        inner = type("Inner", (), {})()

    deep = Deep()
    deep.inner.config = type("Config", (), {})()
    deep.inner.config.scale = 2.0
    gradient = cb.grad(lambda x: np.sum(deep.inner.config.scale * x), cache=False)
    settled(gradient, X)
    deep.inner.config.scale = 5.0
    np.testing.assert_array_equal(gradient(X), 5.0)


def test_random_numbers_are_drawn_anew():
    gradient = cb.grad(lambda x: np.random.default_rng().normal() * x)
    assert len({float(gradient(1.0)) for _ in range(6)}) == 6


def test_a_counter_counts():
    calls = []

    def f(x):
        calls.append(None)
        return len(calls) * x

    gradient = cb.grad(f)
    assert [float(gradient(1.0)) for _ in range(4)] == [1.0, 2.0, 3.0, 4.0]


def test_branches_shapes_and_dtypes_change_between_calls():
    def f(x):
        return np.sum(x**2) if np.sum(x) > 0 else np.sum(3.0 * x)

    gradient = cb.grad(f)
    for _ in range(4):
        for x in (X, -X, X[:2], -X[:2], X.astype(np.float32)):
            expected = 2 * x if np.sum(x) > 0 else np.full_like(x, 3.0)
            found = gradient(x)
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == x.dtype


def test_more_paths_than_are_kept():
    def f(x):
        steps = int(x)
        return x**2 + steps

    gradient = cb.grad(f)
    for _ in range(2):
        for n in range(2 * MAX_PATHS):
            assert gradient(n + 0.5) == 2 * (n + 0.5)


def test_an_inner_function_that_closes_over_a_traced_value():
    def f(x):
        return cb.grad(lambda y: x * y**2)(3.0) + cb.jacobian(lambda y: x * y)(X).sum()

    gradient = cb.grad(f)
    for x in (1.0, 2.0, 5.0):
        assert gradient(x) == 6.0 + 3.0


def test_two_threads_share_a_gradient():
    gradient = cb.grad(lambda x: np.sum(np.sin(x)) if x[0] > 0 else np.sum(x**2))
    wrong = []

    def work(sign):
        for k in range(200):
            x = sign * (X + k)
            expected = np.cos(x) if sign > 0 else 2 * x
            if not np.allclose(gradient(x), expected, rtol=1e-12, atol=0):
                wrong.append(x)

    threads = [threading.Thread(target=work, args=(s,)) for s in (1.0, -1.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
