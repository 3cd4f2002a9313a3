"""Reductions as kernels: the tree of `calcbench.lower.reductions`, with one thread a lane.

Eight threads take a block of 256 terms, each the terms of one lane in order, and shared memory
joins their eight numbers. The blocks of one fold are joined in adjacent pairs by whichever block of
threads finishes last. So a result has the bits of the CPU's tree, whatever the grid is, as long as
the terms have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.lower.cuda_loops import ThreadWriter, statement_lines, strided, unravelled, used_only
from calcbench.lower.cuda_words import Widths
from calcbench.lower.emission import Names, Space, Written, indented
from calcbench.lower.folds import neutral_text
from calcbench.lower.groups import Group
from calcbench.lower.reductions import BLOCK, LANES


FEW = LANES  # terms that one thread adds up faster than eight threads meet
MANY = 4096  # folds that keep the device busy with one thread each

# All threads of a block join `count` numbers in adjacent pairs, in place.
TOGETHER = '''
@jit
def together_{op}(sums, first, count):
    """The {op} of consecutive numbers into the first of them, by all threads of the block."""
    while count > 1:
        half = (count + 1) // 2
        for start in range(0, half, cuda.blockDim.x):
            k = start + cuda.threadIdx.x
            value = sums[at(first)]
            if k < half:
                value = sums[at(first + 2 * k)]
                if 2 * k + 1 < count:
                    value = join_{op}(value, sums[at(first + 2 * k + 1)])
            cuda.syncthreads()
            if k < half:
                sums[at(first + k)] = value
            cuda.syncthreads()
        count = half
'''


@dataclass(frozen=True)
class Fold:
    """One fold of a kernel: what it joins, and where its result goes."""

    name: str
    op: str
    value: str
    dtype: str
    neutral: str
    write: str  # the statement that stores `{value}`

    @property
    def type(self) -> str:
        """The dtype in generated text."""
        return f"np.{'bool_' if self.dtype == 'bool' else self.dtype}"

    def join(self, first: str, second: str) -> str:
        """One step."""
        return f"join_{self.op}({first}, {second})"

    def tree(self, lanes: Sequence[str]) -> str:
        """The eight lanes as one number."""
        pairs = [self.join(lanes[k], lanes[k + 4]) for k in (0, 2, 1, 3)]
        return self.join(self.join(*pairs[:2]), self.join(*pairs[2:]))


@dataclass
class FoldKernel:
    """The parts of the text of a kernel with folds.

    Attributes
    ----------
    outputs, terms : int
        How many folds of each kind there are, and of how many terms.
    start, body : list of str
        Statements for fold `fold`, and for its term `term`.
    folds : list of Fold
    adjacent : bool
        Whether neighbouring folds read neighbouring entries, rather than neighbouring terms.
    """

    outputs: int
    terms: int
    start: list[str]
    body: list[str]
    folds: list[Fold]
    adjacent: bool = False
    workspace: dict[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def blocks(self) -> int:
        """Blocks of 256 terms of one fold."""
        return -(-self.terms // BLOCK)

    @property
    def alone(self) -> bool:
        """Whether one thread takes one fold."""
        return self.terms <= FEW or (self.adjacent and self.outputs >= MANY)

    @property
    def total(self) -> int:
        """Threads that have something to do."""
        return self.outputs if self.alone else self.outputs * self.blocks * LANES

    def lines(self, widths: Widths) -> list[str]:
        """The body of the kernel; fills `workspace`."""
        if self.blocks > 1:
            count = self.outputs * self.blocks
            self.workspace = {f"sums{f.name}": (count, f.dtype) for f in self.folds}
        return self._alone() if self.alone else self._together(widths)

    # --- one thread a fold --------------------------------------------------------------------

    def _alone(self) -> list[str]:
        buffers = [f"lanes{f.name} = cuda.local.array({LANES}, {f.type})" for f in self.folds]
        lines = [*self.start]
        inner = [*self._lanes(), *self._joined()]
        if self.blocks == 1:
            lines += [f"low, high = 0, {self.terms}", *inner]
            lines += [f.write.format(value=f"total{f.name}") for f in self.folds]
        else:
            head = [f"low = block * {BLOCK}", f"high = min(low + {BLOCK}, {self.terms})"]
            keep = [
                f"sums{f.name}[at(fold * {self.blocks} + block)] = total{f.name}"
                for f in self.folds
            ]
            lines.append(f"for block in range({self.blocks}):")
            lines += indented([*head, *inner, *keep], 1)
            lines += [line for f in self.folds for line in self._paired(f)]
        return [*buffers, *strided(self.outputs, lines, "fold")]

    def _lanes(self) -> list[str]:
        blank = [f"part{f.name} = {f.neutral}" for f in self.folds]
        keep = [f"lanes{f.name}[lane] = part{f.name}" for f in self.folds]
        return [
            f"for lane in range({LANES}):",
            *indented([*blank, *self._terms(), *keep], 1),
        ]

    def _terms(self) -> list[str]:
        steps = [f"part{f.name} = {f.join(f'part{f.name}', f.value)}" for f in self.folds]
        return [f"for term in range(low + lane, high, {LANES}):", *indented(self.body + steps, 1)]

    def _joined(self) -> list[str]:
        return [
            f"total{f.name} = {f.tree([f'lanes{f.name}[{k}]' for k in range(LANES)])}"
            for f in self.folds
        ]

    def _paired(self, fold: Fold) -> list[str]:
        first = f"fold * {self.blocks}"
        return [
            f"pair_{fold.op}(sums{fold.name}, {first}, {self.blocks}, 1)",
            fold.write.format(value=f"sums{fold.name}[at({first})]"),
        ]

    # --- eight threads a block of terms -------------------------------------------------------

    def _together(self, widths: Widths) -> list[str]:
        items, count = widths.threads // LANES, self.outputs * self.blocks
        lines = [
            f"parts{f.name} = cuda.shared.array({widths.threads}, {f.type})" for f in self.folds
        ]
        if self.blocks > 1:
            lines.append(f"is_last = cuda.shared.array({items}, np.int64)")
        lines += [
            "thread = cuda.threadIdx.x",
            f"lane = thread % {LANES}",
            f"first = cuda.blockIdx.x * {items}",
            f"while first < {count}:",
        ]
        body = [*self._item(count), *self._meet(count)]
        if self.blocks > 1:
            body += self._finish(items, count)
        body += ["cuda.syncthreads()", f"first += cuda.gridDim.x * {items}"]
        return lines + indented(body, 1)

    def _item(self, count: int) -> list[str]:
        """Each thread's lane into shared memory."""
        blank = [f"part{f.name} = {f.neutral}" for f in self.folds]
        keep = [f"parts{f.name}[thread] = part{f.name}" for f in self.folds]
        inside = [*self._place("item"), *self.start, *self._terms()]
        return [
            f"item = first + thread // {LANES}",
            *blank,
            f"if item < {count}:",
            *indented(inside, 1),
            *keep,
            "cuda.syncthreads()",
        ]

    def _place(self, item: str) -> list[str]:
        if self.blocks == 1:
            return [f"fold = {item}", f"low, high = 0, {self.terms}"]
        return [
            f"fold = {item} // {self.blocks}",
            f"low = {item} % {self.blocks} * {BLOCK}",
            f"high = min(low + {BLOCK}, {self.terms})",
        ]

    def _meet(self, count: int) -> list[str]:
        """The first of eight threads joins their numbers."""
        lines = [] if self.blocks == 1 else [f"fold = item // {self.blocks}"]
        for f in self.folds:
            lanes = [
                f"parts{f.name}[thread + {k}]" if k else f"parts{f.name}[thread]" for k in range(8)
            ]
            lines.append(f"total{f.name} = {f.tree(lanes)}")
            keep = f"sums{f.name}[at(item)] = total{f.name}"
            lines.append(f.write.format(value=f"total{f.name}") if self.blocks == 1 else keep)
        if self.blocks > 1:
            arrived = f"arrived{self.folds[0].name}"
            self.workspace[arrived] = (self.outputs, "int64")
            lines += [
                "cuda.threadfence()  # what this block stored is seen before it is counted",
                f"before = cuda.atomic.add({arrived}, fold, 1)",
                "cuda.threadfence()",
                f"is_last[thread // {LANES}] = 1 if before == {self.blocks - 1} else 0",
            ]
        else:
            lines.insert(0, "fold = item")
        return [f"if lane == 0 and item < {count}:", *indented(lines, 1)]

    def _finish(self, items: int, count: int) -> list[str]:
        """The last block of threads at a fold joins the numbers of all."""
        first, head = f"fold * {self.blocks}", f"fold = (first + group) // {self.blocks}"
        joins = [f"together_{f.op}(sums{f.name}, {first}, {self.blocks})" for f in self.folds]
        writes = [f.write.format(value=f"sums{f.name}[at({first})]") for f in self.folds]
        writes.append(f"arrived{self.folds[0].name}[at(fold)] = 0")
        inner = [head, *joins, "if thread == 0:", *indented(writes, 1)]
        return [
            "cuda.syncthreads()",
            f"for group in range({items}):",
            f"    if first + group < {count} and is_last[group] == 1:",
            *indented(inner, 2),
        ]


def fold_kernel(graph: Graph, group: Group, names: Names) -> FoldKernel:
    """The kernel of a loop with folds."""
    writer = ThreadWriter(graph, group, names)
    space, (written,) = writer.choose()
    kept, inside = ([a for a in _axes(space) if a[2] is flag] for flag in (False, True))
    statements = written.body.statements
    folds = _folds(graph, writer, written)
    body = [
        *unravelled("term", [a[:2] for a in inside]),
        *statement_lines([s for s in statements if s.depth == 2]),
        *writer.writes(written),
    ]
    body = used_only(body, [f.value for f in folds])
    start = [
        *unravelled("fold", [a[:2] for a in kept]),
        *statement_lines([s for s in statements if s.depth < 2]),
    ]
    return FoldKernel(
        math.prod(a[1] for a in kept),
        math.prod(a[1] for a in inside),
        used_only(start, [*body, *[f.value for f in folds]]),
        body,
        folds,
        adjacent=space.by_column,
    )


def _axes(space: Space) -> list[tuple[str, int, bool]]:
    """Index, extent, and whether the axis is reduced."""
    pairs = zip(space.extents, space.reduced, strict=True)
    return [(f"i{k}", extent, reduced) for k, (extent, reduced) in enumerate(pairs)]


def _folds(graph: Graph, writer: ThreadWriter, written: Written) -> list[Fold]:
    found = []
    for root, value, _ in written.entries:
        if root.kind == "fold":
            op, kind = graph.nodes[root.node].row.name, graph.types[root.node]
            into = writer.names.target(root)
            found.append(fold(op, value, kind.dtype, into, str(root.node)))
    return found


def fold(op: str, value: str, dtype: np.dtype, into: str, name: str) -> Fold:
    """A fold whose results lie in `into` in the order of the folds."""
    neutral = neutral_text(op, dtype)
    return Fold(name, op, value, dtype.name, neutral, f"{into}[at(fold)] = {{value}}")
