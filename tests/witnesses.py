"""For each row without a SymPy column: why it has none, and what else says what it computes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from drawing_samples import draw, seeded
from laws import close, demand, jacobian_values
from meanings import away_from_jumps, exact, number, symbols_like

from calcbench.graph.primitive import Primitive, Sample


class Witness(NamedTuple):
    """Why a row has no SymPy column, and a plain-Python value if no other law knows its value.

    `symbols`: the NumPy rule itself runs on arrays of SymPy symbols, so the Jacobian is checked
    against `sympy.diff`. Otherwise the value is checked by the element text (law 6), by
    differences against the tangent (law 4), or by `value`.
    """

    reason: str
    symbols: bool = False
    value: Callable[..., Any] | None = None


MOVES = Witness("moves entries; the NumPy rule runs on symbols", symbols=True)
SUMS = Witness("adds and multiplies entries; the NumPy rule runs on symbols", symbols=True)
SELECTS = Witness("picks entries by comparing them: law 4 on distinct entries, law 8 at ties")
TEXT = Witness("a step that SymPy has no name for; the element text says it again")


# --- values in plain Python, where no derivative tells a right answer from a wrong one -----------


def by_lanes(fold: Callable[[list[float]], Any], x: Any, axis: int) -> Any:
    """`fold` of each lane along the axis, as a list per lane or one number."""
    moved = np.moveaxis(x, axis, -1)
    rows = [fold(list(lane)) for lane in moved.reshape(-1, moved.shape[-1])]
    out = np.array(rows).reshape(moved.shape if np.ndim(rows[0]) else moved.shape[:-1])
    return np.moveaxis(out, -1, axis) if np.ndim(rows[0]) else out


def _argsort(lane: list[float]) -> list[int]:
    return sorted(range(len(lane)), key=lambda i: (lane[i], i))


def _flattened(lanes: Any, shape: tuple[int, ...], axis: int) -> Any:
    """Positions along the axis as positions in the flattened array."""
    at = list(np.indices(shape))
    at[axis] = lanes
    return np.ravel_multi_index(at, shape)


def _sort_position(x: Any, *, axis: int, last: bool) -> Any:
    def order(lane: list[float]) -> list[int]:
        return sorted(range(len(lane)), key=lambda i: (lane[i], -i if last else i))

    return _flattened(by_lanes(order, x, axis), x.shape, axis)


def _tie_group(x: Any, *, axis: int) -> Any:
    def start(lane: list[float]) -> list[int]:
        return [sorted(lane).index(v) for v in lane]

    return _flattened(by_lanes(start, x, axis), x.shape, axis)


def _winner_share(x: Any, *, axes: tuple[int, ...], largest: bool, tie: str) -> Any:
    """On distinct entries the convention plays no part: the winner takes all."""
    best = max if largest else min
    return by_lanes(lambda lane: [float(v == best(lane)) for v in lane], x, axes[0])


def _last_writer(index: Any, *, size: int) -> Any:
    writers = {int(slot): turn for turn, slot in enumerate(np.ravel(index))}
    return np.array([writers.get(slot, -1) for slot in range(size)])


def _fill(*, shape: tuple[int, ...], value: Any) -> Any:
    return np.reshape([value.array.item()] * int(np.prod(shape)), shape)


WITNESSES: dict[str, Witness] = {
    **dict.fromkeys(
        ("broadcast", "concatenate", "diagonal", "flip", "from_diagonal", "gather", "pad",
         "reshape", "slice", "transpose"), MOVES,
    ),
    **dict.fromkeys(("cumprod", "cumsum", "matmul", "prod", "scatter_add"), SUMS),
    **dict.fromkeys(("max", "min", "sort"), SELECTS),
    **dict.fromkeys(("isnan", "larger_share", "rint", "sign_at"), TEXT),
    "argmax": Witness(
        "an integer", value=lambda x, *, axis: by_lanes(lambda v: v.index(max(v)), x, axis)
    ),
    "argmin": Witness(
        "an integer", value=lambda x, *, axis: by_lanes(lambda v: v.index(min(v)), x, axis)
    ),
    "argsort": Witness("integers", value=lambda x, *, axis: by_lanes(_argsort, x, axis)),
    "constant": Witness("a stored array", value=lambda *, value: np.array(value.array.tolist())),
    "convert": Witness(
        "SymPy has no precisions", value=lambda x, *, dtype: np.array([dtype.type(v) for v in x])
    ),
    "detach": Witness("SymPy has no stop-gradient", value=lambda x: x),
    "fill": Witness("a stored number", value=_fill),
    "last_writer": Witness("integers", value=_last_writer),
    "position": Witness("integers", value=lambda index, *, size: np.mod(index, size)),
    "sort_position": Witness("integers", value=_sort_position),
    "tie_group": Witness("integers", value=_tie_group),
    "winner_share": Witness("a step; its ties are law 8's", value=_winner_share),
}  # fmt: skip


def law_witness(row: Primitive, sample: Sample) -> None:
    """The row's value and Jacobian equal what its witness says."""
    witness = WITNESSES[row.name]
    values = draw(sample, seeded(row.name, "witness"))
    with np.errstate(all="ignore"):
        computed = row.numpy(*values, **sample.params)
    if witness.value is not None:
        close(computed, witness.value(*values, **sample.params), 0.0, f"{row}: value")
    if witness.symbols:
        _jacobian_of_symbols(row, values, sample, computed)


def _jacobian_of_symbols(
    row: Primitive, values: Sequence[Any], sample: Sample, computed: Any
) -> None:
    symbols = symbols_like(values)
    expressions = np.asarray(row.numpy(*symbols, **sample.params), object)
    demand(expressions.shape == np.shape(computed), f"{row}: {expressions.shape} of symbols")
    floats = [s for s, v in zip(symbols, values, strict=True) if v.dtype.kind == "f"]
    numbers = [v for v in values if v.dtype.kind == "f"]
    point = {
        s: exact(v)
        for array, value in zip(floats, numbers, strict=True)
        for s, v in zip(np.ravel(array), np.ravel(value), strict=True)
    }
    for array, block in zip(floats, jacobian_values(row, values, sample.params), strict=True):
        wanted = [
            number(away_from_jumps(sp.diff(e, s)), point)
            for e in expressions.flat
            for s in np.ravel(array)
        ]
        bound = 1e-14 * np.max(np.abs(wanted), initial=0.0)
        close(block, np.reshape(wanted, block.shape), bound, f"{row}: Jacobian of symbols")
