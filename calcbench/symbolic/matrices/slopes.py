"""The derivative of an expression on named dimensions: differential, read off, certified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.arraytype import GraphError
from calcbench.graph.ir import Graph
from calcbench.reverse_mode.pullback import vjp_graph
from calcbench.symbolic.matrices.algebra import bind, factor, opened, plus, times
from calcbench.symbolic.matrices.indexed import (
    Delta,
    Factor,
    Index,
    Symbol,
    Tensor,
    Term,
    fresh,
)
from calcbench.symbolic.matrices.reading import read_graph


@dataclass(frozen=True)
class Slope:
    """A derivative in index notation: slots of y, then those of x (twice for order 2)."""

    tensor: Tensor
    y_ndim: int


def slope_of(graph: Graph, position: int, structures: Mapping[str, str], order: int) -> Slope:
    """The derivative of the only output by input `position`, by all entries of it.

    A scalar is differentiated in reverse, which leaves products as people write them; others by
    their differential dy, linear in dx, of which the factor at dx is read off.
    """
    if len(graph.outputs) != 1:
        raise GraphError(f"matrix calculus takes one result, got {len(graph.outputs)}")
    y_ndim = graph.types[graph.outputs[0]].ndim
    if order == 2 and y_ndim:
        raise GraphError(
            f"order=2 takes an expression with a scalar value, got {graph.types[graph.outputs[0]]}"
        )
    if y_ndim:
        return Slope(_read_off(jvp_graph(graph, [position]), position, structures, None), y_ndim)
    gradient = vjp_graph(graph, [position])
    unit = gradient.input_names[-1]
    if order == 1:
        return Slope(read_graph(gradient, structures, unit)[-1], 0)
    only = Graph(
        gradient.nodes, gradient.types, gradient.inputs, gradient.outputs[-1:], (), gradient.origins
    )
    return Slope(_read_off(jvp_graph(only, [position]), position, structures, unit), 0)


def _read_off(
    pushed: Graph, position: int, structures: Mapping[str, str], unit: str | None
) -> Tensor:
    """What multiplies the tangent input (the last) in the tangent output (the last)."""
    tangent = pushed.input_names[-1]
    total = read_graph(pushed, structures, unit)[-1]
    wanted = tuple(fresh(i) for i in pushed.types[pushed.inputs[-1]].shape)
    terms = [t for term in total.terms for t in opened(term, lambda f: _holds(f, tangent))]
    taken = [_taken_out(t, tangent, wanted) for t in terms]
    return Tensor((*total.slots, *wanted), plus(*taken))


def _holds(f: Factor, name: str) -> bool:
    return name in f.base.names


def _taken_out(term: Term, name: str, wanted: tuple[Index, ...]) -> tuple[Term, ...]:
    """The term with its dx replaced by deltas that set the indices of dx to those wanted."""
    found = [f for f in term.factors if _holds(f, name)]
    if len(found) != 1 or not isinstance(found[0].base, Symbol) or found[0].exponent != 1:
        raise GraphError(
            "the differential is not linear in its tangent: this is an error of calcbench, please "
            "report the expression"
        )
    rest = tuple(f for f in term.factors if f is not found[0])
    deltas = [factor(Delta(), old, new) for old, new in zip(found[0].indices, wanted, strict=True)]
    inner = (Term(term.coefficient, rest),)
    return bind(times(*deltas, inner), tuple(term.bound)) if deltas else _scalar(term, rest)


def _scalar(term: Term, rest: tuple[Factor, ...]) -> tuple[Term, ...]:
    return bind((Term(term.coefficient, rest),), tuple(term.bound))
