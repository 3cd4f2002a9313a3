"""Layouts of derivatives: the shapes for scalars, vectors and matrices, and arrays arranged so.

A derivative of y by x has an axis for every axis of y and of x; a layout says in which order they
stand. calcbench's own functions (`jacobian`, `hessian`) have the mixed one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from calcbench.graph.arraytype import (
    Dim,
    GraphError,
    Shape,
    ShapeError,
    array_type,
    format_shape,
)


LAYOUTS = ("numerator", "denominator", "mixed")
OF_Y = {"scalar": (), "vector": (Dim("m"),), "matrix": (Dim("m"), Dim("l"))}
OF_X = {"scalar": (), "vector": (Dim("n"),), "matrix": (Dim("n"), Dim("k"))}


def derivative_shape(y_shape: Any, x_shape: Any, layout: str = "numerator") -> Shape:
    """The shape of dy/dx in a layout.

    Parameters
    ----------
    y_shape, x_shape : tuple of int, Dim or str
        As NumPy has them: ``()`` a scalar, ``(n,)`` a vector, ``(n, k)`` a matrix; more axes follow
        the same rule. A str is the name of a `Dim`.
    layout : {"numerator", "denominator", "mixed"}
        See the notes.

    Returns
    -------
    tuple of int or Dim
        A vector counts as a column, so the derivative by a scalar of a vector of m entries is
        ``(m, 1)`` in numerator layout.

    Raises
    ------
    ShapeError
        If a shape is none.
    GraphError
        If the layout is not one of the three.

    Notes
    -----
    Numerator (Jacobian) layout: the axes of y, then those of x reversed, so that chains read from
    left to right, dz/dx = dz/dy dy/dx; a scalar by a vector is a row. Denominator (gradient)
    layout: all axes of that reversed, so those of x come first, as they are; a scalar by a vector
    is a column, and dz/dx = dy/dx dz/dy. Mixed layout: the axes of y, then those of x, all as they
    are, so that a gradient is shaped like x and a Jacobian is (m, n).

    References
    ----------
    Magnus and Neudecker, Matrix Differential Calculus, 3rd ed. 2019, ch. 9 (numerator layout);
    Wikipedia, Matrix calculus, section Layout conventions; Zhang et al., Dive into Deep Learning,
    appendix on multivariable calculus (the table).

    Examples
    --------
    >>> import calcbench as cb
    >>> cb.derivative_shape((3,), (2, 5))
    (3, 5, 2)
    >>> cb.derivative_shape((), ("n",), "denominator")
    (Dim('n'), 1)
    """
    y, x = _shape(y_shape, "y_shape"), _shape(x_shape, "x_shape")
    placed = tuple((*y, *x)[axis] for axis in axes_of(len(y), len(x), layout))
    if layout == "mixed" or len(placed) > 1:
        return placed
    if not placed:
        return (1,)
    is_row = (not y) == (layout == "numerator")
    return (1, *placed) if is_row else (*placed, 1)


def axes_of(y_ndim: int, x_ndim: int, layout: str) -> tuple[int, ...]:
    """The axes of y (0, 1, ...) and those of x after them, in the order of the layout."""
    y, x = tuple(range(y_ndim)), tuple(range(y_ndim, y_ndim + x_ndim))
    if check_layout(layout) == "mixed":
        return y + x
    return y + x[::-1] if layout == "numerator" else x + y[::-1]


def check_layout(layout: str) -> str:
    """The layout, or an error that lists them."""
    if layout not in LAYOUTS:
        raise GraphError(f"layout is one of {', '.join(LAYOUTS)}, got {layout!r}")
    return layout


def _shape(given: Any, what: str) -> Shape:
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ShapeError(f"{what} is a tuple such as (), (3,) or ('n', 'k'), got {given!r}")
    return array_type(tuple(Dim(e) if isinstance(e, str) else e for e in given)).shape


def in_layout(jacobian: Any, y_ndim: int, layout: str = "numerator") -> np.ndarray:
    """A Jacobian, as `jacobian` returns it, with its axes in the order of a layout.

    Parameters
    ----------
    jacobian : array_like
        Of shape ``y.shape + x.shape``.
    y_ndim : int
        How many of its axes are those of y.
    layout : {"numerator", "denominator", "mixed"}
        See `derivative_shape`.

    Returns
    -------
    ndarray
        Of shape ``derivative_shape(y.shape, x.shape, layout)``; a copy.

    Raises
    ------
    ShapeError
        If there are fewer axes than `y_ndim`.
    GraphError
        If the layout is not one of the three.

    Examples
    --------
    >>> import calcbench as cb
    >>> slope = cb.grad(lambda x: x @ x)(np.array([1.0, 2.0]))
    >>> cb.in_layout(slope, 0, "numerator")
    array([[2., 4.]])
    """
    array = np.array(jacobian)
    if isinstance(y_ndim, bool) or not isinstance(y_ndim, int) or not 0 <= y_ndim <= array.ndim:
        raise ShapeError(
            f"y_ndim is a number from 0 to the {array.ndim} axes of the Jacobian, got {y_ndim!r}"
        )
    y, x = array.shape[:y_ndim], array.shape[y_ndim:]
    arranged = array.transpose(axes_of(y_ndim, len(x), layout))
    return arranged.reshape(derivative_shape(y, x, layout)).copy()


# --- the table -------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShapeTable:
    """The nine shapes of a layout; `str` prints them as a table.

    Attributes
    ----------
    layout : str
        Its name.
    shapes : dict
        (kind of y, kind of x) to the shape, with "scalar", "vector" and "matrix" as kinds.
    """

    layout: str
    shapes: dict[tuple[str, str], Shape] = field(hash=False)

    def __str__(self) -> str:
        rows = [[f"dy/dx, {self.layout}", *(f"x {k} {format_shape(s)}" for k, s in OF_X.items())]]
        for y, shape in OF_Y.items():
            entries = [format_shape(self.shapes[y, x]) for x in OF_X]
            rows.append([f"y {y} {format_shape(shape)}", *entries])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join(lines)


def shape_table(layout: str = "numerator") -> ShapeTable:
    """The shapes of dy/dx for scalars, vectors and matrices y and x.

    Parameters
    ----------
    layout : {"numerator", "denominator", "mixed"}
        See `derivative_shape`.

    Returns
    -------
    ShapeTable
        With sizes m, l of y, and n, k of x.

    Raises
    ------
    GraphError
        If the layout is not one of the three.

    Examples
    --------
    >>> import calcbench as cb
    >>> print(cb.shape_table())
    dy/dx, numerator  x scalar ()  x vector (n,)  x matrix (n, k)
    y scalar ()       (1,)         (1, n)         (k, n)
    y vector (m,)     (m, 1)       (m, n)         (m, k, n)
    y matrix (m, l)   (m, l)       (m, l, n)      (m, l, k, n)
    """
    pairs = [(y, x) for y in OF_Y for x in OF_X]
    return ShapeTable(
        layout, {(y, x): derivative_shape(OF_Y[y], OF_X[x], layout) for y, x in pairs}
    )
