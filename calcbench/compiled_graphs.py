"""A graph compiled for an engine, and the check of the inputs it is called with."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from calcbench.graph.arraytype import GraphError, as_array
from calcbench.graph.evaluation import GuardMiss
from calcbench.graph.ir import Graph
from calcbench.lower.engines import Options, Runner
from calcbench.lower.memory import MemoryPlan


def device_calls(engine: str) -> Any:
    """What takes arrays of a device where they lie; loaded for the engine that can, else None."""
    return import_module("calcbench.device_calls") if engine == "cuda" else None


def runner_of(graph: Graph, options: Options) -> Any:
    """The graph on its engine."""
    device = device_calls(options.engine)
    return (device.DeviceRunner if device else Runner)(graph, options)


class CompiledGraph:
    """A graph that runs on an engine; made by `compile`.

    Attributes
    ----------
    graph : Graph
    memory : MemoryPlan
        Bytes of one run.
    __source__ : str
        The generated code, with the value numbers of the graph.
    """

    def __init__(self, graph: Graph, options: Options) -> None:
        self.graph = graph
        self.options = options
        self.runner: Runner = runner_of(graph, options)

    @property
    def engine(self) -> str:
        """The engine that was asked for."""
        return self.options.engine

    @property
    def memory(self) -> MemoryPlan:
        """What one run holds in memory."""
        return self.runner.executable.memory

    @property
    def __source__(self) -> str:
        return self.runner.executable.source

    def __call__(self, *args: Any, **named: Any) -> Any:
        """One array, or a tuple for several outputs; inputs in order, or by name."""
        device = device_calls(self.engine)
        inputs = bound_inputs(self.graph, args, named, device.is_on_device if device else None)
        try:
            results = self.runner(inputs)
        except GuardMiss:
            raise GraphError(
                "these inputs take another branch than the one the graph records "
                f"({', '.join(self.graph.place(g.node) for g in self.graph.guards)}); compile the "
                "function instead of the graph"
            ) from None
        if device and any(map(device.is_on_device, inputs)):
            results = device.placed(results)
        return results[0] if len(results) == 1 else tuple(results)


def bound_inputs(
    graph: Graph,
    args: tuple[Any, ...],
    named: dict[str, Any],
    stays: Callable[[Any], bool] | None = None,
) -> list[Any]:
    """The inputs in the graph's order, with exactly its types.

    Those that `stays` holds for are left as they are: the engine that takes them checks them.
    """
    names = graph.input_names
    given = {**dict(zip(names, args, strict=False)), **named}
    if len(args) > len(names) or len(args) + len(named) != len(given) or set(given) != set(names):
        raise GraphError(
            f"the graph takes the inputs {', '.join(names)}, in this order or by name; got "
            f"{len(args)} in order and {sorted(named)} by name"
        )
    return [
        value if stays and stays(value) else checked_input(value, graph, index)
        for value, index in zip([given[name] for name in names], graph.inputs, strict=True)
    ]


def checked_input(value: Any, graph: Graph, index: int) -> Any:
    """The value as the contiguous array of the graph's type, or an error that names both."""
    kind, name = graph.types[index], graph.place(index)
    array = np.asarray(as_array(value, name))
    if array.shape != kind.shape or not np.can_cast(array.dtype, kind.dtype, "same_kind"):
        raise GraphError(f"{name} has type {kind}, got {array.dtype}{list(array.shape)}")
    return np.ascontiguousarray(array, dtype=kind.dtype).reshape(kind.shape)[()]
