"""Where to look: directions scaled like the point, whose steps are exact in floating point."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


Array = npt.NDArray[np.float64]

SMALLEST = {"float64": 2.0**-40, "float32": 2.0**-13}  # of the scale of the coordinate
# For measuring noise; the odd factor keeps the samples off the lattice of a quantised f.
SPACINGS = {"float64": (2.0**-40, 1.37 * 2.0**-25), "float32": (2.0**-13,)}


@dataclass(frozen=True)
class Place:
    """A flattened point, its dtype, and a length for each coordinate."""

    point: Array
    dtype: np.dtype[np.floating]
    scales: Array

    @property
    def smallest(self) -> float:
        return SMALLEST[self.dtype.name]

    @property
    def spacings(self) -> tuple[float, ...]:
        return SPACINGS[self.dtype.name]


def place_of(array: npt.NDArray[np.floating]) -> Place:
    """The flattened array with a scale for each coordinate: |x_j|, or what its neighbours suggest.

    Examples
    --------
    >>> place_of(np.array([2.0, -8.0, 0.0])).scales
    array([2., 8., 5.])
    """
    point = np.asarray(array, dtype=np.float64).ravel()
    size = np.abs(point)
    typical = float(np.median(size[size > 0])) if size.any() else 1.0
    scales = np.where(size > 0, np.maximum(size, typical / 1024), typical)
    # The smallest step times the scale must stay a normal number.
    floor = float(np.finfo(array.dtype).tiny) / SMALLEST[array.dtype.name] * 2**12
    return Place(point, array.dtype, np.maximum(scales, floor))


def random_direction(place: Place, rng: np.random.Generator) -> Array:
    """Every coordinate moves, by 0.5 to 1 of its scale: none drowns, no pair surely cancels."""
    size = place.point.size
    return rounded(
        place, rng.choice((-1.0, 1.0), size) * rng.uniform(0.5, 1.0, size) * place.scales
    )


def coordinate_direction(place: Place, index: int) -> Array:
    """One coordinate moves by about its scale."""
    direction = np.zeros(place.point.size)
    direction[index] = place.scales[index]
    return rounded(place, direction)


def rounded(place: Place, direction: Array) -> Array:
    """The nearest direction with x + t d exact for every step t, down to the smallest.

    Without it the rounding of x + t d is an error of the step that no bound on f could see.
    """
    reach = 2 * np.maximum(np.abs(place.point), place.scales).astype(place.dtype)
    with np.errstate(all="ignore"):
        quantum = np.spacing(reach).astype(np.float64) / (place.smallest / 4)
        result = np.round(direction / quantum) * quantum
    return np.asarray(np.where(np.isfinite(result), result, direction))


def displaced(place: Place, direction: Array, step: float) -> npt.NDArray[np.floating]:
    """x + t d in the dtype of x."""
    with np.errstate(all="ignore"):
        return (place.point + step * direction).astype(place.dtype)


def largest_entries(weights: Array, count: int) -> list[int]:
    """Indices of the `count` largest weights, in order of size.

    Examples
    --------
    >>> largest_entries(np.array([1.0, 5.0, 3.0]), 2)
    [1, 2]
    """
    order = np.argsort(-np.nan_to_num(weights, nan=np.inf, posinf=np.inf), kind="stable")
    return [int(j) for j in order[:count]]


def halves(indices: npt.NDArray[np.intp]) -> Iterator[npt.NDArray[np.intp]]:
    """The two halves of a block of coordinates."""
    middle = len(indices) // 2
    yield indices[:middle]
    yield indices[middle:]


def restricted(direction: Array, indices: npt.NDArray[np.intp]) -> Array:
    """The direction with every other coordinate at rest."""
    result = np.zeros_like(direction)
    result[indices] = direction[indices]
    return result
