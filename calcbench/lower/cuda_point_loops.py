"""Groups as loops that one thread runs alone, for its point."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from calcbench.graph.ir import Graph
from calcbench.lower.contractions import factors
from calcbench.lower.cuda_loops import ThreadWriter, unravelled
from calcbench.lower.cuda_point_texts import POINT, loading, storing
from calcbench.lower.cuda_products import Layout, product
from calcbench.lower.emission import Names, Writer, Written, assignments, indented
from calcbench.lower.folds import neutral_text
from calcbench.lower.groups import Group
from calcbench.lower.indexing import Part, joined, symbol
from calcbench.lower.reductions import BLOCK, LANES


Axis = tuple[str, int]  # an index and its extent
Room = dict[str, tuple[int, str]]  # an array in between: its entries and their dtype


@dataclass(frozen=True)
class Fold:
    """One fold of a loop: `value` is a term, and the result goes to `into` at a position."""

    name: str
    op: str
    value: str
    dtype: str
    neutral: str
    into: str
    at: str

    @property
    def sums(self) -> str:
        """The array of the results of blocks, where there are several."""
        return f"SUMS{self.name}"

    def variable(self, word: str) -> str:
        """One of the fold's variables."""
        return f"{word}{self.name}"

    def joined(self, first: str, second: str) -> str:
        """One step."""
        return f"join_{self.op}({first}, {second})"

    def tree(self, lanes: Sequence[str]) -> str:
        """The lanes as one number, ((0+4)+(2+6))+((1+5)+(3+7)); those that are missing add nothing.

        A lane that holds nothing would add the neutral element, which changes no bit.
        """
        level = [lanes[k] if k < len(lanes) else "" for k in (0, 4, 2, 6, 1, 5, 3, 7)]
        while len(level) > 1:
            pairs = zip(level[::2], level[1::2], strict=True)
            level = [self.joined(a, b) if a and b else a or b for a, b in pairs]
        return level[0]

    def meets(self) -> list[str]:
        """A lane that is done meets those before it, in the same tree."""
        lane, pair, four, half = map(self.variable, ("lane", "pair", "four", "half"))
        both = self.joined(pair, lane)
        return [
            "if turn & 1 == 0:",
            f"    {pair} = {lane}",
            "elif turn & 2 == 0:",
            f"    {four} = {both}",
            "elif turn == 3:",
            f"    {half} = {self.joined(four, both)}",
            "else:",
            f"    {self.variable('total')} = {self.joined(half, self.joined(four, both))}",
        ]


# The lane of each turn: in this order a lane meets its partners as soon as both are done.
LANE = "lane = (turn & 1) << 2 | turn & 2 | turn >> 2"
# Lanes are written one after another while that is short: the compiler then unrolls their loops.
MOST_COPIED, MOST_UNROLLED = 96, 64  # statements of all lanes, and terms


def loop_lines(graph: Graph, group: Group, names: Names) -> list[str]:
    """A loop without folds."""
    return Writer(graph, group, names, POINT, vectorised=False).plain("").lines


def fold_lines(graph: Graph, group: Group, names: Names) -> tuple[list[str], Room]:
    """A loop with folds, and the room that they need between blocks."""
    writer = ThreadWriter(graph, group, names)
    space, (written,) = writer.choose()
    axes = [(f"i{k}", n) for k, n in enumerate(space.extents)]
    kept = [a for a, reduced in zip(axes, space.reduced, strict=True) if not reduced]
    inside = [a for a, reduced in zip(axes, space.reduced, strict=True) if reduced]
    statements = written.body.statements
    at = joined(p for p, r in zip(space.index, space.reduced, strict=True) if not r).at
    folds = _folds(graph, names, written, str(at))
    body = [*assignments(statements, 2), *_stores(names, written)]
    start = [*assignments(statements, 0), *assignments(statements, 1)]
    return folding(kept, inside, start, body, folds)


def _folds(graph: Graph, names: Names, written: Written, at: str) -> list[Fold]:
    found = []
    for root, value, _ in written.entries:
        if root.kind == "fold":
            op, dtype = graph.nodes[root.node].row.name, graph.types[root.node].dtype
            neutral, into = neutral_text(op, dtype), names.target(root)
            found.append(Fold(str(root.node), op, value, dtype.name, neutral, into, at))
    return found


def _stores(names: Names, written: Written) -> list[str]:
    entries = [e for e in written.entries if e[0].kind != "fold"]
    return [storing(names.target(root), at, value) for root, value, at in entries]


def folding(
    kept: Sequence[Axis],
    inside: Sequence[Axis],
    start: Sequence[str],
    body: Sequence[str],
    folds: Sequence[Fold],
) -> tuple[list[str], Room]:
    """Folds over the axes `inside` in the tree of all engines, for every index of `kept`."""
    count = math.prod(n for _, n in inside)
    blocks = -(-count // BLOCK)
    low, high = ("low + ", "high") if blocks > 1 else ("", str(count))
    flat = inside[0][0] if len(inside) == 1 else "term"
    body = [*(unravelled("term", inside) if len(inside) > 1 else ()), *body]
    lanes = min(LANES, count)
    is_short = lanes * len(body) <= MOST_COPIED and count <= MOST_UNROLLED
    write = _lanes if is_short else _turns
    block = write(lambda lane: f"{flat} in range({low}{lane}, {high}, {LANES})", body, folds, lanes)
    if blocks == 1:
        block += [storing(f.into, f.at, f.variable("total")) for f in folds]
        return nest(kept, [*start, *block]), {}
    block += [storing(f.sums, "block", f.variable("total")) for f in folds]
    ends = [f"low = {BLOCK} * block", f"high = min(low + {BLOCK}, {count})"]
    lines = [*start, f"for block in range({blocks}):", *indented([*ends, *block], 1)]
    lines += [storing(f.into, f.at, f"pairs_{f.op}({f.sums}, {blocks})") for f in folds]
    return nest(kept, lines), {f.sums: (blocks, f.dtype) for f in folds}


Head = Callable[[object], str]  # the loop over the terms of a lane


def _lanes(head: Head, body: Sequence[str], folds: Sequence[Fold], lanes: int) -> list[str]:
    """Lane after lane, each with its own loop."""
    lines = []
    for lane in range(lanes):
        steps = []
        for fold in folds:
            name = fold.variable(f"lane{lane}_")
            lines.append(f"{name} = {fold.neutral}")
            steps.append(f"{name} = {fold.joined(name, fold.value)}")
        lines += [f"for {head(lane)}:", *indented([*body, *steps], 1)]
    for fold in folds:
        names = [fold.variable(f"lane{lane}_") for lane in range(lanes)]
        lines.append(f"{fold.variable('total')} = {fold.tree(names)}")
    return lines


def _turns(head: Head, body: Sequence[str], folds: Sequence[Fold], lanes: int) -> list[str]:
    """One loop for all lanes, where the body is long."""
    words = ("pair", "four", "half", "total")
    steps = [f"{f.variable('lane')} = {f.joined(f.variable('lane'), f.value)}" for f in folds]
    turn = [
        LANE,
        *[f"{f.variable('lane')} = {f.neutral}" for f in folds],
        f"for {head('lane')}:",
        *indented([*body, *steps], 1),
        *[line for f in folds for line in f.meets()],
    ]
    blanks = [f"{f.variable(word)} = {f.neutral}" for f in folds for word in words]
    return [*blanks, f"for turn in range({LANES}):", *indented(turn, 1)]


def nest(axes: Sequence[Axis], lines: Sequence[str]) -> list[str]:
    """The lines for every index of the axes, the first one outermost; one entry needs no loop."""
    lines = list(lines)
    for name, extent in reversed(axes):
        head = f"for {name} in range({extent}):" if extent > 1 else f"{name} = 0"
        lines = [head, *indented(lines, 1 if extent > 1 else 0)]
    return lines


# --- products ------------------------------------------------------------------------------------


def product_lines(graph: Graph, group: Group, names: Names) -> tuple[list[str], Room]:
    """A product of matrices, each entry a sum in the tree of reductions."""
    (root,) = group.roots
    sizes = product(graph, root, names)
    first, second = (f.node for f in factors(graph, root.node))
    node, dtype = str(root.node), graph.types[root.node].dtype
    axes = [("stack", sizes.stacks), ("row", sizes.rows), ("column", sizes.columns)]
    kept = [axis for axis in axes if axis[1] > 1]
    row, column = (name if (name, n) in kept else "" for name, n in axes[1:])
    body = [
        loading(f"left{node}", graph, names, first, _at(sizes.left, row, "inner")),
        loading(f"right{node}", graph, names, second, _at(sizes.right, "inner", column)),
    ]
    at = joined(Part(n, symbol(name)) for name, n in kept).at
    value = f"left{node} * right{node}"
    into = names.stored[root.node]
    fold = Fold(node, "sum", value, dtype.name, neutral_text("sum", dtype), into, str(at))
    return folding(kept, [("inner", sizes.terms)], [], body, [fold])


def _at(layout: Layout, row: str, column: str) -> str:
    """The position of an entry of a factor."""
    steps = {"stack": layout.stack, row: layout.row, column: layout.column}
    words = [w if n == 1 else f"{n} * {w}" for w, n in steps.items() if n and w]
    return " + ".join(words) or "0"
