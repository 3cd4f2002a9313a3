"""Statements of one thread that runs a whole point: where its arrays lie, and how it is written.

The lines of loops say ``read(V3, at)`` and ``V3 @ at := value`` until all homes are known. A value
of one entry has a lower-case name, ``v3``, and is a variable of the thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from calcbench.graph.ir import Graph
from calcbench.lower.cuda_words import device_text
from calcbench.lower.emission import Names
from calcbench.lower.groups import base
from calcbench.lower.targets import Target


POINT = Target("cuda", "", write="{array} @ {at} := {value}")

_READ = re.compile(r"( *\w+ = )read\((\w+), (.*)\)")
_WRITE = re.compile(r"( *)(\w+) @ (.*?) := (.*)")
_PAIRS = re.compile(r"pairs_(\w+)\((\w+), (\d+)\)")


@dataclass(frozen=True)
class Home:
    """Where an array of one point lies.

    Attributes
    ----------
    array : str
        The parameter of the kernel.
    step : int
        Entries of one point in an array of all points; 0 if all points share the array.
    offset : int
        The first entry in the arena, whose entries of one number lie thread beside thread; or -1.
    """

    array: str
    step: int = 0
    offset: int = -1

    def entry(self, at: str) -> str:
        """The entry at a position."""
        if self.offset >= 0:
            return f"{self.array}[at({self.place(at)})]"
        start = "" if not self.step else "point" if self.step == 1 else f"{self.step} * point"
        words = [word for word in (start, at) if word and word != "0"] or ["0"]
        return f"{self.array}[at({' + '.join(words)})]"

    def place(self, at: str) -> str:
        """Where the entry lies in the arena."""
        words = [str(self.offset)] if self.offset else []
        words += [at] if at != "0" or not words else []
        first = " + ".join(words)
        return f"{first if first.isalnum() else f'({first})'} * threads + thread"


def spoken(lines: Sequence[str], homes: Mapping[str, Home]) -> Iterator[str]:
    """The lines with every access written out."""
    for line in lines:
        read, write = _READ.fullmatch(line), _WRITE.fullmatch(line)
        if read:
            yield f"{read[1]}{homes[read[2]].entry(read[3])}"
        elif write and write[2].islower():
            if write[2] != write[4]:
                yield f"{write[1]}{write[2]} = {_joined(write[4], homes)}"
        elif write:
            entry = homes[write[2]].entry(write[3])
            yield f"{write[1]}{entry} = {_joined(write[4], homes)}"
        else:
            yield device_text(line)


def _joined(text: str, homes: Mapping[str, Home]) -> str:
    """A value; the numbers of blocks of a fold lie in the arena."""

    def call(match: re.Match[str]) -> str:
        home = homes[match[2]]
        return f"pairs_{match[1]}({home.array}, {home.place('0')}, threads, {match[3]})"

    return device_text(_PAIRS.sub(call, text))


def loading(name: str, graph: Graph, names: Names, node: int, at: str) -> str:
    """The statement that gives an entry of a stored value a name."""
    array = names.stored[base(graph, node)]
    return f"{name} = {array}" if array.islower() else f"{name} = read({array}, {at})"


def storing(array: str, at: object, value: str) -> str:
    """The statement that writes an entry."""
    return POINT.write.format(array=array, at=at, value=value)


PAIRS = '''
@jit
def pairs_{op}(sums, first, step, count):
    """The {op} of `count` numbers, in adjacent pairs; overwrites them."""
    while count > 1:
        half = count // 2
        for k in range(half):
            left = sums[at(first + 2 * k * step)]
            sums[at(first + k * step)] = join_{op}(left, sums[at(first + (2 * k + 1) * step)])
        if count % 2:
            sums[at(first + half * step)] = sums[at(first + (count - 1) * step)]
            half += 1
        count = half
    return sums[at(first)]
'''
