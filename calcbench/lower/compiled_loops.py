"""What nodes that hold graphs call on compiled engines: compiled loops where there are some."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from calcbench.graph.arraytype import BOOL, ArrayType
from calcbench.graph.control_bodies import pack_arrays
from calcbench.graph.control_choices import cond_row
from calcbench.graph.control_loops import While, while_row
from calcbench.graph.control_reversals import saving_scan, scan_reversal
from calcbench.graph.control_scans import scan_row
from calcbench.graph.control_steps import Loop
from calcbench.graph.ir import numpy_meaning
from calcbench.graph.nodes import Node
from calcbench.lower.calls import Callee, array_names, operand_text
from calcbench.lower.compiled_reversals import checkpointing_function
from calcbench.lower.compiled_scans import (
    REMEMBERED,
    CompiledScan,
    compiled_scan,
    contiguous,
    split,
)
from calcbench.lower.compiler import Argument, compile_only, load
from calcbench.lower.loop_code import with_imports
from calcbench.lower.nested_loops import callee, while_code
from calcbench.lower.node_kinds import numpy_function
from calcbench.lower.results_apart import result_types
from calcbench.lower.targets import CPU


class NodeFunction(Protocol):
    """What stands for a node that holds graphs: its results end to end, or apart."""

    def __call__(self, out: Any, *operands: Any) -> None: ...
    def write_apart(self, results: Mapping[int, Any], *operands: Any) -> None: ...


def compiled_function(node: Node, vectorised: bool) -> Callable[..., None]:
    """What a call-out of the node calls, with its result and operands; a `NodeFunction` for loops.

    A loop whose body calls out of compiled code goes to NumPy.
    """
    params: Any = dict(node.params)
    found: NodeFunction | None = None
    if node.row is scan_row:
        found = compiled_scan(Loop(**params), vectorised)
    elif node.row is while_row:
        loop = While(**params)
        around = _compiled_while(loop._replace(derived=(), keep=()), vectorised)
        found = None if around is None else CompiledWhile(loop, around, vectorised)
    elif node.row is cond_row:
        found = _compiled_choice(node._replace(operands=()), vectorised)
    elif node.row in (saving_scan, scan_reversal):
        found = checkpointing_function(node, vectorised)
    else:
        return numpy_function(node)
    return found or InNumpy(node)


class InNumpy:
    """A loop or choice in NumPy."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def __call__(self, out: Any, *operands: Any) -> None:
        """Write the results into `out`, laid end to end."""
        out[...] = self.node.row.numpy(*operands, **dict(self.node.params))

    def write_apart(self, results: Mapping[int, Any], *operands: Any) -> None:
        """Write each result, by its place, into its array."""
        whole = self.node.row.numpy(*operands, **dict(self.node.params))
        parts = split(whole, [kind.size for kind in result_types(self.node)])
        for place, result in results.items():
            result[...] = parts[place]


@lru_cache(maxsize=REMEMBERED)
def _compiled_while(loop: While, vectorised: bool) -> CompiledScan | None:
    code = while_code(loop, vectorised)
    return None if code is None else CompiledScan(code)


@lru_cache(maxsize=REMEMBERED)
def _compiled_choice(node: Node, vectorised: bool) -> CompiledChoice | None:
    params: Any = dict(node.params)
    kinds: list[ArrayType] = params["branches"][0].inputs
    found = callee(node, vectorised) if all(kind.size for kind in kinds) else None
    return None if found is None else CompiledChoice(found, kinds, result_types(node))


class CompiledChoice:
    """A choice as one compiled function, of which only the branch taken is run."""

    def __init__(
        self, called: Callee, kinds: Sequence[ArrayType], results: Sequence[ArrayType]
    ) -> None:
        self.called, self.sizes, self.dtype = called, called.sizes, results[0].dtype
        outs = [f"o{k}" for k in range(len(results))]
        operands = [f"p{k}" for k in range(len(kinds))]
        arrays = array_names(called.arrays)
        texts = [operand_text(n, kind) for n, kind in zip(operands, kinds, strict=True)]
        line = called.call(outs, ["chosen", *texts], arrays, "work")
        header = f"def choose({', '.join([*outs, 'chosen', *operands, *arrays, 'work'])}):"
        text = f"{CPU.decorator}\n{header}\n    {line}\n"
        self.source, modules = with_imports(text, [called])
        given = [ArrayType((), BOOL), *kinds]
        arguments = [Argument(self.dtype, 1, True)] * len(outs)
        arguments += [Argument(kind.dtype, kind.ndim) for kind in given]
        arguments += [Argument(a.dtype, 1) for a in called.arrays]
        arguments.append(Argument(np.dtype(np.float64), 1, True))
        self.function = compile_only(load(self.source, modules).choose, arguments)

    def __call__(self, out: Any, *operands: Any) -> None:
        """Write the results into `out`, laid end to end."""
        self.write_apart(split(out, self.sizes), *operands)

    def write_apart(self, results: Mapping[int, Any], *operands: Any) -> None:
        """Write each result, by its place, into its array."""
        outs = [
            results[k] if k in results else np.empty(size, self.dtype)
            for k, size in enumerate(self.sizes)
        ]
        given = [contiguous(v) for v in operands]
        arrays = [a.reshape(-1) for a in self.called.arrays]
        self.function(*outs, *given, *arrays, np.empty(max(self.called.words, 1)))


class CompiledWhile:
    """A while loop, or a derivative of it: the loop is compiled, and so are the scans of that."""

    def __init__(self, loop: While, around: CompiledScan, vectorised: bool) -> None:
        self.loop, self.around, self.vectorised = loop, around, vectorised

    def __call__(self, out: Any, *operands: Any) -> None:
        """Write the results that the loop keeps into `out`, laid end to end."""
        out[...] = pack_arrays(self._results(operands))

    def write_apart(self, results: Mapping[int, Any], *operands: Any) -> None:
        """Write each result that the loop keeps, by its place in `keep`, into its array."""
        values = self._results(operands)
        for place, result in results.items():
            result[...] = np.reshape(values[place], -1)

    def _results(self, operands: Sequence[Any]) -> list[Any]:
        loop = self.loop
        carry, trips = self.around.repeat(*operands[: len(loop.body.inputs)])
        if not loop.derived:
            return [carry[k] for k in loop.keep]
        graph = loop.graph(trips)
        values = graph.run([np.asarray(v)[()] for v in operands], self._meaning)
        return [values[graph.outputs[k]] for k in loop.keep]

    def _meaning(self, node: Node, operands: Sequence[Any]) -> Any:
        if node.row not in (scan_row, while_row):
            return numpy_meaning(node, list(operands))
        kinds = result_types(node)
        result = np.empty(sum(kind.size for kind in kinds), kinds[0].dtype)
        compiled_function(node, self.vectorised)(result, *operands)
        return result
