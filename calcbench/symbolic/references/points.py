"""Exact points: names mapped to exact numbers, or to arrays of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from calcbench.graph.arraytype import DerivativeError, DTypeError, GraphError


MOST_DIGITS_OF_TEXT = 100_000
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,5})?(/\d+)?")


def exact_number(value: Any, name: str) -> Any:
    """`value` as an exact SymPy number.

    Ints, Fractions, exact SymPy numbers and texts such as ``"0.1"``, ``"-2.5e-3"`` or ``"1/3"``
    are what they say. A binary float is taken at its exact value, so 0.1 is not one tenth.
    """
    if isinstance(value, sp.Basic):
        return _exact_expression(value, name)
    if isinstance(value, str):
        return _from_text(value, name)
    if isinstance(value, bool | np.bool_):
        raise DTypeError(f"{name} is {value!r}; write 0 or 1 for a number")
    if isinstance(value, int | np.integer):
        return sp.Integer(int(value))
    if isinstance(value, Fraction):
        return sp.Rational(value.numerator, value.denominator)
    if isinstance(value, float | np.floating):
        if not math.isfinite(value):
            raise DerivativeError(f"{name} is {value!r}; a reference needs a finite point")
        top, bottom = value.as_integer_ratio()
        return sp.Rational(top, bottom)
    raise DTypeError(
        f"{name} is {value!r:.60} of type {type(value).__name__}; give an int, a Fraction, a SymPy "
        'number or a text such as "0.1"'
    )


def _exact_expression(value: Any, name: str) -> Any:
    if isinstance(value, sp.Float):
        value = sp.Rational(value)
    if not isinstance(value, sp.Expr) or value.free_symbols or value.is_real is not True:
        raise DTypeError(f"{name} is {value!s:.60}, which is no finite real number")
    return value


def _from_text(text: str, name: str) -> Any:
    if len(text) > MOST_DIGITS_OF_TEXT or not _NUMBER.fullmatch(text.strip()):
        raise DTypeError(
            f'{name} is the text {text!r:.60}; a number is written like "0.1", "-2.5e-3" or "1/3"'
        )
    top, _, bottom = text.strip().partition("/")
    divisor = _whole(bottom or "1")
    if divisor == 0:
        raise DTypeError(f"{name} is {text!r:.60}, a division by zero")
    mantissa, _, exponent = top.lower().partition("e")
    before, _, after = mantissa.lstrip("+-").partition(".")
    number = Fraction(_whole(before + after) * (-1) ** mantissa.startswith("-"), divisor)
    return exact_number(number * Fraction(10) ** (int(exponent or 0) - len(after)), name)


def _whole(digits: str) -> int:
    """An int of any length: Python reads at most 4300 digits at once."""
    value = 0
    for start in range(0, len(digits), 4000):
        part = digits[start : start + 4000]
        value = value * 10 ** len(part) + int(part)
    return value


def exact_array(value: Any, name: str) -> np.ndarray:
    """Nested lists or an array of exact numbers as an object array of SymPy numbers.

    Shape (); a plain number gives a 0-dimensional array.
    """
    raw = value.tolist() if isinstance(value, sp.MatrixBase | sp.NDimArray) else value
    try:
        given = np.array(raw, dtype=object)
    except ValueError as error:
        raise DTypeError(f"{name} is no array of numbers: {error}") from None
    result = np.empty(given.shape, dtype=object)
    for at in np.ndindex(given.shape):
        result[at] = exact_number(given[at], name if not at else f"{name}{list(at)}")
    return result


def check_names(given: Mapping[str, Any], wanted: list[str], what: str) -> None:
    """An error naming what is missing and what is unknown."""
    missing, unknown = sorted(set(wanted) - set(given)), sorted(set(given) - set(wanted))
    if missing or unknown:
        raise GraphError(
            f"{what} has the names {', '.join(wanted) or '(none)'}; `at` misses {missing} and has "
            f"unknown {unknown}"
        )


def check_point(at: Any) -> dict[str, Any]:
    """`at` with text for keys; symbols count by name."""
    if not isinstance(at, Mapping):
        raise DTypeError(
            f"at maps names to exact numbers, as in {{'x': '0.5'}}; got {type(at).__name__}"
        )
    point: dict[str, Any] = {}
    for key, value in at.items():
        name = key.name if isinstance(key, sp.Symbol) else key
        if not isinstance(name, str):
            raise DTypeError(f"a name in `at` is a text or a SymPy symbol, got {key!r:.60}")
        if name in point:
            raise GraphError(f"`at` names {name!r} twice")
        point[name] = value
    return point
