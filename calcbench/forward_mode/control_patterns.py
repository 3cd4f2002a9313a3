"""Patterns of rows that hold graphs: of choices both branches, of loops what goes round at last.

`pattern_of` (graph, positions of inputs, known inputs) -> Pattern is that of a whole graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from calcbench.forward_mode.pattern_rules import Reach
from calcbench.forward_mode.patterns import (
    Pattern,
    collected,
    columns,
    composed,
    diagonal_blocks,
    rows_at,
    stacked,
    union,
)
from calcbench.graph.arraytype import ArrayType
from calcbench.graph.control_bodies import Body, with_outputs
from calcbench.graph.control_steps import Loop


PatternOf = Callable[[Any, Sequence[int], dict[int, Any]], Pattern]


def branches(at: Reach, pattern_of: PatternOf) -> Any:
    """What either branch of a `cond` reads, or only the one that is known to be taken."""
    wanted = [p for p, pattern in enumerate(at.patterns[1:]) if pattern is not None]
    sizes = [int(at.kinds[1 + p].size) for p in wanted]
    inner = stacked([at.patterns[1 + p] for p in wanted], sizes, _width(at))
    bodies = at.params["branches"]
    if at.deciding is not None:
        bodies = bodies[:1] if np.asarray(at.deciding)[()] else bodies[1:]
    graphs = [with_outputs(body.graph, at.params["keep"]) for body in bodies]
    return union([composed(pattern_of(g, wanted, {}), inner) for g in graphs])


def scanned(at: Reach, pattern_of: PatternOf) -> Any:
    """A loop of known length: a step may read what went round in any other, and its own slices."""
    loop = Loop(**at.params)
    count, first = loop.carries, loop.first_constant
    step = Step(loop.body, pattern_of)
    slices = [_any_slice(at.patterns[p], at.kinds[p]) for p in range(count, first)]
    constants = at.patterns[first:]
    given = [*at.patterns[:count], *slices, *constants]
    around = step.settled(given, count, loop.length)
    fixed = [*around, *[None] * len(slices), *constants]
    across = {p: at.patterns[p] for p in range(count, first) if at.patterns[p] is not None}
    parts = [
        around[k] if k < count else step.stack(k, fixed, across, loop.length) for k in loop.keep
    ]
    return stacked(parts, [int(kind.size) for kind in loop.kept()], _width(at))


def looped(at: Reach, pattern_of: PatternOf) -> Any:
    """A loop of unknown length, until nothing is added any more."""
    body = at.params["body"]
    count = len(body.outputs)
    around = Step(body, pattern_of).settled(at.patterns, count, None)
    parts = [around[k] for k in at.params["keep"]]
    return stacked(parts, [int(body.outputs[k].size) for k in at.params["keep"]], _width(at))


class Step:
    """The body of a loop, and which of its inputs each output reads."""

    def __init__(self, body: Body, pattern_of: PatternOf) -> None:
        self.inputs, self.outputs = body.inputs, body.outputs
        self.floats = [p for p, kind in enumerate(self.inputs) if kind.is_float]
        whole = pattern_of(body.graph, self.floats, {})
        rows = np.cumsum([0, *[int(kind.size) for kind in self.outputs]]).tolist()
        self.rows = [rows_at(whole, np.arange(a, b) + 1) for a, b in pairwise(rows)]
        ends = np.cumsum([0, *[int(self.inputs[p].size) for p in self.floats]]).tolist()
        self.spans = dict(zip(self.floats, pairwise(ends), strict=True))

    def reads(self, output: int, given: Sequence[Any]) -> Any:
        """The pattern of an output, from those of the inputs."""
        found = [
            composed(columns(self.rows[output], *self.spans[p]), given[p])
            for p in self.floats
            if given[p] is not None
        ]
        return union(found)

    def settled(self, given: Sequence[Any], count: int, most: int | None) -> list[Any]:
        """The carries after `most` steps, or when they no longer grow."""
        around, others, taken = list(given[:count]), given[count:], 0
        while most is None or taken < most:
            found = [union([around[k], self.reads(k, [*around, *others])]) for k in range(count)]
            if _sizes(found) == _sizes(around):
                break
            around, taken = found, taken + 1
        return around

    def stack(
        self, output: int, fixed: Sequence[Any], across: dict[int, Pattern], length: int
    ) -> Any:
        """An output of all steps, one below the other."""
        same = self.reads(output, fixed)
        rows = np.arange(int(self.outputs[output].size)) + 1
        every = [] if same is None else [rows_at(same, np.tile(rows, length))]
        own = [
            composed(diagonal_blocks(columns(self.rows[output], *self.spans[p]), length), pattern)
            for p, pattern in across.items()
        ]
        return union([*every, *own])


def _any_slice(pattern: Any, kind: ArrayType) -> Any:
    """What some slice along the first axis depends on."""
    if pattern is None:
        return None
    size = math.prod(kind.shape[1:])
    return collected(pattern, np.arange(pattern.height) % max(size, 1), size)


def _sizes(patterns: Sequence[Any]) -> list[int]:
    return [0 if p is None else p.size for p in patterns]


def _width(at: Reach) -> int:
    return int(next(p.width for p in at.patterns if p is not None))
