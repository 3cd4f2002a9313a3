"""Is the gradient of Rosenbrock's function as fast as the fastest peer, and as written by hand?

Bars: fused <= 1.0 x the fastest peer at every size; <= 1.3 x hand-written Numba (one pass, every
entry gathered) from 10,000 entries on; at 100 entries at most 3 µs more than that; gradient <= 3 x
function.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import numba
import numpy as np
from contest import Calls, Contest, Problem, is_quick
from harness import Bar, Timing
from participants import (
    Made,
    autograd_calls,
    autograd_dialect,
    calcbench_calls,
    jax_calls,
    jax_dialect,
    torch_calls,
    torch_dialect,
)


def rosenbrock(x: Any, np_: Any = np) -> Any:
    return np_.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


@numba.njit(error_model="numpy")
def by_hand(x: np.ndarray) -> np.ndarray:
    """Every entry from its neighbours, in one pass."""
    n = x.size
    out = np.empty_like(x)
    out[0] = -400.0 * x[0] * (x[1] - x[0] * x[0]) - 2.0 * (1.0 - x[0])
    for i in range(1, n - 1):
        inner = -400.0 * x[i] * (x[i + 1] - x[i] * x[i]) - 2.0 * (1.0 - x[i])
        out[i] = 200.0 * (x[i] - x[i - 1] * x[i - 1]) + inner
    out[n - 1] = 200.0 * (x[n - 1] - x[n - 2] * x[n - 2])
    return out


def expected(x: np.ndarray) -> np.ndarray:
    """The formula, term by term."""
    out = np.zeros_like(x)
    inner = x[1:] - x[:-1] ** 2
    out[:-1] += -400.0 * x[:-1] * inner - 2.0 * (1.0 - x[:-1])
    out[1:] += 200.0 * inner
    return out


def made(pair: Made) -> Calls:
    return Calls(*pair)


def makers(x: np.ndarray) -> dict[str, Any]:
    """Everybody who takes part."""
    own = [
        (f"calcbench {engine}", partial(_ours, x, engine)) for engine in ("fused", "tape", "numpy")
    ]
    return {
        **dict(own),
        "by hand": lambda: Calls(partial(by_hand, x)),
        "JAX": lambda: made(jax_calls(partial(rosenbrock, np_=jax_dialect().np), [x], value=False)),
        "torch": lambda: made(
            torch_calls(partial(rosenbrock, np_=torch_dialect().np), [x], value=False)
        ),
        "autograd": lambda: made(
            autograd_calls(partial(rosenbrock, np_=autograd_dialect().np), [x], value=False)
        ),
    }


def _ours(x: np.ndarray, engine: str) -> Calls:
    return made(calcbench_calls(rosenbrock, [x], engine, value=False))


def main(arguments: list[str] | None = None) -> list[Timing]:
    quick = is_quick(__doc__, arguments)
    contest = Contest(3 if quick else 15)
    for size in [8] if quick else [100, 10_000, 1_000_000]:
        x = np.random.default_rng(size).normal(size=size)
        problem = Problem("Rosenbrock", size, [expected(x)], 1e-12)
        contest.run(problem, makers(x))
        if size == 1_000_000:
            contest.weigh(problem, makers(x))
        contest.peer_bar(problem, "calcbench fused", 1.0)
        contest.function_bar(problem, "calcbench fused")
        if size >= 10_000:
            contest.ratio_bar(problem, "calcbench fused", "by hand", 1.3)
        else:
            contest.bars.append(_extra(contest, problem))
    return contest.finish(__doc__, None if quick else "rosenbrock")


def _extra(contest: Contest, problem: Problem) -> Bar:
    ours, hand = (contest.seconds(problem, who) for who in ("calcbench fused", "by hand"))
    more = None if ours is None or hand is None else (ours - hand) * 1e6
    return Bar(f"Rosenbrock {problem.size}: fused beyond by hand", 3.0, more, " µs")


if __name__ == "__main__":
    main(sys.argv[1:])
