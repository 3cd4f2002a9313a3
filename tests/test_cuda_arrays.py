"""Arrays that other libraries hold on a device, as far as that can be known without one."""

import numpy as np
import pytest
from test_cuda_static import needs_compiler

from calcbench.lower.cuda_arrays import _Shown, is_on_device, stand_in


class Theirs:
    """An array of another library that speaks DLPack, and says that it lies on a device."""

    def __init__(self, array, device=2):
        self.array, self.device = array, device

    def __dlpack_device__(self):
        return self.device, 0

    def __dlpack__(self, **_):
        return self.array.__dlpack__()


class Interface:
    """An array of another library that speaks the CUDA array interface."""

    def __init__(self):
        self.__cuda_array_interface__ = {"shape": (2,), "typestr": "<f8", "data": (0, False)}


WHERE = {
    "CUDA": (Theirs(np.ones(2)), True),
    "managed memory": (Theirs(np.ones(2), 13), True),
    "another device": (Theirs(np.ones(2), 10), False),
    "host memory": (Theirs(np.ones(2), 1), False),
    "interface": (Interface(), True),
    "NumPy": (np.ones(2), False),
    "number": (2.0, False),
    "list": ([1.0], False),
}


@pytest.mark.parametrize("name", WHERE)
def test_where_an_array_lies(name):
    value, expected = WHERE[name]
    assert is_on_device(value) is expected


@needs_compiler
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.bool_])
@pytest.mark.parametrize("turned", [False, True])
def test_dlpack_in_the_words_of_the_cuda_array_interface(dtype, turned):
    array = np.ones((2, 3), dtype)
    array = array.T if turned else array
    told = _Shown(Theirs(array)).__cuda_array_interface__
    assert told["shape"] == array.shape
    assert told["typestr"] == array.dtype.str
    assert told["data"][0] == array.ctypes.data
    assert told["strides"] in (None, array.strides)


@needs_compiler
def test_what_dlpack_shows_keeps_the_array_alive():
    theirs = Theirs(np.ones(3))
    assert _Shown(theirs).value is theirs


def test_stand_ins_have_the_type_and_hold_nothing():
    found = stand_in(np.ones((2, 3), np.float32))
    assert (found.shape, found.dtype) == ((2, 3), np.float32)
