"""The functions that a text may call: one table of arity, form and meaning."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from calcbench import functions
from calcbench.graph.structural import reshape
from calcbench.symbolic.text.forms import SCALAR, Form, Operand, same_form, square_form, transposed
from calcbench.symbolic.text.sizes import Misfit, Sizes, product


FormRule = Callable[[Sequence[Operand], Sizes], Form]


class Listed(NamedTuple):
    """One function: how many arguments, the form of the result, and the graph values of it.

    `build` takes the arguments as values: a column or a row has one axis.
    """

    arity: int
    form: FormRule
    build: Callable[..., Any]
    entrywise: bool = False


# --- forms -----------------------------------------------------------------------------------


def _entrywise(operands: Sequence[Operand], sizes: Sizes) -> Form:
    if len(operands) == 1:
        return operands[0].form
    return same_form(operands[0], operands[1], sizes)


def _needs(operand: Operand, kinds: str, sizes: Sizes, what: str) -> None:
    if operand.kind not in kinds.split():
        raise Misfit(f"{what} takes a {kinds.replace(' ', ' or ')}, got {operand.described(sizes)}")


def _square(name: str, gives_matrix: bool = False) -> FormRule:
    def form(operands: Sequence[Operand], sizes: Sizes) -> Form:
        found = square_form(operands[0], sizes, name)
        return found if gives_matrix else SCALAR

    return form


def _to_scalar(name: str, kinds: str) -> FormRule:
    def form(operands: Sequence[Operand], sizes: Sizes) -> Form:
        _needs(operands[0], kinds, sizes, name)
        return SCALAR

    return form


def _diag(operands: Sequence[Operand], sizes: Sizes) -> Form:
    if operands[0].kind == "matrix":
        return Form("column", (square_form(operands[0], sizes, "diag").sizes[0],))
    return _from_diagonal(operands, sizes)


def _from_diagonal(operands: Sequence[Operand], sizes: Sizes) -> Form:
    _needs(operands[0], "column row", sizes, "Diag")
    return Form("matrix", operands[0].sizes * 2)


def _two_vectors(name: str, operands: Sequence[Operand], sizes: Sizes) -> None:
    for operand in operands:
        _needs(operand, "column row", sizes, name)


def _outer(operands: Sequence[Operand], sizes: Sizes) -> Form:
    _two_vectors("outer", operands, sizes)
    return Form("matrix", (operands[0].sizes[0], operands[1].sizes[0]))


def _dot(operands: Sequence[Operand], sizes: Sizes) -> Form:
    _two_vectors("dot", operands, sizes)
    if not sizes.equate(operands[0].sizes[0], operands[1].sizes[0]):
        shown = " and ".join(o.described(sizes) for o in operands)
        raise Misfit(f"dot takes vectors of one size, got {shown}")
    return SCALAR


def _kron(operands: Sequence[Operand], sizes: Sizes) -> Form:
    for operand in operands:
        _needs(operand, "matrix", sizes, "kron")
    pairs = zip(operands[0].sizes, operands[1].sizes, strict=True)
    return Form("matrix", tuple(product((*sizes.resolve(p), *sizes.resolve(q))) for p, q in pairs))


def _vec(operands: Sequence[Operand], sizes: Sizes) -> Form:
    _needs(operands[0], "matrix", sizes, "vec")
    rows, columns = (sizes.resolve(s) for s in operands[0].sizes)
    return Form("column", (product((*rows, *columns)),))


def _transpose(operands: Sequence[Operand], sizes: Sizes) -> Form:
    return transposed(operands[0].form)


# --- values ----------------------------------------------------------------------------------


def _columns_joined(a: Any) -> Any:
    return reshape(a.T, shape=(a.type.size,))


def _length(x: Any) -> Any:
    """2-norm of a vector, Frobenius norm of a matrix, magnitude of a scalar."""
    return np.linalg.norm(x) if x.type.ndim else abs(x)


def _log_det(a: Any) -> Any:
    return np.linalg.slogdet(a)[1]


def _turned(a: Any) -> Any:
    return a.T if a.type.ndim == 2 else a


# --- the table -------------------------------------------------------------------------------

_ENTRYWISE: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10,
    "log1p": np.log1p, "sqrt": np.sqrt, "cbrt": np.cbrt, "sin": np.sin, "cos": np.cos,
    "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh,
    "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh,
    "atanh": np.arctanh, "abs": np.abs, "sign": np.sign, "erf": functions.erf,
    "erfc": functions.erfc, "lgamma": functions.lgamma, "digamma": functions.digamma,
    "relu": functions.relu, "sigmoid": functions.sigmoid, "softplus": functions.softplus,
}  # fmt: skip
_ENTRYWISE_OF_TWO: dict[str, Callable[..., Any]] = {
    "max": np.maximum, "min": np.minimum, "pow": lambda x, y: x**y, "atan2": np.arctan2,
}  # fmt: skip
ANY = "scalar column row matrix"

LISTED: dict[str, Listed] = {
    **{name: Listed(1, _entrywise, f, entrywise=True) for name, f in _ENTRYWISE.items()},
    **{name: Listed(2, _entrywise, f, entrywise=True) for name, f in _ENTRYWISE_OF_TWO.items()},
    "det": Listed(1, _square("det"), np.linalg.det),
    "logdet": Listed(1, _square("logdet"), _log_det),
    "inv": Listed(1, _square("inv", gives_matrix=True), np.linalg.inv),
    "trace": Listed(1, _square("trace"), np.trace),
    "tr": Listed(1, _square("tr"), np.trace),
    "diag": Listed(1, _diag, np.diag),
    "Diag": Listed(1, _from_diagonal, np.diag),
    "vec": Listed(1, _vec, _columns_joined),
    "transpose": Listed(1, _transpose, _turned),
    "sum": Listed(1, _to_scalar("sum", ANY), np.sum),
    "norm": Listed(1, _to_scalar("norm", ANY), _length),
    "norm1": Listed(1, _to_scalar("norm1", "column row"), lambda x: np.sum(np.abs(x))),
    "norm2": Listed(1, _to_scalar("norm2", "column row"), np.linalg.norm),
    "normF": Listed(1, _to_scalar("normF", "matrix"), np.linalg.norm),
    "dot": Listed(2, _dot, np.matmul),
    "outer": Listed(2, _outer, np.outer),
    "kron": Listed(2, _kron, np.kron),
}
# Other spellings of listed functions.
SPELLINGS = {
    "ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh",
    "arccosh": "acosh", "arctanh": "atanh", "maximum": "max", "minimum": "min", "fabs": "abs",
    "arctan2": "atan2",
}  # fmt: skip


def find_listed(name: str) -> Listed | None:
    """The function of this name, if it is listed."""
    return LISTED.get(SPELLINGS.get(name, name))


def near_matches(name: str) -> str:
    """What may have been meant by a name that is called: near names, or a product."""
    names = [*LISTED, *SPELLINGS]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {', '.join(near)}?"
    return f"to multiply write {name}*(...); listed are {', '.join(sorted(names, key=str.lower))}"
