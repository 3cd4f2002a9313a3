"""Groups to readable source text: one function a loop, one statement a node.

`v17` is an entry of node 17 of the printed graph (`v17_1` the same at another index) and `V17` the
array of all of them.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from calcbench.graph.ir import Graph
from calcbench.lower.bodies import Body, Mixed, Statement
from calcbench.lower.folds import neutral_text
from calcbench.lower.groups import Group, Root, full_ranges, identity
from calcbench.lower.indexing import Affine, Index, NeedsDivision
from calcbench.lower.loops import Box, Loop, charge, volume
from calcbench.lower.places import place
from calcbench.lower.reductions import BLOCK
from calcbench.lower.targets import Target


MOST_BOXES = 40
Ends = tuple[str, str, str]  # a loop: its index, where it starts, where it stops


@dataclass(frozen=True)
class Names:
    """What arrays are called: nodes that are stored, and copies by position of the result."""

    stored: Mapping[int, str]
    copies: Mapping[int, str]

    def target(self, root: Root) -> str:
        """The array that a root writes."""
        copied = root.kind == "store" and root.place >= 0
        return self.copies[root.place] if copied else self.stored[root.node]


@dataclass
class Written:
    """A body over one box, and the entries that its roots write."""

    box: Box
    body: Body
    entries: list[tuple[Root, str, Affine]]


@dataclass
class Space:
    """The loops of a group: the axes of its space, neighbours joined where nothing forbids it."""

    extents: tuple[int, ...]
    reduced: tuple[bool, ...]

    @property
    def by_column(self) -> bool:
        """Whether the innermost loop runs over separate folds."""
        return any(self.reduced) and not self.reduced[-1]

    @property
    def order(self) -> list[str]:
        """Loop indices from the outermost: kept axes, then reduced ones, then a kept last one."""
        last = len(self.extents) - 1
        inner = [last] if self.by_column else []
        kept = [k for k, r in enumerate(self.reduced) if not r and k not in inner]
        return [f"i{k}" for k in (*kept, *self.inside, *inner)]

    @property
    def inside(self) -> list[int]:
        """The reduced axes."""
        return [k for k, r in enumerate(self.reduced) if r]

    @property
    def index(self) -> Index:
        """Where the loops stand."""
        return identity(self.extents)

    @property
    def ranges(self) -> Box:
        """The range of each loop index, the outermost first."""
        found = full_ranges(self.extents)
        return {name: found[name] for name in self.order}


def spaces(group: Group) -> Iterator[Space]:
    """Ways to join neighbouring axes, from one flat loop to none joined."""
    ndim = len(group.space)
    flags = [k in group.axes for k in range(ndim)]
    needed = {k for k in range(1, ndim) if flags[k] != flags[k - 1]}
    free = [k for k in range(1, ndim) if k not in needed]
    few = free if len(free) <= 4 else []
    for count in range(len(few) + 1):
        for cuts in itertools.combinations(few, count):
            yield _space(group.space, flags, sorted({0, *needed, *cuts, ndim}))
    if len(free) > 4:
        yield _space(group.space, flags, list(range(ndim + 1)))


def _space(shape: Sequence[int], flags: Sequence[bool], ends: Sequence[int]) -> Space:
    spans = [(a, b) for a, b in itertools.pairwise(ends) if a < b]
    return Space(tuple(math.prod(shape[a:b]) for a, b in spans), tuple(flags[a] for a, _ in spans))


class Writer:
    """Writes the loop of one group."""

    def __init__(
        self, graph: Graph, group: Group, names: Names, target: Target, vectorised: bool = True
    ) -> None:
        self.graph, self.group, self.names = graph, group, names
        self.target, self.vectorised = target, vectorised
        own = {r.node for r in group.roots if r.kind == "store" and r.place < 0}
        self.stored: Callable[[int], str | None] = lambda i: (
            None if i in own else names.stored.get(i)
        )

    # --- bodies -------------------------------------------------------------------------------

    def choose(self) -> tuple[Space, list[Written]]:
        """The coarsest space that needs neither divisions nor selects, or the best there is."""
        folds = bool(self.group.axes)
        for guarded, divides in ((False, False), (True, False), (True, True)):
            for space in spaces(self.group):
                try:
                    found = self._boxes(space, guarded, divides)
                except NeedsDivision:
                    continue
                if len(found) == 1 or not folds:
                    return space, found
        raise AssertionError("dividing always works")

    def _boxes(self, space: Space, guarded: bool, divides: bool) -> list[Written]:
        """Bodies over boxes in each of which every condition is decided."""
        todo, done = [space.ranges], []
        while todo:
            box = todo.pop()
            try:
                done.append(self._written(space, box, guarded, divides))
            except Mixed as cut:
                if cut.name not in box:  # a position that is computed, and not where loops stand
                    raise NeedsDivision from None
                low, high = box[cut.name]
                todo += [box | {cut.name: (cut.at, high)}, box | {cut.name: (low, cut.at - 1)}]
            if len(done) + len(todo) > MOST_BOXES:
                raise NeedsDivision
        return done

    def _written(self, space: Space, box: Box, guarded: bool, divides: bool) -> Written:
        body = Body(
            self.graph, self.stored, dict(box), guarded, divides, self.vectorised, self.target.name
        )
        body.depths = {name: k + 1 for k, name in enumerate(space.order)}
        entries = []
        for root in self.group.roots:
            at = place(self.graph, root, space.index, body.splitter)
            entries.append((root, self._value(body, root, space.index), at))
        return Written(box, body, entries)

    def _value(self, body: Body, root: Root, index: Index) -> str:
        if root.kind == "blank":
            name, kind = self.graph.nodes[root.node].row.name, self.graph.types[root.node]
            text = neutral_text("prod" if name == "prod" else "sum", kind.dtype)
            return text.replace("(-0.0)", "0.0")
        return body.value(root.value, index)

    # --- the text of a loop without folds -----------------------------------------------------

    def plain(self, name: str, threaded: bool = False) -> Loop:
        """The loop, box after box."""
        space, boxes = self.choose()
        loop = Loop(name, total=space.extents[0] if space.extents else 1)
        loop.grain = BLOCK if len(space.extents) == 1 else 1
        main, edges = self._sorted(space, boxes)
        for written in main:
            self._box(loop, space, written, threaded)
        if edges:
            self._edges(loop, space, edges, threaded)
        return loop

    def _sorted(self, space: Space, boxes: list[Written]) -> tuple[list[Written], list[Box]]:
        """Boxes with a body of their own, and small ones, which share one with selects."""
        if len(boxes) <= 3:
            return boxes, []
        total = math.prod(space.extents)
        main = [w for w in boxes if 8 * volume(w.box) >= total]
        return main, [w.box for w in boxes if w not in main]

    def _box(self, loop: Loop, space: Space, written: Written, threaded: bool) -> None:
        ends = [(i, str(low), str(high + 1)) for i, (low, high) in written.box.items()]
        loop.lines += self._loops(ends, written, threaded)
        charge(loop, self.graph, written.box, written.body.statements, self.group.roots)

    def _edges(self, loop: Loop, space: Space, edges: list[Box], threaded: bool) -> None:
        """One guarded body, run over a table of boxes."""
        hull = {i: (min(b[i][0] for b in edges), max(b[i][1] for b in edges)) for i in space.order}
        try:
            written = self._written(space, hull, True, False)
        except NeedsDivision:
            written = self._written(space, hull, True, True)
        rows = [[str(end) for low, high in b.values() for end in (low, high + 1)] for b in edges]
        table = ", ".join(f"({', '.join(row)})" for row in rows)
        ends = [(i, f"{i}_low", f"{i}_high") for i in space.order]
        names = ", ".join(f"{low}, {high}" for _, low, high in ends)
        loop.lines.append(f"for {names} in ({table},):")
        loop.lines += ["    " + line for line in self._loops(ends, written, threaded)]

    def _loops(self, ends: list[Ends], written: Written, threaded: bool) -> list[str]:
        if threaded and ends:
            name, low, high = ends[0]
            ends = [(name, f"max({low}, start)", f"min({high}, stop)"), *ends[1:]]
        return nested(written.body.statements, ends, self.writes(written))

    def writes(self, written: Written) -> list[str]:
        """The statements that store entries."""
        found = []
        for number, (root, value, at) in enumerate(written.entries):
            array = self.names.target(root)
            if array.islower():  # a variable
                found += [f"{array} = {value}"] if array != value else []
            elif root.kind != "fold":
                found.append(
                    self.target.write.format(number=number % 7, array=array, at=at, value=value)
                )
        return found


def nested(
    statements: Sequence[Statement], ends: Sequence[Ends], inner: Sequence[str], first: int = 0
) -> list[str]:
    """Loops inside each other; each statement stands in the outermost that it can.

    `first` is the depth of the place where the loops begin.
    """
    lines: list[str] = []
    for level, (name, low, high) in enumerate(ends[:-1]):
        lines += indented(assignments(statements, first + level), level)
        lines += indented([f"for {name} in range({low}, {high}):"], level)
    level = max(len(ends) - 1, 0)
    lines += indented(assignments(statements, first + level), level)
    if not ends:
        return lines + list(inner)
    deepest = [s for s in statements if s.depth == first + len(ends)]
    return lines + indented(innermost(deepest, *ends[-1], inner), level)


def assignments(statements: Sequence[Statement], depth: int) -> list[str]:
    """The statements of one depth as lines."""
    return [f"{s.name} = {bare(s.text)}" for s in statements if s.depth == depth]


def indented(lines: Sequence[str], level: int) -> list[str]:
    """The lines moved in by a number of levels."""
    return ["    " * level + line for line in lines]


def bare(text: str) -> str:
    """The text without brackets around all of it."""
    depth = 0
    for position, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and position < len(text) - 1:
            return text
    return text[1:-1] if text.startswith("(") else text


def innermost(
    statements: Sequence[Statement], name: str, low: str, high: str, inner: Sequence[str]
) -> list[str]:
    """The loop that is to become SIMD; it runs again, with libm, over a block with far angles."""
    header = f"for {name} in range({low}, {high}):"
    plain = [f"{s.name} = {bare(s.text)}" for s in statements]
    angles = [a for s in statements for a in far_arguments(s.text)]
    if not angles:
        return [header, *indented([*plain, *inner], 1)]
    near = [NEAR.sub(r"\1_near(", line) for line in plain]
    far = [f"n_far += is_far({angle})" for angle in dict.fromkeys(angles)]
    part = f"for {name} in range(part, min(part + {BLOCK}, {high})):"
    body = ["n_far = 0", part, *indented([*near, *far, *inner], 1)]
    body += ["if n_far > 0:", *indented([part, *indented([*plain, *inner], 1)], 1)]
    return [f"for part in range({low}, {high}, {BLOCK}):", *indented(body, 1)]


NEAR = re.compile(r"\b(sin|cos)_any\(")


def far_arguments(text: str) -> list[str]:
    """The arguments of sines and cosines in an element text."""
    found = []
    for match in NEAR.finditer(text):
        depth, end = 1, match.end()
        while depth:
            depth += (text[end] == "(") - (text[end] == ")")
            end += 1
        found.append(text[match.end() : end - 1])
    return found
