"""Derivatives at kinks: the sets, the intervals, and the element that each convention picks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calcbench.forward_mode.onesided import named
from calcbench.forward_mode.points import Point, check_scalar
from calcbench.graph.arraytype import DerivativeError
from calcbench.graph.conventions import (
    CONVENTIONS,
    KINKS,
    Kink,
    current_convention,
    kink_convention,
    slope_at,
)
from calcbench.nonsmooth.cells import pieces_of
from calcbench.nonsmooth.choices import Piece, Search
from calcbench.nonsmooth.cones import lowest_on
from calcbench.nonsmooth.hulls import holds
from calcbench.nonsmooth.scalar_subgradients import scalar_expression, scalar_subdifferential
from calcbench.nonsmooth.sets import Part, SubgradientSet, hull_of, same_images
from calcbench.symbolic.text.grammar import parse_text


__all__ = [
    "CONVENTIONS",
    "KINKS",
    "Kink",
    "SubgradientSet",
    "current_convention",
    "kink_convention",
    "slope_at",
    "subdifferential",
]

KINDS = ("clarke", "conservative")
OUTER = "outer estimate: it contains Clarke's subdifferential, and may be larger"
CONSERVATIVE = (
    "conservative: what automatic differentiation can return, with one choice at each kink, made "
    "independently"
)
MOST_PAIRS = 4096  # of pieces, compared to see whether the function is convex


def subdifferential(f: Any, x: Any, *, kind: str = "clarke", budget: int = 1024) -> Any:
    """The subdifferential of a scalar function at a point, as a set.

    Parameters
    ----------
    f : callable, str or SymPy expression
        A function of one float array with a scalar result, written with NumPy; or a text (see
        `parse`) or SymPy expression of one real variable.
    x : float, array_like, str or Symbol
        The point: a scalar, vector, matrix ... For a text or an expression: the variable.
    kind : {"clarke", "conservative"}
        Clarke's subdifferential: the convex hull of the limits of gradients at points nearby. Or
        the set of what automatic differentiation can return: the hull over one independent choice
        at each kink, which all uses of that kink share, on the branch that Python took.
    budget : int
        How many pieces of the function may be looked at.

    Returns
    -------
    SubgradientSet or Piecewise
        An interval for a scalar point, a polytope for an array, a ball for a norm at 0, and hulls
        of sums of these; elements are shaped like `x`. Its `exact` is true only where the set was
        proved to be Clarke's; otherwise it contains that (a conservative set: if no Python branch
        is tied). Of a text or an expression, a SymPy Piecewise of sets of numbers.

    Raises
    ------
    DerivativeError
        If the function jumps at `x`, is not locally Lipschitz there, has more than `budget`
        pieces, or no scalar result; if `x` is not finite; at kinks of spectra.
    DTypeError
        If `x` holds no floats.
    ValueError
        If `kind` is none of these, or `budget` is no whole number.

    Notes
    -----
    Kinks are enumerated jointly, each piece with its cone of directions, by linear programming
    (Clarke 1983, "Optimization and nonsmooth analysis", theorem 2.5.1; Griewank 2013,
    doi:10.1080/10556788.2013.796683). Pieces whose cones have an interior give an inner set;
    pieces that first-order information cannot exclude give an outer one, and it is the outer set
    that is returned: it is exact if the two coincide, or if the function is convex or concave to
    first order. Only values that are equal as floating-point numbers tie.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> cb.subdifferential(cb.relu, 0.0)
    [0, 1]
    >>> cb.subdifferential(lambda x: cb.relu(x) - cb.relu(-x), 0.0)
    {1}
    >>> cb.subdifferential(np.linalg.norm, np.zeros(2))
    ball(center=[0., 0.], radius=1)
    >>> cb.subdifferential("abs(x)", "x")
    Piecewise(({-1}, x < 0), (Interval(-1, 1), Eq(x, 0)), ({1}, x > 0))
    """
    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}, got {kind!r}")
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
        raise ValueError(f"budget is a whole number >= 1 of pieces, got {budget!r}")
    if isinstance(f, str) or _is_sympy(f):
        return _by_sympy(f, x, kind)
    point = Point(f, (x,))
    if len(point.leaves) != 1:
        raise DerivativeError(
            f"the point is one array, got {len(point.leaves)}; write f as a function of one vector"
        )
    check_scalar(point)
    search = pieces_of(point, budget, independent=kind == "conservative")
    shape = np.shape(point.leaves[0])
    if kind == "conservative":
        parts = [part_of(search, piece) for piece in search.pieces]
        return hull_of(parts, shape, kind=kind, exact=False, note=CONSERVATIVE)
    _check_jump(search)
    return _clarke(search, shape)


def _is_sympy(f: Any) -> bool:
    """Whether `f` is an object of SymPy, which is not loaded to tell."""
    return any(kind.__module__.partition(".")[0] == "sympy" for kind in type(f).__mro__)


def _by_sympy(f: Any, x: Any, kind: str) -> Any:
    """The set at every point of the line, as a Piecewise."""
    import sympy

    if kind != "clarke":
        raise DerivativeError(
            f"kind={kind!r} depends on how a function is computed; pass a function and a point"
        )
    if not isinstance(x, str | sympy.Symbol):
        raise DerivativeError(
            f"of a text or an expression, x is the variable (a name or a Symbol), got {x!r}"
        )
    name = x if isinstance(x, str) else x.name
    if isinstance(f, str):
        variable = sympy.Symbol(name, real=True)
        f = scalar_expression(sympy, parse_text(f, undeclared="scalar").graph, variable)
    same = [s for s in f.free_symbols if s == x or s.name == name]
    variable = same[0] if same else sympy.Symbol(name, real=True)
    return scalar_subdifferential(sympy, f, variable)


def _check_jump(search: Search) -> None:
    """An error if pieces that meet at the point have different values there."""
    values = sorted({float(search.point.value()), *(piece.value for piece in search.pieces)})
    if not search.pieces:
        raise DerivativeError("no piece of the function was found next to this point")
    if not np.allclose(values[0], values, rtol=1e-9, atol=1e-12):
        raise DerivativeError(
            f"the function jumps at this point: it is {search.point.value()} there, and tends to "
            f"values from {values[0]} to {values[-1]}, so no subdifferential exists"
            f"{named(search.steps)}"
        )


def part_of(search: Search, piece: Piece) -> Part:
    """The gradients of a piece: its slopes, plus an image of a ball for each norm in it."""
    if not np.all(np.isfinite(piece.slopes)):
        raise DerivativeError(
            "a piece of the function has a slope that is not finite at this point: the function "
            f"is not locally Lipschitz there (got {piece.slopes[: search.point.size]})"
        )
    size = search.point.size
    factors = zip(piece.slopes[size:], search.norms, strict=False)
    images = tuple(abs(factor) * norm.matrix for factor, norm in factors if factor)
    return Part(piece.slopes[:size].astype(float), images)


def _clarke(search: Search, shape: tuple[int, ...]) -> SubgradientSet:
    outer = [part_of(search, piece) for piece in search.pieces]
    inner = [
        part
        for part, piece in zip(outer, search.pieces, strict=True)
        if piece.cone.inner and _is_whole(part, piece, search.point.size)
    ]
    exact = not search.missed and (_covers(inner, outer) or _is_one_sided(search, outer))
    return hull_of(outer, shape, exact=exact, **({} if exact else {"note": OUTER}))


def _is_whole(part: Part, piece: Piece, size: int) -> bool:
    """Whether every element of the part is met in the cone: its norms turn freely there."""
    if not part.images:
        return True
    if np.any(piece.cone.rows[:, size:]):
        return False
    blocks = [*part.images, piece.cone.rows[:, :size]]
    ranks = [np.linalg.matrix_rank(block) if len(block) else 0 for block in blocks]
    return bool(np.linalg.matrix_rank(np.vstack(blocks)) == sum(ranks))


def _covers(inner: Sequence[Part], outer: Sequence[Part]) -> bool:
    """Whether the hull of the inner parts holds all of the outer ones."""
    groups = same_images([*inner, *outer])
    return all(_hull_holds(group, {id(part) for part in inner}) for group in groups)


def _hull_holds(group: Sequence[Part], inner: set[int]) -> bool:
    """Whether the centers of the inner parts hold the others in their hull."""
    points = [part.center for part in group if id(part) in inner]
    if not points:
        return False
    others = [part.center for part in group if id(part) not in inner]
    return all(holds(np.array(points), other) for other in others)


def _is_one_sided(search: Search, outer: Sequence[Part]) -> bool:
    """Whether f'(x; .) is the largest of its pieces, and these are convex; or -f'(x; .) is.

    Then it is the support function of the outer set (or minus that of its mirror image), and
    between the two lies the support function of Clarke's set.
    """
    size, pieces = search.point.size, search.pieces
    met = [p.cone.inner or bool(np.any(p.cone.rows[:, size:])) for p in pieces]
    slopes = np.array([np.pad(p.slopes, (0, search.columns - len(p.slopes))) for p in pieces])
    if not slopes[:, size:].any() or sum(met) * len(pieces) > MOST_PAIRS:
        return False
    if not _covers([part for part, m in zip(outer, met, strict=True) if m], outer):
        return False
    signs = [s for s in (1, -1) if np.all(s * slopes[:, size:] >= 0)]
    return any(_is_highest(search, sign * slopes, np.flatnonzero(met)) for sign in signs)


def _is_highest(search: Search, slopes: np.ndarray, met: np.ndarray) -> bool:
    """Whether each piece that is met is the largest of all on its cone, norms being >= 0."""
    size, columns = search.point.size, search.columns
    lengths = np.eye(columns)[size:]
    scale = max(1.0, float(np.max(np.abs(slopes), initial=0.0)))
    for i in met:
        rows = search.pieces[i].cone.rows
        cone = np.vstack([np.pad(rows, ((0, 0), (0, columns - rows.shape[1]))), lengths])
        others = slopes[np.any(slopes != slopes[i], axis=1)]
        if any(lowest_on(cone, slopes[i] - other) < -1e-9 * scale for other in others):
            return False
    return True
