"""Matrix calculus beside SymPy's: right, silently wrong or an error, and the time of each.

Every identity of tests/matrix_identities.py is differentiated by both. SymPy's `MatrixExpr.diff` is
given the same expression with sizes in numbers, so that its answer can be written out and compared
with ours (certified in 40 digits) at one rational point; a transpose or reordered axes count as
right, a layout being a convention. Bars: certificate included, 0.3 s median, 2 s worst.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp
from harness import Bar, Timing, machine, quartiles, report
from sympy.matrices.expressions.diagonal import DiagonalOf

import calcbench as cb
from calcbench.symbolic.text.grammar import parse_text
from calcbench.symbolic.text.syntax import Term


sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
PATIENCE = 10  # seconds for one answer of SymPy


class TooLong(Exception):
    """Raised by the alarm."""


def _alarm(*_: object) -> None:
    raise TooLong


# --- the text as a SymPy matrix expression -------------------------------------------------------

MATRIX_CALLS = {
    "det": sp.Determinant,
    "inv": lambda x: x.inv(),
    "tr": sp.Trace,
    "trace": sp.Trace,
    "logdet": lambda x: sp.log(sp.Determinant(x)),
    "Diag": sp.DiagMatrix,
    "diag": DiagonalOf,
    "kron": lambda x, y: sp.KroneckerProduct(x, y),
    "outer": lambda x, y: x * y.T,
    "dot": lambda x, y: x.T * y,
    "sum": lambda x: sp.OneMatrix(1, x.rows) * x * sp.OneMatrix(x.cols, 1),
    "norm": lambda x: sp.sqrt(sp.Trace(x.T * x)),
    "norm1": lambda x: _total(x.applyfunc(sp.Abs)),
}
ENTRYWISE = {
    "sigmoid": lambda t: 1 / (1 + sp.exp(-t)),
    "softplus": lambda t: sp.log(1 + sp.exp(t)),
    "relu": lambda t: sp.Max(t, 0),
    "abs": sp.Abs,
}


def _total(x: Any) -> Any:
    return sp.OneMatrix(1, x.rows) * x * sp.OneMatrix(x.cols, 1)


def _is_scalar(x: Any) -> bool:
    return not getattr(x, "is_Matrix", False) and not isinstance(x, sp.MatrixExpr)


def _scalar(x: Any) -> Any:
    """A 1 x 1 matrix as the scalar it is."""
    if not _is_scalar(x) and x.shape == (1, 1):
        return sp.Trace(x)
    return x


def _operator(symbol: str, x: Any, y: Any) -> Any:
    if symbol in (".*", "./") and not _is_scalar(x) and not _is_scalar(y):
        y = y if symbol == ".*" else y.applyfunc(lambda t: 1 / t)
        return sp.HadamardProduct(x, y)
    if symbol in ("*", ".*"):
        return _scalar(x * y)
    if symbol in ("/", "./"):
        return x / y
    if symbol == ".^":
        return sp.HadamardPower(x, y)
    if symbol == "^":
        return x**y
    if _is_scalar(x) != _is_scalar(y):
        scalar, matrix = (x, y) if _is_scalar(x) else (y, x)
        spread = scalar * sp.OneMatrix(*matrix.shape)
        x, y = (spread, matrix) if _is_scalar(x) else (matrix, spread)
    return x + y if symbol in ("+", ".+") else x - y


def _translated(term: Term, done: list[Any], names: dict[str, Any]) -> Any:
    operands = [done[i] for i in term.operands]
    if term.kind == "number":
        return sp.Rational(term.value.numerator, term.value.denominator)
    if term.kind == "name":
        return names[term.text]
    if term.kind == "sign":
        return -operands[0]
    if term.kind == "transpose":
        return operands[0].T
    if term.kind == "operator":
        return _operator(term.text, *operands)
    if term.text in MATRIX_CALLS and not _is_scalar(operands[0]):
        return _scalar(MATRIX_CALLS[term.text](*operands))
    function = ENTRYWISE.get(term.text) or getattr(sp, term.text)
    return function(*operands) if _is_scalar(operands[0]) else operands[0].applyfunc(function)


def sympy_expression(text: str, shapes: dict[str, str], sizes: dict[Any, int]) -> Any:
    """The text with MatrixSymbols of the given sizes."""
    parsed = parse_text(text, shapes)
    names = {
        name: sp.MatrixSymbol(name, *(sizes[d] for d in (*declaration.dims, 1)[:2]))
        if declaration.dims
        else sp.Symbol(name)
        for name, declaration in parsed.declarations.items()
    }
    sizes[1] = 1
    done: list[Any] = []
    for term in parsed.syntax:
        done.append(_translated(term, done, names))
    return done[-1], names


# --- one identity -------------------------------------------------------------------------------


def _point(names: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    values = {}
    for name, variable in names.items():
        shape = () if _is_scalar(variable) else variable.shape
        value = rng.integers(1, 9, shape) / 8.0
        square = len(shape) == 2 and shape[0] == shape[1]
        values[name] = value + 3.0 * np.eye(shape[0]) if square else value
    return values


def _written_out(answer: Any, names: dict[str, Any], values: dict[str, Any]) -> np.ndarray:
    explicit = answer.doit() if hasattr(answer, "doit") else answer
    if hasattr(explicit, "as_explicit"):
        explicit = explicit.as_explicit()
    numbers: dict[Any, Any] = {}
    for name, variable in names.items():
        if _is_scalar(variable):
            numbers[variable] = sp.Rational(float(values[name]))
        else:
            matrix = sp.Matrix(np.atleast_2d(values[name])).applyfunc(sp.nsimplify)
            numbers[variable] = matrix
    result = explicit.subs(numbers)
    result = result.doit() if hasattr(result, "doit") else result
    flat = sp.flatten(result) if hasattr(result, "shape") else [result]
    return np.array([float(sp.N(e)) for e in flat])


def sympys_answer(text: str, wrt: str, shapes: dict[str, str], ours: Any) -> tuple[str, float]:
    """(right, wrong or error) and the seconds SymPy took to differentiate."""
    graph = cb.parse(text, **shapes)
    dims = dict.fromkeys(e for i in graph.inputs for e in graph.types[i].shape)
    order = sorted(range(2, 2 + len(dims)), reverse="X'*" in text)
    sizes = dict(zip(dims, order, strict=True)) | {1: 1}
    signal.alarm(PATIENCE)
    start = time.perf_counter()
    try:
        expression, names = sympy_expression(text, shapes, sizes)
        start = time.perf_counter()
        answer = expression.diff(names[wrt])
        taken = time.perf_counter() - start
        values = _point(names, np.random.default_rng(0))
        found = _written_out(answer, names, values)
    except Exception:
        return "error", time.perf_counter() - start
    finally:
        signal.alarm(0)
    inputs = {k: v[:, 0] if np.ndim(v) == 2 and v.shape[1] == 1 else v for k, v in values.items()}
    expected = np.ravel(ours.expr.bind(**inputs))
    same = found.size == expected.size and np.allclose(np.sort(found), np.sort(expected))
    return ("right" if same else "wrong"), taken


def main(arguments: list[str] | None = None) -> list[Timing]:
    """Both on every identity; prints the counts, the times, and SymPy's wrong answers."""
    from matrix_identities import FIRST, declared

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="five identities only")
    quick = parser.parse_args(arguments).quick
    signal.signal(signal.SIGALRM, _alarm)
    cb.matrix_diff("x'*x", "x")  # imports
    ours, theirs, verdicts = [], {}, {}
    for text, wrt, _, _ in FIRST[:5] if quick else FIRST:
        start = time.perf_counter()
        answer = cb.matrix_diff(text, wrt, **declared(text))
        ours.append(time.perf_counter() - start)
        shapes = {k: v.replace("symmetric(n)", "matrix(n, n)") for k, v in declared(text).items()}
        if "S" in text:
            answer = cb.matrix_diff(text, wrt, **shapes)
        verdict, seconds = sympys_answer(text, wrt, shapes, answer)
        theirs.setdefault(verdict, []).append(seconds)
        verdicts.setdefault(verdict, []).append(f"{text} by {wrt}")
    for verdict, texts in verdicts.items():
        print(f"SymPy {verdict}: {len(texts)}")
    print("silently wrong:", "; ".join(verdicts.get("wrong", [])))
    rows = [_row("calcbench", ours, ours)]
    rows += [_row(f"SymPy, {verdict}", taken, ours) for verdict, taken in theirs.items()]
    bars = [
        Bar("median seconds, certificate included", 0.3, statistics.median(ours)),
        Bar("worst seconds", 2.0, max(ours)),
    ]
    name = None if quick else "matrix_calculus"
    report(__doc__.splitlines()[0], rows, machine("sympy", "mpmath"), name, bars=bars)
    return rows


def _row(who: str, seconds: list[float], reference: list[float]) -> Timing:
    """The size is how many there are."""
    low, median, high = quartiles(seconds)
    ratio = median / statistics.median(reference)
    return Timing("matrix calculus", len(seconds), who, median, low, high, ratio)


if __name__ == "__main__":
    main()
