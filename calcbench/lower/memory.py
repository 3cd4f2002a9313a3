"""What a compiled graph holds in memory: planned, exact and readable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import Lifetime
from calcbench.lower.limits import bytes_left
from calcbench.lower.rooms import forget_idle


LARGE = 1 << 26  # bytes; asking how much memory is free takes 20 to 150 microseconds


class Held(Sequence[Lifetime]):
    """Lifetimes that are worked out when they are first looked at: a program may have millions."""

    def __init__(self, make: Callable[[], tuple[Lifetime, ...]]) -> None:
        self._make = make

    @cached_property
    def _lives(self) -> tuple[Lifetime, ...]:
        return self._make()

    @overload
    def __getitem__(self, place: int) -> Lifetime: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Lifetime]: ...
    def __getitem__(self, place: int | slice) -> Lifetime | Sequence[Lifetime]:
        return self._lives[place]

    def __len__(self) -> int:
        return len(self._lives)

    def __iter__(self) -> Iterator[Lifetime]:
        return iter(self._lives)

    def __repr__(self) -> str:
        return repr(self._lives)


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes of one run, known before it starts.

    Attributes
    ----------
    arena : int
        Bytes of the one block that holds all values in between.
    workspace : int
        Bytes that the kernels need beside it (partial sums, packing).
    inputs, outputs : int
        Bytes of copied inputs, and of the fresh arrays that hold the results.
    program : int
        Bytes of the encoded program: what is run, not what is computed.
    held : sequence of Lifetime
        Every value in the arena: node, bytes, first and last step, and why it is kept.
    callouts : tuple of int
        Nodes computed by NumPy or LAPACK, which allocate for themselves.
    """

    arena: int
    workspace: int = 0
    inputs: int = 0
    outputs: int = 0
    program: int = 0
    held: Sequence[Lifetime] = ()
    callouts: tuple[int, ...] = ()

    @property
    def peak(self) -> int:
        """Bytes that a run allocates: arena, workspace, copied inputs and results."""
        return self.arena + self.workspace + self.inputs + self.outputs

    def __str__(self) -> str:
        lines = [
            f"peak {self.peak} bytes: arena {self.arena}, workspace {self.workspace}, copied "
            f"inputs {self.inputs}, results {self.outputs}; program {self.program}"
        ]
        lines += [
            f"  v{h.node}: {h.size} bytes, steps {h.first}-{h.last}, {h.why}" for h in self.held
        ]
        if self.callouts:
            lines.append(
                f"  NumPy allocates for itself at {', '.join(f'v{n}' for n in self.callouts)}"
            )
        return "\n".join(lines)


def check_budget(plan: MemoryPlan, limit: int | None, graph: Graph) -> None:
    """A MemoryError before anything runs, if the plan takes more than `limit` bytes."""
    if limit is not None and plan.peak > limit:
        raise MemoryError(
            f"this run needs {plan.peak} bytes ({_largest(plan.held, graph)}), and {limit} are "
            "allowed or free; use smaller inputs, float32, a batch in several parts, or, for a "
            "reverse derivative, calcbench.checkpoint(f, slots=k), which keeps fewer values"
        )


def _largest(held: Sequence[Lifetime], graph: Graph) -> str:
    if not held:
        return "inputs and results"
    life = max(held, key=lambda h: h.size)
    return f"the largest value, {graph.place(life.node)}, takes {life.size}"


def check_free(plan: MemoryPlan, graph: Graph) -> None:
    """A MemoryError before a run of `LARGE` bytes or more, if fewer are free than it needs."""
    if plan.peak >= LARGE:
        free = free_bytes()
        if free is not None and plan.peak > free:
            forget_idle()
            free = free_bytes()
        check_budget(plan, free, graph)


def free_bytes() -> int | None:
    """Memory that a run can get now, or None where nothing says.

    The least of what the machine, the containers around this process and its own limits leave.
    """
    return min(bytes_left(), default=None)
