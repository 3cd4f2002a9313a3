"""Generated CUDA text to kernels: launched on a device, or compiled for one that is not there."""

from __future__ import annotations

import hashlib
import runpy
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache as kept, lru_cache
from pathlib import Path
from typing import Any

from calcbench.lower import cache
from calcbench.lower.compiler import EngineError
from calcbench.lower.cuda_errors import OLDEST, cuda_library, simulated, translated
from calcbench.lower.cuda_words import header
from calcbench.lower.texts import library


@dataclass(frozen=True)
class Parameter:
    """One array (or number) of a kernel: its name in the text, and what it holds."""

    name: str
    dtype: str
    is_array: bool = True


@dataclass(frozen=True)
class Kernel:
    """One kernel: its text, its parameters, and how many threads it can use.

    Attributes
    ----------
    name, text : str
        The function, decorated.
    parameters : tuple of Parameter
    total : int
        Threads that have something to do.
    block : int or tuple of int
        Threads of a block.
    read, written : int
        Bytes of the arrays that it reads and writes, each counted once.
    """

    name: str
    text: str
    parameters: tuple[Parameter, ...]
    total: int
    block: int | tuple[int, int]
    read: int = 0
    written: int = 0

    def blocks(self, most: int) -> int:
        """The blocks of a launch."""
        width = self.block if isinstance(self.block, int) else self.block[0] * self.block[1]
        return max(1, min(most, -(-self.total // width)))


def module_text(kernels: Sequence[Kernel], simulated: bool = False, shared: str = "") -> str:
    """The whole module of some kernels; equal texts give equal functions, so each stands once."""
    body = "\n\n".join(dict.fromkeys([*filter(None, [shared]), *[k.text for k in kernels]]))
    functions = library(body, "@jit")
    return header(simulated) + (functions + "\n\n\n" if functions else "") + body


def load_kernels(source: str) -> dict[str, Any]:
    """The functions of a module's text, by name.

    Raises
    ------
    EngineError
        If the text is no Python, or no directory can be written.
    """
    with _lock, translated("the generated CUDA text cannot be loaded"):
        return _loaded(source)


_lock = threading.Lock()


@kept
def _folder() -> Path:
    return cache.workspace()


@kept
def _loaded(source: str) -> dict[str, Any]:
    """Written to a file first, so that an error can show its line."""
    path = _folder() / f"cuda_{hashlib.sha256(source.encode()).hexdigest()[:24]}.py"
    path.write_text(source, encoding="utf-8")
    return runpy.run_path(str(path))


def signature(kernel: Kernel) -> Any:
    """The types with which a kernel is called: contiguous arrays, and numbers."""
    types = cuda_library().types
    kinds = [(getattr(types, _TYPES[p.dtype]), p.is_array) for p in kernel.parameters]
    return types.void(*[kind[::1] if is_array else kind for kind, is_array in kinds])


_TYPES = {
    **{name: name for name in ("float64", "float32", "int64", "uint32", "uint8")},
    "bool": "boolean",
}


def ptx_text(function: Any, kernel: Kernel, capability: tuple[int, int]) -> str:
    """The kernel as PTX for a compute capability; needs no driver.

    Raises
    ------
    EngineError
        If it cannot be compiled, or what compiles is not installed.
    """
    if simulated():
        raise EngineError("the simulator compiles nothing: unset NUMBA_ENABLE_CUDASIM")
    with translated(f"the CUDA kernel {kernel.name!r} cannot be compiled for {capability}"):
        plain = getattr(function, "py_func", function)
        (text,) = _compiled(plain, kernel).get_asm_strs(cc=capability)
        return str(text)


@lru_cache(maxsize=64)
def _compiled(function: Any, kernel: Kernel) -> Any:
    """The kernel as LLVM's code, from which NVVM makes that of each capability.

    Numba's part of the work is the same for all of them, and takes twenty times as long as NVVM's;
    ``compile_ptx`` does both, and keeps nothing.
    """
    compile_kernel = cuda_library().compiler._compile_pyfunc_with_fixup
    library, _ = compile_kernel(function, signature(kernel), device=False, abi="numba", cc=OLDEST)
    return library
