"""What the two direct sweeps share: places, constants, inputs, guards, and runs of a kernel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.graph.lifetimes import byte_size
from calcbench.lower.compiler import EngineError, load
from calcbench.lower.opcodes import FAMILIES
from calcbench.lower.sweep_cases import Step, standard_steps
from calcbench.lower.sweep_encoding import Straight, straighten
from calcbench.lower.sweep_texts import Kernel
from calcbench.lower.tape_texts import VIEWS


RECORD = 8  # numbers of an instruction
SPARE = 1 << 25  # bytes: more is given back after a run, though new pages cost as much as the run
SLICE = 1 << 20  # instructions between two chances to answer Ctrl-C: about ten milliseconds
VIEW = {name: number for number, name in enumerate(VIEWS)}  # of `Words.views`, by dtype


class Words:
    """Memory of words of eight bytes, each holding one number of any dtype, 0 at first."""

    def __init__(self, count: int) -> None:
        self.words = np.zeros(count, np.int64)
        self.views = tuple(self.words.view(name) for name in VIEWS)

    def of(self, dtype: np.dtype) -> np.ndarray:
        """The first number of its dtype in every word."""
        return self.views[VIEW[dtype.name]][:: 8 // dtype.itemsize]


class Cells:
    """Where the entries of one value lie: read and written as a slice where they lie in a row."""

    def __init__(self, places: np.ndarray, dtype: np.dtype) -> None:
        self.view, self.shape = VIEW[dtype.name], places.shape
        self.where: Any = _in_a_row(places * (8 // dtype.itemsize))
        self.is_row = isinstance(self.where, slice)

    def write(self, words: Words, value: Any) -> None:
        """Store a value of the same shape."""
        words.views[self.view][self.where] = value.reshape(-1) if self.is_row else value

    def read(self, words: Words) -> Any:
        """A fresh array, or a NumPy scalar."""
        if self.is_row:
            return words.views[self.view][self.where].copy().reshape(self.shape)
        return words.views[self.view][self.where]


def _in_a_row(places: np.ndarray) -> Any:
    """The places as one number, or as a slice if they are evenly spaced, or as they are."""
    if not places.ndim:
        return int(places)
    flat = places.reshape(-1)
    if len(flat) < 2:
        return places
    step = int(flat[1] - flat[0])
    even = step > 0 and np.array_equal(np.diff(flat), np.full(len(flat) - 1, step))
    return slice(int(flat[0]), int(flat[-1]) + 1, step) if even else places


class Sweep:
    """What both sweeps share: places, kernels, constants, inputs and guards."""

    def __init__(self, graph: Graph, wanted: Sequence[int], vectorised: bool) -> None:
        self.graph, self.wanted = graph, tuple(wanted)
        outputs = (*graph.outputs, *[g.node for g in graph.guards])
        self.whole = Graph(graph.nodes, graph.types, graph.inputs, outputs)
        self.code = straighten(self.whole, wanted, vectorised)
        self.dtype = next(t.dtype for t in graph.types if t.is_float)
        self.masked = any(step.is_masked for step in self.code.steps)
        self.known = known_steps(self.code.steps, self.dtype, vectorised)
        self.floats = [n for n, i in enumerate(graph.outputs) if graph.types[i].is_float]
        self.idle: list[Any] = []  # memory of finished runs, taken again by whoever comes
        self.expected = [guard.expected.array[()] for guard in graph.guards]
        self.constants: list[tuple[np.dtype, np.ndarray, np.ndarray]] = []

    def constants_at(self, place: np.ndarray) -> list[tuple[np.dtype, np.ndarray, np.ndarray]]:
        """Per dtype the places and values of all constants."""
        found: dict[np.dtype, list[tuple[int, Any]]] = {}
        for at, array in self.code.constants:
            found.setdefault(array.dtype, []).append((int(place[at]), array[()]))
        columns = {dtype: zip(*pairs, strict=True) for dtype, pairs in found.items()}
        return [(d, np.array(next(c)), np.array(next(c), d)) for d, c in columns.items()]

    def values(self, count: int) -> Words:
        """Memory for values, with the constants in it."""
        words = Words(count)
        for dtype, places, numbers in self.constants:
            words.of(dtype)[places] = numbers
        return words

    def cells(self, nodes: Sequence[int], places: Sequence[np.ndarray]) -> list[Cells]:
        """Where the values of some nodes lie."""
        types = [self.graph.types[i] for i in nodes]
        return [Cells(p, t.dtype) for p, t in zip(places, types, strict=True)]

    def bytes_of(self, nodes: Iterable[int]) -> int:
        """Bytes of the values of some nodes."""
        return sum(byte_size(self.graph.types[i]) for i in nodes)


def known_steps(steps: Sequence[Step], dtype: np.dtype, vectorised: bool) -> frozenset[Step]:
    """The steps of the kernels that a program runs on.

    Those of all programs, whose kernels are there already; or its own, if it has an unusual one.
    """
    family = FAMILIES.index(dtype.name)
    for is_full in (False, True):
        standard = standard_steps(family, is_full, vectorised)
        values = {step.plain for step in standard}
        if all(step in standard or (not step.shares and step in values) for step in steps):
            return standard
    return frozenset(steps)


def operations(kernel: Kernel, steps: Sequence[Step], step: np.ndarray, used: Any) -> np.ndarray:
    """The kernel's number of each instruction that is `used`, and 0 for the others.

    Raises
    ------
    EngineError
        If the kernel has no case for one: a number of 0 would pass nothing on, and tell nobody.
    """
    numbers = np.array([*[kernel.numbers.get(s, 0) for s in steps], 0], np.int64)[step]
    if np.any((numbers == 0) & used):
        raise EngineError("a kernel of the sweeps lacks an operation; please report this")
    return np.where(used, numbers, 0)


class Loop:
    """A kernel on one program: all instructions, in slices between which Ctrl-C is answered."""

    def __init__(self, kernel: Kernel, code: np.ndarray) -> None:
        self.function = getattr(load(kernel.source), kernel.name)
        self.code, self.count = code, len(code) // RECORD

    def upward(self, *arguments: Any, work: int = 1) -> None:
        """From the first instruction to the last, each `work` times as long as others."""
        size = max(SLICE // work, 1)
        for start in range(0, self.count, size):
            self._slice(start, size, arguments)

    def downward(self, *arguments: Any) -> None:
        """From the last slice to the first."""
        for start in reversed(range(0, self.count, SLICE)):
            self._slice(start, SLICE, arguments)

    def _slice(self, start: int, size: int, arguments: tuple[Any, ...]) -> None:
        stop = min(start + size, self.count)
        if self.function(self.code, start, stop, *arguments) != -1:
            raise EngineError("the sweep's kernel has no case for an operation; please report this")


class Shares(NamedTuple):
    """Which operands' tangents count, or are passed a cotangent.

    Attributes
    ----------
    targets : int64 array of shape (instructions, 2)
        Their places; the result's own where there is none.
    there : int64 array
        Per instruction which of the two there are, as bits.
    varied : bool array
        Which places have a tangent: fewer than depend on wanted inputs, as x**0 has none.
    """

    targets: np.ndarray
    there: np.ndarray
    varied: np.ndarray


def shares_of(code: Straight, wanted: Sequence[int]) -> Shares:
    """The shares of every instruction."""
    targets = np.repeat(code.result[:, None], 2, axis=1)
    there = np.zeros(len(code.step), np.int64)
    rows = np.arange(len(code.step))
    for n in range(2):
        whose = [s.shares[n].operand if len(s.shares) > n else -1 for s in code.steps]
        operand = np.array([*whose, -1], np.int64)[code.step]
        counts = (operand >= 0) & (code.active >> np.maximum(operand, 0) & 1 > 0)
        found = code.operands[rows, np.maximum(operand, 0)]
        targets[:, n] = np.where(counts, found, code.result)
        there |= counts.astype(np.int64) << n
    varied = np.zeros(len(code.varied), np.bool_)
    for position in wanted:
        varied[code.inputs[position].reshape(-1)] = True
    load(PASSES).settle(code.result, targets, there, varied)
    return Shares(targets, there, varied)


PASSES = '''
@jit
def settle(result, targets, there, varied):
    """Drop the shares of what has no tangent, upward; `varied` is by place."""
    for n in range(len(result)):
        for k in range(2):
            if there[n] >> k & 1 and not varied[targets[n, k]]:
                there[n] ^= 1 << k
                targets[n, k] = result[n]
        varied[result[n]] = there[n] != 0


@jit
def reach(result, targets, active, reached):
    """Which operations a result depends on by a derivative, downward; `reached` is by place."""
    alive = np.zeros(len(result), np.bool_)
    for n in range(len(result) - 1, -1, -1):
        if active[n] and reached[result[n]]:
            alive[n] = True
            reached[targets[n, 0]] = True
            reached[targets[n, 1]] = True
    return alive


@jit
def allocate(result, operands, kept, place, first):
    """Give results places from `first` on, each free again after its last reader; how many."""
    last = np.full(len(place), -1, np.int64)
    for n in range(len(result)):
        last[result[n]] = n
        for k in range(3):
            last[operands[n, k]] = n
    for n in range(len(kept)):
        last[kept[n]] = len(result)
    owned = np.zeros(len(place), np.bool_)
    free = np.empty(len(result) + 1, np.int64)
    held = 0
    for n in range(len(result)):
        for k in range(3):
            operand = operands[n, k]
            if owned[operand] and last[operand] == n:
                owned[operand] = False
                free[held] = place[operand]
                held += 1
        z = result[n]
        if held:
            held -= 1
            place[z] = free[held]
        else:
            place[z] = first
            first += 1
        owned[z] = True
        if last[z] == n:
            owned[z] = False
            free[held] = place[z]
            held += 1
    return first
'''
