"""The kernel of a graph of one point, and the bytes that it holds and moves."""

from __future__ import annotations

from dataclasses import dataclass

from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import Lifetime, byte_size
from calcbench.lower.cuda_kernels import Kernel
from calcbench.lower.cuda_words import WIDE, Widths
from calcbench.lower.memory import MemoryPlan


VIEWS = {"float64": "F8", "float32": "F4", "int64": "I8", "bool": "B1"}
BLOCK = 128  # threads of a block: enough to hide latencies, few enough for small batches
MOST_ARENA = 1 << 28  # bytes of the arena of all threads: fewer threads keep a device busy as well
EDGE = 256  # bytes; where the part of each dtype in the arena begins


def width(dtype: str) -> int:
    """The bytes of an item."""
    return {"float32": 4, "bool": 1}.get(dtype, 8)


@dataclass(frozen=True)
class PointText:
    """The kernel of a graph of one point.

    Attributes
    ----------
    graph : Graph
        Where there are guards, its last output says whether all hold.
    shared : int
        How many of the last inputs all points share.
    kernel : Kernel
        Its parameters: the number of points, then arrays.
    arrays : dict
        Parameter to the node of an input or constant, or (as -1 - place) to the result it holds.
    entries : dict
        Dtype to entries of the arena for one thread.
    fails : bool
        Whether a point may stop on a position outside; the array ``FINE`` says which did not.
    held : tuple of Lifetime
    source, simulated : str
    """

    graph: Graph
    shared: int
    kernel: Kernel
    arrays: dict[str, int]
    entries: dict[str, int]
    fails: bool
    guarded: bool
    held: tuple[Lifetime, ...]
    source: str
    simulated: str

    def arena(self, threads: int) -> dict[str, tuple[int, int]]:
        """For each dtype the first and the last byte of its part for so many threads."""
        parts, start = {}, 0
        for dtype, entries in self.entries.items():
            size = entries * width(dtype) * threads
            parts[dtype] = (start, start + size)
            start += -(-size // EDGE) * EDGE
        return parts

    def threads(self, count: int, widths: Widths = WIDE) -> int:
        """How many threads a batch of `count` points takes: whole blocks."""
        block = min(BLOCK, widths.threads)
        each = max(self.memory(1, 1).arena, 1) * block
        wanted = min(-(-count // block), widths.blocks, MOST_ARENA // each)
        return block * max(1, wanted)

    def memory(self, count: int, threads: int) -> MemoryPlan:
        """Bytes on the device for a batch of `count` points."""
        types, graph = self.graph.types, self.graph
        split = len(graph.inputs) - self.shared
        inputs = [byte_size(types[i]) * count for i in graph.inputs[:split]]
        inputs += [byte_size(types[i]) for i in graph.inputs[split:]]
        constants = [i for i in self.arrays.values() if i >= 0 and i not in graph.inputs]
        flags = count if self.fails else 0
        return MemoryPlan(
            arena=max([end for _, end in self.arena(threads).values()], default=0),
            workspace=sum(byte_size(types[i]) for i in constants),
            inputs=sum(inputs),
            outputs=sum(byte_size(types[i]) for i in graph.outputs) * count + flags,
            held=self.held,
        )

    def moved(self, count: int) -> tuple[int, int]:
        """Bytes that a launch reads and writes: each array once, those in between once each way."""
        plan, between = self.memory(count, 1), count * sum(h.size for h in self.held)
        return plan.inputs + plan.workspace + between, plan.outputs + between
