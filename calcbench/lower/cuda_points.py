"""Many points on a CUDA device: one launch, in which each thread runs the graph for its points."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.ir import Graph
from calcbench.graph.nodes import Literal
from calcbench.lower.cuda_arrays import flat_view, is_on_device
from calcbench.lower.cuda_point_emission import point_text
from calcbench.lower.cuda_point_kernel import BLOCK, VIEWS, PointText
from calcbench.lower.cuda_runtime import Device, Event
from calcbench.lower.memory import MemoryPlan


class PointResults(NamedTuple):
    """The results of a batch.

    Attributes
    ----------
    values : list
        Arrays whose first axis is the point; on the device if an input was there.
    done : array of bool, shape (n,)
        Which points take the recorded path and stop at no position outside; the values of the
        others count for nothing.
    """

    values: list[Any]
    done: np.ndarray


class PointProgram:
    """A graph of one point as a kernel for many, on the current device.

    Calls from several threads take turns: their arrays in between share a block of the device.

    Attributes
    ----------
    graph : Graph
        The graph of one point.
    text : PointText
    source : str
        The kernel; ``v17`` in it is node 17 of the graph ``text.graph``.
    events : tuple of Event
        What the last call did: uploads, one launch, downloads.
    """

    def __init__(self, graph: Graph, text: PointText, device: Device) -> None:
        self.graph, self.text, self.device = graph, text, device
        self.source = text.source
        self.function = device.load(text.source, text.simulated)[text.kernel.name]
        self.block = min(BLOCK, device.widths.threads)
        self.events: tuple[Event, ...] = ()
        self._constants: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __call__(self, inputs: Sequence[Any], count: int) -> PointResults:
        """All points; inputs have a leading axis of `count`, but for those that all share.

        Raises
        ------
        DeviceMemoryError, LostContextError
            If the device has no room, or has failed before.
        """
        with self._lock:
            self.device.restart()
            try:
                return self._run(inputs, count)
            finally:
                self.events = tuple(self.device.events)

    def memory(self, count: int) -> MemoryPlan:
        """Bytes on the device for a batch of `count` points."""
        return self.text.memory(count, self.text.threads(count, self.device.widths))

    # --- a call ---------------------------------------------------------------------------------

    def _run(self, inputs: Sequence[Any], count: int) -> PointResults:
        threads = self.text.threads(count, self.device.widths)
        plan = self.text.memory(count, threads)
        self.device.check_room(plan.peak)
        arrays = {**self._literals(), **self._arena(threads, plan.arena)}
        for position, value in enumerate(inputs):
            self._bind(arrays, position, value, count)
        results = self._results(arrays, count)
        kernel = replace(self.text.kernel, total=threads, block=self.block)
        arguments = [
            np.int64(count) if not p.is_array else arrays[p.name] for p in kernel.parameters
        ]
        self.device.launch(self.function, kernel, arguments)
        stays = any(is_on_device(value) for value in inputs)
        return self._collected(arrays, results, count, stays)

    def _literals(self) -> dict[str, Any]:
        """Constants, which go to the device once."""
        for name, node in self.text.arrays.items():
            if node >= 0 and node not in self.text.graph.inputs and name not in self._constants:
                value = dict(self.text.graph.nodes[node].params)["value"]
                assert isinstance(value, Literal)
                self._constants[name] = self._uploaded(name, value.array)
        return self._constants

    def _arena(self, threads: int, size: int) -> dict[str, Any]:
        """One block of the device, seen as arrays of each dtype."""
        if not size:
            return {}
        block = self.device.allocate(size, np.uint8)
        parts = self.text.arena(threads).items()
        return {VIEWS[d]: block[low:high].view(np.dtype(d)) for d, (low, high) in parts}

    def _bind(self, arrays: dict[str, Any], position: int, value: Any, count: int) -> None:
        """An input where the kernel finds it; what it does not read is not copied."""
        graph = self.text.graph
        node = graph.inputs[position]
        name = next((n for n, i in self.text.arrays.items() if i == node), None)
        if name is None:
            return
        kind = graph.types[node]
        if position < len(graph.inputs) - self.text.shared:
            kind = ArrayType((count, *kind.shape), kind.dtype)
        if is_on_device(value):
            arrays[name] = flat_view(value, kind, graph.input_names[position])
        else:
            arrays[name] = self._uploaded(name, np.asarray(value, kind.dtype))

    def _uploaded(self, name: str, value: np.ndarray) -> Any:
        array = self.device.allocate(value.size, value.dtype)
        self.device.upload(name, value, array)
        return array

    # --- results --------------------------------------------------------------------------------

    def _results(self, arrays: dict[str, Any], count: int) -> list[str]:
        """Room for the results; the array of each, or "" where it has no entries."""
        graph = self.text.graph
        places = {-1 - key: name for name, key in self.text.arrays.items() if key < 0}
        for place, name in places.items():
            kind = graph.types[graph.outputs[place]]
            arrays[name] = self.device.allocate(int(kind.size) * count, kind.dtype)
        if self.text.fails:
            arrays["FINE"] = self.device.allocate(count, np.bool_)
        return [places.get(place, "") for place in range(len(graph.outputs))]

    def _collected(
        self, arrays: dict[str, Any], names: Sequence[str], count: int, stays: bool
    ) -> PointResults:
        graph = self.text.graph
        done = np.ones(count, bool)
        if self.text.fails:
            done &= self.device.download("FINE", arrays["FINE"], (count,))
        if self.text.guarded:
            done &= self.device.download(names[-1], arrays[names[-1]], (count,))
        values = []
        for name, node in zip(names[: len(self.graph.outputs)], graph.outputs, strict=False):
            kind = graph.types[node]
            shape: Any = (count, *kind.shape)
            if not kind.size:
                values.append(np.empty(shape, kind.dtype))
            elif stays:
                values.append(arrays[name].reshape(shape))
            else:
                values.append(self.device.download(name, arrays[name], shape))
        return PointResults(values, done)


def prepare_cuda_points(graph: Graph, shared: int = 0) -> PointProgram:
    """Compile a graph of one point, of known sizes, for batches on the current CUDA device.

    Parameters
    ----------
    graph : Graph
        Its dtypes are float64, float32, int64 and bool; it may have guards.
    shared : int
        How many of its last inputs all points share.

    Returns
    -------
    PointProgram

    Raises
    ------
    CallOutError
        If a row of it is computed by the host; `calcbench.lower.cuda_point_emission.misfit` says
        which graphs one thread can take.
    NoToolkitError, NoDriverError, CapabilityError
        If there is no compiler, no driver or device, or the device is too old.
    """
    device = Device()
    return PointProgram(graph, point_text(graph, shared), device)
