"""Costs along families of problems: counted exponents, what is printed, and bad input."""

import numpy as np
import pytest

import calcbench as cb
from calcbench.measure.fitting import FitError


def squares(n):
    return lambda x: np.sum(x * x), np.ones(n)


def stretched(n):
    return lambda t: np.exp(t * np.linspace(0.0, 1.0, n)), np.array(0.5)


def test_operations_grow_as_theory_says():
    """A scalar of n inputs: one reverse sweep costs n, n forward sweeps cost n^2."""
    found = cb.sweep(squares, [16, 32, 64], engines=["numpy"], budget=0.001)
    assert found.operations["reverse"].exponent == pytest.approx(1.0, abs=0.05)
    assert found.operations["forward"].exponent == pytest.approx(2.0, abs=0.05)


@pytest.mark.deep
def test_operations_of_many_outputs_are_the_other_way_round():
    found = cb.sweep(stretched, [16, 32, 64], engines=["numpy"], budget=0.001)
    assert found.operations["forward"].exponent == pytest.approx(1.0, abs=0.05)
    assert found.operations["reverse"].exponent == pytest.approx(2.0, abs=0.05)


def test_the_print_names_sizes_exponents_and_crossovers():
    text = str(cb.sweep(squares, [4, 8, 16], engines=["numpy"], budget=0.001))
    assert text.splitlines()[0].split() == ["mode", "engine", "4", "8", "16", "seconds"]
    assert "operations of forward mode ∝ size^" in text
    assert "numpy: the modes " in text


@pytest.mark.parametrize(
    ("family", "sizes", "error"),
    [
        (squares, [2, 3], FitError),
        (squares, [], FitError),
        (lambda n: np.ones(n), [1, 2, 3], cb.GraphError),
        (lambda n: (np.ones(n), np.ones(n)), [1, 2, 3], cb.GraphError),
    ],
)
def test_what_is_no_family_is_refused(family, sizes, error):
    with pytest.raises(error):
        cb.sweep(family, sizes, engines=["numpy"], budget=0.001)
