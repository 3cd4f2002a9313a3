"""Jacobians by neither mode alone: cuts between two sweeps, and elimination in any order."""
