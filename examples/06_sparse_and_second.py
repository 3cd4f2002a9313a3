"""A sparse Jacobian in three sweeps, and one Hessian four ways."""

# %%
import numpy as np

import calcbench as cb


# %% Broyden's tridiagonal function: every result reads three neighbours
def broyden(x):
    inner = np.concatenate([np.zeros(1), x, np.zeros(1)])
    return (3.0 - 2.0 * x) * x - inner[:-2] - 2.0 * inner[2:] + 1.0


x = np.linspace(-1.0, 1.0, 2000)
jacobian = cb.jacobian(broyden, sparse=True)
found = jacobian(x)
print(jacobian.plan(x))
print(f"{found.nnz} of {found.shape[0] * found.shape[1]} entries are stored")
print("equal to the dense one:", np.allclose(found[:50].toarray(), cb.jacobian(broyden)(x)[:50]))


# %% The Hessian of a logistic loss: forward over reverse, products, exact, symbolic
rng = np.random.default_rng(0)
features, labels = rng.normal(size=(20, 3)), rng.choice([-1.0, 1.0], size=20)
w = np.array([0.1, -0.2, 0.3])


def loss(w):
    return np.sum(np.logaddexp(0.0, -labels * (features @ w)))


composed = cb.hessian(loss)(w)
by_products = np.array([cb.hvp(loss, (w,), (e,)) for e in np.eye(3)])
by_differences = np.array(
    [(cb.grad(loss)(w + e) - cb.grad(loss)(w - e)) / 2e-5 for e in 1e-5 * np.eye(3)]
)
formula = cb.matrix_diff("sum(softplus(-y .* (X*w)))", "w", order=2)
symbolic = formula.expr.bind(y=labels, X=features, w=w)
for name, value in [
    ("products", by_products),
    ("differences", by_differences),
    ("formula", symbolic),
]:
    print(f"{name:12} differs by {np.max(np.abs(value - composed)):.0e}")
print(formula.unicode())
