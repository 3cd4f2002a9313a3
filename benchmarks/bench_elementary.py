"""Do the functions that vectorise beat libm in the same compiled loop, and NumPy's own loops?

Bars: every function <= 1.0 x libm; exp, log, tanh, expm1 and log1p <= 0.5 x libm. Loops of 1000
elements, one core: microseconds a call are nanoseconds an element. Sine and cosine include the
test of each block for far arguments.
"""

from __future__ import annotations

import argparse
import inspect
import math
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any, NamedTuple

import numba
import numpy as np
from contest import ratio_of
from harness import Bar, Timing, interleave, machine, report
from scipy import special

from calcbench.lower import circles, elementary, error_functions, powers


JIT = numba.njit(error_model="numpy", nogil=True, forceinline=True)
LOOP = numba.njit(error_model="numpy", nogil=True)
BLOCK = 256
HALF = ("exp", "log", "tanh", "expm1", "log1p")  # at most half of libm's time


def lanes() -> dict[str, Any]:
    """Every function of ours, compiled."""
    namespace: dict[str, Any] = {"math": math, "np": np}
    for module in (elementary, powers, circles, error_functions):
        for name, function in vars(module).items():
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                namespace[name] = JIT(FunctionType(function.__code__, namespace, name))
    return namespace


# --- loops -----------------------------------------------------------------------------------


def loop(function: Any) -> Any:
    def one(out, x):
        for i in range(x.size):
            out[i] = function(x[i])

    return LOOP(one)


def loop_of_two(function: Any) -> Any:
    def two(out, x, y):
        for i in range(x.size):
            out[i] = function(x[i], y[i])

    return LOOP(two)


def loop_over_blocks(near: Any, anywhere: Any, is_far: Any) -> Any:
    def blocks(out, x):
        for start in range(0, x.size, BLOCK):
            block, values = x[start : start + BLOCK], out[start : start + BLOCK]
            n_far = 0
            for i in range(block.size):
                n_far += is_far(block[i])
            if n_far == 0:
                for i in range(block.size):
                    values[i] = near(block[i])
            else:
                for i in range(block.size):
                    values[i] = anywhere(block[i])

    return LOOP(blocks)


# --- what is compared ------------------------------------------------------------------------


class Problem(NamedTuple):
    """A function as a text would spell it with libm, as NumPy or SciPy has it, and a range."""

    name: str
    libm: Callable[..., float]
    array: Callable[..., Any]
    low: float = -3.0
    high: float = 3.0


def libm_sigmoid(x: float) -> float:
    e = math.exp(-abs(x))
    return (1.0 if x >= 0 else e) / (1.0 + e)


def libm_sech(x: float) -> float:
    return 2.0 * math.exp(-abs(x)) / (1.0 + math.exp(-2.0 * abs(x)))


def libm_softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def libm_logaddexp(x: float, y: float) -> float:
    return max(x, y) + math.log1p(math.exp(-abs(x - y)))


def sech(x: Any, out: Any) -> None:
    np.divide(1.0, np.cosh(x, out=out), out=out)


def softplus(x: Any, out: Any) -> None:
    np.logaddexp(x, 0.0, out=out)


PROBLEMS = [
    Problem("exp", math.exp, np.exp),
    Problem("sin", math.sin, np.sin),
    Problem("pow", math.pow, np.power, 0.1),
    Problem("exp2", math.exp2, np.exp2),
    Problem("expm1", math.expm1, np.expm1),
    Problem("log", math.log, np.log, 0.1),
    Problem("log2", math.log2, np.log2, 0.1),
    Problem("log10", math.log10, np.log10, 0.1),
    Problem("log1p", math.log1p, np.log1p, -0.9),
    Problem("tanh", math.tanh, np.tanh),
    Problem("sigmoid", libm_sigmoid, special.expit),
    Problem("sech", libm_sech, sech),
    Problem("softplus", libm_softplus, softplus),
    Problem("logaddexp", libm_logaddexp, np.logaddexp),
    Problem("cos", math.cos, np.cos),
    Problem("erf", math.erf, special.erf),
    Problem("erfc", math.erfc, special.erfc),
]


def compare(problem: Problem, ours: dict[str, Any], size: int, rounds: int) -> list[Timing]:
    """Seconds a loop, after the three agree."""
    x, y = np.random.default_rng(0).uniform(problem.low, problem.high, (2, size))
    arguments = (x, y) if problem.name in ("pow", "logaddexp") else (x,)
    make = loop_of_two if len(arguments) == 2 else loop
    if problem.name in ("sin", "cos"):
        near, anywhere = ours[f"{problem.name}_near"], ours[f"{problem.name}_any"]
        vectorised = loop_over_blocks(near, anywhere, ours["is_far"])
    else:
        vectorised = make(ours[f"{problem.name}_lane"])
    libm = make(problem.libm if problem.libm in vars(math).values() else LOOP(problem.libm))
    results = np.empty((3, size))
    calls = {
        "calcbench": partial(vectorised, results[0], *arguments),
        "libm": partial(libm, results[1], *arguments),
        "NumPy, SciPy": partial(problem.array, *arguments, out=results[2]),
    }
    for call in calls.values():
        call()
    np.testing.assert_allclose(results[:2], results[2:].repeat(2, 0), rtol=2e-15, atol=5e-16)
    return interleave(problem.name, size, calls, "libm", rounds)


def bar(rows: list[Timing], problem: Problem) -> Bar:
    """Ours by libm, round by round."""
    of_one = {row.who: row for row in rows if row.problem == problem.name}
    limit = 0.5 if problem.name in HALF else 1.0
    return ratio_of(f"{problem.name}: calcbench / libm", limit, of_one["calcbench"], of_one["libm"])


def main(arguments: list[str] | None = None) -> list[Timing]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, nothing written")
    quick = parser.parse_args(arguments).quick
    ours = lanes()
    problems, size, rounds = (PROBLEMS[:3], 20, 3) if quick else (PROBLEMS, 1000, 15)
    rows = [row for problem in problems for row in compare(problem, ours, size, rounds)]
    question = __doc__.splitlines()[0]
    name = None if quick else "elementary"
    bars = [bar(rows, problem) for problem in problems]
    report(question, rows, machine("numba", "scipy"), name, bars=bars)
    return rows


if __name__ == "__main__":
    main()
