"""One verification from the outside: what f and grad do at x before any slope is compared."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from calcbench.verification.calls import Counter, call_watched
from calcbench.verification.directions import displaced, place_of, random_direction
from calcbench.verification.inputs import (
    Candidate,
    Fault,
    Output,
    Problem,
    check_same_shape,
    read_gradient,
    read_output,
    split_gradients,
)


ROUNDING = 16  # repeated calls may differ by this many units of rounding


@dataclass(frozen=True)
class Options:
    """What the caller may choose."""

    directions: int
    every_coordinate_up_to: int
    rtol: float | None
    atol: float
    witnesses: str


@dataclass(frozen=True)
class Case:
    """Everything that the stages of one verification share."""

    f: Callable[..., Any]
    grad: Callable[..., Any]
    problem: Problem
    options: Options
    seed: int
    rng: np.random.Generator
    counter: Counter


def observe_function(case: Case) -> Output | Fault:
    """f at x, twice."""
    first, changed = call_at_point(case, case.f, "f")
    if changed:
        return Fault("f mutates its argument", "f changes the array that it is given.")
    output = read_output(first)
    return still_the_same(case, output) or output


def call_at_point(case: Case, function: Callable[..., Any], name: str) -> tuple[Any, bool]:
    case.counter.calls += name == "f"
    return call_watched(function, case.problem.fresh(), name)


def still_the_same(case: Case, output: Output) -> Fault | None:
    """Whether f at x still returns what it did, up to rounding."""
    again = read_output(call_at_point(case, case.f, "f")[0])
    check_same_shape(output, again)
    apart = np.where(again.flat == output.flat, 0.0, np.abs(again.flat - output.flat))
    allowed = ROUNDING * np.finfo(output.dtype).eps * np.abs(output.flat)
    moved = (apart > allowed) | (np.isnan(again.flat) != np.isnan(output.flat))
    if not moved.any():
        return None
    largest = float(np.fmax.reduce(apart, initial=0.0))
    text = f"f is not deterministic: called again at the same x it moved by {largest:.3g} at most."
    return Fault("non-deterministic", text, undecided=True)


def observe_gradient(case: Case, output: Output) -> list[Candidate] | Fault:
    """grad at x, between calls at another point that would show a buffer or a memory."""
    beside = elsewhere(case)
    with suppress(Exception):  # grad need not be defined there
        case.grad(*beside.fresh())
    result, changed = call_at_point(case, case.grad, "grad")
    if changed:
        return Fault("grad mutates its argument", "grad changes the array that it is given.")
    candidates = read_gradients(case, result, output)
    if isinstance(candidates, Fault):
        return candidates
    with suppress(Exception):  # grad need not be defined there
        case.grad(*beside.fresh())
    if apart(candidates, read_gradients(case, result, output)) > 0:
        text = "grad returns a view of an internal buffer: its result changed with a later call."
        return Fault("gradient buffer", text)
    again = read_gradients(case, call_at_point(case, case.grad, "grad")[0], output)
    moved = apart(candidates, again)
    if moved > max(np.sqrt(c.eps) for c in candidates):
        text = f"grad gives another answer when called again at the same x (by {moved:.3g} of it)."
        return Fault("gradient not repeatable", text)
    return candidates


def elsewhere(case: Case) -> Problem:
    """A point a few percent away in every differentiated argument."""
    arguments = case.problem.fresh()
    for k in case.problem.argnums:
        array = case.problem.array(k)
        if array.size and np.isfinite(array).all():
            place = place_of(array)
            point = displaced(place, random_direction(place, case.rng), 2.0**-4)
            arguments[k] = case.problem.handed(k, point)
    return Problem(tuple(arguments), case.problem.argnums, case.problem.single)


def read_gradients(case: Case, result: Any, output: Output) -> list[Candidate] | Fault:
    parts = split_gradients(result, case.problem)
    if isinstance(parts, Fault):
        return parts
    candidates = []
    for k, part in zip(case.problem.argnums, parts, strict=True):
        where = f"for argument {k}" if len(case.problem.arguments) > 1 else "for the argument"
        read = read_gradient(part, output.shape, case.problem.array(k), where)
        if isinstance(read, Fault):
            return read
        candidates.append(read)
    return candidates


def apart(first: list[Candidate], second: list[Candidate] | Fault) -> float:
    """The largest difference, as a share of the largest entry; infinite for another shape."""
    if isinstance(second, Fault):
        return float("inf")
    shares = [0.0]
    for a, b in zip(first, second, strict=True):
        size = float(np.fmax.reduce(np.abs(a.matrix), axis=None, initial=0.0)) or 1.0
        same = (a.matrix == b.matrix) | (np.isnan(a.matrix) & np.isnan(b.matrix))
        share = np.where(same, 0.0, np.abs(a.matrix - b.matrix) / size)
        shares.append(float(np.nan_to_num(share, nan=np.inf).max(initial=0.0)))
    return max(shares)


def nothing_to_compare(case: Case, output: Output) -> Fault | None:
    arrays = {k: case.problem.array(k) for k in case.problem.argnums}
    empty = [k for k, array in arrays.items() if not array.size]
    if empty or not output.flat.size:
        what = f"argument {empty[0]}" if empty else "the value of f"
        return Fault("vacuous", f"vacuous: {what} has no entries to compare.", undecided=True)
    for k, array in arrays.items():
        if not np.isfinite(array).all():
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            text = f"argument {k} holds {array[index]} at {index}: f has no slope there."
            return Fault("non-finite", text, undecided=True)
    return None
