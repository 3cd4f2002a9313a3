"""What a derivative would be on a CUDA device, read off the compiler: columns without a time."""

from __future__ import annotations

from typing import NamedTuple

from calcbench.cuda_reporting import cuda_report
from calcbench.lower.compiler import EngineError
from calcbench.lower.cuda_errors import check_device, dotted, one_line, simulated
from calcbench.measure.stages import Recording, derivative_of


CAPABILITY = (9, 0)
UNTIMED = "no time was taken: no device is present"


class DeviceColumns(NamedTuple):
    """The kernels of one derivative, compiled and linked for one compute capability.

    Attributes
    ----------
    mode : {"forward", "reverse", "mixed", "checkpointed"}
    kernels : int or None
        How many; None, as all other numbers, if they could not be compiled.
    registers : int or None
        Of one thread, in the kernel that takes most.
    spills : int or None
        Bytes that all kernels store and load because registers did not suffice.
    moved, least : int or None
        Bytes that the kernels read and write, and those of inputs and results.
    note : str
        That no time was taken, or why there are no numbers.
    """

    mode: str
    kernels: int | None = None
    registers: int | None = None
    spills: int | None = None
    moved: int | None = None
    least: int | None = None
    note: str = ""

    @property
    def row(self) -> list[str]:
        """The columns as text; a dash where there is no number."""
        return [self.mode, *["-" if n is None else str(n) for n in self[1:-1]], self.note]


HEADING = ["mode", "kernels", "registers", "spilt bytes", "bytes moved", "at least", "on CUDA"]


def device_columns(recording: Recording, mode: str) -> DeviceColumns:
    """The columns of a derivative; its note says why there are none, if there are none."""
    try:
        found = cuda_report(derivative_of(recording, mode).graph, capabilities=(CAPABILITY,))
    except EngineError as error:
        return DeviceColumns(mode, note=f"not compiled: {one_line(str(error))}")
    spills = sum(r.spill_stores + r.spill_loads for r in found.records)
    registers = max((r.registers for r in found.records), default=0)
    note = f"for compute capability {dotted(CAPABILITY)}"
    if not has_device():
        note = f"{note}; {UNTIMED}"
    return DeviceColumns(mode, len(found.moved), registers, spills, found.total, found.least, note)


def has_device() -> bool:
    """Whether a device can run kernels; the simulator is none, and is never timed."""
    try:
        check_device()
    except EngineError:
        return False
    return not simulated()
