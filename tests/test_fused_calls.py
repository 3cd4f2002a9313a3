"""Calls of compiled functions: every kind of array, every change from outside, no matter which way.

The first calls go the long way, those that follow a short one; both must notice the same things.
"""

import threading

import numpy as np
import pytest

import calcbench as cb


X = np.linspace(-1.0, 2.0, 6)


def weighted(x):
    return np.sum(np.exp(x) * x[::-1]) + x[0]


def settled(compiled, *args):
    """The result once the short way is taken."""
    return [compiled(*args) for _ in range(4)][-1]


@pytest.fixture(scope="module")
def slope():
    compiled = cb.compile(cb.grad(weighted), engine="fused")
    settled(compiled, X)
    return compiled


ARRAYS = {
    "read-only": lambda x: np.frombuffer(x.tobytes()),
    "strided": lambda x: np.repeat(x, 3)[::3],
    "backwards": lambda x: x[::-1].copy()[::-1],
    "unaligned": lambda x: np.frombuffer(b"x" + x.tobytes(), offset=1),
    "of the other byte order": lambda x: x.astype(">f8"),
    "a list": lambda x: x.tolist(),
    "broadcast from itself": lambda x: np.broadcast_to(x, (1, x.size))[0],
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_any_layout_give_the_same_bits(name, slope):
    given = ARRAYS[name](X)
    before = np.array(given)
    for _ in range(2):
        np.testing.assert_array_equal(slope(given), slope(X))
    np.testing.assert_array_equal(given, before)


def test_matrices_in_fortran_order():
    compiled = cb.compile(lambda a: np.sum(np.cumsum(a, axis=1), axis=0), engine="fused")
    a = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(settled(compiled, np.asfortranarray(a)), settled(compiled, a))


def test_read_only_arrays_need_no_second_compilation(slope):
    functions = [step for step, _ in slope.last.built.runner.executable._steps]
    slope(ARRAYS["read-only"](X))
    slope(ARRAYS["unaligned"](X))
    assert all(len(f.signatures) == 1 for f in functions)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_arrays_without_entries(shape):
    compiled = cb.compile(lambda x: (np.sum(x), np.sum(x, axis=0), 2.0 * x), engine="fused")
    for _ in range(4):
        total, columns, doubled = compiled(np.zeros(shape))
    assert total == 0.0
    np.testing.assert_array_equal(columns, np.zeros(shape[1:]))
    assert doubled.shape == shape


def test_results_are_fresh_and_may_be_written_to(slope):
    first = slope(X)
    first[:] = 7.0
    second = slope(X)
    assert not np.shares_memory(first, second)
    assert not np.any(second == 7.0)


def test_numbers_of_every_type_take_the_right_way():
    compiled = cb.compile(lambda a, x: a * x, engine="fused")
    for a in (2.0, np.float64(2.0), 2, np.array(2.0), np.float32(2.0), True):
        for _ in range(4):
            got = compiled(a, X)
            np.testing.assert_array_equal(got, a * X)
            assert got.dtype == (a * X).dtype


def test_types_that_take_turns_are_all_remembered():
    compiled = cb.compile(lambda x: np.sum(x * x), engine="fused")
    points = [np.ones(3), np.ones(4), np.ones((2, 2)), np.ones(3, np.float32)]
    for _ in range(4):
        for x in points:
            assert compiled(x) == x.size
            assert compiled.graph.types[0].shape == x.shape
    assert len(compiled._shortcuts) == len(points)


def test_branches_that_take_turns_are_noticed():
    compiled = cb.compile(lambda x: x * 2.0 if x[0] > 0 else -x, engine="fused")
    for _ in range(5):
        np.testing.assert_array_equal(compiled(X), -X)
        np.testing.assert_array_equal(compiled(-X), -2.0 * X)


def test_the_convention_is_asked_at_every_call():
    compiled = cb.compile(cb.grad(lambda x: np.sum(cb.relu(x))), engine="fused")
    assert settled(compiled, np.zeros(2))[0] == 0.0
    with cb.kink_convention("right"):
        assert settled(compiled, np.zeros(2))[0] == 1.0
    assert compiled(np.zeros(2))[0] == 0.0


def test_what_is_captured_is_read_at_every_call():
    weights, scale = np.ones(6), np.array(2.0)
    compiled = cb.compile(lambda x: np.sum(weights * x) * scale, engine="fused")
    settled(compiled, X)
    weights[:] = X
    np.testing.assert_allclose(compiled(X), 2.0 * np.sum(X * X), rtol=1e-15)
    scale[...] = 3.0
    np.testing.assert_allclose(settled(compiled, X), 3.0 * np.sum(X * X), rtol=1e-15)


def test_a_default_that_is_replaced_is_noticed():
    def scaled(x, factor=2.0):
        return factor * x

    compiled = cb.compile(lambda x: scaled(x), engine="fused")
    np.testing.assert_array_equal(settled(compiled, X), 2.0 * X)
    scaled.__defaults__ = (3.0,)
    np.testing.assert_array_equal(compiled(X), 3.0 * X)


def test_a_list_inside_a_default_is_compared():
    def scaled(x, factors=None):
        return factors[0] * x

    scaled.__defaults__ = ([2.0],)
    compiled = cb.compile(lambda x: scaled(x), engine="fused")
    np.testing.assert_array_equal(settled(compiled, X), 2.0 * X)
    scaled.__defaults__[0][0] = 3.0
    np.testing.assert_array_equal(compiled(X), 3.0 * X)


def test_one_compiled_function_in_many_threads(slope):
    points = [X + k for k in range(16)]
    expected = [slope(x) for x in points]
    wrong = []

    def work(k):
        right = [np.array_equal(slope(points[k]), expected[k]) for _ in range(200)]
        wrong.extend([k] * right.count(False))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
