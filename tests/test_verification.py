"""verify on functions whose gradient is known: verdicts, worst entries, reports, witnesses."""

import dataclasses
import json

import numpy as np
import pytest

from calcbench.verification.check import verify
from calcbench.verification.diagnosis import Evidence, nearest_nice, suspect
from calcbench.verification.differences import slope_along
from calcbench.verification.directions import (
    coordinate_direction,
    displaced,
    place_of,
    random_direction,
)
from calcbench.verification.report import Report


X = np.array([0.5, -1.5, 2.0, 0.25])
MATRIX = np.random.default_rng(7).standard_normal((3, 4))


def check(f, grad, at, **options):
    """verify with a fixed seed, on differences alone."""
    return verify(f, grad, at, rng=options.pop("rng", 1), witnesses="none", **options)


def cubes(x):
    return np.sum(x**3)


def cubes_gradient(x):
    return 3 * x**2


# --- right gradients pass -----------------------------------------------------------------------

RIGHT = {
    "vector": (cubes, cubes_gradient, X),
    "python float": (lambda x: x * x * x, lambda x: 3 * x * x, 2.0),
    "zero-dimensional": (lambda x: np.sin(x), lambda x: np.cos(x), np.array(0.3)),
    "one by one": (lambda x: x[0, 0] ** 2, lambda x: 2 * x, np.array([[3.0]])),
    "matrix": (lambda m: np.sum(m @ m.T), lambda m: 2 * np.ones((3, 3)) @ m, MATRIX),
    "vector output": (
        lambda x: np.sin(MATRIX @ x),
        lambda x: np.cos(MATRIX @ x)[:, None] * MATRIX,
        X,
    ),
    "matrix output": (lambda x: np.outer(x, X), lambda x: np.einsum("ik,j->ijk", np.eye(4), X), X),
    "float32": (lambda x: np.sum(x * x), lambda x: 2 * x, X.astype(np.float32)),
    "float32 inside": (lambda x: float(np.sum(x.astype("f4") ** 2)), lambda x: 2 * x, X + 0.1),
    "scaled up": (lambda x: 1e9 * cubes(x), lambda x: 1e9 * cubes_gradient(x), X),
    "scaled down": (lambda x: 1e-9 * cubes(x), lambda x: 1e-9 * cubes_gradient(x), X),
    "huge point": (lambda x: np.sum(x**2), lambda x: 2 * x, X * 1e150),
    "tiny point": (lambda x: 1 + np.sum(np.sin(x)), lambda x: np.cos(x), X * 1e-12),
    "subnormal point": (
        lambda x: np.sum(x) * 1e300,
        lambda x: np.full(3, 1e300),
        np.array([1e-310, 0.0, 5e-324]),
    ),
    "near the largest float": (lambda x: x * 1e-300, lambda x: 1e-300, 1.5e308),
    "mixed scales": (lambda x: np.sum(np.log(x)), lambda x: 1 / x, np.array([1e-9, 1.0, 1e9])),
    "fast oscillation": (lambda x: np.sin(1e6 * x), lambda x: 1e6 * np.cos(1e6 * x), 1.3),
    "large constant": (lambda x: 1e8 + cubes(x), cubes_gradient, X),
    "quantised": (lambda x: (1e7 + cubes(x)) - 1e7, cubes_gradient, X + 0.3),
    "stationary": (lambda x: np.sum((x - 1) ** 2), lambda x: 2 * (x - 1), np.ones(3)),
    "constant": (lambda x: 5.0, lambda x: np.zeros(4), X),
    "kink beside x": (lambda x: np.abs(x - 1 - 1e-7), lambda x: np.sign(x - 1 - 1e-7), 1.0),
    "kinks cancel at x": (lambda x: np.maximum(x, 0) - np.maximum(-x, 0), lambda x: 1.0, 0.0),
    "value at one point": (lambda x: 1.0 if x == 1 else x**2, lambda x: 2.0, 1.0),
    "domain ends nearby": (lambda x: np.sqrt(x - 1), lambda x: 0.5 / np.sqrt(x - 1), 1.0001),
    "strided": (cubes, cubes_gradient, np.arange(1.0, 9.0)[::-2]),
    "Fortran order": (lambda m: np.sum(m**3), lambda m: 3 * m**2, np.asfortranarray(MATRIX)),
    "read-only view": (cubes, cubes_gradient, np.broadcast_to(np.float64(2.0), (3,))),
    "byte-swapped": (cubes, cubes_gradient, X.astype(">f8")),
    "list": (cubes, cubes_gradient, [0.5, 1.5]),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_gradient_passes(name):
    f, grad, at = RIGHT[name]
    report = check(f, grad, at)
    assert report.ok, str(report)
    assert report.verdict == "pass"
    assert report.worst is not None
    assert report.worst.excess <= 1


# --- wrong gradients fail -----------------------------------------------------------------------


def off_in(index, factor=1.01):
    def grad(x):
        g = cubes_gradient(x)
        g[index] *= factor
        return g

    return grad


WRONG = {
    "sign": (cubes, lambda x: -cubes_gradient(x), X, "sign"),
    "factor 2": (cubes, lambda x: 2 * cubes_gradient(x), X, "factor 2"),
    "missing 1/n": (lambda x: np.mean(x**3), cubes_gradient, X, "factor 4 too many"),
    "1/n too much": (cubes, lambda x: cubes_gradient(x) / 4, X, "factor 4 missing"),
    "one entry": (cubes, off_in(2), X, "one entry"),
    "shifted": (cubes, lambda x: np.roll(cubes_gradient(x), 1), X, "shifted by 1"),
    "reversed": (cubes, lambda x: cubes_gradient(x)[::-1], X, "reverse order"),
    "transposed": (
        lambda m: np.sum(m @ m @ X[:3]),
        lambda m: (np.outer(m.T @ np.ones(3), X[:3]) + np.outer(np.ones(3), m @ X[:3])).T,
        MATRIX[:, :3],
        "transposed",
    ),
    "transposed Jacobian": (
        lambda x: MATRIX[:, :3] @ np.sin(x),
        lambda x: (MATRIX[:, :3] * np.cos(x)).T,
        X[:3],
        "Jacobian is transposed",
    ),
    "missing penalty": (lambda x: cubes(x) + 0.05 * x @ x, cubes_gradient, X, "lacks the term 0.1"),
    "missing 1/n, penalty right": (
        lambda x: np.mean(x**3) + 0.05 * x @ x,
        lambda x: cubes_gradient(x) + 0.1 * x,
        X,
        "in all but a quadratic penalty, a factor 4 too many",
    ),
    "entries left at zero": (
        cubes,
        lambda x: cubes_gradient(x) * (x > 0.4),
        X,
        "2 entries are zero",
    ),
    "a branch is missing": (
        lambda x: np.sum(np.maximum(x, 0) ** 2),
        lambda x: 2 * x,
        X,
        "1 entry is not zero that should be",
    ),
    "zero, scaled down": (lambda x: 1e-9 * cubes(x), lambda x: 0 * x, X, ""),
    "float32 by 1 %": (lambda x: np.sum(x * x), lambda x: 2.02 * x, X.astype("f4"), "1.01"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_gradient_fails_and_the_pattern_is_named(name):
    f, grad, at, suspicion = WRONG[name]
    report = check(f, grad, at)
    assert report.verdict == "fail", str(report)
    assert suspicion in report.suspicion
    assert report.worst is not None
    assert report.worst.excess > 1


def test_the_worst_entry_has_its_index_and_both_values():
    report = check(cubes, off_in(2, 1.5), X)
    worst = report.worst
    assert (worst.argument, worst.index, worst.candidate) == (0, (2,), 18.0)
    assert worst.reference == pytest.approx(12.0, rel=1e-9)
    assert worst.bound < 1e-9
    assert "grad[2]: candidate 18, reference 12 ±" in str(report)


def test_the_index_of_a_jacobian_entry_is_output_then_input():
    wrong = np.cos(MATRIX @ X)[:, None] * MATRIX
    wrong[1, 3] += 0.5
    report = check(lambda x: np.sin(MATRIX @ x), lambda x: wrong, X)
    assert report.worst.index == (1, 3)
    assert report.worst.error == pytest.approx(0.5)


def test_a_zero_gradient_has_its_own_name():
    assert check(cubes, lambda x: 0 * x, X).kind == "all-zero"


def test_a_gradient_with_nan_fails_where_the_slope_is_finite():
    assert check(cubes, lambda x: np.full(4, np.nan), X).kind == "non-finite gradient"


def test_atol_is_off_unless_given():
    def nearly(x):
        return cubes_gradient(x) + 1e-5

    assert check(cubes, nearly, X).verdict == "fail"
    assert check(cubes, nearly, X, atol=1e-4).ok
    assert check(cubes, nearly, X, rtol=1e-3).ok


@pytest.mark.parametrize("n", [500, 3000])
def test_one_percent_in_one_of_many_entries_is_found_and_located(n):
    weights = np.random.default_rng(3).uniform(0.5, 1.5, n)
    x = np.random.default_rng(5).standard_normal(n)

    def wrong(x):
        g = weights * np.cos(x)
        g[n // 3] *= 1.01
        return g

    report = check(lambda x: weights @ np.sin(x), wrong, x)
    assert report.verdict == "fail"
    assert report.worst.index == (n // 3,)
    right = check(lambda x: weights @ np.sin(x), lambda x: weights * np.cos(x), x)
    assert right.ok
    assert right.coverage[0].miss_probability < 0.01
    assert not right.coverage[0].complete


def test_the_miss_probability_is_high_where_noise_hides_the_entries():
    x = np.random.default_rng(5).standard_normal(1000)
    report = check(lambda x: 1e11 + np.sum(np.sin(x)), np.cos, x)
    assert report.coverage[0].miss_probability > 0.5
    assert "drawn at random would be missed with probability" in str(report)


# --- several arguments --------------------------------------------------------------------------


def product(a, x, labels, scale):
    return scale * np.sum(a @ x) + (labels == 1).sum()


ARGUMENTS = (MATRIX, X, np.array([1, 0, 1]), 2.0)
FIRST = 2 * np.outer(np.ones(3), X)
SECOND = 2 * MATRIX.T @ np.ones(3)


@pytest.mark.parametrize(
    ("argnums", "grad"),
    [
        (0, FIRST),
        (1, SECOND),
        (-3, SECOND),
        ((1,), (SECOND,)),
        ((0, 1), (FIRST, SECOND)),
        ((1, 0), (SECOND, FIRST)),
        ((3,), [np.sum(MATRIX @ X)]),
    ],
)
def test_argnums_select_the_arguments(argnums, grad):
    report = check(product, lambda *_: grad, ARGUMENTS, argnums=argnums)
    assert report.ok, str(report)


def test_the_wrong_argument_is_named():
    report = check(product, lambda *_: (FIRST, 2 * SECOND), ARGUMENTS, argnums=(0, 1))
    assert report.worst.argument == 1
    assert "of argument 1" in str(report)


def test_the_same_array_twice_is_two_arguments():
    report = check(lambda a, b: a @ b, lambda a, b: (b, a), (X, X), argnums=(0, 1))
    assert report.ok, str(report)


# --- undecided ----------------------------------------------------------------------------------


def flat_norm(x):
    return np.linalg.norm(x)


UNDECIDED = {
    "relu at zero": (lambda x: np.maximum(x, 0), lambda x: 0.5, 0.0, "kink"),
    "one of several at a kink": (
        lambda x: np.sum(np.maximum(x, 0)),
        lambda x: (x > 0).astype(float),
        np.array([1.0, 0.0, -2.0]),
        "kink",
    ),
    "norm at zero": (flat_norm, lambda x: np.zeros(3), np.zeros(3), "kink"),
    "tie of max": (np.max, lambda x: np.full(3, 1 / 3), np.ones(3), "kink"),
    "not convex, gradient of a neighbour": (
        lambda x: min(abs(x[0]), abs(x[1])),
        lambda x: np.array([1.0, 0.0]),
        np.zeros(2),
        "kink",
    ),
    "not convex, in two arguments": (
        lambda x, y: min(abs(x), abs(y)),
        lambda x, y: (1.0, 0.0),
        (0.0, 0.0),
        "kink",
    ),
    "closer than any step": (lambda x: abs(x - 1 - 1e-15), lambda x: -1.0, 1.0, "kink"),
    "step": (lambda x: float(x >= 1), lambda x: 0.0, 1.0, "discontinuity"),
    "one value off": (lambda x: 0.0 if x == 1 else x**2, lambda x: 2.0, 1.0, "discontinuity"),
    "root of a distance": (lambda x: np.sqrt(np.abs(x)), lambda x: 0.0, 0.0, "rough"),
    "vertical": (lambda x: np.cbrt(x), lambda x: np.inf, 0.0, "rough"),
    "domain ends at x": (lambda x: np.sqrt(x), lambda x: np.inf, 0.0, "non-finite"),
    "error beside x": (lambda x: 1 / (x - x), lambda x: 1.0, 2.0, "non-finite"),
    "overflow": (lambda x: np.exp(x), lambda x: np.inf, 800.0, "non-finite"),
    "no step from the largest float": (
        lambda x: x / 2,
        lambda x: 0.5,
        1.7976931348623157e308,
        "non-finite",
    ),
    "NaN agreement": (lambda x: np.log(x), lambda x: np.nan, -1.0, "NaN"),
    "NaN in x": (cubes, cubes_gradient, np.array([1.0, np.nan]), "non-finite"),
    "infinity in x": (cubes, cubes_gradient, np.array([1.0, -np.inf]), "non-finite"),
    "noise above the signal": (lambda x: 1e20 + np.sum(x), np.ones_like, X, "noise"),
    "zero size": (cubes, cubes_gradient, np.zeros(0), "vacuous"),
    "zero size output": (lambda x: x[:0], lambda x: np.zeros((0, 4)), X, "vacuous"),
}


@pytest.mark.parametrize("name", UNDECIDED)
def test_undecided_says_why(name):
    f, grad, at, kind = UNDECIDED[name]
    argnums = (0, 1) if isinstance(at, tuple) else 0
    report = check(f, grad, at, argnums=argnums)
    assert (report.verdict, report.kind) == ("undecided", kind), str(report)
    assert not report.ok


def test_both_one_sided_slopes_of_a_kink_are_printed():
    report = check(lambda x: np.maximum(3 * x, -x), lambda x: 1.0, 0.0)
    assert "slope 3 to the right, -1 to the left" in str(report)
    assert (report.worst.right, report.worst.left) == pytest.approx((3.0, -1.0))


@pytest.mark.parametrize(
    ("f", "grad", "at"),
    [
        (lambda x: np.sum(np.maximum(x, 0)), lambda x: np.where(x > 0, 1.0, 5.0), [0.0, -1.0]),
        (lambda x: np.sum(np.maximum(x, 0)), lambda x: np.where(x > 0, 2.0, 0.0), [1.0, 0.0]),
        (lambda x: np.maximum(x, 0), lambda x: 1.5, 0.0),
        (lambda x: min(abs(x[0]), abs(x[1])), lambda x: np.array([3.0, 0.0]), np.zeros(2)),
        (flat_norm, lambda x: np.full(3, 2.0), np.zeros(3)),
    ],
)
def test_a_kink_is_no_excuse_for_a_gradient_outside_it(f, grad, at):
    assert check(f, grad, at).verdict == "fail"


# --- the report ---------------------------------------------------------------------------------


def test_a_report_has_no_truth_value():
    with pytest.raises(TypeError, match=r"report\.ok"):
        bool(check(cubes, cubes_gradient, X))


def test_the_report_is_strict_json_with_a_schema():
    report = check(lambda x: np.log(x), lambda x: np.nan, -1.0)
    text = json.dumps(report.to_dict(), allow_nan=False)
    data = json.loads(text)
    assert data["schema"] == 1
    assert data["ok"] is False
    assert data["worst"]["candidate"] == "NaN"
    assert data["versions"]["numpy"] == np.__version__


def test_the_dictionary_holds_every_field():
    data = check(cubes, off_in(1), X).to_dict()
    assert {field.name for field in dataclasses.fields(Report)} <= set(data)
    assert data["worst"]["index"] == [1]
    assert data["worst"]["excess"] > 1


def test_raise_if_failed_raises_with_the_full_text():
    wrong, right = check(cubes, off_in(1), X), check(cubes, cubes_gradient, X)
    open_case = check(np.abs, lambda x: 0.0, 0.0)
    right.raise_if_failed()
    with pytest.raises(AssertionError) as caught:
        wrong.raise_if_failed()
    assert str(caught.value) == str(wrong)
    with pytest.raises(AssertionError, match="undecided"):
        open_case.raise_if_failed()
    open_case.raise_if_failed(allow_undecided=True)
    with pytest.raises(AssertionError):
        wrong.raise_if_failed(allow_undecided=True)


def test_the_printed_report_reads_as_sentences():
    lines = str(check(cubes, off_in(1), X)).splitlines()
    assert lines[0] == "fail: the gradient disagrees with the differences of f."
    assert lines[1].startswith("Worst entry: grad[1]: candidate 6.8175, reference 6.75 ± ")
    assert lines[2] == "Wrong: 1 of 4 checked entries: grad[1]."
    assert lines[3] == "Suspected: one entry is wrong and the others are right."
    assert lines[4] == "Checked every coordinate and 4 random directions."
    assert "calls of f; repeat with rng=1" in lines[5]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([0, 2], "Wrong: 2 of 4 checked entries: grad[0], grad[2]."),
        ([0, 2, 3], "Wrong: 3 of 4 checked entries; right: grad[1]."),
        ([0, 1, 2, 3], "Wrong: all 4 checked entries."),
    ],
)
def test_a_failure_names_the_wrong_entries_or_the_right_ones(wrong, said):
    factors = np.where(np.isin(np.arange(4), wrong), [1.5, 1.7, 2.3, 3.1], 1.0)
    report = check(cubes, lambda x: factors * cubes_gradient(x), X)
    assert said in str(report).splitlines()
    assert report.coverage[0].wrong == tuple((j,) for j in wrong)


def test_the_entries_of_a_jacobian_and_of_a_second_argument_are_named():
    report = check(
        lambda a, b: np.outer(a[:2], b[:2]),
        lambda a, b: (
            np.einsum("ik,j->ijk", np.eye(4)[:2], b[:2]),
            np.einsum("jk,i->ijk", np.eye(4)[:2], a[:2]) * np.where(np.arange(4) == 1, 2.0, 1.0),
        ),
        (X, X),
        argnums=(0, 1),
    )
    assert "checked entries of argument 1: grad[0, 1, 1], grad[1, 1, 1]." in str(report)


def test_a_failure_like_no_common_mistake_says_how_to_go_on():
    def wrong(x):
        return cubes_gradient(x) + np.cos(x)

    alone, heard = check(cubes, wrong, X), verify(cubes, wrong, X, rng=1)
    assert "verify the terms of f one by one, each with its gradient." in str(alone)
    assert "gradient; calcbench.grad(f) has the right values." in str(heard)
    assert "one by one" not in str(check(cubes, lambda x: -cubes_gradient(x), X))


def test_a_report_where_nothing_was_tolerated_prints():
    report = check(lambda x: np.exp(x[0]), np.exp, np.array([709.7]))
    assert repr(report) == "<Report undecided: non-finite, worst grad[0] at inf × tolerance>"
    assert report.to_dict()["worst"]["excess"] == "Infinity"


@pytest.mark.parametrize("name", ["kink", "jump"])
def test_no_reference_is_printed_where_there_is_no_slope(name):
    f = {"kink": np.abs, "jump": np.floor}[name]
    line = str(check(f, lambda x: 0.0, 0.0)).splitlines()[1]
    assert line == "In question: grad: candidate 0, and no slope to compare it with."


def test_what_noise_hides_is_named_and_does_not_count_as_agreement():
    x = np.array([1e-8, 1.0, 1e8])
    report = check(lambda x: np.sum(x**2), lambda x: 2 * x, x)
    assert report.ok
    assert "in 6 of 7 comparisons; the noise of f hides its slope in the other 1." in str(report)
    assert "1 of 7 slopes drown in noise (grad[0])" in str(report)


def test_no_error_of_one_percent_is_spoken_of_where_the_gradient_is_zero():
    assert "1 %" not in str(check(lambda x: x * x, lambda x: 2 * x, 0.0))
    assert "1 %" not in str(check(lambda x: 3.0, lambda x: 0 * x, X))


def test_repr_is_one_line_and_html_is_escaped():
    report = dataclasses.replace(check(cubes, off_in(1), X), reason="<b>&")
    assert "\n" not in repr(report)
    assert repr(report).startswith("<Report fail: mismatch, worst grad[1] at ")
    assert "&lt;b&gt;&amp;" in report._repr_html_()


def test_a_report_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        check(cubes, cubes_gradient, X).verdict = "pass"


def test_the_same_seed_gives_the_same_report():
    first, second = (check(cubes, off_in(1), X, rng=9) for _ in range(2))
    assert first == second
    assert first.seed == 9
    drawn = check(cubes, cubes_gradient, X, rng=None)
    assert check(cubes, cubes_gradient, X, rng=drawn.seed) == drawn
    made = check(cubes, cubes_gradient, X, rng=np.random.default_rng(4))
    assert check(cubes, cubes_gradient, X, rng=made.seed) == made


# --- steps and slopes ---------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-300, 1e-9, 1.0, 1e9, 1e300])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_steps_are_exact_and_never_subnormal(scale, dtype):
    with np.errstate(all="ignore"):
        x = (np.array([1.0, -0.3, 0.0, 7.7]) * scale).astype(dtype)
    if not np.isfinite(x).all():
        pytest.skip("beyond float32")
    place = place_of(x)
    smallest_normal = float(np.finfo(dtype).tiny)
    for direction in (
        random_direction(place, np.random.default_rng(0)),
        coordinate_direction(place, 1),
    ):
        for step in (2.0**-5, 3 * 2.0**-9, place.smallest, 0.75 * place.smallest):
            moved = displaced(place, direction, step).astype(np.float64)
            assert (moved - place.point == step * direction).all()
            taken = np.abs(step * direction[direction != 0])
            assert (taken >= smallest_normal).all()


@pytest.mark.parametrize("f", [np.exp, np.sin, lambda t: 1 / (2 + t), lambda t: t**7 - t])
def test_the_bound_covers_the_error(f):
    exact = {np.exp: np.exp, np.sin: np.cos}.get(f)
    for x in np.random.default_rng(11).uniform(-1, 1, 20):
        slope = slope_along(
            lambda t, x=x: np.array([f(x + t)]), np.array([1e-16]), 2.2e-16, 2.0**-40
        )
        wide = exact(x) if exact else complex_step(f, x)
        assert abs(slope.central.value[0] - wide) <= slope.central.error[0]
        assert slope.central.error[0] < 1e-9
        assert slope.status[0] == "smooth"


def complex_step(f, x):
    return f(x + 1e-30j).imag / 1e-30


def test_no_pattern_is_named_for_a_gradient_that_is_wrong_all_over():
    rng = np.random.default_rng(2)
    right, wrong = rng.standard_normal((2, 1, 6))
    assert suspect(Evidence(wrong, right, rng.standard_normal(6), (6,))) == ""


def test_a_factor_lost_in_rounding_is_no_pattern():
    right = np.array([[1.0, 0.0, 2.0, 0.0, 3.0]])
    wrong = right + np.array([[0.0, 7.0, 0.0, -4.0, 0.0]])
    point = np.array([1e-9, 7.0, 1e-9, -4.0, 1e-9])
    assert "factor" not in suspect(Evidence(wrong, right, point, (5,)))
    assert nearest_nice(1e-15) is None
    assert nearest_nice(1e15) is None
    assert nearest_nice(1 / 569) == pytest.approx(1 / 569)


# --- witnesses ----------------------------------------------------------------------------------


def complex_jacobian(f, x):
    """An exact Jacobian of an analytic function, as a stand-in for calcbench's two modes."""
    columns = []
    for j in range(np.size(x)):
        moved = np.array(x, dtype=complex)
        moved.reshape(-1)[j] += 1e-30j
        columns.append(np.ravel(np.imag(f(moved)) / 1e-30))
    return np.array(columns).T


def stand_in(jacobian):
    def jvp(f, primals, tangents):
        slope = jacobian(f, primals[0]) @ np.ravel(tangents[0])
        y = np.asarray(f(*primals))
        return y, slope.reshape(y.shape)

    def vjp(f, *primals):
        def pullback(cotangent):
            row = np.ravel(cotangent) @ jacobian(f, primals[0])
            return (row.reshape(np.shape(primals[0])),)

        return f(*primals), pullback

    return jvp, vjp


def with_modes(monkeypatch, jacobian):
    jvp, vjp = stand_in(jacobian)
    monkeypatch.setattr("calcbench.verification.check.jvp", jvp)
    monkeypatch.setattr("calcbench.verification.check.vjp", vjp)


def test_the_two_modes_are_heard(monkeypatch):
    with_modes(monkeypatch, complex_jacobian)
    report = verify(cubes, cubes_gradient, X, rng=0)
    assert report.ok
    agrees = "agrees with the differences along 4 random directions"
    assert report.witnesses == (("forward", agrees), ("reverse", agrees))


def test_a_mode_that_disagrees_is_named(monkeypatch):
    with_modes(monkeypatch, lambda f, x: 1.001 * complex_jacobian(f, x))
    report = verify(cubes, cubes_gradient, X, rng=0)
    assert report.ok  # the differences decide
    for _, said in report.witnesses:
        assert said.startswith("disagrees with the differences: ")


def test_the_modes_hear_a_function_that_returns_a_list():
    report = verify(lambda x: [x[0] * x[1], x[1]], lambda x: [[x[1], x[0]], [0.0, 1.0]], X[:2])
    assert report.ok
    assert {said[:6] for _, said in report.witnesses} == {"agrees"}


def test_what_cannot_be_traced_is_checked_by_differences_alone(monkeypatch):
    def refuse(f, x):
        raise TypeError("cannot trace it\nand more")

    with_modes(monkeypatch, refuse)
    report = verify(cubes, off_in(1), X, rng=0)
    assert report.verdict == "fail"
    assert dict(report.witnesses)["forward"] == "not traceable: cannot trace it"
    said = "Witness forward: not traceable: cannot trace it; reverse: the same."
    assert said in str(report)


def test_reverse_mode_says_where_to_look(monkeypatch):
    """An error that drowns in every random direction is found in the coordinate it points to."""
    with_modes(monkeypatch, complex_jacobian)
    n, weak = 400, 123
    weights = np.full(n, 1e6)
    weights[weak] = 1e-4

    def wrong(x):
        g = 3 * weights * x**2
        g[weak] *= 1.01
        return g

    def f(x):
        return np.sum(weights * x**3)

    x = np.full(n, 1.0)
    assert check(f, wrong, x).ok
    report = verify(f, wrong, x, rng=1)
    assert weak in report.coverage[0].coordinates


def steep(x):
    return np.sum(np.exp(x))


def test_a_slope_below_the_noise_is_undecided_where_reverse_mode_denies_the_gradient():
    x = np.array([30.0, 1.0])
    right = verify(steep, np.exp, x, rng=0)
    assert right.ok, str(right)
    wrong = verify(steep, lambda x: np.exp(x) * [1, 2], x, rng=0)
    assert (wrong.verdict, wrong.kind) == ("undecided", "disputed"), str(wrong)
    assert wrong.worst.index == (1,)
    assert "Reverse mode gives 2.718281828 for grad[1], below the noise of f." in str(wrong)


def test_rounding_of_a_gradient_below_the_noise_is_not_disputed():
    def rounded(x):
        return np.exp(x) + np.array([0.0, 1e-4])  # a few units of rounding of the first entry

    assert verify(steep, rounded, np.array([30.0, 1.0]), rng=0).ok


def test_a_mode_that_is_wrong_elsewhere_disputes_nothing(monkeypatch):
    with_modes(monkeypatch, lambda f, x: 1.001 * complex_jacobian(f, x))
    assert verify(steep, lambda x: np.exp(x) * [1, 2], np.array([30.0, 1.0]), rng=0).ok


def test_modes_of_each_argument_are_heard(monkeypatch):
    with_modes(monkeypatch, complex_jacobian)
    report = verify(
        lambda a, b: np.sum(a * b), lambda a, b: (b, a), (X, 2 * X), argnums=(0, 1), rng=0
    )
    assert report.ok
    assert [name for name, _ in report.witnesses] == [
        "forward",
        "reverse",
        "forward (argument 1)",
        "reverse (argument 1)",
    ]
