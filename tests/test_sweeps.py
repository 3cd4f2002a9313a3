"""The direct sweeps: bit for bit the transformed graphs, in the memory that each mode promises."""

import _thread
import threading
import tracemalloc
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from cases import CASES, Case
from drawing_samples import draw, seeded, type_of
from hypothesis import assume, given, settings
from test_hard_cases import HARD, Hard

import calcbench as cb
from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.arraytype import FLOAT32, FLOAT64, CalcbenchError
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.primitive import REGISTRY
from calcbench.lower import sweep_code
from calcbench.lower.forward_code import ForwardSweep
from calcbench.lower.reverse_code import ReverseSweep
from calcbench.lower.sweep_kinds import MOVES, is_straight
from calcbench.lower.tape import prepare_tape
from calcbench.lower.texts import is_elementwise
from calcbench.reverse_mode.pullback import vjp_graph
from calcbench.testing import graphs, inputs


def same(got: Sequence[Any], want: Sequence[Any], ulps: int = 0) -> None:
    """Equal bits, but for the sign of a zero that a branch not taken adds.

    `ulps` of the largest entry are for programs on arrays: what is passed back to a number that was
    repeated is added up in another order.
    """
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        assert (np.shape(g), np.asarray(g).dtype) == (np.shape(w), np.asarray(w).dtype)
        largest = np.max(np.abs(w), initial=0.0, where=np.isfinite(w)) if ulps else 0.0
        np.testing.assert_allclose(g, w, rtol=0, atol=ulps * np.finfo(float).eps * largest)


def with_inputs(graph: Graph) -> Any:
    return inputs(graph).map(lambda values: (graph, values))


def floats_of(graph: Graph) -> list[int]:
    return [p for p, i in enumerate(graph.inputs) if graph.types[i].is_float]


def seeds_for(graph: Graph, nodes: Sequence[int], rng: Any, *leading: int) -> list[Any]:
    types = [graph.types[i] for i in nodes]
    drawn = [rng.normal(size=(*leading, *t.shape)).astype(t.dtype) for t in types]
    return [d[()] for d in drawn]


def check_graph(graph: Graph, values: Sequence[Any], ulps: int = 0) -> None:
    """Both sweeps against the transformed graphs on the tape, which runs the same texts."""
    rng = np.random.default_rng(7)
    wanted = floats_of(graph)
    outputs = [i for i in graph.outputs if graph.types[i].is_float]
    cotangents = seeds_for(graph, outputs, rng)
    pulled = prepare_tape(vjp_graph(graph, wanted))([*values, *cotangents])
    same(ReverseSweep(graph, wanted)(values, cotangents), pulled, ulps)
    tangents = seeds_for(graph, [graph.inputs[p] for p in wanted], rng, 3)
    swept = ForwardSweep(graph, wanted)(values, tangents)
    pushed = prepare_tape(jvp_graph(graph, wanted))
    for q in range(3):
        row = pushed([*values, *[t[q] for t in tangents]])
        count = len(graph.outputs)
        same([*swept[:count], *[s[q] for s in swept[count:]]], row, ulps)


# --- rows and programs ----------------------------------------------------------------------------


def row_graph(dtype: np.dtype) -> tuple[Graph, list[Any]]:
    """Elementwise rows at their scalar samples, as one graph of scalars.

    In float32 a few, as a kernel of all is compiled for no other test.
    """
    few = ("add", "multiply", "divide", "sin", "exp", "log", "power", "maximum", "less", "select")
    builder, values, outputs = Builder(), [], []
    for row in REGISTRY.values():
        taken = is_elementwise(row) and (dtype == FLOAT64 or row.name in few)
        for sample in row.samples if taken else ():
            if sample.params:
                continue  # numbers in the text of a row: programs that have them compile their own
            drawn = [np.reshape(v, -1)[0] for v in draw(sample, seeded(row.name), dtype)]
            try:
                row.infer(*map(type_of, drawn), **sample.params)
            except CalcbenchError:
                continue
            ids = tuple(builder.add_new_input("x", type_of(v)) for v in drawn)
            outputs.append(builder.add(row, ids, tuple(sorted(sample.params.items()))))
            values += drawn
    return builder.freeze(outputs), values


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32], ids=str)
def test_every_row(dtype: np.dtype) -> None:
    graph, values = row_graph(dtype)
    assert is_straight(graph)
    check_graph(graph, values)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_sample_program(case: Case) -> None:
    if not all(np.asarray(a).dtype == FLOAT64 for a in case.arguments):
        return  # float32 is tested with rows, and on the tape
    value, pull = cb.vjp(case.function, *case.arguments)
    graph = cb.trace(case.function, *case.arguments)
    if is_straight(graph) and not graph.guards:
        on_arrays = any(graph.types[i].shape for i in graph.inputs)
        check_graph(graph, [np.asarray(a)[()] for a in case.arguments], 8 if on_arrays else 0)
    ones = _ones_like(value)
    swept, found = cb.reverse_sweep(case.function, case.arguments, ones)
    for got, want in ((swept, value), (found, pull(ones))):
        _close(got, want)
    tangents = _ones_like(case.arguments)
    _close(
        cb.forward_sweep(case.function, case.arguments, tangents)[1],
        cb.jvp(case.function, case.arguments, tangents)[1],
    )


def _ones_like(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {k: _ones_like(v) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(_ones_like(v) for v in tree)
    return np.ones_like(tree, dtype=float)[()]


def _close(got: Any, want: Any) -> None:
    if isinstance(want, dict):
        got, want = list(got.values()), list(want.values())
    if isinstance(want, list | tuple):
        for g, w in zip(got, want, strict=True):
            _close(g, w)
        return
    scale = np.max(np.abs(want), initial=1.0)
    np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-12 * scale)


def test_both_kinds_of_sample_programs_are_there() -> None:
    plain = [c for c in CASES if all(np.asarray(a).dtype.kind == "f" for a in c.arguments)]
    kinds = [is_straight(cb.trace(c.function, *c.arguments)) for c in plain]
    assert sum(kinds) > 20
    assert sum(not k for k in kinds) > 20


UNARY = [np.sin, np.exp, np.tanh, np.abs, np.square, cb.relu, np.cos, lambda v: -v, lambda v: v**3]
BINARY = [
    np.add,
    np.subtract,
    np.multiply,
    np.maximum,
    np.minimum,
    np.hypot,
    lambda a, b: np.where(a > b, a * a, b),
    lambda a, b: a / (2.0 + np.abs(b)),
    lambda a, b: np.where(a == b, a, a - b),
]


def random_program(seed: int) -> Callable[[Any], Any]:
    """A program of about 60 operations on 4 numbers, kinks and ties included."""

    def program(x: Any) -> Any:
        rng = np.random.default_rng(seed)
        values = [x[0], x[1], x[2], x[3]]
        for _ in range(60):
            a, b = (values[k] for k in rng.integers(len(values), size=2))
            if rng.random() < 0.4:
                found = UNARY[rng.integers(len(UNARY))](a)
            else:
                found = BINARY[rng.integers(len(BINARY))](a, b)
            values.append(found * 0.5 if rng.random() < 0.5 else np.tanh(found))
        return np.array(values[-3:])

    return program


@pytest.mark.parametrize("seed", range(25))
def test_random_programs(seed: int) -> None:
    x = np.random.default_rng(seed).integers(-2, 3, size=4) / 2.0  # zeros and ties are likely
    graph = cb.trace(random_program(seed), x)
    assert is_straight(graph)
    check_graph(graph, [x])


PLAIN_ROWS = [r.name for r in REGISTRY.values() if is_elementwise(r) and not r.samples[0].params]
ODD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -1e-310, 1e308]


@given(graphs(kinked=True, rows=PLAIN_ROWS, shapes=((),)).flatmap(with_inputs))
@settings(max_examples=60, deadline=None)
def test_random_graphs_of_scalars(drawn: tuple[Graph, list[Any]]) -> None:
    graph, values = drawn
    assume(is_straight(graph))
    check_graph(graph, values)
    odd = np.random.default_rng(5).choice(ODD, size=len(values))
    check_graph(graph, list(odd))


@given(graphs(kinked=True, rows=[*PLAIN_ROWS, *MOVES], shapes=((), (3,))).flatmap(with_inputs))
@settings(max_examples=40, deadline=None)
def test_random_graphs_of_small_arrays(drawn: tuple[Graph, list[Any]]) -> None:
    graph, values = drawn
    assume(is_straight(graph))
    check_graph(graph, values, 1000)


@pytest.mark.parametrize("hard", HARD.values(), ids=HARD)
def test_hard_points(hard: Hard) -> None:
    if any(np.asarray(a).dtype.kind != "f" for a in hard.at):
        return
    value, pull = cb.vjp(hard.function, *hard.at, kink=hard.kink)
    ones = _ones_like(value)
    found = cb.reverse_sweep(hard.function, hard.at, ones, kink=hard.kink)[1]
    _close(found, pull(ones))
    if np.shape(value) == () and len(hard.at) == 1:  # what was derived by hand
        np.testing.assert_allclose(found[0], hard.expected, rtol=1e-12, atol=1e-15)
    tangents = _ones_like(hard.at)
    want = cb.jvp(hard.function, hard.at, tangents, kink=hard.kink)[1]
    _close(cb.forward_sweep(hard.function, hard.at, tangents, kink=hard.kink)[1], want)


@pytest.mark.parametrize("kink", ["min-norm", "left", "right", "zero", "mid"])
def test_conventions(kink: str) -> None:
    def program(x: Any) -> Any:
        return np.abs(x[0]) + np.maximum(x[1], 0.0) + np.where(x[0] > x[1], x[0], x[1])

    x = np.zeros(2)
    want = cb.grad(program, kink=kink)(x)
    np.testing.assert_array_equal(cb.reverse_sweep(program, x, kink=kink)[1], want)
    rows = cb.forward_sweep(program, x, np.eye(2), kink=kink)[1]
    np.testing.assert_array_equal(rows, cb.jacfwd(program, kink=kink)(x))


def test_a_branch_not_taken_adds_exactly_nothing() -> None:
    def root_or_zero(x: Any) -> Any:
        return np.where(x[0] > 0.0, np.sqrt(x[0]) * x[1], x[1])

    x = np.array([0.0, 2.0])  # the slope of the root is infinite
    assert cb.reverse_sweep(root_or_zero, x)[1].tolist() == [0.0, 1.0]
    assert cb.forward_sweep(root_or_zero, x, np.eye(2))[1].tolist() == [0.0, 1.0]


def test_an_output_that_ignores_an_input_gives_exact_zeros() -> None:
    y, slope = cb.reverse_sweep(lambda x: np.log(x[1]) * 2.0, np.array([0.0, 1.0]))
    assert (float(y), slope.tolist()) == (0.0, [0.0, 2.0])
    _, rows = cb.forward_sweep(lambda x: np.array([x[1], 3.0]), np.ones(2), np.eye(2))
    assert rows.tolist() == [[0.0, 0.0], [1.0, 0.0]]


# --- paths, arguments, results --------------------------------------------------------------------


def test_branches_are_recorded_one_by_one() -> None:
    def halving(x: Any) -> Any:
        while x > 1.0:
            x = x / 2.0
        return x * x

    for start in (0.5, 3.0, 40.0, 3.0, 0.5):
        y, slope = cb.reverse_sweep(halving, start)
        assert (y, slope) == (halving(start), cb.grad(halving)(start))
        assert cb.forward_sweep(halving, start, 1.0) == (y, slope)


def test_several_arguments_and_nested_results() -> None:
    def program(a: Any, b: Any) -> Any:
        return {"sum": a + b[0], "product": (a * b[1], np.sin(a))}

    at = (0.5, np.array([1.0, 2.0]))
    y, pull = cb.vjp(program, *at)
    ct = {"sum": 1.0, "product": (2.0, -1.0)}
    swept, found = cb.reverse_sweep(program, at, ct)
    _close(swept, y)
    _close(found, pull(ct))
    dx = (1.0, np.array([0.5, 0.25]))
    _close(cb.forward_sweep(program, at, dx)[1], cb.jvp(program, at, dx)[1])


def test_captured_values_are_read_again() -> None:
    scale = np.array([3.0])

    def program(x: Any) -> Any:
        return x * x * scale[0]

    assert [cb.reverse_sweep(program, 2.0)[1] for _ in range(3)] == [12.0] * 3
    scale[0] = 1.0
    assert cb.reverse_sweep(program, 2.0)[1] == 4.0


def test_inside_another_derivative() -> None:
    def slope(x: Any) -> Any:
        return cb.reverse_sweep(lambda v: v**4, x)[1]

    assert cb.grad(slope)(2.0) == pytest.approx(48.0)
    assert cb.grad(lambda x: cb.forward_sweep(lambda v: v**4, x, 1.0)[1])(2.0) == pytest.approx(48)


def test_many_directions_are_those_one_by_one() -> None:
    x = np.array([0.3, 0.7, -0.2, 1.1])
    directions = np.random.default_rng(3).normal(size=(5, 4))
    program = random_program(3)
    whole = cb.forward_sweep(program, x, directions)[1]
    rows = [cb.forward_sweep(program, x, d)[1] for d in directions]
    np.testing.assert_array_equal(whole, rows)


def test_programs_on_arrays_run_as_transformed_graphs() -> None:
    def program(x: Any) -> Any:
        return np.sum(np.sin(x) * x)

    x = np.linspace(0.0, 1.0, 500)
    want = np.cos(x) * x + np.sin(x)
    np.testing.assert_allclose(cb.reverse_sweep(program, x)[1], want, rtol=1e-13)
    rows = cb.forward_sweep(program, x, np.eye(500)[:3])[1]
    np.testing.assert_allclose(rows, want[:3], rtol=1e-13)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: cb.reverse_sweep(lambda x: x, np.ones(3)), "pass ct, shaped like the result"),
        (lambda: cb.reverse_sweep(lambda x: x, np.ones(3), np.ones(2)), "has shape (2,)"),
        (lambda: cb.reverse_sweep(np.sin, 2), "dtype int64"),
        (lambda: cb.forward_sweep(np.sin, np.ones(2), np.ones((2, 3))), "has shape (2, 3)"),
        (lambda: cb.forward_sweep(np.sin, np.ones(2), 1.0), "one axis more in front"),
        (
            lambda: cb.forward_sweep(np.add, (1.0, 2.0), (np.ones(2), np.ones(3))),
            "(2,) for (), (3,) for ()",
        ),
        (lambda: cb.reverse_sweep(3.0, 1.0), "a function is expected"),
    ],
)
def test_wrong_arguments_are_told_apart(call: Callable[[], Any], text: str) -> None:
    with pytest.raises(CalcbenchError) as error:
        call()
    assert text in str(error.value)


# --- memory, length, interruption -----------------------------------------------------------------


def chain(operations: int) -> Callable[[Any], Any]:
    def program(x: Any) -> Any:
        a, b = x[0], x[1]
        for _ in range(operations // 6):
            a = np.sin(a) + b
            b = b * 0.5 + np.cos(a)
        return a + b

    return program


def test_forward_memory_is_flat_and_reverse_memory_linear() -> None:
    x = np.array([0.3, 0.7])
    graphs = [cb.trace(chain(n), x) for n in (60, 600, 6000)]
    forward = [ForwardSweep(g, [0]).memory(2).peak for g in graphs]
    assert forward[0] == forward[1] == forward[2]
    reverse = [ReverseSweep(g, [0]).memory.peak for g in graphs]
    assert reverse[2] / reverse[1] == pytest.approx(10.0, rel=0.02)


def test_memory_is_what_the_allocator_gives() -> None:
    x, directions = np.array([0.3, 0.7]), np.eye(2)
    graph = cb.trace(chain(60_000), x)
    reverse, forward = ReverseSweep(graph, [0]), ForwardSweep(graph, [0])
    wide = np.ones((20_000, 2))
    plans = reverse.memory, forward.memory(20_000)
    runs = lambda: reverse([x], [1.0]), lambda: forward([x], [wide])
    forward([x], [directions])
    for plan, run in zip(plans, runs, strict=True):
        reverse.idle.clear()
        run()
        reverse.idle.clear()
        tracemalloc.start()
        run()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak == pytest.approx(plan.peak, rel=0.02, abs=10_000)


def test_slices_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.array([0.3, 0.7])
    graph = cb.trace(chain(2000), x)
    sweeps = ReverseSweep(graph, [0]), ForwardSweep(graph, [0])
    whole = sweeps[0]([x], [1.0]), sweeps[1]([x], [np.eye(2)])
    monkeypatch.setattr(sweep_code, "SLICE", 7)
    same(sweeps[0]([x], [1.0]), whole[0])
    same(sweeps[1]([x], [np.eye(2)]), whole[1])


@pytest.mark.usefixtures("ctrl_c")
def test_a_long_sweep_is_interrupted() -> None:
    """Ctrl-C is answered between slices: long before the sweep in many directions would end."""
    x = np.array([0.3, 0.7])
    sweep = ForwardSweep(cb.trace(chain(60_000), x), [0])
    directions = np.ones((20_000, 2))
    sweep([x], [directions[:1]])
    start = perf_counter()
    sweep([x], [directions])
    whole = perf_counter() - start
    timer = threading.Timer(whole / 5, _thread.interrupt_main)
    timer.start()
    start = perf_counter()
    with pytest.raises(KeyboardInterrupt):
        sweep([x], [directions])
    assert perf_counter() - start < 0.7 * whole


def test_a_long_program_needs_no_transformed_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("a graph of the derivative was made")

    x, operations = np.array([0.3, 0.7]), 100_000
    expected = cb.value_and_grad(chain(400), engine="tape")(x)
    for name in ("reverse_mode.pullback.vjp_graph", "forward_mode.pushforward.jvp_graph"):
        monkeypatch.setattr(f"calcbench.{name}", refuse)
    same(cb.reverse_sweep(chain(400), x), expected)
    y, slope = cb.reverse_sweep(chain(operations), x)
    _, dy = cb.forward_sweep(chain(operations), x, np.eye(2))
    np.testing.assert_allclose(y, chain(operations)(x), rtol=1e-9)
    np.testing.assert_allclose(slope, dy, rtol=1e-9)


def test_a_kernel_without_a_case_is_no_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    from calcbench.lower import reverse_code as module

    real = module.downward

    def poorer(*args: Any) -> Any:
        kernel = real(*args)
        return kernel._replace(numbers={s: n for s, n in kernel.numbers.items() if s.row != "sin"})

    monkeypatch.setattr(module, "downward", poorer)
    with pytest.raises(cb.EngineError, match="lacks an operation"):
        ReverseSweep(cb.trace(np.sin, 0.5), [0])


def test_a_wrong_partial_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison bites: with a sign turned in the kernel's text it fails."""
    from calcbench.lower import reverse_code as module

    graph = cb.trace(lambda x: np.sin(x) * x, 0.5)
    real = module.downward

    def turned(*args: Any) -> Any:
        kernel = real(*args)
        return kernel._replace(source=kernel.source.replace("b = x * ct", "b = -x * ct"))

    monkeypatch.setattr(module, "downward", turned)
    with pytest.raises(AssertionError):
        check_graph(graph, [np.float64(0.5)])
