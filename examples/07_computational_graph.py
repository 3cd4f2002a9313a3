"""The computational graph of z = (<x, w> - y)^2: run forward, run backward, and pruned."""

# %%
import numpy as np

import calcbench as cb


# %% The function, and a branch that no result needs
def z(x, w, y):
    unused = np.exp(x) + w
    assert unused.shape == x.shape
    return (np.dot(x, w) - y) ** 2


x, w, y = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 2.0]), 1.5

# %% Forward: the values, from the inputs up. Backward: the cotangents, from z down to all inputs
whole = cb.draw_graph(z, x, w, y)
print(whole)

# %% The gradient by w alone: x and y pass no cotangent on, and the unused branch is never run
by_w = cb.draw_graph(z, x, w, y, argnums=1)
print(by_w)

# %% The same numbers by hand: p = <x, w>, dz/dp = 2 (p - y), dz/dw = 2 (p - y) x
p = x @ w
inputs = dict(zip("xwy", by_w.execution.graph.inputs, strict=True))
gradient = by_w.execution.cotangents[inputs["w"]]
print("by hand:", 2 * (p - y) * x, "in the graph:", gradient, "by grad:", cb.grad(z, 1)(x, w, y))

# %% What pruning saves: nodes that are run for z and its gradient, of those that were recorded
recorded = cb.trace(z, x, w, y)
for name, wrt in (("all inputs", None), ("w alone", [1])):
    both = cb.vjp_graph(recorded, wrt)
    computed = sum(n.row.kind not in ("input", "source") for n in both.nodes)
    print(f"by {name}: {computed} operations for z and the gradient together")
print(cb.vjp_graph(recorded, [1]))

# %% As a picture: by_w.svg is text; draw_graph(..., path="graph.svg") writes it
print(by_w.svg.count("<rect"), "frames in", len(by_w.svg), "letters of SVG")
