"""What `matrix_diff` returns: one derivative, in any layout and any syntax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from calcbench.graph.arraytype import DimLike, GraphError, Shape, format_shape
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.graph.rewriting import simplify
from calcbench.graph.structural import reshape, transpose
from calcbench.symbolic.layouts import axes_of, check_layout, derivative_shape
from calcbench.symbolic.matrices.certificates import Certificate
from calcbench.symbolic.matrices.forms import Form, transposed
from calcbench.symbolic.matrices.functions_as_text import compiled_by_numba, function_text
from calcbench.symbolic.matrices.graph_writer import GraphWriter
from calcbench.symbolic.matrices.index_notation import einsum_text, named
from calcbench.symbolic.matrices.indexed import Tensor, fresh
from calcbench.symbolic.matrices.kronecker import kronecker_form
from calcbench.symbolic.matrices.loops import LoopWriter
from calcbench.symbolic.matrices.notation import LATEX, UNICODE, Syntax, written
from calcbench.symbolic.matrices.shared_parts import SHORT, Definitions, with_names
from calcbench.symbolic.matrices.sources import source


@dataclass(frozen=True)
class MatrixExpression:
    """A matrix in notation, on named variables."""

    form: Form
    inputs: tuple[tuple[str, Shape], ...]

    def unicode(self) -> str:
        """As text."""
        return written(self.form, UNICODE)

    def latex(self) -> str:
        """As LaTeX."""
        return written(self.form, LATEX)

    def numpy_source(self, name: str = "derivative") -> str:
        """As the source of a NumPy function of the variables."""
        return function_text(name, self.inputs, [], source(self.form))

    def __str__(self) -> str:
        return self.unicode()


@dataclass(frozen=True)
class MatrixDerivative:
    """The derivative of one expression by one variable.

    Attributes
    ----------
    layout : str
        ``mixed``, ``numerator`` or ``denominator``.
    certificate : Certificate
        The check that was passed before this was returned.
    wrt : str
        The variable.
    order : int
        1, or 2 for a Hessian.
    note : str
        For structured variables, which entries the derivative is by; empty otherwise.
    """

    layout: str
    certificate: Certificate
    wrt: str
    order: int
    note: str
    _tensor: Tensor  # slots: y's axes, then x's
    _y_ndim: int
    _form: Form | None  # rows by the first slot that is no unit
    _inputs: tuple[tuple[str, Any], ...]  # name and type

    # --- shape and layout ---------------------------------------------------------------------

    @property
    def _sizes(self) -> tuple[DimLike, ...]:
        return tuple(i.size for i in self._tensor.slots)

    @property
    def shape(self) -> Shape:
        """The shape in this layout."""
        return derivative_shape(
            self._sizes[: self._y_ndim], self._sizes[self._y_ndim :], self.layout
        )

    def converted(self, layout: str) -> MatrixDerivative:
        """The same derivative in another layout."""
        return replace(self, layout=check_layout(layout))

    @property
    def _order_of_axes(self) -> tuple[int, ...]:
        x_ndim = len(self._sizes) - self._y_ndim
        return axes_of(self._y_ndim, x_ndim, self.layout)

    @cached_property
    def _laid_out(self) -> Form | None:
        """The form as this layout has it: transposed if its axes are exchanged."""
        if self._form is None:
            return None
        wide = [a for a in self._order_of_axes if self._sizes[a] != 1]
        backward = wide != sorted(wide)
        column_becomes_row = len(wide) == 1 and self.shape[:1] == (1,) and len(self.shape) == 2
        return transposed(self._form) if backward or column_becomes_row else self._form

    # --- as a graph ---------------------------------------------------------------------------

    @cached_property
    def expr(self) -> Graph:
        """The graph that computes it, of the variables of the expression."""
        order = self._order_of_axes
        return derivative_graph(self._tensor, self._form, self._inputs, order, self.shape)

    # --- as text ------------------------------------------------------------------------------

    def unicode(self) -> str:
        """In matrix notation, or index notation if there is none."""
        return self._written(UNICODE, "{0} = {1}", "   where {0}", ", ")

    def latex(self) -> str:
        """The same as LaTeX."""
        return self._written(LATEX, "{0} = {1}", r" \quad \text{{where }} {0}", r", \quad ")

    def _written(self, syntax: Syntax, definition: str, where: str, joint: str) -> str:
        form = self._laid_out
        if form is None:
            return self._indexed(syntax is LATEX)
        parts, whole = self._with_names(form)
        lines = [definition.format(name, written(part, syntax)) for name, part in parts]
        return written(whole, syntax) + (where.format(joint.join(lines)) if lines else "")

    def _with_names(self, form: Form) -> tuple[Definitions, Form]:
        return with_names(form, [name for name, _ in self._inputs])

    def _indexed(self, latex: bool) -> str:
        if self._tensor.weight > SHORT:
            return f"({self._tensor.weight} factors in index notation, see .expr)"
        return named(self._tensor, self.index_names, latex)

    @property
    def index_names(self) -> tuple[str, ...]:
        """The letters of index notation: i, j for the value, k, l for the variable."""
        x_ndim = len(self._sizes) - self._y_ndim
        return (*"ij"[: self._y_ndim], *"klmn"[:x_ndim])

    def einsum(self) -> str:
        """As an expression of np.einsum, in this layout; sizes are written by name."""
        if self._tensor.weight > SHORT:
            raise GraphError(
                f"the einsum of this derivative has {self._tensor.weight} factors; use .expr, "
                "which shares them"
            )
        order = self._order_of_axes
        slots = tuple(self._tensor.slots[a] for a in order)
        return einsum_text(Tensor(slots, self._tensor.terms))

    def numpy_source(self, name: str = "derivative") -> str:
        """As the source of a NumPy function of the variables, in this layout."""
        form = self._laid_out
        if form is None:
            return function_text(name, self._shapes, [], self._reshaped(self.einsum(), form))
        return self._form_text(name, form)

    def _form_text(self, name: str, form: Form) -> str:
        parts, whole = self._with_names(form)
        lines = [f"{part} = {source(value)}" for part, value in parts]
        return function_text(name, self._shapes, lines, self._reshaped(source(whole), form))

    def numba_source(self, name: str = "derivative") -> str:
        """As the source of a function that `numba.njit` compiles, in this layout."""
        form = self._laid_out
        text = "scipy" if form is None else self._form_text(name, form)
        if "scipy" not in text:
            return compiled_by_numba(text)
        slots = tuple(self._tensor.slots[a] for a in self._order_of_axes)
        writer = LoopWriter()
        result = writer.array(Tensor(slots, self._tensor.terms))
        body = self._reshaped(result, None)
        return compiled_by_numba(function_text(name, self._shapes, writer.lines, body))

    @property
    def _shapes(self) -> tuple[tuple[str, Shape], ...]:
        return tuple((name, kind.shape) for name, kind in self._inputs)

    def _reshaped(self, text: str, form: Form | None) -> str:
        """Rows and columns of two axes are made so; everything else has its shape already."""
        natural = tuple(self._sizes[a] for a in self._order_of_axes)
        if form is not None:
            natural = tuple(e for e in natural if e != 1)
        if natural == self.shape:
            return text
        sizes = ", ".join(str(e) for e in self.shape)
        return f"np.asarray({text}).reshape(({sizes}{',' if len(self.shape) == 1 else ''}))"

    def vec(self) -> MatrixExpression:
        """The Kronecker form J of a matrix by a matrix: d vec(Y) = J d vec(X).

        A vector is a matrix of one column and a scalar one of one entry; vec stacks columns.

        Raises
        ------
        GraphError
            If there is no such form.
        """
        form = kronecker_form(self._as_matrices())
        if form is None:
            raise GraphError(f"no Kronecker form was found for {self.unicode()}; use .einsum()")
        return MatrixExpression(form, self._shapes)

    def _as_matrices(self) -> Tensor:
        """The tensor with two slots for the value and two for the variable."""
        y, x = self._tensor.slots[: self._y_ndim], self._tensor.slots[self._y_ndim :]
        padded = [*y, *(fresh(1) for _ in range(2 - len(y)))]
        padded += [*x, *(fresh(1) for _ in range(2 - len(x)))]
        return Tensor(tuple(padded), self._tensor.terms)

    def __str__(self) -> str:
        what = f"d/d{self.wrt}" if self.order == 1 else f"d²/d{self.wrt}²"
        if self._form is None:
            what += f"[{','.join(self.index_names[a] for a in self._order_of_axes)}]"
        note = f"; {self.note}" if self.note else ""
        return (
            f"{what} = {self.unicode()}   [{self.layout} layout, shape "
            f"{format_shape(self.shape)}{note}; {self.certificate}]{self._kronecker}"
        )

    @property
    def _kronecker(self) -> str:
        """A line with the Kronecker form, where it is needed and there is one."""
        if self._form is not None:
            return ""
        form = kronecker_form(self._as_matrices())
        return "" if form is None else f"\nd vec/d vec({self.wrt}) = {written(form, UNICODE)}"

    __repr__ = __str__


def derivative_graph(
    tensor: Tensor,
    form: Form | None,
    inputs: Sequence[tuple[str, Any]],
    order: Sequence[int] | None = None,
    shape: Shape | None = None,
) -> Graph:
    """The graph of a derivative: y's axes, then x's, or in another order and shape."""
    builder = Builder()
    variables = {n: Value(builder, builder.add_input(n, kind)) for n, kind in inputs}
    writer = GraphWriter(variables)
    value = writer.tensor(tensor) if form is None else writer.form(form)
    value = _shaped(value, tuple(i.size for i in tensor.slots))
    if order is not None and list(order) != sorted(order):
        value = transpose(value, perm=tuple(order))
    value = _shaped(value, value.type.shape if shape is None else shape)
    return simplify(builder.freeze([value.id]))


def _shaped(value: Any, shape: Shape) -> Any:
    return value if value.type.shape == shape else reshape(value, shape=shape)
