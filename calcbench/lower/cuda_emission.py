"""Groups to CUDA kernels, one each, and the buffers that they name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import Lifetime, byte_size, reason
from calcbench.lower.arena import Arena, pack, rounded
from calcbench.lower.cuda_folds import TOGETHER, FoldKernel, fold_kernel
from calcbench.lower.cuda_kernels import Kernel, Parameter, module_text
from calcbench.lower.cuda_loops import loop_lines
from calcbench.lower.cuda_products import product, product_fold, tile_count, tile_lines
from calcbench.lower.cuda_sequences import scan_lines, scatter_lines
from calcbench.lower.cuda_words import CUDA, Widths
from calcbench.lower.emission import Names, indented
from calcbench.lower.folds import library as fold_library
from calcbench.lower.groups import Group, Planner
from calcbench.lower.memory import MemoryPlan


@dataclass(frozen=True)
class CallOut:
    """A row that NumPy computes on the host, between two kernels."""

    node: int


@dataclass(frozen=True)
class Buffer:
    """One array of the device: where its bytes lie in the arena, if they do."""

    count: int
    dtype: str
    offset: int | None = None


@dataclass(frozen=True)
class CudaText:
    """A graph as kernels.

    Attributes
    ----------
    graph : Graph
    names : Names
        What the arrays of nodes are called.
    constants : tuple of int
        Nodes whose arrays go to the device once.
    steps : tuple of Kernel and CallOut
        In order of execution; one for each group.
    buffers : dict
        Everything that kernels name.
    source, simulated : str
        The module's text, for a device and for the simulator.
    memory : MemoryPlan
    """

    graph: Graph
    names: Names
    constants: tuple[int, ...]
    steps: tuple[Kernel | CallOut, ...]
    buffers: dict[str, Buffer]
    source: str
    simulated: str
    memory: MemoryPlan

    @property
    def kernels(self) -> list[Kernel]:
        """The kernels in order of execution."""
        return [s for s in self.steps if isinstance(s, Kernel)]

    def output_names(self) -> list[str]:
        """The array of each result."""
        outputs = enumerate(self.graph.outputs)
        return [self.names.copies.get(p) or self.names.stored.get(i, "") for p, i in outputs]


def cuda_text(graph: Graph, widths: Widths) -> CudaText:
    """A graph of known sizes, without guards, as kernels: the groups of the fused engine."""
    return _Emission(graph, widths).text()


class _Emission:
    def __init__(self, graph: Graph, widths: Widths) -> None:
        self.graph, self.widths = graph, widths
        plan = Planner(graph)
        self.groups = plan.groups
        self.constants = tuple(i for i in sorted(plan.stored) if plan.kinds[i] == "array")
        self.names = Names(
            {i: f"V{i}" for i in sorted(plan.stored)},
            {
                r.place: f"OUT{r.place}"
                for g in plan.groups
                for r in g.roots
                if r.kind == "store" and r.place >= 0
            },
        )
        self.lives = self._lives()
        self.arena: Arena = pack(self.lives)
        self.workspace: dict[str, tuple[int, str]] = {}

    def _lives(self) -> list[Lifetime]:
        """The values in between: from the group that writes them to the last that reads them."""
        given = {*self.graph.outputs, *self.graph.inputs, *self.constants}
        lives: dict[int, Lifetime] = {}
        for step, group in enumerate(self.groups):
            for root in group.roots:
                if root.node not in given and root.node not in lives:
                    size = byte_size(self.graph.types[root.node])
                    lives[root.node] = Lifetime(root.node, size, step, step, "")
                for node in root.reads:
                    if node in lives:
                        why = reason(self.graph, root.node)
                        lives[node] = lives[node]._replace(last=step, why=why)
        return list(lives.values())

    def text(self) -> CudaText:
        """All kernels, the module that holds them, and what they need."""
        steps = tuple(self._step(k, group) for k, group in enumerate(self.groups))
        kernels = [s for s in steps if isinstance(s, Kernel)]
        body = "\n".join(k.text for k in kernels)
        together = "\n".join(TOGETHER.format(op=op) for op in _calls("together", body))
        folds = fold_library(body + together)
        shared = "\n\n".join(filter(None, [folds.strip(), together.strip()]))
        return CudaText(
            self.graph,
            self.names,
            self.constants,
            steps,
            self._buffers(),
            module_text(kernels, False, shared),
            module_text(kernels, True, shared),
            self._memory(),
        )

    # --- one group ----------------------------------------------------------------------------

    def _step(self, number: int, group: Group) -> Kernel | CallOut:
        root = group.roots[0]
        if group.kind == "callout":
            return CallOut(root.node)
        if group.kind == "product":
            return self._product(number, group)
        if group.kind == "loop" and group.axes:
            return self._folded(f"fold{number}", group, fold_kernel(self.graph, group, self.names))
        if group.kind == "loop":
            lines, total = loop_lines(self.graph, group, self.names)
        else:
            write = scan_lines if group.kind == "scan" else scatter_lines
            lines, total = write(self.graph, root, self.names)
        return self._kernel(f"{group.kind}{number}", group, lines, total, self.widths.threads)

    def _product(self, number: int, group: Group) -> Kernel:
        root = group.roots[0]
        sizes = product(self.graph, root, self.names)
        if sizes.is_fold:
            kernel = product_fold(self.graph, root, self.names, sizes)
            return self._folded(f"product{number}", group, kernel)
        lines = tile_lines(self.graph, root, self.names, sizes, self.widths)
        side = self.widths.side
        total = tile_count(sizes, self.widths) * side * side
        return self._kernel(f"product{number}", group, lines, total, (side, side))

    def _folded(self, name: str, group: Group, kernel: FoldKernel) -> Kernel:
        lines = kernel.lines(self.widths)
        self.workspace |= kernel.workspace
        return self._kernel(name, group, lines, kernel.total, self.widths.threads)

    def _kernel(
        self, name: str, group: Group, lines: list[str], total: int, block: int | tuple[int, int]
    ) -> Kernel:
        text = "\n".join(lines)
        known = {**dict(self._stored_types()), **{n: d for n, (_, d) in self.workspace.items()}}
        words = set(re.findall(r"\w+", text))
        used = tuple(Parameter(n, known[n]) for n in known if n in words)
        header = f"{CUDA.decorator}\ndef {name}({', '.join(p.name for p in used)}):\n"
        read, written = self._traffic(group)
        return Kernel(
            name, header + "\n".join(indented(lines, 1)) + "\n", used, total, block, read, written
        )

    def _stored_types(self) -> Iterable[tuple[str, str]]:
        for node, name in self.names.stored.items():
            yield name, self.graph.types[node].dtype.name
        for place, name in self.names.copies.items():
            yield name, self.graph.types[self.graph.outputs[place]].dtype.name

    def _traffic(self, group: Group) -> tuple[int, int]:
        """Bytes that a kernel reads and writes, each array once."""
        own = {r.node for r in group.roots}
        read = {n for r in group.roots for n in r.reads if n not in own}
        sizes = self.graph.types
        return sum(byte_size(sizes[n]) for n in read), sum(byte_size(sizes[n]) for n in own)

    # --- buffers ------------------------------------------------------------------------------

    def _buffers(self) -> dict[str, Buffer]:
        found = {}
        for node, name in self.names.stored.items():
            kind = self.graph.types[node]
            offset = self.arena.offsets.get(node)
            found[name] = Buffer(int(kind.size), kind.dtype.name, offset)
        for place, name in self.names.copies.items():
            kind = self.graph.types[self.graph.outputs[place]]
            found[name] = Buffer(int(kind.size), kind.dtype.name)
        offset = self.arena.size
        for name, (count, dtype) in self.workspace.items():
            found[name] = Buffer(count, dtype, offset)
            offset += rounded(8 * count)
        return found

    def _memory(self) -> MemoryPlan:
        types = self.graph.types
        constants = sum(byte_size(types[i]) for i in self.constants)
        return MemoryPlan(
            arena=self.arena.size,
            workspace=constants + sum(rounded(8 * n) for n, _ in self.workspace.values()),
            inputs=sum(byte_size(types[i]) for i in self.graph.inputs),
            outputs=sum(byte_size(types[i]) for i in self.graph.outputs),
            held=tuple(self.lives),
            callouts=tuple(g.roots[0].node for g in self.groups if g.kind == "callout"),
        )


def _calls(prefix: str, text: str) -> list[str]:
    """What follows `prefix_` where such functions are called."""
    return list(dict.fromkeys(re.findall(rf"\b{prefix}_(\w+)\(", text)))
