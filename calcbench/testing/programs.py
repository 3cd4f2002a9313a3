"""Strategies for random typed graphs, drawn from the samples of the primitive table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from calcbench.graph import dispatch  # noqa: F401 - registers every row
from calcbench.graph.arraytype import BOOL, FLOAT64, INT64, ArrayType
from calcbench.graph.comparison import greater
from calcbench.graph.elementwise import tanh
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.graph.primitive import REGISTRY, Interval, Primitive, Sample
from calcbench.graph.structural import (
    array_constant,
    broadcast,
    full,
    gather,
    reshape,
    sum_,
    swap_last,
    zeros,
)


SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (3,), (5,), (2, 3), (3, 3))
Draw = Callable[..., Any]
NEVER = frozenset(("convert", "gap_quotient", "integer_power"))  # other precisions, partial domains
# LAPACK's choice of signs jumps: Q of a triangular matrix is I, of its neighbours -I.
JUMPS = frozenset(("remainder", "qr_q", "qr_r", "eigenvectors", "singular_vectors"))
WIDE = 1e3  # a row is applied to any number if its value stays below GROWTH at +-WIDE
GROWTH = 1e7


# --- numbers -------------------------------------------------------------------------------------


def _entries(kind: str, dtype: np.dtype) -> st.SearchStrategy[float]:
    """Single numbers of one kind."""
    limits = np.finfo(dtype)
    tiny, eps, huge = float(limits.smallest_subnormal), float(limits.eps), float(limits.max)
    table: dict[str, st.SearchStrategy[float]] = {
        "normal": st.integers(-3_000_000, 3_000_000).map(lambda k: k * 1e-6),
        "integer": st.integers(-4, 4).map(float),
        "near_kink": st.sampled_from([1e-9, -1e-9, 1 + eps, 1 - eps, -1 - eps, -1 + eps]),
        "zero": st.sampled_from([0.0, -0.0]),
        "subnormal": st.sampled_from([tiny, -tiny, 1000 * tiny, -1000 * tiny]),
        "huge": st.sampled_from([huge**0.5, -(huge**0.5), huge / 2, -huge]),
    }
    return table[kind]


KINDS = ("normal", "integer", "near_kink", "zero", "subnormal", "huge", "ties")


def arrays(
    shape: tuple[int, ...], dtype: Any = FLOAT64, kinds: Collection[str] = KINDS
) -> st.SearchStrategy[Any]:
    """Float arrays whose entries are the numbers that break derivatives.

    Parameters
    ----------
    shape : tuple of int
        Their shape; ``()`` gives NumPy scalars.
    dtype : dtype
        float64 or float32.
    kinds : collection of str
        What is mixed: ``normal`` (up to 3), ``integer`` (whole numbers up to 4), ``near_kink``
        (next to 0 and ±1), ``zero`` (±0), ``subnormal``, ``huge`` (square root of the largest
        number and more) and ``ties`` (only two different entries).

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5)
    ... @given(arrays((4,), kinds=("normal", "ties")))
    ... def bounded(x):
    ...     assert x.shape == (4,) and abs(x).max() <= 3
    >>> bounded()
    """
    kind = np.dtype(dtype)
    numbers = st.one_of([_entries(k, kind) for k in kinds if k != "ties"])
    plain = hnp.arrays(kind, shape, elements=numbers).map(lambda a: a[()])
    if "ties" not in kinds:
        return plain
    return plain | plain.map(lambda a: np.resize(np.ravel(a)[:2], shape)[()])


def inputs(graph: Graph, kinds: Collection[str] = KINDS) -> st.SearchStrategy[list[Any]]:
    """Values for the inputs of a graph.

    Parameters
    ----------
    graph : Graph
        Its inputs have known sizes.
    kinds : collection of str
        As for `arrays`; ``ties`` also lets inputs share their entries.

    Returns
    -------
    SearchStrategy of list

    Examples
    --------
    >>> import calcbench as cb
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5)
    ... @given(inputs(cb.as_graph(cb.var("x", shape=(2,)) + cb.var("y"))))
    ... def two_inputs(values):
    ...     assert [v.shape for v in values] == [(2,), ()]
    >>> two_inputs()
    """
    types = [graph.types[i] for i in graph.inputs]
    apart = st.tuples(*[_of_type(t, kinds) for t in types]).map(list)
    if "ties" not in kinds or not all(t.is_float for t in types):
        return apart
    return apart | apart.map(lambda values: [np.resize(values[0], t.shape)[()] for t in types])


def _of_type(kind: ArrayType, kinds: Collection[str]) -> st.SearchStrategy[Any]:
    if kind.is_float:
        return arrays(kind.shape, kind.dtype, kinds)
    entries: Any = st.booleans() if kind.dtype.kind == "b" else st.integers(-4, 4)
    return hnp.arrays(kind.dtype, kind.shape, elements=entries).map(lambda a: a[()])


# --- graphs --------------------------------------------------------------------------------------


class Step(NamedTuple):
    """A row with a sample; `raw` says whether operands stated for (-2, 2) may be any number."""

    row: Primitive
    sample: Sample
    raw: bool


def graphs(
    max_operations: int = 12,
    kinked: bool = False,
    scalar_output: bool = False,
    rows: Iterable[str] | None = None,
    shapes: Sequence[tuple[int, ...]] = SHAPES,
) -> st.SearchStrategy[Graph]:
    """Random graphs of one to three float64 inputs and one float64 output.

    Shapes are drawn first, then rows of the primitive table that fit: an elementwise row acts at
    the shape of its first operand, any other row at the shapes of one of its samples. Operands are
    moved smoothly into the domain that the sample states, unless the row takes every number.

    Parameters
    ----------
    max_operations : int
        How many rows are drawn at most; moving operands into a domain takes further nodes.
    kinked : bool
        Whether rows with kinks and jumps may occur; the graph is smooth everywhere otherwise.
    scalar_output : bool
        Whether the output is summed to a scalar.
    rows : iterable of str, optional
        Names of the rows to draw from; all by default.
    shapes : sequence of tuple of int
        Shapes of the inputs.

    Examples
    --------
    >>> import calcbench as cb
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5)
    ... @given(graphs(kinked=True, max_operations=3))
    ... def every_graph_has_a_tangent(graph):
    ...     assert len(cb.jvp_graph(graph).outputs) == 2
    >>> every_graph_has_a_tangent()
    """
    names = None if rows is None else frozenset(rows)
    choices = fitting_steps(kinked, names)
    return st.composite(_draw_graph)(max_operations, choices, scalar_output, tuple(shapes))


def _draw_graph(
    draw: Draw, most: int, choices: Sequence[Any], scalar: bool, shapes: Sequence[Any]
) -> Graph:
    builder = Builder()
    drawn = draw(st.lists(st.sampled_from(shapes), min_size=1, max_size=3))
    values = [
        Value(builder, builder.add_input(f"x{k}", ArrayType(shape, FLOAT64)))
        for k, shape in enumerate(drawn)
    ]
    for _ in range(draw(st.integers(1, most))):
        step = draw(st.sampled_from(draw(st.sampled_from(choices))))
        latest_first = values[::-1]
        chosen = [draw(st.sampled_from(latest_first)) for _ in step.sample.shapes]
        values.append(_apply(step, chosen))
    last = values[-1]
    if scalar and last.type.shape:
        last = sum_(last, axes=tuple(range(last.type.ndim)))
    return builder.freeze([last.id])


@cache
def fitting_steps(kinked: bool, names: frozenset[str] | None = None) -> list[list[Step]]:
    """What may be drawn, by row; rows with kinks or jumps come twice."""
    rows = [r for n, r in sorted(REGISTRY.items()) if names is None or n in names]
    usable = [r for r in rows if r.kind != "source" and r.name not in NEVER]
    smooth = [r for r in usable if is_smooth(r)]
    rough = [r for r in usable if not is_smooth(r)] if kinked else []
    steps = [[Step(r, s, _is_raw(r, s)) for s in r.samples if _gives_float(r, s)] for r in usable]
    named = {r.name: s for r, s in zip(usable, steps, strict=True)}
    return [named[r.name] for r in [*smooth, *rough, *rough] if named[r.name]]


def is_smooth(row: Primitive) -> bool:
    """Whether a row has every derivative on the domain of its samples."""
    kinks = any(fact.startswith("kink") for fact in row.facts)
    differentiable = row.kind in ("elementwise", "multilinear", "linearised")
    return differentiable and not kinks and row.name not in JUMPS


def _is_raw(row: Primitive, sample: Sample) -> bool:
    if any(isinstance(where, str) for where in sample.domain):
        return not is_smooth(row)  # ties are what kinks are about
    with np.errstate(all="ignore"):
        return all(_largest(row, sample, far) < GROWTH for far in (WIDE, -WIDE))


def _largest(row: Primitive, sample: Sample, far: float) -> float:
    made = [
        np.full(shape, far if _is_wide(where) else where[1])[()]
        for shape, where in zip(sample.shapes, domains(sample), strict=True)
    ]
    return float(np.max(np.abs(row.numpy(*made, **sample.params)), initial=0.0))


def _is_wide(where: Interval) -> bool:
    return isinstance(where, tuple) and where[0] <= -2 and where[1] >= 2


def _gives_float(row: Primitive, sample: Sample) -> bool:
    kinds = {"bool": BOOL, "index": INT64}
    types = [
        ArrayType(shape, kinds.get(str(where).partition(":")[0], FLOAT64))
        for shape, where in zip(sample.shapes, domains(sample), strict=True)
    ]
    return row.infer(*types, **sample.params).is_float


def domains(sample: Sample) -> tuple[Interval, ...]:
    """One domain per operand: the last stated one stands for the rest."""
    stated = sample.domain or ((-2.0, 2.0),)
    return (*stated, *[stated[-1]] * len(sample.shapes))[: len(sample.shapes)]


# --- operands ------------------------------------------------------------------------------------


def _apply(step: Step, chosen: Sequence[Value]) -> Any:
    shapes = step.sample.shapes
    if step.row.scalar is not None:
        shapes = (chosen[0].type.shape,) * len(shapes)
    operands = [
        _moved(_shaped(value, shape), where, step.raw)
        for value, shape, where in zip(chosen, shapes, domains(step.sample), strict=True)
    ]
    return step.row(*operands, **step.sample.params)


def _shaped(value: Value, shape: Any) -> Any:
    """The entries of a value, repeated or dropped to fill a shape."""
    have = value.type
    if have.shape == shape:
        return value
    if not have.shape:
        return broadcast(value, dims=(), shape=shape)
    if not have.size:
        return full(value, 1.0, shape)
    order = np.arange(int(np.prod(shape)), dtype=np.int64) % have.size
    flat = reshape(value, shape=(have.size,))
    return gather(flat, array_constant(value, order.reshape(shape)))


def _moved(value: Any, where: Interval, raw: bool) -> Any:
    """The value mapped smoothly into the domain that a sample states."""
    shape = value.type.shape
    if isinstance(where, tuple):
        low, high = where
        take = raw and _is_wide(where)
        return value if take else (low + high) / 2 + tanh(value) * ((high - low) / 2)
    if where.startswith("index:"):
        order = 3 * np.arange(int(np.prod(shape)), dtype=np.int64) + 1
        return array_constant(value, (order % int(where[6:])).reshape(shape))
    if where == "bool":
        return greater(value, zeros(value))
    return value if raw and where in ("distinct", "sorted") else _near(where, value)


def _near(where: str, value: Any) -> Any:
    """A little of the value added to an array of the kind named."""
    shape = value.type.shape
    if where in ("distinct", "sorted"):
        return tanh(value) * 0.1 + 0.4 * (1.0 + np.arange(int(np.prod(shape)))).reshape(shape)
    little = tanh(value) * 0.05
    centre = np.eye(*shape[-2:]) * (1.0 + 0.7 * np.arange(shape[-1]))
    moved = little + np.broadcast_to(centre, shape)
    return moved + swap_last(moved) if where == "spd" else moved
