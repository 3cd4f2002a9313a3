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
    raised,
    size,
    symbol,
    triangle,
)
from calcbench.symbolic.matrices.indexed import (
    Base,
    Delta,
    Factor,
    Function,
    Group,
    Index,
    MatrixFunction,
    Size,
    Symbol,
    Tensor,
    Terms,
    Triangle,
)
from calcbench.symbolic.matrices.sums import total
from calcbench.symbolic.matrices.whole_matrices import of_matrix


def recognised(terms: Terms, free: Sequence[Index]) -> Form | None:
    """The sum in matrix notation, rows by the first free index, or None if there is none.

    Both the sum as it stands and the one multiplied out are tried, and the shorter is taken.
    """
    if len(free) > 2:
        return None
    reader = Recogniser()
    attempts = [reader.attempt(t, free) for t in (terms, expanded(terms)) if t is not None]
    return min((f for f in attempts if f is not None), key=lambda f: f.weight, default=None)


def _extents(free: Sequence[Index]) -> Extents:
    sizes = [i.size for i in free] + [1, 1]
    return sizes[0], sizes[1]


class Recogniser:
    """Reads sums as forms; a sum that occurs several times is read once."""

    def __init__(self) -> None:
        self.known: dict[tuple[object, ...], Form] = {}

    def attempt(self, terms: Terms, free: Sequence[Index]) -> Form | None:
        """The form of a sum, or None if there is none."""
        try:
            return self.sum(terms, free)
        except NoMatrixForm:
            return None

    def sum(self, terms: Terms, free: Sequence[Index]) -> Form:
        """The form of a sum, or `NoMatrixForm`."""
        contractions = [Contraction(t, free, self.leaf).contracted() for t in terms]
        return total([c.result() for c in contractions], _extents(free))

    def tensor(self, tensor: Tensor) -> Form:
        """The form of a tensor, rows by its first slot."""
        key = (tensor.key, *(i.size for i in tensor.slots))
        if key not in self.known:
            self.known[key] = self.sum(tensor.terms, tensor.slots)
        return self.known[key]

    def leaf(self, f: Factor) -> Form:
        """The form of one factor with at most two indices, rows by its first index."""
        if len(f.indices) > 2:
            raise NoMatrixForm
        return raised(self._base(f.base, _extents(f.indices)), f.exponent)

    def _base(self, base: Base, shape: Extents) -> Form:
        if isinstance(base, Symbol):
            return symbol(base.name, shape, base.structure)
        if isinstance(base, Delta):
            return eye(shape[0])
        if isinstance(base, Triangle):
            return triangle(base.side, shape[0])
        if isinstance(base, Size):
            return size(base.dim)
        if isinstance(base, Function):
            return function(base.name, [self.tensor(a) for a in base.arguments], shape)
        if isinstance(base, MatrixFunction):
            inner = self.tensor(base.argument)
            return inverse(inner) if base.name == "inv" else of_matrix(base.name, inner)
        if isinstance(base, Group):
            return self.tensor(base.tensor)
        raise NoMatrixForm
