"""The resident peak of one run in a process of its own, beside what was predicted.

The process gets the graph as JSON and its inputs as arrays, in a temporary folder: no code is sent.
It makes the derivative twice. The first is run once, so that everything that is compiled, loaded
or allocated for good is there; the second is run once between two readings of the memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import GraphError
from calcbench.graph.conventions import current_convention
from calcbench.graph.serialisation import graph_to_json
from calcbench.measure.stages import Recording


PATIENCE = 120.0  # seconds for one process
WITHIN = 0.1  # how far the prediction may be off
SMALLEST = 1 << 20  # bytes; below that, pages and the objects of Python count for as much
# glibc keeps freed memory below a threshold that it moves up, and NumPy asks for pages of 2 MB:
# fixed, so that memory is given back when an array goes, and taken by its own pages alone.
SETTINGS = {"MALLOC_MMAP_THRESHOLD_": "65536", "NUMPY_MADVISE_HUGEPAGE": "0"}


class Resident(NamedTuple):
    """The most memory that one run took in a fresh process, beyond what the process held before.

    Attributes
    ----------
    measured : int or None
        Bytes; None if it could not be measured.
    baseline : int
        Bytes that the process held before the run, inputs and compiled code among them.
    reason : str
        Why it was not measured.
    """

    measured: int | None
    baseline: int = 0
    reason: str = ""

    def __str__(self) -> str:
        return f"not measured: {self.reason}" if self.measured is None else str(self.measured)

    def ratio(self, predicted: int) -> float | None:
        """Measured bytes per predicted byte; None where one of them is missing."""
        return None if self.measured is None or not predicted else self.measured / predicted

    def agrees_with(self, predicted: int) -> bool | None:
        """Whether they are within 10 %; None if not measured, or if both are less than 1 MiB."""
        if self.measured is None or max(self.measured, predicted) < SMALLEST:
            return None
        return abs(self.measured - predicted) <= WITHIN * predicted


def resident_peak(
    recording: Recording, mode: str, engine: str, patience: float = PATIENCE
) -> Resident:
    """What one run of a derivative takes, measured in a fresh process.

    Parameters
    ----------
    recording : Recording
    mode, engine : str
        As `calcbench.measure.stages.prepare_way` takes them.
    patience : float
        Seconds after which the process is ended.

    Notes
    -----
    The reading is ``VmHWM`` of ``/proc/self/status``, which writing 5 to ``/proc/self/clear_refs``
    sets back to what is held now (https://docs.kernel.org/filesystems/proc.html). Linux alone has
    both. The peak that ``getrusage`` gives on macOS, and that of Windows, cannot be set back, so
    that the peak of compiling would hide that of the run: there nothing is measured.
    """
    with TemporaryDirectory(prefix="calcbench-peak-") as folder:
        try:
            _write(Path(folder), recording, mode, engine)
        except (GraphError, OSError) as error:
            return Resident(None, reason=_one_line(str(error)))
        return _asked(folder, patience)


def _write(folder: Path, recording: Recording, mode: str, engine: str) -> None:
    (folder / "graph.json").write_text(graph_to_json(recording.graph))
    request = {
        "mode": mode,
        "engine": engine,
        "kink": current_convention(),
        "inputs": len(recording.inputs),
    }
    (folder / "request.json").write_text(json.dumps(request))
    for number, value in enumerate(recording.inputs):
        np.save(folder / f"{number}.npy", np.asarray(value), allow_pickle=False)


def _asked(folder: str, patience: float) -> Resident:
    """The answer of the process, or why there is none."""
    command = [sys.executable, "-P", "-m", "calcbench.measure.peak_process", folder]
    try:
        ended = subprocess.run(
            command, env=_environment(), capture_output=True, text=True, timeout=patience
        )
    except subprocess.TimeoutExpired:
        return Resident(None, reason=f"no answer within {patience:g} seconds")
    except OSError as error:
        return Resident(None, reason=f"no process could be started: {error}")
    return _read(ended.stdout, ended.stderr, ended.returncode)


def _environment() -> dict[str, str]:
    """That of this process, with this calcbench to be found first."""
    package = str(Path(__file__).parents[2])
    before = os.environ.get("PYTHONPATH")
    found = os.pathsep.join([package, before]) if before else package
    return {**os.environ, **SETTINGS, "PYTHONPATH": found}


def _read(answer: str, complaint: str, code: int) -> Resident:
    """The record in the last line that the process wrote."""
    try:
        found: Any = json.loads(answer.splitlines()[-1])
        if "reason" in found:
            return Resident(None, reason=str(found["reason"]))
        return Resident(int(found["measured"]), int(found["baseline"]))
    except (IndexError, KeyError, TypeError, ValueError):
        return Resident(None, reason=_ending(complaint, code))


def _ending(complaint: str, code: int) -> str:
    if code < 0:
        return f"the process was ended by signal {-code}: the machine may be short of memory"
    return f"the process ended with code {code}: {_one_line(complaint) or 'it said nothing'}"


def _one_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
