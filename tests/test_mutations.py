"""The laws bite: faults are injected into every row in turn, and some law must fail for each."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from drawing_samples import ROWS
from kink_points import KINK_POINTS, law_kinks
from laws import (
    Law,
    differentiable,
    law_differences,
    law_second_order,
    law_transpose,
    law_types,
)
from meanings import law_sympy, law_text
from mutants import Mutant, mutants
from witnesses import law_witness

from calcbench.graph.conventions import CONVENTIONS
from calcbench.graph.primitive import Primitive, Sample


# Mutants that compute the same as the row, by row and start of the fault, with the reason.
EQUIVALENT: dict[tuple[str, str], str] = {
    ("fill", "numpy: reversed"): "all entries of a fill are equal",
    ("larger_share", "text: +"): "that branch holds for NaN only, and answers NaN",
    ("maximum", "text: >="): "at a tie both operands are the answer",
    ("minimum", "text: <="): "at a tie both operands are the answer",
    ("sigmoid", "text: >="): "exp(-0) is the 1 of the other branch",
    ("select", "partial 0"): "a condition is a truth value and has no derivative",
}
SYMMETRIC = ("equal", "not_equal", "logical_and", "logical_or", "logical_xor")
# Where the first derivative is locally constant, freezing it changes nothing.
PIECEWISE_LINEAR = (
    "abs", "add", "concatenate", "full_rank", "max", "maximum", "min", "minimum", "negative",
    "relu", "remainder", "select", "sort", "subtract",
)  # fmt: skip


def kink_law(row: Primitive, sample: Sample) -> None:
    """Law 8 under every convention."""
    for convention in CONVENTIONS:
        law_kinks(row, convention)


def laws_of(row: Primitive) -> Iterator[tuple[Law, Sample]]:
    """The laws that tests/test_table.py runs for the row, each with each sample it runs on."""
    value = law_witness if row.sympy is None else law_sympy
    smooth = (law_transpose, law_differences, law_second_order)
    for sample in row.samples:
        yield law_types, sample
        if row.scalar is not None:
            yield law_text, sample
        if differentiable(ROWS[row.name], sample):
            yield from ((law, sample) for law in smooth)
        yield value, sample
    if row.name in KINK_POINTS:
        yield kink_law, row.samples[0]


def killer(mutant: Mutant) -> str | None:
    """The law that the mutant breaks first, or None if it survives."""
    for law, sample in laws_of(mutant.row):
        try:
            law(mutant.row, sample)
        except Exception:  # a mutant may break in any way; any of them fails a test of the table
            return law.__name__
    return None


def reason_of_equivalence(name: str, fault: str) -> str | None:
    """Why this mutant is no fault, if it is none."""
    row = ROWS[name]
    if fault.endswith("swapped") and ("commutative" in row.facts or name in SYMMETRIC):
        return "the row is symmetric in its operands"
    if fault.endswith("frozen") and name in PIECEWISE_LINEAR:
        return "the first derivative is locally constant"
    if fault.startswith("transpose ") and fault.endswith("dropped") and row.kind == "linearised":
        return "the transpose of the tangent rule takes its place"
    found = [why for (n, start), why in EQUIVALENT.items() if n == name and fault.startswith(start)]
    return found[0] if found else None


class Outcome(NamedTuple):
    """What became of the mutants of one row: fault -> law, fault -> excuse, and the rest."""

    killed: dict[str, str]
    excused: dict[str, str]
    survivors: list[str]


def outcome(name: str) -> Outcome:
    """Run every mutant of the row against the laws."""
    laws = {m.fault: killer(m) for m in mutants(ROWS[name])}
    killed = {fault: law for fault, law in laws.items() if law is not None}
    excuses = {fault: reason_of_equivalence(name, fault) for fault in laws}
    excused = {fault: why for fault, why in excuses.items() if why is not None}
    return Outcome(killed, excused, [f for f in laws if f not in killed | excused])


def line(name: str, found: Outcome) -> str:
    """One line of the table of mutants."""
    total = len(found.killed | found.excused) + len(found.survivors)
    by_law = ", ".join(f"{law} {n}" for law, n in Counter(found.killed.values()).items())
    return f"{name:18}{total:4} mutants{len(found.killed):4} killed ({by_law})"


@pytest.mark.parametrize("name", ROWS)
def test_every_mutant_is_killed(name: str) -> None:
    assert killer(Mutant("none", ROWS[name])) is None, "the row itself breaks a law"
    faults = [m.fault for m in mutants(ROWS[name])]
    assert len(faults) == len(set(faults))
    found = outcome(name)
    print(line(name, found))
    assert not found.survivors
    assert not set(found.excused) & set(found.killed), "an excused mutant is killed"


def test_excuses_name_mutants_that_exist() -> None:
    for name, start in EQUIVALENT:
        assert any(m.fault.startswith(start) for m in mutants(ROWS[name])), (name, start)


def test_the_modes_alone_would_not_see_a_wrong_partial() -> None:
    """Both read the same partial, so <ct, J dx> = <J^T ct, dx> holds for a wrong one as well."""
    row = ROWS["sin"]
    wrong = next(m.row for m in mutants(row) if m.fault == "partial 0: wrong sign")
    law_transpose(wrong, row.samples[1])
    for law in (law_sympy, law_differences):
        with pytest.raises(AssertionError):
            law(wrong, row.samples[1])


def test_every_law_kills_something() -> None:
    """A law that no mutant breaks would be a test that cannot fail."""
    wanted: dict[Callable[..., None], tuple[str, str]] = {
        law_types: ("sin", "infer: another dtype"),
        law_sympy: ("sin", "partial 0: wrong sign"),
        law_witness: ("argmax", "numpy: one too large"),
        law_transpose: ("flip", "transpose 0: identity"),
        law_differences: ("max", "tangent: negated"),
        law_second_order: ("sin", "partial 0: frozen"),
        law_text: ("sin", "text: math.sin"),
        kink_law: ("abs", "partial 0: dropped"),
    }
    for law, (name, start) in wanted.items():
        wrong = next(m.row for m in mutants(ROWS[name]) if m.fault.startswith(start))
        with pytest.raises(AssertionError):
            law(wrong, wrong.samples[1])


if __name__ == "__main__":  # the table of mutants, as `python tests/test_mutations.py`
    for row_name in ROWS:
        print(line(row_name, outcome(row_name)))
