"""Sample programs: plain functions of NumPy arrays, with arguments to call them at.

Together they use every row of the primitive table (in themselves or in their derivatives), which
tests/test_programs.py demands. At its arguments every program is smooth, so that any way of
differentiating it must give the same answer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import calcbench as cb


@dataclass(frozen=True, eq=False)
class Case:
    """A program and the arguments to call it at."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__


CASES: list[Case] = []


def case(*arguments: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put the decorated function into `CASES`."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        CASES.append(Case(function, arguments))
        return function

    return add


VECTOR = np.array([0.3, -1.2, 0.7, 1.9])
POSITIVE = np.array([0.4, 1.3, 2.1, 0.9])
MATRIX = np.array([[1.1, -0.4, 0.3], [0.2, 0.8, -0.6]])
SQUARE = np.array([[2.0, 0.3, -0.5], [0.1, 1.5, 0.4], [-0.2, 0.6, 1.1]])
SPD = np.array([[4.0, 0.6, -0.3], [0.6, 3.0, 0.5], [-0.3, 0.5, 2.0]])
TALL = np.array([[1.0, 0.2], [-0.4, 1.6], [0.7, -0.3], [0.1, 0.9]])

# --- scalars and chains --------------------------------------------------------------------------


@case(0.8)
def chain_of_sines(x):
    for _ in range(6):
        x = np.sin(x) + x * np.cos(x)
    return x


@case(1.3)
def powers(x):
    return x**3 + x**2 + x**1 + 2.0**x + x**-1 + x**0.5 + x**2.5 + x**0


@case(1.2, 0.7)
def arithmetic(x, y):
    return -x + y - x * y / (y + 2.0) + (1.0 - x) / y + np.reciprocal(x) + +y


@case(0.6)
def circles(x):
    return np.tan(x) + np.arcsin(x) * np.arccos(x) + np.arctan(x) + np.sinc(x)


@case(0.4)
def hyperbolas(x):
    bounded = np.tanh(x) + np.arcsinh(x) + np.arctanh(x)
    return np.sinh(x) * np.cosh(x) + bounded + np.arccosh(x + 2.0)


@case(1.7)
def logarithms(x):
    return np.log(x) + np.log2(x) * np.log10(x) + np.log1p(x) + np.cbrt(x) + np.sqrt(x)


@case(0.5)
def exponentials(x):
    return np.exp(x) * np.exp2(x) + np.expm1(x)


@case(1.4, -0.6)
def two_argument_functions(x, y):
    return np.arctan2(y, x) + np.hypot(x, y) * np.logaddexp(x, y) + np.power(x, y)


@case(2.3)
def gamma_family(x):
    return cb.lgamma(x) * cb.digamma(x) + cb.erf(x) + cb.erfc(x)


# --- branches, loops, recursion ------------------------------------------------------------------


@case(2.6, 0.7)
def steps(x, y):
    whole = np.floor(x) + np.ceil(x) + np.trunc(x) + np.round(x) + np.rint(x)
    return x * whole + (x % y) * y + (x // y) * x + np.sign(x) * y


@case(1.4)
def branch(x):
    if x > 1.0 and not x >= 3.0:
        return x * x
    return -x


@case(9.0)
def newton_square_root(a):
    x = a
    while abs(x * x - a) > 1e-10:
        x = (x + a / x) / 2.0
    return x


@case(1.5)
def recursion(x):
    def climb(value, count):
        return value if count == 0 else climb(value + 1.0 / (value + count), count - 1)

    return climb(x, 5)


@case(np.array([0.2, -0.1, 0.4]))
def horner(coefficients):
    total = 0.0
    for c in coefficients:
        total = total * 0.7 + c
    return total**2


@case(np.array([3.0, 1.0, 2.0]))
def early_exit(x):
    total = 0.0
    for value in x:
        if value < 1.5:
            break
        total = total + value * value
    return total


# --- vectors -------------------------------------------------------------------------------------


@case(VECTOR)
def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


@case(VECTOR)
def moments(x):
    return np.mean(x) + np.var(x) * np.std(x, ddof=1) + np.median(x[:3])


@case(VECTOR)
def soft_functions(x):
    return cb.softmax(x) * cb.logsumexp(x) + cb.sigmoid(x) * cb.softplus(x)


@case(VECTOR, POSITIVE)
def inner_and_outer(x, y):
    return np.outer(x, y) @ y + np.dot(x, y) * np.inner(x, x)


@case(VECTOR)
def running_totals(x):
    return np.cumsum(x) * np.cumprod(x) + np.prod(x)


@case(VECTOR)
def differences(x):
    return np.diff(x) * np.flip(x)[1:] + np.roll(x, 1)[:-1]


@case(np.array([1.0, 0.0, 3.0]))
def product_with_a_zero(x):
    return np.prod(x)


@case(VECTOR, POSITIVE[:3])
def distance(x, y):
    return np.linalg.norm(x) + np.linalg.norm(x[1:] - y) ** 2


@case(VECTOR)
def gathered(x):
    picked = x[np.array([0, 2, 2, -1])]
    return picked * x + x[[1, 1, 3, 0]]


@case(VECTOR, 0.6)
def written(x, v):
    y = np.zeros(4) + x
    y[np.array([1, 3, 1])] = v * x[:3]
    y[0] = v
    y[1:3] += x[2:] * v
    return y * y


@case(VECTOR)
def computed_indices(x):
    order = np.argsort(x)
    y = 1.0 * x
    y[order - 2] = x**2
    return y * x[order - 1]


@case(VECTOR, np.array([3, 0, 2, 1]))
def integer_powers(x, n):
    return x * (n + 1) ** n


@case(VECTOR)
def masked(x):
    return np.sum(x[x > 0.0] ** 2)


@case(VECTOR)
def stacked(x):
    pairs = np.stack([x, x * x])
    tall = np.concatenate([x, x[:2]])
    return np.sum(pairs @ x) + np.sum(tall**3) + np.sum(np.array([x[0], np.sin(x[1])]))


# --- kinks, away from them -----------------------------------------------------------------------


@case(VECTOR, POSITIVE)
def kinks(x, y):
    return np.abs(x) + np.maximum(x, y) * np.minimum(x, 0.5) + cb.relu(x) + np.clip(x, -1.0, 1.0)


@case(VECTOR)
def selected(x):
    safe = np.where(x > 0.0, x, 1.0)
    return np.where((x > 0.0) & (x != 0.71) | (x <= -1.1), np.sqrt(safe), x * x)


@case(VECTOR)
def truth_values(x):
    outside = np.logical_or(np.logical_not(x < 1.0), np.logical_xor(x >= 0.5, x == 0.71))
    return np.where(np.logical_and(outside, ~np.isnan(x)), x, 2.0 * x)


@case(VECTOR)
def extremes(x):
    return np.max(x) * np.min(x) + x[np.argmax(x)] * x[np.argmin(x)]


@case(VECTOR)
def ordered(x):
    return np.sort(x) * np.arange(4.0) + x[np.argsort(x)] ** 2


@case(VECTOR)
def stopped(x):
    return cb.detach(x) * x


# --- matrices ------------------------------------------------------------------------------------


@case(MATRIX, VECTOR[:3], VECTOR[:2])
def affine(a, x, b):
    return np.tanh(a @ x + b)


@case(MATRIX, MATRIX.T.copy())
def products(a, b):
    return (a @ b) * np.sum(np.einsum("ij,jk->ik", a, b)) + np.tensordot(a, b, axes=1)


@case(np.arange(12.0).reshape(2, 2, 3) / 10, MATRIX.T.copy())
def batched(a, b):
    return a @ b


@case(MATRIX)
def shapes(a):
    tall = np.swapaxes(a.T.reshape(2, 3), 0, 1).ravel()
    return np.expand_dims(np.squeeze(tall[None]), 1) * np.tile(a, (1, 1))[0] + np.rot90(a)[:, :1].T


@case(MATRIX)
def reductions(a):
    rows = np.sum(a, axis=1, keepdims=True) * np.mean(a, axis=-1, keepdims=True)
    return a * rows + np.max(a, axis=0) * np.std(a, axis=(0, 1))


@case(MATRIX)
def padded(a):
    return np.pad(a, 1) @ np.pad(a, 1).T + np.sum(np.repeat(a, 2, axis=1))


@case(SQUARE)
def triangles(a):
    return np.tril(a) @ np.triu(a, 1) + np.diag(np.diag(a)) * np.trace(a) + np.diagonal(a)


@case(MATRIX, SQUARE)
def kronecker(a, b):
    return np.sum(np.kron(a, b) ** 2) + np.sum(np.cross(a[0], b[1]) * a[1])


@case(SQUARE, VECTOR[:3])
def linear_system(a, b):
    return np.linalg.solve(a, b) + np.linalg.inv(a) @ b


@case(SQUARE)
def determinants(a):
    return np.linalg.det(a) + np.linalg.slogdet(a)[1] + np.trace(np.linalg.matrix_power(a, 3))


@case(np.array([[1.0, 2.0], [2.0, 4.0]]))
def singular_determinant(a):
    return np.linalg.det(a) ** 2 + np.linalg.det(a)


@case(SPD)
def gaussian_likelihood(a):
    lower = np.linalg.cholesky((a + a.T) / 2)
    return np.sum(np.log(np.diag(lower))) + np.sum(lower**2)


@case(SPD)
def spectrum(a):
    values, vectors = np.linalg.eigh((a + a.T) / 2)
    return np.sum(values**3) + np.sum(vectors[:, 0] ** 4) + np.sum(np.linalg.eigvalsh(a + a.T))


@case(TALL)
def factors(a):
    q, r = np.linalg.qr(a)
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    return np.sum(q * a) + np.sum(r**2) + np.sum((u * s) ** 2) + np.sum(s**3) + np.sum(vt**4)


@case(TALL)
def least_squares(a):
    return np.sum(np.linalg.pinv(a) ** 2) + np.linalg.norm(a, "nuc") + np.linalg.norm(a, 2)


@case(TALL)
def matrix_norms(a):
    ordinary = np.linalg.norm(a, 1) * np.linalg.norm(a, np.inf) + np.linalg.norm(a)
    return ordinary + np.sum(np.linalg.norm(a, 3, axis=1))


# --- precisions and containers -------------------------------------------------------------------


@case(np.array([0.5, -1.5], np.float32), np.array([2.0, 3.0]))
def mixed_precision(x, y):
    return x * y + x.astype(np.float64)


@case({"weights": MATRIX, "offset": VECTOR[:2]}, (VECTOR[:3], 0.1))
def nested_arguments(model, data):
    x, scale = data
    return scale * np.sum((model["weights"] @ x + model["offset"]) ** 2)


@case(VECTOR, POSITIVE)
def ignores_an_input(x, y):
    return np.sum(x) * 3.0
