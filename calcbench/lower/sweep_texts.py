"""The kernels of the direct sweeps: steps put into the loops that the two modes state."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from calcbench.forward_mode import accumulation as forward
from calcbench.lower.linking import import_lines
from calcbench.lower.sweep_cases import OPERANDS, RESULTS, Step
from calcbench.lower.tape_texts import CONSTANTS, SCALES, VIEWS, entry, switch
from calcbench.reverse_mode import accumulation as reverse


PLACES = ("i", "j", "k")


class Kernel(NamedTuple):
    """The source of a kernel, the name of its function, and the operations it knows by step."""

    source: str
    name: str
    numbers: dict[Step, int]


@lru_cache(maxsize=32)
def upward(steps: frozenset[Step], dtype: str) -> Kernel:
    """The kernel that computes values."""
    known = {s.plain for s in steps}
    return _kernel(
        "run", reverse.UPWARD, known, dtype, _value, arithmetic=reverse.UPWARD_ARITHMETIC
    )


@lru_cache(maxsize=32)
def downward(steps: frozenset[Step], dtype: str, masked: bool) -> Kernel:
    """The kernel that passes cotangents down."""
    known = {s for s in steps if s.shares and s.result == dtype and (masked or not s.is_masked)}
    passed = reverse.PASS_MASKED if masked else reverse.PASS
    frame = reverse.DOWNWARD.replace("@PASS", _within(passed, 8))
    arithmetic = reverse.DOWNWARD_ARITHMETIC.replace("@PASS", _within(passed, 4))
    return _kernel("pull", frame, known, dtype, _passed, masked, arithmetic)


@lru_cache(maxsize=32)
def pushing(steps: frozenset[Step], dtype: str, masked: bool) -> Kernel:
    """The kernel that computes values and tangents together."""
    known = {s for s in steps if masked or not s.is_masked}
    combine = forward.COMBINE_MASKED if masked else forward.COMBINE
    frame = forward.PUSH.replace("@COMBINE", _within(combine, 12))
    return _kernel("push", frame, known, dtype, _pushed, masked, forward.PUSH_ARITHMETIC)


def _kernel(
    name: str,
    frame: str,
    steps: Iterable[Step],
    dtype: str,
    case: Callable[[Step, str], list[str]],
    masked: bool = False,
    arithmetic: str = "",
) -> Kernel:
    """A frame with a case a step; those whose results have other dtypes than the kernel's last.

    Where a program has additions, subtractions and products, they come first, and `arithmetic` is
    the text for all three.
    """
    ordered = sorted(steps, key=lambda s: (s.result != dtype, _rank(s, dtype), s))
    if [_rank(s, dtype) for s in ordered[:4]] == [0, 1, 2, 3]:
        frame = frame.replace("@ARITHMETIC", _within(arithmetic, 8))
    cases = [(n, "\n".join(case(step, dtype))) for n, step in enumerate(ordered, 1)]
    last = sum(step.result == dtype for step in ordered)
    masks = "on_p = on_q = True" if masked else ""
    text = frame.replace("@CASES", _within(switch(cases[:last]), 8))
    text = text.replace(
        "@OTHERS", _within(switch(cases[last:]) if cases[last:] else "return -2", 12)
    )
    text = text.replace("@ARITHMETIC", "")
    text = _in_dtype(text.replace("@LAST", str(last)).replace("@MASKS", masks), dtype)
    numbers = {step: n for n, step in enumerate(ordered, 1)}
    for step, number in list(numbers.items()):
        numbers.setdefault(step.plain, number)
    return Kernel("\n".join([CONSTANTS, import_lines(text), text]), name, numbers)


def _rank(step: Step, dtype: str) -> int:
    """0, 1, 2 for the arithmetic of the kernel's dtype, 3 for all others."""
    names = ("add", "subtract", "multiply")
    return names.index(step.row) if step.row in names and step.result == dtype else len(names)


def _within(text: str, depth: int) -> str:
    return textwrap.indent(text.strip("\n"), " " * depth).lstrip()


def _in_dtype(text: str, dtype: str) -> str:
    """The frame's words for operands, arrays and places, in the dtype of the kernel."""
    scale = SCALES[VIEWS[dtype]]
    words = {name: OPERANDS[dtype][place] for place, name in enumerate("xyw")}
    words |= {name: scale + name for name in ("i", "j", "k", "z", "first", "second")}
    views = {letter.upper(): VIEWS[dtype].replace("f", letter) for letter in "fgd"}
    words |= {"r": RESULTS[dtype], "ZERO": _number("0.0", dtype), "S": scale, **views}
    words |= {"UNIT": _number("1.0", dtype)}
    return re.sub(r"@(\w+)", lambda match: words.get(match[1], match[0]), text)


def _number(text: str, dtype: str) -> str:
    return text if dtype == "float64" else f"np.{dtype}({text})"


# --- cases ----------------------------------------------------------------------------------------


def _value(step: Step, dtype: str) -> list[str]:
    """The statements that compute a value, and store it if it is not the kernel's to store."""
    if step.result == dtype:
        return [*_loads(step, dtype), f"{RESULTS[dtype]} = {step.value}"]
    stored = f"{entry(np.dtype(step.result), 'z')} = {step.value}"
    return [*_loads(step, dtype), stored]


def _passed(step: Step, dtype: str) -> list[str]:
    """The statements that compute what a cotangent passes on."""
    lines = [*_loads(step, dtype), *step.body]
    for letter, mask, share in zip("ab", ("on_p", "on_q"), step.shares, strict=False):
        own = "-ct" if share.sign < 0 else "ct"
        lines.append(f"{letter} = {own if share.partial is None else f'{share.partial} * ct'}")
        lines += [f"{mask} = {share.mask}"] if share.mask else []
    return lines


def _pushed(step: Step, dtype: str) -> list[str]:
    """The statements that compute a value and its partials."""
    lines = [*_value(step, dtype), *step.body]
    for letter, share in zip("pq", step.shares, strict=False):
        lines.append(f"{letter} = {share.partial or _number(f'{share.sign}.0', dtype)}")
        lines += [f"on_{letter} = {share.mask}"] if share.mask else []
    return lines


def _loads(step: Step, dtype: str) -> list[str]:
    """Statements that read the operands that are not of the kernel's dtype."""
    places = zip(step.operands, PLACES, range(3), strict=False)
    return [
        f"{OPERANDS[kind][n]} = {entry(np.dtype(kind), place)}"
        for kind, place, n in places
        if kind != dtype
    ]
