"""Values and partials of the steps that call no function of SymPy, on sized numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


# Position of an operand, and the partial by it with its size; None if that is not decided.
Terms = list[tuple[int, tuple[Any, Any] | None]]


def vanishes(ctx: Any, value: Any, size: Any) -> bool:
    """Whether a number may be 0 but for rounding."""
    return bool(abs(value) <= size * ctx.ldexp(1, 20 - ctx.prec))


def _tied(ctx: Any, a: Any, b: Any) -> bool:
    """Whether rounding may decide which is larger."""
    if ctx.isinf(a.value) or ctx.isinf(b.value):
        return False
    return vanishes(ctx, a.value - b.value, a.size + b.size) or a.value == b.value


def real_power(ctx: Any, base: Any, exponent: Any) -> Any:
    """base ** exponent among real numbers; None at a pole, at 0 with a kink, or if not real."""
    whole = bool(ctx.isint(exponent))
    if (base == 0 and not (whole and exponent >= 0)) or (base < 0 and not whole):
        return None
    return base ** (int(exponent) if whole and abs(exponent) < 10**9 else exponent)


def _power(ctx: Any, base: Any, exponent: Any) -> Any:
    singular = exponent.value < 0 or not ctx.isint(exponent.value)
    if singular and vanishes(ctx, base.value, base.size * (base.value != 0)):
        return None
    return real_power(ctx, base.value, exponent.value)


def _unless_tied(rule: Callable[[Any, Any], bool]) -> Callable[..., Any]:
    return lambda ctx, a, b: None if _tied(ctx, a, b) else bool(rule(a.value, b.value))


def _extreme(best: Callable[..., Any]) -> Callable[..., Any]:
    """The largest (or smallest), unless another one ties with it."""

    def value(ctx: Any, *xs: Any) -> Any:
        winner = best(xs, key=lambda x: x.value)
        return None if sum(_tied(ctx, x, winner) for x in xs) > 1 else winner.value

    return value


def _unless_zero(rule: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda ctx, x: None if vanishes(ctx, x.value, x.size) else rule(ctx, x.value)


def _floor(ctx: Any, x: Any) -> Any:
    return None if vanishes(ctx, x.value - ctx.nint(x.value), x.size) else ctx.floor(x.value)


EAGER: dict[str, Callable[..., Any]] = {
    "add": lambda ctx, *xs: ctx.fsum(x.value for x in xs),
    "mul": lambda ctx, x, y: x.value * y.value,
    "pow": _power,
    "abs": _unless_zero(lambda ctx, x: abs(x)),
    "sign": _unless_zero(lambda ctx, x: ctx.sign(x)),
    "floor": _floor,
    "max": _extreme(max),
    "min": _extreme(min),
    "less": _unless_tied(lambda a, b: a < b),
    "less_equal": _unless_tied(lambda a, b: a < b),
    "equal": _unless_tied(lambda a, b: False),
    "not": lambda ctx, x: not x,
    "detach": lambda ctx, x: x.value,
}


def all_of(xs: Sequence[Any]) -> bool | None:
    """And, where None is not known."""
    return False if any(x is False for x in xs) else None if any(x is None for x in xs) else True


def any_of(xs: Sequence[Any]) -> bool | None:
    """Or, where None is not known."""
    return True if any(x is True for x in xs) else None if any(x is None for x in xs) else False


def _piecewise(xs: list[Any]) -> Any:
    """The value of the first condition that holds; None if that is not decided."""
    for value, condition in zip(xs[::2], xs[1::2], strict=True):
        if condition is not False:
            return value if condition is True else None
    return None


LAZY: dict[str, Callable[[list[Any]], Any]] = {
    "guarded": lambda xs: xs[0] if xs[1] is True else None,
    "piecewise": _piecewise,
    "and": all_of,
    "or": any_of,
}


# --- partials ----------------------------------------------------------------------------------


def local_partials(kind: str, ctx: Any, value: Any, xs: Sequence[Any]) -> Terms:
    """The partials of a step by its operands; none where it is constant between its jumps."""
    rule = PARTIALS.get(kind)
    return [] if rule is None else rule(ctx, value, xs)


def _power_partials(ctx: Any, z: Any, xs: Sequence[Any]) -> Terms:
    return [(0, _by_base(ctx, *xs)), (1, _by_exponent(ctx, z, *xs))]


def _by_base(ctx: Any, base: Any, exponent: Any) -> tuple[Any, Any] | None:
    """e b^(e-1), with the size e (e-1) b^(e-2) times that of b."""
    e = exponent.value
    if e == 0:
        return ctx.zero, ctx.zero
    lower = real_power(ctx, base.value, e - 1)
    if lower is None:
        return None
    size = 2 * abs(e * lower)
    if base.size and e != 1:
        bend = real_power(ctx, base.value, e - 2)
        size = ctx.inf if bend is None else size + abs(e * (e - 1) * bend) * base.size
    return e * lower, size


def _by_exponent(ctx: Any, z: Any, base: Any, exponent: Any) -> tuple[Any, Any] | None:
    """z log b."""
    if base.value <= 0:
        return None
    log = ctx.ln(base.value)
    spread = abs(z) * base.size / base.value + abs(z * log * log) * exponent.size
    return z * log, abs(z * log) + spread * (1 + abs(log))


def _winner(ctx: Any, z: Any, xs: Sequence[Any]) -> Terms:
    return [(next(i for i, x in enumerate(xs) if x.value == z), (ctx.one, ctx.zero))]


PARTIALS: dict[str, Callable[[Any, Any, Sequence[Any]], Terms]] = {
    "add": lambda ctx, z, xs: [(i, (ctx.one, ctx.zero)) for i in range(len(xs))],
    "mul": lambda ctx, z, xs: [(0, tuple(xs[1])), (1, tuple(xs[0]))],
    "pow": _power_partials,
    "abs": lambda ctx, z, xs: [(0, (ctx.sign(xs[0].value), ctx.zero))],
    "max": _winner,
    "min": _winner,
    "detach": lambda ctx, z, xs: [(0, (ctx.one, ctx.zero))],
}
