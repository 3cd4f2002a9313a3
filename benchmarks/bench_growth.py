"""How do time and memory of each mode grow with depth, inputs, outputs and width?

Both modes by direct sweeps on the tape and fused, JAX beside them; a loop is one row of a graph
beyond 30,000 steps, and by hand in Numba. Fits are powers of the size with 95 % intervals. Bars:
in depth, time of a reverse sweep grows like size^1 (+- 0.2); memory of forward mode not at all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from bench_scan import eager_wave, jax_wave, wave, wave_by_hand, wave_forward
from contest import Calls, Contest, Problem, is_quick
from growth_fits import Fit, crossings, fits
from harness import Bar, Timing
from participants import jax_calls, peer

import calcbench as cb
from calcbench.measure.stages import DIRECT, prepare_way, record_function
from calcbench.measure.ways import by_cotangents, by_directions


UNROLLED = 30_000  # operations of a function without a loop
DEPTHS = (10, 100, 1_000, 3_000, 10_000, 30_000, 100_000, 1_000_000)
WIDTHS = (16, 64, 128, 256)
COUNTS = (10, 100, 300, 1_000, 2_000)
MODES = ("forward", "reverse")
SWEEP, FUSED, LOOP = "sweeps", "fused", "loop, fused"
Function = Callable[..., Any]


# --- depth: a scalar through a wave -----------------------------------------------------------


def loop_of(depth: int, mode: str) -> Calls:
    f = partial(wave, steps=depth)
    gradient = cb.compile(cb.jacobian(f, mode=mode), engine="fused")
    return Calls(lambda: gradient(np.array(0.9)))


def jax_loop(depth: int) -> Calls:
    peer("jax")
    return Calls(jax_calls(partial(jax_wave, steps=depth), [np.array(0.9)], value=False)[0])


def depth_makers(depth: int, by_hand: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if depth <= UNROLLED:
        f = partial(eager_wave, np, steps=depth)
        made = {f"{SWEEP}, {mode}": partial(swept, f, np.array(0.9), mode) for mode in MODES}
    return {
        **made,
        **{f"{LOOP}, {mode}": partial(loop_of, depth, mode) for mode in MODES},
        "by hand, reverse": lambda: Calls(lambda: by_hand(0.9, depth)[1]),
        "JAX loop, reverse": partial(jax_loop, depth),
    }


# --- inputs, outputs, width -------------------------------------------------------------------


def of_inputs(np_: Any, x: Any) -> Any:
    return np_.sum(np_.sin(x) * x)


def of_outputs(np_: Any, x: Any, count: int) -> Any:
    return np_.sin(np_.sum(x * x) * np_.linspace(0.1, 1.0, count))


def of_width(np_: Any, x: Any, w: Any) -> Any:
    h = np_.tanh(w @ np_.tanh(w @ np_.tanh(w @ x)))
    return np_.sum(h * h)


def inputs_family(n: int) -> tuple[Function, np.ndarray, np.ndarray]:
    """A scalar of n inputs: its entries of the gradient are known."""
    x = np.linspace(0.1, 1.0, n)
    return of_inputs, x, np.cos(x) * x + np.sin(x)


def outputs_family(m: int) -> tuple[Function, np.ndarray, np.ndarray]:
    """m outputs of four inputs."""
    x, t = np.linspace(0.1, 1.0, 4), np.linspace(0.1, 1.0, m)
    slopes = (np.cos(np.sum(x * x) * t) * t)[:, None] * 2 * x
    return partial(of_outputs, count=m), x, slopes


def width_family(n: int) -> tuple[Function, np.ndarray, np.ndarray]:
    """Three layers, as wide as the input."""
    x, w = np.linspace(0.1, 1.0, n), np.random.default_rng(n).normal(size=(n, n)) / np.sqrt(n)
    a = np.tanh(w @ x)
    b = np.tanh(w @ a)
    c = np.tanh(w @ b)
    ct = w.T @ (2 * c * (1 - c * c))
    ct = w.T @ (ct * (1 - b * b))
    return partial(of_width, w=w), x, w.T @ (ct * (1 - a * a))


def swept(f: Function, x: np.ndarray, mode: str) -> Calls:
    """The whole derivative by direct sweeps."""
    return Calls((by_directions if mode == "forward" else by_cotangents)(f, x))


def fused(f: Function, x: np.ndarray, mode: str) -> Calls:
    jacobian = cb.compile(cb.jacobian(f, mode=mode), engine="fused")
    return Calls(lambda: jacobian(x))


def jax_matrix(f: Function, x: np.ndarray, mode: str) -> Calls:
    package = peer("jax")
    transform = package.jacfwd if mode == "forward" else package.jacrev
    jacobian, given = package.jit(transform(partial(f, package.numpy))), package.numpy.asarray(x)
    return Calls(lambda: package.block_until_ready(jacobian(given)))


def makers(f: Function, x: np.ndarray, is_fused: bool) -> dict[str, Any]:
    """Everybody who takes part, in both modes."""
    ours = partial(f, np)
    kinds: dict[str, Any] = {SWEEP: partial(swept, ours), "JAX": partial(jax_matrix, f)}
    if is_fused:
        kinds[FUSED] = partial(fused, ours)
    return {f"{who}, {mode}": partial(kinds[who], x, mode) for who in kinds for mode in MODES}


FAMILIES = {
    "inputs": (inputs_family, COUNTS),
    "outputs": (outputs_family, COUNTS),
    "width": (width_family, WIDTHS),
}


# --- planned bytes ----------------------------------------------------------------------------


def weigh(contest: Contest, problem: Problem, ways: dict[str, str], f: Function, x: Any) -> None:
    """Put the bytes that every way of ours holds at most, by its plan, into its row."""
    for prefix, engine in ways.items():
        for mode in MODES:
            who = f"{prefix}, {mode}"
            if contest.row(problem, who) is not None:
                way = prepare_way(record_function(f, x), mode, engine)
                contest.put(problem, who, values=way.predicted)


# --- all together -----------------------------------------------------------------------------


def measure_depth(contest: Contest, depths: tuple[int, ...], quick: bool) -> None:
    hand, forward = (f.py_func if quick else f for f in (wave_by_hand, wave_forward))
    for depth in depths:
        problem = Problem("depth", depth, [forward(0.9, depth)[1]], 1e-9)
        made = depth_makers(depth, hand)
        if quick:
            made = {who: maker for who, maker in made.items() if LOOP not in who}
        contest.run(problem, made)
        weigh(contest, problem, {LOOP: "fused"}, partial(wave, steps=depth), np.array(0.9))
        if depth <= UNROLLED:
            f = partial(eager_wave, np, steps=depth)
            weigh(contest, problem, {SWEEP: DIRECT}, f, np.array(0.9))


def measure(contest: Contest, name: str, sizes: tuple[int, ...], quick: bool) -> None:
    for size in sizes:
        f, x, expected = FAMILIES[name][0](size)
        problem = Problem(name, size, [expected], 1e-9)
        contest.run(problem, makers(f, x, not quick))
        weigh(contest, problem, {SWEEP: DIRECT, FUSED: "fused"}, partial(f, np), x)


def exponent_bar(found: list[Fit], who: str, cost: str, wanted: float, within: float) -> Bar:
    """How far a fitted exponent of depth may be from what theory says."""
    what = f"depth: {who}, exponent of {cost} off {wanted:g}"
    for one in found:
        if (one.problem, one.who, one.cost) == ("depth", who, cost):
            return Bar(what, within, abs(one.fit.exponent - wanted))
    return Bar(what, within, None)


def main(arguments: list[str] | None = None) -> list[Timing]:
    quick = is_quick(__doc__, arguments)
    contest = Contest(3 if quick else 7)
    measure_depth(contest, (4, 8, 16) if quick else DEPTHS, quick)
    for name, (_, sizes) in FAMILIES.items():
        measure(contest, name, (3, 4, 6) if quick else sizes, quick)
    found = fits(contest.rows)
    print(*found, *crossings(found), sep="\n")
    for who in (f"{SWEEP}, reverse", f"{LOOP}, reverse"):
        contest.bars.append(exponent_bar(found, who, "seconds", 1.0, 0.2))
        contest.bars.append(exponent_bar(found, who, "bytes", 1.0, 0.2))
    for who in (f"{SWEEP}, forward", f"{LOOP}, forward"):
        contest.bars.append(exponent_bar(found, who, "bytes", 0.0, 0.05))
    return contest.finish(__doc__, None if quick else "growth")


if __name__ == "__main__":
    main(sys.argv[1:])
