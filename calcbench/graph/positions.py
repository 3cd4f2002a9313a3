"""Keys with index arrays, masks or traced indices, as positions in the flattened array."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from calcbench.graph.arraytype import BOOL, INT64, TraceError, broadcast_shapes
from calcbench.graph.axes import extents_of, reshaped
from calcbench.graph.keys import axes_taken, dtype_of, unfit, without_ellipsis
from calcbench.graph.lifting import Value, common_builder, place, shape_of, stretch
from calcbench.graph.ordering import position
from calcbench.graph.structural import array_constant


def positions_of(value: Value, items: list[Any], key: Any) -> tuple[Value, Value]:
    """The array and, in its builder, the position in the flattened array of each wanted entry."""
    builder = common_builder([value, *items])
    value = place(builder, value)
    shape = extents_of(value.type.shape, "indexing by arrays")
    items = [_settled(value, item) for item in without_ellipsis(value, items, key)]
    fixed = tuple(_stand_in(item) if isinstance(item, Value) else item for item in items)
    try:
        base = np.arange(math.prod(shape), dtype=np.int64).reshape(shape)[fixed]
    except IndexError as error:
        raise unfit(value, key, error) from error
    moving = [(rank, item) for rank, item in enumerate(items) if isinstance(item, Value)]
    if not moving:
        return value, array_constant(value, base)
    return value, _moved_positions(value, items, moving, base, key)


def _settled(value: Value, item: Any) -> Any:
    """An item as an array, or as an integer value whose entries are not known."""
    if isinstance(item, Value):
        placed = place(value.builder, item)
        return _read_mask(placed) if item.type.dtype == BOOL else placed
    if _may_change(item) and value.builder.recording is not None:
        _guard(place(value.builder, item.astype(_graph_dtype(item), copy=False)), item)
    return item


def _may_change(item: Any) -> bool:
    """Whether the user holds an index array that may hold something else at the next call."""
    return isinstance(item, np.ndarray) and item.ndim > 0 and item.flags.writeable


def _graph_dtype(item: np.ndarray) -> np.dtype:
    return BOOL if item.dtype == BOOL else INT64


def _read_mask(mask: Value) -> np.ndarray:
    """The truth values of a mask, on which the shape of the result rests: a guard."""
    recording = mask.builder.recording
    if recording is None:
        raise TraceError(
            f"an unbound mask of type {mask.type} selects an unknown number of entries; use "
            "where(mask, x, 0), or bind values first"
        )
    found = np.asarray(recording.concrete(mask.id))
    _guard(mask, found)
    return found


def _guard(node: Value, found: np.ndarray) -> None:
    if all(guard.node != node.id for guard in node.builder.guards[-8:]):
        node.builder.guard(node.id, found)


def _stand_in(item: Value) -> np.ndarray:
    return np.zeros(extents_of(item.type.shape, "indexing by arrays"), np.int64)


def _moved_positions(
    value: Value, items: list[Any], moving: list[tuple[int, Value]], base: np.ndarray, key: Any
) -> Value:
    """`base`, where unknown indices count as 0, plus stride times index for each of those."""
    shape = extents_of(value.type.shape, "indexing by arrays")
    total = array_constant(value, base) if base.any() else None
    first, ndim = _index_axes(items)
    for rank, index in moving:
        axis = sum(map(axes_taken, items[:rank]))
        if shape[axis] == 0 and index.type.size:
            raise unfit(value, key, f"axis {axis} has no entries")
        term = _counted_from_front(index, shape[axis])
        stride = math.prod(shape[axis + 1 :])
        term = term if stride == 1 else term * stride
        term = _aligned(term, first + ndim, base.shape)
        total = term if total is None else total + term
    return total  # type: ignore[return-value]


def _index_axes(items: list[Any]) -> tuple[int, int]:
    """Where the axes that index arrays make lie in the result, and how many there are.

    They replace the indices if those stand together, and come first otherwise (NumPy's rule).
    """
    ranks = [r for r, item in enumerate(items) if not (item is None or isinstance(item, slice))]
    arrays = [_index_shape(items[r]) for r in ranks]
    together = ranks[-1] - ranks[0] + 1 == len(ranks)
    return (ranks[0] if together else 0), len(broadcast_shapes(*arrays))


def _index_shape(item: Any) -> tuple[int, ...]:
    if isinstance(item, int):
        return ()
    if dtype_of(item) == BOOL:
        return (int(np.count_nonzero(item)),)
    return extents_of(shape_of(item), "indexing by arrays")


def _aligned(term: Value, end: int, shape: tuple[int, ...]) -> Value:
    """An index stretched to the result's shape, its last axis being number end - 1 there."""
    after = len(shape) - end
    return stretch(reshaped(term, (*term.type.shape, *(1,) * after)), shape)


# Rows whose values are positions in their operand, from the front.
_IN_RANGE = ("argsort", "argmax", "argmin")


def _counted_from_front(index: Value, extent: int) -> Value:
    node = index.builder.nodes[index.id]
    if node.row.name in _IN_RANGE:
        source = index.builder.types[node.operands[0]].shape[dict(node.params)["axis"]]  # type: ignore[call-overload]
        if isinstance(source, int) and source <= extent:
            return index
    return position(index, size=extent)  # type: ignore[no-any-return]
