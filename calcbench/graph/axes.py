"""What NumPy's functions on graph values share: signatures, axes, and steps that skip no-ops."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from calcbench.graph.arraytype import (
    BOOL,
    DimLike,
    Shape,
    ShapeError,
    TraceError,
    format_shape,
)
from calcbench.graph.comparison import not_equal
from calcbench.graph.lifting import (
    Value,
    as_dtype,
    common_builder,
    enter,
    place,
    value_or_array,
)
from calcbench.graph.structural import reshape, slice_, sum_, transpose, zeros


# Keyword -> the values that change nothing, and what to write instead of any other.
REFUSED: dict[str, tuple[tuple[Any, ...], str]] = {
    "out": ((None,), "a graph has no memory to write into; use the returned value"),
    "dtype": ((None,), "convert with .astype(...) before or after"),
    "where": ((True, None), "select the entries first, as in np.where(mask, x, 0)"),
    "initial": ((None,), "combine it with the result, as in np.maximum(result, initial)"),
    "order": ((None, "C", "K", "A"), "a graph knows no memory order; transpose explicitly"),
    "mode": (("raise",), "reduce the indices first, as in indices % n"),
    "kind": ((None, "stable", "quicksort", "heapsort", "mergesort"), "sorting is always stable"),
    "stable": ((None, True, False), "sorting is always stable"),
    "casting": ((None, "same_kind"), "convert with .astype(...) first"),
    "optimize": ((None, True, False, "greedy", "optimal"), "leave the order to calcbench"),
    "overwrite_input": ((None, False), "nothing is overwritten in a graph; leave it out"),
    "mean": ((None,), "subtract it first"),
    "correction": ((None,), "use ddof="),
    "copy": ((None, True, False), "leave it out"),
    "subok": ((None, True, False), "leave it out"),
    "device": ((None, "cpu"), "leave it out"),
    "like": ((None,), "leave it out"),
}


def numpy_signature(names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a function NumPy's parameter list; it sees only those that it takes.

    `names` are NumPy's parameters in order; those marked ``!`` are refused unless harmless
    (`REFUSED`), and ``/`` ends the ones that a caller may give by position.
    """
    before, _, after = names.partition("/")
    positional = [name.lstrip("!") for name in before.split()]
    refused = {n[1:] for n in names.split() if n.startswith("!")}
    known = {*positional, *(n.lstrip("!") for n in after.split())}

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            label = call.__name__.rstrip("_")
            if len(args) > len(positional):
                raise TraceError(
                    f"{label} got {len(args)} arguments by position; it takes {positional}"
                )
            given = dict(zip(positional, args, strict=False)) | kwargs
            for name in [n for n in given if n in refused or n not in known]:
                _refuse_unless_harmless(label, name, given.pop(name))
            return function(**given)

        return call

    return decorate


def _refuse_unless_harmless(label: str, name: str, value: Any) -> None:
    harmless, instead = REFUSED.get(name, ((), "leave it out"))
    if value is np._NoValue or any(value is h or _same_text(value, h) for h in harmless):
        return
    given = f"{name}={_short(value)}"
    raise TraceError(f"{label} of a traced value got {given}, which it does not take: {instead}")


def _same_text(value: Any, other: Any) -> bool:
    return isinstance(value, str) and value == other


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def not_given(value: Any) -> bool:
    """Whether a keyword was left at NumPy's default."""
    return value is None or value is np._NoValue


# --- operands --------------------------------------------------------------------------------


def lift(value: Any) -> Value:
    """One operand as a graph value: a traced value, or an array or list that holds some."""
    return lift_all([value])[0]


def lift_all(values: Iterable[Any]) -> list[Value]:
    """Operands as graph values of one builder, each with its own shape and dtype."""
    raw = [value_or_array(v) for v in values]
    builder = common_builder(raw)
    return [place(builder, strong(v)) for v in raw]


def strong(value: Any) -> Any:
    """A Python number as a NumPy scalar, with a dtype of its own; the rest as it is."""
    return value if isinstance(value, Value | np.ndarray | np.generic) else np.asarray(value)[()]


def lift_same(values: Iterable[Any], to_float: bool = False) -> list[Value]:
    """Operands as values of one builder and one dtype, Python numbers being arrays as well."""
    lifted = lift_all(values)
    dtype = np.result_type(*[v.type.dtype for v in lifted])
    if to_float and dtype.kind != "f":
        dtype = np.dtype(np.float64)
    return [as_dtype(v, dtype) for v in lifted]


def known(array: np.ndarray) -> np.ndarray:
    """An array made here, marked read-only: as an index it needs no guard."""
    array.setflags(write=False)
    return array


def as_float(x: Value) -> Value:
    """`x`, with integers and truth values turned into float64."""
    return x if x.type.is_float else as_dtype(x, np.dtype(np.float64))


def as_truth(x: Value) -> Value:
    """`x` as truth values: whether an entry is not zero."""
    return x if x.type.dtype == BOOL else not_equal(x, zeros(x))


def number_like(x: Value, number: float) -> Value:
    """A Python number as an operand for `x`: its shape and dtype."""
    return enter(x.builder, number, x.type.dtype, x.type.shape)


# --- axes ------------------------------------------------------------------------------------


def axis_of(axis: Any, ndim: int, name: str) -> int:
    """One axis, counted from the front."""
    try:
        index = operator.index(axis)
    except TypeError as error:
        raise ShapeError(f"{name} takes an int as axis, got {axis!r}") from error
    if not -ndim <= index < ndim:
        raise ShapeError(f"{name}: axis {index} is out of bounds for an array of {ndim} axes")
    return index % ndim


def axes_of(axis: Any, ndim: int, name: str) -> tuple[int, ...]:
    """The axes that NumPy's ``axis=`` names, sorted; None names all."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    found = tuple(axis_of(a, ndim, name) for a in axes)
    if len(set(found)) != len(found):
        raise ShapeError(f"{name}: axis={axis!r} names an axis twice")
    return tuple(sorted(found))


def sizes(x: Value, name: str) -> tuple[int, ...]:
    """The shape of `x`, which must have no named dimension."""
    return extents_of(x.type.shape, name)


def extents_of(shape: Shape, name: str) -> tuple[int, ...]:
    """A shape as numbers, or an error that names the operation."""
    if not all(isinstance(n, int) for n in shape):
        raise ShapeError(f"{name} needs numbers as dimensions, got shape {format_shape(shape)}")
    return shape


# --- steps that write no node where they change nothing --------------------------------------


def reshaped(x: Value, shape: Sequence[DimLike]) -> Value:
    """`x` with another shape."""
    return x if x.type.shape == tuple(shape) else reshape(x, shape=tuple(shape))


def flattened(x: Value) -> Value:
    """`x` with one axis."""
    return reshaped(x, (x.type.size,))


def permuted(x: Value, perm: Sequence[int]) -> Value:
    """`x` with its axes in another order."""
    return x if tuple(perm) == tuple(range(x.type.ndim)) else transpose(x, perm=tuple(perm))


def summed(x: Value, axes: Sequence[int]) -> Value:
    """`x` summed over the axes."""
    return sum_(x, axes=tuple(axes)) if axes else x


def with_ones(x: Value, axes: Iterable[int], ndim: int) -> Value:
    """`x` with axes of extent 1 inserted at `axes` of the `ndim` axes of the result."""
    inserted, extents = set(axes), iter(x.type.shape)
    return reshaped(x, [1 if a in inserted else next(extents) for a in range(ndim)])


def part(x: Value, axis: int, start: int, stop: int, step: int = 1) -> Value:
    """``x[start:stop:step]`` along one axis."""
    if (start, stop, step) == (0, x.type.shape[axis], 1):
        return x
    ndim = x.type.ndim
    return slice_(  # type: ignore[no-any-return]
        x,
        starts=tuple(start if a == axis else 0 for a in range(ndim)),
        stops=tuple(stop if a == axis else None for a in range(ndim)),
        steps=tuple(step if a == axis else 1 for a in range(ndim)),
    )


def neighbours(x: Value, axis: int, what: str) -> tuple[Value, Value]:
    """``x[1:]`` and ``x[:-1]`` along one axis; both empty where there is no entry."""
    extent = sizes(x, what)[axis]
    return part(x, axis, min(1, extent), extent), part(x, axis, 0, max(extent - 1, 0))
