"""Every sample program, traced: value, both modes, second order; together they use all rows."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from cases import CASES, Case
from drawing_samples import ROWS, seeded, stepped
from laws import agree_with_differences, checked, close

import calcbench as cb
from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.checker import check_graph
from calcbench.graph.conventions import kink_convention
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Graph
from calcbench.graph.paths import prepare
from calcbench.graph.rewriting import simplify
from calcbench.graph.tracing import record
from calcbench.graph.trees import leaves_of
from calcbench.reverse_mode.pullback import vjp_graph


PROGRAMS = [pytest.param(case, id=case.name) for case in CASES]
STOPPED = ("stopped",)  # the derivative is not that of the value, on purpose
SINGLE = ("mixed_precision",)  # differences of its gradient carry no digit of a second derivative
SMOOTH_TWICE = [p for p in PROGRAMS if p.id not in STOPPED + SINGLE]


@cache
def traced(case: Case) -> tuple[Graph, list[Any]]:
    """The program as recorded, and the values of its inputs."""
    given = prepare(case.arguments, {}, ())
    trace = record(case.function, given.structure, given.leaves, given.names)
    captured = [np.asarray(c.source)[()] for c in trace.captures]
    return trace.graph, [np.asarray(v)[()] for v in given.leaves] + captured


def steps_of(case: Case, values: list[Any]) -> list[Any]:
    """A direction for every float input; none for what was captured."""
    rng = seeded(case.name)
    count = len(leaves_of(case.arguments))
    drawn = [rng.uniform(-1, 1, np.shape(v)) * (i < count) for i, v in enumerate(values)]
    pairs = zip(drawn, values, strict=True)
    return [d.astype(v.dtype)[()] for d, v in pairs if v.dtype.kind == "f"]


def rebuilt(tree: Any, leaves: Iterator[Any]) -> Any:
    """The tree with other leaves."""
    if isinstance(tree, dict):
        return {k: rebuilt(v, leaves) for k, v in tree.items()}
    if isinstance(tree, tuple):
        return tuple(rebuilt(v, leaves) for v in tree)
    return next(leaves)


def along(case: Case, values: list[Any], steps: list[Any]) -> Callable[[float], Any]:
    """h -> the plain program at its arguments moved by h times the direction."""
    return lambda h: case.function(*rebuilt(case.arguments, iter(stepped(values, steps, h))))


@pytest.mark.parametrize("case", PROGRAMS)
def test_the_graph_computes_what_the_program_computes(case: Case) -> None:
    graph, values = traced(case)
    wanted = case.function(*case.arguments)
    (computed,) = evaluate(check_graph(graph), *values)
    close(computed, wanted, 1e-14 * np.max(np.abs(wanted)), case.name)
    assert np.asarray(computed).dtype == np.asarray(wanted).dtype


@pytest.mark.parametrize("case", PROGRAMS)
def test_rewriting_changes_no_bit(case: Case) -> None:
    graph, values = traced(case)
    simple = checked(graph)
    assert len(simple) <= len(graph)
    for before, after in zip(evaluate(graph, *values), evaluate(simple, *values), strict=True):
        assert np.array_equal(before, after, equal_nan=True)
        assert np.array_equal(np.signbit(before), np.signbit(after))


@pytest.mark.parametrize("case", PROGRAMS)
def test_both_modes_agree_with_differences_of_the_program(case: Case) -> None:
    graph, values = traced(case)
    steps = steps_of(case, values)
    push, pull = checked(jvp_graph(graph)), checked(vjp_graph(graph))
    value, pushed = evaluate(push, *values, *steps)
    ct = seeded(case.name, "ct").uniform(0.5, 1.5, np.shape(value)).astype(value.dtype)[()]
    pulled = evaluate(pull, *values, ct)[1:]
    single = any(v.dtype == np.float32 for v in values)
    terms = [np.asarray(p, float) * s for p, s in zip(pulled, steps, strict=True)]
    scale = sum(np.sum(np.abs(t)) for t in terms) + np.sum(np.abs(pushed * ct))
    tolerance = (1e-4 if single else 1e-11) * scale
    close(np.sum(pushed * ct), sum(np.sum(t) for t in terms), tolerance, f"{case.name}: transpose")
    if case.name not in STOPPED:
        kind = np.float32 if single else np.float64
        agree_with_differences(pushed, along(case, values, steps), kind, case.name)


@pytest.mark.parametrize("case", SMOOTH_TWICE)
def test_second_order_agrees_with_differences_of_first_order(case: Case) -> None:
    graph, values = traced(case)
    steps = steps_of(case, values)
    push, pull = checked(jvp_graph(graph)), checked(vjp_graph(graph))
    ct = np.ones(push.types[push.outputs[0]].shape)[()]
    zeros = [np.zeros_like(s) for s in steps]
    none = np.zeros_like(ct)
    mixed = evaluate(checked(jvp_graph(pull)), *values, ct, *steps, none)[2 + len(steps) :]
    swapped = evaluate(checked(vjp_graph(push)), *values, *steps, none, ct)[2 : 2 + len(steps)]
    twice = evaluate(checked(jvp_graph(push)), *values, *steps, *steps, *zeros)[3]

    def joined(parts: Any) -> Any:
        return np.concatenate([np.ravel(p) for p in parts])

    def gradient(h: float) -> Any:
        return joined(evaluate(pull, *stepped(values, steps, h), ct)[1:])

    agree_with_differences(joined(mixed), gradient, float, f"{case.name}: forward over reverse")
    agree_with_differences(joined(swapped), gradient, float, f"{case.name}: reverse over forward")
    contracted = sum(np.sum(m * s) for m, s in zip(mixed, steps, strict=True))
    scale = sum(np.sum(np.abs(m * s)) for m, s in zip(mixed, steps, strict=True))
    close(np.sum(twice), contracted, 1e-10 * scale + 1e-13, f"{case.name}: forward over forward")


def rows_of(case: Case) -> set[str]:
    """The rows of the program and of its derivatives up to the third order."""
    graph, _ = traced(case)
    used = set()
    for convention in ("min-norm", "left"):
        with kink_convention(convention):
            first = [jvp_graph(graph), vjp_graph(graph)]
            orders = [graph, *first, *map(jvp_graph, first)]
        used |= {node.row.name for g in orders for node in g.nodes}
    return used


def test_together_the_programs_use_every_row() -> None:
    used = set().union(*map(rows_of, CASES))
    assert sorted(set(ROWS) - used) == []


def test_names_are_distinct() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_simplified_derivatives_are_simple_already() -> None:
    """Both transforms return graphs on which rewriting finds nothing left to do."""
    for case in CASES[:8]:
        graph, _ = traced(case)
        for derivative in (jvp_graph(graph), vjp_graph(graph)):
            assert len(simplify(derivative)) == len(derivative)


@pytest.mark.parametrize("transform", [jvp_graph, vjp_graph])
def test_inputs_may_be_named_like_tangents_and_cotangents(transform: Any) -> None:
    graph = cb.trace(lambda x, dx, ct0: x * dx * ct0, 2.0, 3.0, 5.0)
    added = 3 if transform is jvp_graph else 1
    assert len(set(transform(graph).input_names)) == 3 + added
    once = cb.trace(np.sin, 0.5)
    assert len(set(transform(transform(once)).input_names)) == 4
