"""Matrix products as kernels: tiles in shared memory, or folds where the result has few entries."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from calcbench.graph.ir import Graph
from calcbench.lower.contractions import Factor, factors
from calcbench.lower.cuda_folds import FoldKernel, fold
from calcbench.lower.cuda_loops import unravelled, used_only
from calcbench.lower.cuda_words import Widths
from calcbench.lower.emission import Names, indented
from calcbench.lower.groups import Root, base


EACH = 4  # a thread computes 4 * 4 entries
SMALL = 1024  # entries of a result that tiles would leave most of the device idle for


class Layout(NamedTuple):
    """Where a factor has its entries: the array, and the steps of stack, row and column."""

    array: str
    stack: int
    row: int
    column: int

    def at(self, row: str, column: str) -> str:
        """The entry as text."""
        steps = ((self.stack, "stack"), (self.row, row), (self.column, column))
        words = [word if step == 1 else f"{step} * {word}" for step, word in steps if step]
        return f"{self.array}[at({' + '.join(words) or '0'})]"


class Product(NamedTuple):
    """Sizes and places of a product of stacks of matrices."""

    stacks: int
    rows: int
    terms: int
    columns: int
    left: Layout
    right: Layout

    @property
    def is_fold(self) -> bool:
        """Whether each entry is computed by many threads, and not each tile by few."""
        return min(self.rows, self.columns) == 1 or self.rows * self.columns <= SMALL


def product(graph: Graph, root: Root, names: Names) -> Product:
    """The sizes and places of a matmul node; vectors are matrices of one row or column."""
    first, second = factors(graph, root.node)
    a, b = (_matrix(graph, f, k) for k, f in enumerate((first, second)))
    shape: Any = graph.types[root.node].shape
    stacked = max(graph.types[f.node].ndim for f in (first, second)) > 2
    stacks = math.prod(shape[:-2]) if stacked else 1
    left, right = (
        _layout(names.stored[base(graph, f.node)], m, f, stacks)
        for m, f in ((a, first), (b, second))
    )
    return Product(stacks, a[0], a[1], b[1], left, right)


def _matrix(graph: Graph, factor: Factor, position: int) -> tuple[int, int]:
    """Rows and columns, as they stand in the product."""
    shape: Any = graph.types[factor.node].shape
    if len(shape) == 1:
        return (shape[0], 1) if position else (1, shape[0])
    return (shape[-1], shape[-2]) if factor.transposed else (shape[-2], shape[-1])


def _layout(array: str, sizes: tuple[int, int], factor: Factor, stacks: int) -> Layout:
    rows, columns = sizes
    stack = rows * columns if stacks > 1 else 0
    return Layout(array, stack, 1, rows) if factor.transposed else Layout(array, stack, columns, 1)


# --- few entries: folds --------------------------------------------------------------------------


def product_fold(graph: Graph, root: Root, names: Names, sizes: Product) -> FoldKernel:
    """Every entry as a sum in the tree of reductions."""
    axes = [("stack", sizes.stacks), ("row", sizes.rows), ("column", sizes.columns)]
    body = [
        f"left = {sizes.left.at('row', 'term')}",
        f"right = {sizes.right.at('term', 'column')}",
    ]
    start = list(unravelled("fold", [a for a in axes if a[1] > 1]))
    zeros = [f"{name} = 0" for name, extent in axes if extent == 1]
    kind = graph.types[root.node]
    added = fold("sum", "left * right", kind.dtype, names.stored[root.node], str(root.node))
    count = sizes.stacks * sizes.rows * sizes.columns
    return FoldKernel(count, sizes.terms, [*zeros, *start], body, [added], sizes.left.row == 1)


# --- many entries: tiles -------------------------------------------------------------------------


def tile_lines(graph: Graph, root: Root, names: Names, sizes: Product, widths: Widths) -> list[str]:
    """The body of a kernel whose blocks of threads compute one square of entries at a time."""
    side, wide = widths.side, EACH * widths.side
    dtype = f"np.{graph.types[root.node].dtype.name}"
    grid = [
        ("stack", sizes.stacks),
        ("down", -(-sizes.rows // wide)),
        ("across", -(-sizes.columns // wide)),
    ]
    count = math.prod(extent for _, extent in grid)
    body = [
        *unravelled("tile", grid),
        *[f"c{i}{j} = {dtype}(0.0)" for i in range(EACH) for j in range(EACH)],
        f"for start in range(0, {sizes.terms}, {side}):",
        *indented(_step(sizes, side, wide, dtype), 1),
        *_stores(names.stored[root.node], sizes, side, wide),
        "tile += cuda.gridDim.x",
    ]
    return [
        f"left = cuda.shared.array(({wide}, {side + 1}), {dtype})  # one more: no bank conflicts",
        f"right = cuda.shared.array(({side}, {wide}), {dtype})",
        "x, y = cuda.threadIdx.x, cuda.threadIdx.y",
        "tile = cuda.blockIdx.x",
        f"while tile < {count}:",
        *indented(used_only(body), 1),
    ]


def tile_count(sizes: Product, widths: Widths) -> int:
    """Squares of entries of the result."""
    wide = EACH * widths.side
    return sizes.stacks * -(-sizes.rows // wide) * -(-sizes.columns // wide)


def _step(sizes: Product, side: int, wide: int, dtype: str) -> list[str]:
    """One square of each factor into shared memory, and its products."""
    loads = []
    for k in range(EACH):
        loads += _load_left(sizes, side, wide, k, dtype) + _load_right(sizes, side, wide, k, dtype)
    values = [f"a{i} = left[y + {i * side}, k]" for i in range(EACH)]
    values += [f"b{j} = right[k, x + {j * side}]" for j in range(EACH)]
    sums = [f"c{i}{j} += a{i} * b{j}" for i in range(EACH) for j in range(EACH)]
    return [
        *loads,
        "cuda.syncthreads()",
        f"for k in range({side}):",
        *indented(values + sums, 1),
        "cuda.syncthreads()",
    ]


def _load_left(sizes: Product, side: int, wide: int, k: int, dtype: str) -> list[str]:
    """Neighbouring threads load neighbouring entries: along rows, or down columns if transposed."""
    if sizes.left.column == 1:
        row, term, place = f"down * {wide} + y + {k * side}", "start + x", f"y + {k * side}, x"
    else:
        row, term, place = f"down * {wide} + x + {k * side}", "start + y", f"x + {k * side}, y"
    return _load("left", sizes.left, (row, sizes.rows), (term, sizes.terms), place, dtype)


def _load_right(sizes: Product, side: int, wide: int, k: int, dtype: str) -> list[str]:
    if sizes.right.column == 1:
        term, column, place = "start + y", f"across * {wide} + x + {k * side}", f"y, x + {k * side}"
    else:
        term, column, place = "start + x", f"across * {wide} + y + {k * side}", f"x, y + {k * side}"
    return _load("right", sizes.right, (term, sizes.terms), (column, sizes.columns), place, dtype)


def _load(
    name: str, layout: Layout, row: tuple[str, int], column: tuple[str, int], place: str, dtype: str
) -> list[str]:
    """One entry into shared memory, or 0 beyond the edge."""
    return [
        f"row, column = {row[0]}, {column[0]}",
        f"value = {dtype}(0.0)",
        f"if row < {row[1]} and column < {column[1]}:",
        f"    value = {layout.at('row', 'column')}",
        f"{name}[{place}] = value",
    ]


def _stores(into: str, sizes: Product, side: int, wide: int) -> list[str]:
    result = Layout(into, sizes.rows * sizes.columns if sizes.stacks > 1 else 0, sizes.columns, 1)
    lines = []
    for i in range(EACH):
        for j in range(EACH):
            lines += [
                f"row, column = down * {wide} + y + {i * side}, across * {wide} + x + {j * side}",
                f"if row < {sizes.rows} and column < {sizes.columns}:",
                f"    {result.at('row', 'column')} = c{i}{j}",
            ]
    return lines
