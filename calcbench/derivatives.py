"""The derivatives users ask for, as compositions of the two modes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any

import numpy as np

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.arraytype import DerivativeError, DTypeError, ShapeError, as_array
from calcbench.graph.conventions import kink_convention
from calcbench.graph.ir import Graph
from calcbench.graph.lifting import Value
from calcbench.graph.paths import Paths, prepare
from calcbench.graph.rewriting import simplify
from calcbench.graph.tracing import Trace, record
from calcbench.graph.trees import leaves_of
from calcbench.programs import (
    Argnums,
    Program,
    Session,
    argument_tree,
    arguments_of,
    float_outputs,
    inlined,
    matching_leaves,
    own,
    result_tree,
    seeded,
    shared_paths,
    start,
    tangent_tree,
    with_outputs,
)
from calcbench.reverse_mode.pullback import vjp_graph


Function = Callable[..., Any]


def _chosen(kink: str | None) -> AbstractContextManager[None]:
    return nullcontext() if kink is None else kink_convention(kink)


# --- graphs ----------------------------------------------------------------------------------


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
    paths = Paths(function, _no_program)
    arguments = prepare(examples, named, (), paths.roots)
    raw = record(function, arguments.structure, arguments.leaves, arguments.names).graph
    return simplify(raw)


def _no_program(graph: Graph, wrt: tuple[int, ...]) -> Program:
    return Program(graph)


def _gradient_graph(graph: Graph, wrt: tuple[int, ...]) -> Graph:
    """x -> (y, dy/dx) of a scalar y."""
    types = [graph.types[i] for i in graph.outputs]
    if len(types) != 1 or types[0].shape != () or not types[0].is_float:
        raise DerivativeError(
            f"grad needs a function with one scalar float result, got "
            f"({', '.join(map(str, types))}); use jacobian, or vjp with a cotangent"
        )
    return seeded(vjp_graph(graph, wrt), 1)


def _gradient(graph: Graph, wrt: tuple[int, ...]) -> Program:
    gradient = _gradient_graph(graph, wrt)
    return Program(with_outputs(gradient, range(1, len(gradient.outputs))))


def _value_and_gradient(graph: Graph, wrt: tuple[int, ...]) -> Program:
    return Program(_gradient_graph(graph, wrt))


def _pushed(graph: Graph, wrt: tuple[int, ...]) -> Program:
    return Program(jvp_graph(graph, wrt), len(wrt))


def _pulled(graph: Graph, wrt: tuple[int, ...]) -> Program:
    return Program(vjp_graph(graph, wrt), sum(float_outputs(graph)))


def _hessian_product(graph: Graph, wrt: tuple[int, ...]) -> Program:
    """Forward over reverse: the tangent of the gradient."""
    gradient = _gradient_graph(graph, wrt)
    gradient = with_outputs(gradient, range(1, len(gradient.outputs)))
    both = jvp_graph(gradient, wrt)
    return Program(with_outputs(both, range(len(wrt), 2 * len(wrt))), len(wrt))


# --- first derivatives -----------------------------------------------------------------------


def grad(
    function: Function, argnums: Argnums = 0, *, kink: str | None = None, cache: bool = True
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
    paths = Paths(function, _gradient, cache=cache)

    @wraps(function, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        with _chosen(kink):
            arguments = arguments_of(paths, args, kwargs, argnums)
            _, session = start(paths, arguments)
        return argument_tree(arguments, argnums, session.finish())

    return gradient


def value_and_grad(
    function: Function, argnums: Argnums = 0, *, kink: str | None = None, cache: bool = True
) -> Function:
    """Value and gradient of a scalar function, by one forward and one reverse sweep.

    Parameters
    ----------
    function, argnums, kink, cache
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
    paths = Paths(function, _value_and_gradient, cache=cache)

    @wraps(function, updated=())
    def both(*args: Any, **kwargs: Any) -> Any:
        with _chosen(kink):
            arguments = arguments_of(paths, args, kwargs, argnums)
            path, session = start(paths, arguments)
        value, *parts = session.finish()
        return result_tree(path.trace, [value]), argument_tree(arguments, argnums, parts)

    return both


def jvp(
    function: Function, primals: Any, tangents: Any, *, kink: str | None = None
) -> tuple[Any, Any]:
    """Value and directional derivative f'(x) dx, by one forward sweep.

    Parameters
    ----------
    function : callable
        Any function of float arrays.
    primals, tangents : tuple
        The arguments, and one tangent of the same shape for each; a single argument may be given
        bare.
    kink : str, optional
        Convention at kinks.

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
    args, directions = _as_tuple(primals), _as_tuple(tangents)
    with _chosen(kink):
        paths = shared_paths(function, _pushed)
        arguments = arguments_of(paths, args, {}, tuple(range(len(args))))
        path, session = start(paths, arguments)
    seeds = _seeds(directions, args, "tangents", arguments.names)
    outputs = session.finish(seeds)
    count = len(path.trace.graph.outputs)
    return result_tree(path.trace, outputs[:count]), tangent_tree(path.trace, outputs[count:])


def _as_tuple(given: Any) -> tuple[Any, ...]:
    return given if isinstance(given, tuple) else (given,)


def _seeds(tree: Any, like: Any, what: str, names: Sequence[str] = ()) -> list[Any]:
    """Tangents or cotangents as leaves, checked against the values they belong to."""
    pairs = zip(matching_leaves(tree, like, what), leaves_of(like), strict=True)
    named = [*names, *(f"{what} {i}" for i in range(len(names), len(leaves_of(like))))]
    return [_seed(s, v, f"{what} of {n}") for (s, v), n in zip(pairs, named, strict=True)]


def _seed(seed: Any, value: Any, what: str) -> Any:
    if isinstance(seed, Value):
        kind = seed.type
    else:
        seed = np.array(as_array(seed, what))
        kind = seed
    expected = value.type if isinstance(value, Value) else as_array(value, what)
    if kind.shape != expected.shape:
        raise ShapeError(
            f"the {what} has shape {kind.shape}, its value has {expected.shape}; they must agree"
        )
    if kind.dtype.kind != "f" and not isinstance(seed, Value):
        raise DTypeError(f"the {what} has dtype {kind.dtype}; tangents and cotangents are floats")
    return seed if isinstance(seed, Value) else seed.astype(expected.dtype)[()]


def vjp(function: Function, *primals: Any, kink: str | None = None) -> tuple[Any, Function]:
    """Value and pullback: ct -> f'(x)^T ct, one reverse sweep per call of the pullback.

    Parameters
    ----------
    function : callable
        Any function of float arrays.
    *primals : array_like or nested containers
        Its arguments. The pullback keeps their present values, whatever happens to the arrays.
    kink : str, optional
        Convention at kinks.

    Returns
    -------
    (y, pullback)
        ``vjp_graph(ct)``, with `ct` nested like y, returns a tuple with the cotangent of each
        argument.

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
    everything = tuple(range(len(primals)))
    with _chosen(kink):
        paths = shared_paths(function, _pulled)
        arguments = arguments_of(paths, primals, {}, everything)
        arguments = arguments._replace(leaves=[own(v) for v in arguments.leaves])
        path, session = start(paths, arguments, owned=True)
    value = result_tree(path.trace, _primal_outputs(path.trace, session))

    def pull(cotangent: Any) -> tuple[Any, ...]:
        """The cotangents of the arguments, given that of the result."""
        seeds = list(_cotangents(path.trace, cotangent, value))
        parts = session.finish(seeds)[len(path.trace.graph.outputs) :]
        return argument_tree(arguments, everything, parts)  # type: ignore[no-any-return]

    return value, pull


def _primal_outputs(trace: Trace, session: Session) -> tuple[Any, ...]:
    if session.state is None:
        return inlined(trace.graph, session.inputs)
    return session.program.plan.peek(session.state, len(trace.graph.outputs))


def _cotangents(trace: Trace, cotangent: Any, value: Any) -> Iterator[Any]:
    """One cotangent per float output; None stands for those that carry none."""
    given = list(matching_leaves(cotangent, value, "cotangents"))
    computed = [
        (g, v) for g, v, k in zip(given, leaves_of(value), trace.kept, strict=True) if k is not v
    ]
    for rank, ((ct, y), is_float) in enumerate(
        zip(computed, float_outputs(trace.graph), strict=True)
    ):
        if is_float:
            yield _seed(ct, y, f"cotangent of output {rank}")


# --- Jacobians and higher orders -------------------------------------------------------------


def jacobian(
    function: Function,
    argnums: Argnums = 0,
    mode: str = "auto",
    *,
    kink: str | None = None,
    cache: bool = True,
) -> Function:
    """The Jacobian, in numerator layout: shape out.shape + in.shape.

    Parameters
    ----------
    function, argnums, kink, cache
        As in `grad`; the result may have any shape.
    mode : {"auto", "forward", "reverse"}
        One sweep per input entry, or one per output entry; auto takes the fewer.

    Returns
    -------
    callable
        Called like `function`; returns one block per result and argument, nested alike.

    Raises
    ------
    DerivativeError, DTypeError, TraceError
        If the function cannot be differentiated, or the mode is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> cb.jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    if mode not in ("auto", "forward", "reverse"):
        raise DerivativeError(f"mode must be 'auto', 'forward' or 'reverse', got {mode!r}")
    paths = Paths(function, lambda graph, wrt: _jacobian_program(graph, wrt, mode), cache=cache)

    @wraps(function, updated=())
    def full_jacobian(*args: Any, **kwargs: Any) -> Any:
        with _chosen(kink):
            arguments = arguments_of(paths, args, kwargs, argnums)
            path, session = start(paths, arguments)
        graph = path.trace.graph
        ins = [graph.types[graph.inputs[p]] for p in paths.positions(arguments)]
        outs = [graph.types[i] for i in graph.outputs]
        blocks = _blocks(session, ins, outs)
        rows = [argument_tree(arguments, argnums, row) for row in blocks]
        return result_tree(path.trace, rows, static=False)

    return full_jacobian


def jacfwd(function: Function, argnums: Argnums = 0, **options: Any) -> Function:
    """`jacobian` with ``mode="forward"``: one forward sweep per input entry.

    Parameters
    ----------
    function, argnums, **options
        As in `jacobian`.

    Returns
    -------
    callable
        As from `jacobian`.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> cb.jacfwd(lambda x: np.array([x, x**2]))(3.0)
    array([1., 6.])
    """
    return jacobian(function, argnums, "forward", **options)


def jacrev(function: Function, argnums: Argnums = 0, **options: Any) -> Function:
    """`jacobian` with ``mode="reverse"``: one reverse sweep per output entry.

    Parameters
    ----------
    function, argnums, **options
        As in `jacobian`.

    Returns
    -------
    callable
        As from `jacobian`.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> cb.jacrev(np.prod)(np.array([2.0, 3.0]))
    array([3., 2.])
    """
    return jacobian(function, argnums, "reverse", **options)


def _jacobian_program(graph: Graph, wrt: tuple[int, ...], mode: str) -> Program:
    """A forward program (one seed per wanted input) or a reverse one (one per output)."""
    if not all(float_outputs(graph)):
        shown = ", ".join(str(graph.types[i]) for i in graph.outputs)
        raise DerivativeError(f"jacobian needs float results, got ({shown})")
    entries = _entries(graph, [graph.inputs[p] for p in wrt])
    forward = entries <= _entries(graph, graph.outputs) if mode == "auto" else mode == "forward"
    count = len(graph.outputs)
    if forward:
        both = jvp_graph(graph, wrt)
        return Program(with_outputs(both, range(count, 2 * count)), len(wrt))
    both = vjp_graph(graph, wrt)
    return ReverseProgram(with_outputs(both, range(count, count + len(wrt))), count)


class ReverseProgram(Program):
    """A program whose seeds are cotangents."""


def _entries(graph: Graph, nodes: Sequence[int]) -> int:
    return sum(int(graph.types[i].size) for i in nodes)


def _blocks(session: Session, ins: Sequence[Any], outs: Sequence[Any]) -> list[list[Any]]:
    """Per output, per wanted input, the block of shape out.shape + in.shape."""
    if isinstance(session.program, ReverseProgram):
        sweeps = [_sweeps(session, outs, rank, ins) for rank in range(len(outs))]
        return [
            [_stacked(rows, 0, o, i) for rows, i in zip(per_in, ins, strict=True)]
            for per_in, o in zip(sweeps, outs, strict=True)
        ]
    sweeps = [_sweeps(session, ins, rank, outs) for rank in range(len(ins))]
    return [
        [_stacked(sweeps[rank][k], -1, o, i) for rank, i in enumerate(ins)]
        for k, o in enumerate(outs)
    ]


def _sweeps(
    session: Session, seeded_types: Sequence[Any], rank: int, results: Sequence[Any]
) -> list[list[Any]]:
    """One sweep per entry of the seed `rank`; the results, grouped by output."""
    found: list[list[Any]] = [[] for _ in results]
    for entry in range(seeded_types[rank].size):
        seeds = [np.zeros(t.shape, t.dtype) for t in seeded_types]
        seeds[rank].reshape(-1)[entry] = 1
        for column, result in zip(found, session.finish([s[()] for s in seeds]), strict=True):
            column.append(result)
    return found


def _stacked(parts: list[Any], axis: int, out: Any, into: Any) -> Any:
    shape = (*out.shape, *into.shape)
    if not parts:
        return np.zeros(shape, out.dtype)
    stacked = np.reshape(np.stack(parts, axis), shape)
    return stacked if isinstance(stacked, Value) else stacked[()]


def hessian(
    function: Function, argnums: Argnums = 0, *, kink: str | None = None, cache: bool = True
) -> Function:
    """The matrix of second derivatives of a scalar function, forward over reverse.

    Parameters
    ----------
    function, argnums, kink, cache
        As in `grad`.

    Returns
    -------
    callable
        Called like `function`; returns shape in.shape + in.shape; a tuple of tuples of blocks if
        `argnums` is a tuple.

    Raises
    ------
    DerivativeError, DTypeError, TraceError
        As in `grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> cb.hessian(lambda x: x[0] * x[1] ** 2)(np.array([1.0, 2.0]))
    array([[0., 4.],
           [4., 2.]])
    """
    paths = Paths(function, _hessian_product, cache=cache)

    @wraps(function, updated=())
    def full_hessian(*args: Any, **kwargs: Any) -> Any:
        with _chosen(kink):
            arguments = arguments_of(paths, args, kwargs, argnums)
            path, session = start(paths, arguments)
        graph = path.trace.graph
        ins = [graph.types[graph.inputs[p]] for p in paths.positions(arguments)]
        rows = [argument_tree(arguments, argnums, row) for row in _blocks(session, ins, ins)]
        return argument_tree(arguments, argnums, rows)

    return full_hessian


def hvp(function: Function, primals: Any, tangents: Any, *, kink: str | None = None) -> Any:
    """The product of the Hessian of a scalar function with a vector, forward over reverse.

    Parameters
    ----------
    function : callable
        A function with a scalar result.
    primals, tangents : tuple
        The arguments, and the vector as one tangent per argument; a single one may be bare.
    kink : str, optional
        Convention at kinks.

    Returns
    -------
    array or tuple
        Shaped like the argument; a tuple if `primals` has several.

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
    args, directions = _as_tuple(primals), _as_tuple(tangents)
    argnums: Argnums = 0 if len(args) == 1 else tuple(range(len(args)))
    with _chosen(kink):
        paths = shared_paths(function, _hessian_product)
        arguments = arguments_of(paths, args, {}, argnums)
        _, session = start(paths, arguments)
    seeds = _seeds(directions, args, "tangents", arguments.names)
    return argument_tree(arguments, argnums, session.finish(seeds))


def derivative(
    function: Function,
    n: int = 1,
    argnums: Argnums = 0,
    *,
    kink: str | None = None,
    cache: bool = True,
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
    kink, cache
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
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise DerivativeError(f"the order n must be a whole number >= 0, got {n!r}")
    paths = Paths(function, lambda graph, wrt: _nth(graph, wrt, n), cache=cache)

    @wraps(function, updated=())
    def nth_derivative(*args: Any, **kwargs: Any) -> Any:
        with _chosen(kink):
            arguments = arguments_of(paths, args, kwargs, argnums)
            path, session = start(paths, arguments)
        computed = session.finish()
        parts = [argument_tree(arguments, argnums, [value]) for value in computed]
        return result_tree(path.trace, parts, static=False)

    return nth_derivative


def _nth(graph: Graph, wrt: tuple[int, ...], n: int) -> Program:
    if len(wrt) != 1 or graph.types[graph.inputs[wrt[0]]].shape != ():
        shown = ", ".join(str(graph.types[graph.inputs[p]]) for p in wrt)
        raise DerivativeError(
            f"derivative needs one scalar argument, got {shown}; use jacobian, hessian or jvp"
        )
    if not all(float_outputs(graph)):
        raise DerivativeError("derivative needs float results; integers carry no tangent")
    count = len(graph.outputs)
    for _ in range(n):
        graph = with_outputs(seeded(jvp_graph(graph, wrt), 1), range(count, 2 * count))
    return Program(graph)
