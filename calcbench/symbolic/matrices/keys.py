"""Text that is equal for products that agree up to order and names of summed indices.

The indices are told apart by their surroundings, step by step, and the few that symmetry leaves
alike are tried in every order: the text that comes first is the key.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any


Index = Any  # of calcbench.symbolic.matrices.indexed, which needs this file for equality
Term = Any
Factor = Any

_MOST_ORDERS = (
    720  # of indices that refinement cannot tell apart; beyond, like terms may stay apart
)


_LONGEST = 200  # characters; longer keys are digests, so that nesting does not double them


def shortened(text: str) -> str:
    """The text, or a digest of it if it is long."""
    if len(text) <= _LONGEST:
        return text
    return "#" + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def term_key(term: Term, slots: Sequence[Index], coefficient: bool = True) -> str:
    """Text that is equal for terms that agree up to order and names of bound indices."""
    labels = {index: f"s{k}" for k, index in enumerate(slots)}
    classes = _refined(term, labels)
    orders = itertools.islice(_orders(classes), _MOST_ORDERS)
    product = min(_written(term, labels, order) for order in orders)
    return f"{term.coefficient}*{product}" if coefficient else product


def _refined(term: Term, labels: Mapping[Index, str]) -> list[list[Index]]:
    """The bound indices in classes that their surroundings tell apart, in a fixed order."""
    colours = {i: f"b{i.size}" for i in term.bound} | dict(labels)
    for _ in range(len(term.bound)):
        signs = {i: (colours[i], *_surroundings(term, i, colours)) for i in term.bound}
        ranks = {sign: f"b{k:04}" for k, sign in enumerate(sorted(set(signs.values())))}
        new = {i: ranks[signs[i]] for i in term.bound} | dict(labels)
        if len(set(new.values())) == len(set(colours.values())):
            colours = new
            break
        colours = new
    found: dict[str, list[Index]] = {}
    for index in sorted(term.bound, key=lambda i: (colours[i], i.number)):
        found.setdefault(colours[index], []).append(index)
    return list(found.values())


def _surroundings(term: Term, index: Index, colours: Mapping[Index, str]) -> list[str]:
    return sorted(
        _factor_text(f, ["*" if i == index else colours[i] for i in f.indices])
        for f in term.factors
        if index in f.indices
    )


def _factor_text(factor: Factor, labels: Iterable[str]) -> str:
    shown = sorted(labels) if factor.base.is_symmetric else list(labels)
    return f"{factor.base.key}^{factor.exponent}<{','.join(shown)}>"


def _orders(classes: Sequence[Sequence[Index]]) -> Iterator[list[Index]]:
    for choice in itertools.product(*map(itertools.permutations, classes)):
        yield [index for part in choice for index in part]


def _written(term: Term, labels: Mapping[Index, str], order: Sequence[Index]) -> str:
    names = {index: f"b{k}:{index.size}" for k, index in enumerate(order)} | dict(labels)
    return " ".join(sorted(_factor_text(f, [names[i] for i in f.indices]) for f in term.factors))
