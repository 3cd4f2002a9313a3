"""Derivatives at kinks: the set, one-sided slopes, and what frameworks return there."""

# %%
import numpy as np

import calcbench as cb


# %% The subdifferential is a set; shared kinks are seen together
def relu(x):
    return np.maximum(x, 0.0)


print("relu at 0:             ", cb.subdifferential(relu, 0.0))
print("relu(x) - relu(-x) at 0:", cb.subdifferential(lambda x: relu(x) - relu(-x), 0.0))
print("max at a tie:          ", cb.subdifferential(np.max, np.ones(3)))
print("a norm at 0:           ", cb.subdifferential(np.linalg.norm, np.zeros(2)))

# %% What automatic differentiation may return is larger
conservative = cb.subdifferential(lambda x: relu(x) - relu(-x), 0.0, kind="conservative")
print("with independent choices:", conservative)

# %% Is a value that somebody returns a subgradient? How steep is each side?
corner = cb.subdifferential(lambda x: np.abs(x[0]) + np.abs(x[1]), np.zeros(2))
print(
    "(0.3, -1) is in the set:",
    corner.contains([0.3, -1.0]),
    "(1.2, 0):",
    corner.contains([1.2, 0.0]),
)
print("support along (1, 2):", corner.support([1.0, 2.0]))
print(
    "one-sided slope:",
    cb.directional(lambda x: np.abs(x[0]) - np.abs(x[1]), np.zeros(2), [1.0, 3.0]),
)

# %% Text on the whole line
print("d|x| =", cb.subdifferential("abs(x)", "x"))

# %% Which nodes are at a kink, and what PyTorch, JAX and TensorFlow return
print(cb.kink_report(lambda x: relu(x) - relu(-x), 0.0))

# %% An exact reference beside them, to as many digits as asked for
print(cb.reference("x*sin(x)^2", {"x": "0.5"}, digits=30))
print(cb.steps("x*sin(x)^2", "x"))
