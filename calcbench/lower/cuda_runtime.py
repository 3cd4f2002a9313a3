"""The device as a run sees it: allocations, transfers and launches, each of them counted."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from calcbench.lower.cuda_errors import (
    DeviceMemoryError,
    check_device,
    cuda_library,
    simulated,
    translated,
)
from calcbench.lower.cuda_kernels import Kernel, load_kernels
from calcbench.lower.cuda_words import SIMULATION, WIDE, Widths


class Event(NamedTuple):
    """One thing that a run did: "upload", "launch", "call out" or "download", and its bytes."""

    kind: str
    name: str
    size: int = 0


def widths_here() -> Widths:
    """Wide blocks for a device; a few threads for the simulator, where each is one of the host."""
    return SIMULATION if simulated() else WIDE


class Device:
    """The current device; `events` says what was done on it since `restart`.

    Raises
    ------
    NoToolkitError, NoDriverError, CapabilityError
        If there is none that can be used.
    """

    def __init__(self) -> None:
        check_device()
        self.cuda = cuda_library()
        self.widths = widths_here()
        self.events: list[Event] = []

    def restart(self) -> None:
        """Forget the events so far."""
        self.events = []

    def load(self, source: str, simulated_source: str) -> dict[str, Any]:
        """The kernels of a module, by name."""
        return load_kernels(simulated_source if simulated() else source)

    def check_room(self, size: int) -> None:
        """An error before anything is allocated, if the device has less free memory.

        Raises
        ------
        DeviceMemoryError
            With both numbers.
        """
        with translated("the device cannot be asked for its free memory"):
            free = self.cuda.current_context().get_memory_info().free
        if size > free:
            raise DeviceMemoryError(
                f"this run needs {size} bytes on the device, and {free} are free; use smaller "
                "inputs or float32, or run a batch in several parts"
            )

    def allocate(self, count: int, dtype: Any) -> Any:
        """An array of `count` entries, not initialised."""
        with translated(f"{count} entries of {dtype} cannot be allocated on the device"):
            return self.cuda.device_array(max(count, 1), dtype)

    def upload(self, name: str, value: Any, into: Any) -> None:
        """Copy a host array into one of the device."""
        flat = np.ascontiguousarray(value).reshape(-1)
        if flat.size:
            with translated(f"{name} cannot be copied to the device"):
                into.copy_to_device(flat)
            self.events.append(Event("upload", name, flat.nbytes))

    def download(self, name: str, array: Any, shape: Sequence[int]) -> Any:
        """A fresh host array, or a NumPy scalar for shape ()."""
        with translated(f"{name} cannot be copied from the device"):
            flat = array.copy_to_host()
        self.events.append(Event("download", name, flat.nbytes))
        return flat[: int(np.prod(shape))].reshape(tuple(shape))[()]

    def launch(self, function: Any, kernel: Kernel, arguments: Sequence[Any]) -> None:
        """Start a kernel; it runs after all that were started before."""
        grid = kernel.blocks(self.widths.blocks)
        with translated(f"the CUDA kernel {kernel.name!r} cannot be run"), _without_advice():
            function[grid, kernel.block](*arguments)
        self.events.append(Event("launch", kernel.name))


def _without_advice() -> Any:
    """Numba warns of small grids; ours are as large as the work."""
    return warnings.catch_warnings(action="ignore")
