"""A scan as one compiled loop around the compiled code of its body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from itertools import accumulate
from typing import Any

import numpy as np

from calcbench.graph.control_steps import Loop
from calcbench.lower.compiler import Argument, compile_only, load
from calcbench.lower.loop_code import LoopCode, loop_code, with_imports
from calcbench.lower.loop_costs import loop_cost
from calcbench.lower.nested_loops import callee
from calcbench.lower.targets import CPU


CHUNK = 1 << 18  # steps, of all loops inside too, between which Ctrl-C is answered
REMEMBERED = 64  # compiled loops that are held


@lru_cache(maxsize=REMEMBERED)
def compiled_scan(loop: Loop, vectorised: bool) -> CompiledScan | None:
    """The loop, compiled; None if its body calls out of compiled code, as a factorisation does."""
    code = loop_code(loop, vectorised, partial(callee, vectorised=vectorised))
    return None if code is None else CompiledScan(code)


class CompiledScan:
    """A loop compiled for its types; calls are independent of each other.

    Attributes
    ----------
    source : str
        The generated text: the body's code, and a loop around it.
    """

    def __init__(self, code: LoopCode) -> None:
        self.code, self.loop = code, code.loop
        self.chunk = max(CHUNK // loop_cost(self.loop.body.graph).runs, 1)
        self.sizes = [kind.size for kind in self.loop.kept()]
        lines = "\n    ".join([*code.lines("start", "stop"), "return taken"])
        header = f"def steps({', '.join(['start', 'stop', *code.names])}):"
        text = f"{code.body}\n\n{CPU.decorator}\n{header}\n    {lines}\n"
        self.source, modules = with_imports(text, code.callees)
        counters = [Argument(np.dtype(np.int64), 0)] * 2
        function = load(self.source, modules).steps
        self.function = compile_only(function, [*counters, *code.arguments])

    def __call__(self, out: Any, *operands: Any) -> None:
        """Write the results that the scan keeps into `out`, laid end to end."""
        self.write_apart(split(out, self.sizes), *operands)

    def write_apart(self, results: Mapping[int, Any], *operands: Any) -> None:
        """Write each result that the scan keeps, by its place in `keep`, into its array."""
        loop = self.loop
        pieces = {k: results.get(place) for place, k in enumerate(loop.keep)}
        carry, values = self._values(pieces, operands)
        spans = range(0, loop.length, self.chunk)
        for start in reversed(spans) if loop.reverse else spans:
            self.function(start, min(start + self.chunk, loop.length), *values)
        for k, piece in pieces.items():
            if k < loop.carries and piece is not None:
                piece[...] = carry[k]

    def repeat(self, *operands: Any) -> tuple[list[Any], int]:
        """Go round until the test fails: the last carries, and the number of trips."""
        carry, values = self._values({}, operands)
        trips = taken = int(self.function(0, self.chunk, *values))
        while taken == self.chunk:
            taken = int(self.function(0, self.chunk, *values))
            trips += taken
        shapes = [kind.shape for kind in self.loop.body.inputs]
        return [c.reshape(s) for c, s in zip(carry, shapes, strict=False)], trips

    def _values(self, pieces: Any, operands: Any) -> tuple[list[Any], list[Any]]:
        """The carries, in memory of their own, and all that the loop is given."""
        code, count = self.code, self.loop.carries
        carry = [np.array(v, order="C").reshape(-1) for v in operands[:count]]
        given = [contiguous(v) for v in operands[count:]]
        outputs = self.loop.body.outputs
        rooms = [
            np.empty(kind.size, kind.dtype)
            for k, kind in enumerate(outputs)
            if not code.is_written_in_place(k)
        ]
        arena, stacks = np.empty(max(code.words, 1)), [self._stack(pieces, k) for k in code.stacks]
        arrays = [a.reshape(-1) for a in code.arrays]
        return carry, [*carry, *given, *arrays, *rooms, arena, *stacks]

    def _stack(self, pieces: Any, k: int) -> Any:
        """Where the values of a stack go; one that nothing reads is written all the same."""
        found = pieces[k]
        if found is None:
            kind = self.loop.stacked(self.loop.body.outputs[k])
            found = np.empty(kind.size, kind.dtype)
        return found


def split(out: Any, sizes: Sequence[int]) -> dict[int, Any]:
    """The parts of an array in which results are laid end to end, by their places."""
    ends = accumulate(sizes)
    return {k: out[end - size : end] for k, (size, end) in enumerate(zip(sizes, ends, strict=True))}


def contiguous(value: Any) -> Any:
    """The value as compiled code takes it: a number, or an array in C order."""
    return np.require(value, requirements=["C", "A"])[()]
