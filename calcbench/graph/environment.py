"""What a function reads from outside itself, and whether that has changed since it was traced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np


_MISSING = object()
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type, ModuleType, BuiltinFunctionType)
_OWN = "calcbench."
_DEPTH = 4  # functions called by functions called by ... the traced one
_WIDTH = 256  # entries of a container that are compared


class Watch(NamedTuple):
    """One thing read from outside: how to read it, what it was, and what it held."""

    read: Callable[[], Any]
    seen: Any
    content: Any


class Environment:
    """The outside of a function at one moment.

    Closure cells, defaults, globals named by the code and bound objects are compared by identity;
    lists, dicts and attributes one level deep as well; arrays entry by entry if `arrays` is set.
    What lies deeper cannot be seen.
    """

    def __init__(self, function: Any, arrays: bool = False) -> None:
        self.watches = list(_watches(function, arrays, _DEPTH, set()))

    def is_unchanged(self) -> bool:
        """Whether everything watched is what it was."""
        for read, seen, content in self.watches:
            now = read()
            if now is not seen or (content is not None and not _same(_content(now), content)):
                return False
        return True


def _watches(function: Any, arrays: bool, depth: int, visited: set[int]) -> Iterator[Watch]:
    if id(function) in visited or depth == 0:
        return
    visited.add(id(function))
    for read in _reads(function):
        seen = read()
        holds = isinstance(seen, np.ndarray)
        yield Watch(read, seen, _content(seen) if not holds or arrays else None)
        if callable(seen) and not isinstance(seen, _PLAIN):
            yield from _watches(seen, arrays, depth - 1, visited)


def _reads(function: Any) -> Iterator[Callable[[], Any]]:
    """How to read each thing a callable refers to."""
    if isinstance(function, partial):
        yield from (partial(getattr, function, name) for name in ("func", "args", "keywords"))
    elif isinstance(function, MethodType):
        yield from (partial(getattr, function, name) for name in ("__self__", "__func__"))
    elif isinstance(function, FunctionType):
        if not (function.__module__ or "").startswith((_OWN, "numpy.")):
            yield from _function_reads(function)
    elif not isinstance(function, _PLAIN):
        method = vars(type(function)).get("__call__")
        yield lambda: function
        if isinstance(method, FunctionType):
            yield lambda: method


def _function_reads(function: FunctionType) -> Iterator[Callable[[], Any]]:
    for cell in function.__closure__ or ():
        yield partial(_read_cell, cell)
    yield partial(getattr, function, "__defaults__")
    yield partial(getattr, function, "__kwdefaults__")
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield partial(function.__globals__.get, name, _MISSING)


def _names(code: CodeType) -> Iterator[str]:
    """The names a code object and the functions defined inside it may look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _read_cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # the cell is empty
        return _MISSING


def _content(value: Any) -> Any:
    """One level of what a mutable thing holds; None for what cannot change."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, list | tuple | set):
        return [_leaf(v) for v in list(value)[:_WIDTH]]
    if isinstance(value, dict):
        return [(k, _leaf(v)) for k, v in list(value.items())[:_WIDTH]]
    if isinstance(value, (*_PLAIN, FunctionType, MethodType, partial)):
        return None
    attributes = getattr(value, "__dict__", None)
    return [(k, _leaf(v)) for k, v in attributes.items()] if attributes else None


def _leaf(value: Any) -> Any:
    """Arrays inside a container are compared by their entries: they may be written in place."""
    return value.copy() if isinstance(value, np.ndarray) and value.size <= _WIDTH else value


def _same(now: Any, before: Any) -> bool:
    if isinstance(before, np.ndarray):
        return isinstance(now, np.ndarray) and now.tobytes() == before.tobytes()
    if isinstance(before, list | tuple) and type(now) is type(before):
        return len(now) == len(before) and all(map(_same, now, before))
    return now is before or (isinstance(before, _PLAIN) and _equal(now, before))


def _equal(now: Any, before: Any) -> bool:
    return type(now) is type(before) and repr(now) == repr(before)
