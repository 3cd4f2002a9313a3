"""Nodes to instructions of the tape's kernels, in order; what has none is a call-out."""

from __future__ import annotations

from typing import Any

import numpy as np

from calcbench.graph.ir import Graph
from calcbench.graph.nodes import INPUT
from calcbench.lower.opcodes import Case, Numbering, case_facts
from calcbench.lower.tape_folding import FOLDING
from calcbench.lower.tape_instructions import Instructions
from calcbench.lower.tape_structure import STRUCTURE


RULES = {**STRUCTURE, **FOLDING}


class Encoder(Instructions):
    """What each node is in instructions; keys of values stand where their words will be.

    Attributes
    ----------
    scalars : array of int
        The nodes that are elementwise cases on single numbers.
    scalar_keys : array of int, (scalars, 3)
        The keys of their operands, params included.
    callouts : list of int
        The nodes for which there are no instructions.
    """

    def __init__(self, graph: Graph, numbering: Numbering) -> None:
        super().__init__(graph, numbering)
        self.facts: list[list[int]] = case_facts(numbering).tolist()
        self.callouts: list[int] = []
        held = self.values.held_nodes
        is_scalar = self.columns.is_scalar[held]
        self.scalars = held[is_scalar]
        self.scalar_keys = self._scalar_keys()
        for index in held[~is_scalar].tolist():
            self._node(index)

    def _scalar_keys(self) -> np.ndarray:
        keys: np.ndarray = self.values.home[self.columns.operands[self.scalars]]
        cases = self.numbering.cases
        has_params = case_facts(self.numbering)[:, 2] > 0
        number = self.columns.case[self.scalars]
        for place in np.flatnonzero(has_params[number]).tolist():
            operands = self.graph.nodes[self.scalars[place]].operands
            params = self._params(int(self.scalars[place]), cases[number[place]])
            keys[place, len(operands) : len(operands) + len(params)] = params
        return keys

    def _params(self, node: int, case: Case) -> list[int]:
        """The keys of a node's params."""
        params: dict[str, Any] = dict(self.graph.nodes[node].params)
        number = np.int64 if case.whole else np.float64
        return [self.values.constant(number(params[name])) for name in case.params]

    def _node(self, index: int) -> None:
        row = self.graph.nodes[index].row
        if row is INPUT:
            return
        self.node = index
        if self.columns.case[index] >= 0:
            self._elementwise(index)
            return
        rule = RULES.get(row.name)
        if rule is None or not rule(self, index):
            self.callouts.append(index)

    def _elementwise(self, index: int) -> None:
        node, number = self.graph.nodes[index], int(self.columns.case[index])
        case = self.numbering.cases[number]
        keys = [self.values.key(i) for i in node.operands] + self._params(index, case)
        steps = sum((i not in self.values.blocks) << k for k, i in enumerate(node.operands))
        family, level, _ = self.facts[number]
        more = {"steps": steps, "family": family, "level": level}
        self.emit(number, [index, *keys], int(self.type(index).size), **more)
