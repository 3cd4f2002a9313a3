"""What rows mean in index notation: one reader a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from calcbench.graph.arraytype import ArrayType, DimLike, GraphError
from calcbench.graph.nodes import Node
from calcbench.symbolic.matrices.algebra import bind, factor, number, plus, power, scaled, times
from calcbench.symbolic.matrices.indexed import (
    Delta,
    Function,
    Index,
    MatrixFunction,
    Pack,
    Tensor,
    Terms,
    fresh,
)
from calcbench.symbolic.matrices.precise_values import exact_number


class Reading:
    """One node: its type, operands as tensors, params."""

    __slots__ = ("operands", "params", "row", "slots", "type", "types")

    def __init__(
        self, node: Node, type: ArrayType, operands: Sequence[Tensor], types: Sequence[ArrayType]
    ) -> None:
        self.row: Any = node.row
        self.params: dict[str, Any] = dict(node.params)
        self.type, self.types = type, types
        self.operands = operands
        self.slots = tuple(fresh(size) for size in type.shape)

    def entry(self, position: int = 0) -> Terms:
        """Operand `position` at the result's own indices."""
        return self.operands[position].at(self.slots)

    def gives(self, terms: Terms) -> Tensor:
        """The result."""
        return Tensor(self.slots, terms)


Reader = Callable[[Reading], Tensor]


def read_function(r: Reading) -> Tensor:
    """Any other function that acts entry by entry; of a number it is one as well."""
    arguments = tuple(Tensor(r.slots, r.entry(k)) for k in range(len(r.operands)))
    extra = "".join(f",{k}={v!r}" for k, v in sorted(r.params.items()))
    used = [i for i in r.slots if any(i in t.free for a in arguments for t in a.terms)]
    trimmed = tuple(Tensor(tuple(used), a.terms) for a in arguments)
    return r.gives(factor(Function(r.row.name + extra, trimmed), *used))


# --- arithmetic ----------------------------------------------------------------------------------


def _quotient(r: Reading) -> Tensor:
    return r.gives(times(r.entry(0), power(r.entry(1), Fraction(-1))))


def _to_the(exponent: Fraction) -> Reader:
    return lambda r: r.gives(power(r.entry(), exponent))


def _raised(r: Reading) -> Tensor:
    exponent = literal(r.operands[1])
    return read_function(r) if exponent is None else r.gives(power(r.entry(), exponent))


def literal(tensor: Tensor) -> Fraction | None:
    """The number that the tensor is everywhere, or None."""
    if not tensor.terms:
        return Fraction(0)
    only = tensor.terms[0]
    return only.coefficient if len(tensor.terms) == 1 and not only.factors else None


def _filled(r: Reading) -> Tensor:
    array = r.params["value"].array
    if array.ndim:
        raise GraphError(
            "matrix calculus takes numbers and named variables, got a constant array of shape "
            f"{array.shape}; make it a variable with calcbench.var"
        )
    return r.gives(number(exact_number(array.item())))


# --- shapes --------------------------------------------------------------------------------------


def _broadcast(r: Reading) -> Tensor:
    (x,) = r.operands
    (kind,) = r.types
    pairs = zip(kind.shape, r.params["dims"], strict=True)
    indices = [r.slots[axis] if size != 1 else fresh(1) for size, axis in pairs]
    return r.gives(x.at(indices))


def _transpose(r: Reading) -> Tensor:
    indices: list[Index] = [r.slots[0]] * len(r.slots)
    for slot, axis in zip(r.slots, r.params["perm"], strict=True):
        indices[axis] = slot
    return r.gives(r.operands[0].at(indices))


def _reshape(r: Reading) -> Tensor:
    """Axes of length 1 come and go; others are packed into one axis or unpacked from one."""
    old = [fresh(size) for size in r.types[0].shape]
    packs, bound = _packs([i for i in old if i.size != 1], [i for i in r.slots if i.size != 1])
    entry = r.operands[0].at(old)
    units = [i for i in old if i.size == 1]
    return r.gives(bind(times(entry, *packs), [*bound, *units]))


def _packs(old: list[Index], new: list[Index]) -> tuple[list[Terms], list[Index]]:
    """Factors that say how the new axes count the old ones, and the indices that they bind."""
    packs: list[Terms] = []
    bound = list(old)
    while old and new:
        left, right = old.pop(0), new.pop(0)
        while left.size != right.size:
            shorter, source = (left, old) if _is_part(left.size, right.size) else (right, new)
            if not source:
                raise GraphError(f"matrix calculus cannot follow a reshape to size {right.size}")
            other = source.pop(0)
            joined = fresh(shorter.size * other.size)
            packs.append(factor(Pack(), joined, shorter, other))
            bound.append(joined)
            left, right = (joined, right) if shorter is left else (left, joined)
        packs.append(factor(Delta(), left, right))
    return packs, bound


def _is_part(size: DimLike, whole: DimLike) -> bool:
    return len(str(size).split("*")) < len(str(whole).split("*"))


def _sum(r: Reading) -> Tensor:
    bound = [fresh(size) for size in r.types[0].shape]
    free = iter(r.slots)
    for axis in range(len(bound)):
        if axis not in r.params["axes"]:
            bound[axis] = next(free)
    terms = r.operands[0].at(bound)
    return r.gives(bind(terms, [bound[a] for a in r.params["axes"]]))


def _diagonal(r: Reading) -> Tensor:
    return r.gives(r.operands[0].at((*r.slots, r.slots[-1])))


def _from_diagonal(r: Reading) -> Tensor:
    entry = r.operands[0].at(r.slots[:-1])
    return r.gives(times(factor(Delta(), *r.slots[-2:]), entry))


# --- matrices ------------------------------------------------------------------------------------


def _matmul(r: Reading) -> Tensor:
    a, b = r.types
    if max(a.ndim, b.ndim) > 2:
        raise GraphError(f"matrix calculus takes products of matrices and vectors, got {a} and {b}")
    inner = fresh(a.shape[-1])
    left = (*r.slots[: a.ndim - 1], inner)
    right = (inner, *r.slots[a.ndim - 1 :])
    return r.gives(bind(times(r.operands[0].at(left), r.operands[1].at(right)), [inner]))


def matrix_function(name: str, argument: Tensor, *indices: Index) -> Terms:
    """``inv``, ``det`` or ``logabsdet`` of a matrix; of X' it is that of X, of a inv(X) too."""
    if len(argument.terms) == 1 and argument.terms[0].coefficient != 1 and name == "inv":
        plain = Tensor(argument.slots, scaled(argument.terms, 1 / argument.terms[0].coefficient))
        inner = matrix_function(name, plain, *indices)
        return scaled(inner, 1 / argument.terms[0].coefficient)
    inverse = _inverted(argument)
    if inverse is not None and name == "inv":
        return inverse.at(indices)
    if argument.transposed.key < argument.key:
        return factor(MatrixFunction(name, argument.transposed), *indices[::-1])
    return factor(MatrixFunction(name, argument), *indices)


def _inverted(argument: Tensor) -> Tensor | None:
    """X, if the argument is inv(X), or the identity if it is that."""
    whole = argument.terms
    if len(whole) != 1 or len(whole[0].factors) != 1 or whole[0].coefficient != 1:
        return None
    (only,) = whole[0].factors
    if isinstance(only.base, Delta):
        return argument
    if not isinstance(only.base, MatrixFunction) or only.base.name != "inv" or not only.is_plain:
        return None
    inner = only.base.argument
    return inner if only.indices == argument.slots else inner.transposed


def _matrix_function(name: str) -> Reader:
    return lambda r: r.gives(matrix_function(name, r.operands[0], *r.slots))


def _solved(r: Reading) -> Tensor:
    row, *rest = r.slots
    inner = fresh(row.size)
    inverse = matrix_function("inv", r.operands[0], row, inner)
    return r.gives(bind(times(inverse, r.operands[1].at((inner, *rest))), [inner]))


def _adjugate(r: Reading) -> Tensor:
    """adj(A) = det(A) inv(A), for the regular A at which formulas are stated."""
    (a,) = r.operands
    return r.gives(times(matrix_function("det", a), matrix_function("inv", a, *r.slots)))


def _adjugate_tangent(r: Reading) -> Tensor:
    """adj'(A)[H] = det(A) (tr(inv(A) H) inv(A) - inv(A) H inv(A))."""
    a, h = r.operands
    row, column = r.slots
    i, j, k, m = (fresh(row.size) for _ in range(4))
    inverse = matrix_function("inv", a, row, column)
    trace = bind(times(matrix_function("inv", a, i, j), h.at((j, i))), [i, j])
    turned = bind(
        times(
            matrix_function("inv", a, row, k), h.at((k, m)), matrix_function("inv", a, m, column)
        ),
        [k, m],
    )
    difference = plus(times(trace, inverse), scaled(turned, -1))
    return r.gives(times(matrix_function("det", a), difference))


# --- choices -------------------------------------------------------------------------------------


def _select(r: Reading) -> Tensor:
    """[c] x + (1 - [c]) y; a condition that fails at isolated points only is 1."""
    condition, taken, other = (r.entry(k) for k in range(3))
    missed = plus(number(1), scaled(condition, -1))
    return r.gives(plus(times(condition, taken), times(missed, other)))


def _decided(value: int) -> Reader:
    """Equality holds at isolated points only."""
    return lambda r: r.gives(number(value))


def _both(r: Reading) -> Tensor:
    return r.gives(times(r.entry(0), r.entry(1)))


def _either(r: Reading) -> Tensor:
    first, second = r.entry(0), r.entry(1)
    return r.gives(plus(first, second, scaled(times(first, second), -1)))


def _not(r: Reading) -> Tensor:
    return r.gives(plus(number(1), scaled(r.entry(), -1)))


READERS: dict[str, Reader] = {
    "add": lambda r: r.gives(plus(r.entry(0), r.entry(1))),
    "subtract": lambda r: r.gives(plus(r.entry(0), scaled(r.entry(1), -1))),
    "negative": lambda r: r.gives(scaled(r.entry(), -1)),
    "multiply": lambda r: r.gives(times(r.entry(0), r.entry(1))),
    "divide": _quotient,
    "reciprocal": _to_the(Fraction(-1)),
    "square": _to_the(Fraction(2)),
    "sqrt": _to_the(Fraction(1, 2)),
    "power": _raised,
    "fill": _filled,
    "constant": _filled,
    "broadcast": _broadcast,
    "transpose": _transpose,
    "reshape": _reshape,
    "sum": _sum,
    "diagonal": _diagonal,
    "from_diagonal": _from_diagonal,
    "matmul": _matmul,
    "inv": _matrix_function("inv"),
    "det": _matrix_function("det"),
    "logabsdet": _matrix_function("logabsdet"),
    "solve": _solved,
    "adjugate": _adjugate,
    "adjugate_tangent": _adjugate_tangent,
    "select": _select,
    "equal": _decided(0),
    "not_equal": _decided(1),
    "logical_and": _both,
    "logical_or": _either,
    "logical_not": _not,
    "convert": lambda r: r.gives(r.entry()),
    "detach": lambda r: r.gives(r.entry()),
}
