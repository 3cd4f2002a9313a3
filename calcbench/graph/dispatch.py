"""What traced values answer when NumPy or Python asks: functions, indexing, numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import numpy as np

from calcbench.graph.aliasing import update, view, writable, written
from calcbench.graph.arraytype import TraceError
from calcbench.graph.elementwise import trunc
from calcbench.graph.indexing import get, put
from calcbench.graph.lifting import Value, binary, used
from calcbench.graph.numpy_table import ARRAY_FUNCTIONS, METHODS, UFUNCS, find_ufunc
from calcbench.graph.primitive import Primitive
from calcbench.graph.refusals import cuts, formatted, missing, refused_options, unsupported
from calcbench.graph.structural import reshape


# Functions and methods whose NumPy result may share memory with their first argument.
VIEWS = frozenset(
    (
        np.reshape, np.ravel, np.transpose, np.swapaxes, np.moveaxis, np.expand_dims, np.squeeze,
        np.broadcast_to, np.flip, np.flipud, np.fliplr, np.rot90, np.diagonal, np.split,
        np.array_split, np.hsplit, np.vsplit, np.dsplit, np.rollaxis, np.matrix_transpose, np.real,
        np.linalg.matrix_transpose, np.linalg.diagonal,
    )
)  # fmt: skip
# Functions that give one view per argument.
VIEWS_EACH = frozenset((np.atleast_1d, np.atleast_2d, np.atleast_3d, np.broadcast_arrays))
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
        raise TraceError(
            f"np.{ufunc.__name__}.{method} of a traced array is not supported; use the function "
            "that says the same: x[i] += v for np.add.at, np.cumsum for np.add.accumulate, "
            "np.outer or x[:, None] for np.multiply.outer"
        )
    meaning = find_ufunc(ufunc)
    if meaning is None:
        raise unsupported(f"np.{ufunc.__name__}", [f"np.{u.__name__}" for u in UFUNCS])
    if options:
        raise refused_options(f"np.{ufunc.__name__}", options)
    if isinstance(meaning, Primitive):
        if len(inputs) == 2:
            return binary(meaning, *inputs)
        if inputs[0].type.is_float:
            return meaning(used(inputs[0]))
    return _fresh(meaning(*inputs))


def apply_function(
    self: Value, function: Callable[..., Any], types: Any, args: Any, kwargs: Any
) -> Any:
    """NEP 18: ``np.sum(x)`` and the like become nodes."""
    meaning = ARRAY_FUNCTIONS.get(function)
    if meaning is None:
        known = [f"{f.__module__}.{f.__name__}" for f in ARRAY_FUNCTIONS]
        raise unsupported(f"{function.__module__}.{function.__name__}", known)
    result = meaning(*args, **kwargs)
    if _is_view(function, args, result):
        return _as_views(result, next(v for v in (*args, *kwargs.values()) if _is_value(v)))
    if function in VIEWS_EACH:
        return _views_each(result, args)
    return _fresh(result)


def _is_view(function: Callable[..., Any], args: Any, result: Any) -> bool:
    if function is np.einsum:
        return _only_renames(*args)
    return function in VIEWS or (function is np.diag and result.type.ndim == 1)


def _only_renames(subscripts: Any, *operands: Any) -> bool:
    """Whether einsum sums nothing: NumPy then returns a view."""
    if len(operands) != 1 or not isinstance(subscripts, str):
        return False
    before, arrow, after = subscripts.replace(" ", "").partition("->")
    return set(before) == set(after) if arrow else len(set(before)) == len(before)


def _as_views(result: Any, base: Any) -> Any:
    if isinstance(result, list | tuple):
        return type(result)(_as_views(v, base) for v in result)
    return view(result, base) if _is_value(result) and _is_value(base) else result


def _views_each(result: Any, arguments: tuple[Any, ...]) -> Any:
    if isinstance(result, Value):
        return _as_views(result, arguments[0])
    return type(result)(map(_as_views, result, arguments))


def _is_value(given: Any) -> bool:
    return isinstance(given, Value)


def _fresh(result: Any) -> Any:
    """A new object where NumPy returns a new array, so that writing to it leaves `x` alone."""
    if isinstance(result, Value):
        return Value(result.builder, result.id)
    if type(result) in (list, tuple):
        return type(result)(map(_fresh, result))
    return result


# --- indexing and iteration ------------------------------------------------------------------


def get_item(self: Value, key: Any) -> Any:
    """``x[key]``; a basic key gives a view."""
    result = get(used(self), key)
    return view(result, self) if _is_basic(key) else _fresh(result)


def _is_basic(key: Any) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    basic = (int, np.integer, slice, type(None), type(...))
    return all(
        isinstance(p, basic) and not isinstance(p, bool)
        if not isinstance(p, Value)
        else p.type.ndim == 0 and p.type.dtype.kind == "i"
        for p in parts
    )


def set_item(self: Value, key: Any, new: Any) -> None:
    """``x[key] = new`` as a functional update: later uses of `x` see the new value."""
    alias, before = writable(self), Value(self.builder, self.id)
    if alias.owed is not None and alias.owed is new and get(before, key).id == alias.source:
        new = Value(new.builder, new.id)
    else:
        used(self)
    written(self, put(before, key, new))


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
    scalar = _scalar(self, "the truth value")
    return bool(_decided(scalar if scalar.type.dtype.kind == "b" else scalar != 0))


def whole_number(self: Value) -> int:
    """``int(x)``: the number used is recorded as a guard."""
    scalar = _scalar(self, "int()")
    return int(_decided(trunc(scalar) if scalar.type.is_float else scalar))


def position(self: Value) -> int:
    """``range(x)`` and ``list[x]``: only integers are positions."""
    if self.type.dtype.kind != "i":
        raise TypeError(f"a traced value of type {self.type} is no position; use int(x)")
    return whole_number(self)


def _in_place(operator: str) -> Callable[[Value, Any], Any]:
    plain = getattr(Value, f"__{operator}__")

    def operate(self: Value, other: Any) -> Any:
        return update(self, plain(self, other))

    return operate


def _copied(self: Value, _: Any = None) -> Value:
    return Value(self.builder, used(self).id)


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
    "__float__": cuts(
        "float() (or a function of the math module, or storing into a float array)",
        "drop float(), use numpy's functions (np.sin for math.sin), build arrays with "
        "np.array([...]) or np.stack instead of filling np.zeros(...), and join a list with "
        "np.stack before np.mean, np.var, np.std or np.median of it",
    ),
    "__complex__": cuts("complex()", "complex values are not supported yet"),
    "__format__": formatted,
    "__divmod__": lambda self, other: (self // other, self % other),
    "__rdivmod__": lambda self, other: (other // self, other % self),
    "__copy__": _copied,
    "__deepcopy__": _copied,
    "__getattr__": missing,
    "__floor__": cuts("math.floor()", "use np.floor(x), or int(x) to branch on the number"),
    "__ceil__": cuts("math.ceil()", "use np.ceil(x)"),
    "__round__": cuts("round()", "use np.round(x)"),
    "item": cuts(".item()", "keep the value as it is"),
    "tolist": cuts(".tolist()", "iterate over the array instead"),
}
IN_PLACE = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")


def _viewing(method: Any) -> Any:
    """A method or property whose result is marked as a view."""
    if isinstance(method, property):
        return property(lambda self: _as_views(method.__get__(self), self))
    return _followed(method, _as_views)


def _owning(method: Any) -> Any:
    """A method whose result is no view; ``x.astype(..., copy=False)`` may be `x` itself."""
    return method if isinstance(method, property) else _followed(method, lambda v, _: _fresh(v))


def _followed(method: Any, then: Callable[[Any, Value], Any]) -> Any:
    @wraps(method)
    def followed(self: Value, *args: Any, copy: Any = True, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        return self if copy is False and result.id == self.id else then(result, self)

    return followed


def install() -> None:
    """Give `Value` NumPy's methods and protocols; done once, when this module is loaded."""
    for name, method in METHODS.items():
        setattr(Value, name, (_viewing if name in VIEW_METHODS else _owning)(method))
    for name, method in PROTOCOLS.items():
        setattr(Value, name, method)
    for operator in IN_PLACE:
        setattr(Value, f"__i{operator}__", _in_place(operator))


install()
