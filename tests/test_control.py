"""scan, while_loop and cond against plain Python loops, at every order and on every engine."""

import math
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pytest
from laws import agree_with_differences, checked

import calcbench as cb
from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph import control_scans, control_steps
from calcbench.graph.arraytype import ArrayType
from calcbench.graph.batching import batched
from calcbench.graph.checker import check_graph
from calcbench.graph.control_bodies import Body, moving_inputs
from calcbench.graph.control_scans import _backward_step, add_scan, scan_row
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder
from calcbench.graph.primitive import Primitive
from calcbench.graph.structural import full
from calcbench.lower.compiled_loops import compiled_function
from calcbench.lower.compiled_scans import CompiledScan
from calcbench.lower.lasting_loops import LastingLoop
from calcbench.reverse_mode.pullback import vjp_graph


RNG = np.random.default_rng(7)
W, XS = RNG.uniform(-1, 1, (3, 3)), RNG.uniform(0.5, 1.5, (5, 3))
Scan = Callable[..., Any]


def python_scan(f: Any, init: Any, xs: Any = None, length: int = 0, reverse: bool = False) -> Any:
    """The meaning of scan: a Python loop, which unrolls when it is traced."""
    count = length if xs is None else len(xs)
    carry, ys = init, [None] * count
    for step in range(count)[:: -1 if reverse else 1]:
        carry, ys[step] = f(carry, None if xs is None else xs[step])
    return carry, None if not ys or ys[0] is None else np.stack(ys)


def python_while(condition: Any, body: Any, init: Any) -> Any:
    """The meaning of while_loop; the branch is recorded as a guard when it is traced."""
    while condition(init):
        init = body(init)
    return init


# --- programs: a function of a loop and arguments ----------------------------------------------


def chain(loop: Scan, x: Any, w: Any, ts: Any) -> Any:
    """A scalar carry, a captured value that is differentiated."""
    return loop(lambda c, t: (np.sin(c) * w + t, None), x, ts)[0]


def recurrent(loop: Scan, h: Any, w: Any, xs: Any) -> Any:
    """A vector carry, a captured matrix, stacked results."""
    last, hs = loop(lambda c, x: (np.tanh(w @ c + x), c * x), h, xs)
    return last.sum() + (hs * hs).sum()


def backwards(loop: Scan, x: Any, xs: Any) -> Any:
    """From the last step to the first."""
    last, ys = loop(lambda c, t: (c * t + np.sin(t), np.exp(-c)), x, xs, reverse=True)
    return last + (ys * xs).sum()


def counting(loop: Scan, x: Any) -> Any:
    """A carry of integers beside one of floats."""
    (last, count), _ = loop(lambda c, _: ((np.sin(c[0]) * c[1], c[1] + 1), None), (x, 1), None, 4)
    return last * count


def late(loop: Scan, x: Any, ts: Any) -> Any:
    """The second carry has a tangent after one step, the third after two, the fourth never."""

    def step(c: Any, t: Any) -> Any:
        a, b, d, e = c
        return (a * a, a + b, np.sin(b) + d, e + t), d * e

    (a, b, d, e), ys = loop(step, (x, 1.0, 2.0, 3.0), ts)
    return a + b * d + e + ys.sum()


def nested(loop: Scan, x: Any, w: Any, ts: Any) -> Any:
    """A loop in the body of a loop, which captures values of both levels outside."""

    def outer(c: Any, t: Any) -> Any:
        return loop(lambda d, s: (np.sin(d * t) + w * s * c, None), c, ts)[0], None

    return loop(outer, x, ts)[0]


def nothing(loop: Scan, x: Any, ts: Any) -> Any:
    """No step at all."""
    return loop(lambda c, t: (np.sin(c) * t, None), x, ts)[0] * 3.0


def only_stacked(loop: Scan, xs: Any) -> Any:
    """No carry."""
    return (loop(lambda c, t: (c, t**3), (), xs)[1] ** 2).sum()


class Case(NamedTuple):
    """A program, its arguments, and whether loop and unrolled loop add in the same order."""

    function: Any
    args: tuple[Any, ...]
    same_order: bool = True


SCANS = [
    Case(chain, (0.3, 0.8, XS[:, 0]), same_order=False),
    Case(recurrent, (XS[0], W, XS), same_order=False),
    Case(backwards, (0.4, XS[:, 1])),
    Case(counting, (0.7,)),
    Case(late, (0.6, XS[:, 0]), same_order=False),
    Case(nested, (0.5, 0.9, XS[:4, 1]), same_order=False),
    Case(nothing, (0.4, np.ones(0))),
    Case(only_stacked, (XS[:, 2],)),
]
NAMES = [case.function.__name__ for case in SCANS]
EVERY_SCAN = pytest.mark.parametrize("case", SCANS, ids=NAMES)


def same(got: Any, want: Any, exact: bool) -> None:
    """Bit for bit, or to rounding."""
    for one, other in zip(np.atleast_1d(*[got]), np.atleast_1d(*[want]), strict=True):
        np.testing.assert_allclose(
            one, other, rtol=0 if exact else 1e-13, atol=0 if exact else 1e-14
        )


def all_of(case: Case, loop: Scan) -> tuple[Any, Any]:
    """The program with this loop, as a graph."""
    return cb.trace(lambda *args: case.function(loop, *args), *case.args)


def outputs(graph: Any, *inputs: Any) -> list[Any]:
    return [np.asarray(v) for v in evaluate(check_graph(graph), *map(np.asarray, inputs))]


@EVERY_SCAN
def test_values_are_those_of_a_python_loop(case: Case) -> None:
    plain = case.function(python_scan, *case.args)
    np.testing.assert_array_equal(case.function(cb.scan, *case.args), plain)  # eagerly
    np.testing.assert_array_equal(outputs(all_of(case, cb.scan), *case.args)[0], plain)


@EVERY_SCAN
def test_both_modes_equal_the_unrolled_loop(case: Case) -> None:
    looped, unrolled = all_of(case, cb.scan), all_of(case, python_scan)
    steps = [RNG.uniform(-1, 1, np.shape(v)) for v in case.args]
    for got, want in zip(
        outputs(jvp_graph(looped), *case.args, *steps),
        outputs(jvp_graph(unrolled), *case.args, *steps),
        strict=True,
    ):
        same(got, want, exact=True)
    pulled = [outputs(vjp_graph(g), *case.args, 1.5) for g in (looped, unrolled)]
    for got, want in zip(*pulled, strict=True):
        same(got, want, exact=case.same_order)


@EVERY_SCAN
def test_second_order_equals_the_unrolled_loop(case: Case) -> None:
    """All four compositions of the modes, on every input."""
    made = []
    for loop in (cb.scan, python_scan):
        graph = all_of(case, loop)
        steps = [np.cos(np.asarray(v)) for v in case.args]
        push, pull = checked(jvp_graph(graph)), checked(vjp_graph(graph))
        zero = [np.zeros_like(np.asarray(v)) for v in steps]
        found = outputs(jvp_graph(push), *case.args, *steps, *steps, *zero)
        found += outputs(vjp_graph(push), *case.args, *steps, 0.5, 1.5)
        found += outputs(jvp_graph(pull), *case.args, 1.5, *steps, 0.25)
        found += outputs(vjp_graph(pull), *case.args, 1.5, 0.5, *steps)
        made.append(found)
    for got, want in zip(*made, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-12)


@EVERY_SCAN
@pytest.mark.parametrize("engine", ["tape", "fused"])
def test_engines_agree_with_numpy(case: Case, engine: str) -> None:
    got, want = (
        cb.compile(cb.value_and_grad(lambda *args: case.function(cb.scan, *args)), engine=name)(
            *case.args
        )
        for name in (engine, "numpy")
    )
    same(got[0], want[0], exact=False)
    same(got[1], want[1], exact=False)


@EVERY_SCAN
def test_compiled_loops_give_what_numpy_gives(case: Case) -> None:
    """Loops of both modes, several results of one dtype, arrays and numbers, both directions."""
    graph = all_of(case, cb.scan)
    for made in (jvp_graph(graph), vjp_graph(graph)):
        for node in made.nodes:
            if node.row is scan_row and "scan" not in str(dict(node.params)["body"].graph):
                types = [made.types[i] for i in node.operands]
                given = [RNG.uniform(0.5, 1.5, t.shape).astype(t.dtype)[()] for t in types]
                want = scan_row.numpy(*given, **dict(node.params))
                got = np.full_like(want, -1)
                function = compiled_function(node, vectorised=True)
                assert isinstance(function, CompiledScan)
                function(got, *given)
                np.testing.assert_allclose(got, want, rtol=1e-13)


def test_a_long_scan_is_a_compiled_loop_on_the_tape_too() -> None:
    """In three chunks, between which Ctrl-C is answered; against the loop by hand."""
    ts = RNG.uniform(-1, 1, 600_000)
    gradient = cb.value_and_grad(lambda x, w, ts: chain(cb.scan, x, w, ts), (0, 1, 2))
    value, (dx, dw, dts) = cb.compile(gradient, engine="tape")(0.3, 0.8, ts)
    c, carries = 0.3, []
    for t in ts.tolist():
        carries.append(c)
        c = math.sin(c) * 0.8 + t
    ct, total, last = 1.0, 0.0, []
    for before in reversed(carries):
        last.append(ct)
        total += math.sin(before) * ct
        ct = math.cos(before) * 0.8 * ct
    assert value == pytest.approx(c, rel=1e-13)
    np.testing.assert_allclose(dts, last[::-1], rtol=1e-9, atol=1e-300)
    assert (dx, dw) == pytest.approx((ct, total), rel=1e-9)


def test_gradients_agree_with_differences() -> None:
    for case in SCANS:
        graph = all_of(case, cb.scan)
        steps = [np.cos(np.asarray(v)) for v in case.args]
        got = outputs(jvp_graph(graph), *case.args, *steps)[1]

        def along(h: float, case: Case = case, steps: Any = steps) -> Any:
            moved = [np.asarray(v) + h * s for v, s in zip(case.args, steps, strict=True)]
            return case.function(python_scan, *[v[()] for v in moved])

        agree_with_differences(got, along, np.float64, case.function.__name__)


def test_third_derivative_of_a_power() -> None:
    """x^5 by four steps: its third derivative is 60 x^2."""
    power = lambda x: cb.scan(lambda c, _: (c * x, None), x, length=4)[0]  # noqa: E731
    third = cb.grad(cb.grad(cb.grad(power)))
    assert third(2.0) == 240.0


# --- the comparisons bite ------------------------------------------------------------------------


def without_fixpoint(graph: Any, carries: int, moving: Any) -> Any:
    """What depends on moving inputs within one step, and no carry of the next."""
    inputs, outputs = moving_inputs(graph, 0, moving)
    return inputs, outputs


def without_reversal(*args: Any) -> Any:
    return add_scan(*args[:-1], False)


def without_sums(pulled: Any, loop: Any, carried: int, shares: Any, summed: range) -> Any:
    """The last share of a constant instead of their sum."""
    graph = _backward_step(pulled, loop, carried, shares, summed)
    outputs = list(graph.outputs)
    for place in summed:
        outputs[place] = graph.nodes[outputs[place]].operands[1]
    return replace(graph, outputs=tuple(outputs))


MUTANTS = [
    ("moving_inputs", without_fixpoint),
    ("add_scan", without_reversal),
    ("_backward_step", without_sums),
    ("zeros", lambda like: full(like, 1)),
    ("live_carries", lambda graph, carries, wanted: sorted(k for k in set(wanted) if k < carries)),
]


@pytest.mark.parametrize(("name", "mutant"), MUTANTS, ids=[name for name, _ in MUTANTS])
def test_a_broken_rule_is_noticed(name: str, mutant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (control_scans, control_steps):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, mutant)
    noticed = 0
    for case in SCANS:
        try:
            test_both_modes_equal_the_unrolled_loop(case)
        except (AssertionError, LookupError, TypeError, ValueError):
            noticed += 1
    assert noticed


# --- what a scan computes and keeps --------------------------------------------------------------


def scans(graph: Any) -> list[dict[str, Any]]:
    return [dict(n.params) for n in graph.nodes if n.row is scan_row]


def test_only_carries_with_tangents_get_them() -> None:
    """Three of the four carries of `late` move: by fixpoint, as two of them start constant."""
    pushed = jvp_graph(all_of(Case(late, (0.6, XS[:, 0])), cb.scan), wrt=[0])
    assert max(s["carries"] for s in scans(pushed)) == 4 + 3


def test_smooth_bodies_need_no_masks() -> None:
    """All but `only_stacked`, whose power has an infinite slope for some exponents."""
    for case in (case for case in SCANS if case.function is not only_stacked):
        graph = all_of(case, cb.scan)
        for made in (vjp_graph(graph), vjp_graph(jvp_graph(graph))):
            assert "select" not in {node.row.name for node in made.nodes}


def test_a_linear_recurrence_keeps_no_carries() -> None:
    """The gradient with respect to the terms of a sum reads none of its partial sums."""
    graph = cb.trace(lambda xs: cb.scan(lambda c, t: (0.5 * c + t, None), 0.0, xs)[0], XS[:, 0])
    pulled = vjp_graph(graph)
    assert all(len(s["keep"]) == 1 and s["scanned"] <= 1 for s in scans(pulled))
    np.testing.assert_array_equal(outputs(pulled, XS[:, 0], 1.0)[1], 0.5 ** np.arange(5)[::-1])


def test_no_loop_runs_twice_for_a_value_and_its_derivative() -> None:
    """The value comes with the carries that are kept, and with the tangents."""
    graph = all_of(SCANS[0], cb.scan)
    assert [s["reverse"] for s in scans(vjp_graph(graph))] == [False, True]
    assert len(scans(jvp_graph(graph))) == 1
    again = scans(jvp_graph(vjp_graph(graph)))
    assert [s["reverse"] for s in again] == [False, True]
    for f in (lambda x: newton(cb.while_loop, x), by_cond):
        for transform in (jvp_graph, vjp_graph):
            rows = [n.row.kind for n in transform(cb.trace(f, 2.0)).nodes]
            assert rows.count("control") == 1


def test_a_scan_is_one_node_at_any_length() -> None:
    sizes = {
        n: len(
            vjp_graph(
                cb.trace(lambda x, n=n: cb.scan(lambda c, _: (c * x, None), x, length=n)[0], 1.0)
            )
        )
        for n in (2, 1000)
    }
    assert sizes[2] == sizes[1000] < 30


# --- while_loop and cond -------------------------------------------------------------------------


def newton(loop: Scan, a: Any) -> Any:
    return loop(lambda x: abs(x * x - a) > 1e-9 * a, lambda x: (x + a / x) / 2, a)


def doubling(loop: Scan, x: Any, w: Any) -> Any:
    """A carry of integers; one carry that has no tangent at first."""

    def step(c: Any) -> Any:
        value, other, count = c
        return np.sin(value) + w * value, other + value, count + 1

    value, other, count = loop(lambda c: (c[2] < 4) & (c[1] < 9.0), step, (x, 1.0, 0))
    return value * other * count


WHILES = [(newton, (2.0,)), (newton, (0.05,)), (doubling, (0.4, 1.3)), (doubling, (5.0, 1.9))]


@pytest.mark.parametrize(("function", "args"), WHILES)
def test_while_loops_equal_python_loops_at_both_orders(function: Any, args: Any) -> None:
    looped = lambda *a: function(cb.while_loop, *a)  # noqa: E731
    plain = lambda *a: function(python_while, *a)  # noqa: E731
    assert looped(*args) == plain(*args)
    for operator in (cb.grad, cb.jacfwd, cb.jacrev, cb.hessian):
        for wrt in range(len(args)):
            got, want = (operator(f, wrt)(*args) for f in (looped, plain))
            np.testing.assert_allclose(got, want, rtol=1e-12)
    got, want = (cb.grad(cb.grad(cb.grad(f)))(*args) for f in (looped, plain))
    np.testing.assert_allclose(got, want, rtol=1e-11)


@pytest.mark.parametrize(("function", "args"), WHILES[1:3])
def test_compiled_while_loops_agree_at_both_orders(function: Any, args: Any) -> None:
    looped = lambda *a: function(cb.while_loop, *a)  # noqa: E731
    for operator in (lambda f: f, cb.grad, lambda f: cb.grad(cb.grad(f))):
        got, want = (cb.compile(operator(looped), engine=e)(*args) for e in ("fused", "numpy"))
        assert got == pytest.approx(want, rel=1e-12)


def test_a_compiled_while_loop_counts_beyond_its_chunks() -> None:
    def f(n: Any) -> Any:
        step = lambda c: (c[0] + 1.0, c[1] * 0.5 + n)  # noqa: E731
        return cb.while_loop(lambda c: c[0] < n, step, (0.0, n))

    compiled = cb.compile(lambda n: f(n)[0] + 0 * f(n)[1], engine="fused")
    for count in (0.0, 1.0, 2.0**18, 2.0**18 + 1, 600_000.0):
        assert compiled(count) == count
    gradient = cb.compile(cb.grad(lambda n: f(n)[1]), engine="fused")
    assert gradient(600_000.0) == pytest.approx(2.0, rel=1e-12)  # the fixed point is 2n


def test_a_while_loop_of_no_trips_is_the_identity() -> None:
    f = lambda x: cb.while_loop(lambda c: c < 1.0, lambda c: c * c, x)  # noqa: E731
    assert (f(3.0), cb.grad(f)(3.0), cb.grad(cb.grad(f))(3.0)) == (3.0, 1.0, 0.0)


def test_one_compiled_gradient_serves_all_numbers_of_trips() -> None:
    gradient = cb.compile(cb.grad(lambda a: newton(cb.while_loop, a)), engine="tape")
    for a in (0.01, 2.0, 1e6, 3.0):
        assert gradient(a) == pytest.approx(0.5 / np.sqrt(a), rel=1e-6)


@pytest.mark.parametrize("engine", ["numpy", "tape", "fused"])
def test_cond_has_the_derivative_of_the_branch_taken(engine: str) -> None:
    """The other branch is not run: neither its infinite slope nor its NaN is seen."""
    f = lambda x, w: cb.cond(x > 0, lambda v: np.sqrt(v) * w, lambda v: v * v * w, x)  # noqa: E731
    first, second = cb.grad(f), cb.grad(cb.grad(f))
    compiled = cb.compile(first, engine=engine), cb.compile(second, engine=engine)
    for x, w in ((4.0, 3.0), (-2.0, 3.0), (0.0, 1.0)):
        taken = x > 0
        assert compiled[0](x, w) == (w / (2 * np.sqrt(x)) if taken else 2 * x * w)
        assert compiled[1](x, w) == pytest.approx(-w / 4 * x**-1.5 if taken else 2 * w, rel=1e-15)
        assert cb.grad(f, 1)(x, w) == (np.sqrt(x) if taken else x * x)


def test_cond_in_a_scan_and_scan_in_a_cond() -> None:
    def f(x: Any) -> Any:
        step = lambda c, t: (cb.cond(t > 1, lambda: np.sin(c) * x, lambda: c + t), None)  # noqa: E731
        return cb.cond(x > 0, lambda: cb.scan(step, x, XS[:, 0])[0], lambda: 2 * x)

    def plain(x: Any) -> Any:
        c = x
        for t in XS[:, 0]:
            c = np.sin(c) * x if t > 1 else c + t
        return c if x > 0 else 2 * x

    for x in (0.7, -0.7):
        assert f(x) == plain(x)
        assert cb.grad(f)(x) == pytest.approx(cb.grad(plain)(x), rel=1e-13)
        assert cb.hessian(f)(x) == pytest.approx(cb.hessian(plain)(x), rel=1e-12)


# --- 0 * inf never shows, JSON -------------------------------------------------------------------


def by_scan(y: Any) -> Any:
    return cb.scan(lambda c, _: (np.sqrt(c), None), y, length=2)[0]


def by_while(y: Any) -> Any:
    return cb.while_loop(lambda c: c[1] < 2, lambda c: (np.sqrt(c[0]), c[1] + 1), (y, 0))[0]


def by_cond(y: Any) -> Any:
    return cb.cond(y >= 0, lambda v: np.sqrt(np.sqrt(v)), lambda v: v, y)


@pytest.mark.parametrize("fourth_root", [by_scan, by_while, by_cond])
@pytest.mark.parametrize("operator", [cb.grad, cb.jacfwd])
def test_branches_not_taken_give_exactly_zero(fourth_root: Any, operator: Any) -> None:
    """An infinite slope in a body meets no tangent and no cotangent: 0, and not NaN."""
    before = operator(lambda x: fourth_root(np.where(x > 0, x, 0.0)))
    after = operator(lambda x: np.where(x > 0, fourth_root(x), 0.0))
    for x, slope in ((-1.0, 0.0), (16.0, 1 / 32)):
        assert before(x) == slope
        assert after(x) == slope


def test_graphs_with_bodies_are_written_as_json() -> None:
    def f(x: Any, ts: Any) -> Any:
        c = nested(cb.scan, x, 0.5, ts)
        c = cb.cond(c > 0, lambda: c * x, lambda: c)
        return cb.while_loop(lambda v: v < 5.0, lambda v: 2 * v * v + x, c)

    graph = cb.trace(f, 0.7, XS[:, 0])
    for made in (graph, jvp_graph(graph)):
        again = cb.graph_from_json(cb.graph_to_json(made))
        assert again == made
        given = [np.full(made.types[i].shape, 0.3) for i in made.inputs]
        np.testing.assert_array_equal(outputs(again, *given), outputs(made, *given))
    with pytest.raises(cb.GraphError, match="derivative of while_loop"):
        cb.graph_to_json(vjp_graph(graph))
    damaged = cb.graph_to_json(graph).replace('"carries", 1', '"carries", 2')
    with pytest.raises(cb.GraphError):
        cb.graph_from_json(damaged)


# --- many directions at once, and derivatives of them --------------------------------------------


def three_entries(x: Any) -> Any:
    """Every control row, of an array of three numbers."""
    c = cb.scan(lambda c, t: (np.sin(c) * x.sum() + t, None), x, XS)[0]
    c = cb.cond(c[0] > 0, lambda: c * x, lambda: c + x * x)
    return cb.while_loop(lambda v: (v * v).sum() < 9.0, lambda v: 1.5 * v + np.sin(x), c).sum()


def three_entries_in_python(x: Any) -> Any:
    c = x
    for t in XS:
        c = np.sin(c) * x.sum() + t
    c = c * x if c[0] > 0 else c + x * x
    while (c * c).sum() < 9.0:
        c = 1.5 * c + np.sin(x)
    return c.sum()


@pytest.mark.parametrize("outer", [cb.jacfwd, cb.jacrev])
@pytest.mark.parametrize("inner", [cb.jacfwd, cb.jacrev])
def test_jacobians_of_jacobians_are_hessians(outer: Any, inner: Any) -> None:
    x = np.array([0.3, -0.2, 0.5])
    want = cb.hessian(three_entries_in_python)(x)
    assert np.all(np.abs(want) > 0)
    np.testing.assert_allclose(outer(inner(three_entries))(x), want, rtol=1e-11)
    np.testing.assert_allclose(cb.hessian(three_entries)(x), want, rtol=1e-11)


def test_a_row_without_a_rule_for_lanes_has_no_derivative_rather_than_zero() -> None:
    row = Primitive("cubed", "linearised", lambda x: x, lambda x: x**3, jvp=lambda z, x, t: t)
    builder = Builder()
    x = builder.add_input("x", ArrayType((), np.dtype(np.float64)))
    graph = batched(builder.freeze([builder.add(row, (x,))]), 2)
    np.testing.assert_array_equal(outputs(graph, [1.0, 2.0])[0], [1.0, 8.0])
    for transform in (jvp_graph, vjp_graph):
        with pytest.raises(cb.DerivativeError, match="cubed at many points at once"):
            transform(graph)


# --- batches and wrong input ---------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["numpy", "tape"])
def test_batches_run_lane_by_lane(engine: str) -> None:
    f = cb.compile(cb.grad(lambda x, w: chain(cb.scan, x, w, XS[:, 0])), engine=engine)
    xs, ws = np.array([0.1, 0.5, 2.0]), np.array([1.0, 0.3, -1.0])
    np.testing.assert_array_equal(f.batch(xs, ws), [f(x, w) for x, w in zip(xs, ws, strict=True)])


# fmt: off
REFUSED = [  # (what is called, the error, words of its message)
    (lambda: cb.scan(lambda c, x: (c + x, None), 0, XS[:, 0]), cb.DTypeError,
     r"scan carries init of type i64\[\], and a step makes it f64\[\]"),
    (lambda: cb.scan(lambda c, x: ({"a": c["a"] + x}, None), {"a": 0.0}, XS), cb.ShapeError,
     r"scan carries init\['a'\] of type f64\[\], and a step makes it f64\[3\]"),
    (lambda: cb.scan(lambda c, x: ((c, c), None), 0.0, XS), cb.ShapeError,
     r"the next carry of scan is \(an array, an array\); it must be a tree like init"),
    (lambda: cb.scan(lambda c, x: c, 0.0, XS[:, 0]), cb.TraceError, "returns a pair"),
    (lambda: cb.scan(lambda c, x: (c if x > 0 else -c, None), 0.0, XS[:, 0]), cb.TraceError,
     "no truth value"),
    (lambda: cb.scan(lambda c, x: (c, None), 0.0), cb.ShapeError, "none is given"),
    (lambda: cb.scan(lambda c, x: (c, None), 0.0, length=-1), cb.ShapeError, "length says -1"),
    (lambda: cb.scan(lambda c, x: (c, None), 0.0, length=2.0), cb.ShapeError, "is an int"),
    (lambda: cb.scan(lambda c, x: (c, None), 0.0, XS, length=4), cb.ShapeError,
     "length says 4, xs says 5"),
    (lambda: cb.scan(lambda c, x: (c, None), 0.0, (XS, XS[1:])), cb.ShapeError,
     r"xs\[0\] says 5, xs\[1\] says 4"),
    (lambda: cb.scan(lambda c, x: (c, None), 0.0, 3.0), cb.ShapeError, r"xs, which is f64\[\]"),
    (lambda: cb.scan(lambda c, x: (c, None), None, XS), cb.DTypeError, "init"),
    (lambda: cb.while_loop(lambda c: c, lambda c: c - 1, 3.0), cb.DTypeError,
     r"the condition of while_loop is one truth value, bool\[\], got f64\[\]"),
    (lambda: cb.while_loop(lambda c: c > 0, lambda c: c - 0.5, 3), cb.DTypeError,
     r"while_loop carries init of type i64\[\], and a step makes it f64\[\]"),
    (lambda: cb.cond(2.0, lambda x: x, lambda x: x, 1.0), cb.DTypeError, "the predicate of cond"),
    (lambda: cb.cond(True, lambda x: x, lambda x: 1, 2.0), cb.DTypeError,
     r"result 0 of cond is f64\[\] in one branch and i64\[\] in the other"),
    (lambda: cb.cond(True, lambda x: (x, x), lambda x: x, 2.0), cb.ShapeError,
     r"return \(an array, an array\) and an array"),
    (lambda: cb.directional(lambda x: cb.cond(x > 1, lambda: x, lambda: 2 * x), 1.0, 1.0),
     cb.DerivativeError, "cond"),
    (lambda: cb.to_sympy(cb.trace(lambda x: nothing(cb.scan, x, XS[:, 0]), 1.0)), cb.GraphError,
     "scan"),
]
# fmt: on


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_wrong_input_is_refused_in_words(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_rows_refuse_operands_that_their_bodies_do_not_take() -> None:
    graph = all_of(Case(chain, (0.3, 0.8, XS[:, 0])), cb.scan)
    node = next(n for n in graph.nodes if n.row is scan_row)
    types = [graph.types[i] for i in node.operands]
    params = dict(node.params)
    assert scan_row.infer(*types, **params).shape == (1,)
    single = [t._replace(dtype=np.dtype(np.float32)) for t in types]
    for wrong in (types[:-1], [*types, types[0]], single):
        with pytest.raises(cb.GraphError, match="scan"):
            scan_row.infer(*wrong, **params)


def test_a_body_without_a_rule_is_an_error_and_never_zero() -> None:
    """The body's own transform finds the row that has no derivative."""
    ruleless = Primitive("ruleless", "elementwise", lambda x: x, lambda x: x)
    builder, kind = Builder(), ArrayType((), np.dtype(np.float64))
    x = builder.add_input("x", kind)
    body = Body(builder.freeze([builder.add(ruleless, (x,))]))
    outside = Builder()
    start = outside.add_input("x", kind)
    params = {"body": body, "carries": 1, "keep": (0,), "length": 2, "reverse": False, "scanned": 0}
    graph = outside.freeze([outside.add(scan_row, (start,), tuple(sorted(params.items())))])
    assert outputs(graph, 3.0)[0] == 3.0
    for transform in (jvp_graph, vjp_graph):
        with pytest.raises(TypeError, match="not callable"):
            transform(graph)


# --- loops of unknown length on the tape ---------------------------------------------------------


def test_a_long_while_loop_on_the_tape_is_compiled_once_that_pays() -> None:
    def halvings(x: Any) -> Any:
        return cb.while_loop(
            lambda c: c[0] > 1e-9, lambda c: (c[0] * 0.999, c[1] + c[0]), (x, 0.0)
        )[1]

    program = cb.compile(cb.value_and_grad(halvings), engine="tape")
    expected = cb.value_and_grad(halvings)(1.0)
    before = [program(1.0) for _ in range(2)]
    started = perf_counter()
    after = program(1.0)
    assert perf_counter() - started < 0.02  # twenty thousand trips take half a second in NumPy
    for found in (*before, after):
        np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_short_choices_and_loops_on_the_tape_stay_as_they_are() -> None:
    graph = cb.trace(lambda x: cb.cond(x > 0, np.sin, np.cos, x), 0.5)
    node = next(n for n in graph.nodes if n.row.kind == "control")
    loop = LastingLoop(node, True, price=1e9)
    out = np.empty(1)
    for _ in range(3):
        loop(out, np.bool_(True), np.float64(0.5))
    assert 0 < loop.spent < 1
    assert loop.current.func is not None  # still the row in NumPy
    np.testing.assert_array_equal(out, np.sin(0.5))
