"""Compiled code is right, made once, and read from disk only if this user alone can have put it."""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np
import pytest

import calcbench as cb
from calcbench.graph.arraytype import CalcbenchError
from calcbench.lower import cache, compiler
from calcbench.lower.tape import WHOLE_KERNELS, prepare_tape


SOURCE = """
@jit
def half(x):
    return x * 0.5


@jit
def total(x):
    result = 0.0
    for k in range(x.size):
        result += half(x[k])
    return result
"""
X = np.arange(5.0)
FILES = {"f.nbi": b"index", "f.1.nbc": bytes(range(256))}

# What a fresh process says: its result, and how often Numba read code and made it.
FRESH = f"""
import numpy as np
from calcbench.lower.compiler import load

total = load({SOURCE!r}).total
value = total(np.arange(5.0))
stats = total.dispatcher.stats
print(value, stats.cache_hits.total(), stats.cache_misses.total())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of one test; afterwards the process is as it was."""
    monkeypatch.setenv("CALCBENCH_CACHE_DIR", str(tmp_path / "cache"))
    as_in_a_new_process()
    yield tmp_path / "cache"
    as_in_a_new_process()


def as_in_a_new_process() -> None:
    cache.directory.cache_clear()
    cache.workspace.cache_clear()
    compiler._modules.clear()


def misses(function: compiler.Function) -> int:
    return function.dispatcher.stats.cache_misses.total()


def run_python(script: str, **environment: str) -> str:
    """Output of a script in a fresh process, which must end well."""
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- loading and compiling ----------------------------------------------------------------------


def test_the_same_text_is_one_object_and_its_functions_compute(folder: Path) -> None:
    module = compiler.load(SOURCE)
    assert compiler.load(SOURCE) is module
    assert module.source == SOURCE
    assert module.total(X) == 5.0
    assert module.total(X.astype(np.float32)) == 5.0  # types that come later
    assert misses(module.total) == 2


def test_the_bare_function_is_handed_out(folder: Path) -> None:
    module = compiler.load(SOURCE)
    bare = compiler.compile_for(module.total, "(float64[::1],)")
    assert bare is module.total.prepared(X) is module.total.run is module.total.dispatcher
    assert bare(X) == 5.0
    assert misses(module.total) == 1


def test_floating_point_is_left_as_it_is_written(folder: Path) -> None:
    module = compiler.load(
        "@jit\ndef divide(x, y):\n    return x / y\n\n\n"
        "@jit\ndef add(x, y, z):\n    return (x + y) + z\n\n\n"
        "@jit\ndef is_nan(x):\n    return x != x\n"
    )
    assert module.divide(1.0, 0.0) == np.inf
    assert np.isnan(module.divide(0.0, 0.0))
    assert module.add(1e16, -1e16, 1.0) == 1.0
    assert module.is_nan(np.nan)


def test_threads_that_ask_at_once_compile_once(folder: Path) -> None:
    together = threading.Barrier(8)
    seen = []

    def ask() -> None:
        together.wait()
        module = compiler.load(SOURCE)
        seen.append((module, module.total(X)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    module = compiler.load(SOURCE)
    assert seen == [(module, 5.0)] * 8
    assert misses(module.total) == 1


def test_modules_long_unused_are_let_go_and_still_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "CAPACITY", 1)
    first = compiler.load(SOURCE)
    assert first.total(X) == 5.0
    other = compiler.load("@jit\ndef same(x):\n    return x\n")
    assert first.name not in sys.modules
    assert first.total(X) == 5.0
    assert first.total(np.arange(3)) == 1.5  # compiled after it was let go
    again = compiler.load(SOURCE)
    assert again is not first
    assert (again.total(X), other.same(2.0)) == (5.0, 2.0)
    assert misses(again.total) == 0


BAD_SOURCES = [  # (text, arguments, what the error says)
    ("@jit\ndef f(x):\n    return x.nothing\n", (1.0,), "'def f(x):' could not be compiled"),
    ("@jit\ndef f(x):\n    return unknown(x)\n", (1.0,), "'def f(x):' could not be compiled"),
    ("@jit\ndef f(x):\n    return x + 1\n", (object(),), "'def f(x):' could not be compiled"),
    ("@jit\ndef f(x):\n    return x + 1\n", (X.astype(np.float16), 1), "could not be compiled"),
    ("def f(x:\n", (), "'def f(x:' is not valid"),
    ("@jit\nclass f:\n    pass\n", (), "'@jit' is not valid"),
]


@pytest.mark.parametrize(("source", "arguments", "expected"), BAD_SOURCES)
def test_a_failure_says_what_was_compiled_and_what_to_do(
    source: str, arguments: tuple[object, ...], expected: str, folder: Path
) -> None:
    with pytest.raises(compiler.EngineError) as caught:
        compiler.load(source).f(*arguments)
    assert isinstance(caught.value, CalcbenchError)
    assert isinstance(caught.value.__cause__, Exception)
    assert expected in str(caught.value)
    assert "please report this; engine='numpy'" in str(caught.value)


def test_a_failure_for_later_types_is_told_too(folder: Path) -> None:
    half = compiler.load(SOURCE).half
    assert half(3.0) == 1.5
    with pytest.raises(compiler.EngineError, match=r"def half\(x\).*could not be compiled"):
        half("three")
    assert half(3.0) == 1.5


def test_an_unknown_function_is_named(folder: Path) -> None:
    with pytest.raises(AttributeError, match="defines no function 'absent'"):
        compiler.load(SOURCE).absent  # noqa: B018  # the look-up is what is tested


# --- later processes ----------------------------------------------------------------------------


def test_a_fresh_process_compiles_nothing(folder: Path) -> None:
    assert run_python(FRESH) == "5.0 0 1"
    assert run_python(FRESH) == "5.0 1 0"
    assert [path.suffix for path in folder.iterdir()] == [cache.SUFFIX]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_code_from_disk_is_read_without_numbas_compiler(folder: Path) -> None:
    """Half a second; a product lets Numba fill its registries, as it checks SciPy's BLAS then."""
    names = ["numba.np.arraymath", "scipy.linalg"]
    loaded = f"import sys\nprint(*(name in sys.modules for name in {names}))"
    product = "@jit\ndef total(x):\n    return np.dot(x, x)\n"
    for source, expected in ((SOURCE, "False False"), (product, "True True")):
        script = FRESH.replace(repr(SOURCE), repr(source))
        run_python(script)
        assert run_python(script + loaded).splitlines()[1] == expected


def test_what_was_read_from_disk_is_called_by_what_is_compiled(folder: Path) -> None:
    """Its library is linked, and later types are compiled in the same process."""
    other = "@jit\ndef twice(x):\n    return 2.0 * total(x)\n"
    script = (
        FRESH
        + f"""
from calcbench.lower.compiler import load
first = total.module
twice = load(f"from {{first.name}} import total\\n" + {other!r}, (first,)).twice
print(twice(np.arange(5.0)), twice(np.arange(5)), total(np.arange(5)))
"""
    )
    run_python(FRESH)
    assert run_python(script).splitlines() == ["5.0 1 0", "10.0 10.0 5.0"]


def test_what_is_imported_is_loaded_only_to_compile(folder: Path) -> None:
    script = """
from calcbench.lower import compiler

half = compiler.announce("@inline\\ndef half(x):\\n    return x * 0.5\\n")
quarter = f"from {half} import half\\n@inline\\ndef quarter(x):\\n    return half(half(x))\\n"
below = compiler.announce(quarter)
text = f"from {below} import quarter\\n@jit\\ndef f(x):\\n    return quarter(x)\\n"
f = compiler.load(text).f
print(f(8.0), len(compiler._modules))
"""
    assert run_python(script) == "2.0 3"
    assert len(list(folder.iterdir())) == 3
    again = script + "print(f(4), len(compiler._modules))\n"
    assert run_python(again).splitlines() == ["2.0 1", "1.0 3"]
    for entry in folder.iterdir():
        entry.write_bytes(b"damaged")
    assert run_python(script) == "2.0 3"
    assert run_python(script) == "2.0 1"
    assert run_python(script, NUMBA_DISABLE_JIT="1") == "2.0 3"


def test_a_program_runs_on_the_least_kernel_unless_a_larger_is_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(WHOLE_KERNELS, raising=False)
    x = cb.var("x", shape=(3,))
    plain, rarer = cb.as_graph(np.exp(x) + 1), cb.as_graph(np.tanh(x))
    least = prepare_tape(plain).source
    assert "exp_lane" in least
    assert "tanh_lane" not in least
    compiler._modules.clear()
    larger = prepare_tape(rarer).source
    assert "exp_lane" in larger
    assert "tanh_lane" in larger
    assert prepare_tape(plain).source == larger
    compiler._modules.clear()
    program = prepare_tape(plain)
    assert program.source == least
    points = np.array([0.5, -2.0, 30.0])
    np.testing.assert_allclose(*program([points]), np.exp(points) + 1, rtol=1e-15)


def test_whole_kernels_are_had_by_asking(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything but 0 asks; what is compiled already is used all the same."""
    plain = cb.as_graph(np.exp(cb.var("x", shape=(3,))) + 1)
    found = {}
    for asked in ("", "0", "1"):
        monkeypatch.setenv(WHOLE_KERNELS, asked)
        compiler._modules.clear()
        found[asked] = prepare_tape(plain).source
    assert found[""] == found["0"]
    assert "lgamma" not in found["0"]
    assert "lgamma" in found["1"]
    monkeypatch.setenv(WHOLE_KERNELS, "0")
    assert prepare_tape(plain).source == found["1"]


def test_processes_that_write_at_once_are_all_right(folder: Path) -> None:
    command = [sys.executable, "-c", FRESH]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate()[0].split()[0] for process in processes] == [b"5.0"] * 3
    assert len(list(folder.iterdir())) == 1
    module = compiler.load(SOURCE)
    assert (module.total(X), misses(module.total)) == (5.0, 0)


def test_without_a_cache_nothing_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALCBENCH_NO_CACHE", "1")
    module = compiler.load(SOURCE)
    assert module.total(X) == 5.0
    assert not folder.exists()


def test_the_workspace_is_private_and_ends_with_the_process(folder: Path) -> None:
    script = FRESH + "import os\npath = total.module.folder.parent\n"
    told = run_python(f"{script}print(path, oct(path.stat().st_mode & 0o777))").split()
    assert told[-1] == "0o700"
    assert not Path(told[-2]).exists()


def test_workspaces_of_killed_processes_are_removed(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path))
    for name, age in (("calcbench-old", 10), ("calcbench-new", 1), ("other", 10)):
        (tmp_path / name / "below").mkdir(parents=True)
        os.utime(tmp_path / name, (time.time() - age * 86400,) * 2)
    assert cache.workspace().parent == tmp_path
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"calcbench-new", "other", folder.name, cache.workspace().name}


def test_a_process_whose_workspace_was_removed_goes_on(folder: Path) -> None:
    module = compiler.load(SOURCE)
    shutil.rmtree(cache.workspace())
    assert (module.total(X), module.total(np.arange(3))) == (5.0, 1.5)
    shutil.rmtree(cache.workspace())
    assert compiler.load("@jit\ndef same(x):\n    return x\n").same(2.0) == 2.0


def test_functions_run_uncompiled_where_numba_is_told_to(folder: Path) -> None:
    script = f"from calcbench.lower.compiler import load\nprint(load({SOURCE!r}).half(3.0))"
    assert run_python(script, NUMBA_DISABLE_JIT="1") == "1.5"


KEY_CHANGES = {  # what compiled code depends on besides its text
    "Numba": (numba, "__version__", "0.0"),
    "NumPy": (np, "__version__", "0.0"),
    "calcbench": (sys.modules["calcbench"], "__version__", "0.0"),
    "CPU": (llvmlite.binding, "get_host_cpu_name", lambda: "other"),
    "SVML": (numba.config, "USING_SVML", "other"),
    "optimisation": (numba.config, "OPT", "other"),
    "bounds": (numba.config, "BOUNDSCHECK", "other"),
}


@pytest.mark.parametrize("what", KEY_CHANGES)
def test_the_key_changes_with(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache.digest(SOURCE)
    assert cache.digest(SOURCE) == before != cache.digest(SOURCE + "\n")
    cache._platform.cache_clear()
    monkeypatch.setattr(*KEY_CHANGES[what])
    assert cache.digest(SOURCE) != before
    cache._platform.cache_clear()


# --- what is wrong with an entry ----------------------------------------------------------------


def entry(folder: Path, key: str = "key") -> Path:
    return folder / f"{key}{cache.SUFFIX}"


def flip(position: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[int(position * (len(data) - 1))] ^= 1
        path.write_bytes(data)

    return damage


def cut(part: float) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])


def swap(path: Path) -> None:
    cache.write("other", {"f.nbi": b"code of another text"})
    entry(path.parent, "other").replace(path)


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def no_archive(path: Path) -> None:
    body = b"no archive, though the digest is right"
    path.write_bytes(hashlib.sha256(b"key" + body).digest() + body)


DAMAGES = {
    **{f"bit flipped at {part}": flip(part) for part in (0, 0.1, 0.3, 0.5, 0.7, 0.9, 1)},
    **{f"cut to {part}": cut(part) for part in (0, 0.05, 0.5, 0.99)},
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "another entry": swap,
    "no archive": no_archive,
    "a link": link,
    "a pipe": pipe,
    "others may write it": lambda path: path.chmod(0o666),
    "the group may write it": lambda path: path.chmod(0o660),
}


@pytest.mark.skipif(os.name != "posix", reason="owners and modes of files are POSIX")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_a_miss_and_removed(damage: str, folder: Path) -> None:
    cache.write("key", FILES)
    assert cache.read("key") == FILES
    DAMAGES[damage](entry(folder))
    assert cache.read("key") == {}
    assert not os.path.lexists(entry(folder))
    cache.write("key", FILES)
    assert cache.read("key") == FILES


@pytest.mark.skipif(os.name != "posix", reason="owners of files are POSIX")
def test_an_entry_of_somebody_else_is_a_miss(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write("key", FILES)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert cache.read("key") == {}


def test_a_folder_in_the_place_of_an_entry_is_a_miss(folder: Path) -> None:
    assert cache.directory() == folder
    entry(folder).mkdir()
    assert cache.read("key") == {}
    cache.write("key", FILES)
    assert cache.read("key") == {}
    assert [path.name for path in folder.iterdir()] == [entry(folder).name]


@pytest.mark.parametrize("offset", [-80 * 86400, 300 * 86400])
def test_wrong_clocks_do_no_harm(offset: int, folder: Path) -> None:
    cache.write("key", FILES)
    os.utime(entry(folder), (time.time() + offset,) * 2)
    as_in_a_new_process()
    assert cache.read("key") == FILES


def test_entries_without_use_are_removed(folder: Path) -> None:
    cache.write("old", FILES)
    cache.write("new", FILES)
    os.utime(entry(folder, "old"), (0, 0))
    as_in_a_new_process()
    assert (cache.read("old"), cache.read("new")) == ({}, FILES)


def test_damaged_code_is_compiled_anew(folder: Path) -> None:
    assert compiler.load(SOURCE).total(X) == 5.0
    flip(0.5)(next(folder.iterdir()))
    as_in_a_new_process()
    module = compiler.load(SOURCE)
    assert (module.total(X), misses(module.total)) == (5.0, 1)
    as_in_a_new_process()
    module = compiler.load(SOURCE)
    assert (module.total(X), misses(module.total)) == (5.0, 0)


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_code_that_numba_cannot_read_is_compiled_anew(suffix: str, folder: Path) -> None:
    module = compiler.load(SOURCE)
    assert module.total(X) == 5.0
    files = cache.read(module.key)
    unreadable = {k: b"x" * 9 if k.endswith(suffix) else v for k, v in files.items()}
    cache.write(module.key, unreadable)
    as_in_a_new_process()
    again = compiler.load(SOURCE)
    assert (again.total(X), misses(again.total)) == (5.0, 1)
    assert cache.read(module.key).keys() == files.keys()
    assert cache.read(module.key) != unreadable


def test_only_entries_are_read(folder: Path) -> None:
    name = compiler.load(SOURCE).name
    as_in_a_new_process()
    planted = folder / "__pycache__"
    planted.mkdir(parents=True)
    (folder / f"{name}.py").write_text("raise SystemExit")
    (planted / f"{name}.total-12.py311.nbi").write_bytes(b"planted")
    assert compiler.load(SOURCE).total(X) == 5.0
    assert (planted / f"{name}.total-12.py311.nbi").read_bytes() == b"planted"


# --- what is wrong with the folder --------------------------------------------------------------


def open_to_all(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def link_to_open(path: Path) -> None:
    open_to_all(path.with_name("open"))
    path.symlink_to(path.with_name("open"))


BAD_FOLDERS = {
    "others may write": open_to_all,
    "a link to such": link_to_open,
    "a file": lambda path: path.write_text(""),
    "below a file": lambda path: path.parent.joinpath("cache").write_text(""),
}


@pytest.mark.skipif(os.name != "posix", reason="modes of folders are POSIX")
@pytest.mark.parametrize("fault", BAD_FOLDERS)
def test_a_bad_folder_is_told_once_and_not_used(
    fault: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    BAD_FOLDERS[fault](folder)
    if fault == "below a file":
        monkeypatch.setenv("CALCBENCH_CACHE_DIR", str(folder / "below"))
    with pytest.warns(cache.CacheWarning, match="CALCBENCH_CACHE_DIR="):
        assert cache.directory() is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiler.load(SOURCE).half(3.0) == 1.5
    assert not folder.is_dir() or list(folder.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="owners of folders are POSIX")
def test_a_folder_of_somebody_else_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.warns(cache.CacheWarning, match="others can write there"):
        assert cache.directory() is None


@pytest.mark.skipif(sys.platform != "linux", reason="the folder is named as on Linux")
def test_folders_nobody_chose_are_taken_or_left_in_silence(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CALCBENCH_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.directory() == tmp_path / "xdg" / "calcbench"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    cache.directory.cache_clear()
    assert cache.directory() == tmp_path / "numba"
    (tmp_path / "numba").chmod(0o777)
    cache.directory.cache_clear()
    assert cache.directory() == tmp_path / "xdg" / "calcbench"
    (tmp_path / "xdg" / "calcbench").chmod(0o777)
    cache.directory.cache_clear()
    assert cache.directory() is None


def test_numba_reads_and_writes_in_the_workspace_whatever_it_is_told(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_to_all(tmp_path / "numba")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "numba"))
    module = compiler.load(SOURCE)
    assert module.total(X) == 5.0
    for function in module.functions.values():
        path = Path(function.dispatcher.stats.cache_path)
        assert path == cache.workspace() / module.name / "__pycache__"
    assert list((tmp_path / "numba").iterdir()) == []
    assert str(tmp_path / "numba") == numba.config.CACHE_DIR


@pytest.mark.skipif(os.name != "posix", reason="modes of folders are POSIX")
def test_a_place_where_others_may_rename_is_no_workspace(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_to_all(tmp_path / "open")
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path / "open"))
    assert cache.workspace().parent == folder
    as_in_a_new_process()
    monkeypatch.setenv("CALCBENCH_NO_CACHE", "1")
    with pytest.raises(compiler.EngineError, match="set TMPDIR"):
        compiler.load(SOURCE)


@pytest.mark.skipif(os.name != "posix", reason="limits of file sizes are POSIX")
def test_no_room_on_disk_is_survived(folder: Path) -> None:
    limited = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
"""
    assert run_python(limited + FRESH).split()[0] == "5.0"
    assert all(path.stat().st_size <= 4096 for path in folder.iterdir())
    assert run_python(FRESH).split()[0] == "5.0"


# --- forked and spawned processes ---------------------------------------------------------------

FORK = """
import os, sys, warnings
from calcbench.lower.compiler import EngineError, check_process, load

warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads

def in_child(function):
    if (pid := os.fork()) == 0:
        try:
            function()
            os._exit(0)
        except EngineError as error:
            os._exit(7 if "get_context('spawn')" in str(error) else 1)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

text = "@jit\\ndef f(x):\\n    return x\\n"
assert in_child(lambda: load(text).f(1.0)) == 0  # nothing was used before
f = load(text).f
assert f(1.0) == 1.0
assert in_child(check_process) == 7
assert in_child(lambda: load(text)) == 7
assert in_child(lambda: f.prepared(1.0)) == 7
assert in_child(lambda: in_child(check_process) == 7 or os._exit(2)) == 0
if os.fork() == 0:
    sys.exit()  # runs what is registered for the exit
os.wait()
assert f.module.folder.exists()
check_process()
"""

SPAWN = """
import multiprocessing
from calcbench.lower.compiler import load

def half(x):
    return load("@jit\\ndef half(x):\\n    return x * 0.5\\n").half(x)

if __name__ == "__main__":
    assert half(3.0) == 1.5
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(half, [3.0]) == [1.5]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_child_gets_an_error_if_its_parent_had_compiled_code(folder: Path) -> None:
    run_python(FORK)


def test_a_spawned_child_works(tmp_path: Path, folder: Path) -> None:
    script = tmp_path / "spawning.py"
    script.write_text(SPAWN)
    subprocess.run([sys.executable, script], check=True, timeout=120)
