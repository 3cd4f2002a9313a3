"""Loops and choices as single nodes: the functions scan, while_loop and cond."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.control_bodies import Body, spread
from calcbench.graph.control_choices import cond_row
from calcbench.graph.control_functions import (
    Tree,
    check_branches,
    check_carry,
    check_truth,
    joined,
    pair_of,
    step_count,
    traced_body,
)
from calcbench.graph.control_loops import while_row
from calcbench.graph.control_scans import scan_row
from calcbench.graph.control_steps import Loop
from calcbench.graph.lifting import Value, common_builder, place
from calcbench.graph.primitive import Primitive


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """A loop that carries a value and stacks what each step gives: one node of the graph.

    Parameters
    ----------
    f : callable
        (carry, x) to (next carry, y); traced once. The next carry has the carry's type. It may
        use values from outside, and they may be differentiated.
    init : tree of array_like
        The first carry.
    xs : tree of array_like, shape (length, ...), optional
        Step i is given x = xs[i], leaf by leaf; without `xs`, x is None.
    length : int, optional
        The number of steps, needed if `xs` has no leaves.
    reverse : bool, default False
        Whether to run from the last step to the first; y of step i stays at place i.

    Returns
    -------
    carry, ys : trees of arrays or traced values
        The last carry, and the stacked results, of shape (length, ...).

    Raises
    ------
    ShapeError, DTypeError
        If lengths differ or are not given, or the next carry has not the type of the carry.
    TraceError
        If `f` branches on its arguments in Python, or returns no pair.

    Notes
    -----
    The derivatives are scans again: forward, of the tangents beside the values; in reverse, over
    the carries of all steps, backwards. Only carries that can have a tangent are given one.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> def horner(x, coefficients):
    ...     return cb.scan(lambda s, c: (s * x + c, None), 0.0, coefficients)[0]
    >>> float(cb.grad(horner)(2.0, np.array([3.0, 1.0, 5.0])))
    13.0
    """
    start, across = Tree.of(init, "init"), Tree.of(() if xs is None else xs, "xs")
    steps, count = step_count(across, length), len(start.leaves)
    slices = [ArrayType(t.shape[1:], t.dtype) for t in across.types]
    step = f if xs is not None else lambda carry, _: f(carry, None)
    body = traced_body("scan", step, [start.structure, across.structure], start.types + slices)
    carried, stacked = pair_of(body.results)
    check_carry("scan", start, carried, body.types[:count])
    loop = Loop(Body(body.graph), count, (), steps, bool(reverse), len(slices))
    operands = [*start.leaves, *across.leaves, *body.sources]
    params = {k: v for k, v in loop._asdict().items() if k != "keep"}
    found = _computed(scan_row, operands, loop.results(), **params)
    return carried.filled(found), stacked.filled(found)


def while_loop(condition: Callable[[Any], Any], body: Callable[[Any], Any], init: Any) -> Any:
    """A loop that runs while a condition on what it carries holds: one node of the graph.

    Parameters
    ----------
    condition : callable
        carry to one truth value; traced once.
    body : callable
        carry to the next carry, of the same type; traced once.
    init : tree of array_like
        The first carry.

    Returns
    -------
    tree of arrays or traced values
        The first carry for which the condition does not hold.

    Raises
    ------
    ShapeError, DTypeError
        If the next carry has not the type of the carry, or the condition is not one truth value.
    TraceError
        If a function branches on its argument in Python.

    Notes
    -----
    The derivative is that of as many steps as were taken: forward, a loop of tangents beside the
    values; in reverse, the trips are counted and a scan of that length is differentiated. Memory
    in reverse grows with the number of trips.

    Examples
    --------
    >>> import calcbench as cb
    >>> def root(a):
    ...     far = lambda x: abs(x * x - a) > 1e-12 * a
    ...     return cb.while_loop(far, lambda x: (x + a / x) / 2, a)
    >>> print(f"{cb.grad(root)(2.0):.10f}")
    0.3535533906
    """
    start = Tree.of(init, "init")
    step, test = (
        traced_body("while_loop", f, [start.structure], start.types) for f in (body, condition)
    )
    check_carry("while_loop", start, step.results, step.types)
    check_truth("the condition of while_loop", test.types)
    sources, (stepping, testing) = joined([step, test], len(start.leaves))
    operands = [*start.leaves, *sources]
    params = {"condition": testing, "body": stepping, "derived": ()}
    return step.results.filled(_computed(while_row, operands, step.types, **params))


def cond(
    predicate: Any,
    true_branch: Callable[..., Any],
    false_branch: Callable[..., Any],
    *operands: Any,
) -> Any:
    """The result of one of two functions, chosen by a truth value: one node of the graph.

    Parameters
    ----------
    predicate : bool or traced value of shape ()
        Which branch to take.
    true_branch, false_branch : callable
        Functions of `operands` with results of the same types; both are traced, one is run.
    *operands : trees of array_like
        What the branches are given.

    Returns
    -------
    tree of arrays or traced values
        The result of the branch taken.

    Raises
    ------
    ShapeError, DTypeError
        If the predicate is not one truth value, or the branches have results of different types.
    TraceError
        If a branch branches on its arguments in Python.

    Notes
    -----
    The derivative is that of the branch taken; nothing of the other one is computed.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> def root(x):
    ...     return cb.cond(x > 0, np.sqrt, lambda v: 0 * v, x)
    >>> float(cb.grad(root)(4.0)), float(cb.grad(root)(0.0))
    (0.25, 0.0)
    """
    chosen, given = Tree.of(predicate, "predicate"), Tree.of(operands, "operands")
    check_truth("the predicate of cond", chosen.types)
    taken, other = (
        traced_body("cond", f, given.structure[2], given.types) for f in (true_branch, false_branch)
    )
    check_branches(taken, other)
    sources, bodies = joined([taken, other], len(given.leaves))
    found = [*chosen.leaves, *given.leaves, *sources]
    return taken.results.filled(_computed(cond_row, found, taken.types, branches=tuple(bodies)))


# --- the node, or the numbers -------------------------------------------------------------------


def _computed(
    row: Primitive, operands: Sequence[Any], types: Sequence[ArrayType], **params: Any
) -> Iterator[Any]:
    """The results of a row: nodes if an operand is a traced value, and arrays if none is."""
    values = [v for v in operands if isinstance(v, Value)]
    pairs = list(enumerate(types))
    if not values:
        return _arrays(row, operands, pairs, params)
    builder = common_builder(values)
    return iter(spread(row, [place(builder, v) for v in operands], pairs, **params))


def _arrays(
    row: Primitive, operands: Sequence[Any], pairs: Sequence[tuple[int, ArrayType]], params: Any
) -> Iterator[Any]:
    """One run for the results of each dtype."""
    found: dict[int, Any] = {}
    for dtype in dict.fromkeys(kind.dtype for _, kind in pairs):
        chosen = {k: kind for k, kind in pairs if kind.dtype == dtype}
        with np.errstate(all="ignore"):
            packed = row.numpy(*operands, keep=tuple(chosen), **params)
        ends = np.cumsum([kind.size for kind in chosen.values()])[:-1]
        for (k, kind), part in zip(chosen.items(), np.split(packed, ends), strict=True):
            found[k] = part.reshape(kind.shape).copy()[()]
    return iter([found[k] for k, _ in pairs])
