"""The eight laws of the primitive table, for every row that is registered."""

import contextlib

import pytest
import sympy as sp
from drawing_samples import ROWS, draw, seeded, type_of
from kink_points import KINK_POINTS, law_kinks
from laws import (
    NO_DERIVATIVE_OF_ITS_OWN,
    differentiable,
    law_differences,
    law_second_order,
    law_transpose,
    law_types,
)
from meanings import NEAR_ROOTS, TEXT_EXCEPTIONS, TEXT_ULPS, law_sympy, law_text
from witnesses import WITNESSES, law_witness

from calcbench.graph.arraytype import CalcbenchError
from calcbench.graph.conventions import CONVENTIONS
from calcbench.graph.primitive import Primitive, Sample


CASES = [
    pytest.param(row, sample, id=f"{name}-{rank}")
    for name, row in ROWS.items()
    for rank, sample in enumerate(row.samples)
]
DIFFERENTIABLE = [case for case in CASES if differentiable(*case.values)]
SYMBOLIC = [case for case in CASES if case.values[0].sympy is not None]
WITNESSED = [case for case in CASES if case.values[0].sympy is None]
WRITTEN = [case for case in CASES if case.values[0].scalar is not None]


@pytest.mark.parametrize(("row", "sample"), CASES)
def test_infer_agrees_with_numpy(row: Primitive, sample: Sample) -> None:
    law_types(row, sample)


@pytest.mark.parametrize(("row", "sample"), SYMBOLIC)
def test_value_and_partials_equal_sympy(row: Primitive, sample: Sample) -> None:
    law_sympy(row, sample)


@pytest.mark.parametrize(("row", "sample"), WITNESSED)
def test_rows_without_sympy_equal_their_witness(row: Primitive, sample: Sample) -> None:
    law_witness(row, sample)


@pytest.mark.parametrize(("row", "sample"), DIFFERENTIABLE)
def test_transpose_is_the_transpose(row: Primitive, sample: Sample) -> None:
    law_transpose(row, sample)


@pytest.mark.parametrize(("row", "sample"), DIFFERENTIABLE)
def test_tangent_equals_differences(row: Primitive, sample: Sample) -> None:
    law_differences(row, sample)


@pytest.mark.parametrize(("row", "sample"), DIFFERENTIABLE)
def test_second_order_equals_differences(row: Primitive, sample: Sample) -> None:
    law_second_order(row, sample)


@pytest.mark.parametrize(("row", "sample"), WRITTEN)
def test_element_text_equals_numpy(row: Primitive, sample: Sample) -> None:
    law_text(row, sample)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if "kink" in row.facts])
def test_both_modes_return_the_convention_at_kinks(name: str, convention: str) -> None:
    law_kinks(ROWS[name], convention)


# --- what the table itself must have -------------------------------------------------------------


@pytest.mark.parametrize("name", ROWS)
def test_row_has_samples_and_a_derivative(name: str) -> None:
    row = ROWS[name]
    stated = {
        "elementwise": row.partials,
        "multilinear": row.transposes,
        "linearised": row.jvp,
        "piecewise_constant": True,
        "source": True,
    }
    assert row.samples
    assert stated[row.kind]


@pytest.mark.parametrize("name", [n for n, r in ROWS.items() if isinstance(r.sympy, str)])
def test_sympy_name_exists(name: str) -> None:
    assert callable(getattr(sp, str(ROWS[name].sympy), None))


def test_exactly_the_rows_without_sympy_have_a_witness() -> None:
    assert set(WITNESSES) == {name for name, row in ROWS.items() if row.sympy is None}


def test_exactly_the_kink_rows_have_kink_points() -> None:
    assert set(KINK_POINTS) == {name for name, row in ROWS.items() if "kink" in row.facts}


def test_exceptions_name_rows_and_reasons() -> None:
    reasons = {name: r for t in (TEXT_ULPS, TEXT_EXCEPTIONS) for name, (_, r) in t.items()}
    reasons |= NEAR_ROOTS | NO_DERIVATIVE_OF_ITS_OWN
    reasons |= {name: witness.reason for name, witness in WITNESSES.items()}
    assert set(reasons) <= set(ROWS)
    assert all(reasons.values())


def test_rows_refuse_one_operand_more_or_less() -> None:
    """`concatenate` takes any number."""
    accepted = []
    for name, row in ROWS.items():
        types = [type_of(v) for v in draw(row.samples[0], seeded(name))]
        for wrong in ([*types, *types[-1:]], types[:-1]):
            if types and name != "concatenate":
                with contextlib.suppress(CalcbenchError, TypeError):
                    row.infer(*wrong, **row.samples[0].params)
                    accepted.append(f"{name} of {len(wrong)}")
    assert accepted == []
