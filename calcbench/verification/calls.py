"""Calling f and grad on copies, and noticing what they do besides answering."""

from collections.abc import Callable
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import numpy as np


LONGEST = 200  # characters of an error's text in a report


@dataclass
class Counter:
    """How often a callable ran, and the first trouble it had away from x."""

    calls: int = 0
    trouble: str = ""


def snapshot(arguments: list[Any]) -> list[bytes]:
    """The bytes of every array among the arguments."""
    return [a.tobytes() for a in arguments if isinstance(a, np.ndarray)]


def call_watched(function: Callable[..., Any], arguments: list[Any], name: str) -> tuple[Any, bool]:
    """The result, and whether the function changed an array that it was handed.

    What the function raises passes through, with a note saying who called it.
    """
    before = snapshot(arguments)
    try:
        result = function(*arguments)
    except Exception as error:
        error.add_note(f"raised by {name} while verify called it at the given point")
        raise
    return result, snapshot(arguments) != before


def call_nearby(function: Callable[..., Any], arguments: list[Any], counter: Counter) -> Any | None:
    """The result beside x, or None where the function has none (a domain error, say)."""
    counter.calls += 1
    try:
        return function(*arguments)
    except (ArithmeticError, ValueError) as error:
        counter.trouble = counter.trouble or f"{type(error).__name__}: {first_line(error)}"
        return None


def first_line(error: BaseException) -> str:
    """The first line of an error's text, short enough for a report and cut after a word."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return shorten(lines[0].rstrip("."), LONGEST, placeholder=" …")
