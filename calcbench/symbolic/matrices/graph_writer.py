"""Graphs on named dimensions that compute what matrix or index notation says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from calcbench.graph.arraytype import FLOAT64, DimLike
from calcbench.graph.comparison import equal, greater_equal
from calcbench.graph.diagonals import diagonal, from_diagonal
from calcbench.graph.elementwise import convert
from calcbench.graph.linalg import det, inv, logabsdet
from calcbench.graph.nodes import Literal
from calcbench.graph.structural import (
    broadcast,
    cumsum,
    fill,
    matmul,
    outer_product,
    reshape,
    sum_,
    transpose,
)
from calcbench.symbolic.matrices.forms import Form
from calcbench.symbolic.matrices.graph_entries import applied, as_float, raised
from calcbench.symbolic.matrices.indexed import (
    Base,
    Delta,
    Factor,
    Function,
    Group,
    Index,
    MatrixFunction,
    Pack,
    Size,
    Symbol,
    Tensor,
    Term,
    Triangle,
)


Make = Callable[[tuple[DimLike, ...], float], Any]  # a constant value of a shape


class GraphWriter:
    """Writes forms and tensors into the builder of the variables it is given.

    A column or a row is a value of one axis, a scalar has none.
    """

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self.variables = variables
        self.any = next(iter(variables.values()))
        self.known: dict[object, Any] = {}

    def constant(self, shape: tuple[DimLike, ...], number: float) -> Any:
        """A value that is `number` everywhere."""
        params = (("shape", shape), ("value", Literal.of(number, FLOAT64)))
        return type(self.any)(self.any.builder, self.any.builder.add(fill, (), params))

    def counting(self, extent: DimLike) -> Any:
        """0, 1, 2, ... along one axis."""
        ones = self.constant((extent,), 1.0)
        return cumsum(ones, axis=0) - ones

    def size(self, extent: DimLike) -> Any:
        """The size of a dimension, as a number."""
        return sum_(self.constant((extent,), 1.0), axes=(0,))

    def triangle(self, side: str, extent: DimLike) -> Any:
        """1 in one triangle, diagonal included, and 0 in the other."""
        count, shape = self.counting(extent), (extent, extent)
        rows, columns = (broadcast(count, dims=(d,), shape=shape) for d in (0, 1))
        pair = (rows, columns) if side == "lower" else (columns, rows)
        return convert(greater_equal(*pair), dtype=FLOAT64)

    def eye(self, extent: DimLike) -> Any:
        """The identity matrix."""
        return from_diagonal(self.constant((extent,), 1.0), offset=0, shape=(extent, extent))

    # --- forms -----------------------------------------------------------------------------------

    def form(self, f: Form) -> Any:
        """The value of a form."""
        if f not in self.known:
            self.known[f] = getattr(self, f"_{f.op}")(f)
        return self.known[f]

    def _symbol(self, f: Form) -> Any:
        return self.variables[f.data[0]]

    def _number(self, f: Form) -> Any:
        return self.constant((), as_float(f.data))

    def _size(self, f: Form) -> Any:
        return self.size(f.data)

    def _ones(self, f: Form) -> Any:
        return self.constant((f.shape[0],), 1.0)

    def _eye(self, f: Form) -> Any:
        return self.eye(f.shape[0])

    def _zero(self, f: Form) -> Any:
        return self.constant(tuple(e for e in f.shape if e != 1), 0.0)

    def _triangle(self, f: Form) -> Any:
        return self.triangle(f.data, f.shape[0])

    def _triangular(self, f: Form) -> Any:
        return self.triangle(f.data, f.shape[0]) * self.form(f.args[0])

    def _sum(self, f: Form) -> Any:
        total: Any = None
        for sign, a in zip(f.data, f.args, strict=True):
            value = self.form(a)
            if total is None:
                total = value if sign > 0 else -value
            else:
                total = total + value if sign > 0 else total - value
        return total

    def _scale(self, f: Form) -> Any:
        *scalars, body = f.args
        value = self.form(body)
        for s in scalars:
            value = self.form(s) * value
        return value if f.data == 1 else value * as_float(f.data)

    def _product(self, f: Form) -> Any:
        chain = list(f.args)
        for k in range(len(chain) - 1):
            if chain[k].shape[1] == 1:  # a column times a row
                return outer_product(self._chain(chain[: k + 1]), self._chain(chain[k + 1 :]))
        return self._chain(chain)

    def _chain(self, chain: Sequence[Form]) -> Any:
        """From the side of the vector, if there is one, so that no product is of matrices."""
        if chain[-1].shape[1] == 1:
            value = self.form(chain[-1])
            for f in reversed(chain[:-1]):
                value = self._joined(f, value, left=True)
            return value
        value = self.form(chain[0])
        for f in chain[1:]:
            value = self._joined(f, value, left=False)
        return value

    def _joined(self, f: Form, value: Any, left: bool) -> Any:
        if f.op == "Diag":
            weights = self.form(f.args[0])
            axis = 0 if left else value.type.ndim - 1
            return broadcast(weights, dims=(axis,), shape=value.type.shape) * value
        factor = self.form(f)
        return matmul(factor, value) if left else matmul(value, factor)

    def _hadamard(self, f: Form) -> Any:
        value = self.form(f.args[0])
        for a in f.args[1:]:
            value = value * self.form(a)
        return value

    def _power(self, f: Form) -> Any:
        return raised(self.form(f.args[0]), f.data)

    def _transpose(self, f: Form) -> Any:
        value = self.form(f.args[0])
        return transpose(value, perm=(1, 0)) if value.type.ndim == 2 else value

    def _inv(self, f: Form) -> Any:
        return inv(self.form(f.args[0]))

    def _det(self, f: Form) -> Any:
        return det(self.form(f.args[0]))

    def _logabsdet(self, f: Form) -> Any:
        return logabsdet(self.form(f.args[0]))

    def _trace(self, f: Form) -> Any:
        return sum_(diagonal(self.form(f.args[0]), offset=0), axes=(0,))

    def _diag(self, f: Form) -> Any:
        return diagonal(self.form(f.args[0]), offset=0)

    def _Diag(self, f: Form) -> Any:
        return from_diagonal(self.form(f.args[0]), offset=0, shape=f.shape)

    def _function(self, f: Form) -> Any:
        return applied(f.data, [self.form(a) for a in f.args])

    def _kron(self, f: Form) -> Any:
        values = map(self.form, f.args)
        if 1 in f.shape:
            return np.kron(*values)
        return np.kron(*(reshape(v, shape=a.shape) for v, a in zip(values, f.args, strict=True)))

    def _vec(self, f: Form) -> Any:
        return reshape(transpose(self.form(f.args[0]), perm=(1, 0)), shape=(f.shape[0],))

    # --- tensors ---------------------------------------------------------------------------------

    def tensor(self, tensor: Tensor) -> Any:
        """The value of a sum in index notation: every product on all its indices, then summed."""
        key = (tensor.key, *(i.size for i in tensor.slots))
        if key not in self.known:
            self.known[key] = self._tensor(tensor)
        return self.known[key]

    def _tensor(self, tensor: Tensor) -> Any:
        shape = tuple(i.size for i in tensor.slots)
        total: Any = None
        for term in tensor.terms:
            value = self._term(term, tensor)
            total = value if total is None else total + value
        return self.constant(shape, 0.0) if total is None else total

    def _term(self, term: Term, tensor: Tensor) -> Any:
        axes = [*tensor.slots, *sorted(term.bound, key=lambda i: i.number)]
        shape = tuple(i.size for i in axes)
        value = self.constant(shape, as_float(term.coefficient))
        for f in term.factors:
            value = value * self._spread(f, axes, shape)
        bound = tuple(range(len(tensor.slots), len(axes)))
        return sum_(value, axes=bound) if bound else value

    def _spread(self, f: Factor, axes: Sequence[Index], shape: tuple[DimLike, ...]) -> Any:
        value, indices = self._without_repeats(f)
        value = value if f.exponent == 1 else raised(value, f.exponent)
        order = sorted(range(len(indices)), key=lambda k: axes.index(indices[k]))
        if order != list(range(len(indices))):
            value = transpose(value, perm=tuple(order))
        return broadcast(value, dims=tuple(axes.index(indices[k]) for k in order), shape=shape)

    def _without_repeats(self, f: Factor) -> tuple[Any, list[Index]]:
        """The factor's tensor on its different indices: F_ii is a diagonal."""
        indices = list(dict.fromkeys(f.indices))
        if len(indices) == len(f.indices):
            return self._base(f.base, f), indices
        if isinstance(f.base, Group):
            return self.tensor(Tensor(tuple(indices), f.base.tensor.at(f.indices))), indices
        return diagonal(self._base(f.base, f), offset=0), indices

    def _base(self, base: Base, f: Factor) -> Any:
        sizes = tuple(i.size for i in f.indices)
        if isinstance(base, Symbol):
            return self.variables[base.name]
        if isinstance(base, Delta):
            return self.eye(sizes[0])
        if isinstance(base, Triangle):
            return self.triangle(base.side, sizes[0])
        if isinstance(base, Size):
            return self.size(base.dim)
        if isinstance(base, Group):
            return self.tensor(base.tensor)
        if isinstance(base, Function):
            return applied(base.name, [self.tensor(a) for a in base.arguments])
        if isinstance(base, Pack):
            return self._pack(sizes)
        assert isinstance(base, MatrixFunction)
        return {"inv": inv, "det": det, "logabsdet": logabsdet}[base.name](
            self.tensor(base.argument)
        )

    def _pack(self, sizes: tuple[DimLike, ...]) -> Any:
        """1 where the first count is that of the pair (second, third)."""
        whole, first, second = (
            broadcast(self.counting(size), dims=(axis,), shape=sizes)
            for axis, size in enumerate(sizes)
        )
        pair = first * broadcast(self.size(sizes[2]), dims=(), shape=sizes) + second
        return convert(equal(whole, pair), dtype=FLOAT64)
