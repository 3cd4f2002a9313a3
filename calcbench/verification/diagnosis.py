"""What a wrong gradient looks like: a factor, a transpose, a shift, one entry, a missing term."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


Array = npt.NDArray[np.float64]

LOOSE = 1e-5  # patterns are compared this closely, relative to the largest entry
MOST = 1e9  # a larger factor, or one below its reciprocal, is rounding and no mistake
FACTORS = {
    -1.0: "the sign is reversed",
    2.0: "a factor 2 too many",
    0.5: "a factor 2 is missing",
}


@dataclass(frozen=True)
class Evidence:
    """The candidate and the reference as (outputs, inputs); NaN where no reference was taken."""

    candidate: Array
    reference: Array
    point: Array
    shape: tuple[int, ...]  # of the argument

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        return np.isfinite(self.reference)

    def matches(self, pattern: Array) -> bool:
        """Whether the candidate is this pattern wherever there is a reference for it."""
        known = np.isfinite(pattern)
        if not known.any():
            return False
        scale = float(np.abs(pattern[known]).max())
        return bool(
            np.allclose(self.candidate[known], pattern[known], rtol=LOOSE, atol=LOOSE * scale)
        )


def suspect(evidence: Evidence) -> str:
    """The first pattern that explains the error, in words; "" if none does.

    Parameters
    ----------
    evidence : Evidence

    Examples
    --------
    >>> right = np.array([[1.0, 2.0, 5.0]])
    >>> suspect(Evidence(-right, right, np.ones(3), (3,)))
    'the sign is reversed (candidate = -1 × reference)'
    >>> suspect(Evidence(np.roll(right, 1), right, np.ones(3), (3,)))
    'the entries are shifted by 1'
    """
    for guess in (
        factor,
        transposed,
        rearranged,
        zeros,
        unmasked,
        one_entry,
        multiple_of_point,
        factor_but_one_term,
    ):
        for text in guess(evidence):
            return text
    return ""


def factor(evidence: Evidence) -> Iterator[str]:
    """candidate = c × reference with a telling c."""
    known = evidence.known
    reference, candidate = evidence.reference[known], evidence.candidate[known]
    if not reference.any() or (len(reference) < 2 < evidence.candidate.size):
        return
    c = float(candidate @ reference / (reference @ reference))
    if c == 0 or abs(c - 1) < 10 * LOOSE or not evidence.matches(c * evidence.reference):
        return
    nice = nearest_nice(c)
    if nice is not None:
        yield f"{factor_words(nice)} (candidate = {nice:.6g} × reference)"
    elif candidate.size > 1:
        yield f"candidate = {c:.6g} × reference"


def nearest_nice(c: float) -> float | None:
    """An integer or one over an integer within rounding of c, of a believable size."""
    if not 1 / MOST < abs(c) < MOST:
        return None
    whole = float(round(c)) if abs(c) >= 1 else 1 / float(round(1 / c))
    return whole if abs(c - whole) <= 1e-4 * abs(whole) else None


def factor_words(c: float) -> str:
    if c in FACTORS:
        return FACTORS[c]
    many, count = ("too many", c) if abs(c) > 1 else ("missing", 1 / c)
    sign = ", and the sign is reversed" if c < 0 else ""
    return f"a factor {abs(count):.0f} {many}: a sum in place of a mean, or the reverse{sign}"


def transposed(evidence: Evidence) -> Iterator[str]:
    """A matrix argument's gradient turned round (square or reshaped), or a square Jacobian."""
    outputs, inputs = evidence.candidate.shape
    if len(evidence.shape) == 2 and min(evidence.shape) > 1:
        turned = evidence.reference.reshape(outputs, *evidence.shape).swapaxes(1, 2)
        if evidence.matches(turned.reshape(outputs, inputs)):
            square = evidence.shape[0] == evidence.shape[1]
            yield f"the gradient is transposed{'' if square else ' and reshaped'}"
    if outputs == inputs > 1 and evidence.matches(evidence.reference.T):
        yield "the Jacobian is transposed"


def rearranged(evidence: Evidence) -> Iterator[str]:
    """The right numbers in the wrong places of a vector."""
    if evidence.candidate.shape[1] < 3 or not evidence.known.all():
        return
    for shift in (1, -1):
        if evidence.matches(np.roll(evidence.reference, shift, axis=1)):
            yield f"the entries are shifted by {shift}"
    if evidence.matches(evidence.reference[:, ::-1]):
        yield "the entries are in reverse order"


def one_entry(evidence: Evidence) -> Iterator[str]:
    if not evidence.known.all() or evidence.candidate.size < 3:
        return
    wrong = ~np.isclose(evidence.candidate, evidence.reference, rtol=LOOSE, atol=0.0)
    if wrong.sum() == 1:
        yield "one entry is wrong and the others are right"


def multiple_of_point(evidence: Evidence) -> Iterator[str]:
    """candidate - reference = c × x: the gradient of a squared norm that f has or has not."""
    known = evidence.known
    point = np.broadcast_to(evidence.point, known.shape)[known]
    error = (evidence.candidate - evidence.reference)[known]
    if len(error) < 2 or not point.any() or point.max() == point.min():
        return
    c = float(error @ point / (point @ point))
    if c and np.allclose(error, c * point, rtol=1e-4, atol=1e-6 * np.abs(error).max()):
        word = "lacks" if c < 0 else "has too much of"
        yield f"candidate {word} the term {abs(c):.6g} × x: a quadratic penalty"


def zeros(evidence: Evidence) -> Iterator[str]:
    """Right except for entries left at zero."""
    missing = (evidence.candidate == 0) & (evidence.reference != 0) & evidence.known
    filled = np.where(missing, 0.0, evidence.reference)
    if missing.any() and not missing.all() and evidence.matches(filled):
        yield f"{counted(missing)} zero that should not be"


def unmasked(evidence: Evidence) -> Iterator[str]:
    """Right except for entries on which f does not depend at this point."""
    extra = (evidence.candidate != 0) & (evidence.reference == 0)
    silenced = Evidence(
        np.where(extra, 0.0, evidence.candidate), evidence.reference, evidence.point, evidence.shape
    )
    somewhere = evidence.reference[evidence.known].any()
    if extra.any() and somewhere and silenced.matches(evidence.reference):
        yield f"{counted(extra)} not zero that should be: is a mask or a branch missing?"


def counted(entries: npt.NDArray[np.bool_]) -> str:
    count = int(entries.sum())
    return f"{count} {'entry is' if count == 1 else 'entries are'}"


def factor_but_one_term(evidence: Evidence) -> Iterator[str]:
    """candidate = a × reference + b × x: a wrong factor on the loss and a right penalty."""
    known = evidence.known
    point = np.broadcast_to(evidence.point, known.shape)
    columns = np.stack([evidence.reference[known], point[known]], axis=1)
    if len(columns) < 4 or np.linalg.matrix_rank(columns) < 2:
        return
    a, b = (float(c) for c in np.linalg.lstsq(columns, evidence.candidate[known])[0])
    nice = nearest_nice(a) if a else None
    if nice is not None and evidence.matches(a * evidence.reference + b * point):
        yield f"in all but a quadratic penalty, {factor_words(nice)}"
