"""verify refuses points without a derivative, and names what f and grad do wrong."""

import numpy as np
import pytest

from calcbench.graph.arraytype import CalcbenchError
from calcbench.verification.calls import first_line
from calcbench.verification.check import verify


X = np.array([0.5, -1.5, 2.0])


def f(x):
    return np.sum(x**3)


def grad(x):
    return 3 * x**2


def check(f, grad, at, **options):
    return verify(f, grad, at, rng=1, witnesses="none", **options)


# --- the point ----------------------------------------------------------------------------------

REFUSED_POINTS = {
    "int array": (np.array([1, 2]), "int64; expected float64 or float32.*astype"),
    "int": (3, "int64.*write 3.0"),
    "unsigned": (np.array([1], dtype=np.uint8), "uint8.*write 3.0"),
    "bool array": (np.array([True]), "bool.*astype"),
    "bool": (True, "bool.*astype"),
    "complex": (np.array([1 + 2j]), "complex128.*real and imaginary"),
    "python complex": (1j, "complex128.*real and imaginary"),
    "float16": (np.array([1.0], dtype=np.float16), "float16.*use float64"),
    "long double": (np.array([1.0], dtype=np.longdouble), "longdouble|float128|float96"),
    "object": (np.array([1.0, None]), "object.*np.asarray"),
    "masked": (np.ma.masked_array([1.0, 2.0], mask=[0, 1]), "masked array; fill or drop"),
    "text": ("1.0", "str; expected a float"),
    "dict": ({"a": 1.0}, "dict; expected a float"),
    "None": (None, "NoneType; expected a float"),
    "ragged": ([[1.0], [1.0, 2.0]], "list that is no array"),
    "list of ints": ([1, 2], "int64.*write 3.0"),
    "dates": (np.array(["2020-01-01"], dtype="M8[D]"), r"datetime64\[D\]; expected float64"),
}


@pytest.mark.parametrize("name", REFUSED_POINTS)
def test_a_point_without_derivative_is_refused(name):
    at, message = REFUSED_POINTS[name]
    calls = []
    with pytest.raises(TypeError, match=f"(?s)argument 0.*({message})") as caught:
        check(lambda x: calls.append(x), grad, at)
    assert isinstance(caught.value, CalcbenchError)
    assert calls == []


def test_a_matrix_is_refused_as_point_and_as_gradient():
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.asmatrix([[1.0]])
    with pytest.raises(TypeError, match=r"argument 0 is an np\.matrix.*np\.asarray"):
        check(f, grad, matrix)
    assert check(f, lambda x: matrix, np.ones((1, 1))).kind == "gradient type"


def test_only_the_differentiated_argument_must_be_a_float():
    report = check(lambda x, k, name: f(x) * k, lambda x, k, name: grad(x) * k, (X, 2, "any"))
    assert report.ok


OPTIONS = {
    "argnums too large": ({"argnums": 1}, ValueError, r"argnums=1 but `at` holds 1 argument"),
    "argnums too small": ({"argnums": -2}, ValueError, "argnums=-2"),
    "argnums repeated": ({"argnums": (0, 0)}, ValueError, "each only once"),
    "argnums the same": ({"argnums": (0, -1)}, ValueError, "each only once"),
    "argnums empty": ({"argnums": ()}, ValueError, "at least one"),
    "argnums float": ({"argnums": 0.0}, TypeError, "int or a tuple of ints; got 0.0"),
    "argnums bool": ({"argnums": True}, TypeError, "int or a tuple of ints; got True"),
    "argnums list": ({"argnums": [0]}, TypeError, r"int or a tuple of ints; got \[0\]"),
    "few directions": ({"directions": 2}, ValueError, "fewer than 3"),
    "negative count": ({"every_coordinate_up_to": -1}, ValueError, "expected a count"),
    "negative rtol": ({"rtol": -1.0}, ValueError, "rtol=-1.0: expected a finite number"),
    "NaN atol": ({"atol": float("nan")}, ValueError, "atol=nan: expected a finite number"),
    "witness": ({"witnesses": "all"}, ValueError, 'expected "auto" or "none"'),
    "directions in text": ({"directions": "4"}, TypeError, "directions='4': expected a whole"),
    "half a coordinate": ({"every_coordinate_up_to": 0.5}, TypeError, "expected a whole number"),
    "rtol in text": ({"rtol": "1e-3"}, TypeError, "rtol='1e-3': expected a number"),
    "no atol": ({"atol": None}, TypeError, "atol=None: expected a number"),
    "seed text": ({"rng": "7"}, TypeError, "rng must be a seed"),
    "seed negative": ({"rng": -1}, TypeError, "rng must be a seed"),
    "seed bool": ({"rng": True}, TypeError, "rng must be a seed"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_that_makes_no_sense_is_refused(name):
    options, kind, message = OPTIONS[name]
    with pytest.raises(kind, match=message):
        verify(f, grad, X, **{"witnesses": "none"} | options)


@pytest.mark.parametrize(("f", "grad", "name"), [(None, grad, "f"), (f, 3 * X**2, "grad")])
def test_both_must_be_callable(f, grad, name):
    with pytest.raises(TypeError, match=f"^{name} must be callable"):
        check(f, grad, X)


# --- f ------------------------------------------------------------------------------------------

REFUSED_OUTPUTS = {
    "None": (lambda x: None, "returned None.*return"),
    "tuple": (lambda x: (x, x), "a tuple; expected one"),
    "dict": (lambda x: {"loss": 1.0}, "a dict; expected one"),
    "complex": (lambda x: x[0] + 1j, "complex128; expected float64"),
    "ints": (lambda x: np.array([1, 2]), "int64; expected float64"),
    "bool": (lambda x: True, "bool; expected float64"),
    "float16": (lambda x: np.float16(1), "float16; expected float64"),
    "masked": (lambda x: np.ma.masked_array(x), "MaskedArray"),
}


@pytest.mark.parametrize("name", REFUSED_OUTPUTS)
def test_a_value_without_derivative_is_refused(name):
    function, message = REFUSED_OUTPUTS[name]
    with pytest.raises(TypeError, match=message):
        check(function, grad, X)


def test_a_shape_that_depends_on_x_is_refused():
    with pytest.raises(ValueError, match=r"shape \(1,\) at x and .* beside it"):
        check(lambda x: x[x >= 2.0], lambda x: np.eye(3)[2:], X)


@pytest.mark.parametrize("name", ["f", "grad"])
def test_an_error_of_the_user_passes_through_with_a_note(name):
    def broken(x):
        raise KeyError("weights")

    with pytest.raises(KeyError) as caught:
        check(broken if name == "f" else f, broken, X)
    assert caught.value.__notes__ == [f"raised by {name} while verify called it at the given point"]


def test_domain_errors_beside_the_point_are_left_out_and_told():
    def root(x):
        if x[0] < 0.49:
            raise ValueError("negative under the root")
        return np.sqrt(x[0] - 0.48)

    report = check(root, lambda x: np.array([0.5 / np.sqrt(x[0] - 0.48)]), np.array([0.5]))
    assert report.ok, str(report)
    assert "ValueError: negative under the root" in report.notes[0]


def test_f_gets_copies_and_its_arguments_stay_as_they_were():
    x, other = X.copy(), np.array([1, 2, 3])

    def greedy(x, other):
        value = np.sum(x**3)
        x[:] = 0.0
        return value

    report = check(greedy, lambda x, other: 3 * x**2, (x, other))
    assert (report.verdict, report.kind) == ("fail", "f mutates its argument")
    np.testing.assert_array_equal(x, X)


def test_changing_another_argument_counts_too():
    def counting(x, counts):
        counts += 1
        return np.sum(x)

    report = check(counting, lambda x, counts: np.ones(3), (X, np.zeros(2, dtype=int)))
    assert report.kind == "f mutates its argument"


def test_random_f_is_undecided_and_says_how_far_it_moved():
    noise = np.random.default_rng(0)
    report = check(lambda x: f(x) + noise.random(), grad, X)
    assert (report.verdict, report.kind) == ("undecided", "non-deterministic")
    assert "moved by 0.3" in report.reason


def test_f_that_drifts_later_is_undecided():
    calls = []

    def drifting(x):
        calls.append(None)
        return f(x) * (1 + (len(calls) > 60))

    assert check(drifting, grad, X).kind == "non-deterministic"


def test_rounding_between_calls_is_noise_and_no_verdict():
    jitter = np.random.default_rng(0)
    report = check(lambda x: f(x) * (1 + 2e-16 * jitter.integers(3)), grad, X)
    assert report.ok, str(report)


# --- grad ---------------------------------------------------------------------------------------


class Buffer:
    """A gradient that always returns the same array."""

    def __init__(self):
        self.array = np.zeros(3)

    def __call__(self, x):
        self.array[:] = grad(x)
        return self.array


class Stale:
    """A gradient that remembers the first point it saw."""

    answer = None

    def __call__(self, x):
        if self.answer is None:
            self.answer = grad(x)
        return self.answer.copy()


class Accumulating:
    """A gradient that is never reset to zero."""

    def __init__(self):
        self.array = np.zeros(3)

    def __call__(self, x):
        self.array += grad(x)
        return self.array.copy()


class Alternating:
    """A gradient that is right at every second call of the two at x."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return grad(x) * (1 + (self.calls > 3))


def greedy_gradient(x):
    x **= 2
    return 3 * x


FAULTS = {
    "None": (lambda x: None, "gradient is None"),
    "tuple": (lambda x: (grad(x),), "gradient type"),
    "text": (lambda x: "3", "gradient type"),
    "ragged": (lambda x: [[1.0], [1.0, 2.0]], "gradient type"),
    "masked": (lambda x: np.ma.masked_array(grad(x)), "gradient type"),
    "ints": (lambda x: np.array([1, 2, 3]), "gradient dtype"),
    "complex": (lambda x: grad(x) + 0j, "gradient dtype"),
    "object": (lambda x: grad(x).astype(object), "gradient dtype"),
    "half": (lambda x: grad(x).astype(np.float16), "gradient dtype"),
    "column": (lambda x: grad(x)[:, None], "gradient shape"),
    "scalar": (lambda x: 1.0, "gradient shape"),
    "too long": (lambda x: np.ones(4), "gradient shape"),
    "buffer": (Buffer, "gradient buffer"),
    "stale": (Stale, "mismatch"),
    "accumulating": (Accumulating, "gradient not repeatable"),
    "alternating": (Alternating, "gradient not repeatable"),
    "mutates": (greedy_gradient, "grad mutates its argument"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_of_grad_has_its_name(name):
    function, kind = FAULTS[name]
    report = check(f, function() if isinstance(function, type) else function, X)
    assert (report.verdict, report.kind) == ("fail", kind), str(report)


def test_a_fresh_copy_of_the_buffer_is_no_fault():
    buffer = Buffer()
    assert check(f, lambda x: buffer(x).copy(), X).ok


def test_a_transposed_jacobian_is_recognised_by_its_shape():
    matrix = np.ones((2, 3))
    report = check(lambda x: matrix @ x, lambda x: matrix.T, X)
    assert report.kind == "gradient shape"
    assert "transposed Jacobian" in report.reason


@pytest.mark.parametrize(
    ("result", "hint"),
    [
        (lambda x: grad(x)[:, None], ": return g.reshape((3,)) if the entries are in that order."),
        (lambda x: np.ones((5, 3)), ": sum over the leading axes"),
        (lambda x: 1.0, "that of the argument (3,)."),
    ],
)
def test_a_wrong_shape_says_what_to_do(result, hint):
    assert hint in check(f, result, X).reason


def test_an_error_while_tracing_is_cut_after_a_word():
    assert first_line(ValueError("word " * 100)).endswith("word …")
    assert len(first_line(ValueError("word " * 100))) <= 200


@pytest.mark.parametrize("result", [grad(X), (grad(X),), (grad(X),) * 3])
def test_a_tuple_of_argnums_wants_a_tuple_as_long(result):
    report = check(lambda a, b: f(a) + f(b), lambda a, b: result, (X, X), argnums=(0, 1))
    assert report.kind in ("gradient structure", "gradient type")
    assert "must return a tuple of 2" in report.reason


def test_a_list_of_floats_is_a_gradient():
    assert check(f, lambda x: list(grad(x)), X).ok


def test_a_python_int_is_the_derivative_of_a_scalar():
    assert check(lambda x: 2 * x, lambda x: 2, 1.5).ok


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2)])
def test_the_shape_is_checked_even_where_nothing_can_be_compared(shape):
    wrong = check(f, lambda x: np.zeros(5), np.zeros(shape))
    vacuous = check(f, grad, np.zeros(shape))
    assert wrong.kind == "gradient shape"
    assert (vacuous.verdict, vacuous.kind) == ("undecided", "vacuous")
