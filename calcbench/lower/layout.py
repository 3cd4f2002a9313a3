"""Where the values of a call stand: arguments in order, and parts of one arena in between."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import Lifetime, byte_size, reason
from calcbench.lower.arena import pack, rounded
from calcbench.lower.calls import room_text
from calcbench.lower.compiler import Argument
from calcbench.lower.emission import Names
from calcbench.lower.groups import Group, Planner


Sums = dict[str, tuple[int, str]]  # results of blocks: their number, and dtype


class Layout:
    """Names, offsets and types of all arrays of a program.

    Attributes
    ----------
    names : Names
    arrays : list of int
        Constants that are arrays.
    lives : list of Lifetime
        What lies in the arena, by groups.
    places : dict
        Name to position among the values of a call: inputs, constants, results, the arena.
    sums : dict
        Name to (entries, dtype) of what folds need between ranges, and functions that are called
        work in; behind the arena's values.
    counts_no_references : bool
        Whether parts of the arena are taken as in a loop's body: counting takes 10 ns each.
    further : dict
        Name to array: constants of functions that are called.
    """

    def __init__(self, graph: Graph, plan: Planner, counts_no_references: bool = False) -> None:
        self.graph, self.counts_no_references = graph, counts_no_references
        self.arrays = [i for i in sorted(plan.stored) if plan.kinds[i] == "array"]
        self.names = _names(graph, plan)
        self.claimed = plan.claimed
        given = {*graph.outputs, *graph.inputs, *self.arrays, *plan.variables}
        given |= {*plan.claimed.values(), *plan.apart}
        self.lives = _lives(graph, plan.groups, given)
        self.arena = pack(self.lives)
        self.places = self._places()
        self.sums: Sums = {}
        self.further: dict[str, np.ndarray] = {}

    def further_name(self, array: np.ndarray) -> str:
        """The name of a constant for what the program calls; it stands behind the other values."""
        for name, known in self.further.items():
            if known is array:
                return name
        name = f"L{len(self.further)}"
        self.further[name] = array
        self.places[name] = len(self.places)
        return name

    def _places(self) -> dict[str, int]:
        order = [self.names.stored.get(i, f"unused{i}") for i in self.graph.inputs]
        order += [self.names.stored[i] for i in self.arrays]
        order += [
            self.names.copies.get(p) or self.names.stored[self.claimed.get(i, i)]
            for p, i in enumerate(self.graph.outputs)
        ]
        return {name: k for k, name in enumerate([*order, "arena"])}

    def arguments(self) -> list[Argument]:
        """The types of the values of a call, in order."""
        types = self.graph.types
        given = [Argument(types[i].dtype, types[i].ndim) for i in self.graph.inputs]
        literals = [Argument(types[i].dtype, types[i].ndim) for i in self.arrays]
        results = [Argument(types[i].dtype, types[i].ndim or 1, True) for i in self.graph.outputs]
        return [*given, *literals, *results, Argument(np.dtype(np.float64), 1, True)]

    # --- the arena ----------------------------------------------------------------------------

    @property
    def sums_bytes(self) -> int:
        """What the sums take."""
        return sum(rounded(8 * count) for count, _ in self.sums.values())

    @property
    def words(self) -> int:
        """The length of the arena, sums included, in numbers of 8 bytes."""
        return (self.arena.size + self.sums_bytes + 7) // 8

    def slice_text(self, name: str) -> str:
        """The statement that gives a part of the arena its name."""
        if name in self.sums:
            offset, (count, dtype) = self._sums_offset(name), self.sums[name]
        else:
            kind = self.graph.types[int(name[1:])]
            offset, count, dtype = self.arena.offsets[int(name[1:])], kind.size, kind.dtype.name
        first = offset // 8
        if self.counts_no_references:
            return f"{name} = {room_text('arena', first, count, np.dtype(dtype))}"
        words = -(-count * np.dtype(dtype).itemsize // 8)
        text = f"arena[{first}:{first + words}]"
        if dtype != "float64":
            text += f".view(np.{'bool_' if dtype == 'bool' else dtype})[:{count}]"
        return f"{name} = {text}"

    def _sums_offset(self, name: str) -> int:
        before = list(self.sums)[: list(self.sums).index(name)]
        return self.arena.size + sum(rounded(8 * self.sums[other][0]) for other in before)

    # --- for call-outs ------------------------------------------------------------------------

    def place(self, node: int) -> int:
        """Where the array of a node stands among the values of a call."""
        return self.places.get(self.names.stored[node], self.places["arena"])

    def reader(self, node: int, shaped: int) -> Callable[[Any], Any]:
        """From the value at hand (an argument, or the arena) to the array of a node."""
        kind = self.graph.types[shaped]
        if not kind.size:  # the arena keeps no place for it
            return partial(_empty, kind.shape, kind.dtype)
        if node in self.arena.offsets:
            first, last = self.arena.offsets[node], self.arena.offsets[node] + byte_size(kind)
            return partial(_in_arena, first, last, kind.dtype, kind.shape)
        return partial(_reshaped, kind.shape)


def _empty(shape: Any, dtype: np.dtype, value: Any) -> Any:
    return np.empty(shape, dtype)


def _in_arena(first: int, last: int, dtype: np.dtype, shape: Any, arena: Any) -> Any:
    return arena.view(np.uint8)[first:last].view(dtype).reshape(shape)


def _reshaped(shape: Any, value: Any) -> Any:
    return np.reshape(value, shape)


def _names(graph: Graph, plan: Planner) -> Names:
    """`v3` for a number at hand, `V3` for an array, `OUT0` for a result that is a copy."""
    numbers = {i for i in plan.stored if plan.kinds[i] == "input" and graph.types[i].shape == ()}
    at_hand = numbers | plan.variables
    stored = {i: f"v{i}" if i in at_hand else f"V{i}" for i in plan.stored}
    roots = [root for group in plan.groups for root in group.roots]
    copies = {r.place: f"OUT{r.place}" for r in roots if r.kind == "store" and r.place >= 0}
    return Names(stored, copies)


def _lives(graph: Graph, groups: list[Group], given: set[int]) -> list[Lifetime]:
    """From the group that writes a value to the last that reads it."""
    lives: dict[int, Lifetime] = {}
    for step, group in enumerate(groups):
        for root in group.roots:
            if root.node not in given and root.node not in lives:
                size = byte_size(graph.types[root.node])
                lives[root.node] = Lifetime(root.node, size, step, step, "")
            for node in root.reads:
                if node in lives:
                    why = reason(graph, root.node)
                    lives[node] = lives[node]._replace(last=step, why=why)
    return list(lives.values())
