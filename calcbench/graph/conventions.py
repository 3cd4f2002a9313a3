"""The value that a derivative takes at each kink, as data: one table for every spelling."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Kink(NamedTuple):
    """One kind of kink: the interval of its one-sided slopes, left slope first.

    `left` and `right` are the limits of the derivative from below and from above the kink; their
    hull is the Clarke subdifferential of the elementary function (Clarke 1983, §2.1).
    """

    left: float
    right: float
    note: str

    @property
    def interval(self) -> tuple[float, float]:
        """The Clarke subdifferential, as (lower end, upper end)."""
        return min(self.left, self.right), max(self.left, self.right)


# A kink where one operand is differentiated. relu(x), maximum(x, c), maximum(c, x), clip at its
# lower bound and where(x > c, x, c) are all "max"; clip at its upper bound is "min".
KINKS: dict[str, Kink] = {
    "abs": Kink(-1.0, 1.0, "abs(x) at 0"),
    "max": Kink(0.0, 1.0, "relu(x), maximum(x, c) and where(x > c, x, c) at x == c"),
    "min": Kink(1.0, 0.0, "minimum(x, c) and where(x < c, x, c) at x == c"),
}

CONVENTIONS = ("min-norm", "left", "right", "zero", "mid")

_current: ContextVar[str] = ContextVar("kink_convention", default="min-norm")


def check_convention(name: str) -> str:
    """`name` if it is a convention, else an error that lists them."""
    if name not in CONVENTIONS:
        raise ValueError(
            f"unknown kink convention {name!r}; choose one of {', '.join(CONVENTIONS)}"
        )
    return name


def current_convention() -> str:
    """The convention in force here."""
    return _current.get()


@contextmanager
def kink_convention(name: str) -> Iterator[None]:
    """Choose what derivatives return at kinks, for the code inside the ``with`` block.

    Parameters
    ----------
    name : {"min-norm", "left", "right", "zero", "mid"}
        ``min-norm`` (the default) is the element of smallest norm of the subdifferential,
        ``left`` and ``right`` its one-sided ends, ``mid`` the midpoint of those ends and ``zero``
        the number 0 whether or not it belongs to the set. Where several differentiated operands
        tie, ``min-norm`` and ``mid`` share equally, ``left`` gives all to the first and ``right``
        all to the last of them.

    Raises
    ------
    ValueError
        If `name` is none of these.

    Examples
    --------
    >>> import calcbench as cb
    >>> float(cb.grad(cb.relu)(0.0))
    0.0
    >>> with cb.kink_convention("right"):
    ...     float(cb.grad(cb.relu)(0.0))
    1.0
    """
    token = _current.set(check_convention(name))
    try:
        yield
    finally:
        _current.reset(token)


def slope_at(kink: str) -> float:
    """Derivative to return at a kink of the kind `kink`, under the current convention."""
    left, right, _ = KINKS[kink]
    low, high = KINKS[kink].interval
    chosen = {
        "min-norm": min(max(0.0, low), high),
        "left": left,
        "right": right,
        "zero": 0.0,
        "mid": (left + right) / 2,
    }
    return chosen[current_convention()]


def tie_share(first: bool) -> float:
    """Share of the first (or second) of two differentiated operands that tie in max or min."""
    shares = {"left": (1.0, 0.0), "right": (0.0, 1.0), "zero": (0.0, 0.0)}
    return shares.get(current_convention(), (0.5, 0.5))[0 if first else 1]
