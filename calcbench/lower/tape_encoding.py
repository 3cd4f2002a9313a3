"""Nodes to instructions of the tape's kernels, in order; what has none is a call-out."""

from __future__ import annotations

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.graph.nodes import INPUT
from calcbench.lower.opcodes import Numbering, case_facts
from calcbench.lower.tape_entries import by_entries
from calcbench.lower.tape_folding import FOLDING
from calcbench.lower.tape_instructions import Instructions
from calcbench.lower.tape_structure import STRUCTURE


RULES = {**STRUCTURE, **FOLDING}
IN_ALL = 512  # fewer instructions on single numbers stay with the kernel for arrays


class Encoder(Instructions):
    """What each node is in instructions; keys of values stand where their words will be.

    Attributes
    ----------
    scalars : array of int
        The nodes of the instructions on single numbers, in order.
    scalar_cases : array of int
        Their cases, or the number of the move.
    scalar_keys : array of int, (scalars, 4)
        The keys of their results and operands, params included.
    callouts : list of int
        The nodes for which there are no instructions.
    """

    def __init__(self, graph: Graph, numbering: Numbering) -> None:
        super().__init__(graph, numbering)
        self.facts: list[list[int]] = case_facts(numbering).tolist()
        self.callouts: list[int] = []
        held = self.values.held_nodes
        is_scalar = self.columns.is_scalar[held]
        scalars = held[is_scalar]
        records = self._scalar_records(scalars)
        self.is_scalar_program = len(scalars) >= IN_ALL
        for index in held[~is_scalar].tolist():
            self._node(index)
        singles = np.array(self.singles, np.int64).reshape(-1, records.shape[1])
        records = np.concatenate([records, singles])
        records = records[np.argsort(records[:, 0], kind="stable")]
        self.scalars, self.scalar_cases, self.scalar_keys = *records.T[:2], records[:, 2:]

    def _scalar_records(self, nodes: np.ndarray) -> np.ndarray:
        """Of elementwise nodes on single numbers, as in `singles`."""
        keys: np.ndarray = self.values.home[self.columns.operands[nodes]]
        cases = self.numbering.cases
        has_params = case_facts(self.numbering)[:, 2] > 0
        number = self.columns.case[nodes]
        for place in np.flatnonzero(has_params[number]).tolist():
            operands = self.graph.nodes[nodes[place]].operands
            params = self.params(int(nodes[place]), cases[number[place]])
            keys[place, len(operands) : len(operands) + len(params)] = params
        return np.column_stack([nodes, number, nodes, keys]).astype(np.int64)

    def _node(self, index: int) -> None:
        row = self.graph.nodes[index].row
        if row is INPUT:
            return
        self.node = index
        if self.is_scalar_program and by_entries(self, index):
            return
        if self.columns.case[index] >= 0:
            self._elementwise(index)
            return
        rule = RULES.get(row.name)
        if rule is None or not rule(self, index):
            self.callouts.append(index)

    def _elementwise(self, index: int) -> None:
        node, number = self.graph.nodes[index], int(self.columns.case[index])
        case = self.numbering.cases[number]
        keys = [self.values.key(i) for i in node.operands] + self.params(index, case)
        steps = sum((i not in self.values.blocks) << k for k, i in enumerate(node.operands))
        family, level, _ = self.facts[number]
        more = {"steps": steps, "family": family, "level": level}
        self.emit(number, [index, *keys], int(self.type(index).size), **more)
