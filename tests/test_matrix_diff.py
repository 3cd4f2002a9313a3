"""Matrix calculus: 200 identities against differences and entry-by-entry SymPy, and bad input."""

import functools
import itertools
import re
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, strategies as st
from matrix_identities import FIRST, SECOND, declared

import calcbench as cb
from calcbench.graph.checker import check_graph
from calcbench.graph.primitive import REGISTRY
from calcbench.symbolic.layouts import LAYOUTS, derivative_shape
from calcbench.symbolic.matrices.algebra import bind, factor, times
from calcbench.symbolic.matrices.certificates import CertificateError, certify
from calcbench.symbolic.matrices.indexed import Symbol, Tensor, fresh
from calcbench.symbolic.matrices.precise_values import SAME_ON_OBJECTS, Precision
from calcbench.symbolic.text.listed_functions import LISTED


EVERY = [(1, *row) for row in FIRST] + [(2, *row) for row in SECOND]
NAMES = [f"{text} by {wrt}, order {order}" for order, text, wrt, _, _ in EVERY]
identities = pytest.mark.parametrize(
    ("order", "text", "wrt", "shown", "function"), EVERY, ids=NAMES
)


@functools.cache
def derivative(text, wrt, order, layout="mixed"):
    return cb.matrix_diff(text, wrt, layout, order=order, **declared(text))


def sizes_for(text, graph):
    """Different sizes, tall matrices where X'X must be regular."""
    dims = dict.fromkeys(e for i in graph.inputs for e in graph.types[i].shape)
    order = sorted(range(2, 2 + len(dims)), reverse="X'*" in text)
    return dict(zip(dims, order, strict=True))


def values_for(text, graph, rng):
    """Floats at which every identity is smooth: square matrices near multiples of I."""
    sizes, found = sizes_for(text, graph), {}
    for name, index in zip(graph.input_names, graph.inputs, strict=True):
        shape = tuple(sizes[e] for e in graph.types[index].shape)
        value = rng.uniform(0.2, 1.0, shape)
        if len(shape) == 2 and shape[0] == shape[1]:
            value = value + 2.0 * shape[0] * np.eye(shape[0])
        found[name] = (value + value.T) / 2 if name == "S" else value
    if "log(w-A*x)" in text:
        found["w"] = found["w"] + 10.0
    return found


# --- the identities --------------------------------------------------------------------------


@identities
def test_the_answer_is_what_a_person_would_write(order, text, wrt, shown, function):
    assert derivative(text, wrt, order).unicode() == shown


@identities
def test_the_text_means_the_function(order, text, wrt, shown, function, rng):
    graph = cb.parse(text, **declared(text))
    values = values_for(text, graph, rng)
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    expected = function(*(values[n] for n in names))
    np.testing.assert_allclose(graph.bind(**values), expected, rtol=1e-11)


def entries(value, symmetric):
    """Unit changes of the free entries: index and direction."""
    for index in np.ndindex(value.shape):
        unit = np.zeros(value.shape)
        unit[index] = 1.0
        if symmetric:
            unit[index[::-1]] = 1.0
        yield index, unit


def slope(f, x, unit):
    """A central difference with one extrapolation: error h^4."""

    def central(h):
        return (f(x + h * unit) - f(x - h * unit)) / (2 * h)

    return (4 * central(5e-4) - central(1e-3)) / 3


@identities
def test_the_answer_agrees_with_differences_of_the_function(order, text, wrt, shown, function, rng):
    graph = cb.parse(text, **declared(text))
    values = values_for(text, graph, rng)
    names = function.__code__.co_varnames[: function.__code__.co_argcount]

    def f(x):
        return np.asarray(function(*(x if n == wrt else values[n] for n in names)))

    def first(x):
        slopes = [slope(f, x, unit) for _, unit in entries(x, wrt == "S")]
        return np.moveaxis(np.array(slopes), 0, -1).reshape((*f(x).shape, *x.shape))

    def second(x):
        slopes = [slope(first, x, unit) for _, unit in entries(x, wrt == "S")]
        return np.moveaxis(np.array(slopes), 0, -1).reshape((*x.shape, *x.shape))

    measured = (first if order == 1 else second)(values[wrt])
    found = derivative(text, wrt, order).expr.bind(**values)
    size = np.max(np.abs(measured)) if measured.size else 1.0
    tolerance = 1e-7 if order == 1 else 1e-4
    np.testing.assert_allclose(found, measured, rtol=tolerance, atol=tolerance * size)


# --- SymPy, entry by entry ---------------------------------------------------------------------


def sympy_meaning(node, operands):
    """Rows by their SymPy column, on object arrays; the shape rows are NumPy's own."""
    row, params = node.row, dict(node.params)
    if row.name in ("fill", "constant"):
        number = sp.Rational(Fraction(params["value"].array.item()).limit_denominator(10**6))
        return np.full(params.get("shape", ()), number, dtype=object)
    if row.scalar is not None and row.sympy is not None:
        meaning = getattr(sp, row.sympy) if isinstance(row.sympy, str) else row.sympy
        apply = meaning if isinstance(row.sympy, str) else lambda *xs: meaning(sp, *xs)
        return np.frompyfunc(apply, len(operands), 1)(*operands)
    if row.name in ("inv", "det", "logabsdet", "sign_det", "solve"):
        matrices = [sp.Matrix(np.atleast_2d(o.T).T) for o in operands]
        result = row.sympy(sp, *matrices)
        shape = node_shape(row, operands)
        return np.array(result, dtype=object).reshape(shape)
    return row.numpy(*operands, **params)


def node_shape(row, operands):
    return {"inv": operands[0].shape, "solve": operands[-1].shape}.get(row.name, ())


def rational(value):
    flat = [sp.Rational(round(v * 8), 8) for v in np.ravel(value)]
    out = np.empty(len(flat), dtype=object)
    out[:] = flat
    return out.reshape(np.shape(value))


# Entry by entry, SymPy takes most of this file's time: every third in every run, all in deep ones.
ENTRY_BY_ENTRY = [
    pytest.param(*row, id=name, marks=() if k % 3 == 0 else pytest.mark.deep)
    for k, (row, name) in enumerate(zip(FIRST, NAMES, strict=False))
]


@pytest.mark.parametrize(("text", "wrt", "shown", "function"), ENTRY_BY_ENTRY)
def test_the_answer_agrees_with_sympys_scalar_derivative_of_every_entry(
    text, wrt, shown, function, rng
):
    graph = bound(cb.parse(text, **declared(text)), text)
    exact = {n: rational(v) for n, v in values_for(text, graph.graph, rng).items()}
    t = sp.Symbol("t", real=True)
    columns = []
    for _, unit in entries(exact[wrt], wrt == "S"):
        moved = exact | {wrt: exact[wrt] + t * unit.astype(int)}
        result = np.asarray(graph.run(moved), dtype=object)
        slopes = [sp.diff(e, t).subs(t, 0) for e in result.ravel()]
        columns.append(np.array([float(s.evalf(20)) for s in slopes]).reshape(result.shape))
    measured = np.moveaxis(np.array(columns), 0, -1).reshape((*columns[0].shape, *exact[wrt].shape))
    floats = {n: v.astype(float) for n, v in exact.items()}
    found = derivative(text, wrt, 1).expr.bind(**floats)
    size = np.max(np.abs(measured))
    np.testing.assert_allclose(found, measured, rtol=1e-10, atol=1e-11 * size)


class bound:
    """A graph with sizes, run on objects."""

    def __init__(self, graph, text):
        self.graph, self.sizes = graph, sizes_for(text, graph)

    def run(self, values):
        from calcbench.graph.arraytype import with_sizes

        inputs = [values[n] for n in self.graph.input_names]

        def meaning(node, operands):
            sized = node._replace(params=with_sizes(node.params, self.sizes))
            return sympy_meaning(sized, operands)

        return self.graph.run(inputs, meaning)[self.graph.outputs[0]]


# --- layouts and syntaxes ----------------------------------------------------------------------


@identities
def test_every_layout_holds_the_same_numbers_in_its_own_shape(
    order, text, wrt, shown, function, rng
):
    mixed = derivative(text, wrt, order)
    graph = cb.parse(text, **declared(text))
    values, sizes = values_for(text, graph, rng), sizes_for(text, graph)
    x_shape = tuple(sizes[e] for e in graph.types[graph.inputs[graph.input_names.index(wrt)]].shape)
    y_shape = x_shape if order == 2 else np.shape(graph.bind(**values))
    whole = mixed.expr.bind(**values)
    axes = list(range(len(y_shape))), list(range(len(y_shape), whole.ndim))
    expected = {
        "mixed": whole,
        "numerator": np.transpose(whole, [*axes[0], *axes[1][::-1]]),
        "denominator": np.transpose(whole, [*axes[1], *axes[0][::-1]]),
    }
    for layout in LAYOUTS:
        converted = mixed.converted(layout)
        found = check_graph(converted.expr).bind(**values)
        assert found.shape == derivative_shape(y_shape, x_shape, layout)
        np.testing.assert_array_equal(found.ravel(), expected[layout].ravel())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("text", "wrt"), [(t, w) for t, w, _, _ in FIRST[::15]])
def test_a_layout_that_is_asked_for_is_the_one_converted_to(text, wrt, layout):
    asked, converted = derivative(text, wrt, 1, layout), derivative(text, wrt, 1).converted(layout)
    assert (asked.shape, asked.unicode()) == (converted.shape, converted.unicode())


def run_source(text, values, sizes):
    space = {"np": np, **values, **{str(k): v for k, v in sizes.items()}}
    exec(text, space)  # noqa: S102 - what a reader of the source would do
    return space


@identities
def test_numpy_source_and_einsum_compute_the_same(order, text, wrt, shown, function, rng):
    graph = cb.parse(text, **declared(text))
    values, sizes = values_for(text, graph, rng), sizes_for(text, graph)
    for layout in LAYOUTS:
        d = derivative(text, wrt, order).converted(layout)
        expected = d.expr.bind(**values)
        space = run_source(d.numpy_source(), values, sizes)
        found = space["derivative"](*values.values())
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)
        assert np.shape(found) == np.shape(expected)
        by_einsum = run_source(f"result = {d.einsum()}", values, sizes)["result"]
        np.testing.assert_allclose(np.ravel(by_einsum), np.ravel(expected), rtol=1e-11, atol=1e-13)


COMPILED = [
    ("A*X*B", "X", 1),
    ("sigmoid(X*w)", "X", 1),
    *(
        pytest.param(*row, marks=pytest.mark.deep)  # seconds each to compile
        for row in [
            ("x'*A*x", "x", 1),
            ("inv(X)", "X", 1),
            ("norm(x)", "x", 2),
            ("tr(A*L)", "L", 1),
        ]
    ),
]


@pytest.mark.parametrize(("text", "wrt", "order"), COMPILED)
def test_numba_source_compiles_and_computes_the_same(text, wrt, order, rng):
    import numba

    shapes = {"L": "lower(n)"} if "L" in text else {}
    d = cb.matrix_diff(text, wrt, order=order, **shapes)
    graph = cb.parse(text, **shapes)
    values = values_for(text, graph, rng)
    space = {"np": np, "numba": numba}
    exec(d.numba_source(), space)  # noqa: S102 - what a reader of the source would do
    found = space["derivative"](*map(np.ascontiguousarray, values.values()))
    np.testing.assert_allclose(found, d.expr.bind(**values), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("text", "wrt"),
    [(t, w) for _, t, w, _, _ in EVERY if not re.search(r"kron|diag|Diag\(x\)\*B", t)],
)
def test_the_kronecker_form_maps_columns_to_columns(text, wrt, rng):
    d = derivative(text, wrt, 1)
    graph = cb.parse(text, **declared(text))
    values, sizes = values_for(text, graph, rng), sizes_for(text, graph)
    space = run_source(d.vec().numpy_source("jacobian"), values, sizes)
    found = np.atleast_2d(space["jacobian"](*values.values()))
    whole = d.expr.bind(**values)
    x_ndim = values[wrt].ndim
    y_axes, x_axes = range(whole.ndim - x_ndim), range(whole.ndim - x_ndim, whole.ndim)
    by_columns = np.transpose(whole, [*reversed(y_axes), *reversed(x_axes)])
    expected = by_columns.reshape(-1, values[wrt].size)
    if found.shape != expected.shape:  # one row or column, which NumPy keeps as one axis
        found = found.reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


def test_all_nine_cells_are_among_the_identities():
    cells = set()
    for text, wrt, _, _ in FIRST:
        graph = cb.parse(text, **declared(text))
        position = graph.input_names.index(wrt)
        cells.add((graph.types[graph.outputs[0]].ndim, graph.types[graph.inputs[position]].ndim))
    assert cells == set(itertools.product(range(3), range(3)))


def test_there_are_as_many_identities_as_promised():
    assert len({(order, text, wrt) for order, text, wrt, _, _ in EVERY}) >= 120


# --- structured variables ------------------------------------------------------------------------

STRUCTURED = [
    ("logdet(Z)", "symmetric(n)", "2 Z⁻¹ - Diag(diag(Z⁻¹))"),
    ("x'*Z*x", "symmetric(n)", "2 x xᵀ - Diag(x^∘2)"),
    ("tr(Z*Z)", "symmetric(n)", "4 Z - 2 Diag(diag(Z))"),
    ("tr(A*Z)", "diagonal(n)", "diag(A)"),
    ("logdet(Z)", "diagonal(n)", "diag(Z⁻¹)"),
    ("Z*x", "diagonal(n)", "Diag(x)"),
    ("tr(A*Z)", "lower(n)", "tril(Aᵀ)"),
    ("tr(A*Z)", "upper(n)", "triu(Aᵀ)"),
    ("norm(Z*x-y)^2", "lower(n)", "2 tril((Z x - y) xᵀ)"),
]


def free_units(structure, n):
    """One change a free entry: (index in the answer, direction)."""
    for i, j in np.ndindex(n, n):
        unit = np.zeros((n, n))
        unit[i, j] = 1.0
        if structure == "symmetric":
            unit[j, i] = 1.0
            yield (i, j), unit
        elif structure == "diagonal" and i == j:
            yield (i,), unit
        elif (structure == "lower" and i >= j) or (structure == "upper" and i <= j):
            yield (i, j), unit


@pytest.mark.parametrize(("text", "shape", "shown"), STRUCTURED)
def test_structured_variables_are_differentiated_by_their_free_entries(text, shape, shown, rng):
    structure = shape.split("(")[0]
    d = cb.matrix_diff(text, "Z", Z=shape)
    assert d.unicode() == shown
    assert "free entries" in d.note
    assert d.note in str(d)
    graph = cb.parse(text, Z=shape)
    n = 3
    keep = {"symmetric": np.ones((n, n)), "diagonal": np.eye(n)}
    keep |= {"lower": np.tril(np.ones((n, n))), "upper": np.triu(np.ones((n, n)))}
    z = (rng.uniform(0.2, 1.0, (n, n)) + 4.0 * np.eye(n)) * keep[structure]
    z = (z + z.T) / 2 if structure == "symmetric" else z
    others = {"A": rng.normal(size=(n, n)), "x": rng.normal(size=n), "y": rng.normal(size=n)}
    values = {k: others.get(k, z) for k in graph.input_names}
    found = d.expr.bind(**values)
    expected = np.zeros_like(found)
    for index, unit in free_units(structure, n):
        expected[(..., *index)] = slope(lambda m: graph.bind(**(values | {"Z": m})), z, unit)
    np.testing.assert_allclose(found, expected, atol=1e-8)


@pytest.mark.parametrize("structure", ["symmetric", "diagonal", "lower"])
def test_hessians_by_free_entries(structure, rng):
    d = cb.matrix_diff("logdet(Z)", "Z", Z=f"{structure}(n)", order=2)
    size = 2
    z = rng.uniform(0.2, 1.0, (size, size)) + 4.0 * np.eye(size)
    keep = {
        "symmetric": np.ones_like(z),
        "diagonal": np.eye(size),
        "lower": np.tril(np.ones_like(z)),
    }
    z = (z + z.T) / 2 * keep["symmetric"] if structure == "symmetric" else z * keep[structure]
    found = d.expr.bind(Z=z)

    def logdet(m):
        return np.log(np.linalg.det(m))

    for (first, u), (second, v) in itertools.product(free_units(structure, size), repeat=2):
        measured = slope(lambda m, u=u: slope(logdet, m, u), z, v)
        np.testing.assert_allclose(found[(*first, *second)], measured, atol=1e-5)


# --- certificates --------------------------------------------------------------------------------


@identities
def test_the_certificate_names_different_sizes_and_many_digits(order, text, wrt, shown, function):
    certificate = derivative(text, wrt, order).certificate
    assert len(set(certificate.sizes.values())) == len(certificate.sizes)
    assert min(certificate.sizes.values(), default=2) >= 2
    assert certificate.points == 2
    assert certificate.digits >= (40 if order == 1 else 20)


WRONG = {
    "sign": lambda v: -v,
    "factor": lambda v: 2.0 * v,
    "one part in a billion": lambda v: v * (1.0 + 1e-9),
    "transposed": lambda v: v.T,
    "added": lambda v: v + 1e-6,
}


@pytest.mark.parametrize("mutation", WRONG)
@pytest.mark.parametrize("text", ["x'*A*x", "tr(A*X*B*X)", "A*X*B", "logdet(X)", "x'*X*w"])
def test_a_wrong_answer_is_not_certified(text, mutation):
    from calcbench.graph.ir import Builder
    from calcbench.graph.lifting import Value

    wrt = "X" if "X" in text else "x"
    shapes = {"A": "matrix(n, n)", "B": "matrix(n, n)", "X": "matrix(n, n)"}
    d = cb.matrix_diff(text, wrt, **{k: v for k, v in shapes.items() if k in text})
    graph = cb.parse(text, **{k: v for k, v in shapes.items() if k in text})
    builder = Builder()
    for node, kind in zip(d.expr.nodes, d.expr.types, strict=True):
        builder.add_typed(node, kind, None)
    builder.inputs[:] = d.expr.inputs
    right = Value(builder, d.expr.outputs[0])
    wrong = WRONG[mutation](right)
    if right.type.ndim < 2 and mutation == "transposed":
        pytest.skip("a vector is its own transpose in NumPy")
    position = graph.input_names.index(wrt)
    certify(graph, builder.freeze([right.id]), position, {})
    with pytest.raises(CertificateError, match="digits only"):
        certify(graph, builder.freeze([wrong.id]), position, {})


# --- where SymPy is wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wrt", "layout", "shown"),
    [
        ("tr(E)+1", "E", "mixed", "I"),  # SymPy 1.14: 0
        ("tr(A)+tr(A^2)", "A", "denominator", "I + 2 Aᵀ"),
        ("logdet(X)", "X", "mixed", "X⁻ᵀ"),
        ("exp(v'*v)", "v", "mixed", "2 exp(vᵀ v) v"),
        ("A*v", "v", "numerator", "A"),  # SymPy: A'
        ("A*v", "v", "denominator", "Aᵀ"),
    ],
)
def test_hard_cases_where_sympy_gives_zero_or_a_transpose(text, wrt, layout, shown):
    assert cb.matrix_diff(text, wrt, layout).unicode() == shown


def test_a_matrix_times_its_trace_is_a_tensor_of_four_axes():
    d = cb.matrix_diff("tr(A)*A", "A")
    assert len(d.shape) == 4
    assert str(d.vec()) == "vec(A) vec(I)ᵀ + tr(A) I"


# --- graphs, and what is refused -----------------------------------------------------------------


def test_a_graph_built_from_variables_is_differentiated():
    n, m = cb.Dim("n"), cb.Dim("m")
    a, x, b = cb.var("A", (m, n)), cb.var("x", (n,)), cb.var("b", (m,))
    assert cb.matrix_diff(np.sum((a @ x - b) ** 2), "x").unicode() == "2 Aᵀ (A x - b)"
    assert cb.matrix_diff(cb.as_graph(np.linalg.norm(x)), "x").unicode() == "x / ‖x‖"


def test_choices_between_branches_are_written_with_brackets():
    x = cb.var("x", (n,))
    d = cb.matrix_diff(np.sum(np.where(x > 0, x**2, np.sin(x))), "x")
    assert d.unicode() == "2 ([x > 0] ∘ x) + (𝟏 - [x > 0]) ∘ cos(x)"
    point = np.array([0.5, -0.5])
    np.testing.assert_allclose(d.expr.bind(x=point), [1.0, np.cos(-0.5)])


def test_a_derivative_that_cancels_is_zero():
    assert cb.matrix_diff("det(A+w*x')", "x", order=2).unicode() == "0"  # affine in x
    assert cb.matrix_diff("tr(inv(X)*X)", "X").unicode() == "0"


def test_latex_is_written():
    d = cb.matrix_diff("norm(A*x-w)^2", "x")
    assert d.latex() == r"2 \, A^{\top} \, \left(A \, x - w\right)"
    assert cb.matrix_diff("A*X*B", "X").vec().latex() == r"B^{\top} \otimes A"
    assert cb.matrix_diff("A*X*w", "X").latex() == "A_{ik} w_{l}"


ENTRYWISE = {
    # acosh is real above 1; the others near 1/2
    name: "acosh(a+2)" if name == "acosh" else f"{name}(a/3)" if f.arity == 1 else f"{name}(a, b)"
    for name, f in LISTED.items()
    if f.entrywise
}
WITH_FLOATS = ("log2", "log10", "erf", "erfc")  # in their derivatives: 1/log 2, 2/sqrt(pi)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", ENTRYWISE)
def test_every_listed_function_has_certified_derivatives(name, order):
    found = cb.matrix_diff(ENTRYWISE[name], "a", order=order)
    assert found.certificate.digits >= (14 if name in WITH_FLOATS else 20)


def test_every_row_entry_by_entry_has_a_value_in_many_digits_or_is_known_to_have_none():
    known = Precision(20).functions
    missing = {
        name
        for name, row in REGISTRY.items()
        if row.scalar is not None and name not in known and name not in SAME_ON_OBJECTS
    }
    without_derivative = {"logical_xor", "isnan", "integer_power", "detach"}
    assert missing - without_derivative == {"polygamma", "sinc_derivative"}  # by params; none


n = cb.Dim("n")
REFUSED = {
    "unknown variable": (lambda: cb.matrix_diff("x'*x", "y"), "no variable of the expression"),
    "unknown layout": (
        lambda: cb.matrix_diff("x'*x", "x", "rows"),
        "numerator, denominator, mixed",
    ),
    "order 3": (lambda: cb.matrix_diff("x'*x", "x", order=3), "order is 1 or 2"),
    "Hessian of a vector": (lambda: cb.matrix_diff("A*x", "x", order=2), "scalar value"),
    "shapes with a graph": (
        lambda: cb.matrix_diff(cb.var("x", (n,)) * 2, "x", x="vector(n)"),
        "declared for text only",
    ),
    "neither text nor graph": (lambda: cb.matrix_diff(3.0, "x"), "takes text"),
    "a row without meaning": (
        lambda: cb.matrix_diff(cb.as_graph(np.sort(cb.var("x", (3,)))), "x"),
        "no meaning for .*sort",
    ),
    "several results": (
        lambda: cb.matrix_diff(cb.as_graph([cb.var("x"), cb.var("x") * 2]), "x"),
        "one result",
    ),
    "shapes that do not fit": (
        lambda: cb.matrix_diff("A*A", "A", A="matrix(n, m)"),
        "position 1",
    ),
    "large numbers as sizes": (
        lambda: cb.matrix_diff("A*x", "x", A="matrix(100, 100)", x="vector(100)"),
        "give sizes names",
    ),
    "very many operations": (
        lambda: cb.matrix_diff("+".join(f"sin({k}*x)" for k in range(2, 1100)), "x"),
        "at most 2000 operations",
    ),
    "singular everywhere": (lambda: cb.matrix_diff("logdet(x*x')", "x"), "finite real values"),
    "nowhere real": (lambda: cb.matrix_diff("log(-x'*x-1)", "x"), "have finite real values"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_with_what_to_do(name):
    call, message = REFUSED[name]
    with pytest.raises(cb.CalcbenchError, match=message):
        call()


def test_a_size_and_a_variable_of_one_name_cannot_share_a_source():
    d = cb.matrix_diff(cb.var("n") * np.sum(cb.var("x", (n,))), "x")
    assert d.unicode() == "n 𝟏"
    with pytest.raises(cb.GraphError, match="rename one of them"):
        d.numpy_source()


# --- keys: equal terms are recognised whatever their order and names -----------------------------


@st.composite
def contractions(draw):
    """A random product on few indices, with some of them summed."""
    size = cb.Dim("n")
    count = draw(st.integers(1, 5))
    pool = draw(st.integers(1, 5))
    edges = [
        (
            draw(st.sampled_from("AB")),
            draw(st.integers(0, pool - 1)),
            draw(st.integers(0, pool - 1)),
        )
        for _ in range(count)
    ]
    return (
        size,
        pool,
        edges,
        draw(st.permutations(range(count))),
        draw(st.permutations(range(pool))),
    )


def tensor_of(size, pool, edges):
    indices = [fresh(size) for _ in range(pool)]
    terms = times(*(factor(Symbol(name), indices[a], indices[b]) for name, a, b in edges))
    used = {i for t in terms for f in t.factors for i in f.indices}
    free = [i for i in indices[:1] if i in used]
    return Tensor(tuple(free), bind(terms, [i for i in indices if i in used and i not in free]))


@given(contractions())
def test_a_key_does_not_depend_on_the_order_of_factors_or_the_names_of_indices(case):
    size, pool, edges, order, names = case
    renaming = {0: 0} | dict(zip(range(1, pool), [k for k in names if k != 0], strict=True))
    shuffled = [(n, renaming[a], renaming[b]) for n, a, b in (edges[k] for k in order)]
    assert tensor_of(size, pool, edges).key == tensor_of(size, pool, shuffled).key


@given(contractions(), contractions())
def test_tensors_with_equal_keys_have_equal_values(first, second):
    rng = np.random.default_rng(0)
    arrays = {"A": rng.normal(size=(3, 3)), "B": rng.normal(size=(3, 3))}
    one, other = (tensor_of(*case[:3]) for case in (first, second))

    def value(case):
        edges = case[2]
        letters = "abcdefgh"
        spec = ",".join(letters[a] + letters[b] for _, a, b in edges)
        target = "a" if any(0 in (a, b) for _, a, b in edges) else ""
        return np.einsum(f"{spec}->{target}", *(arrays[name] for name, *_ in edges))

    if one.key == other.key and len(one.slots) == len(other.slots):
        np.testing.assert_allclose(value(first), value(second), rtol=1e-9)


# --- swell ---------------------------------------------------------------------------------------


def test_twelve_times_x_sin_x_stays_small():
    y = cb.var("x", (n,))
    for _ in range(12):
        y = y * np.sin(y)
    d = cb.matrix_diff(np.sum(y), "x")
    assert len(d.expr) < 300
    assert len(d.unicode()) < 10_000
    assert len(d.latex()) < 20_000
    point = np.array([1.5, 1.57, -1.55])  # where x sin x is near x
    space = {"np": np}
    exec(d.numpy_source(), space)  # noqa: S102 - what a reader of the source would do
    expected = slope(lambda v: repeated(v), point, np.ones(3))
    np.testing.assert_allclose(space["derivative"](point), expected, rtol=1e-7)
    np.testing.assert_allclose(d.expr.bind(x=point), expected, rtol=1e-7)


def repeated(v):
    for _ in range(12):
        v = v * np.sin(v)
    return v


def test_matrices_within_index_notation_are_written_as_matrices():
    d = cb.matrix_diff("A*inv(X'*X)*w", "X")
    assert "inv(Xᵀ X)_" in d.unicode()
    assert r"inv(X^{\top} \, X)_{" in d.latex()
