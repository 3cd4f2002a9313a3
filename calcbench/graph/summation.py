"""Einstein's summation convention on graph values: ``np.einsum`` as pairwise contractions."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import DimLike, ShapeError, TraceError
from calcbench.graph.axes import lift_same, permuted, reshaped, summed
from calcbench.graph.contractions import product_of
from calcbench.graph.elementwise import multiply
from calcbench.graph.lifting import Value
from calcbench.graph.selecting import diagonal
from calcbench.graph.structural import broadcast, matmul


class Term(NamedTuple):
    """An operand with one label per axis, no label twice."""

    value: Value
    labels: str


def einsum(*operands: Any, **options: Any) -> Value:
    """``np.einsum``, of subscripts or of label lists, with any number of operands.

    Operands are contracted two at a time, in the order of ``np.einsum_path``, as matrix products.
    """
    _refuse(options)
    subscripts, arrays = _subscripts(operands)
    values = lift_same(arrays)
    inputs, output = _parse(subscripts, [v.type.ndim for v in values])
    extents = _extents(inputs, values)
    terms = [_plain(v, text, extents) for v, text in zip(values, inputs, strict=True)]
    for step in _order(terms, output):
        chosen = [terms.pop(i) for i in sorted(step, reverse=True)]
        terms.append(_folded(chosen, {*output, *_labels_in(terms)}, extents))
    return _delivered(terms[0], output, extents)


def multi_dot(arrays: Sequence[Any], *, out: Any = None) -> Value:
    """``np.linalg.multi_dot``: a chain of matrix products, vectors allowed at its ends."""
    _refuse({"out": out})
    ranks = [len(np.shape(a)) for a in arrays]
    if len(ranks) < 2 or not set(ranks[1:-1]) <= {2} or not {ranks[0], ranks[-1]} <= {1, 2}:
        raise ShapeError(f"multi_dot takes matrices, and vectors at the ends, got ranks {ranks}")
    texts = [ascii_letters[i : i + 2] for i in range(len(arrays))]
    texts[0] = texts[0][-ranks[0] :]
    texts[-1] = texts[-1][: ranks[-1]]
    free = texts[0][: ranks[0] - 1] + texts[-1][1 : ranks[-1]]
    return einsum(f"{','.join(texts)}->{free}", *arrays)


def _refuse(options: dict[str, Any]) -> None:
    given = [k for k, v in options.items() if k != "optimize" and v is not None]
    if given:
        raise TraceError(
            f"einsum of traced values got {given[0]}=, which it does not take: write the plain "
            "call, and convert its result with .astype(...) where a dtype is wanted"
        )


# --- subscripts ------------------------------------------------------------------------------


def _subscripts(operands: tuple[Any, ...]) -> tuple[str, list[Any]]:
    """The subscripts as text, and the arrays."""
    if isinstance(operands[0], str):
        return operands[0].replace(" ", ""), list(operands[1:])
    pairs, rest = divmod(len(operands), 2)
    arrays = list(operands[: 2 * pairs : 2])
    text = ",".join(map(_letters, operands[1 : 2 * pairs : 2]))
    return (f"{text}->{_letters(operands[-1])}" if rest else text), arrays


def _letters(labels: Sequence[Any]) -> str:
    return "".join("..." if label is Ellipsis else ascii_letters[label] for label in labels)


def _parse(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """Labels of every operand and of the result, with letters for the axes of the ellipsis."""
    left, arrow, right = subscripts.partition("->")
    texts = left.split(",")
    if len(texts) != len(ndims):
        raise ShapeError(f"einsum {subscripts!r} names {len(texts)} operands, got {len(ndims)}")
    widths = [
        n - len(t.replace("...", "")) if "..." in t else 0
        for t, n in zip(texts, ndims, strict=True)
    ]
    spare = [c for c in ascii_letters if c not in subscripts][: max([0, *widths])]
    if min(widths) < 0:
        raise ShapeError(f"einsum {subscripts!r} has more labels than an operand has axes")
    inputs = [
        t.replace("...", "".join(spare[len(spare) - w :]))
        for t, w in zip(texts, widths, strict=True)
    ]
    for text, ndim in zip(inputs, ndims, strict=True):
        _check_labels(subscripts, text, ndim)
    if arrow and spare and "..." not in right:
        raise ShapeError(f"einsum {subscripts!r}: the axes of the ellipsis are not in the result")
    if arrow:
        return inputs, _checked_output(subscripts, right.replace("...", "".join(spare)), inputs)
    return inputs, "".join(spare) + _implicit("".join(inputs), spare)


def _ellipsis_width(text: str, ndim: int) -> int:
    """How many axes of an operand its ellipsis stands for."""
    return ndim - len(text.replace("...", "")) if "..." in text else 0


def _check_labels(subscripts: str, text: str, ndim: int) -> None:
    if len(text) != ndim or not all(c in ascii_letters for c in text):
        raise ShapeError(
            f"einsum {subscripts!r}: {text!r} does not label the {ndim} axes of its operand"
        )


def _checked_output(subscripts: str, output: str, inputs: list[str]) -> str:
    if len(set(output)) != len(output) or not set(output) <= set("".join(inputs)):
        raise ShapeError(f"einsum {subscripts!r}: the result needs labels of operands, each once")
    return output


def _implicit(labels: str, spare: list[str]) -> str:
    """Without an arrow the labels that occur once remain, in alphabetical order."""
    return "".join(sorted(c for c in set(labels) if labels.count(c) == 1 and c not in spare))


def _extents(inputs: list[str], values: list[Value]) -> dict[str, DimLike]:
    """The extent of every label; an axis of extent 1 stretches."""
    extents: dict[str, DimLike] = {}
    for text, value in zip(inputs, values, strict=True):
        for label, extent in zip(text, value.type.shape, strict=True):
            known = extents.get(label, 1)
            if known != 1 and extent not in (1, known):
                raise ShapeError(
                    f"einsum: label {label!r} has extent {known} and, in {value.type}, {extent}"
                )
            extents[label] = extent if known == 1 else known
    return extents


# --- contracting -----------------------------------------------------------------------------


def _plain(x: Value, labels: str, extents: dict[str, DimLike]) -> Term:
    """An operand without repeated labels, and without axes that only stretch."""
    thin = [n == 1 != extents[c] for c, n in zip(labels, x.type.shape, strict=True)]
    x = reshaped(x, [n for n, is_thin in zip(x.type.shape, thin, strict=True) if not is_thin])
    labels = "".join(c for c, is_thin in zip(labels, thin, strict=True) if not is_thin)
    for label in sorted(set(labels)):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            x = diagonal(x, 0, first, second)
            labels = labels[:first] + labels[first + 1 : second] + labels[second + 1 :] + label
    return Term(x, labels)


def _order(terms: list[Term], output: str) -> list[tuple[int, ...]]:
    """Which terms to contract, step by step; positions count in what is left."""
    if len(terms) <= 2 or not all(t.value.type.is_concrete for t in terms):
        return [(0, 1)] * (len(terms) - 1)
    text = ",".join(t.labels for t in terms) + "->" + output
    frames = [np.broadcast_to(0.0, t.value.type.shape) for t in terms]
    return np.einsum_path(text, *frames, optimize="greedy")[0][1:]


def _labels_in(terms: list[Term]) -> str:
    return "".join(t.labels for t in terms)


def _folded(chosen: list[Term], kept: set[str], extents: dict[str, DimLike]) -> Term:
    """The terms of one step, contracted one after the other."""
    result = chosen.pop()
    while chosen:
        other = chosen.pop()
        result = _contract(result, other, kept | set(_labels_in(chosen)), extents)
    return result


def _contract(a: Term, b: Term, kept: set[str], extents: dict[str, DimLike]) -> Term:
    """Multiply two terms and sum over the labels that nobody needs any more."""
    a, b = _summed(a, kept | set(b.labels)), _summed(b, kept | set(a.labels))
    shared = [c for c in a.labels if c in b.labels]
    batch, gone = [c for c in shared if c in kept], [c for c in shared if c not in kept]
    rows = [c for c in a.labels if c not in shared]
    columns = [c for c in b.labels if c not in shared]
    if not gone or (batch and not rows and not columns):
        labels = "".join((*batch, *rows, *columns, *gone))
        product = multiply(_stretched(a, labels, extents), _stretched(b, labels, extents))
        return _summed(Term(product, labels), kept)
    left = _joined(a, (batch, rows, gone), extents)
    right = _joined(b, (batch, gone, columns), extents)
    labels = "".join((*batch, *rows, *columns))
    return Term(reshaped(matmul(left, right), [extents[c] for c in labels]), labels)


def _summed(term: Term, kept: set[str]) -> Term:
    axes = [i for i, c in enumerate(term.labels) if c not in kept]
    return Term(summed(term.value, axes), "".join(c for c in term.labels if c in kept))


def _stretched(term: Term, labels: str, extents: dict[str, DimLike]) -> Value:
    order = sorted(range(len(term.labels)), key=lambda i: labels.index(term.labels[i]))
    moved = permuted(term.value, order)
    shape = tuple(extents[c] for c in labels)
    dims = tuple(labels.index(term.labels[i]) for i in order)
    if moved.type.shape == shape:
        return moved
    return broadcast(moved, dims=dims, shape=shape)  # type: ignore[no-any-return]


def _joined(term: Term, groups: tuple[list[str], ...], extents: dict[str, DimLike]) -> Value:
    """The term as a matrix (a stack of them if there is a batch), one axis a group.

    Without a batch a group without labels gives no axis, so that vectors stay vectors.
    """
    order = [term.labels.index(c) for group in groups for c in group]
    batch, first, second = groups
    shape = [product_of([extents[c] for c in g]) for g in (first, second) if g or batch]
    lead = [product_of([extents[c] for c in batch])] if batch else []
    return reshaped(permuted(term.value, order), (*lead, *shape))


def _delivered(term: Term, output: str, extents: dict[str, DimLike]) -> Value:
    """The last term with the labels of the result, in its order."""
    term = _summed(term, set(output))
    value = permuted(term.value, [term.labels.index(c) for c in output if c in term.labels])
    if len(term.labels) == len(output):
        return value
    dims = tuple(i for i, c in enumerate(output) if c in term.labels)
    return broadcast(value, dims=dims, shape=tuple(extents[c] for c in output))  # type: ignore[no-any-return]
