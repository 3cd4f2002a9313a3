"""Are prices and all first-order Greeks of a million options a quarter of JAX's time?

Bar: a batch of value and gradient on 1e6 points <= 0.25 x jax.jit(vmap(value_and_grad)).
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import numpy as np
from contest import Calls, Contest, Problem, is_quick
from harness import Timing
from participants import Dialect, jax_dialect, numpy_dialect, peer
from scipy.stats import norm

import calcbench as cb


ALL = (0, 1, 2, 3, 4)


def price(words: Dialect, spot: Any, strike: Any, rate: Any, vol: Any, time: Any) -> Any:
    """A European call."""
    total = vol * words.np.sqrt(time)
    d1 = (words.np.log(spot / strike) + (rate + 0.5 * vol * vol) * time) / total
    discounted = strike * words.np.exp(-rate * time)
    return spot * phi(words, d1) - discounted * phi(words, d1 - total)


def phi(words: Dialect, x: Any) -> Any:
    """The normal distribution."""
    return 0.5 * (1.0 + words.erf(x * 0.7071067811865476))


def expected(s: Any, k: Any, r: Any, v: Any, t: Any) -> list[np.ndarray]:
    """The Greeks as the textbooks have them."""
    d1 = (np.log(s / k) + (r + 0.5 * v * v) * t) / (v * np.sqrt(t))
    d2 = d1 - v * np.sqrt(t)
    discount = np.exp(-r * t)
    theta = s * norm.pdf(d1) * v / (2 * np.sqrt(t)) + r * k * discount * norm.cdf(d2)
    return [
        s * norm.cdf(d1) - k * discount * norm.cdf(d2),
        norm.cdf(d1),
        -discount * norm.cdf(d2),
        k * t * discount * norm.cdf(d2),
        s * norm.pdf(d1) * np.sqrt(t),
        theta,
    ]


def ours(points: list[np.ndarray], engine: str) -> Calls:
    f = partial(price, numpy_dialect())
    both = cb.compile(cb.value_and_grad(f, ALL), engine=engine)
    value = cb.compile(f, engine=engine)
    return Calls(lambda: both.batch(*points), lambda: value.batch(*points))


def jax_vmapped(points: list[np.ndarray]) -> Calls:
    words, jax = jax_dialect(), peer("jax")
    f = partial(price, words)
    inputs = [words.np.asarray(p) for p in points]
    both, value = jax.jit(jax.vmap(jax.value_and_grad(f, ALL))), jax.jit(jax.vmap(f))
    wait = jax.block_until_ready
    return Calls(lambda: wait(both(*inputs)), lambda: wait(value(*inputs)))


def main(arguments: list[str] | None = None) -> list[Timing]:
    quick = is_quick(__doc__, arguments)
    contest = Contest(3 if quick else 9)
    n = 40 if quick else 1_000_000
    rng = np.random.default_rng(0)
    lows, highs = (80, 80, 0.0, 0.1, 0.2), (120, 120, 0.1, 0.6, 2.0)
    points = [rng.uniform(a, b, n) for a, b in zip(lows, highs, strict=True)]
    problem = Problem("Black-Scholes, batch", n, expected(*points), 1e-9)
    makers: dict[str, Any] = {f"calcbench {e}": partial(ours, points, e) for e in ("fused", "tape")}
    makers["JAX"] = partial(jax_vmapped, points)
    contest.run(problem, makers)
    if not quick:
        contest.weigh(problem, makers)
    contest.ratio_bar(problem, "calcbench fused", "JAX", 0.25)
    contest.function_bar(problem, "calcbench fused")
    return contest.finish(__doc__, None if quick else "black_scholes")


if __name__ == "__main__":
    main(sys.argv[1:])
