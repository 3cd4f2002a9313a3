"""A graph of one point to the kernel that runs it for many, one thread a point."""

from __future__ import annotations

import re
from collections.abc import Sequence

from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import Lifetime, byte_size, reason
from calcbench.lower.arena import pack, rounded
from calcbench.lower.cuda_errors import CallOutError
from calcbench.lower.cuda_kernels import Kernel, Parameter, module_text
from calcbench.lower.cuda_point_guards import flagged
from calcbench.lower.cuda_point_kernel import BLOCK, VIEWS, PointText, width
from calcbench.lower.cuda_point_loops import fold_lines, loop_lines, product_lines
from calcbench.lower.cuda_point_rows import ALONE, is_alone, scan_lines, scatter_lines
from calcbench.lower.cuda_point_texts import PAIRS, Home, spoken
from calcbench.lower.cuda_words import CUDA
from calcbench.lower.emission import Names, indented
from calcbench.lower.folds import library as fold_library
from calcbench.lower.groups import Group, Planner


# What one thread takes on. Beyond it, threads share out the entries of the batched graph instead:
# arrays in between leave the caches, a long program fills the instruction cache and takes long to
# compile, and a wide value keeps one thread busy while others could help.
MOST_NODES = 1000
MOST_BYTES = 2048  # of arrays in between, for one point: 256 float64
MOST_ENTRIES = 1024  # of any one value


# --- which graphs a thread takes -----------------------------------------------------------------


def misfit(graph: Graph) -> str | None:
    """Why one thread cannot run the graph for its point; None if it can.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> misfit(cb.trace(np.sin, 1.0)) is None
    True
    >>> misfit(cb.trace(np.sort, np.ones(3)))
    'the host computes sort at v1'
    """
    if len(graph) > MOST_NODES:
        return f"the graph has {len(graph)} nodes, and a thread takes {MOST_NODES}"
    for index, kind in enumerate(graph.types):
        if kind.size > MOST_ENTRIES:
            return f"v{index} has {kind.size} entries, and a thread takes {MOST_ENTRIES}"
    plan = _Plan(flagged(graph))
    for group in plan.groups:
        node = group.roots[0].node
        if group.kind == "callout" and not is_alone(plan.graph, node):
            return f"the host computes {plan.graph.nodes[node].row.name} at v{node}"
    plan.write()
    if plan.bytes > MOST_BYTES:
        return f"a point holds {plan.bytes} bytes at once, and a thread takes {MOST_BYTES}"
    return None


# --- the text ------------------------------------------------------------------------------------


def point_text(graph: Graph, shared: int = 0) -> PointText:
    """The kernel of a graph of one point, whose last `shared` inputs all points share.

    Raises
    ------
    CallOutError
        If a row of it is computed by the host.
    """
    return _Plan(flagged(graph)).text(shared, bool(graph.guards))


class _Plan:
    """Groups, what they are called, and where one thread keeps its arrays."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        plan = Planner(graph)
        self.groups = plan.groups
        self.constants = [i for i in sorted(plan.stored) if plan.kinds[i] == "array"]
        self.names = Names({i: self._name(i) for i in sorted(plan.stored)}, self._copies())
        self.lines: list[str] = []
        self.room: dict[str, tuple[int, str]] = {}

    def _name(self, node: int) -> str:
        return f"v{node}" if self.graph.types[node].size == 1 else f"V{node}"

    def _copies(self) -> dict[int, str]:
        roots = [r for g in self.groups for r in g.roots]
        return {r.place: f"OUT{r.place}" for r in roots if r.kind == "store" and r.place >= 0}

    # --- statements -----------------------------------------------------------------------------

    def write(self) -> None:
        """The lines of all groups, and what they hold in between."""
        self.lives = self._lives()
        for step, group in enumerate(self.groups):
            lines, room = self._group(group)
            self.lines += lines
            for name, (count, dtype) in room.items():
                key = len(self.graph) + len(self.lives)  # a number of its own
                size = count * width(dtype)
                self.lives[name] = (dtype, Lifetime(key, size, step, step, "blocks of a fold"))
            self.room |= room
        self._place()

    def _group(self, group: Group) -> tuple[list[str], dict[str, tuple[int, str]]]:
        root, given = group.roots[0], (self.graph, group.roots[0], self.names)
        if group.kind == "loop" and group.axes:
            return fold_lines(self.graph, group, self.names)
        if group.kind == "product":
            return product_lines(self.graph, group, self.names)
        if group.kind == "loop":
            return loop_lines(self.graph, group, self.names), {}
        if group.kind != "callout":
            return (scan_lines if group.kind == "scan" else scatter_lines)(*given), {}
        if not is_alone(self.graph, root.node):
            raise CallOutError(
                f"{self.graph.place(root.node)} is computed by the host, and stands where one "
                "thread computes one point: batch the graph instead"
            )
        return ALONE[self.graph.nodes[root.node].row.name](*given), {}

    # --- places ---------------------------------------------------------------------------------

    def _lives(self) -> dict[str, tuple[str, Lifetime]]:
        """Arrays in between: from the group that writes them to the last that reads them."""
        given = {*self.graph.outputs, *self.graph.inputs, *self.constants}
        lives: dict[str, tuple[str, Lifetime]] = {}
        for step, group in enumerate(self.groups):
            for root in group.roots:
                name, kind = self.names.stored[root.node], self.graph.types[root.node]
                if root.node not in given and name not in lives and name.isupper():
                    life = Lifetime(root.node, byte_size(kind), step, step, "")
                    lives[name] = (kind.dtype.name, life)
                for node in root.reads:
                    read = self.names.stored[node]
                    if read in lives:
                        dtype, life = lives[read]
                        why = reason(self.graph, root.node)
                        lives[read] = (dtype, life._replace(last=step, why=why))
        return lives

    def _place(self) -> None:
        """The arena of one thread, dtype by dtype: threads lie side by side in each entry."""
        self.homes: dict[str, Home] = {}
        self.entries: dict[str, int] = {}
        for dtype in VIEWS:
            found = {name: life for name, (kind, life) in self.lives.items() if kind == dtype}
            arena = pack(list(found.values()))
            if found:
                self.entries[dtype] = -(-arena.size // width(dtype))
            for name, life in found.items():
                offset = arena.offsets[life.node] // width(dtype)
                self.homes[name] = Home(VIEWS[dtype], offset=offset)

    @property
    def bytes(self) -> int:
        """What the arena has for one thread."""
        return sum(rounded(n * width(dtype)) for dtype, n in self.entries.items())

    # --- the kernel -----------------------------------------------------------------------------

    def text(self, shared: int, guarded: bool) -> PointText:
        """The kernel and its module."""
        self.write()
        arrays = self._arrays(shared)
        before, after = self._ends(arrays)
        fails = any("fine" in line.split() for line in self.lines)
        before += ["fine = True"] if fails else []
        after += ["FINE[at(point)] = fine"] if fails else []
        body = [*before, *spoken(self.lines, self.homes), *after, "point += threads"]
        lines = [
            "thread, threads = cuda.grid(1), cuda.gridsize(1)",
            "point = thread",
            "while point < count:",
            *indented(body, 1),
        ]
        kernel = self._kernel(lines, arrays)
        library = self._library("\n".join(lines))
        return PointText(
            self.graph,
            shared,
            kernel,
            arrays,
            self.entries,
            fails,
            guarded,
            tuple(life for _, life in self.lives.values()),
            module_text([kernel], False, library),
            module_text([kernel], True, library),
        )

    def _arrays(self, shared: int) -> dict[str, int]:
        """Parameters that are inputs, constants and results; notes where their entries lie."""
        arrays: dict[str, int] = {}
        split = len(self.graph.inputs) - shared
        common = {*self.graph.inputs[split:], *self.constants}
        for node in (*self.graph.inputs, *self.constants):
            name = self.names.stored.get(node, "").upper()
            if name:
                size = int(self.graph.types[node].size)
                arrays[name] = node
                self.homes[name] = Home(name, step=0 if node in common else size)
        for place, node in enumerate(self.graph.outputs):
            name = self.names.copies.get(place, self.names.stored[node].upper())
            size = int(self.graph.types[node].size)
            if size:
                arrays[name] = -1 - place
                self.homes[name] = Home(name, step=size)
        return arrays

    def _ends(self, arrays: dict[str, int]) -> tuple[list[str], list[str]]:
        """Inputs of one entry are loaded once, results of one entry stored once."""
        before, after = [], []
        for name, key in arrays.items():
            node = key if key >= 0 else self.graph.outputs[-1 - key]
            if self.graph.types[node].size != 1 or name.startswith("OUT"):
                continue
            entry = self.homes[name].entry("0")
            if key >= 0:
                before.append(f"{name.lower()} = {entry}")
            else:
                after.append(f"{entry} = {name.lower()}")
        return before, after

    def _kernel(self, lines: Sequence[str], arrays: dict[str, int]) -> Kernel:
        types = self.graph.types
        nodes = {n: k if k >= 0 else self.graph.outputs[-1 - k] for n, k in arrays.items()}
        known = {name: types[node].dtype.name for name, node in nodes.items()}
        known |= {VIEWS[dtype]: dtype for dtype in self.entries} | {"FINE": "bool"}
        words = set(re.findall(r"\w+", "\n".join(lines)))
        used = [Parameter(n, d) for n, d in known.items() if n in words]
        parameters = (Parameter("count", "int64", is_array=False), *used)
        header = f"{CUDA.decorator}\ndef points({', '.join(p.name for p in parameters)}):\n"
        return Kernel("points", header + "\n".join(indented(lines, 1)) + "\n", parameters, 1, BLOCK)

    def _library(self, text: str) -> str:
        """The folds that the kernel calls."""
        ops = dict.fromkeys(re.findall(r"\bpairs_(\w+)\(", text))
        pairs = "\n".join(PAIRS.format(op=op) for op in ops)
        return "\n\n".join(filter(None, [fold_library(text + pairs).strip(), pairs.strip()]))
