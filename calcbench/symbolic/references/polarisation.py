"""Partial and mixed derivatives from derivatives along lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from calcbench.graph.arraytype import DerivativeError
from calcbench.symbolic.references.scalar_steps import Budget
from calcbench.symbolic.references.sides import Function, Line, agree, along


def differentials(
    function: Function, indices: Sequence[tuple[str, ...]], order: int, ctx: Any, budget: Budget
) -> list[tuple[Any, Any]]:
    """The partial derivatives of this order by the inputs named in each index, with sizes.

    A size is infinite where something was taken for 0 that might not be with more digits.

    Mixed ones by polarisation: n! T(v_1, ..., v_n) is the sum over subsets S of
    (-1)^(n - |S|) times the n-th derivative along sum of S (Thomas 2014, "A polarization
    identity for multilinear maps").
    """
    lines: dict[tuple[tuple[str, int], ...], Line] = {}

    def line(counts: Mapping[str, int]) -> tuple[Any, Any]:
        divisor = math.gcd(*counts.values())
        key = tuple(sorted((name, c // divisor) for name, c in counts.items()))
        if key not in lines:
            lines[key] = along(function, dict(key), order, ctx, budget)
        found = lines[key]
        return found.derivatives[order] * divisor**order, found.sizes[order] * divisor**order

    results = [_polarised(index, order, line, ctx) for index in indices]
    _check_multilinear(function, indices, results, lines, order, ctx, budget)
    if any(line.doubtful for line in lines.values()):
        return [(value, ctx.inf) for value, _ in results]
    return results


def _polarised(index: tuple[str, ...], order: int, line: Any, ctx: Any) -> tuple[Any, Any]:
    if len(set(index)) == 1:
        value, size = line({index[0]: 1})
        return value, size
    total, sizes = ctx.zero, ctx.zero
    counts = {name: index.count(name) for name in dict.fromkeys(index)}
    for part in _parts(counts):
        weight = math.prod(math.comb(counts[name], c) for name, c in part.items())
        sign = (-1) ** (order - sum(part.values()))
        value, size = line({name: c for name, c in part.items() if c})
        if ctx.isinf(value):
            raise DerivativeError("no mixed derivative: a derivative on the way is infinite")
        total += sign * weight * value
        sizes += weight * (size + abs(value))
    return total / math.factorial(order), sizes / math.factorial(order)


def _parts(counts: Mapping[str, int]) -> list[dict[str, int]]:
    """Every way to take some of each name, but not none of all."""
    parts: list[dict[str, int]] = [{}]
    for name, most in counts.items():
        parts = [{**part, name: c} for part in parts for c in range(most + 1)]
    return [part for part in parts if any(part.values())]


def _check_multilinear(
    function: Function,
    indices: Sequence[tuple[str, ...]],
    results: Sequence[tuple[Any, Any]],
    lines: Mapping[Any, Line],
    order: int,
    ctx: Any,
    budget: Budget,
) -> None:
    """At a kink or a singular point, one more line must have the derivative that the others say."""
    names = list(dict.fromkeys(name for index in indices for name in index))
    finite = all(ctx.isfinite(value) for value, _ in results)
    if len(names) < 2 or not finite or not any(line.sided for line in lines.values()):
        return
    speeds = {name: (-1) ** k * (2 * k + 3) for k, name in enumerate(names)}
    found = along(function, speeds, order, ctx, budget)
    _compare_limits(function, found, next(iter(lines.values())), ctx)
    expected, sizes = ctx.zero, ctx.zero
    for index, (value, size) in zip(indices, results, strict=True):
        repeats = math.factorial(order) // math.prod(
            math.factorial(index.count(name)) for name in set(index)
        )
        factor = repeats * math.prod(speeds[name] for name in index)
        expected += factor * value
        sizes += abs(factor) * (size + abs(value))
    if not agree(found.derivatives[order], expected, sizes + found.sizes[order], ctx):
        raise DerivativeError(
            f"no derivative {function.shown}: the partial derivatives exist, but along other "
            f"lines the slopes do not follow from them; at {' and '.join(found.sided)}. "
            "cb.subdifferential gives the set of slopes"
        )


def _compare_limits(function: Function, one: Line, other: Line, ctx: Any) -> None:
    """Along every line the values must go to the same limit."""
    a, b = one.derivatives[0], other.derivatives[0]
    if not agree(a, b, one.sizes[0] + other.sizes[0], ctx):
        raise DerivativeError(
            f"no derivative {function.shown}: along one line the values go to {ctx.nstr(a, 8)} and "
            f"along another to {ctx.nstr(b, 8)}, at {' and '.join(one.sided) or 'a singular point'}"
        )
