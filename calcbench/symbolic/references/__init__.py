"""Exact derivatives: SymPy one scalar step at a time, evaluated with mpmath."""
