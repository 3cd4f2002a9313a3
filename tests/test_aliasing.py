"""Writing in place to traced arrays: NumPy's values, or an error, and never a different number."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

import calcbench as cb
from calcbench.graph.aliasing import Alias


VECTOR = np.array([1.0, 2.0, 0.5, -1.0, 3.0, 4.0])
MATRIX = VECTOR.reshape(2, 3).copy()

# Expressions of an array: views, copies, and things of which NumPy decides whether they are views.
EXPRESSIONS = """
a | +a | a[1:4] | a[::-1] | a[:] | a[...] | a[::2] | a[None] | a[0] | a[-1] | a[[0, 1]] | a[a > 0.7]
a.T | a.mT | a.real | a.copy() | a.flatten() | a.ravel() | a.reshape(-1) | a.squeeze()
a.swapaxes(0, -1) | a.transpose() | a.astype(float) | a.astype(float, copy=False)
a.take([0], axis=0) | a.sum(axis=()) | a + 1.0 | a * b.sum() | abs(a) | a**1
np.array(a) | np.copy(a) | np.ravel(a) | np.reshape(a, -1) | np.transpose(a) | np.swapaxes(a, 0, -1)
np.moveaxis(a, 0, -1) | np.expand_dims(a, 0) | np.squeeze(a) | np.squeeze(a, axis=()) | np.flip(a)
np.fliplr(a[None]) | np.rot90(a[None]) | np.rollaxis(a, 0) | np.matrix_transpose(a) | np.real(a)
np.linalg.matrix_transpose(a) | np.linalg.diagonal(a[None]) | np.diagonal(a[None]) | np.diag(a)
np.diagflat(a) | np.atleast_1d(a) | np.atleast_2d(a) | np.atleast_3d(a) | np.atleast_1d(a, b)[1]
np.broadcast_to(a, a.shape) | np.broadcast_arrays(a, b)[1] | np.meshgrid(a, indexing="ij")[0]
np.split(a, [1])[0] | np.array_split(a, 1)[0] | np.einsum("...->...", a) | np.einsum("...j->...", a)
np.concatenate([a, a]) | np.stack([a, a])[0] | np.hstack([a]) | np.vstack([a]) | np.block([a])
np.array([a]) | list(a)[0] | next(iter(a)) | np.append(a, []) | np.delete(a, []) | np.tile(a, 1)
np.repeat(a, 1) | np.roll(a, 0) | np.pad(a, 0) | np.take(a, [0, 1], axis=0) | np.tril(a)
np.compress([True], a, axis=0) | np.where(True, a, 0.0) | np.maximum(a, a) | np.positive(a)
np.clip(a, None, 100.0) | np.sort(a) | np.round(a, 20) | np.nan_to_num(a) | np.cumsum(a)
np.sum(a, axis=()) | np.max(a, axis=()) | np.zeros_like(a) + a | np.full_like(a, 2.0)
"""
WRITES = """
a[0] = b.sum() | a[1:3] = 2.0 | a[...] = b.sum() | a[:] = a[::-1] | a[-1] = b.ravel()[0]
a[0] += 3.0 | a[1:] *= 2.0 | a[::2] /= 2.0 | a[0] **= 2 | a[[0, 0]] += 1.0 | a[a > 1.0] = 0.5
a[0], a[1] = a[1], a[0] | a[[0, 1]] = a[[1, 0]] | a += 1.0 | a *= b.sum() | a -= a | a.T[0] = 1.0
a.ravel()[0] = 7.0 | a[0:2][0] = 3.0 | t = a[1:3]; t *= 2.0; a[0:2] = t
t = a[1:3]; t *= 2.0; a[1:3] = t; a[1] = 5.0; c = t + 1.0 | np.add(a, 1.0, out=a) | a.fill(1.0)
a.sort() | a.flat[0] = 1.0 | np.copyto(a, 1.0) | np.put(a, [0], 1.0) | np.add.at(a, 0, 1.0)
for v in a: v += 1.0
"""


def listed(text: str) -> list[str]:
    """The entries of a table of programs."""
    return [entry.strip() for line in text.strip().splitlines() for entry in line.split("|")]


def random_program(draw: random.Random) -> str:
    """A function that names arrays, writes to some, and returns them all."""
    lines, names = [], ["x"]
    for number in range(draw.randint(2, 7)):
        a, b = draw.choice(names), draw.choice(names)
        lines.append(f"a, b = {a}, {b}")
        if draw.random() < 0.55:
            names.append(f"v{number}")
            lines.append(f"{names[-1]} = {draw.choice(listed(EXPRESSIONS))}")
        else:
            lines += [draw.choice(listed(WRITES)), f"{a} = a"]
    body = "\n    ".join([*lines, f"return ({', '.join(names)},)"])
    return f"def program(x):\n    {body}\n"


def defined(source: str) -> Callable[[np.ndarray], Any]:
    """The function that a source text defines."""
    scope: dict[str, Any] = {"np": np}
    exec(source, scope)  # noqa: S102
    return scope["program"]


def outcome(source: str, at: np.ndarray) -> str:
    """How the traced program compares with NumPy's run of it."""
    program = defined(source)
    try:
        with np.errstate(all="ignore"):
            expected = program(at.copy())
    except (ValueError, IndexError, TypeError, AttributeError, np.exceptions.AxisError):
        return "no program"
    try:
        found = cb.jvp(program, at, np.ones_like(at))[0]
    except (cb.CalcbenchError, AttributeError):
        return "refused"
    return "same" if all(map(equal, found, expected)) else "different"


def equal(a: Any, b: Any) -> bool:
    return np.shape(a) == np.shape(b) and np.array_equal(a, b, equal_nan=True)


@pytest.mark.parametrize("block", range(6))
def test_random_programs_give_numpys_values_or_are_refused(block):
    seen: Counter[str] = Counter()
    for seed in range(300 * block, 300 * (block + 1)):
        draw = random.Random(seed)
        source = random_program(draw)
        result = outcome(source, VECTOR if draw.random() < 0.6 else MATRIX)
        assert result != "different", source
        seen[result] += 1
    assert seen["same"] > 60, seen  # the comparison is not vacuous


def test_the_comparison_sees_views_that_are_taken_for_copies(monkeypatch):
    monkeypatch.setattr(Alias, "check", lambda self, value: None)
    found = [outcome(random_program(random.Random(seed)), VECTOR) for seed in range(100)]
    assert "different" in found


@pytest.mark.parametrize("at", [VECTOR, MATRIX], ids=["vector", "matrix"])
@pytest.mark.parametrize("expression", listed(EXPRESSIONS))
@pytest.mark.parametrize("write", ["a[0] = 9.0", "v[0] = 9.0", "v += 1.0", "a += 1.0"])
def test_every_expression_is_a_view_or_a_copy_as_in_numpy(expression, write, at):
    source = f"def program(x):\n    a = b = x\n    v = {expression}\n    {write}\n    return x, v\n"
    assert outcome(source, at) != "different"


# Programs that must not be refused: copies may be written to, and updates may be stored back.
ACCEPTED = [
    "v = x.copy(); v[0] = 5.0; return x * v",
    "v = 2.0 * x; w = v; w += x; return v * w",
    "v = np.hstack([x]); v[0] = 5.0; return x * v",
    "v = +x; v[1:] = 0.0; return x + v",
    "v = np.sum(x, axis=()); v += 1.0; return x * v",
    "v = x * 1.0; v[1:] *= 2.0; return v",
    "v = x * 1.0; v[v < 0.7] = 0.0; return v",
    "v = x * 1.0; v[[0, 1]] = v[[1, 0]]; return v",
    "v = x * 1.0; v[0], v[1] = v[1], v[0]; return v",
    "v = np.zeros(6) + 0 * x\n    for i in range(6): v[i] = x[i] ** 2\n    return v",
    "v = x * 1.0; t = v[1:3]; t *= 2.0; v[1:3] = t; return v + t.sum()",
    "v = np.diag(x); v[0, 1] = 3.0; return v @ x",
    "v = x * 1.0; w = v[1:].copy(); v[2] = 7.0; return v[1:] * w",
    "v = x * 1.0; n = v[1:] * 2.0; v[2] = 7.0; return n",
]


@pytest.mark.parametrize("body", ACCEPTED)
def test_updates_that_are_accepted_have_numpys_value_and_derivative(body):
    program = defined(f"def program(x):\n    {body}\n")
    value, tangent = cb.jvp(program, VECTOR, np.ones(6))
    np.testing.assert_array_equal(value, program(VECTOR.copy()))
    h = 1e-7
    expected = (program(VECTOR + h) - program(VECTOR - h)) / (2 * h)
    np.testing.assert_allclose(tangent, expected, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(cb.jacrev(program)(VECTOR) @ np.ones(6), tangent, rtol=1e-12)


REFUSED = {
    "v = x[1:]; v[0] = 1.0; return x": "writing through a view",
    "v = x[1:]; x[1] = 1.0; return v": "is a view of an array that was written to since",
    "v = x[1:]; v *= 2.0; return x": "was updated in place and not stored back",
    "v = x[1:3]; v *= 2.0; x[0:2] = v; return x": "was updated in place and not stored back",
    "v = x[1:3]; v *= 2.0; x[1:3] = v; x[1] = 0.0; return v": "was written to since",
    "v = np.einsum('i->i', x); x[0] = 1.0; return v": "was written to since",
    "v = np.diag(x[:4].reshape(2, 2)); x[0] = 1.0; return v": "was written to since",
}


@pytest.mark.parametrize("body", REFUSED)
def test_writes_to_shared_memory_are_refused_in_these_words(body):
    with pytest.raises(cb.TraceError, match=REFUSED[body]):
        cb.jacobian(defined(f"def program(x):\n    {body}\n"))(VECTOR)


def test_a_failed_store_leaves_the_array_as_it_was():
    def program(x):
        v = 1.0 * x
        with suppress(ValueError):
            v[0:2] = np.ones(3)
        return np.sum(v**2)

    np.testing.assert_array_equal(cb.grad(program)(VECTOR), 2 * VECTOR)
