"""Random points at which an expression is real, and comparisons there with stated certainty."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from calcbench.symbolic.derivations.interval_functions import NoValue
from calcbench.symbolic.derivations.intervals import Intervals, Known
from calcbench.symbolic.derivations.scalar_trees import Tree


Point = dict[str, Fraction]
# Where functions of one kind or another are real: near 1, negative, below 1, above 1, large.
RANGES = ((0.1, 2.0), (-8.0, -0.1), (-2.0, 2.0), (0.05, 0.95), (1.1, 4.0), (2.0, 30.0))
DENOMINATORS = (8, 9973)  # short numbers to look at, and a prime, to hit no special place


def random_points(names: Sequence[str], seed_text: str, count: int) -> Iterator[Point]:
    """Points with a coordinate for each name, the same for the same text."""
    rng = random.Random(zlib.crc32(seed_text.encode("utf-8", "surrogatepass")))
    for attempt in range(count):
        low, high = RANGES[attempt // 2 % len(RANGES)]
        parts = DENOMINATORS[attempt % 2]
        yield {name: Fraction(round(rng.uniform(low, high) * parts), parts) for name in names}


def value_or_none(
    intervals: Intervals, tree: Tree, point: Point, known: Known | None = None
) -> Any:
    """The interval of the value, or None where there is none."""
    try:
        return intervals.value(tree, point, known)
    except NoValue:
        return None


def format_point(point: Mapping[str, Fraction]) -> str:
    """``x = 3/7, y = 2``."""
    return ", ".join(f"{name} = {value}" for name, value in point.items())
