"""The tape computes what the interpreter computes, for every row, program and kind of output."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from cases import CASES as PROGRAMS, Case
from test_fused import LOOSE, SAMPLES, ULPS, program_graphs, same, sample_graph

from calcbench.graph.arraytype import BOOL, FLOAT32, FLOAT64, INT64
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Graph
from calcbench.graph.primitive import Primitive
from calcbench.lower.opcodes import FAMILIES, LEVELS, RARE, numbering
from calcbench.lower.tape import TapeProgram, prepare_tape
from calcbench.lower.tape_array_texts import array_source
from calcbench.lower.tape_texts import scalar_source


def check(graph: Graph, values: Sequence[Any], ulps: float = LOOSE, **options: Any) -> TapeProgram:
    """The program's results have the interpreter's types and, to `ulps` of the largest, values."""
    program = prepare_tape(graph, **options)
    got = program([np.ascontiguousarray(v) if np.ndim(v) else v for v in values])
    want = evaluate(graph, *values)
    for g, w, i in zip(got, want, graph.outputs, strict=True):
        same(g, np.asarray(w, graph.types[i].dtype), ulps, f"v{i} = {graph.nodes[i].row.name}")
        assert isinstance(g, np.generic) if np.ndim(g) == 0 else g.flags.owndata
    return program


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32, INT64, BOOL], ids=str)
def test_every_row_at_its_samples(dtype: np.dtype) -> None:
    check_rows(dtype, lambda row: dtype == FLOAT64 or row.name not in RARE)


@pytest.mark.deep  # kernels with the rare rows take half a minute to compile
@pytest.mark.parametrize("dtype", [FLOAT32, INT64, BOOL], ids=str)
def test_every_rare_row_at_its_samples(dtype: np.dtype) -> None:
    check_rows(dtype, lambda row: row.name in RARE)


def check_rows(dtype: np.dtype, is_taken: Callable[[Primitive], bool]) -> None:
    for row, sample in SAMPLES:
        if not is_taken(row):
            continue
        graph, values = sample_graph([(row, sample)], dtype)
        if graph.outputs:
            exact = "exact" in row.facts or dtype.kind != "f"
            check(graph, values, 0 if exact else ULPS.get(row.name, LOOSE))


@pytest.mark.parametrize("case", PROGRAMS, ids=lambda case: case.name)
def test_every_sample_program(case: Case) -> None:
    for graph, values in program_graphs(case):
        try:
            evaluate(graph, *values)
        except Exception:
            continue  # no number: not positive definite, an index too large
        check(graph, values, 1e6)


# --- smaller kernels, which the suite need not run: tests compile whole ones ----------------------

CASE = re.compile(r"^ {8}(?:el)?if op == (\d+):\n((?: {12}.*\n)+)", re.MULTILINE)


@pytest.mark.parametrize("make", [array_source, scalar_source])
@pytest.mark.parametrize("family", range(len(FAMILIES)), ids=FAMILIES)
@pytest.mark.parametrize("vectorised", [True, False])
def test_smaller_kernels_are_larger_ones_without_some_cases(
    make: Callable[..., str], family: int, vectorised: bool
) -> None:
    for level, next_level in pairwise(LEVELS):
        some, most = (make(numbering(), family, n, vectorised) for n in (level, next_level))
        cases, more_cases = dict(CASE.findall(some)), dict(CASE.findall(most))
        assert len(cases) > 5
        assert cases.items() < more_cases.items()
        kernels = [text[text.rindex("@jit") :] for text in (some, most)]
        assert CASE.sub("", kernels[0]) == CASE.sub("", kernels[1])
