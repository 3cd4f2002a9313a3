"""Matrix calculus with named dimensions: index notation, matrix notation, certificates."""
