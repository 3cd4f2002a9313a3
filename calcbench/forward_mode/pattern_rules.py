"""The pattern of a node from those of its operands: one rule per kind of row.

A rule states what may be, never less: an entry that is zero by its numbers counts, and so do both
branches of a choice that the inputs make.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from calcbench.forward_mode.patterns import (
    Pattern,
    collected,
    numbered,
    rows_at,
    stacked,
    union,
)
from calcbench.graph.arraytype import ArrayType
from calcbench.graph.nodes import Node


# Operands that say which entries are used: position in the row.
DECIDING = {"cond": 0, "gather": 1, "scatter_add": 1, "select": 0}


class Reach(NamedTuple):
    """What a rule sees of one node: types, the operands' patterns, and the operand that decides."""

    node: Node
    params: dict[str, Any]
    kinds: list[ArrayType]
    kind: ArrayType
    patterns: list[Any]
    deciding: Any


def _entrywise(at: Reach) -> Any:
    return union(at.patterns)


def _chosen(at: Reach) -> Any:
    """Both branches, unless the choice depends on constants alone."""
    _, taken, other = at.patterns
    if at.deciding is None:
        return union([taken, other])
    numbers, chosen = numbered(at.kind.shape), np.asarray(at.deciding)
    parts = [(taken, np.where(chosen, numbers, 0)), (other, np.where(chosen, 0, numbers))]
    return union([p if p is None else rows_at(p, positions) for p, positions in parts])


def _moved(at: Reach) -> Pattern:
    """Every entry of the result is one of the operand, or none: the row itself tells which."""
    if len(at.kinds) > 1 and at.deciding is None:
        return _everything(at)
    others = [] if at.deciding is None else [at.deciding]
    positions = at.node.row.numpy(numbered(at.kinds[0].shape), *others, **at.params)
    return rows_at(at.patterns[0], np.asarray(positions))


def _scattered(at: Reach) -> Pattern:
    if at.deciding is None:
        return _everything(at)
    return collected(at.patterns[0], np.asarray(at.deciding), int(at.kind.size))


def _joined(at: Reach) -> Pattern:
    sizes = [int(kind.size) for kind in at.kinds]
    starts = np.cumsum([1, *sizes[:-1]]).tolist()
    numbers = [numbered(kind.shape, start) for kind, start in zip(at.kinds, starts, strict=True)]
    width = next(p.width for p in at.patterns if p is not None)
    return rows_at(stacked(at.patterns, sizes, width), at.node.row.numpy(*numbers, **at.params))


def _along(shape: Sequence[int], axes: Sequence[int]) -> np.ndarray:
    """Per entry of an array the number of the entry to which a sum over the axes takes it."""
    kept = [1 if axis in axes else extent for axis, extent in enumerate(shape)]
    return np.broadcast_to(numbered(kept, 0), shape)


def _reduced(at: Reach) -> Pattern:
    groups = _along(at.kinds[0].shape, at.params["axes"])
    return collected(at.patterns[0], groups, int(at.kind.size))


def _accumulated(at: Reach) -> Any:
    """All entries up to each one, in steps twice as long every time (Hillis & Steele 1986)."""
    axis, pattern, step = at.params["axis"], at.patterns[0], 1
    numbers = np.moveaxis(numbered(at.kind.shape), axis, 0)
    while step < len(numbers):
        before = np.zeros_like(numbers)
        before[step:] = numbers[:-step]
        pattern = union([pattern, rows_at(pattern, np.moveaxis(before, 0, axis))])
        step *= 2
    return pattern


def _permuted(at: Reach) -> Pattern:
    """Along an axis every result may be any of the entries."""
    groups = _along(at.kind.shape, (at.params["axis"],))
    count = int(groups[-1:].max(initial=-1)) + 1 if groups.size else 0
    return rows_at(collected(at.patterns[0], groups, count), groups + 1)


def _contracted(at: Reach) -> Any:
    """Of a product of matrices: a whole row of the first and a whole column of the second."""
    first, second = at.kinds
    a, b = at.patterns
    rows = (*first.shape[:-1], *((1,) if second.ndim > 1 else ()))
    columns: tuple[int, ...] = ()
    if second.ndim > 1:
        columns = (*second.shape[:-2], *((1,) if first.ndim > 1 else ()), second.shape[-1])
    parts = [
        None if a is None else _spread(a, _along(first.shape, (first.ndim - 1,)), rows, at),
        None if b is None else _spread(b, _along(second.shape, (_inner(second),)), columns, at),
    ]
    return union(parts)


def _inner(second: ArrayType) -> int:
    return 0 if second.ndim == 1 else second.ndim - 2


def _spread(pattern: Pattern, groups: np.ndarray, shape: Sequence[int], at: Reach) -> Pattern:
    """Unions over groups, stretched from `shape` to that of the result."""
    unions = collected(pattern, groups, math.prod(shape))
    return rows_at(unions, np.broadcast_to(numbered(shape), at.kind.shape))


def _whole_matrices(at: Reach) -> Pattern:
    """In a stack of matrices, all results of one may depend on all its entries."""
    return _mixed(at, math.prod(at.kinds[0].shape[:-2]))


def _everything(at: Reach) -> Pattern:
    """Any result may depend on any entry."""
    return _mixed(at, 1)


def _mixed(at: Reach, blocks: int) -> Pattern:
    """The operands in so many blocks; a block of the result depends on all of its own."""
    unions = [
        collected(pattern, _blocks(kind, blocks), blocks)
        for pattern, kind in zip(at.patterns, at.kinds, strict=True)
        if pattern is not None
    ]
    return rows_at(union(unions), _blocks(at.kind, blocks) + 1)


def _blocks(kind: ArrayType, blocks: int) -> np.ndarray:
    size = int(kind.size)
    return np.arange(size, dtype=np.int64) // max(size // max(blocks, 1), 1)


MATRIX_ROWS = (
    "adjugate adjugate_tangent cholesky det eigenvectors eigvalsh full_rank gap_quotient inv "
    "logabsdet pinv qr_q qr_r singular_values singular_vectors solve"
)
RULES: dict[str, Callable[[Reach], Any]] = {
    **dict.fromkeys(MATRIX_ROWS.split(), _whole_matrices),
    **dict.fromkeys(["max", "min", "prod", "sum"], _reduced),
    **dict.fromkeys(["cumprod", "cumsum"], _accumulated),
    "concatenate": _joined,
    "convert": _entrywise,
    "matmul": _contracted,
    "scatter_add": _scattered,
    "select": _chosen,
    "sort": _permuted,
}


def rule_of(node: Node) -> Callable[[Reach], Any]:
    """A row that stands nowhere is taken to mix everything, which is never too little."""
    if node.row.name in RULES:
        return RULES[node.row.name]
    if "structural" in node.row.facts:
        return _moved
    return _entrywise if node.row.kind == "elementwise" else _everything
