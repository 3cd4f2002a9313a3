"""The function `checkpoint`: the same value, with a reverse derivative in less memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from calcbench.graph.control_bodies import Body, spread
from calcbench.graph.control_checkpoints import checkpoint_row
from calcbench.graph.control_functions import traced_body
from calcbench.graph.lifting import Value, common_builder, place
from calcbench.graph.trees import leaves_of, rebuild, structure_of
from calcbench.reverse_mode.schedules import ScheduleError


def checkpoint(
    function: Callable[..., Any], *, slots: int | None = None, bytes: int | None = None
) -> Callable[..., Any]:
    """The same function, whose reverse derivative computes values again instead of keeping them.

    Parameters
    ----------
    function : callable
        A function of arrays. Differentiated, it is traced without values: it chooses with
        `cond` or ``np.where``, not with ``if``.
    slots : int, optional
        How many states of the chain are stored at once, its input among them. The chain is that
        of the steps of each `scan` in `function`; without one, of the values that are all that
        later ones read of what comes before them.
    bytes : int, optional
        Instead of `slots`: the most bytes of values held at once, beside arguments and results,
        when each node of the graph is a step. Of a scan these are its states, not what one step
        takes for itself.

    Returns
    -------
    callable
        A function of the same arguments; its gradient has the same bits.

    Raises
    ------
    ScheduleError
        If not exactly one of `slots` and `bytes` is given, it is not a positive whole number, or,
        when the derivative is taken, no way is found to hold so few bytes.

    Notes
    -----
    States are stored by the binomial schedule, which computes the fewest steps again (Griewank &
    Walther 2000, "Algorithm 799: revolve"). Under a budget of bytes, values that are cheap to
    compute are computed again first. In forward mode nothing changes.

    Examples
    --------
    >>> import numpy as np
    >>> import calcbench as cb
    >>> def deep(x):
    ...     for _ in range(100):
    ...         x = np.sin(x) + 0.5 * x
    ...     return np.sum(x)
    >>> x = np.linspace(0.1, 1.0, 1000)
    >>> kept = cb.cost(deep, x).vjp.peak
    >>> cb.cost(cb.checkpoint(deep, slots=10), x).vjp.peak < kept / 5
    True
    >>> bool(np.all(cb.grad(cb.checkpoint(deep, slots=10))(x) == cb.grad(deep)(x)))
    True
    """
    plan = _plan(slots, bytes)

    @wraps(function)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        given = (args, kwargs)
        leaves = leaves_of(given)
        values = [k for k, v in enumerate(leaves) if isinstance(v, Value)]
        if not values:
            return function(*args, **kwargs)
        return _region(function, structure_of(given), leaves, values, plan)

    return checkpointed


def _plan(slots: int | None, limit: int | None) -> dict[str, int]:
    """The params of the row that say what to keep."""
    if (slots is None) == (limit is None):
        raise ScheduleError(
            f"checkpoint takes either slots or bytes, got slots={slots!r}, bytes={limit!r}"
        )
    for name, number in (("slots", slots), ("bytes", limit)):
        whole = isinstance(number, int) and not isinstance(number, bool)
        if number is not None and not (whole and number > 0):
            raise ScheduleError(f"{name} is a whole number from 1, got {number!r}")
    return {"slots": slots or 0, "limit": limit or 0}


def _region(
    function: Callable[..., Any],
    structure: Any,
    leaves: Sequence[Any],
    values: Sequence[int],
    plan: dict[str, int],
) -> Any:
    """The function as one node; what is no traced value among its arguments is fixed."""

    def of_values(*traced: Any) -> Any:
        filled = list(leaves)
        for k, value in zip(values, traced, strict=True):
            filled[k] = value
        args, kwargs = rebuild(structure, iter(filled))
        return function(*args, **kwargs)

    given = [leaves[k] for k in values]
    kinds = [v.type for v in given]
    inner = traced_body("checkpoint", of_values, [structure_of(v) for v in given], kinds)
    builder = common_builder(given)
    operands = [place(builder, v) for v in (*given, *inner.sources)]
    found = spread(checkpoint_row, operands, enumerate(inner.types), body=Body(inner.graph), **plan)
    return inner.results.filled(iter(found))
