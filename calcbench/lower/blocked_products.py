"""Long, narrow matrix products as blocks that BLAS computes on the thread that calls it.

OpenBLAS wakes its other threads for a product of some size. Where the cores are not idle, it waits
for them: on two shared cores a product of (10,000, 100) and a vector took 5 ms, and 0.3 ms in
blocks that are too small to be shared out. Where they are idle, that product took 0.20 ms with
threads and 0.17 in blocks. Products that take milliseconds are left to its threads.

Blocks depend on shapes alone, so that neither threads nor engines change a bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from calcbench.graph.ir import Graph
from calcbench.lower.contractions import factors


WIDEST = 4096  # entries of a row times columns of the other factor


class Limits(NamedTuple):
    """In multiplications: what releases of OpenBLAS do on one thread, and what is left to it.

    `least` is how many rows a block has at least.
    """

    single: int
    most: int
    least: int


VECTORS = Limits(9216, 1 << 21, 32)
MATRICES = Limits(1 << 18, 1 << 24, 64)


class Blocks(NamedTuple):
    """How a product is cut.

    Attributes
    ----------
    function : {"dot_rows", "dot_columns"}
        Whether a block gives rows of the result, or a term of all of it.
    cut : int
        The factor that is cut into blocks of `rows` rows; with `dot_columns` the other one too.
    rows : int
    workspace : int
        Entries of a buffer.
    """

    function: str
    cut: int
    rows: int
    workspace: int


def blocks(graph: Graph, product: int) -> Blocks | None:
    """The blocks of a matmul node; None if it is one call of BLAS."""
    pair = factors(graph, product)
    shapes: list[Any] = [graph.types[f.node].shape[-2:] for f in pair]
    ranks = [len(shape) for shape in shapes]
    if ranks == [1, 1]:
        return None
    cut = ranks.index(2)
    by_rows = pair[cut].transposed == bool(cut)
    if not by_rows and pair[1 - cut].transposed:
        return None  # its rows are columns in memory
    (count, width), other = shapes[cut], shapes[1 - cut]
    columns = 1 if 1 in ranks else other[0] if pair[1].transposed else other[1]
    rows = _rows(count, width * columns, VECTORS if 1 in ranks else MATRICES)
    if rows is None:
        return None
    name = "dot_rows" if by_rows else "dot_columns"
    return Blocks(name, cut, rows, 0 if by_rows else width * columns)


def product_call(graph: Graph, product: int, arrays: Sequence[str], into: str) -> str:
    """The text that computes a matmul node from the arrays of its factors, not yet transposed."""
    read = [a + ".T" * f.transposed for a, f in zip(arrays, factors(graph, product), strict=True)]
    found = blocks(graph, product)
    if found is None:
        return f"np.dot({read[0]}, {read[1]}, {into})"
    other = read[1 - found.cut]
    return f"{found.function}({arrays[found.cut]}, {other}, {into}, {found.rows})"


def product_workspace(graph: Graph, product: int) -> int:
    """Bytes that computing a matmul node takes beside its factors and its result."""
    found = blocks(graph, product)
    return found.workspace * graph.types[product].dtype.itemsize if found else 0


def blocked_functions(text: str) -> str:
    """The functions of this file that a text calls."""
    return "".join(source for name, source in _FUNCTIONS.items() if f"{name}(" in text)


def _rows(count: int, each: int, limits: Limits) -> int | None:
    """The rows of a block, a multiple of 8, of `count` rows that take `each` multiplications."""
    if not limits.single < count * each <= limits.most or each > WIDEST:
        return None
    return max(limits.least, limits.single // each // 8 * 8)


# Functions of generated modules: `cut` is C-contiguous.
_ROWS = """
@loop
def dot_rows(cut, other, out, rows):
    for low in range(0, len(cut), rows):
        np.dot(cut[low : low + rows], other, out[low : low + rows])
"""
_COLUMNS = """
@loop
def dot_columns(cut, other, out, rows):
    term, total = np.empty_like(out), out.reshape(out.size)
    terms = term.reshape(out.size)
    for low in range(0, len(cut), rows):
        np.dot(cut[low : low + rows].T, other[low : low + rows], term if low else out)
        if low:
            for k in range(out.size):
                total[k] += terms[k]
"""
_FUNCTIONS = {"dot_rows": _ROWS, "dot_columns": _COLUMNS}
