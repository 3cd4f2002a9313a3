"""Run under NUMBA_ENABLE_CUDASIM=1: the direct sweeps of many points, against transforms.

Prints one JSON object: program and mode -> what was wrong, or the events of its run.
"""

import json

import numpy as np
from cases import CASES
from numba import cuda
from simulated_points import FEW, MANY, branches, spread
from test_fused import same

import calcbench as cb
from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.evaluation import GuardMiss, Plan
from calcbench.graph.trees import leaves_of, map_leaves
from calcbench.lower.cuda_arrays import is_on_device, on_host
from calcbench.lower.cuda_sweeps import prepare_cuda_forward, prepare_cuda_reverse
from calcbench.lower.sweep_kinds import is_straight
from calcbench.reverse_mode.pullback import vjp_graph


DIRECTIONS = 2


def mixed(x, y, n, flag):
    kinked = cb.relu(x - y) + np.abs(y) * n
    return np.where(flag, x * y, kinked), np.stack([x, y, 2.0]), n + 1, x > y


def narrow(x, y):
    return np.sin(x) * y + np.exp(x * y) / y, x


def untouched(x, y):
    """x**0 has no tangent, and takes the slot of sin(x) or cos(y), where one was."""
    return np.sin(x) * np.cos(y), x**0


def switched(x):
    return np.where(x > 0.5, np.sqrt(np.abs(x - 0.5)), 0.0 * x)


EXTRA = {
    "mixed dtypes": (mixed, (0.3, 0.4, 2, True), MANY),
    "single precision": (narrow, (np.float32(0.3), np.float32(0.7)), MANY),
    "leaves the path": (branches, (0.9995,), MANY),
    "switched off": (switched, (0.5,), FEW),
    "no tangent": (untouched, (0.5, 0.6), FEW),
    "no dependence": (lambda x, y: (x * 2.0, np.floor(y)), (0.5, 0.6), FEW),
}


def programs():
    for c in CASES:
        values = [np.asarray(v)[()] for v in leaves_of(c.arguments)]
        graph = cb.trace(c.function, *c.arguments)
        if len(values) == len(graph.inputs):
            yield c.name, graph, values, FEW
    for name, (function, arguments, count) in EXTRA.items():
        yield name, cb.trace(function, *arguments), list(arguments), count


def drawn(graph, ids, count, *axes):
    """One cotangent or tangent per point."""
    rng = np.random.default_rng(0)
    types = [graph.types[i] for i in ids]
    return [rng.normal(size=(count, *axes, *t.shape)).astype(t.dtype) for t in types]


def compare(got, alone, inputs, seeds, count):
    """Every point is what the transformed graph makes of it alone."""
    missed = 0
    for k in range(count):
        try:
            wanted = alone([v[k][()] for v in inputs], [v[k] for v in seeds])
        except GuardMiss:
            missed += 1
            assert not got.done[k]
            continue
        assert got.done[k]
        for place, (a, b) in enumerate(zip([*got.values, *got.derivatives], wanted, strict=True)):
            same(np.asarray(a[k]), np.asarray(b), 64, f"result {place}")
    return missed


def reverse(graph, wanted, inputs, count):
    seeds = drawn(graph, [i for i in graph.outputs if graph.types[i].is_float], count)
    program = prepare_cuda_reverse(graph, wanted)
    got = program(inputs, seeds, count)
    plan = Plan(vjp_graph(graph, wanted))
    missed = compare(got, lambda x, ct: plan(*x, *[v[()] for v in ct]), inputs, seeds, count)
    found = {"events": [e.kind for e in program.events], "missed": missed}
    found["guards"] = len(graph.guards)
    return found | {"moved": moved(program, inputs, seeds, got)}


def forward(graph, wanted, inputs, count):
    seeds = drawn(graph, [graph.inputs[p] for p in wanted], count, DIRECTIONS)
    program = prepare_cuda_forward(graph, wanted)
    got = program(inputs, seeds, count)
    plan, own = Plan(jvp_graph(graph, wanted)), len(graph.outputs)

    def alone(x, dx):
        each = [plan(*x, *[v[d][()] for v in dx]) for d in range(DIRECTIONS)]
        return [*each[0][:own], *map(np.stack, zip(*[e[own:] for e in each], strict=True))]

    missed = compare(got, alone, inputs, seeds, count)
    found = {"events": [e.kind for e in program.events], "missed": missed}
    found["guards"] = len(graph.guards)
    return found | {"moved": moved(program, inputs, seeds, got)}


def moved(program, inputs, seeds, got):
    """What is copied to and from the device where arrays lie there; the bits are the same."""
    found = []
    for places in WHERE:
        sent = [send(v, k in places) for k, v in enumerate([*inputs, *seeds])]
        there = program(sent[: len(inputs)], sent[len(inputs) :], len(got.done))
        np.testing.assert_array_equal(there.done, got.done)
        pairs = zip(
            [*there.values, *there.derivatives], [*got.values, *got.derivatives], strict=True
        )
        for a, b in pairs:
            assert is_on_device(a) or not a.size
            assert (a.dtype, tuple(a.shape)) == (b.dtype, b.shape)
            np.testing.assert_array_equal(on_host(a)[got.done], b[got.done])
        found.append([e.name for e in program.events if e.kind != "launch"])
    return found


WHERE = (range(9), (0,), (1, 2))  # which of inputs and seeds lie on the device: all, or few


def send(array, there=True):
    return cuda.to_device(array) if there else array


MODES = {"forward": forward, "reverse": reverse}


# --- cb.forward_sweep and cb.reverse_sweep --------------------------------------------------------


def captured(x):
    return x * WEIGHTS, {"product": x[0] * x[1]}


def on_arrays(a, x):
    return np.tanh(a @ x), np.linalg.inv(a)


WEIGHTS = np.array([1.0, -2.0, 3.0])
NORMAL = np.random.default_rng(5).normal(size=(6, 3))
MATRICES = np.stack([np.eye(2) * k for k in range(1, 3)])
PUBLIC = {
    "branches": (branches, (np.linspace(-2, 3, 9),)),
    "captured": (captured, (NORMAL,)),
    "several": (lambda x, y: (np.sin(x) * y, x), (NORMAL[0], NORMAL[1])),
    "arrays": (on_arrays, (MATRICES, np.ones((2, 2)))),
    "no points": (captured, (NORMAL[:0],)),
}


def close(got, want):
    for a, b in zip(leaves_of(got), leaves_of(want), strict=True):
        np.testing.assert_allclose(on_host(a), b, rtol=1e-12, atol=1e-300)


def public(name):
    """On CUDA what the CPU gives; on the device if an argument or a seed is there."""
    function, x = PUBLIC[name]
    dx = tuple(np.stack([v, 2.0 * v], axis=1) for v in x)
    ct = map_leaves(lambda v: v + 1.0, cb.forward_sweep(function, x, x, batch=True)[0])
    sent = [map_leaves(cuda.to_device, tree) for tree in (x, dx, ct)]
    calls = {cb.forward_sweep: (dx, sent[1]), cb.reverse_sweep: (ct, sent[2])}
    for sweep, (seeds, sent_seeds) in calls.items():
        want = sweep(function, x, seeds, batch=True)
        got = sweep(function, x, seeds, batch=True, engine="cuda")
        close(got, want)
        assert not any(map(is_on_device, leaves_of(got)))
        for primals, given in ((sent[0], sent_seeds), (x, sent_seeds), (sent[0], seeds)):
            got = sweep(function, primals, given, batch=True, engine="cuda")
            close(got, want)
            assert all(map(is_on_device, leaves_of(got)))


def attempt(mode, graph, values, count):
    wanted = [p for p, i in enumerate(graph.inputs) if graph.types[i].is_float]
    try:
        return MODES[mode](graph, wanted, spread(values, count), count)
    except Exception as error:
        return {"wrong": f"{type(error).__name__}: {error}"[:500]}


def main():
    found = {
        f"{name} {mode}": attempt(mode, graph, values, count)
        for name, graph, values, count in programs()
        if is_straight(graph)
        for mode in MODES
    }
    print(json.dumps({"sweeps": found, "public": {name: outcome(public, name) for name in PUBLIC}}))


def outcome(check, *arguments):
    try:
        return check(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:500]


if __name__ == "__main__":
    main()
