"""Keys of arrays, read item by item; those of ints and slices become a slice, flip and reshape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import (
    BOOL,
    DimLike,
    format_shape,
)
from calcbench.graph.axes import known, reshaped
from calcbench.graph.lifting import (
    Value,
    holds_values,
    shape_of,
    value_or_array,
)
from calcbench.graph.ordering import IndexingError
from calcbench.graph.structural import flip, pad, reshape, slice_


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
        raise unfit(value, key, "arrays used as indices must hold integers or truth values")
    return found


def _index_array(part: Any) -> np.ndarray:
    """An index array; one made here from a list is marked read-only."""
    if isinstance(part, np.ndarray):
        return part
    try:
        return known(np.array(part, dtype=None if np.size(part) else np.int64))
    except ValueError as error:
        raise IndexingError(f"{_show_part(part)} is no array of indices: {error}") from error


def unfit(value: Value, key: Any, why: object) -> IndexingError:
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


def axes_taken(item: Any) -> int:
    """How many axes of the array an item of the key uses up."""
    if item is None or item is Ellipsis:
        return 0
    shape = () if isinstance(item, int | slice) else shape_of(item)
    is_mask = not isinstance(item, int | slice) and dtype_of(item) == BOOL
    return len(shape) if is_mask else 1


def dtype_of(item: Any) -> np.dtype:
    return item.type.dtype if isinstance(item, Value) else item.dtype


def without_ellipsis(value: Value, items: Sequence[Any], key: Any) -> list[Any]:
    """The items with whole slices for the Ellipsis and for the axes not mentioned."""
    used = sum(map(axes_taken, items))
    at = [rank for rank, item in enumerate(items) if item is Ellipsis]
    if len(at) > 1:
        raise unfit(value, key, "it has more than one Ellipsis")
    if used > value.type.ndim:
        raise unfit(value, key, f"it has {used} indices for {value.type.ndim} axes")
    whole = [slice(None)] * (value.type.ndim - used)
    cut = at[0] if at else len(items)
    return [*items[:cut], *whole, *items[cut + 1 :]]


# --- basic keys: ints, slices, new axes ------------------------------------------------------


def is_entry(value: Value, index: int) -> bool:
    """Whether `index` names an entry along the first axis, as in loops over arrays."""
    shape = value.type.shape
    return bool(shape) and isinstance(shape[0], int) and -shape[0] <= index < shape[0]


def entry(value: Value, index: int) -> Value:
    """``value[index]``, without the steps that other keys need."""
    extent, *rest = value.type.shape
    start, others = index % extent, len(rest)
    if extent != 1:
        value = slice_(
            value,
            starts=(start,) + (0,) * others,
            stops=(start + 1,) + (None,) * others,
            steps=(1,) * (others + 1),
        )
    return reshape(value, shape=tuple(rest))  # type: ignore[no-any-return]


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
        for item in without_ellipsis(value, items, key):
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
        raise unfit(value, key, f"only a whole slice may lie along the named dimension {extent}")
    if isinstance(item, int):
        if not -extent <= item < extent:
            raise unfit(value, key, f"index {item} is out of bounds for axis {axis}")
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
