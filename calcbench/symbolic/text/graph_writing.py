"""A syntax whose shapes are known to the graph of its value: one loop, one node an operation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from calcbench.graph import dispatch  # noqa: F401 - gives values NumPy's functions
from calcbench.graph.arraytype import FLOAT64, CalcbenchError, array_type
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value, enter, stretch
from calcbench.graph.nodes import INPUT
from calcbench.graph.structural import reshape
from calcbench.symbolic.text.declarations import Declaration
from calcbench.symbolic.text.forms import Operand
from calcbench.symbolic.text.listed_functions import find_listed
from calcbench.symbolic.text.parse_errors import TextShapeError
from calcbench.symbolic.text.syntax import Syntax, Term


CONSTANT_VALUES = {"e": math.e, "pi": math.pi}


def write_graph(
    text: str, syntax: Syntax, operands: list[Operand], declarations: Mapping[str, Declaration]
) -> Graph:
    """The graph of the last term; its inputs are the declared variables, in their order."""
    writer = _Writer(declarations)
    for term in syntax:
        given = [operands[i] for i in term.operands]
        try:
            writer.write(term, operands[len(writer.values)].constant, [o.kind for o in given])
        except CalcbenchError as error:
            raise TextShapeError(str(error), text, term.position) from error
    result = writer.as_value(writer.values[-1])
    if operands[-1].kind == "row":
        result = reshape(result, shape=(1, *result.type.shape))
    return writer.builder.freeze([result.id])


class _Writer:
    """A builder, and what each term became: a graph value, or the fraction that it is."""

    def __init__(self, declarations: Mapping[str, Declaration]) -> None:
        self.builder = Builder()
        self.values: list[Any] = []
        self.variables = {name: self._variable(name, d) for name, d in declarations.items()}

    def _variable(self, name: str, declaration: Declaration) -> Value:
        if declaration.structure == "constant":
            return self.as_value(CONSTANT_VALUES[name])
        params = (("name", name), ("type", array_type(declaration.dims)))
        index = self.builder.add(INPUT, (), params)  # add_input would look through all the others
        self.builder.inputs.append(index)
        return Value(self.builder, index)

    def write(self, term: Term, constant: Fraction | None, kinds: Sequence[str]) -> None:
        """Append what the term becomes; `kinds` are those of its operands."""
        if constant is not None:
            self.values.append(constant)
        elif term.kind == "name":
            self.values.append(self.variables[term.text])
        else:
            self.values.append(self._operation(term, kinds))

    def _operation(self, term: Term, kinds: Sequence[str]) -> Any:
        given = [self.values[i] for i in term.operands]
        if term.text in ("^", ".^", "pow"):
            is_matrix = term.text == "^" and kinds[0] == "matrix"
            return (self._matrix_power if is_matrix else self._power)(*given)
        lifted = [self.as_value(v) for v in given]
        if term.kind == "call":
            return find_listed(term.text).build(*lifted)  # type: ignore[union-attr]
        if term.kind == "operator":
            return _binary(term.text, kinds)(*lifted)
        return -lifted[0] if term.kind == "sign" else _transposed(lifted[0])

    def _power(self, base: Any, exponent: Any) -> Any:
        """Exponents that float64 holds go in as numbers: the graph has rows for 2, 0.5 and -1."""
        x = self.as_value(base)
        if isinstance(exponent, Fraction) and Fraction(float(exponent)) == exponent:
            return x ** (int(exponent) if exponent.denominator == 1 else float(exponent))
        return x ** self.as_value(exponent)

    def _matrix_power(self, base: Any, exponent: Fraction) -> Any:
        if exponent:
            return np.linalg.matrix_power(base, int(exponent))
        ones: Any = stretch(self.as_value(Fraction(1)), base.type.shape[:1])
        return np.diag(ones)

    def as_value(self, given: Any) -> Value:
        """A number as a node: the float that it is, or the quotient of two that are whole."""
        if isinstance(given, Value):
            return given
        nearest = float(given)
        top, bottom = Fraction(given).as_integer_ratio()
        if Fraction(nearest) == given or max(abs(top), bottom) > 2**53:
            return self._number(nearest)
        quotient: Value = self._number(top) / self._number(bottom)
        return quotient

    def _number(self, value: float) -> Value:
        return enter(self.builder, float(value), FLOAT64, ())


def _transposed(x: Any) -> Any:
    """Vectors have one axis, whichever way they stand."""
    return x.T if x.type.ndim == 2 else x


def _binary(symbol: str, kinds: Sequence[str]) -> Callable[[Any, Any], Any]:
    if symbol == "*" and "scalar" not in kinds:
        return np.outer if tuple(kinds) == ("column", "row") else np.matmul
    return _ENTRY_BY_ENTRY[symbol.lstrip(".")]


_ENTRY_BY_ENTRY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
}
