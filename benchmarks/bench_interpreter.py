"""Does the interpreter keep up with HIPS autograd: recording, transforms, cached gradients?

Bars: recording one scalar operation <= 0.5 x autograd's; at most 10 µs per node that a transform
writes; a cached gradient on 10 to 10,000 entries <= 1.0 x autograd's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
from autograd.core import make_vjp
from harness import Timing, interleave, machine, report

import calcbench as cb
from calcbench.graph.tracing import record
from calcbench.graph.trees import structure_of


def chain(x: Any, operations: int) -> Any:
    """Scalar operations of four kinds, each depending on the one before."""
    for _ in range(operations // 5):
        x = x * 1.0001 + 0.5
        x = (x - x * x) / 1.5
    return x


def oscillation(np_: Any, x: Any) -> Any:
    return np_.sum(np_.sin(x) * x**2 + np_.exp(-x) * 2.0)


def rosenbrock(np_: Any, x: Any) -> Any:
    return np_.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def softened(np_: Any, x: Any) -> Any:
    return np_.log(np_.sum(np_.exp(x - np_.mean(x)))) + np_.dot(x, x)


def distance(np_: Any, x: Any) -> Any:
    return np_.sqrt(np_.sum((x - 1.0) ** 2)) + np_.max(x)


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "oscillation": oscillation,
    "Rosenbrock": rosenbrock,
    "log-sum-exp": softened,
    "norm and max": distance,
}


def recording(operations: int, rounds: int) -> list[Timing]:
    """Seconds to record a chain, per operation."""
    example = cb.trace(lambda x: chain(x, operations), 0.3)
    expected = float(chain(0.3, operations))
    assert float(example.bind(x=0.3)) == expected
    program = partial(chain, operations=operations)
    arguments = structure_of(((0.3,), {})), [np.float64(0.3)]
    calls = {
        "record": partial(record, program, *arguments),
        "record and simplify": partial(cb.trace, program, 0.3),
        "autograd": partial(make_vjp, program, 0.3),
    }
    rows = interleave("record, per operation", operations, calls, "autograd", rounds)
    return [_per(row, operations) for row in rows]


def _per(row: Timing, count: int) -> Timing:
    return Timing(
        row.problem,
        row.size,
        row.who,
        row.median / count,
        row.low / count,
        row.high / count,
        row.ratio,
    )


def transforms(operations: int, rounds: int) -> list[Timing]:
    """Seconds of each transform, per node of the graph it writes."""
    graph = cb.trace(lambda x: chain(x, operations), 0.3)
    rows = []
    for name, transform in (("jvp_graph", cb.jvp_graph), ("vjp_graph", cb.vjp_graph)):
        written = len(transform(graph))
        calls = {name: partial(transform, graph)}
        (row,) = interleave("transform, per node written", operations, calls, name, rounds)
        rows.append(_per(row, written))
    return rows


def gradients(sizes: list[int], rounds: int) -> list[Timing]:
    """Seconds of a gradient whose recording is cached, beside autograd's."""
    rows = []
    for name, function in FUNCTIONS.items():
        ours = cb.grad(partial(function, np))
        theirs = autograd.grad(partial(function, anp))
        for size in sizes:
            x = np.linspace(0.1, 1.2, size)
            np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-10)
            calls = {"calcbench": partial(ours, x), "autograd": partial(theirs, x)}
            rows += interleave(f"gradient of {name}", size, calls, "autograd", rounds)
    return rows


def main(arguments: list[str] | None = None) -> list[Timing]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, nothing written")
    quick = parser.parse_args(arguments).quick
    rounds = 3 if quick else 15
    rows = recording(50 if quick else 5000, rounds)
    rows += transforms(50 if quick else 5000, rounds)
    rows += gradients([10] if quick else [10, 100, 1000, 10_000], rounds)
    question = __doc__.splitlines()[0]
    report(question, rows, machine("autograd"), None if quick else "interpreter")
    return rows


if __name__ == "__main__":
    main()
