"""The outcome of a verification: frozen data that prints as sentences."""

import html
import math
from dataclasses import asdict, dataclass
from typing import Any, NoReturn


PASS, FAIL, UNDECIDED = "pass", "fail", "undecided"
NAMED = 6  # entries that a sentence lists


@dataclass(frozen=True)
class Entry:
    """One entry of the gradient beside its reference, or one direction where index is None.

    `error` is |candidate - reference|; `excess` is the error over the tolerance.
    """

    argument: int
    index: tuple[int, ...] | None
    reference: float
    candidate: float
    bound: float
    tolerance: float
    right: float
    left: float

    @property
    def error(self) -> float:
        return abs(self.candidate - self.reference)

    @property
    def excess(self) -> float:
        if self.error == 0:
            return 0.0
        return self.error / self.tolerance if self.tolerance > 0 <= self.error else math.inf

    @property
    def name(self) -> str:
        """`grad[3]`, `grad[2, 0] of argument 1`, or the words for a random direction."""
        if self.index is None:
            place = "the slope along a random direction"
        else:
            place = entry_name(self.index)
        return f"{place} of argument {self.argument}" if self.argument else place


@dataclass(frozen=True)
class Coverage:
    """How closely the gradient of one argument was looked at."""

    argument: int
    entries: int
    directions: int
    coordinates: tuple[int, ...]  # flat positions in the argument
    size: int
    unresolved: int  # slopes of which the error bound is too wide to say anything
    slopes: int
    miss_probability: float
    wrong: tuple[tuple[int, ...], ...] = ()  # the checked entries that disagree, by index
    right: tuple[tuple[int, ...], ...] = ()  # those that agree
    hidden: tuple[tuple[int, ...], ...] = ()  # those of which noise hides the slope

    @property
    def complete(self) -> bool:
        return len(self.coordinates) == self.size

    @property
    def chance(self) -> str:
        if self.miss_probability == 0:
            return "a 1 % error in any one entry would show in the random directions"
        return (
            "a 1 % error in one entry drawn at random would be missed with probability"
            f" {self.miss_probability:.2g}"
        )

    @property
    def mistakes(self) -> str:
        """Which of the checked entries are wrong, naming the fewer of the wrong and the right."""
        if not self.wrong:
            return ""
        count, of = len(self.wrong), f" of argument {self.argument}" if self.argument else ""
        total = count + len(self.right)
        if not self.right:
            return f"Wrong: all {total} checked entries{of}." if total > 1 else ""
        if count <= len(self.right):
            return f"Wrong: {count} of {total} checked entries{of}: {listed(self.wrong)}."
        return f"Wrong: {count} of {total} checked entries{of}; right: {listed(self.right)}."

    @property
    def sentence(self) -> str:
        where = f"argument {self.argument}: " if self.argument else ""
        if self.complete:
            looked = f"every coordinate and {self.directions} random directions"
            looked += f"; {self.chance}" if self.miss_probability else ""
        else:
            looked = (
                f"{self.directions} random directions and {len(self.coordinates)} of {self.size}"
                f" coordinates; {self.chance}"
            )
        blurred = f"; {self.unresolved} of {self.slopes} slopes drown in noise"
        blurred += f" ({listed(self.hidden)})" if self.hidden else ""
        return f"Checked {where}{looked}{blurred if self.unresolved else ''}."


@dataclass(frozen=True)
class Report:
    """What `verify` found.

    Attributes
    ----------
    verdict : "pass", "fail" or "undecided"
    kind : a short key, stable across versions: "agreement", "mismatch", "kink", …
    reason : one sentence
    worst : the entry with the largest error over tolerance, or None where nothing was compared
    coverage : per argument, what was looked at
    suspicion : what the error looks like, or ""
    witnesses : (name, what it said) pairs: the differences, calcbench's two modes
    notes : further sentences
    evaluations : number of calls of f
    seed : pass it as `rng` to repeat the run
    versions : (name, version) pairs
    """

    verdict: str
    kind: str
    reason: str
    worst: Entry | None = None
    coverage: tuple[Coverage, ...] = ()
    suspicion: str = ""
    witnesses: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    evaluations: int = 0
    seed: int = 0
    versions: tuple[tuple[str, str], ...] = ()

    @property
    def ok(self) -> bool:
        """True for "pass" alone: undecided is not ok."""
        return self.verdict == PASS

    def __bool__(self) -> NoReturn:
        raise TypeError("a Report is neither true nor false (it may be undecided); use report.ok")

    def __repr__(self) -> str:
        worst = f", worst {self.worst.name}" if self.worst is not None else ""
        excess = f" at {self.worst.excess:.3g} × tolerance" if self.worst is not None else ""
        return f"<Report {self.verdict}: {self.kind}{worst}{excess}>"

    def __str__(self) -> str:
        return "\n".join(line for line in self.lines() if line)

    def lines(self) -> list[str]:
        """The sentences of `print(report)`."""
        return [
            f"{self.verdict}: {self.reason}",
            worst_sentence(self.worst, self.verdict, self.kind),
            *(c.mistakes for c in self.coverage if self.verdict == FAIL),
            f"Suspected: {self.suspicion}{full_stop(self.suspicion)}" if self.suspicion else "",
            self.advice,
            *(c.sentence for c in self.coverage),
            *witness_sentences(self.witnesses),
            *self.notes,
            f"{counted(self.evaluations, 'call')} of f; repeat with rng={self.seed}"
            f" ({self.platform}).",
        ]

    @property
    def advice(self) -> str:
        """What to do about a wrong gradient that looks like no common mistake."""
        if self.verdict != FAIL or self.kind != "mismatch" or self.suspicion:
            return ""
        agree = self.witnesses and all(said.startswith("agrees") for _, said in self.witnesses)
        right = "; calcbench.grad(f) has the right values" if agree else ""
        return (
            f"No common mistake: verify the terms of f one by one, each with its gradient{right}."
        )

    @property
    def platform(self) -> str:
        return ", ".join(f"{name} {version}" for name, version in self.versions)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for strict JSON: NaN and infinities are the strings "NaN", "Infinity"."""
        data = asdict(self)
        data["witnesses"], data["versions"] = dict(self.witnesses), dict(self.versions)
        if self.worst is not None:
            data["worst"] |= {"error": self.worst.error, "excess": self.worst.excess}
        plain: dict[str, Any] = plain_data({"schema": 1, "ok": self.ok} | data)
        return plain

    def raise_if_failed(self, *, allow_undecided: bool = False) -> None:
        """Raise unless the verdict is "pass", or "undecided" where that is allowed.

        Raises
        ------
        AssertionError
            With the full text of the report.
        """
        if self.ok or (allow_undecided and self.verdict == UNDECIDED):
            return
        raise AssertionError(str(self))

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


WITHOUT_SLOPE = ("discontinuity", "kink", "rough", "non-finite", "NaN")


def worst_sentence(worst: Entry | None, verdict: str, kind: str) -> str:
    """Both values of the worst entry, and how far apart they are."""
    if worst is None:
        return ""
    head = {FAIL: "Worst entry", UNDECIDED: "In question"}.get(verdict, "Largest discrepancy")
    candidate = f"{head}: {worst.name}: candidate {number(worst.candidate)}"
    if verdict == UNDECIDED and kind in WITHOUT_SLOPE:
        return f"{candidate}, and no slope to compare it with."
    bound = f" ± {worst.bound:.1e}" if math.isfinite(worst.bound) else " (no bound)"
    excess = "" if verdict == UNDECIDED else f"; error {worst.excess:.3g} × tolerance"
    return f"{candidate}, reference {number(worst.reference)}{bound}{excess}."


def witness_sentences(witnesses: tuple[tuple[str, str], ...]) -> list[str]:
    """One sentence for all witnesses that say the same."""
    names: dict[str, list[str]] = {}
    for name, said in witnesses:
        names.setdefault(said, []).append(name)
    return [
        f"Witness {first}: {said}{''.join(f'; {name}: the same' for name in others)}."
        for said, (first, *others) in names.items()
    ]


def listed(indices: tuple[tuple[int, ...], ...]) -> str:
    """The first few entries by name.

    Examples
    --------
    >>> listed(((3,), (5,))), listed(((0, 1),) * 9)[-12:]
    ('grad[3], grad[5]', 'and 3 others')
    """
    shown = ", ".join(entry_name(index) for index in indices[:NAMED])
    more = len(indices) - NAMED
    return f"{shown} and {counted(more, 'other')}" if more > 0 else shown


def entry_name(index: tuple[int, ...]) -> str:
    return f"grad[{', '.join(map(str, index))}]" if index else "grad"


def full_stop(text: str) -> str:
    return "" if text.endswith("?") else "."


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def number(value: float) -> str:
    """Ten digits at most.

    Examples
    --------
    >>> number(0.1), number(-1 / 3), number(float("inf"))
    ('0.1', '-0.3333333333', 'inf')
    """
    return f"{value:.10g}"


def plain_data(value: Any) -> Any:
    """Tuples become lists and non-finite floats strings.

    Examples
    --------
    >>> plain_data({"a": (1, float("nan"), -float("inf"))})
    {'a': [1, 'NaN', '-Infinity']}
    """
    if isinstance(value, dict):
        return {key: plain_data(v) for key, v in value.items()}
    if isinstance(value, tuple | list):
        return [plain_data(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
