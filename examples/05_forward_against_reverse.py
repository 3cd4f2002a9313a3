"""What each mode costs as inputs, outputs and depth grow: counted first, then measured."""

# %%
import numpy as np

import calcbench as cb


# %% The graph of z = (<x, w> - y)^2: operations by kind, and what the reverse sweep keeps
def z(x, w, y):
    return (np.dot(x, w) - y) ** 2


print(cb.cost(z, np.ones(3), np.ones(3), 0.5))


# %% Many inputs, one output: reverse takes one sweep, forward one per input
def energy(n):
    return lambda x: np.sum(np.sin(x) * x**2), np.linspace(0.1, 1.0, n)


print(cb.explain_mode(energy(100)[0], energy(100)[1]))
grown = cb.sweep(energy, [16, 64, 256], engines=["numpy"], budget=0.2)
print(grown)


# %% One input, many outputs: the other way round
def curve(m):
    return lambda t: np.exp(t * np.linspace(0.0, 1.0, m)), np.array(0.5)


print(cb.explain_mode(curve(100)[0], curve(100)[1]))
print(cb.sweep(curve, [16, 64, 256], engines=["numpy"], budget=0.2).operations["forward"])


# %% Depth: forward accumulation holds the same bytes, reverse accumulation one value a step
def chain(x, depth):
    for _ in range(depth):
        x = np.sin(x) * 1.01
    return x


for depth in (10, 100, 1000):
    counts = cb.cost(lambda x, depth=depth: chain(x, depth), 0.5)
    print(f"depth {depth:5d}: forward holds {counts.jvp.peak} bytes, reverse {counts.vjp.peak}")

# %% One problem, every way, checked against each other before anything is timed
print(cb.compare_modes(energy(200)[0], energy(200)[1], budget=0.3))
