"""Properties that derivatives of any function have, as checks with readable failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from calcbench.derivatives import trace
from calcbench.graph.interpreter import evaluate
from calcbench.graph.serialisation import graph_from_json, graph_to_json
from calcbench.graph.trees import leaves_of
from calcbench.jacobians import jacobian
from calcbench.products import hvp, jvp, vjp


Function = Callable[..., Any]
STEPS = 10.0 ** np.arange(-1.0, -6.1, -0.25)


def _joined(function: Function, args: tuple[Any, ...]) -> tuple[Function, Any]:
    """The function of one vector that holds the entries of all arguments, and that vector."""
    arrays = [np.asarray(a, float) for a in args]
    ends = np.cumsum([a.size for a in arrays])

    def joined(x: Any) -> Any:
        parts = [
            np.reshape(x[end - a.size : end], a.shape) if a.ndim else x[end - 1]
            for a, end in zip(arrays, ends, strict=True)
        ]
        return np.ravel(function(*parts))

    return joined, np.concatenate([a.ravel() for a in arrays])


def _gradient(function: Function, x: Any) -> Any:
    rows = jacobian(function)(x)
    if rows.shape[0] != 1:
        raise ValueError(f"the function must return a scalar, it returned {rows.shape[0]} numbers")
    return rows[0]


def _largest(value: Any) -> float:
    return float(np.max(np.abs(value), initial=0.0))


def _compare(what: str, found: Any, expected: Any, rtol: float, scale: float = 0.0) -> None:
    """Entries agree relative to the largest of them: small ones may come from cancellation."""
    gaps = np.abs(np.asarray(found) - expected)
    allowed = rtol * max(_largest(expected), scale)
    if not _largest(gaps) <= allowed:
        worst = np.unravel_index(np.argmax(gaps), gaps.shape)
        at = f" at entry {tuple(map(int, worst))}" if worst else ""
        raise AssertionError(
            f"{what}: got {np.asarray(found)[worst]}, expected {np.asarray(expected)[worst]}{at}; "
            f"off by {gaps[worst]:.3g}, allowed {allowed:.3g}"
        )


def check_modes_agree(function: Function, *args: Any, rtol: float = 1e-10) -> None:
    """Columns of the forward mode are rows of the reverse mode.

    Parameters
    ----------
    function : callable
        Of float arrays, traceable, with an array as result; smooth at `args` unless stated.
    *args : array_like
        The point.
    rtol : float
        Allowed error relative to the largest entry.

    Raises
    ------
    AssertionError
        If the two Jacobians differ.

    Examples
    --------
    >>> import numpy as np
    >>> check_modes_agree(lambda x, y: np.sin(x) * y, np.ones(3), 2.0)
    """
    joined, x = _joined(function, args)
    reverse = jacobian(joined, mode="reverse")(x)
    _compare("forward against reverse", jacobian(joined, mode="forward")(x), reverse, rtol)


def check_adjoint_identity(
    function: Function, *args: Any, rng: Any = None, rtol: float = 1e-9
) -> None:
    """<ct, J dx> equals <J^T ct, dx>; arguments as for `check_modes_agree`, `rng` as in NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> check_adjoint_identity(np.exp, np.ones(3), rng=0)
    """
    rng, (joined, x) = np.random.default_rng(rng), _joined(function, args)
    dx = rng.normal(size=x.shape)
    y, dy = jvp(joined, (x,), (dx,))
    ct = rng.normal(size=y.shape)
    (ct_x,) = vjp(joined, x)[1](ct)
    scale = float(np.sum(np.abs(ct * dy)) + np.sum(np.abs(ct_x * dx)))
    _compare("adjoint identity", np.sum(ct * dy), np.sum(ct_x * dx), rtol, scale)


def check_linearity(function: Function, *args: Any, rng: Any = None, rtol: float = 1e-9) -> None:
    """The tangent is linear in its direction, the pullback in its cotangent, at kinks as well.

    Arguments as for `check_adjoint_identity`.

    Examples
    --------
    >>> import numpy as np
    >>> check_linearity(np.tanh, np.ones(3), rng=0)
    """
    rng, (joined, x) = np.random.default_rng(rng), _joined(function, args)
    y, pull = vjp(joined, x)

    def push(dx: Any) -> Any:
        return jvp(joined, (x,), (dx,))[1]

    for name, linear, size in (
        ("tangent", push, x.size),
        ("pullback", lambda c: pull(c)[0], y.size),
    ):
        u, v = rng.normal(size=(2, size))
        first, second = linear(u), linear(v)
        both, scale = linear(2.0 * u - 3.0 * v), _largest(first) + _largest(second)
        _compare(f"linearity of the {name}", both, 2.0 * first - 3.0 * second, rtol, scale)


def check_chain_rule(outer: Function, inner: Function, *args: Any, rtol: float = 1e-10) -> None:
    """The Jacobian of outer(inner(x)) is the product of both; arguments as for `check_modes_agree`.

    Examples
    --------
    >>> import numpy as np
    >>> check_chain_rule(np.sum, np.sin, np.ones(3))
    """
    joined, x = _joined(inner, args)
    last, u = _joined(outer, (inner(*args),))
    expected = jacobian(last)(u) @ jacobian(joined)(x)
    found = jacobian(_joined(lambda *a: outer(inner(*a)), args)[0])(x)
    scale = _largest(jacobian(last)(u)) * _largest(jacobian(joined)(x))
    _compare("chain rule", found, expected, rtol, scale)


def check_taylor(
    function: Function,
    *args: Any,
    order: int = 1,
    rng: Any = None,
    least: float | None = None,
    most: float = np.inf,
) -> None:
    """The remainder of the Taylor polynomial along a line shrinks like h^(order + 1), or faster.

    Arguments as for `check_adjoint_identity`; `order` 1 uses the tangent, 2 also the second
    derivative. The exponent is fitted to the smallest steps whose remainder is above rounding (one
    that never is passes). It is order + 1 where the next derivative does not vanish; it must lie
    between `least`, order + 0.9 unless given, and `most`.

    Examples
    --------
    >>> import numpy as np
    >>> check_taylor(np.exp, np.ones(3), order=2, rng=0)
    """
    rng, (joined, x) = np.random.default_rng(rng), _joined(function, args)
    v = rng.normal(size=x.shape)
    v = v / max(float(np.linalg.norm(v)), 1e-300)
    y, dy = jvp(joined, (x,), (v,))
    curve = jvp(lambda x: jvp(joined, (x,), (v,))[1], (x,), (v,))[1] if order == 2 else 0.0
    rests = [np.linalg.norm(joined(x + h * v) - y - h * dy - h**2 / 2 * curve) for h in STEPS]
    exponent = _exponent(rests, [_noise(joined, x + h * v, rng) for h in STEPS])
    if not (order + 0.9 if least is None else least) <= exponent <= most:
        raise AssertionError(f"the remainder shrinks like h^{exponent:.3g}, not h^{order + 1}")


def _noise(function: Function, x: Any, rng: np.random.Generator) -> float:
    """What changes of the last bits of x change in the function."""
    eps, y = float(np.finfo(float).eps), function(x)
    near = [x * (1 + eps * rng.integers(-2, 3, x.shape)) for _ in range(4)]
    changes = [np.linalg.norm(function(n) - y) for n in near]
    return float(np.max(changes) + eps * np.linalg.norm(y))


def _exponent(rests: list[Any], noises: list[float]) -> float:
    """The slope of log(remainder) over log(step), for the five smallest steps above the noise."""
    triples = zip(STEPS, rests, noises, strict=True)
    kept = [(np.log(h), np.log(r)) for h, r, noise in triples if r > 300 * noise]
    if len(kept) < 5:
        return np.inf if np.all(np.isfinite(rests)) else np.nan
    steps, remainders = np.transpose(kept[-5:])
    return float(np.polyfit(steps, remainders, 1)[0])


def check_hessian_symmetry(
    function: Function, *args: Any, rng: Any = None, rtol: float = 1e-9
) -> None:
    """The Hessian of a scalar function is symmetric, and `hvp` is its product with a direction.

    Arguments as for `check_adjoint_identity`.

    Examples
    --------
    >>> import numpy as np
    >>> check_hessian_symmetry(np.prod, np.ones(3), rng=0)
    """
    rng, (joined, x) = np.random.default_rng(rng), _joined(function, args)
    full = jacobian(lambda x: _gradient(joined, x))(x)
    _compare("symmetry of the Hessian", full, full.T, rtol)
    v = rng.normal(size=x.shape)
    product = hvp(lambda x: joined(x)[0], (x,), (v,))
    _compare("Hessian-vector product", product, full @ v, rtol, _largest(full) * _largest(v))


def check_homogeneity(function: Function, *args: Any, degree: float, rtol: float = 1e-9) -> None:
    """Euler: x . grad f(x) = k f(x) for a scalar function with f(c x) = c^k f(x), c > 0.

    Arguments as for `check_modes_agree`, and the degree k.

    Examples
    --------
    >>> import numpy as np
    >>> check_homogeneity(lambda x: np.sum(x**3), np.ones(3), degree=3)
    """
    joined, x = _joined(function, args)
    terms = x * _gradient(joined, x)
    _compare("Euler", np.sum(terms), degree * joined(x)[0], rtol, float(np.sum(np.abs(terms))))


def check_scaling(function: Function, *args: Any, factor: float = 0.7, rtol: float = 1e-9) -> None:
    """The Jacobian of f(c x) is c times that of f at c x; arguments as for `check_modes_agree`.

    Examples
    --------
    >>> import numpy as np
    >>> check_scaling(np.exp, np.ones(3), factor=2.0)
    """
    joined, x = _joined(function, args)
    expected = factor * jacobian(joined)(factor * x)
    _compare("scaling", jacobian(lambda x: joined(factor * x))(x), expected, rtol)


def check_shift_invariance(
    function: Function, *args: Any, rtol: float = 1e-9, scale: float = 0.0
) -> None:
    """The gradient of a scalar function with f(x + c) = f(x) sums to zero.

    Arguments as for `check_modes_agree`. `scale` is the size of terms that cancel within an entry:
    1 for softmax(x) - 1/n, whose entries may be far smaller than what they are differences of.

    Examples
    --------
    >>> import numpy as np
    >>> check_shift_invariance(np.var, np.arange(3.0))
    """
    slopes = _gradient(*_joined(function, args))
    _compare("shift", np.sum(slopes), 0.0, rtol, max(scale, float(np.sum(np.abs(slopes)))))


def check_parity(function: Function, *args: Any, parity: str, rtol: float = 1e-12) -> None:
    """The Jacobian of an "even" function is odd, and of an "odd" one even (its `parity`).

    Other arguments as for `check_modes_agree`.

    Examples
    --------
    >>> import numpy as np
    >>> check_parity(np.cos, np.ones(3), parity="even")
    """
    joined, x = _joined(function, args)
    sign = {"even": -1.0, "odd": 1.0}[parity]
    _compare("parity", jacobian(joined)(-x), sign * jacobian(joined)(x), rtol)


def check_complex_step(
    function: Function, *args: Any, rng: Any = None, rtol: float = 1e-13
) -> None:
    """J v is Im f(x + i h v) / h, for an analytic function that runs on complex NumPy arrays.

    Arguments as for `check_adjoint_identity`. No rule of calcbench takes part in the right side.

    Examples
    --------
    >>> import numpy as np
    >>> check_complex_step(lambda x: np.exp(x) * np.sin(x), np.ones(3), rng=0)
    """
    rng, (joined, x) = np.random.default_rng(rng), _joined(function, args)
    v = rng.normal(size=x.shape)
    expected = np.imag(joined(x + 1e-150j * v)) / 1e-150
    _compare("complex step", jvp(joined, (x,), (v,))[1], expected, rtol)


def check_same_bits(function: Function, *args: Any) -> None:
    """The recorded graph gives the same bits twice, and after JSON; arguments of any dtype.

    Arrays that the function closes over are inputs of the graph too; they are run as zeros.

    Examples
    --------
    >>> import numpy as np
    >>> check_same_bits(np.sin, np.ones(3))
    """
    graph = trace(function, *args)
    values, types = leaves_of(args), [graph.types[i] for i in graph.inputs]
    values = [*values, *[np.zeros(kind.shape) for kind in types[len(values) :]]]
    arrays = [np.asarray(v, kind.dtype)[()] for v, kind in zip(values, types, strict=True)]
    read = graph_from_json(graph_to_json(graph))
    runs = [evaluate(g, *arrays) for g in (graph, graph, read)]
    first, *others = [[np.asarray(v).tobytes() for v in run] for run in runs]
    if read != graph or others != [first, first]:
        raise AssertionError(f"{graph.signature}: two runs, or a run after JSON, differ in bits")
