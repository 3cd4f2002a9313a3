"""What traced values refuse to do, each with the reason and the replacement."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import numpy as np

from calcbench.graph.arraytype import TraceError
from calcbench.graph.lifting import Value


# What says the same by functions that have a meaning, where no similar name does.
INSTEAD = {
    "np.copysign": "np.abs(x) * np.sign(y)",
    "np.signbit": "x < 0",
    "np.modf": "np.trunc(x) and x - np.trunc(x)",
    "np.unstack": "tuple(x)",
    "np.matvec": "np.einsum('...ij,...j->...i', a, x)",
    "np.vecmat": "np.einsum('...i,...ij->...j', x, a)",
    "np.insert": "np.concatenate([x[:i], values, x[i:]])",
    "np.resize": "np.tile and np.reshape",
    "np.extract": "x[mask]",
    "np.nonzero": "x[mask]",
    "np.argwhere": "x[mask]",
    "np.flatnonzero": "x[mask]",
    "np.fill_diagonal": "x[np.arange(n), np.arange(n)] = value",
    "np.put_along_axis": "x[index] = values",
    "np.put": "x[index] = values",
    "np.piecewise": "np.select",
    "np.choose": "np.select",
    "np.partition": "np.sort",
    "np.quantile": "np.sort and indexing",
    "np.percentile": "np.sort and indexing",
    "np.cumulative_sum": "np.cumsum",
    "np.cumulative_prod": "np.cumprod",
    "np.nansum": "np.sum(np.where(np.isnan(x), 0, x))",
    "np.nanmean": "np.mean(x[~np.isnan(x)])",
    "np.nanmax": "np.max(x[~np.isnan(x)])",
    "np.nanmin": "np.min(x[~np.isnan(x)])",
    "np.linspace": "start + (stop - start) * np.linspace(0, 1, n)",
    "np.gradient": "np.diff, or differences of slices",
    "np.ediff1d": "np.diff(x.ravel())",
    "np.convolve": "sums of shifted slices",
    "np.interp": "x0 + t * (x1 - x0) between entries chosen by x[index]",
    "np.cov": "np.mean and np.matmul of centred data",
    "np.corrcoef": "np.mean, np.std and np.matmul of centred data",
    "np.apply_along_axis": "a loop over x[i], and np.stack",
    "np.vander": "x[:, None] ** np.arange(n)",
    "np.linalg.cond": "np.linalg.norm(x, 2) * np.linalg.norm(np.linalg.inv(x), 2)",
    "np.linalg.lstsq": "np.linalg.pinv(a) @ b, or np.linalg.solve of the normal equations",
    "np.linalg.eigvals": "np.linalg.eigvalsh, for symmetric matrices",
    "np.linalg.eig": "np.linalg.eigh, for symmetric matrices",
    "np.linalg.tensorinv": "np.linalg.inv of the reshaped array",
    "np.linalg.tensorsolve": "np.linalg.solve of the reshaped array",
}


def unsupported(name: str, known: list[str]) -> TraceError:
    """A NumPy function without a meaning here, and what has one: the same, or a similar name."""
    name = name.replace("numpy", "np")
    if name in INSTEAD:
        return TraceError(
            f"{name} has no meaning on traced values, so its derivative is unknown; the nearest "
            f"supported is {INSTEAD[name]}"
        )
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
