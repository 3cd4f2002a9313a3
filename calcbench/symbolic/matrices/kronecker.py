"""The Kronecker form of a matrix by a matrix: d vec(Y) = J d vec(X), vec stacking columns."""

from __future__ import annotations

from collections.abc import Sequence

from calcbench.symbolic.matrices.contraction import Contraction, NoMatrixForm
from calcbench.symbolic.matrices.forms import Form, product, scale, transposed
from calcbench.symbolic.matrices.indexed import Index, Tensor, Term
from calcbench.symbolic.matrices.recognition import Recogniser
from calcbench.symbolic.matrices.sums import total
from calcbench.symbolic.matrices.whole_matrices import (
    commutation,
    diagonal_matrix,
    kron,
    vectorised,
)


def kronecker_form(tensor: Tensor) -> Form | None:
    """J of shape (m l, n k), for Y of shape (m, l) by X of shape (n, k); None if there is none.

    The four slots are Y's and X's; a vector is a matrix of one column.

    A dX B gives B' ⊗ A, its transpose A dX' B gives (B' ⊗ A) K with the commutation matrix K
    (Magnus & Neudecker 2019, chapters 2 and 3).
    """
    i, j, k, m = tensor.slots
    try:
        terms = [_term(t, tensor.slots) for t in tensor.terms]
    except NoMatrixForm:
        return None
    return total(terms, (j.size * i.size, m.size * k.size))


def _term(term: Term, slots: Sequence[Index]) -> Form:
    c = Contraction(term, slots, Recogniser().leaf).contracted()
    if c.packs or any(set(indices) - set(slots) for _, indices in c.parts):
        raise NoMatrixForm
    return scale(c.coefficient, c.scalars, _joined(c, *slots))


def _joined(c: Contraction, i: Index, j: Index, k: Index, m: Index) -> Form:
    pairs = [frozenset(indices) for _, indices in c.parts if len(indices) == 2]
    straight = frozenset((i, k)) in pairs or frozenset((j, m)) in pairs
    crossed = frozenset((i, m)) in pairs or frozenset((j, k)) in pairs
    if straight and crossed:
        raise NoMatrixForm
    if not straight and not crossed:
        return product([vectorised(c.between(i, j)), transposed(vectorised(c.between(k, m)))])
    if straight:
        middle = kron(c.between(j, m), c.between(i, k))
    else:
        middle = product([kron(c.between(j, k), c.between(i, m)), commutation(k.size, m.size)])
    return product([*_weights(c, i, j), middle, *_weights(c, k, m)])


def _weights(c: Contraction, row: Index, column: Index) -> list[Form]:
    """Diag(vec(P)) for a part P on both indices: a product entry by entry."""
    found = [p for p in c.parts if set(p[1]) == {row, column} and len(p[1]) == 2]
    if not found:
        return []
    form, indices = found[0]
    return [diagonal_matrix(vectorised(form if indices[0] == row else transposed(form)))]
