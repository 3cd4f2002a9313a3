"""The two modes of calcbench as further witnesses, where f can be traced."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from calcbench.verification.calls import first_line
from calcbench.verification.differences import SMOOTH
from calcbench.verification.inputs import FloatArray, Problem
from calcbench.verification.verdicts import DISPUTED, UNRESOLVED, Comparison


Array = npt.NDArray[np.float64]
Jvp = Callable[..., tuple[Any, Any]]
Vjp = Callable[..., tuple[Any, Any]]

AGREES = "agrees with the differences"
ROUNDING = 16  # units of rounding of the largest entry that any other may be off by


@dataclass(frozen=True)
class Testimony:
    """What one mode said: words for the report, and a row w·J of its own (reverse mode only)."""

    name: str
    said: str
    weights: Array | None = None
    row: Array | None = None


def hear(
    f: Callable[..., Any], problem: Problem, comparisons: list[Comparison], jvp: Jvp, vjp: Vjp
) -> list[Testimony]:
    """Ask both modes about the random directions that were just measured, all of one argument."""
    argnum = comparisons[0].argument
    steps = [("forward", ask_forward, jvp), ("reverse", ask_reverse, vjp)]
    testimonies = []
    for name, ask, mode in steps:
        try:
            with np.errstate(all="ignore"):
                testimonies.append(ask(restriction(f, problem, argnum), problem, comparisons, mode))
        except Exception as error:  # f is not ours: traced, it may raise anything
            testimonies.append(Testimony(name, f"not traceable: {first_line(error)}"))
    return testimonies


def restriction(f: Callable[..., Any], problem: Problem, argnum: int) -> Callable[[Any], Any]:
    """f as a function of one argument, the others fixed."""

    def of_one(value: Any) -> Any:
        arguments = problem.fresh()
        arguments[argnum] = value
        result = f(*arguments)
        return np.array(result) if isinstance(result, list) else result

    return of_one


def ask_forward(
    f: Callable[[Any], Any], problem: Problem, comparisons: list[Comparison], jvp: Jvp
) -> Testimony:
    slopes = []
    for comparison in comparisons:
        x, tangent = point_and_tangent(problem, comparison)
        slopes.append(flat(jvp(f, (x,), (tangent,))[1]))
    return Testimony("forward", agreement(comparisons, slopes, None))


def ask_reverse(
    f: Callable[[Any], Any], problem: Problem, comparisons: list[Comparison], vjp: Vjp
) -> Testimony:
    """One pullback of a fixed combination of the outputs tells its slope along every direction."""
    x, _ = point_and_tangent(problem, comparisons[0])
    y, pullback = vjp(f, x)
    value = np.asarray(y)
    weights = 1.0 + 0.5 * np.cos(1.0 + np.arange(value.size))  # no entry small, none alike
    row = flat(pullback(weights.reshape(value.shape).astype(value.dtype))[0])
    slopes = [np.array([row @ comparison.direction]) for comparison in comparisons]
    return Testimony("reverse", agreement(comparisons, slopes, weights), weights, row)


def point_and_tangent(problem: Problem, comparison: Comparison) -> tuple[Any, Any]:
    argnum = comparison.argument
    dtype = problem.array(argnum).dtype
    point: FloatArray = problem.array(argnum).ravel().copy()
    return problem.handed(argnum, point), problem.handed(argnum, comparison.direction.astype(dtype))


def flat(value: Any) -> Array:
    return np.asarray(value, dtype=np.float64).ravel()


def agreement(comparisons: list[Comparison], slopes: list[Array], weights: Array | None) -> str:
    """Words for how the slopes of a mode compare with the differences along the same directions."""
    checked = 0
    for comparison, slope in zip(comparisons, slopes, strict=True):
        smooth = comparison.slope.status == SMOOTH
        if weights is not None:
            smooth = np.array([smooth.all()])
        reference, tolerance = weighted(comparison, weights)
        off = smooth & ~(np.abs(slope - reference) <= tolerance)
        if off.any():
            k = int(np.argmax(off))
            return f"disagrees with the differences: {slope[k]:.10g} against {reference[k]:.10g}"
        checked += int(smooth.any())
    if not checked:
        return "no smooth direction to compare in"
    return f"{AGREES} along {checked} random directions"


def weighted(comparison: Comparison, weights: Array | None) -> tuple[Array, Array]:
    reference, tolerance = comparison.slope.central.value, comparison.tolerance
    if weights is None:
        return reference, tolerance
    return np.array([weights @ reference]), np.array([np.abs(weights) @ tolerance])


def disputed(
    comparison: Comparison, testimonies: list[Testimony], matrix: Array, eps: float
) -> Comparison:
    """The comparison with unresolved slopes disputed where reverse mode denies the candidate.

    Only a mode that agrees with the differences elsewhere is believed, and only beyond what the
    rounding of the largest entry may leave in any other.
    """
    j = comparison.coordinate
    believed = [t for t in testimonies if t.row is not None and t.said.startswith(AGREES)]
    if j is None or not believed or not comparison.has(UNRESOLVED):
        return comparison
    ours, theirs = flat(believed[0].weights) @ matrix, flat(believed[0].row)
    rounding = ROUNDING * eps * np.abs(theirs).max()
    if abs(ours[j] - theirs[j]) <= np.sqrt(eps) * abs(theirs[j]) + rounding:
        return comparison
    outcome = np.where(comparison.outcome == UNRESOLVED, DISPUTED, comparison.outcome)
    return replace(comparison, outcome=outcome)


def suspicious_columns(testimony: Testimony, matrix: Array, scales: Array, count: int) -> list[int]:
    """Coordinates where the candidate strays most from reverse mode: worth a direct look."""
    if testimony.weights is None or testimony.row is None:
        return []
    with np.errstate(all="ignore"):
        ours, theirs = testimony.weights @ matrix, testimony.row
        strays = np.abs(ours - theirs) > 1e-6 * np.fmax(np.abs(ours), np.abs(theirs))
        size = np.where(strays, np.abs(ours - theirs) * scales, 0.0)
    order = np.argsort(-np.nan_to_num(size, nan=np.inf), kind="stable")[:count]
    return [int(j) for j in order if size[j] > 0 or np.isnan(size[j])]
