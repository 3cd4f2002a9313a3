"""Properties 1-14, 16, 17, 19, 25-27, 29 and 31 of derivatives, on random graphs and programs."""

import cases
import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given, strategies as st

import calcbench as cb
from calcbench.graph.checker import check_graph
from calcbench.graph.elementwise import sin
from calcbench.graph.evaluation import Plan
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.nodes import INPUT
from calcbench.graph.primitive import find_primitive
from calcbench.graph.rewriting import simplify
from calcbench.testing import (
    check_adjoint_identity,
    check_hessian_symmetry,
    check_homogeneity,
    check_linearity,
    check_modes_agree,
    check_shift_invariance,
    check_taylor,
    graphs,
    points,
    properties,
)


def same_bits(first, second):
    return all(
        np.asarray(a).tobytes() == np.asarray(b).tobytes()
        for a, b in zip(first, second, strict=True)
    )


def finite(values):
    return all(np.all(np.isfinite(v)) for v in values)


def ones_like_inputs(graph):
    return [np.ones(graph.types[i].shape)[()] for i in graph.inputs]


FLOOR = 1e-4  # numbers near 1 cancel on the way: nothing is compared below this size


def gap(found, expected, *scales):
    """Error relative to the largest number involved."""
    largest = max([np.max(np.abs(v), initial=0.0) for v in (expected, *scales)] + [FLOOR])
    return np.max(np.abs(np.asarray(found) - expected), initial=0.0) / largest


@st.composite
def problems(draw, **options):
    graph = draw(graphs(**options))
    return graph, draw(points(graph, special=options.get("kinked", False))), draw(seeds)


seeds = st.integers(0, 2**32 - 1)


def tangents_of(xs, seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=np.shape(x))[()] for x in xs]


# --- 1-4: the two modes --------------------------------------------------------------------------


@given(problems(kinked=True))
def test_1_the_tangent_is_linear_in_the_direction(problem):
    graph, xs, seed = problem
    pushed = cb.jvp_graph(graph)
    u, v = tangents_of(xs, seed), tangents_of(xs, seed + 1)
    _, du = evaluate(pushed, *xs, *u)
    _, dv = evaluate(pushed, *xs, *v)
    _, both = evaluate(pushed, *xs, *[2.0 * a - 3.0 * b for a, b in zip(u, v, strict=True)])
    assume(finite((du, dv)))
    assert gap(both, 2.0 * du - 3.0 * dv, du, dv) < 1e-9


@given(problems(kinked=True))
def test_2_the_pullback_is_linear_in_the_cotangent(problem):
    graph, xs, seed = problem
    pulled = cb.vjp_graph(graph)
    y = evaluate(graph, *xs)
    (a,), (b,) = tangents_of(y, seed), tangents_of(y, seed + 1)
    ones = evaluate(pulled, *xs, a)[1:]
    others = evaluate(pulled, *xs, b)[1:]
    both = evaluate(pulled, *xs, 2.0 * a - 3.0 * b)[1:]
    assume(finite((*ones, *others)))
    for one, other, joint in zip(ones, others, both, strict=True):
        assert gap(joint, 2.0 * one - 3.0 * other, one, other) < 1e-9


@given(problems(kinked=True))
def test_3_the_modes_are_adjoint(problem):
    graph, xs, seed = problem
    dx = tangents_of(xs, seed)
    y, dy = evaluate(check_graph(cb.jvp_graph(graph)), *xs, *dx)
    (ct,) = tangents_of((y,), seed + 1)
    cts = evaluate(check_graph(cb.vjp_graph(graph)), *xs, ct)[1:]
    assume(finite((dy, *cts)))
    pairs = [c * d for c, d in zip(cts, dx, strict=True)]
    scale = np.sum(np.abs(ct * dy)) + sum(np.sum(np.abs(p)) for p in pairs)
    assert abs(np.sum(ct * dy) - sum(map(np.sum, pairs))) <= 1e-9 * max(scale, FLOOR)


@given(problems(kinked=True))
def test_4_columns_of_forward_are_rows_of_reverse(problem):
    graph, xs, _ = problem

    def function(*args):
        return bound(graph, args)

    numbers = tuple(range(len(xs)))
    forward = cb.jacfwd(function, numbers)(*xs)
    reverse = cb.jacrev(function, numbers)(*xs)
    assume(finite(forward))
    for one, other in zip(forward, reverse, strict=True):
        assert gap(one, other) < 1e-9


def bound(graph, args):
    """Run a graph on traced values or arrays by applying its rows."""

    def meaning(node, operands):
        if not operands:
            return node.row.numpy(**dict(node.params))
        first = [v for v in operands if isinstance(v, np.ndarray | np.generic)]
        if len(first) == len(operands):
            return node.row.numpy(*operands, **dict(node.params))
        return node.row(*lifted(operands), **dict(node.params))

    values = graph.run(args, meaning)
    return values[graph.outputs[0]]


def lifted(operands):
    from calcbench.graph.lifting import common_builder, place, value_or_array

    builder = common_builder([v for v in operands if hasattr(v, "builder")])
    return [place(builder, value_or_array(v)) for v in operands]


# --- 5-9: the algebra of derivatives -------------------------------------------------------------


def f(x):
    return np.sin(x) * np.exp(-0.3 * x) + 1.5


def g(x):
    return np.log1p(x**2) + np.cos(x) + 2.0


vectors = st.lists(st.floats(-2, 2, allow_subnormal=False), min_size=1, max_size=4).map(np.array)


@given(vectors, st.floats(-3, 3), st.floats(-3, 3))
def test_5_to_7_sums_products_and_quotients(x, a, b):
    df, dg = np.diag(cb.jacobian(f)(x)), np.diag(cb.jacobian(g)(x))
    rules = {
        "linear": (lambda x: a * f(x) + b * g(x), a * df + b * dg),
        "product": (lambda x: f(x) * g(x), df * g(x) + f(x) * dg),
        "quotient": (lambda x: f(x) / g(x), (df * g(x) - f(x) * dg) / g(x) ** 2),
    }
    for function, expected in rules.values():
        assert gap(np.diag(cb.jacobian(function)(x)), expected, df, dg) < 1e-12


@given(vectors)
def test_8_the_chain_rule(x):
    def outer(u):
        return np.array([np.sum(np.sin(u)), np.prod(u)])

    expected = cb.jacobian(outer)(g(x)) @ cb.jacobian(g)(x)
    assert gap(cb.jacobian(lambda x: outer(g(x)))(x), expected) < 1e-12


@given(vectors)
def test_9_the_jacobian_of_an_inverse_is_the_inverse(x):
    product = cb.jacobian(np.arcsinh)(np.sinh(x)) @ cb.jacobian(np.sinh)(x)
    assert gap(product, np.eye(x.size)) < 1e-12


# --- 10-14, 16: second order and symmetries ------------------------------------------------------


@given(problems(scalar_output=True, max_operations=8))
def test_10_and_11_the_hessian_is_symmetric_however_it_is_composed(problem):
    graph, xs, seed = problem
    dx, other = tangents_of(xs, seed), tangents_of(xs, seed + 1)
    n = len(xs)
    pushed, pulled = cb.jvp_graph(graph), cb.vjp_graph(graph)
    inputs = tuple(range(n))
    # <other, H dx> in four ways
    forward_reverse = evaluate(cb.jvp_graph(pulled, inputs), *xs, 1.0, *dx)[-n:]
    reverse_forward = evaluate(cb.vjp_graph(pushed, inputs), *xs, *dx, np.float64(0), np.float64(1))
    reverse_reverse = evaluate(cb.vjp_graph(pulled, inputs), *xs, np.float64(1), np.float64(0), *dx)
    forward_forward = evaluate(cb.jvp_graph(pushed, inputs), *xs, *dx, *other)[-1]
    first = forward_reverse
    assume(finite((*first, forward_forward)))
    for ways in (reverse_forward[-n:], reverse_reverse[-n:]):
        for a, b in zip(first, ways, strict=True):
            assert gap(a, b, *first) < 1e-8
    inner = sum(np.sum(a * b) for a, b in zip(first, other, strict=True))
    scale = sum(np.sum(np.abs(a * b)) for a, b in zip(first, other, strict=True))
    assert abs(inner - forward_forward) <= 1e-8 * max(scale, abs(forward_forward), FLOOR)
    swapped = evaluate(cb.jvp_graph(pulled, inputs), *xs, 1.0, *other)[-n:]
    mirrored = sum(np.sum(a * b) for a, b in zip(swapped, dx, strict=True))
    scale = sum(np.sum(np.abs(a * b)) for a, b in zip(swapped, dx, strict=True)) + scale
    assert abs(inner - mirrored) <= 1e-8 * max(scale, FLOOR)


positive = st.lists(st.floats(0.1, 3), min_size=2, max_size=4).map(np.array)


@given(positive)
def test_12_euler_for_homogeneous_functions(x):
    check_homogeneity(lambda x: np.sum(x**3) + x[0] ** 2 * x[1], x, degree=3)
    check_homogeneity(np.linalg.norm, x, degree=1)
    check_homogeneity(lambda x: np.prod(x) ** (1 / x.size), x, degree=1)


@given(vectors)
def test_13_gradients_of_shift_invariant_functions_sum_to_zero(x):
    weights = np.arange(1.0, x.size + 1)
    check_shift_invariance(lambda x: cb.logsumexp(x) - np.mean(x), x, scale=1.0)
    check_shift_invariance(lambda x: np.sum(weights * cb.softmax(x)), x, scale=1.0)
    if np.ptp(x) > 1e-3:
        check_shift_invariance(np.std, x)


@given(vectors, st.floats(0.2, 3))
def test_14_and_16_scaling_and_parity(x, c):
    def even(x):
        return np.sum(np.cos(x) + x**4 + np.cosh(x))

    scaled = cb.grad(lambda x: even(c * x))(x)
    assert gap(scaled, c * cb.grad(even)(c * x)) < 1e-12
    assert gap(cb.grad(even)(-x), -cb.grad(even)(x)) < 1e-14
    odd = cb.jacobian(lambda x: np.sin(x) + x**3)
    assert gap(odd(-x), odd(x)) < 1e-14


# --- 17, 31: differences and complex step --------------------------------------------------------


@given(problems(scalar_output=True, max_operations=8))
def test_17_the_taylor_remainder_is_of_second_order(problem):
    graph, xs, seed = problem
    assume(finite(evaluate(graph, *xs)))
    assume(max(np.max(np.abs(v), initial=0) for v in graph_values(graph, xs)) < 1e3)
    # Third derivatives can hide the square over the steps used; half an order is allowed for it.
    check_taylor(lambda x: bound(graph, [x, *xs[1:]]), xs[0], seed, least=1.5)


@given(vectors, seeds)
def test_17_the_fitted_exponent_is_two(x, seed):
    check_taylor(lambda x: np.sum(np.exp(x)), x, seed, least=1.9, most=2.1)


def graph_values(graph, xs):
    with np.errstate(all="ignore"):
        return graph.run(xs, lambda n, o: n.row.numpy(*o, **dict(n.params)))


ANALYTIC = {"sin", "cos", "tanh", "negative", "add", "subtract", "multiply"}


@given(problems(max_operations=10))
def test_31_complex_step(problem):
    """An independent witness: NumPy's complex arithmetic, no rule of calcbench's."""
    graph, xs, seed = problem
    smooth = all(
        n.row is INPUT or n.row.name in ANALYTIC or n.row.scalar is None for n in graph.nodes
    )
    assume(smooth)
    dx = tangents_of(xs, seed)
    moved = [x + 1e-150j * d for x, d in zip(xs, dx, strict=True)]
    expected = np.imag(evaluate(graph, *moved)[0]) / 1e-150
    _, tangent = evaluate(cb.jvp_graph(graph), *xs, *dx)
    assume(finite((expected,)))
    # Sums of terms of both signs lose digits against their largest term.
    values = [np.max(np.abs(v), initial=0) for v in graph_values(graph, xs)]
    assert gap(tangent, expected) < 1e-13 * max(1.0, *values) ** 2


# --- 29: SymPy at 50 digits ----------------------------------------------------------------------


SYMBOLIC = (
    "sin",
    "cos",
    "tanh",
    "arctan",
    "exp",
    "square",
    "sigmoid",
    "add",
    "subtract",
    "multiply",
)


@given(
    st.lists(st.tuples(st.sampled_from(SYMBOLIC), seeds), min_size=1, max_size=7), st.floats(-1, 1)
)
def test_29_both_modes_are_sympys_derivative_at_fifty_digits(steps, at):
    graph, expression, symbol = scalar_program(steps)
    # Four exponentials of each other overflow float64, and then SymPy has the only answer.
    assume(finite(graph_values(cb.jvp_graph(graph), [np.float64(at), np.float64(1)])))
    exact = sp.diff(expression, symbol)
    with mpmath.workdps(50):
        point = sp.Float(at, 60)
        expected = float(exact.subs(symbol, point).evalf(50))
    x, one = np.float64(at), np.float64(1)
    forward = evaluate(cb.jvp_graph(graph), x, one)[1]
    reverse = evaluate(cb.vjp_graph(graph), x, one)[1]
    # Every number met on the way may be rounded, and carried on by the factors that follow it.
    values = [abs(v) for v in graph_values(cb.jvp_graph(graph), [x, one])]
    bound_ = 64 * np.finfo(float).eps * max(1.0, *values, abs(expected)) ** 2 * len(graph)
    assert abs(forward - expected) <= bound_ + 1e-300
    assert abs(reverse - expected) <= bound_ + 1e-300


def scalar_program(steps):
    from calcbench.graph.arraytype import array_type
    from calcbench.graph.lifting import Value

    builder, symbol = Builder(), sp.Symbol("x", real=True)
    values = [(Value(builder, builder.add_input("x", array_type(()))), symbol)]
    for name, seed in steps:
        row = find_primitive(name)
        arity = 2 if "{1}" in row.scalar else 1
        chosen = [values[(seed + 7 * k) % len(values)] for k in range(arity)]
        chosen[0] = values[-1]
        meaning = getattr(sp, row.sympy) if isinstance(row.sympy, str) else row.sympy
        arguments = [s for _, s in chosen]
        symbolic = meaning(*arguments) if isinstance(row.sympy, str) else meaning(sp, *arguments)
        values.append((row(*[v for v, _ in chosen]), symbolic))
    value, expression = values[-1]
    return builder.freeze([value.id]), expression, symbol


# --- 19, 25-27: the same bits --------------------------------------------------------------------


@given(problems(kinked=True))
def test_19_rewriting_renumbering_dead_nodes_and_plans_keep_every_bit(problem):
    graph, xs, _ = problem
    expected = evaluate(graph, *xs)
    assert same_bits(evaluate(check_graph(simplify(graph)), *xs), expected)
    assert same_bits(evaluate(check_graph(simplify(graph, rewrites=False)), *xs), expected)
    assert same_bits(evaluate(check_graph(reordered(graph)), *xs), expected)
    assert same_bits(Plan(graph)(*xs), expected)
    pulled = cb.vjp_graph(graph)
    ct = np.ones_like(expected[0])[()]
    assert same_bits(Plan(pulled)(*xs, ct), evaluate(pulled, *xs, ct))


def reordered(graph):
    """Another topological order: each node as late as its users allow; dead nodes added."""
    builder, new = Builder(), {}
    for index, name in zip(graph.inputs, graph.input_names, strict=True):
        new[index] = builder.add_input(name, graph.types[index])
        if graph.types[index].dtype.kind == "f":
            builder.add(sin, (new[index],))
    pending = [graph.outputs[0]]
    while pending:
        index = pending[-1]
        missing = [i for i in reversed(graph.nodes[index].operands) if i not in new]
        if index not in new and not missing:
            node = graph.nodes[index]
            operands = tuple(new[i] for i in node.operands)
            new[index] = builder.add(node.row, operands, node.params)
        pending.extend(missing) if missing else pending.pop()
    return builder.freeze([new[graph.outputs[0]]])


@given(problems(max_operations=8))
def test_25_float32_is_near_the_rounding_of_float64(problem):
    graph, xs, _ = problem
    narrow = [np.asarray(x, np.float32)[()] for x in xs]
    wide = [np.asarray(x, np.float64)[()] for x in narrow]
    values = graph_values(graph, wide)
    assume(finite(values))
    largest = max(np.max(np.abs(v), initial=0) for v in values)
    assume(largest < 1e3)
    found = as_float32(graph)
    result = evaluate(found, *narrow)[0]
    assert result.dtype == np.float32
    # Each operation rounds once and may amplify by the values it multiplies.
    amplification = max(1.0, largest) ** 2 * len(graph.nodes) * 32
    difference = np.max(np.abs(result - values[graph.outputs[0]]), initial=0)
    assert difference <= np.finfo(np.float32).eps * amplification * max(1.0, largest)


def as_float32(graph):
    from calcbench.graph.arraytype import FLOAT32, ArrayType

    builder = Builder()
    ids = [
        builder.add_input(n, ArrayType(graph.types[i].shape, FLOAT32))
        for n, i in zip(graph.input_names, graph.inputs, strict=True)
    ]
    new = graph.run(ids, lambda n, o: builder.add(n.row, tuple(o), n.params))
    return check_graph(builder.freeze([new[i] for i in graph.outputs]))


@given(problems(kinked=True))
def test_26_json_keeps_every_bit(problem):
    graph, xs, _ = problem
    for written in (graph, cb.vjp_graph(graph), cb.jvp_graph(graph)):
        assert cb.graph_from_json(cb.graph_to_json(written)) == written
    assert same_bits(
        evaluate(cb.graph_from_json(cb.graph_to_json(graph)), *xs), evaluate(graph, *xs)
    )


@pytest.mark.parametrize("case", cases.CASES, ids=lambda c: c.name)
def test_26_json_keeps_the_sample_programs(case):
    graph = cb.trace(case.function, *case.arguments)
    assert cb.graph_from_json(cb.graph_to_json(graph)) == graph


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no graph"),
        ("[]", "no graph"),
        ('{"schema": 2}', "schema 2"),
        ('{"schema": 1}', "no graph"),
        (
            '{"schema": 1, "nodes": [["eval", [], [], 0]], "types": [{"type": [{"tuple": []}, '
            '"f64"]}], "inputs": [], "outputs": [0], "guards": []}',
            "no primitive is named 'eval'",
        ),
        (
            '{"schema": 1, "nodes": [["constant", [], [["value", {"literal": ["f64", [1000000000'
            '], "AAAA"]}]], 0]], "types": [], "inputs": [], "outputs": [], "guards": []}',
            "has 3 bytes",
        ),
        (
            '{"schema": 1, "nodes": [["sin", [0], [], 0]], "types": [{"type": [{"tuple": []}, '
            '"f64"]}], "inputs": [], "outputs": [0], "guards": []}',
            "before it is defined",
        ),
    ],
)
def test_26_what_is_no_graph_is_refused(text, message):
    with pytest.raises(cb.GraphError, match=message):
        cb.graph_from_json(text)


@given(problems(kinked=True))
def test_27_two_runs_give_the_same_bits(problem):
    graph, xs, seed = problem
    ct = tangents_of(evaluate(graph, *xs), seed)[0]
    first = evaluate(cb.vjp_graph(graph), *xs, ct)
    assert same_bits(evaluate(cb.vjp_graph(graph), *xs, ct), first)


# --- the checkers bite ---------------------------------------------------------------------------


SMOOTH = [c for c in cases.CASES if len(c.arguments) == 1 and np.ndim(c.arguments[0]) == 1]


@pytest.mark.parametrize("case", SMOOTH, ids=lambda c: c.name)
def test_the_checkers_pass_on_the_sample_programs(case):
    x = np.asarray(case.arguments[0], float)
    if "converted" in case.name or "mixed" in case.name:
        pytest.skip("part of it is computed in float32")
    check_linearity(case.function, x, rng=0)
    check_adjoint_identity(case.function, x, rng=0)
    check_modes_agree(case.function, x)


def wrong_rule(x):
    """sin with a derivative that forgets a factor, as a user's mistake would."""
    return np.sin(x) + cb.detach(np.sin(2 * x))


BITES = {
    "Taylor": lambda: check_taylor(wrong_rule, np.ones(3), rng=0),
    "Euler": lambda: check_homogeneity(lambda x: np.sum(x**3 + x), np.ones(3), degree=3),
    "shift": lambda: check_shift_invariance(lambda x: np.sum(x**2), np.ones(3)),
    "homogeneity of a detached": lambda: check_homogeneity(
        lambda x: cb.detach(x[0]) * x[1], np.ones(2), degree=2
    ),
}


@pytest.mark.parametrize("name", BITES)
def test_a_checker_bites(name):
    with pytest.raises(AssertionError):
        BITES[name]()


def test_the_hessian_checker_bites(monkeypatch):
    def product(x):
        return np.prod(x)

    check_hessian_symmetry(product, np.arange(1.0, 4.0), rng=0)
    skewed = np.arange(9.0).reshape(3, 3)
    monkeypatch.setattr(properties, "hessian", lambda function: lambda x: skewed)
    with pytest.raises(AssertionError, match="symmetry"):
        check_hessian_symmetry(product, np.arange(1.0, 4.0), rng=0)


def test_the_mode_checkers_bite_on_a_wrong_transform(monkeypatch):
    from calcbench import derivatives

    right = derivatives.vjp_graph

    def doubled(graph: Graph, wrt=None) -> Graph:
        pulled = right(graph, wrt)
        builder = Builder()
        named = zip(pulled.input_names, pulled.inputs, strict=True)
        ids = [builder.add_input(n, pulled.types[i]) for n, i in named]
        new = pulled.run(ids, lambda n, o: builder.add(n.row, tuple(o), n.params))
        outputs = [new[i] for i in pulled.outputs]
        last = builder.add(find_primitive("add"), (outputs[-1], outputs[-1]))
        return builder.freeze([*outputs[:-1], last])

    monkeypatch.setattr(derivatives, "vjp_graph", doubled)
    with pytest.raises(AssertionError):
        check_modes_agree(lambda x: np.sin(x) * x, np.ones(3))
    with pytest.raises(AssertionError):
        check_adjoint_identity(lambda x: np.sin(x) * 2.0 * x, np.ones(3), rng=0)
