"""What computing takes, predicted: cheap operations of an entry, nanoseconds of a loop.

Measured on two cores with AVX2: exp takes 1.8 ns an entry, sin 3.2, erf 4, a cheap operation 0.035,
so the numbers here err to the low side; arrays that no cache holds take 0.05 to 0.18 ns a byte.
"""

from __future__ import annotations

from typing import Any


OPERATIONS = {
    "divide": 4, "reciprocal": 4, "sqrt": 6, "remainder": 20, "floor_divide": 20, "hypot": 20,
}  # fmt: skip
ELEMENTARY = 24
FOLD = 4  # a term kept, and added in its lane
OPERATION_NS = 0.06
BYTE_NS = 0.06


def operation_cost(row: Any) -> int:
    """The cost of one entry in cheap operations."""
    if row.scalar is None:
        return 0
    cheap = "exact" in row.facts or row.name in ("convert", "sign", "sign_at", "larger_share")
    return int(OPERATIONS.get(row.name, 1 if cheap else ELEMENTARY))
