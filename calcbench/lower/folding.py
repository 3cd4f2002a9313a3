"""Loops with folds: blocks of 256 terms into a buffer or into lanes, and blocks in pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from calcbench.lower.emission import Ends, Writer, assignments, indented, nested
from calcbench.lower.folds import block_text, neutral_text
from calcbench.lower.groups import Root
from calcbench.lower.indexing import Affine, joined
from calcbench.lower.loops import Loop, charge
from calcbench.lower.reductions import BLOCK, LANES


@dataclass(frozen=True)
class Fold:
    """One fold of a loop."""

    root: Root
    op: str
    value: str
    dtype: str
    neutral: str
    array: str
    at: Affine

    @property
    def terms(self) -> str:
        """The buffer of the terms of a block."""
        return f"terms{self.root.node}"

    @property
    def lanes(self) -> str:
        """The buffer of 8 rows."""
        return f"lanes{self.root.node}"

    @property
    def sums(self) -> str:
        """The results of the blocks."""
        return f"sums{self.root.node}"


class FoldWriter(Writer):
    """Writes a loop with folds."""

    def folded(self, name: str, threaded: bool = False) -> Loop:
        """The loop; by rows where the folds run innermost, else by columns."""
        space, (written, *_) = self.choose()
        self.space, self.written, self.threaded = space, written, threaded
        self.folds = self._folds()
        self.count = math.prod(space.extents[k] for k in space.inside)
        self.blocks = -(-self.count // BLOCK)
        width = space.extents[-1] if space.by_column else 1
        kept = [name for name in space.order if int(name[1:]) not in space.inside]
        self.kept = kept[:-1] if space.by_column else kept
        loop = Loop(name, total=space.ranges[self.kept[0]][1] + 1 if self.kept else self.blocks)
        charge(loop, self.graph, written.box, written.body.statements, self.group.roots)
        body = self._by_column(width) if space.by_column else self._by_row()
        ending = self._ending(width)
        if self.kept:
            body = [*body, *ending]
        else:
            loop.finish = ending
            loop.sums = {f.sums: (self.blocks * width, f.dtype) for f in self.folds}
        loop.lines = [*self._buffers(loop, width), *self._kept_loops(body)]
        return loop

    def _folds(self) -> list[Fold]:
        found = []
        for root, value, _ in self.written.entries:
            if root.kind == "fold":
                op, kind = self.graph.nodes[root.node].row.name, self.graph.types[root.node]
                inside = self.space.inside
                at = joined(p for k, p in enumerate(self.space.index) if k not in inside).at
                neutral = neutral_text(op, kind.dtype)
                array = self.names.target(root)
                found.append(Fold(root, op, value, kind.dtype.name, neutral, array, at))
        return found

    # --- buffers, and the loops over separate folds -------------------------------------------

    def _buffers(self, loop: Loop, width: int) -> list[str]:
        lines = []
        strip = min(width, self.target.width)
        for fold in self.folds:
            size = LANES * strip if self.space.by_column else min(self.count, BLOCK)
            name = fold.lanes if self.space.by_column else fold.terms
            sizes = [(name, size)] + ([(fold.sums, self.blocks * width)] if self.kept else [])
            for buffer, entries in sizes:
                text = self.target.buffer.format(size=entries, dtype=fold.dtype)
                lines.append(f"{buffer} = {text}")
                loop.workspace += 8 * entries
        return lines

    def _kept_loops(self, body: list[str]) -> list[str]:
        lines, level = [], 0
        statements = self.written.body.statements
        for level, name in enumerate(self.kept):
            lines += indented(assignments(statements, level), level)
            low, high = (f"{n}" for n in (0, self.space.ranges[name][1] + 1))
            if self.threaded and level == 0:
                low, high = "start", "stop"
            lines.append("    " * level + f"for {name} in range({low}, {high}):")
        depth = len(self.kept)
        lines += indented(assignments(statements, depth), depth)
        return lines + indented(body, depth)

    def _block_loop(self, body: list[str]) -> list[str]:
        """The body for each block; `low` and `high` are its first term and the one after it."""
        if self.blocks == 1 and (self.kept or not self.threaded):
            return [f"block, low, high = 0, 0, {self.count}", *body]
        ends = "start, stop" if self.threaded and not self.kept else f"{self.blocks}"
        lines = [f"low = {BLOCK} * block", f"high = min(low + {BLOCK}, {self.count})", *body]
        return [f"for block in range({ends}):", *indented(lines, 1)]

    def _ending(self, width: int) -> list[str]:
        """Blocks in pairs, and the results written."""
        lines = []
        for number, fold in enumerate(self.folds):
            number += len(self.written.entries)
            if self.blocks > 1:
                lines.append(f"pair_{fold.op}({fold.sums}, 0, {self.blocks}, {width})")
            inner = self.space.order[-1] if width > 1 else "0"
            write = self.target.write.format(
                number=number % 7, array=fold.array, at=fold.at, value=f"{fold.sums}[{inner}]"
            )
            if width > 1:
                lines += [f"for {inner} in range({width}):", "    " + write]
            else:
                lines.append(write)
        return lines

    # --- folds innermost ----------------------------------------------------------------------

    def _by_row(self) -> list[str]:
        inside = [f"i{k}" for k in self.space.inside]
        if len(inside) == 1:
            body = self._terms((inside[0], "low", "high"), f"{inside[0]} - low", len(self.kept))
        else:
            body = self._segments(inside)
        for fold in self.folds:
            value = block_text(fold.op, fold.terms, "high - low", fold.neutral)
            body.append(f"{fold.sums}[block] = {value}")
        return self._block_loop(body)

    def _terms(self, ends: Ends, at: str, depth: int) -> list[str]:
        keeps = [self.target.keep.format(array=f.terms, at=at, value=f.value) for f in self.folds]
        statements = [s for s in self.written.body.statements if s.depth > depth]
        return nested(statements, [ends], [*self.writes(self.written), *keeps], depth)

    def _segments(self, inside: list[str]) -> list[str]:
        """Terms of several axes: as many of the innermost at a time as the block has room for."""
        inner = inside[-1]
        depth = len(self.kept) + len(inside) - 1
        extent = self.space.ranges[inner][1] + 1
        statements = self.written.body.statements
        lines = self._unravelled(inside, "term")
        lines[-1] = f"{inner}_low = term % {extent}"
        lines.append(f"{inner}_high = min({extent}, {inner}_low + high - term)")
        lines.append(f"shift = term - low - {inner}_low")
        for level in range(len(self.kept) + 1, depth + 1):
            lines += assignments(statements, level)
        lines += self._terms((inner, f"{inner}_low", f"{inner}_high"), f"{inner} + shift", depth)
        lines.append(f"term += {inner}_high - {inner}_low")
        return ["term = low", "while term < high:", *indented(lines, 1)]

    def _unravelled(self, inside: list[str], term: str) -> list[str]:
        """The indices of a term."""
        lines, below = [], self.count
        for k, name in enumerate(inside):
            extent = self.space.ranges[name][1] + 1
            below //= extent
            whole = f"{term} // {below}" if below > 1 else term
            lines.append(f"{name} = {whole} % {extent}" if k else f"{name} = {whole}")
        return lines

    # --- folds over rows ----------------------------------------------------------------------

    def _by_column(self, width: int) -> list[str]:
        strip = min(width, self.target.width)
        inside, inner = [f"i{k}" for k in self.space.inside], self.space.order[-1]
        depth = len(self.kept) + len(inside)
        rows = [*self._unravelled(inside, "term"), f"lane = term % {LANES} * {strip}"]
        for level in range(len(self.kept) + 1, depth + 1):
            rows += assignments(self.written.body.statements, level)
        adds = [self._added(f, f"lane + {inner} - left") for f in self.folds]
        statements = [s for s in self.written.body.statements if s.depth > depth]
        rows += [f"for {inner} in range(left, right):"]
        rows += indented([f"{s.name} = {s.text}" for s in statements], 1)
        rows += indented([*self.writes(self.written), *adds], 1)
        body = []
        for fold in self.folds:
            blank = self.target.keep.format(array=fold.lanes, at="lane", value=fold.neutral)
            body += [f"for lane in range({LANES * strip}):", "    " + blank]
        body += ["for term in range(low, high):", *indented(rows, 1)]
        for fold in self.folds:
            body.append(
                f"lanes_{fold.op}({fold.lanes}, {strip}, {fold.sums}, "
                f"{width} * block + left, right - left)"
            )
        if width > strip:
            head = [f"right = min(left + {strip}, {width})"]
            body = [f"for left in range(0, {width}, {strip}):", *indented([*head, *body], 1)]
        else:
            body = [f"left, right = 0, {width}", *body]
        return self._block_loop(body)

    def _added(self, fold: Fold, at: str) -> str:
        old = self.target.kept.format(array=fold.lanes, at=at)
        new = (
            f"{old} + {fold.value}" if fold.op == "sum" else f"join_{fold.op}({old}, {fold.value})"
        )
        return self.target.keep.format(array=fold.lanes, at=at, value=new)
