"""calcbench: is a gradient right, where is it wrong, what is it exactly, and what does it cost?"""

from __future__ import annotations

from importlib import import_module
from typing import Any


__version__ = "0.1.0.dev0"

# Public name -> module that defines it. Names load on first use (PEP 562), so that importing the
# package needs NumPy alone.
_EXPORTS = {
    "ArrayType": "calcbench.graph.arraytype",
    "CalcbenchError": "calcbench.graph.arraytype",
    "DTypeError": "calcbench.graph.arraytype",
    "DerivativeError": "calcbench.graph.arraytype",
    "Dim": "calcbench.graph.arraytype",
    "EngineError": "calcbench.lower.compiler",
    "Graph": "calcbench.graph.ir",
    "GraphError": "calcbench.graph.arraytype",
    "ParseError": "calcbench.symbolic.text.parse_errors",
    "ShapeError": "calcbench.graph.arraytype",
    "TextShapeError": "calcbench.symbolic.text.parse_errors",
    "TraceError": "calcbench.graph.arraytype",
    "as_graph": "calcbench.graph.explicit",
    "check_answer": "calcbench.symbolic.derivations.answers",
    "check_chain": "calcbench.symbolic.chains",
    "checkpoint": "calcbench.reverse_mode.checkpointing",
    "compare_modes": "calcbench.workbench",
    "compile": "calcbench.compilation",
    "cond": "calcbench.graph.control",
    "cost": "calcbench.measure.reporting",
    "cuda_report": "calcbench.cuda_reporting",
    "derivative": "calcbench.derivatives",
    "derivative_shape": "calcbench.symbolic.layouts",
    "detach": "calcbench.functions",
    "diff": "calcbench.symbolic.derivations.derivation",
    "digamma": "calcbench.functions",
    "directional": "calcbench.forward_mode.onesided",
    "draw_graph": "calcbench.measure.drawing",
    "erf": "calcbench.functions",
    "erfc": "calcbench.functions",
    "explain_directions": "calcbench.lane_choices",
    "explain_mode": "calcbench.measure.choosing",
    "forward_sweep": "calcbench.sweeps",
    "from_sympy": "calcbench.symbolic.expressions",
    "grad": "calcbench.derivatives",
    "graph_from_json": "calcbench.graph.serialisation",
    "graph_to_json": "calcbench.graph.serialisation",
    "hessian": "calcbench.jacobians",
    "hmp": "calcbench.matrix_products",
    "hvp": "calcbench.products",
    "in_layout": "calcbench.symbolic.layouts",
    "jacfwd": "calcbench.jacobians",
    "jacobian": "calcbench.jacobians",
    "jacrev": "calcbench.jacobians",
    "jmp": "calcbench.matrix_products",
    "jvp": "calcbench.products",
    "jvp_graph": "calcbench.forward_mode.pushforward",
    "kink_convention": "calcbench.graph.conventions",
    "kink_report": "calcbench.nonsmooth.kink_reporting",
    "lexicographic": "calcbench.forward_mode.onesided",
    "lgamma": "calcbench.functions",
    "logsumexp": "calcbench.functions",
    "parse": "calcbench.symbolic.text.grammar",
    "reference": "calcbench.symbolic.references.oracle",
    "relu": "calcbench.functions",
    "matrix_diff": "calcbench.symbolic.matrices.calculus",
    "mjp": "calcbench.matrix_products",
    "reverse_sweep": "calcbench.sweeps",
    "shape_table": "calcbench.symbolic.layouts",
    "scan": "calcbench.graph.control",
    "sigmoid": "calcbench.functions",
    "softmax": "calcbench.functions",
    "softplus": "calcbench.functions",
    "steps": "calcbench.symbolic.derivations.derivation",
    "sweep": "calcbench.growth",
    "to_sympy": "calcbench.symbolic.bridge",
    "subdifferential": "calcbench.subgradients",
    "trace": "calcbench.derivatives",
    "value_and_grad": "calcbench.derivatives",
    "var": "calcbench.graph.explicit",
    "verify": "calcbench.verification.check",
    "vjp": "calcbench.products",
    "vjp_graph": "calcbench.reverse_mode.pullback",
    "while_loop": "calcbench.graph.control",
}
_MODULES = ("subgradients", "testing")

__all__ = sorted([*_EXPORTS, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"calcbench.{name}")
    if name not in _EXPORTS:
        raise AttributeError(f"module 'calcbench' has no attribute {name!r}")
    value = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
