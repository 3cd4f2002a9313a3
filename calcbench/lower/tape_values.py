"""The values of a tape: what each node's memory is called, how much there is, and until when."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import Lifetime, reason
from calcbench.graph.nodes import INPUT
from calcbench.lower.arena import ALIGNMENT, WORD, pack, rounded
from calcbench.lower.contractions import factors
from calcbench.lower.tape_columns import Columns
from calcbench.lower.tape_texts import BLOCK


class Values:
    """Keys of values; nodes are their own keys, and room for work and constants follow.

    A value that is one number repeated is held as a block of at most 512 when only elementwise
    rows read it: such an operand does not advance from block to block. Single numbers have a
    region of words of their own, where a word is free again as soon as it is read for the last
    time.

    Attributes
    ----------
    base : array of int
        Per node the node whose memory holds it: reshapes share their operand's.
    home : array of int
        Per node the key of its memory: its base, or a constant.
    last : array of int
        Per base the last step that reads it, which is the reader; `len(graph)` for a result.
    """

    def __init__(self, graph: Graph, columns: Columns) -> None:
        self.graph, self.columns = graph, columns
        self.count = len(graph)
        self.constants: dict[Hashable, int] = {}
        self.arrays: list[tuple[int, np.ndarray]] = []
        self.rooms: list[Lifetime] = []
        self.parts: dict[tuple[int, int], int] = {}
        self.owners: dict[int, int] = {}
        self.base, self.home = self._homes()
        self.last = self._last()
        self.blocks = self._blocks()
        self.held_nodes = np.flatnonzero(columns.used & (self.home == np.arange(len(graph))))

    def key(self, node: int) -> int:
        """The key of a node's memory: reshapes share it, and constants of equal bits."""
        return int(self.home[node])

    def _homes(self) -> tuple[np.ndarray, np.ndarray]:
        base, home = np.arange(self.count), np.arange(self.count)
        for index in self.columns.having(("reshape", "constant", "fill")).tolist():
            node = self.graph.nodes[index]
            if node.row.name == "reshape":
                (operand,) = node.operands
                base[index], home[index] = base[operand], home[operand]
            elif node.row.name == "constant" or self.graph.types[index].size == 1:
                literal: Any = dict(node.params)["value"]
                home[index] = self.constant(literal.array)
        return base, home

    def _last(self) -> np.ndarray:
        """The last readers; readers come in order, so that the last assignment stays."""
        last = np.arange(len(self.graph))
        last[self.base[self.columns.operand]] = self.columns.reader
        for node in self.columns.having(("matmul",)).tolist():  # products look through transposes
            for factor in factors(self.graph, node):
                owner = self.base[factor.node]
                last[owner] = max(last[owner], node)
        last[self.base[list(self.graph.outputs)]] = len(self.graph)
        return last

    def _blocks(self) -> frozenset[int]:
        """The nodes that repeat one number and are read by elementwise rows only."""
        repeated = [
            i for i in self.columns.having(("fill", "broadcast")).tolist() if self._repeats(i)
        ]
        if not repeated:
            return frozenset()
        columns = self.columns
        others = columns.operand[columns.case[columns.reader] < 0]
        return frozenset(repeated).difference(self.graph.outputs, others.tolist())

    def _repeats(self, index: int) -> bool:
        node, types = self.graph.nodes[index], self.graph.types
        if types[index].size == 1:
            return False
        return not node.operands or types[node.operands[0]].size == 1

    def entries(self, node: int) -> int:
        """How many entries of the node are held."""
        size = int(self.graph.types[node].size)
        return min(size, BLOCK) if node in self.blocks else size

    def entry(self, key: int, place: int) -> int:
        """The key of one entry, eight bytes long, of a value."""
        if not place:
            return key
        if (key, place) not in self.parts:
            self.parts[key, place] = self._new_key()
        return self.parts[key, place]

    # --- what takes room ----------------------------------------------------------------------

    def room(self, node: int, entries: int, dtype: np.dtype) -> int:
        """The key of a workspace for the step of `node`."""
        key = self._new_key()
        self.owners[key] = node
        self.rooms.append(Lifetime(key, entries * dtype.itemsize, node, node, "workspace"))
        return key

    def constant(self, array: Any) -> int:
        """The key of a constant; equal bits are held once."""
        array = np.asarray(array)
        number = (array.dtype, array.tobytes())
        if number not in self.constants:
            key = self.constants[number] = self._new_key()
            self.arrays.append((key, array))
        return self.constants[number]

    def _new_key(self) -> int:
        self.count += 1
        return self.count - 1

    # --- where it lies --------------------------------------------------------------------------

    def place(self) -> tuple[np.ndarray, np.ndarray, int]:
        """The word of each key, the constants as words, and the bytes of the arena.

        First come constants, then single numbers, then arrays.
        """
        words = np.zeros(self.count + 1, np.int64)
        sizes = [rounded(array.nbytes) for _, array in self.arrays]
        image = np.zeros(sum(sizes), np.uint8)
        at = 0
        for (key, array), size in zip(self.arrays, sizes, strict=True):
            words[key] = at // WORD
            image[at : at + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
            at += size
        small = self.columns.kind[self.held_nodes] % 2 == 0
        numbers = self.held_nodes[small]
        slots, taken = self._slots(numbers)
        words[numbers] = at // WORD + slots
        end = at + WORD * taken
        arena = pack([self._life(i) for i in self.held_nodes[~small].tolist()] + self.rooms)
        start = -(-end // ALIGNMENT) * ALIGNMENT if arena.size else end
        for key, offset in arena.offsets.items():
            words[key] = (start + offset) // WORD
        for (key, place), part in self.parts.items():
            words[part] = words[key] + place
        return words, image, start + arena.size

    def _slots(self, nodes: np.ndarray) -> tuple[np.ndarray, int]:
        """A word for each of these nodes, in one go from the first event to the last.

        A kernel reads the operands of an elementwise case before it writes: their words are free
        for its result. Elsewhere a result takes its word before its operands give theirs back.
        """
        births = 2 * nodes - 1 + 2 * self.columns.is_scalar[nodes]
        births[np.isin(nodes, self.graph.inputs)] = -1
        count = len(nodes)
        order = np.argsort(np.concatenate([births, 2 * self.last[nodes]]), kind="stable")
        slots, free, taken = [0] * count, [], 0
        for event in order.tolist():
            if event >= count:
                free.append(slots[event - count])
            elif free:
                slots[event] = free.pop()
            else:
                slots[event] = taken
                taken += 1
        return np.array(slots, np.int64), taken

    def _life(self, node: int, why: str = "") -> Lifetime:
        size = self.entries(node) * self.graph.types[node].dtype.itemsize
        first = -1 if self.graph.nodes[node].row is INPUT else node
        return Lifetime(node, size, first, int(self.last[node]), why)

    def held(self) -> tuple[Lifetime, ...]:
        """The lifetimes in order, workspaces under the nodes that need them."""
        lives = [self._life(i, self._why(i)) for i in self.held_nodes.tolist()]
        lives += [room._replace(node=self.owners[room.node]) for room in self.rooms]
        return tuple(sorted(lives, key=lambda life: life.node))

    def _why(self, node: int) -> str:
        last = int(self.last[node])
        return reason(self.graph, -1 if last == len(self.graph) else last)
