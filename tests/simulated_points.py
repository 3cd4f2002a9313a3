"""Run under NUMBA_ENABLE_CUDASIM=1: batches with one thread a point, against the interpreter.

Prints one JSON object: program -> what was wrong, or the events of its run.
"""

import itertools
import json
from collections import Counter

import numpy as np
from cases import CASES
from numba import cuda
from test_fused import program_graphs, same

import calcbench as cb
from calcbench import device_calls
from calcbench.graph.arraytype import FLOAT64, ArrayType
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder
from calcbench.graph.lifting import Value
from calcbench.graph.ordering import TIES, winner_share
from calcbench.graph.trees import leaves_of, map_leaves
from calcbench.lower import cuda_arrays
from calcbench.lower.cuda_arrays import is_on_device, on_host
from calcbench.lower.cuda_point_emission import misfit
from calcbench.lower.cuda_points import prepare_cuda_points
from calcbench.lower.cuda_runtime import Device


KINDS = ("value", "jvp", "vjp")
FEW, MANY = 3, 35  # with 2 * 16 threads, some threads run two points


def pair(x, y):
    return np.sin(x) * y, {"norm": np.sum(x * x)}


def chosen(x, i, y):
    return x[i] * y[i - 1] + np.max(x)


EXTRA = {
    "long sum": (lambda x: (np.sum(x * x), np.prod(x)), (np.linspace(0.9, 1.1, 600),)),
    "sums of columns": (lambda x: np.sum(x, axis=0), (np.linspace(-1, 2, 600).reshape(300, 2),)),
    "wide body": (
        cb.grad(lambda x: np.sum(np.log1p(np.exp(np.sin(x) * np.tanh(x))) ** 2 / (2 + np.cos(x)))),
        (np.linspace(-1, 2, 11),),
    ),
    "one entry": (lambda x: (x * 2.0, x, np.sum(x), x.reshape(())), (np.ones(1),)),
    "no entries": (lambda x: (np.sum(x), x * 2.0, x), (np.ones((0, 3)),)),
    "results twice": (lambda x: (x, np.sin(x), np.sin(x), x + 1.0), (np.ones(2),)),
    "single precision": (lambda x: np.sum(x * x) / x, (np.linspace(1, 2, 20, dtype=np.float32),)),
    "integers": (lambda x: (np.sum(x), x // 2, x % 3 == 0), (np.arange(9),)),
    "product": (lambda a, b: np.tanh(a @ b) @ a, (np.ones((3, 5)), np.ones((5, 3)))),
    "largest": (lambda x: (np.argmax(x, axis=0), np.argmin(x, axis=1)), (np.eye(3),)),
    "largest of ties": (cb.grad(lambda x: np.sum(np.max(x, axis=0) ** 2)), (np.ones((3, 2)),)),
    "smallest": (cb.grad(lambda x: np.min(x[::-1]) ** 2), (np.linspace(1, 2, 12),)),
    "chosen": (chosen, (np.linspace(0, 1, 4), 2, np.ones(4))),
    "repeated indices": (lambda x: x[np.array([0, 2, 2, 0])] ** 2, (np.ones(3),)),
}


def spread(values, count):
    """The values of so many points, no two alike; integers stay as they are."""
    found = []
    for value in map(np.asarray, values):
        scale = 1 + 1e-3 * np.arange(count).reshape(-1, *[1] * value.ndim)
        wide = np.broadcast_to(value, (count, *value.shape))
        found.append((wide * scale).astype(value.dtype) if value.dtype.kind == "f" else wide.copy())
    return found


def outcome(graph, values, count):
    """What the program did, or None if a thread cannot take it or there is no number."""
    if misfit(graph):
        return None
    wide = spread(values, count)
    try:
        wanted = [evaluate(graph, *[w[k] for w in wide]) for k in range(count)]
    except Exception:
        return None  # an index too large
    program = prepare_cuda_points(graph)
    got = program(wide, count)
    assert got.done.all()
    for place, i in enumerate(graph.outputs):
        whole = np.stack([np.asarray(w[place], graph.types[i].dtype) for w in wanted])
        same(np.asarray(got.values[place]), whole, 64, f"v{i}")
    return {"events": Counter(e.kind for e in program.events), "arena": program.text.entries}


def graphs():
    for c in CASES:
        for kind, (graph, values) in zip(KINDS, program_graphs(c), strict=False):
            yield f"{c.name} {kind}", graph, values, FEW
    for name, (function, arguments) in EXTRA.items():
        graph = cb.trace(function, *arguments)
        captured = [np.array([0, 2, 2, 0])] if len(graph.inputs) > len(arguments) else []
        yield name, graph, [*arguments, *captured], MANY


# --- batches of functions ------------------------------------------------------------------------


def branches(x):
    if x > 1:
        return x * x
    return np.exp(x) if x > 0 else -x


def masked(x):
    positive = x[x > 0]
    return np.sum(positive * positive) + np.dot(WEIGHTS, x)


WEIGHTS = np.array([1.0, -2.0, 3.0])
NORMAL = np.random.default_rng(0).normal(size=(40, 3))
# function, arguments, and how many paths the points take: one launch each.
BATCHES = {
    "branches": (branches, (np.linspace(-2, 3, 41),), 3),
    "masks": (cb.grad(masked), (NORMAL,), 8),
    "captured arrays": (lambda x: x * WEIGHTS, (NORMAL,), 1),
    "Jacobian": (cb.jacobian(pair, argnums=(0, 1)), (NORMAL, NORMAL + 1.0), 1),
    "positions": (lambda x, i: x[i] * 2.0, (NORMAL, np.arange(40) % 6 - 3), 1),
    "no points": (lambda x: (x, np.sum(x)), (np.zeros((0, 3)),), 0),
}


def batch(name):
    """The batch equals the function at each point; how often kernels were launched."""
    function, arguments, launches = BATCHES[name]
    compiled = cb.compile(function, engine="cuda")
    for _ in range(2):
        before = len(LAUNCHES)
        got = compiled.batch(*arguments)
        count = len(LAUNCHES) - before
        assert count == launches, f"{count} launches, not {launches}"
        compare(got, function, arguments)
    return {"launches": launches}


def compare(got, function, arguments):
    got = leaves_of(got)
    for k in range(len(arguments[0])):
        for a, b in zip(got, leaves_of(function(*[v[k] for v in arguments])), strict=True):
            np.testing.assert_allclose(a[k], b, rtol=1e-13, atol=1e-300)
    assert all(len(a) == len(arguments[0]) for a in got)


def refusals():
    """What goes wrong at one point is told as that point's, by the function's own error."""
    found = {}
    doubled = prepare_cuda_points(cb.trace(lambda x: x * 2.0, np.ones(3)))
    calls = {
        "outside": lambda: cb.compile(lambda x, i: x[i], engine="cuda").batch(
            NORMAL[:4], np.array([0, 1, 7, 9])
        ),
        "paths": lambda: cb.compile(branches, engine="cuda").batch(
            np.linspace(-2, 3, 9), max_paths=2
        ),
        "memory": lambda: cb.compile(np.sin, engine="cuda", memory_limit=100).batch(np.ones(99)),
        "dtype": lambda: doubled([cuda.to_device(np.arange(6).reshape(2, 3))], 2),
        "shape": lambda: doubled([cuda.to_device(np.ones((2, 4)))], 2),
        "called with strides": lambda: cb.compile(np.sin, engine="cuda")(
            cuda.to_device(np.ones((3, 2)).T)
        ),
        "called with half": lambda: cb.compile(np.sin, engine="cuda")(
            cuda.to_device(np.ones(3, np.float16))
        ),
        "graph of another shape": lambda: cb.compile(cb.trace(np.sin, NORMAL), engine="cuda")(
            cuda.to_device(np.ones(3))
        ),
        "strides": lambda: doubled([cuda.to_device(np.ones((3, 2)).T)], 2),
        "host": lambda: prepare_cuda_points(cb.trace(np.linalg.inv, np.eye(2))),
    }
    for name, call in calls.items():
        try:
            call()
            found[name] = ""
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found


def on_device():
    """Arrays of the device go in and come out without a copy."""
    program = prepare_cuda_points(cb.trace(lambda x: (x * 2.0, np.sum(x)), np.ones(3)))
    got = program([cuda.to_device(NORMAL)], len(NORMAL))
    np.testing.assert_array_equal(got.values[0].copy_to_host(), 2.0 * NORMAL)
    return [e.kind for e in program.events]


def batches_on_device():
    """Batches of arrays of the device: their results stay there, also of several paths."""
    for name, (function, arguments, _) in BATCHES.items():
        if len(arguments[0]):
            got = cb.compile(function, engine="cuda").batch(*map(cuda.to_device, arguments))
            assert all(is_on_device(leaf) for leaf in leaves_of(got)), name
            compare(map_leaves(on_host, got), function, arguments)
    matrices = np.stack([np.eye(2) * k for k in range(1, 4)])
    got = cb.compile(np.linalg.inv, engine="cuda").batch(cuda.to_device(matrices))
    compare(on_host(got), np.linalg.inv, [matrices])


def several(x, k):
    """Two paths; results that are inputs, constants, empty, or no arrays at all."""
    total = np.sum(x * k)
    shown = total if total > 1 else -total
    return {"sum": shown, "x": x, "ones": np.ones(2) * 3.0, "none": x[:0] * 2.0, "name": "several"}


CALLS = {
    "one result": (np.sin, (NORMAL,)),
    "numbers": (lambda x, y: x * y, (np.array(0.5), np.array(3.0))),
    "gradient": (cb.grad(lambda x: np.sum(x**3)), (NORMAL,)),
    "mixed": (several, (WEIGHTS, 2.0)),
    "another path": (several, (WEIGHTS, -2.0)),
    "masks": (cb.grad(masked), (NORMAL[0],)),
    "rows of the host": (np.linalg.inv, (np.eye(3) * 2.0,)),
}


def sent(leaf):
    return cuda.to_device(leaf) if isinstance(leaf, np.ndarray) else leaf


def check_call(got, function, arguments):
    """Every number is on the device, and is what the function computes."""
    for a, b in zip(leaves_of(got), leaves_of(function(*arguments)), strict=True):
        if isinstance(b, str):
            assert a == b
        else:
            assert is_on_device(a)
            assert tuple(a.shape) == np.shape(b)
            np.testing.assert_allclose(on_host(a), b, rtol=1e-13, atol=1e-300)


def calls_on_device():
    """Arrays of the device go into single calls and come out; a path copies them to record it."""
    for name, (function, arguments) in CALLS.items():
        compiled = cb.compile(function, engine="cuda")
        for _ in range(3):
            check_call(compiled(*map(sent, arguments)), function, arguments)
        assert all(not is_on_device(v) for v in leaves_of(compiled(*arguments))), name
    graph = cb.compile(cb.trace(np.sin, NORMAL), engine="cuda")
    check_call(graph(x0=sent(NORMAL)), np.sin, (NORMAL,))
    assert not is_on_device(graph(NORMAL))
    scaled = cb.compile(lambda x: x * 2.0, engine="cuda")
    return [*map(len, fetched(scaled))], [e.kind for e in events_of(scaled)]


def fetched(compiled, copy=cuda_arrays.on_host):
    """Per call the arrays that were copied to the host to be recorded."""
    found = []
    device_calls.on_host = lambda array: found[-1].append(array) or copy(array)
    for _ in range(3):
        found.append([])
        compiled(sent(NORMAL))
    device_calls.on_host = copy
    return found


def events_of(compiled):
    return compiled.last.built.runner.executable.events


def ties():
    """Weights in the largest and the smallest entry, for every convention, NaN and inf included."""
    x = np.random.default_rng(0).integers(0, 3, size=(9, 2, 3, 4)).astype(float)
    x[3, 0, 0, 0] = x[4, 1, 2, 3] = np.nan
    x[5] = np.inf
    conventions = itertools.product(((0,), (0, 2)), TIES.values(), (True, False))
    for axes, tie, largest in dict.fromkeys(conventions):
        builder = Builder()
        value = Value(builder, builder.add_input("x", ArrayType(x.shape[1:], FLOAT64)))
        share = winner_share(value, axes=axes, largest=largest, tie=tie)
        graph = builder.freeze([share.id])
        (got,) = prepare_cuda_points(graph)([x], len(x)).values
        np.testing.assert_array_equal(got, np.stack([evaluate(graph, p)[0] for p in x]))


LAUNCHES = []


def counted(launch=Device.launch):
    def run(self, function, kernel, arguments):
        LAUNCHES.append(kernel.name)
        launch(self, function, kernel, arguments)

    return run


def attempt(call, *arguments):
    try:
        return call(*arguments)
    except Exception as error:
        return {"wrong": f"{type(error).__name__}: {error}"[:500]}


def main():
    Device.launch = counted()
    programs = {name: attempt(outcome, g, v, n) for name, g, v, n in graphs()}
    batches = {name: attempt(batch, name) for name in BATCHES}
    found = {"programs": programs, "batches": batches}
    found |= {"refusals": refusals(), "device": attempt(on_device)}
    found |= {"device calls": attempt(calls_on_device)}
    found |= {"device batches": attempt(batches_on_device), "ties": attempt(ties)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
