"""Sets of subgradients against limits of gradients, closed forms and enumeration by brute force."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from nonsmooth_cases import CASES, PLANE, Case, norm

import calcbench as cb
from calcbench.nonsmooth import choices
from calcbench.nonsmooth.sets import Part, SubgradientSet


BY_NAME = {case.name: case for case in CASES}


@functools.cache
def found_by_name(name: str) -> SubgradientSet:
    return cb.subdifferential(BY_NAME[name].function, BY_NAME[name].point)


def found(case: Case) -> SubgradientSet:
    return found_by_name(case.name)


# --- witnesses: gradients by differences at random points nearby ----------------------------------


def difference(function: Callable[[Any], Any], x: Any, h: float = 1e-6) -> np.ndarray:
    """The gradient by central differences."""
    x = np.asarray(x, float)
    slopes = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[index] = h
        high, low = function((x + step)[()]), function((x - step)[()])
        slopes[index] = (float(high) - float(low)) / (2 * h)
    return slopes


def nearby_gradients(case: Case, count: int = 120, radius: float = 1e-3) -> np.ndarray:
    rng = np.random.default_rng(sum(map(ord, case.name)))
    shape = np.shape(case.point)
    steps = rng.uniform(-radius, radius, size=(count, *shape))
    return np.array([difference(case.function, case.point + s, 1e-8 * 30) for s in steps])


def check_by_limits(case: Case, candidate: SubgradientSet, gradients: np.ndarray) -> None:
    """Gradients nearby lie in the set, and reach as far as it in every direction if it is exact."""
    scale = max(1.0, float(np.abs(gradients).max()))
    assert max(candidate.distance(g) for g in gradients) <= 2e-2 * scale
    rng = np.random.default_rng(5)
    for d in rng.normal(size=(20, *candidate.shape)):
        reached = max(np.vdot(g, d) for g in gradients)
        reach = candidate.support(d)
        if candidate.exact:
            assert reach == pytest.approx(reached, abs=0.15 * scale * np.linalg.norm(d))


LIMITS = [case for case in CASES if case.name not in ("far apart in size", "largest magnitude")]


@pytest.mark.parametrize("case", LIMITS, ids=lambda case: case.name)
def test_the_set_is_the_hull_of_limits_of_gradients(case: Case) -> None:
    check_by_limits(case, found(case), nearby_gradients(case))


@pytest.mark.parametrize("wrong", [[-1.0, 2.0], [-0.5, 1.0]], ids=["too large", "too small"])
def test_the_limits_would_show_a_wrong_set(wrong: list[float]) -> None:
    case = BY_NAME["abs"]
    candidate = SubgradientSet(tuple(Part(np.array([v])) for v in wrong), ())
    with pytest.raises(AssertionError):
        check_by_limits(case, candidate, nearby_gradients(case))


# --- closed forms ------------------------------------------------------------------------------


def sorted_rows(points: Any) -> np.ndarray:
    rows = np.asarray(points, float)
    rows = rows.reshape(len(rows), -1)
    return rows[np.lexsort(rows.T[::-1])]


CLOSED = [case for case in CASES if case.corners is not None]


@pytest.mark.parametrize("case", CLOSED, ids=lambda case: case.name)
def test_vertices_are_those_by_hand(case: Case) -> None:
    result = found(case)
    assert result.vertices.shape[1:] == np.shape(case.point)
    np.testing.assert_allclose(sorted_rows(result.vertices), sorted_rows(case.corners), atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_exact_says_whether_the_hulls_were_shown_to_coincide(case: Case) -> None:
    result = found(case)
    assert result.exact == case.exact
    assert ("outer estimate" in repr(result)) != case.exact


# (case, form, support along d by hand): sets with round parts
ROUND: list[tuple[str, str, Callable[[np.ndarray], float]]] = [
    ("norm", "ball", lambda d: float(np.linalg.norm(d))),
    ("scaled root", "ball", lambda d: float(np.linalg.norm(d)) / np.sqrt(2)),
    ("positive part of a norm", "ball", lambda d: float(np.linalg.norm(d))),
    ("hypot", "hull", lambda d: float(np.hypot(d[0], 2 * d[1]))),
    ("norm plus abs", "hull", lambda d: float(np.linalg.norm(d) + abs(d[0]))),
    ("norm of a norm", "hull", lambda d: float(np.sqrt(2 * d[0] ** 2 + d[1] ** 2))),
    ("norm and a bound", "hull", lambda d: float(max(np.linalg.norm(d), 2 * d[0]))),
    ("norm and another kink", "hull", lambda d: float(np.linalg.norm(d[1:]) + abs(d[0]))),
    ("norms of two parts", "hull",
     lambda d: float(np.linalg.norm(d[:2]) + np.linalg.norm(d[2:]))),
]  # fmt: skip


@pytest.mark.parametrize(("name", "form", "support"), ROUND)
def test_round_sets_have_the_support_function_by_hand(
    name: str, form: str, support: Callable[[np.ndarray], float]
) -> None:
    result = found(BY_NAME[name])
    assert result.form == form
    for d in np.random.default_rng(0).normal(size=(20, *result.shape)):
        assert result.support(d) == pytest.approx(support(d), rel=1e-12)


# --- convex functions --------------------------------------------------------------------------

CONVEX = [case for case in CASES if case.convex and case.hard != 8]


@pytest.mark.parametrize("case", CONVEX, ids=lambda case: case.name)
def test_elements_at_a_convex_function_support_it_from_below(case: Case) -> None:
    """f(x + s) >= f(x) + <g, s>: near the point, where the cases are convex."""
    result, rng = found(case), np.random.default_rng(1)
    elements = [result.min_norm(), *(result.sample(rng) for _ in range(10))]
    at = float(case.function(case.point))
    for s in rng.uniform(-0.1, 0.1, size=(20, *np.shape(case.point))):
        rise = float(case.function(case.point + s)) - at
        assert all(rise >= np.vdot(g, s) - 1e-9 * (1 + abs(at)) for g in elements)


@pytest.mark.parametrize("case", CONVEX, ids=lambda case: case.name)
def test_the_support_of_a_regular_function_is_its_directional_derivative(case: Case) -> None:
    result = found(case)
    for d in np.random.default_rng(2).normal(size=(10, *np.shape(case.point))):
        expected = cb.directional(case.function, case.point, d)
        assert result.support(d) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_line_test_would_reject_elements_where_a_function_is_not_regular() -> None:
    for name, g, d in [("minus abs", 1.0, 1.0), ("least magnitude", [1.0, 0], [1.0, 0])]:
        case = BY_NAME[name]
        assert found(case).contains(g)
        assert np.vdot(g, d) > cb.directional(case.function, case.point, np.asarray(d))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_lexicographic_lies_in_the_set(case: Case) -> None:
    assert found(case).contains(cb.lexicographic(case.function, case.point))


def test_a_central_difference_at_a_tie_is_no_element_and_no_error() -> None:
    """Half in each coordinate, whatever the number of ties; automatic differentiation gives 1/k."""
    for ties in (2, 3, 5):
        result = cb.subdifferential(np.max, np.ones(ties))
        assert result.contains(np.full(ties, 1 / ties))
        np.testing.assert_allclose(difference(np.max, np.ones(ties)), 0.5)
        assert result.contains(difference(np.max, np.ones(ties))) == (ties == 2)


# --- random piecewise linear functions -----------------------------------------------------------

slopes = st.tuples(st.integers(-2, 2), st.integers(-2, 2))
trees = st.recursive(
    slopes.map(lambda s: ("line", s)),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["max", "min", "add", "where", "subtract"]), inner, inner),
        st.tuples(st.sampled_from(["abs", "relu", "negative"]), inner),
    ),
    max_leaves=5,
)
MEANINGS: dict[str, Callable[..., Any]] = {
    "max": np.maximum, "min": np.minimum, "add": np.add, "subtract": np.subtract,
    "where": lambda a, b: np.where(a > b, a - b, 0.0 * a),
    "abs": np.abs, "relu": cb.relu, "negative": np.negative,
}  # fmt: skip


def evaluated(tree: Any, x: Any) -> Any:
    kind, *parts = tree
    if kind == "line":
        return float(parts[0][0]) * x[0] + float(parts[0][1]) * x[1]
    return MEANINGS[kind](*(evaluated(part, x) for part in parts))


# Lines with integer normals of length <= 64 meet at angles above 1/64^2 = 0.00024.
ANGLES = (np.arange(26000) + 0.123456) * (2 * np.pi / 26000)
CIRCLE = np.array([np.cos(ANGLES), np.sin(ANGLES)])


def slopes_around(tree: Any) -> np.ndarray:
    """The gradients in all sectors of a positively homogeneous function of the plane."""
    h = 1e-7
    pairs = [np.array([[h], [0]]), np.array([[0], [h]])]
    moved = [evaluated(tree, CIRCLE + p) - evaluated(tree, CIRCLE - p) for p in pairs]
    gradients = np.round(np.array(moved).T / (2 * h), 4)
    whole = gradients[np.all(gradients == np.round(gradients), axis=1)]  # no sector border near
    return np.unique(whole, axis=0)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(tree=trees)
def test_random_piecewise_linear_functions_by_brute_force(tree: Any) -> None:
    gradients = slopes_around(tree)
    result = cb.subdifferential(lambda x: evaluated(tree, x), PLANE)
    assert result.exact
    assert all(result.contains(g, 1e-9) for g in gradients)
    corners = {tuple(np.round(v, 6) + 0.0) for v in result.vertices}
    assert corners <= {tuple(g + 0.0) for g in gradients}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(tree=trees, angle=st.floats(0, 6.28))
def test_random_directional_derivatives_are_values(tree: Any, angle: float) -> None:
    """A positively homogeneous function is its own directional derivative at 0."""
    d = np.array([np.cos(angle), np.sin(angle)])
    slope = cb.directional(lambda x: evaluated(tree, x), PLANE, d)
    assert slope == pytest.approx(float(evaluated(tree, d)), abs=1e-12)


def test_brute_force_would_show_kinks_that_are_taken_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the cones every combination of choices counts, as in interval arithmetic."""
    monkeypatch.setattr(choices.Cone, "restricted", lambda self, rows, exact, size: self)
    tree = ("subtract", ("relu", ("line", (1, 0))), ("relu", ("line", (-1, 1))))
    wrong = cb.subdifferential(lambda x: evaluated(tree, x), PLANE)
    twice = ("subtract", ("abs", ("line", (1, 0))), ("abs", ("line", (2, 0))))
    loose = cb.subdifferential(lambda x: evaluated(twice, x), PLANE)
    met = set(map(tuple, slopes_around(twice)))
    assert wrong.contains([1.0, 0])
    assert not all(tuple(v) in met for v in loose.vertices)


# --- the other kind ------------------------------------------------------------------------------


def test_conservative_sets_make_one_choice_at_each_kink() -> None:
    result = cb.subdifferential(lambda x: cb.relu(x) - cb.relu(-x), 0.0, kind="conservative")
    assert (result.kind, result.exact) == ("conservative", False)
    np.testing.assert_array_equal(np.sort(result.vertices), [0, 2])
    assert "conservative" in repr(result)
    shared = cb.subdifferential(lambda x: np.abs(x) - np.abs(x), 0.0, kind="conservative")
    np.testing.assert_array_equal(shared.vertices, [0])


BY_PYTHON = [BY_NAME[name] for name in ("a branch", "branches", "a masked sum")]
ON_GRAPHS = [case for case in CASES if case not in BY_PYTHON]


@pytest.mark.parametrize("case", BY_PYTHON, ids=lambda case: case.name)
def test_conservative_sets_stay_on_the_branch_that_python_took(case: Case) -> None:
    wide = cb.subdifferential(case.function, case.point, kind="conservative")
    assert wide.form == "point"
    np.testing.assert_array_equal(wide.vertices[0], cb.grad(case.function)(case.point))


@pytest.mark.parametrize("case", ON_GRAPHS, ids=lambda case: case.name)
def test_conservative_sets_hold_clarkes_and_every_convention(case: Case) -> None:
    wide = cb.subdifferential(case.function, case.point, kind="conservative")
    tight = found(case)
    for d in np.random.default_rng(3).normal(size=(5, *np.shape(case.point))):
        assert wide.support(d) >= tight.support(d) - 1e-9 * (1 + abs(tight.support(d)))
    for convention in ("min-norm", "left", "right"):
        slope = cb.grad(case.function, kink=convention)(case.point)
        assert not np.all(np.isfinite(slope)) or wide.contains(slope)


def test_two_norms_that_agree_to_first_order_need_not_agree() -> None:
    """||(x + z^2, y)|| - ||(x, y)|| has the slope 2 in x where x is -z^2/2 and y is 0."""
    result = cb.subdifferential(lambda v: norm(lifted(v)) - norm(v[:2]), np.zeros(3))
    slope = difference(lambda v: norm(lifted(v)) - norm(v[:2]), [-5e-7, 0.0, 1e-3], 1e-8)
    np.testing.assert_allclose(slope[:2], [2, 0], atol=1e-6)
    assert result.contains([2.0, 0, 0])
    assert not result.exact


def lifted(v: Any) -> Any:
    return np.stack([v[0] + v[2] ** 2, v[1]])


# --- what a set can be asked -----------------------------------------------------------------


def simplex() -> SubgradientSet:
    return cb.subdifferential(lambda x: np.max(x) + x[0], np.ones(3))


def test_membership_distance_and_least_norm_of_a_polytope() -> None:
    result = simplex()  # e1 + the unit simplex
    assert result.contains([2.0, 0, 0])
    assert result.contains([1.25, 0.5, 0.25])
    assert not result.contains([1.0, 0.5, 0.4])
    assert result.contains([1.0, 0.5, 0.4], tol=0.1)
    assert result.distance([0.0, 0.5, 0.5]) == pytest.approx(1.0)
    np.testing.assert_allclose(result.min_norm(), [1, 0.5, 0.5], atol=1e-12)
    assert not result.contains([np.nan, 0, 0])


def test_the_least_norm_of_round_sets() -> None:
    np.testing.assert_allclose(found(BY_NAME["norm"]).min_norm(), 0, atol=1e-9)
    moved = cb.subdifferential(lambda x: norm(x) + 3 * x[0] + 4 * x[1], PLANE)
    np.testing.assert_allclose(moved.min_norm(), [2.4, 3.2], atol=1e-6)
    assert moved.contains([2.4, 3.2], 1e-6)
    assert not moved.contains([2.3, 3.2], 1e-3)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_samples_are_elements_and_support_is_their_bound(case: Case) -> None:
    result, rng = found(case), np.random.default_rng(4)
    d = rng.normal(size=result.shape)
    for _ in range(5):
        g = result.sample(rng)
        assert np.shape(g) == np.shape(case.point)
        size = 1 + float(np.abs(g).max())
        assert result.contains(g, 1e-6 * size)
        assert np.vdot(g, d) <= result.support(d) + 1e-9 * size


# (case, printed, LaTeX)
PRINTED = [
    ("relu", "[0, 1]", "[0, 1]"),
    ("abs minus itself", "{0}", r"\left\{0\right\}"),
    ("norm", "ball(center=[0., 0., 0.], radius=1)", r"\left\|g - \begin{bmatrix} 0 & 0 & 0"),
    (
        "branches",
        "hull of [-1., -1.], [ 0., -2.], [3., 3.], [4., 2.]",
        r"\operatorname{conv} \left\{",
    ),
    ("norm plus abs", "image of a ball by [[1., 0.], [0., 1.]]", r"B_{2}"),
]


@pytest.mark.parametrize(("name", "text", "latex"), PRINTED)
def test_sets_print(name: str, text: str, latex: str) -> None:
    result = found(BY_NAME[name])
    assert text in repr(result)
    assert latex in result.latex()


def test_round_sets_have_no_list_of_vertices() -> None:
    with pytest.raises(cb.DerivativeError, match="infinitely many extreme points"):
        _ = found(BY_NAME["norm"]).vertices


def test_an_element_of_another_shape_is_an_error() -> None:
    with pytest.raises(cb.ShapeError, match=r"shape \(3,\) of the point, got \(2,\)"):
        simplex().contains([1.0, 2.0])


# --- bad input ---------------------------------------------------------------------------------


def jump(x: Any) -> Any:
    return np.sin(x) if x < 0 else x * 0 + 0.5


# (function, point, error, what it says)
BAD: list[tuple[Any, Any, type[Exception], str]] = [
    (jump, 0.0, cb.DerivativeError, "is 0.5 there, and tends to values from 0.0 to 0.5"),
    (lambda x: np.where(x > 0, 1.0, 0.0) * x**0, 0.0, cb.DerivativeError, "jumps"),
    (lambda x: x % 1.0, 2.0, cb.DerivativeError, "jumps"),
    (np.sign, 0.0, cb.DerivativeError, r"tied: v1 = sign, recorded at"),
    (lambda x: np.where(x == 0, 5.0, x), 0.0, cb.DerivativeError, "is 5.0 there"),
    (lambda x: np.where(x == 0, 1.0, np.sin(x) / x), 0.0, cb.DerivativeError, "as np.sinc"),
    (lambda x: x @ cb.grad(np.max)(x), np.ones(2), cb.DerivativeError, "where entries tie"),
    (np.sum, np.zeros(0), cb.DerivativeError, "at least one number"),
    (np.abs, np.zeros(2), cb.DerivativeError, r"scalar result is expected, got f64\[2\]"),
    (np.abs, 1, cb.DTypeError, "pass floats"),
    (np.sum, np.ones(2, int), cb.DTypeError, "int64"),
    (np.abs, np.nan, cb.DerivativeError, "finite numbers"),
    (np.abs, None, cb.DTypeError, "carries no derivative"),
    (np.sqrt, 0.0, cb.DerivativeError, "not locally Lipschitz"),
    (lambda x: np.sqrt(x**2 + x**3), 0.0, cb.DerivativeError, "not locally Lipschitz"),
    (lambda a: norm_of_spectrum(a), np.eye(2), cb.DerivativeError, "spectra are not enumerated"),
    (lambda x: norm(np.stack([norm(x) + x[0], x[1]])), PLANE, cb.DerivativeError, "another norm"),
    (lambda x: np.sum(x[0]), (PLANE, PLANE), cb.DerivativeError, "one array, got 2"),
]


def norm_of_spectrum(a: Any) -> Any:
    return np.linalg.norm(a, "nuc")


@pytest.mark.parametrize(("function", "x", "error", "text"), BAD)
def test_bad_input_says_what_is_wrong(
    function: Callable[[Any], Any], x: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        cb.subdifferential(function, x)


def test_a_kind_that_is_none_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match="clarke, conservative, got 'frechet'"):
        cb.subdifferential(np.abs, 0.0, kind="frechet")


@pytest.mark.parametrize("budget", [0, 2.5, True, "many"])
def test_a_budget_is_a_whole_number(budget: Any) -> None:
    with pytest.raises(ValueError, match="whole number >= 1"):
        cb.subdifferential(np.abs, 0.0, budget=budget)


def test_branches_of_a_loop_are_recorded_as_they_are_met() -> None:
    def total(x: Any) -> Any:
        found = 0.0 * x[0]
        for i in range(3):
            if x[i] > 0:
                found = found + x[i]
            elif x[i] < 0:
                found = found - 2 * x[i]
        return found

    result = cb.subdifferential(total, np.zeros(3))
    assert result.exact
    expected = list(itertools.product([-2.0, 1.0], repeat=3))
    np.testing.assert_allclose(sorted_rows(result.vertices), sorted_rows(expected))
    assert cb.directional(total, np.zeros(3), np.array([1.0, -1.0, 0.0])) == 3.0
    assert result.contains(cb.lexicographic(total, np.zeros(3)))


def test_more_pieces_than_the_budget_are_an_error_that_says_the_number() -> None:
    with pytest.raises(cb.DerivativeError, match=r"30 ties at this point.*budget=50"):
        cb.subdifferential(lambda x: np.sum(np.abs(x)), np.zeros(30), budget=50)


def test_the_budget_ends_the_search_among_many_ties_at_once() -> None:
    a = np.random.default_rng(0).normal(size=(200, 200))
    with pytest.raises(cb.DerivativeError, match=r"budget=50 pieces"):
        cb.subdifferential(lambda x: np.max(a @ x), np.zeros(200), budget=50)


def test_a_list_is_a_point_as_an_array_is() -> None:
    assert cb.subdifferential(np.max, [1.0, 1.0]).shape == (2,)


def test_many_uses_of_one_kink_are_two_pieces() -> None:
    """60 ties on one line: 2 of 2^60 combinations are met."""

    def sawn(x: Any) -> Any:
        return sum(np.abs(k * x) - cb.relu(-k * x) for k in np.arange(1.0, 31.0))

    result = cb.subdifferential(sawn, 0.0, budget=4)
    total = sum(range(1, 31))
    np.testing.assert_allclose(np.sort(result.vertices), [0, total])


def test_permutations_of_ties_are_pieces() -> None:
    weights = np.arange(4.0)
    result = cb.subdifferential(lambda x: np.dot(np.sort(x), weights), np.zeros(4))
    expected = list(itertools.permutations(weights))
    np.testing.assert_allclose(sorted_rows(result.vertices), sorted_rows(expected))
