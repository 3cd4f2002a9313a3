"""What does the sparse Jacobian of Broyden's tridiagonal function cost, in three sweeps?

Bars: at 10,000 unknowns at most 1/100 of JAX's dense jacfwd, compiled; at 100,000 at most 3 ms with
the pattern kept, fused; pattern and groups of columns together in less than a second. Beside them
JAX with our three seeds, CasADi, whose Jacobians are sparse, and the formula of the diagonals.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

import numpy as np
from contest import Calls, Contest, Problem, is_quick
from harness import Bar, Timing
from participants import Absent, casadi_call, peer

import calcbench as cb


ENGINES = ("fused", "tape", "numpy")
MOST_DENSE = 2 << 30  # bytes of a dense matrix that is still made
FUSED = "calcbench fused"


def broyden(x: Any, np_: Any = np) -> Any:
    """Broyden 1965: three unknowns in an equation."""
    y = np_.pad(x, 1)
    return (3.0 - 2.0 * x) * x - y[:-2] - 2.0 * y[2:] + 1.0


def diagonals(x: np.ndarray) -> np.ndarray:
    """The nonzeros row by row, by hand: -1, 3 - 4 x_i, -2."""
    rows = np.empty((x.size, 3))
    rows[:, 0], rows[:, 1], rows[:, 2] = -1.0, 3.0 - 4.0 * x, -2.0
    return rows.reshape(-1)[1:-1]


def positions(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each of them."""
    rows = np.repeat(np.arange(n), 3)[1:-1]
    return rows, rows + np.tile([-1, 0, 1], n)[1:-1]


def ours(x: np.ndarray, engine: str) -> Calls:
    """The numbers that the sparse matrix holds."""
    jacobian = cb.jacobian(broyden, sparse=True, engine=engine)
    return Calls(lambda: jacobian(x).data)


def jax_dense(x: np.ndarray) -> Calls:
    """jit(jacfwd(f)). Its nonzeros are picked afterwards, in far less time than it takes."""
    jax = peer("jax")
    if x.size**2 * 8 > MOST_DENSE:
        raise Absent(f"dense: {x.size**2 * 8 / 2**30:.0f} GiB")
    jacobian = jax.jit(jax.jacfwd(partial(broyden, np_=jax.numpy)))
    pick = jax.jit(lambda dense, rows, columns: dense[rows, columns])
    given = jax.numpy.asarray(x)
    rows, columns = map(jax.numpy.asarray, positions(x.size))
    return Calls(lambda: jax.block_until_ready(pick(jacobian(given), rows, columns)))


def jax_groups(x: np.ndarray) -> Calls:
    """What a user of JAX can write who knows the pattern: three tangents, then a gather."""
    jax = peer("jax")
    rows, columns = positions(x.size)
    seeds = jax.numpy.asarray((np.arange(x.size) % 3 == np.arange(3)[:, None]).astype(float))
    places = jax.numpy.asarray(columns % 3 * x.size + rows)
    function = partial(broyden, np_=jax.numpy)

    def compressed(x: Any) -> Any:
        pushed = jax.vmap(lambda dx: jax.jvp(function, (x,), (dx,))[1])(seeds)
        return pushed.reshape(-1)[places]

    jacobian, given = jax.jit(compressed), jax.numpy.asarray(x)
    return Calls(lambda: jax.block_until_ready(jacobian(given)))


def casadi_sparse(x: np.ndarray) -> Calls:
    """CasADi's own pattern and colouring; its transpose, as CasADi stores column by column."""
    casadi = peer("casadi")
    symbol = casadi.MX.sym("x", x.size)
    y = casadi.vertcat(0.0, symbol, 0.0)
    result = (3.0 - 2.0 * symbol) * symbol - y[:-2] - 2.0 * y[2:] + 1.0
    function = casadi.Function("jacobian", [symbol], [casadi.jacobian(result, symbol).T])
    return Calls(casadi_call(function, [x], [np.empty(3 * x.size - 2)]))


def makers(x: np.ndarray) -> dict[str, Any]:
    """Everybody who takes part."""
    return {
        **{f"calcbench {engine}": partial(ours, x, engine) for engine in ENGINES},
        "by hand": lambda: Calls(partial(diagonals, x)),
        "JAX dense": partial(jax_dense, x),
        "JAX, same groups": partial(jax_groups, x),
        "CasADi": partial(casadi_sparse, x),
    }


def planning(size: int) -> float:
    """Seconds from a function never seen to its groups: recording, pattern, colouring."""
    x = np.zeros(size)
    cb.jacobian(lambda x: 2.0 * broyden(x), sparse=True).plan(np.zeros(3))  # loads SciPy
    start = time.perf_counter()
    plan = cb.jacobian(broyden, sparse=True).plan(x)
    taken = time.perf_counter() - start
    assert plan.sweeps == 3, plan
    return taken


def main(arguments: list[str] | None = None) -> list[Timing]:
    quick = is_quick(__doc__, arguments)
    contest = Contest(3 if quick else 15)
    for size in [9] if quick else [10_000, 100_000]:
        x = np.random.default_rng(size).normal(size=size)
        problem = Problem("Broyden, Jacobian", size, [diagonals(x)], 1e-15)
        contest.run(problem, makers(x))
        if size == 100_000:
            contest.weigh(problem, makers(x))
        if size <= 10_000:
            contest.ratio_bar(problem, FUSED, "JAX dense", 0.01)
        else:
            contest.bars.append(milliseconds(contest, problem))
        contest.bars.append(Bar(f"{size} unknowns: plan", 1.0, planning(size), " s"))
    return contest.finish(__doc__, None if quick else "sparse")


def milliseconds(contest: Contest, problem: Problem) -> Bar:
    row = contest.row(problem, FUSED)
    assert row is not None
    spread = row.low * 1e3, row.high * 1e3
    return Bar(f"{problem.name} {problem.size}: fused", 3.0, row.median * 1e3, " ms", spread)


if __name__ == "__main__":
    main(sys.argv[1:])
