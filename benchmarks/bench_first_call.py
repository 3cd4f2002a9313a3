"""How long does the first gradient of a new function of 100 operations take?

Bars: at most 20 ms in a process that runs already; 1.3 s in a new process, from the start of the
interpreter to its end; 10 s where nothing has been compiled before. In the running process the
first gradient takes <= 3 x the first value.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain, count
from typing import Any

import numpy as np
from chains import POINT, Program, draw, expected, text, written
from contest import Contest, Problem, check, is_quick
from harness import Bar, Timing, interleave
from participants import Absent, calcbench_calls, casadi_call, jax_calls, peer, torch_calls


OPERATIONS = 100
OURS, VALUE = "calcbench auto", "calcbench auto: function"
FUNCTION, PROCESS, MACHINE = "new function", "new process", "new machine"
READY = 80  # functions that each participant finds written before the timing

# What a new process runs, around the function's text.
SCRIPTS = {
    OURS: ("import numpy as np, calcbench as cb", "cb.compile(cb.grad(f))"),
    "calcbench numpy": ("import numpy as np, calcbench as cb", "cb.grad(f)"),
    "JAX": (
        "import jax; jax.config.update('jax_enable_x64', True)\nimport jax.numpy as np",
        "jax.jit(jax.grad(f))",
    ),
}


# --- in a running process ----------------------------------------------------------------------


def ours(engine: str, program: Program) -> Any:
    return calcbench_calls(written(program, np), [POINT], engine, False)[0]()


def our_value(program: Program) -> Any:
    return calcbench_calls(written(program, np), [POINT], "auto", False)[1]()


def jax(program: Program) -> Any:
    return jax_calls(written(program, peer("jax.numpy")), [POINT], False)[0]()


def torch(program: Program) -> Any:
    return torch_calls(written(program, peer("torch")), [POINT], False)[0]()


def casadi(program: Program) -> Any:
    package = peer("casadi")
    x = package.SX.sym("x", len(POINT))
    y = written(program, package)(x)
    gradient = package.Function("gradient", [x], [package.gradient(y, x)])
    return casadi_call(gradient, [POINT], [np.empty(len(POINT))])()


IN_PROCESS: dict[str, Callable[[Program], Any]] = {
    OURS: partial(ours, "auto"),
    "calcbench numpy": partial(ours, "numpy"),
    "JAX": jax,
    "torch": torch,
    "CasADi": casadi,
}


# --- in a new one ------------------------------------------------------------------------------


def in_new_process(who: str, program: Program, empty_cache: bool = False) -> Any:
    """The gradient that a new interpreter prints."""
    if who == "JAX":
        peer("jax")
    header, gradient = SCRIPTS[who]
    call = f"print(*{gradient}(np.array({POINT.tolist()})))"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "\n".join([header, text(program), call])]
        surroundings = environment(folder if empty_cache else None)
        done = subprocess.run(command, env=surroundings, capture_output=True, check=True)
    return np.array(done.stdout.split(), dtype=float)


def environment(cache: str | None) -> dict[str, str]:
    """Python keeps the bytecode of what it imports, as it does unless told not to."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept if cache is None else {**kept, "CALCBENCH_CACHE_DIR": cache}


# --- both --------------------------------------------------------------------------------------


def timed(contest: Contest, name: str, made: dict[str, Callable[..., Any]], rounds: int) -> None:
    """Rows of all who are there; every call gets a program that nobody has seen."""
    calls, seeds = {}, count(1)
    ready = READY if name == FUNCTION else 1
    for who, first in made.items():
        with suppress(Absent):
            check_one(name, who, first)
            written_before = [draw(OPERATIONS, next(seeds)) for _ in range(ready)]
            more = (draw(OPERATIONS, seed) for seed in seeds)
            calls[who] = partial(run_next, first, chain(written_before, more))
    contest.rows += interleave(name, OPERATIONS, calls, OURS, rounds)


def run_next(first: Callable[[Program], Any], programs: Iterator[Program]) -> Any:
    return first(next(programs))


def check_one(name: str, who: str, first: Callable[[Program], Any]) -> None:
    """One program's gradient, or value, against forward mode by hand."""
    program = draw(OPERATIONS)
    value, slope = expected(program)
    wanted = [value if who == VALUE else slope]
    check(Problem(name, OPERATIONS, wanted, 1e-9), who, first(program))


def time_bar(contest: Contest, name: str, limit: float) -> None:
    """The median at most `limit` milliseconds."""
    row = contest.row(Problem(name, OPERATIONS, [], 0.0), OURS)
    scaled = None if row is None else [1e3 * t for t in (row.median, row.low, row.high)]
    what = f"first gradient, {name}: {OURS}"
    bar = Bar(what, limit, scaled[0], " ms", (scaled[1], scaled[2])) if scaled else None
    contest.bars.append(bar or Bar(what, limit, None, " ms"))


def main(arguments: list[str] | None = None) -> list[Timing]:
    quick = is_quick(__doc__, arguments)
    contest = Contest()
    timed(contest, FUNCTION, {**IN_PROCESS, VALUE: our_value}, 3 if quick else 15)
    processes = {who: partial(in_new_process, who) for who in SCRIPTS}
    timed(contest, PROCESS, processes, 1 if quick else 9)
    if not quick:
        alone = {OURS: partial(in_new_process, OURS, empty_cache=True)}
        timed(contest, MACHINE, alone, 3)
    for name, limit in ((FUNCTION, 20.0), (PROCESS, 1300.0), (MACHINE, 10_000.0)):
        time_bar(contest, name, limit)
    contest.ratio_bar(Problem(FUNCTION, OPERATIONS, [], 0.0), OURS, VALUE, 3.0)
    return contest.finish(__doc__, None if quick else "first_call")


if __name__ == "__main__":
    main(sys.argv[1:])
