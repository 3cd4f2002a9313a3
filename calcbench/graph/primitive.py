"""The primitive record, one constructor per kind of derivative, and the registry."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import (
    BOOL,
    ArrayType,
    DTypeError,
    GraphError,
    Shape,
    ShapeError,
    format_shape,
)


Infer = Callable[..., ArrayType]
Rule = Callable[..., Any]
Interval = tuple[float, float] | str


class Masked(NamedTuple):
    """A partial, tangent or cotangent that is `value` where `mask` holds and exactly 0 elsewhere.

    Kept apart until it must be one array, so that a partial that is infinite on a branch not
    taken never meets the zero: 0 * inf would be NaN. `zeroed` says that `value` is 0 already where
    the mask does not hold.
    """

    mask: Any
    value: Any
    zeroed: bool = False


class Sample(NamedTuple):
    """One case from which tests draw: shapes, params and, per operand, where values lie.

    An interval is (low, high); the words "spd", "regular", "distinct", "bool", "index:n",
    "sorted" and "integer" name a kind of array.
    """

    shapes: tuple[Shape, ...]
    params: Mapping[str, Hashable] = {}
    domain: tuple[Interval, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Primitive:
    """One operation, with everything that is known about it.

    Attributes
    ----------
    name : str
    kind : {"elementwise", "multilinear", "linearised", "piecewise_constant", "source", "control"}
        How its derivative is stated.
    infer : callable
        Operand types and params to the result type.
    numpy : callable
        The reference value.
    sympy : str, callable or None
        A name in SymPy, or a function of (the SymPy module, operands); None means no meaning.
    scalar : str or None
        Text of one element; None if the row is not elementwise.
    partials : callable or None
        (out, *operands, **params) to one partial per operand: None (proved zero), 1, -1, a graph
        value or `Masked`. Kink rows also take ``active``, which operands are differentiated.
    transposes : callable or None
        For rows linear in operand i: i to its rule (cotangent, *operands, **params) -> share.
    jvp : callable or None
        (out, operands, tangents, **params) to the tangent, in linear rows; its transpose is
        computed, except for rows that hold graphs: they have `pull`, and take a transform.
    samples : tuple of Sample
    facts : frozenset of str
        ``named`` (takes named dimensions), ``commutative``, ``exact``, ``kink``, ``structural``,
        ``singular`` (a partial may be infinite where the value is finite), ``leaves_out`` (some
        entries of the operand are not used) ...
    scalar_on : mapping
        Element text for one target that differs from `scalar`.
    """

    name: str
    kind: str
    infer: Infer
    numpy: Callable[..., Any]
    sympy: str | Callable[..., Any] | None = None
    scalar: str | None = None
    partials: Rule | None = None
    transposes: Callable[[int], Rule | None] | None = None
    jvp: Rule | None = None
    pull: Rule | None = None
    samples: tuple[Sample, ...] = ()
    facts: frozenset[str] = frozenset()
    scalar_on: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, first: Any, *others: Any, **params: Hashable) -> Any:
        """The node that applies this row to graph values of one builder."""
        operands = (first.id, *[v.id for v in others])
        builder = first.builder
        index = builder.add(self, operands, tuple(sorted(params.items())), builder.epoch)
        return type(first)(builder, index)

    @property
    def takes_named_dimensions(self) -> bool:
        """Whether operands may have dimensions of unknown size."""
        return self.scalar is not None or "named" in self.facts

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return find_primitive, (self.name,)


REGISTRY: dict[str, Primitive] = {}
CONTROL: dict[str, Primitive] = {}  # rows that hold graphs: what they compute is in their params


def find_primitive(name: str) -> Primitive:
    """The row of this name, or an error."""
    for table in (REGISTRY, CONTROL):
        if name in table:
            return table[name]
    raise GraphError(f"no primitive is named {name!r}; see calcbench.graph.primitive.REGISTRY")


def _register(row: Primitive) -> Primitive:
    if row.name in REGISTRY:
        raise GraphError(f"two primitives are named {row.name!r}")
    REGISTRY[row.name] = row
    return row


KIND_LETTERS = {"float": "f", "number": "fi", "integer": "i", "bool": "b", "any": "fib"}


def same_types(name: str, arity: int, takes: str, gives: np.dtype | None = None) -> Infer:
    """Type rule of elementwise rows: all operands of one type; the result has it, or `gives`."""
    letters = KIND_LETTERS[takes]

    def infer(first: ArrayType, *others: ArrayType, **_: object) -> ArrayType:
        if len(others) + 1 != arity:
            raise ShapeError(f"{name} takes {arity} operands, got {len(others) + 1}")
        for other in others:
            check_same(name, first, other)
        if first.dtype.kind not in letters:
            raise DTypeError(f"{name} takes {takes} operands, got {first}")
        return first if gives is None else ArrayType(first.shape, gives)

    return infer


def check_same(name: str, first: ArrayType, other: ArrayType) -> None:
    """An error naming both types unless they are equal."""
    if other.shape != first.shape:
        raise ShapeError(
            f"{name} takes operands of one shape, got {first} and {other}: "
            f"{format_shape(first.shape)} against {format_shape(other.shape)}"
        )
    if other.dtype != first.dtype:
        raise DTypeError(f"{name} takes operands of one dtype, got {first} and {other}")


def _intervals(arity: int, domain: Iterable[Interval]) -> tuple[Sample, ...]:
    intervals = tuple(domain)
    intervals = intervals if len(intervals) == arity else intervals * arity
    return tuple(Sample((shape,) * arity, {}, intervals) for shape in ((), (5,), (2, 3)))


def elementwise(
    name: str,
    numpy: Callable[..., Any],
    sympy: str | Callable[..., Any] | None,
    scalar: str,
    partials: Rule,
    domain: Iterable[Interval] = ((-2.0, 2.0),),
    takes: str = "float",
    facts: str = "",
    infer: Infer | None = None,
    samples: tuple[Sample, ...] = (),
    scalar_on: Mapping[str, str] | None = None,
) -> Primitive:
    """A row that acts entry by entry; tangent = sum of p_i * dx_i, cotangent_i = p_i * ct."""
    arity = max(i for i in range(4) if f"{{{i}}}" in scalar) + 1
    return _register(
        Primitive(
            name,
            "elementwise",
            infer or same_types(name, arity, takes),
            numpy,
            sympy,
            scalar,
            partials=partials,
            samples=samples or _intervals(arity, domain),
            facts=frozenset(facts.split()),
            scalar_on=scalar_on or {},
        )
    )


def piecewise_constant(
    name: str,
    numpy: Callable[..., Any],
    sympy: str | Callable[..., Any] | None = None,
    scalar: str | None = None,
    domain: Iterable[Interval] = ((-3.0, 3.0),),
    takes: str = "float",
    gives: np.dtype | None = None,
    facts: str = "",
    infer: Infer | None = None,
    samples: tuple[Sample, ...] = (),
) -> Primitive:
    """A row through which no derivative passes, on purpose."""
    arity = 1 if scalar is None else max(i for i in range(4) if f"{{{i}}}" in scalar) + 1
    return _register(
        Primitive(
            name,
            "piecewise_constant",
            infer or same_types(name, arity, takes, gives),
            numpy,
            sympy,
            scalar,
            samples=samples or _intervals(arity, domain),
            facts=frozenset(facts.split()),
        )
    )


def comparison(
    name: str, numpy: Callable[..., Any], sympy: str, operator: str, takes: str = "any"
) -> Primitive:
    """A row that compares two values."""
    return piecewise_constant(
        name, numpy, sympy, f"({{0}} {operator} {{1}})", takes=takes, gives=BOOL, facts="exact"
    )


def multilinear(
    name: str,
    numpy: Callable[..., Any],
    infer: Infer,
    transposes: Iterable[Rule | None],
    samples: Iterable[Sample],
    sympy: str | Callable[..., Any] | None = None,
    scalar: str | None = None,
    facts: str = "",
) -> Primitive:
    """A row linear in each operand that has a transpose rule (None: not differentiable in it)."""
    return _register(
        Primitive(
            name,
            "multilinear",
            infer,
            numpy,
            sympy,
            scalar,
            transposes=tuple(transposes).__getitem__,
            samples=tuple(samples),
            facts=frozenset(facts.split()),
        )
    )


def linearised(
    name: str,
    numpy: Callable[..., Any],
    infer: Infer,
    jvp: Rule,
    samples: Iterable[Sample],
    transposes: Callable[[int], Rule | None] | None = None,
    sympy: str | Callable[..., Any] | None = None,
    facts: str = "",
) -> Primitive:
    """A row that states only its tangent, in linear rows; the transpose of that is computed.

    `transposes` may add rules for operands in which the row itself is linear.
    """
    return _register(
        Primitive(
            name,
            "linearised",
            infer,
            numpy,
            sympy,
            jvp=jvp,
            transposes=transposes,
            samples=tuple(samples),
            facts=frozenset(facts.split()),
        )
    )


def source(
    name: str, numpy: Callable[..., Any], infer: Infer, samples: Iterable[Sample]
) -> Primitive:
    """A row without operands: a constant."""
    return _register(Primitive(name, "source", infer, numpy, samples=tuple(samples)))
