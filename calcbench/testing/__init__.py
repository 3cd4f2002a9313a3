"""Hypothesis strategies and properties of derivatives, for the functions of users as well."""

from __future__ import annotations

from calcbench.testing.programs import graphs, points
from calcbench.testing.properties import (
    check_adjoint_identity,
    check_hessian_symmetry,
    check_homogeneity,
    check_linearity,
    check_modes_agree,
    check_shift_invariance,
    check_taylor,
)


__all__ = [
    "check_adjoint_identity",
    "check_hessian_symmetry",
    "check_homogeneity",
    "check_linearity",
    "check_modes_agree",
    "check_shift_invariance",
    "check_taylor",
    "graphs",
    "points",
]
