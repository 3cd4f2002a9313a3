"""Derivatives checked against a complex step in many digits, at sizes that hide no transpose.

With h tiny, Im f(x + ih d)/h is f'(x) d without cancellation (Squire & Trapp 1998), so at 60 digits
and h = 1e-25 about 50 digits are right. A second derivative divides a difference of two such
steps. Agreement in a random direction at random points is agreement of the formulas, for all but a
null set of directions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from calcbench.graph.arraytype import CalcbenchError, Dim
from calcbench.graph.ir import Graph
from calcbench.symbolic.matrices.precise_values import Precision
from calcbench.symbolic.matrices.structures import completed, free_entries


DIGITS, STEP, SECOND_STEP = 60, -25, -12
REQUIRED = 12  # digits; constants such as log 10 are floats in a graph, of 16
_POINTS, _TRIES = 2, 24
_NEGLIGIBLE = 1e-6  # of the value: a derivative smaller than that is compared with it


class CertificateError(CalcbenchError, ArithmeticError):
    """A derivative that could not be checked, or that a check contradicts."""


@dataclass(frozen=True)
class Certificate:
    """What was checked.

    Attributes
    ----------
    sizes : dict of str to int
        The size given to every named dimension, all different.
    points : int
        Random points, each with a random direction.
    digits : int
        Decimal digits in which formula and complex step agree at the worst of them.
    order : int
        1 or 2.
    """

    sizes: dict[str, int]
    points: int
    digits: int
    order: int = 1

    def __str__(self) -> str:
        sizes = ", ".join(f"{k} = {v}" for k, v in self.sizes.items()) or "no named sizes"
        return (
            f"agrees with a complex step in {self.digits} digits at {self.points} random points "
            f"({sizes})"
        )


def certify(
    function: Graph,
    derivative: Graph,
    position: int,
    structures: Mapping[str, str],
    order: int = 1,
    seed: int = 0,
) -> Certificate:
    """Check a derivative, of shape y's axes then x's (twice for order 2), or raise.

    Raises
    ------
    CertificateError
        If formula and complex step disagree, or no point was found at which both are finite.
    """
    shapes = [function.types[i].shape for i in function.inputs]
    best: Certificate | None = None
    for sizes in size_choices(shapes):
        found = _Check(function, derivative, position, structures, order, sizes).digits(seed)
        if found:
            certificate = Certificate(
                {str(k): v for k, v in sizes.items()}, len(found), min(found), order
            )
            best = certificate if best is None or certificate.digits > best.digits else best
            if best.digits >= REQUIRED:
                return best
    if best is None:
        raise CertificateError(
            "the derivative could not be certified: at none of "
            f"{_TRIES} random points do the expression and its derivative have finite real values"
        )
    raise CertificateError(
        f"the derivative found agrees with a complex step in {best.digits} digits only, {REQUIRED} "
        "are required: this is an error of calcbench, please report the expression"
    )


class _Check:
    def __init__(
        self,
        function: Graph,
        derivative: Graph,
        position: int,
        structures: Mapping[str, str],
        order: int,
        sizes: Mapping[Any, int],
    ) -> None:
        self.function, self.derivative, self.position = function, derivative, position
        self.order = order
        self.precision = Precision(DIGITS)
        self.structures = [structures.get(name, "") for name in function.input_names]
        types = [function.types[i] for i in function.inputs]
        self.sizes = sizes
        self.shapes = [tuple(_sized(e, self.sizes) for e in t.shape) for t in types]

    def digits(self, seed: int) -> list[int]:
        """Digits of agreement at the first points where both sides are finite."""
        found: list[int] = []
        for values, direction in itertools.islice(self.draws(seed), _TRIES):
            digits = self.digits_at(values, direction)
            if digits is not None:
                found.append(digits)
            if len(found) == _POINTS:
                break
        return found

    def draws(self, seed: int) -> Iterator[tuple[list[Any], Any]]:
        """Points and directions: mixed signs first, then positive, then smaller."""
        rng = np.random.default_rng(seed)
        kinds = itertools.cycle([(-1.0, 1.0), (0.2, 1.0), (-1.0, 0.25), (0.2, 0.1), (1.5, 1.0)])
        for low, scale in kinds:
            values = [self._value(rng, k, low, scale) for k in range(len(self.shapes))]
            yield values, rng.uniform(-1.0, 1.0, self.shapes[self.position])

    def _value(self, rng: np.random.Generator, k: int, low: float, scale: float) -> Any:
        shape = self.shapes[k]
        value = rng.uniform(low, low + 2.0, shape) * scale
        if len(shape) == 2 and shape[0] == shape[1]:
            value = value + 1.5 * shape[0] * scale * np.eye(shape[0])
        return self.precision.array(completed(value, self.structures[k]))

    def digits_at(self, values: list[Any], direction: Any) -> int | None:
        """Digits of agreement, or None where the function has no real finite value."""
        exact = self.precision.array(direction)
        try:
            measured = self._measured(values, exact)
            formula = self._formula(values, exact)
        except (ZeroDivisionError, ValueError, OverflowError):
            return None
        if measured is None or not _all_finite(self.precision, [measured, formula]):
            return None
        size = max((abs(v) for v in self._value_at(values).ravel()), default=0)
        return _agreement(self.precision, measured, formula, size * _NEGLIGIBLE)

    def _moved(self, values: list[Any], direction: Any, by: Any) -> list[Any]:
        moved = list(values)
        moved[self.position] = values[self.position] + direction * by
        return moved

    def _value_at(self, values: list[Any]) -> Any:
        return np.asarray(self.precision.run(self.function, values, self.sizes), dtype=object)

    def _measured(self, values: list[Any], free: Any) -> Any:
        mp = self.precision.context
        direction = completed(free, self.structures[self.position])
        step = mp.mpf(10) ** STEP
        if any(_imaginary(v) != 0 for v in self._value_at(values).ravel()):
            return None
        if self.order == 1:
            return self._slope(values, direction, step)
        second = mp.mpf(10) ** SECOND_STEP
        above = self._slope(self._moved(values, direction, second), direction, step)
        below = self._slope(self._moved(values, direction, -second), direction, step)
        return (above - below) / (2 * second)

    def _slope(self, values: list[Any], direction: Any, step: Any) -> Any:
        stepped = self._value_at(
            self._moved(values, direction, self.precision.context.mpc(0, step))
        )
        return np.frompyfunc(_imaginary, 1, 1)(stepped) / step

    def _formula(self, values: list[Any], free: Any) -> Any:
        found = self.precision.run(self.derivative, values, self.sizes)
        weights = self._weights(free)
        for _ in range(self.order):
            axes = weights.ndim
            found = np.tensordot(found, weights, axes=axes) if axes else found * weights
        return np.asarray(found, dtype=object)

    def _weights(self, free: Any) -> Any:
        """The direction as the derivative's last axes have it: free entries, others zero."""
        structure = self.structures[self.position]
        if structure == "diagonal":
            return np.diag(free)
        if not structure:
            return free
        return np.where(free_entries(structure, free.shape), free, self.precision.context.zero)


def _sized(extent: Any, sizes: Mapping[Any, int]) -> int:
    return extent if isinstance(extent, int) else sizes[extent]


def size_choices(shapes: Sequence[Sequence[Any]]) -> list[dict[Any, int]]:
    """Different sizes for the named dimensions: 2, 3, 4, ... rising, falling, and turned round.

    Numbers that shapes hold already are left out. det(X'X) is 0 unless X is tall, so that one
    order alone would leave expressions with no point to check at.
    """
    named = list(dict.fromkeys(e for shape in shapes for e in shape if isinstance(e, Dim)))
    taken = {e for shape in shapes for e in shape if isinstance(e, int)}
    sizes = list(itertools.islice((k for k in itertools.count(2) if k not in taken), len(named)))
    turned = [sizes[k:] + sizes[:k] for k in range(1, len(sizes))]
    orders = [sizes, sizes[::-1], *turned]
    return [dict(zip(named, order, strict=True)) for order in orders]


def _imaginary(z: Any) -> Any:
    return z.imag if hasattr(z, "imag") else 0


def _all_finite(precision: Precision, arrays: Sequence[Any]) -> bool:
    return all(precision.context.isfinite(v) for a in arrays for v in np.ravel(a))


def _agreement(precision: Precision, measured: Any, formula: Any, least: Any) -> int:
    """Digits relative to the derivative, or to `least` where it is smaller, as if it is 0."""
    mp = precision.context
    size = max((abs(v) for v in np.ravel(measured)), default=mp.zero)
    size = max(size, least)
    error = max((abs(v) for v in np.ravel(measured - formula)), default=mp.zero)
    if error == 0:
        return DIGITS
    return int(min(DIGITS, max(0, -mp.log10(error / size)))) if size else 0
