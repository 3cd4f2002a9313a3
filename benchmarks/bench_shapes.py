"""Which mode gives the Jacobian of m outputs by n inputs for least: forward, reverse, or between?

Bar: what mode="auto" takes is at most 1.2 x the best of forward, reverse and mixed on the same
engine. Dense layers with n << m, n = m and n >> m; a narrow waist, through which all paths lead; a
band, whose Jacobian is sparse.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from contest import Calls, Contest, Problem, is_quick, ratio_of
from harness import Bar, Timing
from participants import casadi_call, peer

import calcbench as cb
from calcbench.measure.ways import by_cotangents, by_directions


MODES = ("forward", "reverse", "mixed", "auto")
FUSED = "calcbench fused, "


class Shape(NamedTuple):
    """One problem: the function in any package's words, the point, and the Jacobian by hand."""

    name: str
    function: Callable[..., Any]
    data: tuple[np.ndarray, ...]
    x: np.ndarray
    jacobian: np.ndarray
    is_sparse: bool = False


# --- problems ------------------------------------------------------------------------------------


def layer(np_: Any, data: Any, x: Any) -> Any:
    (w,) = data
    return np_.tanh(w @ np_.sin(x))


def waist(np_: Any, data: Any, x: Any) -> Any:
    narrow, wide = data
    return np_.tanh(wide @ np_.sin(narrow @ np_.sin(x)))


def band(np_: Any, data: Any, x: Any) -> Any:
    (c,) = data
    return np_.sin(x[1:-1]) * x[:-2] + c * x[2:] * x[1:-1]


def layered(name: str, m: int, n: int) -> Shape:
    rng = np.random.default_rng(m)
    w, x = rng.normal(size=(m, n)) / np.sqrt(n), rng.normal(size=n)
    outer = 1 - np.tanh(w @ np.sin(x)) ** 2
    return Shape(name, layer, (w,), x, outer[:, None] * w * np.cos(x))


def waisted(name: str, n: int, k: int) -> Shape:
    rng = np.random.default_rng(n)
    a, b, x = rng.normal(size=(k, n)) / np.sqrt(n), rng.normal(size=(n, k)), rng.normal(size=n)
    h = a @ np.sin(x)
    outer = 1 - np.tanh(b @ np.sin(h)) ** 2
    slopes = (outer[:, None] * b * np.cos(h)) @ (a * np.cos(x))
    return Shape(name, waist, (a, b), x, slopes)


def banded(name: str, n: int) -> Shape:
    rng = np.random.default_rng(n)
    c, x = rng.normal(size=n - 2), rng.normal(size=n)
    slopes, i = np.zeros((n - 2, n)), np.arange(n - 2)
    slopes[i, i] = np.sin(x[1:-1])
    slopes[i, i + 1] = np.cos(x[1:-1]) * x[:-2] + c * x[2:]
    slopes[i, i + 2] = c * x[1:-1]
    return Shape(name, band, (c,), x, slopes, is_sparse=True)


# --- participants --------------------------------------------------------------------------------


def ours(shape: Shape, mode: str, engine: str = "fused") -> Calls:
    f = partial(shape.function, np, shape.data)
    jacobian = cb.jacobian(f, mode=mode, engine=engine)
    return Calls(lambda: jacobian(shape.x))


def swept(shape: Shape, mode: str) -> Calls:
    """Direct sweeps on the tape."""
    way = by_directions if mode == "forward" else by_cotangents
    return Calls(way(partial(shape.function, np, shape.data), shape.x))


def sparse(shape: Shape) -> Calls:
    """Made dense like all others, which takes longer than the sweeps do."""
    f = partial(shape.function, np, shape.data)
    jacobian = cb.jacobian(f, sparse=True, engine="fused")
    return Calls(lambda: jacobian(shape.x).toarray())


def jax(shape: Shape, mode: str) -> Calls:
    package = peer("jax")
    data = tuple(package.numpy.asarray(d) for d in shape.data)
    transform = package.jacfwd if mode == "forward" else package.jacrev
    jacobian = package.jit(transform(partial(shape.function, package.numpy, data)))
    x = package.numpy.asarray(shape.x)
    return Calls(lambda: package.block_until_ready(jacobian(x)))


def torch(shape: Shape, mode: str) -> Calls:
    package = peer("torch")
    functions = peer("torch.func")
    data = tuple(package.tensor(d) for d in shape.data)
    transform = functions.jacfwd if mode == "forward" else functions.jacrev
    jacobian = transform(partial(shape.function, package, data))
    x = package.tensor(shape.x)
    return Calls(lambda: jacobian(x))


def casadi(shape: Shape) -> Calls:
    """Its own choice of modes and colours; dense, and the transpose, as it stores columns."""
    package = peer("casadi")
    x = package.MX.sym("x", shape.x.size)
    y = shape.function(package, tuple(map(package.DM, shape.data)), x)
    dense = package.densify(package.jacobian(y, x).T)
    function = package.Function("jacobian", [x], [dense])
    return Calls(casadi_call(function, [shape.x], [np.empty(shape.jacobian.shape)]))


def autograd(shape: Shape) -> Calls:
    jacobian = peer("autograd").jacobian(
        partial(shape.function, peer("autograd.numpy"), shape.data)
    )
    return Calls(lambda: jacobian(shape.x))


def makers(shape: Shape) -> dict[str, Any]:
    """Everybody who takes part."""
    special = {FUSED + "sparse": partial(sparse, shape)} if shape.is_sparse else {}
    both = {"forward": "jacfwd", "reverse": "jacrev"}
    return {
        **{FUSED + mode: partial(ours, shape, mode) for mode in MODES},
        **special,
        **{f"calcbench sweeps, {mode}": partial(swept, shape, mode) for mode in both},
        **{f"JAX {name}": partial(jax, shape, mode) for mode, name in both.items()},
        **{f"torch {name}": partial(torch, shape, mode) for mode, name in both.items()},
        "autograd": partial(autograd, shape),
        "CasADi": partial(casadi, shape),
    }


def choice_bar(contest: Contest, problem: Problem) -> Bar:
    """The mode that was chosen, against the fastest."""
    rows = [contest.row(problem, FUSED + mode) for mode in MODES]
    best = min((r for r in rows[:-1] if r), key=lambda row: row.median, default=None)
    name = "none" if best is None else best.who.removeprefix(FUSED)
    what = f"{problem.name}: auto / best mode ({name})"
    return ratio_of(what, 1.2, rows[-1], best)


def shapes(quick: bool) -> list[Shape]:
    if quick:
        return [layered("5 by 2", 5, 2), banded("band, 6", 6)]
    return [
        layered("n << m: 2000 by 8", 2000, 8),
        layered("n = m: 200 by 200", 200, 200),
        layered("n >> m: 8 by 2000", 8, 2000),
        waisted("waist of 4: 400 by 400", 400, 4),
        banded("band of 3: 998 by 1000", 1000),
    ]


def main(arguments: list[str] | None = None) -> list[Timing]:
    quick = is_quick(__doc__, arguments)
    contest = Contest(3 if quick else 11)
    for shape in shapes(quick):
        problem = Problem(shape.name, shape.x.size, [shape.jacobian], 1e-9)
        made = makers(shape)
        if quick:
            made = {who: maker for who, maker in made.items() if "fused" not in who}
            made["calcbench numpy, mixed"] = partial(ours, shape, "mixed", "numpy")
        contest.run(problem, made)
        if not quick:
            if shape.is_sparse:
                contest.weigh(problem, made)
            contest.bars.append(choice_bar(contest, problem))
    return contest.finish(__doc__, None if quick else "shapes")


if __name__ == "__main__":
    main(sys.argv[1:])
