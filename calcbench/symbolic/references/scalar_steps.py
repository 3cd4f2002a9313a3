"""Real functions as lists of scalar steps, written from SymPy expressions.

A SymPy expression shares its parts by reference, and as a text or a tree it may be exponentially
large; as steps it has one step for each part, however often the part is used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import sympy as sp

from calcbench.graph.arraytype import DerivativeError, GraphError


MOST_STEPS = 200_000
SLOTS = tuple(sp.Dummy(f"slot{i}", real=True) for i in range(64))


class Step(NamedTuple):
    """One operation on earlier steps; equal steps are one step.

    Kinds: ``number``, ``input``, ``add``, ``mul``, ``pow``, ``abs``, ``sign``, ``floor``, ``max``,
    ``min``, ``less``, ``less_equal``, ``equal``, ``not``, ``and``, ``or``, ``piecewise`` (value,
    condition, value, condition, ...), ``guarded`` (value, condition under which the program takes
    this path), ``detach`` and ``call``: a function of SymPy, whose data is the expression with
    operand i at ``SLOTS[i]``.
    """

    kind: str
    operands: tuple[int, ...] = ()
    data: Hashable = None


class Budget:
    """The end of the time allowed, asked in every loop."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def check(self) -> None:
        """An error once the time is over."""
        if time.monotonic() > self._end:
            raise DerivativeError(
                f"the reference took longer than the {self.seconds:g} seconds allowed; ask for "
                "fewer digits, a lower order or fewer names, or pass a larger seconds="
            )


class Steps:
    """Append-only list of steps, with value numbering."""

    def __init__(self, limit: int = MOST_STEPS, budget: Budget | None = None) -> None:
        self.steps: list[Step] = []
        self.inputs: dict[str, int] = {}
        self.limit = limit
        self.budget = budget
        self._numbers: dict[Step, int] = {}

    def add(self, kind: str, operands: Sequence[int] = (), data: Hashable = None) -> int:
        """The number of the step, new or already there."""
        step = Step(kind, tuple(operands), data)
        found = self._numbers.get(step)
        if found is not None:
            return found
        if len(self.steps) >= self.limit:
            raise GraphError(
                f"the expression has more than {self.limit} scalar steps, the most that a "
                "reference takes; take a smaller size"
            )
        if self.budget is not None and len(self.steps) % 256 == 0:
            self.budget.check()
        self.steps.append(step)
        self._numbers[step] = len(self.steps) - 1
        return len(self.steps) - 1

    def fold(self, kind: str, operands: Sequence[int]) -> int:
        """The step of any number of operands; products of two at a time."""
        if kind != "mul":
            return self.add(kind, operands)
        product = operands[0]
        for operand in operands[1:]:
            product = self.add("mul", (product, operand))
        return product

    def number(self, value: Any) -> int:
        """The step of an exact number, a bool or a SymPy number."""
        if isinstance(value, bool):
            return self.add("number", (), sp.true if value else sp.false)
        return self.add("number", (), value if isinstance(value, sp.Basic) else sp.Integer(value))

    def input(self, name: str) -> int:
        """The input of this name."""
        self.inputs[name] = self.add("input", (), name)
        return self.inputs[name]

    def call(self, template: Any, operands: Sequence[int]) -> int:
        """Any expression in ``SLOTS``, written as steps with `operands` in their places."""
        return self.lower(template, dict(zip(SLOTS, operands, strict=False)))

    def lower(self, expression: Any, known: Mapping[Any, int] = {}) -> int:
        """The step that computes `expression`; symbols not in `known` are inputs by name."""
        found, waiting = dict(known), [expression]
        while waiting:
            part = waiting[-1]
            if part not in found:
                operands = operands_of(part)
                missing = [p for p in operands if p not in found]
                waiting += missing
                if missing:
                    continue
                found[part] = self._step(part, [found[p] for p in operands])
            waiting.pop()
        return int(found[expression])

    def _step(self, part: Any, operands: list[int]) -> int:
        if isinstance(part, sp.Symbol):
            return self.input(part.name)
        if isinstance(part, INDEXED):
            return self.input(entry_name(part))
        kind = PLAIN.get(part.func.__name__)
        if kind is not None:
            return self.fold(kind, operands)
        composed = COMPOSED.get(part.func.__name__)
        if composed is not None:
            return composed(self, *operands)
        if not part.args or isinstance(part, sp.Number):
            return self.add("number", (), _checked_number(part))
        return self._function(part, operands)

    def _function(self, part: Any, operands: list[int]) -> int:
        slots = dict(zip(operands_of(part), SLOTS, strict=False))
        if len(slots) > len(SLOTS):
            raise GraphError(f"{part.func.__name__} of more than {len(SLOTS)} operands")
        if isinstance(part, sp.Function):
            template = part.func(*[slots.get(a, a) for a in part.args])
        else:
            template = part.xreplace(slots)
        if isinstance(template, sp.Function) and template.func is not part.func:
            return self.call(template, operands)  # as atan2(y, x) becomes atan(y/x)
        if not isinstance(template, sp.Function | sp.Integral | sp.Sum):
            return self.call(template, operands) if isinstance(part, sp.Function) else _refuse(part)
        return self.add("call", operands, template)


INDEXED = (sp.Indexed, sp.matrices.expressions.matexpr.MatrixElement)


def entry_name(part: Any) -> str:
    """``x[0, 1]``, as entries of arrays are called."""
    base, indices = (
        (part.base, part.indices) if isinstance(part, sp.Indexed) else (part.args[0], part.args[1:])
    )
    if not all(isinstance(i, sp.Integer) for i in indices):
        raise GraphError(f"the index of {part} is no number")
    return f"{base}[{', '.join(map(str, indices))}]"


def _checked_number(part: Any) -> Any:
    if part in (sp.I, sp.zoo) or not isinstance(part, sp.Number | sp.NumberSymbol | sp.Basic):
        raise GraphError(f"a reference is of real functions, and {part} is not real")
    return part


def _refuse(part: Any) -> int:
    name = type(part).__name__
    raise DerivativeError(
        f"no reference for {name} in {part!s:.80}: SymPy gives no derivative of it that can be "
        "evaluated, or it is not a real function of numbers"
    )


def operands_of(part: Any) -> list[Any]:
    """The parts of which `part` is made; constants of special functions stay inside them."""
    if not isinstance(part, sp.Basic):
        raise GraphError(f"{part!r} of type {type(part).__name__} is no SymPy expression")
    if isinstance(part, sp.Piecewise):
        return [p for pair in part.args for p in (pair.expr, pair.cond)]
    if part.func.__name__ in PLAIN or part.func.__name__ in COMPOSED:
        return list(part.args)
    if not part.args or isinstance(part, (sp.Number, *INDEXED)):
        return []
    if isinstance(part, sp.Function) and not isinstance(part, sp.core.function.AppliedUndef):
        varying = [a for a in part.args if not isinstance(a, sp.Number | sp.NumberSymbol)]
        if not any(isinstance(a, sp.Tuple) and a.free_symbols for a in varying):
            return [a for a in varying if not isinstance(a, sp.Tuple)]
        return sorted(part.free_symbols, key=str)
    if isinstance(part, sp.Integral | sp.Sum):
        return sorted(part.free_symbols, key=str)
    if isinstance(part, sp.core.function.AppliedUndef):
        raise GraphError(f"{part.func} is an undefined function; put an expression in its place")
    _refuse(part)
    return []


# SymPy class -> kind of step.
PLAIN = {
    "Add": "add",
    "Mul": "mul",
    "Pow": "pow",
    "Abs": "abs",
    "sign": "sign",
    "floor": "floor",
    "Max": "max",
    "Min": "min",
    "Piecewise": "piecewise",
    "StrictLessThan": "less",
    "LessThan": "less_equal",
    "Equality": "equal",
    "Not": "not",
    "And": "and",
    "Or": "or",
    "detached": "detach",
}


def _quotient(s: Steps, a: int, b: int) -> int:
    return s.add("mul", (a, s.add("pow", (b, s.number(-1)))))


def _negated(s: Steps, a: int) -> int:
    return s.add("mul", (s.number(-1), a))


def _function_of(name: str) -> Callable[[Steps, int], int]:
    return lambda s, x: s.call(getattr(sp, name)(SLOTS[0]), (x,))


def _xor(s: Steps, *operands: int) -> int:
    result = operands[0]
    for other in operands[1:]:
        first = s.add("and", (result, s.add("not", (other,))))
        second = s.add("and", (s.add("not", (result,)), other))
        result = s.add("or", (first, second))
    return result


def _if_then_else(s: Steps, condition: int, a: int, b: int) -> int:
    """Of truth values; SymPy writes a comparison of a Piecewise so."""
    held = s.add("and", (condition, a))
    return s.add("or", (held, s.add("and", (s.add("not", (condition,)), b))))


def _heaviside(s: Steps, x: int, at_zero: int) -> int:
    zero, true = s.number(0), s.number(True)
    positive, vanishes = s.add("less", (zero, x)), s.add("equal", (x, zero))
    return s.add("piecewise", (s.number(1), positive, at_zero, vanishes, zero, true))


def _remainder(s: Steps, a: int, b: int) -> int:
    whole = s.add("floor", (_quotient(s, a, b),))
    return s.add("add", (a, _negated(s, s.add("mul", (b, whole)))))


def _erf_between(s: Steps, a: int, b: int) -> int:
    erf = _function_of("erf")
    return s.add("add", (erf(s, b), _negated(s, erf(s, a))))


def _ratio(top: str, bottom: str) -> Callable[[Steps, int], int]:
    """A quotient of two functions: an expansion at a zero of the denominator is a division."""
    over, under = _function_of(top), _function_of(bottom)
    return lambda s, x: _quotient(s, over(s, x), under(s, x))


def _inverse(bottom: str) -> Callable[[Steps, int], int]:
    under = _function_of(bottom)
    return lambda s, x: s.add("pow", (under(s, x), s.number(-1)))


COMPOSED: dict[str, Callable[..., int]] = {
    "StrictGreaterThan": lambda s, a, b: s.add("less", (b, a)),
    "GreaterThan": lambda s, a, b: s.add("less_equal", (b, a)),
    "Unequality": lambda s, a, b: s.add("not", (s.add("equal", (a, b)),)),
    "Xor": _xor,
    "ITE": _if_then_else,
    "Heaviside": _heaviside,
    "ceiling": lambda s, x: _negated(s, s.add("floor", (_negated(s, x),))),
    "frac": lambda s, x: s.add("add", (x, _negated(s, s.add("floor", (x,))))),
    "Mod": _remainder,
    "erf2": _erf_between,
    "re": lambda s, x: x,
    "conjugate": lambda s, x: x,
    "im": lambda s, x: s.number(0),
    "sinc": lambda s, x: _quotient(s, _function_of("sin")(s, x), x),
    "sec": _inverse("cos"),
    "csc": _inverse("sin"),
    "sech": _inverse("cosh"),
    "csch": _inverse("sinh"),
    "tan": _ratio("sin", "cos"),
    "cot": _ratio("cos", "sin"),
    "coth": _ratio("cosh", "sinh"),
}
