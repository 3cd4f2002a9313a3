"""Loops and choices inside loops: compiled on the fused engine, against NumPy and Python loops."""

from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pytest

import calcbench as cb
from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.control_choices import cond_row
from calcbench.graph.control_loops import while_row
from calcbench.graph.control_scans import scan_row
from calcbench.lower import nested_loops
from calcbench.lower.compiled_loops import CompiledChoice, CompiledWhile, compiled_function
from calcbench.lower.compiled_scans import CHUNK, CompiledScan, compiled_scan
from calcbench.lower.loop_code import loop_code
from calcbench.reverse_mode.pullback import vjp_graph


RNG = np.random.default_rng(11)
W, XS = RNG.uniform(-1, 1, (3, 3)), RNG.uniform(0.5, 1.5, (4, 3))


class Python(NamedTuple):
    """The same words as plain Python, which unrolls when it is traced."""

    @staticmethod
    def scan(f: Any, init: Any, xs: Any = None, length: int = 0, reverse: bool = False) -> Any:
        count = length if xs is None else len(xs)
        carry, ys = init, [None] * count
        for step in range(count)[:: -1 if reverse else 1]:
            carry, ys[step] = f(carry, None if xs is None else xs[step])
        return carry, None if not ys or ys[0] is None else np.stack(ys)

    @staticmethod
    def while_loop(condition: Any, body: Any, init: Any) -> Any:
        while condition(init):
            init = body(init)
        return init

    @staticmethod
    def cond(predicate: Any, taken: Any, other: Any, *operands: Any) -> Any:
        return taken(*operands) if predicate else other(*operands)


# --- programs: a function of the words and arguments --------------------------------------------


def three_deep(be: Any, x: Any, w: Any, ts: Any) -> Any:
    """Every level reads the carries of those around it."""

    def middle(c: Any, t: Any) -> Any:
        inner = lambda e, s: (np.sin(e * t) + w * s * c, None)  # noqa: E731
        return be.scan(lambda d, s: (be.scan(inner, d * s, ts)[0], d), c, ts)[0], None

    return be.scan(middle, x, ts)[0]


def arrays_inside(be: Any, h: Any, xs: Any) -> Any:
    """Constant matrices and positions in the inner body, stacks of arrays, the inner reversed."""

    def outer(c: Any, x: Any) -> Any:
        step = lambda d, y: (np.tanh(W @ d + y[[2, 0, 1]]), W.T @ d * x)  # noqa: E731
        last, stack = be.scan(step, c, xs, reverse=True)
        return last + stack.sum(0), (stack * stack).sum(1)

    last, stacks = be.scan(outer, h, xs)
    return last.sum() + (stacks * stacks).sum()


def choosing(be: Any, x: Any, w: Any, ts: Any) -> Any:
    """A choice in a loop, whose branches are a loop and a formula."""

    def step(c: Any, t: Any) -> Any:
        looped = lambda v, s: be.scan(lambda d, u: (d * s + np.sin(u), None), v, ts)[0]  # noqa: E731
        plain = lambda v, s: w * v - s  # noqa: E731
        return be.cond(t > 1.0, looped, plain, c, t), c * c

    last, squares = be.scan(step, x, ts)
    return last + squares.sum()


def searching(be: Any, x: Any, w: Any, ts: Any) -> Any:
    """A while loop in a loop, with an integer beside the number."""

    def step(c: Any, t: Any) -> Any:
        far = lambda v: (abs(v[0] * v[0] - t) > 1e-8 * t) & (v[1] < 40)  # noqa: E731
        root, count = be.while_loop(far, lambda v: ((v[0] + t / v[0]) / 2, v[1] + 1), (t + w, 0))
        return c * w + root + 0.01 * count, None

    return be.scan(step, x, ts)[0]


def narrow(be: Any, x: Any, ts: Any) -> Any:
    """Numbers of four bytes, and truth values that are carried."""

    def outer(c: Any, t: Any) -> Any:
        def inner(d: Any, s: Any) -> Any:
            value, up = d
            return (np.where(up, value * s, value - t), value < s), None

        return be.scan(inner, (c, t < c), ts)[0][0], None

    return be.scan(outer, x, ts)[0]


class Case(NamedTuple):
    function: Callable[..., Any]
    args: tuple[Any, ...]
    rtol: float = 1e-12


CASES = [
    Case(three_deep, (0.5, 0.7, XS[:3, 0])),
    Case(arrays_inside, (XS[0], XS)),
    Case(choosing, (0.4, 0.6, XS[:, 1])),
    Case(searching, (0.4, 0.9, XS[:, 2])),
    Case(narrow, (np.float32(0.7), XS[:, 0].astype(np.float32)), 1e-6),
]
NAMES = [c.function.__name__ for c in CASES]
EVERY = pytest.mark.parametrize("case", CASES, ids=NAMES)


def loops_of(graph: Any) -> list[Any]:
    return [node for node in graph.nodes if node.row in (scan_row, while_row)]


def traced(case: Case) -> Any:
    return cb.trace(lambda *args: case.function(cb, *args), *case.args)


def is_counted(node: Any) -> bool:
    """Whether the reverse of a while loop is inside, whose memory is known in the run only."""
    params = dict(node.params)
    bodies = [params[name] for name in ("body", "condition") if name in params]
    inside = [n for body in bodies for n in body.graph.nodes]
    inside += [n for c in inside if c.row is cond_row for b in dict(c.params)["branches"]
               for n in b.graph.nodes]  # fmt: skip
    return any(n.row is while_row and dict(n.params)["derived"] for n in inside) or any(
        is_counted(n) for n in inside if n.row in (scan_row, while_row)
    )


def check_loops(graph: Any, rtol: float) -> None:
    """Every loop of a graph is compiled, and gives what NumPy gives."""
    nodes = [node for node in loops_of(graph) if not is_counted(node)]
    assert nodes
    for node in nodes:
        types = [graph.types[i] for i in node.operands]
        given = [RNG.uniform(0.5, 1.5, t.shape).astype(t.dtype)[()] for t in types]
        want = node.row.numpy(*given, **dict(node.params))
        got = np.full_like(want, -1)
        function = compiled_function(node, vectorised=True)
        assert isinstance(function, CompiledScan | CompiledWhile)
        function(got, *given)
        np.testing.assert_allclose(got, want, rtol=rtol)


@EVERY
def test_loops_with_loops_inside_are_compiled_and_give_what_numpy_gives(case: Case) -> None:
    check_loops(traced(case), max(1e-13, case.rtol / 10))


@pytest.mark.deep
@EVERY
def test_loops_of_derivatives_are_compiled_and_give_what_numpy_gives(case: Case) -> None:
    graph, rtol = traced(case), max(1e-13, case.rtol / 10)
    for made in (jvp_graph(graph), vjp_graph(graph), jvp_graph(vjp_graph(graph))):
        check_loops(made, rtol)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(c, marks=[pytest.mark.deep] if c.function is arrays_inside else [])
        for c in CASES
    ],
    ids=NAMES,
)
def test_values_and_gradients_are_those_of_python_loops(case: Case) -> None:
    looped = lambda *args: case.function(cb, *args)  # noqa: E731
    plain = lambda *args: case.function(Python, *args)  # noqa: E731
    wrt = tuple(range(len(case.args)))
    got = cb.compile(cb.value_and_grad(looped, wrt), engine="fused")(*case.args)
    want = cb.value_and_grad(plain, wrt)(*case.args)
    np.testing.assert_allclose(got[0], want[0], rtol=case.rtol)
    for one, other in zip(got[1], want[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=case.rtol)


def test_values_have_the_bits_of_python_loops() -> None:
    """Sums and products only: no elementary function of ours stands between."""
    ts, us = RNG.uniform(-1, 1, 30), RNG.uniform(-1, 1, 40)

    def f(be: Any, x: Any) -> Any:
        inner = lambda d, u: (0.5 * d * u + x, None)  # noqa: E731
        return be.scan(lambda c, t: (be.scan(inner, c - t, us)[0] * t, c), x, ts)

    got = cb.compile(lambda x: f(cb, x), engine="fused")(0.3)
    for one, other in zip(got, f(Python, 0.3), strict=True):
        np.testing.assert_array_equal(one, other)


def test_second_derivatives_of_nested_loops() -> None:
    def square(be: Any, x: Any) -> Any:
        inner = lambda d, s: (d * s + x * x, None)  # noqa: E731

        def step(c: Any, t: Any) -> Any:
            looped = lambda v: be.scan(inner, v, XS[:3, 1])[0]  # noqa: E731
            return be.cond(t > 1.0, looped, np.sin, c), None

        return be.scan(step, x, XS[:, 0])[0]

    got = cb.compile(cb.grad(cb.grad(lambda x: square(cb, x))), engine="fused")(0.4)
    np.testing.assert_allclose(got, cb.grad(cb.grad(lambda x: square(Python, x)))(0.4), rtol=1e-10)


# --- what is run --------------------------------------------------------------------------------


def test_the_branch_that_is_not_taken_is_not_run() -> None:
    """It would never end."""

    def f(x: Any) -> Any:
        endless = lambda v: cb.while_loop(lambda c: c < 2.0, lambda c: c * 1.0, v)  # noqa: E731
        step = lambda c, _: (cb.cond(c < 100.0, lambda v: v + 1.0, endless, c), None)  # noqa: E731
        return cb.scan(step, x, length=5)[0]

    assert isinstance(compiled_function(loops_of(cb.trace(f, 1.0))[0], True), CompiledScan)
    assert cb.compile(f, engine="fused")(1.0) == 6.0


@pytest.mark.parametrize("inside", [False, True])
def test_no_step_is_begun_after_the_last_where_it_might_not_end(inside: bool) -> None:
    """The inner loop ends for every carry but the last: 1, where doubling is multiplying by 1."""

    def halves(x: Any) -> Any:
        grow = lambda c: cb.while_loop(lambda v: v < 64.0, lambda v: v * c, c)  # noqa: E731
        step = lambda c: c / 2 + 0 * grow(c)  # noqa: E731
        return cb.while_loop(lambda c: c > 1.0, step, x)

    f = (lambda x: cb.scan(lambda c, _: (halves(c), c), x, length=2)[0]) if inside else halves
    assert cb.compile(f, engine="fused")(32.0) == 1.0
    assert isinstance(
        compiled_function(loops_of(cb.trace(f, 32.0))[0], True), CompiledScan | CompiledWhile
    )


def test_choices_outside_of_loops_are_compiled_too() -> None:
    """Numbers, arrays of two axes and constants; a loop in one branch; both results at once."""

    def f(be: Any, x: Any, w: Any) -> Any:
        looped = lambda v: (be.scan(lambda c, t: (c @ W * t, None), v, w)[0], w.sum())  # noqa: E731
        plain = lambda v: (v * v, w[0] - w[1])  # noqa: E731
        first, second = be.cond(x.sum() > 0, looped, plain, x)
        return (first * first).sum() * second

    node = next(n for n in cb.trace(lambda *a: f(cb, *a), XS, XS[0]).nodes if n.row is cond_row)
    assert isinstance(compiled_function(node, True), CompiledChoice)
    compiled = cb.compile(cb.value_and_grad(lambda *a: f(cb, *a), (0, 1)), engine="fused")
    for x in (np.asfortranarray(XS), -XS):
        got = compiled(x, XS[0])
        want = cb.value_and_grad(lambda *a: f(Python, *a), (0, 1))(x, XS[0])
        np.testing.assert_allclose(got[0], want[0], rtol=1e-12)
        for one, other in zip(got[1], want[1], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-15)


def test_interrupts_are_answered_between_so_many_steps_of_all_loops() -> None:
    inner = lambda c: cb.scan(lambda d, _: (d * 0.5, None), c, length=1000)[0]  # noqa: E731
    f = lambda x: cb.scan(lambda c, _: (inner(c) + 1.0, None), x, length=3000)[0]  # noqa: E731
    scan = compiled_function(loops_of(cb.trace(f, 1.0))[0], True)
    assert isinstance(scan, CompiledScan)
    assert CHUNK // 1100 < scan.chunk < CHUNK // 900
    assert cb.compile(f, engine="fused")(1.0) == 1.0  # more steps than one chunk


def test_a_body_that_calls_numpy_stays_there_with_all_around_it() -> None:
    """A factorisation two loops down."""

    def f(be: Any, x: Any) -> Any:
        inner = lambda d, _: (np.linalg.inv(d + np.eye(2)), None)  # noqa: E731
        outer = lambda c, _: (be.scan(inner, c, length=2)[0], None)  # noqa: E731
        return be.scan(outer, x, length=2)[0].sum()

    x = np.array([[1.0, 0.2], [0.1, 2.0]])
    node = loops_of(cb.trace(lambda x: f(cb, x), x))[0]
    assert not isinstance(compiled_function(node, True), CompiledScan)
    got = cb.compile(cb.grad(lambda x: f(cb, x)), engine="fused")(x)
    np.testing.assert_allclose(got, cb.grad(lambda x: f(Python, x))(x), rtol=1e-12)


def test_inner_loops_of_no_step_and_arrays_of_no_entry() -> None:
    none = np.ones((0, 2))

    def f(x: Any) -> Any:
        inner = lambda d, t: (d * t.sum(), d + t)  # noqa: E731
        outer = lambda c, _: (cb.scan(inner, c, none)[0] * 2.0, None)  # noqa: E731
        return cb.scan(outer, x, length=3)[0]

    assert cb.compile(cb.value_and_grad(f), engine="fused")(1.5) == (12.0, 8.0)


@pytest.mark.parametrize("engine", ["tape", "fused"])
def test_long_nested_loops_are_compiled_on_both_engines(engine: str) -> None:
    """In NumPy the 4e5 steps would take seconds; the tape compiles what is dear."""
    ts = RNG.uniform(-0.5, 0.5, 200)

    def f(x: Any) -> Any:
        inner = lambda d, t: (d * t + x, None)  # noqa: E731
        return cb.scan(lambda c, _: (cb.scan(inner, c, ts)[0], None), x, length=2000)[0]

    compiled = cb.compile(f, engine=engine)
    assert compiled(0.3) < 1.0
    start = perf_counter()
    value = compiled(0.3)
    assert perf_counter() - start < 0.5
    last = 0.3
    for t in ts.tolist():  # which forgets where it began
        last = last * t + 0.3
    assert value == last


# --- the comparisons bite -----------------------------------------------------------------------


def without_copies(code: Any, keep: Any, length: int) -> Any:
    return nested_looping(code, keep, length - 1)


def swapped(branches: Any, keep: Any, vectorised: bool) -> Any:
    return nested_choosing(branches[::-1], keep, vectorised)


nested_looping, nested_choosing = nested_loops._looping, nested_loops._choosing
MUTANTS = [("_looping", without_copies, CASES[0]), ("_choosing", swapped, CASES[2])]


@pytest.mark.parametrize(("name", "mutant", "case"), MUTANTS, ids=[m[0] for m in MUTANTS])
def test_broken_functions_are_noticed(
    name: str, mutant: Any, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nested_loops, name, mutant)
    compiled_scan.cache_clear()
    with pytest.raises(AssertionError):
        test_loops_with_loops_inside_are_compiled_and_give_what_numpy_gives(case)
    compiled_scan.cache_clear()


def test_a_loop_that_calls_out_has_no_code() -> None:
    node = loops_of(cb.trace(lambda x: three_deep(cb, x, 0.5, XS[:, 0]), 0.3))[0]
    loop = compiled_function(node, True).loop  # type: ignore[attr-defined]
    assert loop_code(loop, True, lambda inner: None) is None
