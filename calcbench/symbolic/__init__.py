"""Symbols: text and SymPy expressions to graphs, exact derivatives, matrix calculus."""
