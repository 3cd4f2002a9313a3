"""A Python function of NumPy arrays, recorded as a graph by running it once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.activity import carries_tangent
from calcbench.graph.arraytype import ArrayType, CalcbenchError, DerivativeError, TraceError
from calcbench.graph.comparison import equal, not_equal
from calcbench.graph.dispatch import concrete_of
from calcbench.graph.ir import Builder, Graph, numpy_meaning, paused_collection
from calcbench.graph.lifting import CLOSED, NUMBERS, Value, place, used, value_or_array
from calcbench.graph.nodes import INPUT, Origin
from calcbench.graph.origins import OWN_FILES, Lines, explained
from calcbench.graph.trees import leaves_of, rebuild, structure_of


_level: ContextVar[int] = ContextVar("trace_level", default=0)


class Capture(NamedTuple):
    """Something a traced function read from outside: its source, and what it held then."""

    source: Any
    snapshot: Any
    node: int


class FunctionRecording:
    """The state of one trace: values so far, guards, captures, and the user's lines.

    Values are computed only when Python asks for one (`bool`, `int`, a mask), and then in order,
    once each.
    """

    def __init__(self, builder: Builder, varied: set[int], generic: bool) -> None:
        self.builder = builder
        self.values: list[Any] = []
        self.bound: dict[int, Any] = {}
        self.varied = varied
        self.scanned = 0
        self.generic = generic
        self.isolated: list[int] = []
        self.captures: list[Capture] = []
        self.mutated = False
        self._lines = Lines()
        self._guarded: dict[int, Any] = {}

    def origin(self) -> Origin:
        """File and line of the innermost frame outside the package."""
        frame = sys._getframe(2)
        while frame.f_code.co_filename in OWN_FILES and frame.f_back is not None:
            frame = frame.f_back
        code, instruction = frame.f_code, frame.f_lasti
        found = self._lines.known.get((id(code), instruction))
        return found or self._lines.place(code, instruction)

    def concrete(self, node: int) -> Any:
        """The value of a node for the arguments of this trace."""
        values, nodes = self.values, self.builder.nodes
        with np.errstate(all="ignore"):
            for index in range(len(values), node + 1):
                if nodes[index].row is INPUT:
                    values.append(self._bound(index))
                else:
                    operands = [values[i] for i in nodes[index].operands]
                    values.append(numpy_meaning(nodes[index], operands))
        return values[node]

    def _bound(self, index: int) -> Any:
        if index not in self.bound:
            raise TraceError(
                f"{dict(self.builder.nodes[index].params)['name']!r} has no value yet, so Python "
                "cannot branch on it; use calcbench.where, or bind a value first"
            )
        value = self.bound[index]
        return concrete_of(value) if isinstance(value, Value) else value

    def decide(self, node: int) -> Any:
        """The value on which Python is about to act, recorded as a guard."""
        if self.generic and self._is_isolated(node):
            return self.builder.nodes[node].row is not_equal
        value = self.concrete(node)
        self.expect(node, value)
        return value

    def expect(self, node: int, value: Any) -> None:
        """Record, once, that the path rests on node `node` being `value`."""
        if node not in self._guarded:
            self._guarded[node] = value
            self.builder.guard(node, value)

    def _is_isolated(self, node: int) -> bool:
        """Whether the node tests a differentiated float for equality: of measure zero.

        The derivative is that of the generic branch; where the test holds, `check_jump` compares.
        """
        found = self.builder.nodes[node]
        if found.row not in (equal, not_equal) or not self._varies(found.operands):
            return False
        value = self.concrete(node)
        if bool(value) != (found.row is not_equal):
            self.isolated.append(node)
        # What is recorded here is for points where the test goes as it does here, and no others.
        self.expect(node, value)
        return True

    def _varies(self, operands: Sequence[int]) -> bool:
        nodes, types = self.builder.nodes, self.builder.types
        for index in range(self.scanned, len(nodes)):
            found = not self.varied.isdisjoint(nodes[index].operands)
            if found and carries_tangent(nodes[index], types[index]):
                self.varied.add(index)
        self.scanned = len(nodes)
        return not self.varied.isdisjoint(operands)

    def capture_array(self, array: np.ndarray) -> int:
        """The input that stands for an array from outside; it is read again at every call."""
        for capture in self.captures:
            if capture.source is array and _same_bits(capture.snapshot, array):
                return capture.node
            self.mutated |= capture.source is array
        kind = ArrayType(array.shape, array.dtype)
        node = self.builder.capture((id(array), len(self.captures)), array, kind)
        snapshot = np.array(array, order="C")
        self.captures.append(Capture(array, snapshot, node))
        self.bound[node] = snapshot
        return node

    def capture_value(self, value: Value) -> int:
        """The input that stands for a value of an outer recording."""
        outer = Value(used(value).builder, value.id)
        node = self.builder.capture((id(value.builder), value.id), outer, value.type)
        if node not in self.bound:
            self.captures.append(Capture(outer, None, node))
            self.bound[node] = outer
        return node


def _same_bits(first: np.ndarray, second: np.ndarray) -> bool:
    return first.shape == second.shape and first.tobytes() == second.tobytes()


COMPUTED = object()  # marks, among the leaves of a result, those the graph computes


class Trace(NamedTuple):
    """A recorded path: its graph (arguments, then captures), and what it rests on."""

    graph: Graph
    captures: tuple[Capture, ...]
    structure: Any
    kept: tuple[Any, ...]
    mutated: bool
    outputs: tuple[Any, ...]
    isolated: Origin = None


def record(
    function: Callable[..., Any],
    structure: Any,
    leaves: Sequence[Any],
    names: Sequence[str] | None = None,
    wanted: Sequence[int] = (),
    generic: bool = False,
    with_outputs: bool = False,
) -> Trace:
    """Run `function` once on traced arguments and record what it does.

    `structure` and `leaves` are the arguments, ``(args, kwargs)``, as a tree; leaves that are no
    numbers are passed on as they are. `wanted` are the leaves to be differentiated; with
    `generic`, equality tests on them take the branch of the general point.
    """
    builder = Builder(_level.get() + 1)
    recording = FunctionRecording(builder, set(), generic)
    builder.recording = recording
    token = _level.set(builder.level)
    try:
        with paused_collection():
            arguments = _bind(recording, leaves, names, wanted)
            args, kwargs = rebuild(structure, iter(arguments))
            result = function(*args, **kwargs)
            return _finish(recording, result, with_outputs)
    except Exception as error:
        better = explained(error, function)
        _name_static(better, leaves, names)
        if better is error:
            raise
        raise better from None
    finally:
        _level.reset(token)
        builder.level = CLOSED


def _bind(
    recording: FunctionRecording,
    leaves: Sequence[Any],
    names: Sequence[str] | None,
    wanted: Sequence[int],
) -> list[Any]:
    arguments = []
    for position, leaf in enumerate(leaves):
        if is_static(leaf):
            arguments.append(leaf)
            continue
        kind = leaf.type if isinstance(leaf, Value) else ArrayType(leaf.shape, leaf.dtype)
        name = names[position] if names else f"x{position}"
        node = recording.builder.add_input(name, kind)
        recording.bound[node] = leaf
        if position in wanted:
            recording.varied.add(node)
        arguments.append(Value(recording.builder, node))
    return arguments


def _name_static(error: Exception, leaves: Sequence[Any], names: Sequence[str] | None) -> None:
    """Note which arguments are no numbers: what NumPy says about them names none."""
    static = [] if names is None else zip(names, leaves, strict=True)
    told = [f"{name} = {leaf!r:.60}" for name, leaf in static if is_static(leaf)]
    if told and isinstance(error, TypeError) and not isinstance(error, CalcbenchError):
        error.add_note(f"passed on as they are, being no numbers or arrays: {', '.join(told)}")


def is_static(leaf: Any) -> bool:
    """Whether an argument leaf is passed on as it is: it is no number, array or value."""
    return not isinstance(leaf, Value | np.ndarray | np.generic)


def _finish(recording: FunctionRecording, result: Any, with_outputs: bool) -> Trace:
    builder = recording.builder
    structure = structure_of(_without_object_arrays(result))
    leaves = leaves_of(_without_object_arrays(result))
    kept = tuple(COMPUTED if _is_output(leaf) else leaf for leaf in leaves)
    values = [
        place(builder, _fresh_scalar(value_or_array(leaf))) for leaf in leaves if _is_output(leaf)
    ]
    recording.mutated |= any(
        c.snapshot is not None and not _same_bits(c.snapshot, c.source) for c in recording.captures
    )
    compared = with_outputs or recording.isolated
    outputs = tuple(recording.concrete(v.id) for v in values) if compared else ()
    if not values:
        raise DerivativeError(
            f"the function returned {result!r}, which holds no number to differentiate; expected "
            "a float array, or a tuple, list or dict of them: is a return missing?"
        )
    inputs = [*builder.inputs, *(c.node for c in recording.captures)]
    graph = builder.freeze([v.id for v in values], inputs)
    isolated = builder.origins[recording.isolated[0]] if recording.isolated else None
    return Trace(
        graph, tuple(recording.captures), structure, kept, recording.mutated, outputs, isolated
    )


def _fresh_scalar(value: Any) -> Any:
    """Python numbers are constants of the graph; arrays may be captured."""
    return np.asarray(value)[()] if type(value) in NUMBERS else value


def _is_output(leaf: Any) -> bool:
    return isinstance(leaf, Value | np.ndarray | np.generic | int | float | complex)


def _without_object_arrays(result: Any) -> Any:
    """Object arrays of traced scalars, such as np.array([x, y]), become one value."""
    if isinstance(result, np.ndarray) and result.dtype == object:
        return value_or_array(result)
    if isinstance(result, dict):
        return {k: _without_object_arrays(v) for k, v in result.items()}
    if isinstance(result, list | tuple) and not hasattr(result, "_fields"):
        return type(result)(map(_without_object_arrays, result))
    return result
