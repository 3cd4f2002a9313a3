"""Derivatives at kinks: the intervals, and the element that each convention picks."""

from __future__ import annotations

from calcbench.graph.conventions import (
    CONVENTIONS,
    KINKS,
    Kink,
    current_convention,
    kink_convention,
    slope_at,
)


__all__ = [
    "CONVENTIONS",
    "KINKS",
    "Kink",
    "current_convention",
    "kink_convention",
    "slope_at",
]
