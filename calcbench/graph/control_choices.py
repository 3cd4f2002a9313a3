"""The row `cond`: one of two graphs, chosen by a truth value, and its two derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from calcbench.graph.arraytype import BOOL, ArrayType
from calcbench.graph.control_bodies import (
    Body,
    check_operands,
    compute_instead,
    control,
    pack,
    pack_arrays,
    packed_type,
    spread,
    unpack,
    with_outputs,
)
from calcbench.graph.ir import Graph


Transform = Callable[[Graph, Sequence[int]], Graph]

# The operands are the truth value, then the inputs of both branches. The result is what `keep`
# names of a branch's outputs, laid end to end.


def _cond_type(
    *operands: ArrayType, branches: tuple[Body, Body], keep: tuple[int, ...]
) -> ArrayType:
    taken, other = branches
    check_operands("cond", operands, [ArrayType((), BOOL), *taken.inputs])
    check_operands("the other branch of cond", other.inputs, taken.inputs)
    check_operands("the result of cond", other.outputs, taken.outputs)
    return packed_type("cond", [taken.outputs[k] for k in keep])


def _cond(chosen: Any, *operands: Any, branches: tuple[Body, Body], keep: tuple[int, ...]) -> Any:
    body = branches[0] if np.asarray(chosen)[()] else branches[1]
    results = body.plan(len(operands))(*[np.asarray(v)[()] for v in operands])
    return pack_arrays([results[k] for k in keep])


def _push_cond(
    z: Any,
    operands: Sequence[Any],
    tangents: Sequence[Any],
    push: Transform,
    *,
    branches: tuple[Body, Body],
    keep: tuple[int, ...],
) -> Any:
    """The same choice between the pushed branches."""
    wrt = [p for p, t in enumerate(tangents[1:]) if t is not None]
    pushed = tuple(Body(push(with_outputs(b.graph, keep), wrt)) for b in branches)
    steps = [t for t in tangents[1:] if t is not None]
    kinds = [branches[0].outputs[k] for k in keep]
    found = spread(cond_row, [*operands, *steps], enumerate([*kinds, *kinds]), branches=pushed)
    tangent = pack(found[len(keep) :])
    compute_instead(z, found[: len(keep)], tangent)
    return tangent


def _pull_cond(
    z: Any,
    operands: Sequence[Any],
    active: Sequence[bool],
    arrived: Any,
    pull: Transform,
    *,
    branches: tuple[Body, Body],
    keep: tuple[int, ...],
) -> list[Any]:
    """The same choice between the pulled branches."""
    wrt = [p for p, flag in enumerate(active[1:]) if flag]
    pulled = tuple(Body(pull(with_outputs(b.graph, keep), wrt)) for b in branches)
    seeds = unpack(arrived, [branches[0].outputs[k] for k in keep])
    kinds = [*[v.type for v in seeds], *[branches[0].inputs[p] for p in wrt]]
    found = spread(cond_row, [*operands, *seeds], enumerate(kinds), branches=pulled)
    compute_instead(z, found[: len(keep)], found[-1])
    shares = iter(found[len(keep) :])
    return [None, *[next(shares) if flag else None for flag in active[1:]]]


cond_row = control("cond", _cond_type, _cond, _push_cond, _pull_cond)
