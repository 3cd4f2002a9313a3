"""Groups of columns: valid by brute force, as few as SciPy's, and the checks bite."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy.optimize._numdiff import group_columns
from scipy.sparse import csr_array, diags_array

from calcbench.forward_mode import compression
from calcbench.forward_mode.colouring import column_colours, direct_entries, star_colours
from calcbench.forward_mode.compression import group_seeds, make_plan, sweep_parts


def drawn(seed, shape, density):
    return csr_array(np.random.default_rng(seed).random(shape) < density)


def symmetric(seed, n, density):
    half = drawn(seed, (n, n), density)
    whole = csr_array(half + half.T)
    whole.sort_indices()
    return whole


def banded(n, *offsets):
    return csr_array(diags_array([np.ones(n)] * len(offsets), offsets=offsets, shape=(n, n)) != 0)


def arrow(n):
    dense = np.eye(n, dtype=bool)
    dense[0] = dense[:, 0] = True
    return csr_array(dense)


PATTERNS = {
    "tridiagonal": banded(40, -1, 0, 1),
    "wide band": banded(50, -7, -1, 0, 1, 7),
    "arrow": arrow(12),
    "dense": csr_array(np.ones((5, 7), bool)),
    "empty": csr_array((4, 6), dtype=bool),
    "no rows": csr_array((0, 3), dtype=bool),
    **{f"random {s}": drawn(s, (20 + s, 35 - s), 0.02 + 0.02 * s) for s in range(12)},
}
SYMMETRIC = {
    "tridiagonal": banded(40, -1, 0, 1),
    "wide band": banded(50, -7, -1, 0, 1, 7),
    "arrow": arrow(12),
    "dense": csr_array(np.ones((6, 6), bool)),
    "empty": csr_array((5, 5), dtype=bool),
    **{f"random {s}": symmetric(s, 12 + s, 0.02 + 0.015 * s) for s in range(20)},
}


def clashes(pattern, colours):
    """Pairs of columns of one colour that share a row."""
    columns = pattern.toarray().T
    pairs = combinations(range(len(columns)), 2)
    return [
        (a, b) for a, b in pairs if colours[a] == colours[b] and (columns[a] & columns[b]).any()
    ]


def star_faults(pattern, colours):
    """Neighbours of one colour, and paths of four vertices with two colours."""
    near = [set(np.flatnonzero(row)) - {v} for v, row in enumerate(pattern.toarray())]
    edges = [(v, w) for v, row in enumerate(near) for w in row]
    paths = [(u, v, w, x) for v, w in edges for u in near[v] - {w} for x in near[w] - {u, v}]
    return [e for e in edges if colours[e[0]] == colours[e[1]]] + [
        p for p in paths if colours[p[0]] == colours[p[2]] and colours[p[1]] == colours[p[3]]
    ]


@pytest.mark.parametrize("name", PATTERNS)
def test_columns_of_one_colour_share_no_row(name):
    pattern = PATTERNS[name]
    colours = column_colours(pattern)
    assert colours.shape == pattern.shape[1:]
    assert clashes(pattern, colours) == []
    assert set(colours.tolist()) == set(range(colours.max(initial=-1) + 1))


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("mode", ["forward", "reverse", "auto"])
def test_no_plan_has_fewer_groups_than_the_fullest_row_has_entries(name, mode):
    plan = make_plan(PATTERNS[name], mode)
    columns = PATTERNS[name] if plan.mode == "forward" else PATTERNS[name].T.tocsr()
    dense = columns.toarray()
    assert plan.least == dense.sum(axis=1).max(initial=0) <= plan.sweeps
    if mode == "auto":
        assert plan.sweeps == min(
            make_plan(PATTERNS[name], m).sweeps for m in ("forward", "reverse")
        )


STRUCTURED = [name for name in PATTERNS if not name.startswith(("random", "empty", "no rows"))]


@pytest.mark.parametrize("name", STRUCTURED)
def test_structured_patterns_take_no_more_groups_than_with_scipy(name):
    groups = group_columns(PATTERNS[name].toarray().astype(int), order=0).max() + 1
    assert column_colours(PATTERNS[name]).max() + 1 <= groups


def test_random_patterns_take_fewer_groups_than_with_scipy():
    """Both are greedy, so that one may be lucky: never by more than one group, less all in all."""
    patterns = [drawn(s, (30 + s % 40, 40), 0.02 + 0.015 * (s % 10)) for s in range(300)]
    ours = np.array([column_colours(p).max() + 1 for p in patterns])
    theirs = np.array([group_columns(p.toarray().astype(int), order=0).max() + 1 for p in patterns])
    assert np.max(ours - theirs) <= 1
    assert np.sum(ours) < 0.95 * np.sum(theirs)


def first_fit(pattern):
    """The number of groups if each column joins the first one where it fits."""
    groups = []
    for column in pattern.toarray().T:
        fits = [g for g in groups if not (g & column).any()]
        if fits:
            fits[0] |= column
        else:
            groups.append(column.copy())
    return len(groups)


def test_the_given_order_is_kept_where_it_takes_fewer_groups():
    for seed in range(300):
        pattern = drawn(seed, (30 + seed % 40, 40), 0.02 + 0.015 * (seed % 10))
        assert column_colours(pattern).max() + 1 <= first_fit(pattern)


@pytest.mark.parametrize("name", SYMMETRIC)
def test_star_colours_leave_no_path_of_two_colours(name):
    assert star_faults(SYMMETRIC[name], star_colours(SYMMETRIC[name])) == []


def test_the_checks_of_colours_bite():
    band = SYMMETRIC["tridiagonal"]
    assert clashes(band, np.arange(40) % 2)
    assert star_faults(band, np.arange(40) % 2)
    assert star_faults(band, np.zeros(40, int))
    # A proper colouring that is no star colouring: the path 0-1-2-3 is coloured 0 1 0 1.
    assert star_faults(banded(4, -1, 0, 1), [0, 1, 0, 1]) == [(0, 1, 2, 3), (3, 2, 1, 0)]


@pytest.mark.parametrize(
    ("pattern", "sweeps"), [(arrow(500), 2), (banded(500, -1, 0, 1), 3), (banded(500, 0), 1)]
)
def test_known_numbers_of_star_colours(pattern, sweeps):
    plan = make_plan(pattern, "symmetric")
    assert plan.sweeps == plan.least == sweeps


@pytest.mark.parametrize("seed", range(6))
def test_no_star_colouring_takes_fewer_than_the_least(seed):
    pattern = symmetric(seed, 5, 0.05 + 0.05 * seed)
    plan = make_plan(pattern, "symmetric")
    choices = product(range(plan.least - 1), repeat=5)
    assert all(star_faults(pattern, colours) for colours in choices)


def recovered(plan, matrix):
    """The matrix read off its products with the seeds of the plan."""
    data = np.full(plan.pattern.nnz, np.nan)
    for part in sweep_parts(plan):
        seeds = group_seeds(plan, part)
        products = seeds @ (matrix if plan.mode == "reverse" else matrix.T)
        data[part.entries] = products.reshape(-1)[part.places]
    return csr_array(
        (data, plan.pattern.indices, plan.pattern.indptr), plan.pattern.shape
    ).toarray()


@pytest.mark.parametrize("most", [2**23, 100, 1])
@pytest.mark.parametrize("mode", ["forward", "reverse", "symmetric"])
def test_products_with_groups_give_the_matrix(mode, most, monkeypatch):
    monkeypatch.setattr(compression, "MOST_NUMBERS", most)
    for name, pattern in (SYMMETRIC if mode == "symmetric" else PATTERNS).items():
        numbers = np.arange(1.0, pattern.shape[0] * pattern.shape[1] + 1).reshape(pattern.shape)
        numbers = numbers + numbers.T if mode == "symmetric" else numbers
        matrix = np.where(pattern.toarray(), numbers, 0.0)
        plan = make_plan(pattern, mode)
        np.testing.assert_array_equal(recovered(plan, matrix), matrix, err_msg=name)
        lanes = [part.lanes for part in sweep_parts(plan)]
        assert len(set(lanes)) <= 1
        assert sum(lanes) - plan.sweeps in range(max(lanes, default=1))


def test_a_pattern_that_is_not_symmetric_is_completed():
    upper = csr_array(np.triu(np.ones((4, 4), bool)))
    assert make_plan(upper, "symmetric").pattern.toarray().all()


def test_an_entry_is_direct_if_no_other_column_of_its_colour_reaches_the_row():
    pattern, colours = arrow(3), np.array([0, 1, 1])
    alone = csr_array((direct_entries(pattern, colours), pattern.indices, pattern.indptr))
    np.testing.assert_array_equal(
        alone.toarray(), [[True, False, False], [True, True, False], [True, False, True]]
    )


def test_a_plan_says_how_many_sweeps_it_takes():
    plan = make_plan(banded(1000, -1, 0, 1), "auto")
    assert str(plan) == (
        "Jacobian of 1000 x 1000 with up to 2998 nonzeros: 3 sweeps (forward) instead of 1000; at "
        "least 3 for this pattern"
    )
    assert "1 sweep (reverse) instead of 1;" in str(make_plan(PATTERNS["dense"][:1], "auto"))
