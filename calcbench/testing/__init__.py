"""Hypothesis strategies and properties of derivatives, for the functions of users as well."""

from __future__ import annotations

from calcbench.testing.programs import KINDS, arrays, graphs, inputs
from calcbench.testing.properties import (
    check_adjoint_identity,
    check_chain_rule,
    check_complex_step,
    check_hessian_symmetry,
    check_homogeneity,
    check_linearity,
    check_modes_agree,
    check_parity,
    check_same_bits,
    check_scaling,
    check_shift_invariance,
    check_taylor,
)


__all__ = [
    "KINDS",
    "arrays",
    "check_adjoint_identity",
    "check_chain_rule",
    "check_complex_step",
    "check_hessian_symmetry",
    "check_homogeneity",
    "check_linearity",
    "check_modes_agree",
    "check_parity",
    "check_same_bits",
    "check_scaling",
    "check_shift_invariance",
    "check_taylor",
    "graphs",
    "inputs",
]
