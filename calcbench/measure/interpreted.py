"""The most bytes that the interpreter holds at once: its calls followed without making them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from calcbench.graph.evaluation import Plan, Step
from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import byte_size


# Rows whose NumPy function returns a view of its first operand.
VIEWS = frozenset(["reshape", "transpose", "slice", "broadcast", "flip", "diagonal", "detach"])
# Elementwise rows that make other arrays on the way: how many, in sizes of the result.
ON_THE_WAY = {
    "larger_share": 1.13,
    "lgamma": 3.13,
    "polygamma": 4.13,
    "sech": 2.0,
    "sigmoid": 2.0,
    "sign_at": 1.13,
    "sinc": 2.0,
    "sinc_derivative": 9.38,
    "softplus": 1.0,
}


def interpreted_peak(plan: Plan, seeds: int, sweeps: int = 1, row: int = 0) -> int:
    """Bytes of `sweeps` sweeps over one point beside the point itself.

    Parameters
    ----------
    plan : Plan
    seeds : int
        Bytes of all seeds together.
    sweeps : int
        How often the part after the seeds runs.
    row : int
        Bytes of the result of one sweep; the rows are kept, and then copied into one array. If 0,
        the results of one run are all there is.

    Returns
    -------
    int
        What sorting, linear algebra and the like take while they compute is not in it.
    """
    held = _Held(plan.graph)
    first = held.after(plan.first)
    state = held.bytes
    last = state + seeds + (sweeps - 1) * row
    second = held.after(plan.second) - state
    copied = held.bytes - state + held.copies(plan)
    return max(first, last + max(second, copied), state + seeds + 2 * sweeps * row)


class _Held:
    """The memory blocks that values lie in, and how many values each has."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.home = {i: i for i in graph.inputs}  # the caller's, or held before
        self.sizes: dict[int, int] = {}
        self.values: Counter[int] = Counter()

    @property
    def bytes(self) -> int:
        """What all blocks take now."""
        return sum(size for block, size in self.sizes.items() if self.values[block] > 0)

    def after(self, steps: Sequence[Step]) -> int:
        """Make the calls; the most bytes on the way."""
        now = most = self.bytes
        for step in steps:
            now += self._made(step)
            most = max(most, now + self._on_the_way(step))
            now -= sum(self._dropped(slot) for slot in step.dead)
        return most

    def _made(self, step: Step) -> int:
        """The bytes that the result of a call adds."""
        if step.out >= len(self.graph) and step.operands == (step.node,):
            return 0  # a guard
        if step.out >= len(self.graph) or self._is_view(step.node):
            block, size = self.home.get(step.operands[0], step.operands[0]), 0
        else:
            block, size = step.out, byte_size(self.graph.types[step.node])
            self.sizes[block] = size
        self.home[step.out] = block
        self.values[block] += 1
        return size

    def _on_the_way(self, step: Step) -> int:
        """Bytes that the call gives back before it returns."""
        times = ON_THE_WAY.get(self.graph.nodes[step.node].row.name, 0.0)
        return int(times * byte_size(self.graph.types[step.node]))

    def _is_view(self, node: int) -> bool:
        return self.graph.nodes[node].row.name in VIEWS

    def _dropped(self, slot: int) -> int:
        """The bytes that are free once a value is gone."""
        block = self.home.pop(slot, slot)
        self.values[block] -= 1
        return self.sizes.get(block, 0) if self.values[block] == 0 else 0

    def copies(self, plan: Plan) -> int:
        """The bytes of results that are copied, as they would share memory otherwise."""
        given: set[int] = set()
        total = 0
        for index in self.graph.outputs:
            own = index in plan.owned and not self._is_view(index) and index not in given
            given.add(index)
            total += 0 if own else byte_size(self.graph.types[index])
        return total
