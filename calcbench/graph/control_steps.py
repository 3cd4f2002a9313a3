"""Loops of known length as params and operands of a node, and what they do in NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.control_bodies import Body, is_read, live_carries, rewired
from calcbench.graph.ir import Graph


class Loop(NamedTuple):
    """The params of a scan.

    The body's inputs are `carries` carries, one slice of each of `scanned` arrays, and constants;
    its outputs are the next carries, then what is stacked, one value a step. The operands stand in
    the order of the inputs. The result is what `keep` names of the last carries and the stacks,
    laid end to end.
    """

    body: Body
    carries: int
    keep: tuple[int, ...]
    length: int
    reverse: bool
    scanned: int

    @property
    def first_constant(self) -> int:
        """The position of the first operand that is the same in every step."""
        return self.carries + self.scanned

    def stacked(self, kind: ArrayType) -> ArrayType:
        """The type of one value of type `kind` per step."""
        return ArrayType((self.length, *kind.shape), kind.dtype)

    def results(self) -> list[ArrayType]:
        """The types of the last carries and the stacks."""
        outputs, count = self.body.outputs, self.carries
        return outputs[:count] + [self.stacked(t) for t in outputs[count:]]

    def kept(self) -> list[ArrayType]:
        """The types of what is laid end to end."""
        results = self.results()
        return [results[k] for k in self.keep]


class Operands(NamedTuple):
    """The operands of a scan by their kinds."""

    carry: Sequence[Any]
    scanned: Sequence[Any]
    constants: Sequence[Any]

    @staticmethod
    def of(loop: Loop, operands: Sequence[Any]) -> Operands:
        """The operands of a scan node."""
        count, first = loop.carries, loop.first_constant
        return Operands(operands[:count], operands[count:first], operands[first:])


class Reduced(NamedTuple):
    """A loop without the carries and operands on which nothing wanted depends.

    Attributes
    ----------
    loop : Loop
    inputs : list of int
        Which of the operands it takes, in its order.
    place : dict
        Where among its results those of the whole loop are.
    """

    loop: Loop
    inputs: list[int]
    place: dict[int, int]

    @staticmethod
    def of(
        graph: Graph, carries: int, scanned: int, wanted: Iterable[int], length: int, reverse: bool
    ) -> Reduced:
        """The loop around `graph` for the `wanted` results; it keeps nothing yet."""
        chosen = list(wanted)
        live = live_carries(graph, carries, chosen)
        outputs = [*live, *[k for k in chosen if k >= carries]]
        reads = is_read(graph, outputs)
        inputs = [*live, *[p for p, read in enumerate(reads) if read and p >= carries]]
        loop = Loop(
            Body(rewired(graph, inputs, outputs)),
            carries=len(live),
            keep=(),
            length=length,
            reverse=reverse,
            scanned=sum(carries <= p < carries + scanned for p in inputs),
        )
        return Reduced(loop, inputs, {k: rank for rank, k in enumerate(outputs)})


def run_scan(
    loop: Loop, operands: Sequence[Any], into: Mapping[int, Any] | None = None
) -> dict[int, Any]:
    """What the loop keeps: the NumPy calls of the body, once a step.

    Stacks are written `into` arrays, where these are given.
    """
    count = loop.carries
    plan = loop.body.plan(loop.first_constant)
    values = plan.start([np.asarray(v)[()] for v in operands[loop.first_constant :]])
    carry = [np.asarray(v)[()] for v in operands[:count]]
    across = operands[count : loop.first_constant]
    types = loop.results()
    stacks = {k: np.empty(types[k].shape, types[k].dtype) for k in loop.keep if k >= count}
    stacks |= into or {}
    for step in range(loop.length)[:: -1 if loop.reverse else 1]:
        results = plan.finish(values, [*carry, *[v[step] for v in across]])
        carry = list(results[:count])
        for k, stack in stacks.items():
            stack[step] = results[k]
    return {k: stacks[k] if k >= count else carry[k] for k in loop.keep}
