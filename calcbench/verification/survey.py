"""Measuring f along random directions and coordinates, and finding the entry that is wrong."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from calcbench.verification.calls import Counter, call_nearby
from calcbench.verification.differences import KINK, slope_along
from calcbench.verification.directions import (
    Place,
    coordinate_direction,
    displaced,
    halves,
    place_of,
    random_direction,
    restricted,
)
from calcbench.verification.extrapolation import SAMPLES, noise_level
from calcbench.verification.inputs import Output, Problem, check_same_shape, read_output
from calcbench.verification.ladder import Line
from calcbench.verification.verdicts import (
    DIFFER,
    OUTSIDE,
    Comparison,
    compare,
    within_hull,
)


Array = npt.NDArray[np.float64]

LEAF = 16  # a block of coordinates this small is checked one by one
FARTHEST = 2.0**-9  # a larger step than this says nothing about x
NEARBY = 24  # points around a kink at which slopes are sampled


@dataclass(frozen=True)
class Subject:
    """f as a function of one argument, the candidate for it, and what is known of both."""

    f: Any
    problem: Problem
    argnum: int
    place: Place
    output: Output
    matrix: Array
    noise: Array  # the larger of what two spacings show
    near_noise: Array
    rtol: float
    atol: float
    counter: Counter

    def along(self, direction: Array, base: Problem | None = None) -> Line:
        """t -> f(x + t d), flat; NaN where f fails."""

        def line(step: float) -> Array:
            arguments = (base or self.problem).fresh()
            point = displaced(self.centre(base), direction, step)
            arguments[self.argnum] = self.problem.handed(self.argnum, point)
            return self.value(arguments)

        return line

    def value(self, arguments: list[Any]) -> Array:
        """f beside x, flat; NaN where it fails."""
        value = call_nearby(self.f, arguments, self.counter)
        if value is None:
            return np.full(self.output.flat.shape, np.nan)
        output = read_output(value)
        check_same_shape(self.output, output)
        return output.flat

    def centre(self, base: Problem | None) -> Place:
        if base is None:
            return self.place
        return replace(self.place, point=base.array(self.argnum).ravel().astype(np.float64))

    @property
    def eps(self) -> float:
        return float(np.finfo(self.output.dtype).eps)


def with_noise(subject: Subject, directions: list[Array]) -> Subject:
    """The subject knowing the noise of f beside x: medians over some directions."""
    levels = [noise_along(subject, subject.along(direction)) for direction in directions]
    near, far = (np.median(level, axis=0) for level in zip(*levels, strict=True))
    return replace(subject, noise=np.fmax(near, far), near_noise=near)


def noise_along(subject: Subject, line: Line) -> tuple[Array, Array]:
    """The noise at two spacings, the larger one only if f can be smooth there.

    The small spacing misses what float32 inside f does, the large one takes a fast oscillation for
    noise: it is then as large as everything that f does over a wide range.
    """
    steps = [np.arange(1, SAMPLES + 1) * spacing for spacing in subject.place.spacings]
    samples = [np.array([line(float(t)) for t in ts]) for ts in steps]
    near, far = noise_level(samples[0]), noise_level(samples[-1])
    range_of_f = np.abs(line(2.0**-5) - subject.output.flat)
    moves = np.any(np.diff(samples[0], axis=0) != 0, axis=0)
    return near, np.where(moves & (far > 0.01 * range_of_f), near, far)


def measure(subject: Subject, direction: Array, coordinate: int | None = None) -> Comparison:
    """One line through x: its slope beside the candidate's.

    A failure is measured again with the noise seen at the smallest spacing: where the larger one
    was an artefact the fine steps come back into use, and may agree with the candidate.
    """
    first = measure_with(subject, subject.noise, direction, coordinate)
    if not differs(first) or np.array_equal(subject.noise, subject.near_noise):
        return first
    second = measure_with(subject, subject.near_noise, direction, coordinate)
    return first if differs(second) else second


def measure_with(
    subject: Subject, noise: Array, direction: Array, coordinate: int | None
) -> Comparison:
    line = subject.along(direction)
    slope = slope_along(line, noise, subject.eps, subject.place.smallest)
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
    seen = any(KINK in c.slope.status for c in comparisons)
    if not seen and not kink_across_arguments(subject, rng):
        return comparisons
    return [forgiven(subject, c, rng) if differs(c) else c for c in comparisons]


def kink_across_arguments(subject: Subject, rng: np.random.Generator) -> bool:
    """Whether a line that moves all differentiated arguments at once meets a kink at x."""
    problem = subject.problem
    if len(problem.argnums) == 1:
        return False
    places = {k: place_of(problem.array(k)) for k in problem.argnums}
    directions = {k: random_direction(place, rng) for k, place in places.items()}

    def line(step: float) -> Array:
        arguments = problem.fresh()
        for k, place in places.items():
            arguments[k] = problem.handed(k, displaced(place, directions[k], step))
        return subject.value(arguments)

    smallest = max(place.smallest for place in places.values())
    return KINK in slope_along(line, subject.noise, subject.eps, smallest).status


def nearby(subject: Subject, rng: np.random.Generator, offset: float) -> Problem:
    """The point moved a little in every coordinate that is differentiated."""
    problem, arguments = subject.problem, subject.problem.fresh()
    for k in problem.argnums:
        place = place_of(problem.array(k))
        point = displaced(place, random_direction(place, rng), offset)
        arguments[k] = problem.handed(k, point)
    return replace(problem, arguments=tuple(arguments))


def forgiven(subject: Subject, comparison: Comparison, rng: np.random.Generator) -> Comparison:
    """The comparison with those failures undecided whose candidate is a slope met around x."""
    step = visible_step(subject, comparison)
    if step > FARTHEST:
        return comparison
    bases = [nearby(subject, rng, 32 * step) for _ in range(NEARBY)]
    lines = [subject.along(comparison.direction, base) for base in bases]
    slopes = np.array([(line(step) - line(-step)) / (2 * step) for line in lines])
    slopes = np.where(np.isfinite(slopes), slopes, comparison.slope.central.value)
    inside = within_hull(slopes, comparison.candidate, comparison.tolerance)
    outcome = np.where(failing(comparison) & inside, KINK, comparison.outcome)
    return replace(comparison, outcome=outcome)


def visible_step(subject: Subject, comparison: Comparison) -> float:
    """The smallest step at which noise stays far below the error in question.

    The smaller, the less does plain curvature change the slope between points around x.
    """
    error = np.abs(comparison.candidate - comparison.slope.central.value)[failing(comparison)]
    noise = np.fmax(subject.noise, subject.eps * np.abs(subject.output.flat))[failing(comparison)]
    needed = np.fmax.reduce(np.where(np.isfinite(error), 16 * noise / error, 0.0))
    return float(2.0 ** np.ceil(np.log2(max(needed, 8 * subject.place.smallest))))
