"""Index ranges of one compiled loop, run on all cores by plain threads.

Compiled functions let go of the interpreter lock, so threads of Python run them side by side, and
no threading layer of Numba, which may end the process when two threads enter it, is involved. The
calling thread works too, and all of them take ranges from one list until it is empty.

Measured on 2 cores: sharing out takes 25 microseconds, and threads pay from half a millisecond of
computing (1.7 times as fast at 1.6 ms, 1.9 times from 5 ms). Loops bound by memory, of an operation
or two per number, gain nothing from them. A compiled call cannot be interrupted, so long work is
done in slices of about 40 ms, and Ctrl-C is answered between them.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from time import perf_counter_ns

from calcbench.graph.arraytype import CalcbenchError


Call = Callable[[int, int], object]
Range = tuple[int, int]

RANGES_PER_THREAD = 4  # so that a thread that was held up leaves its share to the others
THREADS_PAY_NS = 5e5  # of work in all: less is done by one thread
_FIRST_NS = 1e6  # the cost is a guess until something was timed
_SLICE_NS = 40e6
_LEAST_NS = 1e-3  # per item: clocks and guesses may say 0
_GROWTH = 8  # of a slice over the one before it, whatever was timed
_pools: dict[int, ThreadPoolExecutor] = {}  # by process: threads do not survive a fork


@cache
def thread_count() -> int:
    """Threads that share out work: the cores this process may use, or ``CALCBENCH_NUM_THREADS``.

    Read once per process.

    Raises
    ------
    CalcbenchError
        If ``CALCBENCH_NUM_THREADS`` is not a positive integer.
    """
    wanted = os.environ.get("CALCBENCH_NUM_THREADS", "")
    if not wanted:
        return _core_count()
    if not wanted.isdecimal() or int(wanted) < 1:
        raise CalcbenchError(f"CALCBENCH_NUM_THREADS is {wanted!r}; write a positive integer")
    return int(wanted)


def _core_count() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def split(total: int, grain: int) -> list[Range]:
    """Ranges that cover ``0 … total``, cut at multiples of `grain` only; a few for each thread.

    Examples
    --------
    >>> split(1000, 600)
    [(0, 600), (600, 1000)]
    """
    return _split(0, total, grain)


def _split(low: int, high: int, grain: int) -> list[Range]:
    units = -(-(high - low) // grain)
    parts = min(units, RANGES_PER_THREAD * thread_count())
    cuts = [low + units * part // parts * grain for part in range(parts)] + [high]
    return [(cuts[part], cuts[part + 1]) for part in range(parts)]


def run_ranges(call: Call, ranges: Sequence[Range]) -> None:
    """Run ``call(low, high)`` for every range, in any order, on all threads; return when all ended.

    After an error, or Ctrl-C, no range is begun any more; those that run are waited for, because
    they write into arrays of the caller.

    Parameters
    ----------
    call : callable of two ints
        Lets go of the interpreter lock while it works; ranges may not depend on each other.
    ranges : sequence of (int, int)
        As `split` gives them.

    Raises
    ------
    Exception
        The first error of a call.

    Examples
    --------
    >>> total = []
    >>> run_ranges(lambda low, high: total.append(high - low), split(1000, 10))
    >>> sum(total)
    1000
    """
    rest = deque(ranges)
    helpers = _helpers(call, rest, min(thread_count(), len(ranges)) - 1)
    try:
        _take(call, rest)
    finally:
        begun = [helper for helper in helpers if not helper.cancel()]
        wait(begun)
    for helper in begun:
        helper.result()


def _helpers(call: Call, rest: deque[Range], count: int) -> list[Future[None]]:
    if count < 1:
        return []
    try:
        return [_pool().submit(_take, call, rest) for _ in range(count)]
    except RuntimeError:  # the interpreter is ending: the caller works alone
        return []


def _take(call: Call, rest: deque[Range]) -> None:
    """Run ranges until none is left, or one fails."""
    try:
        while True:
            try:
                low, high = rest.popleft()
            except IndexError:
                return
            call(low, high)
    except BaseException:
        rest.clear()
        raise


def _pool() -> ThreadPoolExecutor:
    """The pool of this process; its threads start when first needed and end with the process."""
    pid = os.getpid()
    if pid not in _pools:
        _pools.setdefault(pid, ThreadPoolExecutor(max(1, thread_count() - 1), "calcbench"))
    return _pools[pid]


def run_sliced(
    call: Call, total: int, cost_per_item_ns: float, grain: int = 1, threads: bool = False
) -> None:
    """Run ``call(low, high)`` over ``0 … total`` in order, in slices that Ctrl-C can come between.

    The first slice is sized by the guess, to 1 ms; those that follow by the time of the one
    before, to 40 ms. Work that the guess puts under 1 ms is one call.

    Parameters
    ----------
    call : callable of two ints
        As for `run_ranges`.
    total : int
        Number of items.
    cost_per_item_ns : float
        A guess.
    grain : int
        Slices, and ranges in them, are cut at multiples of this only.
    threads : bool
        Whether a slice is shared out among threads, where that pays.

    Examples
    --------
    >>> slices = []
    >>> run_sliced(lambda low, high: slices.append((low, high)), 10_000, 1.0)
    >>> slices
    [(0, 10000)]
    """
    low, cost = 0, max(cost_per_item_ns, _LEAST_NS)
    size = _whole(_FIRST_NS / cost, grain)
    while low < total:
        high = min(total, low + size)
        start = perf_counter_ns()
        if threads and cost * (high - low) > THREADS_PAY_NS:
            run_ranges(call, _split(low, high, grain))
        else:
            call(low, high)
        cost = max((perf_counter_ns() - start) / (high - low), _LEAST_NS)
        size = _whole(min(_GROWTH * size, _SLICE_NS / cost), grain)
        low = high


def _whole(items: float, grain: int) -> int:
    return max(1, int(items) // grain) * grain
