"""Checkpointing: less memory for more steps, from storing nothing to storing everything."""

# %%
from time import perf_counter

import numpy as np

import calcbench as cb
from calcbench.reverse_mode.schedules import fewest_advances


# %% A long chain: the logistic map. Reverse mode reads every state again, in reverse
STEPS = 100_000


def population(rate):
    return cb.scan(lambda n, _: (rate * n * (1.0 - n), None), 0.4, length=STEPS)[0]


def timed(call):
    start = perf_counter()
    call()
    return perf_counter() - start


# %% The curve: slots, bytes of values, steps computed again (the known optimum), time
stored = cb.compile(cb.grad(population), engine="fused")
expected, all_bytes = stored(2.9), cb.cost(population, 2.9).vjp.peak
whole = min(timed(lambda: stored(2.9)) for _ in range(5))
print(f"all states stored: {all_bytes} bytes, {whole * 1e3:.2f} ms")
print("  slots   value bytes   of all   program bytes   steps again / steps   time / stored")
for slots in (10, 30, 100, 300, 1000):
    saving = cb.checkpoint(population, slots=slots)
    gradient = cb.compile(cb.grad(saving), engine="fused")
    assert gradient(2.9) == expected
    held = cb.cost(saving, 2.9).vjp.peak
    size = len(cb.graph_to_json(cb.vjp_graph(cb.trace(saving, 2.9))))
    again = fewest_advances(STEPS, slots) / STEPS
    ratio = min(timed(lambda g=gradient: g(2.9)) for _ in range(5)) / whole
    print(f"{slots:7d} {held:13d} {held / all_bytes:8.2%} {size:15d} {again:21.2f} {ratio:15.1f}")


# %% A chain of layers without a loop: states between layers are stored by the same schedule
weights = np.random.default_rng(0).normal(size=(24, 30, 30)) / 6


def network(x):
    for w in weights:
        x = np.tanh(x @ w)
    return np.sum(x * x)


x = np.linspace(-1.0, 1.0, 6000).reshape(200, 30)
few, small = cb.checkpoint(network, slots=4), cb.checkpoint(network, bytes=400_000)
names = ("everything stored", "four states", "400 kB beside arguments")
for function, name in zip((network, few, small), names, strict=True):
    counts = cb.cost(function, x).vjp
    assert np.array_equal(cb.grad(function)(x), cb.grad(network)(x))
    print(f"{name:25} {counts.peak:7d} bytes, {counts.operations.total:9d} operations")
