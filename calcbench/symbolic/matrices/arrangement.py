"""Where the axes of a derivative lie: the layouts."""

from __future__ import annotations

from calcbench.graph.arraytype import GraphError, Shape


LAYOUTS = ("mixed", "numerator", "denominator")


def check_layout(layout: str) -> str:
    """The layout, or an error that lists them."""
    if layout not in LAYOUTS:
        raise GraphError(f"a layout is one of {', '.join(LAYOUTS)}, got {layout!r}")
    return layout


def axes_of(y_ndim: int, x_ndim: int, layout: str) -> tuple[int, ...]:
    """The axes of y then those of x, in the order of the layout.

    Numerator: those of y, then those of x from the last to the first, so that the first axis of x
    meets the next factor of a chain. Denominator: the same backward. Mixed: y's then x's, as NumPy
    arrays have them, so that a gradient has the shape of x.
    """
    y, x = tuple(range(y_ndim)), tuple(range(y_ndim, y_ndim + x_ndim))
    if layout == "mixed":
        return y + x
    numerator = y + x[::-1]
    return numerator if layout == "numerator" else numerator[::-1]


def arranged_shape(y_shape: Shape, x_shape: Shape, layout: str) -> Shape:
    """The shape of a derivative; vectors are written as rows or columns outside ``mixed``."""
    shape = (*y_shape, *x_shape)
    order = axes_of(len(y_shape), len(x_shape), check_layout(layout))
    placed = tuple(shape[a] for a in order)
    if layout == "mixed" or len(y_shape) + len(x_shape) > 1:
        return placed
    if not placed:
        return (1,)
    row = (not y_shape) == (layout == "numerator")
    return (1, *placed) if row else (*placed, 1)
