"""What each row of the primitive table is in SymPy: its own column, or what it means."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import sympy as sp

from calcbench.graph.arraytype import GraphError
from calcbench.graph.primitive import find_primitive
from calcbench.symbolic.references.scalar_steps import SLOTS


class detached(sp.Function):  # type: ignore[misc]  # SymPy has no types
    """`cb.detach` in an expression: the value of its argument, with derivative 0."""

    def fdiff(self, argindex: int = 1) -> Any:
        """Zero, on purpose."""
        return sp.Integer(0)

    def _eval_evalf(self, prec: int) -> Any:
        return self.args[0]._eval_evalf(prec)


def _rounded(x: Any) -> Any:
    """To the nearest whole number, halves to the even one."""
    half = sp.Rational(1, 2)
    to_even = sp.Piecewise((1, sp.Eq(sp.Mod(x - half, 2), 0)), (0, True))
    return sp.floor(x + half) - to_even


def _step(a: Any, b: Any, tie: float) -> Any:
    return sp.Piecewise((1, a > b), (0, a < b), (sp.Rational(tie), True))


# Elementwise rows without a column. These have a meaning that SymPy can say.
BY_MEANING: dict[str, Any] = {
    "detach": detached,
    "isnan": lambda x: sp.false,
    "rint": _rounded,
    "sign_at": lambda x, *, at_zero: sp.Piecewise(
        (1, x > 0), (-1, x < 0), (sp.Rational(at_zero), True)
    ),
    "larger_share": lambda x, y, *, tie: _step(x, y, tie),
    "sinc_derivative": lambda x, *, order: sp.diff(sp.sin(sp.pi * x) / (sp.pi * x), x, order),
    # sign(x) |x|^(1/3), without the derivative of |x| that SymPy has no real value for.
    "cbrt": lambda x: sp.Piecewise(
        (x ** sp.Rational(1, 3), x >= 0), (-((-x) ** sp.Rational(1, 3)), True)
    ),
}


@lru_cache(maxsize=4096)
def template(name: str, params: tuple[tuple[str, Any], ...], arity: int) -> Any:
    """The row as a SymPy expression in the first `arity` slots.

    Raises
    ------
    GraphError
        If the row has no meaning in SymPy.
    """
    row, slots = find_primitive(name), SLOTS[:arity]
    if name in BY_MEANING:
        return BY_MEANING[name](*slots, **dict(params))
    if row.scalar is None or row.sympy is None:
        raise GraphError(f"{name} has no meaning in SymPy")
    if isinstance(row.sympy, str):
        return getattr(sp, row.sympy)(*slots)
    return row.sympy(sp, *slots, **dict(params))
