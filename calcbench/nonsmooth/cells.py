"""The pieces of a function around a point: choices at its kinks, enumerated depth-first.

A piece is a choice at every kink. Its constraints, in directions to first order, are rows R with
R d >= 0. A piece whose rows have an interior is met arbitrarily near the point, so its gradient is
a limit of gradients: an inner piece. A piece can be met at all only if the rows that are exact
(those of piecewise linear switches) have an interior and all of them a point d != 0: these outer
pieces hold every limit of gradients. Norms that vanish get columns of their own.
"""

from __future__ import annotations

import numpy as np

from calcbench.forward_mode.points import Point, Recording
from calcbench.forward_mode.walking import OffPath
from calcbench.graph.arraytype import DerivativeError
from calcbench.nonsmooth.choices import Branch, Choices, DeadEnd, Piece, Search, Widened
from calcbench.nonsmooth.cones import Cone


def pieces_of(point: Point, budget: int, independent: bool) -> Search:
    """All pieces of a function around a point, recording other branches of it as they are met."""
    search = Search(point, budget, independent, recordings=[point.here])
    for recording in search.recordings:  # grows while branches are met
        _explore(search, recording)
    return search


def _explore(search: Search, recording: Recording) -> None:
    stack = [Branch((), _whole_space(search))]
    while stack:
        branch = _widened(search, stack.pop())
        search.waiting = len(stack)
        choices = Choices(search, recording.graph, branch)
        directions = np.eye(search.columns, search.point.size)
        try:
            state = search.point.walk(recording, choices, directions)
        except Widened:
            stack.append(branch)
            continue
        except OffPath as error:
            _look_beside(search, choices.cone, recording, error.node)
            stack += choices.siblings
            continue
        except DeadEnd:
            stack += choices.siblings
            continue
        stack += choices.siblings
        tangent = np.zeros(search.columns) if state.tangent is None else state.tangent
        search.pieces.append(Piece(float(state.value), tangent, choices.cone))
        search.waiting = len(stack)
        search.check_budget()


def _whole_space(search: Search) -> Cone:
    columns = search.columns
    return Cone(np.zeros((0, columns)), np.zeros(0, bool), True, np.ones(columns))


def _widened(search: Search, branch: Branch) -> Branch:
    """The branch with columns for the norms that turned up since."""
    cone, missing = branch.cone, search.columns - branch.cone.rows.shape[1]
    rows = np.pad(cone.rows, ((0, 0), (0, missing)))
    return branch._replace(
        cone=cone._replace(rows=rows, witness=np.pad(cone.witness, (0, missing)))
    )


def _look_beside(search: Search, cone: Cone, recording: Recording, node: int) -> None:
    """Record what the function does in the cone, unless that was looked at already."""
    if search.independent:  # automatic differentiation stays on the recorded branch
        return
    found = search.point.beside(cone.witness[: search.point.size])
    if not any(found.graph == known.graph for known in search.recordings):
        search.recordings.append(found)
    elif found.graph == recording.graph:
        search.missed = True
        if cone.inner:
            raise DerivativeError(
                f"the other side of {recording.graph.place(node)} could not be recorded next to "
                "this point; write the branch with np.where"
            )
