"""Mixed mode: a Jacobian as a product over a cut, equal to the other modes and cheaper."""

import itertools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from cases import CASES

import calcbench as cb
from calcbench import compositions
from calcbench.graph.activity import varied
from calcbench.graph.trees import leaves_of
from calcbench.measure import mode_predictions
from calcbench.measure.counting import count_graph
from calcbench.measure.mode_predictions import predict_modes
from calcbench.mixed_mode.cuts import frontier, frontier_sizes, on_paths, orders
from calcbench.mixed_mode.parts import jacobian_by_parts


RNG = np.random.default_rng(7)
WIDE, TALL = RNG.normal(size=(2, 30)) / 5, RNG.normal(size=(40, 2)) / 5
X = RNG.normal(size=30)


def waist(x, wide=WIDE, tall=TALL):
    return np.sin(tall @ np.tanh(wide @ np.sin(x)))


def waist_slope(x, wide=WIDE, tall=TALL):
    """By hand: every factor a matrix."""
    inner = wide @ np.sin(x)
    outer = tall @ np.tanh(inner)
    slopes = np.diag(np.cos(outer)) @ tall @ np.diag(1 / np.cosh(inner) ** 2)
    return slopes @ wide @ np.diag(np.cos(x))


def interleaved(x):
    """Recorded so that no prefix of the recording is narrow: results come before the next waist."""
    first = np.sum(np.sin(x)) * np.linspace(1.0, 2.0, 25)
    return first + np.exp(0.1 * np.sum(x * x)) * np.linspace(0.0, 1.0, 25)


def interleaved_slope(x):
    total = 0.2 * np.exp(0.1 * x @ x) * np.outer(np.linspace(0, 1, 25), x)
    return np.outer(np.linspace(1, 2, 25), np.cos(x)) + total


def early_result(x):
    """One result is ready before the waist, and is a part of it."""
    s = np.sum(x**3)
    return s, s * np.arange(20.0)


def early_slope(x):
    return 3 * x**2, np.outer(np.arange(20.0), 3 * x**2)


@dataclass(frozen=True)
class Waist:
    function: Any
    slope: Any
    x: np.ndarray
    size: int


WAISTS = {
    "dense": Waist(waist, waist_slope, X, 2),
    "interleaved": Waist(interleaved, interleaved_slope, X / 5, 2),
    "early result": Waist(early_result, early_slope, X, 1),
    "matrix in, matrix out": Waist(
        lambda x: np.outer(np.sum(x, 0), np.ones(9)),
        lambda x: np.einsum("ib,k->ikb", np.eye(2), np.ones(9))[:, :, None, :] * np.ones((5, 1)),
        np.ones((5, 2)),
        2,
    ),
}


def assert_blocks_equal(found, expected, rtol=1e-12):
    pairs = list(zip(leaves_of(found), leaves_of(expected), strict=True))
    assert pairs
    for a, b in pairs:
        assert np.shape(a) == np.shape(b)
        scale = np.max(np.abs(b), initial=0.0)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * scale)


# --- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["numpy", "tape"])
@pytest.mark.parametrize("name", WAISTS)
def test_mixed_mode_gives_the_closed_form(name, engine):
    w = WAISTS[name]
    graph = cb.trace(w.function, w.x)
    assert predict_modes(graph, [0]).cut.size == w.size
    found = cb.jacobian(w.function, mode="mixed", engine=engine)(w.x)
    assert_blocks_equal(found, w.slope(w.x))
    assert_blocks_equal(found, cb.jacfwd(w.function)(w.x))
    assert_blocks_equal(found, cb.jacrev(w.function)(w.x))


def test_mixed_mode_gives_the_closed_form_on_the_fused_engine():
    found = cb.compile(cb.jacobian(early_result, mode="mixed"), engine="fused")
    for x in (X, -X):
        assert_blocks_equal(found(x), early_slope(x))


FLOATS = [
    case
    for case in CASES
    if all(np.asarray(v).dtype.kind == "f" for v in leaves_of(case.arguments[0]))
    and all(np.asarray(v).dtype.kind == "f" for v in leaves_of(case.function(*case.arguments)))
]


@pytest.mark.parametrize("case", FLOATS, ids=lambda case: case.name)
def test_every_program_has_the_same_jacobian_in_mixed_mode(case):
    mixed = cb.jacobian(case.function, mode="mixed")(*case.arguments)
    assert_blocks_equal(mixed, cb.jacfwd(case.function)(*case.arguments), 1e-10)


def every_cut(graph, wanted):
    """Each cut that ends a prefix of the recording, however wide."""
    sources = {graph.inputs[p] for p in wanted}
    active = varied(graph.nodes, graph.types, sources, range(len(graph)))
    order = orders(graph, on_paths(graph, active), sources, 2**30)[0]
    first = sum(i in sources for i in order) - 1
    return {frontier(graph, order, rank) for rank in range(first, len(order))} - {()}


def own_inputs(case):
    """The graph of a case that captures nothing and takes no branch, else None."""
    graph = cb.trace(case.function, *case.arguments)
    values = [np.asarray(v)[()] for v in leaves_of(case.arguments)]
    usable = len(graph) <= 20 and not graph.guards and len(values) == len(graph.inputs)
    return (graph, values) if usable else None


def by_forward(graph, values):
    """The Jacobian by the first input, one forward sweep after the other."""
    session = compositions.jacobian_program(graph, (0,), "forward").start(values)
    kind = graph.types[graph.inputs[0]]
    units = np.eye(kind.size, dtype=kind.dtype).reshape((kind.size, *kind.shape))
    columns = zip(*[session.finish([unit[()]]) for unit in units], strict=True)
    return [
        np.moveaxis(np.array(c), 0, -1).reshape((*np.shape(c[0]), *kind.shape)) for c in columns
    ]


SMALL = [c for c in FLOATS if own_inputs(c)]


def cut_blocks(graph, values, cut):
    blocks = cb.compile(jacobian_by_parts(graph, [0], cut), "numpy")(*values)
    return blocks if isinstance(blocks, tuple) else (blocks,)


def test_every_cut_of_every_small_program_gives_the_same_jacobian():
    tried = 0
    for case in SMALL:
        graph, values = own_inputs(case)
        expected = by_forward(graph, values)
        for cut in every_cut(graph, [0]):
            assert_blocks_equal(cut_blocks(graph, values, cut), expected, 1e-10)
            tried += 1
    assert tried > 80


def test_what_is_no_cut_gives_another_jacobian():
    """Each value of a cut counts: the comparison above would see one that is missing."""
    graph = cb.trace(lambda x: np.sum(np.sin(x)) * np.stack([1.0, 2.0 * np.sum(x * x)]), X)
    cut = [i for i, node in enumerate(graph.nodes) if node.row.name == "sum"]
    expected = by_forward(graph, [X])
    assert_blocks_equal(cut_blocks(graph, [X], cut), expected)
    for left_out in cut:
        found = cut_blocks(graph, [X], [i for i in cut if i != left_out])
        assert np.max(np.abs(found[0] - expected[0])) > 0.01


def clipped(x):
    """At 0 the roots' infinite slopes all lie on branches not taken, beyond the only narrow cut."""
    spread = TALL @ (WIDE @ np.sqrt(x))
    return np.where(spread > 0, spread, 0.0)


@pytest.mark.parametrize("engine", ["numpy", "tape"])
@pytest.mark.parametrize("mode", ["mixed", "auto"])
def test_zeros_of_branches_not_taken_meet_no_infinity(engine, mode):
    """The product alone would give NaN; sweeps give 0 there, and so does this."""
    graph, zeros = cb.trace(clipped, np.zeros(30)), np.zeros(30)
    cut = predict_modes(graph, [0]).cut
    known = {v.shape: v for v in (zeros, WIDE, TALL)}
    values = [known[graph.types[i].shape] for i in graph.inputs]
    assert np.all(np.isnan(cut_blocks(graph, values, cut.nodes)[0]))
    jacobian = cb.jacobian(clipped, mode=mode, engine=engine)
    assert cb.explain_mode(clipped, zeros).mode == "mixed"
    np.testing.assert_array_equal(jacobian(zeros), np.zeros((40, 30)))
    for x in (np.ones(30), np.arange(30.0)):
        np.testing.assert_allclose(jacobian(x), cb.jacfwd(clipped)(x), rtol=1e-12)


def test_sweeps_are_kept_only_where_a_product_may_go_wrong():
    def plain(function):
        return compositions.jacobian_program(cb.trace(function, X), (0,), "mixed").plain

    assert plain(waist) is plain(lambda x: np.sum(x) ** 3 / 4 * np.arange(30.0)) is None
    for inner in (np.sqrt, np.abs, lambda s: 1 / s, lambda s: s**0.5, lambda s: np.maximum(s, 0)):
        assert plain(lambda x, inner=inner: inner(np.sum(x)) * np.arange(30.0)) is not None


def test_a_product_alone_would_give_nan_there():
    def function(x):
        s = np.sum(x)
        return np.stack([np.where(s > 0, np.sqrt(s), s)] * 3)

    graph, x = cb.trace(function, np.zeros(2)), np.zeros(2)
    root = next(i for i, node in enumerate(graph.nodes) if node.row.name == "sqrt")
    total = graph.nodes[root].operands[0]
    assert np.all(np.isnan(cut_blocks(graph, [x], (root, total))[0]))
    np.testing.assert_array_equal(cb.jacobian(function, mode="mixed")(x), np.ones((3, 2)))


def test_branches_arguments_and_dtypes():
    def function(p, scale, n):
        s = np.sum(p["a"]) * scale if scale > 0 else np.sum(p["b"] ** 2)
        return {"y": s * np.ones(n), "z": np.float32(2) * np.sum(p["c"]) * np.ones(4, np.float32)}

    p = {"a": X[:5], "b": X[5:9], "c": np.ones(3, np.float32)}
    for scale in (2.0, 2.0, -1.0, 3.0):
        mixed = cb.jacobian(function, (0, 1), "mixed")(p, scale, 7)
        forward = cb.jacfwd(function, (0, 1))(p, scale, 7)
        assert_blocks_equal(mixed, forward)
        kinds = [np.asarray(v).dtype for v in leaves_of(mixed)]
        assert kinds == [np.asarray(v).dtype for v in leaves_of(forward)]


def test_a_mixed_jacobian_can_be_differentiated_again():
    second = cb.jacfwd(cb.jacobian(interleaved, mode="mixed"))(X / 5)
    np.testing.assert_allclose(second, cb.jacfwd(cb.jacrev(interleaved))(X / 5), rtol=1e-11)


# --- cuts ----------------------------------------------------------------------------------------


def random_graph(seed):
    """Vectors of random lengths, each a function of one or two earlier ones."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(7, 2, 6, 6))

    def function(x):
        values = [x]
        for w in weights:
            size, first, other = rng.integers(1, 7), *rng.integers(0, len(values), 2)
            parts = [
                w[k][:size, : len(values[i])] @ values[i] for k, i in enumerate([first, other])
            ]
            values.append(np.sin(parts[0]) * parts[1])
        return np.concatenate(values[-2:])

    rng = np.random.default_rng(seed)
    return cb.trace(function, np.linspace(0.1, 1.0, 6))


def leads_past(graph, between, sources, cut):
    """Whether a path from an input to a result meets none of the cut."""
    reached = set()
    for i in between:
        if i not in cut and (i in sources or not reached.isdisjoint(graph.nodes[i].operands)):
            reached.add(i)
    return not reached.isdisjoint(graph.outputs)


@pytest.mark.parametrize("seed", range(25))
def test_the_narrowest_cut_is_found(seed):
    """Against every set of values, by brute force."""
    graph = random_graph(seed)
    sources = {graph.inputs[0]}
    active = varied(graph.nodes, graph.types, sources, range(len(graph)))
    between = on_paths(graph, active)
    found = orders(graph, between, sources, 2**30)
    assert len(found) == 3
    width = {i: int(graph.types[i].size) for i in between}
    sets = itertools.chain.from_iterable(itertools.combinations(between, r) for r in (1, 2, 3))
    least = min(
        sum(width[i] for i in c) for c in sets if not leads_past(graph, between, sources, set(c))
    )
    for order in found:
        sizes = frontier_sizes(graph, order)
        for rank, size in enumerate(sizes):
            cut = frontier(graph, order, rank)
            assert size == sum(width[i] for i in cut)
            assert not leads_past(graph, between, sources, set(cut))
    assert all(min(frontier_sizes(graph, order)) <= least for order in found[1:])


def every_narrow_cut(graph, nodes, most):
    """All sets of up to three values through which every path leads."""
    between = on_paths(graph, nodes.active)
    for count in (1, 2, 3):
        for cut in itertools.combinations(between, count):
            narrow = sum(int(graph.types[i].size) for i in cut) < most
            if narrow and not leads_past(graph, between, nodes.sources, set(cut)):
                yield cut


def test_the_chosen_cut_beside_the_best_of_all():
    """By brute force on random graphs: mostly the best, at most 15 % off (14 % in 200 graphs)."""
    ratios = []
    for seed in range(60):
        graph = random_graph(seed)
        nodes = mode_predictions.by_nodes(graph, [0])
        found = predict_modes(graph, [0])
        most = min(found.n, found.m)
        cuts = every_narrow_cut(graph, nodes, most)
        totals = [mode_predictions._cut(graph, nodes, c, found.n, found.m).total for c in cuts]
        assert (found.cut is None) <= (not totals)
        if totals:
            ratios.append(found.cut.total / min(totals))
    assert len(ratios) >= 10
    assert max(ratios) <= 1.15
    assert np.median(ratios) == 1


# --- the choice ----------------------------------------------------------------------------------


def counted(function, x, mode):
    """Operations of the whole Jacobian's graph."""
    return count_graph(cb.trace(cb.jacobian(function, mode=mode), x)).operations.total


@pytest.mark.parametrize("name", WAISTS)
def test_predictions_of_mixed_mode_are_near_the_counts_of_its_graph(name):
    w = WAISTS[name]
    predicted, real = (
        cb.explain_mode(w.function, w.x).mixed_total,
        counted(w.function, w.x, "mixed"),
    )
    assert 0.75 <= predicted / real <= 1.25, (predicted, real)


NARROW = RNG.normal(size=(2, 200)) / 14, RNG.normal(size=(200, 2))


def test_mixed_mode_wins_through_a_narrow_waist():
    """From 200 inputs through 2 numbers to 200 results: predicted, counted and on the clock."""

    def function(x):
        return waist(x, *NARROW)

    x = np.linspace(-1, 1, 200)
    found = cb.explain_mode(function, x)
    real = {mode: counted(function, x, mode) for mode in ("forward", "reverse", "mixed")}
    assert found.mode == "mixed" == min(real, key=real.__getitem__)
    assert found.mixed_total == pytest.approx(real["mixed"], rel=0.01)
    assert min(real["forward"], real["reverse"]) > 3 * real["mixed"]
    ways = {mode: cb.jacobian(function, mode=mode) for mode in (*real, "auto")}
    seconds = {mode: best_time(way, x) for mode, way in ways.items()}
    assert min(seconds["forward"], seconds["reverse"]) > 5 * seconds["mixed"], seconds
    assert min(seconds["forward"], seconds["reverse"]) > 5 * seconds["auto"], seconds
    assert_blocks_equal(ways["auto"](x), waist_slope(x, *NARROW))


def best_time(way, x):
    way(x), way(x)
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        way(x)
        best = min(best, time.perf_counter() - start)
    return best


def test_the_reason_names_the_cut_and_all_three_numbers():
    found = cb.explain_mode(waist, X)
    said = str(found)
    assert said.startswith("mixed mode, with ")
    for total in (found.forward_total, found.reverse_total, found.mixed_total):
        assert f"= {total}" in said
    line = waist.__code__.co_firstlineno + 1
    assert f"k = 2 reverse sweeps up to the cut at matmul : f64[2] (test_mixed.py:{line})" in said


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (np.sin, X),  # no cut is narrower than the input
        (lambda x: np.sum(np.sin(x)), X),  # one result
        (lambda x: np.sin(x) * np.ones(5), 1.0),  # one input
        (lambda x: np.zeros(3), X),  # nothing depends on the input
        (lambda x: x[:0], X),
    ],
)
def test_without_a_narrow_cut_the_better_of_the_other_modes_is_taken(function, x):
    found = cb.explain_mode(function, x)
    assert found.cut is None
    assert found.mixed_total is None
    assert found.mode in ("forward", "reverse")
    assert "cut" not in str(found)
    mixed = cb.jacobian(function, mode="mixed")(x)
    np.testing.assert_array_equal(mixed, cb.jacobian(function)(x))


def test_sweeps_too_wide_for_memory_are_not_taken_at_once(monkeypatch):
    assert cb.explain_mode(waist, X).mode == "mixed"
    monkeypatch.setattr("calcbench.measure.mode_predictions.MOST_NUMBERS", 40)
    assert cb.explain_mode(waist, X).cut is None


def test_long_searches_are_given_up(monkeypatch):
    monkeypatch.setattr("calcbench.mixed_mode.cuts.MOST_STEPS", 0)
    assert cb.explain_mode(waist, X).mode == "mixed"  # a prefix of the recording
    assert cb.explain_mode(interleaved, X).cut is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cb.jacobian(waist, mode="both"), "'mixed', 'forward' or 'reverse', got 'both'"),
        (lambda: cb.jacobian(waist, mode="mixed", sparse=True), "leave out mode='mixed'"),
        (lambda: cb.jacobian(np.argmax, mode="mixed")(X), "needs float results"),
    ],
)
def test_what_is_refused_says_why(call, message):
    with pytest.raises(cb.DerivativeError, match=message):
        call()
