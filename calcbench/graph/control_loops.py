"""The row `while_loop`: a loop that counts its own steps, and its derivatives of any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import BOOL, ArrayType
from calcbench.graph.control_bodies import (
    Body,
    check_operands,
    compute_instead,
    control,
    moving_inputs,
    pack,
    pack_arrays,
    packed_type,
    rewired,
    spread,
    unpack,
    with_further_inputs,
    with_outputs,
)
from calcbench.graph.control_scans import add_scan
from calcbench.graph.control_steps import Operands
from calcbench.graph.evaluation import Plan
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.graph.structural import full, zeros


Transform = Callable[[Graph, Sequence[int]], Graph]
REMEMBERED = 64  # trip counts whose derivative graphs are kept


class Derivation(NamedTuple):
    """One transform of a graph, with respect to some inputs, of some of its outputs."""

    transform: Transform
    wrt: tuple[int, ...]
    outputs: tuple[int, ...]

    def __call__(self, graph: Graph) -> Graph:
        return self.transform(with_outputs(graph, self.outputs), self.wrt)


class While(NamedTuple):
    """The params of a while loop.

    `condition` and `body` have one list of inputs: the carries, then the constants. With `derived`
    the row is not the loop but a derivative of it: the trips are counted, the loop is a scan of
    that length, and the derivations are applied to it in turn; further operands are tangents and
    cotangents. The result is what `keep` names of the outputs, laid end to end.
    """

    condition: Body
    body: Body
    derived: tuple[Derivation, ...]
    keep: tuple[int, ...]

    @property
    def carries(self) -> int:
        """How many values go round."""
        return len(self.body.outputs)

    def graph(self, trips: int) -> Graph:
        """The loop of this many steps, derived."""
        return derived_graph(self.body, self.derived, trips)

    def kept(self) -> list[ArrayType]:
        """The types of what is laid end to end; they do not depend on the trips."""
        graph = self.graph(1)
        return [graph.types[graph.outputs[k]] for k in self.keep]


@lru_cache(maxsize=REMEMBERED)
def derived_graph(body: Body, derived: tuple[Derivation, ...], trips: int) -> Graph:
    """A scan of `trips` steps of the body, derived."""
    builder = Builder()
    graph = body.graph
    named = zip(graph.input_names, graph.inputs, strict=True)
    inputs = [Value(builder, builder.add_new_input(n, graph.types[i])) for n, i in named]
    count = len(body.outputs)
    given = Operands(inputs[:count], [], inputs[count:])
    results = add_scan(graph, given, range(count), trips, reverse=False)
    found = builder.freeze([v.id for v in results])
    for derivation in derived:
        found = derivation(found)
    return found


@lru_cache(maxsize=REMEMBERED)
def _derived_plan(body: Body, derived: tuple[Derivation, ...], trips: int) -> Plan:
    return Plan(derived_graph(body, derived, trips))


def _while_type(*operands: ArrayType, **params: Any) -> ArrayType:
    loop = While(**params)
    body, condition = loop.body, loop.condition
    check_operands("the condition of while_loop", condition.inputs, body.inputs)
    check_operands("the test of while_loop", condition.outputs, [ArrayType((), BOOL)])
    check_operands("the next step of while_loop", body.outputs, body.inputs[: loop.carries])
    graph = loop.graph(1)
    check_operands("while_loop", operands, [graph.types[i] for i in graph.inputs])
    return packed_type("while_loop", loop.kept())


def _while(*operands: Any, **params: Any) -> Any:
    loop = While(**params)
    given = [np.asarray(v)[()] for v in operands]
    primal = given[: len(loop.body.inputs)]
    carry, trips = run_loop(loop.condition, loop.body, primal)
    if not loop.derived:
        return pack_arrays([carry[k] for k in loop.keep])
    results = _derived_plan(loop.body, loop.derived, trips)(*given)
    return pack_arrays([results[k] for k in loop.keep])


def run_loop(condition: Body, body: Body, inputs: Sequence[Any]) -> tuple[list[Any], int]:
    """The last carries, and how many steps it took to reach them."""
    count = len(body.outputs)
    test, step = condition.plan(count), body.plan(count)
    tested, stepped = test.start(inputs[count:]), step.start(inputs[count:])
    carry, trips = list(inputs[:count]), 0
    while test.finish(tested, carry)[0]:
        carry = list(step.finish(stepped, carry))
        trips += 1
    return carry, trips


# --- derivatives -------------------------------------------------------------------------------


def _push_while(
    z: Any, operands: Sequence[Any], tangents: Sequence[Any], push: Transform, **params: Any
) -> Any:
    loop = While(**params)
    if not loop.derived:
        return _pushed_loop(z, loop, operands, tangents, push)
    wrt = tuple(p for p, t in enumerate(tangents) if t is not None)
    steps = [tangents[p] for p in wrt]
    count = len(loop.keep)
    derived = (*loop.derived, Derivation(push, wrt, loop.keep))
    places = tuple(range(count, 2 * count))
    further = loop._replace(derived=derived, keep=places)
    return while_row(*operands, *steps, **further._asdict())


def _pushed_loop(
    z: Any, loop: While, operands: Sequence[Any], tangents: Sequence[Any], push: Transform
) -> Any:
    """One loop carries values and tangents; only the carries that can have tangents get them."""
    graph, count = loop.body.graph, loop.carries
    arriving = {p for p, t in enumerate(tangents) if t is not None}
    moving, reached = moving_inputs(graph, count, arriving)
    if reached.isdisjoint(loop.keep):
        return None
    wrt = sorted(moving)
    steps = {p: zeros(operands[p]) if tangents[p] is None else tangents[p] for p in wrt}
    slots = {p: len(graph.inputs) + rank for rank, p in enumerate(wrt)}
    carried = [p for p in wrt if p < count]
    fixed = [p for p in wrt if p >= count]
    order = [*range(count), *[slots[p] for p in carried]]
    order += [*range(count, len(graph.inputs)), *[slots[p] for p in fixed]]
    floats = [k for k, kind in enumerate(loop.body.outputs) if kind.is_float]
    outputs = [*range(count), *[count + floats.index(k) for k in carried]]
    kinds = [(f"d{p}", loop.body.inputs[p]) for p in wrt]
    test = rewired(with_further_inputs(loop.condition.graph, kinds), order, [0])
    body = Body(rewired(push(graph, wrt), order, outputs))
    given = [*operands[:count], *[steps[p] for p in carried]]
    given += [*operands[count:], *[steps[p] for p in fixed]]
    wanted = [(k, body.outputs[k]) for k in loop.keep]
    wanted += [(count + carried.index(k), body.outputs[k]) for k in loop.keep if k in reached]
    found = spread(while_row, given, wanted, condition=Body(test), body=body, derived=())
    pieces = iter(found[len(loop.keep) :])
    pairs = [(k, loop.body.outputs[k]) for k in loop.keep]
    pushed = pack([next(pieces) if k in reached else full(z, 0, t.shape) for k, t in pairs])
    compute_instead(z, found[: len(loop.keep)], pushed)
    return pushed


def _pull_while(
    z: Any,
    operands: Sequence[Any],
    active: Sequence[bool],
    arrived: Any,
    pull: Transform,
    **params: Any,
) -> list[Any]:
    """Count the trips, then pull back a scan of that length."""
    loop = While(**params)
    wrt = tuple(p for p, flag in enumerate(active) if flag)
    count = len(loop.keep)
    seeds = unpack(arrived, loop.kept())
    derived = (*loop.derived, Derivation(pull, wrt, loop.keep))
    wanted = [*enumerate(loop.kept())]
    wanted += [(count + rank, operands[p].type) for rank, p in enumerate(wrt)]
    params |= {"derived": derived}
    del params["keep"]
    found = spread(while_row, [*operands, *seeds], wanted, **params)
    compute_instead(z, found[:count], found[-1])
    shares = iter(found[count:])
    return [next(shares) if flag else None for flag in active]


while_row = control("while_loop", _while_type, _while, _push_while, _pull_while)
