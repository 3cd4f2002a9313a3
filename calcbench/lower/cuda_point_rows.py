"""Rows that take their entries one after another: running sums, scatters, positions, searches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from calcbench.graph.ir import Graph
from calcbench.lower.bodies import Body
from calcbench.lower.cuda_loops import unravelled
from calcbench.lower.cuda_point_loops import nest
from calcbench.lower.cuda_point_texts import loading, storing
from calcbench.lower.cuda_sequences import scan_axes, sequence_body
from calcbench.lower.emission import Names, bare, indented
from calcbench.lower.groups import Root, identity, without_ones
from calcbench.lower.indexing import Part, row_major, symbol


def scan_lines(graph: Graph, root: Root, names: Names) -> list[str]:
    """A running sum or product, line by line."""
    lines, along = scan_axes(graph, root)
    node, kind = graph.nodes[root.node], graph.types[root.node]
    space = without_ones(kind.shape)
    body = sequence_body(graph, space, names)
    value = body.value(node.operands[0], identity(space))
    into, at = names.stored[root.node], row_major(identity(space))
    inner = _lines(body)
    if not along:
        return nest(lines, [*inner, storing(into, at, value)])
    sign, total = "+" if node.row.name == "cumsum" else "*", f"total{root.node}"
    step = f"{total} = {value} if {along[0][0]} == 0 else {total} {sign} {value}"
    run = nest(along, [*inner, step, storing(into, at, total)])
    return nest(lines, [f"{total} = np.{kind.dtype.name}(0)", *run])


def scatter_lines(graph: Graph, root: Root, names: Names) -> list[str]:
    """A scattered sum, in the order of its terms; its array holds zeros already."""
    values, positions = graph.nodes[root.node].operands
    space = without_ones(graph.types[values].shape)
    body = sequence_body(graph, space, names)
    position = body.value(positions, identity(space))
    value = body.value(values, identity(space))
    lines = [*_lines(body), *_added(graph, root.node, names, position, value)]
    return nest([(f"i{k}", n) for k, n in enumerate(space)], lines)


def _lines(body: Body) -> list[str]:
    """The statements of a body, in order."""
    return [f"{s.name} = {bare(s.text)}" for s in body.statements]


def _added(graph: Graph, node: int, names: Names, position: str, value: str) -> list[str]:
    old = f"old{node}"
    return [
        loading(old, graph, names, node, position),
        storing(names.stored[node], position, f"{old} + {value}"),
    ]


# --- rows that the host computes for a whole graph, and a thread for its point -------------------


def _positions(graph: Graph, root: Root, names: Names) -> list[str]:
    """Positions counted from the front; one outside stops the point, not the thread."""
    node = root.node
    size: Any = dict(graph.nodes[node].params)["size"]
    lines = _inside(graph, node, names, graph.nodes[node].operands[0], size)
    return _each(graph, node, [*lines, storing(names.stored[node], "k", f"index{node}")])


def _inside(graph: Graph, node: int, names: Names, positions: int, size: int) -> list[str]:
    """The position `k`, moved inside where it is not."""
    index = f"index{node}"
    return [
        loading(index, graph, names, positions, "k"),
        f"fine = fine and -{size} <= {index} and {index} < {size}",
        f"{index} = {index} + {size} if {index} < 0 else {index}",
        f"{index} = min(max({index}, 0), {size - 1})",
    ]


def _gathered(graph: Graph, root: Root, names: Names) -> list[str]:
    node = root.node
    source, positions = graph.nodes[node].operands
    lines = [
        *_inside(graph, node, names, positions, int(graph.types[source].size)),
        loading(f"entry{node}", graph, names, source, f"index{node}"),
        storing(names.stored[node], "k", f"entry{node}"),
    ]
    return _each(graph, node, lines)


def _scattered(graph: Graph, root: Root, names: Names) -> list[str]:
    node = root.node
    values, positions = graph.nodes[node].operands
    zero = storing(names.stored[node], "k", f"np.{graph.types[node].dtype.name}(0)")
    lines = [
        *_inside(graph, node, names, positions, int(graph.types[node].size)),
        loading(f"entry{node}", graph, names, values, "k"),
        *_added(graph, node, names, f"index{node}", f"entry{node}"),
    ]
    return [*_each(graph, node, [zero]), *_each(graph, values, lines)]


def _found(graph: Graph, root: Root, names: Names) -> list[str]:
    """The first largest or smallest entry along an axis; a NaN is taken for either."""
    node = root.node
    axis: Any = dict(graph.nodes[node].params)["axis"]
    (operand,) = graph.nodes[node].operands
    shape: Any = graph.types[operand].shape
    inner, outer = _size(shape[axis + 1 :]), _size(shape[:axis])
    worse = "<=" if graph.nodes[node].row.name == "argmax" else ">="
    value, best, entry = f"value{node}", f"best{node}", f"entry{node}"
    first = f"{inner * shape[axis]} * row + column"
    test = f"if {value} == {value} and not {entry} {worse} {value}:"
    lines = [
        loading(value, graph, names, operand, first),
        f"{best} = 0",
        f"for k in range(1, {shape[axis]}):",
        "    " + loading(entry, graph, names, operand, f"{first} + {inner} * k"),
        f"    {test}",
        f"        {value} = {entry}",
        f"        {best} = k",
        storing(names.stored[node], f"{inner} * row + column", best),
    ]
    return nest([("row", outer), ("column", inner)], lines)


# The weight of an entry: `wins` are equal to the best, `first` and `last` among them in order.
SHARES = {
    "equal": "1.0 / {wins} if {entry} == {best} else 0.0",
    "first": "1.0 if k == {first} else 0.0",
    "last": "1.0 if k == {last} else 0.0",
    "none": "1.0 if {entry} == {best} and {wins} == 1 else 0.0",
}


def _shared(graph: Graph, root: Root, names: Names) -> list[str]:
    """The weight of each entry in the largest or smallest one; NaN where that is NaN."""
    node, params = root.node, dict(graph.nodes[root.node].params)
    axes: Any = params["axes"]
    shape: Any = graph.types[node].shape
    inside = [(f"i{a}", n) for a, n in enumerate(shape) if a in axes]
    kept = [(f"i{a}", n) for a, n in enumerate(shape) if a not in axes]
    (operand,) = graph.nodes[node].operands
    own = {word: f"{word}{node}" for word in ("entry", "best", "wins", "first", "last")}
    entry, best, wins, first, last = own.values()
    place, dtype = _flat(shape), f"np.{graph.types[node].dtype.name}"
    load = [*unravelled("k", inside), loading(entry, graph, names, operand, place)]
    better = f"k == 0 or {entry} != {entry} or {entry} {'>' if params['largest'] else '<'} {best}"
    count = [f"{wins} += 1", f"{last} = k", f"{first} = min({first}, k)"]
    share = f"{best} if {best} != {best} else {SHARES[str(params['tie'])].format(**own)}"
    terms = [("k", _size([n for _, n in inside]))]
    lines = [
        f"{best} = {dtype}(0)",
        *nest(terms, [*load, f"{best} = {entry} if {better} else {best}"]),
        f"{wins}, {first}, {last} = 0, {terms[0][1]}, 0",
        *nest(terms, [*load, f"if {entry} == {best}:", *indented(count, 1)]),
        *nest(terms, [*load, storing(names.stored[node], place, f"{dtype}({share})")]),
    ]
    return nest(kept, lines)


def _flat(shape: Any) -> str:
    """The position of an entry whose index is i0, i1, ..."""
    parts = [Part(n, symbol(f"i{a}")) for a, n in enumerate(shape)]
    return str(row_major(tuple(parts)))


def _size(shape: Any) -> int:
    size = 1
    for extent in shape:
        size *= extent
    return size


def _each(graph: Graph, node: int, lines: list[str]) -> list[str]:
    """The lines for every entry of a node."""
    return nest([("k", int(graph.types[node].size))], lines)


ALONE: dict[str, Callable[[Graph, Root, Names], list[str]]] = {
    "position": _positions,
    "gather": _gathered,
    "scatter_add": _scattered,
    "argmax": _found,
    "argmin": _found,
    "winner_share": _shared,
}


def is_alone(graph: Graph, node: int) -> bool:
    """Whether a thread can compute a row that is a call-out in a whole graph."""
    sizes = [graph.types[i].size for i in (node, *graph.nodes[node].operands)]
    return graph.nodes[node].row.name in ALONE and 0 not in sizes
