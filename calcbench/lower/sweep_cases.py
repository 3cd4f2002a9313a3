"""What the kernels of the direct sweeps can do: one step per row, dtype and set of partials.

A step is made from the primitive table: the row's element text is its value, and the row's
partials, written for one node, are its derivative. Equal texts are one step, whatever their nodes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.activity import carries_tangent
from calcbench.graph.arraytype import ArrayType
from calcbench.graph.comparison import ORDERINGS, equal, select
from calcbench.graph.conventions import kink_convention
from calcbench.graph.elementwise import convert, multiply, negative, power, sqrt
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.kinks import abs_, maximum, relu
from calcbench.graph.lifting import Value
from calcbench.graph.linearisation import Linearised, Partials, Term
from calcbench.graph.nodes import Node
from calcbench.graph.structural import fill, full
from calcbench.lower.opcodes import ANY_FAMILY, DTYPES, Case, numbering
from calcbench.lower.texts import cast, element_text, literal_text


# Of operands and results by dtype: the kernels read those of their own dtype for all cases alike.
OPERANDS = {
    "float64": ("x", "y", "w"),
    "float32": ("hx", "hy", "hw"),
    "int64": ("nx", "ny", "nw"),
    "bool": ("bx", "by", "bw"),
}
RESULTS = {"float64": "r", "float32": "hr"}


class Share(NamedTuple):
    """What one operand adds to a tangent, or is passed of a cotangent.

    `partial` is a text, or None where it is `sign` alone; `mask` is the text of when it counts.
    """

    operand: int
    partial: str | None
    sign: int
    mask: str | None


class Step(NamedTuple):
    """One case of the kernels.

    Attributes
    ----------
    row : str
    operands, result : str
        Dtypes.
    value : str
        The element's text, from operands named as in `OPERANDS`.
    body : tuple of str
        Statements that compute partials and masks, from those and the value; numbers that are no
        operands have the operand names that are left.
    shares : tuple of Share
    """

    row: str
    operands: tuple[str, ...]
    result: str
    value: str
    body: tuple[str, ...] = ()
    shares: tuple[Share, ...] = ()

    @property
    def plain(self) -> Step:
        """The same without its derivative."""
        return self._replace(body=(), shares=())

    @property
    def is_masked(self) -> bool:
        """Whether a partial may be switched off."""
        return any(share.mask is not None for share in self.shares)


class Made(NamedTuple):
    """A step, and the numbers that its statements read."""

    step: Step
    numbers: tuple[Any, ...]


def operand_names(types: Sequence[ArrayType]) -> list[str]:
    """What the operands are called, by place and dtype."""
    return [OPERANDS[t.dtype.name][place] for place, t in enumerate(types)]


def value_text(
    node: Node,
    names: Sequence[str],
    types: Sequence[ArrayType],
    result: ArrayType,
    vectorised: bool,
) -> str:
    """The value of an elementwise node or a conversion."""
    if node.row is not convert:
        return element_text(node.row, dict(node.params), names, types, result, vectorised)
    return f"({names[0]} != 0)" if result.dtype.kind == "b" else cast(names[0], result.dtype)


class StepMaker:
    """The steps of the nodes of one graph."""

    def __init__(self, graph: Graph, vectorised: bool) -> None:
        self.graph, self.vectorised = graph, vectorised
        self._partials = Partials(graph)
        self._known: dict[Any, Made] = {}

    def of(self, index: int, active: tuple[bool, ...]) -> tuple[Made, frozenset[int]]:
        """The step of a node of which these operands vary, and what nodes its rule looked at."""
        graph, node = self.graph, self.graph.nodes[index]
        types = [graph.types[i] for i in node.operands]
        result = graph.types[index]
        text = value_text(node, operand_names(types), types, result, self.vectorised)
        step = Step(node.row.name, tuple(t.dtype.name for t in types), result.dtype.name, text)
        if not any(active):
            return Made(step, ()), frozenset()
        if node.row is convert:  # from floats to floats of the same dtype
            return Made(step._replace(shares=(Share(0, None, 1, None),)), ()), frozenset()
        found = self._partials.of(index, active)
        if not found.looked and len(set(node.operands)) < len(node.operands):
            return _alone(self, index).of(len(types), active)  # x * x is a case of x * y
        names = dict(zip(node.operands[::-1], operand_names(types)[::-1], strict=True))
        names[index] = RESULTS[result.dtype.name]
        body, numbers = self._statements(found, names, len(types))
        shares = tuple(_share(term, names) for term in found.terms)
        return Made(step._replace(body=body, shares=shares), numbers), found.looked

    def like(self, index: int, active: tuple[bool, ...]) -> Made:
        """As `of`, remembered for all nodes whose operands are computed alike."""
        operands = self.graph.nodes[index].operands
        key = (self.graph.nodes[index].row, active, self.graph.types[index], self._alike(operands))
        if key in self._known:
            return self._known[key]
        made, looked = self.of(index, active)
        if looked <= set(operands):
            self._known[key] = made
        return made

    def _alike(self, operands: tuple[int, ...]) -> tuple[Any, ...]:
        """The operands' rows, and which of their operands are the same."""
        nodes = [self.graph.nodes[i] for i in operands]
        flat = [*operands, *itertools.chain.from_iterable(n.operands for n in nodes)]
        numbers = {node: rank for rank, node in enumerate(dict.fromkeys(flat))}
        inner = tuple((n.row, n.params, tuple(numbers[i] for i in n.operands)) for n in nodes)
        return tuple(numbers[i] for i in operands), inner

    def _statements(
        self, found: Linearised, names: dict[int, str], arity: int
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """What the row's rule wrote, and numbers to read: those of a rule that looked around.

        Such numbers, as an exponent less one, are not written out: one case serves them all.
        """
        body: list[str] = []
        numbers: list[Any] = []
        for index in _wanted(found):
            node, kind = found.nodes[index], found.types[index]
            if node.row is not fill:
                names[index] = f"t{len(body)}"
                types = [found.types.get(i) or self.graph.types[i] for i in node.operands]
                operands = [names[i] for i in node.operands]
                text = value_text(node, operands, types, kind, self.vectorised)
                body.append(f"{names[index]} = {text}")
                continue
            value: Any = dict(node.params)["value"]
            place = arity + len(numbers)
            names[index] = literal_text(value)
            if found.looked and value.array != 0 and place < 3 and kind.dtype.name in OPERANDS:
                names[index] = OPERANDS[kind.dtype.name][place]
                numbers.append(value.array)
        return tuple(body), tuple(numbers)


def _alone(maker: StepMaker, index: int) -> StepMaker:
    """A maker for the node with inputs of their own as its operands."""
    node, types = maker.graph.nodes[index], maker.graph.types
    builder = Builder()
    operands = [builder.add_input(f"x{k}", types[i]) for k, i in enumerate(node.operands)]
    made = builder.add(node.row, tuple(operands), node.params)
    return StepMaker(builder.freeze([made]), maker.vectorised)


def _wanted(found: Linearised) -> list[int]:
    """The new nodes that a term needs, in order."""
    wanted = {i for term in found.terms for i in (term.partial, term.mask)}
    for index in sorted(found.nodes, reverse=True):
        if index in wanted:
            wanted.update(found.nodes[index].operands)
    return [index for index in sorted(found.nodes) if index in wanted]


def _share(term: Term, names: dict[int, str]) -> Share:
    partial = None if term.partial is None else names[term.partial]
    return Share(term.operand, partial, term.sign, None if term.mask is None else names[term.mask])


def must_know_active(row: Any) -> bool:
    """Whether the step depends on which operands vary.

    All others have one step with all partials: a case costs more than a product nobody wants. Not
    so a power, of which the logarithm would be computed for every constant exponent.
    """
    return "kink" in row.facts or row is power


# --- the steps that every kernel has --------------------------------------------------------------


@lru_cache(maxsize=16)
def standard_steps(family: int, is_full: bool, vectorised: bool) -> frozenset[Step]:
    """The steps of all rows on the floats of a family, with the slopes at kinks by default."""
    steps: set[Step] = set()
    with kink_convention("min-norm"):
        for case in numbering().cases:
            if case.family in (family, ANY_FAMILY) and (is_full or not case.is_rare):
                steps |= _steps_of(case, vectorised)
        for graph in _surrounded(DTYPES[family]):
            maker = StepMaker(graph, vectorised)
            index = graph.outputs[0]
            operands = graph.nodes[index].operands
            varied = [graph.types[i].is_float and graph.nodes[i].row is not fill for i in operands]
            steps |= {maker.of(index, active)[0].step for active in _choices(varied)}
    return frozenset(steps)


def _steps_of(case: Case, vectorised: bool) -> set[Step]:
    """The steps of a row on inputs that nothing is known of."""
    if case.params:
        return set()
    builder = Builder()
    types = [ArrayType((), dtype) for dtype in case.operands]
    operands = tuple(builder.add_input(f"x{i}", kind) for i, kind in enumerate(types))
    params = (("dtype", case.result),) if case.row is convert else ()
    index = builder.add(case.row, operands, params)
    maker = StepMaker(builder.freeze([index]), vectorised)
    carries = carries_tangent(builder.nodes[index], builder.types[index])
    varied = [carries and t.is_float for t in types]
    choices = _choices(varied) if must_know_active(case.row) else [tuple(varied)]
    return {maker.of(index, active)[0].step for active in choices}


def _choices(varied: Sequence[bool]) -> Iterator[tuple[bool, ...]]:
    """Every choice of operands among those that may vary."""
    return itertools.product(*[(False, True) if v else (False,) for v in varied])


def _surrounded(dtype: np.dtype) -> Iterator[Graph]:
    """Rows whose partials depend on what computes their operands."""
    kind = ArrayType((), dtype)
    for make in _SURROUNDINGS:
        builder = Builder()
        x = Value(builder, builder.add_input("x", kind))
        y = Value(builder, builder.add_input("y", kind))
        yield builder.freeze([make(x, y).id])


_SURROUNDINGS: tuple[Callable[[Value, Value], Value], ...] = (
    *[lambda x, y, n=n: power(x, full(x, n)) for n in (0.0, 0.5, 1.0, 2.0, 3.0)],
    lambda x, y: power(multiply(x, x), full(x, 0.5)),
    lambda x, y: power(full(x, 2.0), x),
    lambda x, y: sqrt(multiply(x, x)),
    lambda x, y: abs_(multiply(x, x)),
    lambda x, y: abs_(negative(multiply(x, x))),
    lambda x, y: relu(multiply(x, x)),
    lambda x, y: maximum(multiply(x, x), full(x, 0.0)),
    *[lambda x, y, row=row: select(row(x, y), x, y) for row in ORDERINGS],
    *[lambda x, y, row=row: select(row(x, y), y, x) for row in ORDERINGS],
    lambda x, y: select(equal(x, full(x, 1.0)), x, y),
)
