"""A graph on a CUDA device: inputs in, one launch a group, results out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.graph.nodes import Literal
from calcbench.lower.cuda_arrays import flat_view, is_on_device
from calcbench.lower.cuda_emission import Buffer, CallOut, CudaText, cuda_text
from calcbench.lower.cuda_runtime import Device, Event
from calcbench.lower.groups import base
from calcbench.lower.memory import MemoryPlan


class CudaProgram:
    """A graph as kernels on the current device.

    Calls from several threads take turns: the values in between lie in one block of the device.

    Attributes
    ----------
    graph : Graph
    source : str
        The generated text; ``v17`` in it is an entry of node 17 of the printed graph.
    memory : MemoryPlan
        Bytes on the device.
    text : CudaText
        The kernels.
    events : tuple of Event
        What the last call did: uploads, launches, call-outs and downloads, in order.
    """

    def __init__(self, text: CudaText, device: Device) -> None:
        self.text, self.device = text, device
        self.graph: Graph = text.graph
        self.source = text.source
        self.memory: MemoryPlan = text.memory
        self.functions = device.load(text.source, text.simulated)
        self.events: tuple[Event, ...] = ()
        self._arrays: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        """Results on the host, or on the device if an input is there.

        Raises
        ------
        DeviceMemoryError, LostContextError
            If the device has no room, or has failed before.
        """
        with self._lock:
            if not self._arrays:
                self._arrays = self._allocated()
            self.device.restart()
            try:
                return self._run(inputs)
            finally:
                self.events = tuple(self.device.events)

    # --- memory -------------------------------------------------------------------------------

    def _allocated(self) -> dict[str, Any]:
        """What stays on the device from call to call: the arena, constants, copies of inputs."""
        self.device.check_room(self.memory.peak)
        buffers, constants = self.text.buffers, set(self.text.constants)
        end = max([_end(b) for b in buffers.values()], default=0)
        arena = self.device.allocate(end, np.uint8)
        arrays = {
            n: _part(arena, b) for n, b in buffers.items() if b.offset is not None and b.count
        }
        for node, name in self.text.names.stored.items():
            if node in constants:
                arrays[name] = self._own(name)
                self.device.upload(name, _literal(self.graph, node), arrays[name])
        for name in arrays:
            if name.startswith("arrived"):
                self.device.upload(name, np.zeros(buffers[name].count, np.int64), arrays[name])
        return arrays

    def _own(self, name: str) -> Any:
        buffer = self.text.buffers[name]
        return self.device.allocate(buffer.count, np.dtype(buffer.dtype))

    # --- a call -------------------------------------------------------------------------------

    def _run(self, inputs: Sequence[Any]) -> list[Any]:
        stays = any(is_on_device(value) for value in inputs)
        arrays = dict(self._arrays)
        named = zip(self.graph.inputs, self.graph.input_names, inputs, strict=True)
        for node, label, value in named:
            self._bind(arrays, node, label, value)
        outputs = self.text.output_names()
        for name in filter(None, outputs):
            arrays[name] = self._own(name)
        for step in self.text.steps:
            if isinstance(step, CallOut):
                self._call_out(step.node, arrays)
            else:
                arguments = [arrays[p.name] for p in step.parameters]
                self.device.launch(self.functions[step.name], step, arguments)
        pairs = zip(outputs, self.graph.outputs, strict=True)
        return [self._result(arrays.get(name), name, node, stays) for name, node in pairs]

    def _bind(self, arrays: dict[str, Any], node: int, label: str, value: Any) -> None:
        """An input where kernels find it; what no kernel reads is not copied."""
        name = self.text.names.stored.get(node)
        if name is None:
            return
        if is_on_device(value):
            arrays[name] = flat_view(value, self.graph.types[node], label)
            return
        if name not in self._arrays:
            self._arrays[name] = self._own(name)
        arrays[name] = self._arrays[name]
        self.device.upload(name, value, arrays[name])

    def _result(self, array: Any, name: str, node: int, stays: bool) -> Any:
        kind = self.graph.types[node]
        if not kind.size:
            return np.empty(kind.shape, kind.dtype)
        if stays:
            return array.reshape(kind.shape)
        return self.device.download(name, array, kind.shape)

    def _call_out(self, node: int, arrays: dict[str, Any]) -> None:
        """NumPy computes the row on the host: its operands are copied there, and its value back."""
        row, operands, params, _ = self.graph.nodes[node]
        self.device.events.append(Event("call out", row.name))
        values = [self._on_host(i, arrays) for i in operands]
        with np.errstate(all="ignore"):
            value = row.numpy(*values, **dict(params))
        name = self.text.names.stored[node]
        self.device.upload(name, np.asarray(value, self.graph.types[node].dtype), arrays[name])

    def _on_host(self, node: int, arrays: dict[str, Any]) -> Any:
        kind = self.graph.types[node]
        name = self.text.names.stored[base(self.graph, node)]
        if not kind.size:
            return np.empty(kind.shape, kind.dtype)
        return self.device.download(name, arrays[name], kind.shape)


def _literal(graph: Graph, node: int) -> np.ndarray:
    value = dict(graph.nodes[node].params)["value"]
    assert isinstance(value, Literal)
    return value.array


def _end(buffer: Buffer) -> int:
    size = buffer.count * np.dtype(buffer.dtype).itemsize
    return 0 if buffer.offset is None else buffer.offset + size


def _part(arena: Any, buffer: Buffer) -> Any:
    """Some bytes of the arena as an array."""
    return arena[buffer.offset : _end(buffer)].view(np.dtype(buffer.dtype))


def prepare_cuda(graph: Graph, vectorised: bool = True) -> CudaProgram:
    """Compile a graph of known sizes, without guards, for the current CUDA device.

    Parameters
    ----------
    graph : Graph
        Its dtypes are float64, float32, int64 and bool.
    vectorised : bool
        Of no effect: elementary functions are always those of CUDA's libdevice.

    Returns
    -------
    CudaProgram

    Raises
    ------
    NoToolkitError, NoDriverError, CapabilityError
        If there is no compiler, no driver or device, or the device is too old.
    """
    device = Device()
    return CudaProgram(cuda_text(graph, device.widths), device)
