"""Imports in calcbench point down: read from the syntax tree of every file, nothing is executed."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest


# From the ground up, one line a layer: a file may import files of the lines above its own, and
# none of its own line. The `__init__.py` of a folder is called after it. New files go in here.
LAYERS = """
graph/arraytype graph/conventions graph/environment graph/kernels graph/trees
forward_mode/accumulation reverse_mode/accumulation reverse_mode/schedules
graph/nodes graph/origins graph/primitive graph/markup graph/layering
graph/activity graph/drawing graph/printing graph/structural graph/diagonals
graph/ir graph/comparison graph/linalg graph/products
graph/interpreter graph/checker graph/elementwise graph/evaluation graph/factorisations
graph/captions graph/kinks graph/masks graph/ordering graph/special
graph/rewriting graph/lifting graph/lifetimes
graph/linearisation graph/control_bodies reverse_mode/rematerialising
graph/control_steps graph/control_choices reverse_mode/budgets
graph/control_scans graph/control_stretches
graph/control_loops graph/control_reversals
graph/control_checkpoints
graph/control_expansion
forward_mode/pushforward reverse_mode/pullback graph/aliasing graph/axes graph/norms graph/refusals
graph/batching forward_mode/interleaving
graph/keys graph/matrix_functions graph/reductions graph/shaping
graph/positions
graph/indexing
graph/contractions graph/joining
graph/selecting
graph/numerics graph/summation graph/ufuncs
graph/numpy_table
graph/dispatch
graph/tracing graph/explicit
graph/serialisation graph/paths measure/fitting measure/timing measure/writing
graph/control_functions measure/charts measure/pages
graph/control reverse_mode/checkpointing measure/chart_pictures measure/plotting measure/mode_charts
forward_mode/walking
forward_mode/smooth_rules forward_mode/radicands forward_mode/ties
forward_mode/lane_rules
forward_mode/kink_rules
forward_mode/points
forward_mode/onesided forward_mode/patterns forward_mode/colouring
forward_mode/pattern_rules forward_mode/compression
forward_mode/control_patterns
forward_mode/sparsity
lower/elementary
lower/circles lower/powers
lower/arena lower/branching lower/error_functions lower/contractions lower/reductions
lower/blocked_products lower/indexing lower/access lower/spans lower/limits lower/rooms
lower/results_apart lower/loop_costs
lower/memory lower/texts lower/pulling lower/targets lower/costs
lower/bodies lower/node_kinds lower/folds lower/cuda_words lower/cuda_simulation
lower/groups
lower/places lower/loops
lower/emission
lower/folding lower/passes lower/cuda_loops
lower/cuda_folds lower/cuda_sequences lower/cuda_point_texts lower/cuda_point_guards
lower/cuda_products
lower/cuda_point_loops
lower/cuda_point_rows
lower/cache lower/workers
lower/turns
lower/compiler
lower/opcodes lower/tape_products lower/linking
lower/tape_texts lower/sweep_cases
lower/tape_array_texts
lower/sweep_texts lower/sweep_kinds
lower/sweep_encoding
lower/sweep_code
lower/forward_code lower/reverse_code
lower/tape_columns
lower/tape_values
lower/tape_instructions
lower/tape_structure lower/tape_folding
lower/tape_entries
lower/tape_encoding
lower/tape_segments
lower/tape
lower/cuda_errors
lower/cuda_kernels lower/cuda_arrays
lower/cuda_emission lower/cuda_runtime lower/cuda_static lower/cuda_point_kernel
lower/cuda_row_copies
lower/cuda_program lower/cuda_point_emission lower/cuda_sweep_texts lower/cuda_sweep_rows
lower/cuda_points lower/cuda_sweep_batch
lower/cuda_sweeps
lower/calls lower/shared lower/parts
lower/layout lower/lasting_loops
lower/drivers
lower/loop_code
lower/nested_loops lower/stretches
lower/compiled_scans lower/reversal_code lower/saving_code
lower/compiled_reversals
lower/compiled_loops
lower/fused
lower/engines
lower/transformed_sweeps
programs functions lanes device_calls
symbolic/text/parse_errors symbolic/text/sizes symbolic/layouts symbolic/chains
symbolic/text/tokens
symbolic/text/syntax
symbolic/text/syntax_text
symbolic/text/declarations symbolic/text/forms symbolic/text/constants
symbolic/text/listed_functions
symbolic/text/inference symbolic/text/graph_writing
symbolic/text/grammar symbolic/derivations/scalar_trees
symbolic/derivations/interval_functions symbolic/derivations/rules symbolic/derivations/tidying
symbolic/derivations/intervals
symbolic/derivations/scalar_rules symbolic/derivations/sampling
symbolic/derivations/derivation
symbolic/derivations/answers
symbolic/matrices/keys symbolic/matrices/precise_values
symbolic/matrices/indexed symbolic/matrices/forms symbolic/matrices/graph_entries
symbolic/matrices/whole_matrices
symbolic/matrices/tidying symbolic/matrices/notation symbolic/matrices/sums
symbolic/matrices/shared_parts
symbolic/matrices/algebra symbolic/matrices/sources symbolic/matrices/contraction
symbolic/matrices/row_meanings symbolic/matrices/structures symbolic/matrices/recognition
symbolic/matrices/reading symbolic/matrices/loops symbolic/matrices/index_notation
symbolic/matrices/functions_as_text symbolic/matrices/graph_writer symbolic/matrices/kronecker
symbolic/matrices/slopes symbolic/matrices/certificates
symbolic/matrices/results
symbolic/matrices/calculus
symbolic/references/scalar_steps symbolic/references/points symbolic/references/smooth_steps
symbolic/references/calls symbolic/references/columns symbolic/references/series symbolic/row_rules
symbolic/references/smooth_sweeps symbolic/patterns
symbolic/references/factors symbolic/references/branches symbolic/references/precision
symbolic/references/entries symbolic/references/germs
symbolic/references/matrix_entries symbolic/references/source symbolic/references/sides
symbolic/references/graph_sources symbolic/references/polarisation
symbolic/references/sources symbolic/bridge symbolic/expressions
symbolic/references/oracle
batches shortcuts sweep_points
sweep_shortcuts
compiled_graphs
compilation
measure/operations mixed_mode/cuts mixed_mode/parts mixed_mode/elimination
measure/element_counts measure/tables mixed_mode/linear_graphs
measure/row_counts measure/saving measure/loop_counts measure/interpreted
measure/counting
measure/fusion
measure/predicting measure/recording
measure/mode_predictions
mixed_mode/blocks
compositions delegation measure/execution
sparse_jacobians many_sweeps measure/drawing
derivatives jacobians products
nonsmooth/cones nonsmooth/hulls nonsmooth/switches nonsmooth/scalar_subgradients
nonsmooth/choices nonsmooth/sets matrix_products
nonsmooth/cells lane_choices
subgradients
nonsmooth/kink_reporting
sweeps
sweep_batches
cuda_reporting measure/reporting measure/choosing measure/stages measure/preconditions
measure/mode_pages measure/resident measure/peak_process measure/bounds measure/device_columns
measure/mode_records measure/mode_plans
measure/ways
workbench
growth
verification/calls verification/directions verification/extrapolation verification/report
verification/diagnosis verification/inputs verification/ladder
verification/differences verification/observation
verification/verdicts
verification/survey verification/witnesses
verification/conclusion
verification/check
testing/properties testing/programs
testing
calcbench
"""

# Library -> the files that may import it, and those that may do so at module level.
ANYWHERE, NOWHERE = r".*", r"(?!)"
LIBRARIES = {
    "numpy": (ANYWHERE, ANYWHERE),
    "scipy": (ANYWHERE, NOWHERE),
    "matplotlib": (ANYWHERE, NOWHERE),
    "sympy": (r"symbolic/.*|subgradients", r"symbolic/.*"),
    "mpmath": (r"symbolic/.*", r"symbolic/.*"),
    "numba": (r"lower/.*", r"lower/.*"),
    "llvmlite": (r"lower/cache", r"lower/cache"),  # comes with Numba: names the processor
    "numba.cuda": (r"lower/(targets|compiler|cuda_.*)", r"lower/(targets|compiler)"),
    "cuda": (r"lower/cuda_.*", NOWHERE),  # what numba-cuda brings: the linker, and DLPack
    "hypothesis": (r"testing(/.*)?", r"testing(/.*)?"),
    # The lazy names, the engines loaded on demand, generated modules; elsewhere it would hide one.
    "importlib": (
        r"calcbench|compilation|compiled_graphs|delegation|sweeps|lower/(compiler|engines|lasting_loops)",
    )
    * 2,
}
LAZY = {"scipy", "sympy", "numba", "matplotlib", "cuda"}  # too slow to load for `import calcbench`
BANNED_NAMES = {"utils", "helpers", "misc", "common"}
PACKAGE = Path(__file__).parents[1] / "calcbench"


@dataclass(frozen=True)
class Source:
    """One file: `graph/ir.py` has the name `graph/ir`, `graph/__init__.py` the name `graph`."""

    path: str
    text: str

    @property
    def is_package(self) -> bool:
        return Path(self.path).name == "__init__.py"

    @property
    def name(self) -> str:
        name = self.path.removesuffix("__init__.py").removesuffix(".py").rstrip("/")
        return name or "calcbench"


@dataclass(frozen=True)
class Import:
    """One imported thing by its dotted name, and where it was imported."""

    dotted: str
    line: int
    in_function: bool


def layer_numbers(layers: str) -> dict[str, int]:
    rows = layers.strip().splitlines()
    return {name: number for number, row in enumerate(rows) for name in row.split()}


def package_sources() -> list[Source]:
    paths = sorted(PACKAGE.rglob("*.py"))
    return [Source(path.relative_to(PACKAGE).as_posix(), path.read_text()) for path in paths]


# --- reading one file ---------------------------------------------------------------------------


@lru_cache(maxsize=1000)  # several rules ask, and a walk through all files takes seconds
def imports(source: Source) -> tuple[Import, ...]:
    nodes = list(ast.walk(ast.parse(source.text)))
    inside = lines_inside_functions(nodes)
    found = [
        Import(dotted, node.lineno, node.lineno in inside)
        for node in nodes
        for dotted in imported_names(node, source)
    ]
    return (*found, *cuda_attributes(nodes, inside))


def lines_inside_functions(nodes: list[ast.AST]) -> set[int]:
    functions = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {line for f in functions for line in range(f.body[0].lineno, f.end_lineno + 1)}


def imported_names(node: ast.AST, source: Source) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = ".".join(filter(None, [relative_base(node.level, source), node.module]))
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "__import__":
        return ["importlib.__import__"]
    return []


def relative_base(level: int, source: Source) -> str:
    if level == 0:
        return ""
    folders = ["calcbench", *Path(source.path).parts[:-1]]
    return ".".join(folders[: len(folders) - level + 1])


def cuda_attributes(nodes: list[ast.AST], inside: set[int]) -> Iterator[Import]:
    """`import numba as nb` and then `nb.cuda` is an import of numba.cuda."""
    aliases = [a for n in nodes if isinstance(n, ast.Import) for a in n.names]
    names = {f"{alias.asname or alias.name}.cuda" for alias in aliases if alias.name == "numba"}
    for node in nodes if names else ():
        if isinstance(node, ast.Attribute) and ast.unparse(node) in names:
            yield Import("numba.cuda", node.lineno, node.lineno in inside)


# --- the rules: (source, numbers) -> complaints -------------------------------------------------


def misplaced(source: Source, numbers: dict[str, int]) -> Iterator[str]:
    if source.name.rpartition("/")[2] in BANNED_NAMES:
        yield "says nothing with its name; name it after what it holds"
    if source.name in numbers:
        return
    if not source.is_package:
        yield "has no layer: add it to LAYERS in tests/test_layers.py"
    elif any(not is_docstring(statement) for statement in ast.parse(source.text).body):
        yield "is the __init__ of a folder without a layer: it may hold a docstring only"


def is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def upward(source: Source, numbers: dict[str, int]) -> Iterator[str]:
    if source.name not in numbers:
        return  # said by `misplaced`
    for found in imports(source):
        if not is_under(found.dotted, "calcbench"):
            continue
        target = imported_file(found.dotted, numbers)
        if target is None:
            yield f"line {found.line}: {found.dotted} is no file of LAYERS; import the file itself"
        elif not points_down(source, target, numbers):
            yield f"line {found.line}: {source.name} may not import {target}, which is not below it"


def imported_file(dotted: str, numbers: dict[str, int]) -> str | None:
    """The longest prefix that is a file: `calcbench.graph.ir.Node` is in `graph/ir`."""
    parts = dotted.split(".")[1:]
    for length in range(len(parts), 0, -1):
        if (name := "/".join(parts[:length])) in numbers:
            return name
    return "calcbench" if len(parts) < 2 else None


def points_down(source: Source, target: str, numbers: dict[str, int]) -> bool:
    own_folder = source.is_package and target.startswith(f"{source.name}/")
    here = numbers[source.name]
    return numbers[target] < here or (own_folder and numbers[target] == here)


def foreign(source: Source, numbers: dict[str, int]) -> Iterator[str]:
    for found in imports(source):
        root = found.dotted.partition(".")[0]
        libraries = [name for name in LIBRARIES if is_under(found.dotted, name)]
        if not libraries and root != "calcbench" and root not in sys.stdlib_module_names:
            yield f"line {found.line}: {root} is no dependency of calcbench"
        for library in libraries:
            where = LIBRARIES[library][0 if found.in_function else 1]
            if not re.fullmatch(where, source.name):
                place = "here" if found.in_function else "here at module level"
                yield f"line {found.line}: {library} may not be imported {place}"


def hidden(source: Source, numbers: dict[str, int]) -> Iterator[str]:
    for found in imports(source):
        if found.in_function and found.dotted.partition(".")[0] not in LAZY | {"importlib"}:
            yield f"line {found.line}: {found.dotted} is imported inside a function"


def is_under(dotted: str, package: str) -> bool:
    return f"{dotted}.".startswith(f"{package}.")


RULES = (misplaced, upward, foreign, hidden)


def complaints(sources: list[Source], numbers: dict[str, int]) -> list[str]:
    return [
        f"{source.path}: {text}"
        for source in sources
        for rule in RULES
        for text in rule(source, numbers)
    ]


# --- the package --------------------------------------------------------------------------------


def test_every_import_points_down() -> None:
    assert complaints(package_sources(), layer_numbers(LAYERS)) == []


def test_every_file_of_the_table_exists_and_stands_in_it_once() -> None:
    names = LAYERS.split()
    assert sorted(set(names) - {source.name for source in package_sources()}) == []
    assert len(names) == len(set(names))


# --- the rules bite -----------------------------------------------------------------------------

SMALL = layer_numbers("""
graph/ir graph/nodes
graph/rows
lower/targets lower/groups
testing/laws testing
calcbench
""")

# fmt: off
BAD = [  # (file, source text, what the complaint says)
    ("graph/ir.py", "from calcbench.graph.rows import sin", "graph/ir may not import graph/rows"),
    ("graph/ir.py", "import calcbench.graph.rows as rows", "graph/ir may not import graph/rows"),
    ("graph/ir.py", "from calcbench.graph import rows", "graph/ir may not import graph/rows"),
    ("graph/ir.py", "from .rows import sin", "graph/ir may not import graph/rows"),
    ("graph/ir.py", "from ..lower import groups", "graph/ir may not import lower/groups"),
    ("graph/ir.py", "if TYPE_CHECKING:\n    import calcbench.graph.rows", "line 2: graph/ir"),
    ("graph/ir.py", "def f():\n    from calcbench.graph import rows", "may not import graph/rows"),
    ("graph/ir.py", "from calcbench.graph.nodes import Node", "may not import graph/nodes"),
    ("graph/ir.py", "from calcbench.graph.ir import Node", "graph/ir may not import graph/ir"),
    ("graph/rows.py", "from calcbench import grad", "graph/rows may not import calcbench"),
    ("graph/rows.py", "import calcbench as cb", "graph/rows may not import calcbench"),
    ("graph/rows.py", "from calcbench.graph import *", "is no file of LAYERS"),
    ("graph/new.py", "", "has no layer"),
    ("graph/utils.py", "", "says nothing with its name"),
    ("graph/__init__.py", "'Graphs.'\nx = 1", "may hold a docstring only"),
    ("graph/rows.py", "def f():\n    import sympy", "line 2: sympy may not be imported here"),
    ("subgradients.py", "import sympy", "sympy may not be imported here at module level"),
    ("graph/rows.py", "from numba import njit", "numba may not be imported here"),
    ("lower/groups.py", "from numba import cuda", "numba.cuda may not be imported here"),
    ("lower/groups.py", "import numba.cuda as cu", "numba.cuda may not be imported here"),
    ("lower/groups.py", "import numba as nb\nx = nb.cuda.jit", "line 2: numba.cuda may not be"),
    ("graph/rows.py", "import scipy.special", "scipy may not be imported here at module level"),
    ("graph/rows.py", "import hypothesis", "hypothesis may not be imported here"),
    ("graph/rows.py", "import torch", "torch is no dependency"),
    ("graph/rows.py", "def f():\n    import re", "line 2: re is imported inside a function"),
    ("graph/rows.py", "def f(): import re", "re is imported inside a function"),
    ("graph/rows.py", "async def f():\n    import re", "re is imported inside a function"),
    ("graph/rows.py", "def f():\n    import calcbench.graph.ir", "imported inside a function"),
    ("graph/rows.py", "x = __import__('sympy')", "importlib may not be imported here"),
    ("graph/rows.py", "import importlib", "importlib may not be imported here"),
]
GOOD = [
    ("graph/rows.py", "from calcbench.graph.ir import Node"),
    ("graph/rows.py", "from calcbench.graph import ir"),
    ("graph/rows.py", "from .ir import Node"),
    ("graph/rows.py", "def f():\n    import scipy.special"),
    ("graph/rows.py", "import sysconfig, math\nfrom numpy import linalg"),
    ("graph/__init__.py", "'Graphs.'"),
    ("subgradients.py", "def f():\n    import sympy"),
    ("symbolic/bridge.py", "import sympy"),
    ("lower/groups.py", "import numba\nx = target.cuda"),
    ("lower/targets.py", "from numba import cuda"),
    ("testing/__init__.py", "from calcbench.testing.laws import law"),
    ("__init__.py", "import importlib"),
]
# fmt: on


@pytest.mark.parametrize(("path", "text", "expected"), BAD)
def test_the_checker_complains(path: str, text: str, expected: str) -> None:
    found = complaints([Source(path, text)], SMALL)
    assert any(path in line and expected in line for line in found), found


@pytest.mark.parametrize(("path", "text"), GOOD)
def test_the_checker_lets_pass(path: str, text: str) -> None:
    found = complaints([Source(path, text)], SMALL | {"symbolic/bridge": 2, "subgradients": 2})
    assert found == []
