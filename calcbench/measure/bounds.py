"""What theory says that derivatives cost, beside what was counted, planned and measured."""

from __future__ import annotations

from typing import NamedTuple

from calcbench.measure.reporting import REVERSE_BOUND, Cost


FORWARD_MEMORY = 2  # a value and its tangent
REVERSE_BYTES = 24  # a value, a cotangent, and a number that the operation reads: 8 bytes each
ROUNDING = 4096  # bytes: whole cache lines, and the blocks that repeated numbers are held as


class Bound(NamedTuple):
    """One statement, its number here, and whether it holds.

    Attributes
    ----------
    claim : str
        With ``{}`` for the number.
    found, most : float
        The number, and the most it may be.
    why : str
        What the limit is.
    """

    claim: str
    found: float
    most: float
    why: str

    @property
    def holds(self) -> bool:
        """Whether the number is within its limit; what is no number is not."""
        return self.found <= self.most

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "does not hold"
        number = f"{self.found:.3g}" if isinstance(self.found, float) else str(self.found)
        return f"{self.claim.format(number)}; {self.why}: {verdict}"


def reverse_operations(counts: Cost) -> Bound | None:
    """Operations of the vjp by those of the function; None if it takes none."""
    if counts.reverse_ratio is None:
        return None
    return Bound(
        "reverse accumulation takes {} operations for each of the function, counted",
        counts.reverse_ratio,
        REVERSE_BOUND,
        f"at most {REVERSE_BOUND}",
    )


def reverse_time(sweep: float, function: float) -> Bound:
    """Seconds of the reverse sweep by those of the function, both on the tape."""
    return Bound(
        "reverse accumulation took {} times the function on the tape",
        sweep / function,
        REVERSE_BOUND,
        f"at most {REVERSE_BOUND} times its operations",
    )


def forward_time(sweeps: float, one: float, n: int) -> Bound:
    """Seconds of all n directions by those of one."""
    return Bound(
        f"forward accumulation in n = {n} directions took {{}} times one sweep",
        sweeps / one,
        n,
        "at most n times",
    )


def reverse_memory(sweep: int, operations: int, inputs: int) -> Bound:
    """Bytes that a reverse sweep holds, by operations of the function and entries of its input."""
    return Bound(
        f"reverse accumulation of {operations} operations and {inputs} inputs holds {{}} bytes",
        sweep,
        REVERSE_BYTES * (operations + inputs) + ROUNDING,
        f"in proportion to operations, at most {REVERSE_BYTES} each and {ROUNDING}",
    )


def forward_memory(sweep: int, function: int) -> Bound:
    """Bytes that a forward sweep in one direction holds, by those of the function on the tape."""
    return Bound(
        "forward accumulation in one direction holds {} bytes",
        sweep,
        FORWARD_MEMORY * function + ROUNDING,
        f"flat, at most {FORWARD_MEMORY} times the {function} of the function and {ROUNDING}",
    )
