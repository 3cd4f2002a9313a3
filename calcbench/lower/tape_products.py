"""Matrix products of a tape: compiled once per ranks and layouts, called as fused ones are."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.lower.blocked_products import (
    Blocks,
    blocked_functions,
    blocks,
    product_workspace,
)
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
_BLOCKED = """
@jit
def {function}_of_matrix(cut, other, out, rows):
    {function}(cut, other, out, rows)


@jit
def {function}_of_matrices(cut, other, out, rows):
    for k in range(out.shape[0]):
        {function}(cut[k], other[k], out[k], rows)


@jit
def {function}_of_matrices_t(cut, other, out, rows):
    for k in range(out.shape[0]):
        {function}(cut[k], other[k].T, out[k], rows)
"""
_T = {"n": "", "t": ".T"}


def products_source() -> str:
    """All ways of multiplying in one call of BLAS; each is compiled when first needed."""
    pairs = [(a, b) for a in _T for b in _T]
    texts = [_MATRICES.format(name=a + b, a=_T[a], b=_T[b]) for a, b in pairs]
    texts += [text.format(name=a, a=_T[a]) for a in _T for text in (_LEFT, _RIGHT)]
    return "\n".join([_SHAPES, *texts])


def blocked_source(function: str) -> str:
    """The ways of multiplying in blocks, as the fused engine does."""
    text = _BLOCKED.format(function=function)
    return blocked_functions(text) + text


class Product(NamedTuple):
    """A matmul node: the function, the nodes that are read, and the shapes they are given.

    `workspace` are the bytes of a buffer.
    """

    function: Callable[..., Any]
    nodes: tuple[int, int]
    shapes: tuple[tuple[int, ...], ...]
    workspace: int = 0


def product(graph: Graph, node: int) -> Product:
    """How the fused engine computes the node, as a function of arrays that are C-contiguous."""
    pair = factors(graph, node)
    shapes: list[tuple[Any, ...]] = [graph.types[f.node].shape for f in pair]
    out: tuple[Any, ...] = graph.types[node].shape or (1,)
    ranks = tuple(min(len(s), 2) for s in shapes)
    if ranks == (2, 2):
        shapes = [(math.prod(s[:-2]), *s[-2:]) for s in shapes]
        out = (math.prod(out[:-2]), *out[-2:])
    found = blocks(graph, node)
    if found is not None:
        order = (found.cut, 1 - found.cut)
        nodes, first = (pair[order[0]].node, pair[order[1]].node), [shapes[k] for k in order]
        function = partial(_in_blocks, _blocked(found, ranks, pair[order[1]]), found.rows)
        return Product(function, nodes, (*first, out), product_workspace(graph, node))
    function = getattr(load(products_source()), _name(ranks, pair))
    return Product(function, (pair[0].node, pair[1].node), (*shapes, out))


def _name(ranks: tuple[int, ...], pair: tuple[Factor, Factor]) -> str:
    letters = ["t" if factor.transposed else "n" for factor in pair]
    names: dict[tuple[int, ...], str] = {
        (2, 2): f"matrices_{''.join(letters)}",
        (2, 1): f"matrix_vector_{letters[0]}",
        (1, 2): f"vector_matrix_{letters[1]}",
    }
    return names.get(ranks, "inner")


def _blocked(found: Blocks, ranks: tuple[int, ...], other: Factor) -> Callable[..., Any]:
    ending = f"matrices{'_t' * other.transposed}" if ranks == (2, 2) else "matrix"
    function = getattr(load(blocked_source(found.function)), f"{found.function}_of_{ending}")
    return function  # type: ignore[no-any-return]


def _in_blocks(function: Callable[..., Any], rows: int, *arrays: np.ndarray) -> None:
    function(*arrays, rows)
