"""Values and gradients of scalar steps at a point where all is smooth, by one reverse sweep.

With each number goes its size, which times the rounding unit bounds its error to first order.
None stands for what is not decided here: a comparison of equal numbers, a division by zero, a
function at its pole. `calcbench.symbolic.references.germs` decides those from both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from calcbench.symbolic.references.calls import (
    NoDerivativeError,
    call_value,
    number_value,
    partial_steps,
)
from calcbench.symbolic.references.scalar_steps import Budget, Step, Steps
from calcbench.symbolic.references.smooth_steps import EAGER, LAZY, Terms, local_partials


class Sized(NamedTuple):
    """A number and the size of its error, in rounding units."""

    value: Any
    size: Any


class Values(NamedTuple):
    """Of every step its number or truth value, and the partials by its operands.

    A truth value and None, for what is not decided, stand in the place of a number.
    """

    found: list[Any]
    partials: list[list[tuple[int, Sized | None]]]


def values_of(
    steps: Steps,
    bound: Mapping[Any, Any],
    ctx: Any,
    wanted: Sequence[int],
    budget: Budget,
    sized: bool = True,
) -> Values:
    """The values of the steps that `wanted` need; `bound` are the numbers of the inputs, sized.

    Without `sized` the sizes of special functions are left out, as for the partials of partials.
    """
    values = Values([None] * len(steps.steps), [[] for _ in steps.steps])
    for count, index in enumerate(needed_steps(steps, wanted)):
        if count % 64 == 0:
            budget.check()
        step = steps.steps[index]
        if step.kind == "input":
            values.found[index] = bound[step.data]
        elif step.kind == "number":
            value = number_value(step.data, ctx)
            known = value is None or isinstance(value, bool)
            values.found[index] = value if known else Sized(value, abs(value))
        else:
            _evaluate(step, index, values, ctx, budget, sized)
    return values


def needed_steps(steps: Steps, wanted: Iterable[int]) -> list[int]:
    """The steps on which `wanted` depend, in order."""
    marked = bytearray(len(steps.steps))
    for index in wanted:
        marked[index] = 1
    for index in range(len(steps.steps) - 1, -1, -1):
        if marked[index]:
            for operand in steps.steps[index].operands:
                marked[operand] = 1
    return [index for index, flag in enumerate(marked) if flag]


def _evaluate(
    step: Step, index: int, values: Values, ctx: Any, budget: Budget, sized: bool
) -> None:
    """The step's value, its partials, and from them its size."""
    xs = [values.found[i] for i in step.operands]
    value = _value(step, xs, ctx)
    if value is None or isinstance(value, bool | Sized):  # a branch brings its own size
        values.found[index] = value
        values.partials[index] = [(step.operands[p], ONE) for p in _branch_taken(step, xs)]
        return
    partials = _partials(step, xs, value, ctx, budget, sized)
    size = abs(value)
    for position, partial in partials:
        if partial is not None:
            size += abs(partial.value) * xs[position].size
    values.found[index] = Sized(value, size)
    values.partials[index] = [(step.operands[p], partial) for p, partial in partials]


ONE = Sized(1, 0)


def _value(step: Step, xs: list[Any], ctx: Any) -> Any:
    if step.kind in LAZY:
        return LAZY[step.kind](xs)
    if any(x is None for x in xs):
        return None
    if step.kind == "call":
        return call_value(step.data, [x.value for x in xs], ctx)
    return EAGER[step.kind](ctx, *xs)


def _branch_taken(step: Step, xs: list[Any]) -> list[int]:
    """The position of the operand that a step passes on as it is."""
    if step.kind == "guarded":
        return [0]
    if step.kind == "piecewise":
        return [p for p in range(0, len(xs), 2) if xs[p + 1] is not False][:1]
    return []


def _partials(
    step: Step, xs: list[Any], value: Any, ctx: Any, budget: Budget, sized: bool
) -> list[tuple[int, Sized | None]]:
    if step.kind != "call":
        found: Terms = local_partials(step.kind, ctx, value, xs)
        return [(i, p if p is None else Sized(*p)) for i, p in found]
    return [
        (position, _call_partial(step.data, position, xs, ctx, budget, sized))
        for position in range(len(xs))
    ]


def _call_partial(
    template: Any, position: int, xs: list[Any], ctx: Any, budget: Budget, sized: bool
) -> Sized | None:
    """SymPy's derivative at the values; its size needs derivatives once more, and no further."""
    if not sized:
        return None
    try:
        steps, output = partial_steps(template, position)
    except NoDerivativeError:  # an error only where it is asked for
        return None
    values = values_of(steps, dict(enumerate(xs)), ctx, [output], budget, sized=False)
    return values.found[output]  # type: ignore[no-any-return]


# --- gradients ---------------------------------------------------------------------------------


def gradient(
    steps: Steps, values: Values, output: int, wanted: Sequence[int], ctx: Any, budget: Budget
) -> list[Sized] | None:
    """The derivatives of step `output` by the `wanted` inputs.

    None if a derivative on the way is not decided at this point.
    """
    active = _active(steps, wanted)
    totals: dict[int, Sized] = {output: Sized(ctx.one, ctx.zero)}
    for index in range(output, -1, -1):
        total = totals.get(index)
        if total is None or not active[index] or steps.steps[index].kind == "input":
            continue
        if index % 64 == 0:
            budget.check()
        for operand, partial in values.partials[index]:
            if not active[operand]:
                continue
            if partial is None:
                return None
            totals[operand] = _added(totals.get(operand), total, partial)
    nothing = Sized(ctx.zero, ctx.zero)
    return [totals.get(i, nothing) for i in wanted]


def _added(sum_: Sized | None, total: Sized, partial: Sized) -> Sized:
    """sum + total * partial."""
    value = total.value * partial.value
    size = total.size * abs(partial.value) + abs(total.value) * partial.size + abs(value)
    if sum_ is None:
        return Sized(value, size)
    return Sized(sum_.value + value, sum_.size + size)


def _active(steps: Steps, wanted: Sequence[int]) -> bytearray:
    active = bytearray(len(steps.steps))
    for index in wanted:
        active[index] = 1
    for index, step in enumerate(steps.steps):
        if step.kind not in ("detach", "input") and any(active[i] for i in step.operands):
            active[index] = 1
    return active
