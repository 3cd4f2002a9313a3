"""Nodes to few loops: which values are stored, and which are computed in one pass.

A root is a value that must end in an array: a result, an operand of a matrix product or of a
call-out, a reduction, or a value that would otherwise be computed again too often. Everything else
is computed where it is read, at the index at which it is read. Roots over one index space share a
loop unless one needs all of another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from calcbench.graph.ir import Graph, reachable
from calcbench.graph.structural import concatenate, reshape
from calcbench.lower.bodies import Body
from calcbench.lower.contractions import factors
from calcbench.lower.costs import operation_cost
from calcbench.lower.indexing import Index, Part, symbol
from calcbench.lower.node_kinds import node_kind
from calcbench.lower.results_apart import claimed_outputs, results_apart
from calcbench.lower.texts import is_elementwise


LOOPS = ("store", "fold", "piece", "blank")
RECOMPUTED = 16  # cheap operations that cost less than storing and loading a value
MOST_STATEMENTS = 150  # of one loop that takes roots in: more spill registers


@dataclass
class Root:
    """One value that a loop stores: all entries of `value`, into the array of `node`.

    Attributes
    ----------
    kind : {"store", "fold", "piece", "blank", "scan", "scatter", "product", "callout", "result"}
        A blank writes a number everywhere; a result is written by the call-out before it.
    node, value : int
        Whose array is written, and whose entries are (equal in a plain store).
    place : int
        The position of the operand that a piece writes, or of the output that a copy writes.
    space : tuple of int
        The extents of the loops: the shape of `value` without ones.
    axes : tuple of int
        The axes of `space` that a fold runs over.
    reads : dict
        Node to whether it is read only where the loop stands.
    statements : set of str
        Names of what its loop body computes; roots of one loop compute what they share once.
    """

    kind: str
    node: int
    value: int
    place: int = -1
    space: tuple[int, ...] = ()
    axes: tuple[int, ...] = ()
    reads: dict[int, bool] = field(default_factory=dict)
    statements: set[str] = field(default_factory=set)


@dataclass
class Group:
    """Roots that are computed in one pass."""

    roots: list[Root]

    @property
    def kind(self) -> str:
        """What the pass is: a loop, or one of the others."""
        kind = self.roots[0].kind
        return "loop" if kind in LOOPS else kind

    @property
    def space(self) -> tuple[int, ...]:
        """The extents of the loops."""
        return self.roots[0].space

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes over which the folds of the group run; none without folds."""
        return next((r.axes for r in self.roots if r.kind == "fold"), ())

    def takes(self, root: Root) -> bool:
        """Whether the root may share the loop, by its shape."""
        loops = self.kind == "loop" and root.kind in LOOPS
        if not loops or self.space != root.space:
            return False
        if self.axes and root.kind == "fold" and root.axes != self.axes:
            return False
        both = root.statements.union(*[r.statements for r in self.roots])
        return not self.space or len(both) <= MOST_STATEMENTS


def without_ones(shape: Iterable[Any]) -> tuple[int, ...]:
    """The extents other than 1."""
    return tuple(n for n in shape if n != 1)


def identity(space: tuple[int, ...]) -> Index:
    """The index at which a loop over the space stands."""
    return tuple(Part(n, symbol(f"i{k}")) for k, n in enumerate(space))


def full_ranges(space: tuple[int, ...]) -> dict[str, tuple[int, int]]:
    """The range of each loop index."""
    return {f"i{k}": (0, n - 1) for k, n in enumerate(space)}


def base(graph: Graph, node: int) -> int:
    """The node whose array holds the value: reshapes share it."""
    while graph.nodes[node].row is reshape:
        node = graph.nodes[node].operands[0]
    return node


class Planner:
    """Chooses roots, then groups; `groups` is the result, in order of execution.

    With `variables`, a value of one entry that loops read, or that several passes read, is computed
    once, in straight-line code, and is a variable there: `variables` holds those nodes. `apart`
    then says which call-outs write their results one by one, and `claimed` which outputs share the
    array of a call-out.
    """

    def __init__(self, graph: Graph, variables: bool = False) -> None:
        self.graph = graph
        self.has_variables = variables
        self.variables: set[int] = set()
        self.used = list(reachable(graph.nodes, graph.outputs))
        self.kinds = {i: node_kind(graph, i) for i in self.used}
        self.apart = results_apart(graph, self.used) if variables else {}
        for results in self.apart.values():
            self.kinds.update(dict.fromkeys(results.values(), "result"))
        self.claimed = self._claimed() if variables else {}
        self.levels = self._levels()
        self.costs: dict[int, int] = self._costs()
        self.roots: list[Root] = []
        self.opened: dict[int, int] = {}  # epoch to the first group in which it may run
        self.stored: set[int] = {i for i in self.used if self.kinds[i] in ("input", "array")}
        self._choose()
        self.groups = self._grouped()

    def _claimed(self) -> dict[int, int]:
        called = {i for i, kind in self.kinds.items() if kind in ("callout", "result")}
        return claimed_outputs(self.graph, called - set(self.apart))

    # --- costs and levels ---------------------------------------------------------------------

    def _levels(self) -> dict[int, int]:
        """How many passes must end before a value can be computed."""
        levels: dict[int, int] = {}
        for i in self.used:
            ends = [
                levels[o] + (self.kinds[o] not in ("pure", "input", "array"))
                for o in self.graph.nodes[i].operands
            ]
            levels[i] = max(ends, default=0)
        return levels

    def _costs(self) -> dict[int, int]:
        """Operations to compute one entry from what is surely stored, at most 1000."""
        costs: dict[int, int] = {}
        for i in self.used:
            node = self.graph.nodes[i]
            below = sum(costs[o] for o in node.operands) if self.kinds[i] == "pure" else 0
            costs[i] = min(1000, below + operation_cost(node.row))
        return costs

    # --- roots --------------------------------------------------------------------------------

    def _choose(self) -> None:
        """From results to inputs: a node that is read in several places may become a root."""
        forced = self._forced()
        readers: dict[int, set[tuple[Any, Index]]] = {}
        for i in reversed(self.used):
            kind, places = self.kinds[i], readers.pop(i, set())
            if kind in ("input", "array"):
                continue
            if kind != "pure":
                self._add(self._special(i), readers)
            elif i in forced:
                self._add([Root("store", i, i)], readers)
            elif self._is_variable(i, places) or self._too_often(i, len(places)):
                if self.has_variables and self.graph.types[i].size == 1:
                    self.variables.add(i)
                self._add([Root("store", i, i)], readers)
            else:
                for space, index in places:
                    self._pass_on(space, i, index, readers)
        self.stored -= set(self.apart)
        self.roots.sort(key=lambda root: (root.node, root.kind != "blank", root.place))
        self._add_copies()

    def _forced(self) -> set[int]:
        """Values that others need as arrays."""
        forced = set(self.graph.outputs) - set(self.claimed)
        for i in self.used:
            if self.kinds[i] == "product":
                forced |= {base(self.graph, f.node) for f in factors(self.graph, i)}
            elif self.kinds[i] == "callout":
                forced |= {base(self.graph, o) for o in self.graph.nodes[i].operands}
        return forced

    def _too_often(self, node: int, places: int) -> bool:
        """Whether to store a computed value; of one that only moved, the source is stored."""
        computes = self.graph.nodes[node].row.scalar is not None
        return computes and (places - 1) * self.costs[node] > RECOMPUTED

    def _is_variable(self, node: int, places: set[tuple[Any, Index]]) -> bool:
        """Whether a loop reads a value of one entry: it would be computed for each of its parts."""
        computes = self.graph.nodes[node].row.scalar is not None
        dear = computes and self.graph.types[node].size == 1 and self.costs[node] > RECOMPUTED
        return self.has_variables and dear and any(shape for (shape, _), _ in places)

    def _special(self, node: int) -> list[Root]:
        kind, operands = self.kinds[node], self.graph.nodes[node].operands
        blank = [Root("blank", node, node)]
        if 0 in self.graph.types[operands[0]].shape and kind in ("fold", "product", "scatter"):
            return blank
        if kind == "piece":
            rest = [Root("piece", node, o, k) for k, o in enumerate(operands)]
            rest = [r for r in rest if self.graph.types[r.value].size]
            return rest if self.graph.nodes[node].row is concatenate else blank + rest
        if kind == "fold":
            return [self._fold(node, operands[0])]
        return [*blank, Root(kind, node, node)] if kind == "scatter" else [Root(kind, node, node)]

    def _fold(self, node: int, operand: int) -> Root:
        axes: Any = dict(self.graph.nodes[node].params)["axes"]
        long = [a for a, n in enumerate(self.graph.types[operand].shape) if n != 1]
        found = tuple(sorted(long.index(a) for a in axes if a in long))
        return Root("fold", node, operand, axes=found) if found else Root("piece", node, operand, 0)

    def _add(self, roots: list[Root], readers: dict[int, set[tuple[Any, Index]]]) -> None:
        for root in roots:
            root.space = without_ones(self.graph.types[root.value].shape)
            self.stored.add(root.node)
            self.roots.append(root)
            if root.kind in ("product", "callout", "result", "blank") or 0 in root.space:
                continue
            for value in self._values(root):
                # A store reads below its own node; everything else reads its operand.
                space = (without_ones(self.graph.types[value].shape), self.levels[value])
                index = identity(space[0])
                if root.kind == "store":
                    self._pass_on(space, value, index, readers)
                else:
                    readers.setdefault(value, set()).add((space, index))

    def _values(self, root: Root) -> tuple[int, ...]:
        if root.kind in ("scan", "scatter"):
            return self.graph.nodes[root.node].operands
        return (root.value,)

    def _pass_on(
        self, space: Any, node: int, index: Index, readers: dict[int, set[tuple[Any, Index]]]
    ) -> None:
        if is_elementwise(self.graph.nodes[node].row):
            for operand in self.graph.nodes[node].operands:
                readers.setdefault(operand, set()).add((space, index))
            return
        body = Body(self.graph, lambda _: None, full_ranges(space[0]), guarded=True, divides=True)
        for name, part in {s: p for p in index for s, _ in p.at.terms}.items():
            body.ranges.setdefault(name, (0, max(part.extent - 1, 0)))
        if self.graph.types[node].size:
            for operand, at in body.needs(node, index):
                readers.setdefault(operand, set()).add((space, at))

    def _add_copies(self) -> None:
        """Results that are inputs, constants or given before are copies."""
        given: set[int] = set()
        for position, i in enumerate(self.graph.outputs):
            if i in given or self.kinds[i] in ("input", "array"):
                root = Root("store", i, i, position)
                root.space = without_ones(self.graph.types[i].shape)
                self.roots.append(root)
            given.add(i)

    # --- groups -------------------------------------------------------------------------------

    def _grouped(self) -> list[Group]:
        groups: list[Group] = []
        home: dict[int, list[int]] = {}
        for root in self.roots:
            if not self.graph.types[root.node].size:
                continue
            self._inspect(root)
            place = self._place(root, groups, home)
            if place == len(groups):
                groups.append(Group([root]))
            else:
                groups[place].roots.append(root)
            if not (root.kind == "store" and root.place >= 0):
                home.setdefault(root.node, []).append(place)
        return groups

    def _place(self, root: Root, groups: list[Group], home: dict[int, list[int]]) -> int:
        """The first group that can take the root: all it reads is ready, or made beside it.

        What is computed again to save memory is not computed sooner.
        """
        if root.kind == "result":
            return home[self.graph.nodes[root.node].operands[0]][0]
        epoch = self.graph.nodes[root.node].epoch
        first = self.opened.setdefault(epoch, len(groups)) if epoch else 0
        for node, beside in root.reads.items():
            for place in home.get(node, []):
                forwarded = beside and self._forwards(groups[place], node)
                first = max(first, place if forwarded else place + 1)
        for place in range(first, len(groups)):
            if groups[place].takes(root):
                return place
        return len(groups)

    def _forwards(self, group: Group, node: int) -> bool:
        return any(r.node == node and r.kind == "store" for r in group.roots)

    def _inspect(self, root: Root) -> None:
        """What the root reads, and how large its loop body is."""
        if root.kind in ("blank", "result"):
            return
        if root.kind in ("piece", "scatter"):  # after the blank
            root.reads[root.node] = False
        if root.kind in ("product", "callout"):
            wanted = self.graph.nodes[root.node].operands
            if root.kind == "product":
                wanted = tuple(f.node for f in factors(self.graph, root.node))
            root.reads = {base(self.graph, o): False for o in wanted}
            return
        for value in self._values(root):
            self._inspect_value(root, value)

    def _inspect_value(self, root: Root, value: int) -> None:
        space = without_ones(self.graph.types[value].shape)
        if 0 in space:
            return
        own = root.value if root.kind == "store" and root.place < 0 else -1
        body = Body(
            self.graph,
            lambda i: None if i == own else "V" if i in self.stored else None,
            full_ranges(space),
            guarded=True,
            divides=True,
        )
        body.value(value, identity(space))
        root.statements |= {s.name for s in body.statements}
        for node, index in body.loads:
            here = index == identity(space)
            root.reads[node] = root.reads.get(node, True) and here
