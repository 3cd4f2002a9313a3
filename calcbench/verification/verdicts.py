"""From numbers to verdicts: one slope beside its candidate, then all of them together."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calcbench.verification.differences import JUMP, KINK, NONFINITE, ROUGH, Slope
from calcbench.verification.report import FAIL, PASS, UNDECIDED


Array = npt.NDArray[np.float64]
Names = npt.NDArray[np.str_]

SAFETY = 8.0  # the candidate may lie this many error bounds from the reference
RESOLVED = 0.05  # a bound wider than this share of the slope says nothing
AGREE, DIFFER, UNRESOLVED, NAN, OUTSIDE = "agree", "differ", "unresolved", "NaN", "outside"
DISPUTED = "disputed"  # unresolved, and calcbench's reverse mode gives another value

# What makes the whole undecided, in this order; {} is where.
REASONS = {
    NAN: "NaN on both sides proves nothing",
    NONFINITE: "f is not finite at x, or beside it at every step",
    JUMP: "f jumps at x: it does not come back to f(x) as the step shrinks, so there is no slope",
    KINK: "f has a kink at x, or closer to x than any usable step",
    ROUGH: "the differences of f do not settle at any step: no one-sided slope at x",
    DISPUTED: "the noise of f hides a slope for which reverse mode and the gradient disagree",
}
KINDS = {
    NAN: "NaN",
    NONFINITE: "non-finite",
    JUMP: "discontinuity",
    KINK: "kink",
    ROUGH: "rough",
    DISPUTED: "disputed",
}


@dataclass(frozen=True)
class Comparison:
    """One line: the slope of f along it and what the candidate says, per output."""

    argument: int
    coordinate: int | None  # flat index, or None for a random direction
    direction: Array
    slope: Slope
    candidate: Array
    tolerance: Array
    outcome: Names

    @property
    def excess(self) -> Array:
        """Error over tolerance; infinite where the candidate is not finite."""
        error = np.abs(self.candidate - self.slope.central.value)
        with np.errstate(all="ignore"):
            ratio = np.where(error == 0, 0.0, error / self.tolerance)
        return np.asarray(np.nan_to_num(ratio, nan=np.inf))

    def has(self, outcome: str) -> bool:
        return bool((self.outcome == outcome).any())


def compare(
    slope: Slope,
    rows: Array,
    direction: Array,
    *,
    argument: int = 0,
    coordinate: int | None = None,
    rtol: float,
    atol: float = 0.0,
) -> Comparison:
    """Judge the candidate along one direction.

    The tolerance is SAFETY error bounds plus a share `rtol` of the terms g_j d_j (their norm: the
    candidate's own rounding errors are that large), plus what the caller allows absolutely.

    Parameters
    ----------
    slope : Slope
        Of f along `direction`, m outputs.
    rows : array, shape (m, n)
        The candidate Jacobian.
    direction : array, shape (n,)
    """
    moving = direction != 0
    with np.errstate(all="ignore"):
        terms = rows[:, moving] * direction[moving]
        candidate = terms.sum(axis=1)
        slack = rtol * np.linalg.norm(terms, axis=1) + atol * np.abs(direction).sum()
        tolerance = np.nan_to_num(SAFETY * slope.central.error, nan=0.0, posinf=0.0)
        tolerance = tolerance + np.nan_to_num(slack, nan=0.0, posinf=0.0)
        outcome = judge(slope, candidate, tolerance)
    return Comparison(argument, coordinate, direction, slope, candidate, tolerance, outcome)


def judge(slope: Slope, candidate: Array, tolerance: Array) -> Names:
    """One word per output; the first that applies."""
    status, reference = slope.status, slope.central.value
    close = np.abs(candidate - reference) <= tolerance
    between = between_sides(slope, candidate, tolerance)
    finite = np.isfinite(candidate)
    cases = [
        (np.isnan(candidate) & (status == NONFINITE), NAN),
        (status == NONFINITE, NONFINITE),
        (status == JUMP, JUMP),
        (~finite & (status == ROUGH), ROUGH),
        (~finite, DIFFER),
        ((status == KINK) & between, KINK),
        (status == KINK, OUTSIDE),
        (status == ROUGH, ROUGH),
        (close & resolved(slope, candidate), AGREE),
        (close, UNRESOLVED),
    ]
    return np.asarray(np.select([c for c, _ in cases], [name for _, name in cases], DIFFER))


def between_sides(slope: Slope, candidate: Array, tolerance: Array) -> npt.NDArray[np.bool_]:
    low = np.fmin(slope.left.value - slope.left.error, slope.right.value - slope.right.error)
    high = np.fmax(slope.left.value + slope.left.error, slope.right.value + slope.right.error)
    inside = (candidate >= low - tolerance) & (candidate <= high + tolerance)
    return np.asarray(inside | ~np.isfinite(low) | ~np.isfinite(high))


def resolved(slope: Slope, candidate: Array) -> npt.NDArray[np.bool_]:
    """Whether the bound is narrow beside the slope, or beside the slopes f reaches nearby."""
    size = np.fmax(np.fmax(np.abs(slope.central.value), np.abs(candidate)), slope.variation)
    still = slope.flat & (candidate == 0)
    return np.asarray((slope.central.error <= RESOLVED * size) | still)


def within_hull(slopes: Array, candidate: Array, tolerance: Array) -> npt.NDArray[np.bool_]:
    """Whether the candidate lies between the slopes seen at points near a kink; one row a point.

    The generalised directional derivative of Clarke is the largest such limit: at a kink that is
    not convex a right element may lie outside the two one-sided slopes at x, and not outside these.
    """
    low, high = np.fmin.reduce(slopes), np.fmax.reduce(slopes)
    slack = tolerance + 1e-3 * (high - low)
    return np.asarray((candidate >= low - slack) & (candidate <= high + slack))


# --- all comparisons together -------------------------------------------------------------------


@dataclass(frozen=True)
class Decision:
    """The verdict, a key, a sentence, and the comparison and output that decided it."""

    verdict: str
    kind: str
    reason: str
    comparison: Comparison | None
    output: int


def decide(comparisons: list[Comparison], zero: Collection[int] = ()) -> Decision:
    """The verdict on all comparisons: one that differs fails, one that is unclear leaves it open.

    `zero` holds the arguments for which the candidate is zero everywhere.
    """
    failed = worst_of(comparisons, (DIFFER, OUTSIDE))
    if failed is not None:
        return Decision(FAIL, *failure(failed[0].argument in zero, *failed), *failed)
    for outcome, reason in REASONS.items():
        found = worst_of(clearest(comparisons, outcome), (outcome,))
        if found is not None:
            text = reason + sides(*found) + "."
            return Decision(UNDECIDED, KINDS[outcome], text, *found)
    return decide_agreement(comparisons)


def clearest(comparisons: list[Comparison], outcome: str) -> list[Comparison]:
    """Those whose own slope shows the outcome; the others (forgiven near a kink) if none does."""
    return [c for c in comparisons if (c.slope.status == outcome).any()] or comparisons


def failure(zero: bool, comparison: Comparison, output: int) -> tuple[str, str]:
    if not np.isfinite(comparison.candidate[output]):
        return "non-finite gradient", "grad is not finite where the slope of f is."
    if comparison.outcome[output] == OUTSIDE:
        where = sides(comparison, output)
        return "outside kink", f"the gradient lies outside the slopes at a kink{where}."
    if zero:
        return "all-zero", "the gradient is zero in every entry, but f has a slope."
    return "mismatch", "the gradient disagrees with the differences of f."


def sides(comparison: Comparison, output: int) -> str:
    """The one-sided slopes at a kink, for a sentence."""
    slope = comparison.slope
    if slope.status[output] != KINK:
        around = comparison.outcome[output] == KINK
        return " (the gradient lies among the slopes at points around x)" if around else ""
    right, left = slope.right.value[output], slope.left.value[output]
    if comparison.coordinate is not None:
        right, left = (v / comparison.direction[comparison.coordinate] for v in (right, left))
    words = "along coordinate" if comparison.coordinate is not None else "along a random direction"
    index = f" {comparison.coordinate}" if comparison.coordinate is not None else ""
    return f" (slope {right:.6g} to the right, {left:.6g} to the left, {words}{index})"


def decide_agreement(comparisons: list[Comparison]) -> Decision:
    """Nothing differs: pass, unless most slopes drown in the noise."""
    words = np.concatenate([c.outcome for c in comparisons])
    blurred = int((words == UNRESOLVED).sum())
    outcomes = (AGREE, UNRESOLVED)
    found = worst_of(comparisons, outcomes) or (comparisons[0], 0)
    if 2 * blurred > len(words):
        text = f"the noise of f hides its slope in {blurred} of {len(words)} comparisons."
        return Decision(UNDECIDED, "noise", text, *found)
    seen = f"{len(words) - blurred} of" if blurred else "all"
    text = f"the gradient agrees with the differences of f in {seen} {len(words)} comparisons"
    text += f"; the noise of f hides its slope in the other {blurred}." if blurred else "."
    return Decision(PASS, "agreement", text, *found)


def worst_of(
    comparisons: list[Comparison], outcomes: tuple[str, ...]
) -> tuple[Comparison, int] | None:
    """The comparison and output with the largest excess; coordinates before random directions."""
    best: tuple[tuple[bool, float], Comparison, int] | None = None
    for comparison in comparisons:
        excess = np.where(np.isin(comparison.outcome, outcomes), comparison.excess, -1.0)
        output = int(np.argmax(excess))
        key = (comparison.coordinate is not None, float(excess[output]))
        if excess[output] >= 0 and (best is None or key > best[0]):
            best = (key, comparison, output)
    return None if best is None else best[1:]


# --- what could have been missed ----------------------------------------------------------------


def miss_probability(
    matrix: Array, scales: Array, comparisons: list[Comparison], share: float = 0.01
) -> float:
    """Chance that an error of this share, in one entry drawn at random, escaped every comparison.

    An entry is seen if its coordinate was checked with that precision, or if the error would have
    left the tolerance along some random direction. An entry that is zero counts as in error
    when it should have had the typical size; where all are zero there is no such size.
    """
    moving = np.any(matrix != 0, axis=1)
    matrix = matrix[moving]
    if not matrix.size:
        return 0.0
    with np.errstate(all="ignore"):
        weights = np.abs(matrix) * scales
        typical = np.sqrt((weights**2).mean(axis=1, keepdims=True))
        error = np.where(weights > 0, share * weights, typical)
    seen = np.zeros(matrix.shape, dtype=bool)
    for comparison in comparisons:
        reach = np.abs(comparison.direction) / scales
        # The right value itself may sit anywhere within its tolerance.
        seen |= error * reach > 2 * comparison.tolerance[moving, None]
    return float(1 - seen.mean())
