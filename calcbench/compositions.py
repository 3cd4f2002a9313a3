"""The graphs behind the derivatives: compositions of the two modes, made into programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from calcbench.forward_mode.interleaving import interleaved_jvp
from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.arraytype import DerivativeError
from calcbench.graph.ir import Graph
from calcbench.graph.rewriting import simplify
from calcbench.measure.mode_predictions import Modes, predict_modes
from calcbench.mixed_mode.blocks import jacobian_by_elimination
from calcbench.mixed_mode.parts import holds_exceptions, jacobian_by_parts
from calcbench.programs import Program, Session, float_outputs, seeded, with_outputs
from calcbench.reverse_mode.pullback import vjp_graph


def recorded(graph: Graph, wrt: tuple[int, ...]) -> Program:
    """The graph as it is."""
    return Program(graph)


def gradient_graph(graph: Graph, wrt: tuple[int, ...]) -> Graph:
    """x -> (y, dy/dx) of a scalar y."""
    types = [graph.types[i] for i in graph.outputs]
    if len(types) != 1 or types[0].shape != () or not types[0].is_float:
        raise DerivativeError(
            f"a gradient or Hessian needs a function with one scalar float result, got "
            f"({', '.join(map(str, types))}); sum the result (np.sum), pick an entry (y[0]), "
            "or use jacobian, or vjp with a cotangent"
        )
    return seeded(vjp_graph(graph, wrt), 1)


def gradient(graph: Graph, wrt: tuple[int, ...]) -> Program:
    """x -> dy/dx."""
    both = gradient_graph(graph, wrt)
    return Program(with_outputs(both, range(1, len(both.outputs))))


def value_and_gradient(graph: Graph, wrt: tuple[int, ...]) -> Program:
    """x -> (y, dy/dx)."""
    return Program(gradient_graph(graph, wrt))


def pushed(graph: Graph, wrt: tuple[int, ...]) -> Program:
    """(x, dx) -> (y, dy)."""
    return Program(interleaved_jvp(graph, wrt), len(wrt))


def pulled(graph: Graph, wrt: tuple[int, ...]) -> Program:
    """(x, ct_y) -> (y, ct_x)."""
    return Program(vjp_graph(graph, wrt), sum(float_outputs(graph)))


def hessian_product(graph: Graph, wrt: tuple[int, ...]) -> Program:
    """Forward over reverse: the tangent of the gradient."""
    both = jvp_graph(gradient(graph, wrt).graph, wrt)
    return Program(with_outputs(both, range(len(wrt), 2 * len(wrt))), len(wrt))


class ReverseProgram(Program):
    """A program whose seeds are cotangents."""


class MixedProgram(Program):
    """A program without seeds: its outputs are the blocks of a Jacobian, result by result.

    `plain` is the same Jacobian by sweeps, which are given what is not finite here: a product of
    matrices can turn the zero of a branch not taken into NaN where the other factor is infinite.
    It is None where that cannot be. Guards are checked by the product.
    """

    def __init__(self, graph: Graph, plain: Program | None) -> None:
        super().__init__(graph)
        self.plain = plain

    def start(self, inputs: Sequence[Any]) -> Session:
        """The blocks, or where they are not finite a session of the sweeps."""
        session = super().start(inputs)
        if self.plain is None or session.state is None or self._is_finite(session.state):
            return session
        return self.plain.start(inputs)

    def _is_finite(self, state: Sequence[Any]) -> bool:
        return all(np.all(np.isfinite(state[i])) for i in self.graph.outputs)


def jacobian_program(graph: Graph, wrt: tuple[int, ...], mode: str) -> Program:
    """A forward program (one seed per wanted input), a reverse one (one per output) or a mixed one.

    Mixed mode without a narrow cut is the better of the others.
    """
    if not all(float_outputs(graph)):
        shown = ", ".join(str(graph.types[i]) for i in graph.outputs)
        raise DerivativeError(f"jacobian needs float results, got ({shown})")
    if mode in ("forward", "reverse"):
        return _swept(graph, wrt, mode)
    graph = simplify(graph)
    found = predict_modes(graph, wrt)
    if "mixed" not in found.totals or "mixed" not in (mode, found.mode):
        return _swept(graph, wrt, found.mode)
    product = _product(graph, wrt, found)
    if not holds_exceptions(graph, wrt):
        return MixedProgram(product, None)
    unguarded, mode = replace(graph, guards=()), found._replace(cut=None, elimination=None).mode
    return MixedProgram(product, _swept(unguarded, wrt, mode))


def _product(graph: Graph, wrt: tuple[int, ...], found: Modes) -> Graph:
    """The blocks of mixed mode, over a cut or by elimination."""
    if found.elimination is not None:
        return jacobian_by_elimination(graph, wrt, found.elimination.order)
    assert found.cut is not None
    return jacobian_by_parts(graph, wrt, found.cut.nodes)


def _swept(graph: Graph, wrt: tuple[int, ...], mode: str) -> Program:
    count = len(graph.outputs)
    if mode == "forward":
        both = interleaved_jvp(graph, wrt)
        return Program(with_outputs(both, range(count, 2 * count)), len(wrt))
    both = vjp_graph(graph, wrt)
    return ReverseProgram(with_outputs(both, range(count, count + len(wrt))), count)


def nth_derivative(graph: Graph, wrt: tuple[int, ...], n: int) -> Program:
    """x -> the n-th derivative at x, forward mode over itself."""
    if len(wrt) != 1 or graph.types[graph.inputs[wrt[0]]].shape != ():
        shown = ", ".join(str(graph.types[graph.inputs[p]]) for p in wrt)
        raise DerivativeError(
            f"derivative needs one scalar argument, got {shown}; use jacobian, hessian or jvp"
        )
    if not all(float_outputs(graph)):
        raise DerivativeError("derivative needs float results; integers carry no tangent")
    count = len(graph.outputs)
    for _ in range(n):
        graph = with_outputs(seeded(jvp_graph(graph, wrt), 1), range(count, 2 * count))
    return Program(graph)
