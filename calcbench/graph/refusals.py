"""What traced values refuse to do, each with the reason and the replacement."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import numpy as np

from calcbench.graph.arraytype import TraceError
from calcbench.graph.lifting import Value


def unsupported(name: str, known: list[str]) -> TraceError:
    """A NumPy function without a meaning here, and those of similar names that have one."""
    name = name.replace("numpy", "np")
    near = difflib.get_close_matches(name, [k.replace("numpy", "np") for k in known], 3, 0.5)
    advice = f"the nearest supported are {', '.join(near)}" if near else "no supported one is near"
    return TraceError(
        f"{name} has no meaning on traced values, so its derivative is unknown; {advice}"
    )


def refused_options(name: str, options: dict[str, Any]) -> TraceError:
    """Options of a ufunc, such as out= and where=."""
    shown = ", ".join(f"{k}=" for k in options)
    return TraceError(
        f"{name} got {shown}, which traced values do not support: "
        "out= (and a *= x on a plain array a) would write into an array behind the graph's back; "
        "use the returned result (a = a * x)"
    )


def cuts(name: str, instead: str) -> Callable[..., Any]:
    """A method that would turn a traced value into a plain number."""

    def refuse(self: Value, *_: Any) -> Any:
        raise TraceError(
            f"{name} on a traced value of type {self.type} would cut its derivative; {instead}"
        )

    return refuse


def formatted(self: Value, spec: str) -> str:
    """``f"{x}"`` shows the node; a format of numbers has no number to show."""
    if spec:
        raise TraceError(
            f"the format {spec!r} needs a number, and a traced value of type {self.type} is a "
            f"node of a graph; print calcbench's results, or the value as it is: {self!r}"
        )
    return repr(self)


class MissingMethod(TraceError, AttributeError):
    """A method of NumPy's arrays that traced values lack."""


def missing(self: Value, name: str) -> Any:
    """``x.name``, where traced values have no attribute of that name."""
    if name.startswith("_") or not hasattr(np.ndarray, name):
        raise AttributeError(f"a traced value of type {self.type} has no attribute {name!r}")
    known = [n for n in dir(Value) if not n.startswith("_")]
    near = difflib.get_close_matches(name, known, 3, 0.5)
    advice = f"the nearest supported are .{', .'.join(near)}" if near else "none is near"
    raise MissingMethod(f".{name} has no meaning on traced values; {advice}")
