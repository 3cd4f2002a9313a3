"""Is the gradient of a chain of scalar operations as fast as on CasADi's machine for scalars?

The operations are sin, exp, +, - and x, with operands from anywhere before. Bars: tape <= 1.0 x
CasADi; fused, on 1,000 operations, <= 0.5 x CasADi; gradient <= 3 x function. JAX and torch stand
beside them at 1,000 operations if they compile that in 20 s; torch as it is written everywhere.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import numpy as np
from chains import POINT, Program, casadi_calls, chain, draw, expected
from contest import Calls, Contest, Problem, is_quick, within
from harness import Timing
from participants import Absent, calcbench_calls, jax_calls, peer, torch_calls

import calcbench as cb


LIMIT = 20.0  # seconds to compile


def ours(program: Program, engine: str) -> Calls:
    return Calls(*calcbench_calls(partial(chain, np, program), [POINT], engine, False))


def swept(program: Program) -> Calls:
    """The direct sweep: no graph of the derivative is written."""
    f = partial(chain, np, program)
    return Calls(lambda: cb.reverse_sweep(f, POINT)[1])


def casadi(program: Program) -> Calls:
    return Calls(*casadi_calls(program))


def jax(program: Program) -> Calls:
    return Calls(*jax_calls(partial(chain, peer("jax.numpy"), program), [POINT], False))


def torch(program: Program) -> Calls:
    return Calls(*torch_calls(partial(chain, peer("torch"), program), [POINT], False))


def torch_compiled(program: Program) -> Calls:
    """Compiled by its own compiler for loops."""
    package = peer("torch")
    f = package.compile(partial(chain, package, program))
    return Calls(*torch_calls(f, [POINT], False))


def makers(program: Program, is_fused: bool, is_limited: bool) -> dict[str, Any]:
    """Everybody who takes part."""
    engines = ["tape", "fused"] if is_fused else ["tape"]
    sweep = {"calcbench sweep": partial(swept, program)} if hasattr(cb, "reverse_sweep") else {}
    return {
        **{f"calcbench {engine}": partial(ours, program, engine) for engine in engines},
        **sweep,
        "CasADi": partial(casadi, program),
        "JAX": within(LIMIT, "jax", partial(jax, program), is_limited),
        "torch": partial(torch, program),
        "torch compiled": within(LIMIT, "torch", partial(torch_compiled, program), is_limited),
    }


def too_long() -> Calls:
    raise Absent("tried at 1000 alone")


def main(arguments: list[str] | None = None) -> list[Timing]:
    quick = is_quick(__doc__, arguments)
    contest = Contest(3 if quick else 15)
    for size in [20] if quick else [1_000, 100_000]:
        program, is_fused = draw(size), size <= 1_000
        problem = Problem("scalar chain", size, [expected(program).slope], 1e-9)
        made = makers(program, is_fused, not quick)
        if not is_fused:
            made |= dict.fromkeys(("JAX", "torch compiled"), too_long)
        contest.run(problem, made)
        if size == 100_000:
            contest.weigh(problem, made)
        contest.ratio_bar(problem, "calcbench tape", "CasADi", 1.0)
        contest.function_bar(problem, "calcbench tape")
        if is_fused:
            contest.ratio_bar(problem, "calcbench fused", "CasADi", 0.5)
            contest.function_bar(problem, "calcbench fused")
    return contest.finish(__doc__, None if quick else "scalar_chain")


if __name__ == "__main__":
    main(sys.argv[1:])
