"""Arrays that callers already hold on the device, as flat views for kernels; nothing is copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.graph.arraytype import ArrayType, DTypeError, ShapeError
from calcbench.lower.cuda_errors import cuda_library, simulated, translated


_DLPACK_CUDA = (2, 13)  # kDLCUDA, kDLCUDAManaged


def is_on_device(value: Any) -> bool:
    """Whether the value is an array in the memory of a CUDA device."""
    if isinstance(value, (np.ndarray, np.generic, float, int)):
        return False
    if hasattr(value, "__cuda_array_interface__") or getattr(value, "__cuda_ndarray__", False):
        return True
    device = getattr(value, "__dlpack_device__", None)
    return device is not None and int(device()[0]) in _DLPACK_CUDA


def flat_view(value: Any, kind: ArrayType, name: str) -> Any:
    """The entries of an array on the device in row-major order, without a copy.

    Raises
    ------
    ShapeError, DTypeError
        If it has another type than the input, or its entries do not lie side by side.
    """
    array = device_array(value)
    if tuple(array.shape) != kind.shape:
        raise ShapeError(f"input {name} has type {kind}, got an array of shape {array.shape}")
    if np.dtype(array.dtype) != kind.dtype:
        raise DTypeError(f"input {name} has type {kind}, got an array of {array.dtype}")
    if not array.is_c_contiguous():
        raise ShapeError(
            f"input {name} on the device has strides {array.strides}; kernels read contiguous "
            "arrays: pass x.contiguous() or ascontiguousarray(x)"
        )
    return array.reshape(max(kind.size, 1)) if kind.size else array


def device_array(value: Any) -> Any:
    """An array of the device as Numba's: its entries stay where they are.

    Raises
    ------
    EngineError
        If the array does not say where its entries lie.
    """
    with translated(f"an array of type {type(value).__name__} cannot be read on the device"):
        return value if simulated() else _as_numba(value)


def stand_in(array: Any) -> np.ndarray:
    """A host array of the same type that is never read: its memory is never touched."""
    return np.empty(array.shape, array.dtype)


def on_host(array: Any) -> np.ndarray:
    """A host array, copied from the device if it lies there."""
    return np.asarray(array.copy_to_host() if is_on_device(array) else array)


def to_device(array: np.ndarray) -> Any:
    """A copy on the device."""
    with translated("an array cannot be copied to the device"):
        return cuda_library().to_device(np.ascontiguousarray(array).reshape(np.shape(array)))


def _as_numba(value: Any) -> Any:
    cuda = cuda_library()
    if getattr(value, "__cuda_ndarray__", False):
        return value
    if not hasattr(value, "__cuda_array_interface__"):
        value = _Shown(value)
    return cuda.as_cuda_array(value)


class _Shown:
    """What DLPack says of an array, in the words of the CUDA array interface; keeps it alive."""

    def __init__(self, value: Any) -> None:
        from cuda.core.utils import StridedMemoryView

        self.view = StridedMemoryView.from_dlpack(value, stream_ptr=-1)
        self.value = value

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        view = self.view
        dtype = np.dtype(view.dtype)
        return {
            "shape": tuple(view.shape),
            "typestr": dtype.str,
            "data": (view.ptr, bool(view.readonly)),
            "strides": _byte_strides(view.strides, dtype),
            "version": 3,
        }


def _byte_strides(strides: Sequence[int] | None, dtype: np.dtype) -> tuple[int, ...] | None:
    """DLPack counts entries, the CUDA array interface bytes."""
    return None if strides is None else tuple(n * dtype.itemsize for n in strides)
