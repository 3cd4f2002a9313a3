"""Derivatives of scalar functions and of functions of a scalar, and the graphs behind them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from calcbench.compositions import gradient, nth_derivative, recorded, value_and_gradient
from calcbench.delegation import on_engine
from calcbench.graph.arraytype import DerivativeError
from calcbench.graph.ir import Graph
from calcbench.graph.paths import Paths, prepare
from calcbench.graph.rewriting import simplify
from calcbench.graph.tracing import record
from calcbench.programs import Argnums, argument_tree, begin, result_tree


Function = Callable[..., Any]


def trace(function: Function, *examples: Any, **named: Any) -> Graph:
    """The graph that a function computes at the given arguments.

    Parameters
    ----------
    function : callable
        A function of arrays, written with NumPy.
    *examples, **named : array_like or nested tuples, lists and dicts of them
        Arguments that tell shapes, dtypes and the branches to take.

    Returns
    -------
    Graph
        Inputs: the leaves of the arguments, then arrays captured from outside.

    Raises
    ------
    TraceError
        If the function does something that would cut its derivative.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> print(cb.trace(lambda x: np.sin(x) * x, 1.0))
    graph (x: f64[]) -> (f64[])
      v0 = input [name=x] : f64[]
      v1 = sin v0 : f64[]
      v2 = multiply v1 v0 : f64[]
      return v2
    """
    paths = Paths(function, recorded)
    arguments = prepare(examples, named, (), paths.roots)
    raw = record(function, arguments.structure, arguments.leaves, arguments.names).graph
    return simplify(raw)


def grad(
    function: Function,
    argnums: Argnums = 0,
    *,
    kink: str | None = None,
    cache: bool = True,
    engine: str = "numpy",
) -> Function:
    """The gradient of a scalar function, by one reverse sweep.

    Parameters
    ----------
    function : callable
        A function of arrays (or nested tuples, lists and dicts of arrays) with a scalar result.
    argnums : int or tuple of int
        Which positional arguments to differentiate; a tuple gives a tuple.
    kink : str, optional
        Convention at kinks for this function; see `kink_convention`.
    cache : bool
        Whether recordings may be reused between calls. Closures, globals, defaults, attributes
        and random generators are watched for changes, lists, dicts and objects two levels deep;
        turn it off for functions whose behaviour depends on what lies deeper, on files, on
        environment variables or on the time.
    engine : {"numpy", "tape", "fused", "cuda", "auto"}
        What runs it; see `compile`.

    Returns
    -------
    callable
        Called like `function`; returns the gradient, shaped like the argument.

    Raises
    ------
    DerivativeError, DTypeError, TraceError
        On the call, if the result is no scalar float, an argument is no float, or the function
        does something that would cut its derivative.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> cb.grad(lambda x: np.sum(x**2))(np.array([1.0, 3.0]))
    array([2., 6.])
    """
    paths = Paths(function, gradient, cache=cache)

    @wraps(function, updated=())
    def slope(*args: Any, **kwargs: Any) -> Any:
        arguments, _, session = begin(paths, args, kwargs, argnums, kink)
        return argument_tree(arguments, argnums, session.finish())

    return on_engine(slope, engine)


def value_and_grad(
    function: Function,
    argnums: Argnums = 0,
    *,
    kink: str | None = None,
    cache: bool = True,
    engine: str = "numpy",
) -> Function:
    """Value and gradient of a scalar function, by one forward and one reverse sweep.

    Parameters
    ----------
    function, argnums, kink, cache, engine
        As in `grad`.

    Returns
    -------
    callable
        Called like `function`; returns ``(value, gradient)``.

    Raises
    ------
    DerivativeError, DTypeError, TraceError
        As in `grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> value, slope = cb.value_and_grad(np.exp)(0.0)
    >>> float(value), float(slope)
    (1.0, 1.0)
    """
    paths = Paths(function, value_and_gradient, cache=cache)

    @wraps(function, updated=())
    def both(*args: Any, **kwargs: Any) -> Any:
        arguments, path, session = begin(paths, args, kwargs, argnums, kink)
        value, *parts = session.finish()
        return result_tree(path.trace, [value]), argument_tree(arguments, argnums, parts)

    return on_engine(both, engine)


def derivative(
    function: Function,
    n: int = 1,
    argnums: Argnums = 0,
    *,
    kink: str | None = None,
    cache: bool = True,
    engine: str = "numpy",
) -> Function:
    """The n-th derivative of a function of a scalar, by forward mode over itself.

    Parameters
    ----------
    function : callable
        A function whose differentiated argument is a scalar; the result may have any shape.
    n : int
        The order, at least 0.
    argnums : int or tuple of one int
        Which positional argument; a tuple gives a tuple.
    kink, cache, engine
        As in `grad`.

    Returns
    -------
    callable
        Called like `function`; returns the n-th derivative, nested like the result.

    Raises
    ------
    DerivativeError, DTypeError, TraceError
        If the argument is no scalar float, the order is no natural number, or the function cannot
        be differentiated.

    Examples
    --------
    >>> import calcbench as cb
    >>> float(cb.derivative(lambda x: x**3, n=2)(2.0))
    12.0
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise DerivativeError(f"the order n must be a whole number >= 0, got {n!r}")
    paths = Paths(function, lambda graph, wrt: nth_derivative(graph, wrt, n), cache=cache)

    @wraps(function, updated=())
    def nth(*args: Any, **kwargs: Any) -> Any:
        arguments, path, session = begin(paths, args, kwargs, argnums, kink)
        computed = session.finish()
        parts = [argument_tree(arguments, argnums, [value]) for value in computed]
        return result_tree(path.trace, parts, static=False)

    return on_engine(nth, engine)
