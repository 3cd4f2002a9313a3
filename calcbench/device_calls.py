"""Calls with arrays that lie on a CUDA device: they are used there, and stand-ins tell their types.

Results stay on the device if an argument is there; arrays of the host come out as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.graph.evaluation import check_guards
from calcbench.graph.ir import Graph
from calcbench.graph.lifting import Value
from calcbench.graph.paths import Arguments
from calcbench.graph.tracing import is_static
from calcbench.graph.trees import leaves_of, rebuild, structure_of
from calcbench.lower.cuda_arrays import device_array, is_on_device, on_host, stand_in, to_device
from calcbench.lower.engines import Options, Runner, without_guards


class Held:
    """The arguments that lie on a device, by the position of their leaf; none of them if falsy."""

    def __init__(self, leaves: dict[int, Any]) -> None:
        self.leaves = leaves

    def __bool__(self) -> bool:
        return bool(self.leaves)

    def arrays(self, arguments: Arguments) -> list[Any]:
        """The arguments that are arrays, where they lie."""
        pairs = enumerate(arguments.leaves)
        return [self.leaves.get(k, leaf) for k, leaf in pairs if not is_static(leaf)]

    def on_host(self, arguments: Arguments) -> Arguments:
        """The arguments with values in the place of stand-ins."""
        leaves = list(arguments.leaves)
        for k, array in self.leaves.items():
            leaves[k] = np.asarray(on_host(array), leaves[k].dtype)[()]
        return arguments._replace(leaves=leaves)


def held_on_device(args: Any, kwargs: Any) -> tuple[Held, Any, Any]:
    """What lies on a device, and the arguments with stand-ins for that.

    Beside values that are being traced nothing is held: the call is written into their graph.
    """
    leaves = leaves_of((args, kwargs))
    held = {k: device_array(leaf) for k, leaf in enumerate(leaves) if is_on_device(leaf)}
    if not held or any(isinstance(leaf, Value) for leaf in leaves):
        return Held({}), args, kwargs
    stand_ins = [stand_in(held[k]) if k in held else leaf for k, leaf in enumerate(leaves)]
    args, kwargs = rebuild(structure_of((args, kwargs)), iter(stand_ins))
    return Held(held), args, kwargs


def fitted(array: Any, dtype: np.dtype) -> Any:
    """An array of the device as kernels read it: of their dtype, its entries side by side.

    One that is neither goes by way of the host.
    """
    if array.dtype == dtype and array.is_c_contiguous():
        return array
    return to_device(np.asarray(on_host(array), dtype))


def placed(results: Sequence[Any]) -> list[Any]:
    """The results on the device, also those that the host computed."""
    return [r if is_on_device(r) else to_device(r) for r in results]


class DeviceRunner:
    """As `Runner`, on the cuda engine: guards are checked on the host, wherever the results lie."""

    def __init__(self, graph: Graph, options: Options) -> None:
        self.expected = [guard.expected.array[()] for guard in graph.guards]
        self.count = len(graph.outputs)
        self.runner = Runner(without_guards(graph), options)
        self.executable = self.runner.executable

    def __call__(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """Results on the device if an input is there; GuardMiss as of `Runner`."""
        results = self.runner(inputs)
        check_guards(self.expected, [on_host(v) for v in results[self.count :]])
        return results[: self.count]
