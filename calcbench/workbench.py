"""One derivative computed every way, side by side: seconds, operations and bytes of each mode."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from calcbench.compilation import compile as compile_graph
from calcbench.graph.arraytype import DerivativeError, GraphError
from calcbench.measure.bounds import (
    Bound,
    forward_memory,
    forward_time,
    reverse_memory,
    reverse_operations,
    reverse_time,
)
from calcbench.measure.device_columns import DeviceColumns, device_columns, has_device
from calcbench.measure.fusion import FusionSaving, fusion_saving
from calcbench.measure.mode_plans import MODES, ModePlan, Problem, plan_mode
from calcbench.measure.mode_records import Comparison, ModeRecord
from calcbench.measure.preconditions import checked_point, checked_value
from calcbench.measure.reporting import cost
from calcbench.measure.resident import resident_peak
from calcbench.measure.stages import (
    DIRECT,
    FUNCTION,
    Recording,
    plan_of_sweep,
    prepare_way,
    record_function,
    staged,
)
from calcbench.measure.timing import Stages, Timing, check_budget, time_calls
from calcbench.measure.ways import (
    Call,
    Function,
    Key,
    check_agreement,
    check_values,
    movement,
    one_direction,
    ways_to,
)


ENGINES = ("numpy", "tape", "fused", "cuda")
ONE = "one direction"


def compare_modes(
    function: Function,
    *args: Any,
    engines: Sequence[str] = ("tape", "fused"),
    modes: Sequence[str] = MODES,
    slots: int | None = None,
    budget: float = 2.0,
    resident: bool = False,
) -> Comparison:
    """Compute the derivative by the first argument every way, check that all agree, and time them.

    Parameters
    ----------
    function : callable
        A function of float arrays with one array as its result.
    *args : array_like
        The point; the derivative is by the first.
    engines : sequence of {"numpy", "tape", "fused", "cuda"}
        ``tape`` brings the direct sweeps along. ``cuda`` adds the kernels of each mode (registers,
        spills, bytes), which are compiled without a device; times are taken where there is one.
    modes : sequence of {"forward", "reverse", "mixed", "checkpointed"}
        Forward: one sweep an input. Reverse: one sweep an output. Mixed: as `jacobian` takes it,
        over a cut or by elimination. Checkpointed: reverse mode of `checkpoint`, which stores few
        states and computes the others again. Where a mode would only repeat another one, the table
        has no numbers for it, and the reason is told.
    slots : int, optional
        How many states checkpointing stores; by default the root of the length of the chain.
    budget : float
        Seconds to spend on timing, once every way has been taken five times.
    resident : bool
        Whether every way is also run once in a process of its own, a few seconds each, to measure
        its resident peak beside the predicted one. Linux alone lets a process measure that;
        elsewhere the report says so. CUDA ways are left out.

    Returns
    -------
    Comparison
        Printed, a table with a recommendation.

    Raises
    ------
    GraphError, ScheduleError
        If a mode or engine is unknown, or none is left; if the budget or the number of slots is no
        positive number; if the point or the result has no entries, or the result is not one array.
    DTypeError
        If the point holds no floats.
    DerivativeError
        If the function is not finite or not differentiable there, gives another value when it is
        called again, or two ways disagree: then nothing is timed.

    Notes
    -----
    Times are of warm calls in turns. The first call is timed apart, step by step: recording,
    transforming, compiling (or reading from disk what was compiled before) and the first run.

    Three numbers say how much memory a way takes. What the allocator gave out in one more warm
    call, so that counting it slows no other; memory kept from call to call is not in it. The
    predicted peak, which is that of the plan of the engine. The resident peak of one run in a fresh
    process, less what the process held before the run, inputs and compiled code among it. The last
    two are flagged where they are more than 10 % apart for more than 1 MiB.

    Of the direct sweeps on the tape it is judged whether reverse accumulation of a scalar takes at
    most 5 times the function and memory in proportion to its operations, and forward accumulation
    at most n sweeps and memory that does not grow with operations (Griewank & Walther 2008,
    chapters 3 and 4). Fused loops take less than the theory of single operations says: what they
    save is said apart.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> found = cb.compare_modes(
    ...     lambda x: np.sum(np.sin(x) * x), np.ones(50), engines=["numpy"], budget=0.01
    ... )
    >>> [(r.mode, r.sweeps) for r in found.records]
    [('forward', 50), ('reverse', 1)]
    """
    _check("mode", modes, MODES)
    _check("engine", engines, ENGINES)
    check_budget(budget)
    if slots is not None and "checkpointed" not in modes:
        raise GraphError(f"slots={slots!r} is for the mode 'checkpointed', which is not asked for")
    if not callable(function):
        raise GraphError(
            f"compare_modes takes a function and then its arguments, got {function!r:.60} first: "
            "compare_modes(f, x), not compare_modes(f(x))"
        )
    x = checked_point(args)

    def of_first(first: Any) -> Any:
        return function(first, *args[1:])

    y = checked_value(of_first, x)
    counts = cost(of_first, x)
    if counts.jvp is None or counts.vjp is None:
        raise DerivativeError(f"there is nothing to differentiate: {counts.without}")
    problem = Problem(of_first, x, y, counts, record_function(of_first, x))
    plans = [plan_mode(problem, mode, slots) for mode in dict.fromkeys(modes)]
    taken = {plan.mode: plan for plan in plans if not plan.missing}
    found = _compared(problem, taken, [e for e in engines if e != "cuda" or has_device()], budget)
    if resident:
        measured = tuple(_measured(r, taken[r.mode]) for r in found.records)
        found = replace(found, records=measured)
    if "cuda" in engines:
        found = replace(found, devices=tuple(map(_columns, taken.values())))
    missing = {plan.mode: plan.missing for plan in plans if plan.missing}
    return replace(found, missing=missing)


def _check(what: str, asked: Sequence[str], known: Sequence[str]) -> None:
    unknown = [a for a in asked if a not in known]
    if unknown or not asked:
        raise GraphError(
            f"{what}s are one or several of {', '.join(known)}, got {', '.join(asked) or 'none'}"
        )


def _columns(plan: ModePlan) -> DeviceColumns:
    return device_columns(plan.recording, plan.transform)._replace(mode=plan.mode)


def _compared(
    problem: Problem, plans: Mapping[str, ModePlan], engines: Sequence[str], budget: float
) -> Comparison:
    """All ways on these engines, checked, then timed."""
    function, x, y, counts, recording = problem
    ways = ways_to([*plans.values()], x, engines)
    alone = {(FUNCTION, e): partial(compile_graph(function, engine=e), x) for e in engines}
    made = {key: _made(plans[key[0]].recording, plans[key[0]].transform, key[1]) for key in ways}
    made |= {key: _made(recording, *key) for key in alone}
    derivatives = {key: way() for key, way in ways.items()}
    check_agreement(derivatives)
    moved = max((movement(d, x) for d in derivatives.values()), default=0.0)
    check_values(y, {engine: call() for (_, engine), call in alone.items()}, moved)
    del derivatives
    extra = {(ONE, DIRECT): one_direction(function, x)} if ("forward", DIRECT) in ways else {}
    timings = _timed(ways | alone | extra, made, budget)
    return Comparison(
        x.size,
        y.size,
        tuple(_record(plans[key[0]], key, way, timings, made) for key, way in ways.items()),
        {engine: timings[mode, engine] for mode, engine in alone},
        counts,
        tuple(_bounds(problem, timings, made)),
        {mode: way.saving for (mode, _), way in made.items() if mode != FUNCTION and way.saving},
        chosen={mode: plan.note for mode, plan in plans.items() if plan.note},
    )


class _Made(NamedTuple):
    """What is known of a way once it has been made and run step by step."""

    stages: Stages
    predicted: int
    note: str
    saving: FusionSaving | None


def _made(recording: Recording, mode: str, engine: str) -> _Made:
    way = prepare_way(recording, mode, engine)
    stages = staged(recording, way)
    saving = fusion_saving(way.graph) if engine == "fused" and way.graph is not None else None
    return _Made(stages, way.predicted, way.note, saving)


def _timed(calls: dict[Key, Call], made: dict[Key, _Made], budget: float) -> dict[Key, Timing]:
    """All calls in turns, with the stages of those that were made step by step."""
    firsts = {"/".join(key): way.stages.total for key, way in made.items()}
    found = time_calls({"/".join(key): call for key, call in calls.items()}, budget, firsts)
    stages = {key: made[key].stages if key in made else None for key in calls}
    return {key: replace(found["/".join(key)], stages=stages[key]) for key in calls}


def _record(
    plan: ModePlan,
    key: Key,
    way: Call,
    timings: Mapping[Key, Timing],
    made: Mapping[Key, _Made],
) -> ModeRecord:
    return ModeRecord(
        *key,
        plan.sweeps,
        timings[key],
        plan.operations,
        _allocated(way),
        made[key].predicted,
        None,
        made[key].note,
    )


def _measured(record: ModeRecord, plan: ModePlan) -> ModeRecord:
    """The record with its resident peak."""
    if record.engine == "cuda":
        return record
    return replace(record, resident=resident_peak(plan.recording, plan.transform, record.engine))


def _bounds(
    problem: Problem, timings: Mapping[Key, Timing], made: Mapping[Key, _Made]
) -> Iterator[Bound]:
    """What theory says of the direct sweeps that were taken."""
    if ("forward", DIRECT) in timings:
        yield from _forward_bounds(problem, timings, made[FUNCTION, "tape"].predicted)
    if ("reverse", DIRECT) in timings:
        yield from _reverse_bounds(problem, timings)


def _forward_bounds(problem: Problem, timings: Mapping[Key, Timing], held: int) -> Iterator[Bound]:
    one, n = timings[ONE, DIRECT].median, problem.recording.n
    if n > 1:
        yield forward_time(timings["forward", DIRECT].median, one, n)
    yield forward_memory(plan_of_sweep(problem.recording, "forward").peak, held)


def _reverse_bounds(problem: Problem, timings: Mapping[Key, Timing]) -> Iterator[Bound]:
    recording, counts = problem.recording, problem.counts
    counted = reverse_operations(counts)
    if recording.m == 1 and counted is not None:
        yield counted
        function = timings[FUNCTION, "tape"].median
        yield reverse_time(timings["reverse", DIRECT].median, function)
    held = plan_of_sweep(recording, "reverse").peak
    yield reverse_memory(held, counts.function.operations.total, recording.n)


def _allocated(call: Call) -> int:
    """The most bytes that a call takes at once, by the allocator."""
    is_ours = not tracemalloc.is_tracing()
    if is_ours:
        tracemalloc.start()  # what is garbage now is not traced, and does not count
    else:
        gc.collect()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        result = call()
        peak = tracemalloc.get_traced_memory()[1]
        del result
    finally:
        if is_ours:
            tracemalloc.stop()
    return int(peak - before)
