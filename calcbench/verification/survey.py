"""Measuring f along random directions and coordinates, and finding the entry that is wrong."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from calcbench.verification.calls import Counter, call_nearby
from calcbench.verification.differences import KINK, Line, slope_along
from calcbench.verification.directions import (
    Place,
    coordinate_direction,
    displaced,
    halves,
    place_of,
    random_direction,
    restricted,
)
from calcbench.verification.extrapolation import noise_level
from calcbench.verification.inputs import Output, Problem, check_same_shape, read_output
from calcbench.verification.verdicts import (
    DIFFER,
    OUTSIDE,
    Comparison,
    compare,
    within_hull,
)


Array = npt.NDArray[np.float64]

LEAF = 16  # a block of coordinates this small is checked one by one
NEARBY = 8  # points around a kink at which slopes are sampled


@dataclass(frozen=True)
class Subject:
    """f as a function of one argument, the candidate for it, and what is known of both."""

    f: Any
    problem: Problem
    argnum: int
    place: Place
    output: Output
    matrix: Array
    noise: Array
    rtol: float
    atol: float
    counter: Counter

    def along(self, direction: Array, base: Problem | None = None) -> Line:
        """t -> f(x + t d), flat; NaN where f fails."""

        def line(step: float) -> Array:
            arguments = (base or self.problem).fresh()
            point = displaced(self.centre(base), direction, step)
            arguments[self.argnum] = self.problem.handed(self.argnum, point)
            value = call_nearby(self.f, arguments, self.counter)
            if value is None:
                return np.full(self.output.flat.shape, np.nan)
            output = read_output(value)
            check_same_shape(self.output, output)
            return output.flat

        return line

    def centre(self, base: Problem | None) -> Place:
        if base is None:
            return self.place
        return replace(self.place, point=base.array(self.argnum).ravel().astype(np.float64))

    @property
    def eps(self) -> float:
        return float(np.finfo(self.output.dtype).eps)


def measured_noise(subject: Subject, directions: list[Array]) -> Array:
    """The noise of f beside x: the median over directions, the larger of two spacings."""
    steps = np.arange(1, 10)
    levels = [
        np.median([noise_level(np.array([line(h * k) for k in steps])) for line in lines], axis=0)
        for h in subject.place.spacings
        for lines in [[subject.along(d) for d in directions]]
    ]
    return np.asarray(np.max(levels, axis=0))


def measure(subject: Subject, direction: Array, coordinate: int | None = None) -> Comparison:
    """One line through x: its slope beside the candidate's."""
    slope = slope_along(
        subject.along(direction), subject.noise, subject.eps, subject.place.smallest
    )
    return compare(
        slope,
        subject.matrix,
        direction,
        argument=subject.argnum,
        coordinate=coordinate,
        rtol=subject.rtol,
        atol=subject.atol,
    )


def measure_coordinates(subject: Subject, coordinates: list[int]) -> list[Comparison]:
    return [measure(subject, coordinate_direction(subject.place, j), j) for j in coordinates]


def differs(comparison: Comparison) -> bool:
    return comparison.has(DIFFER) or comparison.has(OUTSIDE)


def locate(subject: Subject, comparison: Comparison) -> list[Comparison]:
    """The coordinates behind a random direction that fails, found by halving it."""
    output = int(np.argmax(np.where(failing(comparison), comparison.excess, -1.0)))
    block = np.arange(subject.place.point.size)
    while len(block) > LEAF:
        parts = [(measure(subject, restricted(comparison.direction, b)), b) for b in halves(block)]
        parts = [(part, b) for part, b in parts if failing(part)[output]]
        if not parts:
            break  # the error is spread so thin that neither half shows it
        _, block = max(parts, key=lambda pair: pair[0].excess[output])
    terms = np.abs(subject.matrix[output, block] * comparison.direction[block])
    order = np.argsort(-np.nan_to_num(terms, nan=np.inf), kind="stable")[:LEAF]
    return measure_coordinates(subject, [int(j) for j in block[order]])


def failing(comparison: Comparison) -> npt.NDArray[np.bool_]:
    return np.isin(comparison.outcome, (DIFFER, OUTSIDE))


# --- points near a kink -------------------------------------------------------------------------


def forgive_near_kinks(
    subject: Subject, comparisons: list[Comparison], rng: np.random.Generator
) -> list[Comparison]:
    """Failures that a kink explains become undecided.

    At a kink that is not convex a valid gradient may leave the one-sided slopes at x, even along
    a line on which f is straight (min(|x|, |y|) at 0); it does not leave the slopes around x.
    """
    if not any(differs(c) for c in comparisons):
        return comparisons
    coarse = subject.place.dtype.name == "float32" or subject.output.dtype.name == "float32"
    if coarse and not any(c.has(KINK) or c.has(OUTSIDE) for c in comparisons):
        return comparisons  # points around x are far away in float32: only if a kink was seen
    offset, step = (2.0**-8, 2.0**-11) if coarse else (2.0**-22, 2.0**-28)
    bases = [nearby(subject, rng, offset) for _ in range(NEARBY)]
    return [forgiven(subject, c, bases, step) if differs(c) else c for c in comparisons]


def nearby(subject: Subject, rng: np.random.Generator, offset: float) -> Problem:
    """The point moved a little in every coordinate that is differentiated."""
    problem, arguments = subject.problem, subject.problem.fresh()
    for k in problem.argnums:
        place = place_of(problem.array(k))
        point = displaced(place, random_direction(place, rng), offset)
        arguments[k] = problem.handed(k, point)
    return replace(problem, arguments=tuple(arguments))


def forgiven(
    subject: Subject, comparison: Comparison, bases: list[Problem], step: float
) -> Comparison:
    lines = [subject.along(comparison.direction, base) for base in bases]
    with np.errstate(all="ignore"):
        slopes = np.array([(line(step) - line(-step)) / (2 * step) for line in lines])
    slopes = np.where(np.isfinite(slopes), slopes, comparison.slope.central.value)
    inside = within_hull(slopes, comparison.candidate, comparison.tolerance)
    outcome = np.where(failing(comparison) & inside, KINK, comparison.outcome)
    return replace(comparison, outcome=outcome)
