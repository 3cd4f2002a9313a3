"""The nodes of a graph as columns of numbers, so that long runs are encoded without a loop."""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from calcbench.graph.arraytype import ArrayType
from calcbench.graph.ir import Graph, reachable
from calcbench.lower.opcodes import DTYPES, Case, Numbering


ARITY = 3  # operands, params included, that an instruction has room for
_KINDS = 2 * len(DTYPES)


class Columns:
    """One entry per node of the graph; what is not used for the outputs is left out of `used`.

    Attributes
    ----------
    used : array of bool
    reader, operand : array of int
        One entry per operand of a used node, in order of the readers.
    operands : array of int, (nodes, 3)
        The node itself stands where there is no operand.
    case : array of int
        The number of the kernels' elementwise case, or -1.
    is_scalar : array of bool
        Whether the node is such a case, on single numbers.
    """

    def __init__(self, graph: Graph, numbering: Numbering) -> None:
        nodes, count = graph.nodes, len(graph)
        self.used = np.zeros(count, np.bool_)
        self.used[reachable(nodes, graph.outputs)] = True
        rows, operands = list(map(itemgetter(0), nodes)), list(map(itemgetter(1), nodes))
        self.rows = tuple(dict.fromkeys(rows))
        places = {row: k for k, row in enumerate(self.rows)}
        self.row = np.fromiter(map(places.__getitem__, rows), np.int32, count)
        self.arity = np.fromiter(map(len, operands), np.int32, count)
        flat = np.fromiter(chain.from_iterable(operands), np.int32, int(self.arity.sum()))
        self.operands = _matrix(flat, self.arity)
        read = np.repeat(self.used, self.arity)
        self.reader = np.repeat(np.arange(count, dtype=np.int32), self.arity)[read]
        self.operand = flat[read]
        self.kind = _kinds(graph.types)
        self.case, self.is_scalar = self._cases(numbering)

    def having(self, names: Container[str]) -> np.ndarray:
        """The used nodes whose rows have one of these names, in order."""
        wanted = np.array([row.name in names for row in self.rows], np.bool_)
        return np.flatnonzero(wanted[self.row] & self.used) if len(wanted) else np.arange(0)

    def _cases(self, numbering: Numbering) -> tuple[np.ndarray, np.ndarray]:
        """Per node its case and whether it is one on scalars, both found once per combination."""
        codes = self.row.astype(np.int64) * _KINDS + self.kind
        for operand in self.operands.T:
            codes = codes * _KINDS + self.kind[operand]
        found, place = np.unique(codes, return_inverse=True)
        resolved = [self._resolved(code, numbering) for code in found.tolist()]
        table = np.array(resolved, np.int32).reshape(-1, 2)
        return table[place, 0], table[place, 1] > 0

    def _resolved(self, code: int, numbering: Numbering) -> tuple[int, bool]:
        kinds = [code // _KINDS**k % _KINDS for k in range(ARITY, -1, -1)]
        row = self.rows[code // _KINDS ** (ARITY + 1)]
        result, *operands = [DTYPES[kind // 2] for kind in kinds]
        for arity in range(1, ARITY + 1):
            number = numbering.numbers.get((row, operands[arity - 1], result))
            if number is not None and _fits(numbering.cases[number], operands[:arity]):
                return number, not any(kind % 2 for kind in kinds)
        return -1, False


def _fits(case: Case, operands: Sequence[Any]) -> bool:
    return list(case.operands) == operands and len(operands) + len(case.params) <= ARITY


def _matrix(flat: np.ndarray, arity: np.ndarray) -> np.ndarray:
    """The first operands of each node as rows."""
    found = np.repeat(np.arange(len(arity), dtype=np.int32)[:, None], ARITY, axis=1)
    starts = np.cumsum(arity) - arity
    for k in range(ARITY):
        has = arity > k
        found[has, k] = flat[starts[has] + k]
    return found


def _kinds(types: Sequence[ArrayType]) -> np.ndarray:
    """Per node the number of its dtype, twice, and one more if it is no single number."""
    distinct = {id(kind): kind for kind in types}
    numbers = {
        key: 2 * DTYPES.index(kind.dtype) + (kind.size != 1) for key, kind in distinct.items()
    }
    return np.fromiter(map(numbers.__getitem__, map(id, types)), np.int32, len(types))
