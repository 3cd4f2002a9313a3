"""Matrix forms as NumPy source that Numba compiles as well."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Sequence
from fractions import Fraction

from calcbench.symbolic.matrices.forms import Form, num
from calcbench.symbolic.matrices.notation import TRIANGLES, fraction


# Functions that act entry by entry; others are np.<name>. Numba compiles all but those of SciPy.
CALLS = {
    "sigmoid": "1 / (1 + np.exp(-({0})))",
    "softplus": "np.log(1 + np.exp({0}))",
    "logaddexp": "np.log(np.exp({0}) + np.exp({1}))",
    "relu": "np.maximum({0}, 0.0)",
    "sign_at": "np.sign({0})",
    "sech": "1 / np.cosh({0})",
    "larger_share": "(({0}) > ({1})) * 1.0",
    "abs": "np.abs({0})",
    "power": "({0}) ** ({1})",
    "erf": "scipy.special.erf({0})",
    "erfc": "scipy.special.erfc({0})",
    "lgamma": "scipy.special.gammaln({0})",
    "digamma": "scipy.special.digamma({0})",
    "polygamma": "scipy.special.polygamma({order}, {0})",
    "select": "np.where({0}, {1}, {2})",
}


def call_text(name: str, arguments: Sequence[str]) -> str:
    """The source of a function that acts entry by entry, params after its name."""
    row, *params = name.split(",")
    template = CALLS.get(row, f"np.{row}({', '.join(f'{{{k}}}' for k in range(len(arguments)))})")
    return template.format(*arguments, **dict(p.split("=") for p in params))


SUM, PRODUCT, UNARY, ATOM = range(4)


def source(f: Form) -> str:
    """The form as an expression; columns and rows are arrays of one axis.

    Examples
    --------
    >>> from calcbench.symbolic.matrices.forms import product, symbol, transposed
    >>> a, x = symbol("A", (3, 3)), symbol("x", (3, 1))
    >>> source(product([transposed(a), x]))
    'A.T @ x'
    """
    return _at(f, SUM)


def _at(f: Form, level: int) -> str:
    own, text = _WRITERS[f.op](f)
    return text if own >= level else f"({text})"


Written = tuple[int, str]


def _number(f: Form) -> Written:
    value: Fraction = f.data
    if value.denominator == 1:
        return (ATOM if value >= 0 else UNARY), str(value)
    if value.denominator < 10**6:
        return PRODUCT, f"{value.numerator} / {value.denominator}"
    return (ATOM if value >= 0 else UNARY), repr(float(value))


MATRIX_CALLS = {
    "inv": "np.linalg.inv({0})",
    "det": "np.linalg.det({0})",
    "logabsdet": "np.linalg.slogdet({0})[1]",
}


def extent(dim: object) -> str:
    """A dimension as source."""
    return str(dim).replace("*", " * ")


def safe_name(name: str) -> str:
    """A variable's name as source: those that Python or NumPy keep get an underscore."""
    return f"{name}_" if keyword.iskeyword(name) or name in ("np", "scipy", "numba") else name


def _zero(f: Form) -> Written:
    axes = [extent(e) for e in f.shape if e != 1]
    return ATOM, f"np.zeros(({', '.join(axes)}{',' if len(axes) == 1 else ''}))" if axes else "0.0"


def _sum(f: Form) -> Written:
    text = ""
    for sign, a in zip(f.data, f.args, strict=True):
        joint = (" + " if sign > 0 else " - ") if text else ("" if sign > 0 else "-")
        text += joint + _at(a, SUM if sign > 0 and not text else PRODUCT)
    return SUM, text


def _scale(f: Form) -> Written:
    over, under = fraction(f)
    sign = "-" if f.data < 0 else ""
    text = " * ".join(_at(a, UNARY) for a in over)
    for a in under:
        text += f" / {_at(a, UNARY)}"
    return (UNARY if sign else PRODUCT), sign + text


def _product(f: Form) -> Written:
    chain = list(f.args)
    for k in range(len(chain) - 1):
        if chain[k].shape[1] == 1:
            left, right = _chain(chain[: k + 1]), _chain(chain[k + 1 :])
            return ATOM, f"np.outer({left}, {right})"
    return PRODUCT, _chain(chain)


def _chain(chain: Sequence[Form]) -> str:
    if len(chain) > 1 and chain[0].op == "Diag":
        weights, rest = _at(chain[0].args[0], ATOM), _bracketed(chain[1:])
        return f"{weights} * {rest}" if chain[-1].shape[1] == 1 else f"{weights}[:, None] * {rest}"
    if len(chain) > 1 and chain[-1].op == "Diag":
        return f"{_bracketed(chain[:-1])} * {_at(chain[-1].args[0], ATOM)}"
    return " @ ".join(_at(a, UNARY) for a in chain)


def _bracketed(chain: Sequence[Form]) -> str:
    return _at(chain[0], UNARY) if len(chain) == 1 else f"({_chain(chain)})"


def _hadamard(f: Form) -> Written:
    return PRODUCT, " * ".join(_at(a, UNARY) for a in f.args)


def _power(f: Form) -> Written:
    (inner,) = f.args
    if f.data == Fraction(1, 2):
        return ATOM, f"np.sqrt({_at(inner, SUM)})"
    if f.data == -1:
        return PRODUCT, f"1 / {_at(inner, UNARY)}"
    exponent = _at(num(f.data), ATOM) if f.data > 0 else f"({float(f.data)!r})"
    return UNARY, f"{_at(inner, ATOM)} ** {exponent}"


def _kron(f: Form) -> Written:
    """Columns and rows need their second axis beside a matrix."""
    wide = all(1 not in a.shape for a in f.args) or 1 in f.shape
    first, second = (source(a) if wide else _with_two_axes(a) for a in f.args)
    return ATOM, f"np.kron({first}, {second})"


def _with_two_axes(f: Form) -> str:
    axes = {1: "[:, None]"}.get(f.shape[1], "[None, :]" if f.shape[0] == 1 else "")
    return _at(f, ATOM) + axes if axes else source(f)


def _transpose(f: Form) -> Written:
    (inner,) = f.args
    if 1 in inner.shape:
        return _WRITERS[inner.op](inner)
    return ATOM, f"{_at(inner, ATOM)}.T"


def _function(f: Form) -> Written:
    text = call_text(f.data, [source(a) for a in f.args])
    return (ATOM if text.endswith(")") and text.startswith(("np.", "scipy.")) else SUM), text


def _call(template: str) -> Callable[[Form], Written]:
    return lambda f: (ATOM, template.format(*(source(a) for a in f.args)))


def _triangle(f: Form) -> Written:
    n = extent(f.shape[0])
    return ATOM, f"np.{TRIANGLES[f.data]}(np.ones(({n}, {n})))"


def _triangular(f: Form) -> Written:
    return ATOM, f"np.{TRIANGLES[f.data]}({source(f.args[0])})"


def _commutation(f: Form) -> Written:
    """K vec(X) = vec(X') for X of the given shape: the identity with its rows reordered."""
    m, n = map(extent, f.data)
    return ATOM, f"np.eye({m} * {n})[np.arange({m} * {n}).reshape({n}, {m}).T.ravel()]"


_WRITERS: dict[str, Callable[[Form], Written]] = {
    "symbol": lambda f: (ATOM, safe_name(f.data[0])),
    "number": _number,
    "size": lambda f: (PRODUCT, extent(f.data)),
    "ones": lambda f: (ATOM, f"np.ones({extent(f.shape[0])})"),
    "eye": lambda f: (ATOM, f"np.eye({extent(f.shape[0])})"),
    "zero": _zero,
    "triangle": _triangle,
    "triangular": _triangular,
    "sum": _sum,
    "scale": _scale,
    "product": _product,
    "hadamard": _hadamard,
    "power": _power,
    "transpose": _transpose,
    "function": _function,
    "commutation": _commutation,
    "inv": _call("np.linalg.inv({0})"),
    "det": _call("np.linalg.det({0})"),
    "logabsdet": _call("np.linalg.slogdet({0})[1]"),
    "trace": _call("np.trace({0})"),
    "diag": _call("np.diag({0})"),
    "Diag": _call("np.diag({0})"),
    "kron": _kron,
    "vec": lambda f: (ATOM, f"{_at(f.args[0], ATOM)}.T.ravel()"),
}
