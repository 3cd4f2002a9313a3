"""Costs along families of problems: counted exponents, what is printed, and bad input."""

import numpy as np
import pytest

import calcbench as cb
from calcbench import growth
from calcbench.measure.fitting import FitError
from calcbench.measure.mode_charts import memory_fits


BOTH = ("forward", "reverse")


def squares(n):
    return lambda x: np.sum(x * x), np.ones(n)


def deep(depth):
    """A chain from the fourth size on."""

    def function(x):
        for _ in range(depth):
            x = np.sin(x)
        return np.sum(x)

    return function, np.linspace(0.1, 1.0, 40)


def narrow(n):
    return lambda x: np.sum(x * x) * np.linspace(1.0, 2.0, n), np.ones(n)


def stretched(n):
    return lambda t: np.exp(t * np.linspace(0.0, 1.0, n)), np.array(0.5)


def test_operations_grow_as_theory_says():
    """A scalar of n inputs: one reverse sweep costs n, n forward sweeps cost n^2."""
    found = cb.sweep(squares, [16, 32, 64], engines=["numpy"], modes=BOTH, budget=0.001)
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
    assert "peak bytes of reverse mode on numpy ∝ size^" in text
    assert "numpy: forward and reverse mode " in text


def test_operations_through_a_narrow_waist_have_closed_forms():
    """Of s(x) c, with s a sum of n squares: n sweeps of 9 n each, or one product of n by n."""
    found = cb.sweep(narrow, [32, 64, 128], engines=["numpy"], budget=0.001)
    for n, comparison in zip(found.sizes, found.comparisons, strict=True):
        operations = {r.mode: r.operations for r in comparison.records}
        swept = 9 * n * n - 2 * n
        assert operations == {"forward": swept, "reverse": swept, "mixed": n * n + 4 * n}
    assert found.operations["mixed"].exponent == pytest.approx(2.0, abs=0.1)


def test_a_mode_that_some_sizes_lack_is_told_and_has_no_fit():
    modes = ["reverse", "checkpointed"]
    found = cb.sweep(deep, [2, 8, 16, 32], engines=["numpy"], modes=modes, budget=0.001)
    assert set(found.fits) == {("reverse", "numpy")}
    assert set(found.operations) == {"reverse"}
    (said,) = found.missing
    assert said.startswith("checkpointed mode was not taken at 2, so that it has no fit; at 2: ")
    assert said in str(found)


def test_checkpointing_grows_with_its_recomputations():
    found = cb.sweep(deep, [8, 16, 32], engines=["numpy"], modes=["checkpointed"], budget=0.001)
    slots = [c.chosen["checkpointed"].split()[0] for c in found.comparisons]
    assert slots == ["3", "5", "6"]
    assert found.missing == ()
    fixed = cb.sweep(
        deep, [8, 16, 32], engines=["numpy"], modes=["checkpointed"], slots=2, budget=0.001
    )
    assert fixed.operations["checkpointed"].exponent > found.operations["checkpointed"].exponent


def test_memory_along_depth_is_flat_forward_linear_in_reverse_and_a_root_at_most_with_slots():
    found = cb.sweep(deep, [64, 128, 256], engines=["tape"], budget=0.001)
    exponents = {key: fit.exponent for key, fit in memory_fits(found).items()}
    assert exponents["forward", "tape"] == pytest.approx(0.0, abs=0.01)
    assert exponents["reverse", "tape"] == pytest.approx(1.0, abs=0.05)
    assert 0.2 < exponents["checkpointed", "tape"] < 0.55  # a root, beside what is fixed


def test_a_sweep_on_cuda_alone_says_what_to_do_without_a_device(monkeypatch):
    monkeypatch.setattr(growth, "has_device", lambda: False)
    monkeypatch.setattr(growth, "compare_modes", lambda *_, **__: pytest.fail("compared"))
    with pytest.raises(cb.GraphError, match="none is present; name another engine as well, or"):
        cb.sweep(squares, [2, 3, 4], engines=("cuda",))


def test_a_sweep_without_a_mode_that_all_sizes_have_says_why():
    with pytest.raises(cb.GraphError, match=r"mixed mode: no cut .*ask for more modes"):
        cb.sweep(squares, [2, 3, 4], engines=["numpy"], modes=["mixed"], budget=0.001)


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
