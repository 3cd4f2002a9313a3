"""Records of one derivative computed every way, and what they say."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from calcbench.measure.mode_charts import comparison_charts
from calcbench.measure.mode_pages import comparison_parts
from calcbench.measure.pages import write_page
from calcbench.measure.plotting import write_plot
from calcbench.measure.reporting import REVERSE_BOUND, Cost
from calcbench.measure.tables import aligned
from calcbench.measure.timing import Timing, seconds


DIRECT = "direct sweep"


@dataclass(frozen=True)
class ModeRecord:
    """One way to the derivative, measured.

    Attributes
    ----------
    mode : {"forward", "reverse"}
    engine : str
        An engine, or ``direct sweep``: accumulation on the tape without a graph of the derivative.
    sweeps : int
        n in forward mode, m in reverse.
    timing : Timing
        Of the whole derivative, in turns with the others.
    operations : int
        Counted: sweeps times those of one jvp or vjp.
    allocated : int
        Most bytes that one warm call took at once, by the allocator.
    """

    mode: str
    engine: str
    sweeps: int
    timing: Timing
    operations: int
    allocated: int


@dataclass(frozen=True)
class Comparison:
    """The derivative of one function every way; made by `compare_modes`.

    Attributes
    ----------
    inputs, outputs : int
        n entries of the first argument and m of the result.
    records : tuple of ModeRecord
        In the order in which they were asked for.
    function : dict of str to Timing
        The function alone, by engine.
    counts : Cost
        Operations and bytes, counted.
    """

    inputs: int
    outputs: int
    records: tuple[ModeRecord, ...]
    function: dict[str, Timing]
    counts: Cost

    @property
    def fastest(self) -> ModeRecord:
        """The least median."""
        return min(self.records, key=lambda r: r.timing.median)

    @property
    def verdicts(self) -> tuple[str, ...]:
        """What theory says of the direct sweeps, and whether the measurement agrees."""
        if self.outputs != 1 or "tape" not in self.function:
            return ()
        return tuple(
            _bound(r, self.function["tape"])
            for r in self.records
            if (r.mode, r.engine) == ("reverse", DIRECT)
        )

    @property
    def recommendation(self) -> str:
        """Which way to take here, and by how much."""
        best = self.fastest
        others = [r for r in self.records if r.mode != best.mode]
        if not others:
            return f"{best.engine} is the fastest, {best.mode} mode alone was measured"
        other = min(others, key=lambda r: r.timing.median)
        ratio = other.timing.median / best.timing.median
        return (
            f"for {self.inputs} inputs and {self.outputs} outputs take {best.mode} mode "
            f"({best.engine}): {ratio:.2g} times as fast as the best of {other.mode} mode "
            f"({other.engine})"
        )

    @property
    def table(self) -> list[list[str]]:
        """What was measured, a row for each way; the first row is the head."""
        heading = ["mode", "engine", "sweeps", "median", "quartiles", "first call", "operations"]
        rows = [_row(r) for r in self.records]
        rows += [_function_row(e, t, self.counts) for e, t in self.function.items()]
        return [[*heading, "bytes at once"], *rows]

    def __str__(self) -> str:
        return "\n".join([*aligned(self.table), *self.verdicts, self.recommendation])

    def plot(self, path: str | PathLike[str]) -> Path:
        """Draw time and bytes of every way with matplotlib.

        Parameters
        ----------
        path : path-like
            Ends in .png or .svg. The file is written beside its place and then renamed.

        Returns
        -------
        Path

        Raises
        ------
        PathError
            If the path has another suffix, or its folder is not there.
        MissingLibraryError
            If matplotlib is not installed.
        """
        return write_plot(path, comparison_charts(self))

    def report(self, path: str | PathLike[str]) -> Path:
        """Write one HTML page with all that is printed, charts, and the graph of the function.

        Parameters
        ----------
        path : path-like
            Ends in .html. The file is written beside its place and then renamed.

        Returns
        -------
        Path

        Raises
        ------
        PathError
            If the path has another suffix, or its folder is not there.

        Notes
        -----
        The page needs no network, no script and no matplotlib. The graph is drawn with the
        value, the cotangent and the bytes of every node; of a large one the most expensive nodes
        are listed.
        """
        title = f"Modes compared: {self.inputs} inputs, {self.outputs} outputs"
        return write_page(path, title, comparison_parts(self))


def _row(r: ModeRecord) -> list[str]:
    times = [seconds(r.timing.median), _quartiles(r.timing), seconds(r.timing.first)]
    return [r.mode, r.engine, str(r.sweeps), *times, str(r.operations), str(r.allocated)]


def _function_row(engine: str, t: Timing, counts: Cost) -> list[str]:
    times = [seconds(t.median), _quartiles(t), seconds(t.first)]
    return ["function", engine, "", *times, str(counts.function.operations.total), ""]


def _quartiles(t: Timing) -> str:
    return f"{seconds(t.low)} .. {seconds(t.high)}"


def _bound(r: ModeRecord, function: Timing) -> str:
    ratio = r.timing.median / function.median
    verdict = "holds" if ratio <= REVERSE_BOUND else "does not hold"
    return (
        f"reverse accumulation took {ratio:.2g} times the function on the tape; at most "
        f"{REVERSE_BOUND} times its operations: {verdict}"
    )
