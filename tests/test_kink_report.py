"""The report on kinks: where they are, what the conventions give, and whether it is an element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nonsmooth_cases import PLANE, norm

import calcbench as cb


NAN = np.nan

# (function, point, gradients of PyTorch, JAX and TensorFlow, which of them are elements):
# pytorch#184572, #114234, jax#37820, #37821, #21723; tf.maximum gives all to the first operand.
KNOWN: list[tuple[Any, Any, list[Any], list[bool]]] = [
    (np.abs, 0.0, [0, 1, 0], [True, True, True]),
    (cb.relu, 0.0, [0, 0, 0], [True, True, True]),
    (lambda x: np.maximum(x, 0.0), 0.0, [0.5, 0.5, 1], [True, True, True]),
    (lambda x: cb.relu(x) - cb.relu(-x), 0.0, [0, 0, 0], [False, False, False]),
    (lambda x: np.maximum(x, 0.0) - np.maximum(-x, 0.0), 0.0, [1, 1, 2], [True, True, False]),
    (np.max, np.ones(4), [np.full(4, 0.25)] * 3, [True, True, True]),
    (norm, PLANE, [PLANE, [NAN, NAN], [NAN, NAN]], [True, False, False]),
    (lambda x: np.sqrt(x**2), 0.0, [NAN, NAN, NAN], [False, False, False]),
    (lambda x: np.where(x > 0, 2 * x, 5 * x), 0.0, [5, 5, 5], [True, True, True]),
    (lambda x: np.sort(x)[0], np.ones(2), [[1, 0]] * 3, [True, True, True]),
    (lambda x: cb.relu(norm(x)), PLANE, [PLANE, [NAN, NAN], [NAN, NAN]], [True, False, False]),
]


@pytest.mark.parametrize(("function", "x", "gradients", "inside"), KNOWN)
def test_conventions_of_frameworks(function: Any, x: Any, gradients: Any, inside: Any) -> None:
    report = cb.kink_report(function, x)
    names = ["PyTorch", "JAX", "TensorFlow"]
    for name, gradient, member in zip(names, gradients, inside, strict=True):
        np.testing.assert_allclose(report.gradients[name], gradient)
        assert report.inside[name] == member


def test_the_table_names_lines_and_says_what_is_inside() -> None:
    text = str(cb.kink_report(lambda x: cb.relu(x) - cb.relu(-x), 0.0))
    assert "= relu, recorded at" in text
    assert f"{__name__.rpartition('.')[2]}.py:" in text
    assert "set: {1}" in text
    rows = [line.split() for line in text.splitlines() if line.startswith("PyTorch")]
    assert rows == [["PyTorch", "0.", "no"]]


def test_every_tied_entry_has_a_row() -> None:
    report = cb.kink_report(lambda x: np.sum(np.abs(x)), np.array([0.0, 1.0, 0.0]))
    assert [(row.entry, row.ties) for row in report.rows] == [(0, 2), (2, 2)]
    assert report.rows[0].choices == {
        "PyTorch": "slope 0", "JAX": "slope 1", "TensorFlow": "slope 0",
    }  # fmt: skip


def test_a_smooth_point_has_no_rows_and_one_gradient() -> None:
    report = cb.kink_report(lambda x: np.sum(x**2), np.ones(2))
    assert report.rows == ()
    assert "no kink at this point" in str(report)
    assert all(report.inside.values())


def test_bad_input_is_that_of_subdifferential() -> None:
    with pytest.raises(cb.DerivativeError, match="jumps"):
        cb.kink_report(np.sign, 0.0)
    with pytest.raises(cb.DTypeError, match="pass floats"):
        cb.kink_report(np.abs, 0)
