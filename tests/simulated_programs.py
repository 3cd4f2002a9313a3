"""Run under NUMBA_ENABLE_CUDASIM=1: every sample program as CUDA kernels, against the interpreter.

Prints one JSON object: program and graph -> what was wrong, or "" and the counts of its events.
"""

import json
from collections import Counter

import numpy as np
from cases import CASES
from test_fused import program_graphs, same

import calcbench as cb
from calcbench.graph.interpreter import evaluate
from calcbench.lower.cuda_program import prepare_cuda


KINDS = ("value", "jvp", "vjp")
EXTRA = {
    "product": (lambda a, b: np.tanh(a @ b), (np.ones((19, 7)), np.ones((7, 23)))),
    "transposed": (lambda a, b: a.T @ b, (np.ones((7, 19)), np.ones((7, 23)))),
    "long sum": (lambda x: np.sum(x * x), (np.linspace(-1, 2, 1500),)),
    "sums of columns": (lambda x: np.sum(x, axis=0), (np.linspace(-1, 2, 1200).reshape(400, 3),)),
    "repeated indices": (lambda x: x[np.array([0, 2, 2, 0])], (np.ones(3),)),
    "no entries": (lambda x: (np.sum(x), x * 2.0), (np.ones((0, 3)),)),
}


def outcome(graph, values):
    """What is wrong with the program, and what it did."""
    try:
        wanted = evaluate(graph, *values)
    except Exception:
        return None  # no number: not positive definite, an index too large
    program = prepare_cuda(graph)
    got = program([np.asarray(v) for v in values])
    for a, b, i in zip(got, wanted, graph.outputs, strict=True):
        same(a, np.asarray(b, graph.types[i].dtype), 64, f"v{i}")
    kinds = [e.kind for e in program.events]
    return {"events": Counter(kinds), "kinds": kinds, "kernels": len(program.text.kernels)}


def main():
    found = {}
    graphs = [
        (f"{c.name} {k}", g, v)
        for c in CASES
        for k, (g, v) in zip(KINDS, program_graphs(c), strict=False)
    ]
    for name, (function, arguments) in EXTRA.items():
        graph = cb.trace(function, *arguments)
        graphs.append((name, graph, [*arguments, *captured(graph, arguments)]))
    for name, graph, values in graphs:
        try:
            found[name] = outcome(graph, values)
        except Exception as error:
            found[name] = {"wrong": f"{type(error).__name__}: {error}"[:500]}
    print(json.dumps(found))


def captured(graph, arguments):
    """Arrays that the function read from outside: here the positions."""
    return [np.array([0, 2, 2, 0])] if len(graph.inputs) > len(arguments) else []


if __name__ == "__main__":
    main()
