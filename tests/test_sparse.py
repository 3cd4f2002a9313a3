"""Sparse Jacobians and Hessians: patterns that miss nothing, numbers of the dense ones."""

from itertools import pairwise

import numpy as np
import pytest
import sympy as sp
from cases import CASES
from drawing_samples import ROWS, draw, one_node, seeded
from scipy.sparse import csr_array

import calcbench as cb
from calcbench.forward_mode import pattern_rules, patterns, sparsity
from calcbench.forward_mode.sparsity import jacobian_pattern
from calcbench.graph import control_bodies, control_choices, control_loops  # noqa: F401 - the rows
from calcbench.graph.trees import leaves_of


N = 9
X = np.linspace(-1.1, 1.7, N)


def broyden(x):
    y = np.pad(x, 1)
    return (3.0 - 2.0 * x) * x - y[:-2] - 2.0 * y[2:] + 1.0


def chained(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


# --- patterns: every row, by changing one entry after the other ------------------------------

SAMPLES = [(row, s) for row in ROWS.values() if row.kind != "source" for s in row.samples]


def missed(row, sample):
    """Pairs (result, operand entry) of which one changes with the other, not in the pattern."""
    values = [np.asarray(v) for v in draw(sample, seeded(row.name))]
    graph = one_node(row, values, sample.params)
    floats = [i for i, v in enumerate(values) if v.dtype.kind == "f"]
    fixed = {i: v for i, v in enumerate(values) if i not in floats}
    found = jacobian_pattern(graph, floats, fixed).toarray()
    return changed(row, values, floats, sample.params) & ~found


def changed(row, values, floats, params):
    """Which results change, by NumPy alone, when one entry of a float operand does."""
    with np.errstate(all="ignore"):
        before = np.asarray(row.numpy(*[v[()] for v in values], **params)).ravel()
        columns = []
        for i in floats:
            for entry in range(values[i].size):
                moved = [v.copy() for v in values]
                moved[i].flat[entry] += 1e-3
                after = np.asarray(row.numpy(*[v[()] for v in moved], **params)).ravel()
                columns.append(~((before == after) | (np.isnan(before) & np.isnan(after))))
    return np.array(columns).reshape(len(columns), before.size).T


@pytest.mark.parametrize(("row", "sample"), SAMPLES, ids=lambda p: getattr(p, "name", ""))
def test_the_pattern_of_a_row_misses_no_entry_that_changes(row, sample):
    if (
        row.kind == "piecewise_constant"
        or not row.infer(*_types(row, sample), **sample.params).is_float
    ):
        return  # no derivative passes
    assert not missed(row, sample).any()


def _types(row, sample):
    values = draw(sample, seeded(row.name))
    graph = one_node(row, values, sample.params)
    return [graph.types[i] for i in graph.inputs]


@pytest.mark.parametrize("name", ["sum", "matmul", "solve", "concatenate", "sort", "cumsum"])
def test_a_pattern_that_misses_something_is_found(name, monkeypatch):
    whole = pattern_rules.RULES[name]

    def forgetful(at):
        found = whole(at)
        starts = np.minimum(found.starts, found.size - 1)
        return found._replace(starts=starts, indices=found.indices[:-1])

    monkeypatch.setitem(pattern_rules.RULES, name, forgetful)
    assert any(missed(ROWS[name], sample).any() for sample in ROWS[name].samples)


def test_every_rule_is_that_of_a_row():
    assert set(pattern_rules.RULES) <= set(ROWS)
    assert set(pattern_rules.DECIDING) <= {*ROWS, *sparsity.CONTROL}
    written_out = {"checkpoint", "saving_scan", "scan_reversal"}
    assert set(sparsity.CONTROL) == set(control_bodies.CONTROL) - written_out


# --- patterns: no more than is needed --------------------------------------------------------

ODD = np.arange(N) % 2 == 1
ORDER = np.array([3, 0, 8, 3, 5])
eye = np.eye(N, dtype=bool)
lower = np.tri(N, dtype=bool)


def shifted(*offsets):
    return sum(np.eye(N, k=k, dtype=bool) for k in offsets).astype(bool)


def assigned(x):
    y = np.zeros(N) * x
    y[1:] = x[:-1] ** 2
    y[0] = 3.0
    return y


def heat(x, steps):
    def step(u, _):
        y = np.pad(u, 1)
        return u + 0.1 * (y[2:] + y[:-2] - 2.0 * u), None

    return cb.scan(step, x, None, length=steps)[0]


def halved(x):
    return cb.while_loop(lambda u: np.sum(u**2) > 0.1, lambda u: u * np.sin(u) / 2.0, x)


def shift_register(x, steps):
    """Each step moves every entry by one, and puts out the first."""

    def step(u, a):
        return np.concatenate([u[1:], [a]]), u[0] * 2.0

    return cb.scan(step, x[:4], x[4 : 4 + steps], length=steps)[1]


# fmt: off
EXACT = {
    "tridiagonal": (broyden, shifted(-1, 0, 1)),
    "differences": (np.diff, (shifted(0, 1))[:-1]),
    "entry by entry": (lambda x: np.sin(x) * x + 2.0 / x, eye),
    "reversed": (lambda x: x[::-1] * 2.0, eye[::-1]),
    "rolled": (lambda x: np.roll(x, 2) * x, eye | np.roll(eye, 2, axis=0)),
    "gathered": (lambda x: x[ORDER] ** 2, eye[ORDER]),
    "repeated": (lambda x: np.repeat(x, 2), np.repeat(eye, 2, axis=0)),
    "running sums": (np.cumsum, lower),
    "running products": (np.cumprod, lower),
    "assigned": (assigned, np.eye(N, k=-1, dtype=bool) & (np.arange(N) > -1)),
    "chosen by constants": (lambda x: np.where(ODD, x, np.roll(x, 1)),
                            np.where(ODD[:, None], eye, np.roll(eye, 1, axis=0))),
    "chosen by the point": (lambda x: np.where(x > 0, x, np.roll(x, 1)), eye | np.roll(eye, 1, 0)),
    "sum of rows": (lambda x: np.sum(x.reshape(3, 3), axis=1), np.repeat(np.eye(3), 3, axis=1) > 0),
    "sum of columns": (lambda x: np.sum(x.reshape(3, 3), axis=0), np.tile(np.eye(3), 3) > 0),
    "times a matrix": (lambda x: (x.reshape(3, 3) @ np.ones((3, 3))).ravel(),
                       np.kron(np.eye(3), np.ones((3, 3))) > 0),
    "a matrix times": (lambda x: (np.ones((3, 3)) @ x.reshape(3, 3)).ravel(),
                       np.kron(np.ones((3, 3)), np.eye(3)) > 0),
    "transposed": (lambda x: x.reshape(3, 3).T.ravel(), eye[np.arange(N).reshape(3, 3).T.ravel()]),
    "diagonal": (lambda x: np.diagonal(x.reshape(3, 3)) ** 2, eye[::4]),
    "largest of rows": (lambda x: np.max(x.reshape(3, 3), axis=1),
                        np.repeat(np.eye(3), 3, axis=1) > 0),
    "sorted rows": (lambda x: np.sort(x.reshape(3, 3), axis=1).ravel(),
                    np.kron(np.eye(3), np.ones((3, 3))) > 0),
    "a stack of inverses": (lambda x: np.linalg.inv(x[:8].reshape(2, 2, 2) + np.eye(2) * 9).ravel(),
                            np.pad(np.kron(np.eye(2), np.ones((4, 4))), ((0, 0), (0, 1))) > 0),
    "zero times": (lambda x: x * 0.0, eye),
    "branches": (lambda x: cb.cond(np.sum(x) > 0, lambda y: y * y, lambda y: y[::-1], x),
                 eye | eye[::-1]),
    "a map": (lambda x: cb.scan(lambda c, a: (c, np.sin(a) * a), 0.0, x)[1], eye),
    "a map of rows": (lambda x: cb.scan(lambda c, a: (c, a[::-1]), 0.0, x.reshape(3, 3))[1].ravel(),
                      np.kron(np.eye(3), np.eye(3)[::-1]) > 0),
    "backward": (lambda x: cb.scan(lambda c, a: (c, a), 0.0, x, reverse=True)[1], eye),
    "two steps of heat": (lambda x: heat(x, 2), shifted(-2, -1, 0, 1, 2)),
    "no step": (lambda x: heat(x, 0), eye),
    "until it is small": (halved, eye),
    "cut": (lambda x: cb.detach(x) + np.floor(x), eye & False),
}
# fmt: on


@pytest.mark.parametrize("name", EXACT)
def test_a_pattern_is_as_small_as_the_structure_allows(name):
    function, expected = EXACT[name]
    plan = cb.jacobian(function, sparse=True).plan(X)
    np.testing.assert_array_equal(plan.pattern.toarray(), expected)
    assert plan.pattern.has_sorted_indices


def test_what_goes_round_a_loop_counts_for_every_step():
    """More than is needed: the first entry put out reads no slice at all."""
    plan = cb.jacobian(lambda x: shift_register(x, 3), sparse=True).plan(X)
    assert plan.pattern.toarray()[:, :4].any()
    needed = cb.jacobian(lambda x: shift_register(x, 3))(X) != 0
    assert not (needed & ~plan.pattern.toarray()).any()
    assert not plan.pattern.toarray()[:, 7:].any()


LOOPS = {
    "heat": lambda x: heat(np.sin(x), 3),
    "shift register": lambda x: shift_register(np.sin(x), 5),
    "sums": lambda x: cb.scan(lambda c, a: (c + a * x[0], c * a), 0.5, x)[1],
    "while": halved,
    "branches": lambda x: cb.cond(x[0] > 0, lambda y: y * y, lambda y: y[::-1] * y[0], x),
    "nested": lambda x: cb.scan(lambda c, a: (heat(c, 1) * a, c[2]), x, x[:3])[1],
    "whole numbers": lambda x: cb.scan(lambda i, a: (i + 1, x[i] * a), 2, x[:4])[1],
}


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("name", LOOPS)
def test_loops_and_choices_are_those_of_dense_derivatives(name, mode):
    function = LOOPS[name]
    for x in (X, X[::-1].copy()):
        dense, sparse = (cb.jacobian(function, mode=mode, sparse=s)(x) for s in (False, True))
        np.testing.assert_allclose(sparse.toarray(), dense, rtol=1e-13, atol=1e-15)
        total = lambda x: np.sum(function(x) ** 2)  # noqa: E731
        dense, sparse = (cb.hessian(total, sparse=s)(x) for s in (False, True))
        np.testing.assert_allclose(sparse.toarray(), dense, rtol=1e-12, atol=1e-14)


def test_the_pattern_of_a_hessian_is_that_of_what_meets_in_products():
    plan = cb.hessian(lambda x: x[0] * x[3] + x[1] + np.exp(x[2]) * x[0], sparse=True).plan(X[:5])
    assert sorted(zip(*plan.pattern.nonzero(), strict=True)) == [
        (0, 2), (0, 3), (2, 0), (2, 2), (3, 0),
    ]  # fmt: skip


def test_a_hundred_thousand_unknowns_take_three_sweeps():
    x = np.linspace(0.0, 1.0, 100_000)
    plan = cb.jacobian(broyden, sparse=True).plan(x)
    assert (plan.sweeps, plan.least, plan.pattern.nnz) == (3, 3, 299_998)


# --- numbers ---------------------------------------------------------------------------------


def float_arguments(case):
    leaves = [[np.asarray(v) for v in leaves_of(a)] for a in case.arguments]
    return tuple(i for i, vs in enumerate(leaves) if all(v.dtype.kind == "f" for v in vs))


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_sparse_and_dense_jacobians_are_the_same_blocks(case, mode):
    wanted = float_arguments(case)
    dense = leaves_of(cb.jacobian(case.function, wanted, mode)(*case.arguments))
    sparse = leaves_of(cb.jacobian(case.function, wanted, mode, sparse=True)(*case.arguments))
    assert len(dense) == len(sparse)
    for block, matrix in zip(dense, sparse, strict=True):
        assert isinstance(matrix, csr_array)
        assert matrix.dtype == block.dtype
        np.testing.assert_allclose(
            matrix.toarray(), block.reshape(matrix.shape), rtol=1e-12, atol=1e-14
        )


SCALAR = [c for c in CASES if np.shape(c.function(*c.arguments)) == () and float_arguments(c)]


@pytest.mark.parametrize("case", SCALAR, ids=lambda case: case.name)
def test_sparse_and_dense_hessians_are_the_same_blocks(case):
    wanted = float_arguments(case)
    dense = leaves_of(cb.hessian(case.function, wanted)(*case.arguments))
    sparse = leaves_of(cb.hessian(case.function, wanted, sparse=True)(*case.arguments))
    assert len(dense) == len(sparse)
    largest = max(np.max(np.abs(block), initial=0.0) for block in dense)
    for block, matrix in zip(dense, sparse, strict=True):
        np.testing.assert_allclose(
            matrix.toarray(), block.reshape(matrix.shape), rtol=1e-9, atol=1e-11 * largest
        )


def test_against_sympy():
    names = sp.symbols(f"x:{N}")
    point = dict(zip(names, map(sp.Float, X), strict=True))
    padded = [0, *names, 0]
    rows = [(3 - 2 * names[i]) * names[i] - padded[i] - 2 * padded[i + 2] + 1 for i in range(N)]
    jacobian = np.array(sp.Matrix(rows).jacobian(names).subs(point), float)
    total = sum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in pairwise(names))
    hessian = np.array(sp.hessian(total, names).subs(point), float)
    for mode in ("forward", "reverse"):
        found = cb.jacobian(broyden, mode=mode, sparse=True)(X)
        np.testing.assert_allclose(found.toarray(), jacobian, rtol=1e-14)
    np.testing.assert_allclose(cb.hessian(chained, sparse=True)(X).toarray(), hessian, rtol=1e-13)


@pytest.mark.parametrize("seed", range(5))
def test_random_structures_against_their_formulas(seed):
    rng = np.random.default_rng(seed)
    n, m = 30, 45
    first, second = rng.integers(0, n, m), rng.integers(0, n, m)
    x, rows = rng.normal(size=n), np.arange(m)
    jacobian = np.zeros((m, n))
    np.add.at(jacobian, (rows, first), np.cos(x[first]) * x[second])
    np.add.at(jacobian, (rows, second), np.sin(x[first]))
    found = cb.jacobian(lambda x: np.sin(x[first]) * x[second], sparse=True)
    np.testing.assert_allclose(found(x).toarray(), jacobian, rtol=1e-14)
    assert found.plan(x).sweeps < 12
    hessian = np.zeros((n, n))
    np.add.at(hessian, (first, first), -np.sin(x[first]) * x[second])
    np.add.at(hessian, (first, second), np.cos(x[first]))
    np.add.at(hessian, (second, first), np.cos(x[first]))
    second_order = cb.hessian(lambda x: np.sum(np.sin(x[first]) * x[second]), sparse=True)
    np.testing.assert_allclose(second_order(x).toarray(), hessian, rtol=1e-13, atol=1e-14)


def test_engines_give_the_same_bits():
    for make, function in ((cb.jacobian, broyden), (cb.hessian, chained)):
        reference = make(function, sparse=True)(X)
        for engine in ("tape", "fused", "auto"):
            found = make(function, sparse=True, engine=engine)(X)
            np.testing.assert_array_equal(found.toarray(), reference.toarray())


def test_sweeps_in_parts_give_the_same_bits(monkeypatch):
    whole = cb.jacobian(broyden, sparse=True)(X).toarray()
    monkeypatch.setattr("calcbench.forward_mode.compression.MOST_NUMBERS", 2 * N)
    function = cb.jacobian(broyden, sparse=True)
    np.testing.assert_array_equal(function(X).toarray(), whole)


# --- calls -----------------------------------------------------------------------------------


def test_results_and_arguments_nest_as_without_sparse():
    def function(x, parts):
        return {"a": x * parts[0], "b": np.sum(parts[1])}

    x, parts = np.ones(3), (2.0, np.ones((2, 2)))
    found = cb.jacobian(function, (0, 1), sparse=True)(x, parts)
    assert found["a"][0].shape == (3, 3)
    assert [m.shape for m in found["a"][1]] == [(3, 1), (3, 4)]
    assert found["b"][1][1].toarray().tolist() == [[1.0] * 4]
    assert found["b"][0].nnz == 0
    blocks = cb.hessian(lambda x, y: np.sum(x**2) * y, (0, 1), sparse=True)(x, 2.0)
    np.testing.assert_array_equal(blocks[0][1].toarray(), 2 * np.ones((3, 1)))
    np.testing.assert_array_equal(blocks[0][0].toarray(), 4 * np.eye(3))


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0), (2, 3)])
def test_shapes_are_flattened(shape):
    size = int(np.prod(shape))
    x = np.full(shape, 0.5)[()]
    found = cb.jacobian(lambda x: np.sin(x), sparse=True)(x)
    np.testing.assert_allclose(found.toarray(), np.cos(0.5) * np.eye(size), rtol=1e-15)
    hessian = cb.hessian(lambda x: np.sum(x**3), sparse=True)(x)
    np.testing.assert_allclose(hessian.toarray(), 3.0 * np.eye(size), rtol=1e-15)


def test_a_branch_has_its_own_pattern():
    jacobian = cb.jacobian(lambda x: x[1:] * x[:-1] if x[0] > 0 else x[1:] * 0.0 + 1.0, sparse=True)
    signs = (1.0, 1.0, -1.0, -1.0, 1.0, -1.0)
    assert [jacobian.plan(s * np.ones(5)).sweeps for s in signs] == [2, 2, 1, 1, 2, 1]
    assert [jacobian(s * np.ones(5)).nnz for s in signs] == [8, 8, 4, 4, 8, 4]


def test_a_branch_without_derivatives_is_left_again():
    jacobian = cb.jacobian(lambda x: x * x if x[0] > 0 else np.floor(x), sparse=True)
    for sign, nnz in [(-1.0, 0), (-1.0, 0), (1.0, 3), (1.0, 3), (-1.0, 0), (1.0, 3)]:
        assert jacobian(sign * np.ones(3)).nnz == nnz


@pytest.mark.parametrize("is_captured", [False, True])
def test_positions_are_read_at_every_call(is_captured):
    captured = np.array([0, 1])
    inner = (lambda x: x[captured] ** 2) if is_captured else (lambda x, index: x[index] ** 2)
    jacobian = cb.jacobian(inner, sparse=True)
    for index in ([0, 1], [0, 1], [2, 1], [2, 2], [0, 1]):
        captured[:] = index
        found = jacobian(X) if is_captured else jacobian(X, np.array(index))
        np.testing.assert_array_equal(found.toarray(), (2 * X * np.eye(N))[index])


def test_a_branch_of_measure_zero_keeps_the_slope_of_the_other():
    def function(x, k):
        return np.where(1.0 * k == 3.0, x[0], x[1])

    x, dense, sparse = np.ones(2), cb.jacobian(function), cb.jacobian(function, sparse=True)
    for k in (3, 2, 3):
        np.testing.assert_array_equal(sparse(x, k).toarray()[0], dense(x, k))


def test_a_choice_by_an_integer_argument_counts_the_branch_taken():
    def function(x, k):
        return cb.cond(k > 2, lambda y: y * y, lambda y: y[::-1], x)

    jacobian = cb.jacobian(function, sparse=True)
    for k, slope in ((3, np.diag(2 * X)), (2, eye[::-1]), (3, np.diag(2 * X))):
        found = jacobian(X, k)
        np.testing.assert_array_equal(found.toarray(), slope)
        assert found.nnz == N


def test_results_do_not_share_memory():
    jacobian = cb.jacobian(broyden, sparse=True)
    first, kept = jacobian(X), jacobian(X).toarray()
    first.data[:] = np.nan
    first.indices[:] = 0
    first.indptr[:] = 0
    np.testing.assert_array_equal(jacobian(X).toarray(), kept)


def test_single_precision_stays():
    assert cb.jacobian(broyden, sparse=True)(X.astype(np.float32)).dtype == np.float32


def test_conventions_at_kinks_hold():
    relu = cb.jacobian(cb.relu, sparse=True, kink="right")
    assert relu(np.zeros(3)).toarray().tolist() == np.eye(3).tolist()


# --- what is refused -------------------------------------------------------------------------


def test_what_is_refused_says_why(monkeypatch):
    jacobian = cb.jacobian(broyden, sparse=True)
    with pytest.raises(cb.DerivativeError, match="leave out sparse=True"):
        cb.grad(lambda x: np.sum(jacobian(x)))(X)
    with pytest.raises(cb.DerivativeError, match="a function is expected"):
        cb.jacobian(3.0, sparse=True)
    with pytest.raises(cb.DerivativeError, match="mode must be"):
        cb.jacobian(broyden, mode="sideways", sparse=True)
    with pytest.raises(cb.EngineError, match="there is no engine 'warp'"):
        cb.jacobian(broyden, engine="warp", sparse=True)
    with pytest.raises(cb.DerivativeError, match="needs float results"):
        cb.jacobian(lambda x: np.argsort(x), sparse=True)(X)
    with pytest.raises(cb.DerivativeError, match="one scalar float result"):
        cb.hessian(broyden, sparse=True)(X)
    with pytest.raises(cb.DTypeError, match="integers and booleans carry no tangent"):
        jacobian(np.arange(3))
    with pytest.raises(cb.DerivativeError, match="argnums=1"):
        cb.jacobian(broyden, 1, sparse=True)(X)
    monkeypatch.setattr(patterns, "MOST_ENTRIES", 50)
    with pytest.raises(cb.DerivativeError, match="that is not sparse") as caught:
        cb.jacobian(lambda x: x / np.sum(x), sparse=True)(X)
    assert any("broadcast" in note for note in caught.value.__notes__)
