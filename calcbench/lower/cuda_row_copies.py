"""Rows of many points that are put together, and taken apart, on the device: a copy, no transfer.

The kernels of the sweeps read all numbers of a point side by side. A single array of the device
lies so already, and is read where it is; several are copied by a kernel that knows strides alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import ArrayType
from calcbench.lower.cuda_arrays import flat_view, is_on_device
from calcbench.lower.cuda_kernels import Kernel, Parameter, module_text
from calcbench.lower.cuda_point_kernel import BLOCK
from calcbench.lower.cuda_runtime import Device


NUMBERS = ("count", "rows", "columns", "low", "step", "row", "column", "to", "far", "down", "right")
TEXT = """\
@cuda.jit
def copied(count, rows, columns, low, step, row, column, to, far, down, right, source, into):
    k = np.int64(cuda.grid(1))
    while k < count * rows * columns:
        point, rest = k // (rows * columns), k % (rows * columns)
        i, j = rest // columns, rest % columns
        value = source[at(low + point * step + i * row + j * column)]
        into[at(to + point * far + i * down + j * right)] = value
        k += np.int64(cuda.gridsize(1))
"""


class Strides(NamedTuple):
    """Where entry (i, j) of a point lies: ``first + point * step + i * row + j * column``."""

    first: int
    step: int
    row: int
    column: int


def in_rows(low: int, width: int, directions: int) -> Strides:
    """Rows of `width` entries, each with its directions side by side, from entry `low` on."""
    return Strides(low * directions, width * directions, directions, 1)


def by_direction(size: int, directions: int) -> Strides:
    """Arrays of `size` entries a point, one after the other for each direction."""
    return Strides(0, size * directions, 1, size)


def copy_kernel(dtype: str) -> Kernel:
    """The kernel as the runtime and the linker take it; all dtypes share its text."""
    numbers = [Parameter(name, "int64", is_array=False) for name in NUMBERS]
    arrays = [Parameter(name, dtype) for name in ("source", "into")]
    return Kernel("copied", TEXT, (*numbers, *arrays), 1, BLOCK)


class RowCopies:
    """Copies on one device; each is a launch.

    Directions, if there are any, are the second axis of arrays, and the last one of rows.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        texts = [module_text([copy_kernel("float64")], simulated) for simulated in (False, True)]
        self.function = device.load(*texts)["copied"]

    def joined(
        self,
        name: str,
        arrays: Sequence[Any],
        count: int,
        dtype: np.dtype,
        directions: int | None = None,
    ) -> Any:
        """Arrays of many points, some of them on the device, as one row a point."""
        each = 1 if directions is None else directions
        flats = [self._flat(name, array, dtype) for array in arrays]
        if len(flats) == 1 and each == 1 and flats[0].ndim == 1:
            return flats[0]
        sizes = [prod(a.shape[1 if directions is None else 2 :]) for a in arrays]
        into = self.device.allocate(count * sum(sizes) * each, dtype)
        for flat, size, low in zip(flats, sizes, _starts(sizes), strict=True):
            here = in_rows(low, sum(sizes), each)
            self._copy(flat, by_direction(size, each), into, here, (count, size, each))
        return into

    def taken(
        self, rows: Any, count: int, shapes: Sequence[Any], directions: int | None = None
    ) -> list[Any]:
        """The rows of all points as arrays of these shapes; what has no entries is on the host."""
        each = 1 if directions is None else directions
        leading = (count,) if directions is None else (count, directions)
        if len(shapes) == 1 and each == 1:
            return [_shaped(rows, (*leading, *shapes[0]))]
        sizes, found = [prod(shape) for shape in shapes], []
        for shape, size, low in zip(shapes, sizes, _starts(sizes), strict=True):
            into = self.device.allocate(count * size * each, rows.dtype)
            there = in_rows(low, sum(sizes), each)
            self._copy(rows, there, into, by_direction(size, each), (count, size, each))
            found.append(_shaped(into, (*leading, *shape)))
        return found

    def repeated(self, array: Any, times: int) -> Any:
        """Every point of an array so many times, one after the other."""
        count, *shape = array.shape
        size = prod(shape)
        into = self.device.allocate(count * times * size, array.dtype)
        there, here = Strides(0, size, 0, 1), Strides(0, times * size, size, 1)
        flat = self._flat("points", array, array.dtype)
        self._copy(flat, there, into, here, (count, times, size))
        return _shaped(into, (count * times, *shape))

    def first(self, array: Any, each: int) -> Any:
        """Of every so many points the first one."""
        count, *shape = array.shape
        size = prod(shape)
        into = self.device.allocate(count // each * size, array.dtype)
        there, here = Strides(0, each * size, 0, 1), Strides(0, size, 0, 1)
        self._copy(array.reshape(count * size), there, into, here, (count // each, 1, size))
        return _shaped(into, (count // each, *shape))

    def _flat(self, name: str, array: Any, dtype: np.dtype) -> Any:
        if is_on_device(array):
            return flat_view(array, ArrayType(tuple(array.shape), np.dtype(dtype)), name)
        into = self.device.allocate(array.size, dtype)
        self.device.upload(name, np.asarray(array, dtype), into)
        return into

    def _copy(
        self, source: Any, there: Strides, into: Any, here: Strides, counts: tuple[int, int, int]
    ) -> None:
        """Copy the entries of so many points, rows and columns."""
        if prod(counts):
            block = min(BLOCK, self.device.widths.threads)
            kernel = replace(copy_kernel("float64"), total=prod(counts), block=block)
            numbers = [np.int64(number) for number in (*counts, *there, *here)]
            self.device.launch(self.function, kernel, [*numbers, source, into])


def _starts(sizes: Sequence[int]) -> list[int]:
    """Where each part begins."""
    return [*accumulate(sizes, initial=0)][:-1]


def _shaped(flat: Any, shape: tuple[int, ...]) -> Any:
    """A fresh array in its shape; one without entries needs no device."""
    return flat.reshape(shape) if prod(shape) else np.empty(shape, flat.dtype)
