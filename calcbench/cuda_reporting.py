"""What the CUDA engine would run, read off its compiler and linker: no device, no time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from calcbench.batches import batch_count
from calcbench.compilation import Compiled
from calcbench.derivatives import trace
from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.arraytype import GraphError
from calcbench.graph.batching import batched
from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import byte_size
from calcbench.graph.paths import Arguments, prepare
from calcbench.graph.tracing import is_static
from calcbench.graph.trees import map_leaves
from calcbench.lanes import block_width
from calcbench.lower.cuda_emission import CallOut, CudaText, cuda_text
from calcbench.lower.cuda_point_emission import misfit, point_text
from calcbench.lower.cuda_static import CAPABILITIES, Capability, KernelRecord, kernel_records
from calcbench.lower.cuda_sweeps import sweep_on_paper
from calcbench.lower.cuda_words import WIDE
from calcbench.lower.engines import without_guards
from calcbench.lower.sweep_kinds import is_straight
from calcbench.reverse_mode.pullback import vjp_graph
from calcbench.sweep_points import shared_last


@dataclass(frozen=True)
class CudaReport:
    """The kernels of one graph, and the bytes that they move.

    Attributes
    ----------
    records : tuple of KernelRecord
        Registers, spills, stack and shared memory: per kernel and compute capability.
    moved : tuple of (str, int, int)
        Per kernel its name and the bytes that it reads and writes, each array counted once.
    least : int
        Bytes of the inputs and results: what any program must move.
    device : int
        Bytes of values in between that the device holds.
    callouts : tuple of str
        Rows that the host computes, with copies there and back.
    note : str
        How a batch is run: one thread a point, or why not.
    """

    records: tuple[KernelRecord, ...]
    moved: tuple[tuple[str, int, int], ...]
    least: int
    device: int
    callouts: tuple[str, ...]
    note: str = ""

    @property
    def total(self) -> int:
        """Bytes that all kernels move."""
        return sum(read + written for _, read, written in self.moved)

    @property
    def spills(self) -> bool:
        """Whether a kernel keeps registers in memory, for any compute capability."""
        return any(record.spills for record in self.records)

    def __str__(self) -> str:
        head = f"{'kernel':<12}{'capability':>11}{'registers':>10}{'spills':>8}"
        head += f"{'stack':>7}{'shared':>8}"
        rows = [
            f"{r.kernel:<12}{'.'.join(map(str, r.capability)):>11}{r.registers:>10}"
            f"{r.spill_stores + r.spill_loads:>8}{r.stack:>7}{r.shared:>8}"
            for r in self.records
        ]
        ratio = f" ({self.total / self.least:.2f} times as many)" if self.least else ""
        last = [
            *filter(None, [self.note]),
            f"{_launches(len(self.moved))} {self.total} bytes; inputs and results have "
            f"{self.least}{ratio}. The device holds {self.device} bytes in between.",
            *[f"The host computes {name}, with copies there and back." for name in self.callouts],
            "Read off the compiler and the linker: nothing was run, so no time was taken.",
        ]
        return "\n".join([head, *rows, *last])


def cuda_report(
    function: Callable[..., Any] | Graph,
    *examples: Any,
    batch: bool = False,
    sweep: str | None = None,
    capabilities: Sequence[Capability] = CAPABILITIES,
) -> CudaReport:
    """The kernels that the CUDA engine makes of a function; works without a device.

    Parameters
    ----------
    function : callable or Graph
        A function of arrays (also one that `cb.grad` or `cb.compile` returns), or a graph of known
        sizes.
    *examples : array_like
        Arguments that tell the function's shapes, dtypes and branches.
    batch : bool
        Whether the examples are those of ``cb.compile(function, engine="cuda").batch``: arrays
        whose first axis is the point. The kernel is that of the path of the first point.
    sweep : {"forward", "reverse"}, optional
        Whether the examples are those of `forward_sweep` (in one direction) or `reverse_sweep` with
        ``engine="cuda", batch=True``. Their kernels know the steps of all programs, and take half a
        minute and more to compile for each compute capability.
    capabilities : sequence of (int, int)
        The compute capabilities to make machine code for; 7.5, 8.0, 9.0 and 10.0 by default.

    Returns
    -------
    CudaReport
        Printed, a table of registers, spills and shared memory, and the bytes moved.

    Raises
    ------
    NoToolkitError
        If ``calcbench[cuda]`` is not installed.
    EngineError
        If a kernel cannot be compiled.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> print(cb.cuda_report(np.sin, np.ones(1000)))  # doctest: +SKIP
    >>> slope = cb.grad(lambda x: np.sum(x**3))
    >>> print(cb.cuda_report(slope, np.ones((1000, 4)), batch=True))  # doctest: +SKIP
    """
    if isinstance(function, Compiled):  # what it compiles; its engine may be missing here
        function = function.function
    if sweep is not None:
        return _sweep_report(function, examples, sweep, capabilities)
    if batch:
        return _batch_report(function, examples, capabilities)
    graph = function if isinstance(function, Graph) else trace(function, *examples)
    return _report(graph, capabilities)


def _report(graph: Graph, capabilities: Sequence[Capability], note: str = "") -> CudaReport:
    """The kernels of one graph."""
    text = cuda_text(without_guards(graph), WIDE)
    records = [r for c in capabilities for r in kernel_records(text.source, text.kernels, c)]
    moved = tuple((k.name, k.read, k.written) for k in text.kernels)
    callouts = _callouts(text)
    return CudaReport(tuple(records), moved, _least(graph), text.memory.arena, callouts, note)


def _batch_report(
    function: Callable[..., Any] | Graph, examples: Sequence[Any], capabilities: Any
) -> CudaReport:
    """What runs a function at many points."""
    graph, whole = _of_one_point(function, examples)
    shared = len(graph.inputs) - len(whole.arrays)
    return _points_report(graph, batch_count(whole), shared, capabilities)


def _of_one_point(
    function: Callable[..., Any] | Graph, examples: Sequence[Any]
) -> tuple[Graph, Arguments]:
    """The graph of the first point, and the arguments of all."""
    whole = prepare(tuple(examples), {}, ())
    points = [map_leaves(_first, example) for example in examples]
    return function if isinstance(function, Graph) else trace(function, *points), whole


def _sweep_report(
    function: Callable[..., Any] | Graph, examples: Sequence[Any], mode: str, capabilities: Any
) -> CudaReport:
    """The kernel of a direct sweep, or those of the transformed graph."""
    if mode not in ("forward", "reverse"):
        raise GraphError(f"sweep must be 'forward' or 'reverse', got {mode!r}")
    graph, whole = _of_one_point(function, examples)
    count, own = batch_count(whole), len(whole.arrays)
    wanted = [p for p in range(own) if graph.types[graph.inputs[p]].is_float]
    if not is_straight(graph):
        transformed = (jvp_graph if mode == "forward" else vjp_graph)(graph, wanted)
        shared = len(graph.inputs) - own
        ordered = shared_last(transformed, len(graph.inputs), shared)
        return _points_report(ordered, count, shared, capabilities)
    program = sweep_on_paper(graph, wanted, mode)
    source, kernel = program.source, program.kernel
    records = [r for c in capabilities for r in kernel_records(source, [kernel], c)]
    read, written, least = program.moved(count, 1)
    arena = program.memory(count, program.extra(1)).arena
    note = f"One thread sweeps a point; the batch has {count}."
    moved = ((kernel.name, read, written),)
    return CudaReport(tuple(records), moved, least, arena, (), note)


def _points_report(graph: Graph, count: int, shared: int, capabilities: Any) -> CudaReport:
    """The kernel in which each thread runs a point, or those of the batched graph."""
    reason = misfit(graph)
    if reason:
        width = block_width(graph, count)
        first = len(graph.inputs) - shared
        wide = batched(graph, width, range(first, len(graph.inputs)))
        note = f"The batched graph of {width} points at a time is run: {reason}."
        return _report(wide, capabilities, note)
    text = point_text(graph, shared)
    records = [r for c in capabilities for r in kernel_records(text.source, [text.kernel], c)]
    plan = text.memory(count, text.threads(count))
    note = f"One thread runs a point; the batch has {count}."
    moved = ((text.kernel.name, *text.moved(count)),)
    least = plan.inputs + plan.outputs
    return CudaReport(tuple(records), moved, least, plan.arena, (), note)


def _first(leaf: Any) -> Any:
    return leaf if is_static(leaf) else np.asarray(leaf)[0]


def _launches(count: int) -> str:
    return "1 launch moves" if count == 1 else f"{count} launches move"


def _least(graph: Graph) -> int:
    return sum(byte_size(graph.types[i]) for i in (*graph.inputs, *graph.outputs))


def _callouts(text: CudaText) -> tuple[str, ...]:
    steps = [s for s in text.steps if isinstance(s, CallOut)]
    return tuple(text.graph.place(s.node) for s in steps)
