"""Where in the user's code something came from, for errors that are met while tracing."""

from __future__ import annotations

import sys
import traceback
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

from calcbench.graph.arraytype import CalcbenchError, TraceError


_STANDARD_LIBRARY = str(Path(traceback.__file__).parent)
OWN_FILES = {str(p) for p in Path(__file__).resolve().parents[1].rglob("*.py")}

# What NumPy says when a plain array, or a function of plain arrays, meets traced values.
_NUMPY_SAYS = (
    "setting an array element with a sequence",
    "of type Value which has no callable",
    "of type float which has no callable",
    "of type int which has no callable",
    "dtype('O')",
    "not supported for the input types",
    "Object arrays",
    "object arrays",
)


class Lines:
    """File and line of instructions, looked up in time that does not grow with the function.

    Hashing a code object reads all of it, and a frame's line number is counted from the function's
    start: a straight line of a hundred thousand statements would be recorded in quadratic time.

    Attributes
    ----------
    known : dict
        What was asked before, by the identity of the code and the offset of the instruction.
    """

    def __init__(self) -> None:
        self.known: dict[tuple[int, int], tuple[str, int]] = {}
        self._codes: dict[int, tuple[CodeType, list[tuple[int, int]]]] = {}

    def place(self, code: CodeType, instruction: int) -> tuple[str, int]:
        """The place of an instruction that was not asked for before."""
        if id(code) not in self._codes:  # kept here, so that no other code gets its identity
            lines = [(start, line or code.co_firstlineno) for start, _, line in code.co_lines()]
            self._codes[id(code)] = code, lines
        _, lines = self._codes[id(code)]
        _, line = lines[max(bisect_right(lines, (instruction, sys.maxsize)) - 1, 0)]
        found = self.known[id(code), instruction] = code.co_filename, line
        return found


def explained(error: Exception, function: Callable[..., Any]) -> Exception:
    """The error to raise for one met while tracing: with the user's line, and what to do.

    Storing a traced value into a float array calls `float`, whose refusal NumPy replaces by an
    error about sequences; NumPy's functions of object arrays fail in several words.
    """
    place = _user_line(error) or described(function)
    if isinstance(error, StopIteration):  # which would end a loop of calcbench's own instead
        error = RuntimeError("the function raised StopIteration: an iterator had nothing left")
    if isinstance(error.__cause__, TraceError):
        error = error.__cause__
    if not any("while tracing" in note for note in getattr(error, "__notes__", ())):
        error.add_note(f"while tracing {place}" + (_ADVICE if _is_about_objects(error) else ""))
    return error


_ADVICE = (
    "\nnp.array([x, y]) of traced values is an object array until it meets a traced value: build "
    "it with np.stack([...]), without dtype=, and use it with other arrays out of place"
)


def _is_about_objects(error: Exception) -> bool:
    return not isinstance(error, CalcbenchError) and any(t in str(error) for t in _NUMPY_SAYS)


def _user_line(error: Exception) -> str:
    """The innermost line outside this package and installed ones, on which the error rests."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename not in OWN_FILES and not _is_library(f.filename)]
    return f"{own[-1].filename}:{own[-1].lineno}: {own[-1].line}" if own else ""


def _is_library(file: str) -> bool:
    own_code = Path(file).suffix != ".pyx" and "site-packages" not in Path(file).parts
    return not own_code or file.startswith(_STANDARD_LIBRARY)


def described(function: Callable[..., Any]) -> str:
    """A callable by name, file and line, as far as they are known."""
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    code = getattr(function, "__code__", None)
    return f"{name}" + (f", defined at {code.co_filename}:{code.co_firstlineno}" if code else "")
