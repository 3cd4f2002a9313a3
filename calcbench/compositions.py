"""The graphs behind the derivatives: compositions of the two modes, made into programs."""

from __future__ import annotations

from collections.abc import Sequence

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.arraytype import DerivativeError
from calcbench.graph.ir import Graph
from calcbench.measure.predicting import predict_sweeps
from calcbench.programs import Program, float_outputs, seeded, with_outputs
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
    return Program(jvp_graph(graph, wrt), len(wrt))


def pulled(graph: Graph, wrt: tuple[int, ...]) -> Program:
    """(x, ct_y) -> (y, ct_x)."""
    return Program(vjp_graph(graph, wrt), sum(float_outputs(graph)))


def hessian_product(graph: Graph, wrt: tuple[int, ...]) -> Program:
    """Forward over reverse: the tangent of the gradient."""
    both = jvp_graph(gradient(graph, wrt).graph, wrt)
    return Program(with_outputs(both, range(len(wrt), 2 * len(wrt))), len(wrt))


class ReverseProgram(Program):
    """A program whose seeds are cotangents."""


def jacobian_program(graph: Graph, wrt: tuple[int, ...], mode: str) -> Program:
    """A forward program (one seed per wanted input) or a reverse one (one per output)."""
    if not all(float_outputs(graph)):
        shown = ", ".join(str(graph.types[i]) for i in graph.outputs)
        raise DerivativeError(f"jacobian needs float results, got ({shown})")
    forward = _is_forward_cheaper(graph, wrt) if mode == "auto" else mode == "forward"
    count = len(graph.outputs)
    if forward:
        both = jvp_graph(graph, wrt)
        return Program(with_outputs(both, range(count, 2 * count)), len(wrt))
    both = vjp_graph(graph, wrt)
    return ReverseProgram(with_outputs(both, range(count, count + len(wrt))), count)


def _is_forward_cheaper(graph: Graph, wrt: tuple[int, ...]) -> bool:
    """By predicted operations of all sweeps; forward, which keeps no values, if they are equal."""
    n = _entries(graph, [graph.inputs[p] for p in wrt])
    forward, reverse = predict_sweeps(graph, wrt)
    return forward.total(n) <= reverse.total(_entries(graph, graph.outputs))


def _entries(graph: Graph, nodes: Sequence[int]) -> int:
    return sum(int(graph.types[i].size) for i in nodes)


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
