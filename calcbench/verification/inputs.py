"""What may come in: the point, the value of f and the gradient, checked and copied."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from calcbench.graph.arraytype import DTypeError, ShapeError


Array = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.floating]

FLOATS = ("float64", "float32")
ADVICE = {
    "i": "integers have no neighbours to compare with: write 3.0 or pass x.astype(float)",
    "u": "integers have no neighbours to compare with: write 3.0 or pass x.astype(float)",
    "b": "a truth value has no derivative: pass x.astype(float) if 0.0 and 1.0 are meant",
    "c": "complex numbers are not supported yet: pass real and imaginary part as two arguments",
    "O": "an object array hides its numbers: convert it with np.asarray(x, dtype=float)",
    "f": "use float64, or float32 where the function needs it",
}


@dataclass(frozen=True)
class Problem:
    """The arguments of f, own copies; which of them to differentiate; how the caller asked."""

    arguments: tuple[Any, ...]
    argnums: tuple[int, ...]
    single: bool  # argnums was an int: the gradient comes bare, not in a tuple

    def array(self, argnum: int) -> FloatArray:
        return np.asarray(self.arguments[argnum])

    def fresh(self) -> list[Any]:
        """Copies of the arguments to hand out."""
        return [copied(argument) for argument in self.arguments]

    def handed(self, argnum: int, flat: FloatArray) -> Any:
        """A flat point as the type and shape that the caller gave: a scalar stays a scalar."""
        original = self.arguments[argnum]
        if isinstance(original, np.ndarray):
            return flat.reshape(original.shape)
        return original.dtype.type(flat[0])


def copied(argument: Any) -> Any:
    return argument.copy() if isinstance(argument, np.ndarray) else argument


def read_problem(at: Any, argnums: int | tuple[int, ...]) -> Problem:
    """One array, or a tuple of arguments, and the positions to differentiate.

    Raises
    ------
    TypeError
        For a dtype or type without a derivative, and for argnums that are not integers.
    ValueError
        For argnums out of range or repeated.
    """
    given = at if isinstance(at, tuple) else (at,)
    single = not isinstance(argnums, tuple)
    positions = tuple(read_position(k, len(given)) for k in as_tuple(argnums))
    if not positions or len(set(positions)) < len(positions):
        raise ValueError(f"argnums={argnums!r}: give at least one position and each only once")
    arguments = tuple(
        read_point(value, f"argument {k}") if k in positions else copied(value)
        for k, value in enumerate(given)
    )
    return Problem(arguments, positions, single)


def as_tuple(argnums: int | tuple[int, ...]) -> tuple[int, ...]:
    return argnums if isinstance(argnums, tuple) else (argnums,)


def read_position(position: Any, count: int) -> int:
    if isinstance(position, bool) or not isinstance(position, int | np.integer):
        raise TypeError(f"argnums must be an int or a tuple of ints; got {position!r}")
    if not -count <= position < count:
        raise ValueError(
            f"argnums={position} but `at` holds {count} argument(s): pass a tuple of all arguments"
            " of f as `at`"
        )
    return int(position) % count


def read_point(value: Any, where: str) -> Any:
    """A float64 or float32 array of its own memory, or a NumPy scalar."""
    refuse_disguises(value, where)
    try:
        array = np.array(value)
    except ValueError as error:
        raise DTypeError(
            f"{where} is a {kind_of(value)} that is no array; pass several arguments of f as a"
            f" tuple. NumPy says: {error}"
        ) from None
    if array.dtype.name not in FLOATS:
        raise DTypeError(
            f"{where} has dtype {array.dtype.name}; expected float64 or float32."
            f" {ADVICE.get(array.dtype.kind, ADVICE['O'])}"
        )
    native = array.astype(array.dtype.newbyteorder("="), order="C", copy=False)
    return native if isinstance(value, np.ndarray) or native.ndim else native[()]


def refuse_disguises(value: Any, where: str) -> None:
    """Arrays whose arithmetic is not that of an array."""
    if isinstance(value, np.ma.MaskedArray):
        raise DTypeError(f"{where} is a masked array; fill or drop the masked entries first")
    if isinstance(value, np.matrix):
        raise DTypeError(f"{where} is an np.matrix, whose * is not elementwise; use np.asarray(x)")
    if isinstance(value, str | bytes | dict | set) or value is None:
        raise DTypeError(f"{where} is a {kind_of(value)}; expected a float or an array of floats")


def kind_of(value: Any) -> str:
    return type(value).__name__


# --- what f returned ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Output:
    """The value of f: flat in float64, with the shape and precision it came in."""

    flat: Array
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def read_output(value: Any) -> Output:
    """Copy what f returned.

    Raises
    ------
    TypeError
        If it is not a real float or an array of them.
    """
    if value is None:
        raise DTypeError("f returned None; expected a float or an array: is a `return` missing?")
    if isinstance(value, tuple | dict | set | str):
        raise DTypeError(f"f returned a {kind_of(value)}; expected one float or array")
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(value)  # a branch that returns a literal 0
    array = np.asarray(value)
    if isinstance(value, np.ma.MaskedArray) or array.dtype.name not in FLOATS:
        raise DTypeError(
            f"f returned a {kind_of(value)} of dtype {array.dtype.name};"
            " expected float64 or float32"
        )
    flat = np.array(array, dtype=np.float64, order="C").ravel()
    return Output(flat, array.shape, array.dtype)


# --- what grad returned -------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """Something with a name that ends the check early; a failure unless it is undecided."""

    key: str
    sentence: str
    undecided: bool = False


@dataclass(frozen=True)
class Candidate:
    """One gradient: a (outputs, inputs) matrix of its own memory, and its precision."""

    matrix: Array
    shape: tuple[int, ...]
    eps: float


def read_gradient(
    value: Any, output: tuple[int, ...], argument: FloatArray, where: str
) -> Candidate | Fault:
    """Copy one gradient of shape output.shape + argument.shape, or say what is wrong with it."""
    if value is None:
        return Fault("gradient is None", f"grad returned None {where}: is a `return` missing?")
    if isinstance(value, np.ma.MaskedArray | np.matrix | tuple | dict | set | str):
        return Fault(
            "gradient type", f"grad returned a {kind_of(value)} {where}; expected an array."
        )
    try:
        array = np.asarray(float(value) if type(value) is int else value)
    except ValueError:
        return Fault("gradient type", f"grad returned a ragged {kind_of(value)} {where}.")
    if array.dtype.name not in FLOATS:
        return Fault(
            "gradient dtype",
            f"grad returned dtype {array.dtype.name} {where}; expected float64 or float32:"
            " return g.astype(float) where nothing is lost by it.",
        )
    expected = output + argument.shape
    if array.shape != expected:
        return Fault("gradient shape", shape_sentence(array.shape, output, argument.shape, where))
    matrix = np.array(array, dtype=np.float64, order="C").reshape(-1, argument.size or 1)
    return Candidate(matrix, expected, float(np.finfo(array.dtype).eps))


def shape_sentence(
    found: tuple[int, ...], output: tuple[int, ...], point: tuple[int, ...], where: str
) -> str:
    text = (
        f"grad returned shape {found} {where}; expected {output + point}, the shape of f {output}"
        f" followed by that of the argument {point}"
    )
    return text + shape_hint(found, output, point)


def shape_hint(found: tuple[int, ...], output: tuple[int, ...], point: tuple[int, ...]) -> str:
    """What the shape of a gradient suggests, as the end of a sentence."""
    expected = output + point
    if found == point + output:
        return ": the two are in the wrong order (transposed Jacobian)."
    if found == expected[::-1]:
        return ": it looks transposed."
    if np.prod(found) == np.prod(expected):
        return f": return g.reshape({expected}) if the entries are in that order."
    if len(found) > len(expected) and found[len(found) - len(expected) :] == expected:
        return ": sum over the leading axes, along which the argument was repeated."
    return "."


def split_gradients(value: Any, problem: Problem) -> list[Any] | Fault:
    """One entry for each of argnums."""
    if problem.single:
        return [value]
    count = len(problem.argnums)
    if isinstance(value, tuple | list) and len(value) == count:
        return list(value)
    given = f"{len(value)} entries" if isinstance(value, tuple | list) else f"a {kind_of(value)}"
    return Fault(
        "gradient structure",
        f"argnums is a tuple of {count}, so grad must return a tuple of {count}; it gave {given}.",
    )


def check_same_shape(first: Output, later: Output) -> None:
    if first.shape != later.shape:
        raise ShapeError(
            f"f returned shape {first.shape} at x and {later.shape} beside it; expected one shape"
        )
