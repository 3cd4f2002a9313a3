"""One product in index notation, contracted to a matrix form step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from calcbench.symbolic.matrices.forms import Form, hadamard, num, ones, product, scale, transposed
from calcbench.symbolic.matrices.indexed import Factor, Index, Pack, Term
from calcbench.symbolic.matrices.whole_matrices import (
    diagonal_matrix,
    diagonal_of,
    kron,
    trace,
    vectorised,
)


class NoMatrixForm(Exception):
    """Raised where only index notation will do; recognition answers None."""


Leaf = Callable[[Factor], Form]  # the form of one factor, rows by its first index
Part = tuple[Form, tuple[Index, ...]]


class Contraction:
    """One term, contracted step by step until only free indices are left."""

    def __init__(self, term: Term, free: Sequence[Index], leaf: Leaf) -> None:
        self.leaf = leaf
        self.free = tuple(free)
        self.bound = set(term.bound)
        self.coefficient = term.coefficient
        self.scalars: list[Form] = []
        self.parts: list[Part] = []
        self.packs = [f.indices for f in term.factors if isinstance(f.base, Pack)]
        for f in term.factors:
            if not isinstance(f.base, Pack):
                self._put(*(self._inner_square(f, term) or (self.leaf(f), f.indices)))

    def contracted(self) -> Contraction:
        """The same after all steps that apply."""
        while any(step(self) for step in _STEPS):
            pass
        return self

    def result(self) -> Form:
        """The form whose rows are the first free index and whose columns are the second."""
        return scale(self.coefficient, self.scalars, self._laid_out())

    def _inner_square(self, f: Factor, term: Term) -> Part | None:
        """x'x or tr(X'X) for a square of which nothing but the sum is used."""
        alone = all(i in self.bound and term.uses(i) == 1 for i in f.indices)
        if f.exponent != 2 or not f.indices or not alone:
            return None
        half = self.leaf(Factor(f.base, f.indices))
        self.bound -= set(f.indices)
        inner = product([transposed(half), half])
        return (inner if len(f.indices) == 1 else trace(inner)), ()

    def _put(self, form: Form, indices: tuple[Index, ...]) -> None:
        if indices:
            self.parts.append((form, indices))
        else:
            self.scalars.append(form)

    def uses(self, index: Index) -> int:
        """How often the index is left."""
        in_parts = sum(indices.count(index) for _, indices in self.parts)
        return in_parts + sum(pack.count(index) for pack in self.packs)

    def used_up(self, index: Index, count: int) -> bool:
        """Whether the index is summed over and occurs exactly so often."""
        return index in self.bound and self.uses(index) == count

    def replace(self, old: Sequence[Part], form: Form, indices: tuple[Index, ...]) -> bool:
        """Put one part in the place of others."""
        self.parts = [p for p in self.parts if not any(p is o for o in old)]
        self._put(form, indices)
        return True

    def holding(self, index: Index) -> list[Part]:
        """The parts that have the index."""
        return [p for p in self.parts if index in p[1]]

    def _laid_out(self) -> Form:
        """What is left, on the free indices."""
        if self.packs or any(set(indices) - set(self.free) for _, indices in self.parts):
            raise NoMatrixForm
        if not self.free:
            return num(1)
        vectors = {indices[0]: form for form, indices in self.parts if len(indices) == 1}
        if len(self.free) == 1:
            (i,) = self.free
            return vectors.get(i, ones(i.size))
        return self.between(*self.free)

    def between(self, i: Index, j: Index) -> Form:
        """What the parts on `i`, on `j` and on both are as a matrix."""
        on = {indices: form for form, indices in self.parts}
        pair = [p for p in self.parts if set(p[1]) == {i, j}]
        matrix = _seen_from(pair[0], i) if pair else None
        left, right = on.get((i,)), on.get((j,))
        if matrix is None:
            return _outer(i, j, left, right)
        if matrix.op == "triangle":
            rows = _outer(i, j, left, right)
            return hadamard([matrix, rows]) if (left or right) else matrix
        before = [] if left is None else [diagonal_matrix(left)]
        after = [] if right is None else [diagonal_matrix(right)]
        return product([*before, matrix, *after])


def _outer(i: Index, j: Index, left: Form | None, right: Form | None) -> Form:
    """A column times a row, of ones where there is none."""
    column = ones(i.size) if left is None else left
    return product([column, transposed(ones(j.size) if right is None else right)])


def _seen_from(part: Part, index: Index) -> Form:
    """The form with `index` along its rows."""
    form, indices = part
    return form if indices[0] == index else transposed(form)


def _other(part: Part, index: Index) -> tuple[Index, ...]:
    return tuple(i for i in part[1] if i != index)


# --- steps: each changes the contraction and says so, or leaves it -------------------------------


def _loop(c: Contraction) -> bool:
    """F_ii is a trace if only the sum is used, otherwise the diagonal."""
    for part in c.parts:
        form, indices = part
        if len(indices) == 2 and indices[0] == indices[1]:
            if c.used_up(indices[0], 2):
                return c.replace([part], trace(form), ())
            return c.replace([part], diagonal_of(form), indices[:1])
    return False


def _parallel(c: Contraction) -> bool:
    """F_ij G_ij: tr(F'G) if only the sum is used, otherwise the product entry by entry."""
    for k, first in enumerate(c.parts):
        for second in c.parts[k + 1 :]:
            if len(first[1]) == 2 and set(first[1]) == set(second[1]):
                i, j = first[1]
                aligned = _seen_from(second, i)
                if c.used_up(i, 2) and c.used_up(j, 2):
                    inner = product([transposed(aligned), first[0]])
                    return c.replace([first, second], trace(inner), ())
                return c.replace([first, second], hadamard([first[0], aligned]), (i, j))
    return False


def _vectors(c: Contraction) -> bool:
    """v_i w_i: v'w if only the sum is used, otherwise the product entry by entry."""
    for k, first in enumerate(c.parts):
        for second in c.parts[k + 1 :]:
            if len(first[1]) == 1 and first[1] == second[1]:
                if c.used_up(first[1][0], 2):
                    inner = product([transposed(first[0]), second[0]])
                    return c.replace([first, second], inner, ())
                return c.replace([first, second], hadamard([first[0], second[0]]), first[1])
    return False


def _chain(c: Contraction) -> bool:
    """F_ai G_ib is FG, where i is in no other part; vectors go first."""
    for index in sorted(c.bound, key=lambda i: (min(map(len, _lengths(c, i))), i.number)):
        parts = c.holding(index)
        if len(parts) == 2 and c.used_up(index, 2):
            first, second = parts if len(parts[0][1]) == 2 else parts[::-1]
            left, right = transposed(_seen_from(first, index)), _seen_from(second, index)
            return c.replace(
                parts, product([left, right]), _other(first, index) + _other(second, index)
            )
    return False


def _lengths(c: Contraction, index: Index) -> list[tuple[Index, ...]]:
    return [indices for _, indices in c.holding(index)] or [()]


def _between(c: Contraction) -> bool:
    """F_ai v_i G_ib is F Diag(v) G."""
    for index in sorted(c.bound, key=lambda i: i.number):
        parts = c.holding(index)
        matrices = [p for p in parts if len(p[1]) == 2]
        vectors = [p for p in parts if len(p[1]) == 1]
        if len(matrices) == 2 and len(vectors) == 1 and c.used_up(index, 3):
            first, second = matrices
            form = product(
                [
                    transposed(_seen_from(first, index)),
                    diagonal_matrix(vectors[0][0]),
                    _seen_from(second, index),
                ]
            )
            return c.replace(parts, form, _other(first, index) + _other(second, index))
    return False


def _summed(c: Contraction) -> bool:
    """F_ai with i in no other part is F 1."""
    for part in c.parts:
        for index in part[1]:
            if c.used_up(index, 1):
                row = transposed(_seen_from(part, index))
                return c.replace([part], product([row, ones(index.size)]), _other(part, index))
    return False


def _kronecker(c: Contraction) -> bool:
    """F_ij G_pq with rows (i, p) and columns (j, q) packed is F kron G."""
    for rows in c.packs:
        whole, i, p = rows
        if not (c.used_up(i, 2) and c.used_up(p, 2)):
            continue
        (first,), (second,) = c.holding(i), c.holding(p)
        if first is second:
            c.packs.remove(rows)
            flat = vectorised(transposed(_seen_from(first, i)))
            return c.replace([first], flat, (whole,))
        columns = _columns(c, rows, _other(first, i), _other(second, p))
        if columns is not None:
            packs, indices = columns
            c.packs = [q for q in c.packs if q is not rows and q not in packs]
            form = kron(_seen_from(first, i), _seen_from(second, p))
            return c.replace([first, second], form, (whole, *indices))
    return False


def _columns(
    c: Contraction, rows: tuple[Index, ...], j: tuple[Index, ...], q: tuple[Index, ...]
) -> tuple[list[tuple[Index, ...]], tuple[Index, ...]] | None:
    """The packs that the columns use up and the index they become."""
    if not (j and q):
        return [], j + q
    for pack in c.packs:
        if pack is not rows and pack[1:] == j + q and c.used_up(j[0], 2) and c.used_up(q[0], 2):
            return [pack], pack[:1]
    return None


_STEPS: tuple[Callable[[Contraction], bool], ...] = (
    _loop,
    _parallel,
    _vectors,
    _chain,
    _between,
    _kronecker,
    _summed,
)
