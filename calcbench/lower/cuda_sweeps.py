"""The direct sweeps on a CUDA device: each thread runs them for its points, in slots of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.lower.cuda_arrays import is_on_device
from calcbench.lower.cuda_runtime import Device
from calcbench.lower.cuda_sweep_batch import SweepBatch, SweepResults
from calcbench.lower.cuda_sweep_texts import (
    forward_module,
    forward_parameters,
    reverse_module,
    reverse_parameters,
    sweep_kernel,
)
from calcbench.lower.cuda_words import WIDE
from calcbench.lower.forward_code import ForwardSweep
from calcbench.lower.reverse_code import ReverseSweep
from calcbench.lower.sweep_code import RECORD


class CudaReverseSweep(SweepBatch):
    """Values, then cotangents, of many points; made by `prepare_cuda_reverse`."""

    def __init__(self, sweep: ReverseSweep, device: Any) -> None:
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

    def extra(self, directions: int) -> int:
        """A cotangent for each value."""
        return self.slots

    def passed(self, wanted: int, floats: int, directions: int) -> tuple[int, int]:
        """Cotangents of results, and of inputs."""
        return floats, wanted

    def _run(self, inputs: Sequence[Any], seeds: Sequence[Any], count: int) -> SweepResults:
        self.device.check_room(self.memory(count, self.slots).peak)
        threads, dtype = self.threads(count, self.slots), self.sweep.dtype
        given: dict[str, Any] = {**self.sizes, **self.arena(threads, self.slots), "count": count}
        given |= {"instructions": len(self.words) // RECORD, "slots": self.slots, "directions": 0}
        given |= {"constants": len(self.constants) // 2}
        given |= self.program() | self.packed(inputs, count)
        given["CT"] = self.rows("CT", seeds, count, dtype)
        given |= _room(self.device, self.sizes, count, dtype)
        given["GX"] = self.device.allocate(count * self.sizes["wanted"], dtype)
        self.launch(self.function, self.kernel, given, threads)
        stays = any(map(is_on_device, [*inputs, *seeds]))
        values, done = self.outputs(given, count, stays)
        shapes = [t.shape for t in self.targets]
        return SweepResults(values, self.found("GX", given["GX"], count, shapes, stays), done)


class CudaForwardSweep(SweepBatch):
    """Values and tangents of many points together; made by `prepare_cuda_forward`."""

    def __init__(self, sweep: ForwardSweep, device: Any) -> None:
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

    def extra(self, directions: int) -> int:
        """Tangents of the values that have some."""
        return self.tangents * directions

    def passed(self, wanted: int, floats: int, directions: int) -> tuple[int, int]:
        """Tangents of inputs, and of results."""
        return directions * wanted, directions * floats

    def _run(self, inputs: Sequence[Any], seeds: Sequence[Any], count: int) -> SweepResults:
        directions, dtype = seeds[0].shape[1], self.sweep.dtype
        extra = self.extra(directions)
        self.device.check_room(self.memory(count, extra).peak)
        threads = self.threads(count, extra)
        given: dict[str, Any] = {**self.sizes, **self.arena(threads, extra), "count": count}
        given |= {"instructions": len(self.words) // RECORD, "slots": self.slots}
        given |= {"constants": len(self.constants) // 2, "directions": directions}
        given |= self.program() | self.packed(inputs, count)
        given["DX"] = self.rows("DX", seeds, count, dtype, directions)
        given |= _room(self.device, self.sizes, count, dtype)
        given["DY"] = self.device.allocate(count * self.sizes["seeds"] * directions, dtype)
        self.launch(self.function, self.kernel, given, threads)
        stays = any(map(is_on_device, [*inputs, *seeds]))
        values, done = self.outputs(given, count, stays)
        shapes = [t.shape for t in self.targets]
        found = self.found("DY", given["DY"], count, shapes, stays, directions)
        return SweepResults(values, found, done)


def _room(device: Device, sizes: dict[str, int], count: int, dtype: Any) -> dict[str, Any]:
    """Arrays for the outputs."""
    return {
        "YF": device.allocate(count * sizes["y_float"], dtype),
        "YI": device.allocate(count * sizes["y_int"], np.int64),
        "YB": device.allocate(count * sizes["y_bool"], np.bool_),
    }


class NoDevice:
    """Stands for a device where a kernel is looked at and never run."""

    widths = WIDE

    def load(self, *_: str) -> dict[str, Any]:
        """No function for either kernel."""
        return {"reverse": None, "forward": None}


def sweep_on_paper(
    graph: Graph, wanted: Sequence[int], mode: str
) -> CudaReverseSweep | CudaForwardSweep:
    """The sweep of one mode, "forward" or "reverse", as it would be run; asks for no device."""
    if mode == "reverse":
        return CudaReverseSweep(ReverseSweep(graph, wanted, vectorised=False), NoDevice())
    return CudaForwardSweep(ForwardSweep(graph, wanted, vectorised=False), NoDevice())


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
