"""SymPy expressions as graphs: `from_sympy`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp

from calcbench.graph import dispatch  # noqa: F401 - gives values their operators
from calcbench.graph.arraytype import BOOL, ArrayType, DTypeError, GraphError, array_type
from calcbench.graph.elementwise import divide, negative
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.graph.nodes import Literal
from calcbench.graph.primitive import find_primitive
from calcbench.graph.rewriting import simplify
from calcbench.graph.structural import concatenate, fill, reshape, slice_
from calcbench.symbolic.patterns import recognised
from calcbench.symbolic.row_rules import RULES, polygamma_row, power_row


MOST_PARTS = 100_000


def from_sympy(expression: Any) -> Graph:
    """The graph that computes a SymPy expression, or an array of them.

    Parameters
    ----------
    expression : Expr, Boolean, Matrix, NDimArray, nested list or object array
        Of real symbols; an entry of an ``IndexedBase`` with a shape is an entry of an array input.

    Returns
    -------
    Graph
        Its inputs are the names in the expression, sorted. Parts that SymPy shares, or that are
        equal, are one node.

    Raises
    ------
    GraphError
        If a function has no row in the primitive table, a symbol stands for no real number, or
        the expression has more than 100000 parts.

    Notes
    -----
    Numbers become the nearest float64. ``exp(x) - 1``, ``log(1 + x)``, ``log(1 + exp(x))``,
    ``1/(1 + exp(-x))`` and ``sqrt(x**2 + y**2)`` become the rows that compute them without
    cancellation or overflow.

    Examples
    --------
    >>> import calcbench as cb
    >>> import sympy as sp
    >>> x = sp.Symbol("x")
    >>> print(cb.from_sympy(sp.exp(x) - 1))
    graph (x: f64[]) -> (f64[])
      v0 = input [name=x] : f64[]
      v1 = expm1 v0 : f64[]
      return v1
    """
    parts = _array_of(expression)
    order = _in_order(parts.flat)
    writer = _GraphWriter(order)
    for part in order:
        writer.write(part)
    values = [writer.values[part] for part in parts.flat]
    output = values[0] if not parts.shape else _stacked(values, parts.shape)
    return simplify(writer.builder.freeze([output.id]))


def _array_of(expression: Any) -> np.ndarray:
    if isinstance(expression, sp.MatrixBase | sp.NDimArray):
        expression = expression.tolist()
    parts = np.array(expression, dtype=object)
    for part in parts.flat:
        if not isinstance(part, sp.Basic):
            raise DTypeError(
                f"from_sympy takes SymPy expressions, got {part!r:.60} of type "
                f"{type(part).__name__}; a text is read by calcbench.parse"
            )
    if not parts.size:
        raise GraphError("from_sympy takes at least one expression, got none")
    return parts


def _in_order(roots: Any) -> list[Any]:
    """The parts of the expressions, each once, after its operands; without recursion."""
    found: dict[Any, None] = {}
    waiting = list(roots)[::-1]
    while waiting:
        part = waiting[-1]
        missing = [] if part in found else [p for p in _operands(part) if p not in found]
        if missing:
            waiting += missing[::-1]
            continue
        found[part] = None
        waiting.pop()
        if len(found) > MOST_PARTS:
            raise GraphError(f"the expression has more than {MOST_PARTS} different parts")
    return list(found)


def _operands(part: Any) -> list[Any]:
    if isinstance(part, sp.Indexed) or not part.args:
        return []
    known = recognised(part)
    if known is not None:
        return known[1]
    if isinstance(part, sp.Piecewise):
        return [p for pair in part.args for p in (pair.expr, pair.cond)]
    if isinstance(part, sp.Pow) and _is_reciprocal(part):
        return [part.base]
    if isinstance(part, sp.Mul):
        return [a.base if _is_reciprocal(a) else a for a in part.args if a is not sp.S.NegativeOne]
    name = type(part).__name__
    if name == "polygamma":
        return [part.args[1]]
    if name not in RULES and not isinstance(part, sp.Pow):
        raise GraphError(
            f"{name} in {part!s:.80} has no row in the primitive table, so no graph computes it"
        )
    return list(part.args)


def _is_reciprocal(part: Any) -> bool:
    return isinstance(part, sp.Pow) and part.exp is sp.S.NegativeOne and recognised(part) is None


class _GraphWriter:
    """Writes the parts of expressions as nodes; every part's operands come before it."""

    def __init__(self, order: Sequence[Any]) -> None:
        self.builder = Builder()
        self.values: dict[Any, Value] = {}
        truths = {s for part in order for s in _truth_symbols(part)}
        for name, kind in sorted(_inputs(order, truths).items()):
            self.builder.add_input(name, kind)

    def write(self, part: Any) -> None:
        """The node of one part."""
        known = recognised(part)
        if known is not None:
            row = find_primitive(known[0].row)
            operands = [self.values[p] for p in known[1]]
            self.values[part] = row(*operands, **dict(known[0].params))
        else:
            self.values[part] = self._value(part)

    def _value(self, part: Any) -> Any:
        if isinstance(part, sp.Symbol):
            return self._input(part.name)
        if isinstance(part, sp.Indexed):
            return self._entry(part)
        if not part.args:
            return self.number(_as_float(part))
        if isinstance(part, sp.Mul):
            return self._product(part)
        operands = [self.values[p] for p in _operands(part)]
        if isinstance(part, sp.Pow):
            return power_row(part, operands)
        name = type(part).__name__
        if name == "polygamma":
            return polygamma_row(part.args[0], operands[0])
        return RULES[name](self.number, *operands)

    def number(self, value: Any) -> Value:
        """A constant."""
        dtype = BOOL if isinstance(value, bool) else np.dtype(np.float64)
        params = (("shape", ()), ("value", Literal.of(value, dtype)))
        return Value(self.builder, self.builder.add(fill, (), params))

    def _input(self, name: str) -> Value:
        found = [i for i in self.builder.inputs if _name(self.builder, i) == name]
        return Value(self.builder, found[0])

    def _entry(self, part: Any) -> Value:
        array = self._input(part.base.label.name)
        starts = tuple(int(i) for i in part.indices)
        stops = tuple(i + 1 for i in starts)
        entry = slice_(array, starts=starts, stops=stops, steps=(1,) * len(starts))
        return reshape(entry, shape=())  # type: ignore[no-any-return]

    def _product(self, part: Any) -> Value:
        """x / y for x * y**-1 and -x for -1 * x, as rows that round once."""
        top: Value | None = None
        for factor in part.args:
            if factor is sp.S.NegativeOne or _is_reciprocal(factor):
                continue
            value = self.values[factor]
            top = value if top is None else top * value
        for factor in part.args:
            if _is_reciprocal(factor):
                top = divide(self.number(1.0) if top is None else top, self.values[factor.base])
        top = self.number(1.0) if top is None else top
        odd = sum(factor is sp.S.NegativeOne for factor in part.args) % 2
        return negative(top) if odd else top


def _name(builder: Builder, index: int) -> Any:
    return dict(builder.nodes[index].params)["name"]


def _truth_symbols(part: Any) -> list[Any]:
    """The symbols that `part` uses as truth values."""
    if isinstance(part, sp.Piecewise):
        return [pair.cond for pair in part.args if isinstance(pair.cond, sp.Symbol)]
    logical = isinstance(part, sp.And | sp.Or | sp.Not | sp.Xor)
    return [a for a in part.args if isinstance(a, sp.Symbol)] if logical else []


def _inputs(order: Sequence[Any], truths: set[Any]) -> Mapping[str, ArrayType]:
    kinds: dict[str, ArrayType] = {}
    for part in order:
        if isinstance(part, sp.Symbol):
            if part.is_real is False or part.is_commutative is False:
                raise GraphError(f"the symbol {part} stands for no real number")
            kind = array_type((), bool if part in truths else float)
            name = part.name
        elif isinstance(part, sp.Indexed):
            name, kind = part.base.label.name, array_type(_shape(part), float)
        else:
            continue
        if kinds.setdefault(name, kind) != kind:
            raise GraphError(f"{name!r} is used as {kinds[name]} and as {kind}")
    return kinds


def _shape(part: Any) -> tuple[int, ...]:
    shape = part.base.shape
    whole = shape is not None and all(isinstance(n, sp.Integer) for n in shape)
    if not whole or not all(isinstance(i, sp.Integer) for i in part.indices):
        raise GraphError(
            f"{part} needs a shape and indices that are numbers, as in "
            "IndexedBase('x', shape=(3,))[0]"
        )
    sizes = tuple(int(n) for n in shape)
    if len(sizes) != len(part.indices) or any(
        not 0 <= int(i) < n for i, n in zip(part.indices, sizes, strict=True)
    ):
        raise GraphError(f"{part} lies outside of the shape {sizes}")
    return sizes


def _as_float(number: Any) -> Any:
    if number is sp.true or number is sp.false:
        return number is sp.true
    if number is sp.nan:
        return float("nan")
    if not isinstance(number, sp.Expr) or number.is_extended_real is not True:
        raise GraphError(f"{number} is no real number")
    if isinstance(number, sp.Rational):
        return int(number.p) / int(number.q)
    return float(number)


def _stacked(values: Sequence[Value], shape: tuple[int, ...]) -> Any:
    return reshape(concatenate(*[reshape(v, shape=(1,)) for v in values], axis=0), shape=shape)
