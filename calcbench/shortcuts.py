"""A short way to a path that was taken before, for calls with arrays and numbers alone."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.conventions import current_convention
from calcbench.graph.paths import Arguments, Path, Paths
from calcbench.graph.trees import LEAF
from calcbench.programs import result_tree


MISS = object()  # what a short way answers when the long one must be taken


class Shortcut(NamedTuple):
    """A path, and the way to it: the results for a call's arguments, or `MISS`."""

    path: Path
    take: Callable[[tuple[Any, ...]], Any]


def shortcut(
    path: Path,
    arguments: Arguments,
    paths: Paths,
    runner: Callable[[Any], Any],
    finish: Callable[[Any], Any],
) -> Shortcut | None:
    """A short way to the path; None if it needs the long one.

    It repeats what the long way checks: types, convention, environment and guards. `runner` takes
    the arguments and what the function captured, `finish` makes the call's result of what it gives.
    """
    structure, kinds, _, convention = arguments.key
    plain = structure[2][0] == (tuple, None, (LEAF,) * len(kinds)) and not structure[2][1][2]
    is_trusted = any(p is path for known in paths.trusted.values() for p in known)
    if not plain or not is_trusted or not all(isinstance(k, tuple) for k in kinds):
        return None
    count, has_numbers = len(kinds), any(shape == () for shape, _ in kinds)
    unchanged = path.environment.is_unchanged
    captures = path.capture_values if path.trace.captures else None

    def take(args: tuple[Any, ...]) -> Any:
        if len(args) != count:
            return MISS
        if has_numbers:
            args = tuple([np.float64(v) if type(v) is float else v for v in args])
        for value, (shape, dtype) in zip(args, kinds):  # noqa: B905 - strict takes longer
            if not shape or type(value) is not np.ndarray:
                if shape or type(value) is not dtype.type:
                    return MISS
            elif (
                value.shape != shape
                or not value.flags.c_contiguous
                or (value.dtype is not dtype and value.dtype != dtype)  # the first is fast
            ):
                return MISS
        if not unchanged() or current_convention() != convention:
            return MISS
        try:
            results = runner([*args, *captures()] if captures else args)
        except Exception:  # a miss, or an error of a branch that is not this call's
            return MISS
        return finish(results)

    return Shortcut(path, take)


def finisher(path: Path) -> Callable[[Any], Any]:
    """What makes the function's result of its leaves."""
    if path.trace.structure == LEAF:
        return itemgetter(0)
    return lambda results: result_tree(path.trace, results)
