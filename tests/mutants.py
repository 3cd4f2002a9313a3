"""Wrong copies of a row of the primitive table, one fault each."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.elementwise import detach
from calcbench.graph.primitive import Masked, Primitive
from calcbench.graph.structural import full


class Mutant(NamedTuple):
    """A faulty row and what is wrong with it."""

    fault: str
    row: Primitive


def mutants(row: Primitive) -> Iterator[Mutant]:
    """Every mutant of the row; the row itself stays as it is."""
    for make in (_partials, _transposes, _tangents, _texts, _values, _types):
        yield from make(row)


def arity_of(row: Primitive) -> int:
    """How many operands the row's samples have."""
    return max(len(sample.shapes) for sample in row.samples)


def _changed(row: Primitive, fault: str, **columns: Any) -> Mutant:
    return Mutant(fault, dataclasses.replace(row, **columns))


# --- derivatives ---------------------------------------------------------------------------------


def negated(partial: Any) -> Any:
    """Minus a partial: a number, a value, or a masked one."""
    if isinstance(partial, Masked):
        return Masked(partial.mask, negated(partial.value))
    return None if partial is None else -partial


def doubled(like: Any, partial: Any) -> Any:
    """Twice a partial."""
    if isinstance(partial, Masked):
        return Masked(partial.mask, doubled(like, partial.value))
    if isinstance(partial, int):
        return full(like, 2 * partial)
    return None if partial is None else partial * 2


def frozen(partial: Any) -> Any:
    """The partial as a constant: right at first order, wrong at the second."""
    if isinstance(partial, Masked):
        return Masked(partial.mask, frozen(partial.value))
    return partial if partial is None or isinstance(partial, int) else detach(partial)


def _with_partial(row: Primitive, position: int, change: Callable[..., Any]) -> Any:
    def partials(z: Any, *operands: Any, **params: Any) -> Any:
        found = list(row.partials(z, *operands, **params))  # type: ignore[misc]
        found[position] = change(z, found[position])
        return tuple(found)

    return partials


def _partials(row: Primitive) -> Iterator[Mutant]:
    if row.partials is None:
        return
    faults = {
        "wrong sign": lambda z, p: negated(p),
        "doubled": doubled,
        "dropped": lambda z, p: None,
        "frozen": lambda z, p: frozen(p),
    }
    for position in range(arity_of(row)):
        for fault, change in faults.items():
            partials = _with_partial(row, position, change)
            yield _changed(row, f"partial {position}: {fault}", partials=partials)


def _with_rule(row: Primitive, position: int, rule: Any) -> Any:
    return lambda i: rule if i == position else row.transposes(i)  # type: ignore[misc]


def _transposes(row: Primitive) -> Iterator[Mutant]:
    if row.transposes is None:
        return
    count = arity_of(row)
    positions = [i for i in range(count) if row.transposes(i) is not None]
    for i in positions:
        yield _changed(row, f"transpose {i}: dropped", transposes=_with_rule(row, i, None))
        same = _with_rule(row, i, lambda ct, *_, **__: ct)
        yield _changed(row, f"transpose {i}: identity", transposes=same)
        rule = row.transposes(i)
        minus = _with_rule(row, i, lambda *a, rule=rule, **p: -rule(*a, **p))
        yield _changed(row, f"transpose {i}: negated", transposes=minus)
    if len(positions) > 1:
        turned = dict(zip(positions, reversed(positions), strict=True))
        swapped = [row.transposes(turned.get(i, i)) for i in range(count)]
        yield _changed(row, "transposes: swapped", transposes=swapped.__getitem__)


def _tangents(row: Primitive) -> Iterator[Mutant]:
    if row.jvp is None:
        return
    jvp = row.jvp
    yield _changed(row, "tangent: negated", jvp=lambda *a, **p: -jvp(*a, **p))
    yield _changed(row, "tangent: doubled", jvp=lambda *a, **p: jvp(*a, **p) * 2)
    yield _changed(row, "tangent: dropped", jvp=lambda *a, **p: None)

    def stiff(z: Any, operands: Any, tangents: Any, **params: Any) -> Any:
        return jvp(detach(z), [detach(x) for x in operands], tangents, **params)

    yield _changed(row, "tangent: frozen", jvp=stiff)


# --- element texts -------------------------------------------------------------------------------

OTHER_FUNCTION = {
    "math.hypot": "math.atan2", "math.atan2": "math.hypot", "math.sin": "math.cos",
    "polygamma_kernel": "sinc_derivative_kernel", "sinc_derivative_kernel": "polygamma_kernel",
    "max": "min", "abs": "math.exp", "round": "math.floor", "math.log": "math.exp",
}  # fmt: skip
OTHER_OPERATOR = {
    "+": "-", "-": "+", "*": "/", "/": "*", "**": "*", "//": "/", "%": "//", "<": "<=", "<=": "<",
    ">": ">=", ">=": ">", "==": "!=", "!=": "==", "and": "or", "or": "and",
}  # fmt: skip


def _replaced(text: str, match: re.Match[str], new: str) -> str:
    return text[: match.start()] + new + text[match.end() :]


def _texts(row: Primitive) -> Iterator[Mutant]:
    text = row.scalar
    if text is None:
        return
    for match in re.finditer(r"(?:math\.)?[a-z_0-9]+(?=\()", text):
        new = OTHER_FUNCTION.get(match[0], "math.sin")
        fault = f"text: {match[0]} at {match.start()} -> {new}"
        yield _changed(row, fault, scalar=_replaced(text, match, new))
    for match in re.finditer(r"(?<= )(\*\*|//|[<>=!]=|[-+*/%<>]|and|or)(?= )", text):
        new = OTHER_OPERATOR[match[0]]
        fault = f"text: {match[0]} at {match.start()} -> {new}"
        yield _changed(row, fault, scalar=_replaced(text, match, new))
    for match in re.finditer(r"\(-(?=\{)|\bnot ", text):
        fault = f"text: no {match[0]} at {match.start()}"
        yield _changed(row, fault, scalar=_replaced(text, match, match[0].strip("-not ")))
    for match in re.finditer(r"\b\d+\.\d+\b", text):
        new = repr(float(match[0]) + 1.0)
        fault = f"text: {match[0]} at {match.start()} -> {new}"
        yield _changed(row, fault, scalar=_replaced(text, match, new))
    if "{1}" in text:
        turned = text.replace("{0}", "{9}").replace("{1}", "{0}").replace("{9}", "{1}")
        yield _changed(row, "text: operands 0 and 1 swapped", scalar=turned)


# --- values and types ----------------------------------------------------------------------------


def _wrong_value(result: Any) -> Any:
    if result.dtype == bool:
        return ~result
    return (result + result.dtype.type(1))[()]


def _reversed_value(result: Any) -> Any:
    return np.flip(result) if np.ndim(result) else -result if result.dtype != bool else ~result


def _values(row: Primitive) -> Iterator[Mutant]:
    value = row.numpy
    faults = {"one too large": _wrong_value, "reversed": _reversed_value}
    for fault, wrong in faults.items():

        def wrapped(*operands: Any, wrong: Any = wrong, **params: Any) -> Any:
            return wrong(value(*operands, **params))

        yield _changed(row, f"numpy: {fault}", numpy=wrapped)


OTHER_DTYPE = {np.dtype(a): np.dtype(b) for a, b in (("f8", "f4"), ("f4", "f8"), ("i8", "f8"))}


def _types(row: Primitive) -> Iterator[Mutant]:
    infer = row.infer

    def one_more(*types: ArrayType, **params: Any) -> ArrayType:
        stated = infer(*types, **params)
        return stated._replace(shape=(*stated.shape, 1))

    def one_less(*types: ArrayType, **params: Any) -> ArrayType:
        stated = infer(*types, **params)
        return stated._replace(shape=stated.shape[1:])

    def other_dtype(*types: ArrayType, **params: Any) -> ArrayType:
        stated = infer(*types, **params)
        return stated._replace(dtype=OTHER_DTYPE.get(stated.dtype, np.dtype(np.int64)))

    yield _changed(row, "infer: one axis too many", infer=one_more)
    yield _changed(row, "infer: one axis too few", infer=one_less)
    yield _changed(row, "infer: another dtype", infer=other_dtype)
