"""Kinks: which pieces meet at a point, and the sets of their slopes."""
