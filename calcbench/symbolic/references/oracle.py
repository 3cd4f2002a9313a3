"""`reference`: derivatives by SymPy, evaluated with mpmath: what everything else is measured by."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from calcbench.graph.arraytype import DerivativeError, GraphError
from calcbench.symbolic.references.calls import number_value
from calcbench.symbolic.references.points import check_point
from calcbench.symbolic.references.polarisation import differentials
from calcbench.symbolic.references.precision import NotSettledError, settled
from calcbench.symbolic.references.scalar_steps import Budget
from calcbench.symbolic.references.sides import Function, value_at
from calcbench.symbolic.references.smooth_sweeps import Sized, gradient, values_of
from calcbench.symbolic.references.source import Source
from calcbench.symbolic.references.sources import read_source


MOST_DIGITS = 10_000
HIGHEST_ORDER = 50
MOST_PARTIALS = 20_000


def reference(
    function: Any,
    at: Mapping[Any, Any],
    wrt: str | Sequence[str] | None = None,
    order: int = 1,
    digits: int = 50,
    *,
    seconds: float = 60.0,
) -> Any:
    """The derivative by SymPy at an exact point, correct to the digits asked for.

    Parameters
    ----------
    function : SymPy expression, Graph, callable or str
        What to differentiate. A Python function is recorded at the point; its arguments are named
        like its parameters, and leaves of nested ones ``w[0]`` or ``w['bias']``. A text is parsed
        by calcbench's own grammar.
    at : mapping of name to exact number
        Ints, Fractions, exact SymPy numbers, or decimal text such as ``"0.1"`` or ``"1/3"``;
        nested lists or arrays of these for an array. Symbols count by name, whatever their
        assumptions. A binary float is taken at its exact value: ``0.1`` is not one tenth.
    wrt : str or sequence of str, optional
        By which names to differentiate; all of `at` if not given.
    order : int
        0 for the value, up to 50.
    digits : int
        Up to 10000.
    seconds : float
        The time allowed.

    Returns
    -------
    Float, object array or dict
        For one scalar name a SymPy Float of this precision, or an infinite number where the
        derivative is infinite. For arrays an object array of these, of shape
        ``output.shape + order * input.shape``. A dict by name if `wrt` is a sequence or there are
        several names; nested by name for higher orders. Programs with several outputs give a
        tuple.

    Raises
    ------
    DerivativeError
        Where the derivative does not exist: kinks, with their one-sided slopes, and jumps; or
        where the digits or the time do not suffice.
    GraphError, DTypeError, ShapeError
        If names are missing or unknown, or numbers are not exact.

    Notes
    -----
    Each scalar step has its own derivative from `sympy.diff`; they are accumulated with mpmath,
    backwards for a first derivative and as series for higher ones. No rule of the primitive table
    but its SymPy column is used. SymPy is not asked about kinks, jumps and removable points:
    there, both sides are expanded in series and compared.

    The working precision is raised until bounds of the errors are small enough. A number that goes
    on shrinking with the rounding, up to about ``6 * digits + 500`` digits below its largest term,
    is 0.

    Where the function is defined on one side only, as ``sqrt(x)`` at 0, the derivative is that of
    this side. Where it grows without bound to the same side, it is ``oo`` or ``-oo``. Partial
    derivatives at a kink are given only if the slopes along other lines follow from them.

    Examples
    --------
    >>> import calcbench as cb
    >>> import numpy as np
    >>> cb.reference(lambda x: x * np.sin(x), {"x": "0.5"}, digits=20)
    0.91821681954938935833
    """
    _check(order, digits, seconds)
    budget = Budget(seconds)
    source = read_source(function, check_point(at), budget)
    names, single = _wanted(source, wrt)
    entries = [e for name in names for e in source.entries[name].flat]
    indices = list(itertools.combinations_with_replacement(entries, order))
    count = len(source.outputs) * len(indices)
    if count > MOST_PARTIALS:
        raise GraphError(
            f"{count} partial derivatives of order {order} were asked for; at most "
            f"{MOST_PARTIALS} are computed: name fewer inputs in wrt="
        )
    numbers = _numbers(source, indices, order, digits, budget)
    count = len(indices)
    tables = [
        dict(zip(indices, numbers[k * count : (k + 1) * count], strict=True))
        for k in range(len(source.outputs))
    ]
    blocks = [_arranged(source, table, names, order, single) for table in tables]
    pattern = _arranged(source, dict.fromkeys(indices), names, order, single)
    return source.arrange(blocks, pattern)


def _check(order: int, digits: int, seconds: float) -> None:
    limits = (("order", order, 0, HIGHEST_ORDER), ("digits", digits, 1, MOST_DIGITS))
    for name, value, low, high in limits:
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or not low <= value <= high:
            raise DerivativeError(f"{name} is a whole number from {low} to {high}, got {value!r}")
    if not isinstance(seconds, int | float) or not seconds > 0:
        raise DerivativeError(f"seconds is a positive number, got {seconds!r}")


def _wanted(source: Source, wrt: Any) -> tuple[list[str], bool]:
    """The names, and whether the result is for a single one, without a dict."""
    if wrt is None:
        names = list(source.differentiable)
        if not names:
            raise GraphError("there is nothing to differentiate by: no name in `at` is of floats")
        return names, len(names) == 1
    single = isinstance(wrt, str) or hasattr(wrt, "name")
    names = [str(getattr(w, "name", w)) for w in ([wrt] if single else wrt)]
    for name in names:
        if name not in source.differentiable:
            known = ", ".join(source.differentiable) or "none"
            raise GraphError(f"wrt names {name!r}, which is none of the inputs of floats: {known}")
    if not names or len(set(names)) < len(names):
        raise GraphError(f"wrt must name inputs, each once; got {wrt!r}")
    return names, single


def _numbers(
    source: Source, indices: list[tuple[str, ...]], order: int, digits: int, budget: Budget
) -> list[Any]:
    """Every output's partial derivatives; from series where a sweep does not settle."""
    try:
        return settled(lambda c: _partials(source, indices, order, order == 1, c, budget), digits)
    except NotSettledError:
        if order != 1:
            raise
    return settled(lambda c: _partials(source, indices, order, False, c, budget), digits)


def _partials(
    source: Source,
    indices: list[tuple[str, ...]],
    order: int,
    swept: bool,
    ctx: Any,
    budget: Budget,
) -> list[tuple[Any, Any]]:
    """Every output's partial derivatives of this order."""
    point = {name: number_value(x, ctx) for name, x in source.point.items()}
    functions = [Function(source.steps, o, point, source.shown) for o in source.outputs]
    if order == 0:
        return [value_at(f, ctx, budget) for f in functions]
    if swept:
        return _gradients(source, functions, indices, ctx, budget)
    return [p for f in functions for p in differentials(f, indices, order, ctx, budget)]


def _gradients(
    source: Source,
    functions: list[Function],
    indices: list[tuple[str, ...]],
    ctx: Any,
    budget: Budget,
) -> list[tuple[Any, Any]]:
    """One reverse sweep an output; from both sides where something is not decided."""
    steps, inputs = source.steps, source.steps.inputs
    bound = {name: Sized(x, abs(x)) for name, x in functions[0].point.items()} if functions else {}
    values = values_of(steps, bound, ctx, source.outputs, budget)
    wanted = [inputs[name] for (name,) in indices]
    results: list[tuple[Any, Any]] = []
    for function in functions:
        value, swept = values.found[function.output], None
        if isinstance(value, bool):
            raise DerivativeError(f"the expression {function.shown} is a condition, not a number")
        if value is not None:
            swept = gradient(steps, values, function.output, wanted, ctx, budget)
        results += differentials(function, indices, 1, ctx, budget) if swept is None else swept
    return results


Table = Mapping[tuple[str, ...], Any]


def _arranged(source: Source, table: Table, names: list[str], order: int, single: bool) -> Any:
    """One output's derivatives: by name, nested for higher orders, arrays of input shapes."""
    position = {e: i for i, e in enumerate(e for n in names for e in source.entries[n].flat)}

    def block(path: tuple[str, ...]) -> Any:
        if len(path) < order and not single:
            return {name: block((*path, name)) for name in names}
        axes = [source.entries[name] for name in (names * order if single else path)]
        result = np.empty([n for a in axes for n in a.shape], dtype=object)
        for at in np.ndindex(result.shape):
            key = sorted(_entries_at(at, axes), key=position.__getitem__)
            result[at] = table[tuple(key)]
        return result if axes and result.ndim else result[()]

    return block(())


def _entries_at(at: tuple[int, ...], axes: list[np.ndarray]) -> list[str]:
    """The inputs' entries at a position of an array whose axes are those of the inputs in turn."""
    found = []
    for entries in axes:
        found.append(entries[at[: entries.ndim]])
        at = at[entries.ndim :]
    return found
