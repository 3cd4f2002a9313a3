"""The laws of the primitive table, each a function of a row and one of its samples.

A law raises `LawBroken`, or whatever the row itself raises; it returns nothing when it holds.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from drawing_samples import FLOAT, directions, draw, one_node, seeded, stepped, type_of

from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.activity import partials_of
from calcbench.graph.arraytype import ArrayType, CalcbenchError
from calcbench.graph.checker import check_graph
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.graph.masks import materialise
from calcbench.graph.primitive import Masked, Primitive, Sample
from calcbench.graph.rewriting import simplify
from calcbench.graph.structural import full
from calcbench.reverse_mode.pullback import vjp_graph


class LawBroken(AssertionError):
    """A law of the table does not hold for a row."""


Law = Callable[[Primitive, Sample], None]
EPS = 2.0**-52

# Rows whose tangent is not the derivative of their value, on purpose.
NO_DERIVATIVE_OF_ITS_OWN = {"detach": "a stop-gradient: its tangent is 0 and its value is not"}


def demand(holds: object, message: str) -> None:
    """Raise `LawBroken` unless `holds`; not an assert, which `python -O` would drop."""
    if not holds:
        raise LawBroken(message)


def close(got: Any, want: Any, bound: Any, what: str) -> None:
    """Every entry of `got` lies within `bound` of `want`, and shapes agree."""
    demand(np.shape(got) == np.shape(want), f"{what}: shape {np.shape(got)}, not {np.shape(want)}")
    wrong = ~(np.abs(np.asarray(got, float) - np.asarray(want, float)) <= bound)
    demand(not np.any(wrong), f"{what}: got {got}, expected {want}, allowed {bound}")


def checked(graph: Graph) -> Graph:
    """The graph after a transform: verified, simplified, and verified again."""
    return check_graph(simplify(check_graph(graph)))


def differentiable(row: Primitive, sample: Sample) -> bool:
    """Whether the sample has a float operand and a float result."""
    values = draw(sample, seeded(row.name))
    graph = one_node(row, values, sample.params)
    return graph.types[graph.outputs[0]].is_float and bool(directions(sample, values, seeded()))


def setting(row: Primitive, sample: Sample, dtype: np.dtype = FLOAT) -> Any:
    """Operands, one direction, a cotangent and the one-node graph; the same in every run."""
    rng = seeded(row.name, sample.shapes, sorted(sample.params))
    values = draw(sample, rng, dtype)
    graph = check_graph(one_node(row, values, sample.params))
    result = graph.types[graph.outputs[0]]
    ct = rng.uniform(0.5, 1.5, size=result.shape).astype(result.dtype)[()]
    return values, directions(sample, values, rng), ct, graph


# --- law 1: infer agrees with NumPy --------------------------------------------------------------


def law_types(row: Primitive, sample: Sample) -> None:
    """`infer` states the shape and dtype of what `numpy` returns, or refuses the operands."""
    for dtype in (np.float64, np.float32):
        values = draw(sample, seeded(row.name), np.dtype(dtype))
        _same_type(row, values, sample, row.infer(*map(type_of, values), **sample.params))
        for other in (*_converted(values), *_reshaped(values)):
            _refused_or_right(row, other, sample)


def _same_type(row: Primitive, values: Sequence[Any], sample: Sample, stated: ArrayType) -> None:
    with np.errstate(all="ignore"):
        result = row.numpy(*values, **sample.params)
    shown = ", ".join(str(type_of(v)) for v in values)
    demand(isinstance(result, np.ndarray | np.generic), f"{row} of {shown} gives {type(result)}")
    demand(
        type_of(result) == stated,
        f"{row} of {shown}: infer says {stated}, NumPy gives {type_of(result)}",
    )


def _refused_or_right(row: Primitive, values: Sequence[Any], sample: Sample) -> None:
    try:
        stated = row.infer(*map(type_of, values), **sample.params)
    except CalcbenchError:
        return
    _same_type(row, values, sample, stated)


def _converted(values: Sequence[Any]) -> list[list[Any]]:
    """The same operands as int64 and as bool."""
    return [[np.asarray(v).astype(t)[()] for v in values] for t in (np.int64, np.bool_)]


def _reshaped(values: Sequence[Any]) -> list[list[Any]]:
    """The same operands, one of them with one axis more or one entry more along an axis."""
    changed: list[list[Any]] = []
    for i, value in enumerate(values):
        array = np.asarray(value)
        grown = [np.concatenate([array, array.take([0], a)], a) for a in range(array.ndim)]
        changed += [[*values[:i], v, *values[i + 1 :]] for v in (array[None], *grown) if v.size]
    return changed


# --- law 3: the transpose is the transpose -------------------------------------------------------


def law_transpose(row: Primitive, sample: Sample) -> None:
    """<ct, J dx> = <J^T ct, dx>, in both precisions; tangents have their operands' types."""
    for dtype in (np.float64, np.float32):
        values, steps, ct, graph = setting(row, sample, np.dtype(dtype))
        tolerance = 2e-4 if np.float32 in (dtype, ct.dtype) else 1e-12
        push, pull = checked(jvp_graph(graph)), checked(vjp_graph(graph))
        _same_ends(graph, push, pull)
        pushed = evaluate(push, *values, *steps)[1]
        pulled = evaluate(pull, *values, ct)[1:]
        forward = np.asarray(ct, float) * np.asarray(pushed, float)
        reverse = [np.asarray(a, float) * b for a, b in zip(pulled, steps, strict=True)]
        scale = np.sum(np.abs(forward)) + sum(np.sum(np.abs(r)) for r in reverse)
        what = f"{row} <ct, J dx> = <J^T ct, dx> in {np.dtype(dtype)}"
        close(np.sum(forward), sum(np.sum(r) for r in reverse), tolerance * scale, what)


def _same_ends(graph: Graph, push: Graph, pull: Graph) -> None:
    """A tangent has the type of the result, a cotangent that of its input."""
    result = graph.types[graph.outputs[0]]
    wanted = [graph.types[i] for i in graph.inputs if graph.types[i].is_float]
    demand([push.types[i] for i in push.outputs] == [result, result], "types of the tangent")
    demand([pull.types[i] for i in pull.outputs] == [result, *wanted], "types of the cotangents")


# --- laws 4 and 5: differences -------------------------------------------------------------------


def differences(f: Callable[[float], Any], first: float = 2.0**-5, levels: int = 10) -> Any:
    """(derivative of f at 0, error estimate), entry by entry.

    Central differences with halved steps, extrapolated (Ridders 1982); of all entries of the
    triangle the one whose neighbours agree best is taken, the last of equals, so that a kink or
    jump near 0 only spoils the steps that cross it.
    """
    best: Any = None
    error: Any = np.inf
    previous: list[Any] = []
    for level in range(levels):
        h = first / 2**level
        column = [(np.asarray(f(h), float) - np.asarray(f(-h), float)) / (2 * h)]
        for order, above in enumerate(previous, start=1):
            better = column[-1] + (column[-1] - above) / (4.0**order - 1)
            gap = np.maximum(np.abs(better - column[-1]), np.abs(better - above))
            if best is None:
                best, error = better, gap
            best, error = np.where(gap <= error, better, best), np.minimum(gap, error)
            column.append(better)
        previous = column
    return best, error


def agree_with_differences(got: Any, f: Callable[[float], Any], dtype: Any, what: str) -> None:
    single = np.dtype(dtype) == np.float32
    slope, error = differences(f, 0.5, 4) if single else differences(f)
    scale = np.max(np.abs(slope), initial=0.0) + np.max(np.abs(f(0.0)), initial=0.0)
    relative = 1e-5 if single else 1e-10
    usable = np.max(error, initial=0.0) <= 1e3 * relative * scale
    demand(usable, f"{what}: the differences do not converge, {slope} +- {error}")
    close(got, slope, 10 * error + relative * scale, what)


def law_differences(row: Primitive, sample: Sample) -> None:
    """J dx equals differences of the row's NumPy value along dx."""
    values, steps, _, graph = setting(row, sample)
    pushed = evaluate(checked(jvp_graph(graph)), *values, *steps)[1]
    if row.name in NO_DERIVATIVE_OF_ITS_OWN:
        close(pushed, np.zeros(np.shape(pushed)), 0.0, f"{row}: tangent")
        return

    def along(h: float) -> Any:
        with np.errstate(all="ignore"):
            return row.numpy(*stepped(values, steps, h), **sample.params)

    result = graph.types[graph.outputs[0]]
    agree_with_differences(pushed, along, result.dtype, f"{row}: J dx against differences")


def law_second_order(row: Primitive, sample: Sample) -> None:
    """All orders of composing the modes agree with differences of first derivatives."""
    values, steps, ct, graph = setting(row, sample)
    push, pull = checked(jvp_graph(graph)), checked(vjp_graph(graph))
    zero = [np.zeros_like(v) for v in (*steps, ct)]
    mixed = evaluate(checked(jvp_graph(pull)), *values, ct, *steps, zero[-1])[2 + len(steps) :]
    count = len(steps)
    swapped = evaluate(checked(vjp_graph(push)), *values, *steps, zero[-1], ct)[2 : 2 + count]
    twice = evaluate(checked(jvp_graph(push)), *values, *steps, *steps, *zero[:-1])[3]
    dtype = pull.types[pull.outputs[0]].dtype

    def curved(h: float) -> Any:
        return evaluate(push, *stepped(values, steps, h), *steps)[1]

    agree_with_differences(twice, curved, dtype, f"{row}: forward over forward")
    for rank in range(count):

        def along(h: float, rank: int = rank) -> Any:
            return evaluate(pull, *stepped(values, steps, h), ct)[1 + rank]

        what = f"{row}, operand {rank}"
        agree_with_differences(mixed[rank], along, dtype, f"{what}: forward over reverse")
        agree_with_differences(swapped[rank], along, dtype, f"{what}: reverse over forward")


# --- what law 2 reads ----------------------------------------------------------------------------


def partial_values(row: Primitive, values: Sequence[Any], params: Any) -> list[Any]:
    """The row's own partials, evaluated; a structural zero becomes zeros."""
    builder = Builder()
    inputs = [Value(builder, builder.add_input(f"x{i}", type_of(v))) for i, v in enumerate(values)]
    z = Value(builder, builder.add(row, tuple(v.id for v in inputs), tuple(sorted(params.items()))))
    active = [v.type.is_float for v in inputs]
    partials = partials_of(row, z, inputs, active, params)
    demand(len(partials) == len(values), f"{row} has {len(partials)} partials")
    ids = [_plain(p, z).id for p in partials]
    return list(evaluate(check_graph(builder.freeze(ids)), *values))


def _plain(partial: Any, like: Any) -> Any:
    if partial is None or isinstance(partial, int):
        return full(like, partial or 0)
    if isinstance(partial, Masked):
        return materialise(Masked(partial.mask, _plain(partial.value, like)))
    return partial


def jacobian_values(row: Primitive, values: Sequence[Any], params: Any) -> list[np.ndarray]:
    """d result / d operand for each float operand, of shape result.shape + operand.shape."""
    graph = one_node(row, values, params)
    push = checked(jvp_graph(graph))
    floats = [v for v in values if v.dtype.kind == "f"]
    zeros = [np.zeros_like(v) for v in floats]
    blocks = []
    for position, value in enumerate(floats):
        columns = []
        for entry in np.ndindex(np.shape(value)):
            unit = np.zeros(np.shape(value), value.dtype)
            unit[entry] = 1
            seeds = [*zeros[:position], unit[()], *zeros[position + 1 :]]
            columns.append(evaluate(push, *values, *seeds)[1])
        blocks.append(np.moveaxis(columns, 0, -1).reshape(*np.shape(columns[0]), *np.shape(value)))
    return blocks
