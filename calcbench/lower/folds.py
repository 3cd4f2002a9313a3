"""Reductions of generated loops: block by block in lanes, and the blocks in adjacent pairs.

All folds follow the tree of `calcbench.lower.reductions`; sums use its text. A fold over leading
axes does for every column what a fold over a row does, with lanes that are rows.
"""

from __future__ import annotations

import numpy as np

from calcbench.graph.nodes import Literal
from calcbench.lower.reductions import TREE
from calcbench.lower.texts import literal_text


# The two operands of a step are `a`, which comes first, and `b`.
STEPS = {
    "sum": "a + b",
    "prod": "a * b",
    "max": "a if a >= b or a != a else b",
    "min": "a if a <= b or a != a else b",
}

_BLOCK = '''
@jit
def block_{op}(x, start, count, neutral):
    """The {op} of at most 256 consecutive entries."""
    a = b = c = d = e = f = g = h = neutral
    whole = count - count % 8
    for k in range(start, start + whole, 8):
        a = join_{op}(a, x[k])
        b = join_{op}(b, x[k + 1])
        c = join_{op}(c, x[k + 2])
        d = join_{op}(d, x[k + 3])
        e = join_{op}(e, x[k + 4])
        f = join_{op}(f, x[k + 5])
        g = join_{op}(g, x[k + 6])
        h = join_{op}(h, x[k + 7])
    k = start + whole
    rest = count - whole
    if rest > 0:
        a = join_{op}(a, x[k])
    if rest > 1:
        b = join_{op}(b, x[k + 1])
    if rest > 2:
        c = join_{op}(c, x[k + 2])
    if rest > 3:
        d = join_{op}(d, x[k + 3])
    if rest > 4:
        e = join_{op}(e, x[k + 4])
    if rest > 5:
        f = join_{op}(f, x[k + 5])
    if rest > 6:
        g = join_{op}(g, x[k + 6])
    return join_{op}(
        join_{op}(join_{op}(a, e), join_{op}(c, g)), join_{op}(join_{op}(b, f), join_{op}(d, h))
    )
'''

_JOIN = '''
@jit
def join_{op}(a, b):
    """One step of the {op}."""
    return {step}
'''

# `sums` holds `count` rows of `width` entries from `first` on; `lanes` holds 8 rows.
_PAIRS = '''
@jit
def pair_{op}(sums, first, count, width):
    """The {op} of rows, in adjacent pairs, into the first of them."""
    while count > 1:
        half = count // 2
        for k in range(half):
            into, left = first + k * width, first + 2 * k * width
            right = left + width
            for j in range(width):
                sums[into + j] = join_{op}(sums[left + j], sums[right + j])
        if count % 2:
            for j in range(width):
                sums[first + half * width + j] = sums[first + (count - 1) * width + j]
            half += 1
        count = half
'''

_LANES = '''
@jit
def lanes_{op}(lanes, width, sums, first, count):
    """Each column of the 8 lanes of a block to one entry of `sums`."""
    for j in range(count):
        a = join_{op}(lanes[j], lanes[4 * width + j])
        b = join_{op}(lanes[width + j], lanes[5 * width + j])
        c = join_{op}(lanes[2 * width + j], lanes[6 * width + j])
        d = join_{op}(lanes[3 * width + j], lanes[7 * width + j])
        sums[first + j] = join_{op}(join_{op}(a, c), join_{op}(b, d))
'''


def library(text: str) -> str:
    """The functions of this file that `text` calls."""
    found = [TREE] if "block_sum(" in text else []
    for op, step in STEPS.items():
        parts = {"block": _BLOCK, "pair": _PAIRS, "lanes": _LANES}
        used = [t for n, t in parts.items() if f"{n}_{op}(" in text and (n, op) != ("block", "sum")]
        if used or f"join_{op}(" in text:
            found += [t.format(op=op, step=step) for t in (_JOIN, *used)]
    return "\n".join(found)


def own_functions(text: str) -> dict[str, str]:
    """The source of each function of this file that `text` calls itself."""
    found = {}
    for op, step in STEPS.items():
        sources = {"join": _JOIN, "block": _BLOCK, "pair": _PAIRS, "lanes": _LANES}
        for name, source in sources.items():
            if f"{name}_{op}(" in text:
                tree = (name, op) == ("block", "sum")
                whole = TREE if tree else source.format(op=op, step=step)
                found[f"{name}_{op}"] = whole.replace(
                    "@jit", "@inline" if name == "join" else "@part"
                )
    return found


def neutral_text(op: str, dtype: np.dtype) -> str:
    """The number that changes nothing: -0.0 for sums, as x + -0.0 is x for every x."""
    if op in ("sum", "prod"):
        number: object = 1 if op == "prod" else -0.0 if dtype.kind == "f" else 0
    elif dtype.kind == "b":
        number = op == "min"
    elif dtype.kind == "f":
        number = -np.inf if op == "max" else np.inf
    else:
        number = np.iinfo(dtype).min if op == "max" else np.iinfo(dtype).max
    return literal_text(Literal.of(number, dtype))


def block_text(op: str, array: str, count: str, neutral: str) -> str:
    """The fold of the first `count` entries of a buffer."""
    if op == "sum":
        return f"block_sum({array}, 0, {count})"
    return f"block_{op}({array}, 0, {count}, {neutral})"
