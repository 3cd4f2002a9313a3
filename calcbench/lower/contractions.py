"""Matrix products: which operands are read transposed, and how they are handed to BLAS.

Every engine calls `np.dot` with operands of the same ranks and layouts, so that BLAS takes the same
path and gives the same bits: two vectors, a matrix and a vector, or two matrices, each C-contiguous
or the transpose of a C-contiguous matrix. Products of stacks are taken one by one.
"""

from __future__ import annotations

from typing import NamedTuple

from calcbench.graph.ir import Graph
from calcbench.graph.structural import transpose


class Factor(NamedTuple):
    """An operand of a product: the node that is read, and whether as its transpose."""

    node: int
    transposed: bool


def factors(graph: Graph, product: int) -> tuple[Factor, Factor]:
    """The operands of a matmul node, looking through transposes of the last two axes."""
    first, second = (_factor(graph, i) for i in graph.nodes[product].operands)
    return first, second


def _factor(graph: Graph, index: int) -> Factor:
    node = graph.nodes[index]
    if node.row is transpose:
        perm = dict(node.params)["perm"]
        ndim = graph.types[index].ndim
        if ndim >= 2 and perm == (*range(ndim - 2), ndim - 1, ndim - 2):
            return Factor(node.operands[0], True)
    return Factor(index, False)
