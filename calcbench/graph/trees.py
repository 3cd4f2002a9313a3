"""Nested tuples, lists and dicts as a flat list of leaves and a hashable structure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


LEAF = "leaf"

# A structure is LEAF, or (container type, keys or None, structures of the children).
Structure = Any


def structure_of(tree: Any) -> Structure:
    """The structure of a tree; anything that is not a tuple, list or dict is a leaf."""
    if isinstance(tree, dict):
        keys = tuple(tree)
        return dict, keys, tuple(structure_of(tree[k]) for k in keys)
    if isinstance(tree, tuple | list):
        return type(tree), None, tuple(map(structure_of, tree))
    return LEAF


def leaves_of(tree: Any) -> list[Any]:
    """The leaves, in order."""
    if isinstance(tree, dict):
        return [leaf for child in tree.values() for leaf in leaves_of(child)]
    if isinstance(tree, tuple | list):
        return [leaf for child in tree for leaf in leaves_of(child)]
    return [tree]


def leaf_count(structure: Structure) -> int:
    """How many leaves a tree of this structure has."""
    return 1 if structure == LEAF else sum(map(leaf_count, structure[2]))


def rebuild(structure: Structure, leaves: Iterator[Any]) -> Any:
    """The tree of this structure with the given leaves."""
    if structure == LEAF:
        return next(leaves)
    kind, keys, children = structure
    parts = [rebuild(child, leaves) for child in children]
    if kind is dict:
        return dict(zip(keys, parts, strict=True))
    return kind(*parts) if hasattr(kind, "_fields") else kind(parts)


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with `function` applied to each leaf."""
    return rebuild(structure_of(tree), iter([function(leaf) for leaf in leaves_of(tree)]))


def path_names(structure: Structure, root: str) -> list[str]:
    """A name per leaf: ``w``, ``w[0]``, ``w['bias']``."""
    if structure == LEAF:
        return [root]
    kind, keys, children = structure
    labels = keys if kind is dict else range(len(children))
    return [
        name
        for label, child in zip(labels, children, strict=True)
        for name in path_names(child, f"{root}[{label!r}]")
    ]
