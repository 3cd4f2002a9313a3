"""The resident peak of one participant, in a process of its own.

The benchmark's own file is run again, with a question in the environment: which problem, size and
participant. It builds that one, calls it once, and calls it again between two readings of the
memory. So nothing of another participant, nor of compiling, is in the second number.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from calcbench.lower.rooms import forget_idle
from calcbench.measure.peak_process import high_water, refusal, reset_high_water
from calcbench.measure.resident import SETTINGS


VARIABLE = "CALCBENCH_WEIGHED"
PATIENCE = 60.0  # seconds for one process


class Question(NamedTuple):
    """Which participant of which problem is weighed."""

    problem: str
    size: int
    who: str


class Weight(NamedTuple):
    """Bytes beyond what was held before: of the first call from the start, and of a warm call."""

    first: int
    warm: int


def question() -> Question | None:
    """What this process was started to weigh; None if it was started for something else."""
    text = os.environ.get(VARIABLE)
    return None if text is None else Question(*json.loads(text))


def weighed(asked: Question) -> Weight | None:
    """The answer of a process of its own; None, with a word on the screen, if it has none."""
    environment = {**os.environ, **SETTINGS, VARIABLE: json.dumps(asked)}
    command = [sys.executable, os.path.abspath(sys.argv[0])]
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
        return Weight(**json.loads(ended.stdout.splitlines()[-1]))
    except subprocess.TimeoutExpired:
        reason = f"not in {PATIENCE:g} s"
    except (IndexError, TypeError, ValueError):
        reason = (ended.stderr.strip().splitlines() or ["no answer"])[-1]
    print(f"{asked.who} on {asked.problem} {asked.size} was not weighed: {reason}")
    return None


def answer(maker: Callable[[], Callable[[], Any]]) -> None:
    """Weigh what is made, print it as the last line, and end the process."""
    if reason := refusal():
        raise SystemExit(reason)
    print(json.dumps(_weight(maker)._asdict()))
    raise SystemExit(0)


def _weight(maker: Callable[[], Callable[[], Any]]) -> Weight:
    before = _settled()
    call = maker()
    call()
    first = high_water() - before
    held = _settled()
    result = call()
    warm = high_water() - held
    del result
    return Weight(first, warm)


def _settled() -> int:
    """Bytes held once all that is free has been given back; the peak is set back to them."""
    forget_idle()
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    reset_high_water()
    return high_water()
