"""The process that measures the resident peak of one run: ``python -m`` with a folder."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from calcbench.graph.conventions import kink_convention
from calcbench.graph.serialisation import graph_from_json
from calcbench.lower.rooms import forget_idle
from calcbench.measure.stages import Prepared, Recording, prepare_way


STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def high_water() -> int:
    """Most bytes of memory that this process has held since `reset_high_water`."""
    line = next(n for n in STATUS.read_text().splitlines() if n.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


def reset_high_water() -> None:
    """Set the peak back to what is held now."""
    RESET.write_text("5")


def refusal() -> str:
    """Why no peak can be measured here; empty if it can."""
    try:
        reset_high_water()
        high_water()
    except (OSError, StopIteration, ValueError) as error:
        return f"{sys.platform} lets no process set its resident peak back ({error})"
    return ""


def measured_peak(folder: Path) -> dict[str, Any]:
    """The answer to what the folder asks."""
    reason = refusal()
    if reason:
        return {"reason": reason}
    recording, request = read_request(folder)
    with kink_convention(request["kink"]):
        way = prepare_way(recording, request["mode"], request["engine"])
        way.run()
        again: Prepared = way.again()
    del way
    return run_between_readings(again)


def run_between_readings(way: Prepared) -> dict[str, Any]:
    """Run it once, for its first time."""
    forget_idle()
    gc.collect()
    reset_high_water()
    baseline = high_water()
    result = way.run()
    peak = high_water()
    del result
    return {"measured": peak - baseline, "baseline": baseline}


def read_request(folder: Path) -> tuple[Recording, dict[str, Any]]:
    """The function, its inputs, and what of it is to be run."""
    request: dict[str, Any] = json.loads((folder / "request.json").read_text())
    graph = graph_from_json((folder / "graph.json").read_text())
    paths = [folder / f"{number}.npy" for number in range(request["inputs"])]
    return Recording(graph, [np.load(path, allow_pickle=False)[()] for path in paths]), request


def main(folder: str) -> None:
    """Write the answer as one line of JSON; an error is an answer too."""
    try:
        answer = measured_peak(Path(folder))
    except Exception as error:  # whatever it is, the asking process tells it
        answer = {"reason": " ".join(f"{type(error).__name__}: {error}".split())}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
