"""Loops of unknown length on the tape: compiled once they took as long as compiling them does."""

from __future__ import annotations

from importlib import import_module
from threading import Lock
from time import perf_counter
from typing import Any

from calcbench.graph.nodes import Node
from calcbench.lower.node_kinds import numpy_function


class LastingLoop:
    """A `while_loop` or `cond` that is compiled once its runs in NumPy have paid for it.

    Attributes
    ----------
    price : float
        Seconds that compiling it takes, predicted.
    spent : float
        Seconds that its runs took so far.
    """

    def __init__(self, node: Node, vectorised: bool, price: float) -> None:
        self.node, self.vectorised, self.price, self.spent = node, vectorised, price, 0.0
        self.current, self.lock = numpy_function(node), Lock()

    def __call__(self, out: Any, *operands: Any) -> None:
        """Write the results into `out`, laid end to end."""
        if self.spent > self.price:
            self.current(out, *operands)
            return
        start = perf_counter()
        self.current(out, *operands)
        self.spent += perf_counter() - start
        if self.spent > self.price:
            with self.lock:
                compiled = import_module("calcbench.lower.compiled_loops").compiled_function
                self.current = compiled(self.node, self.vectorised)
