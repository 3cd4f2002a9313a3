"""Linear algebra as text: read, given shapes, and written as a graph; never executed."""
