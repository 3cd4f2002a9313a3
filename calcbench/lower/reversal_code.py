"""The text of a reversal: one function that does what a schedule's actions say, all compiled."""

from __future__ import annotations

import inspect
from functools import partial

import numpy as np

from calcbench.graph.control_stretches import Reversal, with_states
from calcbench.lower.compiler import Argument, Module
from calcbench.lower.emission import indented
from calcbench.lower.loop_code import loop_code, with_imports
from calcbench.lower.nested_loops import callee
from calcbench.lower.stretches import (
    Part,
    array_parameters,
    constant_parameters,
    copy_lines,
    stretch_text,
)
from calcbench.reverse_mode import schedules


FIRST_SWEEP = len(schedules.KINDS)  # of states that are there; the slot is the place of the first


class ReversalCode:
    """The compiled parts of a reversal, and the text around them.

    Attributes
    ----------
    parts : tuple of Part
        The loop up, the loop up that stacks its states, and the loop down.
    parameters : list of (str, Argument)
        Of the function `drive`: the actions and how many they are, the length, then the arrays: the
        state `C`, the carries of the loop down `D`, the held states `H`, the given states `T`, what
        is scanned up `X` and down `Y`, constants `K` and `E`, the stacks `O`, and the parts' own.
    """

    def __init__(self, reversal: Reversal, parts: tuple[Part, Part, Part]) -> None:
        self.reversal, self.parts = reversal, parts
        self.loops = reversal.loops
        self.parameters = self._parameters()
        self.source, self.modules = self._text()

    @staticmethod
    def of(reversal: Reversal, vectorised: bool) -> ReversalCode | None:
        """The code of a reversal; None if a body calls out of compiled code."""
        up, down = reversal.loops
        ends = range(len(up.body.outputs), len(up.body.outputs) + up.carries)
        loops = (up, with_states(up)._replace(keep=tuple(ends)), down)
        callee_of = partial(callee, vectorised=vectorised)
        codes = [loop_code(loop, vectorised, callee_of) for loop in loops]
        if any(code is None for code in codes):
            return None
        up_part, record, down_part = (
            Part.of(letter, code) for letter, code in zip("urd", codes, strict=True) if code
        )
        return ReversalCode(reversal, (up_part, record, down_part))

    @property
    def stacks(self) -> list[int]:
        """The results that the loop down stacks."""
        return self.parts[2].code.stacks

    def _parameters(self) -> list[tuple[str, Argument]]:
        up, down = self.loops
        above, below = up.body.inputs, down.body.inputs
        read = len(self.reversal.read)
        found = [("actions", Argument(np.dtype(np.int64), 2))]
        found += [(n, Argument(np.dtype(np.int64), 0)) for n in ("actions_given", "length")]
        found += array_parameters("C", above[: up.carries], True)
        found += array_parameters("D", below[: down.carries], True)
        found += array_parameters("H", above[: up.carries], True)
        found += array_parameters("T", above[: up.carries], False)
        found += array_parameters("X", above[up.carries : up.first_constant], False)
        found += array_parameters("Y", below[down.carries + read : down.first_constant], False)
        found += constant_parameters("K", above[up.first_constant :])
        found += constant_parameters("E", below[down.first_constant :])
        found += array_parameters("O", [down.body.outputs[k] for k in self.stacks], True)
        return found + [pair for part in self.parts for pair in part.own()]

    # --- the text -----------------------------------------------------------------------------

    def _text(self) -> tuple[str, tuple[Module, ...]]:
        """A module of the function `drive`, and of the one that makes the actions."""
        up, record, down = self.parts
        kinds = self.loops[0].body.inputs[: self.loops[0].carries]
        sweep = down.call(partial(self._below, states="H", place="slot"))
        given = down.call(partial(self._below, states="T", place="slot"))
        lines = [
            "for action in range(actions_given):",
            "    kind, slot = actions[action, 0], actions[action, 3]",
            "    start, stop = actions[action, 1], actions[action, 2]",
            "    count, first = stop - start, " + self._first("stop"),
            "    if kind == 0:",
            *indented(copy_lines(kinds, ("C", "0"), ("H", "slot")), 2),
            "    elif kind == 1:",
            f"        {up.call(self._above)}",
            "    elif kind == 2:",
            *indented(copy_lines(kinds, ("H", "slot"), ("C", "0")), 2),
            f"    elif kind == {FIRST_SWEEP}:",
            f"        {given}",
            "    else:",
            "        count, first = count - 1, " + self._first("stop - 1"),
            "        if count > 0:",
            f"            {record.call(self._above)}",
            *indented(copy_lines(kinds, ("H", self._last()), ("C", "0")), 2),
            "        count, first = count + 1, " + self._first("stop"),
            f"        {sweep}",
        ]
        names = ", ".join(name for name, _ in self.parameters)
        text = f"@jit\ndef drive({names}):\n" + "\n".join(indented(lines, 1)) + "\n"
        return with_imports(f"{_actions_text()}\n\n{text}", [p.function for p in self.parts])

    def _first(self, stop: str) -> str:
        """Where the steps from `start` on stand in arrays of all steps."""
        return f"length - ({stop})" if self.reversal.reverse else "start"

    def _last(self) -> str:
        """Where among the held states the last of a sweep stands: stacks lie as results do."""
        return "slot" if self.reversal.reverse else "slot + count"

    def _above(self, letter: str, k: int) -> str:
        """What a loop up is given for `count` steps from the place `first` on."""
        up = self.loops[0]
        if letter == "c":
            return f"C{k}"
        if letter == "x":
            return stretch_text("seen", f"X{k - up.carries}", "first", up.body.inputs[k])
        if letter == "k":
            return f"K{k - up.first_constant}"
        p = k - len(up.body.outputs)
        place = "slot + 1" if self.reversal.reverse else "slot"
        return stretch_text("span", f"H{p}", place, up.body.inputs[p])

    def _below(self, letter: str, k: int, states: str, place: str) -> str:
        """What the loop down is given for them."""
        down, read = self.loops[1], self.reversal.read
        if letter == "c":
            return f"D{k}"
        if letter == "k":
            return f"E{k - down.first_constant}"
        if letter == "s":
            rank = self.stacks.index(k)
            return stretch_text("span", f"O{rank}", "first", down.body.outputs[k])
        rank, kind = k - down.carries, down.body.inputs[k]
        if rank < len(read):
            return stretch_text("seen", f"{states}{read[rank]}", place, kind)
        return stretch_text("seen", f"Y{rank - len(read)}", "first", kind)


def _actions_text() -> str:
    """The function that makes the actions, without what only readers need."""
    source = inspect.getsource(schedules.next_actions)
    body = source[source.index('"""', source.index('"""') + 3) + 4 :]
    return f"@jit\ndef next_actions(pending, top, slots, actions):\n{body}"
