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
from calcbench.lower.opcodes import ANY_FAMILY, DTYPES, SINGLE_MOVE, Case, Numbering
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
    cases.append((numbers[-1], "i8[z] = i8[i]"))
    return with_library(text.replace("@CASES", nested(switch(cases), 8)))


def narrow_numbers(numbering: Numbering) -> list[int]:
    """Per case its number in the kernel for single numbers, where arithmetic comes first.

    Last comes that of `SINGLE_MOVE`.
    """
    numbers = [
        ARITHMETIC.index(case.row.name)
        if case.row.name in ARITHMETIC and case.result != BOOL
        else number + len(ARITHMETIC)
        for number, case in enumerate(numbering.cases)
    ]
    return [*numbers, numbering.move(SINGLE_MOVE) + len(ARITHMETIC)]


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


def nested(text: str, depth: int) -> str:
    """The text as the body of something `depth` deep, the first line where it stands."""
    return textwrap.indent(text, " " * depth).lstrip()


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
