"""Whole matrices of derivatives: one sweep per entry of the input or of the output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from calcbench.compositions import (
    MixedProgram,
    ReverseProgram,
    hessian_product,
    jacobian_program,
)
from calcbench.delegation import on_engine
from calcbench.graph.arraytype import DerivativeError
from calcbench.graph.batching import batched
from calcbench.graph.control import cond
from calcbench.graph.lifting import Value
from calcbench.graph.paths import Paths
from calcbench.programs import Argnums, Session, argument_tree, begin, inlined, result_tree
from calcbench.sparse_jacobians import SparseDerivative


Function = Callable[..., Any]
MODES = ("auto", "forward", "reverse", "mixed")


def jacobian(
    function: Function,
    argnums: Argnums = 0,
    mode: str = "auto",
    *,
    kink: str | None = None,
    cache: bool = True,
    engine: str = "numpy",
    sparse: bool = False,
) -> Function:
    """The Jacobian, in numerator layout: shape out.shape + in.shape.

    Parameters
    ----------
    function, argnums, kink, cache, engine
        As in `grad`; the result may have any shape.
    mode : {"auto", "forward", "reverse", "mixed"}
        One sweep per input entry, or one per output entry. Mixed: k reverse sweeps up to a cut of
        k < n, m entries through which all paths lead, k forward sweeps after it, and the product;
        or, in small graphs, elimination of inner values in a cheaper order; where there is
        neither, the better of the others. Auto takes what is predicted to need the fewest
        operations, see `explain_mode`.
    sparse : bool
        Whether blocks are ``scipy.sparse.csr_array`` matrices, whose rows are the entries of the
        result and whose columns those of the argument, flattened in C order. Columns (or rows)
        that no row (column) shares are computed in one sweep; mode auto then takes the fewer
        sweeps. What is stored is what may be nonzero on the path taken, whatever the numbers.

    Returns
    -------
    callable
        Called like `function`; returns one block per result and argument, nested alike. If
        sparse, its ``plan(*args)`` tells the pattern, the groups and the number of sweeps.

    Raises
    ------
    DerivativeError, DTypeError, TraceError
        If the function cannot be differentiated, the mode is unknown, or a sparse Jacobian is
        asked for that is not sparse, or inside another derivative.

    Notes
    -----
    The pattern comes from sets of indices that go through the graph (Griewank & Walther 2008,
    section 7.1), the groups from a greedy colouring of columns that meet in a row (Curtis, Powell &
    Reid 1974). Both are kept with the recorded path.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> cb.jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    >>> differences = cb.jacobian(np.diff, sparse=True)
    >>> differences(np.zeros(1000)).nnz, differences.plan(np.zeros(1000)).sweeps
    (1998, 2)
    """
    if mode not in MODES:
        raise DerivativeError(f"mode must be 'auto', 'mixed', 'forward' or 'reverse', got {mode!r}")
    if sparse and mode == "mixed":
        raise DerivativeError(
            "a sparse Jacobian is computed by sweeps and not as a product: leave out mode='mixed' "
            "or sparse=True"
        )
    if sparse:
        return SparseDerivative(function, mode, argnums, kink, cache, engine)
    paths = Paths(function, lambda graph, wrt: jacobian_program(graph, wrt, mode), cache=cache)

    @wraps(function, updated=())
    def full_jacobian(*args: Any, **kwargs: Any) -> Any:
        arguments, path, session = begin(paths, args, kwargs, argnums, kink)
        graph = path.trace.graph
        ins = [graph.types[graph.inputs[p]] for p in paths.positions(arguments)]
        outs = [graph.types[i] for i in graph.outputs]
        blocks = _blocks(session, ins, outs)
        rows = [argument_tree(arguments, argnums, row) for row in blocks]
        return result_tree(path.trace, rows, static=False)

    return on_engine(full_jacobian, engine)


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


def hessian(
    function: Function,
    argnums: Argnums = 0,
    *,
    kink: str | None = None,
    cache: bool = True,
    engine: str = "numpy",
    sparse: bool = False,
) -> Function:
    """The matrix of second derivatives of a scalar function, forward over reverse.

    Parameters
    ----------
    function, argnums, kink, cache, engine
        As in `grad`.
    sparse : bool
        Whether blocks are ``scipy.sparse.csr_array`` matrices, as from `jacobian`. Of the entries
        (i, j) and (j, i) one is computed, and stands for both.

    Returns
    -------
    callable
        Called like `function`; returns shape in.shape + in.shape; a tuple of tuples of blocks if
        `argnums` is a tuple. If sparse, its ``plan(*args)`` tells the number of sweeps.

    Raises
    ------
    DerivativeError, DTypeError, TraceError
        As in `grad`, and as in `jacobian` if sparse.

    Notes
    -----
    A sparse Hessian takes one product with a vector for each colour of a star colouring of its
    pattern (Coleman & Moré 1984), which is that of the gradient's graph.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> cb.hessian(lambda x: x[0] * x[1] ** 2)(np.array([1.0, 2.0]))
    array([[0., 4.],
           [4., 2.]])
    >>> chain = cb.hessian(lambda x: np.sum(x[1:] * x[:-1] ** 2), sparse=True)
    >>> chain(np.ones(1000)).shape, chain.plan(np.ones(1000)).sweeps
    ((1000, 1000), 3)
    """
    if sparse:
        return SparseDerivative(function, "symmetric", argnums, kink, cache, engine)
    paths = Paths(function, hessian_product, cache=cache)

    @wraps(function, updated=())
    def full_hessian(*args: Any, **kwargs: Any) -> Any:
        arguments, path, session = begin(paths, args, kwargs, argnums, kink)
        graph = path.trace.graph
        ins = [graph.types[graph.inputs[p]] for p in paths.positions(arguments)]
        rows = [argument_tree(arguments, argnums, row) for row in _blocks(session, ins, ins)]
        return argument_tree(arguments, argnums, rows)

    return on_engine(full_hessian, engine)


def _blocks(session: Session, ins: Sequence[Any], outs: Sequence[Any]) -> list[list[Any]]:
    """Per output, per wanted input, the block of shape out.shape + in.shape."""
    if isinstance(session.program, MixedProgram):
        flat = _products(session, ins, outs)
        return [flat[first : first + len(ins)] for first in range(0, len(flat), len(ins))]
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


def _products(session: Session, ins: Sequence[Any], outs: Sequence[Any]) -> list[Any]:
    """The blocks of mixed mode, output by output; by sweeps where they are not finite."""
    program: Any = session.program
    blocks, plain = list(session.finish()), program.plain
    if session.state is not None or plain is None:
        return blocks
    count = len(blocks)

    def by_sweeps(*operands: Any) -> list[Any]:
        rows = _blocks(plain.start(operands[count:]), ins, outs)
        return [block for row in rows for block in row]

    finite = np.all(np.stack([np.all(np.isfinite(b)) for b in blocks]))
    return list(cond(finite, lambda *v: list(v[:count]), by_sweeps, *blocks, *session.inputs))


def _sweeps(
    session: Session, seeded_types: Sequence[Any], rank: int, results: Sequence[Any]
) -> list[Any]:
    """One sweep per entry of the seed `rank`: per result its values, the entry's axis in front."""
    units = _unit_seeds(seeded_types, rank)
    if session.state is None:
        return _at_once(session, units, len(units[rank]))
    swept = [session.finish([u[entry] for u in units]) for entry in range(len(units[rank]))]
    return [
        np.stack([values[k] for values in swept]) if swept else np.zeros((0, *kind.shape))
        for k, kind in enumerate(results)
    ]


def _unit_seeds(types: Sequence[Any], rank: int) -> list[np.ndarray]:
    """Per seed its values in all sweeps: unit arrays for the one of this rank, else zeros."""
    count = types[rank].size
    seeds = [np.zeros((count, *t.shape), t.dtype) for t in types]
    np.fill_diagonal(seeds[rank].reshape(count, count), 1)
    return seeds


def _at_once(session: Session, units: Sequence[np.ndarray], count: int) -> list[Any]:
    """All sweeps as one graph with a leading axis: traced, n copies of a sweep would be n times
    as long."""
    shared = range(len(session.inputs))
    wide = batched(session.program.graph, count, shared)
    found = inlined(wide, [*session.inputs, *units])
    own = len(session.program.graph.outputs)
    for guard, value in zip(session.program.graph.guards, found[own:], strict=True):
        value.builder.guard(value[0].id, guard.expected.array)  # the same in every lane
    return list(found[:own])


def _stacked(parts: Any, axis: int, out: Any, into: Any) -> Any:
    """Sweeps along the leading axis as a block of shape out.shape + into.shape."""
    shape = (*out.shape, *into.shape)
    if 0 in shape:
        return np.zeros(shape, out.dtype)
    moved = np.moveaxis(parts, 0, axis) if axis else parts
    block = np.reshape(moved, shape)
    return block if isinstance(block, Value) else block.astype(out.dtype)[()]
