"""Functions entry by entry, written into a graph."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from calcbench.graph.arraytype import FLOAT64
from calcbench.graph.elementwise import convert, power
from calcbench.graph.nodes import Literal
from calcbench.graph.primitive import find_primitive
from calcbench.graph.structural import fill


def as_float(number: Fraction) -> float:
    return number.numerator / number.denominator


def raised(value: Any, exponent: Fraction) -> Any:
    """The value to an exponent, entry by entry."""
    if exponent == 2:
        return np.square(value)
    if exponent == Fraction(1, 2):
        return np.sqrt(value)
    if exponent == -1:
        return 1.0 / value
    shape = value.type.shape
    params = (("shape", shape), ("value", Literal.of(as_float(exponent), FLOAT64)))
    literal = type(value)(value.builder, value.builder.add(fill, (), params))
    return power(value, literal)


def applied(name: str, values: Sequence[Any]) -> Any:
    """A row that acts entry by entry, named with its params; a condition is 1 or 0."""
    row, *params = name.split(",")
    given = {key: _parsed(text) for key, text in (p.split("=") for p in params)}
    value = find_primitive(row)(*values, **given)
    return value if value.type.is_float else convert(value, dtype=FLOAT64)


def _parsed(text: str) -> float | int:
    return float(text) if "." in text else int(text)
