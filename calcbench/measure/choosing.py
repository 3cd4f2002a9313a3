"""Which mode takes fewer operations for a Jacobian, and why, in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from calcbench.graph.arraytype import DerivativeError
from calcbench.graph.ir import Graph
from calcbench.measure.predicting import Sweeps, predict_sweeps
from calcbench.measure.recording import recorded_graph
from calcbench.programs import Argnums, float_outputs


@dataclass(frozen=True)
class ModeChoice:
    """Both modes for a Jacobian, by predicted operations; made by `explain_mode`.

    Attributes
    ----------
    n, m : int
        Entries of the differentiated inputs, and of the results.
    forward : Sweeps
        Operations for all sweeps together, and for each of the n.
    reverse : Sweeps
        The same for each of the m.
    """

    n: int
    m: int
    forward: Sweeps
    reverse: Sweeps

    @property
    def forward_total(self) -> int:
        """Predicted operations of n forward sweeps."""
        return self.forward.total(self.n)

    @property
    def reverse_total(self) -> int:
        """Predicted operations of m reverse sweeps."""
        return self.reverse.total(self.m)

    @property
    def mode(self) -> str:
        """The mode of fewer operations; forward, which keeps nothing, where they are equal."""
        return "forward" if self.forward_total <= self.reverse_total else "reverse"

    def __str__(self) -> str:
        return (
            f"{self.mode} mode, {self._why()}: n = {self.n} forward sweeps take "
            f"{self.forward.once} + {self.n} * {self.forward.each} = {self.forward_total}, "
            f"m = {self.m} reverse sweeps {self.reverse.once} + {self.m} * {self.reverse.each} = "
            f"{self.reverse_total} operations (predicted row by row)."
        )

    def _why(self) -> str:
        fewer, more = sorted((self.forward_total, self.reverse_total))
        if fewer == more:
            return "which keeps no values, at as many operations"
        return f"with {more / fewer:.2f} times fewer operations" if fewer else "for nothing"


def explain_mode(
    function: Callable[..., Any] | Graph, *args: Any, argnums: Argnums = 0
) -> ModeChoice:
    """Which mode is cheaper for the gradient or Jacobian of a function, by counted operations.

    Parameters
    ----------
    function : callable or Graph
        A function of arrays with float results; or a graph of known sizes, which takes no `args`
        and is differentiated with respect to all float inputs.
    *args : array_like, or nested tuples, lists and dicts of them
        Arguments that tell the function's shapes, dtypes and branches.
    argnums : int or tuple of int
        Which positional arguments to differentiate.

    Returns
    -------
    ModeChoice
        Printed, a sentence with the numbers; ``.mode`` is "forward" or "reverse".

    Raises
    ------
    GraphError, ShapeError, DTypeError, DerivativeError, TraceError
        If no function or graph is given, sizes are not known, arguments or results hold no floats,
        or the function cannot be traced.

    Notes
    -----
    Forward mode takes a sweep for each of the n input entries, reverse mode one for each of the m
    result entries; values and partials are shared by all sweeps. The operations of a sweep are
    added up from those of each node differentiated alone: neither transform is built. What happens
    between nodes (shared partials, cancelled masks) is left out; `cost` counts it.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> found = cb.explain_mode(lambda x: np.sum(np.sin(x)), np.ones(100))
    >>> found.mode
    'reverse'
    >>> found.forward_total, found.reverse_total
    (20199, 499)
    """
    graph, wanted = recorded_graph("explain_mode", function, args, argnums)
    if not wanted or not all(float_outputs(graph)):
        raise DerivativeError(
            f"explain_mode compares the modes for a Jacobian, which needs float arguments and "
            f"results, got {graph.signature}"
        )
    forward, reverse = predict_sweeps(graph, wanted)
    n = sum(graph.types[graph.inputs[p]].size for p in wanted)
    m = sum(graph.types[i].size for i in graph.outputs)
    return ModeChoice(n, m, forward, reverse)
