"""Result dtypes are NumPy's (NEP 50), for every pair of operand kinds and every operator."""

import itertools
import operator

import numpy as np
import pytest

import calcbench as cb


OPERANDS = {
    "f64": np.array([0.5, 2.0]),
    "f32": np.array([0.5, 2.0], np.float32),
    "i64": np.array([1, 2]),
    "scalar f64": np.float64(1.5),
    "scalar f32": np.float32(1.5),
    "scalar i64": np.int64(2),
    "float": 1.5,
    "int": 2,
}
OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "//": operator.floordiv,
    "%": operator.mod,
    "<": operator.lt,
    "==": operator.eq,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "hypot": np.hypot,
    "logaddexp": np.logaddexp,
    "where": lambda a, b: np.where(np.array([True, False]), a, b),
}
PAIRS = [
    (a, b)
    for a, b in itertools.product(OPERANDS, OPERANDS)
    if not {a, b} <= {"float", "int"}  # plain Python, where no array is involved
]


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(("first", "second"), PAIRS, ids=" ".join)
def test_a_binary_operation_has_numpys_dtype_and_value(name, first, second):
    operation, a, b = OPERATORS[name], OPERANDS[first], OPERANDS[second]
    expected = operation(a, b)
    arrays = {k: v for k, v in (("a", a), ("b", b)) if type(v) not in (float, int)}
    graph = cb.trace(lambda **given: operation(given.get("a", a), given.get("b", b)), **arrays)
    if len(graph.inputs) > len(arrays):  # the mask of `where` is an array from outside
        arrays["captured0"] = np.array([True, False])
    found = graph.bind(**arrays)
    assert found.dtype == np.asarray(expected).dtype
    np.testing.assert_array_equal(found, expected)


UNARY = ["sin", "exp", "sqrt", "log1p", "square", "abs", "negative", "sign", "cbrt", "sinc"]


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("kind", ["f64", "f32", "i64", "scalar f32"])
def test_a_unary_function_has_numpys_dtype(name, kind):
    x = OPERANDS[kind]
    function = getattr(np, name)
    graph = cb.trace(lambda x: function(x), x)
    assert graph.bind(x=x).dtype == np.asarray(function(x)).dtype


@pytest.mark.parametrize("power", [0, 1, 2, 3, 0.5, -1, -2, 2.0])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_powers_with_a_python_number_have_numpys_bits(power, dtype):
    x = np.linspace(0.1, 3.0, 50).astype(dtype)
    found = cb.trace(lambda x: x**power, x).bind(x=x)
    np.testing.assert_array_equal(found, x**power)
    assert found.dtype == dtype


def test_gradients_keep_float32():
    x = np.array([1.0, 2.0], np.float32)
    assert cb.grad(lambda x: np.sum(np.sin(x) * 2.5 + x**2))(x).dtype == np.float32


def test_negative_integer_powers_of_integers_are_refused_as_by_numpy():
    x = np.array([1, 2])
    with pytest.raises(ValueError, match="negative integer powers"):
        x**-1
    with pytest.raises((ValueError, TypeError)):
        cb.trace(lambda x: x**-1, x)
