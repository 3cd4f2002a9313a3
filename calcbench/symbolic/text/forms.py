"""The form of every operand, scalar, column, row or matrix, and what operators make of two."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from calcbench.symbolic.text.parse_errors import quoted
from calcbench.symbolic.text.sizes import Misfit, Size, Sizes, Unknown, format_size


MOST_SHOWN = 100  # characters of an operand that are looked at for a message


class Form(NamedTuple):
    """A kind with its sizes; a vector is a column, and the transpose of it a row."""

    kind: str
    sizes: tuple[Size, ...] = ()


SCALAR = Form("scalar")


class Operand(NamedTuple):
    """One side of an operator: its form, where it stands, and its value if it is a number."""

    form: Form
    text: str
    start: int
    end: int
    constant: Fraction | None = None

    @property
    def shown(self) -> str:
        """The operand as it stands in the text, for messages."""
        return quoted(self.text[self.start : min(self.end, self.start + MOST_SHOWN)])

    @property
    def kind(self) -> str:
        """The kind of its form."""
        return self.form.kind

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes of its form."""
        return self.form.sizes

    def described(self, sizes: Sizes) -> str:
        """A phrase for messages, such as ``A, an (m, n) matrix``."""
        shape = ", ".join(format_size(sizes.resolve(s)) for s in self.sizes)
        return f"{self.shown}, a {self.kind}" + (f" of size ({shape})" if shape else "")


OperatorRule = Callable[[Operand, Operand, Sizes], Form]


def _both(x: Operand, y: Operand, sizes: Sizes) -> str:
    said = f"got {x.described(sizes)}, and {y.described(sizes)}"
    products = [s for s in (*x.sizes, *y.sizes) if len(sizes.resolve(s)) > 1]
    unknown = any(isinstance(a, Unknown) for s in products for a in sizes.resolve(s))
    return f"{said} (declare the shapes of the factors)" if unknown else said


def same_form(x: Operand, y: Operand, sizes: Sizes) -> Form:
    """Entry by entry: a scalar goes with anything, otherwise kind and sizes agree."""
    if x.kind == "scalar":
        return y.form
    if y.kind == "scalar":
        return x.form
    if x.kind != y.kind:
        hint = "; transpose one with '" if {x.kind, y.kind} == {"row", "column"} else ""
        raise Misfit(f"operands of one shape are needed, {_both(x, y, sizes)}{hint}")
    if not all(sizes.equate(p, q) for p, q in zip(x.sizes, y.sizes, strict=True)):
        raise Misfit(f"operands of one shape are needed, {_both(x, y, sizes)}")
    return x.form


def sum_form(x: Operand, y: Operand, sizes: Sizes) -> Form:
    """``+`` and ``-``: a scalar is added to every entry of a vector, but not of a matrix."""
    kinds = {x.kind, y.kind}
    if kinds == {"scalar", "matrix"}:
        raise Misfit(
            f"a scalar and a matrix have no sum, {_both(x, y, sizes)}; to add it to every entry "
            "write .+ or .-"
        )
    return same_form(x, y, sizes)


_PRODUCT_KINDS = {
    ("row", "column"): "scalar",
    ("row", "matrix"): "row",
    ("matrix", "column"): "column",
    ("matrix", "matrix"): "matrix",
}


def product_form(x: Operand, y: Operand, sizes: Sizes) -> Form:
    """``*``: scaling, or the matrix product, whose inner sizes agree."""
    if "scalar" in (x.kind, y.kind):
        return same_form(x, y, sizes)
    if (x.kind, y.kind) == ("column", "row"):
        return Form("matrix", (x.sizes[0], y.sizes[0]))
    kind = _PRODUCT_KINDS.get((x.kind, y.kind))
    if kind is None:
        raise Misfit(f"no matrix product, {_both(x, y, sizes)}; {_instead(x, y)}")
    if not sizes.equate(x.sizes[-1], y.sizes[0]):
        inner = [format_size(sizes.resolve(s)) for s in (x.sizes[-1], y.sizes[0])]
        raise Misfit(
            f"the inner sizes {inner[0]} and {inner[1]} of a matrix product differ, "
            f"{_both(x, y, sizes)}; transpose one with ' or write .* for entry by entry"
        )
    return Form(kind, (*x.sizes[:-1], *y.sizes[1:]))


def _instead(x: Operand, y: Operand) -> str:
    if x.kind == y.kind:
        return f"write {x.shown}'*{y.shown}, {x.shown}*{y.shown}' or {x.shown}.*{y.shown}"
    return f"transpose one: {x.shown}'*{y.shown} or {x.shown}*{y.shown}'"


def quotient_form(x: Operand, y: Operand, sizes: Sizes) -> Form:
    """``/``: only a scalar divides."""
    if y.kind != "scalar":
        inverse = f", or {x.shown}*inv({y.shown})" if y.kind == "matrix" else ""
        raise Misfit(
            f"only a scalar divides, {_both(x, y, sizes)}; entry by entry write ./{inverse}"
        )
    return x.form


LARGEST_POWER = 1000


def power_form(x: Operand, y: Operand, sizes: Sizes) -> Form:
    """``^``: of scalars, and of a square matrix to a whole number."""
    if x.kind == "scalar" and y.kind == "scalar":
        return SCALAR
    if x.kind != "matrix" or y.kind != "scalar":
        hint = "; for the transpose write ' or .T" if y.shown == "T" else ""
        raise Misfit(f"no power, {_both(x, y, sizes)}; entry by entry write .^{hint}")
    if y.constant is None or y.constant.denominator != 1 or abs(y.constant) > LARGEST_POWER:
        raise Misfit(
            f"a power of a matrix has a whole exponent up to {LARGEST_POWER}, "
            f"{_both(x, y, sizes)}; entry by entry write .^"
        )
    return square_form(x, sizes, "a power of a matrix")


def square_form(x: Operand, sizes: Sizes, what: str) -> Form:
    """The form of `x`, once it is a square matrix."""
    if x.kind != "matrix" or not sizes.equate(*x.sizes):
        raise Misfit(f"{what} needs a square matrix, got {x.described(sizes)}")
    return x.form


def transposed(form: Form) -> Form:
    """Of a column the row, of a row the column, of a matrix (m, n) the (n, m)."""
    kind = {"column": "row", "row": "column"}.get(form.kind, form.kind)
    return Form(kind, form.sizes[::-1])


OPERATOR_FORMS: dict[str, OperatorRule] = {
    "+": sum_form, "-": sum_form, "*": product_form, "/": quotient_form, "^": power_form,
    ".+": same_form, ".-": same_form, ".*": same_form, "./": same_form, ".^": same_form,
}  # fmt: skip
