"""Values and derivatives of the functions of SymPy: values by mpmath, derivatives by SymPy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sympy as sp

from calcbench.graph.arraytype import DerivativeError
from calcbench.symbolic.references.scalar_steps import SLOTS, Steps


# SymPy class -> name in mpmath, where both mean the same and no constant stands in the call: the
# short way. Everything else goes through SymPy's own evalf.
SAME_IN_MPMATH = {
    **{name: name for name in ("sin", "cos", "asin", "acos", "atan", "atan2", "sinh")},
    **{name: name for name in ("cosh", "tanh", "asinh", "acosh", "atanh", "exp", "erf", "erfc")},
    "log": "ln",
    "gamma": "gamma",
}

# Where SymPy's derivative refers to the function itself over something that vanishes, the limit
# is out of reach by division; this is the same derivative without the quotient.
WITHOUT_QUOTIENT = {"LambertW": lambda w: sp.exp(-w) / (1 + w)}


class NoDerivativeError(DerivativeError):
    """A function that SymPy cannot differentiate by one of its arguments."""


def number_value(number: Any, ctx: Any) -> Any:
    """A number or truth value of SymPy at the precision of `ctx`; None if it is NaN."""
    if number is sp.true or number is sp.false:
        return number is sp.true
    if number is sp.nan:
        return None
    if number in (sp.oo, -sp.oo):
        return ctx.inf if number is sp.oo else -ctx.inf
    if isinstance(number, sp.Rational):
        return ctx.mpf(int(number.p)) / int(number.q)
    if isinstance(number, sp.Float):
        return ctx.make_mpf(number._mpf_)
    return _real(number.evalf(ctx.dps + 5), ctx)


def call_value(template: Any, values: Sequence[Any], ctx: Any) -> Any:
    """The function at real `values`; None where it has no finite real value."""
    name = SAME_IN_MPMATH.get(template.func.__name__)
    try:
        if name is not None and template.args == SLOTS[: len(values)]:
            return _finite(getattr(ctx, name)(*values), ctx)
        floats = [sp.Float(v._mpf_, precision=ctx.prec) for v in values]
        filled = template.xreplace(dict(zip(SLOTS, floats, strict=False)))
        return _real(filled.evalf(ctx.dps + 5), ctx)
    except (ZeroDivisionError, ValueError, OverflowError):  # what mpmath raises at poles
        return None


def _finite(value: Any, ctx: Any) -> Any:
    return value if isinstance(value, ctx.mpf) and ctx.isfinite(value) else None


def _real(value: Any, ctx: Any) -> Any:
    if isinstance(value, sp.Float):
        return _finite(ctx.make_mpf(value._mpf_), ctx)
    if isinstance(value, sp.Rational):
        return ctx.mpf(int(value.p)) / int(value.q)
    if value.is_infinite or value is sp.nan or value.is_real is False or value.has(sp.I, sp.zoo):
        return None
    raise DerivativeError(f"neither SymPy nor mpmath gives a number for {value!s:.100}")


@lru_cache(maxsize=4096)
def partial_steps(template: Any, position: int) -> tuple[Steps, int]:
    """SymPy's derivative of a call by one operand, as steps whose inputs are ``SLOTS``."""
    own = WITHOUT_QUOTIENT.get(template.func.__name__)
    steps = Steps()
    slots = {slot: steps.add("input", (), i) for i, slot in enumerate(SLOTS)}
    try:
        derivative = sp.diff(template, SLOTS[position]) if own is None else own(template)
        return steps, steps.lower(derivative, slots)
    except (RecursionError, sp.core.function.ArgumentIndexError, DerivativeError):
        raise NoDerivativeError(
            f"SymPy has no derivative of {template.func.__name__} by its argument {position + 1}"
        ) from None
