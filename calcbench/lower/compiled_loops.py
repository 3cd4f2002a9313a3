"""What nodes that hold graphs call on compiled engines: compiled loops where there are some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from calcbench.graph.control_bodies import Body, pack_arrays
from calcbench.graph.control_loops import While, while_row
from calcbench.graph.control_scans import Loop, scan_row
from calcbench.graph.interpreter import inline
from calcbench.graph.ir import Builder, Graph, numpy_meaning
from calcbench.graph.nodes import Node
from calcbench.lower.compiled_scans import CompiledScan, compiled_scan
from calcbench.lower.node_kinds import numpy_function


def compiled_function(node: Node, vectorised: bool) -> Callable[..., None]:
    """What a call-out of the node calls, with its result and operands.

    A loop whose body calls out of compiled code, as for a loop in a loop, goes to NumPy.
    """
    params: Any = dict(node.params)
    if node.row is scan_row:
        return compiled_scan(Loop(**params), vectorised) or numpy_function(node)
    if node.row is while_row:
        loop = While(**params)
        count = loop.carries
        stepping = Loop(Body(_tested(loop)), count, (), 0, reverse=False, scanned=0)
        around = compiled_scan(stepping, vectorised, count)
        return numpy_function(node) if around is None else CompiledWhile(loop, around, vectorised)
    return numpy_function(node)


def _tested(loop: While) -> Graph:
    """The next carries, and whether they are to be taken: one step more is computed than taken."""
    builder, graph = Builder(), loop.body.graph
    named = zip(graph.input_names, loop.body.inputs, strict=True)
    given = [builder.add_input(name, kind) for name, kind in named]
    steps = inline(graph, builder, given)
    tests = inline(loop.condition.graph, builder, given)
    outputs = [steps[i] for i in graph.outputs]
    return builder.freeze([*outputs, tests[loop.condition.graph.outputs[0]]])


class CompiledWhile:
    """A while loop, or a derivative of it: the loop is compiled, and so are the scans of that."""

    def __init__(self, loop: While, around: CompiledScan, vectorised: bool) -> None:
        self.loop, self.around, self.vectorised = loop, around, vectorised

    def __call__(self, out: Any, *operands: Any) -> None:
        """Write the results that the loop keeps into `out`, laid end to end."""
        loop = self.loop
        carry, trips = self.around.repeat(*operands[: len(loop.body.inputs)])
        if not loop.derived:
            out[...] = pack_arrays([carry[k] for k in loop.keep])
            return
        graph = loop.graph(trips)
        values = graph.run([np.asarray(v)[()] for v in operands], self._meaning)
        out[...] = pack_arrays([values[graph.outputs[k]] for k in loop.keep])

    def _meaning(self, node: Node, operands: Sequence[Any]) -> Any:
        found = None
        if node.row is scan_row:
            scan = Loop(**dict(node.params))  # type: ignore[arg-type]
            found = compiled_scan(scan, self.vectorised)
        if found is None:
            return numpy_meaning(node, list(operands))
        kinds = scan.kept()
        result = np.empty(sum(kind.size for kind in kinds), kinds[0].dtype)
        found(result, *operands)
        return result
