"""Index notation as loops that Numba compiles, for what has no matrix notation."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from calcbench.symbolic.matrices.indexed import (
    Delta,
    Factor,
    Function,
    Group,
    Index,
    MatrixFunction,
    Size,
    Symbol,
    Tensor,
    Term,
    Triangle,
)
from calcbench.symbolic.matrices.sources import MATRIX_CALLS, call_text, extent, safe_name


class LoopWriter:
    """Lines that compute tensors into arrays with generated names."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.known: dict[str, str] = {}
        self.letters: dict[Index, str] = {}

    def array(self, tensor: Tensor) -> str:
        """The name of the array that holds the tensor."""
        if tensor.key in self.known:
            return self.known[tensor.key]
        plain = _symbol(tensor)
        if plain is not None:
            return plain
        before = [[self._factor(f) for f in t.factors] for t in tensor.terms]
        name = self.known[tensor.key] = f"v{len(self.known)}"
        shape = ", ".join(extent(i.size) for i in tensor.slots)
        comma = "," if len(tensor.slots) == 1 else ""
        self.lines.append(f"{name} = np.zeros(({shape}{comma}))")
        for term, factors in zip(tensor.terms, before, strict=True):
            self._loops(name, term, factors, tensor.slots)
        return name

    def _loops(self, name: str, term: Term, factors: list[str], slots: Sequence[Index]) -> None:
        order = [*slots, *sorted(term.bound, key=lambda i: i.number)]
        for depth, index in enumerate(order):
            head = f"for {self._loop(index)} in range({extent(index.size)}):"
            self.lines.append("    " * depth + head)
        target = f"{name}[{', '.join(map(self._loop, slots)) or '()'}]"
        number = [] if term.coefficient == 1 and factors else [repr(float(term.coefficient))]
        self.lines.append(f"{'    ' * len(order)}{target} += {' * '.join([*number, *factors])}")

    def _loop(self, index: Index) -> str:
        """The loop variable of an index, numbered in order of appearance."""
        return self.letters.setdefault(index, f"i{len(self.letters)}")

    def _factor(self, f: Factor) -> str:
        text = self._entry(f)
        if f.exponent == 1:
            return text
        whole = f.exponent.denominator == 1
        return (
            f"{text} ** {f.exponent if whole and f.exponent > 0 else f'({_decimal(f.exponent)})'}"
        )

    def _entry(self, f: Factor) -> str:
        base, at = f.base, ", ".join(map(self._loop, f.indices)) or "()"
        if isinstance(base, Symbol):
            return f"{safe_name(base.name)}[{at}]" if f.indices else safe_name(base.name)
        if isinstance(base, Size):
            return extent(base.dim)
        if isinstance(base, Delta):
            row, column = map(self._loop, f.indices)
            return f"(1.0 if {row} == {column} else 0.0)"
        if isinstance(base, Triangle):
            row, column = map(self._loop, f.indices)
            relation = ">=" if base.side == "lower" else "<="
            return f"(1.0 if {row} {relation} {column} else 0.0)"
        if isinstance(base, Group):
            return f"{self.array(base.tensor)}[{at}]"
        if isinstance(base, MatrixFunction):
            return self._matrix(base, at)
        if isinstance(base, Function):
            return f"{self._function(base)}[{at}]"
        whole, first, second = f.indices
        pair = f"{self._loop(first)} * ({extent(second.size)}) + {self._loop(second)}"
        return f"(1.0 if {self._loop(whole)} == {pair} else 0.0)"

    def _matrix(self, base: MatrixFunction, at: str) -> str:
        if base.key not in self.known:
            inner = self.array(base.argument)
            self.known[base.key] = f"v{len(self.known)}"
            text = MATRIX_CALLS[base.name].format(inner)
            self.lines.append(f"{self.known[base.key]} = {text}")
        name = self.known[base.key]
        return f"{name}[{at}]" if at != "()" else name

    def _function(self, base: Function) -> str:
        if base.key not in self.known:
            arguments = [self.array(a) for a in base.arguments]
            self.known[base.key] = f"v{len(self.known)}"
            self.lines.append(f"{self.known[base.key]} = {call_text(base.name, arguments)}")
        return self.known[base.key]


def _symbol(tensor: Tensor) -> str | None:
    """The variable that the tensor is, if it is one."""
    if len(tensor.terms) != 1 or tensor.terms[0].coefficient != 1:
        return None
    factors = tensor.terms[0].factors
    if len(factors) != 1 or not isinstance(factors[0].base, Symbol):
        return None
    whole = factors[0].is_plain and factors[0].indices == tensor.slots
    return safe_name(factors[0].base.name) if whole else None


def _decimal(value: Fraction) -> str:
    return repr(float(value))
