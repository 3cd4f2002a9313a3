"""What a function reads from outside itself, and whether that has changed since it was traced."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np


_MISSING = object()
_PLAIN = (
    bool, int, float, complex, str, bytes, type(None), np.generic, type, ModuleType,
    BuiltinFunctionType,
)  # fmt: skip
# What packages like these define does not change while a program runs.
_STABLE = sys.stdlib_module_names | {"calcbench", "numpy", "scipy", "sympy", "numba"}
_DEPTH = 4  # functions called by functions called by ... the traced one
_WIDTHS = (256, 32)  # entries of a container that are compared: outside, and one level inside


class Watch(NamedTuple):
    """One thing read from outside: how to read it, what it was, and what it held."""

    read: Callable[[], Any]
    seen: Any
    content: Any


class Held(NamedTuple):
    """What a container or an object held: its entries, and what those held."""

    items: list[Any]
    inside: list[Any]


class Environment:
    """The outside of a function at one moment.

    Closure cells, defaults, globals named by the code, bound objects, and the attributes of
    modules and classes that the code names are compared by identity; arrays entry by entry; lists,
    dicts and attributes two levels deep; random generators by their state. The same holds for the
    functions it calls. What lies deeper cannot be seen.
    """

    def __init__(self, function: Any) -> None:
        watches = list(_watches(function, _DEPTH, set()))
        # Plain pairs apart: they are looked at before each call, and unpack twice as fast.
        self._identities = [(watch.read, watch.seen) for watch in watches]
        self._contents = [(w.seen, w.content) for w in watches if w.content is not None]

    def is_unchanged(self) -> bool:
        """Whether everything watched is what it was."""
        for read, seen in self._identities:
            if read() is not seen:
                return False
        return not self._contents or all(_still_holds(*held) for held in self._contents)


# --- what a function refers to -----------------------------------------------------------------


def _watches(function: Any, depth: int, visited: set[int]) -> Iterator[Watch]:
    if id(function) in visited or depth == 0:
        return
    visited.add(id(function))
    names = set(_names(_code(function)))
    for read in _reads(function):
        seen = read()
        yield Watch(read, seen, _content(seen))
        yield from _below(seen, names, depth, visited)


def _below(seen: Any, names: set[str], depth: int, visited: set[int]) -> Iterator[Watch]:
    """The attributes of `seen` that the code names, and what is called."""
    for read in _attribute_reads(seen, names):
        found = read()
        yield Watch(read, found, _content(found))
        if depth > 1 and isinstance(found, ModuleType) and found is not seen:
            yield from _below(found, names, depth - 1, visited)
        yield from _called(found, depth, visited)
    for part in (seen, *(_items(seen, 0) or ())):
        yield from _called(part, depth, visited)


def _called(seen: Any, depth: int, visited: set[int]) -> Iterator[Watch]:
    if isinstance(seen, staticmethod | classmethod | property):
        seen = seen.fget if isinstance(seen, property) else seen.__func__
    if callable(seen) and not isinstance(seen, _PLAIN):
        yield from _watches(seen, depth - 1, visited)


def _code(function: Any) -> CodeType | None:
    """The code that runs when a callable is called, where it is Python's."""
    while isinstance(function, partial | MethodType):
        function = function.func if isinstance(function, partial) else function.__func__
    if not isinstance(function, FunctionType):
        function = type(function).__call__ if callable(function) else None
    return getattr(function, "__code__", None)


def _names(code: CodeType | None) -> Iterator[str]:
    """The names a code object and the functions defined inside it may look up."""
    if code is not None:
        yield from code.co_names
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from _names(constant)


def _reads(function: Any) -> Iterator[Callable[[], Any]]:
    """How to read each thing a callable refers to."""
    if isinstance(function, partial):
        yield from (partial(getattr, function, name) for name in ("func", "args", "keywords"))
    elif isinstance(function, MethodType):
        yield from (partial(getattr, function, name) for name in ("__self__", "__func__"))
    elif isinstance(function, FunctionType) and not _is_stable(function):
        yield from _function_reads(function)
    elif hasattr(function, "__wrapped__"):  # calcbench's own derivatives, lru_cache and the like
        yield partial(getattr, function, "__wrapped__")
    elif not isinstance(function, (*_PLAIN, FunctionType)):
        method = vars(type(function)).get("__call__")
        yield lambda: function
        if isinstance(method, FunctionType):
            yield lambda: method


def _function_reads(function: FunctionType) -> Iterator[Callable[[], Any]]:
    for cell in function.__closure__ or ():
        yield partial(_read_cell, cell)
    yield partial(getattr, function, "__code__")
    yield partial(getattr, function, "__defaults__")
    yield partial(getattr, function, "__kwdefaults__")
    for name in dict.fromkeys(_names(function.__code__)):
        if name in function.__globals__:
            yield partial(function.__globals__.get, name, _MISSING)


def _read_cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # the cell is empty
        return _MISSING


def _attribute_reads(owner: Any, names: set[str]) -> Iterator[Callable[[], Any]]:
    """How to read the attributes of a module, a class or an object's class that the code names."""
    if isinstance(owner, ModuleType):
        if owner is np and "random" in names:
            yield lambda: np.random
        tables: Iterable[Any] = () if _is_stable(owner) else (vars(owner),)
    else:
        kind = owner if isinstance(owner, type) else type(owner)
        classes = (vars(k) for k in kind.__mro__ if not _is_stable(k))
        tables = (*classes, getattr(owner, "__dict__", {}))
    for table in tables:
        yield from (partial(table.get, name, _MISSING) for name in sorted(names & table.keys()))


def _is_stable(thing: Any) -> bool:
    """Whether a module, class or function belongs to a package that does not change."""
    home = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__
    if isinstance(thing, FunctionType):  # whose __module__ functools.wraps changes
        home = thing.__globals__.get("__name__")
    return (home or "").partition(".")[0] in _STABLE


# --- what a thing holds ------------------------------------------------------------------------


def _content(value: Any, level: int = 0) -> Any:
    """What a mutable thing holds, kept for comparison; None for what cannot change."""
    if isinstance(value, np.ndarray):
        return value.copy()
    state = _random_state(value)
    if state is not None:
        return state
    items = _items(value, level)
    if items is None:
        return None
    inside = [_content(v, level + 1) for v in items]
    if type(value) is tuple and not any(held is not None for held in inside):
        return None  # the same tuple holds the same things
    return Held(items, inside)


def _still_holds(value: Any, content: Any, level: int = 0) -> bool:
    if isinstance(content, np.ndarray):
        return _same_bits(value, content)
    if not isinstance(content, Held):
        return bool(_random_state(value) == content)
    now = _items(value, level)
    return (
        now is not None
        and len(now) == len(content.items)
        and all(map(_is_same, now, content.items))
        and all(
            inner is None or _still_holds(v, inner, level + 1)
            for v, inner in zip(now, content.inside, strict=True)
        )
    )


def _items(value: Any, level: int) -> list[Any] | None:
    """The entries of a container, or the attributes of an object, and how many there are."""
    if level >= len(_WIDTHS) or isinstance(value, (*_PLAIN, FunctionType, MethodType, partial)):
        return None
    if isinstance(value, dict):
        return _listed((part for pair in value.items() for part in pair), 2 * len(value), level)
    if isinstance(value, list | tuple | set | frozenset):
        return _listed(value, len(value), level)
    slots = {n: getattr(value, n, _MISSING) for n in getattr(type(value), "__slots__", ())}
    attributes = {**slots, **getattr(value, "__dict__", {})}
    return _items(attributes, level) if attributes else None


def _listed(entries: Iterable[Any], count: int, level: int) -> list[Any]:
    return [count, *(e for e, _ in zip(entries, range(_WIDTHS[level]), strict=False))]


def _is_same(now: Any, before: Any) -> bool:
    return now is before or (
        isinstance(before, _PLAIN) and type(now) is type(before) and repr(now) == repr(before)
    )


def _same_bits(now: Any, before: np.ndarray) -> bool:
    if now.shape != before.shape or now.dtype != before.dtype:
        return False
    if now.dtype.kind in "fiub" and now.dtype.itemsize in (1, 2, 4, 8):
        bits = f"u{now.dtype.itemsize}"
        return bool(np.array_equal(now.view(bits), before.view(bits)))
    return bool(now.tobytes() == before.tobytes())


def _random_state(value: Any) -> Any:
    """The state of a random generator, or of the module whose functions share one."""
    if isinstance(value, BuiltinFunctionType):
        value = value.__self__
    if value is random or isinstance(value, random.Random):
        return value.getstate()
    if not type(value).__module__.startswith("numpy.random") and value is not np.random:
        return None
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if value is np.random or isinstance(value, np.random.RandomState):
        state: Any = value.get_state()
        return state[1].tobytes(), state[2:]
    return None
