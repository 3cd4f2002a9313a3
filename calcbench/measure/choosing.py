"""Which mode takes fewer operations for a Jacobian, and why, in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from calcbench.graph.arraytype import DerivativeError
from calcbench.graph.ir import Graph
from calcbench.measure.mode_predictions import Cut, Eliminated, Modes, predict_modes
from calcbench.measure.predicting import Sweeps
from calcbench.measure.recording import recorded_graph
from calcbench.programs import Argnums, float_outputs


@dataclass(frozen=True)
class ModeChoice:
    """The modes for a Jacobian, by predicted operations; made by `explain_mode`.

    Attributes
    ----------
    n, m : int
        Entries of the differentiated inputs, and of the results.
    forward : Sweeps
        Operations for all sweeps together, and for each of the n.
    reverse : Sweeps
        The same for each of the m.
    cut : Cut or None
        The best cut for mixed mode, with its operations; None if no cut is narrower than n and m.
    elimination : Eliminated or None
        Vertex elimination for mixed mode; None unless it takes far fewer operations than all else.
    place : str
        The nodes of that cut: operation, type and source line of each.
    """

    n: int
    m: int
    forward: Sweeps
    reverse: Sweeps
    cut: Cut | None = None
    elimination: Eliminated | None = None
    place: str = ""

    @property
    def forward_total(self) -> int:
        """Predicted operations of n forward sweeps."""
        return self.forward.total(self.n)

    @property
    def reverse_total(self) -> int:
        """Predicted operations of m reverse sweeps."""
        return self.reverse.total(self.m)

    @property
    def mixed_total(self) -> int | None:
        """Predicted operations of mixed mode, over the cut or by elimination; None without both."""
        return self._modes.totals.get("mixed")

    @property
    def mode(self) -> str:
        """The mode of fewest operations; forward, which keeps nothing, if it comes within 1 %."""
        return self._modes.mode

    @property
    def _modes(self) -> Modes:
        return Modes(self.n, self.m, self.forward, self.reverse, self.cut, self.elimination)

    def __str__(self) -> str:
        return (
            f"{self.mode} mode, {self._why()}: n = {self.n} forward sweeps take "
            f"{self.forward.once} + {self.n} * {self.forward.each} = {self.forward_total}, "
            f"m = {self.m} reverse sweeps {self.reverse.once} + {self.m} * {self.reverse.each} = "
            f"{self.reverse_total}{self._mixed()} operations (predicted row by row)."
        )

    def _mixed(self) -> str:
        if self.elimination is not None:
            best = "the best" if self.elimination.is_optimal else "the best found"
            count = len(self.elimination.order)
            return f", elimination of {count} inner values in {best} order {self.elimination.total}"
        if self.cut is None:
            return ""
        k, reverse, forward, product = self.cut[1:]
        once, each = reverse.once + forward.once, f"({reverse.each} + {forward.each})"
        return (
            f", k = {k} reverse sweeps up to the cut at {self.place}, k forward sweeps after it "
            f"and a product {once} + {k} * {each} + {product} = {self.cut.total}"
        )

    def _why(self) -> str:
        totals = self._modes.totals
        fewer, more, *_ = sorted(totals.values())
        if fewer == more:
            return "which keeps no values, at as many operations"
        if totals[self.mode] > fewer:
            return "which keeps no values, at about as many operations"
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
        Printed, a sentence with the numbers; ``.mode`` is "forward", "reverse" or "mixed".

    Raises
    ------
    GraphError, ShapeError, DTypeError, DerivativeError, TraceError
        If no function or graph is given, sizes are not known, arguments or results hold no floats,
        or the function cannot be traced.

    Notes
    -----
    Forward mode takes a sweep for each of the n input entries, reverse mode one for each of the m
    result entries; values and partials are shared by all sweeps. The operations of a sweep are
    added up from those of each node differentiated alone: no transform is built. What happens
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
    return mode_choice(graph, wanted)


def mode_choice(graph: Graph, wanted: Sequence[int]) -> ModeChoice:
    """The same for a graph after exact rewrites and the positions of its differentiated inputs."""
    found = predict_modes(graph, wanted)
    nodes = () if found.cut is None else found.cut.nodes
    return ModeChoice(*found, " and ".join(_placed(graph, i) for i in nodes))


def _placed(graph: Graph, node: int) -> str:
    origin = graph.origins[node] if graph.origins else None
    line = f" ({origin[0].rpartition('/')[2]}:{origin[1]})" if origin else ""
    return f"{graph.nodes[node].row.name} : {graph.types[node]}{line}"
