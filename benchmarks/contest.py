"""Participants of one problem: built, checked against an independent value, then timed in turn."""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from harness import Absence, Bar, Timing, interleave, machine, quartiles, report
from participants import OURS, PEERS, Absent, peer, versions
from weighing import Question, answer, question, weighed


IMPORT_SECONDS = 60.0  # that a new process may take to load a package


class Calls(NamedTuple):
    """What a participant offers: its gradient (with or without the value) and its function."""

    gradient: Callable[[], Any]
    function: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Problem:
    """A name, a size, and what every participant must compute, each array within `rtol`."""

    name: str
    size: int
    expected: Sequence[Any]
    rtol: float


@dataclass
class Contest:
    """The rows, absences and bars of one benchmark, as they are gathered."""

    rounds: int = 15
    rows: list[Timing] = field(default_factory=list)
    absent: list[Absence] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)

    def run(self, problem: Problem, makers: dict[str, Callable[[], Calls]]) -> None:
        """Check all participants of a problem, then time those that are there."""
        if question() is not None:
            return
        first: dict[str, float] = {}
        calls: dict[str, Callable[[], Any]] = {}
        for who, maker in makers.items():
            try:
                made, first[who] = _checked(problem, who, maker)
            except Absent as reason:
                self.absent.append(Absence(problem.name, problem.size, who, str(reason)))
                continue
            calls[who] = made.gradient
            if made.function is not None:
                calls[_function(who)] = made.function
        if not calls:
            return
        against = [who for who in calls if is_of_peer(who)] or list(calls)[:1]
        rows = interleave(problem.name, problem.size, calls, against, self.rounds)
        self.rows += [replace(row, first=first.get(row.who)) for row in rows]

    def weigh(self, problem: Problem, makers: dict[str, Callable[[], Calls]]) -> None:
        """Resident peaks of the gradients that were timed, each in a process of its own."""
        asked = question()
        if asked is not None and asked[:2] == (problem.name, problem.size):
            answer(lambda: makers[asked.who]().gradient)
        for who in makers:
            if self.row(problem, who) is not None:
                found = weighed(Question(problem.name, problem.size, who))
                if found is not None:
                    self.put(problem, who, peak=found.warm, peak_first=found.first)

    def put(self, problem: Problem, who: str, **bytes_: int) -> None:
        """Numbers of bytes in the row of a participant."""
        key = (problem.name, problem.size, who)
        self.rows = [
            replace(row, **bytes_) if (row.problem, row.size, row.who) == key else row
            for row in self.rows
        ]

    def row(self, problem: Problem, who: str | None) -> Timing | None:
        """The times of a participant, None if it is absent."""
        key = (problem.name, problem.size, who)
        return next((r for r in self.rows if (r.problem, r.size, r.who) == key), None)

    def seconds(self, problem: Problem, who: str) -> float | None:
        """The median of a participant, None if it is absent."""
        row = self.row(problem, who)
        return None if row is None else row.median

    def fastest(self, problem: Problem) -> str | None:
        """The fastest peer that is there; code written by hand is no peer."""
        times = {who: self.seconds(problem, who) for who in PEERS}
        there = {who: taken for who, taken in times.items() if taken is not None}
        return min(there, key=lambda who: there[who], default=None)

    # --- bars --------------------------------------------------------------------------------

    def ratio_bar(self, problem: Problem, who: str, against: str | None, limit: float) -> None:
        """The time of one participant at most `limit` times that of another, round by round."""
        what = f"{problem.name} {problem.size}: {who} / {against or 'fastest peer'}"
        ours, theirs = self.row(problem, who), self.row(problem, against)
        self.bars.append(ratio_of(what, limit, ours, theirs))

    def peer_bar(self, problem: Problem, who: str, limit: float) -> None:
        """At most `limit` times the fastest peer that is there."""
        self.ratio_bar(problem, who, self.fastest(problem), limit)

    def function_bar(self, problem: Problem, who: str, limit: float = 3.0) -> None:
        """The gradient at most `limit` times the function on the same engine."""
        self.ratio_bar(problem, who, _function(who), limit)

    def finish(self, text: str, name: str | None) -> list[Timing]:
        """Print the table under the first sentence of `text`, and keep it under `name`."""
        if question() is not None:
            raise SystemExit(f"nobody of that name is weighed here: {question()}")
        report(text.splitlines()[0], self.rows, facts(), name, self.absent, self.bars)
        return self.rows


def ratio_of(what: str, limit: float, ours: Timing | None, theirs: Timing | None) -> Bar:
    """A bar on a ratio: median and quartiles over rounds, in which both met the same load."""
    if ours is None or theirs is None:
        return Bar(what, limit, None)
    ratios = [a / b for a, b in zip(ours.taken, theirs.taken, strict=True)]
    low, median, high = quartiles(ratios)
    return Bar(what, limit, median, spread=(low, high))


def is_of_peer(who: str) -> bool:
    """Whether this is a derivative by a peer, in whatever way: "JAX", "JAX jacfwd", "JAX, loop"."""
    return who.partition(":")[1] == "" and who.replace(",", " ").split()[0] in PEERS


def _function(who: str) -> str:
    return f"{who}: function"


def _checked(problem: Problem, who: str, maker: Callable[[], Calls]) -> tuple[Calls, float]:
    """The participant and the seconds until its first result, which is the right one."""
    start = time.perf_counter()
    calls = maker()
    result = calls.gradient()
    taken = time.perf_counter() - start
    check(problem, who, result)
    if calls.function is not None:
        calls.function()
    return calls, taken


def within(
    seconds: float, name: str, maker: Callable[[], Calls], limit: bool = True
) -> Callable[[], Calls]:
    """The participant, absent if a process of its own does not get its first gradient in time.

    Only a process can be ended in the middle of a compilation. The time begins when the package
    `name` is imported. Without `limit` nothing is tried beforehand.
    """
    return partial(_within, seconds, name, maker) if limit else maker


def _within(seconds: float, name: str, maker: Callable[[], Calls]) -> Calls:
    peer(name)
    processes = multiprocessing.get_context("spawn")
    is_ready = processes.Event()
    attempt = processes.Process(target=_attempt, args=(name, maker, is_ready))
    attempt.start()
    is_ready.wait(IMPORT_SECONDS)
    attempt.join(seconds)
    if attempt.is_alive():
        attempt.kill()
        attempt.join()
        raise Absent(f"not in {seconds:g} s")
    if attempt.exitcode:
        raise Absent("failed: its own message is above")
    return maker()


def _attempt(name: str, maker: Callable[[], Calls], is_ready: Any) -> None:
    peer(name)
    is_ready.set()
    maker().gradient()


def check(problem: Problem, who: str, result: Any) -> None:
    """Every array within `rtol` of the expected one, relative to its largest entry."""
    arrays = flat(result)
    assert len(arrays) == len(problem.expected), f"{who}: {len(arrays)} results"
    for found, expected in zip(arrays, problem.expected, strict=True):
        scale = np.max(np.abs(expected), initial=0.0)
        np.testing.assert_allclose(
            found.reshape(np.shape(expected)),
            expected,
            rtol=problem.rtol,
            atol=problem.rtol * scale,
            err_msg=f"{who} on {problem.name}",
        )


def flat(result: Any) -> list[np.ndarray]:
    """The arrays in nested tuples and lists, in order."""
    if isinstance(result, tuple | list):
        return [array for part in result for array in flat(part)]
    return [np.asarray(result)]


def facts() -> dict[str, str]:
    """The machine, with the threads and versions of the peers that are there."""
    return {**machine("numba", "autograd", "jax", "torch", "casadi"), **versions()}


def is_quick(text: str, arguments: list[str] | None) -> bool:
    """Whether the command line asks for tiny sizes, with nothing written."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, nothing written")
    return bool(parser.parse_args(arguments).quick)


__all__ = ["OURS", "Absent", "Calls", "Contest", "Problem", "check", "is_quick", "within"]
