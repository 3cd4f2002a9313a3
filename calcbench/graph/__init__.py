"""The explicit computation graph: typed nodes, the primitive table, tracing and evaluation."""
