"""How many directions go through one sweep together, asked without computing a product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from calcbench.graph.arraytype import DerivativeError
from calcbench.graph.paths import Arguments
from calcbench.graph.tracing import Trace
from calcbench.many_sweeps import LaneChoice
from calcbench.matrix_products import BUILDS, primal_arguments, swept
from calcbench.programs import Argnums


def explain_directions(
    function: Callable[..., Any],
    primals: Any,
    directions: int,
    *,
    product: str = "jmp",
    argnums: Argnums | None = None,
    kink: str | None = None,
) -> LaneChoice:
    """How many directions `jmp`, `mjp` or `hmp` sends through one sweep together, and why.

    Parameters
    ----------
    function, primals, argnums, kink
        As in `jmp`.
    directions : int
        How many tangents or cotangents there are, at least 1.
    product : {"jmp", "mjp", "hmp"}
        Which product.

    Returns
    -------
    LaneChoice
        Printed, a sentence with the counted bytes; ``.together`` directions are in each sweep.

    Raises
    ------
    DerivativeError
        If the product is unknown, `directions` is no whole number above 0, or as in `jmp`.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> print(cb.explain_directions(np.sin, np.ones(1000), 100))
    50 of 100 directions together, 2 sweeps: 50 x 16000 bytes held at once fit in 1048576 bytes of
    cache
    """
    if product not in BUILDS:
        raise DerivativeError(f"product must be one of {', '.join(BUILDS)}, got {product!r}")
    if isinstance(directions, bool) or not isinstance(directions, int | np.integer):
        raise DerivativeError(f"directions is a whole number, got {directions!r}")
    if directions < 1:
        raise DerivativeError(f"at least one direction is needed, got {directions}")
    args, numbers = primal_arguments(primals, argnums)
    found = swept(function, BUILDS[product], args, numbers, kink, "numpy", _one_zero(product))
    path: Any = found[1]
    choice: LaneChoice = path.built.choice(int(directions))
    return choice


def _one_zero(product: str) -> Callable[[Arguments, Trace], list[Any]]:
    """Seeds of one direction, which tell whether the path is taken."""

    def seeds(arguments: Arguments, trace: Trace) -> list[Any]:
        if product == "mjp":
            kinds = [trace.graph.types[i] for i in trace.graph.outputs]
            return [np.zeros((1, *t.shape), t.dtype) for t in kinds if t.is_float]
        leaves = [np.asarray(arguments.leaves[p]) for p in arguments.wanted]
        return [np.zeros((1, *v.shape), v.dtype) for v in leaves]

    return seeds
