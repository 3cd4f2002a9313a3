"""From index notation to matrix notation, wherever there is one."""

from __future__ import annotations

from collections.abc import Sequence

from calcbench.symbolic.matrices.algebra import expanded
from calcbench.symbolic.matrices.contraction import Contraction, NoMatrixForm
from calcbench.symbolic.matrices.forms import (
    Extents,
    Form,
    eye,
    function,
    inverse,
    of_matrix,
    raised,
    size,
    symbol,
    triangle,
)
from calcbench.symbolic.matrices.indexed import (
    Delta,
    Factor,
    Function,
    Group,
    Index,
    MatrixFunction,
    Size,
    Symbol,
    Terms,
    Triangle,
)
from calcbench.symbolic.matrices.sums import total


def recognised(terms: Terms, free: Sequence[Index]) -> Form | None:
    """The sum in matrix notation, rows by the first free index, or None if there is none.

    Both the sum as it stands and the one multiplied out are tried, and the shorter is taken.
    """
    if len(free) > 2:
        return None
    found = [f for f in (_attempt(terms, free), _attempt(expanded(terms), free)) if f is not None]
    return min(found, key=lambda f: f.weight, default=None)


def _attempt(terms: Terms, free: Sequence[Index]) -> Form | None:
    try:
        return _sum(terms, free)
    except NoMatrixForm:
        return None


def _extents(free: Sequence[Index]) -> Extents:
    sizes = [i.size for i in free] + [1, 1]
    return sizes[0], sizes[1]


def _sum(terms: Terms, free: Sequence[Index]) -> Form:
    return total(
        [Contraction(t, free, leaf_form).contracted().result() for t in terms], _extents(free)
    )


# --- factors -------------------------------------------------------------------------------------


def leaf_form(f: Factor) -> Form:
    """The form of one factor with at most two indices, rows by its first index."""
    if len(f.indices) > 2:
        raise NoMatrixForm
    shape = _extents(f.indices)
    base = f.base
    if isinstance(base, Symbol):
        form = symbol(base.name, shape, base.structure)
    elif isinstance(base, Delta):
        form = eye(shape[0])
    elif isinstance(base, Triangle):
        form = triangle(base.side, shape[0])
    elif isinstance(base, Size):
        form = size(base.dim)
    elif isinstance(base, Function):
        form = function(base.name, [_sum(a.terms, a.slots) for a in base.arguments], shape)
    elif isinstance(base, MatrixFunction):
        inner = _sum(base.argument.terms, base.argument.slots)
        form = inverse(inner) if base.name == "inv" else of_matrix(base.name, inner)
    elif isinstance(base, Group):
        form = _sum(base.tensor.terms, base.tensor.slots)
    else:
        raise NoMatrixForm
    return raised(form, f.exponent)
