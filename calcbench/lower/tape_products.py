"""Matrix products of a tape: compiled once per ranks and layouts, called as fused ones are."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from calcbench.graph.ir import Graph
from calcbench.lower.compiler import load
from calcbench.lower.contractions import Factor, factors


_SHAPES = """
@jit
def inner(left, right, out):
    out[0] = np.dot(left, right)
"""
_MATRICES = """
@jit
def matrices_{name}(left, right, out):
    for k in range(out.shape[0]):
        np.dot(left[k]{a}, right[k]{b}, out[k])
"""
_LEFT = """
@jit
def matrix_vector_{name}(left, right, out):
    np.dot(left{a}, right, out)
"""
_RIGHT = """
@jit
def vector_matrix_{name}(left, right, out):
    np.dot(left, right{a}, out)
"""
_T = {"n": "", "t": ".T"}


def products_source() -> str:
    """All ways of multiplying; each is compiled when a graph first needs it."""
    pairs = [(a, b) for a in _T for b in _T]
    texts = [_MATRICES.format(name=a + b, a=_T[a], b=_T[b]) for a, b in pairs]
    texts += [text.format(name=a, a=_T[a]) for a in _T for text in (_LEFT, _RIGHT)]
    return "\n".join([_SHAPES, *texts])


class Product(NamedTuple):
    """A matmul node: the function, the nodes that are read, and the shapes they are given."""

    function: Callable[..., Any]
    nodes: tuple[int, int]
    shapes: tuple[tuple[int, ...], ...]


def product(graph: Graph, node: int) -> Product:
    """How the fused engine computes the node, as a function of arrays that are C-contiguous."""
    pair = factors(graph, node)
    shapes: list[tuple[Any, ...]] = [graph.types[f.node].shape for f in pair]
    out: tuple[Any, ...] = graph.types[node].shape or (1,)
    letters = [_letter(f) for f in pair]
    ranks = tuple(min(len(s), 2) for s in shapes)
    if ranks == (2, 2):
        name = f"matrices_{''.join(letters)}"
        shapes = [(math.prod(s[:-2]), *s[-2:]) for s in shapes]
        out = (math.prod(out[:-2]), *out[-2:])
    elif ranks == (2, 1):
        name = f"matrix_vector_{letters[0]}"
    elif ranks == (1, 2):
        name = f"vector_matrix_{letters[1]}"
    else:
        name = "inner"
    function = getattr(load(products_source()), name)
    return Product(function, (pair[0].node, pair[1].node), (*shapes, out))


def _letter(factor: Factor) -> str:
    return "t" if factor.transposed else "n"
