"""What each mode does at a problem: its sweeps and operations, or why it is no way of its own."""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from typing import Any, NamedTuple

import numpy as np

from calcbench.compositions import jacobian_program
from calcbench.graph.arraytype import CalcbenchError
from calcbench.graph.control_checkpoints import long_scans
from calcbench.graph.ir import Graph
from calcbench.measure.choosing import ModeChoice, mode_choice
from calcbench.measure.counting import count_graph
from calcbench.measure.reporting import Cost, cost
from calcbench.measure.stages import Recording, record_function
from calcbench.reverse_mode.checkpointing import checkpoint
from calcbench.reverse_mode.rematerialising import Forward


MODES = ("forward", "reverse", "mixed", "checkpointed")
SHORTEST = 4  # steps of a chain worth storing less of: with the root of it, two states are stored
ANYWAY = "slots=k takes it all the same"


class Problem(NamedTuple):
    """A function of one array, the point and the value there, counts and the graph."""

    function: Callable[..., Any]
    x: np.ndarray
    y: np.ndarray
    counts: Cost
    recording: Recording


class ModePlan(NamedTuple):
    """One mode at one problem.

    Attributes
    ----------
    mode : {"forward", "reverse", "mixed", "checkpointed"}
    sweeps : int
        All of them, in both directions; 0 for an elimination.
    operations : int
        Counted, of the whole derivative.
    function : callable
        What is differentiated: with its checkpoints, if the mode has them.
    recording : Recording
        The same as a graph.
    note : str
        What is chosen within the mode.
    missing : str
        Why the mode is no way of its own here; empty if it is one.
    """

    mode: str
    sweeps: int
    operations: int
    function: Callable[..., Any]
    recording: Recording
    note: str = ""
    missing: str = ""

    @property
    def transform(self) -> str:
        """The mode of `calcbench.jacobian` that computes it."""
        return "reverse" if self.mode == "checkpointed" else self.mode


def plan_mode(problem: Problem, mode: str, slots: int | None = None) -> ModePlan:
    """What the mode does.

    Parameters
    ----------
    problem : Problem
    mode : {"forward", "reverse", "mixed", "checkpointed"}
    slots : int, optional
        How many states checkpointing stores; by default the root of the chain's length.
    """
    if mode == "mixed":
        return _mixed(problem)
    if mode == "checkpointed":
        return _checkpointed(problem, slots)
    recording, counts = problem.recording, problem.counts
    sweeps, once = (recording.n, counts.jvp) if mode == "forward" else (recording.m, counts.vjp)
    assert once is not None
    return ModePlan(mode, sweeps, sweeps * once.operations.total, problem.function, recording)


def _missing(problem: Problem, mode: str, why: str) -> ModePlan:
    return ModePlan(mode, 0, 0, problem.function, problem.recording, missing=why)


# --- over a cut, or by elimination ----------------------------------------------------------------


def _mixed(problem: Problem) -> ModePlan:
    recording = problem.recording
    found = mode_choice(recording.graph, (0,))
    if found.mixed_total is None:
        return _missing(
            problem,
            "mixed",
            f"no cut is narrower than both n = {found.n} and m = {found.m}, and elimination of "
            "inner values does not take far fewer operations: it would repeat another mode",
        )
    product = jacobian_program(recording.graph, (0,), "mixed").graph
    operations = count_graph(product).operations.total
    sweeps = 0 if found.elimination is not None or found.cut is None else 2 * found.cut.size
    return ModePlan("mixed", sweeps, operations, problem.function, recording, _over(found))


def _over(found: ModeChoice) -> str:
    if found.elimination is not None:
        return f"elimination of {len(found.elimination.order)} inner values, without sweeps"
    assert found.cut is not None
    k = found.cut.size
    return (
        f"{k} reverse {_sweeps(k)} up to the cut at {found.place}, {k} forward {_sweeps(k)} after "
        "it, and the product of both"
    )


def _sweeps(count: int) -> str:
    return "sweep" if count == 1 else "sweeps"


# --- with few values stored -----------------------------------------------------------------------


def _checkpointed(problem: Problem, slots: int | None) -> ModePlan:
    length = chain_length(problem)
    if slots is None and length < SHORTEST:
        return _missing(
            problem,
            "checkpointed",
            f"the function is no chain of {SHORTEST} steps or more, so that there is nothing to "
            f"store less of; {ANYWAY}",
        )
    stored = slots_for(length) if slots is None else slots
    function = checkpoint(problem.function, slots=stored)
    try:
        recording, once = record_function(function, problem.x), cost(function, problem.x).vjp
    except CalcbenchError as error:
        said = " ".join(str(error).split())
        return _missing(problem, "checkpointed", f"cb.checkpoint does not take it: {said}")
    assert once is not None
    assert problem.counts.vjp is not None
    if slots is None and once.peak >= problem.counts.vjp.peak:
        return _missing(
            problem,
            "checkpointed",
            f"with {stored} of the states of a chain of {length} steps stored it holds {once.peak} "
            f"bytes, and reverse mode {problem.counts.vjp.peak}; {ANYWAY}",
        )
    note = (
        f"{stored} of the states of a chain of {length} steps stored at once: one reverse sweep "
        f"holds {once.peak} bytes, counted, instead of {problem.counts.vjp.peak}"
    )
    operations = recording.m * once.operations.total
    return ModePlan("checkpointed", recording.m, operations, function, recording, note)


def slots_for(length: int) -> int:
    """States to store of a chain: its root, rounded up, so that most steps run twice."""
    return isqrt(max(length - 1, 0)) + 1


def chain_length(problem: Problem) -> int:
    """The steps that `calcbench.checkpoint` schedules: those of the longest scan, or of the chain.

    The chain depends on how many states are stored, because it takes wider states where those
    take fewer bytes.
    """
    graph, counts = problem.recording.graph, problem.counts
    scans = [_length(graph, i) for i in long_scans(graph)]
    if scans or counts.vjp is None:
        return max(scans, default=0)
    forward = Forward(counts.vjp.graph, len(graph.outputs))
    return len(forward.chain(slots_for(len(forward.nodes))).steps)


def _length(graph: Graph, node: int) -> int:
    params: Any = dict(graph.nodes[node].params)
    return int(params["length"])
