"""A function at a point: its recordings there and next to it, directions of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from calcbench.forward_mode.kink_rules import rule_of
from calcbench.forward_mode.walking import Answers, State, Walk
from calcbench.graph.arraytype import DerivativeError, DTypeError, ShapeError
from calcbench.graph.control_checkpoints import without_regions
from calcbench.graph.ir import Graph, numpy_meaning
from calcbench.graph.lifting import Value
from calcbench.graph.paths import Arguments, Paths, prepare
from calcbench.graph.tracing import is_static


STEP = 2.0**-20  # how far from the point another branch is looked for, for entries up to 1


class Recording(NamedTuple):
    """A graph, and its inputs at the point itself."""

    graph: Graph
    inputs: list[Any]


class Point:
    """A function with one float array as its result, and the arguments at which it is looked at.

    Attributes
    ----------
    leaves : list of array
        The differentiated arguments.
    size : int
        How many numbers they hold together.
    eps : float
        The spacing of floating-point numbers at 1, in the coarsest of their dtypes.
    here : Recording
        What the function records at the point itself.
    """

    def __init__(self, function: Callable[..., Any], args: Sequence[Any]) -> None:
        self.paths = Paths(function, lambda graph, wanted: None, cache=False)
        arrays = tuple(np.asarray(a) if isinstance(a, list) else a for a in args)
        self.arguments = prepare(arrays, {}, range(len(args)), self.paths.roots)
        for position in self.arguments.wanted:
            _check_leaf(self.arguments.leaves[position], self.arguments.names[position])
        self.leaves = [self.arguments.leaves[p] for p in self.arguments.wanted]
        self.size = sum(int(np.size(leaf)) for leaf in self.leaves)
        if self.size == 0:
            raise DerivativeError("a point holds at least one number, got an empty array")
        self.eps = max(float(np.finfo(leaf.dtype).eps) for leaf in self.leaves)
        self.here = self._record(self.arguments)

    def _record(self, arguments: Arguments) -> Recording:
        """Record at some arguments, with the inputs of the point itself."""
        attempt = next(iter(self.paths.candidates(arguments)))
        graph = without_regions(attempt.path.trace.graph)
        _check_result(graph)
        return Recording(graph, [*self.arguments.arrays, *attempt.captured])

    def beside(self, direction: np.ndarray) -> Recording:
        """What the function records a little way along a direction of all its arguments."""
        longest = np.max(np.abs(direction), initial=0.0) or 1.0
        leaves = list(self.arguments.leaves)
        steps = self.parts(direction / longest)
        for position, step in zip(self.arguments.wanted, steps, strict=True):
            leaf = leaves[position]
            moved = leaf + STEP * np.maximum(1.0, np.abs(leaf)) * step
            leaves[position] = np.asarray(moved, leaf.dtype)[()]
        return self._record(self.arguments._replace(leaves=leaves))

    def value(self) -> Any:
        """The result at the point itself."""
        graph, inputs = self.here
        with np.errstate(all="ignore"):
            return graph.run(inputs, numpy_meaning)[graph.outputs[0]]

    def parts(self, flat: np.ndarray) -> list[Any]:
        """A vector of all numbers as arrays shaped like the arguments."""
        ends = np.cumsum([np.size(leaf) for leaf in self.leaves])[:-1]
        pieces = np.split(flat, ends)
        return [p.reshape(np.shape(leaf)) for p, leaf in zip(pieces, self.leaves, strict=True)]

    def walk(self, recording: Recording, answers: Answers, directions: np.ndarray) -> State:
        """The state of the result for directions of all arguments, (columns, size).

        Raises
        ------
        OffPath
            If the recorded branch is not the one of the piece that the answers choose.
        """
        columns = [self.parts(d) for d in directions]
        seeds = {
            recording.graph.inputs[p]: np.stack([c[i] for c in columns])
            for i, p in enumerate(self.paths.positions(self.arguments))
        }
        state = Walk(recording.graph, answers, rule_of).run(recording.inputs, seeds)
        if not np.all(np.isfinite(state.value)):
            raise DerivativeError(
                f"the function is {state.value} at this point, or on a branch next to it, where a "
                "finite value is expected; use a formula that holds here too, as np.sinc"
            )
        return state


def _check_leaf(leaf: Any, name: str) -> None:
    if isinstance(leaf, Value):
        raise DerivativeError(
            f"argument {name} is being traced: sets and one-sided derivatives are computed from "
            "numbers, outside of other derivatives"
        )
    if is_static(leaf) or leaf.dtype.kind != "f":
        shown = type(leaf).__name__ if is_static(leaf) else leaf.dtype
        raise DTypeError(
            f"argument {name} is {shown}, which carries no derivative; pass floats (3.0, or "
            "x.astype(float)), and close over what is no number"
        )
    if not np.all(np.isfinite(leaf)):
        raise DerivativeError(f"argument {name} is {leaf}; a point is made of finite numbers")


def _check_result(graph: Graph) -> None:
    types = [graph.types[i] for i in graph.outputs]
    if len(types) != 1 or not types[0].is_float:
        raise DerivativeError(
            f"a function with one float result is expected, got ({', '.join(map(str, types))})"
        )


def check_scalar(point: Point) -> None:
    """An error unless the result is one number."""
    kind = point.here.graph.types[point.here.graph.outputs[0]]
    if kind.shape != ():
        raise DerivativeError(
            f"a scalar result is expected, got {kind}; sum it (np.sum) or pick an entry (y[0])"
        )


def direction_of(point: Point, parts: Sequence[Any]) -> np.ndarray:
    """One array per argument as a vector of all numbers, shapes checked."""
    if len(parts) != len(point.leaves):
        raise ShapeError(
            f"{len(point.leaves)} arguments need {len(point.leaves)} directions, got {len(parts)}"
        )
    arrays = [np.asarray(part, float) for part in parts]
    for array, leaf in zip(arrays, point.leaves, strict=True):
        if array.shape != np.shape(leaf):
            raise ShapeError(
                f"a direction has the shape of its argument, {np.shape(leaf)}, got {array.shape}"
            )
        if not np.all(np.isfinite(array)):
            raise DerivativeError(f"a direction is made of finite numbers, got {array}")
    return np.concatenate([np.ravel(a) for a in arrays])
