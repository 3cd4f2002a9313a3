"""Source text of functions of named variables."""

from __future__ import annotations

import re
from collections.abc import Sequence

from calcbench.graph.arraytype import Dim, GraphError, Shape
from calcbench.symbolic.matrices.sources import safe_name


def function_text(
    name: str, inputs: Sequence[tuple[str, Shape]], lines: Sequence[str], result: str
) -> str:
    """A function of the variables; sizes are read off their shapes."""
    body = "\n".join([*lines, result])
    words = set(re.findall(r"[A-Za-z_]\w*", body))
    sizes: dict[str, str] = {}
    for variable, shape in inputs:
        for axis, extent in enumerate(shape):
            if isinstance(extent, Dim) and str(extent) in words:
                sizes.setdefault(str(extent), f"{safe_name(variable)}.shape[{axis}]")
    clash = sizes.keys() & {v for v, _ in inputs}
    if clash:
        raise GraphError(f"{clash.pop()!r} names a variable and a dimension: rename one of them")
    parameters = ", ".join(safe_name(v) for v, _ in inputs)
    head = [f"{size} = {text}" for size, text in sizes.items()]
    inner = [*head, *lines, f"return {result}"]
    return "\n".join([f"def {name}({parameters}):", *(f"    {line}" for line in inner)]) + "\n"


def compiled_by_numba(text: str) -> str:
    return f"@numba.njit\n{text}"
