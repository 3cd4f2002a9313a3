"""What the CUDA engine would run, read off its compiler and linker: no device, no time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from calcbench.derivatives import trace
from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import byte_size
from calcbench.lower.cuda_emission import CallOut, CudaText, cuda_text
from calcbench.lower.cuda_static import CAPABILITIES, KernelRecord, kernel_records
from calcbench.lower.cuda_words import WIDE
from calcbench.lower.engines import without_guards


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
    """

    records: tuple[KernelRecord, ...]
    moved: tuple[tuple[str, int, int], ...]
    least: int
    device: int
    callouts: tuple[str, ...]

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
            f"{len(self.moved)} launches move {self.total} bytes; inputs and results have "
            f"{self.least}{ratio}. The device holds {self.device} bytes in between.",
            *[f"The host computes {name}, with copies there and back." for name in self.callouts],
            "Read off the compiler and the linker: nothing was run, so no time was taken.",
        ]
        return "\n".join([head, *rows, *last])


def cuda_report(
    function: Callable[..., Any] | Graph,
    *examples: Any,
    capabilities: Sequence[tuple[int, int]] = CAPABILITIES,
) -> CudaReport:
    """The kernels that the CUDA engine makes of a function; works without a device.

    Parameters
    ----------
    function : callable or Graph
        A function of arrays (also one that `cb.grad` returns), or a graph of known sizes.
    *examples : array_like
        Arguments that tell the function's shapes, dtypes and branches.
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
    """
    graph = function if isinstance(function, Graph) else trace(function, *examples)
    text = cuda_text(without_guards(graph), WIDE)
    records = [r for c in capabilities for r in kernel_records(text.source, text.kernels, c)]
    moved = tuple((k.name, k.read, k.written) for k in text.kernels)
    return CudaReport(tuple(records), moved, _least(graph), text.memory.arena, _callouts(text))


def _least(graph: Graph) -> int:
    return sum(byte_size(graph.types[i]) for i in (*graph.inputs, *graph.outputs))


def _callouts(text: CudaText) -> tuple[str, ...]:
    steps = [s for s in text.steps if isinstance(s, CallOut)]
    return tuple(text.graph.place(s.node) for s in steps)
