"""Keys of arrays, read: what NumPy's ``x[key]`` selects, as steps or as flat positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import (
    BOOL,
    INT64,
    DimLike,
    TraceError,
    broadcast_shapes,
    format_shape,
)
from calcbench.graph.axes import extents_of, reshaped
from calcbench.graph.lifting import (
    Value,
    common_builder,
    holds_values,
    place,
    shape_of,
    stretch,
    value_or_array,
)
from calcbench.graph.ordering import IndexingError, position
from calcbench.graph.structural import array_constant, flip, pad, slice_


def key_items(value: Value, key: Any) -> list[Any]:
    """The key as a list, each item checked; ints are Python ints, lists are arrays or values."""
    parts = key if isinstance(key, tuple) else (key,)
    return [_item(value, part, key) for part in parts]


def _item(value: Value, part: Any, key: Any) -> Any:
    if part is None or part is Ellipsis or isinstance(part, slice):
        return part
    if isinstance(part, int | np.integer) and not isinstance(part, bool):
        return int(part)
    if isinstance(part, np.ndarray) and part.ndim == 0 and part.dtype.kind in "iu":
        return int(part)
    found = value_or_array(part) if holds_values(part) else _index_array(part)
    if dtype_of(found).kind not in "iub":
        raise _unfit(value, key, "arrays used as indices must hold integers or truth values")
    return found


def _index_array(part: Any) -> np.ndarray:
    """An index array; one made here from a list is marked read-only."""
    if isinstance(part, np.ndarray):
        return part
    try:
        array = np.array(part, dtype=None if np.size(part) else np.int64)
    except ValueError as error:
        raise IndexingError(f"{_show_part(part)} is no array of indices: {error}") from error
    array.setflags(write=False)
    return array


def _unfit(value: Value, key: Any, why: object) -> IndexingError:
    shape = format_shape(value.type.shape)
    return IndexingError(f"key {_shown(key)} does not fit an array of shape {shape}: {why}")


def _shown(key: Any) -> str:
    return f"[{', '.join(map(_show_part, key if isinstance(key, tuple) else (key,)))}]"


def _show_part(part: Any) -> str:
    if isinstance(part, slice):
        ends = ["" if v is None else str(v) for v in (part.start, part.stop, part.step)]
        return ":".join(ends if part.step is not None else ends[:2])
    if part is Ellipsis:
        return "..."
    text = " ".join(repr(part).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def is_basic(items: Sequence[Any]) -> bool:
    return all(not isinstance(item, Value | np.ndarray) for item in items)


def _axes_taken(item: Any) -> int:
    """How many axes of the array an item of the key uses up."""
    if item is None or item is Ellipsis:
        return 0
    shape = () if isinstance(item, int | slice) else shape_of(item)
    is_mask = not isinstance(item, int | slice) and dtype_of(item) == BOOL
    return len(shape) if is_mask else 1


def dtype_of(item: Any) -> np.dtype:
    return item.type.dtype if isinstance(item, Value) else item.dtype


def _without_ellipsis(value: Value, items: Sequence[Any], key: Any) -> list[Any]:
    """The items with whole slices for the Ellipsis and for the axes not mentioned."""
    used = sum(map(_axes_taken, items))
    at = [rank for rank, item in enumerate(items) if item is Ellipsis]
    if len(at) > 1:
        raise _unfit(value, key, "it has more than one Ellipsis")
    if used > value.type.ndim:
        raise _unfit(value, key, f"it has {used} indices for {value.type.ndim} axes")
    whole = [slice(None)] * (value.type.ndim - used)
    cut = at[0] if at else len(items)
    return [*items[:cut], *whole, *items[cut + 1 :]]


# --- basic keys: ints, slices, new axes ------------------------------------------------------


Cut = tuple[int, int | None, int, bool, DimLike]


class Region(NamedTuple):
    """A basic key as three steps: a slice with positive steps, a flip, a reshape."""

    starts: tuple[int, ...]
    stops: tuple[int | None, ...]
    steps: tuple[int, ...]
    flipped: tuple[int, ...]
    sliced: tuple[DimLike, ...]
    shape: tuple[DimLike, ...]

    @staticmethod
    def of(value: Value, items: Sequence[Any], key: Any) -> Region:
        axis, cuts = 0, list[Cut]()
        shape: list[DimLike] = []
        for item in _without_ellipsis(value, items, key):
            if item is None:
                shape.append(1)
                continue
            cut = _cut(value, axis, item, key)
            cuts.append(cut)
            if isinstance(item, slice):
                shape.append(cut[4])
            axis += 1
        starts, stops, steps, flips, sliced = zip(*cuts, strict=True) if cuts else [()] * 5
        flipped = tuple(a for a, is_flipped in enumerate(flips) if is_flipped)
        return Region(starts, stops, steps, flipped, sliced, tuple(shape))

    @property
    def is_whole(self) -> bool:
        """Whether every entry is in the region."""
        return all(stop is None for stop in self.stops)

    def read(self, value: Value) -> Value:
        """The entries of the region."""
        if not self.is_whole:
            value = slice_(value, starts=self.starts, stops=self.stops, steps=self.steps)
        if self.flipped:
            value = flip(value, axes=self.flipped)
        return reshaped(value, self.shape)

    def spread(self, part: Value, over: tuple[DimLike, ...]) -> Value:
        """`part`, of the region's shape, where it belongs in an array of zeros."""
        part = reshaped(part, self.sliced)
        if self.flipped:
            part = flip(part, axes=self.flipped)
        return part if self.is_whole else pad(part, **self._margins(over))

    def _margins(self, over: tuple[DimLike, ...]) -> dict[str, tuple[int, ...]]:
        low, high, interior = [], [], []
        for extent, got, start, stop, step in zip(
            over, self.sliced, self.starts, self.stops, self.steps, strict=True
        ):
            last = 0 if stop is None else start + max(got - 1, 0) * step + min(got, 1)
            low.append(start)
            high.append(0 if stop is None else extent - last)
            interior.append(step - 1)
        return {"high": tuple(high), "interior": tuple(interior), "low": tuple(low)}


def _cut(value: Value, axis: int, item: Any, key: Any) -> Cut:
    """start, stop (None: the whole axis), step, whether it runs backwards, and the extent."""
    extent = value.type.shape[axis]
    if not isinstance(extent, int):
        if item == slice(None):
            return 0, None, 1, False, extent
        raise _unfit(value, key, f"only a whole slice may lie along the named dimension {extent}")
    if isinstance(item, int):
        if not -extent <= item < extent:
            raise _unfit(value, key, f"index {item} is out of bounds for axis {axis}")
        start = item % extent
        return start, start + 1 if extent > 1 else None, 1, False, 1
    return _slice_cut(item, extent)


def _slice_cut(item: slice, extent: int) -> Cut:
    try:
        entries = range(*item.indices(extent))
    except (TypeError, ValueError) as error:
        raise IndexingError(f"the slice {_show_part(item)} is no slice of ints: {error}") from error
    backwards = entries.step < 0
    ordered = entries[::-1] if backwards else entries
    if len(ordered) == extent:
        return 0, None, 1, backwards and extent > 1, extent
    if not ordered:
        return 0, 0, 1, False, 0
    step = ordered.step if len(ordered) > 1 else 1
    return ordered.start, ordered[-1] + 1, step, backwards and len(ordered) > 1, len(ordered)


# --- other keys: positions in the flattened array --------------------------------------------


def positions_of(value: Value, items: Sequence[Any], key: Any) -> tuple[Value, Value]:
    """The array and, in its builder, the position in the flattened array of each wanted entry."""
    builder = common_builder([value, *items])
    value = place(builder, value)
    shape = extents_of(value.type.shape, "indexing by arrays")
    items = [_settled(value, item) for item in _without_ellipsis(value, items, key)]
    fixed = tuple(_stand_in(item) if isinstance(item, Value) else item for item in items)
    try:
        base = np.arange(math.prod(shape), dtype=np.int64).reshape(shape)[fixed]
    except IndexError as error:
        raise _unfit(value, key, error) from error
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
        axis = sum(map(_axes_taken, items[:rank]))
        if shape[axis] == 0 and index.type.size:
            raise _unfit(value, key, f"axis {axis} has no entries")
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
