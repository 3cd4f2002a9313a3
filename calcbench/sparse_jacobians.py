"""Jacobians and Hessians as sparse matrices: one sweep per group of columns, not one per entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import wraps
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from calcbench.compositions import gradient, jacobian_program
from calcbench.delegation import on_engine
from calcbench.forward_mode.compression import (
    Part,
    SparsePlan,
    group_seeds,
    make_plan,
    sweep_parts,
)
from calcbench.forward_mode.sparsity import jacobian_pattern
from calcbench.graph.arraytype import ArrayType, DerivativeError
from calcbench.graph.batching import batched
from calcbench.graph.conventions import kink_convention
from calcbench.graph.evaluation import Plan, check_guards
from calcbench.graph.ir import Graph
from calcbench.graph.paths import Arguments, Attempt, Path, Paths, arguments_hold_values
from calcbench.programs import (
    Argnums,
    argument_tree,
    arguments_of,
    float_outputs,
    result_tree,
    taken,
)


class SparseDerivative:
    """A derivative whose matrices are sparse; made by `jacobian` and `hessian`.

    Call it like the function it was made of; `plan` says in how many sweeps it is computed.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        mode: str,
        argnums: Argnums,
        kink: str | None,
        cache: bool,
        engine: str,
    ) -> None:
        on_engine(function, engine)  # so that an engine that is not there is refused now
        self.argnums = argnums
        self.kink = kink
        self.is_symmetric = mode == "symmetric"

        def build(graph: Graph, wrt: tuple[int, ...]) -> SparseSweeps:
            differentiated = gradient(graph, wrt).graph if self.is_symmetric else graph
            return SparseSweeps(differentiated, wrt, mode, engine)

        self.paths = Paths(function, build, cache=cache)
        wraps(function, updated=())(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """One `scipy.sparse.csr_array` per result and argument, nested as without ``sparse``."""
        arguments, path, blocks = self._run(args, kwargs, lambda sweeps, inputs: sweeps(inputs))
        rows = [argument_tree(arguments, self.argnums, row) for row in blocks]
        if self.is_symmetric:
            return argument_tree(arguments, self.argnums, rows)
        return result_tree(path.trace, rows, static=False)

    def plan(self, *args: Any, **kwargs: Any) -> SparsePlan:
        """The pattern, the groups and the number of sweeps on the path that the arguments take.

        Examples
        --------
        >>> import numpy as np
        >>> import calcbench as cb
        >>> jacobian = cb.jacobian(lambda x: x[1:] - x[:-1] ** 2, sparse=True)
        >>> print(jacobian.plan(np.ones(1000)))
        Jacobian of 999 x 1000 with up to 1998 nonzeros: 2 sweeps (forward) instead of 1000; at
        least 2 for this pattern
        """
        found = self._run(args, kwargs, lambda sweeps, inputs: sweeps.checked_plan(inputs))[2]
        return found  # type: ignore[no-any-return]

    def _run(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], run: Callable[[Any, Any], Any]
    ) -> tuple[Arguments, Path, Any]:
        def swept(attempt: Attempt) -> Any:
            return run(attempt.path.built, [*arguments.arrays, *attempt.captured])

        with nullcontext() if self.kink is None else kink_convention(self.kink):
            arguments = arguments_of(self.paths, args, kwargs, self.argnums)
            if arguments_hold_values(arguments):
                raise DerivativeError(
                    "a sparse matrix cannot be traced or differentiated, and an argument is being "
                    "traced: leave out sparse=True, or use jvp, vjp or hvp inside the function"
                )
            return arguments, *taken(self.paths, arguments, swept)


class Prepared(NamedTuple):
    """A plan, the integers and bools it was made for, and its sweeps.

    Seeds are kept if all sweeps are made at once: more would take much memory.
    """

    plan: SparsePlan
    fixed: dict[int, Any]
    parts: list[Part]
    seeds: list[np.ndarray] | None
    run: Callable[..., Any]


class SparseSweeps:
    """A graph's Jacobian as one sparse matrix, of all outputs by all wanted inputs."""

    def __init__(self, graph: Graph, wrt: tuple[int, ...], mode: str, engine: str) -> None:
        if not all(float_outputs(graph)):
            shown = ", ".join(str(graph.types[i]) for i in graph.outputs)
            raise DerivativeError(f"jacobian needs float results, got ({shown})")
        self.graph, self.wrt, self.mode, self.engine = graph, wrt, mode, engine
        self.ins = [graph.types[graph.inputs[p]] for p in wrt]
        self.outs = [graph.types[i] for i in graph.outputs]
        self.prepared: Prepared | None = None

    def __call__(self, inputs: Sequence[Any]) -> list[list[Any]]:
        """Per output, per wanted input, the block of the matrix."""
        from scipy.sparse import csr_array

        prepared = self._prepared_for(inputs)
        pattern = prepared.plan.pattern
        data = self._entries(prepared, inputs)
        whole = csr_array((data, pattern.indices.copy(), pattern.indptr.copy()), pattern.shape)
        if len(self.ins) == len(self.outs) == 1:
            return [[whole]]
        rows, columns = _spans(self.outs), _spans(self.ins)
        return [
            [whole[r, c].astype(o.dtype) for c in columns]
            for r, o in zip(rows, self.outs, strict=True)
        ]

    def checked_plan(self, inputs: Sequence[Any]) -> SparsePlan:
        """The plan, once the graph's guards are known to hold at the inputs."""
        Plan(self.graph)(*inputs)
        return self._prepared_for(inputs).plan

    def _prepared_for(self, inputs: Sequence[Any]) -> Prepared:
        """What was prepared last, unless integers or bools, which may say what is read, differ."""
        known = self.prepared
        if known is None or not all(np.array_equal(inputs[p], v) for p, v in known.fixed.items()):
            kinds = [self.graph.types[i] for i in self.graph.inputs]
            fixed = {p: np.copy(inputs[p]) for p, kind in enumerate(kinds) if not kind.is_float}
            known = self.prepared = self._prepare(fixed)
        return known

    def _prepare(self, fixed: dict[int, Any]) -> Prepared:
        plan = make_plan(jacobian_pattern(self.graph, self.wrt, fixed), self.mode)
        parts = list(sweep_parts(plan))
        if not parts:
            return Prepared(plan, fixed, [], None, Plan(self.graph))
        seeds = self._seeds(plan, parts[0]) if len(parts) == 1 else None
        return Prepared(plan, fixed, parts, seeds, self._runner(plan.mode, parts[0].lanes))

    def _seeds(self, plan: SparsePlan, part: Part) -> list[np.ndarray]:
        """The directions of some sweeps, as one array per seeded value in its shape and dtype."""
        types = self.outs if plan.mode == "reverse" else self.ins
        seeds = group_seeds(plan, part)
        return [
            seeds[:, span].reshape(part.lanes, *kind.shape).astype(kind.dtype)
            for span, kind in zip(_spans(types), types, strict=True)
        ]

    def _entries(self, prepared: Prepared, inputs: Sequence[Any]) -> np.ndarray:
        """The numbers of the matrix, in the order of its pattern."""
        data = np.zeros(prepared.plan.pattern.nnz, np.result_type(*[o.dtype for o in self.outs]))
        if not prepared.parts:
            prepared.run(*inputs)  # its guards count even if nothing is to be computed
        for part in prepared.parts:
            seeds = prepared.seeds or self._seeds(prepared.plan, part)
            numbers = prepared.run(inputs, seeds).reshape(-1).take(part.places)
            if len(prepared.parts) == 1:
                return np.asarray(numbers)
            data[part.entries] = numbers
        return data

    def _runner(self, mode: str, lanes: int) -> Callable[..., Any]:
        """(inputs, seeds) -> the results of all lanes: a row each, outputs laid end to end."""
        way = "reverse" if mode == "reverse" else "forward"
        swept = jacobian_program(self.graph, self.wrt, way).graph
        wide: Any = batched(swept, lanes, range(len(self.graph.inputs)))
        program: Any = Plan(wide) if self.engine == "numpy" else on_engine(wide, self.engine)
        count, is_single = len(swept.outputs), len(wide.outputs) == 1
        expected = [guard.expected.array for guard in swept.guards]

        def run(inputs: Sequence[Any], seeds: Sequence[np.ndarray]) -> np.ndarray:
            found = program(*inputs, *seeds)
            results = [found] if is_single and self.engine != "numpy" else list(found)
            check_guards(expected, [r[0] for r in results[count:]])
            rows = [r.reshape(lanes, -1) for r in results[:count]]
            return rows[0] if count == 1 else np.concatenate(rows, axis=1)

        return run


def _spans(types: Sequence[ArrayType]) -> list[slice]:
    """Where the entries of each value lie when all are laid end to end."""
    ends = np.cumsum([0, *[int(t.size) for t in types]]).tolist()
    return [slice(a, b) for a, b in pairwise(ends)]
