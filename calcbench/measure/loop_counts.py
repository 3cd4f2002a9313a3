"""What a node that holds graphs takes: a loop its body once a step, a choice its dearer branch.

How often a `while_loop` goes round, and which branch a `cond` takes, depends on values: one trip
and the dearer branch stand for them, and the count is called nominal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from calcbench.graph.arraytype import ArrayType, GraphError
from calcbench.graph.control_loops import derived_graph
from calcbench.graph.control_stretches import upward
from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import byte_size
from calcbench.graph.nodes import Row
from calcbench.measure.operations import Operations
from calcbench.reverse_mode.schedules import fewest_advances


class Inside(Protocol):
    """The cost of a graph that is held."""

    @property
    def graph(self) -> Graph: ...
    @property
    def operations(self) -> Operations: ...
    @property
    def read(self) -> int: ...
    @property
    def written(self) -> int: ...
    @property
    def peak(self) -> int: ...
    @property
    def nominal(self) -> tuple[int, ...]: ...


class Taken(NamedTuple):
    """What a node takes; `inside` are bytes that it holds while it runs, beside its operands."""

    operations: Operations
    read: int
    written: int
    nominal: bool = False
    inside: int = 0


Count = Callable[[Graph], Inside]


def count_control(row: Row, result: ArrayType, params: Mapping[str, Any], count: Count) -> Taken:
    """What a node of a control row takes, its results laid end to end included.

    `count` tells the cost of the graphs in it.

    Raises
    ------
    GraphError
        If the row is none of those declared here.
    """
    if row.name not in HELD:
        raise GraphError(
            f"no count of operations is known for the row {row.name}, which holds graphs; declare "
            "one in calcbench.measure.loop_counts"
        )
    inner, size = HELD[row.name](params, count), byte_size(result)
    packed = Operations(move=result.size)
    return Taken(inner.operations + packed, inner.read + size, inner.written + size, *inner[3:])


def _scan(params: Mapping[str, Any], count: Count) -> Taken:
    """The body once a step."""
    body, steps = count(params["body"].graph), params["length"]
    held = _beside(body, params["carries"]) if steps else 0
    times = body.operations * steps
    return Taken(times, steps * body.read, steps * body.written, bool(body.nominal), held)


def _saving(params: Mapping[str, Any], count: Count) -> Taken:
    """As a scan; the states of its last stretch are laid down twice."""
    found = _scan({k: v for k, v in params.items() if k != "slots"}, count)
    start, stop = upward(params["length"], params["slots"])[-1]
    states = (stop - start) * _bytes(params["body"].inputs[: params["carries"]])
    return found._replace(inside=found.inside + states)


def _reversal(params: Mapping[str, Any], count: Count) -> Taken:
    """The body once for each step that is computed again, and the one down once a step."""
    steps, slots = params["length"], params["slots"]
    again = fewest_advances(steps, slots) - (steps - 1)
    times, bodies = (again, steps), [count(params[name].graph) for name in ("up", "down")]
    carries = params["carries"], params["down_carries"]
    pairs = list(zip(times, bodies, strict=True))
    return Taken(
        sum((found.operations * n for n, found in pairs), Operations()),
        sum(found.read * n for n, found in pairs),
        sum(found.written * n for n, found in pairs),
        any(found.nominal for found in bodies),
        (slots + 1) * _bytes(params["up"].inputs[: params["carries"]])
        + max(_beside(found, c) for found, c in zip(bodies, carries, strict=True)),
    )


def _bytes(kinds: Sequence[ArrayType]) -> int:
    return sum(map(byte_size, kinds))


def _cond(params: Mapping[str, Any], count: Count) -> Taken:
    """The branch of more operations."""
    branches = [count(held.graph) for held in params["branches"]]
    dearer = max(branches, key=lambda found: found.operations.total)
    alike = len({found.operations for found in branches}) == 1
    nominal = not alike or any(found.nominal for found in branches)
    held = max(_beside(found, 0) for found in branches)
    return Taken(dearer.operations, dearer.read, dearer.written, nominal, held)


def _while(params: Mapping[str, Any], count: Count) -> Taken:
    """One trip: the test and the body; then the derivative of a loop of one step, if it is one."""
    body, carries = params["body"], len(params["body"].outputs)
    parts = [(count(params["condition"].graph), carries), (count(body.graph), carries)]
    if params["derived"]:
        parts.append((count(derived_graph(body, params["derived"], 1)), 0))
    costs = [found for found, _ in parts]
    operations = sum((found.operations for found in costs), Operations())
    read, written = sum(found.read for found in costs), sum(found.written for found in costs)
    return Taken(operations, read, written, True, max(_beside(*part) for part in parts))


def _beside(found: Inside, carries: int) -> int:
    """Bytes held beside the operands: of the inputs, only the carries have memory of their own."""
    kinds = [found.graph.types[i] for i in found.graph.inputs[carries:]]
    return found.peak - sum(map(byte_size, kinds))


HELD: dict[str, Callable[[Mapping[str, Any], Count], Taken]] = {
    "scan": _scan,
    "saving_scan": _saving,
    "scan_reversal": _reversal,
    "cond": _cond,
    "while_loop": _while,
}
