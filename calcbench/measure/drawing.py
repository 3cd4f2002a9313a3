"""The graph of a function, run forward and backward, as a picture and as text for terminals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import PathLike
from typing import Any

from calcbench.graph.arraytype import GraphError
from calcbench.graph.captions import formula, hint_of, name_of, shortened, shown
from calcbench.graph.control_checkpoints import without_regions
from calcbench.graph.drawing import Box, Look, boxes_svg
from calcbench.graph.ir import Graph, reachable
from calcbench.graph.lifting import Value
from calcbench.graph.markup import plain
from calcbench.measure.execution import Execution, execute
from calcbench.measure.recording import recorded_point
from calcbench.measure.tables import aligned
from calcbench.measure.writing import checked_path, write_whole
from calcbench.programs import Argnums


MOST_NODES = 200

WANTED = Look("differentiated input", "#fdf0d9", "#d55e00", "#222222", "none", 3)
ACTIVE = Look("value and cotangent", "#e3f0fa", "#0072b2", "#222222", "none", 2)
VALUE = Look("value alone: no cotangent needed", "#ffffff", "#888888", "#222222", "none", 1)
PRUNED = Look("pruned: no result needs it", "#f7f7f7", "#aaaaaa", "#777777", "4 3", 0)


@dataclass(frozen=True, repr=False)
class GraphDrawing:
    """A graph with what its nodes held; made by `draw_graph`.

    Attributes
    ----------
    title : str
    execution : Execution
        ``.values`` and ``.cotangents`` of all nodes of ``.graph``.
    """

    title: str
    execution: Execution

    def __repr__(self) -> str:
        return f"<drawing of {self.execution.graph!r}>"

    @property
    def svg(self) -> str:
        """The picture: layers by depth, operands above the nodes that read them."""
        run = self.execution
        boxes = [_box(run, i) for i in range(len(run.graph))]
        return boxes_svg(boxes, shortened(self.title, 80), seed_note(run))

    def _repr_svg_(self) -> str:
        return self.svg

    def __str__(self) -> str:
        head = ["node", "type", "value", "cotangent", "bytes"]
        rows = [_text_row(self.execution, label, i) for label, i in _tree(self.execution)]
        lines = aligned([head, *rows])
        return plain("\n".join([shortened(self.title, 80), *lines, seed_note(self.execution)]))


def draw_graph(
    function: Callable[..., Any] | Graph,
    *args: Any,
    argnums: Argnums | None = None,
    path: str | PathLike[str] | None = None,
    most_nodes: int = MOST_NODES,
) -> GraphDrawing:
    """Run a function forward and backward, and draw its graph with what every node held.

    Parameters
    ----------
    function : callable or Graph
        A function of arrays; or a graph, followed by the values of its inputs.
    *args : array_like, or nested tuples, lists and dicts of them
        The point.
    argnums : int or tuple of int, optional
        The arguments to differentiate; all that hold floats by default.
    path : path-like, optional
        A file ending in .svg to write the picture to, whole or not at all.
    most_nodes : int
        A larger graph is refused: nobody can read its picture.

    Returns
    -------
    GraphDrawing
        Printed, a tree for terminals; ``.svg`` is the picture, ``.execution.values`` and
        ``.execution.cotangents`` are what is drawn.

    Raises
    ------
    GraphError, ShapeError, DTypeError, DerivativeError, TraceError
        If the graph has too many nodes, or the function cannot be recorded or differentiated.
    PathError
        If the path does not end in .svg, or its folder is not there.

    Notes
    -----
    The cotangent (or adjoint) of a node is the derivative of the sum of all float results by its
    value: ``ct_i = sum of (dz/dx_i) ct_z`` over the nodes z that read it (Griewank & Walther 2008,
    section 3.2), computed by the reverse walk. The graph is drawn as it was recorded. Nodes that no
    result needs are pruned before the run: drawn dashed, with no value. Nodes over which no path
    leads from a differentiated input have a value and no cotangent.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> def f(x, w):
    ...     return np.dot(x, w) ** 2
    >>> print(cb.draw_graph(f, np.array([1.0, 2.0]), np.array([3.0, 4.0]), argnums=1))
    f
    node                        type   value  cotangent  bytes
    v3 = square v2             f64[]     121          1      8
    └─ v2 = matmul x w         f64[]      11         22      8
       ├─ x                   f64[2]  [1, 2]          -     16
       └─ w (differentiated)  f64[2]  [3, 4]   [22, 44]     16
    a cotangent is the derivative of the result by the node's value
    """
    place = None if path is None else checked_path(path, (".svg",))
    _check_most(most_nodes)
    if isinstance(function, Graph) and argnums is not None:
        raise GraphError(
            f"all float inputs of a graph are differentiated: pass it without {argnums=}"
        )
    point = recorded_point("draw_graph", function, args, argnums)
    point = point._replace(graph=without_regions(point.graph))
    if any(isinstance(v, Value) for v in point.inputs):
        raise GraphError("draw_graph runs the function, and cannot while it is being traced")
    if len(point.graph) > most_nodes:
        raise GraphError(
            f"the graph has {len(point.graph)} nodes, of which no picture can be read: a smaller "
            f"problem has the same structure; or pass most_nodes={len(point.graph)}; cost(f, ...) "
            "counts graphs of any size"
        )
    drawn = GraphDrawing(_title(function), execute(point))
    if place is not None:
        write_whole(place, drawn.svg.encode("utf-8"))
    return drawn


def _check_most(most_nodes: object) -> None:
    if isinstance(most_nodes, bool) or not isinstance(most_nodes, int) or most_nodes < 1:
        raise GraphError(f"most_nodes is a whole number from 1, got {most_nodes!r:.60}")


def _title(function: Any) -> str:
    return "graph" if isinstance(function, Graph) else getattr(function, "__name__", "graph")


def seed_note(run: Execution) -> str:
    """What the cotangents are derivatives of."""
    types = [run.graph.types[i] for i in run.graph.outputs if run.graph.types[i].is_float]
    alone = len(types) == 1 and types[0].shape == ()
    of = "the result" if alone else "the sum of all entries of the float results"
    return f"a cotangent is the derivative of {of} by the node's value"


# --- boxes ---------------------------------------------------------------------------------------


def look_of(run: Execution, index: int) -> Look:
    """Whether a node is differentiated, has a value alone, or was not computed."""
    if index in run.wanted:
        return WANTED
    if not run.is_computed(index):
        return PRUNED
    return VALUE if run.cotangents[index] is None else ACTIVE


def _box(run: Execution, index: int) -> Box:
    graph, look = run.graph, look_of(run, index)
    lines = [formula(graph, index), f"{graph.types[index]}, {run.size(index)} bytes"]
    if run.is_computed(index):
        lines.append(f"value {shown(run.values[index])}")
    if run.cotangents[index] is not None:
        lines.append(f"cotangent {shown(run.cotangents[index])}")
    texts, is_result = tuple(map(shortened, lines)), index in graph.outputs
    return Box(texts, graph.nodes[index].operands, look, hint_of(graph, index), is_result)


# --- a tree --------------------------------------------------------------------------------------


def _tree(run: Execution) -> Iterator[tuple[str, int | None]]:
    """Lines of the tree under each result, then of what was pruned; None for what stood above."""
    graph = run.graph
    seen: set[int] = set()
    pending = [(i, "", "") for i in reversed(_roots(graph))]
    while pending:
        index, lead, branch = pending.pop()
        node = graph.nodes[index]
        if index in seen and node.operands:
            yield f"{lead}{branch}{name_of(graph, index)} (above)", None
            continue
        seen.add(index)
        yield f"{lead}{branch}{shortened(formula(graph, index))}{_remark(run, index)}", index
        lead += {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
        operands = list(dict.fromkeys(node.operands))
        branches = ["├─ "] * (len(operands) - 1) + ["└─ "]
        pairs = list(zip(operands, branches, strict=False))
        pending += [(operand, lead, mark) for operand, mark in reversed(pairs)]


def _roots(graph: Graph) -> list[int]:
    """The results, what guards test, and, last, all that nobody reads."""
    roots = list(dict.fromkeys([*graph.outputs, *(g.node for g in graph.guards)]))
    covered = frozenset(reachable(graph.nodes, roots))
    read = {i for node in graph.nodes for i in node.operands}
    return roots + [i for i in range(len(graph)) if i not in read and i not in covered]


def _remark(run: Execution, index: int) -> str:
    if index in run.wanted:
        return " (differentiated)"
    return "" if run.is_computed(index) else " (pruned)"


def _text_row(run: Execution, label: str, index: int | None) -> list[str]:
    if index is None:
        return [label]
    value = shown(run.values[index]) if run.is_computed(index) else "-"
    cotangent, size = _cotangent(run, index), str(run.size(index))
    return [label, str(run.graph.types[index]), value, cotangent, size]


def _cotangent(run: Execution, index: int) -> str:
    found = run.cotangents[index]
    return "-" if found is None else shown(found)
