"""Is the gradient of a loop of a million steps as fast as the loop back, written by hand?

Bar: at 1,000,000 steps value and gradient <= 1.5 x hand-written Numba, which keeps the states on
the way up and reads them on the way down. One problem is bound by a sine, the other by arithmetic.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numba
import numpy as np
from contest import Calls, Contest, Problem, is_quick
from harness import Timing
from participants import (
    Absent,
    autograd_calls,
    calcbench_calls,
    casadi_call,
    jax_calls,
    peer,
    torch_calls,
)

import calcbench as cb


FUSED, HAND = "calcbench fused", "by hand"
EAGER = 1_000  # steps that run one by one in Python
STEP = 1e-6  # of Euler's method; the populations hardly move


# --- a sine: x <- a sin(x) + 0.1 ---------------------------------------------------------------


def wave_step(np_: Any, a: Any, x: Any) -> Any:
    return np_.sin(x) * a + 0.1


def wave(a: Any, steps: int) -> Any:
    return cb.scan(lambda x, _: (wave_step(np, a, x), None), a, length=steps)[0]


@numba.njit(error_model="numpy")
def wave_by_hand(a: float, steps: int) -> tuple[float, float]:
    """Value and slope, back through kept states."""
    kept = np.empty(steps)
    x = a
    for i in range(steps):
        kept[i] = x
        x = np.sin(x) * a + 0.1
    ct, slope = 1.0, 0.0
    for i in range(steps - 1, -1, -1):
        slope += ct * np.sin(kept[i])
        ct *= a * np.cos(kept[i])
    return x, slope + ct


@numba.njit(error_model="numpy")
def wave_forward(a: float, steps: int) -> tuple[float, float]:
    """The same by forward accumulation: what everybody is checked against."""
    x, dx = a, 1.0
    for _ in range(steps):
        x, dx = np.sin(x) * a + 0.1, np.cos(x) * a * dx + np.sin(x)
    return x, dx


# --- arithmetic: Lotka and Volterra's equations by Euler's method --------------------------------


def prey_step(p: Any, x: Any, y: Any) -> tuple[Any, Any]:
    return x + STEP * (p[0] * x - p[1] * x * y), y + STEP * (p[2] * x * y - p[3] * y)


def prey(p: Any, steps: int) -> Any:
    x, y = cb.scan(lambda s, _: (prey_step(p, *s), None), (p[4], p[5]), length=steps)[0]
    return x * y


@numba.njit(error_model="numpy")
def prey_by_hand(p: np.ndarray, steps: int) -> tuple[float, np.ndarray]:
    """Value and gradient, back through kept states."""
    xs, ys = np.empty(steps), np.empty(steps)
    a, b, c, d, x, y = p
    for i in range(steps):
        xs[i], ys[i] = x, y
        x, y = x + STEP * (a * x - b * x * y), y + STEP * (c * x * y - d * y)
    u, v = y, x
    slope = np.zeros(6)
    for i in range(steps - 1, -1, -1):
        x_, y_ = xs[i], ys[i]
        slope[0] += STEP * u * x_
        slope[1] -= STEP * u * x_ * y_
        slope[2] += STEP * v * x_ * y_
        slope[3] -= STEP * v * y_
        u, v = (
            u + STEP * (u * (a - b * y_) + v * c * y_),
            v + STEP * (v * (c * x_ - d) - u * b * x_),
        )
    slope[4], slope[5] = u, v
    return x * y, slope


@numba.njit(error_model="numpy")
def prey_forward(p: np.ndarray, steps: int) -> tuple[float, np.ndarray]:
    """By forward accumulation, six directions at once."""
    a, b, c, d, x, y = p
    e = np.eye(6)
    dx, dy = e[4].copy(), e[5].copy()
    for _ in range(steps):
        xy, dxy = x * y, dx * y + x * dy
        dx, dy = (
            dx + STEP * (e[0] * x + a * dx - e[1] * xy - b * dxy),
            dy + STEP * (e[2] * xy + c * dxy - e[3] * y - d * dy),
        )
        x, y = x + STEP * (a * x - b * xy), y + STEP * (c * xy - d * y)
    return x * y, dx * y + x * dy


# --- peers ---------------------------------------------------------------------------------------


def eager_wave(np_: Any, a: Any, steps: int) -> Any:
    x = a
    for _ in range(steps):
        x = wave_step(np_, a, x)
    return x


def eager_prey(np_: Any, p: Any, steps: int) -> Any:
    del np_
    x, y = p[4], p[5]
    for _ in range(steps):
        x, y = prey_step(p, x, y)
    return x * y


def jax_wave(a: Any, steps: int) -> Any:
    jax = peer("jax")
    return jax.lax.scan(lambda x, _: (wave_step(jax.numpy, a, x), None), a, length=steps)[0]


def jax_prey(p: Any, steps: int) -> Any:
    scan = peer("jax").lax.scan
    x, y = scan(lambda s, _: (prey_step(p, *s), None), (p[4], p[5]), length=steps)[0]
    return x * y


def casadi_wave(package: Any, a: Any, steps: int) -> Any:
    return casadi_scan(package, lambda p, x: wave_step(package, p, x), a, a, steps)


def casadi_prey(package: Any, p: Any, steps: int) -> Any:
    step = lambda p, s: package.vertcat(*prey_step(p, s[0], s[1]))  # noqa: E731
    final = casadi_scan(package, step, p[4:6], p, steps)
    return final[0] * final[1]


def casadi_scan(package: Any, step: Any, start: Any, p: Any, steps: int) -> Any:
    """The last state; a step is code for its machine for scalars."""
    s, q = package.SX.sym("s", start.shape[0]), package.SX.sym("q", p.shape[0])
    one = package.Function("one", [s, q], [step(q, s)])
    return one.mapaccum("all", steps)(start, package.repmat(p, 1, steps))[:, -1]


class Loop(NamedTuple):
    """One problem, as everybody spells it."""

    name: str
    point: np.ndarray
    ours: Callable[..., Any]
    by_hand: Callable[..., Any]
    forward: Callable[..., Any]
    eager: Callable[..., Any]
    jax: Callable[..., Any]
    casadi: Callable[..., Any]


LOOPS = (
    Loop(
        "loop, sine",
        np.array(0.9),
        wave,
        wave_by_hand,
        wave_forward,
        eager_wave,
        jax_wave,
        casadi_wave,
    ),
    Loop(
        "loop, arithmetic",
        np.array([1.0, 0.4, 0.3, 0.9, 2.0, 1.5]),
        prey,
        prey_by_hand,
        prey_forward,
        eager_prey,
        jax_prey,
        casadi_prey,
    ),
)


def makers(loop: Loop, steps: int, engines: tuple[str, ...]) -> dict[str, Any]:
    """Everybody who takes part; loops of Python up to `EAGER` steps."""
    given = loop.point if loop.point.ndim else float(loop.point)

    def ours(engine: str) -> Calls:
        return Calls(*calcbench_calls(partial(loop.ours, steps=steps), [loop.point], engine))

    def jax() -> Calls:
        peer("jax")
        return Calls(*jax_calls(partial(loop.jax, steps=steps), [loop.point]))

    def torch() -> Calls:
        f = partial(loop.eager, few("torch", steps), steps=steps)
        return Calls(*torch_calls(f, [loop.point]))

    def autograd() -> Calls:
        f = partial(loop.eager, few("autograd.numpy", steps), steps=steps)
        return Calls(*autograd_calls(f, [loop.point]))

    def casadi() -> Calls:
        if steps > EAGER:
            raise Absent("a million steps were not built in 100 s")
        package = peer("casadi")
        p = package.MX.sym("p", loop.point.size)
        y = loop.casadi(package, p, steps)
        both = package.Function("both", [p], [y, package.gradient(y, p)])
        return Calls(casadi_call(both, [loop.point], [np.empty(1), np.empty(loop.point.size)]))

    return {
        **{f"calcbench {engine}": partial(ours, engine) for engine in engines},
        HAND: lambda: Calls(partial(loop.by_hand, given, steps)),
        "JAX": jax,
        "torch": torch,
        "autograd": autograd,
        "CasADi": casadi,
    }


def few(name: str, steps: int) -> Any:
    """The package, for as many steps as it takes one by one."""
    if steps > EAGER:
        raise Absent(f"a loop of Python: at {EAGER} steps above")
    return peer(name)


def uncompiled(loop: Loop) -> Loop:
    """With the loops by hand as Python: compiling them takes longer than a few steps."""
    return loop._replace(by_hand=loop.by_hand.py_func, forward=loop.forward.py_func)


def main(arguments: list[str] | None = None) -> list[Timing]:
    quick = is_quick(__doc__, arguments)
    contest = Contest(3 if quick else 15)
    engines = ("tape",) if quick else ("fused", "tape")
    for loop in map(uncompiled, LOOPS) if quick else LOOPS:
        for steps in [5] if quick else [1_000, 1_000_000]:
            given = loop.point if loop.point.ndim else float(loop.point)
            problem = Problem(loop.name, steps, list(loop.forward(given, steps)), 1e-9)
            made = makers(loop, steps, engines)
            contest.run(problem, made)
            if steps == 1_000_000:
                contest.weigh(problem, made)
                contest.ratio_bar(problem, FUSED, HAND, 1.5)
    return contest.finish(__doc__, None if quick else "scan")


if __name__ == "__main__":
    main(sys.argv[1:])
