"""What both sweeps do on a CUDA device: slots, uploads, one launch of all points, downloads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import byte_size
from calcbench.lower.cuda_arrays import is_on_device
from calcbench.lower.cuda_point_kernel import BLOCK, MOST_ARENA
from calcbench.lower.cuda_row_copies import RowCopies
from calcbench.lower.cuda_runtime import Event
from calcbench.lower.cuda_sweep_rows import flat, joined, taken
from calcbench.lower.cuda_sweep_texts import NUMBERS
from calcbench.lower.memory import MemoryPlan
from calcbench.lower.sweep_code import Sweep


LETTERS = {"XF": "f", "XI": "i", "XB": "b", "YF": "f", "YI": "i", "YB": "b"}


class SweepResults(NamedTuple):
    """What a sweep computes for a batch.

    Attributes
    ----------
    values : list of arrays
        The outputs, with the points' axis in front; on the device if an input or a seed was there.
    derivatives : list of arrays
        Cotangents of wanted inputs, or tangents of float outputs with a second axis of directions.
    done : array of bool, shape (n,)
        Which points take the recorded path; the others' results count for nothing.
    """

    values: list[Any]
    derivatives: list[Any]
    done: np.ndarray


class SweepBatch:
    """What both sweeps do: slots, uploads, one launch, downloads.

    `extra` are the words that a thread needs beside those of its values.

    Attributes
    ----------
    source : str
        The kernel.
    events : tuple of Event
        What the last call did: uploads, one launch, downloads.
    """

    walk: np.ndarray
    constants: np.ndarray

    def __init__(self, sweep: Sweep, device: Any, slots: int, words: np.ndarray) -> None:
        self.sweep, self.device, self.slots, self.words = sweep, device, slots, words
        self.graph: Graph = sweep.graph
        self.block = min(BLOCK, device.widths.threads)
        self.events: tuple[Event, ...] = ()
        self.lock = threading.Lock()

    def __call__(self, inputs: Sequence[Any], seeds: Sequence[Any], count: int) -> SweepResults:
        """All points; inputs and seeds have the points' axis in front.

        Seeds of the reverse sweep are a cotangent per float output; those of the forward sweep a
        tangent per wanted input, whose second axis counts directions.
        """
        with self.lock:
            self.device.restart()
            try:
                return self._run(inputs, seeds, count)
            finally:
                self.events = tuple(self.device.events)

    def _run(self, inputs: Sequence[Any], seeds: Sequence[Any], count: int) -> SweepResults:
        raise NotImplementedError

    def positions(self, name: str) -> list[int]:
        """Which inputs (X) or outputs (Y) an array of one dtype holds, one after the other."""
        graph = self.sweep.whole
        ids = graph.inputs if name[0] == "X" else graph.outputs
        return [p for p, i in enumerate(ids) if graph.types[i].dtype.kind == LETTERS[name]]

    def places(
        self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], *rest: Any
    ) -> tuple[np.ndarray, dict[str, int]]:
        """The slots that the kernel walks through, and how many of each kind."""
        parts = []
        for name in LETTERS:
            own = inputs if name[0] == "X" else outputs
            parts.append(flat([own[p] for p in self.positions(name)]))
        parts += [flat(part) for part in rest]
        sizes = dict(zip(NUMBERS, map(len, parts), strict=True))
        return np.concatenate(parts), sizes

    def image(self, place: np.ndarray) -> np.ndarray:
        """The slot and the bits of each constant."""
        constants = self.sweep.code.constants
        image = np.zeros((len(constants), 2), np.int64)
        for row, (at, array) in zip(image, constants, strict=True):
            row[0] = place[at]
            row[1:].view(array.dtype)[0] = array
        return image.reshape(-1)

    def threads(self, count: int, extra: int) -> int:
        """How many threads take the points: as many as the arena has room for."""
        each = (8 * (self.slots + extra) + self.slots * self.sweep.masked) * self.block
        wanted = min(-(-count // self.block), self.device.widths.blocks, MOST_ARENA // each)
        return int(self.block * max(1, wanted))

    def memory(self, count: int, extra: int) -> MemoryPlan:
        """Bytes on the device for a batch of `count` points."""
        threads = self.threads(count, extra)
        types = self.graph.types
        entries = [types[i].size for i in (*self.graph.inputs, *self.sweep.whole.outputs)]
        return MemoryPlan(
            arena=8 * (self.slots + extra) * threads,
            workspace=self.slots * threads if self.sweep.masked else 1,
            inputs=8 * count * int(sum(entries)),
            program=self.words.nbytes,
        )

    def extra(self, directions: int) -> int:
        """Words of a thread for cotangents, or for tangents in so many directions."""
        raise NotImplementedError

    def moved(self, count: int, directions: int) -> tuple[int, int, int]:
        """Bytes read and written for a batch, each array once, and those of the batch's arrays."""
        types, graph = self.graph.types, self.graph
        wanted = sum(byte_size(types[graph.inputs[p]]) for p in self.sweep.wanted)
        floats = sum(byte_size(types[i]) for i in graph.outputs if types[i].is_float)
        inputs, outputs, whole = (
            sum(byte_size(types[i]) for i in ids)
            for ids in (graph.inputs, graph.outputs, self.sweep.whole.outputs)
        )
        seeds, found = self.passed(wanted, floats, directions)
        program = self.words.nbytes + self.constants.nbytes + self.walk.nbytes
        read, written = count * (inputs + seeds), count * (whole + found)
        return int(read + program), int(written), int(count * (inputs + seeds + outputs + found))

    def passed(self, wanted: int, floats: int, directions: int) -> tuple[int, int]:
        """Bytes of the seeds and the derivatives of a point."""
        raise NotImplementedError

    def arena(self, threads: int, extra: int) -> dict[str, Any]:
        """One block of the device: values, what is passed or pushed, and what is live."""
        values, passed = 8 * self.slots * threads, 8 * extra * threads
        live = self.slots * threads if self.sweep.masked else 1
        block = self.device.allocate(values + passed + live, np.uint8)
        own, other = block[:values], block[values : values + passed]
        found = {
            "f8": own.view(np.dtype("float64")),
            "f4": own.view(np.dtype("float32")),
            "i8": own.view(np.dtype("int64")),
            "b1": own.view(np.dtype("bool")),
            "live": block[values + passed :],
        }
        for letter in "gd":
            found[f"{letter}8"] = other.view(np.dtype("float64"))
            found[f"{letter}4"] = other.view(np.dtype("float32"))
        return found

    @cached_property
    def copies(self) -> RowCopies:
        """What packs arrays that lie on the device; loaded when there are some."""
        return RowCopies(self.device)

    def packed(self, inputs: Sequence[Any], count: int) -> dict[str, Any]:
        """The inputs on the device, those of one dtype in one array, point by point."""
        dtypes = {"XF": self.sweep.dtype, "XI": np.dtype(np.int64), "XB": np.dtype(np.bool_)}
        return {
            name: self.rows(name, [inputs[p] for p in self.positions(name)], count, dtype)
            for name, dtype in dtypes.items()
        }

    def rows(
        self,
        name: str,
        arrays: Sequence[Any],
        count: int,
        dtype: np.dtype,
        directions: int | None = None,
    ) -> Any:
        """Arrays as one row a point on the device, put together where they lie."""
        if any(map(is_on_device, arrays)):
            return self.copies.joined(name, arrays, count, dtype, directions)
        if directions is not None:
            arrays = [np.moveaxis(a, 1, -1) for a in arrays]
        return self.upload(name, joined(arrays, count, dtype))

    def found(
        self,
        name: str,
        rows: Any,
        count: int,
        shapes: Sequence[Any],
        stays: bool,
        directions: int | None = None,
    ) -> list[Any]:
        """Rows as arrays of these shapes, which stay on the device or are copied to the host."""
        if stays:
            return self.copies.taken(rows, count, shapes, directions)
        if directions is None:
            return list(taken(self.device, name, rows, count, shapes))
        parts = taken(self.device, name, rows, count, shapes, directions)
        return [np.moveaxis(t, -1, 1) for t in parts]

    def program(self) -> dict[str, Any]:
        """Copies on the device of what is run: instructions, constants, and where arrays go."""
        sent = {"code": self.words, "image": self.constants, "places": self.walk}
        return {name: self.upload(name, value) for name, value in sent.items()}

    def upload(self, name: str, value: np.ndarray) -> Any:
        """A copy on the device."""
        array = self.device.allocate(value.size, value.dtype)
        self.device.upload(name, value, array)
        return array

    def outputs(
        self, arrays: dict[str, Any], count: int, stays: bool
    ) -> tuple[list[Any], np.ndarray]:
        """The outputs in order, and which points every guard holds at, which the host tests."""
        whole, own = self.sweep.whole, len(self.graph.outputs)
        found: dict[int, Any] = {}
        for name in ("YF", "YI", "YB"):
            positions = self.positions(name)
            shapes = [whole.types[whole.outputs[p]].shape for p in positions]
            kept = stays and any(p < own for p in positions)
            parts = self.found(name, arrays[name], count, shapes, kept)
            found.update(zip(positions, parts, strict=True))
        done = np.ones(count, bool)
        for number, guard in enumerate(self.graph.guards, own):
            value = found[number]
            if is_on_device(value):
                value = self.device.download("guard", value.reshape(value.size), value.shape)
            done &= (value == guard.expected.array).reshape(count, -1).all(axis=1)
        return [found[p] for p in range(own)], done

    def launch(self, function: Any, kernel: Any, given: dict[str, Any], threads: int) -> None:
        """Start the kernel, whose parameters are found by name."""
        arguments = [
            given[p.name] if p.is_array else np.int64(given[p.name]) for p in kernel.parameters
        ]
        self.device.launch(function, replace(kernel, total=threads, block=self.block), arguments)
