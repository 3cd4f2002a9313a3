"""What the CUDA compiler and linker say of kernels: registers, spills, stack and shared memory.

Needs no device and no driver. Numba writes PTX for a compute capability, nvJitLink makes machine
code of it, and its log has the numbers. Nothing is run, so nothing here is a time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from calcbench.lower.compiler import EngineError
from calcbench.lower.cuda_errors import check_toolkit, dotted, translated
from calcbench.lower.cuda_kernels import Kernel, load_kernels, ptx_text


CAPABILITIES = ((7, 5), (8, 0), (9, 0), (10, 0))
Capability = tuple[int, int]


class KernelRecord(NamedTuple):
    """One kernel as machine code for one compute capability.

    Attributes
    ----------
    kernel : str
    capability : tuple of int
    registers : int
        Of one thread.
    spill_stores, spill_loads : int
        Bytes of registers that did not fit, in the code of one thread.
    stack, shared : int
        Bytes of local memory of one thread, and of shared memory of one block.
    size : int
        Bytes of the machine code.
    """

    kernel: str
    capability: Capability
    registers: int
    spill_stores: int
    spill_loads: int
    stack: int
    shared: int
    size: int

    @property
    def spills(self) -> bool:
        """Whether registers are kept in memory; a stack frame alone is no spill."""
        return self.spill_stores > 0 or self.spill_loads > 0


def kernel_records(
    source: str, kernels: Sequence[Kernel], capability: Capability
) -> list[KernelRecord]:
    """Every kernel of a module, compiled and linked for a compute capability.

    Raises
    ------
    NoToolkitError
        If the compiler or the linker is not installed.
    CapabilityError
        If they make no code for it.
    EngineError
        If a kernel cannot be compiled.
    """
    check_toolkit()
    functions = load_kernels(source)
    return [kernel_record(functions[kernel.name], kernel, capability) for kernel in kernels]


def kernel_record(function: Any, kernel: Kernel, capability: Capability) -> KernelRecord:
    """One kernel, compiled and linked."""
    text = ptx_text(function, kernel, capability)
    with translated(f"the kernel {kernel.name!r} cannot be linked for {dotted(capability)}"):
        code, log = _linked(text, capability)
    record = read_log(log, kernel.name, capability, len(code))
    return record._replace(shared=max(record.shared, declared_shared(text)))


def _linked(text: str, capability: Capability) -> tuple[bytes, str]:
    """Machine code, and what the linker says of it."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    options = LinkerOptions(arch=f"sm_{capability[0]}{capability[1]}", ptxas_options=["-v"])
    linker = Linker(ObjectCode.from_ptx(text.encode()), options=options)
    code = linker.link("cubin")
    return bytes(code.code), linker.get_info_log()


_DECLARED = re.compile(r"\.shared \.align \d+ \.b8 \w+\[(\d+)\]")


def declared_shared(text: str) -> int:
    """Bytes of shared memory that PTX declares: the linker's log leaves visible arrays out.

    Examples
    --------
    >>> declared_shared(".visible .shared .align 8 .b8 tile[8192];")
    8192
    """
    return sum(int(n) for n in _DECLARED.findall(text))


_MEMORY = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_REGISTERS = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


def read_log(log: str, name: str, capability: Capability, size: int) -> KernelRecord:
    """The numbers in a linker's log of one kernel and the functions that it calls.

    Raises
    ------
    EngineError
        If they are not there: a record without them would hide a spill.

    Examples
    --------
    >>> log = '''ptxas info : Function properties for k
    ... ptxas . 8 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
    ... ptxas info : Used 34 registers, used 0 barriers, 64 bytes smem'''
    >>> read_log(log, "k", (8, 0), 100).registers
    34
    """
    memory = [tuple(map(int, found)) for found in _MEMORY.findall(log)]
    registers = [int(n) for n in _REGISTERS.findall(log)]
    if not memory or not registers:
        raise EngineError(
            f"the linker's log of {name!r} for {dotted(capability)} names no registers and spills: "
            f"{log.strip()[:200]!r}"
        )
    stack, stores, loads = (sum(column) for column in zip(*memory, strict=True))
    shared = max([int(n) for n in _SHARED.findall(log)], default=0)
    return KernelRecord(name, capability, max(registers), stores, loads, stack, shared, size)
