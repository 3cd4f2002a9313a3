"""Verify a gradient written by hand, and three classic mistakes, on 569 x 30 real numbers."""

# %%
import itertools

import numpy as np
import sympy as sp
from sklearn.datasets import load_breast_cancer

import calcbench as cb


table = load_breast_cancer()
X = (table.data - table.data.mean(axis=0)) / table.data.std(axis=0)
y = table.target.astype(float)
n, features = X.shape
D = np.eye(features) - np.eye(features, k=1)  # neighbouring weights should be alike


# %% The loss of a logistic regression with a penalty, and its gradient by hand.
def loss(w):
    margins = X @ w
    return np.mean(np.logaddexp(0.0, margins) - y * margins) + 0.5 * np.sum((D @ w) ** 2)


def residuals(w):
    return 1 / (1 + np.exp(-(X @ w))) - y


candidates = {
    "the gradient as it should be": lambda w: X.T @ residuals(w) / n + D.T @ (D @ w),
    "mistake 1, the mean's 1/n is missing": lambda w: X.T @ residuals(w) + D.T @ (D @ w),
    "mistake 2, the penalty is forgotten": lambda w: X.T @ residuals(w) / n,
    "mistake 3, a matrix is transposed": lambda w: X.T @ residuals(w) / n + D @ (D @ w),
}

# %% Verify each of them at a random point.
w = np.random.default_rng(0).normal(size=features) / 4
for name, gradient in candidates.items():
    print(f"== {name}")
    print(cb.verify(loss, gradient, at=w, rng=0), end="\n\n")

# %% One entry, computed by forward mode, by reverse mode and by SymPy.
entry = 7
_, forward = cb.jvp(loss, (w,), (np.eye(features)[entry],))
reverse = cb.grad(loss)(w)[entry]

s, a, b, k = sp.symbols("s a b k", real=True)  # margins are a + b s
slope = sp.diff(sp.log(1 + sp.exp(a + b * s)) - k * (a + b * s), s)
at = sp.Float(w[entry], 40)
rest = X @ np.where(np.arange(features) == entry, 0.0, w)
numbers = [{a: rest[i], b: X[i, entry], k: y[i], s: at} for i in range(n)]
weights = [s if j == entry else sp.Float(v, 40) for j, v in enumerate(w)]
penalty = sum((p - q) ** 2 for p, q in itertools.pairwise([*weights, 0])) / 2
exact = sum(slope.evalf(30, subs=row) for row in numbers) / n + sp.diff(penalty, s).subs(s, at)

print(f"== dloss/dw[{entry}], three ways")
print(f"forward mode  {forward:.15f}")
print(f"reverse mode  {reverse:.15f}")
print(f"SymPy         {float(exact):.15f}")
