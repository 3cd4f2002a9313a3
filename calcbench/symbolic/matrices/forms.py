"""Matrix notation: forms of two axes, simplified as they are built.

A scalar is 1 x 1 and a vector a column; nothing here knows of indices or of any printed syntax.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

from calcbench.graph.arraytype import DimLike
from calcbench.symbolic.matrices.keys import shortened


Extents = tuple[DimLike, DimLike]
SCALAR: Extents = (1, 1)


@dataclass(frozen=True, eq=False)
class Form:
    """One operation of matrix notation.

    Attributes
    ----------
    op : str
        ``symbol number size ones eye triangle`` are leaves; ``sum scale product hadamard power
        transpose inv det logabsdet trace diag Diag function kron commutation vec``.
    args : tuple of Form
    shape : (rows, columns)
    data : hashable
        The name of a symbol or function, a number, the coefficients of a sum, an exponent.
    """

    op: str
    args: tuple[Form, ...]
    shape: Extents
    data: Any = None

    @cached_property
    def key(self) -> str:
        """Text that is equal for equal forms, and in whose order they are written."""
        inner = ", ".join(a.key for a in self.args)
        return shortened(f"{self.op}[{inner}]{self.data}{tuple(map(str, self.shape))}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Form) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def is_scalar(self) -> bool:
        return bool(self.shape == SCALAR)

    @property
    def is_vector(self) -> bool:
        return bool(self.shape[1] == 1 and self.shape[0] != 1)

    @cached_property
    def weight(self) -> int:
        """How much there is to read."""
        return 1 + sum(a.weight for a in self.args)


def symbol(name: str, shape: Extents, structure: str = "") -> Form:
    return Form("symbol", (), shape, (name, structure))


def num(value: Fraction | int) -> Form:
    return Form("number", (), SCALAR, Fraction(value))


def size(dim: DimLike) -> Form:
    return num(dim) if isinstance(dim, int) else Form("size", (), SCALAR, dim)


def ones(rows: DimLike) -> Form:
    return num(1) if rows == 1 else Form("ones", (), (rows, 1))


def eye(rows: DimLike) -> Form:
    return num(1) if rows == 1 else Form("eye", (), (rows, rows))


def zero(shape: Extents) -> Form:
    return Form("zero", (), shape)


def triangle(side: str, rows: DimLike) -> Form:
    return Form("triangle", (), (rows, rows), side)


# --- transposition and functions of one form -----------------------------------------------------


@lru_cache(maxsize=10_000)
def transposed(f: Form) -> Form:
    """f', pushed to the leaves; symmetric forms are their own."""
    if f.is_scalar or f.op in ("eye", "Diag"):
        return f
    if f.op in ("transpose",):
        return f.args[0]
    if f.op == "symbol" and f.data[1] in ("symmetric", "diagonal"):
        return f
    if f.op == "product":
        return product([transposed(a) for a in reversed(f.args)])
    if f.op == "kron":
        return Form("kron", tuple(transposed(a) for a in f.args), f.shape[::-1])
    if f.op in ("sum", "hadamard", "power", "function") and _is_symmetric(f):
        return f
    if f.op == "scale":
        return scale(f.data, f.args[:-1], transposed(f.args[-1]))
    if f.op == "inv" and transposed(f.args[0]) == f.args[0]:
        return f
    if f.op == "zero":
        return zero(f.shape[::-1])
    return Form("transpose", (f,), f.shape[::-1])


def _is_symmetric(f: Form) -> bool:
    """Whether the terms (or factors, or arguments) are those of the transpose in some order."""
    if f.shape[0] != f.shape[1]:
        return False
    data = f.data if f.op == "sum" else (1,) * len(f.args)
    own = sorted((a.key, d) for a, d in zip(f.args, data, strict=True))
    return own == sorted((transposed(a).key, d) for a, d in zip(f.args, data, strict=True))


def inverse(f: Form) -> Form:
    """The inverse; that of a product of square matrices is the product of theirs."""
    if f.op == "inv":
        return f.args[0]
    if f.op == "transpose":
        return transposed(inverse(f.args[0]))
    if f.op == "product" and all(a.shape == f.shape for a in f.args):
        return product([inverse(a) for a in reversed(f.args)])
    return Form("inv", (f,), f.shape)


def function(name: str, args: Sequence[Form], shape: Extents) -> Form:
    """A function entry by entry."""
    return Form("function", tuple(args), shape, name)


def raised(f: Form, exponent: Fraction) -> Form:
    """f to an exponent, entry by entry."""
    if exponent == 1 or f.op == "ones" or f == num(1):
        return f
    if f.op == "power" and (f.data * exponent).denominator == 1 and exponent.denominator == 1:
        return raised(f.args[0], f.data * exponent)
    return Form("power", (f,), f.shape, exponent)


# --- products ------------------------------------------------------------------------------------


def without_scalars(forms: Iterable[Form]) -> tuple[Fraction, list[Form], list[Form]]:
    """The number, the scalars and the rest of a product of forms."""
    coefficient, scalars, rest = Fraction(1), list[Form](), list[Form]()
    for f in forms:
        if f.op == "number":
            coefficient *= f.data
        elif f.op == "scale":
            coefficient *= f.data
            scalars += f.args[:-1]
            rest.append(f.args[-1])
        elif f.is_scalar:
            scalars.append(f)
        else:
            rest.append(f)
    return coefficient, scalars, rest


def scale(coefficient: Fraction, scalars: Sequence[Form], body: Form) -> Form:
    """A number times scalars times a form."""
    factor, more, rest = without_scalars([*scalars, body])
    coefficient *= factor
    every = _multiplied(more)
    if not rest or (rest[0].is_scalar and rest[0] == num(1)):
        if len(every) == 1 and coefficient == 1:
            return every[0]
        if not every:
            return num(coefficient)
        return Form("scale", (*every, num(1)), SCALAR, coefficient)
    inner = rest[0]
    if inner.is_scalar:
        return scale(coefficient, [*every, inner], num(1))
    if coefficient == 1 and not every:
        return inner
    return Form("scale", (*every, inner), inner.shape, coefficient)


def _multiplied(scalars: Iterable[Form]) -> list[Form]:
    """Scalars with equal ones joined into powers."""
    exponents: dict[Form, Fraction] = {}
    for s in scalars:
        base, exponent = (s.args[0], s.data) if s.op == "power" else (s, Fraction(1))
        exponents[base] = exponents.get(base, Fraction(0)) + exponent
    return [raised(base, e) for base, e in exponents.items() if e]


def product(forms: Sequence[Form]) -> Form:
    """The matrix product; scalars within it come to the front."""
    coefficient, scalars, rest = without_scalars(forms)
    chain: list[Form] = []
    for f in rest:
        chain += f.args if f.op == "product" else [f]
    chain = _cancelled([f for f in chain if f.op != "eye"]) or chain[:1]
    if not chain:
        return scale(coefficient, scalars, num(1))
    outer, inner = _segments(chain)
    body = Form("product", tuple(outer), (outer[0].shape[0], outer[-1].shape[1]))
    body = outer[0] if len(outer) == 1 else body
    return scale(coefficient, [*scalars, *inner], body)


def _cancelled(chain: list[Form]) -> list[Form]:
    """The chain without neighbours A⁻¹ A."""
    kept: list[Form] = []
    for f in chain:
        if kept and kept[-1].shape == f.shape and kept[-1] == inverse(f):
            kept.pop()
        else:
            kept.append(f)
    if not kept and chain:
        return [eye(chain[0].shape[0])]
    return kept


def _segments(chain: list[Form]) -> tuple[list[Form], list[Form]]:
    """The chain without the scalars in it, v (w'x) u' being (w'x) v u'; and those scalars."""
    segments: list[list[Form]] = [[]]
    for f in chain:
        segments[-1].append(f)
        if f.shape[1] == 1:
            segments.append([])
    segments = [s for s in segments if s]
    numbers = [s for s in segments if s[0].shape[0] == 1 and s[-1].shape[1] == 1]
    kept = [f for s in segments if s not in numbers for f in s]
    inner = [_number_of(s) for s in numbers]
    return (kept, inner) if kept else ([inner[0]], inner[1:])


def _number_of(segment: list[Form]) -> Form:
    """v'..w as one scalar, in the order that is shorter to read."""
    backward = [transposed(f) for f in reversed(segment)]
    chosen = min(segment, backward, key=_reading_order) if len(segment) > 1 else segment
    return Form("product", tuple(chosen), SCALAR) if len(chosen) > 1 else chosen[0]


def _reading_order(chain: Sequence[Form]) -> tuple[object, ...]:
    return sum(f.weight for f in chain), chain[0].weight, [f.key for f in chain]


def hadamard(forms: Sequence[Form]) -> Form:
    """The product entry by entry of forms of one shape."""
    coefficient, scalars, rest = without_scalars(forms)
    flat: list[Form] = []
    for f in rest:
        flat += f.args if f.op == "hadamard" else [f]
    flat = _multiplied(f for f in flat if f.op != "ones") or flat[:1]
    if not flat:
        return scale(coefficient, scalars, num(1))
    masks = [f for f in flat if f.op == "triangle"]
    rest_of = [f for f in flat if f.op != "triangle"]
    if masks and rest_of:
        inner = hadamard(rest_of)
        body = Form("triangular", (inner,), inner.shape, masks[0].data)
    else:
        body = flat[0] if len(flat) == 1 else Form("hadamard", tuple(flat), flat[0].shape)
    return scale(coefficient, scalars, body)
