"""The words of CUDA text: its header, its target, and how many threads work together."""

from __future__ import annotations

import re
from dataclasses import dataclass

from calcbench.lower.targets import Target


# Positions are unsigned: a signed one would be tested for counting from the end.
_DEVICE = """\
import math

import numpy as np
from numba import cuda
from numba.cuda import libdevice


jit = cuda.jit(device=True, inline="always")
at = np.uint64


@jit
def floor_of(x):
    return libdevice.floor(x)


@jit
def ceil_of(x):
    return libdevice.ceil(x)


@jit
def trunc_of(x):
    return libdevice.trunc(x)


@jit
def rint_of(x):
    return libdevice.rint(x)


@jit
def cbrt_of(x):
    return libdevice.cbrt(x)


"""
# The simulator runs kernels as Python, whose math raises where C's answers inf or NaN.
_SIMULATED = """\
import numpy as np
from numba import cuda

from calcbench.lower.cuda_simulation import math


jit = cuda.jit(device=True)
at = np.uint64
floor_of, ceil_of, trunc_of, rint_of, cbrt_of = np.floor, np.ceil, np.trunc, np.rint, np.cbrt


"""
_UFUNC = re.compile(r"\bnp\.(floor|ceil|trunc|rint|cbrt)\(")
_READ = re.compile(r"read\((\w+), (.*)\)")

CUDA = Target(
    "cuda",
    _DEVICE,
    decorator="@cuda.jit",
    read="{array}[at({at})]",
    write="{array}[at({at})] = {value}",
)


@dataclass(frozen=True)
class Widths:
    """How many threads work together; results do not depend on it.

    Attributes
    ----------
    threads : int
        Threads of a block; a multiple of 8.
    side : int
        A block of a matrix product has side * side threads, each with 4 * 4 entries.
    blocks : int
        The most blocks of a launch.
    """

    threads: int = 256
    side: int = 16
    blocks: int = 2048


WIDE = Widths()
SIMULATION = Widths(threads=16, side=2, blocks=2)


def header(simulated: bool) -> str:
    """The lines before the first function."""
    return _SIMULATED if simulated else _DEVICE


def device_text(text: str) -> str:
    """A statement's text in CUDA's words."""
    loaded = _READ.fullmatch(text)
    if loaded:
        return CUDA.read.format(array=loaded[1], at=loaded[2])
    return _UFUNC.sub(r"\1_of(", text)
