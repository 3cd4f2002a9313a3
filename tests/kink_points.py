"""Law 8: at each row's kinks both modes return what the convention says."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from drawing_samples import one_node
from laws import checked, close

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.conventions import CONVENTIONS, kink_convention
from calcbench.graph.interpreter import evaluate
from calcbench.graph.primitive import Primitive
from calcbench.reverse_mode.pullback import vjp_graph


def by_convention(*slopes: Any) -> dict[str, Any]:
    """One answer for each convention, in the order of `CONVENTIONS`."""
    return dict(zip(CONVENTIONS, slopes, strict=True))


# The slope at each kind of kink, written down once more, independently of the package:
#                       min-norm left right zero mid
ABS = by_convention(0.0, -1.0, 1.0, 0.0, 0.0)
MAX = by_convention(0.0, 0.0, 1.0, 0.0, 0.5)
MIN = by_convention(0.0, 1.0, 0.0, 0.0, 0.5)
HALVES = by_convention((0.5, 0.5), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (0.5, 0.5))
THIRD = 1 / 3


class KinkPoint(NamedTuple):
    """Operands at a kink, which of them are differentiated, and the Jacobian per convention.

    The Jacobian is written for the entries of all differentiated operands together, flattened:
    one row per entry of the result.
    """

    operands: tuple[Any, ...]
    wrt: tuple[int, ...]
    jacobian: dict[str, Any]
    params: Mapping[str, Any] = MappingProxyType({})


def _scalar_rows(slopes: dict[str, Any]) -> dict[str, Any]:
    return {name: np.atleast_2d(slope) for name, slope in slopes.items()}


def _pair(kind: dict[str, Any]) -> list[KinkPoint]:
    """A tie of two operands: one of them differentiated, then both."""
    tied = (np.float64(1.5), np.float64(1.5))
    single = _scalar_rows(kind)
    return [
        KinkPoint(tied, (0,), single),
        KinkPoint(tied, (1,), single),
        KinkPoint(tied, (0, 1), _scalar_rows(HALVES)),
    ]


LANE = np.array([1.0, 3.0, 3.0, 2.0, 3.0])
TOP = by_convention(
    [[0, THIRD, THIRD, 0, THIRD]], [[0, 1, 0, 0, 0]], [[0, 0, 0, 0, 1]], [[0, 0, 0, 0, 0]],
    [[0, THIRD, THIRD, 0, THIRD]],
)  # fmt: skip
SORTED = by_convention(
    [[0, 1, 0], [0.5, 0, 0.5], [0.5, 0, 0.5]],
    [[0, 1, 0], [1, 0, 0], [0, 0, 1]],
    [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    [[0, 1, 0], [0, 0, 0], [0, 0, 0]],
    [[0, 1, 0], [0.5, 0, 0.5], [0.5, 0, 0.5]],
)

KINK_POINTS: dict[str, list[KinkPoint]] = {
    "abs": [KinkPoint((np.float64(z),), (0,), _scalar_rows(ABS)) for z in (0.0, -0.0)],
    "relu": [KinkPoint((np.float64(z),), (0,), _scalar_rows(MAX)) for z in (0.0, -0.0)],
    "maximum": _pair(MAX),
    "minimum": _pair(MIN),
    "max": [
        KinkPoint((LANE,), (0,), TOP, {"axes": (0,)}),
        KinkPoint((LANE[:, None],), (0,), TOP, {"axes": (0, 1)}),
    ],
    "min": [KinkPoint((-LANE,), (0,), TOP, {"axes": (0,)})],
    "sort": [KinkPoint((np.array([2.0, 1.0, 2.0]),), (0,), SORTED, {"axis": 0})],
    # A condition that is no comparison of the branches makes no kink: see test_kink_spellings.
    "select": [
        KinkPoint(
            (np.bool_(taken), np.float64(1.5), np.float64(1.5)), (1, 2),
            _scalar_rows(dict.fromkeys(CONVENTIONS, (float(taken), float(not taken)))),
        )
        for taken in (True, False)
    ],
}  # fmt: skip


def law_kinks(row: Primitive, convention: str) -> None:
    """Forward and reverse Jacobians at every kink point equal the convention's."""
    for point in KINK_POINTS[row.name]:
        graph = one_node(row, point.operands, point.params)
        with kink_convention(convention):
            push = checked(jvp_graph(graph, point.wrt))
            pull = checked(vjp_graph(graph, point.wrt))
        wanted = np.array(point.jacobian[convention])
        what = f"{row} at {point.operands} under {convention}"
        close(forward_jacobian(push, point.operands, point.wrt), wanted, 1e-15, f"{what}: forward")
        close(reverse_jacobian(pull, point.operands, wanted.shape[0]), wanted, 1e-15, what)


def forward_jacobian(push: Any, operands: Sequence[Any], wrt: Sequence[int]) -> np.ndarray:
    """Columns from one tangent per entry of the differentiated operands."""
    columns = []
    for chosen in wrt:
        for entry in np.ndindex(np.shape(operands[chosen])):
            seeds = [np.zeros(np.shape(operands[p])) for p in wrt]
            seeds[wrt.index(chosen)][entry] = 1.0
            columns.append(np.ravel(evaluate(push, *operands, *(s[()] for s in seeds))[1]))
    return np.stack(columns, axis=-1)


def reverse_jacobian(pull: Any, operands: Sequence[Any], count: int) -> np.ndarray:
    """Rows from one cotangent per entry of the result."""
    result = pull.types[pull.outputs[0]]
    rows = []
    for unit in np.eye(count):
        shares = evaluate(pull, *operands, unit.reshape(result.shape)[()])[1:]
        rows.append(np.concatenate([np.ravel(s) for s in shares]))
    return np.array(rows)
