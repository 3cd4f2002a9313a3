"""Counts of operations, bytes and saved values against closed forms and a number that counts."""

from __future__ import annotations

import operator
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from cases import CASES, Case
from drawing_samples import ROWS, draw, one_node, seeded

import calcbench as cb
from calcbench import compositions
from calcbench.forward_mode.interleaving import interleaved
from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.arraytype import (
    ArrayType,
    DerivativeError,
    DTypeError,
    GraphError,
    ShapeError,
    TraceError,
)
from calcbench.graph.checker import check_graph
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder, Graph, numpy_meaning, reachable
from calcbench.graph.nodes import Node
from calcbench.graph.primitive import CONTROL
from calcbench.graph.trees import leaves_of
from calcbench.measure import loop_counts, predicting, row_counts
from calcbench.measure.counting import count_graph
from calcbench.measure.element_counts import entry_operations
from calcbench.measure.operations import Operations
from calcbench.measure.predicting import Sweeps
from calcbench.measure.row_counts import count_row
from calcbench.measure.saving import saved_values
from calcbench.reverse_mode.pullback import vjp_graph
from calcbench.reverse_mode.schedules import fewest_advances


RNG = np.random.default_rng(5)


# --- a number that counts what is done to it ---------------------------------------------------


class Counting:
    """A float that adds one to a tally at each operation, as object arrays perform it."""

    dtype = np.dtype(object)
    tally: ClassVar[Counter[str]] = Counter()

    def __init__(self, value: float) -> None:
        self.value = float(value)

    def __pow__(self, other: Any) -> Counting:
        return self * self if plain(other) == 2 else made("transcendental", self.value, other)

    def __bool__(self) -> bool:
        raise AssertionError("a truth value was asked for without a comparison")


def plain(x: Any) -> float:
    return x.value if isinstance(x, Counting) else float(x)


def made(kind: str, value: float, *_: Any) -> Counting:
    Counting.tally[kind] += 1
    return Counting(value)


def _operator(kind: str, compute: Callable[..., Any], turned: bool = False) -> Any:
    def method(self: Any, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return NotImplemented
        pair = (plain(other), plain(self)) if turned else (plain(self), plain(other))
        return made(kind, compute(*pair))

    return method


def _comparison(compute: Callable[..., bool]) -> Any:
    def method(self: Any, other: Any) -> bool:
        Counting.tally["comparison"] += 1
        return compute(plain(self), plain(other))

    return method


def _function(kind: str, compute: Callable[[float], float]) -> Any:
    return lambda self: made(kind, compute(self.value))


BINARY = {
    "add": ("add", operator.add), "sub": ("add", operator.sub), "mul": ("multiply", operator.mul),
    "truediv": ("divide", operator.truediv),
}  # fmt: skip
for _name, (_kind, _compute) in BINARY.items():
    setattr(Counting, f"__{_name}__", _operator(_kind, _compute))
    setattr(Counting, f"__r{_name}__", _operator(_kind, _compute, turned=True))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Counting, f"__{_name}__", _comparison(getattr(operator, _name)))
for _name in ("sin", "cos", "exp", "log", "sqrt"):
    setattr(Counting, _name, _function("transcendental", getattr(np, _name)))
Counting.__neg__ = _function("add", operator.neg)  # type: ignore[attr-defined]
Counting.__abs__ = _function("comparison", abs)  # type: ignore[attr-defined]


def counting(value: Any) -> Any:
    """An array of counting numbers, or one of them."""
    array = np.asarray(value, dtype=float)
    objects = np.array([Counting(v) for v in array.ravel()], dtype=object).reshape(array.shape)
    return objects if array.ndim else objects[()]


def tallied(run: Callable[[], Any]) -> Operations:
    """What a run on counting numbers did."""
    Counting.tally.clear()
    run()
    return Operations(**Counting.tally)


def without_moves(found: Operations) -> Operations:
    return Operations(**{**asdict(found), "move": 0})


def executed(graph: Graph) -> Operations:
    """The graph's NumPy meaning on counting numbers; no number moves for itself there."""
    inputs = [counting(RNG.uniform(0.5, 1.5, graph.types[i].shape)) for i in graph.inputs]
    return tallied(lambda: graph.run(inputs, counting_meaning))


def counting_meaning(node: Node, operands: list[Any]) -> Any:
    """Truth values do not count themselves, and zeros that come in (padded, selected) are plain."""
    if node.row.name.startswith("logical_"):
        Counting.tally["comparison"] += np.size(operands[0])
    found = numpy_meaning(node, operands)
    if isinstance(found, np.ndarray) and found.dtype == object:
        for place, value in np.ndenumerate(found := found.copy()):
            found[place] = value if isinstance(value, Counting) else Counting(value)
    return found


# --- programs, with closed forms ------------------------------------------------------------------


def chain(x: Any, n: int = 7) -> Any:
    for _ in range(n):
        x = np.sin(x)
    return x


def product_tree(*leaves: Any) -> Any:
    while len(leaves) > 1:
        leaves = tuple(a * b for a, b in zip(leaves[::2], leaves[1::2], strict=True))
    return leaves[0]


def seed_example(x: Any, w: Any, y: Any) -> Any:
    return (np.dot(x, w) - y) ** 2


def dense(w: Any, x: Any, b: Any) -> Any:
    return np.sum(np.exp(w @ x + b))


def quotients(x: Any, y: Any) -> Any:
    return np.log(x) / y - 1.0 / (x + y) + np.sqrt(x) * -y


def two_layers(v: Any, w: Any, x: Any) -> Any:
    return np.sum(np.exp(v @ np.sin(w @ x)) ** 2)


def product(a: Any, b: Any) -> Any:
    return a @ b


ONES = np.ones
PROGRAMS = [
    (chain, (1.0,)),
    (product_tree, (1.0,) * 8),
    (seed_example, (ONES(6), ONES(6), 1.0)),
    (dense, (ONES((3, 4)), ONES(4), ONES(3))),
    (quotients, (ONES(5), ONES(5))),
    (two_layers, (ONES((2, 3)), ONES((3, 4)), ONES((4, 5)))),
    (product, (ONES((2, 3)), ONES((3, 4)))),
    (product, (ONES(3), ONES((3, 4)))),
    (product, (ONES((5, 2, 3)), ONES((5, 3, 4)))),
    (lambda x: np.sum(np.where(x > 1.0, x * x, x + 1.0)), (ONES((2, 3)),)),
    (lambda x: np.cumsum(x)[1:] * np.flip(x)[:3], (ONES(4),)),
    (lambda x: np.mean(x, axis=0) + x[:, None, :].sum(axis=(0, 1)), (ONES((4, 3)),)),
    (lambda x: x[np.array([0, 0, 2])] * 2.0, (ONES(3),)),
    (lambda x: np.concatenate([x, -x]) * np.tile(x, 2), (ONES(3),)),
]
FUNCTIONS_ONLY = [
    (lambda x: np.max(x, axis=0) + np.maximum(x[0], x[1]), (ONES((2, 3)),)),
    (lambda x: np.prod(x) + np.sum(np.abs(x)), (ONES(4),)),
    (lambda x: np.sum(np.cumprod(x, axis=1)), (ONES((2, 3)),)),
]


def derivative_graphs(function: Any, arguments: Any) -> Iterator[Graph]:
    graph = cb.trace(function, *arguments)
    yield from (graph, jvp_graph(graph), vjp_graph(graph))


@pytest.mark.parametrize(("function", "arguments"), PROGRAMS)
def test_counts_are_those_of_a_run_with_a_number_that_counts(function: Any, arguments: Any) -> None:
    for graph in derivative_graphs(function, arguments):
        assert without_moves(count_graph(graph).operations) == executed(graph), graph


STEPS: list[Callable[[Any, Any], Any]] = [
    lambda u, v: u + v,
    lambda u, v: u - v,
    lambda u, v: u * v,
    lambda u, v: u / (v * v + 1.0),
    lambda u, v: np.exp(np.sin(u)) - v**2,
    lambda u, v: np.concatenate([u[1:], v[:1]]),
    lambda u, v: np.concatenate([u, v])[::2],
    lambda u, v: u * np.sum(v),
    lambda u, v: np.cumsum(u) - v[::-1],
    lambda u, v: np.outer(u, v) @ u,
    lambda u, v: np.where(u > v, u, v * 2.0),
]


@pytest.mark.parametrize("seed", range(30))
def test_counts_of_random_programs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, (len(STEPS), 100, 100), size=(rng.integers(1, 8), 3))

    def program(x: Any, y: Any) -> Any:
        values = [x, y]
        for step, first, second in chosen:
            u, v = values[first % len(values)], values[second % len(values)]
            values.append(STEPS[step](u, v))
        return values[-1]

    for graph in derivative_graphs(program, (ONES(4), ONES(4))):
        found = count_graph(graph)
        assert without_moves(found.operations) == executed(graph), graph
        assert found.peak == most_held(graph)


@pytest.mark.parametrize(("function", "arguments"), [*PROGRAMS[:9], *FUNCTIONS_ONLY])
def test_counts_are_those_of_the_users_function_itself(function: Any, arguments: Any) -> None:
    found = cb.cost(function, *arguments).function.operations
    assert without_moves(found) == tallied(lambda: function(*map(counting, arguments)))


def test_the_counting_run_notices_a_wrong_count(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = cb.trace(product, ONES((2, 3)), ONES((3, 4)))
    monkeypatch.setitem(
        row_counts.EXACT, "matmul", lambda z, a, b: Operations(24, 24)  # k additions, not k - 1
    )  # fmt: skip
    assert without_moves(count_graph(graph).operations) != executed(graph)


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_the_seed_example_in_closed_form(n: int) -> None:
    found = cb.cost(seed_example, ONES(n), ONES(n), 1.0)
    assert found.function.operations == Operations(add=n, multiply=n + 1)
    # r = <x, w> - y; 2 r ct, its negative for y, repeated n times for x and for w
    assert found.vjp.operations == Operations(add=n + 1, multiply=3 * n + 3, move=n)
    # <dx, w> + <x, dw> - dy, times 2 r
    assert found.jvp.operations == Operations(add=3 * n, multiply=3 * n + 3)
    assert found.is_within_bound
    assert [(v.place.split(",")[0], v.size) for v in found.saved] == [
        ("v0 = input 'x'", 8 * n), ("v1 = input 'w'", 8 * n), ("v5 = subtract", 8),
    ]  # fmt: skip


@pytest.mark.parametrize("n", [1, 2, 10, 100])
def test_chains_forward_memory_is_flat_and_reverse_memory_grows(n: int) -> None:
    found = cb.cost(lambda x: chain(x, n), 1.0)
    assert found.function.operations == Operations(transcendental=n)
    assert found.jvp.operations == Operations(transcendental=2 * n, multiply=n)
    assert found.vjp.operations == Operations(transcendental=2 * n, multiply=n)
    assert (found.jvp.read, found.jvp.written) == (8 * 4 * n, 8 * 3 * n)
    assert len(found.saved) == n
    assert found.saved_bytes == 8 * n
    assert found.function.peak == (16 if n == 1 else 24)
    assert found.jvp.peak == (32 if n == 1 else 48)
    # x, ct, n - 1 values between, the result and a cosine; or what the last product has around it
    assert found.vjp.peak == 8 * max(n + 3, 5 if n == 1 else 6)


@pytest.mark.parametrize("n", [2, 4, 32])
def test_trees_of_products(n: int) -> None:
    found = cb.cost(product_tree, *([1.0] * n))
    assert found.function.operations == Operations(multiply=n - 1)
    assert found.vjp.operations == Operations(multiply=3 * (n - 1))
    assert found.jvp.operations == Operations(multiply=3 * (n - 1), add=n - 1)
    assert found.reverse_ratio == 3.0
    assert len(found.saved) == 2 * n - 2  # all but the root


@pytest.mark.parametrize(("m", "k"), [(3, 4), (1, 7), (6, 1)])
def test_dense_layers(m: int, k: int) -> None:
    found = cb.cost(dense, ONES((m, k)), ONES(k), ONES(m))
    assert found.function.operations == Operations(
        add=m * (k - 1) + m + (m - 1), multiply=m * k, transcendental=m
    )
    # ct exp(.) for b; its outer product with x for w, both stretched; it times w for x
    assert found.vjp.operations == found.function.operations + Operations(
        add=k * (m - 1), multiply=m + 2 * m * k, move=m + 2 * m * k
    )


@pytest.mark.parametrize(("m", "k", "n"), [(2, 3, 4), (5, 1, 5), (1, 8, 2), (2, 0, 3)])
def test_matrix_products(m: int, k: int, n: int) -> None:
    found = cb.cost(product, ONES((m, k)), ONES((k, n)))

    def times(rows: int, inner: int, columns: int) -> Operations:
        size = rows * columns
        return Operations(add=size * max(inner - 1, 0), multiply=size * inner)

    assert found.function.operations == times(m, k, n)
    transposed = Operations(move=m * k + k * n)
    expected = times(m, k, n) + times(m, n, k) + times(k, m, n) + transposed
    assert found.vjp.operations == expected
    assert found.saved_bytes == 8 * (m * k + k * n)
    assert found.is_within_bound is None  # the result is a matrix


@pytest.mark.parametrize("n", [0, 1, 2, 3, 6])
def test_elimination_and_cholesky_against_their_loops(n: int) -> None:
    types = cb.trace(lambda a: a, ONES((n, n))).types[:1]
    found = count_row(ROWS["cholesky"], types[0], types, {}).operations
    assert found == loops_of_cholesky(n)
    found = count_row(ROWS["inv"], types[0], types, {}).operations
    assert found == loops_of_elimination(n, n)


def loops_of_cholesky(n: int) -> Operations:
    tally: Counter[str] = Counter()
    for j in range(n):
        for i in range(j, n):
            tally.update({"add": j, "multiply": j})
            tally["transcendental" if i == j else "divide"] += 1
    return Operations(**tally)


def loops_of_elimination(n: int, columns: int) -> Operations:
    """Pivot search by magnitude, elimination, and both substitutions."""
    tally: Counter[str] = Counter()
    for j in range(n):
        tally.update(comparison=2 * (n - 1 - j))
        for _ in range(j + 1, n):
            tally.update({"divide": 1, "add": n - 1 - j, "multiply": n - 1 - j})
    for _ in range(columns):
        for i in range(n):
            tally.update({"add": i, "multiply": i})
        for i in range(n):
            tally.update({"add": n - 1 - i, "multiply": n - 1 - i, "divide": 1})
    return Operations(**tally)


# --- every row -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROWS)
def test_every_row_has_a_count(name: str) -> None:
    for sample in ROWS[name].samples:
        graph = one_node(ROWS[name], draw(sample, seeded(name)), sample.params)
        found = count_graph(graph)
        size = graph.types[graph.outputs[0]].size
        is_counted = ROWS[name].kind != "source" and size > 0
        assert (found.operations.total > 0) == is_counted
        assert (found.written > 0) == is_counted


def test_a_row_needs_nothing_but_its_text_or_a_declaration() -> None:
    kind = [ArrayType((5,), np.dtype(float))]
    new = replace(ROWS["sin"], name="new", scalar="(math.sin({0}) * {0} + 1.0)")
    assert count_row(new, kind[0], kind, {}).operations == Operations(5, 5, 0, 5)
    undeclared = replace(ROWS["sum"], name="new")
    with pytest.raises(GraphError, match=r"no count .* row new.*declare one in calcbench.measure"):
        count_row(undeclared, kind[0], kind, {"axes": (0,)})
    with pytest.raises(GraphError, match="no kind of operation"):
        entry_operations("({0} << 2)")


def test_no_declaration_is_out_of_reach() -> None:
    for name in (*row_counts.EXACT, *row_counts.NOMINAL):
        assert ROWS[name].scalar is None
        assert "structural" not in ROWS[name].facts
    assert not set(row_counts.EXACT) & set(row_counts.NOMINAL)


# Read by hand off the element texts; the entries that only select or pass on count as moves.
TEXTS = {
    "sigmoid": Operations(add=2, divide=1, transcendental=1, comparison=2),
    "softplus": Operations(add=2, transcendental=2, comparison=2),
    "logaddexp": Operations(add=3, transcendental=2, comparison=3),
    "sech": Operations(add=2, multiply=2, divide=1, transcendental=2, comparison=1),
    "sign": Operations(comparison=3),
    "larger_share": Operations(add=1, comparison=3),
    "maximum": Operations(comparison=1),
    "relu": Operations(comparison=1),
    "isnan": Operations(comparison=1),
    "select": Operations(move=1),
    "detach": Operations(move=1),
    "reciprocal": Operations(divide=1),
    "square": Operations(multiply=1),
    "floor": Operations(comparison=1),
    "remainder": Operations(divide=1),
    "digamma": Operations(transcendental=1),
}


@pytest.mark.parametrize("name", TEXTS)
def test_operations_of_element_texts(name: str) -> None:
    assert entry_operations(str(ROWS[name].scalar)) == TEXTS[name]


# --- loops and choices ---------------------------------------------------------------------------


def step(carry: Any, x: Any) -> Any:
    return np.sin(carry) * x + carry, carry


def looped(carry: Any, xs: Any) -> Any:
    return cb.scan(step, carry, xs)[0]


def unrolled(carry: Any, xs: Any) -> Any:
    for x in xs:
        carry, _ = step(carry, x)
    return carry


@pytest.mark.parametrize("n", [0, 1, 2, 9])
def test_a_scan_counts_its_body_once_a_step(n: int) -> None:
    found = cb.cost(looped, 1.0, ONES(n)).function
    assert without_moves(found.operations) == tallied(
        lambda: unrolled(counting(1.0), counting(ONES(n)))
    )
    assert found.nominal == ()


def test_costs_of_a_scan_grow_by_the_same_amount_each_step() -> None:
    costs = [cb.cost(looped, 1.0, ONES(n)) for n in (3, 4, 5, 1000)]
    for part in ("function", "jvp", "vjp"):
        totals = [getattr(c, part).operations for c in costs]
        one = [b - a for a, b in zip(totals[0].counts, totals[1].counts, strict=True)]
        expected = [a + 997 * each for a, each in zip(totals[0].counts, one, strict=True)]
        assert totals[3] == Operations(*expected)
        assert totals[2] == Operations(
            *[a + 2 * e for a, e in zip(totals[0].counts, one, strict=True)]
        )


def test_loops_in_loops_multiply() -> None:
    def inner(carry: Any, x: Any) -> Any:
        return looped(carry, x), None

    found = cb.cost(lambda c, xs: cb.scan(inner, c, xs)[0], 1.0, ONES((3, 7))).function
    assert without_moves(found.operations) == Operations(21, 21, 0, 21)


def test_forward_over_a_scan_is_flat_and_reverse_keeps_the_carries() -> None:
    def power(x: Any, n: int) -> Any:
        return cb.scan(lambda c, _: (np.sin(c) * x, None), x, length=n)[0]

    short, long = (cb.cost(lambda x, n=n: power(x, n), 1.0, argnums=0) for n in (10, 1000))
    assert short.jvp.peak == long.jvp.peak
    assert 8 * 990 <= long.vjp.peak - short.vjp.peak <= 2 * 8 * 990
    assert max(long.saved, key=lambda v: v.size).size // 8 in (1000, 1001)
    assert "scan" in max(long.saved, key=lambda v: v.size).place


def test_a_loop_that_waits_for_no_cotangent_is_kept_and_not_its_operands() -> None:
    x, ct = cb.var("x"), cb.var("ct0")
    doubled = cb.scan(lambda c, _: (c * 2.0, None), x, length=3)[0]
    found = saved_values(cb.as_graph((np.sin(x), doubled * ct)), 1)
    assert [v.place.partition(",")[0].partition(" = ")[2] for v in found] == ["scan"]


def test_a_loop_holds_its_carry_and_what_its_body_computes() -> None:
    def powers(x: Any) -> Any:
        return cb.scan(lambda c, _: (np.sin(np.exp(c)), None), x, length=3)[0]

    # x, the result, and inside the carry with the exponential and the sine
    assert cb.cost(powers, ONES(100)).function.peak == 5 * 800


def test_a_choice_counts_the_dearer_branch_and_says_so() -> None:
    def chosen(x: Any) -> Any:
        return cb.cond(x > 0.0, lambda y: np.sin(y) * y, lambda y: y * 2.0, x)

    found = cb.cost(chosen, 1.0)
    assert without_moves(found.function.operations) == Operations(0, 1, 0, 1, 1)
    assert "values or LAPACK decide: cond" in str(found)
    alike = cb.cost(lambda x: cb.cond(x > 0.0, lambda y: y * 3.0, lambda y: y * 2.0, x), 1.0)
    assert alike.function.nominal == ()


@pytest.mark.parametrize("slots", [1, 3, 10, 40])
def test_a_checkpointed_scan_counts_the_steps_of_its_schedule(slots: int) -> None:
    """Up once, again as the schedule says, and down once: a state goes through two sines."""
    steps = 40

    def chain(x: Any) -> Any:
        return cb.scan(lambda c, _: (np.sin(np.sin(c)), None), x, length=steps)[0]

    found = cb.cost(cb.checkpoint(chain, slots=slots), 1.0).vjp
    assert found is not None
    up_again = fewest_advances(steps, slots) - (steps - 1)
    inner = steps  # the sweep down computes one sine of each step again, and two cosines
    assert found.operations.transcendental == 2 * (steps + up_again) + inner + 2 * steps
    assert found.operations.multiply == 2 * steps


def test_forward_mode_is_taken_where_the_modes_come_to_much_the_same() -> None:
    """A band: n and m differ by two, so do the sweeps."""
    found = cb.explain_mode(lambda x: x[:-2] * x[1:-1] + x[2:], np.ones(500))
    assert found.reverse_total < found.forward_total < 1.01 * found.reverse_total
    assert found.mode == "forward"
    assert "forward mode, which keeps no values, at about as many operations" in str(found)
    wide = cb.explain_mode(lambda x: x[:-8] * x[4:-4] + x[8:], np.ones(100))
    assert wide.forward_total > 1.01 * wide.reverse_total
    assert wide.mode == "reverse"


def test_a_while_loop_counts_one_trip_and_says_so() -> None:
    found = cb.cost(lambda x: cb.while_loop(lambda c: c < 9.0, lambda c: c * 2.0, x), 1.0)
    assert without_moves(found.function.operations) == Operations(0, 1, 0, 0, 1)
    assert "values or LAPACK decide: while_loop" in str(found)
    assert found.vjp.operations.total > found.function.operations.total


def test_every_row_that_holds_graphs_has_a_count() -> None:
    assert all((cb.scan, cb.cond, cb.while_loop))  # once loaded, their rows are known
    assert set(loop_counts.HELD) == set(CONTROL) - {"checkpoint"}  # that is written out first


# --- bytes ---------------------------------------------------------------------------------------

SMALL_CASES = [c for c in CASES if len(cb.trace(c.function, *c.arguments)) < 200]


def each_case(cases: list[Case]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=lambda c: c.name)


@each_case(SMALL_CASES)
def test_peak_is_the_most_that_is_held_at_a_step(case: Case) -> None:
    found = cb.cost(case.function, *case.arguments)
    for part in (found.function, found.jvp, found.vjp):
        if part is not None:
            assert part.peak == most_held(part.graph)


def most_held(graph: Graph) -> int:
    """At each step the values that exist and are read then or later, by definition."""
    fills = {i for i, n in enumerate(graph.nodes) if n.row.name == "fill"} - set(graph.outputs)
    always = {*graph.outputs, *(g.node for g in graph.guards)}
    most = 0
    for step in range(len(graph) + 1):
        read = {i for node in graph.nodes[step:] for i in node.operands}
        held = {i for i in range(min(step + 1, len(graph))) if i in read | always or i == step}
        held = (held | set(graph.inputs)) - fills
        sizes = [graph.types[i].size * graph.types[i].dtype.itemsize for i in held]
        most = max(most, sum(sizes))
    return most


def allocated(graph: Graph) -> int:
    """The most that the allocator gives out while nodes are computed and dropped at last use."""
    inputs = [RNG.uniform(0.5, 1.5, graph.types[i].shape) for i in graph.inputs]
    last = {i: step for step, node in enumerate(graph.nodes) for i in node.operands}
    last |= dict.fromkeys((*graph.inputs, *graph.outputs), len(graph))
    values = dict(zip(graph.inputs, inputs, strict=True))
    tracemalloc.start()
    try:
        for step, node in enumerate(graph.nodes):
            if step not in values:
                params = dict(node.params) | ({"shape": ()} if node.row.name == "fill" else {})
                values[step] = node.row.numpy(*[values[i] for i in node.operands], **params)
            for dead in [i for i in values if last[i] == step]:
                del values[dead]
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("function", "arguments"),
    [(lambda x: chain(x * x, 6), (ONES(50_000),)), (product, (ONES((200, 90)), ONES((90, 300))))],
)
def test_peaks_are_what_the_allocator_sees(function: Any, arguments: Any) -> None:
    """Of programs without transposes or broadcasts, which NumPy makes without memory."""
    found = cb.cost(function, *arguments)
    views = ("broadcast", "transpose")
    parts = [p for p in (found.function, found.jvp, found.vjp) if p is not None]
    checked = [p for p in parts if not any(n.row.name in views for n in p.graph.nodes)]
    assert len(checked) >= 2
    for part in checked:
        assert allocated(part.graph) == pytest.approx(part.peak - part.inputs, rel=0.02)


@each_case(SMALL_CASES)
def test_the_order_of_forward_accumulation_changes_no_value(case: Case) -> None:
    graph = cb.trace(case.function, *case.arguments)
    if not any(graph.types[i].is_float for i in graph.outputs):
        return
    pushed = jvp_graph(graph)
    other = check_graph(interleaved(pushed, len(graph.outputs)))
    assert sorted(map(str, other.types)) == sorted(map(str, pushed.types))
    point = [np.asarray(leaf)[()] for leaf in leaves_of(case.arguments)]
    others = [pushed.types[i] for i in pushed.inputs[len(point) :]]  # captures, tangents
    inputs = [*point, *(RNG.uniform(0.2, 0.8, k.shape).astype(k.dtype)[()] for k in others)]
    expected = evaluate(pushed, *inputs)
    for first, second in zip(expected, evaluate(other, *inputs), strict=True):
        np.testing.assert_array_equal(first, second, strict=True)


@each_case(SMALL_CASES)
def test_the_sweep_needs_the_saved_values_and_no_others(case: Case) -> None:
    found = cb.cost(case.function, *case.arguments)
    if found.vjp is None:
        return
    graph, results = found.vjp.graph, len(found.function.graph.outputs)
    saved = {value.node for value in found.saved}
    seeds = {i for i in graph.inputs if i not in graph.inputs[: len(found.function.graph.inputs)]}
    upward = set(reachable(graph.nodes, graph.outputs[:results])) - seeds
    visited: set[int] = set()
    pending = list(graph.outputs[results:])
    while pending:
        index = pending.pop()
        if index not in visited:
            visited.add(index)
            pending.extend(() if index in saved | seeds else graph.nodes[index].operands)
    assert saved <= visited
    assert not any(graph.nodes[i].row.kind == "source" for i in saved)
    sources = {i for i in visited if graph.nodes[i].row.kind == "source"}
    assert not (visited & upward) - saved - sources


@each_case(SMALL_CASES)
def test_totals_are_sums_over_nodes(case: Case) -> None:
    found = cb.cost(case.function, *case.arguments)
    for part in (found.function, found.jvp, found.vjp):
        if part is not None:
            assert [n.node for n in part.nodes] == list(range(len(part.graph)))
            assert part.operations.total == sum(n.operations.total for n in part.nodes)
            assert part.read == sum(n.read for n in part.nodes)
            assert part.written == sum(n.written for n in part.nodes)
            assert part.nominal == tuple(n.node for n in part.nodes if n.nominal)
            assert str(part).count("\n") >= min(len(part.graph), 40)


def test_parts_are_read_where_parts_are_taken() -> None:
    def reads(function: Any, *arguments: Any) -> int:
        return cb.cost(function, *arguments).function.read

    x = np.ones(1000)
    assert reads(lambda x: x[10:14], x) == 8 * 4
    assert reads(np.diagonal, np.ones((9, 9))) == 8 * 9
    assert reads(lambda x: np.sum(x), x) == 8 * 1000
    assert reads(lambda x: x * x, x) == 8 * 1000  # one operand, read once
    assert reads(lambda x: x + 1.0, x) == 8 * 1000  # a number of the program is not read
    assert reads(lambda x: x + x, x.astype(np.float32)) == 4 * 1000


# --- what is said --------------------------------------------------------------------------------


def product_of_entries(x: Any) -> Any:
    result = x[0]
    for i in range(1, len(x)):
        result = result * x[i]
    return result


def test_the_bound_is_flagged_where_it_fails() -> None:
    found = cb.cost(product_of_entries, ONES(30))
    assert found.reverse_ratio is not None
    assert found.reverse_ratio > 5  # every entry's cotangent is padded to the whole array
    assert found.is_within_bound is False
    assert "does not hold" in str(found)
    good = cb.cost(lambda x: np.sum(x * x), ONES(30))
    assert good.is_within_bound is True
    assert "(at most 5 for a scalar result: holds)" in str(good)


def test_the_report_names_lines_bytes_and_reasons() -> None:
    text = str(cb.cost(seed_example, ONES(4), ONES(4), 1.0))
    assert text.splitlines()[0] == "(x: f64[4], w: f64[4], y: f64[]) -> (f64[])"
    assert "saved for the reverse sweep: 3 values, 72 bytes" in text
    assert "32 bytes: v0 = input 'x'; read by v13 = multiply, recorded at " in text
    assert f"{__file__}:" in text
    columns = [line.split() for line in text.splitlines()[1:5]]
    assert columns[0][-3:] == ["read", "written", "peak"]
    assert [row[0] for row in columns[1:]] == ["function", "jvp", "vjp"]
    assert columns[1][1:3] == ["4", "5"]


def test_nominal_counts_are_named() -> None:
    found = cb.cost(lambda a: np.sum(np.linalg.eigvalsh(a)), np.eye(3))
    assert "nominal, as values or LAPACK decide: eigenvectors, eigvalsh" in str(found)
    assert found.function.nominal
    assert "(nominal)" in str(found.function)
    assert "nominal" not in str(cb.cost(np.sin, 1.0))


def test_a_captured_array_is_no_argument() -> None:
    weights = ONES((3, 4))
    found = cb.cost(lambda x: np.sum(weights @ x), ONES(4))
    assert len(found.vjp.graph.outputs) == 2
    assert found.vjp.operations.multiply == 24


def test_argnums_and_integers() -> None:
    both = cb.cost(product, ONES((2, 3)), ONES(3))
    second = cb.cost(product, ONES((2, 3)), ONES(3), argnums=1)
    assert len(both.vjp.graph.outputs) == len(second.vjp.graph.outputs) + 1
    assert second.saved_bytes == 8 * 6  # the matrix alone
    mixed = cb.cost(lambda x, n: x**n, ONES(3), np.int64(3))
    assert len(mixed.vjp.graph.outputs) == 2


@pytest.mark.parametrize(("function", "argument"), [(lambda n: n * n, 3), (np.argmax, ONES(3))])
def test_without_floats_there_is_a_cost_and_no_derivative(function: Any, argument: Any) -> None:
    found = cb.cost(function, argument)
    assert found.function.operations.total > 0
    assert found.jvp is found.vjp is found.reverse_ratio is found.is_within_bound is None
    assert "floats, so there is no derivative" in str(found)


def test_nothing_to_do_has_no_ratio() -> None:
    found = cb.cost(lambda x: x, ONES(3))
    assert found.function.operations.total == 0
    assert found.reverse_ratio is None
    assert "takes no operations" in str(found)
    assert cb.cost(lambda x: np.sum(x * x), ONES(0)).function.operations.total == 0


def test_a_graph_is_counted_after_rewrites() -> None:
    builder = Builder()
    x = builder.add_input("x", ArrayType((3,), np.dtype(float)))
    twice = builder.add(ROWS["negative"], (builder.add(ROWS["negative"], (x,)),))
    out = builder.add(ROWS["multiply"], (twice, twice))
    builder.add(ROWS["sin"], (x,))  # nobody reads it
    found = cb.cost(builder.freeze([out]))
    assert found.function.operations == Operations(multiply=3)
    assert found.vjp.operations == cb.cost(lambda x: x * x, ONES(3)).vjp.operations


NAMED = cb.as_graph(cb.var("x", shape=(cb.Dim("n"),)) * 2.0)
SINE = cb.trace(np.sin, 1.0)
BAD: list[tuple[Any, tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    (3.0, (), {}, GraphError, r"a function or a Graph, got float 3.0; .*, not cost\(f\(x\)\)"),
    ("sin(x)", (1.0,), {}, GraphError, "got str 'sin"),
    (None, (), {}, GraphError, "got NoneType"),
    (NAMED, (), {}, ShapeError, r"f64\[n\].*sizes that are numbers"),
    (SINE, (1.0,), {}, GraphError, r"pass it alone"),
    (SINE, (), {"argnums": 0}, GraphError, r"pass it alone, without argnums=0"),
    (np.sin, (3,), {"argnums": 0}, DTypeError, "carry no tangent"),
    (np.sin, (1.0,), {"argnums": 1}, DerivativeError, "1 positional arguments"),
    (np.sin, (1.0,), {"argnums": ()}, DerivativeError, "argnums is empty"),
    (lambda x: None, (1.0,), {}, DerivativeError, "is a return missing"),
    (lambda x: float(x), (1.0,), {}, TraceError, "float"),
    (np.sin, (np.array([1j]),), {}, DTypeError, "complex"),
    (lambda x, y: x, (1.0,), {}, TypeError, "missing 1 required positional argument"),
]


@pytest.mark.parametrize(("function", "arguments", "options", "error", "message"), BAD)
def test_bad_input(function: Any, arguments: Any, options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        cb.cost(function, *arguments, **options)


# --- which mode ----------------------------------------------------------------------------------

FACTOR = 2.0  # how far a prediction may be from the count of the real transform


def real_operations(graph: Graph, wanted: Sequence[int], mode: str) -> int:
    """Of a Jacobian: the transformed graph, of which what depends on seeds runs once a sweep."""
    transformed = {"forward": jvp_graph, "reverse": vjp_graph}[mode](graph, wanted)
    seeds = transformed.inputs[len(graph.inputs) :]
    sweeps = sum(transformed.types[i].size for i in seeds)
    counts = [n.operations.total for n in count_graph(transformed).nodes]
    depends = [
        not set(reachable(transformed.nodes, [i])).isdisjoint(seeds) for i in range(len(counts))
    ]
    return sum(c * (sweeps if d else 1) for c, d in zip(counts, depends, strict=True))


def check_choice(graph: Graph, wanted: tuple[int, ...]) -> str:
    found = cb.explain_mode(graph)
    real = {mode: real_operations(graph, wanted, mode) for mode in ("forward", "reverse")}
    predicted = {"forward": found.forward_total, "reverse": found.reverse_total}
    for mode in real:
        assert real[mode] / FACTOR <= predicted[mode] <= real[mode] * FACTOR, (real, predicted)
    fewer, more = sorted(real.values())
    if more > fewer * FACTOR**2:
        assert real[found.mode] == fewer
    return found.mode


@each_case(SMALL_CASES)
def test_predictions_are_near_the_counts_of_the_transforms(case: Case) -> None:
    graph = cb.trace(case.function, *case.arguments)
    floats = tuple(p for p, i in enumerate(graph.inputs) if graph.types[i].is_float)
    if all(graph.types[i].is_float for i in graph.outputs):
        check_choice(graph, floats)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        *PROGRAMS[:3],
        (lambda x: np.sin(x) + np.exp(x), (ONES(4),)),
        (lambda x: (np.sin(x), np.log(x) * x), (ONES(4),)),
        (lambda x: np.sin(x) * np.power(x, 3.0) + np.power(np.exp(x), 1.0), (1.0,)),
    ],
)
def test_predictions_are_exact_where_nodes_have_nothing_in_common(
    function: Any, arguments: Any
) -> None:
    graph = cb.trace(function, *arguments)
    wanted = tuple(range(len(graph.inputs)))
    found = cb.explain_mode(graph)
    assert found.forward_total == real_operations(graph, wanted, "forward")
    assert found.reverse_total == real_operations(graph, wanted, "reverse")


def layers(*widths: int) -> Any:
    weights = [RNG.normal(size=pair) for pair in zip(widths[1:], widths, strict=False)]

    def network(x: Any) -> Any:
        for w in weights:
            x = np.tanh(w @ x)
        return x

    return network


@pytest.mark.parametrize(
    ("widths", "mode"),
    [((40, 8, 3), "reverse"), ((3, 8, 40), "forward"), ((40, 1), "reverse"), ((1, 40), "forward")],
)
def test_wide_and_tall_problems(widths: tuple[int, ...], mode: str) -> None:
    found = cb.explain_mode(layers(*widths), np.ones(widths[0]))
    assert (found.n, found.m) == (widths[0], widths[-1])
    assert found.mode == mode
    assert str(found).startswith(f"{mode} mode, with ")


@pytest.mark.parametrize("n", [1, 2, 7, 30])
def test_square_problems(n: int) -> None:
    graph = cb.trace(lambda x: np.sin(x) * x[::-1], ONES(n))
    check_choice(graph, (0,))


@pytest.mark.parametrize("n", [1, 5, 30])
def test_predictions_of_loops(n: int) -> None:
    check_choice(cb.trace(looped, 1.0, ONES(n)), (0, 1))


def test_counts_decide_and_not_shapes_alone() -> None:
    """n > m, and yet n forward sweeps are cheaper: reverse pads every entry to the whole array."""
    graph = cb.trace(lambda x: np.stack([x[i] * x[i + 1] for i in range(len(x) - 1)]), ONES(12))
    found = cb.explain_mode(graph)
    assert (found.n, found.m, found.mode) == (12, 11, "forward")
    assert real_operations(graph, (0,), "forward") < real_operations(graph, (0,), "reverse")
    check_choice(graph, (0,))


def test_a_chain_in_closed_form() -> None:
    found = cb.explain_mode(lambda x: chain(x, 9), 1.0)
    assert found.forward == found.reverse == Sweeps(once=18, each=9)
    assert found.mode == "forward"
    assert str(found) == (
        "forward mode, which keeps no values, at as many operations: n = 1 forward sweeps take "
        "18 + 1 * 9 = 27, m = 1 reverse sweeps 18 + 1 * 9 = 27 operations (predicted row by row)."
    )


def test_neither_transform_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def noted(transform: Any) -> Any:
        return lambda graph, wrt: sizes.append(len(graph)) or transform(graph, wrt)

    monkeypatch.setattr(predicting, "MODES", tuple(map(noted, predicting.MODES)))
    cb.explain_mode(lambda x: chain(x, 300), 1.0)
    assert sizes == [2, 2]  # the sine alone, once a mode


BAD_CHOICES: list[tuple[Any, tuple[Any, ...], type[Exception], str]] = [
    (1.0, (), GraphError, r"explain_mode takes a function or a Graph, got float"),
    (SINE, (1.0,), GraphError, r"pass it alone, as in explain_mode\(graph\), without the 1 arg"),
    (NAMED, (), ShapeError, "sizes that are numbers"),
    (np.sin, (3,), DTypeError, "carry no tangent"),
    (np.sin, (), DerivativeError, "0 positional arguments"),
    (np.argmax, (ONES(3),), DerivativeError, r"needs float arguments and results, got \(.*i64"),
    (cb.trace(np.argmax, ONES(3)), (), DerivativeError, "float"),
]


@pytest.mark.parametrize(("function", "arguments", "error", "message"), BAD_CHOICES)
def test_bad_input_of_explain_mode(function: Any, arguments: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        cb.explain_mode(function, *arguments)


def narrow_then_wide(x):
    """Square in shape; all goes through one number, so that reverse sweeps are dear."""
    return np.sum(np.sin(x) * x) * np.exp(np.linspace(0.0, 1.0, len(x)))


AUTOMATIC = {
    "narrow then wide": narrow_then_wide,
    "entry by entry": np.sin,
    "one result": lambda x: x[:1],
    "all meet all": lambda x: x * np.sum(x),
}


@pytest.mark.parametrize("name", AUTOMATIC)
@pytest.mark.parametrize("size", [3, 40])
def test_the_automatic_mode_of_a_jacobian_is_the_explained_one(name, size, monkeypatch):
    function, x, made = AUTOMATIC[name], np.linspace(0.1, 1.0, size), []

    def recorded(transform):
        original = getattr(compositions, transform)

        def call(*args):
            made.append(transform)
            return original(*args)

        monkeypatch.setattr(compositions, transform, call)

    recorded("interleaved_jvp")
    recorded("vjp_graph")
    recorded("jacobian_by_parts")
    recorded("jacobian_by_elimination")
    jacobian = cb.jacobian(function)(x)
    explained = cb.explain_mode(function, x)
    by_mixed = "jacobian_by_elimination" if explained.elimination else "jacobian_by_parts"
    made_by = {"forward": "interleaved_jvp", "reverse": "vjp_graph", "mixed": by_mixed}
    assert made == [made_by[explained.mode]]
    np.testing.assert_allclose(jacobian, cb.jacfwd(function)(x), rtol=1e-12, atol=1e-14)
