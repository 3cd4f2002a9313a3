"""The direct sweeps on a CUDA device: each thread runs them for its points, in slots of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.lower.cuda_arrays import on_host
from calcbench.lower.cuda_point_kernel import BLOCK, MOST_ARENA
from calcbench.lower.cuda_runtime import Device, Event
from calcbench.lower.cuda_sweep_rows import flat, joined, taken
from calcbench.lower.cuda_sweep_texts import (
    NUMBERS,
    forward_module,
    forward_parameters,
    reverse_module,
    reverse_parameters,
    sweep_kernel,
)
from calcbench.lower.forward_sweep import ForwardSweep
from calcbench.lower.memory import MemoryPlan
from calcbench.lower.reverse_sweep import ReverseSweep
from calcbench.lower.sweep_code import RECORD, Sweep


LETTERS = {"XF": "f", "XI": "i", "XB": "b", "YF": "f", "YI": "i", "YB": "b"}


class SweepResults(NamedTuple):
    """What a sweep computes for a batch.

    Attributes
    ----------
    values : list of arrays
        The outputs, with the points' axis in front.
    derivatives : list of arrays
        Cotangents of wanted inputs, or tangents of float outputs with a second axis of directions.
    done : array of bool, shape (n,)
        Which points take the recorded path; the others' results count for nothing.
    """

    values: list[np.ndarray]
    derivatives: list[np.ndarray]
    done: np.ndarray


class _Batch:
    """What both sweeps do: slots, uploads, one launch, downloads.

    `extra` are the words that a thread needs beside those of its values.

    Attributes
    ----------
    source : str
        The kernel.
    events : tuple of Event
        What the last call did: uploads, one launch, downloads.
    """

    def __init__(self, sweep: Sweep, device: Device, slots: int, words: np.ndarray) -> None:
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
        return self.block * max(1, wanted)

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

    def packed(self, name: str, inputs: Sequence[Any], count: int) -> np.ndarray:
        """The inputs of one dtype, point by point."""
        dtype = {"f": self.sweep.dtype, "i": np.int64, "b": np.bool_}[LETTERS[name]]
        return joined([inputs[p] for p in self.positions(name)], count, dtype)

    def upload(self, name: str, value: np.ndarray) -> Any:
        """A copy on the device."""
        array = self.device.allocate(value.size, value.dtype)
        self.device.upload(name, value, array)
        return array

    def outputs(self, arrays: dict[str, Any], count: int) -> tuple[list[Any], np.ndarray]:
        """The outputs in order, and which points every guard holds at."""
        whole = self.sweep.whole
        found: dict[int, np.ndarray] = {}
        for name in ("YF", "YI", "YB"):
            ids = [whole.outputs[p] for p in self.positions(name)]
            shapes = [whole.types[i].shape for i in ids]
            parts = taken(self.device, name, arrays[name], count, shapes)
            found.update(zip(self.positions(name), parts, strict=True))
        done = np.ones(count, bool)
        own = len(self.graph.outputs)
        for number, guard in enumerate(self.graph.guards, own):
            same = found[number] == guard.expected.array
            done &= same.reshape(count, -1).all(axis=1)
        return [found[p] for p in range(own)], done

    def launch(self, function: Any, kernel: Any, given: dict[str, Any], threads: int) -> None:
        """Start the kernel, whose parameters are found by name."""
        arguments = [
            given[p.name] if p.is_array else np.int64(given[p.name]) for p in kernel.parameters
        ]
        self.device.launch(function, replace(kernel, total=threads, block=self.block), arguments)


class CudaReverseSweep(_Batch):
    """Values, then cotangents, of many points; made by `prepare_cuda_reverse`."""

    def __init__(self, sweep: ReverseSweep, device: Device) -> None:
        super().__init__(sweep, device, len(sweep.code.varied), sweep.words)
        dtype = sweep.dtype.name
        self.source, simulated = (
            reverse_module(sweep.up, sweep.down, dtype, flag) for flag in (False, True)
        )
        self.kernel = sweep_kernel("reverse", reverse_parameters(dtype), self.source)
        self.function = device.load(self.source, simulated)["reverse"]
        code = sweep.code
        targets = [code.inputs[p] for p in sweep.wanted]
        self.targets = [np.where(sweep.reached[t], t, -1) for t in targets]
        self.walk, self.sizes = self.places(code.inputs, code.outputs, sweep.seeds, self.targets)
        self.constants = self.image(np.arange(self.slots))

    def _run(self, inputs: Sequence[Any], seeds: Sequence[Any], count: int) -> SweepResults:
        self.device.check_room(self.memory(count, self.slots).peak)
        threads, dtype = self.threads(count, self.slots), self.sweep.dtype
        given: dict[str, Any] = {**self.sizes, **self.arena(threads, self.slots), "count": count}
        given |= {"instructions": len(self.words) // RECORD, "slots": self.slots, "directions": 0}
        given |= {"constants": len(self.constants) // 2}
        sent = {"code": self.words, "image": self.constants, "places": self.walk}
        sent |= {name: self.packed(name, inputs, count) for name in ("XF", "XI", "XB")}
        sent["CT"] = joined(seeds, count, dtype)
        given |= {name: self.upload(name, value) for name, value in sent.items()}
        given |= _room(self.device, self.sizes, count, dtype)
        given["GX"] = self.device.allocate(count * self.sizes["wanted"], dtype)
        self.launch(self.function, self.kernel, given, threads)
        values, done = self.outputs(given, count)
        shapes = [t.shape for t in self.targets]
        return SweepResults(values, taken(self.device, "GX", given["GX"], count, shapes), done)


class CudaForwardSweep(_Batch):
    """Values and tangents of many points together; made by `prepare_cuda_forward`."""

    def __init__(self, sweep: ForwardSweep, device: Device) -> None:
        super().__init__(sweep, device, sweep.count, sweep.words)
        dtype = sweep.dtype.name
        self.source, simulated = (
            forward_module(sweep.kernel, dtype, flag) for flag in (False, True)
        )
        self.kernel = sweep_kernel("forward", forward_parameters(dtype), self.source)
        self.function = device.load(self.source, simulated)["forward"]
        self.tangents = sweep.tangents
        # Fewer places than depend on wanted inputs: x**0 does, and has no tangent to be read.
        varied = [sweep.varied[sweep.code.outputs[n]] for n in sweep.floats]
        outputs = [sweep.outputs[n] for n in sweep.floats]
        self.targets = [np.where(v, o, -1) for v, o in zip(varied, outputs, strict=True)]
        wanted = [sweep.inputs[p] for p in sweep.wanted]
        # The order in which the kernel walks: wanted inputs, then outputs.
        self.walk, sizes = self.places(sweep.inputs, sweep.outputs, wanted, self.targets)
        self.sizes = {**sizes, "wanted": sizes["seeds"], "seeds": sizes["wanted"]}
        self.constants = self.image(sweep.place)

    def _run(self, inputs: Sequence[Any], seeds: Sequence[Any], count: int) -> SweepResults:
        directions, dtype = seeds[0].shape[1], self.sweep.dtype
        extra = self.tangents * directions
        self.device.check_room(self.memory(count, extra).peak)
        threads = self.threads(count, extra)
        given: dict[str, Any] = {**self.sizes, **self.arena(threads, extra), "count": count}
        given |= {"instructions": len(self.words) // RECORD, "slots": self.slots}
        given |= {"constants": len(self.constants) // 2, "directions": directions}
        sent = {"code": self.words, "image": self.constants, "places": self.walk}
        sent |= {name: self.packed(name, inputs, count) for name in ("XF", "XI", "XB")}
        last = [np.moveaxis(on_host(t), 1, -1) for t in seeds]
        rows = [np.asarray(t, dtype).reshape(count, -1, directions) for t in last]
        sent["DX"] = np.concatenate(rows, axis=1)
        given |= {name: self.upload(name, value) for name, value in sent.items()}
        given |= _room(self.device, self.sizes, count, dtype)
        given["DY"] = self.device.allocate(count * self.sizes["seeds"] * directions, dtype)
        self.launch(self.function, self.kernel, given, threads)
        values, done = self.outputs(given, count)
        shapes = [t.shape for t in self.targets]
        found = taken(self.device, "DY", given["DY"], count, shapes, directions)
        return SweepResults(values, [np.moveaxis(t, -1, 1) for t in found], done)


def _room(device: Device, sizes: dict[str, int], count: int, dtype: Any) -> dict[str, Any]:
    """Arrays for the outputs."""
    return {
        "YF": device.allocate(count * sizes["y_float"], dtype),
        "YI": device.allocate(count * sizes["y_int"], np.int64),
        "YB": device.allocate(count * sizes["y_bool"], np.bool_),
    }


def prepare_cuda_reverse(graph: Graph, wanted: Sequence[int]) -> CudaReverseSweep:
    """The reverse sweep of a graph of one point for batches; `wanted` are positions of inputs.

    Raises
    ------
    NoToolkitError, NoDriverError, CapabilityError
        If there is no compiler, no driver or device, or the device is too old.
    """
    device = Device()
    return CudaReverseSweep(ReverseSweep(graph, wanted, vectorised=False), device)


def prepare_cuda_forward(graph: Graph, wanted: Sequence[int]) -> CudaForwardSweep:
    """The forward sweep of a graph of one point for batches; `wanted` are positions of inputs.

    Raises
    ------
    NoToolkitError, NoDriverError, CapabilityError
        If there is no compiler, no driver or device, or the device is too old.
    """
    device = Device()
    return CudaForwardSweep(ForwardSweep(graph, wanted, vectorised=False), device)
