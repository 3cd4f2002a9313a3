"""What the variables of a text are: declared shapes, and what the case of a letter stands for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from calcbench.graph.arraytype import DimLike, DTypeError
from calcbench.symbolic.text.parse_errors import ParseError
from calcbench.symbolic.text.sizes import LARGEST, Atom, Size, Sizes, Unknown, as_dim
from calcbench.symbolic.text.syntax import Syntax


# Structure -> how many sizes its declaration names.
STRUCTURES = {
    "scalar": 0, "constant": 0, "vector": 1, "matrix": 2, "symmetric": 1, "diagonal": 1,
    "lower": 1, "upper": 1,
}  # fmt: skip
CONSTANTS = ("e", "pi")
DECLARATION = re.compile(r"\s*([A-Za-z]+)\s*(?:\(\s*(\w+)\s*(?:,\s*(\w+)\s*)?\)\s*)?", re.ASCII)
EXAMPLES = '"scalar", "vector(n)", "matrix(m, n)", "symmetric(n)", "diagonal(n)", "lower(n)"'
SIZE_NAMES = ("n", "m", "k", "l", "p", "q", "r", "s", "t")


@dataclass(frozen=True)
class Declaration:
    """One variable: its structure and the sizes of its axes, as a graph input has them.

    Attributes
    ----------
    structure : str
        scalar, vector, matrix, symmetric, diagonal, lower, upper or constant. A matrix with a
        structure is an input of shape (n, n), and only its values have the structure.
    dims : tuple of int or Dim
        The shape.
    """

    structure: str
    dims: tuple[DimLike, ...]


@dataclass(frozen=True)
class Draft:
    """A declaration whose sizes may still be unknown."""

    structure: str
    sizes: tuple[Size, ...]

    def settled(self, sizes: Sizes) -> Declaration:
        """The declaration, once every size is known."""
        return Declaration(self.structure, tuple(as_dim(sizes.resolve(s)) for s in self.sizes))


def read_declaration(variable: str, text: object) -> Draft:
    """The structure and sizes that a text such as "matrix(m, n)" states."""
    if not isinstance(text, str):
        raise DTypeError(f"the shape of {variable!r} is a text such as {EXAMPLES}, got {text!r}")
    match = DECLARATION.fullmatch(text)
    if match is None or match[1] not in STRUCTURES:
        raise ParseError(f"{variable!r} is declared as one of {EXAMPLES}", text, 0)
    structure, given = match[1], [g for g in match.groups()[1:] if g is not None]
    wanted = STRUCTURES[structure]
    if given and len(given) != wanted:
        plural = "" if wanted == 1 else "s"
        raise ParseError(
            f"{structure} takes {wanted} size{plural}, got {len(given)}", text, match.start(2)
        )
    if structure == "constant" and variable not in CONSTANTS:
        raise ParseError(
            f"only e and pi are constants, so {variable!r} cannot be one; "
            "complex numbers are not supported",
            text,
            0,
        )
    if not given:
        return Draft(structure, _unknown(variable, structure))
    sizes = tuple((_atom(g, text, match.start(i + 2)),) for i, g in enumerate(given))
    return Draft(structure, sizes if wanted == 2 or structure == "vector" else sizes * 2)


def _atom(given: str, text: str, position: int) -> Atom:
    if given.isidentifier():
        return given
    if not given.isdigit() or len(given) > 10 or not 1 <= int(given) <= LARGEST:
        raise ParseError(f"a size is a name or a number from 1 to {LARGEST}", text, position)
    return int(given)


def _unknown(variable: str, structure: str) -> tuple[Size, ...]:
    """Sizes that operators may equate; a square matrix has one for both axes."""
    first, second = (Unknown(variable, 0),), (Unknown(variable, 1),)
    by_count = {0: (), 1: (first, first), 2: (first, second)}
    return (first,) if structure == "vector" else by_count[STRUCTURES[structure]]


def letter_default(name: str) -> str:
    """The structure of an undeclared name: a to h scalars, i to z vectors, capitals matrices.

    Greek letters: small ones are scalars.
    """
    first = name[0]
    if first.isupper():
        return "matrix"
    return "vector" if "i" <= first <= "z" else "scalar"


def draft_declarations(
    text: str, syntax: Syntax, shapes: Mapping[str, object], undeclared: str
) -> dict[str, Draft]:
    """Every variable of a text, in order of appearance."""
    declared = {name: read_declaration(name, shape) for name, shape in shapes.items()}
    places = {t.text: t.position for t in reversed(syntax) if t.kind == "name"}
    used = sorted(places, key=places.__getitem__)
    called = {t.text for t in syntax if t.kind == "call"}
    _refuse_unused([name for name in declared if name not in called], used, text)
    _refuse_sizes(declared, places, text)
    return {name: declared.get(name) or _default(name, undeclared) for name in used}


def _default(name: str, undeclared: str) -> Draft:
    structure = letter_default(name) if undeclared == "letter" else undeclared
    return Draft(structure, _unknown(name, structure))


def _refuse_unused(declared: Iterable[str], used: list[str], text: str) -> None:
    if unused := sorted(set(declared) - set(used)):
        raise ParseError(
            f"declared but not in the text: {', '.join(unused)}; its variables are "
            f"{', '.join(used) or 'none'}",
            text,
            0,
        )


def _refuse_sizes(declared: Mapping[str, Draft], places: Mapping[str, int], text: str) -> None:
    named = {a for d in declared.values() for s in d.sizes for a in s if isinstance(a, str)}
    for name in sorted(named & set(places)):
        raise ParseError(
            f"{name!r} is a size in the declarations and cannot be a variable too; rename one",
            text,
            places[name],
        )


def settle_sizes(drafts: Mapping[str, Draft], sizes: Sizes) -> dict[str, Declaration]:
    """Names for the sizes that nothing determined: vectors first, so that A*x gets A (m, n)."""
    vectors = [d for d in drafts.values() if d.structure == "vector"]
    others = [d for d in drafts.values() if d.structure != "vector"]
    unknowns = [
        a for d in (*vectors, *others) for s in d.sizes for a in s if isinstance(a, Unknown)
    ]
    left = {a for u in unknowns for a in sizes.resolve((u,)) if isinstance(a, Unknown)}
    sizes.settle(unknowns, _fresh_names(drafts, sizes, len(left), bool(vectors)))
    return {name: draft.settled(sizes) for name, draft in drafts.items()}


def _fresh_names(
    drafts: Mapping[str, Draft], sizes: Sizes, count: int, has_vectors: bool
) -> list[str]:
    taken = set(drafts) | {
        a for d in drafts.values() for s in d.sizes for a in sizes.resolve(s) if isinstance(a, str)
    }
    numbered = [f"n{k}" for k in range(1, count + len(taken) + 1)]
    free = [name for name in (*SIZE_NAMES, *numbered) if name not in taken][:count]
    return free if has_vectors or count < 2 else [free[1], free[0], *free[2:]]
