"""A vjp graph that computes values again instead of keeping them until the sweep downward.

What computes the function's results stays as it is. A node of the sweep that reads another of its
values is given a copy, computed again where it is needed. Copies live in epochs of their own, so
that value numbering, rewriting and fusion never merge them back; they are the same operations on
the same values, so every result keeps its bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from calcbench.graph.ir import Builder, Graph, reachable
from calcbench.graph.lifetimes import byte_size
from calcbench.graph.nodes import INPUT, Node, Origin
from calcbench.graph.rewriting import prune
from calcbench.reverse_mode.schedules import binomial_schedule


WIDEST = 4  # values of one state


class Forward:
    """The part of a vjp graph that computes the results of the function, as a chain of steps.

    Attributes
    ----------
    nodes : list of int
        In order, without what depends on no input and is there at any time.
    free : set of int
        Values that a sweep may read without keeping them: inputs, constants and results.
    """

    def __init__(self, graph: Graph, results: int) -> None:
        self.graph = graph
        given = frozenset(graph.outputs[:results])
        above = reachable(graph.nodes, graph.outputs[:results])
        moving = _dependent(graph)
        self.nodes = [i for i in above if i in moving and graph.nodes[i].row is not INPUT]
        self.free = set(graph.inputs) | (set(range(len(graph))) - moving) | given
        self._computed = frozenset(self.nodes) - self.free

    @cached_property
    def _chains(self) -> list[Chain]:
        return [Chain.of(self, width) for width in range(1, WIDEST + 1)]

    def chain(self, slots: int) -> Chain:
        """The chain whose states and steps take the fewest bytes with so many states stored."""
        return min(self._chains, key=lambda chain: chain.bytes(slots))

    def missing(self, wanted: Sequence[int], there: Mapping[int, int]) -> list[int]:
        """The nodes to compute, in order, for `wanted`, from values that are `there` or free."""
        pending, found = list(wanted), set()
        while pending:
            i = pending.pop()
            if i in self._computed and i not in there and i not in found:
                found.add(i)
                pending += self.graph.nodes[i].operands
        return sorted(found)


@dataclass(frozen=True)
class Chain:
    """A graph cut into steps.

    Attributes
    ----------
    states : list of tuple of int
        Before each step but the first: all that this step and later ones read of earlier ones.
    steps : list of list of int
        The nodes of each step.
    available : dict
        Per node the last step at which it is at hand, or computed in the step.
    """

    graph: Graph
    states: list[tuple[int, ...]]
    steps: list[list[int]]
    available: dict[int, int]

    @staticmethod
    def of(forward: Forward, width: int) -> Chain:
        """Cut wherever at most `width` values are still to be read."""
        graph, last = forward.graph, _last_readers(forward)
        states: list[tuple[int, ...]] = []
        steps: list[list[int]] = [[]]
        available: dict[int, int] = {}
        live: dict[int, int] = {}
        for i in forward.nodes:
            steps[-1].append(i)
            available[i] = len(states)
            if last.get(i, i) > i:
                live[i] = last[i]
            for o in {*graph.nodes[i].operands} & live.keys():
                if live[o] == i:
                    del live[o]
            if 0 < len(live) <= width and live.keys() != {*(states[-1] if states else ())}:
                states.append(tuple(live))
                steps.append([])
                available |= dict.fromkeys(live, len(states))
        return Chain(graph, states, steps, available)

    def bytes(self, slots: int) -> int:
        """Roughly what the stored states and the values of one step take."""
        sizes = [self._size(state) for state in self.states]
        stored = max(sizes, default=0) * min(slots, len(sizes))
        return stored + max(map(self._size, self.steps))

    def _size(self, nodes: Sequence[int]) -> int:
        return sum(byte_size(self.graph.types[i]) for i in nodes)


def _last_readers(forward: Forward) -> dict[int, int]:
    """Per value that must be kept for it, the last node that reads it on the way to the results."""
    return {
        o: i
        for i in forward.nodes
        for o in forward.graph.nodes[i].operands
        if o not in forward.free
    }


def _dependent(graph: Graph) -> set[int]:
    """The nodes that depend on an input."""
    found = set(graph.inputs)
    for index, node in enumerate(graph.nodes):
        if not found.isdisjoint(node.operands):
            found.add(index)
    return found


class Writer:
    """The new graph: the values, then the sweep, with copies of values in between.

    Attributes
    ----------
    there : dict
        Node of the old graph to a copy that may be read now.
    available : mapping
        Per node the last step at which it is at hand; empty if steps do not matter.
    """

    def __init__(self, forward: Forward, available: Mapping[int, int]) -> None:
        graph = forward.graph
        self.graph, self.forward, self.available = graph, forward, available
        self.builder = Builder()
        self.epoch = max((node.epoch for node in graph.nodes), default=0)
        self.there: dict[int, int] = {}
        self.new: dict[int, int] = {}
        for index in [*sorted(forward.free - set(forward.nodes)), *forward.nodes]:
            self._write(index)
        self.later = [i for i in range(len(graph)) if i not in self.new]
        self.position = 0

    def start(self, there: Mapping[int, int]) -> None:
        """A new epoch, with these copies."""
        self.epoch += 1
        self.there = dict(there)

    def advance(self, state: Sequence[int]) -> None:
        """Compute a state from what is there, and forget what was computed on the way."""
        self._compute(state)
        self.start({i: self.there[i] for i in state})

    def sweep(self, step: int) -> None:
        """The nodes of the sweep up to the first that reads a value of an earlier step."""
        while self.position < len(self.later):
            index = self.later[self.position]
            operands = self.graph.nodes[index].operands
            if any(self._first_step(i) < step for i in operands):
                return
            self._compute(operands)
            self._write(index)
            self.position += 1

    def graph_written(self) -> Graph:
        """The new graph, pruned."""
        self.builder.inputs = [self.new[i] for i in self.graph.inputs]
        return prune(self.builder.freeze([self.new[i] for i in self.graph.outputs]))

    def _first_step(self, index: int) -> float:
        return math.inf if index in self.forward.free else self.available.get(index, math.inf)

    def _compute(self, wanted: Sequence[int]) -> None:
        for i in self.forward.missing(wanted, self.there):
            node = self.graph.nodes[i]
            operands = tuple(self.there.get(o, self.new[o]) for o in node.operands)
            copied = Node(node.row, operands, node.params, self.epoch)
            self.there[i] = self.builder.add_typed(copied, self.graph.types[i], self._origin(i))

    def _write(self, index: int) -> None:
        node = self.graph.nodes[index]
        operands = tuple(self.there.get(o, self.new[o]) for o in node.operands)
        moved = node.with_operands(operands)
        kind = self.graph.types[index]
        self.new[index] = self.builder.add_typed(moved, kind, self._origin(index))

    def _origin(self, index: int) -> Origin:
        return self.graph.origins[index] if self.graph.origins else None


def binomially(forward: Forward, slots: int) -> Graph:
    """The vjp graph with at most `slots` states of the chain stored at once.

    Parameters
    ----------
    forward : Forward
        What computes the results in the vjp graph.
    slots : int
        Stored states, the inputs among them.

    Returns
    -------
    Graph
        The same function, with the same bits.
    """
    chain = forward.chain(slots)
    writer = Writer(forward, chain.available)
    writer.there = {i: writer.new[i] for i in forward.nodes}
    held: dict[int, dict[int, int]] = {0: {}}
    is_turned = False
    for kind, start, stop, slot in binomial_schedule(len(chain.steps), slots):
        if kind == "restore":
            writer.start(held[slot])
        elif kind == "store":
            held[slot] = {i: writer.there[i] for i in chain.states[stop - 1]}
        elif kind == "reverse":
            writer.sweep(start)
            is_turned = True
        elif is_turned:  # on the way up the values are there
            writer.advance(chain.states[stop - 1])
    writer.sweep(-1)
    return writer.graph_written()


def keeping(forward: Forward, kept: Iterable[int]) -> Graph:
    """The vjp graph in which only `kept` values are stored, and others computed again once."""
    writer = Writer(forward, {})
    writer.start({i: writer.new[i] for i in kept})
    writer.sweep(-1)
    return writer.graph_written()
