"""Instructions of a tape in the order of their nodes, cut into segments: each a kernel call."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from calcbench.lower.opcodes import ANY_FAMILY, FAMILIES, case_facts
from calcbench.lower.tape_encoding import IN_ALL, Encoder
from calcbench.lower.tape_texts import NARROW, narrow_numbers


SLICE = 1 << 20  # entries between two chances to answer Ctrl-C: some milliseconds
BESIDE = 4  # what an instruction takes beside its entries, in entries
IN_A_ROW = 32  # fewer instructions on single numbers stay with the kernel for arrays, as IN_ALL
SCALARS, ARRAYS, FOLDS, CALLOUT = range(4)


class Segment(NamedTuple):
    """The instructions `low` to `high` of a kernel, or the call-outs with these numbers.

    Numbers are places in the records of the kernel, and in the encoder's list of call-outs.
    """

    kernel: int
    family: int
    low: int
    high: int


class Assembly(NamedTuple):
    """The encoded program.

    Attributes
    ----------
    narrow, wide : array of uint32
        Records of the kernel for single numbers, and of the others.
    owners : array of uint32
        The node of each wide record.
    segments : list of Segment
    levels : list of int
        Of each family, the highest level of the cases that are used.
    """

    narrow: np.ndarray
    wide: np.ndarray
    owners: np.ndarray
    segments: list[Segment]
    levels: list[int]


def assemble(encoder: Encoder, words: np.ndarray) -> Assembly:
    """All instructions in order, keys replaced by their words."""
    facts = case_facts(encoder.numbering)[:, :2]
    records = np.array(encoder.records, np.int64).reshape(-1, 12)
    callouts = np.array(encoder.callouts, np.int64)
    is_long = _in_long_runs(encoder.scalars, np.concatenate([records[:, 0], callouts]))
    records = np.concatenate([records, _widened(encoder, facts, ~is_long)])
    records = records[np.argsort(records[:, 0], kind="stable")]
    nodes = encoder.scalars[is_long]
    numbers = encoder.scalar_cases[is_long]
    narrow = np.empty((len(nodes), NARROW), np.uint32)
    narrow[:, 0] = np.array(narrow_numbers(encoder.numbering))[numbers]
    narrow[:, 1:] = words[encoder.scalar_keys[is_long]]
    owner, family, level, folds = records[:, :4].T
    records[:, 5:9] = words[records[:, 5:9]]
    events = np.concatenate(
        [
            _events(nodes, SCALARS, *facts[numbers].T, 1),
            _events(owner, ARRAYS + folds, family, level, records[:, 9]),
            _events(callouts, CALLOUT, ANY_FAMILY, 0, 0),
        ]
    )
    wide = records[:, 4:].astype(np.uint32).reshape(-1)
    segments, levels = _segments(events)
    return Assembly(narrow.reshape(-1), wide, owner.astype(np.uint32), segments, levels)


def _in_long_runs(scalars: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether a scalar instruction is for the kernel of its own."""
    if not len(others):
        return np.ones(len(scalars), np.bool_)
    gap = np.searchsorted(np.sort(others), scalars)
    found = np.bincount(gap, minlength=1)[gap] >= IN_A_ROW
    return found & (np.count_nonzero(found) >= IN_ALL)


def _widened(encoder: Encoder, facts: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Scalar instructions as records of the kernel for arrays."""
    nodes = encoder.scalars[chosen]
    numbers = encoder.scalar_cases[chosen]
    records = np.zeros((len(nodes), 12), np.int64)
    records[:, 0], records[:, 4] = nodes, numbers
    records[:, 1:3] = facts[numbers]
    records[:, 5:9], records[:, 9] = encoder.scalar_keys[chosen], 1
    return records


def _events(nodes: np.ndarray, *rest: np.ndarray | int) -> np.ndarray:
    return np.stack(np.broadcast_arrays(nodes, *rest), axis=1)


def _segments(events: np.ndarray) -> tuple[list[Segment], list[int]]:
    """Cuts where the kernel changes, and after so many entries that a person would wait."""
    order = np.argsort(events[:, 0], kind="stable")
    _, kernel, family, level, cost = events[order].T
    family = _followed(family)
    slices = np.cumsum(cost + BESIDE) // SLICE
    same = [column[1:] == column[:-1] for column in (kernel, family, slices)]
    cuts = np.flatnonzero(~np.logical_and.reduce(same)) + 1
    starts = [0, *cuts.tolist()] if len(events) else []
    kind = np.where(kernel == FOLDS, ARRAYS, kernel)  # these two share one array of records
    first = order - np.searchsorted(np.sort(kind), [SCALARS, ARRAYS, ARRAYS, CALLOUT])[kernel]
    segments = [
        Segment(int(kernel[a]), int(family[a]), int(first[a]), int(first[a]) + b - a)
        for a, b in zip(starts, [*starts[1:], len(events)], strict=False)
    ]
    levels = [int(level[family == f].max(initial=0)) for f in range(len(FAMILIES))]
    return segments, levels


def _followed(family: np.ndarray) -> np.ndarray:
    """What any kernel can do is done by the one before, or by the first."""
    known = family != ANY_FAMILY
    if not known.any():
        return np.zeros_like(family)
    latest = np.maximum.accumulate(np.where(known, np.arange(len(family)), np.argmax(known)))
    return family[latest]
