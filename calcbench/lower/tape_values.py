"""The values of a tape: what each node's memory is called, how much there is, and until when."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from calcbench.graph.ir import Graph, reachable
from calcbench.graph.lifetimes import Lifetime, last_readers, reason
from calcbench.graph.nodes import INPUT
from calcbench.graph.structural import broadcast, fill, reshape
from calcbench.lower.arena import pack, rounded
from calcbench.lower.contractions import factors
from calcbench.lower.groups import base
from calcbench.lower.tape_texts import BLOCK
from calcbench.lower.texts import is_elementwise


class Values:
    """Keys of values; nodes are their own keys, and room for work and constants follow.

    A value that is one number repeated is held as a block of at most 512 when only elementwise
    rows read it: such an operand does not advance from block to block.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.used = list(reachable(graph.nodes, graph.outputs))
        self.count = len(graph)
        self.first: dict[int, int] = {}  # nodes that are one constant number, to its key
        self.last, self.readers = self._last()
        self.blocks = self._blocks()
        self.constants: dict[Hashable, int] = {}
        self.arrays: list[tuple[int, np.ndarray]] = []
        self.lives: list[Lifetime] = []
        self.owners: dict[int, int] = {}

    def key(self, node: int) -> int:
        """The key of a node's memory: reshapes share it, and so do fills of one entry."""
        found = base(self.graph, node)
        return self.first.get(found, found)

    def _last(self) -> tuple[dict[int, int], dict[int, int]]:
        """The last readers, those of a reshape being readers of what it shares."""
        last, reader = last_readers(self.graph)
        ends: dict[int, int] = {}
        whose: dict[int, int] = {}
        for node in self.used:
            owner = base(self.graph, node)
            step, by = last[node], reader[node]
            if step >= ends.get(owner, -1):
                ends[owner], whose[owner] = step, by
        for node in self.used:  # products look through transposes
            if self.graph.nodes[node].row.name == "matmul":
                for factor in factors(self.graph, node):
                    owner = base(self.graph, factor.node)
                    if node > ends[owner]:
                        ends[owner], whose[owner] = node, node
        return ends, whose

    def _blocks(self) -> set[int]:
        """The nodes that repeat one number and are read by elementwise rows only."""
        repeated = {i for i in self.used if self._repeats(i)} - set(self.graph.outputs)
        for index in self.used:
            node = self.graph.nodes[index]
            if not is_elementwise(node.row) and node.row.name != "convert":
                repeated.difference_update(node.operands)
        return repeated

    def _repeats(self, index: int) -> bool:
        node, types = self.graph.nodes[index], self.graph.types
        if types[index].size == 1:
            return False
        return node.row is fill or (node.row is broadcast and types[node.operands[0]].size == 1)

    def entries(self, node: int) -> int:
        """How many entries of the node are held."""
        size = int(self.graph.types[node].size)
        return min(size, BLOCK) if node in self.blocks else size

    # --- what takes room ----------------------------------------------------------------------

    def hold(self, node: int) -> None:
        """Room for a node's value."""
        if self.graph.nodes[node].row is reshape:
            return
        first = -1 if self.graph.nodes[node].row is INPUT else node
        size = self.entries(node) * self.graph.types[node].dtype.itemsize
        why = reason(self.graph, self.readers[node])
        self.lives.append(Lifetime(node, size, first, self.last[node], why))

    def room(self, node: int, entries: int, dtype: np.dtype) -> int:
        """The key of a workspace for the step of `node`."""
        key = self._new_key()
        self.owners[key] = node
        size = entries * dtype.itemsize
        self.lives.append(Lifetime(key, size, node, node, "workspace"))
        return key

    def constant(self, array: Any) -> int:
        """The key of a constant; equal bits are held once."""
        array = np.asarray(array)
        number = (array.dtype.str, array.tobytes())
        if number not in self.constants:
            key = self.constants[number] = self._new_key()
            self.arrays.append((key, array))
        return self.constants[number]

    def _new_key(self) -> int:
        self.count += 1
        return self.count - 1

    # --- where it lies --------------------------------------------------------------------------

    def place(self) -> tuple[np.ndarray, np.ndarray, int]:
        """The word of each key, the constants as words, and the bytes of the arena."""
        words = np.zeros(self.count + 1, np.int64)
        sizes = [rounded(array.nbytes) for _, array in self.arrays]
        start = -(-sum(sizes) // 64) * 64
        image = np.zeros(start, np.uint8)
        at = 0
        for (key, array), size in zip(self.arrays, sizes, strict=True):
            words[key] = at // 8
            image[at : at + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
            at += size
        arena = pack(self.lives)
        for key, offset in arena.offsets.items():
            words[key] = (start + offset) // 8
        return words, image, start + arena.size

    def held(self) -> tuple[Lifetime, ...]:
        """The lifetimes, workspaces under the nodes that need them."""
        return tuple(h._replace(node=self.owners.get(h.node, h.node)) for h in self.lives)
