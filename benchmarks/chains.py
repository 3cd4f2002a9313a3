"""Long scalar programs: sin, exp, +, - and x in a chain, each with an operand from anywhere before.

The programs are drawn so that the value and its slope neither vanish nor overflow at `POINT`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import numpy as np
from participants import Made, casadi_call, peer


POINT = np.array([0.3, -0.7, 1.1, 0.5])
DIRECTION = np.array([1.0, 0.8, -0.6, 1.2])
LARGEST_VALUE, SMALLEST_SLOPE, LARGEST_SLOPE = 2.0, 0.05, 20.0


class Operation(NamedTuple):
    """Applied to the last value and, if it takes two, to the value number `other`."""

    kind: str
    other: int


class Dual(NamedTuple):
    """A value and its derivative in one direction, or in several."""

    value: float
    slope: Any


Program = Sequence[Operation]


def chain(words: Any, program: Program, x: Any) -> Any:
    """The last value of a program; `words` has sin and exp."""
    values = [x[0], x[1], x[2], x[3]]
    last = values[-1]
    for kind, other in program:
        if kind == "sin":
            last = words.sin(last)
        elif kind == "exp":
            last = words.exp(last)
        elif kind == "+":
            last = last + values[other]
        elif kind == "-":
            last = last - values[other]
        else:
            last = last * values[other]
        values.append(last)
    return last


def text(program: Program) -> str:
    """The same as a function `f` written out, which finds sin and exp in `np`."""
    spelled = {"sin": "np.sin({0})", "exp": "np.exp({0})", "x": "{0} * {1}"}
    lines = [f"    v{i} = x[{i}]" for i in range(len(POINT))]
    for at, (kind, other) in enumerate(program, len(POINT)):
        form = spelled.get(kind, f"{{0}} {kind} {{1}}")
        lines.append(f"    v{at} = {form.format(f'v{at - 1}', f'v{other}')}")
    return "\n".join(["def f(x):", *lines, f"    return v{len(POINT) + len(program) - 1}"])


def written(program: Program, words: Any) -> Callable[[Any], Any]:
    """The function of that text."""
    codes = compile(text(program), "<program>", "exec").co_consts
    return FunctionType(next(code for code in codes if isinstance(code, CodeType)), {"np": words})


# --- drawing -----------------------------------------------------------------------------------


def draw(count: int, seed: int = 0) -> Program:
    """A program of `count` operations."""
    source = random.Random(seed)
    values = [Dual(float(v), float(s)) for v, s in zip(POINT, DIRECTION, strict=True)]
    program: list[Operation] = []
    for _ in range(count):
        operation, result = _drawn(values, source)
        program.append(operation)
        values.append(result)
    return program


def _drawn(values: list[Dual], source: random.Random) -> tuple[Operation, Dual]:
    """The first of a few operations that stays within bounds, else the one nearest to them."""
    tried = []
    for _ in range(12):
        operation = Operation(source.choice(("sin", "exp", "+", "-", "x")), _below(values, source))
        result = DUAL[operation.kind](values[-1], values[operation.other])
        excess = _excess(result)
        if excess <= 0:
            return operation, result
        tried.append((excess, operation, result))
    return min(tried)[1:]


def _below(values: list[Dual], source: random.Random) -> int:
    return source.randrange(len(values))


def _excess(result: Dual) -> float:
    """How far a result is out of bounds, on a logarithmic scale; 0 or less inside them."""
    value, slope = abs(result.value), max(abs(result.slope), 1e-300)
    return max(
        math.log(max(value, 1e-300) / LARGEST_VALUE),
        math.log(slope / LARGEST_SLOPE),
        math.log(SMALLEST_SLOPE / slope),
    )


# --- forward mode by hand ----------------------------------------------------------------------


def _exp(a: Dual, _: Dual) -> Dual:
    return Dual(math.exp(a.value), math.exp(a.value) * a.slope)


DUAL: dict[str, Callable[[Dual, Dual], Dual]] = {
    "sin": lambda a, _: Dual(math.sin(a.value), math.cos(a.value) * a.slope),
    "exp": _exp,
    "+": lambda a, b: Dual(a.value + b.value, a.slope + b.slope),
    "-": lambda a, b: Dual(a.value - b.value, a.slope - b.slope),
    "x": lambda a, b: Dual(a.value * b.value, a.slope * b.value + a.value * b.slope),
}


def expected(program: Program) -> Dual:
    """Value and gradient at `POINT`, forwards."""
    values = [Dual(float(v), row) for v, row in zip(POINT, np.eye(len(POINT)), strict=True)]
    for kind, other in program:
        values.append(DUAL[kind](values[-1], values[other]))
    return values[-1]


# --- CasADi ------------------------------------------------------------------------------------


def casadi_calls(program: Program) -> Made:
    """Gradient and function on CasADi's machine for scalars."""
    casadi = peer("casadi")
    x = casadi.SX.sym("x", len(POINT))
    y = chain(casadi, program, x)
    gradient = casadi.Function("gradient", [x], [casadi.gradient(y, x)])
    function = casadi.Function("value", [x], [y])
    return (
        casadi_call(gradient, [POINT], [np.empty(len(POINT))]),
        casadi_call(function, [POINT], [np.empty(1)]),
    )
