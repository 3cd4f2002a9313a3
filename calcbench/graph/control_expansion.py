"""Graphs without checkpoints: regions written out, and scans that store all their states again."""

from __future__ import annotations

from calcbench.graph.control_bodies import pack, unpack
from calcbench.graph.control_checkpoints import without_regions
from calcbench.graph.control_reversals import as_scans, saving_scan, scan_reversal
from calcbench.graph.control_scans import scan_row
from calcbench.graph.control_stretches import Reversal, Saving
from calcbench.graph.interpreter import inline
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.graph.nodes import Node
from calcbench.graph.rewriting import simplify
from calcbench.graph.structural import full


def without_checkpoints(graph: Graph) -> Graph:
    """The same function of its inputs, for analyses that know scans only.

    Stored states, which nothing but a reversal reads, are zeros: it is written out without them.
    """
    graph = without_regions(graph)
    if not any(node.row in (saving_scan, scan_reversal) for node in graph.nodes):
        return graph
    builder = Builder()

    def copy(node: Node, operands: list[int]) -> int:
        values = [Value(builder, i) for i in operands]
        if node.row is saving_scan:
            return _plain(node, values)
        if node.row is scan_reversal:
            scans = as_scans(Reversal(**dict(node.params)), [v.type for v in values])  # type: ignore[arg-type]
            return inline(scans, builder, operands)[scans.outputs[0]]
        return builder.add(node.row, tuple(operands), node.params, node.epoch)

    named = zip(graph.input_names, graph.inputs, strict=True)
    given = [builder.add_input(name, graph.types[i]) for name, i in named]
    new = graph.run(given, copy)
    for guard in graph.guards:
        builder.guard(new[guard.node], guard.expected.array)
    return simplify(builder.freeze([new[i] for i in graph.outputs]))


def _plain(node: Node, operands: list[Value]) -> int:
    """The scan, with zeros for states."""
    params = dict(node.params)
    saving = Saving.of(params)
    del params["slots"]
    own, kinds = saving.own(), saving.results()
    found = {}
    if own:
        packed = scan_row(*operands, **(params | {"keep": own}))
        found = dict(zip(own, unpack(packed, [kinds[k] for k in own]), strict=True))
    rest = [k for k in saving.loop.keep if k not in found]
    found |= {k: full(operands[0], 0, kinds[k].shape, kinds[k].dtype) for k in rest}
    return int(pack([found[k] for k in saving.loop.keep]).id)
