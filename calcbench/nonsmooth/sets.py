"""Convex sets of gradients: hulls of points, and of points plus linear images of balls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import DerivativeError, ShapeError
from calcbench.nonsmooth.hulls import extreme_points, nearest_in_hull


SWEEPS = 500
MOST_SHOWN = 8  # parts in a printed set


class Part(NamedTuple):
    """A point plus linear images of unit balls: {center + sum_j L_j^T u_j, |u_j| <= 1}.

    Shapes: `center` (n,), each of `images` (m_j, n).
    """

    center: np.ndarray
    images: tuple[np.ndarray, ...] = ()

    def highest(self, direction: np.ndarray) -> np.ndarray:
        """The element g with the largest <g, direction>."""
        found = self.center.copy()
        for image in self.images:
            pushed = image @ direction
            length = np.linalg.norm(pushed)
            if length > 0:
                found += pushed / length @ image
        return found

    def support(self, direction: np.ndarray) -> float:
        """The largest <g, direction>."""
        lengths = [np.linalg.norm(image @ direction) for image in self.images]
        return float(self.center @ direction + sum(lengths))


@dataclass(frozen=True, eq=False, repr=False)
class SubgradientSet:
    """The convex hull of finitely many parts, whose elements are shaped like the point.

    Attributes
    ----------
    parts : tuple of Part
        Points, in a polytope; points plus images of balls where norms vanish.
    shape : tuple of int
        The shape of an element.
    kind : {"clarke", "conservative"}
        Which subdifferential it is.
    exact : bool
        Whether it is that set; otherwise it contains it.
    note : str
        What it is, in words.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> found = cb.subdifferential(np.abs, 0.0)
    >>> found
    [-1, 1]
    >>> found.contains(0.3), found.contains(1.1), found.support(-2.0)
    (True, False, 2.0)
    """

    parts: tuple[Part, ...]
    shape: tuple[int, ...]
    kind: str = "clarke"
    exact: bool = True
    note: str = "Clarke's subdifferential"

    # --- what it looks like ---

    @property
    def form(self) -> str:
        """One of "point", "interval", "polytope", "ball" and "hull" (of sums with balls)."""
        if not any(part.images for part in self.parts):
            alone = "point" if len(self._points) == 1 else "polytope"
            return "interval" if self.shape == () and len(self._points) > 1 else alone
        return "ball" if self._radius is not None else "hull"

    @property
    def _points(self) -> np.ndarray:
        return np.array([part.center for part in self.parts])

    @property
    def _radius(self) -> float | None:
        """The radius, if the set is a Euclidean ball."""
        if len(self.parts) != 1 or len(self.parts[0].images) != 1:
            return None
        gram = self.parts[0].images[0].T @ self.parts[0].images[0]
        square = float(np.trace(gram)) / len(gram)
        round_ = np.allclose(gram, square * np.eye(len(gram)), rtol=1e-9, atol=1e-12 * square)
        return float(np.sqrt(square)) if round_ else None

    @property
    def vertices(self) -> np.ndarray:
        """The corners of a polytope, shape (k, *shape).

        Raises
        ------
        DerivativeError
            If the set is round somewhere, and has infinitely many.
        """
        if any(part.images for part in self.parts):
            raise DerivativeError(
                f"the set {self!r} has infinitely many extreme points; use support, sample or "
                "min_norm"
            )
        return self._points.reshape(-1, *self.shape)

    # --- questions to it ---

    def support(self, d: Any) -> float:
        """The support function max <g, d> over the elements g, for `d` shaped like the point."""
        direction = self._vector(d)
        return max(part.support(direction) for part in self.parts)

    def contains(self, g: Any, tol: float = 1e-9) -> bool:
        """Whether `g` lies within the distance `tol` of the set."""
        return bool(self.distance(g) <= tol)

    def distance(self, g: Any) -> float:
        """The Euclidean distance of `g` from the set."""
        target = self._vector(g)
        if not np.all(np.isfinite(target)):
            return float("inf")
        return float(np.linalg.norm(self._nearest(target) - target))

    def min_norm(self) -> Any:
        """The element of smallest Euclidean norm; 0 at a stationary point."""
        return self._nearest(np.zeros(self._points.shape[1])).reshape(self.shape)[()]

    def sample(self, rng: np.random.Generator) -> Any:
        """A random element: random weights of the parts, random points of their balls."""
        weights = rng.dirichlet(np.ones(len(self.parts)))
        total = sum(w * _drawn(part, rng) for w, part in zip(weights, self.parts, strict=True))
        return np.asarray(total).reshape(self.shape)[()]

    def _vector(self, g: Any) -> np.ndarray:
        array = np.asarray(g, float)
        if array.shape != self.shape:
            raise ShapeError(
                f"elements of this set have the shape {self.shape} of the point, got {array.shape}"
            )
        return array.reshape(-1)

    def _nearest(self, target: np.ndarray) -> np.ndarray:
        """The projection of `target`: over ever more elements, each the highest in its direction.

        Wolfe, "Finding the nearest point in a polytope", 1976.
        """
        if not any(part.images for part in self.parts):
            return nearest_in_hull(self._points, target)
        elements, before = [part.center for part in self.parts], np.inf
        size = max(1.0, float(np.max(np.abs(elements))))
        for _ in range(SWEEPS):
            found = nearest_in_hull(np.array(elements), target)
            away = target - found
            highest = max((part.highest(away) for part in self.parts), key=away.dot)
            gap, length = away @ (highest - found), float(np.linalg.norm(away))
            if gap <= 1e-14 * size * max(length, 1e-8 * size) or length >= before:
                break
            elements, before = [*elements, highest], length
        return found

    # --- printing ---

    def __repr__(self) -> str:
        text = self._shown()
        return text if self.exact else f"{text} ({self.note})"

    def _shown(self) -> str:
        if self.form == "interval":
            return self._interval()
        if self.form == "point":
            return f"{{{self._text(0)}}}"
        if self.form == "ball":
            return f"ball(center={self._text(0)}, radius={self._radius:.6g})"
        texts = [self._text(i) for i in range(min(len(self.parts), MOST_SHOWN))]
        more = len(self.parts) - len(texts)
        return f"hull of {', '.join(texts)}" + (f" and {more} more" if more else "")

    def _interval(self) -> str:
        low, high = np.sort(self._points[:, 0])
        return f"[{low:.6g}, {high:.6g}]"

    def _text(self, number: int) -> str:
        """A part in words."""
        part = self.parts[number]
        point = _numbers(part.center.reshape(self.shape))
        images = [f"image of a ball by {_numbers(image.T)}" for image in part.images]
        return " + ".join([point, *(images if self.form == "hull" else ())])

    def latex(self) -> str:
        """The set in LaTeX."""
        if self.form == "interval":
            return self._interval()
        centers = [_latex(part.center.reshape(self.shape)) for part in self.parts]
        if self.form in ("point", "polytope"):
            inside = rf"\left\{{{', '.join(centers)}\right\}}"
            return inside if self.form == "point" else rf"\operatorname{{conv}} {inside}"
        if self.form == "ball":
            return rf"\left\{{g : \left\|g - {centers[0]}\right\|_2 \le {self._radius:.6g}\right\}}"
        sums = [
            " + ".join([center, *(rf"{_latex(image.T)} B_{{{len(image)}}}" for image in p.images)])
            for center, p in zip(centers, self.parts, strict=True)
        ]
        union = r" \cup ".join(rf"\left({s}\right)" for s in sums)
        return rf"\operatorname{{conv}}\left({union}\right)"


def hull_of(parts: Sequence[Part], shape: tuple[int, ...], **labels: Any) -> SubgradientSet:
    """The hull of parts, without those that the others of the same roundness already hold."""
    kept: list[Part] = []
    for group in same_images(parts):
        centers = extreme_points(np.array([part.center for part in group]))
        kept += [Part(center, group[0].images) for center in centers]
    return SubgradientSet(tuple(kept), shape, **labels)


def same_images(parts: Sequence[Part]) -> list[list[Part]]:
    """The parts in groups that differ in their centers alone."""
    groups: list[list[Part]] = []
    for part in parts:
        home = next((g for g in groups if _alike(g[0].images, part.images)), None)
        if home is None:
            groups.append([part])
        else:
            home.append(part)
    return groups


def _alike(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> bool:
    pairs = list(zip(first, second, strict=False))
    close = (a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in pairs)
    return len(first) == len(second) and all(close)


def _drawn(part: Part, rng: np.random.Generator) -> np.ndarray:
    """A random element of a part, uniform in each ball."""
    found = part.center.copy()
    for image in part.images:
        ray = rng.normal(size=len(image))
        radius = rng.uniform() ** (1 / len(ray))
        found += radius * ray / np.linalg.norm(ray) @ image
    return found


def _numbers(array: np.ndarray) -> str:
    if np.ndim(array) == 0:
        return f"{float(array):.6g}"
    shown = np.array2string(array + 0.0, separator=", ", precision=6).replace("\n", "")
    return " ".join(shown.split())


def _latex(array: np.ndarray) -> str:
    """A number, or a matrix in brackets; a vector as its transpose."""
    if array.ndim == 0:
        return f"{float(array):.6g}"
    rows = array.reshape(1, -1) if array.ndim == 1 else array.reshape(-1, array.shape[-1])
    body = r" \\ ".join(" & ".join(f"{v:.6g}" for v in row) for row in rows)
    turned = "^T" if array.ndim == 1 else ""
    return rf"\begin{{bmatrix}} {body} \end{{bmatrix}}{turned}"
