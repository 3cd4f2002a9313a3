"""The text of one element of a row, in the dtypes of the graph and the words of one target."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from calcbench.graph import kernels
from calcbench.graph.arraytype import FLOAT32, ArrayType
from calcbench.graph.nodes import Literal
from calcbench.lower import circles, elementary, error_functions, powers


_FLOAT_LITERAL = re.compile(r"(?<![\w.])(\d+\.\d+)(?![\w.])")
_CALL = re.compile(r"\b([A-Za-z_]\w*)\(")
_CONSTANT = re.compile(r"\b[A-Z][A-Z_]{2,}\b")
_VECTORISING = (elementary, powers, circles, error_functions)
NOT_COMPILED = frozenset(("integer_power",))  # NumPy refuses negative exponents: let it


def is_elementwise(row: Any) -> bool:
    """Whether engines compute the row from its element text."""
    return row.scalar is not None and row.name not in NOT_COMPILED


def element_text(
    row: Any,
    params: Mapping[str, Hashable],
    operands: Sequence[str],
    types: Sequence[ArrayType],
    result: ArrayType,
    vectorised: bool = True,
    target: str = "cpu",
) -> str:
    """The expression that computes one element from operands that are names or literals.

    float32 is computed as float32 in exact rows, else in float64 and rounded once; `vectorised`
    replaces libm's functions by those of `calcbench.lower.elementary` and its neighbours.
    """
    text = row.scalar_on.get(target, row.scalar)
    if vectorised and target == "cpu":
        text = _vectorised(row.name, text)
    narrow = FLOAT32 in [t.dtype for t in types]
    widened = narrow and "exact" not in row.facts
    names = [f"np.float64({n})" if widened else n for n in operands]
    whole = all(t.dtype.kind in "ib" for t in types)
    if whole or (narrow and not widened):
        text = _FLOAT_LITERAL.sub(_whole if whole else r"np.float32(\1)", text)
    for name, value in params.items():
        text = re.sub(rf"\b{name}\b", repr(value), text)
    return cast(text.format(*names), result.dtype, narrow or whole)


def _whole(match: re.Match[str]) -> str:
    number = float(match[1])
    return str(int(number)) if number.is_integer() else match[1]


def _vectorised(name: str, text: str) -> str:
    for module in _VECTORISING:
        row_lanes: Mapping[str, str] = getattr(module, "ROW_LANES", {})
        if name in row_lanes:
            return row_lanes[name]
        for plain, lane in module.VECTORISED.items():
            text = text.replace(f"{plain}(", f"{lane}(")
    return text


def cast(text: str, dtype: np.dtype, needed: bool = True) -> str:
    """The text converted to a dtype: the graph decides dtypes, not the compiler."""
    if not needed or dtype.kind == "b":
        return text
    return f"np.{dtype.name}({text})"


def literal_text(value: Literal) -> str:
    """A constant as Python text, in its dtype; negative ones in brackets."""
    number = value.array.item()
    if value.array.dtype.kind == "f" and not np.isfinite(number):
        name = "math.nan" if np.isnan(number) else "math.inf"
        text = f"(-{name})" if np.signbit(number) else name
    else:
        text = f"({number!r})" if np.signbit(float(number)) else repr(number)
    return cast(text, value.array.dtype, value.array.dtype != np.float64)


# --- functions that the texts call -------------------------------------------------------------


def library(text: str, decorator: str = "@inline") -> str:
    """The source of every function of ours that `text` calls, decorated.

    Not inlined, the larger ones would be called entry by entry, and no loop around them vectorises:
    powers took 80 ns instead of 9.
    """
    found: dict[str, str] = {}
    _collect(text, found, decorator)
    return "\n\n".join(found.values())


def _collect(text: str, found: dict[str, str], decorator: str) -> None:
    """Callees before callers, so that each is defined when a caller is compiled."""
    for name in dict.fromkeys(_CALL.findall(text)):
        home = _home(name)
        if home is None or name in found:
            continue
        source = inspect.getsource(getattr(home, name))
        _collect(source.split("\n", 1)[1], found, decorator)
        found[name] = f"{_constants(home, source)}{decorator}\n{source}"


def own_functions(text: str) -> dict[str, str]:
    """The source of each function of ours that `text` calls itself, to become part of it."""
    found = {}
    for name in dict.fromkeys(_CALL.findall(text)):
        home = _home(name)
        if home is not None:
            source = inspect.getsource(getattr(home, name))
            found[name] = f"{_constants(home, source)}@inline\n{source}"
    return found


def _home(name: str) -> ModuleType | None:
    for module in (kernels, *_VECTORISING):
        function: Callable[..., Any] | None = getattr(module, name, None)
        if inspect.isfunction(function) and function.__module__ == module.__name__:
            return module
    return None


def _constants(home: ModuleType, source: str) -> str:
    names = dict.fromkeys(_CONSTANT.findall(source))
    return "".join(f"{n} = {getattr(home, n)!r}\n" for n in names if hasattr(home, n))
