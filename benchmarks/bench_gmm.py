"""Are value and gradient of a Gaussian-mixture likelihood faster than on the fastest peer?

The objective of ADBench: log-likelihood of N points in D = 10 dimensions under K = 25 Gaussians,
with a Wishart prior, of the mixture's logits, the means, and the factors of the inverse
covariances (logarithms of the diagonal first, then the columns below it). Bars: fused <= 0.7 x the
fastest peer; gradient <= 3 x function.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial, reduce
from typing import Any

import numpy as np
from contest import Calls, Contest, Problem, is_quick
from harness import Timing
from participants import (
    Dialect,
    autograd_calls,
    autograd_dialect,
    calcbench_calls,
    casadi_call,
    jax_calls,
    jax_dialect,
    numpy_dialect,
    peer,
    torch_calls,
    torch_dialect,
)
from scipy.special import logsumexp, multigammaln


GAMMA, M = 1.3, 2  # of the Wishart prior


def places(dimension: int) -> np.ndarray:
    """Where the entries of a strictly lower triangle stand among the factors, 0 elsewhere."""
    where = np.zeros((dimension, dimension), dtype=np.int64)
    columns, rows = np.triu_indices(dimension, 1)
    where[rows, columns] = np.arange(dimension, dimension + len(rows))
    return where


def likelihood(words: Dialect, x: Any, lower: Any, alphas: Any, means: Any, factors: Any) -> Any:
    """`x` has the shape (N, D), `lower` is 1 below the diagonal of (D, D) and 0 elsewhere."""
    np_, (n, d) = words.np, x.shape
    logs = factors[:, :d]
    diagonals = np_.exp(logs)
    triangles = factors[:, places(d)] * lower
    distances = x[None, :, :] - means[:, None, :]
    turned = distances @ np_.swapaxes(triangles, 1, 2) + distances * diagonals[:, None, :]
    weights = (alphas + np_.sum(logs, 1))[:, None] - 0.5 * np_.sum(turned**2, 2)
    mixed = np_.sum(words.logsumexp(weights.T)) - n * words.logsumexp(alphas)
    return constant(n, d, len(alphas)) + mixed + prior(np_, d, logs, diagonals, factors)


def prior(np_: Any, d: int, logs: Any, diagonals: Any, factors: Any) -> Any:
    squares = np_.sum(diagonals**2) + np_.sum(factors[:, d:] ** 2)
    return 0.5 * GAMMA**2 * squares - M * np_.sum(logs)


def constant(n: int, d: int, k: int) -> float:
    """What depends on sizes alone."""
    degrees = d + M + 1
    normal = degrees * d * np.log(GAMMA / np.sqrt(2)) - multigammaln(0.5 * degrees, d)
    return float(-0.5 * n * d * np.log(2 * np.pi) - k * normal)


# --- by hand -----------------------------------------------------------------------------------


def expected(x: Any, alphas: Any, means: Any, factors: Any) -> list[Any]:
    """Value and gradient as formulas, one Gaussian at a time."""
    (n, d), k = x.shape, len(alphas)
    matrices = [full_factor(row, d) for row in factors]
    turned = [(x - m) @ q.T for m, q in zip(means, matrices, strict=True)]
    squares = np.stack([np.sum(t**2, axis=1) for t in turned], axis=1)
    weights = alphas + factors[:, :d].sum(axis=1) - 0.5 * squares
    totals = logsumexp(weights, axis=1)
    shares = np.exp(weights - totals[:, None])
    value = constant(n, d, k) + totals.sum() - n * logsumexp(alphas)
    value += prior(np, d, factors[:, :d], np.exp(factors[:, :d]), factors)
    slope = shares.sum(axis=0) - n * np.exp(alphas - logsumexp(alphas))
    to_means = [s @ t @ q for s, t, q in zip(shares.T, turned, matrices, strict=True)]
    to_factors = [
        factor_slope(x - m, t, s, row, d)
        for m, t, s, row in zip(means, turned, shares.T, factors, strict=True)
    ]
    return [value, slope, np.array(to_means), np.array(to_factors)]


def full_factor(row: np.ndarray, d: int) -> np.ndarray:
    """The triangular matrix of one Gaussian."""
    matrix = np.tril(row[places(d)], -1)
    np.fill_diagonal(matrix, np.exp(row[:d]))
    return matrix


def factor_slope(distances: Any, turned: Any, share: Any, row: Any, d: int) -> np.ndarray:
    matrix = -(turned * share[:, None]).T @ distances
    out = np.zeros_like(row)
    out[:d] = np.exp(row[:d]) * np.diagonal(matrix) + share.sum()
    out[:d] += GAMMA**2 * np.exp(2 * row[:d]) - M
    rows, columns = np.tril_indices(d, -1)
    at = places(d)[rows, columns]
    out[at] = matrix[rows, columns] + GAMMA**2 * row[at]
    return out


# --- participants ------------------------------------------------------------------------------


def casadi(x: np.ndarray, args: Sequence[np.ndarray]) -> Calls:
    """Matrices, one Gaussian at a time: its machine for scalars would need 1e8 instructions.

    CasADi stores columns, so every array is the transpose of ours without a copy.
    """
    package = peer("casadi")
    inputs = [package.MX.sym(name, *a.T.shape) for name, a in zip("amf", args, strict=True)]
    total = casadi_likelihood(package, package.DM(x.T), *inputs)
    slopes = [package.gradient(total, i) for i in inputs]
    both = package.Function("both", inputs, [total, *slopes])
    value = package.Function("value", inputs, [total])
    results = [np.empty(1), *(np.empty(a.shape) for a in args)]
    return Calls(casadi_call(both, args, results), casadi_call(value, args, [np.empty(1)]))


def casadi_likelihood(package: Any, points: Any, alphas: Any, means: Any, factors: Any) -> Any:
    (d, n), k = points.shape, alphas.shape[0]
    below = package.sparsify(package.DM(np.tril(np.ones((d, d)), -1))).sparsity()
    logs, rest = factors[:d, :], factors[d:, :]
    weights = []
    for j in range(k):
        matrix = package.MX(below, rest[:, j]) + package.diag(package.exp(logs[:, j]))
        turned = package.mtimes(matrix, points - package.repmat(means[:, j], 1, n))
        weights.append(alphas[j] + package.sum1(logs[:, j]) - 0.5 * package.sum1(turned**2))
    mixed = package.sum2(casadi_logsumexp(package, weights)) - n * package.logsumexp(alphas)
    squares = package.sumsqr(package.exp(logs)) + package.sumsqr(rest)
    wishart = 0.5 * GAMMA**2 * squares - M * package.sum1(package.sum2(logs))
    return constant(n, d, k) + mixed + wishart


def casadi_logsumexp(package: Any, rows: Sequence[Any]) -> Any:
    top = reduce(package.fmax, rows)
    return top + package.log(sum(package.exp(row - top) for row in rows))


def makers(x: np.ndarray, args: Sequence[np.ndarray]) -> dict[str, Any]:
    """Everybody who takes part; the points are a constant of the function."""
    lower = np.tril(np.ones((x.shape[1],) * 2), -1)

    def ours(engine: str) -> Calls:
        return Calls(*calcbench_calls(partial(likelihood, numpy_dialect(), x, lower), args, engine))

    def jax() -> Calls:
        words = jax_dialect()
        own = map(words.np.asarray, (x, lower))
        return Calls(*jax_calls(partial(likelihood, words, *own), args))

    def torch() -> Calls:
        words = torch_dialect()
        own = map(words.np.tensor, (x, lower))
        return Calls(*torch_calls(partial(likelihood, words, *own), args))

    def autograd() -> Calls:
        return Calls(*autograd_calls(partial(likelihood, autograd_dialect(), x, lower), args))

    own = {f"calcbench {e}": partial(ours, e) for e in ("fused", "tape", "numpy")}
    peers = {"JAX": jax, "torch": torch, "autograd": autograd}
    return {**own, **peers, "CasADi": partial(casadi, x, args)}


def drawn(n: int, d: int, k: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Points and parameters."""
    rng = np.random.default_rng(n)
    count = d * (d + 1) // 2
    shapes = ((k,), (k, d), (k, count))
    return rng.normal(size=(n, d)), [0.5 * rng.normal(size=shape) for shape in shapes]


def main(arguments: list[str] | None = None) -> list[Timing]:
    quick = is_quick(__doc__, arguments)
    contest = Contest(3 if quick else 11)
    d, k = (3, 2) if quick else (10, 25)
    for n in [6] if quick else [1_000, 10_000]:
        x, args = drawn(n, d, k)
        problem = Problem("Gaussian mixture", n, expected(x, *args), 1e-9)
        contest.run(problem, makers(x, args))
        if n == 10_000:
            contest.weigh(problem, makers(x, args))
        contest.peer_bar(problem, "calcbench fused", 0.7)
        contest.function_bar(problem, "calcbench fused")
    return contest.finish(__doc__, None if quick else "gmm")


if __name__ == "__main__":
    main(sys.argv[1:])
