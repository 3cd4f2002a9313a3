"""Reading and writing entries: every key of NumPy, on graph values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from calcbench.graph.arraytype import (
    BOOL,
    DimLike,
    DTypeError,
    ShapeError,
    broadcast_shapes,
    format_shape,
)
from calcbench.graph.axes import extents_of, flattened, number_like, reshaped
from calcbench.graph.comparison import greater_equal, select
from calcbench.graph.keys import Region, dtype_of, entry, is_basic, is_entry, key_items
from calcbench.graph.kinks import maximum
from calcbench.graph.lifting import (
    Value,
    as_dtype,
    common_builder,
    enter,
    place,
    shape_of,
    stretch,
    value_or_array,
)
from calcbench.graph.ordering import IndexingError as IndexingError, last_writer
from calcbench.graph.positions import positions_of
from calcbench.graph.structural import array_constant, full, gather


def get(value: Value, key: Any) -> Value:
    """``value[key]``.

    Parameters
    ----------
    value : Value
        The array, of any shape; with named dimensions only whole axes may lie along them.
    key : int, slice, Ellipsis, None, integer or bool array, integer or bool Value, or a tuple
        As NumPy takes it. A traced mask is read off the recording and guarded.

    Raises
    ------
    IndexingError
        If the key is no key of NumPy, or does not fit the shape.
    TraceError
        If a mask is a value that has no number yet, so that the result has no shape.
    """
    if type(key) is int and is_entry(value, key):
        return entry(value, key)
    items = key_items(value, key)
    if is_basic(items):
        return Region.of(value, items, key).read(value)
    value, positions = positions_of(value, items, key)
    return gather(flattened(value), positions)  # type: ignore[no-any-return]


def put(value: Value, key: Any, new: Any) -> Value:
    """The array after ``value[key] = new``; where an index repeats, the last writer wins.

    Parameters
    ----------
    value, key
        As in `get`.
    new : Value, number or array
        Broadcast to the shape of ``value[key]`` and converted to the dtype of `value`.

    Raises
    ------
    IndexingError, TraceError
        As in `get`.
    DTypeError
        If the conversion would truncate: a float into an integer array.
    ShapeError
        If `new` does not broadcast.
    """
    new = value_or_array(new)
    items = key_items(value, key)
    mask = _whole_mask(value, items)
    if mask is not None and math.prod(extents_of(shape_of(new), "assignment")) == 1:
        return _put_masked(value, mask, new)
    if is_basic(items):
        return _put_region(value, Region.of(value, items, key), new)
    value, positions = positions_of(value, items, key)
    return _put_positions(value, positions, new)


def _stored(value: Value, new: Any, shape: tuple[DimLike, ...]) -> Value:
    """`new` in the builder, dtype and given shape of `value`, as NumPy's assignment casts."""
    dtype = new.type.dtype if isinstance(new, Value) else np.asarray(new).dtype
    if not np.can_cast(dtype, value.type.dtype, "same_kind"):
        raise DTypeError(
            f"storing {dtype} into an array of {value.type.dtype} would truncate it; make the "
            f"array with dtype={dtype}, or convert explicitly first"
        )
    given = shape_of(new)
    while len(given) > len(shape) and given[0] == 1:
        given = given[1:]
    if broadcast_shapes(shape, given) != shape:
        raise ShapeError(
            f"an array of shape {format_shape(given)} cannot be stored in a selection of shape "
            f"{format_shape(shape)}"
        )
    if not isinstance(new, Value | np.ndarray | np.generic):
        return enter(value.builder, new, value.type.dtype, shape)
    placed = as_dtype(place(value.builder, new), value.type.dtype)
    return stretch(reshaped(placed, given), shape)


def _meeting(value: Value, *others: Any) -> Value:
    """`value` in the builder where it meets the others."""
    return place(common_builder([value, *others]), value)


def _whole_mask(value: Value, items: list[Any]) -> Any:
    """The mask, if the key is one mask over the whole array: no guard is needed then."""
    only = items[0] if len(items) == 1 else None
    if isinstance(only, Value | np.ndarray) and dtype_of(only) == BOOL:
        return only if shape_of(only) == value.type.shape else None
    return None


def _put_masked(value: Value, mask: Any, new: Any) -> Value:
    value = _meeting(value, mask, new)
    new = _scalar(new)
    return select(  # type: ignore[no-any-return]
        place(value.builder, mask), _stored(value, new, value.type.shape), value
    )


def _scalar(new: Any) -> Any:
    if isinstance(new, Value):
        return reshaped(new, ())
    return new.reshape(()) if isinstance(new, np.ndarray) else new


def _put_region(value: Value, region: Region, new: Any) -> Value:
    value = _meeting(value, new)
    part = _stored(value, new, region.shape)
    if region.is_whole:
        return region.spread(part, value.type.shape)
    inside = region.spread(full(part, True, dtype=BOOL), value.type.shape)
    return select(inside, region.spread(part, value.type.shape), value)  # type: ignore[no-any-return]


def _put_positions(value: Value, positions: Value, new: Any) -> Value:
    value = _meeting(value, positions, new)
    positions = place(value.builder, positions)
    wanted = extents_of(positions.type.shape, "indexing by arrays")
    part = _stored(value, new, wanted)
    if not math.prod(wanted):
        return value
    writer = _writers(positions, math.prod(extents_of(value.type.shape, "indexing by arrays")))
    written = greater_equal(writer, number_like(writer, 0))
    source = gather(flattened(part), maximum(writer, number_like(writer, 0)))
    return reshaped(select(written, source, flattened(value)), value.type.shape)


def _writers(positions: Value, size: int) -> Value:
    """The last writer of each entry: computed here if the positions are known."""
    node = positions.builder.nodes[positions.id]
    if node.row.name != "constant":
        return last_writer(flattened(positions), size=size)  # type: ignore[no-any-return]
    known: Any = dict(node.params)["value"]
    return array_constant(positions, last_writer.numpy(known.array, size=size))  # type: ignore[no-any-return]
