"""Every engine computes what the NumPy engine computes: values, derivatives, dtypes, layouts."""

import numpy as np
import pytest
from cases import CASES

import calcbench as cb
from calcbench.graph.arraytype import CalcbenchError
from calcbench.graph.trees import leaves_of, map_leaves


# Ulps by which an engine may differ from NumPy, per elementary function in the program and scaled
# by what cancels: exact rows add nothing.
RTOL, ATOL = 1e-11, 1e-12
ENGINES = ["tape", "auto"]


def assert_close(got, wanted):
    got, wanted = leaves_of(got), leaves_of(wanted)
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=RTOL, atol=ATOL)


def flattened(function):
    """The function with one scalar result: the sum of all entries of all results."""
    return lambda *args: sum(np.sum(leaf) for leaf in leaves_of(function(*args)))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_programs_have_numpy_s_values(case, engine):
    compiled = cb.compile(case.function, engine=engine)
    for _ in range(3):  # recorded, recorded again, and from the cache
        assert_close(compiled(*case.arguments), case.function(*case.arguments))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_gradients_are_those_of_the_numpy_engine(case):
    floats = tuple(k for k, a in enumerate(case.arguments) if _is_float(a))
    slope = cb.grad(flattened(case.function), argnums=floats)
    assert_close(cb.compile(slope, engine="tape")(*case.arguments), slope(*case.arguments))


def _is_float(argument):
    return all(np.asarray(leaf).dtype.kind == "f" for leaf in leaves_of(argument))


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


LAYOUTS = {
    "strided": lambda x: np.repeat(x, 2)[::2],
    "reversed": lambda x: x[::-1].copy()[::-1],
    "read-only": lambda x: _locked(x.copy()),
    "byte-swapped": lambda x: x.astype(">f8"),
}


def _locked(x):
    x.flags.writeable = False
    return x


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("engine", ["numpy", "tape", "fused"])
def test_the_layout_of_an_argument_changes_no_bit(layout, engine):
    x = np.linspace(-1.0, 1.5, 40)
    compiled = cb.compile(cb.grad(rosenbrock), engine=engine)
    plain = compiled(x)
    other = compiled(LAYOUTS[layout](x))
    assert np.array_equal(plain, other)


@pytest.mark.parametrize("engine", ["numpy", "tape", "fused"])
def test_results_own_their_memory(engine):
    x = np.array([1.0, 2.0, 3.0])
    compiled = cb.compile(lambda x: (x, x, x[1:], 2.0 * x), engine=engine)
    for _ in range(4):
        results = compiled(x)
        for i, a in enumerate(results):
            assert a.flags.writeable
            assert not np.shares_memory(a, x)
            assert not any(np.shares_memory(a, b) for b in results[:i])
        results[0][:] = 99.0
        assert x.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("engine", ["numpy", "tape", "fused"])
def test_branches_are_recorded_each(engine):
    compiled = cb.compile(lambda x: x * x if x > 0 else -x, engine=engine)
    for x in (2.0, -3.0, 4.0, -5.0, 2.0):
        assert compiled(x) == (x * x if x > 0 else -x)


@pytest.mark.parametrize("engine", ["numpy", "tape", "fused"])
def test_captured_arrays_are_read_again(engine):
    weights = np.array([1.0, 2.0])
    compiled = cb.compile(lambda x: np.sum(weights * x), engine=engine)
    for scale in (1.0, 2.0, 3.0, 4.0):
        weights[:] = scale
        assert compiled(np.array([1.0, 1.0])) == 2 * scale


@pytest.mark.parametrize("engine", ["numpy", "tape", "fused"])
def test_special_numbers(engine):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324, 1e308])
    compiled = cb.compile(lambda x: (cb.relu(x), x + x, -x, x * 0.5, np.maximum(x, 0.0)), engine)
    with np.errstate(all="ignore"):
        wanted = compiled.function(x)
    for got, value in zip(compiled(x), wanted, strict=True):
        assert np.array_equal(got, value, equal_nan=True)
        # NumPy leaves open which of -0.0 and 0.0 np.maximum takes.
        signs = ~np.isnan(x) & (value != 0 if value is wanted[-1] else True)
        assert np.array_equal(np.signbit(got)[signs], np.signbit(value)[signs])


@pytest.mark.parametrize("engine", ["numpy", "tape", "fused"])
@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_arrays_without_entries(engine, shape):
    x = np.zeros(shape)
    compiled = cb.compile(lambda x: (np.sum(x), np.prod(x), x * 2.0, np.sum(x, axis=0)), engine)
    for got, wanted in zip(compiled(x), compiled.function(x), strict=True):
        assert np.shape(got) == np.shape(wanted)
        assert np.array_equal(got, wanted)


@pytest.mark.parametrize("engine", ["numpy", "tape", "fused"])
def test_compiled_in_the_graph_of_another(engine):
    inner = cb.compile(lambda x: np.sin(x) * x, engine=engine)
    assert cb.grad(lambda x: np.sum(inner(x)))(np.array([0.5])) == pytest.approx(
        np.sin(0.5) + 0.5 * np.cos(0.5)
    )


# --- graphs ------------------------------------------------------------------------------------


def test_a_graph_takes_its_inputs_in_order_or_by_name():
    a = cb.var("a", shape=(2,))
    graph = cb.as_graph(2 * a + cb.var("b", shape=(2,)))
    compiled = cb.compile(graph, engine="auto")
    assert compiled([1.0, 2.0], b=[0.5, 0.5]).tolist() == [2.5, 4.5]
    assert str(compiled.memory).startswith("peak")
    assert compiled.__source__


BAD_CALLS = {
    "missing": (lambda g: g(a=np.ones(2)), "in this order or by name"),
    "twice": (lambda g: g(np.ones(2), np.ones(2), a=np.ones(2)), "in this order or by name"),
    "unknown": (lambda g: g(a=np.ones(2), c=np.ones(2)), "in this order or by name"),
    "shape": (lambda g: g(np.ones(3), np.ones(2)), r"has type f64\[2\]"),
    "dtype": (lambda g: g(np.ones(2, complex), np.ones(2)), "complex"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_calls_of_a_graph_say_what_was_expected(name):
    call, message = BAD_CALLS[name]
    graph = cb.as_graph(cb.var("a", shape=(2,)) + cb.var("b", shape=(2,)))
    with pytest.raises(CalcbenchError, match=message):
        call(cb.compile(graph, engine="numpy"))


def test_named_dimensions_need_numbers():
    n = cb.Dim("n")
    graph = cb.as_graph(cb.var("a", shape=(n,)) * 2.0)
    with pytest.raises(cb.ShapeError, match="sizes that are numbers"):
        cb.compile(graph, engine="auto")


def test_an_unknown_engine_is_named():
    with pytest.raises(cb.EngineError, match="no engine 'warp'; choose one of numpy, tape, fused"):
        cb.compile(cb.as_graph(cb.var("a") * 2.0), engine="warp")


def test_too_much_memory_is_refused_before_the_run_and_the_engine_stays_usable():
    f = cb.compile(lambda x: np.exp(x) + np.sort(x), engine="auto", memory_limit=10_000)
    with pytest.raises(MemoryError, match=r"needs \d+ bytes"):
        f(np.ones(10_000))
    assert f(np.ones(10)).shape == (10,)


# --- batches -----------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["numpy", "tape", "fused"])
def test_points_are_grouped_by_the_branch_they_take(engine):
    def f(x):
        if x > 1:
            return x * x
        return np.exp(x) if x > 0 else -x

    x = np.linspace(-2, 3, 1001)
    got = cb.compile(f, engine=engine).batch(x)
    np.testing.assert_allclose(got, [f(v) for v in x], rtol=1e-14)


@pytest.mark.parametrize("engine", ["numpy", "tape"])
def test_derivatives_of_batches(engine):
    X = np.random.default_rng(0).normal(size=(7, 5))
    gradient = cb.compile(cb.grad(rosenbrock), engine=engine)
    np.testing.assert_allclose(gradient.batch(X), [cb.grad(rosenbrock)(x) for x in X], rtol=1e-12)

    def pair(x, y):
        return np.sin(x) * y, {"norm": np.sum(x * x)}

    both = cb.compile(cb.jacobian(pair, argnums=(0, 1)), engine=engine)
    got = leaves_of(both.batch(X, X + 1.0))
    for k in range(len(X)):
        wanted = leaves_of(cb.jacobian(pair, argnums=(0, 1))(X[k], X[k] + 1.0))
        for a, b in zip(got, wanted, strict=True):
            np.testing.assert_allclose(a[k], b, rtol=1e-12, atol=1e-300)


BAD_BATCHES = {
    "number": (lambda f: f.batch(2.0), "one number"),
    "lengths": (lambda f: f.batch(np.ones(3), np.ones(4)), "equally many points"),
    "none": (lambda f: f.batch(), "there is no array"),
    "paths": (lambda f: f.batch(np.arange(5.0), max_paths=2), "more than 2 different branches"),
}


@pytest.mark.parametrize("name", BAD_BATCHES)
def test_bad_batches_say_what_was_expected(name):
    def f(x, y=1.0):
        return [x, x + 1, x + 2, x + 3, x + 4][int(x)] * y

    call, message = BAD_BATCHES[name]
    with pytest.raises((CalcbenchError, TypeError), match=message):
        call(cb.compile(f, engine="numpy"))


def test_a_batch_of_no_points_has_the_shape_of_results():
    assert cb.compile(lambda x: (x, np.sum(x)), "numpy").batch(np.zeros((0, 3)))[0].shape == (0, 3)


def test_an_error_of_one_point_is_that_point_s():
    def f(a):
        return np.linalg.inv(a) if a[0, 0] > 0 else a

    points = np.stack([np.eye(2), -np.eye(2), np.zeros((2, 2)), 2 * np.eye(2)])
    got = cb.compile(f, engine="numpy").batch(points)
    np.testing.assert_allclose(got, [f(p) for p in points])
    with pytest.raises(np.linalg.LinAlgError):
        cb.compile(np.linalg.inv, engine="numpy").batch(np.stack([np.eye(2), np.zeros((2, 2))]))


def test_arguments_may_be_nested():
    def f(parameters, x):
        return {"y": parameters["w"] * x + parameters["b"]}

    parameters = {"w": np.arange(3.0), "b": np.ones(3)}
    got = cb.compile(f, engine="numpy").batch(parameters, np.full(3, 2.0))
    assert got["y"].tolist() == [1.0, 3.0, 5.0]
    assert map_leaves(np.shape, parameters) == {"w": (3,), "b": (3,)}


# --- tape and fused, bit for bit; auto -----------------------------------------------------------


@pytest.mark.parametrize("case", CASES[::4], ids=lambda c: c.name)
def test_tape_and_fused_give_the_same_bits(case):
    tape, fused = (cb.compile(case.function, engine=e) for e in ("tape", "fused"))
    for a, b in zip(
        leaves_of(tape(*case.arguments)), leaves_of(fused(*case.arguments)), strict=True
    ):
        assert np.array_equal(a, b, equal_nan=True)
        assert np.array_equal(np.signbit(a), np.signbit(b))


def test_sums_of_any_length_have_the_same_bits_on_both_engines():
    rng = np.random.default_rng(0)
    for n in (1, 7, 8, 9, 255, 256, 257, 1000, 5001):
        x = rng.normal(size=n) * 10.0 ** rng.integers(-8, 8, size=n)
        tape, fused = (cb.compile(np.sum, engine=e)(x) for e in ("tape", "fused"))
        assert tape == fused
        assert tape == pytest.approx(float(np.sum(x)), rel=1e-9)


def test_auto_starts_on_the_tape_and_changes_when_compiling_would_have_paid():
    compiled = cb.compile(lambda x: np.sum(np.sin(x)), engine="auto")
    x = np.linspace(0.0, 1.0, 1000)
    for _ in range(3):
        before = compiled(x)
    executable = compiled.last.built.runner.executable
    assert executable.spent > 0.0
    assert type(executable.current).__name__ == "TapeProgram"
    executable.spent = executable.price + 1.0  # as after many calls
    executable._switch()
    assert type(executable.current).__name__ == "FusedProgram"
    assert compiled(x) == before


@pytest.mark.parametrize("engine", ["tape", "fused"])
def test_engine_is_a_keyword_of_every_derivative_function(engine):
    def f(x):
        return np.sum(x**3)

    x, v = np.array([1.0, 2.0]), np.array([1.0, 0.5])
    assert cb.grad(f, engine=engine)(x) == pytest.approx(3 * x**2)
    assert cb.value_and_grad(f, engine=engine)(x)[0] == 9.0
    assert cb.jacobian(lambda x: x**2, engine=engine)(x) == pytest.approx(np.diag(2 * x))
    assert cb.jacfwd(f, engine=engine)(x) == pytest.approx(3 * x**2)
    assert cb.jacrev(f, engine=engine)(x) == pytest.approx(3 * x**2)
    assert cb.hessian(f, engine=engine)(x) == pytest.approx(np.diag(6 * x))
    assert cb.jvp(f, (x,), (v,), engine=engine)[1] == pytest.approx(3 * x**2 @ v)
    value, pull = cb.vjp(f, x, engine=engine)
    x[0] = 99.0  # the pullback keeps what it was given
    assert value == 9.0
    assert pull(2.0)[0] == pytest.approx([6.0, 24.0])
    assert cb.hvp(f, (np.array([1.0, 2.0]),), (v,), engine=engine) == pytest.approx([6.0, 6.0])
    assert cb.derivative(lambda t: t**3, 2, engine=engine)(2.0) == pytest.approx(12.0)
