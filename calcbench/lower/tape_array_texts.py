"""The source of the tape's kernels for arrays: elementwise cases in blocks, moves, and folds."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from calcbench.lower import folds
from calcbench.lower.opcodes import DTYPES, FAMILIES, FOLDING_MOVES, PLAIN_MOVES, Case, Numbering
from calcbench.lower.reductions import TREE
from calcbench.lower.tape_texts import (
    NAMES,
    PLACES,
    SCALES,
    VIEWS,
    chosen,
    elementwise_text,
    nested,
    params_of,
    switch,
    with_library,
)


@lru_cache(maxsize=32)
def array_source(numbering: Numbering, family: int, level: int, vectorised: bool) -> str:
    """The kernel for instructions on arrays."""
    cases = [(n, array_case(c, vectorised)) for n, c in chosen(numbering, family, level)]
    text = _ARRAYS.replace("@CASES", nested(switch(cases), 8))
    return with_library(TREE + _with_moves(text, numbering, family, PLAIN_MOVES))


@lru_cache(maxsize=8)
def fold_source(numbering: Numbering, family: int) -> str:
    """The kernel for instructions that fold and scatter."""
    return with_library(_trees(family) + _with_moves(_FOLDS, numbering, family, FOLDING_MOVES))


def _with_moves(text: str, numbering: Numbering, family: int, names: Iterable[str]) -> str:
    cases = move_cases(VIEWS[FAMILIES[family]])
    moves = switch([(numbering.move(name), cases[name]) for name in names if name in cases])
    depth = text.rindex("@MOVES") - text.rindex("\n", 0, text.rindex("@MOVES")) - 1
    text = text.replace("@MOVES", nested(moves, depth))
    return text.replace("@FIRST", str(numbering.moves))


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
