"""The source of the tape's kernels, generated from the primitive table: one case per row and dtype.

A kernel is a loop over instructions of unsigned integers (Numba would test signed ones for being
negative). `f8`, `f4`, `i8` and `b1` are one block of memory seen as four types of items; values are
named by the word of eight bytes at which they start.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from calcbench.graph.arraytype import BOOL, ArrayType
from calcbench.graph.elementwise import convert
from calcbench.lower import folds
from calcbench.lower.linking import import_lines
from calcbench.lower.opcodes import (
    ANY_FAMILY,
    DTYPES,
    FAMILIES,
    FOLDING_MOVES,
    PLAIN_MOVES,
    Case,
    Numbering,
)
from calcbench.lower.reductions import TREE
from calcbench.lower.texts import cast, element_text


VIEWS = {"float64": "f8", "float32": "f4", "int64": "i8", "bool": "b1"}
SCALES = {"f8": "", "f4": "TWO * ", "i8": "", "b1": "EIGHT * "}  # items in a word
RECORD = 8  # numbers of an instruction: opcode, result, three operands, count, steps, aux
NARROW = 5  # of one on single numbers: opcode, result, three operands
BLOCK = 512  # entries between two looks at the instruction; scalars are repeated that often
NAMES, PLACES = "xyw", "ijk"
ARITHMETIC = ("add", "subtract", "multiply")


def elementwise_text(case: Case, vectorised: bool) -> str:
    """One element of a case, from operands called x, y, w and params called by their names."""
    names = NAMES[: len(case.operands)]
    if case.row is convert:
        return "(x != 0)" if case.result.kind == "b" else cast("x", case.result)
    types = [ArrayType((), dtype) for dtype in case.operands]
    return element_text(case.row, {}, names, types, ArrayType((), case.result), vectorised)


def chosen(numbering: Numbering, family: int, level: int) -> list[tuple[int, Case]]:
    """The cases of one kernel with their numbers."""
    return [
        (number, case)
        for number, case in enumerate(numbering.cases)
        if case.family in (family, ANY_FAMILY) and case.level <= level
    ]


@lru_cache(maxsize=32)
def scalar_source(numbering: Numbering, family: int, level: int, vectorised: bool) -> str:
    """The kernel for runs of instructions on single numbers."""
    numbers = narrow_numbers(numbering)
    found = {numbers[n]: c for n, c in chosen(numbering, family, level)}
    sums = [elementwise_text(found.pop(k), vectorised) for k in range(len(ARITHMETIC))]
    text = _SCALARS
    for name, expression in zip(("@SUM", "@DIFFERENCE", "@PRODUCT"), sums, strict=True):
        text = text.replace(name, expression)
    for place in "ijz":
        text = text.replace(f"@ENTRY_{place}", entry(DTYPES[family], place))
    cases = [(n, scalar_case(c, vectorised)) for n, c in found.items()]
    return with_library(text.replace("@CASES", _nested(switch(cases), 8)))


def narrow_numbers(numbering: Numbering) -> list[int]:
    """Per case its number in the kernel for single numbers, where arithmetic comes first."""
    return [
        ARITHMETIC.index(case.row.name)
        if case.row.name in ARITHMETIC and case.result != BOOL
        else number + len(ARITHMETIC)
        for number, case in enumerate(numbering.cases)
    ]


def scalar_case(case: Case, vectorised: bool) -> str:
    """The statements of a case on single numbers."""
    operands = [
        f"{name} = {entry(dtype, place)}"
        for name, dtype, place in zip(NAMES, case.operands, PLACES, strict=False)
    ]
    result = f"{entry(case.result, 'z')} = {elementwise_text(case, vectorised)}"
    return "\n".join([*operands, *params_of(case), result])


def entry(dtype: np.dtype, place: str) -> str:
    """The number at a word."""
    view = VIEWS[dtype.name]
    return f"{view}[{SCALES[view]}{place}]"


def params_of(case: Case) -> list[str]:
    """Params are read like operands, after them."""
    view = "i8" if case.whole else "f8"
    places = PLACES[len(case.operands) :]
    return [f"{name} = {view}[{p}]" for name, p in zip(case.params, places, strict=False)]


def switch(cases: Iterable[tuple[int, str]], name: str = "op") -> str:
    """An if for every case, which LLVM turns into a jump table; -2 where there is none."""
    word, lines = "if", []
    for number, text in cases:
        lines += [f"{word} {name} == {number}:", textwrap.indent(text, "    ")]
        word = "elif"
    return "\n".join([*lines, "else:", "    return -2"])


def with_library(text: str) -> str:
    """The text after the functions that it calls."""
    return "\n".join([CONSTANTS, folds.library(text), import_lines(text), text])


@lru_cache(maxsize=32)
def array_source(numbering: Numbering, family: int, level: int, vectorised: bool) -> str:
    """The kernel for instructions on arrays."""
    cases = [(n, array_case(c, vectorised)) for n, c in chosen(numbering, family, level)]
    text = _ARRAYS.replace("@CASES", _nested(switch(cases), 8))
    return with_library(TREE + _with_moves(text, numbering, family, PLAIN_MOVES))


@lru_cache(maxsize=8)
def fold_source(numbering: Numbering, family: int) -> str:
    """The kernel for instructions that fold and scatter."""
    return with_library(_trees(family) + _with_moves(_FOLDS, numbering, family, FOLDING_MOVES))


def _with_moves(text: str, numbering: Numbering, family: int, names: Iterable[str]) -> str:
    cases = move_cases(VIEWS[FAMILIES[family]])
    moves = switch([(numbering.move(name), cases[name]) for name in names if name in cases])
    depth = text.rindex("@MOVES") - text.rindex("\n", 0, text.rindex("@MOVES")) - 1
    text = text.replace("@MOVES", _nested(moves, depth))
    return text.replace("@FIRST", str(numbering.moves))


def _nested(text: str, depth: int) -> str:
    return textwrap.indent(text, " " * depth).lstrip()


def array_case(case: Case, vectorised: bool) -> str:
    """The statements of a case on `n` entries, `done` after the first; scalars stand still."""
    operands = list(zip(NAMES, case.operands, PLACES, strict=False))
    starts = [
        f"{place} = {SCALES[VIEWS[dtype.name]]}{place} + done * step_{place}"
        for _, dtype, place in operands
    ]
    loads = [f"    {name} = {VIEWS[dtype.name]}[{place} + q]" for name, dtype, place in operands]
    view = VIEWS[case.result.name]
    return "\n".join(
        [
            *params_of(case),
            *starts,
            f"z = {SCALES[view]}z + done",
            "for q in range(n):",
            *loads,
            f"    {view}[z + q] = {elementwise_text(case, vectorised)}",
        ]
    )


def move_cases(view: str) -> dict[str, str]:
    """The statements of every move in the kernel of one number type."""
    sizes = {"8": "i8", "1": "b1", **({"4": "f4"} if view == "f4" else {})}
    found = {}
    for size, items in sizes.items():
        for name, text in (("fill", _FILL), ("copy", _COPY), ("gather", _GATHER)):
            found[name + size] = _of(text, items)
    for name in ("sum", "prod", "max", "min"):
        found[name] = _of(_FOLD, view).replace("@OP", name)
    for name, step in (("cumsum", "+"), ("cumprod", "*")):
        found[name] = _of(_SCAN, view).replace("@STEP", step)
    for name, no_better in (("argmax", "<="), ("argmin", ">=")):
        found[name] = _of(_FIND, view).replace("@WORSE", no_better)
    found["scatter_add"] = _of(_SCATTER, view)
    return found


def _of(text: str, view: str) -> str:
    return text.replace("@X", view).replace("@SCALE", SCALES[view]).strip("\n")


def _trees(family: int) -> str:
    dtype = DTYPES[family]
    return "".join(
        _TREE.replace("@OP", op).replace("@NEUTRAL", folds.neutral_text(op, dtype))
        for op in ("prod", "max", "min")
    )


CONSTANTS = """
ONE = np.uint64(1)
TWO = np.uint64(2)
THREE = np.uint64(3)
FOUR = np.uint64(4)
FIVE = np.uint64(5)
SIX = np.uint64(6)
SEVEN = np.uint64(7)
EIGHT = np.uint64(8)
NONE = np.uint64(0)
"""

# All three of arithmetic are computed, and one is chosen without a branch: which of them comes next
# is what a processor guesses wrong most often, at the price of several additions.
_SCALARS = '''
@jit
def scalars(code, low, high, f8, f4, i8, b1):
    """Run the instructions low ... high, each on single numbers; -1 as nothing can fail."""
    at = np.uint64(low) * FIVE
    end = np.uint64(high) * FIVE
    while at < end:
        op = code[at]
        z = np.uint64(code[at + ONE])
        i = np.uint64(code[at + TWO])
        j = np.uint64(code[at + THREE])
        if op < THREE:
            x = @ENTRY_i
            y = @ENTRY_j
            total = @SUM
            difference = @DIFFERENCE
            product = @PRODUCT
            linear = total if op == NONE else difference
            @ENTRY_z = linear if op < TWO else product
            at += FIVE
            continue
        k = np.uint64(code[at + FOUR])
        @CASES
        at += FIVE
    return -1
'''

_ARRAYS = '''
@jit
def arrays(code, aux, low, high, f8, f4, i8, b1):
    """Run the instructions low ... high; -1, or the one that was given a position outside."""
    at = np.uint64(low) * EIGHT
    end = np.uint64(high) * EIGHT
    done = NONE
    while at < end:
        op = code[at]
        z = np.uint64(code[at + ONE])
        i = np.uint64(code[at + TWO])
        j = np.uint64(code[at + THREE])
        k = np.uint64(code[at + FOUR])
        count = np.uint64(code[at + FIVE])
        if op >= @FIRST:
            a = np.uint64(code[at + SEVEN])
            ok = True
            @MOVES
            if not ok:
                return np.int64(at // EIGHT)
            at += EIGHT
            continue
        steps = np.uint64(code[at + SIX])
        step_i = steps & ONE
        step_j = (steps >> ONE) & ONE
        step_k = (steps >> TWO) & ONE
        n = min(count - done, np.uint64(512))
        @CASES
        done += n
        if done >= count:
            done = NONE
            at += EIGHT
    return -1
'''

_FOLDS = '''
@jit
def folds(code, aux, low, high, f8, f4, i8, b1):
    """Run the instructions low ... high; -1, or the one that was given a position outside."""
    at = np.uint64(low) * EIGHT
    end = np.uint64(high) * EIGHT
    while at < end:
        op = code[at]
        z = np.uint64(code[at + ONE])
        i = np.uint64(code[at + TWO])
        j = np.uint64(code[at + THREE])
        count = np.uint64(code[at + FIVE])
        a = np.uint64(code[at + SEVEN])
        ok = True
        @MOVES
        if not ok:
            return np.int64(at // EIGHT)
        at += EIGHT
    return -1
'''

# --- moves: z, i, j, k, count as read; a is the place in `aux` -----------------------------------

_FILL = """
z = @SCALEz
value = @X[@SCALEi]
for q in range(count):
    @X[z + q] = value
"""

# aux: axes, rows, entries of a row, its strides there and here; then per outer axis, from the
# innermost, extent and strides; strides are in items, and unsigned numbers wrap around.
_COPY = """
outer = np.uint64(aux[a])
rows = np.uint64(aux[a + ONE])
n = np.uint64(aux[a + TWO])
near = np.uint64(aux[a + THREE])
far = np.uint64(aux[a + FOUR])
i = @SCALEi + np.uint64(aux[a + FIVE])
z = @SCALEz + np.uint64(aux[a + SIX])
for row in range(rows):
    source = i
    target = z
    rest = row
    for axis in range(outer):
        place = a + SEVEN + THREE * axis
        extent = np.uint64(aux[place])
        index = rest % extent
        rest = rest // extent
        source += index * np.uint64(aux[place + ONE])
        target += index * np.uint64(aux[place + TWO])
    if near == ONE and far == ONE:
        for q in range(n):
            @X[target + q] = @X[source + q]
    else:
        for q in range(n):
            @X[target + q * far] = @X[source + q * near]
"""

# j: positions; aux: how many entries there are to choose from.
_GATHER = """
size = aux[a]
i = @SCALEi
z = @SCALEz
for q in range(count):
    index = i8[j + q]
    index = index + size if index < 0 else index
    if index < 0 or index >= size:
        ok = False
    else:
        @X[z + q] = @X[i + np.uint64(index)]
"""

# The target holds zeros already.
_SCATTER = """
size = aux[a]
i = @SCALEi
z = @SCALEz
for q in range(count):
    index = i8[j + q]
    index = index + size if index < 0 else index
    if index < 0 or index >= size:
        ok = False
    else:
        @X[z + np.uint64(index)] += @X[i + q]
"""

# count rows of aux[a] entries each; j: a place for block sums.
_FOLD = """
n = np.uint64(aux[a])
i = @SCALEi
z = @SCALEz
j = @SCALEj
for row in range(count):
    start = np.int64(i + row * n)
    @X[z + row] = tree_@OP(@X, start, np.int64(n), @X, np.int64(j))
"""

_SCAN = """
n = np.uint64(aux[a])
i = @SCALEi
z = @SCALEz
for row in range(count):
    if n > NONE:
        total = @X[i]
        @X[z] = total
        for q in range(ONE, n):
            total = total @STEP @X[i + q]
            @X[z + q] = total
    i += n
    z += n
"""

_FIND = """
n = np.uint64(aux[a])
i = @SCALEi
for row in range(count):
    best = NONE
    value = @X[i]
    for q in range(ONE, n):
        x = @X[i + q]
        if value == value and not x @WORSE value:
            best = q
            value = x
    i8[z + row] = np.int64(best)
    i += n
"""

_TREE = '''
@jit
def tree_@OP(x, start, count, sums, first):
    """The fold of consecutive entries; `sums` has room for one number a block from `first` on."""
    if count <= 256:
        return block_@OP(x, start, count, @NEUTRAL)
    blocks = (count + 255) // 256
    for block in range(blocks):
        done = block * 256
        sums[first + block] = block_@OP(x, start + done, min(256, count - done), @NEUTRAL)
    pair_@OP(sums, first, blocks, 1)
    return sums[first]
'''
