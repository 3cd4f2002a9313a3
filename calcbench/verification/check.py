"""`verify`: is this the gradient of that function at this point?"""

import secrets
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from calcbench.products import jvp, vjp
from calcbench.verification.calls import Counter
from calcbench.verification.conclusion import Finding, conclude, stopped
from calcbench.verification.directions import largest_entries, place_of, random_direction
from calcbench.verification.inputs import Candidate, Fault, Output, read_problem
from calcbench.verification.observation import (
    Case,
    Options,
    nothing_to_compare,
    observe_function,
    observe_gradient,
    still_the_same,
)
from calcbench.verification.report import Report
from calcbench.verification.survey import (
    Subject,
    differs,
    forgive_near_kinks,
    locate,
    measure,
    measure_coordinates,
    with_noise,
)
from calcbench.verification.verdicts import Comparison
from calcbench.verification.witnesses import Testimony, disputed, hear, suspicious_columns


Array = npt.NDArray[np.float64]

LARGEST_CHECKED = 8  # coordinates with the largest |g| checked where not all are


def verify(
    f: Callable[..., Any],
    grad: Callable[..., Any],
    at: Any,
    *,
    argnums: int | tuple[int, ...] = 0,
    rng: int | np.random.Generator | None = None,
    directions: int = 4,
    every_coordinate_up_to: int = 200,
    rtol: float | None = None,
    atol: float = 0.0,
    witnesses: str = "auto",
) -> Report:
    """Compare a gradient written by anyone with differences of f that carry an error bound.

    Several random directions are tested, then coordinates: all of them where there are at most
    `every_coordinate_up_to`, else the ones with the largest |g|, one at random, and those where
    calcbench's reverse mode strays from `grad`. A failure is located by halving the direction. The
    candidate g passes along d if |g·d - slope| <= 8 error bounds + rtol ‖(g_j d_j)_j‖
    + atol Σ|d_j|: nothing depends on the scale of f or x.

    Parameters
    ----------
    f : callable
        Of arrays, returning a float or an array.
    grad : callable
        Of the same arguments, returning an array of shape out.shape + in.shape; a tuple of them
        if `argnums` is a tuple.
    at : array, float, or tuple
        The point; a tuple holds all arguments of f.
    argnums : int or tuple of int
        Which arguments `grad` is for.
    rng : int, numpy.random.Generator or None
        Source of the directions; None draws a fresh seed, which the report names.
    directions : int
        Number of random directions per argument, at least 3.
    every_coordinate_up_to : int
        Check each coordinate of an argument of at most this size.
    rtol : float, optional
        Default: the square root of the coarsest epsilon involved.
    atol : float
        Absolute error allowed in each entry; 0 by default on purpose.
    witnesses : {"auto", "none"}
        Whether to ask calcbench's own two modes as well, where f can be traced.

    Returns
    -------
    Report
        Verdict "pass", "fail" or "undecided"; `print(report)` says why.

    Raises
    ------
    TypeError, ValueError
        For a point that has no derivative (integers, complex, masked, …), an f that returns none,
        and options that make no sense. What f and grad raise at the point passes through.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([0.5, -1.0, 2.0])
    >>> def f(x):
    ...     return np.sum(x**3)
    >>> report = verify(f, lambda x: 3 * x**2, at=x, rng=0, witnesses="none")
    >>> report.ok
    True
    >>> wrong = verify(f, lambda x: 3 * x, at=x, rng=0, witnesses="none")
    >>> wrong.verdict, wrong.worst.index, wrong.worst.candidate, round(wrong.worst.reference, 9)
    ('fail', (1,), -3.0, 3.0)
    """
    options = read_options(directions, every_coordinate_up_to, rtol, atol, witnesses)
    problem = read_problem(at, argnums)
    for function, name in ((f, "f"), (grad, "grad")):
        if not callable(function):
            raise TypeError(f"{name} must be callable; got {type(function).__name__}")
    seed = read_seed(rng)
    case = Case(f, grad, problem, options, seed, np.random.default_rng(seed), Counter())
    with np.errstate(all="ignore"):  # what is not finite is reported, not warned about
        return verify_case(case)


def verify_case(case: Case) -> Report:
    output = observe_function(case)
    if isinstance(output, Fault):
        return stopped(case, output)
    candidates = observe_gradient(case, output)
    if isinstance(candidates, Fault):
        return stopped(case, candidates)
    fault = nothing_to_compare(case, output)
    if fault is not None:
        return stopped(case, fault)
    pairs = zip(case.problem.argnums, candidates, strict=True)
    findings = [examine(case, output, k, candidate) for k, candidate in pairs]
    drifted = still_the_same(case, output)
    return stopped(case, drifted) if drifted is not None else conclude(case, findings)


# --- options ------------------------------------------------------------------------------------


def read_options(
    directions: int, every: int, rtol: float | None, atol: float, witnesses: str
) -> Options:
    for name, count in (("directions", directions), ("every_coordinate_up_to", every)):
        if isinstance(count, bool) or not isinstance(count, int | np.integer):
            raise TypeError(f"{name}={count!r}: expected a whole number")
    if directions < 3:
        raise ValueError(f"directions={directions}: fewer than 3 let structured errors through")
    if every < 0:
        raise ValueError(f"every_coordinate_up_to={every}: expected a count, 0 or more")
    for name, value in (("rtol", 0.0 if rtol is None else rtol), ("atol", atol)):
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise TypeError(f"{name}={value!r}: expected a number")
        if not 0 <= value < float("inf"):
            raise ValueError(f"{name}={value}: expected a finite number, 0 or more")
    if witnesses not in ("auto", "none"):
        raise ValueError(f'witnesses={witnesses!r}: expected "auto" or "none"')
    return Options(directions, every, rtol, atol, witnesses)


def read_seed(rng: Any) -> int:
    if rng is None:
        return secrets.randbits(32)
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**32))
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer) or rng < 0:
        raise TypeError(f"rng must be a seed >= 0, a numpy Generator or None; got {rng!r}")
    return int(rng)


# --- one argument -------------------------------------------------------------------------------


def examine(case: Case, output: Output, argnum: int, candidate: Candidate) -> Finding:
    """All comparisons for one argument: random directions, coordinates, what explains failures."""
    place = place_of(case.problem.array(argnum))
    lines = [random_direction(place, case.rng) for _ in range(case.options.directions)]
    subject = subject_of(case, output, argnum, candidate, lines)
    comparisons = [measure(subject, direction) for direction in lines]
    testimonies = ask_modes(case, comparisons)
    chosen = coordinates_to_check(case, subject, testimonies)
    comparisons += measure_coordinates(subject, chosen)
    comparisons = forgive_near_kinks(subject, comparisons, case.rng)
    comparisons = [disputed(c, testimonies, subject.matrix, candidate.eps) for c in comparisons]
    if not any(differs(c) for c in comparisons if c.coordinate is not None):
        comparisons += located(case, subject, comparisons, chosen)
    return Finding(subject, comparisons, testimonies)


def subject_of(
    case: Case, output: Output, argnum: int, candidate: Candidate, lines: list[Array]
) -> Subject:
    place = place_of(case.problem.array(argnum))
    coarsest = max(candidate.eps, *(np.finfo(d).eps for d in (place.dtype, output.dtype)))
    options = case.options
    rtol = float(np.sqrt(coarsest)) if options.rtol is None else options.rtol
    blank = np.zeros_like(output.flat)
    details = (candidate.matrix, blank, blank, rtol, options.atol, case.counter)
    subject = Subject(case.f, case.problem, argnum, place, output, *details)
    return with_noise(subject, lines[:3])


def ask_modes(case: Case, comparisons: list[Comparison]) -> list[Testimony]:
    if case.options.witnesses == "none":
        return []
    return hear(case.f, case.problem, comparisons, jvp, vjp)


def coordinates_to_check(case: Case, subject: Subject, testimonies: list[Testimony]) -> list[int]:
    """All of a small argument; else the largest, a needle in the hay, and the suspicious."""
    size = subject.place.point.size
    if size <= case.options.every_coordinate_up_to:
        return list(range(size))
    weights = np.abs(subject.matrix).max(axis=0) * subject.place.scales
    chosen = [*largest_entries(weights, LARGEST_CHECKED), int(case.rng.integers(size))]
    for testimony in testimonies:
        chosen += suspicious_columns(
            testimony, subject.matrix, subject.place.scales, LARGEST_CHECKED
        )
    return list(dict.fromkeys(chosen))


def located(
    case: Case, subject: Subject, comparisons: list[Comparison], chosen: list[int]
) -> list[Comparison]:
    """Further coordinates, where random directions fail and no checked coordinate does."""
    failed = [c for c in comparisons if differs(c)]
    if not failed or len(chosen) == subject.place.point.size:
        return []
    worst = max(failed, key=lambda c: float(c.excess.max()))
    found = [c for c in locate(subject, worst) if c.coordinate not in chosen]
    return forgive_near_kinks(subject, found, case.rng)
