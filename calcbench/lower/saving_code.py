"""The text of a checkpointed scan on the way up: stretches between stored states, all compiled."""

from __future__ import annotations

from functools import partial

import numpy as np

from calcbench.graph.control_steps import Loop
from calcbench.graph.control_stretches import with_states
from calcbench.lower.compiler import Argument, Module
from calcbench.lower.emission import indented
from calcbench.lower.loop_code import loop_code, with_imports
from calcbench.lower.nested_loops import callee
from calcbench.lower.stretches import (
    Part,
    array_parameters,
    constant_parameters,
    stretch_text,
)


class SavingCode:
    """The compiled parts of a `saving_scan`, and the text around them.

    Attributes
    ----------
    parts : tuple of Part
        The loop that stacks what is kept of its own results; and the one for the last stretch,
        which stacks the states of all its steps, too.
    stacks : list of int
        The results that are stacked.
    parameters : list of (str, Argument)
        Of the function `drive`: the stretches, the length, then the arrays: the state `C`, what is
        scanned `X`, constants `K`, stacks `O` by the number of the result, and the parts' own.
    """

    def __init__(self, loop: Loop, parts: tuple[Part, Part]) -> None:
        self.loop, self.parts = loop, parts
        self.stacks = parts[1].code.stacks
        self.parameters = self._parameters()
        self.source, self.modules = self._text()

    @staticmethod
    def of(loop: Loop, vectorised: bool) -> SavingCode | None:
        """The code of a loop and what it keeps; None if the body calls out of compiled code."""
        size = len(loop.body.outputs)
        kept = tuple(k for k in loop.keep if k >= loop.carries)
        # Stored states are of all carries: which of them are read, is for the reversal to say.
        whole = with_states(loop)._replace(keep=kept)
        own = loop._replace(keep=tuple(k for k in kept if k < size))
        callee_of = partial(callee, vectorised=vectorised)
        codes = [loop_code(part, vectorised, callee_of) for part in (own, whole)]
        if any(code is None for code in codes):
            return None
        up, last = (Part.of(letter, code) for letter, code in zip("ul", codes, strict=True) if code)
        return SavingCode(loop, (up, last))

    def _parameters(self) -> list[tuple[str, Argument]]:
        loop, whole = self.loop, self.parts[1].code.loop.body.outputs
        kinds, first = loop.body.inputs, loop.first_constant
        found = [("stretches", Argument(np.dtype(np.int64), 2))]
        found += [("length", Argument(np.dtype(np.int64), 0))]
        found += array_parameters("C", kinds[: loop.carries], True)
        found += array_parameters("X", kinds[loop.carries : first], False)
        found += constant_parameters("K", kinds[first:])
        found += [(f"O{k}", Argument(whole[k].dtype, 1, True)) for k in self.stacks]
        return found + [pair for part in self.parts for pair in part.own()]

    def _text(self) -> tuple[str, tuple[Module, ...]]:
        up, last = self.parts
        first = "length - stop" if self.loop.reverse else "start"
        lines = [
            "between = len(stretches) - 2",  # states that stretches end in, but the last of them
            "for rank in range(len(stretches)):",
            "    start, stop = stretches[rank, 0], stretches[rank, 1]",
            f"    count, first = stop - start, {first}",
            "    if rank == len(stretches) - 1:",
            f"        place = {'0' if self.loop.reverse else 'max(between, 0)'}",
            f"        {last.call(self._value)}",
            "    else:",
            f"        {up.call(self._value)}",
            "        if rank < between:",
            *indented(self._stored(), 3),
        ]
        names = ", ".join(name for name, _ in self.parameters)
        text = f"@jit\ndef drive({names}):\n" + "\n".join(indented(lines, 1)) + "\n"
        return with_imports(text, [p.function for p in self.parts])

    def _stored(self) -> list[str]:
        """The state goes into its place among the stored ones, which lie as results do."""
        size, lines = len(self.loop.body.outputs), ["pass"]
        for k in self.stacks:
            if k >= size:
                kind = self.loop.body.inputs[k - size]
                end = f"len(O{k}) // {kind.size} - 1 - rank"
                at = end if self.loop.reverse else "rank"
                lines += [
                    f"for i in range({kind.size}):",
                    f"    O{k}[({at}) * {kind.size} + i] = C{k - size}[i]",
                ]
        return lines

    def _value(self, letter: str, k: int) -> str:
        """What a loop is given for `count` steps from the place `first` on."""
        loop = self.loop
        if letter == "c":
            return f"C{k}"
        if letter == "x":
            return stretch_text("seen", f"X{k - loop.carries}", "first", loop.body.inputs[k])
        if letter == "k":
            return f"K{k - loop.first_constant}"
        is_own = k < len(loop.body.outputs)
        kind = self.parts[1].code.loop.body.outputs[k]
        return stretch_text("span", f"O{k}", "first" if is_own else "place", kind)
