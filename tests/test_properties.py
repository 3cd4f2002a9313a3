"""Properties 1-14, 16, 17, 19, 25-27, 29 and 31 of derivatives, on random graphs and programs."""

import dataclasses
import json
from functools import partial

import cases
import graph_properties as properties_of
import mutants
import numpy as np
import pytest
from graph_properties import applied, as_float32, finite, is_rounding_alone
from hypothesis import assume, given, strategies as st
from rounding import agree

import calcbench as cb
from calcbench import compositions, testing
from calcbench.graph import elementwise, structural
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.graph.primitive import REGISTRY, find_primitive
from calcbench.testing import arrays, graphs, inputs, programs, properties


MODERATE = [k for k in testing.KINDS if k != "huge"]
SMOOTH = ("normal", "integer", "near_kink")
seeds = st.integers(0, 2**32 - 1)


@st.composite
def problems(draw, kinds=SMOOTH, **options):
    """A graph, its inputs and a seed for directions."""
    graph = draw(graphs(**options))
    return graph, draw(inputs(graph, kinds)), draw(seeds)


kinked = partial(problems, kinked=True)


# --- 1-4: the two modes --------------------------------------------------------------------------


@given(kinked(MODERATE))
def test_1_the_tangent_is_linear_in_the_direction(problem):
    properties_of.tangent_is_linear(*problem)


@given(kinked(MODERATE))
def test_2_the_pullback_is_linear_in_the_cotangent(problem):
    properties_of.pullback_is_linear(*problem)


@given(kinked(MODERATE))
def test_3_the_modes_are_adjoint(problem):
    properties_of.modes_are_adjoint(*problem)


@given(kinked(MODERATE, max_operations=6))
def test_4_columns_of_forward_are_rows_of_reverse(problem):
    properties_of.columns_are_rows(*problem)


# --- 5-9: the algebra of derivatives -------------------------------------------------------------

vectors = st.integers(1, 4).flatmap(lambda n: arrays((n,), kinds=SMOOTH))


@st.composite
def pairs(draw):
    """Two random functions of one vector with vectors of its length as results, and a point."""
    rows = [r for r in programs.fitting_steps(False) if r[0].row.scalar is not None]
    names = [r[0].row.name for r in rows]
    first, second = [draw(graphs(max_operations=4, rows=names, shapes=[(3,)])) for _ in range(2)]
    return function_of(first), function_of(second), draw(arrays((3,), kinds=SMOOTH))


def function_of(graph):
    """The graph as a function of one vector, which all its inputs share."""
    return lambda x: applied(graph)(*[x] * len(graph.inputs))


def jacobians(x, *functions):
    found = [cb.jacobian(f)(x) for f in functions]
    assume(finite(*found) and max(np.max(np.abs(j)) for j in found) < 1e6)
    return found


@given(pairs(), st.integers(-3, 3), st.integers(-3, 3))
def test_5_to_7_sums_products_and_quotients(pair, a, b):
    f, g, x = pair

    def h(x):
        return g(x) ** 2 + 1.0

    jacobians(x, f, h)
    assume(np.max(np.abs(f(x))) < 1e3 and np.max(h(x)) < 1e3)
    sum_product_and_quotient_rules(f, h, x, a, b)


def sum_product_and_quotient_rules(f, h, x, a, b):
    df, dh = cb.jacobian(f)(x), cb.jacobian(h)(x)
    fx, hx = f(x)[:, None], h(x)[:, None]
    rules = {
        "sum": (lambda x: a * f(x) + b * h(x), a * df + b * dh),
        "product": (lambda x: f(x) * h(x), df * hx + fx * dh),
        "quotient": (lambda x: f(x) / h(x), (df * hx - fx * dh) / hx**2),
    }
    size = 1e-11 * (1 + np.max(np.abs(df))) * (1 + np.max(np.abs(dh))) * (1 + np.max(np.abs(fx)))
    for name, (function, expected) in rules.items():
        agree(cb.jacobian(function)(x), expected, size * np.max(hx), name)


@given(pairs())
def test_8_the_chain_rule(pair):
    f, g, x = pair
    jacobians(x, g)
    jacobians(g(x), f)
    testing.check_chain_rule(f, g, x)


INVERSES = {
    "sinh": (np.sinh, np.arcsinh),
    "exp": (np.exp, np.log),
    "tan": (np.tan, np.arctan),
    "tanh": (np.tanh, np.arctanh),
    "expm1": (np.expm1, np.log1p),
    "solve": (lambda x: np.linalg.solve(cases.SPD, x), lambda x: cases.SPD @ x),
    "cumsum": (np.cumsum, lambda x: np.diff(x, prepend=0.0)),
}


@pytest.mark.parametrize("name", INVERSES)
@given(arrays((3,), kinds=SMOOTH).map(np.tanh))
def test_9_the_jacobian_of_an_inverse_is_the_inverse(name, x):
    inverses_have_inverse_jacobians(name, x)


def inverses_have_inverse_jacobians(name, x):
    f, inverse = INVERSES[name]
    product = cb.jacobian(inverse)(f(x)) @ cb.jacobian(f)(x)
    agree(product, np.eye(3), 1e-13, name)
    agree(cb.jacobian(lambda x: inverse(f(x)))(x), np.eye(3), 1e-13, name)


# --- 10-14, 16: second order and symmetries ------------------------------------------------------


@given(problems(scalar_output=True, max_operations=6))
def test_10_and_11_the_hessian_is_symmetric_however_it_is_composed(problem):
    properties_of.second_derivatives_agree(*problem)


HOMOGENEOUS = {
    "cubes": (3, lambda x: np.sum(x**3) + x[0] ** 2 * x[1]),
    "norm": (1, np.linalg.norm),
    "3-norm": (1, lambda x: np.linalg.norm(x, 3)),
    "geometric mean": (1, lambda x: np.prod(x) ** (1 / x.size)),
    "quotient": (0, lambda x: x[0] / np.sum(x)),
    "maximum": (1, np.max),
    "determinant": (2, lambda x: np.linalg.det(x[:, None] * x[None] + np.diag(x) * x[0])),
}


@pytest.mark.parametrize("name", HOMOGENEOUS)
@given(arrays((2,), kinds=SMOOTH))
def test_12_euler_for_homogeneous_functions(name, x):
    degree, function = HOMOGENEOUS[name]
    degree = 2 * x.size if name == "determinant" else degree
    testing.check_homogeneity(function, 0.1 + np.abs(x), degree=degree)


@given(vectors)
def test_13_gradients_of_shift_invariant_functions_sum_to_zero(x):
    weights = np.arange(1.0, x.size + 1)
    testing.check_shift_invariance(lambda x: cb.logsumexp(x) - np.mean(x), x, scale=1.0)
    testing.check_shift_invariance(lambda x: np.sum(weights * cb.softmax(x)), x, scale=1.0)
    testing.check_shift_invariance(np.var, x)
    testing.check_shift_invariance(lambda x: np.max(x) - np.min(x), x)


@given(pairs(), st.sampled_from([0.5, -1.5, 3.0]))
def test_14_gradients_scale(pair, factor):
    f, _, x = pair
    jacobians(factor * x, f)
    testing.check_scaling(f, x, factor=factor)


@given(pairs())
def test_16_even_functions_have_odd_gradients(pair):
    f, _, x = pair
    jacobians(x, f)
    jacobians(-x, f)
    testing.check_parity(lambda x: f(x) + f(-x), x, parity="even", rtol=1e-9)
    testing.check_parity(lambda x: f(x) - f(-x), x, parity="odd", rtol=1e-9)


# --- 17, 29, 31: differences, SymPy, complex steps -----------------------------------------------

SCALAR = [
    name
    for name, row in sorted(REGISTRY.items())
    if programs.is_smooth(row) and row.scalar is not None and row.sympy is not None
]
scalar_problems = partial(problems, max_operations=4, rows=SCALAR, shapes=[()])


@given(scalar_problems())
def test_17_the_exact_taylor_remainder_has_the_exponents_two_and_three(problem):
    properties_of.taylor_exponents(*problem)


@given(problems(max_operations=6), st.sampled_from([1, 2]))
def test_17_the_taylor_remainder_of_any_smooth_graph(problem, order):
    graph, xs, seed = problem
    assume(finite(*evaluate(graph, *xs)) and not is_rounding_alone(graph, xs))
    # Higher terms may hide the leading one over the steps used; half an order is allowed for it.
    testing.check_taylor(applied(graph), *xs, rng=seed, order=order, least=order + 0.5)


@given(vectors, seeds)
def test_17_the_fitted_exponent_is_two_or_three(x, seed):
    for order, most in ((1, 2.1), (2, 3.1)):
        testing.check_taylor(lambda x: np.exp(x), x, order=order, rng=seed, most=most)


@given(scalar_problems())
def test_29_both_modes_are_sympys_derivative_at_fifty_digits(problem):
    properties_of.is_sympys_derivative(*problem)


def test_29_holds_where_sympy_cannot_tell_that_the_argument_of_a_sign_is_real():
    x = cb.var("x")
    graph = cb.as_graph(np.cbrt(1.55 + 1.45 * np.tanh(np.arccos(0.9 * np.tanh(x)))))
    properties_of.is_sympys_derivative(graph, [np.float64(0.0)], 0)


ANALYTIC = """
    add subtract multiply negative divide reciprocal square power sqrt exp exp2 expm1 log log1p sin
    cos tan sinh cosh tanh arcsin arctan arcsinh arctanh matmul sum cumsum prod cumprod reshape
    transpose broadcast flip slice pad gather scatter_add concatenate diagonal from_diagonal inv
    solve
"""


@given(problems(max_operations=8, rows=ANALYTIC.split()))
def test_31_complex_step(problem):
    properties_of.is_the_complex_step(*problem)


# --- 19, 25-27: the same bits --------------------------------------------------------------------


@given(kinked(testing.KINDS))
def test_19_rewriting_renumbering_dead_nodes_and_plans_keep_every_bit(problem):
    properties_of.rewriting_keeps_bits(*problem)


@given(problems(max_operations=8))
def test_25_float32_is_near_the_rounding_of_float64(problem):
    properties_of.float32_is_rounded_float64(*problem)


@given(kinked(testing.KINDS))
def test_26_json_keeps_every_bit(problem):
    properties_of.json_keeps_bits(*problem)


@given(kinked(testing.KINDS))
def test_27_two_runs_give_the_same_bits(problem):
    properties_of.two_runs_give_the_same_bits(*problem)


# --- the sample programs -------------------------------------------------------------------------

DOUBLE = [c for c in cases.CASES if not any(w in c.name for w in ("converted", "mixed"))]
named = pytest.mark.parametrize("case", DOUBLE, ids=lambda c: c.name)


@named
def test_the_sample_programs_have_the_properties(case):
    floats = all(np.asarray(a).dtype == float for a in case.arguments)
    if floats:
        testing.check_linearity(case.function, *case.arguments, rng=0)
        testing.check_adjoint_identity(case.function, *case.arguments, rng=0)
        testing.check_modes_agree(case.function, *case.arguments)
    testing.check_same_bits(case.function, *case.arguments)


# --- the properties bite -------------------------------------------------------------------------


def spoiled(transform):
    """The transform, and one more added to the last output of what it writes."""

    def faulty(graph: Graph, wrt=None) -> Graph:
        right = transform(graph, wrt)
        builder = Builder()
        named = zip(right.input_names, right.inputs, strict=True)
        ids = [builder.add_input(n, right.types[i]) for n, i in named]
        new = right.run(ids, lambda n, o: builder.add(n.row, tuple(o), n.params))
        last = Value(builder, new[right.outputs[-1]])
        outputs = [new[i] for i in right.outputs[:-1]]
        return builder.freeze([*outputs, (last + structural.full(last, 1.0)).id])

    return faulty


def with_row(name, **columns):
    """A transform of graphs: the row is replaced by one with other columns."""
    wrong = dataclasses.replace(find_primitive(name), **columns)

    def replaced(graph):
        nodes = [n._replace(row=wrong) if n.row.name == name else n for n in graph.nodes]
        return dataclasses.replace(graph, nodes=tuple(nodes))

    return replaced


FLIPPED = with_row("sin", partials=lambda z, x: (-elementwise.cos(x),))
BENT = with_row("sin", partials=lambda z, x: (mutants.frozen(elementwise.cos(x)),))
LOPSIDED = with_row("multiply", partials=lambda z, x, y: (y, x * 2.0))
UNTRANSPOSED = with_row("sum", transposes=lambda i: lambda ct, x, axes: -x * 0.0)
SQUARED = with_row(
    "sum", kind="linearised", transposes=None, jvp=lambda z, xs, dxs, axes: z * 0.0 + 1.0
)


def after(change, transform):
    """The transform of a graph whose rule was changed."""
    return lambda graph, wrt=None: transform(change(graph), wrt)


def sample_graph():
    x, y = cb.var("x"), cb.var("y")
    return cb.as_graph(np.sin(x * y) * x)


def sum_graph():
    x = cb.var("x", shape=(3,))
    return cb.as_graph(np.sum(np.sin(x)) * 2.0)


def misread(text):
    found = json.loads(text)
    found["outputs"] = found["inputs"][:1] * len(found["outputs"])
    return cb.graph_from_json(json.dumps(found))


def drifting(graph, *inputs, state=[0.0]):  # noqa: B006 - the fault that is wanted
    state[0] += 1.0
    return [v + state[0] for v in evaluate(graph, *inputs)]


def reassociated(graph):
    """Equal in exact arithmetic only: x is written as (x + 1) - 1."""
    return wrapped(graph, lambda v: (v + 1e3) - 1e3)


def halved(graph):
    """In float32, with less than its precision."""
    return wrapped(as_float32(graph), lambda v: (v + 1e3) - 1e3)


def wrapped(graph, last):
    builder = Builder()
    named = zip(graph.input_names, graph.inputs, strict=True)
    ids = [builder.add_input(n, graph.types[i]) for n, i in named]
    new = graph.run(ids, lambda n, o: builder.add(n.row, tuple(o), n.params))
    return builder.freeze([last(Value(builder, new[i])).id for i in graph.outputs])


PUSH, PULL = cb.jvp_graph, cb.vjp_graph
GRAPH_BITES = {
    "1, affine": (properties_of.tangent_is_linear, {"push": spoiled(PUSH)}),
    "1, rule not linear": (properties_of.tangent_is_linear, {"push": after(SQUARED, PUSH)}),
    "2, affine": (properties_of.pullback_is_linear, {"pull": spoiled(PULL)}),
    "3, forward": (properties_of.modes_are_adjoint, {"push": spoiled(PUSH)}),
    "3, reverse": (properties_of.modes_are_adjoint, {"pull": spoiled(PULL)}),
    "3, transpose": (properties_of.modes_are_adjoint, {"pull": after(UNTRANSPOSED, PULL)}),
    "3, sign": (properties_of.modes_are_adjoint, {"pull": after(FLIPPED, PULL)}),
    "4, forward": (properties_of.columns_are_rows, {"push": spoiled(PUSH)}),
    "4, sign": (properties_of.columns_are_rows, {"pull": after(FLIPPED, PULL)}),
    "4, both": (
        properties_of.columns_are_rows,
        {"push": after(FLIPPED, PUSH), "pull": after(FLIPPED, PULL)},
    ),
    "10": (
        properties_of.second_derivatives_agree,
        {"push": after(LOPSIDED, PUSH), "pull": after(LOPSIDED, PULL)},
    ),
    "11": (properties_of.second_derivatives_agree, {"pull": after(BENT, PULL)}),
    "19": (properties_of.rewriting_keeps_bits, {"rewrite": reassociated}),
    "25": (properties_of.float32_is_rounded_float64, {"narrowed": halved}),
    "26": (properties_of.json_keeps_bits, {"read": misread}),
    "27": (properties_of.two_runs_give_the_same_bits, {"run": drifting}),
    "29, forward": (properties_of.is_sympys_derivative, {"push": after(FLIPPED, PUSH)}),
    "29, reverse": (properties_of.is_sympys_derivative, {"pull": after(FLIPPED, PULL)}),
    "31": (properties_of.is_the_complex_step, {"push": after(FLIPPED, PUSH)}),
    "17, first order": (properties_of.taylor_exponents, {"push": after(FLIPPED, PUSH)}),
    "17, second order": (properties_of.taylor_exponents, {"push": after(BENT, PUSH)}),
}
POINTS = [
    (sample_graph, [np.float64(0.7), np.float64(1.9)]),
    (sum_graph, [np.array([0.7, -1.1, 2.3])]),
]


@pytest.mark.parametrize("name", GRAPH_BITES)
def test_a_property_of_graphs_bites(name):
    holds, fault = GRAPH_BITES[name]
    summed = any(word in name for word in ("transpose", "linear"))
    graph, xs = POINTS[summed][0](), POINTS[summed][1]
    holds(graph, xs, 3)
    with pytest.raises(AssertionError):
        holds(graph, xs, 3, **fault)


# --- the checkers of cb.testing bite -------------------------------------------------------------


def ruled(name, **columns):
    """A function whose derivative follows a wrong rule."""
    wrong = dataclasses.replace(find_primitive(name), **columns)
    return lambda *xs: wrong(*xs) if isinstance(xs[0], Value) else wrong.numpy(*xs)


flipped = ruled("sin", partials=lambda z, x: (-elementwise.cos(x),))
tilted = ruled("sin", partials=lambda z, x: (elementwise.cos(x) + x,))
bent = ruled("sin", partials=lambda z, x: (mutants.frozen(elementwise.cos(x)),))
lopsided = ruled("multiply", partials=lambda z, x, y: (y, x * 2.0))
ONES = np.ones(3)
# fmt: off
CHECKER_BITES = {
    "Taylor": lambda: testing.check_taylor(flipped, ONES, rng=0),
    "Taylor, 1e-4": lambda: testing.check_taylor(
        lambda x: np.sin(x) + 1e-4 * cb.detach(x), ONES, rng=0),
    "Taylor, second order": lambda: testing.check_taylor(bent, ONES, order=2, rng=0),
    "Taylor, at most": lambda: testing.check_taylor(np.exp, ONES, rng=0, most=1.9),
    "Hessian": lambda: testing.check_hessian_symmetry(
        lambda x: lopsided(x[0], x[1]) * x[0], ONES, rng=0),
    "Euler": lambda: testing.check_homogeneity(lambda x: np.sum(x**3 + x), ONES, degree=3),
    "Euler, detached": lambda: testing.check_homogeneity(
        lambda x: cb.detach(x[0]) * x[1], ONES, degree=2),
    "shift": lambda: testing.check_shift_invariance(lambda x: np.sum(x**2), ONES),
    "parity, even": lambda: testing.check_parity(lambda x: tilted(x) * x, ONES, parity="even"),
    "parity, odd": lambda: testing.check_parity(tilted, ONES, parity="odd"),
    "complex step": lambda: testing.check_complex_step(flipped, ONES, rng=0),
}
# fmt: on


@pytest.mark.parametrize("name", CHECKER_BITES)
def test_a_checker_bites_on_a_wrong_rule(name):
    with pytest.raises(AssertionError):
        CHECKER_BITES[name]()


# The names of each transform where derivatives are composed: forward mode has two orders of nodes.
SPELLINGS = {"vjp_graph": ("vjp_graph",), "jvp_graph": ("jvp_graph", "interleaved_jvp")}


# What each checker says where the reverse transform adds 1, or the forward transform does.
TRANSFORM_BITES = {
    "vjp_graph": {
        "forward against reverse": lambda f: testing.check_modes_agree(f, ONES),
        "adjoint": lambda f: testing.check_adjoint_identity(f, ONES, rng=0),
        "linearity of the pullback": lambda f: testing.check_linearity(f, ONES, rng=0),
        "chain rule": lambda f: testing.check_chain_rule(np.sum, f, ONES),
    },
    "jvp_graph": {
        "forward against reverse": lambda f: testing.check_modes_agree(f, ONES),
        "linearity of the tangent": lambda f: testing.check_linearity(f, ONES, rng=0),
        "complex step": lambda f: testing.check_complex_step(f, ONES, rng=0),
        "scaling": lambda f: testing.check_scaling(f, ONES, factor=2.0),
        "Hessian-vector": lambda f: testing.check_hessian_symmetry(
            lambda x: np.sum(f(x)), ONES, rng=0
        ),
        "remainder": lambda f: testing.check_taylor(f, ONES, rng=0),
    },
}


@pytest.mark.parametrize(
    ("transform", "says"), [(t, s) for t, b in TRANSFORM_BITES.items() for s in b]
)
def test_a_checker_bites_on_a_wrong_transform(transform, says, monkeypatch):
    def function(x):
        return np.sin(x) * x**2

    check = TRANSFORM_BITES[transform][says]
    check(function)
    for name in SPELLINGS[transform]:
        monkeypatch.setattr(compositions, name, spoiled(getattr(compositions, name)))
    with pytest.raises(AssertionError, match=says):
        check(lambda x: function(x))


# Rows of which a wrong rule breaks the algebra, by what the failure says (a f is a product too).
ALGEBRA_BITES = {
    "sum": ("add", lambda z, x, y: (1, -1)),
    "sum|product": ("multiply", lambda z, x, y: (y, x * 2.0)),
    "quotient": ("divide", lambda z, x, y: (1.0 / y, z / y)),
    "sinh": ("arcsinh", lambda z, x: (x,)),
    "exp": ("log", lambda z, x: (x,)),
}


@pytest.mark.parametrize("name", ALGEBRA_BITES)
def test_the_algebra_of_derivatives_bites(name, monkeypatch):
    def holds():
        if name in INVERSES:
            return inverses_have_inverse_jacobians(name, np.array([0.2, 0.7, -0.4]))
        # New functions: recordings of the old ones would be reused.
        return sum_product_and_quotient_rules(
            lambda x: np.sin(x), lambda x: np.cosh(x), np.array([0.2, 0.7, -0.4]), 2, 3
        )

    holds()
    row, partials = ALGEBRA_BITES[name]
    for mode in (spelling for names in SPELLINGS.values() for spelling in names):
        wrong = after(with_row(row, partials=partials), getattr(compositions, mode))
        monkeypatch.setattr(compositions, mode, wrong)
    with pytest.raises(AssertionError, match=name):
        holds()


def test_the_checker_of_bits_bites(monkeypatch):
    testing.check_same_bits(np.sin, ONES)
    monkeypatch.setattr(properties, "graph_from_json", misread)
    with pytest.raises(AssertionError, match="differ in bits"):
        testing.check_same_bits(np.sin, ONES)
