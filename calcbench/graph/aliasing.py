"""Views and in-place updates of traced arrays: NumPy's meaning kept, or an error."""

from __future__ import annotations

from typing import Any

from calcbench.graph.arraytype import DTypeError, ShapeError, TraceError, format_shape
from calcbench.graph.lifting import Value


class Alias:
    """What one traced array shares with others.

    `version` counts writes to it. A view remembers its base and the version it saw. An in-place
    update of a view is `owed` to the base until ``base[key] = view`` stores it where the view,
    node `source`, was taken.
    """

    __slots__ = ("base", "owed", "seen", "source", "version")

    def __init__(self, base: Value | None = None) -> None:
        self.base = base
        self.seen: int = 0 if base is None else alias_of(base).version
        self.version: int = 0
        self.owed: Value | None = None
        self.source: int = -1

    def check(self, value: Value) -> None:
        """An error if using `value` now would not see what NumPy would."""
        if self.owed is not None:
            raise TraceError(
                "a view of this array was updated in place and not stored back; write "
                "x[key] = x[key] + change, or update a copy"
            )
        if self.base is not None and alias_of(self.base).version != self.seen:
            raise TraceError(
                f"this array of shape {format_shape(value.type.shape)} is a view of an array that "
                "was written to since; take the slice again, or take a copy before the write"
            )


def alias_of(value: Value) -> Alias:
    """The alias record of a value, made on first need."""
    if value.alias is None:
        value.alias = Alias()
    return value.alias  # type: ignore[no-any-return]


def view(result: Value, base: Value) -> Value:
    """`result` marked as a view of `base`."""
    root = base.alias.base if base.alias is not None and base.alias.base is not None else base
    shown = Value(result.builder, result.id)
    if result.type.ndim:
        shown.alias = Alias(root)
    return shown


def overwrite(target: Value, updated: Value) -> None:
    """Let `target` stand for `updated` from now on, as a write to its memory would."""
    if updated.type.shape != target.type.shape:
        raise ShapeError(
            f"an array of shape {format_shape(target.type.shape)} cannot hold a result of shape "
            f"{format_shape(updated.type.shape)} in place"
        )
    if updated.type.dtype != target.type.dtype:
        raise DTypeError(
            f"an in-place update would cast {updated.type.dtype} to {target.type.dtype}; "
            "use x = x + y instead of x += y"
        )
    alias_of(target).version += 1
    target.id = updated.id
    target.builder = updated.builder


def is_view(value: Value) -> bool:
    """Whether the value shares memory with another one."""
    return value.alias is not None and value.alias.base is not None


def update(target: Value, result: Any) -> Any:
    """The outcome of ``target op= other``, whose value is `result`."""
    if not isinstance(result, Value) or target.type.ndim == 0:
        return result
    if not is_view(target):
        overwrite(target, result)
        return target
    owed = Value(result.builder, result.id)
    owed.alias = Alias()
    owed.alias.owed = owed
    alias = alias_of(target.alias.base)
    alias.owed, alias.source = owed, target.id
    return owed


def writable(target: Value) -> Alias:
    """The alias record of an array that may be written to; an error for views."""
    if is_view(target):
        raise TraceError(
            "writing through a view of a traced array is not supported; write to the array "
            "itself, x[key] = ..., or to a copy"
        )
    return alias_of(target)


def written(target: Value, updated: Value) -> None:
    """Let `target` stand for `updated`; an update that was owed to it is a view of it again."""
    alias = alias_of(target)
    alias.version += 1
    target.builder, target.id = updated.builder, updated.id
    if alias.owed is not None:
        alias.owed.alias = Alias(target)
        alias.owed = None
