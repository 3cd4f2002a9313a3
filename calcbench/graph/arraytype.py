"""Types of graph values, and the errors raised when types do not fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np


class CalcbenchError(Exception):
    """Base of every error that calcbench raises on purpose."""


class ShapeError(CalcbenchError, ValueError):
    """Shapes that an operation cannot combine."""


class DTypeError(CalcbenchError, TypeError):
    """A dtype that calcbench or an operation does not take."""


class TraceError(CalcbenchError, TypeError):
    """Something done to a traced value that would cut or falsify its derivative."""


class DerivativeError(CalcbenchError, ValueError):
    """A derivative that does not exist, or was asked for in a way that has no answer."""


class GraphError(CalcbenchError, ValueError):
    """A graph that breaks the rules of the intermediate representation."""


def _is_factor(part: str) -> bool:
    return part.isidentifier() or part.isdigit()


class Dim:
    """A named dimension, of unknown size, never 1.

    Two dimensions are the same exactly if their names are; a product of dimensions is the
    dimension named by its sorted factors, so ``m*n`` and ``n*m`` agree.

    Examples
    --------
    >>> Dim("n") * Dim("m") == Dim("m") * Dim("n")
    True
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not all(map(_is_factor, name.split("*"))):
            raise ShapeError(
                f"a dimension's name must be an identifier, got {name!r}; write Dim('n')"
            )
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and other.name == self.name

    def __hash__(self) -> int:
        return hash((Dim, self.name))

    def __repr__(self) -> str:
        return f"Dim({self.name!r})"

    def __str__(self) -> str:
        return self.name

    def __mul__(self, other: Dim | int) -> Dim:
        return self if other == 1 else Dim("*".join(sorted(f"{self}*{other}".split("*"))))

    __rmul__ = __mul__


DimLike = Any  # an int or a Dim; their mixed arithmetic is beyond a static checker
Shape = tuple[DimLike, ...]

# The dtypes a graph carries, with the short names that the printer uses.
SHORT_NAMES: dict[np.dtype, str] = {
    np.dtype(np.float64): "f64",
    np.dtype(np.float32): "f32",
    np.dtype(np.int64): "i64",
    np.dtype(np.bool_): "bool",
}
FLOAT64, FLOAT32, INT64, BOOL = SHORT_NAMES


class ArrayType(NamedTuple):
    """Shape and dtype of one graph value."""

    shape: Shape
    dtype: np.dtype

    def __str__(self) -> str:
        return f"{SHORT_NAMES[self.dtype]}[{','.join(map(str, self.shape))}]"

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether values of this type carry tangents."""
        return self.dtype.kind == "f"

    @property
    def size(self) -> DimLike:
        """Number of entries; a `Dim` if the shape is symbolic."""
        total: DimLike = 1
        for extent in self.shape:
            total = extent * total
        return total

    @property
    def is_concrete(self) -> bool:
        """Whether every dimension is a number."""
        return all(isinstance(extent, int) for extent in self.shape)


_MOST_BYTES = 2**63 - 1
_REFUSED = {
    "c": "complex values are not supported yet: split into real and imaginary parts",
    "O": "object arrays hold no numbers calcbench can differentiate: build it with dtype=float",
    "M": "dates carry no derivative",
    "m": "time spans carry no derivative",
}


def check_dtype(dtype: np.dtype) -> np.dtype:
    """The graph dtype that holds `dtype` without loss; an error that says what to do otherwise."""
    native = dtype.newbyteorder("=")
    if native in SHORT_NAMES:
        return native
    if native.kind in "iu" and np.can_cast(native, np.int64):
        return INT64
    why = _REFUSED.get(native.kind, "it cannot be held without loss")
    if native.kind == "f":
        why = f"{why}: convert with .astype(np.float32) or .astype(np.float64)"
    raise DTypeError(f"dtype {dtype} is not one of float64, float32, int64, bool; {why}")


def check_size(kind: ArrayType, what: str) -> ArrayType:
    """The type, unless no memory could be counted out for it: NumPy refuses such arrays too."""
    if kind.is_concrete and kind.size * kind.dtype.itemsize > _MOST_BYTES:
        raise ShapeError(f"{what} makes {kind}, more entries than an array can have; use fewer")
    return kind


def array_type(shape: Shape | DimLike, dtype: object = FLOAT64) -> ArrayType:
    """An `ArrayType` from user input, checked.

    Examples
    --------
    >>> str(array_type((3, Dim("n")), np.float32))
    'f32[3,n]'
    """
    extents = shape if isinstance(shape, tuple) else (shape,)
    for extent in extents:
        if not isinstance(extent, Dim | int | np.integer) or isinstance(extent, bool):
            raise ShapeError(f"a dimension is an int or a Dim, got {extent!r} in shape {shape!r}")
        if not isinstance(extent, Dim) and extent < 0:
            raise ShapeError(f"a dimension cannot be negative, got {extent} in shape {shape!r}")
    clean = tuple(e if isinstance(e, Dim) else int(e) for e in extents)
    return ArrayType(clean, check_dtype(np.dtype(dtype)))  # type: ignore[call-overload]


def as_array(value: object, what: str = "value") -> np.ndarray:
    """`value` as a NumPy array of a graph dtype, unchanged in value, or an error saying why not."""
    if isinstance(value, np.ma.MaskedArray):
        raise DTypeError(f"{what} is a masked array, whose mask would be lost; use .filled(...)")
    if isinstance(value, np.matrix):
        raise DTypeError(f"{what} is an np.matrix; pass it through np.asarray first")
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise DTypeError(f"{what} is not an array of numbers: {error}") from error
    if type(value) is int and array.dtype != INT64:
        raise DTypeError(
            f"{what} is an integer of {value.bit_length()} bits, which int64 does not hold; pass "
            "it as a float"
        )
    if array.dtype.kind not in "fiubcOMm":
        raise DTypeError(f"{what} has dtype {array.dtype}; numbers are expected")
    try:
        return array.astype(check_dtype(array.dtype), copy=False)
    except DTypeError as error:
        raise DTypeError(f"{what}: {error}") from None


def broadcast_shapes(*shapes: Shape) -> Shape:
    """NumPy's broadcasting, with named dimensions equal only to themselves."""
    ndim = max(map(len, shapes), default=0)
    result: list[DimLike] = []
    for axis in range(-ndim, 0):
        extents = {s[axis] for s in shapes if len(s) >= -axis} - {1}
        if len(extents) > 1:
            shown = " and ".join(format_shape(s) for s in shapes)
            raise ShapeError(
                f"shapes {shown} do not broadcast: axis {axis} has "
                + " and ".join(sorted(map(str, extents)))
            )
        result.append(extents.pop() if extents else 1)
    return tuple(result)


def format_shape(shape: Shape) -> str:
    """A shape as text, with a named dimension by its name: ``(3, n)``."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def with_sizes(value: Any, sizes: Mapping[Any, int]) -> Any:
    """A param with its named dimensions replaced by their sizes."""
    if isinstance(value, tuple) and not isinstance(value, ArrayType):
        return tuple(with_sizes(v, sizes) for v in value)
    if not isinstance(value, Dim):
        return value
    factors = (int(p) if p.isdigit() else sizes[Dim(p)] for p in value.name.split("*"))
    return math.prod(factors)


def check_bound(name: str, array: np.ndarray, expected: ArrayType, sizes: dict[object, int]) -> Any:
    """`array` cast to the expected dtype, once its shape fits the (maybe named) dimensions."""
    same_rank = array.ndim == expected.ndim
    fits = same_rank and all(
        sizes.setdefault(want, have) == have if not isinstance(want, int) else want == have
        for want, have in zip(expected.shape, array.shape, strict=True)
    )
    if not fits or not np.can_cast(array.dtype, expected.dtype, "same_kind"):
        bound = {str(k): v for k, v in sizes.items()}
        raise GraphError(
            f"input {name!r} has type {expected}, got shape {array.shape} and dtype {array.dtype}"
            + (f" with dimensions {bound}" if bound else "")
        )
    if 1 in sizes.values():
        raise GraphError(
            f"input {name!r} of type {expected} gives a named dimension the size 1, which would "
            "broadcast; declare that axis with the int 1"
        )
    return array.astype(expected.dtype)[()]
