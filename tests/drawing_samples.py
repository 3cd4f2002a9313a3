"""Operands, directions and one-node graphs drawn from the samples of a row."""

import importlib
import pkgutil
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from conftest import BASE_SEED

import calcbench.graph
from calcbench.graph.arraytype import ArrayType, Shape
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.primitive import REGISTRY, Interval, Primitive, Sample


SYMMETRIC = ("spd", "symmetric")
FLOAT = np.dtype(np.float64)
CONSTRUCTED = re.compile(
    r"^\w+ = (comparison|elementwise|linearised|multilinear|piecewise_constant|source)\(", re.M
)


def load_all_rows() -> dict[str, Primitive]:
    """The registry, once every module of `calcbench.graph` that calls a constructor is imported."""
    for module in pkgutil.iter_modules(calcbench.graph.__path__):
        text = Path(calcbench.graph.__path__[0], f"{module.name}.py").read_text()
        if CONSTRUCTED.search(text):
            importlib.import_module(f"calcbench.graph.{module.name}")
    return dict(sorted(REGISTRY.items()))


ROWS = load_all_rows()


def seeded(*labels: object) -> np.random.Generator:
    """A generator that depends on the labels and on CALCBENCH_SEED only."""
    return np.random.default_rng([zlib.crc32(repr(labels).encode()), BASE_SEED])


# --- arrays --------------------------------------------------------------------------------------


def _rotation(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(n, n)))[0]


def _stacked(shape: tuple[int, ...], draw: Any) -> np.ndarray:
    """One matrix from `draw` for each entry of the leading axes."""
    batch = shape[:-2]
    matrices = [draw() for _ in range(int(np.prod(batch)))]
    return np.array(matrices).reshape(shape)


def _spd(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    def matrix() -> np.ndarray:
        q = _rotation(rng, shape[-1])
        return q @ np.diag(1.0 + np.arange(shape[-1]) + rng.uniform(0, 0.3, shape[-1])) @ q.T

    made = _stacked(shape, matrix)
    return (made + np.swapaxes(made, -1, -2)) / 2


def _regular(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Singular values about 1, 1.7, 2.4, ...: regular, none repeated; any rectangle."""

    def matrix() -> np.ndarray:
        left, right, k = _rotation(rng, shape[-2]), _rotation(rng, shape[-1]), min(shape[-2:])
        values = 1.0 + 0.7 * np.arange(k) + rng.uniform(0, 0.2, k)
        return left[:, :k] @ np.diag(values) @ right[:k, :]

    return _stacked(shape, matrix)


def _spread(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Ascending numbers, at least 0.2 apart and 0.1 from zero."""
    count = int(np.prod(shape))
    return 0.4 * (np.arange(count) - count // 2 + 0.5) + rng.uniform(-0.1, 0.1, count)


def draw_array(
    rng: np.random.Generator, shape: tuple[int, ...], where: Interval, dtype: np.dtype = FLOAT
) -> Any:
    """One operand; see `calcbench.graph.primitive.Sample` for the words."""
    if isinstance(where, tuple):
        return rng.uniform(*where, size=shape).astype(dtype)[()]  # type: ignore[union-attr]
    if where == "bool":
        return rng.integers(0, 2, size=shape).astype(bool)[()]
    if where == "integer":
        return rng.integers(-4, 5, size=shape)[()]
    if where.startswith("index:"):
        return np.asarray(rng.integers(0, int(where[6:]), size=shape), np.int64)[()]
    if where in ("distinct", "sorted"):
        spread = _spread(rng, shape)
        entries = spread if where == "sorted" else rng.permutation(spread)
        return entries.reshape(shape).astype(dtype)[()]
    return {"spd": _spd, "regular": _regular}[where](rng, shape).astype(dtype)


def domains(sample: Sample) -> tuple[Interval, ...]:
    """One domain per operand: the last stated one stands for the rest."""
    stated = sample.domain or ((-2.0, 2.0),)
    return (*stated, *[stated[-1]] * len(sample.shapes))[: len(sample.shapes)]


def draw(sample: Sample, rng: np.random.Generator, dtype: np.dtype = FLOAT) -> list[Any]:
    """The operands of one sample."""
    pairs = zip(sample.shapes, domains(sample), strict=True)
    return [draw_array(rng, concrete(s), where, dtype) for s, where in pairs]


def concrete(shape: Shape) -> tuple[int, ...]:
    """The shape, known to hold numbers only."""
    return tuple(int(n) for n in shape)  # type: ignore[arg-type]


def directions(sample: Sample, values: Sequence[Any], rng: np.random.Generator) -> list[Any]:
    """A direction for each float operand; symmetric where the operand is."""
    drawn = []
    for value, where in zip(values, domains(sample), strict=True):
        if value.dtype.kind == "f":
            raw = rng.uniform(-1.0, 1.0, size=np.shape(value))
            symmetric = raw + np.swapaxes(raw, -1, -2) if where in SYMMETRIC else raw
            drawn.append(symmetric.astype(value.dtype)[()])
    return drawn


def stepped(values: Sequence[Any], steps: Sequence[Any], h: float) -> list[Any]:
    """The operands, the float ones moved by h times their direction."""
    moves: Iterator[Any] = iter(steps)
    return [v + v.dtype.type(h) * next(moves) if v.dtype.kind == "f" else v for v in values]


# --- graphs --------------------------------------------------------------------------------------


def type_of(value: Any) -> ArrayType:
    """The graph type of a NumPy value."""
    return ArrayType(np.shape(value), np.asarray(value).dtype)


def one_node(row: Primitive, values: Sequence[Any], params: Any) -> Graph:
    """The graph that applies the row to one input per value."""
    builder = Builder()
    inputs = tuple(builder.add_input(f"x{i}", type_of(v)) for i, v in enumerate(values))
    return builder.freeze([builder.add(row, inputs, tuple(sorted(params.items())))])
