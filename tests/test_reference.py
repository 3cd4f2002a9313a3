"""`cb.reference` against mpmath's differences, closed forms and the graph's own derivatives."""

import inspect
import math
import threading
import time
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy as sp
from cases import CASES, Case

import calcbench as cb
from calcbench.graph.elementwise import sin as sin_row
from calcbench.graph.primitive import REGISTRY
from calcbench.graph.trees import leaves_of


x, y, z, a, b = sp.symbols("x y z a b")
R = sp.Rational
ORIGIN = {"x": 0}


def mp_number(value):
    """A SymPy Float as a number of mpmath, digit for digit."""
    return mpmath.make_mpf(sp.Float(value)._mpf_)


def assert_close(found, wanted, digits):
    with mpmath.workdps(digits + 30):
        found, wanted = mp_number(found), mpmath.mpf(wanted)
        assert abs(found - wanted) <= abs(wanted) * mpmath.mpf(10) ** -digits, (found, wanted)


# --- smooth points: mpmath's differences of mpmath's functions -----------------------------------

m = mpmath
SMOOTH = [  # (expression, the same in mpmath, point, order)
    (x * sp.sin(x) ** 2, lambda t: t * m.sin(t) ** 2, "0.5", 1),
    (x * sp.sin(x) ** 2, lambda t: t * m.sin(t) ** 2, "0.5", 7),
    (sp.tan(x) ** 3, lambda t: m.tan(t) ** 3, "0.4", 6),
    (x**x, lambda t: t**t, "1.3", 3),
    (sp.exp(sp.sin(x)) / (1 + x**2), lambda t: m.exp(m.sin(t)) / (1 + t**2), "-0.7", 4),
    (sp.sqrt(x) + x ** R(2, 3), lambda t: m.sqrt(t) + t ** (m.mpf(2) / 3), "0.2", 5),
    (sp.atan2(x, 2 - x), lambda t: m.atan2(t, 2 - t), "0.3", 3),
    (sp.acosh(x) * sp.asin(1 / x), lambda t: m.acosh(t) * m.asin(1 / t), "1.7", 3),
    (sp.log(sp.cosh(x)) ** 2, lambda t: m.log(m.cosh(t)) ** 2, "0.6", 4),
    (sp.besselj(2, x), lambda t: m.besselj(2, t), "1/3", 3),
    (sp.besselk(R(1, 3), x), lambda t: m.besselk(m.mpf(1) / 3, t), "0.8", 2),
    (sp.airyai(x) * sp.airybi(x), lambda t: m.airyai(t) * m.airybi(t), "0.9", 3),
    (sp.LambertW(x), m.lambertw, "0.5", 4),
    (sp.expint(2, x), lambda t: m.expint(2, t), "0.7", 3),
    (sp.erf2(x, 1 - x), lambda t: m.erf(1 - t) - m.erf(t), "0.3", 3),
    (sp.Ei(x) + sp.li(x), lambda t: m.ei(t) + m.li(t), "2.5", 2),
    (sp.elliptic_k(x), m.ellipk, "0.3", 3),
    (sp.elliptic_e(x), m.ellipe, "0.3", 2),
    (sp.gamma(x) / sp.erfc(x), lambda t: m.gamma(t) / m.erfc(t), "0.7", 3),
    (sp.loggamma(x), m.loggamma, "2.2", 4),
    (sp.polygamma(1, x), lambda t: m.psi(1, t), "1.4", 2),
    (sp.hyper([1, 2], [3], x), lambda t: m.hyp2f1(1, 2, 3, t), "0.4", 2),
    (sp.fresnels(x) + sp.Si(x), lambda t: m.fresnels(t) + m.si(t), "0.6", 3),
    (sp.polylog(2, x), lambda t: m.polylog(2, t), "0.3", 2),
    (sp.besseli(0, 2 * x - 1), lambda t: m.besseli(0, 2 * t - 1), "0.5", 2),
    (sp.cot(x) * sp.sech(x) + sp.csc(x), lambda t: m.cot(t) * m.sech(t) + m.csc(t), "0.7", 2),
    (sp.Mod(x, 2) * sp.floor(x) * sp.sign(x), lambda t: (t - 2) * 2, "2.4", 1),
]


@pytest.mark.parametrize(("expression", "function", "at", "order"), SMOOTH)
def test_derivatives_equal_differences_of_mpmath(expression, function, at, order):
    found = cb.reference(expression, {"x": at}, order=order, digits=40)
    with mpmath.workdps(90):
        point = Fraction(at)
        wanted = mpmath.diff(function, mpmath.mpf(point.numerator) / point.denominator, order)
    assert isinstance(found, sp.Float)
    assert_close(found, mpmath.re(wanted), 32)


def test_an_integral_is_differentiated_by_its_limit():
    expression = sp.Integral(sp.exp(-(y**2)), (y, 0, x))
    found = cb.reference(expression, {"x": "1/3"}, digits=30)
    with mpmath.workdps(50):
        assert_close(found, mpmath.exp(-mpmath.mpf(1) / 9), 29)


def test_an_order_by_which_sympy_cannot_differentiate_may_stand_still():
    found = cb.reference(sp.besselj(y, x), {"x": "1/2", "y": 2}, wrt="x", order=2, digits=30)
    with mpmath.workdps(60):
        assert_close(found, mpmath.diff(lambda t: mpmath.besselj(2, t), m.mpf("0.5"), 2), 28)


# --- digits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", [1, 15, 50, 1000, 10_000])
def test_all_digits_are_right(digits):
    found = cb.reference(sp.sin(x), {"x": "1/3"}, digits=digits)
    with mpmath.workdps(digits + 20):
        assert_close(found, mpmath.cos(mpmath.mpf(1) / 3), digits)


CANCELLING = [  # where a fixed working precision of 60 digits gives nothing right
    ((1 - sp.cos(x)) / x**2, "1e-40", lambda t: -t / 12),
    ((1 - sp.cos(x)) / x**2, "1e-200", lambda t: -t / 12),
    (sp.Max(x - sp.sin(x), x**3 / 6), "1e-60", lambda t: t**2 / 2),
    (sp.Max(sp.sin(x), x - x**3 / 6), "1e-60", lambda t: 1 - t**2 / 2),
    (sp.sqrt(1 - sp.cos(x)), "-1e-45", lambda t: -m.cos(t / 2) / m.sqrt(2)),
    (sp.sin(x) ** 2 + sp.cos(x) ** 2 + sp.exp(-x), "200", lambda t: -m.exp(-t)),
    ((sp.exp(x) - 1 - x) / x**2, "1e-50", lambda t: m.mpf(1) / 6 + t / 12 + t**2 / 40),
    (sp.cos(x) * sp.tan(x), sp.pi / 3, lambda t: m.mpf(1) / 2),
    (sp.exp(x) - sp.exp(x + R(1, 10**60)), "1", lambda t: -m.e * m.mpf(10) ** -60),
]


@pytest.mark.parametrize(("expression", "at", "wanted"), CANCELLING)
def test_precision_is_raised_until_cancellation_is_over(expression, at, wanted):
    found = cb.reference(expression, {"x": at}, digits=40)
    with mpmath.workdps(400):
        point = mpmath.mpf(at) if isinstance(at, str) else mpmath.pi / 3
        assert_close(found, wanted(point), 39)


def test_a_large_size_is_no_failure_once_the_error_is_bounded():
    """At the first precision 3 digits are right, at the second all: they agree in those."""
    expression = sp.log(2) / (sp.cos(x) + 1 / x)
    found = cb.reference(expression, {"x": "1e-15"}, order=2, digits=15)
    with mpmath.workdps(120):
        assert_close(found, -2 * mpmath.log(2), 13)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_derivative_that_vanishes_identically_is_zero(order):
    expression = (sp.sin(x) ** 2 + sp.cos(x) ** 2) * 3
    assert cb.reference(expression, {"x": "0.3"}, order=order) == 0


# --- kinks, jumps, removable points: tests by hand -----------------------------------------------

SINC = sp.Piecewise((sp.sin(x) / x, sp.Ne(x, 0)), (1, True))
HARD = [  # (what, expression, at, wrt, order, derivative)
    ("three tie, alike", sp.Max(x, sp.exp(x) - 1, ((x + 1) ** 2 - 1) / 2), ORIGIN, "x", 1, 1),
    ("-x² in abs", sp.Abs(-(x**2), evaluate=False), ORIGIN, "x", 2, 2),
    ("isolated point", sp.Piecewise((1, sp.Eq(x, 1)), (x**2, True)), {"x": 1}, "x", 1, 2),
    ("sinc by hand", SINC, ORIGIN, "x", 2, R(-1, 3)),
    ("sinc by hand", SINC, ORIGIN, "x", 4, R(1, 5)),
    ("sinc of SymPy", sp.sinc(x), ORIGIN, "x", 6, R(-1, 7)),
    ("root of max", sp.sqrt(sp.Max(0, x**2 - z**2)), {"x": 1, "z": 2}, "x", 1, 0),
    ("root of max", sp.sqrt(sp.Max(0, x**2 - z**2)), {"x": 1, "z": 2}, "z", 2, 0),
    ("0^b by b", a**b, {"a": 0, "b": 1}, "b", 1, 0),
    ("a^2 at 0", a**b, {"a": 0, "b": 2}, "a", 1, 0),
    ("a^1 at 0", a**b, {"a": 0, "b": 1}, "a", 1, 1),
    ("a^½ at 0", a**b, {"a": 0, "b": "1/2"}, "a", 1, sp.oo),
    ("a^0 at 0", a**b, {"a": 0, "b": 0}, "a", 1, 0),
    ("a^-½ at 0", a**b, {"a": 0, "b": "-1/2"}, "a", 1, -sp.oo),
    ("a^-1 at 0", a**b, {"a": 0, "b": -1}, "a", 1, -sp.oo),
    ("x^3 four times", x**3, ORIGIN, "x", 4, 0),
    ("i0(2t-1)", sp.besseli(0, 2 * x - 1), {"x": "1/2"}, "x", 2, 2),
    ("relu(x) - relu(-x)", sp.Max(x, 0) - sp.Max(-x, 0), ORIGIN, "x", 1, 1),
    ("norm squared", sp.sqrt(x**2 + y**2) ** 2, {"x": 0, "y": 0}, "y", 2, 2),
    ("root squared", sp.Pow(sp.sqrt(x), 2, evaluate=False), ORIGIN, "x", 1, 1),
    ("x|x|", x * sp.Abs(x), ORIGIN, "x", 1, 0),
    ("|x|³", sp.Abs(x) ** 3, ORIGIN, "x", 2, 0),
    ("smooth seam", sp.Piecewise((x**2, x < 1), (2 * x - 1, True)), {"x": 1}, "x", 1, 2),
    ("Bernoulli", x / (sp.exp(x) - 1), ORIGIN, "x", 6, R(1, 42)),
    ("log of sinhc", sp.log(sp.sinh(x) / x), ORIGIN, "x", 2, R(1, 3)),
    ("tan at its pole", sp.cos(x) * sp.tan(x), {"x": sp.pi / 2}, "x", 1, 0),
    ("arc at its end", sp.acos(x) ** 2, {"x": 1}, "x", 2, R(2, 3)),
    ("arc at its end", sp.asin(x), {"x": 1}, "x", 1, sp.oo),
    ("Lambert at 0", sp.LambertW(x), ORIGIN, "x", 3, 9),
    ("K at 0", sp.elliptic_k(x), ORIGIN, "x", 1, sp.pi / 8),
    ("sine integral at 0", sp.Si(x), ORIGIN, "x", 3, R(-1, 3)),
    ("gamma at its pole", x * sp.gamma(x), ORIGIN, "x", 1, -sp.EulerGamma),
    ("1/gamma at a zero", 1 / sp.gamma(x), {"x": -2}, "x", 1, 2),
    ("step times x²", x**2 * sp.Heaviside(x), ORIGIN, "x", 1, 0),
    ("xy(x²-y²)/(x²+y²)", x * y * (x**2 - y**2) / (x**2 + y**2), {"x": 0, "y": 0}, "x", 1, 0),
]


@pytest.mark.parametrize(("what", "expression", "at", "wrt", "order", "wanted"), HARD)
def test_hard_points(what, expression, at, wrt, order, wanted):
    found = cb.reference(expression, at, wrt=wrt, order=order, digits=30)
    if wanted in (sp.oo, -sp.oo):
        assert found == wanted
    else:
        assert abs(found - sp.N(wanted, 40)) <= R(1, 10**29) * abs(wanted)


WRONG_IN_SYMPY = ("isolated point", "sinc by hand", "root of max", "0^b by b", "sinc of SymPy")


@pytest.mark.parametrize("what", WRONG_IN_SYMPY)
def test_sympy_alone_gets_these_wrong(what):
    """So the hard points test something: SymPy's derivative, put in at the point, is another."""
    _, expression, at, wrt, order, wanted = next(h for h in HARD if h[0] == what)
    derivative = sp.diff(expression, wrt, order).subs(at)
    assert derivative != wanted


def test_softplus_in_the_tail():
    found = cb.reference(sp.log(1 + sp.exp(x)), {"x": "37.42994775023705"}, order=2, digits=40)
    with mpmath.workdps(60):
        e = mpmath.exp(mpmath.mpf("37.42994775023705"))
        assert_close(found, e / (1 + e) ** 2, 39)
    assert abs(float(found) - 5.551115123125775e-17) <= 1e-30


REFUSED = [  # (expression, at, order, what the error says)
    (sp.Max(x, y, z), {"x": 1, "y": 1, "z": 1}, 1, "kink along x.*0.0 and 1.0.*maximum.*subdiff"),
    (sp.Abs(x), ORIGIN, 1, "-1.0 and 1.0, at an absolute value at 0; cb.subdifferential"),
    (sp.Min(x, R(1, 2)), {"x": R(1, 2)}, 1, "1.0 and 0.0, at a tie in a minimum"),
    (sp.Piecewise((sp.sin(x), x < 0), (R(1, 2), True)), ORIGIN, 1, "jumps along x from 0.0 to 0.5"),
    (sp.Piecewise((1, sp.Eq(x, 2)), (x**2, True)), {"x": 2}, 1, "being 1.0 at the point and 4.0"),
    (sp.floor(x), {"x": 3}, 1, "jumps along x from 2.0 to 3.0"),
    (sp.Mod(x, 2), {"x": 4}, 1, "jumps along x from 2.0 to 0.0"),
    (sp.sign(x), ORIGIN, 1, "jumps"),
    (sp.Abs(x) ** 3, ORIGIN, 3, "derivatives of order 3 are -6.0 and 6.0"),
    (sp.sqrt(x**2 + y**2), {"x": 0, "y": 0}, 1, "kink along x.*-1.0 and 1.0"),
    (sp.Min(sp.Abs(x), sp.Abs(y)), {"x": 0, "y": 0}, 1, "kink along 3 x"),
    (x * y / (x**2 + y**2), {"x": 0, "y": 0}, 1, "along one line the values go to -0.44"),
    (x**3 / (x**2 + y**2), {"x": 0, "y": 0}, 1, "partial derivatives exist, but"),
    (x * y * (x**2 - y**2) / (x**2 + y**2), {"x": 0, "y": 0}, 2, "partial derivatives exist, but"),
    (sp.Abs(sp.sin(x)), {"x": sp.pi}, 1, "kink along x.*-1.0 and 1.0"),
    (sp.log(x), ORIGIN, 1, "log\\(0.0\\), which is not a finite real number"),
    (sp.sqrt(x), {"x": -1}, 1, "negative number to the power 1/2, which is not real"),
    (1 / x**2, ORIGIN, 1, "-inf"),
    (sp.exp(-1 / x**2), ORIGIN, 1, "infinite argument"),
    (sp.zeta(x), {"x": 3}, 1, "no derivative of zeta"),
    (sp.besselj(y, x), {"x": 1, "y": 1}, 1, "no derivative of besselj by its argument 1"),
    (x > 0, {"x": 3}, 1, "a condition, not a number"),
]


@pytest.mark.parametrize(("expression", "at", "order", "says"), REFUSED)
def test_where_no_derivative_exists_the_error_names_the_reason(expression, at, order, says):
    with pytest.raises(cb.DerivativeError, match=says):
        cb.reference(expression, at, order=order)


# --- programs: row by row, against the transforms -------------------------------------------------


def at_arguments(case: Case):
    names = list(inspect.signature(case.function).parameters)
    return dict(zip(names, case.arguments, strict=True))


def float_positions(case: Case):
    """The arguments that are differentiated: all but arrays of integers."""
    kinds = [[np.asarray(leaf).dtype.kind for leaf in leaves_of(v)] for v in case.arguments]
    return tuple(i for i, found in enumerate(kinds) if set(found) == {"f"})


def as_floats(result):
    return np.array([float(v) for v in np.ravel(result)]).reshape(np.shape(result))


def assert_program(case: Case, result, wanted):
    blocks = list(result.values()) if isinstance(result, dict) else [result]
    for found, expected in zip(blocks, leaves_of(wanted), strict=True):
        assert np.shape(found) == np.shape(expected), case.name
        scale = np.max(np.abs(expected), initial=0.0)
        tolerance = 1e-6 if np.asarray(expected).dtype == np.float32 else 2e-14
        error = np.max(np.abs(as_floats(found) - expected), initial=0.0)
        assert error <= tolerance * max(scale, 1e-300), (case.name, error / scale)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_programs_accumulate_to_the_jacobian(case):
    result = cb.reference(case.function, at_arguments(case), digits=20)
    jacobian = cb.jacobian(case.function, argnums=float_positions(case))
    assert_program(case, result, jacobian(*case.arguments))


def scalar(function):
    return lambda v: np.sum(function(v))


SECOND_ORDER = ("chain_of_sines", "rosenbrock", "moments", "soft_functions", "determinants",
                "running_totals", "gaussian_likelihood", "product_with_a_zero")  # fmt: skip


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_second_derivatives_of_programs_are_the_hessian(name):
    case = next(c for c in CASES if c.name == name)
    (argument,) = case.arguments
    small = argument[:2, :2] if np.ndim(argument) == 2 else argument
    total = scalar(case.function)
    found = as_floats(cb.reference(total, {"v": small}, order=2, digits=15))
    wanted = cb.hessian(total)(small)
    assert np.max(np.abs(found - wanted)) <= 1e-11 * np.max(np.abs(wanted))


def test_a_function_graph_text_and_expression_give_the_same():
    def f(x, y):
        return x * np.sin(x * y) ** 2

    at = {"x": "0.7", "y": "1/3"}
    graph = cb.trace(f, 0.7, 0.3)
    asked = [f, graph, "x*sin(x*y)**2", x * sp.sin(x * y) ** 2, cb.to_sympy(graph)]
    results = [cb.reference(q, at, order=2, digits=40) for q in asked]
    assert all(result == results[0] for result in results)
    with mpmath.workdps(80):
        wanted = mpmath.diff(
            lambda s, t: s * mpmath.sin(s * t) ** 2, (m.mpf("0.7"), m.mpf(1) / 3), (1, 1)
        )
    assert_close(results[0]["x"]["y"], wanted, 32)
    assert results[0]["x"]["y"] == results[0]["y"]["x"]


def test_a_long_program_takes_no_expanded_expression():
    def long(x):
        for _ in range(500):
            x = x - x * np.sin(x) / 7
        return x

    def value_and_slope(t):
        slope = m.mpf(1)
        for _ in range(500):
            slope *= 1 - (m.sin(t) + t * m.cos(t)) / 7
            t -= t * m.sin(t) / 7
        return slope

    found = cb.reference(long, {"x": "0.5"}, digits=30)
    with mpmath.workdps(50):
        assert_close(found, value_and_slope(m.mpf("0.5")), 29)


def test_branches_of_programs():
    def isolated(x):
        return 1.0 if x == 1 else x**2

    def jump(x):
        return 3.0 if x == 1 else x**2

    def hole(x):
        return 1.0 + 0 * x if x == 0 else np.sin(x) / x

    def sides(x):
        return x if x > 0 else -x

    assert int(cb.reference(isolated, {"x": 1})) == 2
    assert abs(cb.reference(hole, {"x": 0}, order=2) + R(1, 3)) < 1e-40
    assert int(cb.reference(sides, {"x": -2})) == -1
    with pytest.raises(cb.DerivativeError, match=r"jumps, being 3\.0 at the point and 1\.0 next"):
        cb.reference(jump, {"x": 1})
    at_their_ends = ((sides, 0), (cb.trace(sides, 0.0), 0), (cb.trace(isolated, 1.0), 1))
    for asked, point in at_their_ends:
        with pytest.raises(cb.DerivativeError, match="another branch on one side"):
            cb.reference(asked, {"x": point})
    assert int(cb.reference(cb.trace(isolated, 2.0), {"x": 2})) == 4


KINKED_PROGRAMS = [
    (lambda v: np.max(v), [1, 1, 0], "maximum"),
    (lambda v: np.sort(v)[0], [1, 1, 2], "minimum"),
    (lambda v: np.sum(v[np.argsort(v)] * np.arange(3.0)), [1, 1, 2], "entries that tie"),
    (lambda v: np.linalg.norm(v), [0, 0], "power 1/2"),
    (lambda v: np.sum(np.linalg.eigvalsh(v)[0]), [[2, 0], [0, 2]], "coincide"),
    (lambda v: np.sum(np.clip(v, 0.0, 1.0)), [0, "0.5"], "maximum"),
]


@pytest.mark.parametrize(("function", "at", "says"), KINKED_PROGRAMS)
def test_programs_at_kinks_are_refused(function, at, says):
    with pytest.raises(cb.DerivativeError, match=says):
        cb.reference(function, {"v": at})


MASKED = [  # a branch that is not taken says nothing, at its pole too
    (lambda v: np.where(v < 1, v, np.sqrt(v)), 0, 1),
    (lambda v: np.where(v > 0, np.sqrt(v), v), -4, 1),
    (lambda v: np.sqrt(cb.relu(v)), -10, 0),
    (lambda v: np.sqrt(v) ** 2, 0, 1),
    (lambda v: np.clip(v, 0.0, v), 5, 1),
    (lambda v: cb.relu(v) - cb.relu(-v), 0, 1),
    (lambda v: np.cbrt(v**3), "-1/3", 1),
    (lambda v: v * np.sinc(v), 0, 1),
]


@pytest.mark.parametrize(("function", "at", "wanted"), MASKED)
def test_hard_points_of_programs(function, at, wanted):
    assert abs(cb.reference(function, {"v": at}) - wanted) < 1e-45


# --- matrices: what SymPy answers with 0 ----------------------------------------------------------

A, v = sp.MatrixSymbol("A", 2, 2), sp.MatrixSymbol("v", 2, 1)
POINT = np.array([[2.0, 1.0], [0.5, 3.0]])
MATRIX = [
    (sp.Trace(A) + 1, "A", POINT, np.eye(2)),
    (sp.Trace(A) + sp.Trace(A * A), "A", POINT, np.eye(2) + 2 * POINT.T),
    (sp.log(sp.Determinant(A)), "A", POINT, np.linalg.inv(POINT).T),
    (sp.exp((v.T * v)[0, 0]), "v", [1, "1/2"], 2 * math.exp(1.25) * np.array([1, 0.5])),
    (sp.Trace(A.T * A.inv()), "A", POINT, None),
]


@pytest.mark.parametrize(("expression", "name", "at", "wanted"), MATRIX)
def test_scalars_of_matrices(expression, name, at, wanted):
    found = as_floats(cb.reference(expression, {name: at}, digits=20))
    if wanted is None:
        wanted = cb.grad(lambda p: np.trace(p.T @ np.linalg.inv(p)))(at)
    assert np.max(np.abs(found - wanted)) <= 1e-14 * np.max(np.abs(wanted))


def test_texts_with_vectors_and_matrices():
    at = {"A": [[1, 2], [3, 4], [5, 6]], "x": [1, "1/2"]}
    found = cb.reference("norm(A*x)^2", at, digits=20)
    matrix, vector = np.array(at["A"], float), np.array([1, 0.5])
    assert np.array_equal(as_floats(found["x"]), 2 * matrix.T @ matrix @ vector)
    assert np.array_equal(as_floats(found["A"]), 2 * np.outer(matrix @ vector, vector))


def test_decimals_in_texts_are_exact():
    assert cb.reference("0.1*x", {"x": 1}, digits=40) == sp.Float("0.1", 40)


# --- points and names -----------------------------------------------------------------------------

EXACT = [
    (3, 3), (Fraction(1, 3), R(1, 3)), (R(2, 7), R(2, 7)), ("0.1", R(1, 10)),
    ("-2.5e-3", R(-1, 400)), ("1/3", R(1, 3)), (0.5, R(1, 2)), (0.1, R(0.1)),
    (np.float32(0.1), R(float(np.float32(0.1)))),
    ("+.5", R(1, 2)), ("-3.", -3), ("-1.5e2/7", R(-150, 7)),
    (np.int64(4), 4), (sp.pi, sp.pi), (sp.Float("0.5"), R(1, 2)), ("1e400", R(10) ** 400),
]  # fmt: skip


@pytest.mark.parametrize(("given", "number"), EXACT)
def test_numbers_are_taken_exactly(given, number):
    assert abs(cb.reference(x**2, {"x": given}, digits=30) - 2 * number) <= R(1, 10**28) * number**2
    assert cb.reference(x, {"x": given}, order=0, digits=25) == sp.N(number, 25)


BAD_POINTS = [
    ({"x": float("nan")}, cb.DerivativeError, "x is nan; a reference needs a finite point"),
    ({"x": np.inf}, cb.DerivativeError, "finite point"),
    ({"x": "nan"}, cb.DTypeError, "a number is written like"),
    ({"x": "0.1+2"}, cb.DTypeError, "a number is written like"),
    ({"x": "1/0"}, cb.DTypeError, "division by zero"),
    ({"x": "__import__('os')"}, cb.DTypeError, "a number is written like"),
    ({"x": True}, cb.DTypeError, "write 0 or 1"),
    ({"x": 1j}, cb.DTypeError, "of type complex"),
    ({"x": None}, cb.DTypeError, "NoneType"),
    ({"x": sp.I}, cb.DTypeError, "no finite real number"),
    ({"x": sp.oo}, cb.DTypeError, "no finite real number"),
    ({"x": y}, cb.DTypeError, "no finite real number"),
    ({}, cb.GraphError, "misses \\['x'\\]"),
    ({"x": 1, "q": 2}, cb.GraphError, "unknown \\['q'\\]"),
    ({x: 1, sp.Symbol("x", real=True): 2}, cb.GraphError, "twice"),
    ({1: 1}, cb.DTypeError, "a name in `at`"),
    ([1], cb.DTypeError, "at maps names to exact numbers"),
]


ASKED = {"expression": sp.sin(x), "text": "sin(x)", "function": lambda x: np.sin(x)}


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize(("at", "error", "says"), BAD_POINTS)
def test_bad_points_are_refused(ask, at, error, says):
    with pytest.raises(error, match=says):
        cb.reference(ASKED[ask], at)


def test_an_array_for_a_scalar():
    with pytest.raises(cb.GraphError, match=r"the shape \(2,\)"):
        cb.reference(sp.sin(x), {"x": [1, 2]})
    assert np.shape(cb.reference(lambda x: np.sin(x), {"x": [1, 2]})) == (2, 2)


BAD_CALLS = [
    ({"order": -1}, "order is a whole number from 0 to 50, got -1"),
    ({"order": 51}, "from 0 to 50"),
    ({"order": 1.0}, "got 1.0"),
    ({"order": True}, "got True"),
    ({"digits": 0}, "digits is a whole number from 1 to 10000"),
    ({"digits": 10_001}, "from 1 to 10000"),
    ({"seconds": 0}, "seconds is a positive number"),
    ({"seconds": "5"}, "seconds is a positive number"),
    ({"wrt": "q"}, "wrt names 'q'"),
    ({"wrt": []}, "wrt must name inputs"),
    ({"wrt": ["x", "x"]}, "each once"),
]


@pytest.mark.parametrize(("options", "says"), BAD_CALLS)
def test_bad_options_are_refused(options, says):
    with pytest.raises(cb.CalcbenchError, match=says):
        cb.reference(sp.sin(x), {"x": 1}, **options)


@pytest.mark.parametrize("ask", [None, 3, 1.5, {"x": 1}, sp.Function("f")(x), sp.I * x])
def test_what_is_no_function_is_refused(ask):
    with pytest.raises(cb.CalcbenchError):
        cb.reference(ask, {"x": 1})


def test_names_whatever_the_assumptions():
    mixed = x * sp.Symbol("x", positive=True) * sp.Symbol("y", integer=True)
    found = cb.reference(mixed, {x: 3, "y": 2})
    assert {name: int(value) for name, value in found.items()} == {"x": 12, "y": 9}
    assert int(cb.reference(mixed, {"x": 3, "y": 2}, wrt=y)) == 9
    assert list(cb.reference(mixed, {"x": 3, "y": 2}, wrt=["y", "x"])) == ["y", "x"]


def test_several_outputs_nested_arguments_and_captures():
    weights = np.array([2.0, 3.0])

    def f(model, t=1.0):
        return model["w"] * weights * t, model["b"] ** 2

    first, second = cb.reference(f, {"model": {"w": ["1/2", 1], "b": 4}}, digits=10)
    assert as_floats(first["model['w']"]).tolist() == [[2, 0], [0, 3]]
    assert int(second["model['b']"]) == 8
    with pytest.raises(cb.GraphError, match="name the parameters up to"):
        cb.reference(lambda u=1.0, w=2.0: u * w, {"w": 1})


def test_a_text_of_more_digits_than_python_reads_at_once():
    assert cb.reference(x / R(10) ** 5000, {"x": "9" * 5000}, order=0, digits=20) == sp.Float(1, 20)


def test_arrays_without_entries():
    assert cb.reference(lambda w: np.sum(w**2), {"w": []}).shape == (0,)
    assert cb.reference(lambda w: w[:0], {"w": [1, 2]}).shape == (0, 2)


def test_errors_show_points_of_any_size():
    with pytest.raises(cb.DerivativeError, match=r"x = -1\.0e\+9999"):
        cb.reference(sp.sqrt(x), {"x": "-1e9999"})


# --- limits ---------------------------------------------------------------------------------------


def test_time_is_limited():
    began = time.monotonic()
    with pytest.raises(cb.DerivativeError, match="seconds allowed"):
        cb.reference(
            sp.sin(x) * sp.exp(x) / (1 + x), {"x": "0.5"}, order=50, digits=5000, seconds=0.3
        )
    assert time.monotonic() - began < 5


def test_size_is_limited():
    with pytest.raises(cb.GraphError, match="more than 200000 scalar steps"):
        cb.reference(lambda w: np.sum(w @ w @ w), {"w": np.ones((60, 60))})
    with pytest.raises(cb.GraphError, match="partial derivatives of order 3 were asked for"):
        cb.reference(lambda w: np.sum(w**3), {"w": np.ones(60)}, order=3)
    with pytest.raises(cb.GraphError, match="at most 12 x 12"):
        cb.reference(lambda w: np.linalg.det(w), {"w": np.eye(13)})


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_a_long_reference():
    """The interrupt arrives while series are multiplied, and is not taken for something else."""
    import _thread

    threading.Timer(0.3, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        cb.reference(sp.sin(x) * sp.exp(x) / (1 + x), {"x": "0.5"}, order=50, digits=9000)


def test_the_precision_of_the_users_mpmath_stays():
    before = mpmath.mp.prec
    cb.reference(sp.besselj(1, x) + sp.tan(x), {"x": "0.5"}, digits=200)
    assert mpmath.mp.prec == before


# --- the oracle is independent, and bites ---------------------------------------------------------

WRONG = [
    lambda p: -p,
    lambda p: p * 2,
    lambda p: p + 1e-9,
]


@pytest.mark.parametrize("change", WRONG)
def test_a_wrong_partial_of_the_table_is_seen(change, monkeypatch):
    """The reference does not use the partials, and so differs from a gradient that does."""

    def f(x):
        return np.sin(x) * x

    right = cb.reference(f, {"x": 0.5}, digits=17)
    partials = sin_row.partials

    def wrong(out, operand):
        return tuple(map(change, partials(out, operand)))

    object.__setattr__(sin_row, "partials", wrong)
    try:
        gradient = cb.grad(lambda x: f(x), cache=False)(0.5)
        again = cb.reference(f, {"x": 0.5}, digits=17)
    finally:
        object.__setattr__(sin_row, "partials", partials)
    assert again == right
    assert abs(gradient - float(right)) > 1e-10
    assert abs(cb.grad(lambda x: f(x), cache=False)(0.5) - float(right)) < 1e-15


def test_the_reference_calls_no_derivative_rule_of_any_row(monkeypatch):
    def forbidden(*args, **params):
        raise AssertionError("a rule of the table was used")

    kept = [(r, r.partials, r.transposes, r.jvp) for r in REGISTRY.values()]
    chosen = [
        c for c in CASES if c.name in ("kinks", "linear_system", "soft_functions", "spectrum")
    ]
    try:
        for row, *_ in kept:
            for column in ("partials", "transposes", "jvp"):
                object.__setattr__(row, column, forbidden)
        results = [cb.reference(c.function, at_arguments(c), digits=17) for c in chosen]
    finally:
        for row, *columns in kept:
            for column, rule in zip(("partials", "transposes", "jvp"), columns, strict=True):
                object.__setattr__(row, column, rule)
    for case, result in zip(chosen, results, strict=True):
        jacobian = cb.jacobian(case.function, argnums=float_positions(case))
        assert_program(case, result, jacobian(*case.arguments))
