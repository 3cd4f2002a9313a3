"""What SymPy and plain Python say a row means: laws 2 and 6 of the primitive table."""

import itertools
import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import sympy as sp
from drawing_samples import draw, seeded
from laws import EPS, close, demand, jacobian_values, partial_values

from calcbench.graph import kernels
from calcbench.graph.primitive import Primitive, Sample


# Rows whose values are compared to a few ulps of 1 where they are smaller, and why.
NEAR_ROOTS = {
    "digamma": "keeps absolute, not relative accuracy near its roots, as SciPy's psi does",
    "lgamma": "keeps absolute, not relative accuracy near its roots, as C libraries' lgamma does",
    "logaddexp": "a sum of two logarithms of opposite sign near its roots",
    "sinc": "NumPy rounds pi x before it takes the sine, which shows near the roots",
    "sinc_derivative": "a sum of two terms that cancel near its roots",
}
DIGITS = 30
DTYPES = {k: np.dtype(t) for k, t in (("f", np.float64), ("i", np.int64), ("b", np.bool_))}


# --- law 2: partials equal sympy.diff ------------------------------------------------------------


def meaning(row: Primitive, *operands: Any, **params: Any) -> Any:
    """The SymPy column applied to SymPy operands."""
    column = getattr(sp, row.sympy) if isinstance(row.sympy, str) else None
    if column is not None:
        return column(*operands, **params)
    return row.sympy(sp, *operands, **params)  # type: ignore[misc,operator]


def symbol(name: str, kind: str) -> sp.Symbol:
    """A real symbol; a truth value is a plain one."""
    return sp.Symbol(name) if kind == "b" else sp.Symbol(name, real=True)


def away_from_jumps(derivative: sp.Expr) -> sp.Expr:
    """The derivative where no step function jumps: a step has slope 0 and no Dirac delta."""

    def is_step(node: Any) -> bool:
        inner = node.expr if isinstance(node, sp.Subs) else node
        # SymPy leaves that of sign open where it does not know the argument to be real.
        steps = (sp.floor, sp.ceiling, sp.sign)
        return isinstance(inner, sp.Derivative) and isinstance(inner.expr, steps)

    for kind in (sp.Subs, sp.Derivative, sp.DiracDelta):
        flat = [n for n in derivative.atoms(kind) if kind is sp.DiracDelta or is_step(n)]
        derivative = derivative.xreplace(dict.fromkeys(flat, sp.Integer(0)))
    return derivative


@cache
def symbolic(row: Primitive, kinds: str, params: Any) -> tuple[Any, Any, list[Any]]:
    """Symbols, value and partials of an elementwise row whose operands have these dtype kinds."""
    symbols = [symbol(f"x{i}", k) for i, k in enumerate(kinds)]
    value = meaning(row, *symbols, **dict(params))
    if isinstance(value, sp.Mod):
        value = value.rewrite(sp.floor)  # SymPy 1.14 does not end when it differentiates Mod
    floats = [s for s, k in zip(symbols, kinds, strict=True) if k == "f"]
    return symbols, value, [away_from_jumps(sp.diff(value, s)) for s in floats]


def exact(value: Any) -> Any:
    """A NumPy number as a SymPy one, with all its digits."""
    if isinstance(value, bool | np.bool_):
        return sp.true if value else sp.false
    return sp.Integer(int(value)) if isinstance(value, int | np.integer) else sp.Float(value, 40)


def number(expression: Any, point: dict[Any, Any]) -> float:
    """The expression at the point, to 30 digits and then rounded (mpmath does the work)."""
    found = _at(expression, point)
    if found in (sp.true, sp.false):
        return float(bool(found))
    return float(sp.re(sp.N(found, DIGITS, maxn=400)))


def _at(expression: Any, point: dict[Any, Any]) -> Any:
    """The expression of the numbers, put in all at once: `subs` takes a walk for each of them."""
    if not hasattr(expression, "xreplace"):
        return expression
    if expression.has(sp.Derivative, sp.Subs):
        return expression.subs(point)  # knows what may be replaced in these
    return expression.xreplace(point)


def law_sympy(row: Primitive, sample: Sample) -> None:
    """Value and partials equal SymPy's, entry by entry, to a few ulps."""
    values = draw(sample, seeded(row.name, "sympy"))
    if row.scalar is None:
        _arrays_agree(row, values, sample)
        return
    kinds = "".join(v.dtype.kind for v in values)
    symbols, value, derivatives = symbolic(_as_registered(row), kinds, tuple(sample.params.items()))
    with np.errstate(all="ignore"):
        computed = row.numpy(*values, **sample.params)
    points = [
        {s: exact(v) for s, v in zip(symbols, entry, strict=True)}
        for entry in zip(*(np.ravel(v) for v in values), strict=True)
    ]
    _few_ulps(row, computed, [number(value, p) for p in points], "value")
    if row.partials is None:
        return
    partials = partial_values(row, values, sample.params)
    floats = [p for p, v in zip(partials, values, strict=True) if v.dtype.kind == "f"]
    for rank, (partial, derivative) in enumerate(zip(floats, derivatives, strict=True)):
        _few_ulps(row, partial, [number(derivative, p) for p in points], f"partial {rank}")


def _as_registered(row: Primitive) -> Primitive:
    """The row of this name: a mutated copy shares its SymPy column, and so the cached answer."""
    from drawing_samples import ROWS

    known = ROWS.get(row.name)
    return known if known is not None and known.sympy is row.sympy else row


def _few_ulps(row: Primitive, got: Any, want: Sequence[float], what: str) -> None:
    wanted = np.reshape(want, np.shape(got))
    size = np.maximum(np.abs(wanted), 1.0 if row.name in NEAR_ROOTS else 5e-308)
    close(got, wanted, 16 * EPS * size, f"{row}: {what} against SymPy")


# --- law 2 for rows that combine entries: element-wise derivatives of small explicit arrays ------


def symbols_like(values: Sequence[Any]) -> list[Any]:
    """An object array of symbols per operand; the values themselves where they are integers."""
    made = []
    for i, value in enumerate(values):
        if value.dtype.kind != "f":
            made.append(value)
            continue
        array = np.empty(np.shape(value), object)
        for entry in np.ndindex(array.shape):
            array[entry] = sp.Symbol(f"x{i}_{'_'.join(map(str, entry))}", real=True)
        made.append(array)
    return made


def _arrays_agree(row: Primitive, values: Sequence[Any], sample: Sample) -> None:
    symbols = symbols_like(values)
    computed = row.numpy(*values, **sample.params)
    expressions = array_meaning(row, symbols, sample.params).reshape(np.shape(computed))
    point = {
        s: exact(v)
        for array, value in zip(symbols, values, strict=True)
        if value.dtype.kind == "f"
        for s, v in zip(array.flat, np.ravel(value), strict=True)
    }
    wanted = [number(e, point) for e in expressions.flat]
    _close_in_norm(row, computed, np.reshape(wanted, expressions.shape), "value")
    floats = [a for a, v in zip(symbols, values, strict=True) if v.dtype.kind == "f"]
    if np.asarray(computed).dtype.kind != "f":
        return
    for rank, block in enumerate(jacobian_values(row, values, sample.params)):
        slopes = [
            number(away_from_jumps(sp.diff(e, s)), point)
            for e in expressions.flat
            for s in floats[rank].flat
        ]
        _close_in_norm(row, block, np.reshape(slopes, block.shape), f"Jacobian {rank}")


def _close_in_norm(row: Primitive, got: Any, want: Any, what: str) -> None:
    close(got, want, 1e-12 * np.max(np.abs(want), initial=0.0), f"{row}: {what} against SymPy")


def array_meaning(row: Primitive, symbols: Sequence[Any], params: Any) -> Any:
    """The SymPy expression of each entry of the result, as an object array.

    A SymPy name on a row with ``axes`` or ``axis`` is a reduction of the entries along them; a
    function takes matrices, one batch entry after the other.
    """
    if isinstance(row.sympy, str):
        axes = params["axes"] if "axes" in params else (params["axis"],)
        fold = getattr(sp, row.sympy)
        return along_axes(lambda entries: fold(*entries), symbols[0], axes)
    batch = np.shape(symbols[0])[:-2]
    found = [
        np.array(row.sympy(sp, *(sp.Matrix(s[entry]) for s in symbols), **params), object)  # type: ignore[misc,operator]
        for entry in np.ndindex(batch)
    ]
    return np.stack(found).reshape((*batch, *found[0].shape))


def along_axes(fold: Callable[[Any], Any], array: Any, axes: tuple[int, ...]) -> Any:
    """`fold` of the entries along the axes, for every position of the other axes."""
    kept = tuple(a for a in range(array.ndim) if a not in axes)
    moved = np.transpose(array, (*kept, *axes))
    shape = moved.shape[: len(kept)]
    flat = moved.reshape((*shape, -1))
    result = np.empty(shape, object)
    for entry in np.ndindex(shape):
        result[entry] = fold(list(flat[entry]))
    return result


# --- law 6: the element text, run by plain Python ------------------------------------------------

SPECIALS = (
    math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.5, 3.0,
    1e-300, -5e-324, 1e300, -1e300, 700.0, -700.0,
)  # fmt: skip

# Ulps by which the element text may differ from NumPy. Rows with the fact "exact" have none,
# "transcendental" ones the 4 that NumPy's vector kernels may take, others 1 unless said here.
TEXT_ULPS: dict[str, tuple[float, str]] = {
    "cbrt": (2.0, "the C library states 1 ulp on either side of the true root"),
    "digamma": (16.0, "two series of about ten terms, summed in another order"),
    "erfc": (8.0, "SciPy's rational function and the C library's are 4 ulps off on either side"),
    "lgamma": (16.0, "SciPy's Stirling series and the C library's are two approximations"),
    "polygamma": (8.0, "two series of about ten terms, summed in another order"),
}
# Special operands at which the text may give another answer, and why.
TEXT_EXCEPTIONS: dict[str, tuple[Callable[..., bool], str]] = {
    "maximum": (lambda x, y: x == y == 0, "NumPy leaves open which of 0.0 and -0.0 is larger"),
    "minimum": (lambda x, y: x == y == 0, "NumPy leaves open which of 0.0 and -0.0 is smaller"),
    "power": (lambda x, y: x in (0, -math.inf) and y == 0.5, "NumPy takes the square root"),
}


def law_text(row: Primitive, sample: Sample) -> None:
    """The element text, evaluated by Python, equals the row's NumPy value.

    Python raises where IEEE arithmetic answers with an infinity or NaN: there NumPy's answer must
    not be finite. A power that Python answers with a complex number is NaN. An int that stands
    for a float has no -0.0, so the sign of zero is not compared then.
    """
    element = compiled_element(row, sample.params)
    for entry in [*_drawn_entries(row, sample), *_special_entries(row, sample)]:
        with np.errstate(all="ignore"):
            want = row.numpy(*entry, **sample.params)
        _same_element(row, element, entry, want)


def compiled_element(row: Primitive, params: Any) -> Callable[..., Any]:
    """The element text as a Python function of the operands."""
    arity = operand_count(row)
    names = [f"x{i}" for i in range(arity)]
    text = f"lambda {', '.join(names)}: {row.scalar.format(*names)}"  # type: ignore[union-attr]
    return eval(text, {**namespace(), **params})  # type: ignore[no-any-return]  # noqa: S307 - the text is the row's own


def operand_count(row: Primitive) -> int:
    """How many operands the element text names."""
    return 1 + max(int(i) for i in re.findall(r"\{(\d)\}", row.scalar or ""))


@cache
def namespace() -> dict[str, Any]:
    """What element texts may name: math, and the functions of the kernel modules."""
    return {"math": math, "np": np, **vars(kernels)}


def _drawn_entries(row: Primitive, sample: Sample) -> list[tuple[Any, ...]]:
    rng = seeded(row.name, "text")
    drawn = [draw(sample, rng) for _ in range(8)]
    return [e for values in drawn for e in zip(*(np.ravel(v) for v in values), strict=True)]


def _special_entries(row: Primitive, sample: Sample) -> list[tuple[Any, ...]]:
    kinds = [v.dtype.kind for v in draw(sample, seeded())]
    choices = [SPECIALS if k == "f" else (False, True) for k in kinds]
    typed = [[DTYPES[k].type(v) for v in c] for k, c in zip(kinds, choices, strict=True)]
    return list(itertools.product(*typed))


def _same_element(row: Primitive, element: Any, entry: tuple[Any, ...], want: Any) -> None:
    exempt = TEXT_EXCEPTIONS.get(row.name)
    if exempt is not None and exempt[0](*entry):
        return
    plain = [v.item() for v in entry]
    what = f"{row}: text of {plain}"
    try:
        got = element(*plain)
    except (OverflowError, ValueError, ZeroDivisionError) as error:
        demand(not np.isfinite(want), f"{what} raises {error!r} where NumPy gives {want}")
        return
    if isinstance(got, complex):
        got = math.nan
    _within_ulps(got, want, text_ulps(row), 1.0 if row.name in NEAR_ROOTS else 0.0, what)


def text_ulps(row: Primitive) -> float:
    """How far the element text may be from NumPy."""
    by_fact = 0.0 if "exact" in row.facts else 4.0 if "transcendental" in row.facts else 1.0
    return TEXT_ULPS.get(row.name, (by_fact, ""))[0]


def _within_ulps(got: Any, want: Any, ulps: float, size: float, what: str) -> None:
    given, wanted = float(got), float(want)
    if math.isnan(wanted) or math.isinf(wanted) or wanted == 0.0:
        same = given == wanted or (math.isnan(given) and math.isnan(wanted))
        signed = isinstance(got, float) and wanted == 0.0
        sign = not signed or math.copysign(1, given) == math.copysign(1, wanted)
        demand(same and sign, f"{what} is {got}, NumPy gives {want}")
    else:
        distance = abs(given - wanted) / math.ulp(max(abs(wanted), size))
        demand(distance <= ulps, f"{what} is {got}, NumPy gives {want}: {distance} ulps")
