"""Products of first and second derivatives with many vectors at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from calcbench.compositions import hessian_product, pulled, pushed
from calcbench.graph.arraytype import DerivativeError, ShapeError, as_array
from calcbench.graph.conventions import kink_convention
from calcbench.graph.ir import Graph
from calcbench.graph.paths import Arguments, Attempt, Path, arguments_hold_values
from calcbench.graph.tracing import Trace
from calcbench.graph.trees import leaves_of, map_leaves
from calcbench.many_sweeps import ManySweeps
from calcbench.products import checked_seed, cotangent_leaves
from calcbench.programs import (
    Argnums,
    argument_tree,
    arguments_of,
    check_argnums,
    matching_leaves,
    result_tree,
    shared_paths,
    taken,
    tangent_tree,
)


Function = Callable[..., Any]


def jmp(
    function: Function,
    primals: Any,
    tangents: Any,
    *,
    argnums: Argnums | None = None,
    kink: str | None = None,
    engine: str = "numpy",
) -> tuple[Any, Any]:
    """Value and the Jacobian times a matrix: f'(x) dx for several directions dx at once.

    Parameters
    ----------
    function, primals, argnums, kink, engine
        As in `jvp`.
    tangents : array_like or tuple
        As in `jvp`, with the axis of directions in front: shape (k, *shape of the argument).

    Returns
    -------
    (y, dy)
        The result, and its tangents with the axis of directions in front; None where a result
        carries no tangent.

    Raises
    ------
    DerivativeError, DTypeError, ShapeError, TraceError
        As in `jvp`; also if directions are missing or differ in number, or inside another
        derivative.

    Notes
    -----
    Every direction has the bits that `jvp` gives for it alone. Directions go through as lanes of
    one sweep, as many as the caches hold (see `explain_directions`), unless a matrix product or
    factorisation of a tangent would round differently; then one sweep follows the other, and the
    values are computed once.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> y, dy = cb.jmp(lambda x: x[0] * x[1], np.array([2.0, 3.0]), np.eye(2))
    >>> dy
    array([3., 2.])
    """
    args, numbers = primal_arguments(primals, argnums)

    def seeds(arguments: Arguments, trace: Trace) -> list[Any]:
        return _directions(arguments, args, numbers, tangents)

    _, path, found = swept(function, _many_pushed, args, numbers, kink, engine, seeds)
    return result_tree(path.trace, found[0]), tangent_tree(path.trace, found[1])


def mjp(
    function: Function,
    primals: Any,
    cotangents: Any,
    *,
    argnums: Argnums | None = None,
    kink: str | None = None,
    engine: str = "numpy",
) -> tuple[Any, Any]:
    """Value and a matrix times the Jacobian: f'(x)^T ct for several cotangents ct at once.

    Parameters
    ----------
    function, primals, argnums, kink, engine
        As in `jvp`.
    cotangents : array_like, or nested like the result
        The axis of cotangents in front: shape (k, *shape of the result).

    Returns
    -------
    (y, ct_x)
        The result, and the cotangents of the arguments with that axis in front: a bare array if
        `argnums` is an int or there is one argument, else a tuple.

    Raises
    ------
    DerivativeError, DTypeError, ShapeError, TraceError
        As in `vjp`; also if cotangents are missing or differ in number, or inside another
        derivative.

    Notes
    -----
    Every cotangent gives the bits that `vjp` gives for it alone; see `jmp`.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> y, ct = cb.mjp(lambda x: x**2, np.array([2.0, 3.0]), np.eye(2))
    >>> ct
    array([[4., 0.],
           [0., 6.]])
    """
    args, numbers = primal_arguments(primals, argnums)

    def seeds(arguments: Arguments, trace: Trace) -> list[Any]:
        return _cotangents(trace, cotangents)

    arguments, path, found = swept(function, _many_pulled, args, numbers, kink, engine, seeds)
    shown = 0 if argnums is None and len(args) == 1 else numbers
    return result_tree(path.trace, found[0]), argument_tree(arguments, shown, found[1])


def hmp(
    function: Function,
    primals: Any,
    tangents: Any,
    *,
    argnums: Argnums | None = None,
    kink: str | None = None,
    engine: str = "numpy",
) -> Any:
    """The Hessian of a scalar function times a matrix: several Hessian-vector products at once.

    Parameters
    ----------
    function, primals, argnums, kink, engine
        As in `hvp`.
    tangents : array_like or tuple
        As in `hvp`, with the axis of directions in front: shape (k, *shape of the argument).

    Returns
    -------
    array or tuple
        As from `hvp`, with the axis of directions in front.

    Raises
    ------
    DerivativeError, DTypeError, ShapeError, TraceError
        As in `hvp` and `jmp`.

    Notes
    -----
    Every direction has the bits that `hvp` gives for it alone; see `jmp`.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> cb.hmp(lambda x: np.sum(x**3), np.array([1.0, 2.0]), np.eye(2))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    args, numbers = primal_arguments(primals, argnums)

    def seeds(arguments: Arguments, trace: Trace) -> list[Any]:
        return _directions(arguments, args, numbers, tangents)

    arguments, _, found = swept(function, _many_hessian, args, numbers, kink, engine, seeds)
    shown = 0 if argnums is None and len(args) == 1 else numbers
    return argument_tree(arguments, shown, found[1])


def primal_arguments(primals: Any, argnums: Argnums | None) -> tuple[tuple[Any, ...], Argnums]:
    """The arguments as a tuple, and which of them are differentiated: all by default."""
    args = primals if isinstance(primals, tuple) else (primals,)
    return args, tuple(range(len(args))) if argnums is None else argnums


def _many_pushed(graph: Graph, wrt: tuple[int, ...]) -> ManySweeps:
    return ManySweeps(pushed(graph, wrt), len(graph.outputs))


def _many_pulled(graph: Graph, wrt: tuple[int, ...]) -> ManySweeps:
    return ManySweeps(pulled(graph, wrt), len(graph.outputs))


def _many_hessian(graph: Graph, wrt: tuple[int, ...]) -> ManySweeps:
    return ManySweeps(hessian_product(graph, wrt), 0)


BUILDS = {"jmp": _many_pushed, "mjp": _many_pulled, "hmp": _many_hessian}


def swept(
    function: Function,
    build: Callable[..., Any],
    args: tuple[Any, ...],
    argnums: Argnums,
    kink: str | None,
    engine: str,
    seeds: Callable[[Arguments, Trace], list[Any]],
) -> tuple[Arguments, Path, tuple[list[Any], list[Any]]]:
    """The first path whose guards hold, swept in all directions there."""
    paths = shared_paths(function, build)

    def run(attempt: Attempt) -> Any:
        inputs = [*arguments.arrays, *attempt.captured]
        return attempt.path.built(inputs, seeds(arguments, attempt.path.trace), engine)

    with nullcontext() if kink is None else kink_convention(kink):
        arguments = arguments_of(paths, args, {}, argnums)
        if arguments_hold_values(arguments):
            raise DerivativeError(
                "products with many directions run on numbers, and an argument is being traced; "
                "use jvp, vjp or hvp inside another derivative, one direction at a time"
            )
        return arguments, *taken(paths, arguments, run)


# --- seeds ---------------------------------------------------------------------------------------


def _directions(
    arguments: Arguments, args: tuple[Any, ...], argnums: Argnums, tangents: Any
) -> list[Any]:
    """One array per differentiated leaf, with the axis of directions in front."""
    positions = check_argnums(argnums, len(args))
    is_bare = not isinstance(argnums, tuple)
    given = (tangents,) if is_bare or not isinstance(tangents, tuple) else tangents
    like = tuple(args[k] for k in positions)
    names = [f"tangents of {arguments.names[p]}" for p in arguments.wanted]
    leaves = list(matching_leaves(given, like, "tangents"))
    return _checked(leaves, [np.asarray(v) for v in leaves_of(like)], names)


def _cotangents(trace: Trace, cotangents: Any) -> list[Any]:
    """One array per float output, with the axis of cotangents in front."""
    counts = {np.shape(c)[:1] for c in leaves_of(cotangents) if c is not None}
    count = _one_count(counts, "cotangents")
    types = [trace.graph.types[i] for i in trace.graph.outputs]
    value = result_tree(trace, [np.zeros((count, *t.shape), t.dtype) for t in types])
    return list(cotangent_leaves(trace, map_leaves(_array, cotangents), value))


def _array(leaf: Any) -> Any:
    return None if leaf is None else np.asarray(as_array(leaf, "cotangents"))


def _checked(leaves: Sequence[Any], primals: Sequence[Any], names: Sequence[str]) -> list[Any]:
    arrays = [np.asarray(as_array(d, n)) for d, n in zip(leaves, names, strict=True)]
    count = _one_count({d.shape[:1] for d in arrays}, "tangents")
    likes = [np.broadcast_to(v, (count, *v.shape)) for v in primals]
    return [checked_seed(*triple) for triple in zip(arrays, likes, names, strict=True)]


def _one_count(counts: set[tuple[int, ...]], what: str) -> int:
    """The length of the axis in front, which is the same everywhere."""
    if len(counts) != 1 or counts <= {(), (0,)}:
        found = ", ".join(str(c[0]) if c else "no axis" for c in sorted(counts)) or "nothing"
        raise ShapeError(
            f"{what} have one axis in front, of the same length everywhere and not empty: the "
            f"directions; got {found}"
        )
    return next(iter(counts))[0]
