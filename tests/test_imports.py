"""`import calcbench` is light; every public name resolves, is documented and names no module."""

import subprocess
import sys
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import calcbench


HEAVY = ["numba", "sympy", "scipy", "hypothesis", "mpmath", "matplotlib", "sklearn"]


def loaded_after(statement: str) -> set[str]:
    """The heavy libraries that a fresh interpreter holds after the statement."""
    report = f"{statement}\nimport sys\nprint(*(m for m in {HEAVY} if m in sys.modules))"
    command = [sys.executable, "-W", "error", "-c", report]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def undocumented(name: str, value: object) -> bool:
    """True without a docstring; the signature that a dataclass writes for itself is none."""
    text = (getattr(value, "__doc__", None) or "").strip()
    return not text or text.startswith(f"{name}(")


def documentable(value: object) -> bool:
    return isinstance(value, type | ModuleType | FunctionType) or callable(value)


def test_import_loads_no_heavy_library() -> None:
    assert loaded_after("import calcbench") == set()


def test_a_first_gradient_loads_what_it_needs() -> None:
    """The fused engine and what is for CUDA wait until they are asked for."""
    program = "calcbench.compile(calcbench.grad(lambda x: x * x))(2.0)"
    report = f"import calcbench, sys\n{program}\nprint(*(m for m in sys.modules if 'lower' in m))"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True
    )
    loaded = {name.rsplit(".", 1)[1] for name in done.stdout.split()}
    assert "tape" in loaded
    assert not {"fused", "emission"} & loaded
    assert not [name for name in loaded if name.startswith("cuda")]


def test_looking_around_loads_no_heavy_library() -> None:
    assert loaded_after("import calcbench; dir(calcbench); calcbench.__all__") == set()


def test_the_subprocess_would_see_a_heavy_library() -> None:
    assert loaded_after("import mpmath") == {"mpmath"}


def test_all_lists_every_export_once() -> None:
    assert len(calcbench.__all__) == len(set(calcbench.__all__))
    assert set(calcbench._EXPORTS) <= set(calcbench.__all__) <= set(dir(calcbench))
    assert calcbench._EXPORTS


@pytest.mark.parametrize("name", calcbench.__all__)
def test_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(calcbench, name)
    assert getattr(calcbench, name) is value
    assert not (documentable(value) and undocumented(name, value)), f"cb.{name} has no docstring"


def module_names(paths: list[str]) -> set[str]:
    """Names that importing one of the files could set on a package: folders and stems."""
    return {part for path in paths for part in path.removesuffix(".py").split("/")}


def test_no_public_name_is_a_module_name() -> None:
    """`cb.jvp` would turn into a module once `calcbench/forward_mode/jvp.py` is imported."""
    root = Path(__file__).parents[1] / "calcbench"
    modules = module_names([p.relative_to(root).as_posix() for p in root.rglob("*.py")])
    assert {"graph", "derivatives"} <= modules
    values = {name: getattr(calcbench, name) for name in calcbench._EXPORTS}
    assert modules & {n for n, v in values.items() if not isinstance(v, ModuleType)} == set()


def test_module_names_holds_folders_and_files() -> None:
    assert module_names(["graph/ir.py", "testing.py"]) == {"graph", "ir", "testing"}


def test_star_import_brings_every_public_name() -> None:
    names: dict[str, object] = {}
    exec("from calcbench import *", names)  # noqa: S102 - a star import is a statement of modules only
    assert set(calcbench.__all__) <= set(names)


def test_unknown_name_is_an_attribute_error_that_says_it() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = calcbench.no_such_name


def test_missing_docstrings_are_seen() -> None:
    def bare() -> None: ...

    class Record:
        """Record(x: int)"""

    assert undocumented("bare", bare)
    assert undocumented("Record", Record)
    assert not undocumented("undocumented", undocumented)
