"""The chain rule as shapes: a product of derivatives, checked link by link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from calcbench.graph.arraytype import Dim, Shape, ShapeError, array_type, format_shape


@dataclass(frozen=True)
class Chain:
    """A product of derivatives whose shapes fit; `str` writes it as an equation.

    Attributes
    ----------
    factors : tuple of tuple
        The shapes (rows, columns), outermost function first.
    shape : tuple
        That of the product.
    """

    factors: tuple[Shape, ...]
    shape: Shape

    def __str__(self) -> str:
        return f"{format_shape(self.shape)} = {''.join(map(format_shape, self.factors))}"


def check_chain(shapes: Sequence[Any]) -> Chain:
    """Whether derivatives can be multiplied in this order, and the shape of their product.

    Parameters
    ----------
    shapes : sequence of (rows, columns)
        In numerator layout the outermost function comes first: dz/dy (1, k), then dy/dx (k, n). In
        denominator layout the innermost does. Entries are int, Dim or the name of a `Dim`.

    Returns
    -------
    Chain
        Its `shape` is that of the product.

    Raises
    ------
    ShapeError
        If an entry is no pair of sizes, or two neighbours do not fit: it names the link.

    Notes
    -----
    The chain rule for y = f(x), z = g(y): dz/dx = dz/dy dy/dx, (1, n) = (1, k)(k, n).

    Examples
    --------
    >>> import calcbench as cb
    >>> print(cb.check_chain([(1, "k"), ("k", "m"), ("m", "n")]))
    (1, n) = (1, k)(k, m)(m, n)
    """
    if not isinstance(shapes, Sequence) or isinstance(shapes, str) or not shapes:
        raise ShapeError(
            f"a chain is a list of shapes such as [(1, 'k'), ('k', 'n')], got {shapes!r}"
        )
    factors = tuple(_matrix_shape(given, link) for link, given in enumerate(shapes, start=1))
    for link, (left, right) in enumerate(pairwise(factors), start=1):
        if left[1] != right[0]:
            raise ShapeError(
                f"link {link} of the chain does not fit: {format_shape(left)}{format_shape(right)} "
                f"with columns {left[1]} and rows {right[0]}; what factor {link} is a derivative "
                f"by, factor {link + 1} is the derivative of" + _turned(left, right)
            )
    return Chain(factors, (factors[0][0], factors[-1][1]))


def _turned(left: Shape, right: Shape) -> str:
    if left[1] == right[1] or left[0] == right[0]:
        return "; one of the two seems to be in another layout: transpose it"
    return "; the order seems to be reversed" if left[0] == right[1] else ""


def _matrix_shape(given: Any, link: int) -> Shape:
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != 2:
        raise ShapeError(
            f"factor {link} of a chain is a pair (rows, columns), got {given!r}; a gradient of n "
            "entries is (1, n) in numerator and (n, 1) in denominator layout"
        )
    return array_type(tuple(Dim(e) if isinstance(e, str) else e for e in given)).shape
