"""checkpoint: the same bits in less memory, and no step computed more often than must be."""

import gc
import tracemalloc
from time import perf_counter

import numpy as np
import pytest

import calcbench as cb
from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.checker import check_graph
from calcbench.graph.control_checkpoints import without_regions
from calcbench.graph.control_expansion import without_checkpoints
from calcbench.graph.control_reversals import scan_reversal
from calcbench.graph.control_steps import run_scan
from calcbench.graph.control_stretches import Reversal, run_reversal, state_count
from calcbench.graph.interpreter import evaluate, inline
from calcbench.graph.ir import Builder, numpy_meaning
from calcbench.graph.rewriting import simplify
from calcbench.lower.compiled_reversals import compiled_reversal
from calcbench.lower.fused import arena_bytes
from calcbench.reverse_mode.budgets import held_bytes, within
from calcbench.reverse_mode.pullback import vjp_graph
from calcbench.reverse_mode.rematerialising import Forward, binomially
from calcbench.reverse_mode.schedules import ScheduleError, fewest_advances


RNG = np.random.default_rng(11)
X, W = RNG.uniform(0.2, 1.0, 40), RNG.uniform(-0.3, 0.3, (40, 40))


def waves(x):
    for _ in range(9):
        x = np.sin(x) * np.exp(-x) + 0.1
    return np.sum(x)


def layers(x, w=W):
    for _ in range(5):
        x = np.tanh(w @ x + 0.1)
    return x @ x


def branching(x):
    """No chain: the first value is read until the end."""
    first = np.exp(-x)
    found = [first * np.cos(k * x) for k in range(4)]
    return np.sum(np.sqrt(found[0] ** 2 + 1) * found[1] + found[2] / (found[3] + 4))


def several(x):
    y = np.sin(x)
    return {"sum": np.sum(y * y), "parts": (y, np.cumsum(np.exp(y)))}


def summed(function):
    """The function with all its results added up."""
    return lambda x: sum(np.sum(v) for v in cases_leaves(function(x)))


def cases_leaves(tree):
    if isinstance(tree, dict):
        tree = tuple(tree.values())
    return [v for part in tree for v in cases_leaves(part)] if isinstance(tree, tuple) else [tree]


PROGRAMS = {"waves": waves, "layers": layers, "branching": branching, "several": several}
POLICIES = [{"slots": k} for k in (1, 2, 3, 7, 50)] + [{"bytes": 10**9}, {"bytes": 4000}]


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize("name", PROGRAMS)
def test_value_and_gradient_have_the_same_bits(name, policy):
    function = PROGRAMS[name]
    stored, saving = summed(function), summed(cb.checkpoint(function, **policy))
    for engine in ("numpy", "tape"):
        expected = cb.compile(cb.value_and_grad(stored), engine=engine)(X)
        found = cb.compile(cb.value_and_grad(saving), engine=engine)(X)
        for have, want in zip(found, expected, strict=True):
            np.testing.assert_array_equal(have, want)
    assert cb.compile(saving, engine="tape")(X) == cb.compile(stored, engine="tape")(X)


def test_the_fused_engine_gives_the_same_bits_in_less_memory():
    sizes = []
    for function in (layers, cb.checkpoint(layers, slots=2)):
        program = cb.compile(vjp_graph(cb.trace(function, X, W)), engine="fused")
        sizes.append((program.memory.arena, program(X, W, 1.0)[1]))
    (stored, expected), (saving, found) = sizes
    np.testing.assert_array_equal(found, expected)
    assert saving < stored


def test_fused_loops_compute_nothing_again_sooner_than_it_is_needed():
    def gated(x):
        for _ in range(12):
            x = x * np.sin(np.sum(x * x)) + np.cos(x)
        return np.sum(x * x)

    saving = (cb.checkpoint(gated, slots=2), gated)
    few, all_ = (arena_bytes(vjp_graph(cb.trace(f, np.ones(1000)))) for f in saving)
    assert few < 0.7 * all_


@pytest.mark.parametrize("slots", [1, 2, 3, 5, 8, 13, 30, 100])
def test_no_more_steps_are_computed_again_than_the_optimum(slots):
    """Each step is one node, whose reversal reads the state before it."""
    count = 30

    def chain(x):
        for k in range(count):
            x = (np.sin, np.cos)[k % 2](x)
        return x

    graph = vjp_graph(cb.trace(chain, 0.3))
    assert len(Forward(graph, 1).chain(slots).steps) == count
    saving = check_graph(binomially(Forward(graph, 1), slots))
    again = sum(node.epoch > 0 for node in saving.nodes)
    assert again == fewest_advances(count, slots) - (count - 1)
    found, expected = evaluate(saving, 0.3, 1.0), evaluate(graph, 0.3, 1.0)
    assert found == expected


def test_more_slots_hold_more_and_compute_less():
    graph = vjp_graph(cb.trace(waves, X))
    found = [binomially(Forward(graph, 1), slots) for slots in (1, 2, 4, 8)]
    held = [held_bytes(g) for g in found]
    nodes = [len(g) for g in found]
    assert held == sorted(held)
    assert held[-1] < held_bytes(graph)
    assert nodes == sorted(nodes, reverse=True)


def test_nothing_merges_what_is_computed_again_with_what_is_stored():
    graph = vjp_graph(cb.trace(cb.checkpoint(waves, slots=2), X))
    stored = vjp_graph(cb.trace(waves, X))
    assert len(check_graph(simplify(graph))) > len(stored) + 50
    forgotten = simplify(_in_one_epoch(graph))
    assert len(forgotten) == len(stored)  # epochs are all that keeps them apart
    assert held_bytes(forgotten) > held_bytes(graph)


def _in_one_epoch(graph):
    builder = Builder()
    names = zip(graph.input_names, graph.inputs, strict=True)
    given = [builder.add_input(name, graph.types[i]) for name, i in names]
    ids = inline(graph, builder, given, epoch=0)
    return builder.freeze([ids[i] for i in graph.outputs])


@pytest.mark.parametrize("name", ["waves", "layers", "branching"])
def test_a_budget_of_bytes_is_kept(name):
    graph = vjp_graph(cb.trace(PROGRAMS[name], X), [0])
    inputs = [X, *([W] if name == "layers" else []), 1.0]
    most = held_bytes(graph)
    for part in (0.9, 0.7):
        saving = check_graph(within(graph, 1, int(part * most)))
        assert held_bytes(saving) <= part * most
        found, expected = evaluate(saving, *inputs), evaluate(graph, *inputs)
        for have, want in zip(found, expected, strict=True):
            np.testing.assert_array_equal(have, want)
    assert within(graph, 1, most) is graph


def test_cheap_values_are_computed_again_before_dear_ones():
    def mixed(x):
        h = np.tanh(W @ x)
        total = h
        for k in range(6):
            total = total * ((h + k) * (h - k))
        return np.sum(np.tanh(W @ total))

    graph = vjp_graph(cb.trace(mixed, X), [0])
    saving = within(graph, 1, held_bytes(graph) - 16 * X.size)
    names = {n.row.name for n in saving.nodes if n.epoch}
    assert names
    assert "matmul" not in names


def test_derivatives_of_any_order_and_kind():
    saving = cb.checkpoint(lambda x: np.sum(np.sin(x) ** 3 * np.exp(x)), slots=2)
    x = X[:5]
    expected = cb.hessian(lambda x: np.sum(np.sin(x) ** 3 * np.exp(x)))(x)
    for found in (
        cb.hessian(saving)(x),
        cb.jacrev(cb.grad(saving))(x),
        cb.jacfwd(cb.grad(saving))(x),
        cb.jacrev(cb.jacfwd(saving))(x),
        cb.jacobian(cb.grad(saving))(x),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_a_forward_derivative_stays_a_region_for_the_reverse_of_it():
    pushed = jvp_graph(cb.trace(cb.checkpoint(waves, slots=2), X))
    assert "checkpoint" in {n.row.name for n in pushed.nodes}
    assert held_bytes(vjp_graph(pushed)) < held_bytes(vjp_graph(without_regions(pushed)))


def test_a_region_inside_a_function_and_a_region_in_a_region():
    inner = cb.checkpoint(lambda x: np.tanh(W @ x), slots=1)
    outer = cb.checkpoint(lambda x: inner(np.sin(inner(x))), slots=2)

    def plain(x):
        return np.tanh(W @ np.sin(np.tanh(W @ x)))

    def used(function):
        return lambda x: np.sum(function(x * 2) * function(x))

    np.testing.assert_array_equal(cb.grad(used(outer))(X), cb.grad(used(plain))(X))


def test_what_the_function_captures_and_its_other_arguments():
    scale = np.full(40, 0.5)

    def of(x, options, w=None):
        return np.sum(np.sin(x * scale) ** options["power"]) * (1 if w is None else np.sum(w))

    saving = cb.checkpoint(of, slots=2)
    gradient = cb.grad(lambda x, w: saving(x, {"power": 2}, w=w), argnums=(0, 1))
    expected = cb.grad(lambda x, w: of(x, {"power": 2}, w=w), argnums=(0, 1))
    for have, want in zip(gradient(X, W), expected(X, W), strict=True):
        np.testing.assert_array_equal(have, want)
    assert saving(X, {"power": 2}) == of(X, {"power": 2})  # numbers: simply the function
    assert saving.__name__ == "of"


REFUSED = [
    ({}, "either slots or bytes"),
    ({"slots": 2, "bytes": 100}, "either slots or bytes"),
    ({"slots": 0}, "slots is a whole number from 1, got 0"),
    ({"slots": 2.5}, "slots is a whole number from 1, got 2.5"),
    ({"slots": True}, "slots is a whole number"),
    ({"bytes": -1}, "bytes is a whole number from 1, got -1"),
]


@pytest.mark.parametrize(("policy", "message"), REFUSED, ids=lambda v: str(v)[:30])
def test_plans_that_make_no_sense_are_refused(policy, message):
    with pytest.raises(ScheduleError, match=message):
        cb.checkpoint(waves, **policy)


def test_a_budget_that_cannot_be_met_names_the_least_that_can():
    with pytest.raises(ScheduleError, match=r"at most 100 bytes .* the least was (\d+)") as caught:
        cb.grad(cb.checkpoint(waves, bytes=100))(X)
    least = int(str(caught.value).split("the least was ")[1].split(",")[0])
    saving = cb.checkpoint(waves, bytes=least)
    np.testing.assert_array_equal(cb.grad(saving)(X), cb.grad(waves)(X))


def test_a_branch_in_python_is_refused_with_the_way_out():
    with pytest.raises(cb.TraceError) as caught:
        cb.grad(cb.checkpoint(lambda x: np.sum(x) if x[0] > 0 else np.prod(x), slots=2))(X)
    assert "checkpoint" in "\n".join(caught.value.__notes__)


# --- scans -------------------------------------------------------------------------------------

SMALL = RNG.uniform(-0.5, 0.5, (3, 3))
STEPS = RNG.uniform(-1, 1, (37, 3))


def recurrent(x, w=SMALL, xs=STEPS, reverse=False):
    """Two carries, a captured matrix, scanned values and stacked results."""

    def step(carry, t):
        h, scale = carry
        return (np.tanh(w @ h + t), scale * 1.01 + h[0]), h * scale

    (h, scale), ys = cb.scan(step, (x, 1.0), xs, reverse=reverse)
    return np.sum(h) * scale + np.sum(ys * ys)


@pytest.mark.parametrize("slots", [1, 2, 3, 5, 10, 36, 37, 60])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_stores_few_states_and_gives_the_same_bits(reverse, slots):
    def function(x, w, xs):
        return recurrent(x, w, xs, reverse)

    saving = cb.checkpoint(function, slots=slots)
    found, expected = (
        cb.value_and_grad(f, argnums=(0, 1, 2))(X[:3], SMALL, STEPS) for f in (saving, function)
    )
    assert found[0] == expected[0]
    for have, want in zip(found[1], expected[1], strict=True):
        np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("reverse", [False, True])
def test_compiled_scans_store_few_states_and_give_the_same_bits(reverse):
    """One piece of code serves any number of slots."""

    def function(x, w, xs):
        return recurrent(x, w, xs, reverse)

    def compiled(f, engine="fused"):
        return cb.compile(cb.value_and_grad(f, argnums=(0, 1, 2)), engine=engine)

    before, expected = compiled_reversal.cache_info().misses, compiled(function)
    value, gradients = expected(X[:3], SMALL, STEPS)
    for slots in (1, 2, 3, 5, 10, 36, 37, 60):
        found = compiled(cb.checkpoint(function, slots=slots))(X[:3], SMALL, STEPS)
        assert found[0] == value
        for have, want in zip(found[1], gradients, strict=True):
            np.testing.assert_array_equal(have, want)
    assert compiled_reversal.cache_info().misses == before + 1


def test_the_tape_compiles_what_is_long():
    def chain(x):
        return cb.scan(lambda c, _: (np.sin(c) * x, None), x, length=100_000)[0]

    stored, saving = (
        cb.compile(cb.grad(f), engine="tape") for f in (chain, cb.checkpoint(chain, slots=300))
    )
    started = perf_counter()
    assert stored(0.9) == saving(0.9)
    assert perf_counter() - started < 20  # in NumPy these are a million calls


def test_few_slots_take_little_memory_while_they_run():
    def chain(x):
        return cb.scan(lambda c, _: (np.sin(c) * x, None), x, length=200_000)[0]

    peaks = []
    for function in (chain, cb.checkpoint(chain, slots=700)):
        gradient = cb.compile(cb.grad(function), engine="fused")
        gradient(0.9)
        gc.collect()
        tracemalloc.start()
        gradient(0.9)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > 8 * 200_000
    assert peaks[1] < 0.1 * peaks[0]


@pytest.mark.parametrize("slots", [1, 2, 5, 12, 40])
def test_a_scan_computes_as_many_steps_as_the_optimum(slots):
    """Counted while it runs: the steps up, those computed again, and each once more down."""
    runs = []

    def counted(loop, operands, into):
        runs.append((loop.body, loop.length))
        return run_scan(loop, operands, into)

    graph = vjp_graph(cb.trace(cb.checkpoint(recurrent, slots=slots), X[:3]), [0])
    node = next(n for n in graph.nodes if n.row is scan_reversal)
    reversal = Reversal(**dict(node.params))

    def meaning(node, operands):
        if node.row is scan_reversal:
            run_reversal(reversal, operands, counted)
        return numpy_meaning(node, operands)

    by_shape = {v.shape: v for v in (X[:3], SMALL, STEPS, np.float64(1.0))}
    given = [by_shape[graph.types[i].shape] for i in graph.inputs]
    graph.run(given, meaning)
    count = len(STEPS)
    down = [n for body, n in runs if body == reversal.down]
    up = [n for body, n in runs if body != reversal.down]
    assert sum(down) == count
    assert sum(up) == fewest_advances(count, slots) - (count - 1)
    assert max(down) <= slots + 1
    assert state_count(count, slots) <= slots + 1


@pytest.mark.parametrize("limit", [400, 1000, 3000])
def test_a_budget_of_bytes_holds_for_the_states_of_a_scan(limit):
    def chain(x):
        return cb.scan(lambda c, _: (np.sin(c) * x, None), x, length=500)[0]

    saving = cb.checkpoint(chain, bytes=limit)
    found = cb.cost(saving, 0.3).vjp
    assert found.peak < limit + 200 < cb.cost(chain, 0.3).vjp.peak
    assert cb.grad(saving)(0.3) == cb.grad(chain)(0.3)


@pytest.mark.parametrize("engine", ["numpy", "fused"])
def test_a_recurrence_whose_reverse_reads_no_state_stores_none(engine):
    def linear(x):
        return cb.scan(lambda c, t: (c * t, c + t), x, STEPS[:, 0])[0]

    saving = cb.checkpoint(linear, slots=2)
    graph = vjp_graph(cb.trace(saving, 0.4), [0])
    assert "scan_reversal" not in {n.row.name for n in graph.nodes}
    found, expected = (
        cb.compile(cb.value_and_grad(f), engine=engine)(0.4) for f in (saving, linear)
    )
    assert found == expected


def test_higher_derivatives_of_a_scan_with_few_states():
    saving, x = cb.checkpoint(recurrent, slots=3), X[:3]
    expected = cb.hessian(recurrent)(x)
    for found in (
        cb.hessian(saving)(x),
        cb.jacfwd(cb.grad(saving))(x),
        cb.jacrev(cb.grad(saving))(x),
        cb.jacrev(cb.jacfwd(saving))(x),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_a_graph_with_few_states_checks_and_survives_a_round_trip():
    graph = vjp_graph(cb.trace(cb.checkpoint(recurrent, slots=3), X[:3]))
    assert check_graph(graph) == cb.graph_from_json(cb.graph_to_json(graph))


def test_sparse_derivatives_of_a_checkpointed_function():
    """The pattern is that of the function whose scans store all."""

    def function(x):
        ends = cb.scan(lambda c, t: (c * 0.5 + np.sin(t), c * t), 0.0, x)[1]
        return np.sum(ends[:5] ** 2) + np.sum(np.cos(x))

    saving, x = cb.checkpoint(function, slots=3), X[:12]
    found, expected = (cb.hessian(f, sparse=True)(x) for f in (saving, function))
    assert found.nnz == expected.nnz
    np.testing.assert_allclose(found.toarray(), expected.toarray(), rtol=1e-12, atol=1e-12)
    graph = vjp_graph(cb.trace(saving, x))
    plain = check_graph(without_checkpoints(graph))
    assert {"scan"} == {n.row.name for n in plain.nodes if n.row.kind == "control"}
    for have, want in zip(evaluate(plain, x, 1.0), evaluate(graph, x, 1.0), strict=True):
        np.testing.assert_array_equal(have, want)


def test_a_run_that_is_too_large_suggests_what_then_fits():
    x = np.ones(2000)
    gradient = cb.compile(cb.grad(layers_of(20)), engine="tape", memory_limit=300_000)
    with pytest.raises(MemoryError, match=r"calcbench\.checkpoint\(f, slots=k\)"):
        gradient(x)
    few = cb.checkpoint(layers_of(20), slots=3)
    saving = cb.compile(cb.grad(few), engine="tape", memory_limit=300_000)
    free = cb.compile(cb.grad(layers_of(20)), engine="tape")
    np.testing.assert_array_equal(saving(x), free(x))


def layers_of(count):
    def function(x):
        for _ in range(count):
            x = np.sin(x) + x * 0.5
        return np.sum(x)

    return function


SEEN_THROUGH = {
    "reverse_sweep": lambda f, x: cb.reverse_sweep(f, x)[1],
    "forward_sweep": lambda f, x: cb.forward_sweep(f, x, np.eye(2))[1],
    "hvp": lambda f, x: cb.hvp(f, (x,), (x,)),
    "jmp": lambda f, x: cb.jmp(f, (x,), (np.eye(2),))[1],
    "mixed": lambda f, x: cb.jacobian(f, mode="mixed")(x),
    "explain_mode": lambda f, x: cb.explain_mode(f, x).reverse_total,
    "batch": lambda f, x: cb.compile(f, engine="numpy").batch(np.stack([x, 2 * x])),
    "directional": lambda f, x: cb.directional(f, x, x),
    "subdifferential": lambda f, x: cb.subdifferential(f, x).contains(cb.grad(f)(x)),
    "draw_graph": lambda f, x: str(cb.draw_graph(f, x)).count("multiply"),
}


@pytest.mark.parametrize("tool", SEEN_THROUGH)
def test_other_tools_see_through_a_region(tool):
    def product(x):
        for _ in range(4):
            x = np.sin(x) * x + 0.5
        return np.sum(x)

    x = np.array([0.3, 0.4])
    found, expected = (SEEN_THROUGH[tool](f, x) for f in (cb.checkpoint(product, slots=2), product))
    np.testing.assert_array_equal(found, expected)
