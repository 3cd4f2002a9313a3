"""Operators and implicit broadcasting on graph values under construction."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from calcbench.graph.arraytype import (
    FLOAT64,
    ArrayType,
    DTypeError,
    Shape,
    TraceError,
    as_array,
    broadcast_shapes,
)
from calcbench.graph.comparison import (
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    not_equal,
)
from calcbench.graph.elementwise import (
    add,
    convert,
    divide,
    floor_divide,
    integer_power,
    multiply,
    negative,
    power,
    reciprocal,
    remainder,
    sqrt,
    square,
    subtract,
)
from calcbench.graph.interpreter import inline
from calcbench.graph.ir import Builder, Graph, reachable
from calcbench.graph.kinks import abs_
from calcbench.graph.nodes import INPUT, Literal
from calcbench.graph.primitive import Primitive
from calcbench.graph.structural import broadcast, concatenate, constant, fill, reshape


CLOSED = -1  # the level of a builder whose trace is over


class Value:
    """One value of a graph under construction: a builder and a node id.

    While a function is traced a value stands for an array, and `alias` says whether it is a view
    of another one (see `calcbench.graph.aliasing`).
    """

    __slots__ = ("__weakref__", "alias", "builder", "id")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, builder: Builder, id: int) -> None:
        self.builder = builder
        self.id = id
        self.alias: Any = None

    @property
    def type(self) -> ArrayType:
        """Shape and dtype."""
        return self.builder.types[self.id]

    def __repr__(self) -> str:
        return f"<value v{self.id}: {self.type}>"

    def __add__(self, other: object) -> Any:
        return binary(add, self, other)

    def __radd__(self, other: object) -> Any:
        return binary(add, other, self)

    def __sub__(self, other: object) -> Any:
        return binary(subtract, self, other)

    def __rsub__(self, other: object) -> Any:
        return binary(subtract, other, self)

    def __mul__(self, other: object) -> Any:
        return binary(multiply, self, other)

    def __rmul__(self, other: object) -> Any:
        return binary(multiply, other, self)

    def __truediv__(self, other: object) -> Any:
        return binary(divide, self, other)

    def __rtruediv__(self, other: object) -> Any:
        return binary(divide, other, self)

    def __floordiv__(self, other: object) -> Any:
        return binary(floor_divide, self, other)

    def __rfloordiv__(self, other: object) -> Any:
        return binary(floor_divide, other, self)

    def __mod__(self, other: object) -> Any:
        return binary(remainder, self, other)

    def __rmod__(self, other: object) -> Any:
        return binary(remainder, other, self)

    def __pow__(self, other: object) -> Any:
        return raise_to(self, other)

    def __rpow__(self, other: object) -> Any:
        return binary(power, other, self)

    def __neg__(self) -> Any:
        return negative(used(self))

    def __pos__(self) -> Any:
        return Value(self.builder, used(self).id)

    def __abs__(self) -> Any:
        return abs_(used(self))

    def __lt__(self, other: object) -> Any:
        return binary(less, self, other)

    def __le__(self, other: object) -> Any:
        return binary(less_equal, self, other)

    def __gt__(self, other: object) -> Any:
        return binary(greater, self, other)

    def __ge__(self, other: object) -> Any:
        return binary(greater_equal, self, other)

    def __eq__(self, other: object) -> Any:
        return binary(equal, self, other)

    def __ne__(self, other: object) -> Any:
        return binary(not_equal, self, other)

    def __and__(self, other: object) -> Any:
        return binary(logical_and, self, other)

    __rand__ = __and__

    def __or__(self, other: object) -> Any:
        return binary(logical_or, self, other)

    __ror__ = __or__

    def __xor__(self, other: object) -> Any:
        return binary(logical_xor, self, other)

    __rxor__ = __xor__

    def __invert__(self) -> Any:
        return logical_not(used(self))


NUMBERS = (bool, int, float)
# Complex numbers are liftable so that they are refused in words of our own.
_LIFTABLE = (Value, *NUMBERS, complex, np.ndarray, np.generic, list, tuple)
FLOAT_ONLY = frozenset(("divide",))


def used(value: Value) -> Value:
    """`value`, once it is known that no write through a view has made it stale."""
    if value.alias is not None:
        value.alias.check(value)
    if value.builder.level == CLOSED:
        raise TraceError(
            "a traced value was used after its function returned; return it from the function "
            "instead of storing it outside"
        )
    return value


def binary(row: Primitive, a: Any, b: Any) -> Any:
    """Apply a binary row as NumPy's operator would: promote, broadcast, then one node."""
    pair = _alike(a, b) if type(a) is Value else _alike(b, a)[::-1] if type(b) is Value else ()
    if pair:
        builder = pair[0].builder
        return Value(builder, builder.add(row, (pair[0].id, pair[1].id)))
    if not is_liftable(a) or not is_liftable(b):
        return NotImplemented
    operands = promote((a, b), to_float=row.name in FLOAT_ONLY)
    whole = row is power and operands[0].type.dtype.kind == "i"
    return integer_power(*operands) if whole else row(*operands)


def _alike(a: Any, b: Any) -> tuple[Any, ...]:
    """The pair (a, b) where nothing needs promoting: the usual case, and the hot one."""
    builder = a.builder
    if a.alias is not None or builder.level < 0:
        return ()
    kind = builder.types[a.id]
    if kind.dtype.kind != "f":
        return ()
    if type(b) is Value:
        second = builder.types[b.id] if b.builder is builder and b.alias is None else None
        return (a, b) if second is kind or second == kind else ()
    if type(b) is float or type(b) is int:
        return a, Value(builder, builder.add(fill, (), _fill_params(b, kind.dtype, kind.shape)))
    return ()


def is_liftable(value: object) -> bool:
    """Whether `value` can stand beside graph values in an operation."""
    return isinstance(value, _LIFTABLE)


def promote(operands: tuple[Any, ...], to_float: bool = False) -> list[Value]:
    """The operands as values of one builder, one shape and one dtype (NEP 50)."""
    raw = [value_or_array(v) for v in operands]
    builder = common_builder(raw)
    dtype = result_dtype(raw, to_float)
    shape = broadcast_shapes(*[shape_of(v) for v in raw])
    return [enter(builder, v, dtype, shape) for v in raw]


def value_or_array(value: Any) -> Any:
    """A value, a plain Python number, or an array of a graph dtype."""
    if isinstance(value, Value):
        return used(value)
    if type(value) in NUMBERS:
        return value
    if isinstance(value, complex):
        raise DTypeError(f"complex values are not supported yet, got {value!r}")
    if isinstance(value, list | tuple | np.ndarray) and holds_values(value):
        return stack_objects(np.array(value, dtype=object))
    array = as_array(value, "an operand")
    return array[()] if isinstance(value, np.generic) else array


def holds_values(value: Any) -> bool:
    """Whether a nested sequence or object array has a graph value in it."""
    if isinstance(value, np.ndarray):
        return value.dtype == object and any(isinstance(v, Value) for v in value.flat)
    if isinstance(value, list | tuple):
        return any(holds_values(v) for v in value)
    return isinstance(value, Value)


def stack_objects(array: np.ndarray) -> Value:
    """One value; Python's numbers count as float64, as in np.array([np.float32(1), 2.0])."""
    entries = promote(tuple(np.asarray(v)[()] if type(v) in NUMBERS else v for v in array.flat))
    flat = [reshape(v, shape=(1,)) for v in entries]
    joined = concatenate(*flat, axis=0) if len(flat) > 1 else flat[0]
    return reshape(joined, shape=array.shape)  # type: ignore[no-any-return]


def shape_of(value: Any) -> Shape:
    """The shape of a value, number or array."""
    if isinstance(value, Value):
        return value.type.shape
    return () if type(value) in NUMBERS else value.shape


def result_dtype(raw: list[Any], to_float: bool = False) -> np.dtype:
    """NumPy's result dtype, Python numbers being weak; integers become float64 on demand."""
    kinds = [v.type.dtype if isinstance(v, Value) else getattr(v, "dtype", v) for v in raw]
    dtype = np.result_type(*kinds)
    return FLOAT64 if to_float and dtype.kind != "f" else dtype


def common_builder(raw: list[Any]) -> Builder:
    """The builder in which values meet: that of the innermost recording, else the largest."""
    builders = [v.builder for v in raw if isinstance(v, Value)]
    return max(builders, key=lambda b: (b.level, len(b.nodes)))


def enter(builder: Builder, value: Any, dtype: np.dtype, shape: Shape) -> Value:
    """`value` in `builder` with this dtype and shape, by explicit nodes."""
    if type(value) in NUMBERS:
        return Value(builder, builder.add(fill, (), _fill_params(value, dtype, shape)))
    return stretch(as_dtype(place(builder, value), dtype), shape)


def _fill_params(value: float, dtype: np.dtype, shape: Shape) -> Any:
    # 0.0 == -0.0 and would share a cache entry.
    make = _literal_params.__wrapped__ if value == 0 else _literal_params
    return make(value, dtype, shape)


@lru_cache(maxsize=4096, typed=True)
def _literal_params(value: float, dtype: np.dtype, shape: Shape) -> Any:
    return ("shape", shape), ("value", Literal.of(value, dtype))


def place(builder: Builder, value: Any) -> Value:
    """A value or array as a node of `builder`: itself, a capture, a constant or a copy."""
    if not isinstance(value, Value):
        return place_array(builder, value)
    if value.builder is builder:
        return value
    if builder.recording is not None and builder.level > value.builder.level:
        return Value(builder, builder.recording.capture_value(value))
    return transplant(builder, value)


def place_array(builder: Builder, array: np.ndarray | np.generic) -> Value:
    """An array met while tracing is an input re-read at every call; otherwise a constant."""
    if isinstance(array, np.generic) or (array.ndim == 0 and builder.recording is None):
        literal = Literal.of(array)
        return Value(builder, builder.add(fill, (), (("shape", ()), ("value", literal))))
    if builder.recording is None:
        return Value(builder, builder.add(constant, (), (("value", Literal.of(array)),)))
    return Value(builder, builder.recording.capture_array(array))


def transplant(builder: Builder, value: Value) -> Value:
    """Copy what `value` depends on into another explicit builder; inputs meet by name."""
    return Value(builder, inline_values(builder, [value])[0])


def inline_values(builder: Builder, values: list[Value]) -> list[int]:
    """Write the nodes on which values of one builder depend into `builder`; their new ids."""
    graph = subgraph(values[0].builder, [v.id for v in values])
    inputs = [
        builder.add_input(name, graph.types[i])
        for name, i in zip(graph.input_names, graph.inputs, strict=True)
    ]
    ids = inline(graph, builder, inputs)
    return [ids[i] for i in graph.outputs]


def subgraph(builder: Builder, outputs: list[int]) -> Graph:
    """What the outputs depend on, as a graph; its inputs as read from left to right."""
    kept = reachable(builder.nodes, outputs)
    new = {old: rank for rank, old in enumerate(kept)}
    nodes = [builder.nodes[i] for i in kept]
    return Graph(
        tuple(n.with_operands(tuple(new[i] for i in n.operands)) for n in nodes),
        tuple(builder.types[i] for i in kept),
        tuple(new[i] for i in _inputs_as_read(builder, outputs)),
        tuple(new[i] for i in outputs),
        (),
        tuple(builder.origins[i] for i in kept),
    )


def _inputs_as_read(builder: Builder, outputs: list[int]) -> list[int]:
    found: dict[int, None] = {}
    seen: set[int] = set()
    pending = outputs[::-1]
    while pending:
        index = pending.pop()
        if index not in seen:
            seen.add(index)
            node = builder.nodes[index]
            if node.row is INPUT:
                found[index] = None
            pending.extend(reversed(node.operands))
    return list(found)


def as_dtype(value: Value, dtype: np.dtype) -> Value:
    """`value` converted, by a node, unless it has the dtype."""
    return value if value.type.dtype == dtype else convert(value, dtype=dtype)


def stretch(value: Value, shape: Shape) -> Value:
    """`value` broadcast to `shape` by NumPy's rule, unless it has it."""
    if value.type.shape == shape:
        return value
    number = value.builder.nodes[value.id]
    if number.row is fill:
        params = (("shape", shape), ("value", dict(number.params)["value"]))
        return Value(value.builder, value.builder.add(fill, (), params))
    dims = tuple(range(len(shape) - value.type.ndim, len(shape)))
    return broadcast(value, dims=dims, shape=shape)  # type: ignore[no-any-return]


# NumPy evaluates these Python powers with other functions, whose bits differ from pow's.
_FAST_POWERS: dict[float, Callable[[Any], Any]] = {
    2: square,
    1: lambda x: Value(x.builder, x.id),
    0.5: sqrt,
    -1: reciprocal,
}


def raise_to(base: Value, exponent: Any) -> Any:
    """``base ** exponent`` as NumPy's operator computes it."""
    if type(exponent) in (int, float) and exponent in _FAST_POWERS and base.type.is_float:
        return _FAST_POWERS[exponent](used(base))
    if type(exponent) is int and exponent < 0 and not base.type.is_float:
        raise ValueError(
            f"integers to negative integer powers are not allowed, as in NumPy: got {base.type} "
            f"to the power {exponent}; convert with .astype(float)"
        )
    return binary(power, base, exponent)
