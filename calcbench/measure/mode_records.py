"""Records of one derivative computed every way, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from calcbench.measure.bounds import Bound
from calcbench.measure.device_columns import HEADING, DeviceColumns
from calcbench.measure.fusion import FusionSaving
from calcbench.measure.mode_charts import comparison_charts
from calcbench.measure.mode_pages import comparison_parts
from calcbench.measure.pages import write_page
from calcbench.measure.plotting import write_plot
from calcbench.measure.reporting import Cost
from calcbench.measure.resident import Resident
from calcbench.measure.stages import DIRECT, FUNCTION
from calcbench.measure.tables import aligned
from calcbench.measure.timing import Timing, seconds


ALIKE = 1.05  # a ratio of times below this is within what other work on the machine changes


@dataclass(frozen=True)
class ModeRecord:
    """One way to the derivative, measured.

    Attributes
    ----------
    mode : {"forward", "reverse", "mixed", "checkpointed"}
    engine : str
        An engine, or ``direct sweep``: accumulation on the tape without a graph of the derivative.
    sweeps : int
        n in forward mode, m in reverse and checkpointed; those of both parts in mixed mode.
    timing : Timing
        Of the whole derivative, in turns with the others.
    operations : int
        Counted: sweeps times those of one jvp or vjp, or those of the product of mixed mode.
    allocated : int
        Most bytes that one warm call took at once, by the allocator; in the table, warm bytes.
        Memory that the engine keeps between calls is not in it.
    predicted : int
        Most bytes that one run takes at once beside its inputs, by the plan of its engine; in the
        table, peak bytes.
    resident : Resident or None
        The same, measured in a fresh process, if that was asked for.
    note : str
        What the prediction leaves out, or how the sweep is run.
    """

    mode: str
    engine: str
    sweeps: int
    timing: Timing
    operations: int
    allocated: int
    predicted: int = 0
    resident: Resident | None = None
    note: str = ""

    @property
    def is_as_predicted(self) -> bool | None:
        """Whether the measured peak is within 10 % of the predicted one.

        None if it was not measured, or both are less than 1 MiB.
        """
        return None if self.resident is None else self.resident.agrees_with(self.predicted)


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
    bounds : tuple of Bound
        What theory says of the direct sweeps on the tape, and the numbers here.
    fused : dict of str to FusionSaving
        By mode, what fusing saved.
    devices : tuple of DeviceColumns
        The CUDA kernels of each mode, if they were asked for.
    chosen : dict of str to str
        By mode, what was chosen within it: the cut of mixed mode, the slots of checkpointing.
    missing : dict of str to str
        By mode, why it is no way of its own here.
    """

    inputs: int
    outputs: int
    records: tuple[ModeRecord, ...]
    function: dict[str, Timing]
    counts: Cost
    bounds: tuple[Bound, ...] = ()
    fused: Mapping[str, FusionSaving] = field(default_factory=dict)
    devices: tuple[DeviceColumns, ...] = ()
    chosen: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def fastest(self) -> ModeRecord:
        """The least median."""
        return min(self.records, key=lambda r: r.timing.median)

    @property
    def verdicts(self) -> tuple[str, ...]:
        """Whether theory holds here, what fusion saved, and where memory is not as predicted."""
        fused = [f"fused, {mode} mode: {saving}" for mode, saving in self.fused.items()]
        modes = [f"{mode} mode: {chosen}" for mode, chosen in self.chosen.items()]
        modes += [f"{mode} mode is not taken: {why}" for mode, why in self.missing.items()]
        swept = dict.fromkeys(r.note for r in self.records if r.engine == DIRECT and r.note)
        direct = [f"direct sweeps run {note}" for note in swept]
        memory = filter(None, map(_memory, self.records))
        return (*modes, *self._saved, *direct, *map(str, self.bounds), *fused, *memory)

    @property
    def _saved(self) -> list[str]:
        """What checkpointing takes, by what reverse mode takes."""
        plain = {r.engine: r for r in self.records if r.mode == "reverse"}
        pairs = [(r, plain.get(r.engine)) for r in self.records if r.mode == "checkpointed"]
        return [
            f"checkpointed mode on {r.engine} takes {r.predicted / other.predicted:.2f} times the "
            f"peak bytes of reverse mode, in {r.timing.median / other.timing.median:.2f} times its "
            "time"
            for r, other in pairs
            if other is not None and other.predicted
        ]

    @property
    def recommendation(self) -> str:
        """Which way to take here, and by how much."""
        if not self.records:
            return "no derivative was timed, so nothing is recommended"
        best = self.fastest
        others = [r for r in self.records if r.mode != best.mode]
        if not others:
            return f"{best.engine} is the fastest, {best.mode} mode alone was measured"
        other = min(others, key=lambda r: r.timing.median)
        ratio = other.timing.median / best.timing.median
        return (
            f"for {_counted(self.inputs, 'input')} and {_counted(self.outputs, 'output')} take "
            f"{best.mode} mode ({best.engine}): {_times(ratio)} as fast as the best of "
            f"{other.mode} mode ({other.engine})"
        )

    @property
    def table(self) -> list[list[str]]:
        """What was measured, a row for each way; the first row is the head."""
        heading = ["mode", "engine", "sweeps", "median", "quartiles", "first call", "operations"]
        resident = any(r.resident for r in self.records)
        sizes = ["warm bytes", "peak bytes", *(["resident", "ratio"] if resident else [])]
        rows = [_row(r) for r in self.records]
        rows += [[mode, "not taken"] for mode in self.missing]
        rows += [_function_row(e, t, self.counts) for e, t in self.function.items()]
        columns = len(heading) + len(sizes)
        return [[*heading, *sizes], *[[*r, *[""] * (columns - len(r))] for r in rows]]

    @property
    def stages(self) -> list[list[str]]:
        """The seconds of each step up to the first result; the first row is the head."""
        ways = [(r.mode, r.engine, r.timing) for r in self.records]
        ways += [(FUNCTION, engine, timing) for engine, timing in self.function.items()]
        rows = [[mode, engine, *map(_step, t.stages)] for mode, engine, t in ways if t.stages]
        return [["first call", "engine", "trace", "transform", "compile", "first run"], *rows]

    @property
    def device_table(self) -> list[list[str]]:
        """The CUDA kernels, a row for each mode; the first row is the head."""
        return [HEADING, *[columns.row for columns in self.devices]]

    def __str__(self) -> str:
        more = [self.stages, *([self.device_table] if self.devices else [])]
        tables = [line for table in (self.table, *more) for line in aligned(table)]
        return "\n".join([*tables, *self.verdicts, self.recommendation])

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
        shape = f"{_counted(self.inputs, 'input')}, {_counted(self.outputs, 'output')}"
        title = f"Modes compared: {shape}"
        return write_page(path, title, comparison_parts(self))


def _times(ratio: float) -> str:
    if ratio < ALIKE:
        return "about"
    return f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.2g} times"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _row(r: ModeRecord) -> list[str]:
    times = [seconds(r.timing.median), _quartiles(r.timing), seconds(r.timing.first)]
    sizes = [str(r.operations), str(r.allocated), str(r.predicted)]
    return [r.mode, r.engine, str(r.sweeps), *times, *sizes, *_residents(r)]


def _residents(r: ModeRecord) -> list[str]:
    """Measured bytes, and how many there are for each predicted one."""
    if r.resident is None:
        return []
    if r.resident.measured is None:
        return ["not measured", ""]
    if r.is_as_predicted is None:
        return [str(r.resident.measured), ""]
    flag = "" if r.is_as_predicted else " (!)"
    return [str(r.resident.measured), f"{r.resident.ratio(r.predicted) or 0.0:.3f}{flag}"]


def _memory(r: ModeRecord) -> str:
    """A sentence on memory that was not measured, or is not as predicted."""
    if r.resident is None or r.is_as_predicted:
        return ""
    way = f"{r.mode} mode, {r.engine}"
    if r.resident.measured is None:
        return f"{way}: the resident peak was {r.resident}"
    if r.is_as_predicted is None:
        return ""
    left_out = f", which is {r.note}" if r.note.startswith("without") else ""
    return (
        f"{way}: the resident peak, {r.resident.measured} bytes, is more than 10 % off the "
        f"predicted {r.predicted}{left_out}"
    )


def _function_row(engine: str, t: Timing, counts: Cost) -> list[str]:
    times = [seconds(t.median), _quartiles(t), seconds(t.first)]
    return [FUNCTION, engine, "", *times, str(counts.function.operations.total)]


def _step(taken: float) -> str:
    return seconds(taken) if taken else ""


def _quartiles(t: Timing) -> str:
    return f"{seconds(t.low)} .. {seconds(t.high)}"
