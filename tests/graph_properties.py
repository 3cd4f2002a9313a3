"""Properties of a graph at a point: each a function that raises AssertionError where it fails.

`push` and `pull` are the transforms under test, so that wrong ones can be handed in.
"""

from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np
import sympy as sp
from hypothesis import reject
from meanings import away_from_jumps, meaning
from rounding import agree, computed

import calcbench as cb
from calcbench.graph.arraytype import FLOAT32, ArrayType
from calcbench.graph.checker import check_graph
from calcbench.graph.elementwise import sin
from calcbench.graph.evaluation import Plan
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder, Graph, numpy_meaning
from calcbench.graph.lifting import common_builder, place, value_or_array
from calcbench.graph.nodes import Literal
from calcbench.graph.rewriting import simplify


Transform = Callable[..., Graph]
Values = Sequence[Any]
SINGLE = 2.0**-23
DIGITS = 50


def directions(like: Values, seed: int) -> list[Any]:
    """Whole numbers, so that sums and products of directions are exact."""
    rng = np.random.default_rng(seed)
    return [rng.integers(-4, 5, size=np.shape(v)).astype(float)[()] for v in like]


def skip_unless(holds: Any) -> None:
    """Another example is drawn where the property says nothing."""
    if not holds:
        reject()


def finite(*values: Any) -> bool:
    return all(np.all(np.isfinite(v)) for v in values)


def values_at(graph: Graph, xs: Values) -> list[Any]:
    """The outputs; a point at which NumPy finds none, as a matrix holds NaN, is left out."""
    try:
        return evaluate(graph, *xs)
    except np.linalg.LinAlgError:
        reject()


def is_rounding_alone(graph: Graph, xs: Any) -> bool:
    """Whether a result is as small as the rounding of values that cancel in it, and not 0.

    The adjugate of a matrix of equal rows is one: 0 in exact arithmetic, noise in floats.
    """
    with np.errstate(all="ignore"):
        values = graph.run(xs, numpy_meaning)
    size = max(float(np.max(np.abs(v), initial=0.0)) for v in values)
    results = [np.max(np.abs(values[i]), initial=0.0) for i in graph.outputs]
    return any(0.0 < r < 1e-12 * size for r in results)


def units(like: Any) -> list[Any]:
    """One array per entry, with a 1 there."""
    size = np.size(like)
    return [np.reshape(row, np.shape(like))[()] for row in np.eye(size)]


# --- 1-4: the two modes --------------------------------------------------------------------------


def tangent_is_linear(graph: Graph, xs: Values, seed: int, push: Transform = cb.jvp_graph) -> None:
    u, v = directions(xs, seed), directions(xs, seed + 1)
    both = [2.0 * a - 3.0 * b for a, b in zip(u, v, strict=True)]
    _is_linear(check_graph(push(graph)), xs, (u, v, both), slice(1, None))


def pullback_is_linear(graph: Graph, xs: Values, seed: int, pull: Transform = cb.vjp_graph) -> None:
    y = evaluate(graph, *xs)
    a, b = directions(y, seed), directions(y, seed + 1)
    _is_linear(check_graph(pull(graph)), xs, (a, b, [2.0 * a[0] - 3.0 * b[0]]), slice(1, None))


def _is_linear(graph: Graph, xs: Values, seeds: Sequence[Values], rest: slice) -> None:
    (first, e1), (second, e2), (both, e3) = [computed(graph, *xs, *s) for s in seeds]
    skip_unless(finite(*first, *second, *both))
    for a, b, c, da, db, dc in list(zip(first, second, both, e1, e2, e3, strict=True))[rest]:
        agree(c, 2.0 * a - 3.0 * b, 2.0 * da + 3.0 * db + dc, "linearity")


def modes_are_adjoint(
    graph: Graph, xs: Values, seed: int, push: Transform = cb.jvp_graph,
    pull: Transform = cb.vjp_graph,
) -> None:  # fmt: skip
    dx = directions(xs, seed)
    (y, dy), (_, e) = computed(check_graph(push(graph)), *xs, *dx)
    (ct,) = directions([y], seed + 1)
    (_, *cts), (_, *errors) = computed(check_graph(pull(graph)), *xs, ct)
    skip_unless(finite(dy, *cts))
    products = [np.sum(c * d) for c, d in zip(cts, dx, strict=True)]
    allowed = np.sum(np.abs(ct) * e)
    allowed += sum(np.sum(np.abs(d) * b) for d, b in zip(dx, errors, strict=True))
    agree(np.sum(ct * dy), np.sum(products), allowed, "<ct, J dx> = <J^T ct, dx>")


def columns_are_rows(
    graph: Graph, xs: Values, seed: int, push: Transform = cb.jvp_graph,
    pull: Transform = cb.vjp_graph,
) -> None:  # fmt: skip
    """Forward columns, reverse rows and both public Jacobians, entry by entry."""
    (y,) = evaluate(graph, *xs)
    rows = [computed(pull(graph), *xs, ct) for ct in units(y)]
    numbers = tuple(range(len(xs)))
    public = [f(applied(graph), numbers)(*xs) for f in (cb.jacfwd, cb.jacrev)]
    for position, x in enumerate(xs):
        zeros = [np.zeros_like(v) for v in xs]
        seeds = [[*zeros[:position], unit, *zeros[position + 1 :]] for unit in units(x)]
        columns = [computed(push(graph), *xs, *s) for s in seeds]
        shape, flat = (*np.shape(y), *np.shape(x)), (np.size(y), np.size(x))
        forward, e = [_matrix(columns, k, 1, flat[::-1]).T.reshape(shape) for k in (0, 1)]
        reverse, e2 = [_matrix(rows, k, 1 + position, flat).reshape(shape) for k in (0, 1)]
        skip_unless(finite(forward, reverse))
        agree(forward, reverse, e + e2, "forward against reverse")
        for jacobian in public:
            agree(jacobian[position], reverse, e + e2, "the public Jacobian")


def _matrix(runs: Sequence[Any], part: int, output: int, shape: tuple[int, int]) -> Any:
    return np.array([np.ravel(run[part][output]) for run in runs], float).reshape(shape)


def applied(graph: Graph) -> Callable[..., Any]:
    """The graph as a function of arrays or traced values: its rows are applied one by one."""

    def function(*args: Any) -> Any:
        values = graph.run(args, _applied)
        return values[graph.outputs[0]]

    return function


def _applied(node: Any, operands: list[Any]) -> Any:
    if not any(hasattr(v, "builder") for v in operands):
        return numpy_meaning(node, operands)
    builder = common_builder([v for v in operands if hasattr(v, "builder")])
    return node.row(*[place(builder, value_or_array(v)) for v in operands], **dict(node.params))


# --- 10, 11: second derivatives ------------------------------------------------------------------


def second_derivatives_agree(
    graph: Graph, xs: Values, seed: int, push: Transform = cb.jvp_graph,
    pull: Transform = cb.vjp_graph,
) -> None:  # fmt: skip
    """H dx in three compositions, <other, H dx> in the fourth, and with dx and other exchanged."""
    u, v, n = directions(xs, seed), directions(xs, seed + 1), len(xs)
    inputs, pushed, pulled = tuple(range(n)), push(graph), pull(graph)
    one, zero = np.float64(1), np.float64(0)
    fr = computed(push(pulled, inputs), *xs, one, *u)
    rf = computed(pull(pushed, inputs), *xs, *u, zero, one)
    rr = computed(pull(pulled, inputs), *xs, one, zero, *u)
    swapped = computed(push(pulled, inputs), *xs, one, *v)
    (*_, ff), (*_, eff) = computed(push(pushed, inputs), *xs, *u, *v)
    skip_unless(finite(ff, *[x for run in (fr, rf, rr, swapped) for x in run[0]]))
    for other in (rf, rr):
        for k in range(-n, 0):
            agree(other[0][k], fr[0][k], other[1][k] + fr[1][k], "H dx")
    inner, e = _inner(fr, v)
    mirrored, e2 = _inner(swapped, u)
    agree(ff, inner, e + eff, "forward over forward")
    agree(mirrored, inner, e + e2, "symmetry of the Hessian")


def _inner(run: Any, direction: Values) -> tuple[Any, Any]:
    values, bounds = (part[-len(direction) :] for part in run)
    total = sum(np.sum(a * d) for a, d in zip(values, direction, strict=True))
    return total, sum(np.sum(b * np.abs(d)) for b, d in zip(bounds, direction, strict=True))


# --- 17, 29: SymPy and mpmath --------------------------------------------------------------------


def symbolic(graph: Graph) -> tuple[Any, list[Any]]:
    """The SymPy column applied along a scalar graph, and the symbols of its inputs."""
    symbols = [sp.Symbol(name, real=True) for name in graph.input_names]

    def value(node: Any, operands: list[Any]) -> Any:
        params = dict(node.params)
        if node.row.kind == "source":
            return sp.Rational(*params["value"].array.item().as_integer_ratio())
        return meaning(node.row, *operands, **params)

    return graph.run(symbols, value)[graph.outputs[0]], symbols


def is_sympys_derivative(
    graph: Graph, xs: Values, seed: int, push: Transform = cb.jvp_graph,
    pull: Transform = cb.vjp_graph,
) -> None:  # fmt: skip
    """Both modes against SymPy's derivative at 50 digits, within the rounding of each."""
    expression, symbols = symbolic(graph)
    dx = directions(xs, seed)
    (_, dy), (_, e) = computed(push(graph), *xs, *dx)
    (_, *cts), (_, *errors) = computed(pull(graph), *xs, np.float64(1))
    skip_unless(finite(dy, *cts))
    at = {s: sp.Float(float(x), DIGITS + 10) for s, x in zip(symbols, xs, strict=True)}
    with mpmath.workdps(DIGITS):
        slopes = [away_from_jumps(sp.diff(expression, s)).xreplace(at) for s in symbols]
        exact = [sp.Float(slope.evalf(DIGITS), DIGITS) for slope in slopes]
        skip_unless(sp.nan not in exact)  # SymPy has no slope of sinc at its removable point 0
        along = float(sum(s * sp.Integer(int(d)) for s, d in zip(exact, dx, strict=True)))
    agree(dy, along, e, "forward against SymPy")
    for ct, slope, error in zip(cts, exact, errors, strict=True):
        agree(ct, float(slope), error, "reverse against SymPy")


def taylor_exponents(graph: Graph, xs: Values, seed: int, push: Transform = cb.jvp_graph) -> None:
    """The remainder shrinks like h^2 with the tangent, like h^3 with the second one as well.

    The function is mpmath's, at 50 digits, so that nothing but the tangents can spoil it.
    """
    dx, pushed = directions(xs, seed), push(graph)
    zeros = [np.zeros_like(d) for d in dx]
    inner = computed(push(pushed), *xs, *dx, *dx, *zeros)
    (_, first, _, second), (_, e, _, e2) = inner
    skip_unless(finite(first, second))
    expression, symbols = symbolic(graph)
    run = sp.lambdify(symbols, expression, "mpmath", cse=True)  # noqa: TID251 - own symbols
    with mpmath.workdps(DIGITS):

        def line(h: Any) -> Any:
            return run(*[mpmath.mpf(float(x)) + h * int(d) for x, d in zip(xs, dx, strict=True)])

        terms = mpmath.taylor(line, 0, 4)
        _exponent(line, [terms[0], first], terms, [float(e)])
        _exponent(line, [terms[0], first, second / 2], terms, [float(e), float(e2)])


def _exponent(
    line: Any, stated: Sequence[Any], terms: Sequence[Any], errors: Sequence[float]
) -> None:
    steps = [mpmath.mpf(10) ** -k for k in (4, 4.5, 5, 5.5, 6)]
    order = len(stated)
    leads, next_ = abs(terms[order]), abs(terms[order + 1])
    lost = [leads * steps[-1] ** (order - k) <= 1e2 * e for k, e in enumerate(errors, start=1)]
    if any(lost) or not next_ * steps[0] < 0.01 * leads:
        return  # the next term vanishes, or is lost in the rounding of the stated ones
    polynomial = [mpmath.mpf(float(t)) if k else t for k, t in enumerate(stated)]
    rests = [abs(line(h) - mpmath.polyval(polynomial[::-1], h)) for h in steps]
    logs = [[float(mpmath.log(v + mpmath.mpf(10) ** -40)) for v in vs] for vs in (steps, rests)]
    slope = np.polyfit(*logs, 1)[0]
    assert order - 0.1 <= slope <= order + 0.1, f"the remainder shrinks like h^{slope:.3f}"


# --- 31: complex steps ---------------------------------------------------------------------------


def is_the_complex_step(
    graph: Graph, xs: Values, seed: int, push: Transform = cb.jvp_graph
) -> None:
    """NumPy's complex arithmetic knows no rule of calcbench's."""
    dx = directions(xs, seed)
    moved = [x + 1e-150j * d for x, d in zip(xs, dx, strict=True)]
    expected = np.imag(evaluate(graph, *moved)[0]) / 1e-150
    (_, dy), (_, error) = computed(push(graph), *xs, *dx)
    skip_unless(finite(expected, dy))
    agree(dy, expected, error + 1e-14 * np.abs(expected), "complex step")


# --- 19, 25-27: bits -----------------------------------------------------------------------------


def bits(values: Values) -> list[bytes]:
    return [np.asarray(v).tobytes() for v in values]


def rewriting_keeps_bits(
    graph: Graph, xs: Values, seed: int, rewrite: Callable[[Graph], Graph] = simplify
) -> None:
    """Rewrites, pruning, another order, dead nodes, plans; for the values and the pullback."""
    pulled = cb.vjp_graph(graph)
    cts = directions(values_at(graph, xs), seed)
    for one, inputs in ((graph, xs), (pulled, [*xs, *cts])):
        expected = bits(values_at(one, inputs))
        for other in (rewrite(one), simplify(one, rewrites=False), reordered(one)):
            assert bits(evaluate(check_graph(other), *inputs)) == expected, str(other)
        assert bits(Plan(one)(*inputs)) == expected


def reordered(graph: Graph) -> Graph:
    """The same graph in another topological order, renumbered, with dead nodes in between."""
    builder, new = Builder(), {}
    for index, name in zip(graph.inputs, graph.input_names, strict=True):
        new[index] = builder.add_input(name, graph.types[index])
        builder.add(sin, (new[index],))
    pending = list(graph.outputs)
    while pending:
        index = pending[-1]
        node = graph.nodes[index]
        missing = [i for i in reversed(node.operands) if i not in new]
        if index not in new and not missing:
            new[index] = builder.add(node.row, tuple(new[i] for i in node.operands), node.params)
        pending.extend(missing) if missing else pending.pop()
    return builder.freeze([new[i] for i in graph.outputs])


def json_keeps_bits(
    graph: Graph, xs: Values, seed: int,
    read: Callable[[str], Graph] = cb.graph_from_json,
) -> None:  # fmt: skip
    cts = directions(values_at(graph, xs), seed)
    for written, inputs in ((graph, xs), (cb.vjp_graph(graph), [*xs, *cts])):
        found = read(cb.graph_to_json(written))
        assert found == written
        assert bits(evaluate(found, *inputs)) == bits(evaluate(written, *inputs))


def two_runs_give_the_same_bits(
    graph: Graph, xs: Values, seed: int, run: Callable[..., Any] = evaluate
) -> None:
    """Of the pullback, written twice; nothing that was passed in is changed."""
    cts = directions(values_at(graph, xs), seed)
    before = bits([*xs, *cts])
    first = bits(run(cb.vjp_graph(graph), *xs, *cts))
    assert bits(run(cb.vjp_graph(graph), *xs, *cts)) == first
    assert bits([*xs, *cts]) == before


def float32_is_rounded_float64(
    graph: Graph, xs: Values, seed: int, narrowed: Callable[[Graph], Graph] | None = None
) -> None:
    """Within what moving every node by float32's rounding changes in float64."""
    narrow = [np.asarray(x, np.float32)[()] for x in xs]
    (wide,), (bound,) = computed(graph, *[np.asarray(x, float)[()] for x in narrow], eps=SINGLE)
    (found,) = evaluate(check_graph((narrowed or as_float32)(graph)), *narrow)
    skip_unless(finite(wide, bound) and np.max(np.abs(wide), initial=0) < 1e30)
    assert found.dtype == np.float32
    agree(np.asarray(found, float)[()], wide, bound + 1e-30, "float32 against float64")


def as_float32(graph: Graph) -> Graph:
    builder = Builder()
    named = zip(graph.input_names, graph.inputs, strict=True)
    ids = [builder.add_input(n, ArrayType(graph.types[i].shape, FLOAT32)) for n, i in named]

    def narrow(value: Any) -> Any:
        is_wide = isinstance(value, Literal) and value.array.dtype == np.float64
        return Literal.of(value.array, FLOAT32) if is_wide else value

    def copy(node: Any, operands: list[int]) -> int:
        params = tuple((k, narrow(v)) for k, v in node.params)
        return builder.add(node.row, tuple(operands), params)

    new = graph.run(ids, copy)
    return builder.freeze([new[i] for i in graph.outputs])
