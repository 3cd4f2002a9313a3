"""What one forward and one reverse sweep cost, for one program with more and more inputs."""

# %%
from time import perf_counter

import numpy as np

import calcbench as cb


# %% Masses in a row, joined by springs: 40 small steps in time, and the energy at the end.
def energy_after(x):
    place, speed = list(x), [0.0] * len(x)
    for _ in range(40):
        for k in range(len(place)):
            left, right = place[k - 1] if k else 0.0, place[k + 1] if k + 1 < len(place) else 0.0
            pull = left - 2.0 * place[k] + right - 0.1 * np.sin(place[k])
            speed[k] = speed[k] + 0.05 * pull
        place = [p + 0.05 * v for p, v in zip(place, speed, strict=True)]
    return sum(v * v for v in speed)


def median_time(call):
    times = []
    for _ in range(15):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return sorted(times[2:])[len(times[2:]) // 2] * 1e6


# %% The gradient two ways: they agree, and cost what the modes promise.
def costs(n):
    x = np.linspace(0.1, 1.0, n)
    _, slopes = cb.forward_sweep(energy_after, x, np.eye(n))
    _, gradient = cb.reverse_sweep(energy_after, x)
    assert np.allclose(slopes, gradient, rtol=1e-10)
    one = median_time(lambda: cb.forward_sweep(energy_after, x, np.ones(n)))
    every = median_time(lambda: [cb.forward_sweep(energy_after, x, e) for e in np.eye(n)])
    reverse = median_time(lambda: cb.reverse_sweep(energy_after, x))
    return f"{one:12.0f} µs {every:13.0f} µs {reverse:11.0f} µs {every / reverse:14.1f}"


print("inputs   one direction   all, one by one   gradient by   all / gradient")
print("               forward           forward       reverse")
for inputs in (2, 8, 32):
    print(f"{inputs:6d} {costs(inputs)}")

# %% Several directions in one sweep: values are computed once, tangents side by side.
n = 32
x, directions = np.linspace(0.1, 1.0, n), np.random.default_rng(0).normal(size=(8, n))
together = median_time(lambda: cb.forward_sweep(energy_after, x, directions))
apart = median_time(lambda: [cb.forward_sweep(energy_after, x, d) for d in directions])
print(f"\n8 directions of {n} inputs: {together:.0f} µs at once, {apart:.0f} µs one by one")
