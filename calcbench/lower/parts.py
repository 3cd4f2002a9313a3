"""The functions of a program as lines, and the values of one entry that they hand on.

A value of one entry is a variable of the function that computes it. A function that another one
follows up on keeps it in `scalars`, a part of the arena; the other one reads it there just before
its first use. Only very long straight-line code is cut: compiling a statement takes 3 ms, and 4 ms
each place where a value is kept or read, which short functions have more of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise


LONGEST = 8000  # statements of a function without loops; one of 8,400 took 4.7 ms for each
WORD = 8  # bytes that a value takes
SCALARS = "scalars"
NAME = re.compile(r"\b(?:v|at)\d+(?:_\d+)?\b")
ASSIGNED = re.compile(rf"({NAME.pattern}(?:, {NAME.pattern})*) = ")
CIRCLE = re.compile(r"(\w+) = (sin|cos)_any_called\((\w+)\)")

Source = tuple[str, int]  # a name, and the function that assigns it


@dataclass
class Part:
    """One function.

    Attributes
    ----------
    lines : list of str
        Its body, not indented.
    given : frozenset of str
        Names that are its parameters.
    """

    lines: list[str]
    given: frozenset[str] = frozenset()
    read: list[tuple[int, Source]] = field(default_factory=list)  # before which line, and what

    def scan(self, number: int, latest: dict[str, int]) -> None:
        """Note what the part reads from others; `latest` says which function assigned a name."""
        own, begun = set(self.given), 0
        for at, line in enumerate(self.lines):
            begun = begun if line[0] == " " else at  # where the outermost loop began
            assigned = names_assigned(line.lstrip())
            for name in NAME.findall(line[line.index("=") :] if assigned else line):
                if name not in own:
                    self.read.append((begun, (name, latest[name])))
                    own.add(name)
            own.update(assigned)
            if line[0] != " ":
                latest.update(dict.fromkeys(assigned, number))


def names_assigned(line: str) -> list[str]:
    """The names of entries and positions that a line assigns."""
    found = ASSIGNED.match(line)
    return found[1].split(", ") if found else []


def hand_on(parts: Sequence[Part], dtype_of: Callable[[str], str]) -> int:
    """Write how values are kept and read into the parts, in the order in which they run.

    Returns
    -------
    int
        How many values are handed on.
    """
    latest: dict[str, int] = {}
    for number, part in enumerate(parts):
        part.scan(number, latest)
    places: dict[Source, int] = {}
    for part in parts:
        for _, source in part.read:
            places.setdefault(source, len(places))
    for number, part in enumerate(parts):
        part.lines = _written(part, number, places, dtype_of)
    return len(places)


def _written(
    part: Part, number: int, places: dict[Source, int], dtype_of: Callable[[str], str]
) -> list[str]:
    before: dict[int, list[str]] = {}
    dtypes: dict[str, None] = {}

    def access(source: Source) -> str:
        dtype = dtype_of(source[0])
        dtypes[dtype] = None
        size = {"float32": 4, "bool": 1}.get(dtype, WORD)
        return f"{view_name(dtype)}, {places[source] * WORD // size}"

    for at, source in part.read:
        before.setdefault(at, []).append(f"{source[0]} = kept({access(source)})")
    lines = []
    last = {name: at for at, line in enumerate(part.lines) for name in names_assigned(line)}
    for at, line in enumerate(part.lines):
        lines += [*before.get(at, []), line]
        for name in names_assigned(line):
            if (name, number) in places and last[name] == at:
                lines.append(f"keep({access((name, number))}, {name})")
    return [*_views(dtypes), *lines]


def view_name(dtype: str) -> str:
    """The name of the kept values as entries of a dtype."""
    return SCALARS if dtype == "float64" else f"{SCALARS}_{dtype}"


def _views(dtypes: dict[str, None]) -> Iterator[str]:
    for dtype in dtypes:
        if dtype != "float64":
            of = "bool_" if dtype == "bool" else dtype
            yield f"{view_name(dtype)} = {SCALARS}.view(np.{of})"


def cut(lines: Sequence[str]) -> list[list[str]]:
    """Straight-line code in pieces of equal length, none longer than `LONGEST`."""
    count = -(-len(lines) // LONGEST)
    ends = [len(lines) * k // count for k in range(count + 1)]
    return [list(lines[a:b]) for a, b in pairwise(ends)]


def paired(lines: Sequence[str]) -> list[str]:
    """Sine and cosine of one angle in one call, where the first of them stood.

    Reverse mode asks for both; each alone takes the time of both.
    """
    found: dict[str, dict[str, tuple[int, str]]] = {}
    for at, line in enumerate(lines):
        if match := CIRCLE.fullmatch(line):
            found.setdefault(match[3], {})[match[2]] = (at, match[1])
    written: dict[int, str] = {}
    for angle, both in found.items():
        if len(both) == 2:
            first, second = sorted(at for at, _ in both.values())
            names = f"{both['sin'][1]}, {both['cos'][1]}"
            written |= {first: f"{names} = sin_cos_called({angle})", second: ""}
    return [kept for at, line in enumerate(lines) if (kept := written.get(at, line))]
