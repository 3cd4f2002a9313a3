"""Numbers for what a tape's kernels can do: one per elementwise row and dtype, and the moves.

The numbering follows the primitive table, so that a new row is a new case of the kernels and
nothing else. A case belongs to the family of its number type; cases on truth values alone belong
to all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph import kinks, special  # noqa: F401 - they register the last elementwise rows
from calcbench.graph.arraytype import BOOL, FLOAT32, FLOAT64, INT64, ArrayType, CalcbenchError
from calcbench.graph.elementwise import convert
from calcbench.graph.primitive import REGISTRY, Primitive, Sample
from calcbench.lower.texts import is_elementwise


DTYPES = (FLOAT64, FLOAT32, INT64, BOOL)
FAMILIES = ("float64", "float32", "int64")
ANY_FAMILY = len(FAMILIES)
# A kernel takes as long to compile as it has cases, so each comes in three levels, and a program
# runs on the least that knows all it does. In seconds: 5 with these rows, 9 with all common ones,
_BASIC = (
    "add subtract multiply divide negative reciprocal abs sign square sqrt exp log sin cos less "
    "less_equal greater greater_equal select"
)
# and 18 with these too.
_RARE = (
    "arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt cosh digamma erf erfc exp2 "
    "expm1 floor_divide hypot lgamma log10 log2 logaddexp polygamma remainder sinc "
    "sinc_derivative sinh softplus tan"
)
_RARE_ON_TRUTH = "equal greater greater_equal less less_equal not_equal detach select convert"
BASIC, RARE = frozenset(_BASIC.split()), frozenset(_RARE.split())
RARE_ON_TRUTH = frozenset(_RARE_ON_TRUTH.split())
LEVELS = range(3)
# What moves and chooses entries; {8, 4, 1} are bytes of an item whatever its type.
PLAIN_MOVES = (
    *("fill8", "copy8", "gather8", "fill4", "copy4", "gather4", "fill1", "copy1", "gather1"),
    "sum",
)
# What folds and scatters: in a kernel of their own, as it takes long to compile.
FOLDING_MOVES = ("prod", "max", "min", "cumsum", "cumprod", "argmax", "argmin", "scatter_add")
MOVES = (*PLAIN_MOVES, *FOLDING_MOVES)
SINGLE_MOVE = MOVES[0]  # on one word: what kernels for single numbers know too


class Case(NamedTuple):
    """One case of a kernel: a row on operands of these dtypes.

    `params` are the names of the row's params, which a kernel reads like operands; `whole` says
    that they are integers.
    """

    row: Primitive
    operands: tuple[np.dtype, ...]
    result: np.dtype
    params: tuple[str, ...] = ()
    whole: bool = False

    @property
    def is_rare(self) -> bool:
        """Whether only the full kernel has the case."""
        on_truth = self.operands[0] == BOOL and self.operands[-1] == BOOL
        return self.row.name in (RARE_ON_TRUTH if on_truth else RARE)

    @property
    def level(self) -> int:
        """The least of `LEVELS` whose kernel has the case."""
        return 2 if self.is_rare else int(self.row.name not in BASIC)

    @property
    def family(self) -> int:
        """The position in `FAMILIES` of the kernel that has the case, or `ANY_FAMILY`."""
        found = [d for d in (*self.operands, self.result) if d != BOOL]
        ranked = [d for d in (FLOAT32, FLOAT64, INT64) if d in found]
        return FAMILIES.index(ranked[0].name) if ranked else ANY_FAMILY


@dataclass(frozen=True, eq=False)
class Numbering:
    """The cases in order; the moves of each family follow them, at `moves`.

    Attributes
    ----------
    cases : tuple of Case
    numbers : dict
        (row, dtype of the last operand, dtype of the result) to the number of the case.
    """

    cases: tuple[Case, ...]
    numbers: dict[tuple[Any, np.dtype, np.dtype], int]

    @property
    def moves(self) -> int:
        """The number of the first move; `len(MOVES)` further are taken."""
        return len(self.cases)

    def move(self, name: str) -> int:
        """The number of a move."""
        return self.moves + MOVES.index(name)


def numbering() -> Numbering:
    """The numbering of the table as it is now."""
    return number_rows(tuple(REGISTRY.values()))


@lru_cache(maxsize=8)
def case_facts(numbering: Numbering) -> np.ndarray:
    """Per case its family, its level, and how many params it has; `SINGLE_MOVE` comes after."""
    facts = [(c.family, c.level, len(c.params)) for c in numbering.cases]
    return np.array([*facts, (ANY_FAMILY, 0, 0)], np.int64)


@lru_cache(maxsize=8)
def number_rows(rows: Sequence[Primitive]) -> Numbering:
    """Cases of all rows that are elementwise, sorted by name: the order of imports is no matter."""
    ordered = sorted(rows, key=lambda row: row.name)
    cases = tuple(case for row in ordered for case in _cases(row))
    numbers = {(c.row, c.operands[-1], c.result): k for k, c in enumerate(cases)}
    return Numbering(cases, numbers)


def _cases(row: Primitive) -> list[Case]:
    if row is convert:
        return [Case(row, (a,), b) for a in DTYPES for b in DTYPES]
    if not is_elementwise(row):
        return []
    return [case for dtype in DTYPES if (case := _case(row, row.samples[0], dtype)) is not None]


def _case(row: Primitive, sample: Sample, dtype: np.dtype) -> Case | None:
    """The row on this dtype; None if it does not take it. Conditions stay truth values."""
    kinds = sample.domain or (None,) * len(sample.shapes)
    mixed = len(set(kinds)) > 1
    types = [ArrayType((), BOOL if k == "bool" and mixed else dtype) for k in kinds]
    try:
        result = row.infer(*types, **sample.params)
    except CalcbenchError:
        return None
    params = tuple(sorted(sample.params))
    whole = all(isinstance(sample.params[name], int) for name in params)
    return Case(row, tuple(t.dtype for t in types), result.dtype, params, whole)
