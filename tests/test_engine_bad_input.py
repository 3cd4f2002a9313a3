"""Wrong and odd input to the engines: the same answer on each, errors in words, usable afterwards.

The numbers are those of the list of faults, as in `test_bad_input`, which asks the derivatives.
"""

import fractions
import functools
import gc
import os
import pickle  # noqa: TID251
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pytest
from test_bad_input import described, fingerprint, matrix_of

import calcbench as cb
from calcbench.graph.arraytype import CalcbenchError
from calcbench.graph.trees import leaves_of, map_leaves
from calcbench.lower import cache, compiler, memory
from calcbench.lower.engines import Options, Runner
from calcbench.lower.transformed_sweeps import TransformedReverse
from calcbench.sweeps import reverse_program


X = np.array([0.3, -1.2, 0.7])
NUMPY_LIKE = ["numpy", "tape", "fused", "auto"]
WAYS = [*NUMPY_LIKE, "forward", "reverse"]


def ones_like(tree: Any) -> Any:
    """Cotangents or tangents of one for every entry."""
    return map_leaves(lambda v: np.ones_like(v, dtype=np.asarray(v).dtype)[()], tree)


def way(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, computed by an engine or by one of the sweeps."""
    if name == "forward":
        return lambda *args: cb.forward_sweep(function, args, ones_like(args))[0]
    if name == "reverse":
        return lambda *args: cb.reverse_sweep(function, args)[0]
    return cb.compile(function, engine=name)  # type: ignore[no-any-return]


def smooth(x):
    return np.sum(np.sin(x) * x)


@pytest.fixture(scope="module")
def smooth_by():
    """`smooth` by every way, run once: what is compiled is compiled once."""
    made = {name: way(name, smooth) for name in WAYS}
    for call in made.values():
        call(X)
    return made


def same_bits(got: Any, want: Any) -> None:
    got, want = leaves_of(got), leaves_of(want)
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert (np.shape(a), np.asarray(a).dtype) == (np.shape(b), np.asarray(b).dtype)
        np.testing.assert_array_equal(a, b)
        if np.asarray(b).dtype.kind == "f":
            known = ~np.isnan(b)
            np.testing.assert_array_equal(np.signbit(a)[known], np.signbit(b)[known])


# --- arguments that are no arrays of numbers ----------------------------------------------------


class Subclass(np.ndarray):
    """An array class of somebody else."""


class Wrong(NamedTuple):
    value: Any
    says: str


WRONG = {
    "21 uint64": Wrong(np.arange(3, dtype=np.uint64), "x: dtype uint64 is not one of float64"),
    "22 float16": Wrong(X.astype(np.float16), r"x: dtype float16 .*\.astype\(np\.float32\)"),
    "22 longdouble": Wrong(X.astype(np.longdouble), r"x: dtype .*\.astype\(np\.float32\)"),
    "23 complex": Wrong(X + 0j, "x: dtype complex128.*split into real"),
    "23 a complex number": Wrong(1j, "x: dtype complex128.*split into real"),
    "27 objects": Wrong(X.astype(object), "x: dtype object.*build it with dtype=float"),
    "27 matrix": Wrong(matrix_of(np.eye(2)), "x is an np.matrix; pass it through np.asarray"),
    "27 strings": Wrong(np.array(["a"]), "x has dtype <U1; numbers are expected"),
    "27 dates": Wrong(np.array(["2020-01-01"], "M8[D]"), "x: dtype datetime64"),
    "27 records": Wrong(np.zeros(2, [("a", float)]), r"x has dtype \[\('a'.*numbers"),
    "27 an int of 71 bits": Wrong(2**70, "x is an integer of 71 bits.*int64.*as a float"),
    "27 an int of 64 bits": Wrong(2**63, "x is an integer of 64 bits.*int64.*as a float"),
    "27 an int of 9999 digits": Wrong(10**9998, "x is an integer of 33213 bits"),
    "27 ints in a list": Wrong([1.0, -(2**70)], r"x\[1\] is an integer of 71 bits"),
    "28 masked": Wrong(np.ma.array(X, mask=[0, 1, 0]), r"x is a masked array.*\.filled"),
    "28 masked number": Wrong(np.ma.masked, r"x is a masked array.*\.filled"),
}
NOT_NUMBERS = {
    "27 None": None,
    "27 text": "abc",
    "27 bytes": b"abc",
    "27 a set": {1.0},
    "27 a fraction": fractions.Fraction(1, 2),
    "27 an object": Ellipsis,
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("by", [*WAYS, "cuda", "batch"])
def test_arrays_that_hold_no_numbers_are_refused_by_name(name, by, smooth_by):
    value, says = WRONG[name]
    call = smooth_by.get(by) or cb.compile(smooth, engine="tape" if by == "batch" else by)
    before = fingerprint(*leaves_of(value)) if name != "27 an int of 9999 digits" else ""
    with pytest.raises(cb.DTypeError, match=says):
        (call.batch if by == "batch" else call)(value)
    if before:
        assert fingerprint(*leaves_of(value)) == before
    if by in smooth_by:
        assert call(X) == pytest.approx(smooth(X), rel=1e-14)


@pytest.mark.parametrize("name", NOT_NUMBERS)
@pytest.mark.parametrize("by", WAYS)
def test_what_is_no_number_is_named(name, by, smooth_by):
    value = NOT_NUMBERS[name]
    with pytest.raises(TypeError) as caught:
        smooth_by[by](value)
    assert f"x = {value!r}" in described(caught.value) or "argument x is" in str(caught.value)
    if name not in ("27 text", "27 bytes"):  # of these NumPy says the same as of object arrays
        assert "np.stack" not in described(caught.value)
    assert smooth_by[by](X) == pytest.approx(smooth(X), rel=1e-14)


GRAPH = cb.as_graph(2.0 * cb.var("a", (2,)) + cb.var("b", (2,)))
WRONG_INPUTS = {
    "shape": (np.ones(3), r"input 'b' has type f64\[2\], got float64\[3\]"),
    "masked": (np.ma.array([1.0, 2.0], mask=[0, 1]), r"input 'b' is a masked array"),
    "matrix": (matrix_of([1.0, 2.0]), r"input 'b' is an np\.matrix"),
    "None": (None, "input 'b': dtype object"),
    "text": ("ab", "input 'b' has dtype <U2"),
    "complex": ([1j, 2.0], "input 'b': dtype complex128"),
    "ragged": ([[1.0], [1.0, 2.0]], "input 'b' is not an array of numbers"),
    "large ints": ([2**70, 1], "input 'b': dtype object.*dtype=float"),
}


@pytest.mark.parametrize("name", WRONG_INPUTS)
@pytest.mark.parametrize("engine", ["numpy", "tape", "auto"])
def test_a_wrong_input_of_a_graph_is_named(name, engine):
    value, says = WRONG_INPUTS[name]
    compiled = cb.compile(GRAPH, engine=engine)
    with pytest.raises(CalcbenchError, match=says):
        compiled([1.0, 2.0], value)
    assert compiled([1, 2], [True, False]).tolist() == [3.0, 4.0]


# --- arrays of any kind and layout --------------------------------------------------------------

SQUARE = np.random.default_rng(5).normal(size=(3, 3))


def on_arrays(a):
    return np.sum(np.sin(a) @ a) + np.sum(a[0] * np.sum(a, axis=1))


def on_numbers(a):
    return np.sin(a[0, 1]) * a[2, 0] - a[1, 1] / (1.0 + a[0, 2] ** 2)


def read_only(a):
    a = a.copy()
    a.setflags(write=False)
    return a


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "26 Fortran order": np.asfortranarray,
    "26 negative strides": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "26 every second entry": lambda a: np.repeat(np.repeat(a, 2, 0), 2, 1)[::2, ::2],
    "26 broadcast": lambda a: np.broadcast_to(a[0], a.shape),
    "26 unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), offset=1).reshape(a.shape),
    "27 byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "27 a subclass": lambda a: a.view(Subclass),
    "29 read-only": read_only,
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("function", [on_arrays, on_numbers])
def test_the_layout_of_arguments_and_seeds_changes_no_bit_of_a_sweep(name, function):
    given = LAYOUTS[name](SQUARE)
    plain = np.array(given, dtype=float, order="C")
    before = fingerprint(given)
    for _ in range(3):
        same_bits(cb.reverse_sweep(function, given), cb.reverse_sweep(function, plain))
        same_bits(cb.forward_sweep(function, given, given),
                  cb.forward_sweep(function, plain, plain))  # fmt: skip
        _, slope = cb.reverse_sweep(np.cos, given, given)
        same_bits(slope, cb.reverse_sweep(np.cos, plain, plain)[1])
        assert type(slope) is np.ndarray
        assert slope.flags.writeable
        assert not np.shares_memory(slope, given)
    assert fingerprint(given) == before


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("engine", ["tape", "auto"])
def test_the_layout_of_an_argument_changes_no_bit_of_a_gradient(name, engine):
    given = LAYOUTS[name](SQUARE)
    compiled = cb.compile(cb.grad(on_arrays), engine=engine)
    for _ in range(3):
        same_bits(compiled(given), compiled(np.array(given, dtype=float, order="C")))


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("scalar", [0.5, np.float64(0.5), np.array(0.5), np.float32(0.5)])
def test_25_numbers_and_arrays_without_axes(scalar, by, smooth_by):
    found = smooth_by[by](scalar)
    assert isinstance(found, np.generic)
    assert found.dtype == np.asarray(scalar).dtype
    assert found == pytest.approx(0.5 * np.sin(0.5), rel=1e-6)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 2)])
def test_25_sweeps_of_arrays_without_entries(shape):
    def three(x):
        return np.sum(x), 2.0 * x, np.prod(x)

    empty = np.zeros(shape)
    value, pushed = cb.forward_sweep(three, empty, np.zeros((2, *shape)))
    same_bits(value, (np.float64(0.0), empty, np.float64(1.0)))
    same_bits(pushed, (np.zeros(2), np.zeros((2, *shape)), np.zeros(2)))
    swept, pulled = cb.reverse_sweep(three, empty, (1.0, empty, 1.0))
    same_bits((swept, pulled), (value, empty))


@pytest.mark.parametrize("function", [on_arrays, on_numbers])
def test_tangents_without_a_direction_are_refused(function):
    for _ in range(2):
        with pytest.raises(cb.ShapeError, match="no direction: their first axis is empty"):
            cb.forward_sweep(function, SQUARE, np.zeros((0, 3, 3)))
        with pytest.raises(cb.ShapeError, match="no direction: their second axis is empty"):
            cb.forward_sweep(function, np.stack([SQUARE] * 4), np.zeros((4, 0, 3, 3)), batch=True)
        cb.forward_sweep(function, SQUARE, np.zeros((1, 3, 3)))


MIXED = {
    "24 float32 and a number": (lambda x, y: x * 2.5 + 1, np.float32, np.float32),
    "24 float32 and float64": (lambda x, y: x * y, np.float32, np.float64),
    "24 float32 and ints": (lambda x, y: x * np.arange(3), np.float32, np.float32),
    "24 float32 and a NumPy number": (lambda x, y: x + np.float64(0.1), np.float32, np.float32),
    "24 float32 and bools": (lambda x, y: x * (y > 0), np.float32, np.float64),
}


@pytest.mark.parametrize("name", MIXED)
def test_results_have_numpys_dtype(name):
    function, first, second = MIXED[name]
    x, y = X.astype(first), X.astype(second)
    want = function(x, y)
    for engine in ("numpy", "tape", "auto"):
        same_bits(cb.compile(function, engine=engine)(x, y), want)
    swept, pulled = cb.reverse_sweep(function, (x, y), np.ones_like(want))
    same_bits(swept, want)
    assert [p.dtype for p in pulled] == [first, second]
    value, pushed = cb.forward_sweep(function, (x, y), (x, y))
    same_bits(value, want)
    assert pushed.dtype == want.dtype


# --- special numbers ----------------------------------------------------------------------------

SPECIALS = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -2.5, 5e-324, -1e-310, 1e308, 1000.0]
EXACT: dict[str, Callable[[Any], Any]] = {
    "13 relu": cb.relu,
    "13 where": lambda v: np.where(v > 0, v * v, -v),
    "14 doubled": lambda v: v + v,
    "14 reciprocal": lambda v: 1.0 / v,
    "15 squared": lambda v: v * v,
    "16 negative": lambda v: -v,
    "16 absolute": np.abs,
    "16 zeros of both signs": lambda v: v * 0.0 + v * -0.0,
    "17 halved": lambda v: 0.5 * v,
    "17 root": np.sqrt,
    "20 sign": np.sign,
    "21 floor": np.floor,
}
ROUNDED = {"exp": np.exp, "log": np.log, "sin": np.sin, "tanh": np.tanh, "expm1": np.expm1}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_special_numbers_have_numpys_bits_in_sweeps(name, dtype):
    function = EXACT[name]
    with np.errstate(over="ignore"):
        points = np.array(SPECIALS).astype(dtype)
    for x in points:
        one = dtype(1.0)
        same_bits(cb.forward_sweep(function, x, one), cb.jvp(function, (x,), (one,)))
        value, pull = cb.vjp(function, x)
        same_bits(cb.reverse_sweep(function, x, one), (value, pull(one)[0]))
    pushed = cb.jvp(function, (points,), (np.ones_like(points),))
    same_bits(cb.forward_sweep(function, points, np.ones_like(points)), pushed)


@pytest.mark.parametrize("name", ROUNDED)
def test_special_numbers_in_sweeps_of_rounded_functions(name):
    function = ROUNDED[name]
    for x in SPECIALS:
        got, want = cb.forward_sweep(function, x, 1.0), cb.jvp(function, (x,), (1.0,))
        np.testing.assert_allclose(got, want, rtol=1e-15, atol=1e-323)
        np.testing.assert_array_equal(np.signbit(got)[~np.isnan(want)],
                                      np.signbit(want)[~np.isnan(want)])  # fmt: skip
        same_bits(cb.reverse_sweep(function, x), got)


def all_exact(v):
    return tuple(function(v) for function in EXACT.values())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("engine", ["tape", "auto"])
def test_special_numbers_have_numpys_bits_on_the_engines(engine, dtype):
    with np.errstate(all="ignore"):
        points = np.array(SPECIALS).astype(dtype)
    same_bits(cb.compile(all_exact, engine=engine)(points),
              cb.compile(all_exact, engine="numpy")(points))  # fmt: skip


@pytest.mark.parametrize("engine", ["tape", "fused", "auto"])
def test_21_ints_overflow_as_in_numpy(engine):
    def whole(n):
        return n + n, n * n, -n, np.abs(n), n - 1, n // 2

    extremes = np.array([2**63 - 1, -(2**63), 2**62, -1, 0, 7])
    with np.errstate(all="ignore"):
        same_bits(cb.compile(whole, engine=engine)(extremes), whole(extremes))


# --- functions that do odd things ---------------------------------------------------------------


class Odd(NamedTuple):
    """A function, the class of its error, and what the error says."""

    function: Callable[[Any], Any]
    error: type[BaseException]
    says: str


def raising(error: BaseException) -> Callable[[Any], Any]:
    def fails(x):
        raise error

    return fails


def calls_itself(x):
    return calls_itself(x * 0.5)


ODD = {
    "raises": Odd(raising(RuntimeError("mine")), RuntimeError, r"mine\n.*raise error"),
    "a key is missing": Odd(lambda x: {}["k"], KeyError, "k"),
    "stops an iteration": Odd(lambda x: next(iter([])), RuntimeError, r"StopIteration.*\n.*next"),
    "is interrupted": Odd(raising(KeyboardInterrupt()), KeyboardInterrupt, ""),
    "exits": Odd(raising(SystemExit(3)), SystemExit, "3"),
    "calls itself": Odd(calls_itself, RecursionError, r"recursion(.|\n)*calls_itself\(x"),
    "returns nothing": Odd(lambda x: None, cb.DerivativeError, "None.*return missing"),
    "returns text": Odd(lambda x: "a", cb.DerivativeError, "'a'.*return missing"),
    "yields": Odd(lambda x: (v for v in x), cb.DerivativeError, "generator"),
    "returns a set": Odd(lambda x: {x[0]}, TypeError, "unhashable"),
    "returns complex": Odd(lambda x: x * 1j, cb.DTypeError, "complex values.*1j"),
    "returns float16": Odd(lambda x: x.astype(np.float16), cb.DTypeError, "float16.*astype"),
    "returns a mask": Odd(lambda x: np.ma.array([1.0]), cb.DTypeError, "masked array"),
    "int beyond float": Odd(lambda x: x * 10**400, OverflowError, r"too large.*\n.*10\*\*400"),
    "11 shapes": Odd(lambda x: x + np.ones(4), cb.ShapeError, r"\(3,\) and \(4,\)"),
    "index": Odd(lambda x: x[5], IndexError, r"\[5\].*\(3,\).*out of bounds"),
    "25 nothing to choose": Odd(lambda x: np.max(x[:0]), cb.ShapeError, "no entry to choose"),
    "38 too much for NumPy": Odd(
        lambda x: np.zeros((10**6, 10**6)) * x[0], MemoryError, r"7\.28 TiB.*\n.*np\.zeros"
    ),
    "38 more than addresses": Odd(
        lambda x: np.broadcast_to(x[0], (10**12, 10**12)) * 2.0, cb.ShapeError,
        r"broadcast makes f64\[1000000000000,1000000000000\].*than an array can have; use fewer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("by", WAYS)
def test_errors_of_the_function_are_its_own_and_name_the_line(name, by, smooth_by):
    function, error, says = ODD[name]
    call = way(by, function)
    for _ in range(2):
        with pytest.raises(error) as caught:
            call(X)
        assert re.search(says, described(caught.value)), described(caught.value)
    if issubclass(error, Exception):
        assert "test_engine_bad_input" in described(caught.value)
    assert smooth_by[by](X) == pytest.approx(smooth(X), rel=1e-14)


@pytest.mark.parametrize("by", ["numpy", "tape", "auto", "forward", "reverse"])
@pytest.mark.parametrize("error", [ValueError("now"), KeyboardInterrupt(), MemoryError(), None])
def test_40_the_same_object_works_after_an_error(by, error):
    state: dict[str, Any] = {"error": error or RecursionError()}

    def sometimes(x):
        if state["error"] is not None:
            raise state["error"]
        return np.sum(x * x)

    call = way(by, sometimes)
    for _ in range(3):
        state["error"] = error or RecursionError()
        with pytest.raises(type(state["error"])):
            call(X)
        assert gc.isenabled()  # recording pauses it
        state["error"] = None
        for _ in range(3):
            assert call(X) == pytest.approx(np.sum(X * X), rel=1e-14)


def inverted(a):
    """Where the branch is not taken, there is no inverse."""
    return np.sum(np.linalg.inv(a)) if a[0, 0] > 0 else np.sum(a)  # inverted here


@pytest.mark.parametrize("by", WAYS)
def test_an_error_at_a_point_names_the_line(by):
    call = way(by, lambda a: inverted(a) * 2.0)
    call(np.eye(2))
    with pytest.raises(np.linalg.LinAlgError, match="Singular") as caught:
        call(np.ones((2, 2)))
    line = inverted.__code__.co_firstlineno + 2
    assert f"{__file__}:{line}" in described(caught.value)


class Fails(NamedTuple):
    """A function of an array and an int array, and where it is at a point that it cannot take."""

    function: Callable[[Any, Any], Any]
    good: tuple[Any, Any]
    bad: tuple[Any, Any]
    error: type[Exception]
    says: str


PAIR = np.array([1, 2])
FAILS = {
    "a singular system": Fails(
        lambda a, n: np.linalg.solve(a, n * 1.0) + 1.0,
        (np.eye(2), PAIR), (np.ones((2, 2)), PAIR), np.linalg.LinAlgError, "Singular",
    ),
    "a matrix that is not definite": Fails(
        lambda a, n: np.sum(np.linalg.cholesky(2.0 * a)) * n,
        (np.eye(2), PAIR), (-np.eye(2), PAIR), np.linalg.LinAlgError, "positive definite",
    ),
    "singular values of NaN": Fails(
        lambda a, n: np.linalg.svd(a * n)[1],
        (np.eye(2), PAIR), (np.full((2, 2), np.nan), PAIR), np.linalg.LinAlgError, "converge",
    ),
    "a position outside": Fails(
        lambda a, n: np.exp(a)[n],
        (X, PAIR), (X, np.array([1, 7])), IndexError, "index 7 is out of bounds for an axis of 3",
    ),
    "a negative power of an int": Fails(
        lambda a, n: a[:2] * n**n,
        (X, PAIR), (X, -PAIR), ValueError, "negative integer powers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILS)
@pytest.mark.parametrize("engine", NUMPY_LIKE)
def test_an_error_of_a_row_names_the_line_that_recorded_it(name, engine):
    function, good, bad, error, says = FAILS[name]
    compiled = cb.compile(function, engine=engine)
    before = compiled(*good)
    for _ in range(2):
        with pytest.raises(error, match=says) as caught:
            compiled(*bad)
        (note,) = caught.value.__notes__
        line = function.__code__.co_firstlineno
        assert re.fullmatch(r"while evaluating v\d+ = \w+, recorded at (.*)", note)
        assert note.endswith(f"{__file__}:{line}")
    same_bits(compiled(*good), before)


@pytest.mark.parametrize("name", FAILS)
def test_all_engines_name_the_same_node(name):
    function, good, bad, error, says = FAILS[name]
    graph = cb.trace(function, *good)
    notes = set()
    for engine in ("numpy", "tape", "fused"):
        with pytest.raises(error, match=says) as caught:
            Runner(graph, Options(engine))(bad)
        notes.add(tuple(caught.value.__notes__))
    assert len(notes) == 1


@pytest.mark.parametrize("by", ["numpy", "tape", "auto", "forward", "reverse"])
def test_an_error_of_another_branch_is_none_of_this_point(by):
    call = way(by, lambda a: inverted(a) * 2.0)
    for _ in range(4):
        assert call(np.eye(2)) == 4.0
    assert call(-np.ones((2, 2))) == -8.0


@pytest.mark.parametrize("x", [np.arange(3.0), np.linspace(0.0, 1.0, 100)], ids=["short", "long"])
def test_29_results_of_sweeps_are_fresh(x):
    def same(v):
        return v, v[1:]

    given = x.copy()
    for _ in range(4):
        results = leaves_of([cb.forward_sweep(same, given, given),
                             cb.reverse_sweep(same, given, (given, given[1:]))])  # fmt: skip
        assert all(a.flags.writeable for a in results)
        for i, a in enumerate(results):
            assert not any(np.shares_memory(a, b) for b in [given, *results[:i]])
            a[:] = 99.0
        same_bits(given, x)


@pytest.mark.parametrize("by", ["numpy", "tape", "auto", "forward", "reverse"])
def test_33_arguments_that_share_memory_are_arguments_of_their_own(by):
    def writes(a, b):
        a += 1.0
        return np.sum(a * b)

    windows = np.lib.stride_tricks.sliding_window_view(np.arange(5.0), 2)
    call = way(by, writes)
    for _ in range(3):
        assert call(windows, windows) == np.sum((windows + 1.0) * windows)
        assert call(windows[:-1], windows[1:]) == np.sum((windows[:-1] + 1.0) * windows[1:])
    assert cb.reverse_sweep(writes, (X, X))[1][0].tolist() == X.tolist()


@pytest.mark.parametrize("engine", ["numpy", "tape", "auto"])
def test_results_are_nested_as_the_function_nests_them(engine):
    def nested(x):
        return {"a": [x, (2.0 * x[0], None)], "b": "text", "n": 3, "c": {"d": np.array([1.0])}}

    compiled = cb.compile(nested, engine=engine)
    for _ in range(3):
        found = compiled(X)
        assert list(found) == ["a", "b", "n", "c"]
        assert (found["a"][1][1], found["b"], found["n"]) == (None, "text", 3)
        same_bits([found["a"][0], found["a"][1][0], found["c"]["d"]], [X, 2.0 * X[0], np.ones(1)])


@pytest.mark.parametrize("by", ["numpy", "tape", "auto", "forward", "reverse"])
def test_30_arguments_are_not_written_to(by):
    def writes(x):
        x[0] = 7.0
        x *= 2.0
        return np.sum(x * x)

    x = X.copy()
    call = way(by, writes)
    for _ in range(3):
        assert call(x) == pytest.approx(4 * np.sum([49.0, *X[1:] ** 2]), rel=1e-14)
        assert fingerprint(x) == fingerprint(X)


@pytest.mark.parametrize("by", ["numpy", "tape", "auto", "forward", "reverse"])
def test_31_random_numbers_are_drawn_at_every_call(by):
    rng = np.random.default_rng(3)
    call = way(by, lambda x: np.sum(x) * rng.normal())
    assert len({float(call(X)) for _ in range(6)}) == 6


@pytest.mark.parametrize("engine", ["numpy", "tape", "auto"])
def test_keywords_and_defaults(engine):
    def scaled(x, /, factor=2.0, *, shift=0.0, **others):
        return np.sum(factor * x) + shift + sum(others.values())

    compiled = cb.compile(scaled, engine=engine)
    for keywords in ({}, {"factor": 3.0}, {"shift": 1.5}, {"a": 1.0, "b": X[0]}, {}):
        for _ in range(3):
            assert compiled(X, **keywords) == pytest.approx(scaled(X, **keywords), rel=1e-14)
    with pytest.raises(TypeError, match="missing 1 required"):
        compiled()
    with pytest.raises(TypeError, match="positional"):
        compiled(X, 1.0, 2.0)


@pytest.mark.parametrize(
    "function", [lambda x: 3, lambda x: (3, True), np.argmax, lambda x: np.arange(2)]
)
def test_21_results_without_floats_have_no_gradient(function):
    with pytest.raises(cb.DerivativeError, match=r"one scalar float, got \(.*pass ct"):
        cb.reverse_sweep(function, X)
    value, pushed = cb.forward_sweep(function, X, X)
    same_bits(map_leaves(np.asarray, value), map_leaves(np.asarray, function(X)))
    assert all(leaf is None for leaf in leaves_of(pushed))


# --- memory, depth, threads ---------------------------------------------------------------------


@pytest.mark.parametrize("engine", NUMPY_LIKE)
def test_38_a_run_beyond_the_limit_is_refused_and_the_object_stays_usable(engine):
    compiled = cb.compile(lambda x: np.exp(x) + x, engine=engine, memory_limit=1000)
    for _ in range(2):
        with pytest.raises(MemoryError, match=r"needs \d+ bytes \(.*\), and 1000 are.*; use small"):
            compiled(np.ones(1000))
    assert compiled(np.zeros(10)).tolist() == [1.0] * 10


LONG = np.linspace(-1.0, 1.0, 100)  # programs on as many run as graphs on the tape
KINDS = ["arrays", "numbers"]


def test_sweeps_of_both_kinds_are_asked():
    functions = [(smooth, LONG), (on_arrays, SQUARE), (on_numbers, SQUARE), (chain(20), X)]
    programs = [reverse_program(cb.trace(f, x), (0,)) for f, x in functions]
    assert [type(p) is TransformedReverse for p in programs] == [True, True, False, False]


def chain(length: int) -> Callable[[Any], Any]:
    """Operations on single numbers, each on the result of the one before."""

    def f(x):
        last = x[0]
        for _ in range(length):
            last = np.sin(last) * x[1]
        return last

    return f


@pytest.mark.parametrize(
    ("function", "x"),
    [
        pytest.param(smooth, LONG, id="arrays"),
        pytest.param(chain(20), X, id="numbers"),
    ],
)
def test_38_sweeps_beyond_free_memory_are_refused(function, x, monkeypatch):
    directions = np.eye(len(x))

    def both():
        return cb.reverse_sweep(function, x)[1], cb.forward_sweep(function, x, directions)[1]

    found = both()
    monkeypatch.setattr(memory, "LARGE", 1)
    monkeypatch.setattr(memory, "free_bytes", lambda: 100)
    other = functools.partial(function)  # recorded anew
    for sweep in (
        lambda: cb.reverse_sweep(other, x),
        lambda: cb.forward_sweep(other, x, directions),
    ):
        with pytest.raises(MemoryError, match=r"this run needs \d+ bytes.*and 100 are allowed"):
            sweep()
    monkeypatch.undo()
    np.testing.assert_allclose(*found, rtol=1e-14)
    same_bits(both(), found)
    same_bits(cb.reverse_sweep(other, x)[1], found[0])


@pytest.mark.parametrize("by", ["numpy", "tape", "auto", "forward", "reverse"])
def test_36_depth_is_no_recursion(by):
    deep = chain(sys.getrecursionlimit())
    assert way(by, deep)(X) == pytest.approx(deep(X), rel=1e-9)


@pytest.mark.parametrize(("function", "x"), [(smooth, LONG), (chain(50), X)], ids=KINDS)
@pytest.mark.parametrize("by", ["auto", "forward", "reverse"])
def test_41_many_threads_call_one_object_from_the_first_call_on(by, function, x):
    points = [x + 0.1 * k for k in range(8)]
    want = [function(x) for x in points]
    call = way(by, functools.partial(function))

    def work(k):
        return [call(points[(k + n) % 8]) for n in range(100)]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns in the middle of calls
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(work, range(8)))
    finally:
        sys.setswitchinterval(interval)
    for k, got in enumerate(found):
        np.testing.assert_allclose(got, [want[(k + n) % 8] for n in range(100)], rtol=1e-9)


# --- processes, signals, files ------------------------------------------------------------------


@pytest.mark.parametrize("by", ["tape", "fused", "auto", "forward", "reverse"])
def test_42_a_forked_child_is_told_what_to_do(by, monkeypatch, smooth_by):
    monkeypatch.setattr(compiler._process, "forked", True)
    with pytest.raises(cb.EngineError, match=r"forked.*get_context\('spawn'\).*engine='numpy'"):
        smooth_by[by](X)
    assert cb.grad(smooth)(X).shape == X.shape
    monkeypatch.undo()
    assert smooth_by[by](X) == pytest.approx(smooth(X), rel=1e-14)


STOPPED = """
import signal
import numpy as np
import calcbench as cb

def stop(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, stop)
x = np.array([0.5, -0.25, 2.0])
for k, delay in enumerate((0.01, 0.03, 0.1)):
    compiled = cb.compile(lambda v: np.sum(v * v * float(k) + np.tanh(v)), engine="fused")
    signal.setitimer(signal.ITIMER_REAL, delay)
    try:
        compiled(x)
        print("done", end=" ")
    except KeyboardInterrupt:
        print("stopped", end=" ")
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(np.isclose(compiled(x), np.sum(x * x * k + np.tanh(x)), rtol=1e-14))
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers of POSIX")
def test_40_a_signal_during_a_compilation_leaves_the_engine_usable(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", STOPPED],
        env=os.environ | {"CALCBENCH_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = [line.split() for line in done.stdout.splitlines()]
    assert [right for _, right in said] == ["True"] * 3, done.stderr
    assert said[0][0] == "stopped"


@pytest.mark.parametrize(("error", "factor"), [(KeyboardInterrupt(), 0.625), (MemoryError(), 0.6)])
def test_40_a_compilation_that_was_stopped_is_begun_again(error, factor, monkeypatch):
    def stopped(*_):
        raise error

    compiled = cb.compile(lambda x: x * factor, engine="fused")
    with monkeypatch.context() as patch:
        patch.setattr(compiler, "_compile", stopped)
        with pytest.raises(type(error)):
            compiled(X)
    same_bits(compiled(X), X * factor)


LOST = {
    "removed while in use": lambda path: path.mkdir() or path.rmdir(),
    "a file in its place": lambda path: path.write_text(""),
}


@pytest.mark.parametrize("name", LOST)
def test_43_a_cache_directory_that_is_lost_is_done_without(name, tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    LOST[name](folder)
    monkeypatch.setattr(cache, "directory", lambda: folder)
    factor = 0.375 + len(name)  # no loops that this process has compiled before
    compiled = cb.compile(lambda x: x * factor, engine="fused")
    for _ in range(3):
        same_bits(compiled(X), X * factor)


@pytest.mark.skipif(
    os.environ.get("CALCBENCH_GPU") == "1" or os.environ.get("NUMBA_ENABLE_CUDASIM") == "1",
    reason="a device is there, or simulated",
)
def test_39_without_a_device_the_other_engines_go_on():
    for call in (cb.compile(smooth, engine="cuda"), cb.compile(smooth, engine="cuda").batch):
        for _ in range(2):
            with pytest.raises(cb.EngineError, match=r"(?i)cuda.*(driver|numba-cuda)"):
                call(np.stack([X, X]))
    assert cb.compile(smooth, engine="tape")(X) == pytest.approx(smooth(X), rel=1e-14)


# --- faults of earlier days ---------------------------------------------------------------------


def masked_tangents(monkeypatch):
    with pytest.raises(cb.DTypeError, match="masked array"):
        cb.forward_sweep(smooth, X, np.ma.array(X, mask=[1, 0, 0]))


def matrix_tangents(monkeypatch):
    with pytest.raises(cb.DTypeError, match=r"np\.matrix"):
        cb.forward_sweep(smooth, np.eye(2), matrix_of(np.eye(2)))


def numpy_in_a_forked_child(monkeypatch):
    """The error of the other engines advises it."""
    monkeypatch.setattr(compiler._process, "forked", True)
    assert cb.compile(smooth, engine="numpy")(X) == smooth(X)


def a_pickled_object(monkeypatch):
    """It comes back, or the error says what to send to another process instead."""
    compiled = cb.compile(smooth, engine="tape")
    compiled(X)
    try:
        back = pickle.loads(pickle.dumps(compiled))  # noqa: S301
    except TypeError as error:
        assert "compile" in str(error)  # noqa: PT017
    else:
        assert back(X) == compiled(X)


def a_memory_view(monkeypatch):
    cb.compile(smooth, engine="tape")(memoryview(X))


def a_home_of_nobody(monkeypatch):
    monkeypatch.setenv("CALCBENCH_CACHE_DIR", "~nobody-of-this-name/cache")
    with pytest.warns(cache.CacheWarning, match="CALCBENCH_CACHE_DIR"):
        assert cache.directory.__wrapped__() is None


def an_engine_that_is_no_name(monkeypatch):
    with pytest.raises(cb.EngineError, match="there is no engine"):
        cb.compile(smooth, engine=["tape"])(X)


def a_limit_that_is_no_number(monkeypatch):
    with pytest.raises((TypeError, ValueError), match="memory_limit"):
        cb.compile(smooth, engine="tape", memory_limit="1GB")(X)


ONCE = (
    masked_tangents,
    matrix_tangents,
    numpy_in_a_forked_child,
    a_pickled_object,
    a_memory_view,
    a_home_of_nobody,
    an_engine_that_is_no_name,
    a_limit_that_is_no_number,
)


@pytest.mark.parametrize("fault", ONCE, ids=lambda fault: fault.__name__)
def test_faults_that_were_there_once(fault, monkeypatch):
    fault(monkeypatch)
