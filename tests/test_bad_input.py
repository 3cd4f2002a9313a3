"""Wrong input: an error that says what was given, expected, where and what to do; nothing changes.

The numbers are those of the list of faults in which each was written down: 11 shapes, 13-18 special
numbers, 21-28 dtypes and layouts, 29-35 memory and aliasing, 36 size.
"""

import hashlib
import math
import pickle  # noqa: TID251
import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import calcbench as cb
from calcbench.graph.trees import leaves_of


X = np.array([0.3, -1.2, 0.7])
HERE = re.escape(__file__)


def smooth(x):
    """A function that takes any shape."""
    return np.sum(np.sin(x) * x)


def fingerprint(*values: Any) -> str:
    """A hash of the bits, shapes and types of everything given."""
    digest = hashlib.sha256()
    for value in values:
        array = np.asarray(value) if not isinstance(value, np.ma.MaskedArray) else value.data
        raw = repr(array.tolist()) if array.dtype == object else array.tobytes().hex()
        digest.update(f"{type(value)}{array.dtype}{array.shape}{array.strides}{raw}".encode())
    return digest.hexdigest()


# --- arguments of a wrong kind -----------------------------------------------------------------


def matrix_of(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return np.matrix(x)


class Wrong(NamedTuple):
    """An argument, and what the error about it says, in order."""

    value: Any
    says: str


ARGUMENTS = {
    "21 int array": Wrong(np.arange(3), "argument x has dtype int64.*no tangent.*pass floats"),
    "21 bool array": Wrong(np.array([True, False]), "argument x has dtype bool.*no tangent"),
    "21 Python int": Wrong(3, r"argument x has dtype int64.*3\.0"),
    "21 Python bool": Wrong(True, "argument x has dtype bool"),
    "21 small ints": Wrong(np.arange(3, dtype=np.int8), "argument x has dtype int64"),
    "21 uint64": Wrong(np.arange(3, dtype=np.uint64), "x: dtype uint64 is not one of float64"),
    "22 float16": Wrong(X.astype(np.float16), r"x: dtype float16 .*\.astype\(np\.float32\)"),
    "22 longdouble": Wrong(X.astype(np.longdouble), r"x: dtype float\d+ .*\.astype\(np\.float32\)"),
    "23 complex array": Wrong(X + 0j, "x: dtype complex128.*not supported yet: split into real"),
    "23 complex64": Wrong(X.astype(np.complex64), "x: dtype complex64.*split into real"),
    "23 Python complex": Wrong(1 + 2j, "x: dtype complex128.*split into real"),
    "27 object array": Wrong(X.astype(object), "x: dtype object.*object arrays hold no numbers"),
    "27 matrix": Wrong(matrix_of(np.eye(2)), "x is an np.matrix; pass it through np.asarray"),
    "27 strings": Wrong(np.array(["a", "b"]), "x has dtype <U1; numbers are expected"),
    "27 string": Wrong("abc", "argument x is str 'abc'.*leave it out of argnums"),
    "27 None": Wrong(None, "argument x is NoneType None.*leave it out of argnums"),
    "27 set": Wrong({1.0}, "argument x is set.*leave it out of argnums"),
    "27 dates": Wrong(np.array(["2020-01-01"], "M8[D]"), "x: dtype datetime64.*no derivative"),
    "27 time spans": Wrong(np.array([3], "m8[s]"), "x: dtype timedelta64.*no derivative"),
    "27 records": Wrong(np.zeros(2, [("a", float)]), r"x has dtype \[\('a', '<f8'\)\]; numbers"),
    "28 masked": Wrong(np.ma.array(X, mask=[0, 1, 0]), r"x is a masked array.*\.filled"),
    "27 int inside a dict": Wrong({"w": X, "n": 3}, r"argument x\['n'\] has dtype int64"),
    "27 text inside a list": Wrong([X, "a"], r"argument x\[1\] is str 'a'"),
}
DERIVATIVES: dict[str, Callable[[Any], Any]] = {
    "grad": lambda x: cb.grad(smooth_tree)(x),
    "value_and_grad": lambda x: cb.value_and_grad(smooth_tree)(x),
    "jvp": lambda x: cb.jvp(smooth_tree, (x,), (x,)),
    "vjp": lambda x: cb.vjp(smooth_tree, x),
    "jacfwd": lambda x: cb.jacfwd(smooth_tree)(x),
    "jacrev": lambda x: cb.jacrev(smooth_tree)(x),
    "hessian": lambda x: cb.hessian(smooth_tree)(x),
    "hvp": lambda x: cb.hvp(smooth_tree, (x,), (x,)),
    "derivative": lambda x: cb.derivative(smooth_tree)(x),
}


def smooth_tree(x):
    """`smooth`, added over the arrays of a dict or list."""
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, list) else [x]
    return sum(smooth(p) for p in parts)


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_an_argument_of_a_wrong_kind_is_named_with_what_to_do(name, derivative):
    value, says = ARGUMENTS[name]
    parts = leaves_of(value)
    before = fingerprint(*(p for p in parts if p is not None))
    with pytest.raises(cb.DTypeError, match=says):
        DERIVATIVES[derivative](value)
    assert fingerprint(*(p for p in parts if p is not None)) == before


# --- calls that ask in a wrong way -------------------------------------------------------------


def two(a, b):
    """A scalar of an array and a scalar."""
    return np.sum(a * b**2)


def vector(x):
    """A function whose result is no scalar."""
    return np.sin(x)


class Call(NamedTuple):
    """A wrong call, the class of its error, what it says, and the same call done right."""

    wrong: Callable[[], Any]
    error: type[Exception]
    says: str
    right: Callable[[], Any]


SHAPE, DTYPE, DERIVATIVE = cb.ShapeError, cb.DTypeError, cb.DerivativeError
GRAPH, TRACE = cb.GraphError, cb.TraceError
GRADIENT = cb.grad(two)
JACOBIAN = cb.jacobian(vector)
_, PULL = cb.vjp(vector, X)
TRACED = cb.trace(lambda a, b: np.sum(a * b), X, 2.0)
NAMED = cb.as_graph(np.sum(cb.var("a", (cb.Dim("n"),)) * cb.var("b", (cb.Dim("n"),))))
RIGHT = lambda: GRADIENT(X, 2.0)  # noqa: E731
CALLS = {
    "argnums too large": Call(
        lambda: cb.grad(two, 2)(X, 2.0), DERIVATIVE, "argnums=2, but .* 2 positional", RIGHT
    ),
    "argnums too small": Call(
        lambda: cb.grad(two, -3)(X, 2.0), DERIVATIVE, "argnums=-3, but .* 2 positional", RIGHT
    ),
    "argnums twice": Call(
        lambda: cb.grad(two, (0, -2))(X, 2.0), DERIVATIVE, r"\(0, -2\) names an argument", RIGHT
    ),
    "argnums empty": Call(lambda: cb.grad(two, ())(X, 2.0), DERIVATIVE, "is empty.*name", RIGHT),
    "argnums a name": Call(
        lambda: cb.grad(two, "a")(X, 2.0), DERIVATIVE, "int or a tuple of ints, got 'a'", RIGHT
    ),
    "argnums a bool": Call(
        lambda: cb.grad(two, True)(X, 2.0), DERIVATIVE, "int or a tuple of ints, got True", RIGHT
    ),
    "argnums a float": Call(
        lambda: cb.hessian(two, 1.0)(X, 2.0), DERIVATIVE, "int or a tuple of ints, got 1.0", RIGHT
    ),
    "by keyword only": Call(
        lambda: cb.grad(two)(a=X, b=2.0), DERIVATIVE, "0 positional.*by position", RIGHT
    ),
    "no function": Call(
        lambda: cb.grad(two(X, 2.0)),
        DERIVATIVE,
        r"function is expected, got float64.*grad\(f\)",
        RIGHT,
    ),
    "a vector": Call(
        lambda: cb.grad(vector)(X), DERIVATIVE, r"one scalar.*got \(f64\[3\]\).*jacobian",
        lambda: JACOBIAN(X),
    ),
    "one entry is no scalar": Call(
        lambda: cb.grad(lambda x: np.sum(x, keepdims=True))(X), DERIVATIVE, r"got \(f64\[1\]\)",
        RIGHT,
    ),
    "several results": Call(
        lambda: cb.grad(lambda x: (x[0], x[1]))(X), DERIVATIVE, r"got \(f64\[\], f64\[\]\)", RIGHT
    ),
    "an integer result": Call(
        lambda: cb.grad(np.argmax)(X), DERIVATIVE, r"scalar float.*got \(i64\[\]\)", RIGHT
    ),
    "hessian of a vector": Call(
        lambda: cb.hessian(vector)(X), DERIVATIVE, r"got \(f64\[3\]\)", lambda: JACOBIAN(X)
    ),
    "jacobian of a truth value": Call(
        lambda: cb.jacobian(lambda x: x > 0)(X), DERIVATIVE, r"float results, got \(bool\[3\]\)",
        lambda: JACOBIAN(X),
    ),
    "no result": Call(
        lambda: cb.jacobian(lambda x: None)(X), DERIVATIVE, "returned None.*return missing",
        lambda: JACOBIAN(X),
    ),
    "a generator": Call(
        lambda: cb.grad(lambda x: (v for v in x))(X), DERIVATIVE, "returned <generator.*expected",
        RIGHT,
    ),
    "unknown mode": Call(
        lambda: cb.jacobian(vector, mode="both"), DERIVATIVE, "'forward' or 'reverse', got 'both'",
        lambda: JACOBIAN(X),
    ),
    "unknown convention": Call(
        lambda: cb.grad(two, kink="up")(X, 2.0), ValueError, "'up'; choose one of min-norm", RIGHT
    ),
    "tangent of a wrong shape": Call(
        lambda: cb.jvp(vector, (X,), (np.ones(2),)),
        SHAPE,
        r"tangents of x has shape \(2,\).*\(3,\)",
        lambda: cb.jvp(vector, (X,), (X,)),
    ),
    "tangent of a scalar": Call(
        lambda: cb.jvp(vector, (X,), (1.0,)), SHAPE, r"tangents of x has shape \(\).*\(3,\)",
        lambda: cb.jvp(vector, (X,), (X,)),
    ),
    "tangent of integers": Call(
        lambda: cb.jvp(vector, (X,), (np.ones(3, int),)), DTYPE, "tangents of x has dtype int64",
        lambda: cb.jvp(vector, (X,), (X,)),
    ),
    "complex tangent": Call(
        lambda: cb.jvp(vector, (X,), (X * 1j,)), DTYPE, "tangents of x: dtype complex128",
        lambda: cb.jvp(vector, (X,), (X,)),
    ),
    "no tangent": Call(
        lambda: cb.jvp(vector, (X,), (None,)), DTYPE, "tangents of x: dtype object",
        lambda: cb.jvp(vector, (X,), (X,)),
    ),
    "too many tangents": Call(
        lambda: cb.jvp(vector, (X,), (X, X)),
        DERIVATIVE,
        r"expected 1 leaves.*got tuple\(ndarray, nd",
        lambda: cb.jvp(vector, (X,), (X,)),
    ),
    "nested otherwise": Call(
        lambda: cb.jvp(lambda d: d["a"] * 2, ({"a": X},), ({"b": X},)), DERIVATIVE,
        r"expected 1 leaves in tuple\(\{'a'.*got tuple\(\{'b'",
        lambda: cb.jvp(lambda d: d["a"] * 2, ({"a": X},), ({"a": X},)),
    ),
    "hvp of a wrong shape": Call(
        lambda: cb.hvp(smooth, X, np.ones(4)), SHAPE, r"tangents of x has shape \(4,\)",
        lambda: cb.hvp(smooth, X, X),
    ),
    "cotangent of a wrong shape": Call(
        lambda: PULL(np.ones(2)), SHAPE, r"cotangent of output 0 has shape \(2,\).*\(3,\)",
        lambda: PULL(X),
    ),
    "cotangent of integers": Call(
        lambda: PULL(np.ones(3, int)), DTYPE, "cotangent of output 0 has dtype int64",
        lambda: PULL(X),
    ),
    "cotangent nested otherwise": Call(
        lambda: PULL((X,)), DERIVATIVE, r"expected 1 leaves in ndarray, got tuple\(ndarray\)",
        lambda: PULL(X),
    ),
    "derivative by an array": Call(
        lambda: cb.derivative(vector)(X), DERIVATIVE, r"one scalar argument, got f64\[3\]; use jac",
        lambda: cb.derivative(vector)(1.0),
    ),
    "derivative of half order": Call(
        lambda: cb.derivative(vector, 0.5), DERIVATIVE, "whole number >= 0, got 0.5",
        lambda: cb.derivative(vector)(1.0),
    ),
    "derivative of order -1": Call(
        lambda: cb.derivative(vector, -1), DERIVATIVE, "whole number >= 0, got -1",
        lambda: cb.derivative(vector)(1.0),
    ),
    "bind a missing name": Call(
        lambda: TRACED.bind(a=X), GRAPH, r"inputs are a, b; missing: \['b'\]",
        lambda: TRACED.bind(a=X, b=2.0),
    ),
    "bind an unknown name": Call(
        lambda: TRACED.bind(a=X, b=2.0, c=1.0), GRAPH, r"unknown: \['c'\]",
        lambda: TRACED.bind(a=X, b=2.0),
    ),
    "bind a wrong shape": Call(
        lambda: TRACED.bind(a=X[:2], b=2.0),
        GRAPH,
        r"input 'a' has type f64\[3\], got shape \(2,\)",
        lambda: TRACED.bind(a=X, b=2.0),
    ),
    "bind complex": Call(
        lambda: TRACED.bind(a=X * 1j, b=2.0), DTYPE, "a: dtype complex128",
        lambda: TRACED.bind(a=X, b=2.0),
    ),
    "bind text": Call(
        lambda: TRACED.bind(a="abc", b=2.0), DTYPE, "a has dtype <U3; numbers",
        lambda: TRACED.bind(a=X, b=2.0),
    ),
    "bind two sizes to one name": Call(
        lambda: NAMED.bind(a=X, b=X[:2]), GRAPH, r"input 'b' .*got shape \(2,\).*'n': 3",
        lambda: NAMED.bind(a=X, b=X),
    ),
    "a variable's name": Call(
        lambda: cb.var("1a"), GRAPH, "identifier such as 'x', got '1a'", lambda: cb.var("a1").type
    ),
    "a variable's shape": Call(
        lambda: cb.var("a", (-1,)),
        SHAPE,
        "cannot be negative, got -1",
        lambda: cb.var("a", (1,)).type,
    ),
    "a variable's dtype": Call(
        lambda: cb.var("a", (), "c16"), DTYPE, "complex128", lambda: cb.var("a", (), "f4").type
    ),
    "a dimension's name": Call(
        lambda: cb.Dim("1n"), SHAPE, "identifier, got '1n'", lambda: cb.Dim("n1")
    ),
    "two variables of one name": Call(
        lambda: cb.as_graph(cb.var("a", (2,)) * np.sum(cb.var("a", (3,)))), GRAPH,
        "two inputs are named 'a'", lambda: NAMED.bind(a=X, b=X),
    ),
    "a graph of a number": Call(
        lambda: cb.as_graph(3.0), GRAPH, "values built from calcbench.var, got 3.0",
        lambda: NAMED.bind(a=X, b=X),
    ),
    "a graph of nothing": Call(
        lambda: cb.as_graph([]), GRAPH, "at least one value", lambda: NAMED.bind(a=X, b=X)
    ),
    "a transform of a function": Call(
        lambda: cb.vjp_graph(np.sin), GRAPH, "a Graph is expected, as trace", RIGHT
    ),
    "a transform by no input": Call(
        lambda: cb.jvp_graph(TRACED, (2,)), GRAPH, r"wrt=\(2,\), but the graph has 2 inputs", RIGHT
    ),
    "a transform by integers": Call(
        lambda: cb.vjp_graph(cb.trace(lambda n: 2.0 * n, 3), (0,)), DTYPE, "input n .*no tangent",
        RIGHT,
    ),
    "16 a jump": Call(
        lambda: cb.grad(lambda x: 5.0 if x == 2 else x)(2.0), DERIVATIVE,
        rf"jumps at this point.*an equality test at {HERE}:\d+ holds.*5\.0.*2\.0", RIGHT,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_call_says_what_was_given_and_expected(name):
    call = CALLS[name]
    before, expected = fingerprint(X), repr(call.right())
    with pytest.raises(call.error, match=call.says):
        call.wrong()
    assert fingerprint(X) == before
    assert repr(call.right()) == expected  # nothing half-done remains


# --- functions that do what would cut or falsify a derivative ------------------------------------


class Cut(NamedTuple):
    """A function, its error's class, what the message says, and what the function should do."""

    function: Callable[[Any], Any]
    error: type[Exception]
    says: str


def stores_into_floats(x):
    out = np.zeros(2)
    out[0] = x
    return np.sum(out)


def stores_a_row(x):
    out = np.zeros((2, 2))
    out[0] = np.stack([x, x])
    return np.sum(out)


def adds_in_place(x):
    out = np.ones(2)
    out += x
    return np.sum(out)


def writes_through_a_view(x):
    row = np.stack([x, x])
    row[1:][0] = 3.0
    return np.sum(row)


def uses_a_stale_view(x):
    row = np.stack([x, x])
    tail = row[1:]
    row[1] = 3.0
    return np.sum(tail)


def updates_a_view(x):
    row = np.stack([x, x])
    tail = row[1:]
    tail *= 2.0
    return np.sum(row)


FLOAT = r"float\(\).*would cut its derivative; drop float\(\).*np\.sin for math\.sin.*np\.stack"
CUTS = {
    "float": Cut(lambda x: float(x), TRACE, FLOAT),
    "complex": Cut(lambda x: complex(x), TRACE, r"complex\(\).*would cut.*not supported yet"),
    "math.sin": Cut(lambda x: math.sin(x), TRACE, FLOAT),
    "math.floor": Cut(lambda x: math.floor(x), TRACE, r"use np\.floor"),
    "math.ceil": Cut(lambda x: math.ceil(x), TRACE, r"use np\.ceil"),
    "round": Cut(lambda x: round(x), TRACE, r"use np\.round"),
    "item": Cut(lambda x: x.item(), TRACE, r"\.item\(\).*would cut.*keep the value"),
    "tolist": Cut(lambda x: x.tolist(), TRACE, r"\.tolist\(\).*would cut"),
    "np.float64": Cut(lambda x: np.float64(x), TRACE, FLOAT),
    "asarray of floats": Cut(lambda x: np.asarray([x, x], dtype=float), TRACE, FLOAT),
    "array of floats": Cut(lambda x: np.array(x, dtype=float), TRACE, FLOAT),
    "fromiter": Cut(lambda x: np.fromiter([x, x], float), TRACE, FLOAT),
    "out[0] = x": Cut(stores_into_floats, TRACE, FLOAT),
    "out[0] = row": Cut(stores_a_row, TRACE, FLOAT),
    "out += x": Cut(adds_in_place, TRACE, r"out=.*a \*= x on a plain array.*use the returned"),
    "out=": Cut(lambda x: np.sin(x, out=np.zeros(())), TRACE, "np.sin got out=.*use the returned"),
    "where=": Cut(lambda x: np.sin(x, where=True), TRACE, "np.sin got where="),
    "sum where=": Cut(lambda x: np.sum(np.stack([x, x]), where=[True, False]), TRACE, r"np\.where"),
    "format": Cut(lambda x: f"{x:.3f}", TRACE, "format '.3f' needs a number.*<value v0"),
    "percent": Cut(lambda x: "%f" % x, TRACE, FLOAT),  # noqa: UP031
    "astype": Cut(lambda x: x.astype(int), TRACE, r"astype\(int64\).*would cut.*calcbench\.detach"),
    "position": Cut(lambda x: [1.0, 2.0][x], TypeError, r"no position; use int\(x\)"),
    "complex number": Cut(lambda x: x + 1j, DTYPE, "complex values are not supported yet, got 1j"),
    "complex array": Cut(lambda x: x * np.array([1j]), DTYPE, "complex128"),
    "complex astype": Cut(lambda x: x.astype(complex), DTYPE, "complex128"),
    "float16 array": Cut(lambda x: x * np.ones(2, np.float16), DTYPE, r"float16.*astype"),
    "masked array": Cut(lambda x: x * np.ma.ones(2), DTYPE, r"masked array.*\.filled"),
    "matrix": Cut(lambda x: x * matrix_of(np.eye(2)), DTYPE, r"np\.matrix"),
    "text": Cut(lambda x: x + "a", TypeError, "unsupported operand"),
    "unknown function": Cut(
        lambda x: np.nansum(np.stack([x])), TRACE, r"np\.nansum has no meaning.*np\.sum"
    ),
    "unknown ufunc": Cut(
        lambda x: np.spacing(x), TRACE, r"np\.spacing has no meaning.*nearest.*np\.sin"
    ),
    "unknown linalg": Cut(
        lambda x: np.linalg.eig(np.stack([x]).reshape(1, 1)),
        TRACE,
        r"np\.linalg\.eig has.*np\.linalg\.eigh",
    ),
    "unknown method": Cut(lambda x: x.searchsorted(1.0), TRACE, r"\.searchsorted has.*\.argsort"),
    "unknown ufunc method": Cut(
        lambda x: np.add.accumulate(np.stack([x, x]) + 0), TRACE, r"np\.add\.accumulate.*np\.cumsum"
    ),
    "array method in place": Cut(lambda x: np.stack([x]).sort(), TRACE, r"use np\.sort"),
    "through a view": Cut(writes_through_a_view, TRACE, "writing through a view.*or to a copy"),
    "a stale view": Cut(uses_a_stale_view, TRACE, r"\(1,\) is a view.*take the slice again"),
    "an updated view": Cut(updates_a_view, TRACE, r"not stored back; write x\[key\]"),
    "numbers beside values": Cut(
        lambda x: np.exp(np.array([x, 2.0])), TypeError, r"np\.stack\(\[\.\.\.\]\)"
    ),
    "object array in place": Cut(
        lambda x: np.ones(1).__iadd__(np.array([x])), TypeError, r"np\.stack\(\[\.\.\.\]\)"
    ),
    "random of x": Cut(lambda x: np.random.default_rng(0).normal(x), TRACE, FLOAT),
    "hash": Cut(lambda x: {x: 1}, TypeError, "unhashable"),
    "truth of an array": Cut(
        lambda x: x if np.stack([x, x]) > 0 else -x, ValueError, r"ambiguous; use \.any\(\)"
    ),
    "11 shapes": Cut(lambda x: np.ones(2) * x + np.ones(3), ValueError, r"\(2,\)"),
    "11 matmul": Cut(
        lambda x: (np.ones((2, 3)) * x) @ np.ones((2, 3)), SHAPE, r"f64\[2,3\] by f64\[2,3\]"
    ),
    "an own error": Cut(lambda x: {}["key"], KeyError, "key"),
}


def described(error: BaseException) -> str:
    """The message and the notes, as Python prints them."""
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("how", ["grad", "trace", "jvp"])
def test_what_would_cut_a_derivative_is_an_error_with_the_users_line(name, how):
    cut = CUTS[name]
    ways = {
        "grad": lambda: cb.grad(cut.function)(1.5),
        "trace": lambda: cb.trace(cut.function, 1.5),
        "jvp": lambda: cb.jvp(cut.function, 1.5, 1.0),
    }
    with pytest.raises(cut.error) as caught:
        ways[how]()
    assert re.search(cut.says, described(caught.value), re.DOTALL), described(caught.value)
    line = cut.function.__code__
    found = re.search(rf"while tracing {HERE}:(\d+)", described(caught.value))
    assert found, described(caught.value)
    assert line.co_firstlineno <= int(found.group(1)) <= line.co_firstlineno + 4
    assert cb.grad(smooth)(1.5) == pytest.approx(np.cos(1.5) * 1.5 + np.sin(1.5))


def test_errors_of_nested_derivatives_name_the_innermost_line_once():
    def outer(x):
        return cb.grad(lambda y: x * float(y))(x)

    with pytest.raises(cb.TraceError) as caught:
        cb.grad(outer)(1.0)
    notes = [n for n in caught.value.__notes__ if "while tracing" in n]
    assert len(notes) == 1
    assert f"{outer.__code__.co_firstlineno + 1}: " in notes[0]


SINGULAR = {
    "inv": (lambda a: np.sum(np.linalg.inv(a)), np.ones((2, 2))),
    "solve": (lambda a: np.sum(np.linalg.solve(a, np.ones(2))), np.ones((2, 2))),
    "cholesky": (lambda a: np.sum(np.linalg.cholesky(a)), -np.eye(2)),
    "branch": (lambda a: a[0, 0] if np.linalg.inv(a)[0, 0] > 0 else 1.0, np.ones((2, 2))),
}


@pytest.mark.parametrize("name", SINGULAR)
def test_errors_of_linear_algebra_are_numpys_and_name_the_users_line(name):
    function, at = SINGULAR[name]
    for _ in range(3):
        with pytest.raises(np.linalg.LinAlgError) as caught:
            cb.grad(function)(at)
        assert f"{__file__}:{function.__code__.co_firstlineno}" in described(caught.value)


def test_a_derivative_that_does_not_exist_names_the_users_line():
    def first_vector(a):
        return np.linalg.eigh(a)[1][0, 1]

    with pytest.raises(cb.DerivativeError, match="coincide") as caught:
        cb.grad(first_vector)(np.eye(2))
    assert f"{__file__}:{first_vector.__code__.co_firstlineno + 1}" in described(caught.value)


# --- traced values outside their function ------------------------------------------------------

LEAKED: list[Any] = []


def leak(x):
    LEAKED[:] = [x, x[0], np.array([x[0], x[1]])]
    return np.sum(x)


LEAKS = {
    "operator": lambda: LEAKED[0] + 1.0,
    "reflected": lambda: 2.0 * LEAKED[0],
    "negative": lambda: -LEAKED[0],
    "ufunc": lambda: np.sin(LEAKED[0]),
    "function": lambda: np.sum(LEAKED[0]),
    "method": lambda: LEAKED[0].sum(),
    "shape": lambda: LEAKED[0].shape,
    "indexing": lambda: LEAKED[0][0],
    "writing": lambda: LEAKED[0].__setitem__(0, 1.0),
    "truth": lambda: bool(LEAKED[1] > 0),
    "number": lambda: int(LEAKED[1]),
    "object array": lambda: LEAKED[2] * 2.0,
    "argument": lambda: cb.grad(smooth)(LEAKED[0]),
    "another function": lambda: cb.grad(lambda y: np.sum(y * LEAKED[0]))(X),
    "returned elsewhere": lambda: cb.jacobian(lambda y: LEAKED[0])(X),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_value_used_after_its_function_returned_is_an_error(name):
    cb.grad(leak)(X)
    with pytest.raises(cb.TraceError, match=r"after its function returned; return it"):
        LEAKS[name]()
    np.testing.assert_array_equal(cb.grad(leak)(X), np.ones(3))


def test_a_leaked_value_can_still_be_shown():
    cb.grad(leak)(X)
    assert repr(LEAKED[0]) == "<value v0: f64[3]>"


@pytest.mark.parametrize(
    "question",
    [lambda v: bool(v[0] > 0), len, lambda v: int(v[0]), lambda v: [0, 1][np.argmax(v)]],
)
def test_an_unbound_value_has_no_number(question):
    with pytest.raises(cb.TraceError, match="bound"):
        question(cb.var("x", (cb.Dim("n"),)) if question is len else cb.var("x", (2,)))


# --- inputs that are right, in every layout ------------------------------------------------------

SQUARE = np.random.default_rng(7).normal(size=(4, 4))


def layout_sensitive(a):
    return np.sum(np.sin(a) @ a) + np.sum(a[0] * np.sum(a, axis=1)) + np.prod(a[:2, :2])


def broadcast_view(a):
    """A read-only view of stride zero with equal rows."""
    return np.broadcast_to(a[0], a.shape)


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "26 Fortran order": np.asfortranarray,
    "26 negative strides": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "26 every second entry": lambda a: np.repeat(np.repeat(a, 2, 0), 2, 1)[::2, ::2],
    "26 broadcast": broadcast_view,
    "29 read-only": lambda a: np.frombuffer(a.tobytes()).reshape(a.shape),
    "26 unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), offset=1).reshape(a.shape),
    "27 byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("derivative", [cb.grad, cb.jacfwd, cb.value_and_grad, cb.hessian])
def test_any_layout_gives_the_bits_of_the_contiguous_array(name, derivative):
    given = LAYOUTS[name](SQUARE)
    plain = np.array(given, dtype=float, order="C")
    before = fingerprint(given)
    for _ in range(3):
        found = np.asarray(derivative(layout_sensitive)(given)[-1])
        expected = np.asarray(derivative(layout_sensitive)(plain)[-1])
        assert found.dtype == np.float64
        assert found.tobytes() == expected.tobytes()
    assert fingerprint(given) == before


def test_the_layouts_are_what_they_say():
    made = {name: layout(SQUARE) for name, layout in LAYOUTS.items()}
    assert not any(a.flags.c_contiguous and a.flags.aligned and a.flags.writeable
                   and a.dtype.isnative for a in made.values())  # fmt: skip


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 2)])
def test_25_zero_size_arrays(shape):
    empty = np.zeros(shape)
    assert cb.grad(smooth)(empty).shape == shape
    assert cb.jacfwd(vector)(empty).shape == cb.jacrev(vector)(empty).shape == shape + shape
    assert cb.hessian(smooth)(empty).shape == shape + shape
    value, slope = cb.value_and_grad(np.prod)(empty)
    assert value == 1.0
    assert slope.shape == shape
    with pytest.raises(ValueError, match="no entry to choose from"):
        cb.grad(np.max)(empty)


@pytest.mark.parametrize("scalar", [0.5, np.float64(0.5), np.array(0.5)])
def test_25_scalars_and_arrays_without_axes(scalar):
    slope = cb.grad(np.sin)(scalar)
    assert np.shape(slope) == ()
    assert slope == np.cos(0.5)
    assert np.shape(cb.hessian(np.sin)(scalar)) == ()
    assert cb.grad(lambda a: a[0, 0] ** 2)(np.array([[3.0]])).tolist() == [[6.0]]


SPECIAL = {
    "13 NaN": (lambda x: x * x, np.nan, np.nan, np.nan),
    "13 NaN in relu": (cb.relu, np.nan, np.nan, np.nan),
    "13 NaN in maximum": (lambda x: np.maximum(x, 0.0), np.nan, np.nan, np.nan),
    "14 infinity": (lambda x: 2.0 * x, np.inf, np.inf, 2.0),
    "14 tanh at infinity": (np.tanh, np.inf, 1.0, 0.0),
    "14 1/x at infinity": (lambda x: 1.0 / x, np.inf, 0.0, -0.0),
    "15 overflow": (np.exp, 1000.0, np.inf, np.inf),
    "15 a exp(-b)": (lambda b: 3.0 * np.exp(-b), -1000.0, np.inf, -np.inf),
    "16 -0.0 kept": (lambda x: x * 1.0, -0.0, -0.0, 1.0),
    "16 negative of 0.0": (lambda x: -x, 0.0, -0.0, -1.0),
    "16 1/x at -0.0": (lambda x: 1.0 / x, -0.0, -np.inf, -np.inf),
    "16 1/x at 0.0": (lambda x: 1.0 / x, 0.0, np.inf, -np.inf),
    "16 the constants 0.0 and -0.0 differ": (
        lambda x: 1.0 / (0.0 * x) + 1.0 / (-0.0 * x), 2.0, np.nan, np.nan,
    ),
    "17 subnormal": (lambda x: 3.0 * x, 5e-324, 1.5e-323, 3.0),
    "17 subnormal square": (lambda x: x * x, 5e-324, 0.0, 1e-323),
    "18 huge": (lambda x: x + 1.0, 1e300, 1e300, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("derivative", [cb.jacfwd, cb.jacrev])
def test_special_numbers_propagate_as_in_numpy(name, derivative):
    function, at, value, slope = SPECIAL[name]
    found = np.array([cb.value_and_grad(function)(at)[0], derivative(function)(at)])
    np.testing.assert_array_equal(found, [value, slope])
    signs = [np.copysign(1.0, v) for v in (value, slope) if not np.isnan(v)]
    assert [np.copysign(1.0, v) for v in found if not np.isnan(v)] == signs


def test_13_a_nan_stays_in_its_own_entry():
    x = np.array([np.nan, 1.0, np.inf])
    np.testing.assert_array_equal(cb.grad(lambda v: np.sum(v * v))(x), [np.nan, 2.0, np.inf])
    jacobian = cb.jacobian(lambda v: v * v)(np.array([2.0, 1.0]))
    np.testing.assert_array_equal(jacobian, [[4.0, 0.0], [0.0, 2.0]])


def test_35_repeated_indices_add_up():
    picked = np.array([0, 0, 2, 0])
    np.testing.assert_array_equal(cb.grad(lambda v: np.sum(v[picked]))(X), [3.0, 0.0, 1.0])

    def scattered(v):
        out = np.zeros(2) + 0.0 * v[0]
        out[np.array([1, 1])] = v[:2]
        return np.sum(out)

    np.testing.assert_array_equal(cb.grad(scattered)(X), [0.0, 1.0, 0.0])


# --- memory ------------------------------------------------------------------------------------

MUTATING = {
    "in place": lambda v: (v.__iadd__(1.0), np.sum(v * v))[1],
    "one entry": lambda v: (v.__setitem__(0, 5.0), np.sum(v * v))[1],
    "a mask": lambda v: (v.__setitem__(v > 0, 0.0), np.sum(v * v))[1],
}


@pytest.mark.parametrize("name", MUTATING)
@pytest.mark.parametrize("derivative", ["grad", "jvp", "vjp", "jacobian", "hessian"])
def test_30_an_argument_is_never_written_to(name, derivative):
    x = X.copy()
    function = MUTATING[name]
    for _ in range(3):
        if derivative in ("jvp", "vjp"):
            _ = cb.jvp(function, x, X) if derivative == "jvp" else cb.vjp(function, x)[1](1.0)
        else:
            getattr(cb, derivative)(function)(x)
        assert fingerprint(x) == fingerprint(X)


@pytest.mark.parametrize(
    "function",
    [
        lambda v: v, lambda v: v[:], lambda v: (v, v), lambda v: (v, v[1:]), lambda v: v.T,
        lambda v: {"a": v, "b": np.reshape(v, (1, 3))}, lambda v: CONSTANT, lambda v: (v, CONSTANT),
    ],
)  # fmt: skip
def test_29_results_are_fresh_writable_arrays(function):
    for _ in range(4):
        x = X.copy()
        value, pull = cb.vjp(function, x)
        pushed = cb.jvp(function, x, np.ones(3))
        cotangents = pull(value)
        trees = [value, *pushed, *cotangents, cb.jacobian(function)(x)]
        arrays = [a for tree in trees for a in arrays_of(tree)]
        owners = [x, CONSTANT, *arrays]
        for i, a in enumerate(arrays):
            assert a.flags.writeable
            assert not any(np.shares_memory(a, b) for b in owners if b is not a), i


CONSTANT = np.array([1.0, 2.0, 3.0])


def arrays_of(tree):
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        return [a for part in tree for a in arrays_of(part)]
    return [tree] if isinstance(tree, np.ndarray) else []


def test_33_one_array_given_twice_is_two_arguments():
    x = X.copy()
    slopes = cb.grad(lambda a, b: np.sum(a * b * b), (0, 1))(x, x)
    np.testing.assert_allclose(slopes, [X**2, 2 * X**2])

    def writes(a, b):
        a += 1.0
        return np.sum(a * b)

    np.testing.assert_allclose(cb.grad(writes, (0, 1))(x, x), [X, X + 1.0])
    assert fingerprint(x) == fingerprint(X)


def test_33_overlapping_arguments():
    x = np.arange(5.0)
    slopes = cb.grad(lambda a, b: np.sum(a * b), (0, 1))(x[:-1], x[1:])
    np.testing.assert_array_equal(slopes, [x[1:], x[:-1]])
    windows = np.lib.stride_tricks.sliding_window_view(x, 2)
    np.testing.assert_array_equal(cb.grad(lambda a: np.sum(a * a))(windows), 2.0 * windows)


def test_28_a_masked_array_on_the_left_keeps_its_mask():
    masked = np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])
    np.testing.assert_array_equal(cb.grad(lambda x: np.sum(masked * x))(X), [1.0, 0.0, 3.0])


def test_errors_can_be_pickled_and_caught_as_what_they_are():
    with pytest.raises(ValueError, match="argnums") as caught:
        cb.grad(two, 9)(X, 1.0)
    assert isinstance(caught.value, cb.CalcbenchError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301
    with pytest.raises(TypeError, match="int64"):
        cb.grad(two)(3, 1.0)
