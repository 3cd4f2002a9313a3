"""`cb.to_sympy` and `cb.from_sympy`: values kept, parts shared, what has no meaning refused."""

import time

import numpy as np
import pytest
import sympy as sp
from cases import CASES
from drawing_samples import ROWS, draw, seeded

import calcbench as cb
from calcbench.graph.explicit import var
from calcbench.graph.interpreter import evaluate
from calcbench.graph.lifting import common_builder, place
from calcbench.graph.trees import leaves_of
from calcbench.symbolic import patterns
from calcbench.symbolic.references.columns import detached


x, y, z = sp.symbols("x y z")
NO_EXPRESSION = {  # sample program -> why it is no expression of its inputs alone
    "computed_indices": "argsort",
    "extremes": "argmax",
    "ordered": "argsort",
    "spectrum": "no point",
    "factors": "no point",
    "least_squares": "no point",
}
# `trace` makes inputs of the arrays that the first two use; SymPy has no float32 for the third.
LEFT_OUT = ("gathered", "written", "mixed_precision")
TRACED = [case for case in CASES if case.name not in LEFT_OUT]


def assert_same(found, wanted, ulps=4):
    found, wanted = np.asarray(found, float), np.asarray(wanted, float)
    assert found.shape == wanted.shape
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    with np.errstate(invalid="ignore"):
        near = np.abs(found - wanted) <= ulps * np.spacing(np.abs(wanted))
    assert np.all(same | near), (found, wanted)


# --- round trips ---------------------------------------------------------------------------------


def arrays_of(case):
    return [np.asarray(leaf)[()] for leaf in leaves_of(case.arguments)]


def assert_round_trip(graph, arrays):
    expressions = cb.to_sympy(graph)
    expressions = expressions if isinstance(expressions, tuple) else (expressions,)
    named = dict(zip(graph.input_names, arrays, strict=True))
    for expression, wanted in zip(expressions, evaluate(graph, *arrays), strict=True):
        back = cb.from_sympy(expression)
        bound = {n: as_input(named[n]) for n in back.input_names}
        scale = np.max(np.abs(wanted), initial=0.0)
        error = np.max(np.abs(np.asarray(back.bind(**bound)) - wanted), initial=0.0)
        assert error <= 2e-15 * scale, (error, scale)


def as_input(value):
    """Integers come back as floats."""
    return value if np.asarray(value).dtype == bool else np.asarray(value, float)


@pytest.mark.parametrize("case", TRACED, ids=lambda c: c.name)
def test_round_trips_of_programs_keep_values(case):
    graph = cb.trace(case.function, *case.arguments)
    if case.name in NO_EXPRESSION:
        with pytest.raises(cb.GraphError, match=NO_EXPRESSION[case.name]):
            cb.to_sympy(graph)
    else:
        assert_round_trip(graph, arrays_of(case))


ELEMENTWISE = [
    (row, sample)
    for row in ROWS.values()
    if row.scalar is not None
    for sample in row.samples
    if all(shape == () for shape in sample.shapes) or len(row.samples) == 1
]


@pytest.mark.parametrize(("row", "sample"), ELEMENTWISE, ids=lambda v: getattr(v, "name", ""))
def test_round_trips_of_rows_keep_values(row, sample):
    values = draw(sample, seeded(row.name, "bridge"))
    scalars = [np.asarray(v).ravel()[0] for v in values]
    names = [f"v{i}" for i in range(len(scalars))]
    operands = [var(n, (), np.asarray(v).dtype) for n, v in zip(names, scalars, strict=True)]
    graph = cb.as_graph(row_of(row, operands, sample))
    back = cb.from_sympy(cb.to_sympy(graph))
    bound = {n: as_input(v) for n, v in zip(names, scalars, strict=True) if n in back.input_names}
    wanted = evaluate(graph, *[v for n, v in zip(names, scalars, strict=True)])[0]
    assert_same(back.bind(**bound), wanted, ulps=8)


def row_of(row, operands, sample):
    """The row on variables of different builders."""
    builder = common_builder(operands)
    placed = [place(builder, v) for v in operands]
    return row(*placed, **sample.params)


EXTREME = [  # (function, points): where a formula taken apart would lose everything
    (np.expm1, [1e-20, -1e-300]),
    (np.log1p, [1e-20, 5e-324]),
    (cb.softplus, [800.0, -800.0, 1e-3]),
    (cb.sigmoid, [800.0, -800.0, -40.0]),
    (lambda v: np.logaddexp(v, 2 * v), [800.0, -800.0]),
    (lambda v: np.hypot(v, 3 * v), [1e200, 1e-200]),
    (np.sinc, [0.0, 1e-9, 3.0]),
    (cb.lgamma, [170.0, 1e5, -2.5]),
    (np.cbrt, [-8.0, 0.0, 1e-300]),
    (np.rint, [0.5, 1.5, -2.5]),
    (np.tanh, [1e-18, 50.0]),
    (cb.erfc, [20.0]),
    (lambda v: v - v + 0.0 * v, [np.inf, 1.0]),
    (lambda v: v / v, [0.0, 2.0]),
    (lambda v: np.where(v > 0, np.sqrt(v), v), [-1.0, 4.0]),
]


@pytest.mark.parametrize(("function", "points"), EXTREME)
def test_extreme_values_survive_the_round_trip(function, points):
    graph = cb.trace(function, 0.7)
    back = cb.from_sympy(cb.to_sympy(graph))
    for point in points:
        assert_same(bind(back, point), evaluate(graph, np.float64(point))[0], ulps=2)


def bind(graph, point):
    (name,) = graph.input_names
    return graph.bind(**{name: point})


def test_without_the_patterns_the_extremes_are_lost(monkeypatch):
    """So that the test above would see a missing pattern."""
    monkeypatch.setattr(patterns, "_patterns", dict)
    back = cb.from_sympy(cb.to_sympy(cb.trace(np.expm1, 0.7)))
    assert bind(back, 1e-20) == 0.0


# --- values by SymPy itself ----------------------------------------------------------------------


def test_expressions_of_programs_have_the_value_that_sympy_computes():
    names = ("powers", "hyperbolas", "steps")
    for case in (c for c in CASES if c.name in names):
        graph = cb.trace(case.function, *case.arguments)
        point = {n: sp.Rational(v) for n, v in zip(graph.input_names, case.arguments, strict=True)}
        expression = cb.to_sympy(graph)
        value = expression.subs({s: point[s.name] for s in expression.free_symbols}).doit()
        wanted = case.function(*case.arguments)
        assert abs(float(value.evalf(30)) - wanted) <= 1e-13 * abs(wanted), case.name


USER = [  # expressions that nobody traced
    (sp.cot(x) + sp.sec(x) * sp.csc(x), {"x": 0.7}),
    (sp.coth(x) + sp.csch(x) * sp.sech(x), {"x": 0.7}),
    (sp.Heaviside(x - 1) + 2 * sp.Heaviside(x - sp.Rational(1, 2)), {"x": 0.5}),
    (sp.Piecewise((x, x < 0), (x**2, x < 2), (3, True)), {"x": 1.5}),
    (sp.Max(x, y, 1) * sp.Min(x, y), {"x": 0.3, "y": 2.0}),
    (sp.pi * x**2 + sp.E**y - sp.sqrt(2), {"x": 0.3, "y": 2.0}),
    (x ** sp.Rational(5, 3) / (3 * y), {"x": 0.3, "y": 2.0}),
    (sp.atan2(y, x) + sp.asinh(x) + sp.polygamma(2, y), {"x": 0.3, "y": 2.0}),
    (sp.log(1 + sp.exp(x)) + 1 / (1 + sp.exp(-x)), {"x": 0.3}),
    (sp.Mod(x, 2) + sp.floor(y) - sp.ceiling(x) + sp.sign(y), {"x": 7.3, "y": -2.5}),
    (sp.Piecewise((1, (x > 0) & ~(y > 0) | sp.Eq(x, 2)), (0, True)), {"x": 1.0, "y": -2.0}),
    (sp.Rational(1, 3), {}),
    ((x + y) ** 2 / (x - y), {"x": 0.3, "y": 2.0}),
]


@pytest.mark.parametrize(("expression", "point"), USER)
def test_from_sympy_computes_what_sympy_computes(expression, point):
    exact = {sp.Symbol(n): sp.Rational(v) for n, v in point.items()}
    wanted = float(expression.subs(exact).evalf(30))
    assert abs(cb.from_sympy(expression).bind(**point) - wanted) <= 1e-14 * abs(wanted)


def test_arrays_entry_by_entry():
    graph = cb.trace(lambda a, v: np.tanh(a @ v), np.ones((2, 2)), np.ones(2))
    expressions = cb.to_sympy(graph)
    assert expressions.shape == (2,)
    assert str(expressions[1]) == "tanh(a[1, 0]*v[0] + a[1, 1]*v[1])"
    back = cb.from_sympy(expressions)
    a, v = np.array([[0.1, 0.2], [0.3, -0.4]]), np.array([0.5, 2.0])
    assert back.input_names == ("a", "v")
    assert_same(back.bind(a=a, v=v), np.tanh(a @ v))
    matrix = cb.from_sympy(sp.Matrix([[x * y, x], [1, y]]))
    assert matrix.bind(x=2.0, y=3.0).tolist() == [[6, 2], [1, 3]]


def test_floats_are_the_fractions_that_they_are():
    assert cb.to_sympy(cb.as_graph(cb.var("x") * 0.1)).args[1] == sp.Rational(0.1)


def test_nothing_is_evaluated_on_the_way():
    expression = cb.to_sympy(cb.trace(lambda x: x - x + 0 * x, 1.0))
    assert expression != 0
    assert expression.doit() == 0


def test_a_recorded_path_holds_under_its_conditions():
    expression = cb.to_sympy(cb.trace(lambda x: x**2 if x > 1 else x, 2.0))
    graph = cb.from_sympy(expression)
    assert graph.bind(x=3.0) == 9
    assert np.isnan(graph.bind(x=0.5))


def test_detach_is_a_function_without_a_derivative():
    expression = cb.to_sympy(cb.trace(lambda x: cb.detach(x) * x, 2.0))
    (symbol,) = expression.free_symbols
    assert expression.has(detached)
    assert expression.diff(symbol).subs(symbol, 3).evalf() == sp.Float(3)
    assert cb.grad(lambda v: cb.detach(v) * v)(3.0) == 3
    assert cb.from_sympy(expression) == cb.trace(lambda x: cb.detach(x) * x, 2.0)


# --- sharing and size ----------------------------------------------------------------------------


def twelve_times(x):
    for _ in range(12):
        x = x * np.sin(x)
    return x


def deep(x):
    for _ in range(400):
        x = np.sin(x)
    return x


@pytest.mark.parametrize("function", [twelve_times, deep])
def test_shared_parts_stay_shared(function):
    began = time.monotonic()
    graph = cb.trace(function, 0.5)
    expression = cb.to_sympy(graph)
    assert cb.from_sympy(expression) == graph
    assert time.monotonic() - began < 5
    assert distinct_parts(expression) <= len(graph) + 1


def distinct_parts(expression):
    seen, waiting = set(), [expression]
    while waiting:
        part = waiting.pop()
        if id(part) not in seen:
            seen.add(id(part))
            waiting += part.args
    return len(seen)


def test_equal_parts_become_one_node():
    part = sp.sin(x, evaluate=False)
    graph = cb.from_sympy(sp.Add(part, sp.Mul(part, sp.exp(part)), evaluate=False))
    assert [n.row.name for n in graph.nodes].count("sin") == 1


def test_a_chain_of_a_thousand_is_no_recursion():
    def long(x):
        for _ in range(500):
            x = np.sin(x) + 1.0
        return x

    graph = cb.trace(long, 0.5)
    assert cb.from_sympy(cb.to_sympy(graph)) == graph


def test_too_large_is_refused():
    with pytest.raises(cb.GraphError, match="more than 50000 scalar operations"):
        cb.to_sympy(cb.trace(lambda a: a @ a, np.ones((40, 40))))


# --- bad input -----------------------------------------------------------------------------------

BAD_EXPRESSIONS = [
    (sp.besselj(0, x), "besselj .* has no row"),
    (sp.Function("f")(x), "f .* has no row"),
    (sp.I * x, "I is no real number"),
    (sp.zoo + x, "no real number"),
    (sp.Symbol("x", commutative=False), "no real number"),
    (sp.Symbol("x", imaginary=True), "no real number"),
    (sp.IndexedBase("v")[0], "needs a shape"),
    (sp.IndexedBase("v", shape=(2,))[sp.Symbol("i")], "needs a shape"),
    (sp.IndexedBase("v", shape=(2,))[0] + sp.Symbol("v"), "used as"),
    (sp.polygamma(y, x), "order y; the order must be a number"),
    (sp.Integral(x, (x, 0, y)), "Integral"),
]


@pytest.mark.parametrize(("expression", "says"), BAD_EXPRESSIONS)
def test_expressions_without_a_graph_are_refused(expression, says):
    with pytest.raises(cb.GraphError, match=says):
        cb.from_sympy(expression)


@pytest.mark.parametrize("given", ["x*sin(x)", 3.5, None, [x, "y"], [], lambda t: t])
def test_what_is_no_expression_is_refused(given):
    with pytest.raises(cb.CalcbenchError):
        cb.from_sympy(given)


def test_what_is_no_graph_of_numbers_is_refused():
    with pytest.raises(cb.GraphError, match="takes a Graph"):
        cb.to_sympy(lambda t: t)
    with pytest.raises(cb.GraphError, match="sizes must be numbers"):
        cb.to_sympy(cb.as_graph(cb.var("v", (cb.Dim("n"),)) * 2.0))
