"""Are gradients of models on 10,000 x 100 numbers as fast as the fastest peer's?

Logistic regression, and a network of three layers with ReLU (100, 64, 32, 1). Bars: fused <= 1.2 x
the fastest peer; gradient <= 3 x function.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from contest import Calls, Contest, Problem, is_quick
from harness import Timing
from participants import (
    Dialect,
    autograd_calls,
    autograd_dialect,
    calcbench_calls,
    jax_calls,
    jax_dialect,
    numpy_dialect,
    torch_calls,
    torch_dialect,
)


OUTSIDE = "calcbench fused, outside"


def logistic(words: Dialect, data: Sequence[Any], w: Any) -> Any:
    X, y = data
    margins = X @ w
    return words.np.mean(words.softplus(margins) - y * margins) + 0.05 * words.np.sum(w * w)


def network(words: Dialect, data: Sequence[Any], w1: Any, w2: Any, w3: Any) -> Any:
    X, y = data
    out = words.relu(words.relu(X @ w1) @ w2) @ w3
    return words.np.mean((out - y) ** 2)


def logistic_slope(data: Sequence[np.ndarray], w: np.ndarray) -> list[np.ndarray]:
    """By hand."""
    X, y = data
    return [X.T @ (1 / (1 + np.exp(-(X @ w))) - y) / len(y) + 0.1 * w]


def network_slopes(data: Sequence[np.ndarray], *w: np.ndarray) -> list[np.ndarray]:
    """By hand: back through the layers."""
    X, y = data
    w1, w2, w3 = w
    a = X @ w1
    b = np.maximum(a, 0) @ w2
    out = np.maximum(b, 0) @ w3
    d = 2 * (out - y) / len(y)
    db = np.outer(d, w3) * (b > 0)
    da = (db @ w2.T) * (a > 0)
    return [X.T @ da, np.maximum(a, 0).T @ db, np.maximum(b, 0).T @ d]


def makers(f: Any, data: Sequence[np.ndarray], args: Sequence[np.ndarray]) -> dict[str, Any]:
    """Everybody who takes part; the data are constants of the function, or arguments of ours.

    Ours compares arrays that it finds outside the arguments with what they were, at every call.
    """

    def ours(engine: str) -> Calls:
        words, count = numpy_dialect(), len(args)

        def of_all(*arrays: Any) -> Any:
            return f(words, arrays[count:], *arrays[:count])

        return Calls(*calcbench_calls(of_all, args, engine, False, data))

    def outside() -> Calls:
        return Calls(*calcbench_calls(partial(f, numpy_dialect(), data), args, "fused", False))

    def jax() -> Calls:
        words = jax_dialect()
        own = [words.np.asarray(d) for d in data]
        return Calls(*jax_calls(partial(f, words, own), args, False))

    def torch() -> Calls:
        words = torch_dialect()
        own = [words.np.tensor(d) for d in data]
        return Calls(*torch_calls(partial(f, words, own), args, False))

    def autograd() -> Calls:
        return Calls(*autograd_calls(partial(f, autograd_dialect(), data), args, False))

    own = {f"calcbench {e}": partial(ours, e) for e in ("fused", "tape", "numpy")}
    own[OUTSIDE] = outside
    return {**own, "JAX": jax, "torch": torch, "autograd": autograd}


def main(arguments: list[str] | None = None) -> list[Timing]:
    quick = is_quick(__doc__, arguments)
    contest = Contest(3 if quick else 11)
    n, k = (30, 5) if quick else (10_000, 100)
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(n, k)), (rng.random(n) < 0.5).astype(float)]
    layers = [k, 4, 3] if quick else [k, 64, 32]
    weights = [rng.normal(size=s) / np.sqrt(s[0]) for s in [(k,)]]
    matrices = [
        rng.normal(size=(layers[0], layers[1])) / np.sqrt(layers[0]),
        rng.normal(size=(layers[1], layers[2])) / np.sqrt(layers[1]),
        rng.normal(size=layers[2]) / np.sqrt(layers[2]),
    ]
    for name, f, slopes, args in (
        ("logistic regression", logistic, logistic_slope, weights),
        ("3-layer ReLU network", network, network_slopes, matrices),
    ):
        problem = Problem(name, n, slopes(data, *args), 1e-9)
        contest.run(problem, makers(f, data, args))
        if f is network and not quick:
            contest.weigh(problem, makers(f, data, args))
        contest.peer_bar(problem, "calcbench fused", 1.2)
        contest.function_bar(problem, "calcbench fused")
    return contest.finish(__doc__, None if quick else "networks")


if __name__ == "__main__":
    main(sys.argv[1:])
