"""What traced values answer when NumPy or Python asks: functions, indexing, numbers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import numpy as np

from calcbench.graph.aliasing import store, update, view
from calcbench.graph.arraytype import TraceError
from calcbench.graph.elementwise import trunc
from calcbench.graph.indexing import get, put
from calcbench.graph.lifting import Value, binary, used
from calcbench.graph.numpy_table import ARRAY_FUNCTIONS, METHODS, UFUNCS, find_ufunc
from calcbench.graph.primitive import Primitive
from calcbench.graph.structural import reshape


# Functions and methods whose NumPy result shares memory with their first argument.
VIEWS = frozenset(
    (
        np.reshape, np.ravel, np.transpose, np.swapaxes, np.moveaxis, np.expand_dims, np.squeeze,
        np.broadcast_to, np.flip, np.flipud, np.fliplr, np.rot90, np.diagonal, np.split,
        np.array_split, np.hsplit, np.vsplit, np.dsplit, np.atleast_1d, np.atleast_2d,
        np.atleast_3d, np.rollaxis, np.matrix_transpose, np.real,
    )
)  # fmt: skip
VIEW_METHODS = (
    "reshape", "ravel", "transpose", "swapaxes", "squeeze", "diagonal", "T", "mT", "real",
)  # fmt: skip
REDUCTIONS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: ARRAY_FUNCTIONS[np.sum],
    np.multiply: ARRAY_FUNCTIONS[np.prod],
    np.maximum: ARRAY_FUNCTIONS[np.max],
    np.minimum: ARRAY_FUNCTIONS[np.min],
    np.logical_and: ARRAY_FUNCTIONS[np.all],
    np.logical_or: ARRAY_FUNCTIONS[np.any],
}


def concrete_of(value: Value) -> Any:
    """The number or array a traced value stands for."""
    if value.builder.recording is None:
        raise TraceError(
            f"a value of type {value.type} is not bound, so it has no truth value or number; "
            "use calcbench.where for a choice, or bind it with graph.bind(...)"
        )
    return value.builder.recording.concrete(value.id)


# --- NumPy asks ------------------------------------------------------------------------------


def apply_ufunc(self: Value, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
    """NEP 13: ``np.sin(x)`` and ``array * x`` become nodes."""
    if method == "reduce" and ufunc in REDUCTIONS:
        options.setdefault("axis", 0)
        return REDUCTIONS[ufunc](*inputs, **options)
    if method != "__call__":
        raise TraceError(f"np.{ufunc.__name__}.{method} of a traced array is not supported")
    meaning = find_ufunc(ufunc)
    if meaning is None:
        raise _unsupported(f"np.{ufunc.__name__}", [u.__name__ for u in UFUNCS])
    if options:
        raise _refused_options(f"np.{ufunc.__name__}", options)
    if isinstance(meaning, Primitive):
        if len(inputs) == 2:
            return binary(meaning, *inputs)
        if inputs[0].type.is_float:
            return meaning(used(inputs[0]))
    return _fresh(meaning(*inputs), inputs)


def apply_function(
    self: Value, function: Callable[..., Any], types: Any, args: Any, kwargs: Any
) -> Any:
    """NEP 18: ``np.sum(x)`` and the like become nodes."""
    meaning = ARRAY_FUNCTIONS.get(function)
    if meaning is None:
        known = [f"{f.__module__}.{f.__name__}" for f in ARRAY_FUNCTIONS]
        raise _unsupported(f"{function.__module__}.{function.__name__}", known)
    result = meaning(*args, **kwargs)
    if function in VIEWS and args and isinstance(args[0], Value):
        return _as_views(result, args[0])
    return _fresh(result, args)


def _unsupported(name: str, known: list[str]) -> TraceError:
    name = name.replace("numpy", "np")
    near = difflib.get_close_matches(name, [k.replace("numpy", "np") for k in known], 3, 0.5)
    advice = f"the nearest supported are {', '.join(near)}" if near else "no supported one is near"
    return TraceError(
        f"{name} has no meaning on traced values, so its derivative is unknown; {advice}"
    )


def _refused_options(name: str, options: dict[str, Any]) -> TraceError:
    shown = ", ".join(f"{k}=" for k in options)
    return TraceError(
        f"{name} got {shown}, which traced values do not support: "
        "out= would write into an array behind the graph's back; use the returned result"
    )


def _as_views(result: Any, base: Value) -> Any:
    if isinstance(result, list | tuple):
        return type(result)(_as_views(v, base) for v in result)
    return view(result, base) if isinstance(result, Value) else result


def _fresh(result: Any, arguments: Any) -> Any:
    """A new object where NumPy returns a new array, so that writing to it leaves `x` alone."""
    if isinstance(result, Value) and any(result is a for a in arguments):
        return Value(result.builder, result.id)
    return result


# --- indexing and iteration ------------------------------------------------------------------


def get_item(self: Value, key: Any) -> Any:
    """``x[key]``; a basic key gives a view."""
    result = get(used(self), key)
    return view(result, self) if _is_basic(key) else _fresh(result, (self,))


def _is_basic(key: Any) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    basic = (int, np.integer, slice, type(None), type(...))
    return all(isinstance(p, basic) and not isinstance(p, bool) for p in parts)


def set_item(self: Value, key: Any, new: Any) -> None:
    """``x[key] = new`` as a functional update: later uses of `x` see the new value."""
    from_new = store(self, new)
    updated = put(Value(self.builder, self.id), key, from_new)
    self.alias.version += 1
    self.builder, self.id = updated.builder, updated.id


def length(self: Value) -> int:
    """``len(x)``."""
    if not self.type.ndim:
        raise TypeError("len() of a traced scalar")
    extent = self.type.shape[0]
    if not isinstance(extent, int):
        raise TraceError(f"the length {extent} is not bound, so Python cannot use it")
    return extent


def iterate(self: Value) -> Iterator[Any]:
    """``for v in x``."""
    return (self[i] for i in range(len(self)))  # type: ignore[index,arg-type]


# --- Python asks for a number ----------------------------------------------------------------


def _scalar(value: Value, what: str) -> Value:
    size = value.type.size
    if size != 1:
        raise ValueError(
            f"{what} of a traced array of type {value.type} is ambiguous; use .any(), .all(), "
            "numpy.where, or index one entry"
        )
    return used(value) if not value.type.ndim else reshape(used(value), shape=())


def _decided(value: Value) -> Any:
    if value.builder.recording is None:
        return concrete_of(value)
    return value.builder.recording.decide(value.id)


def truth(self: Value) -> bool:
    """``bool(x)``: the branch taken is recorded as a guard."""
    return bool(_decided(_scalar(self, "the truth value")))


def whole_number(self: Value) -> int:
    """``int(x)``: the number used is recorded as a guard."""
    scalar = _scalar(self, "int()")
    return int(_decided(trunc(scalar) if scalar.type.is_float else scalar))


def position(self: Value) -> int:
    """``range(x)`` and ``list[x]``: only integers are positions."""
    if self.type.dtype.kind != "i":
        raise TypeError(f"a traced value of type {self.type} is no position; use int(x)")
    return whole_number(self)


def _cut(name: str, instead: str) -> Callable[..., Any]:
    def refuse(self: Value, *_: Any) -> Any:
        raise TraceError(
            f"{name} on a traced value of type {self.type} would cut its derivative; {instead}"
        )

    return refuse


def _in_place(operator: str) -> Callable[[Value, Any], Any]:
    plain = getattr(Value, f"__{operator}__")

    def operate(self: Value, other: Any) -> Any:
        return update(self, plain(self, other))

    return operate


PROTOCOLS: dict[str, Any] = {
    "__array_ufunc__": apply_ufunc,
    "__array_function__": apply_function,
    "__matmul__": lambda self, other: np.matmul(self, other),
    "__rmatmul__": lambda self, other: np.matmul(other, self),
    "__getitem__": get_item,
    "__setitem__": set_item,
    "__len__": length,
    "__iter__": iterate,
    "__bool__": truth,
    "__int__": whole_number,
    "__trunc__": whole_number,
    "__index__": position,
    "__float__": _cut(
        "float() (or a function of the math module, or storing into a float array)",
        "drop float(), use numpy's functions (np.sin for math.sin), and build arrays with "
        "np.array([...]) or np.stack instead of filling np.zeros(...)",
    ),
    "__complex__": _cut("complex()", "complex values are not supported yet"),
    "__floor__": _cut("math.floor()", "use np.floor(x), or int(x) to branch on the number"),
    "__ceil__": _cut("math.ceil()", "use np.ceil(x)"),
    "__round__": _cut("round()", "use np.round(x)"),
    "item": _cut(".item()", "keep the value as it is"),
    "tolist": _cut(".tolist()", "iterate over the array instead"),
}
IN_PLACE = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")


def _viewing(method: Any) -> Any:
    """A method or property whose result is marked as a view."""
    if isinstance(method, property):
        return property(lambda self: _as_views(method.__get__(self), self))

    @wraps(method)
    def viewed(self: Value, *args: Any, **kwargs: Any) -> Any:
        return _as_views(method(self, *args, **kwargs), self)

    return viewed


def install() -> None:
    """Give `Value` NumPy's methods and protocols; done once, when this module is loaded."""
    for name, method in {**METHODS, **PROTOCOLS}.items():
        setattr(Value, name, _viewing(method) if name in VIEW_METHODS else method)
    for operator in IN_PLACE:
        setattr(Value, f"__i{operator}__", _in_place(operator))


install()
