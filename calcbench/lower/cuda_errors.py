"""Why a CUDA device cannot be used, in words that say what is missing and what to install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba

from calcbench.lower.compiler import EngineError


INSTALL = "pip install 'calcbench[cuda]'"
OLDEST = (7, 5)  # the compute capability below which CUDA 13 makes no code


class NoToolkitError(EngineError):
    """The compiler of CUDA kernels is not installed."""


class NoDriverError(EngineError):
    """There is no NVIDIA driver, or it finds no device."""


class CapabilityError(EngineError):
    """Code for this compute capability cannot be made, or the device is too old."""


class DeviceMemoryError(EngineError, MemoryError):
    """The device has not enough free memory."""


class LostContextError(EngineError):
    """An earlier failure on the device ended its context: only a new process can use it again."""


class CallOutError(EngineError):
    """A row that only the host computes stands where one thread computes one point."""


def simulated() -> bool:
    """Whether Numba's simulator stands for the device."""
    settings: Any = numba.config
    return bool(settings.ENABLE_CUDASIM)


def cuda_library() -> Any:
    """Numba's part for CUDA, loaded when it is first needed.

    Raises
    ------
    NoToolkitError
        If it cannot be loaded.
    """
    with translated("numba.cuda cannot be loaded"):
        from numba import cuda

        return cuda


def check_toolkit() -> None:
    """An error unless kernels can be compiled here; asks for no device.

    Raises
    ------
    NoToolkitError
        If the package numba-cuda is missing.
    """
    if "numba_cuda" not in str(cuda_library().__file__) and not simulated():
        raise NoToolkitError(
            f"the cuda engine needs the package numba-cuda, which is not installed: {INSTALL}"
        )


def check_device() -> None:
    """An error unless a device can run kernels.

    Raises
    ------
    NoToolkitError
        If the package numba-cuda is missing.
    NoDriverError
        If there is no NVIDIA driver, or no device.
    CapabilityError
        If the device is older than the oldest one that code is made for.
    """
    check_toolkit()
    if simulated():
        return
    cuda = cuda_library()
    if not cuda.is_available():
        raise _no_driver(str(cuda.cuda_error() or "the driver finds no CUDA device"))
    found = tuple(cuda.get_current_device().compute_capability)
    if found < OLDEST:
        raise _too_old(found)


def _no_driver(reason: str) -> NoDriverError:
    return NoDriverError(
        f"the cuda engine needs an NVIDIA driver and a device: {one_line(reason)} Install the "
        "driver of the device (https://www.nvidia.com/drivers), or use engine='fused' here; "
        "cb.cuda_report works without a device"
    )


def _too_old(found: tuple[int, ...]) -> CapabilityError:
    return CapabilityError(
        f"the device has compute capability {dotted(found)}; the cuda engine makes code for "
        f"{dotted(OLDEST)} and later: use engine='fused'"
    )


def dotted(capability: tuple[int, ...]) -> str:
    """A compute capability as NVIDIA writes it."""
    return ".".join(map(str, capability))


def one_line(text: str) -> str:
    """The words of a message on one line, ending in a full stop."""
    return " ".join(text.split()).rstrip(".") + "."


# --- errors of Numba and the driver --------------------------------------------------------------

# What the driver says, and what it means here: an allocation that failed leaves the context usable.
_MEMORY = ("OUT_OF_MEMORY", "[2]", "out of memory")
_LOST = (
    "ILLEGAL_ADDRESS", "LAUNCH_FAILED", "LAUNCH_TIMEOUT", "ILLEGAL_INSTRUCTION",
    "MISALIGNED_ADDRESS", "INVALID_PC", "HARDWARE_STACK_ERROR", "ASSERT", "ECC_UNCORRECTABLE",
    "CONTEXT_IS_DESTROYED", "INVALID_CONTEXT", "non-primary CUDA context", "[700]", "[719]",
)  # fmt: skip
_TOOLKIT = ("nvvm", "nvrtc", "nvJitLink", "libdevice", "cudart", "DynamicLibNotFound")
_CAPABILITY = ("compute capability", "NO_BINARY_FOR_GPU", "UNSUPPORTED_PTX_VERSION", "-arch=")
_DRIVER = ("driver", "NO_DEVICE", "[100]")


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Errors of Numba, the toolkit and the driver inside become this file's, naming `what`."""
    try:
        yield
    except (EngineError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise translation(what, error) from error


def translation(what: str, error: BaseException) -> EngineError:
    """The error to raise for one of Numba or the driver."""
    reason = one_line(f"{type(error).__name__}: {error}")
    for words, kind, advice in _MEANINGS:
        if any(word in reason for word in words):
            return kind(f"{what}: {reason[:400]} {advice}")
    return EngineError(
        f"{what}: {reason[:400]} Please report this; engine='fused' computes the same"
    )


_MEANINGS: tuple[tuple[tuple[str, ...], type[EngineError], str], ...] = (
    (
        _MEMORY,
        DeviceMemoryError,
        "The device stays usable: free arrays on it, use smaller inputs or float32, or run a batch "
        "in several parts",
    ),
    (
        _LOST,
        LostContextError,
        "The CUDA context of this process is lost, and every later call will fail: start a new "
        "process",
    ),
    (_CAPABILITY, CapabilityError, f"Code is made for compute capability {dotted(OLDEST)} and up"),
    (_TOOLKIT, NoToolkitError, f"The CUDA compiler is missing or incomplete: {INSTALL}"),
    (_DRIVER, NoDriverError, "An NVIDIA driver and a device are needed; or use engine='fused'"),
)
