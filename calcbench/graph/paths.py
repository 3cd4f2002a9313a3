"""The recorded paths of one function, kept while what they rest on still holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import RLock
from typing import Any, NamedTuple

import numpy as np

from calcbench.graph.arraytype import DerivativeError, as_array
from calcbench.graph.conventions import current_convention
from calcbench.graph.environment import Environment
from calcbench.graph.evaluation import GuardMiss
from calcbench.graph.ir import Graph
from calcbench.graph.lifting import Value, used
from calcbench.graph.nodes import Literal
from calcbench.graph.origins import described
from calcbench.graph.tracing import Trace, is_static, record
from calcbench.graph.trees import leaves_of, path_names, structure_of


MAX_PATHS = 32
MAX_PROGRAMS = 8  # built graphs remembered while their paths come and go


class Arguments(NamedTuple):
    """One call's arguments as leaves, which of them are differentiated, and their names."""

    structure: Any
    leaves: list[Any]
    wanted: tuple[int, ...]
    names: list[str]

    @property
    def key(self) -> tuple[Any, ...]:
        """What a path depends on besides values: structure, types, static leaves, convention."""
        kinds = tuple(
            (leaf if _is_hashable(leaf) else id(leaf)) if is_static(leaf) else type_of(leaf)
            for leaf in self.leaves
        )
        return self.structure, kinds, self.wanted, current_convention()

    @property
    def arrays(self) -> list[Any]:
        """The leaves that are numbers, in order: the inputs of a path's graph."""
        return [leaf for leaf in self.leaves if not is_static(leaf)]


def type_of(leaf: Any) -> tuple[Any, Any]:
    """Shape and dtype of an argument leaf."""
    return (
        (leaf.type.shape, leaf.type.dtype) if isinstance(leaf, Value) else (leaf.shape, leaf.dtype)
    )


def _is_hashable(leaf: Any) -> bool:
    try:
        hash(leaf)
    except (TypeError, ValueError):  # a memoryview of floats raises the second
        return False
    return True


def prepare(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    wanted_args: Sequence[int],
    roots: Sequence[str] = (),
) -> Arguments:
    """The arguments of a call as leaves: arrays contiguous and of a graph dtype.

    `roots` are the names of the function's parameters, for printing and for errors.

    Raises
    ------
    DTypeError
        If an argument to be differentiated holds integers or bools, or any holds numbers
        calcbench has no type for.
    """
    structure = structure_of((args, kwargs))
    names = _names(args, kwargs, roots)
    leaves = [_as_leaf(v, n) for v, n in zip(leaves_of((args, kwargs)), names, strict=True)]
    counts = [len(leaves_of(a)) for a in args]
    wanted = [
        position for a in wanted_args for position in range(sum(counts[:a]), sum(counts[: a + 1]))
    ]
    return Arguments(structure, leaves, tuple(wanted), names)


def _names(args: tuple[Any, ...], kwargs: dict[str, Any], roots: Sequence[str]) -> list[str]:
    pairs = [(roots[i] if i < len(roots) else f"x{i}", a) for i, a in enumerate(args)]
    return [
        n for root, tree in (*pairs, *kwargs.items()) for n in path_names(structure_of(tree), root)
    ]


def parameter_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's positional parameters, as far as its code tells."""
    code = getattr(function, "__code__", None)
    return () if code is None else code.co_varnames[: code.co_argcount]


def _as_leaf(leaf: Any, name: str) -> Any:
    """A number or array as the graph takes it; anything else as it is."""
    if type(leaf) is float:
        return np.float64(leaf)
    if type(leaf) is np.ndarray and leaf.dtype == np.float64 and leaf.flags.c_contiguous:
        return leaf if leaf.ndim else leaf[()]
    if isinstance(leaf, Value):
        return Value(leaf.builder, used(leaf).id)
    if leaf is None or isinstance(leaf, str) or callable(leaf):
        return leaf
    if isinstance(leaf, np.ndarray | np.generic | int | complex) or hasattr(leaf, "__array__"):
        return np.ascontiguousarray(as_array(leaf, name)).reshape(np.shape(leaf))[()]
    return leaf


class Path(NamedTuple):
    """One recorded path and what was built from it."""

    trace: Trace
    built: Any
    environment: Environment

    def capture_values(self) -> list[Any]:
        """What the captures hold now."""
        return [
            _as_input(c.snapshot if c.source is None else c.source) for c in self.trace.captures
        ]


def _as_input(captured: Any) -> Any:
    """A captured array as a graph takes it: contiguous, or a number."""
    if isinstance(captured, Value):
        return captured
    return np.ascontiguousarray(captured) if captured.ndim else captured[()]


def _recorded(trace: Trace) -> list[Any]:
    """What the captures held when they were read: the function may have written to them since."""
    return [_as_input(c.source if c.snapshot is None else c.snapshot) for c in trace.captures]


class Attempt(NamedTuple):
    """A path to run, with the values of its captures."""

    path: Path
    captured: list[Any]
    is_new: bool


class Paths:
    """Everything recorded of one function for one kind of use.

    A path is trusted only after it was recorded twice with the same result: a function that draws
    random numbers, counts its calls or reads what it writes gives two different recordings, and
    is recorded anew at every call from then on. `build` turns a recorded graph into what is run.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        build: Callable[[Graph, tuple[int, ...]], Any],
        generic: bool = True,
        cache: bool = True,
    ) -> None:
        if not callable(function):
            raise DerivativeError(
                f"a function is expected, got {type(function).__name__} {function!r}; pass the "
                "function itself, as in grad(f)(x), not grad(f(x))"
            )
        self.function = function
        self.build = build
        self.generic = generic
        self.cache = cache
        self.roots = parameter_names(function)
        self.trusted: dict[Any, list[Path]] = {}
        self.fresh: dict[Any, list[Path]] = {}
        self.programs: dict[Any, Any] = {}
        self.lock = RLock()  # held while the lists change, never while the function runs

    def candidates(
        self, arguments: Arguments, fetch: Callable[[], Arguments] | None = None
    ) -> Iterator[Attempt]:
        """Paths that may fit, the last used first; a new recording comes last.

        If `arguments` tell types alone, `fetch` gets their values, which a recording needs.
        """
        lasting = self.cache and not arguments_hold_values(arguments)
        if lasting:
            for path in self._known(self.trusted, arguments.key):
                yield Attempt(path, path.capture_values(), False)
        values = arguments if fetch is None else fetch()
        trace = self.trace(values)
        path = self._path(trace, values, lasting)
        if fetch is not None:  # recorded twice at once, so that values are fetched once a path
            trace = self.trace(values)
            path = self._path(trace, values, lasting)
        yield Attempt(path, _recorded(trace), True)

    def first_taken(
        self, arguments: Arguments, attempts: Iterable[Attempt], run: Callable[[Attempt], Any]
    ) -> tuple[Path, Any] | None:
        """The first path whose guards hold, and what `run` made of it; None if there is none.

        An error of a known path may be that of a branch that these arguments do not take: the new
        recording, which comes last, tells.
        """
        for rank, attempt in enumerate(attempts):
            try:
                found = run(attempt)
            except GuardMiss:
                continue
            except Exception:
                if attempt.is_new:
                    raise
                continue
            if rank and not attempt.is_new:
                self.keep(self.trusted, arguments.key, attempt.path)
            return attempt.path, found
        return None

    def _known(self, store: dict[Any, list[Path]], key: Any) -> list[Path]:
        """The stored paths whose environment has not changed; the others are dropped."""
        with self.lock:
            known = store.get(key, [])
            stale = [path for path in known if not path.environment.is_unchanged()]
            if stale:
                known[:] = [p for p in known if not any(p is s for s in stale)]
            return list(known)

    def keep(self, store: dict[Any, list[Path]], key: Any, path: Path) -> None:
        """Put a path in front, and drop those not used for long."""
        with self.lock:
            known = store.setdefault(key, [])
            known[:] = [path, *(p for p in known if p is not path)][:MAX_PATHS]

    def _path(self, trace: Trace, arguments: Arguments, lasting: bool) -> Path:
        """The path of a new recording: one recorded before, or a new one."""
        key = arguments.key
        lasting = lasting and not trace.isolated
        if lasting:
            for path in self._known(self.fresh, key):
                if _agree(path.trace, trace):
                    return self._trust(key, path, trace)
        nested = any(isinstance(c.source, Value) for c in trace.captures)
        kept = lasting and not (nested or trace.mutated)
        built = self.program(trace.graph, arguments)
        path = Path(trace, built, Environment(self.function if kept else None))
        if kept:
            self.keep(self.fresh, key, path)
        return path

    def program(self, graph: Graph, arguments: Arguments) -> Any:
        """What `build` makes of a graph; a graph recorded again lately is not built again."""
        wanted = self.positions(arguments)
        key = graph, wanted, current_convention()
        with self.lock:
            known = self.programs.pop(key, None)
        built = self._build(graph, wanted) if known is None else known
        with self.lock:
            self.programs[key] = built
            while len(self.programs) > MAX_PROGRAMS:
                del self.programs[next(iter(self.programs))]
        return built

    def _build(self, graph: Graph, wanted: tuple[int, ...]) -> Any:
        try:
            return self.build(graph, wanted)
        except Exception as error:
            error.add_note(f"while differentiating {described(self.function)}")
            raise

    def _trust(self, key: Any, path: Path, again: Trace) -> Path:
        """Keep a path that two recordings agree on; arrays made anew by each become constants."""
        pairs = zip(path.trace.captures, again.captures, strict=True)
        captures = tuple(a if a.source is b.source else a._replace(source=None) for a, b in pairs)
        kept = path._replace(trace=path.trace._replace(captures=captures))
        with self.lock:
            self.fresh[key] = [p for p in self.fresh.get(key, []) if p is not path]
            self.keep(self.trusted, key, kept)
        return kept

    def trace(self, arguments: Arguments) -> Trace:
        """Record the function, and refuse a point at which it jumps to an isolated value."""
        parts = arguments.structure, arguments.leaves, arguments.names, arguments.wanted
        trace = record(self.function, *parts, self.generic)
        if trace.outputs:
            _check_jump(self.function, arguments, trace)
        return trace

    def positions(self, arguments: Arguments) -> tuple[int, ...]:
        """The wanted leaves, as positions among the graph's inputs."""
        numbers = [i for i, leaf in enumerate(arguments.leaves) if not is_static(leaf)]
        return tuple(numbers.index(w) for w in arguments.wanted)


def arguments_hold_values(arguments: Arguments) -> bool:
    """Whether an argument is itself being traced."""
    return any(isinstance(leaf, Value) for leaf in arguments.leaves)


def _agree(first: Trace, second: Trace) -> bool:
    """Whether two recordings are the same program on the same captured numbers."""
    return (
        first.graph == second.graph
        and first.structure == second.structure
        and not first.mutated
        and not second.mutated
        and all(map(_same_leaf, first.kept, second.kept))
        and all(
            a.source is b.source or Literal.of(a.snapshot) == Literal.of(b.snapshot)
            for a, b in zip(first.captures, second.captures, strict=True)
        )
    )


def _same_leaf(first: Any, second: Any) -> bool:
    return first is second or (type(first) is type(second) and repr(first) == repr(second))


def _check_jump(function: Callable[..., Any], arguments: Arguments, trace: Trace) -> None:
    """An error if the true branch of an equality test gives another value than the general one."""
    parts = arguments.structure, arguments.leaves, arguments.names, arguments.wanted
    true = record(function, *parts, generic=False, with_outputs=True)
    for general, actual in zip(trace.outputs, true.outputs, strict=True):
        if not np.allclose(general, actual, rtol=1e-12, atol=0.0):
            where = ":".join(map(str, trace.isolated or ()))
            why = "jumps at this point, so no derivative exists here"
            if not np.all(np.isfinite(general)):
                why = "is spelt out at this point: use a formula that holds here too, as np.sinc"
            raise DerivativeError(
                f"the function {why}; an equality test at {where} holds, and gives {actual} where "
                f"the general branch gives {general}"
            )
