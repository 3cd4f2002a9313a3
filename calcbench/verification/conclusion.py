"""From comparisons to the report: the verdict, the worst entry, what it looks like."""

import platform
import sys
from dataclasses import dataclass

import numpy as np

from calcbench.verification.diagnosis import Evidence, suspect
from calcbench.verification.differences import SMOOTH
from calcbench.verification.inputs import Fault
from calcbench.verification.observation import Case
from calcbench.verification.report import (
    FAIL,
    UNDECIDED,
    Coverage,
    Entry,
    Report,
    entry_name,
    number,
)
from calcbench.verification.survey import Subject
from calcbench.verification.verdicts import (
    AGREE,
    DIFFER,
    DISPUTED,
    OUTSIDE,
    UNRESOLVED,
    Comparison,
    Decision,
    decide,
    miss_probability,
)
from calcbench.verification.witnesses import Testimony


@dataclass(frozen=True)
class Finding:
    """One argument looked at: the subject, every comparison, what the modes said."""

    subject: Subject
    comparisons: list[Comparison]
    testimonies: list[Testimony]


def conclude(case: Case, findings: list[Finding]) -> Report:
    comparisons = [c for finding in findings for c in finding.comparisons]
    zero = [f.subject.argnum for f in findings if not f.subject.matrix.any()]
    decision = decide(comparisons, zero)
    by_argument = {finding.subject.argnum: finding for finding in findings}
    return Report(
        decision.verdict,
        decision.kind,
        decision.reason,
        worst=entry_of(decision, by_argument),
        coverage=tuple(coverage_of(finding) for finding in findings),
        suspicion=suspicion_of(decision, by_argument),
        witnesses=tuple(words for finding in findings for words in testimony_words(finding)),
        notes=notes_of(case, findings),
        evaluations=case.counter.calls,
        seed=case.seed,
        versions=versions(),
    )


def stopped(case: Case, fault: Fault) -> Report:
    return Report(
        UNDECIDED if fault.undecided else FAIL,
        fault.key,
        fault.sentence,
        evaluations=case.counter.calls,
        seed=case.seed,
        versions=versions(),
    )


def entry_of(decision: Decision, findings: dict[int, Finding]) -> Entry | None:
    """The deciding comparison as an entry of the gradient: values divided by the step length."""
    comparison, k = decision.comparison, decision.output
    if comparison is None:
        return None
    subject, slope = findings[comparison.argument].subject, comparison.slope
    length, index = 1.0, None
    if comparison.coordinate is not None:
        length = float(comparison.direction[comparison.coordinate])
        index = entry_index(subject, k, comparison.coordinate)
    return Entry(
        comparison.argument,
        index,
        reference=float(slope.central.value[k]) / length,
        candidate=entry_value(comparison, k, subject),
        bound=float(slope.central.error[k]) / length,
        tolerance=float(comparison.tolerance[k]) / length,
        right=float(slope.right.value[k]) / length,
        left=float(slope.left.value[k]) / length,
    )


def entry_value(comparison: Comparison, output: int, subject: Subject) -> float:
    """The candidate's own entry, not its product with the step that was taken."""
    if comparison.coordinate is None:
        return float(comparison.candidate[output])
    return float(subject.matrix[output, comparison.coordinate])


def entry_index(subject: Subject, output: int, coordinate: int) -> tuple[int, ...]:
    """Position in the gradient array, of shape out.shape + in.shape."""
    shape = subject.problem.array(subject.argnum).shape
    parts = np.unravel_index(output, subject.output.shape), np.unravel_index(coordinate, shape)
    return tuple(int(i) for part in parts for i in part)


def coverage_of(finding: Finding) -> Coverage:
    subject, comparisons = finding.subject, finding.comparisons
    coordinates = {c.coordinate for c in comparisons if c.coordinate is not None}
    return Coverage(
        subject.argnum,
        entries=subject.matrix.size,
        directions=sum(c.coordinate is None for c in comparisons),
        coordinates=tuple(sorted(coordinates)),
        size=subject.place.point.size,
        unresolved=sum(int(np.isin(c.outcome, (UNRESOLVED, DISPUTED)).sum()) for c in comparisons),
        slopes=sum(c.outcome.size for c in comparisons),
        miss_probability=miss_probability(subject.matrix, subject.place.scales, comparisons),
        wrong=entries_with(finding, (DIFFER, OUTSIDE)),
        right=entries_with(finding, (AGREE,)),
        hidden=entries_with(finding, (UNRESOLVED, DISPUTED)),
    )


def entries_with(finding: Finding, outcomes: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """The entries among the checked coordinates that came out as one of these, in order."""
    return tuple(
        sorted(
            entry_index(finding.subject, int(output), comparison.coordinate)
            for comparison in finding.comparisons
            if comparison.coordinate is not None
            for output in np.flatnonzero(np.isin(comparison.outcome, outcomes))
        )
    )


def suspicion_of(decision: Decision, findings: dict[int, Finding]) -> str:
    if decision.kind != "mismatch" or decision.comparison is None:
        return ""
    finding = findings[decision.comparison.argument]
    subject, reference = finding.subject, np.full(finding.subject.matrix.shape, np.nan)
    for c in finding.comparisons:
        if c.coordinate is not None:
            smooth = c.slope.status == SMOOTH
            slope = np.where(smooth, c.slope.central.value, np.nan)
            reference[:, c.coordinate] = slope / c.direction[c.coordinate]
    shape = subject.problem.array(subject.argnum).shape
    return suspect(Evidence(subject.matrix, reference, subject.place.point, shape))


def testimony_words(finding: Finding) -> list[tuple[str, str]]:
    argnum = finding.subject.argnum
    where = f" (argument {argnum})" if argnum else ""
    return [(testimony.name + where, testimony.said) for testimony in finding.testimonies]


def notes_of(case: Case, findings: list[Finding]) -> tuple[str, ...]:
    notes = [words for finding in findings for words in disputes(finding)]
    if case.counter.trouble:
        notes.append(f"f failed at some points beside x ({case.counter.trouble}); left out.")
    coarse = max(finding.subject.rtol for finding in findings)
    if case.options.rtol is None and coarse > 1e-6:
        notes.append(f"float32 is involved: errors below {coarse:.1e} of an entry are not seen.")
    return tuple(notes)


def disputes(finding: Finding) -> list[str]:
    """What reverse mode has in place of the entries that it denies."""
    subject = finding.subject
    rows = [
        t.row / t.weights[0]
        for t in finding.testimonies
        if t.row is not None and t.weights is not None
    ]
    return [
        f"Reverse mode gives {number(float(rows[0][c.coordinate]))} for"
        f" {entry_name(entry_index(subject, 0, c.coordinate))}, below the noise of f."
        for c in finding.comparisons
        if c.coordinate is not None and rows and subject.output.flat.size == 1 and c.has(DISPUTED)
    ]


def versions() -> tuple[tuple[str, str], ...]:
    package = getattr(sys.modules.get("calcbench"), "__version__", "unknown")
    return (
        ("calcbench", str(package)),
        ("numpy", np.__version__),
        ("python", platform.python_version()),
    )
