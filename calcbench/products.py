"""Products of first and second derivatives with vectors: one sweep each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from calcbench.compositions import hessian_product, pulled, pushed
from calcbench.delegation import product_on_engine, pullback_on_engine
from calcbench.graph.arraytype import DTypeError, ShapeError, as_array
from calcbench.graph.conventions import kink_convention
from calcbench.graph.lifting import Value
from calcbench.graph.paths import Arguments
from calcbench.graph.tracing import Trace
from calcbench.graph.trees import leaves_of
from calcbench.programs import (
    Argnums,
    Session,
    argument_tree,
    arguments_of,
    begin,
    check_argnums,
    float_outputs,
    inlined,
    matching_leaves,
    result_tree,
    shared_paths,
    swept_once,
    tangent_tree,
)


Function = Callable[..., Any]


def jvp(
    function: Function,
    primals: Any,
    tangents: Any,
    *,
    argnums: Argnums | None = None,
    kink: str | None = None,
    engine: str = "numpy",
) -> tuple[Any, Any]:
    """Value and directional derivative f'(x) dx, by one forward sweep.

    Parameters
    ----------
    function : callable
        Any function of float arrays.
    primals, tangents : tuple
        The arguments, and one tangent of the same shape for each; a single argument may be given
        bare.
    argnums : int or tuple of int, optional
        The arguments to differentiate, all by default. An int takes a bare tangent, a tuple
        a tuple of tangents.
    kink : str, optional
        Convention at kinks.
    engine : {"numpy", "tape", "fused", "cuda", "auto"}
        What runs it; see `compile`.

    Returns
    -------
    (y, dy)
        The result and its tangent, nested alike; None where a result carries no tangent.

    Raises
    ------
    DerivativeError, DTypeError, ShapeError, TraceError
        If tangents do not match primals, or the function cannot be differentiated.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> y, dy = cb.jvp(np.sin, (0.0,), (2.0,))
    >>> float(y), float(dy)
    (0.0, 2.0)
    """
    if engine != "numpy":
        options = ("argnums", argnums), ("kink", kink)
        result = product_on_engine(jvp, function, engine, options)(primals, tangents)
        return result  # type: ignore[no-any-return]
    args = _as_tuple(primals)
    numbers = _all(args) if argnums is None else argnums
    paths = shared_paths(function, pushed)
    with nullcontext() if kink is None else kink_convention(kink):
        arguments = arguments_of(paths, args, {}, numbers)
        seeds = _tangents(arguments, args, numbers, tangents)
        path, outputs = swept_once(paths, arguments, seeds)
    count = len(path.trace.graph.outputs)
    return result_tree(path.trace, outputs[:count]), tangent_tree(path.trace, outputs[count:])


def vjp(
    function: Function,
    *primals: Any,
    argnums: Argnums | None = None,
    kink: str | None = None,
    engine: str = "numpy",
) -> tuple[Any, Function]:
    """Value and pullback: ct -> f'(x)^T ct, one reverse sweep per call of the pullback.

    Parameters
    ----------
    function : callable
        Any function of float arrays.
    *primals : array_like or nested containers
        Its arguments. The pullback keeps their present values, whatever happens to the arrays.
    argnums : int or tuple of int, optional
        The arguments to differentiate, all by default. An int gives a bare cotangent, a
        tuple a tuple.
    kink : str, optional
        Convention at kinks.
    engine : {"numpy", "tape", "fused", "cuda", "auto"}
        What runs it; see `compile`.

    Returns
    -------
    (y, pullback)
        ``pullback(ct)``, with `ct` nested like y, returns a tuple with the cotangent of each
        argument, or the bare one if `argnums` is an int.

    Raises
    ------
    DerivativeError, DTypeError, ShapeError, TraceError
        If the function cannot be differentiated, or a cotangent does not match its value.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> y, pull = cb.vjp(lambda a, x: a @ x, np.eye(2), np.array([1.0, 2.0]))
    >>> pull(np.array([1.0, 0.0]))[1]
    array([1., 0.])
    """
    if engine != "numpy":
        options = ("argnums", argnums), ("kink", kink)
        return pullback_on_engine(vjp, function, primals, engine, options)
    numbers = _all(primals) if argnums is None else argnums
    paths = shared_paths(function, pulled)
    arguments, path, session = begin(paths, primals, {}, numbers, kink, owned=True)
    value = result_tree(path.trace, _primal_outputs(path.trace, session))

    def pull(cotangent: Any) -> Any:
        """The cotangents of the arguments, given that of the result."""
        seeds = list(cotangent_leaves(path.trace, cotangent, value))
        parts = session.finish(seeds)[len(path.trace.graph.outputs) :]
        return argument_tree(arguments, numbers, parts)

    return value, pull


def _primal_outputs(trace: Trace, session: Session) -> tuple[Any, ...]:
    if session.state is None:
        return inlined(trace.graph, session.inputs)
    return session.program.plan.peek(session.state, len(trace.graph.outputs))


def cotangent_leaves(trace: Trace, cotangent: Any, value: Any) -> Iterator[Any]:
    """One cotangent per float output; None stands for those that carry none."""
    given = list(matching_leaves(cotangent, value, "cotangents"))
    computed = [
        (g, v) for g, v, k in zip(given, leaves_of(value), trace.kept, strict=True) if k is not v
    ]
    for rank, ((ct, y), is_float) in enumerate(
        zip(computed, float_outputs(trace.graph), strict=True)
    ):
        if is_float:
            yield checked_seed(ct, y, f"cotangent of output {rank}")


def hvp(
    function: Function,
    primals: Any,
    tangents: Any,
    *,
    argnums: Argnums | None = None,
    kink: str | None = None,
    engine: str = "numpy",
) -> Any:
    """The product of the Hessian of a scalar function with a vector, forward over reverse.

    Parameters
    ----------
    function : callable
        A function with a scalar result.
    primals, tangents : tuple
        The arguments, and the vector as one tangent per argument; a single one may be bare.
    argnums : int or tuple of int, optional
        The arguments to differentiate, all by default. An int takes and gives a bare
        array, a tuple a tuple.
    kink : str, optional
        Convention at kinks.
    engine : {"numpy", "tape", "fused", "cuda", "auto"}
        What runs it; see `compile`.

    Returns
    -------
    array or tuple
        Shaped like the argument; a tuple if `primals` has several and `argnums` is not given.

    Raises
    ------
    DerivativeError, DTypeError, ShapeError, TraceError
        As in `grad` and `jvp`.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> cb.hvp(lambda x: np.sum(x**3), (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
    array([6., 0.])
    """
    if engine != "numpy":
        options = ("argnums", argnums), ("kink", kink)
        return product_on_engine(hvp, function, engine, options)(primals, tangents)
    args = _as_tuple(primals)
    numbers = _all(args) if argnums is None else argnums
    paths = shared_paths(function, hessian_product)
    arguments, _, session = begin(paths, args, {}, numbers, kink)
    products = session.finish(_tangents(arguments, args, numbers, tangents))
    shown = 0 if argnums is None and len(args) == 1 else numbers
    return argument_tree(arguments, shown, products)


def _as_tuple(given: Any) -> tuple[Any, ...]:
    return given if isinstance(given, tuple) else (given,)


def _all(args: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(range(len(args)))


def _tangents(
    arguments: Arguments, args: tuple[Any, ...], argnums: Argnums, tangents: Any
) -> list[Any]:
    """One tangent per differentiated leaf; those of a tuple of arguments come in a tuple."""
    positions = check_argnums(argnums, len(args))
    given = _as_tuple(tangents) if isinstance(argnums, tuple) else (tangents,)
    names = [arguments.names[p] for p in arguments.wanted]
    return _seeds(given, tuple(args[k] for k in positions), "tangents", names)


def _seeds(tree: Any, like: Any, what: str, names: Sequence[str] = ()) -> list[Any]:
    """Tangents or cotangents as leaves, checked against the values they belong to."""
    pairs = zip(matching_leaves(tree, like, what), leaves_of(like), strict=True)
    named = [*names, *(f"{what} {i}" for i in range(len(names), len(leaves_of(like))))]
    return [checked_seed(s, v, f"{what} of {n}") for (s, v), n in zip(pairs, named, strict=True)]


def checked_seed(seed: Any, value: Any, what: str) -> Any:
    if isinstance(seed, Value):
        kind = seed.type
    else:
        seed = np.array(as_array(seed, what))
        kind = seed
    expected = value.type if isinstance(value, Value) else as_array(value, what)
    if kind.shape != expected.shape:
        raise ShapeError(
            f"what was given as {what} has shape {kind.shape}, its value has {expected.shape}; "
            "they must agree"
        )
    if kind.dtype.kind != "f" and not isinstance(seed, Value):
        raise DTypeError(
            f"what was given as {what} has dtype {kind.dtype}; tangents and cotangents are floats"
        )
    return seed if isinstance(seed, Value) else seed.astype(expected.dtype)[()]
