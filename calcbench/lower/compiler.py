"""Generated Python text to functions compiled by Numba, each compiled once per machine.

A source text is written to a file whose name is a digest of everything the machine code depends
on, and imported from there; `calcbench.lower.cache` carries what Numba compiled to later processes.
Functions are compiled when they first meet their types.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numba
import numpy as np

from calcbench.graph.arraytype import CalcbenchError
from calcbench.lower import cache
from calcbench.lower.turns import turn


# No fastmath: the graph says what is computed. nogil: threads share out index ranges. What only
# compiled functions call needs no way in from Python, a third of the time of compiling it. Numba's
# rewrites are for expressions of whole arrays, `raise` and the like, which no text of ours has: the
# machine code is the same without them, a seventh sooner.
PREAMBLE = """\
import math

import numba
import numpy as np


options = {"error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True, "no_rewrites": True}
jit = numba.njit(**options, cache=True)
loop = numba.njit(**options, no_cpython_wrapper=True)
part = numba.njit(**options, no_cpython_wrapper=True, cache=True)
inline = numba.njit(**options, no_cpython_wrapper=True, cache=True, forceinline=True)


"""
MOST_FUNCTIONS = 256  # that one function calls
CAPACITY = 256  # modules held by this process; compiled code is not small
_PRODUCT = "np.dot("  # Numba checks SciPy's BLAS, which this calls, when it fills its registries
_IMPORT = re.compile(r"^from (generated_\w+) import (\w+)$", re.MULTILINE)
_FIXED_TIME = 946684800  # 2000-01-01: older releases of Numba compare the time of the file


class EngineError(CalcbenchError, RuntimeError):
    """Compiled code that cannot be made, or cannot be run in this process."""


# --- the process --------------------------------------------------------------------------------

_process = SimpleNamespace(used=False, forked=False)


def check_process() -> None:
    """Raise if this process was forked from one that had used compiled code.

    A child runs and compiles like its parent, unless another thread of the parent was compiling
    at the moment of the fork: then Numba's lock stays locked in the child, and its next compile
    hangs. As the child cannot tell, it is refused always. Costs the test of one flag.

    Raises
    ------
    EngineError
        In such a child.
    """
    if _process.forked:
        raise EngineError(
            "this process was forked from one that had used compiled code, and may hang on its "
            "locks; start processes with multiprocessing.get_context('spawn'), or use "
            "engine='numpy' here"
        )


def _mark_child() -> None:
    _process.forked = _process.used


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mark_child)


# --- loading ------------------------------------------------------------------------------------


class Module:
    """The functions of one source text, by name; `source` is the text, `key` its digest.

    `imports` are the modules that the text imports from, and those that they import from.
    """

    def __init__(self, source: str, imports: tuple[Module, ...] = ()) -> None:
        self.source = source
        self.imports = imports
        self.key = cache.digest(PREAMBLE, source)
        self.name = _name(self.key)
        self.lock = threading.Lock()
        self.folder = cache.workspace() / self.name
        self.kept: set[str] = set()
        self.restore()
        self.functions: dict[str, Function] = {}
        self.is_complete = not self._may_wait()
        if self.is_complete:
            self._load_imports()
        else:
            _stand_in(source)
        self.functions = {k: Function(k, v, self) for k, v in self._import().items()}

    def __getattr__(self, name: str) -> Function:
        try:
            return self.__dict__["functions"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(f"the generated module defines no function {name!r}") from None

    def restore(self) -> None:
        """Write what other processes compiled where Numba will look for it."""
        compiled = self.folder / "__pycache__"
        compiled.mkdir(parents=True, exist_ok=True)
        for name, data in cache.read(self.key).items():
            if name not in self.kept:
                (compiled / Path(name).name).write_bytes(data)
                self.kept.add(name)

    def keeps(self, name: str) -> bool:
        """Whether code of a function, for some types, need not be compiled."""
        return any(f".{name}-" in kept for kept in self.kept)

    def _import(self) -> dict[str, Any]:
        """The decorated functions: defined, not yet compiled."""
        path = self.folder / f"{self.name}.py"
        path.write_text(PREAMBLE + self.source, encoding="utf-8")
        os.utime(path, (_FIXED_TIME, _FIXED_TIME))
        with cache.beside_files():
            names = vars(_imported(self.name, path))
            own = [v for v in names.values() if getattr(v, "__module__", None) == self.name]
            if _PRODUCT not in self.source:
                cache.read_quickly(own, partial(self._complete, names))
        return {k: v for k, v in names.items() if _is_entry(v, self.name)}

    def _may_wait(self) -> bool:
        """Whether what is imported is loaded only if something has to be compiled."""
        is_compiled = bool(self.kept) and not getattr(numba.config, "DISABLE_JIT", False)
        return is_compiled and _PRODUCT not in self.source

    def _load_imports(self) -> None:
        """Load the modules that were announced, and take those that they import from."""
        names = dict.fromkeys(name for name, _ in _IMPORT.findall(self.source))
        loaded = [load(_announced[name]) for name in names if name in _announced]
        every = [*self.imports, *(m for module in loaded for m in (*module.imports, module))]
        self.imports = tuple(dict.fromkeys(every))

    def _complete(self, names: dict[str, Any]) -> None:
        """Import what was left out, before something is compiled."""
        if not self.is_complete:
            self._load_imports()
            for module, name in _IMPORT.findall(self.source):
                names[name] = vars(sys.modules[module])[name]
            self.is_complete = True

    def publish(self) -> None:
        """Keep what was compiled since the last time, for later processes."""
        for module in (*self.imports, self):
            module.publish_own()

    def publish_own(self) -> None:
        """The same, without what is imported."""
        paths = sorted((self.folder / "__pycache__").glob("*.nb[ic]"))
        if {path.name for path in paths} != self.kept:
            with suppress(OSError):  # removed meanwhile, by whatever cleans temporary files
                cache.write(self.key, {path.name: path.read_bytes() for path in paths})
            self.kept = {path.name for path in paths}

    def discard(self) -> None:
        """Forget what was compiled, here and on disk."""
        for module in (*self.imports, self):
            cache.forget(module.key)
            for name in module.kept:
                (module.folder / "__pycache__" / name).unlink(missing_ok=True)
            module.kept = set()


class Function:
    """One generated function; `run` is what Numba made of it, with no layer in between."""

    __slots__ = ("dispatcher", "module", "name", "run")

    def __init__(self, name: str, dispatcher: Any, module: Module) -> None:
        self.name, self.dispatcher, self.module = name, dispatcher, module
        self.run: Callable[..., Any] = self._first

    def __call__(self, *arguments: Any) -> Any:
        try:
            return self.run(*arguments)
        except numba.errors.NumbaError as error:  # types it had not met before
            raise _failure(self, error) from error

    def _first(self, *arguments: Any) -> Any:
        return self.prepared(*arguments)(*arguments)

    def prepared(self, *arguments: Any) -> Callable[..., Any]:
        """The bare compiled function, ready for arguments of these types.

        Raises
        ------
        EngineError
            If it cannot be compiled for them.
        """
        try:
            types = tuple(map(numba.typeof, arguments))
        except Exception as error:
            raise _failure(self, error) from error
        return compile_for(self, types)


_modules: OrderedDict[str, Module] = OrderedDict()
_announced: dict[str, str] = {}  # texts by the names of their modules
_lock = threading.RLock()


def announce(source: str) -> str:
    """The name of a text's module, for others to import from; it is loaded if they need it."""
    name = _name(cache.digest(PREAMBLE, source))
    _announced[name] = source
    return name


def _name(key: str) -> str:
    return f"generated_{key[:32]}"


def load(source: str, imports: tuple[Module, ...] = ()) -> Module:
    """The functions of a source text, ready to be compiled when they first meet their types.

    Its functions carry ``@jit``, or, if only compiled ones call them, ``@loop``, ``@part`` (kept on
    disk) or ``@inline`` (a part of those that call them), and may use ``math``, ``np`` and
    ``numba``. The text imports from modules in `imports`, or that were announced, only: their names
    say what they hold. The same text gives the same object, in every thread, as long as it is among
    the last 256 used.

    Raises
    ------
    EngineError
        If the text is no Python, or no directory can be written.

    Examples
    --------
    >>> module = load("@jit\\ndef double(x):\\n    return 2 * x\\n")
    >>> module.double(21.0)
    42.0
    >>> compile_for(module.double, "(int64,)")(21)
    42
    """
    check_process()
    _process.used = True
    with _lock:
        if source not in _modules:
            _modules[source] = _module(source, imports)
            if len(_modules) > CAPACITY:
                sys.modules.pop(_modules.popitem(last=False)[1].name, None)
        _modules.move_to_end(source)
        return _modules[source]


def is_kept(source: str) -> bool:
    """Whether a source text is loaded, or its code is on disk: none has to be compiled."""
    return source in _modules or cache.holds(cache.digest(PREAMBLE, source))


def _module(source: str, imports: tuple[Module, ...]) -> Module:
    try:
        return Module(source, imports)
    except OSError as error:
        raise EngineError(
            f"compiled code needs a directory for temporary files, and got: {error}; set TMPDIR to "
            "one with room, or use engine='numpy'"
        ) from error
    except Exception as error:
        raise EngineError(
            f"the generated text {_first_line(source)!r} is not valid: {error}; please report "
            "this; engine='numpy' computes the same"
        ) from error


def _imported(name: str, path: Path) -> ModuleType:
    spec: Any = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _is_entry(value: Any, name: str) -> bool:
    """Whether a value of a module is a function of its own that Python can call."""
    options = getattr(value, "targetoptions", {})
    is_own = callable(value) and getattr(value, "__module__", None) == name
    return is_own and not options.get("no_cpython_wrapper")


class StandIn(ModuleType):
    """A module that is not loaded yet: what is imported from it is None, until it is needed.

    Numba wants to find the modules of all functions in the code that it reads from disk.
    """

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def _stand_in(source: str) -> None:
    """Let all that a text imports from be there."""
    for module, _ in _IMPORT.findall(source):
        if module not in sys.modules:
            sys.modules[module] = StandIn(module)
            _stand_in(_announced[module])


# --- compiling ----------------------------------------------------------------------------------


def compile_for(function: Function, signature: Any) -> Callable[..., Any]:
    """Compile now, and return the bare compiled function.

    Parameters
    ----------
    function : Function
        A function of a loaded module.
    signature : str or tuple of Numba types
        The types of the arguments, as in ``"(float64[::1], int64)"``.

    Raises
    ------
    EngineError
        If Numba cannot compile it; the reason is the ``__cause__``.
    """
    check_process()
    with function.module.lock:
        if hasattr(function.dispatcher, "compile"):  # else NUMBA_DISABLE_JIT is set
            _compile_in_turn(function, signature)
        function.run = function.dispatcher
    return function.run


class Argument(NamedTuple):
    """The type of an argument: a number, or with axes a C-contiguous array, perhaps written to."""

    dtype: np.dtype
    ndim: int
    is_written: bool = False

    @property
    def numba_type(self) -> Any:
        """The type in Numba's terms; arrays that are only read may be read-only."""
        entry = numba.from_dtype(self.dtype)
        if not self.ndim:
            return entry
        return numba.types.Array(entry, self.ndim, "C", readonly=not self.is_written)


def compile_only(function: Function, arguments: Sequence[Argument]) -> Callable[..., Any]:
    """Compile now for these types, and never again for others that convert to them.

    One machine code thus serves arrays that may be written to and arrays that may not. Arguments
    that do not convert, arrays that are not contiguous or not aligned, are a TypeError.

    Raises
    ------
    EngineError
        If Numba cannot compile it; the reason is the ``__cause__``.
    """
    check_process()
    dispatcher, signature = function.dispatcher, tuple(a.numba_type for a in arguments)
    with function.module.lock:
        if hasattr(dispatcher, "compile"):  # else NUMBA_DISABLE_JIT is set
            if signature not in dispatcher.overloads:
                dispatcher.disable_compile(False)
                _compile_in_turn(function, signature)
            dispatcher.disable_compile()
    return dispatcher  # type: ignore[no-any-return]


def _compile_in_turn(function: Function, signature: Any) -> None:
    """Compile, or wait for a process that does, and read what it made."""
    module = function.module
    with nullcontext() if module.keeps(function.name) else turn(module.key):
        if not module.keeps(function.name):
            module.restore()
        _compile(function, signature)
        module.publish()


def _compile(function: Function, signature: Any) -> None:
    try:
        _compile_without_room(function, signature)
    except MemoryError:
        raise
    except Exception as error:
        if not any(module.kept for module in (*function.module.imports, function.module)):
            raise _failure(function, error) from error
        function.module.discard()  # what was kept may be to blame: once more without it
        _compile(function, signature)


def _compile_without_room(function: Function, signature: Any) -> None:
    """Compile, even if Numba cannot write: it gives up at each function, and keeps that one."""
    for _ in range(MOST_FUNCTIONS):
        with suppress(OSError):
            function.dispatcher.compile(signature)
            return
    function.dispatcher.compile(signature)


def _failure(function: Function, error: Exception) -> EngineError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = " ".join(lines[:2]) or type(error).__name__  # the first names the step of Numba
    return EngineError(
        f"the generated function {_first_line(function.module.source, function.name)!r} could not "
        f"be compiled: {reason}; please report this; engine='numpy' computes the same"
    )


def _first_line(text: str, name: str = "") -> str:
    """The line that defines `name`, or the first that is not blank."""
    found = re.search(rf"^def {name}\b.*" if name else r"^.*\S.*", text, re.MULTILINE)
    return found[0].strip() if found else name
