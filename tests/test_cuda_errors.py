"""What is said when a CUDA device, its driver or its compiler is missing, lost or full."""

import os
from types import SimpleNamespace

import numpy as np
import pytest

import calcbench as cb
from calcbench.lower import cuda_errors, cuda_runtime
from calcbench.lower.compiler import EngineError
from calcbench.lower.cuda_errors import (
    CapabilityError,
    DeviceMemoryError,
    LostContextError,
    NoDriverError,
    NoToolkitError,
    check_device,
    check_toolkit,
    translated,
    translation,
)


pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_ENABLE_CUDASIM") == "1", reason="the simulator stands for a device"
)

SAID = {
    "[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY": (
        DeviceMemoryError,
        "run a batch in several parts",
    ),
    "[700] Call to cuCtxSynchronize results in UNKNOWN_CUDA_ERROR": (
        LostContextError,
        "start a new process",
    ),
    "CUDA_ERROR_ILLEGAL_ADDRESS": (LostContextError, "every later call will fail"),
    "nvvm error: -arch=compute_50 is not supported": (CapabilityError, "7.5 and up"),
    "libnvJitLink.so not found": (NoToolkitError, r"pip install 'calcbench\[cuda\]'"),
    "[100] Call to cuInit: NO_DEVICE": (NoDriverError, "engine='fused'"),
    "something nobody thought of": (EngineError, "Please report this"),
}


@pytest.mark.parametrize("words", SAID)
def test_errors_of_the_toolkit_are_told_in_words_that_help(words):
    kind, advice = SAID[words]
    error = translation("the kernel 'loop0' cannot be run", RuntimeError(words))
    assert type(error) is kind
    with pytest.raises(kind, match=advice):
        raise error
    assert "the kernel 'loop0' cannot be run: RuntimeError" in str(error)


def test_memory_errors_of_the_device_are_memory_errors():
    assert issubclass(DeviceMemoryError, MemoryError)


def test_our_own_errors_and_interrupts_pass_unchanged():
    for error in (NoDriverError("no driver"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, translated("this"):
            raise error
        assert caught.value is error


def with_library(monkeypatch, **parts):
    """A CUDA library that answers as told."""
    library = SimpleNamespace(**{"__file__": "numba_cuda/__init__.py", **parts})
    monkeypatch.setattr(cuda_errors, "cuda_library", lambda: library)
    monkeypatch.setattr(cuda_runtime, "cuda_library", lambda: library)


def test_without_numba_cuda_the_package_is_named(monkeypatch):
    with_library(monkeypatch, __file__="numba/cuda/__init__.py")
    with pytest.raises(NoToolkitError, match=r"needs the package numba-cuda.*calcbench\[cuda\]"):
        check_toolkit()


def test_without_a_driver_the_driver_is_named(monkeypatch):
    with_library(monkeypatch, is_available=lambda: False, cuda_error=lambda: None)
    with pytest.raises(NoDriverError, match=r"no CUDA device.*nvidia.com/drivers.*cuda_report"):
        check_device()


def device(capability=(9, 0), free=1000):
    """Parts of a library with a device."""
    information = SimpleNamespace(free=free)
    context = SimpleNamespace(get_memory_info=lambda: information)
    return {
        "is_available": lambda: True,
        "get_current_device": lambda: SimpleNamespace(compute_capability=capability),
        "current_context": lambda: context,
    }


def test_an_old_device_is_refused_with_both_numbers(monkeypatch):
    with_library(monkeypatch, **device((6, 1)))
    with pytest.raises(CapabilityError, match=r"capability 6\.1.*7\.5 and later"):
        check_device()


def test_too_little_memory_is_told_with_both_numbers_before_anything_is_allocated(monkeypatch):
    with_library(monkeypatch, **device(free=1000))
    found = cuda_runtime.Device()
    found.check_room(1000)
    with pytest.raises(
        DeviceMemoryError, match="needs 1001 bytes on the device, and 1000 are free"
    ):
        found.check_room(1001)


def test_a_batch_that_does_not_fit_is_refused_before_it_is_copied(monkeypatch):
    with_library(monkeypatch, **device(free=1000))
    with pytest.raises(MemoryError, match="needs 1600 bytes on the device, and 1000 are free"):
        cb.compile(np.sin, engine="cuda").batch(np.ones(100))
